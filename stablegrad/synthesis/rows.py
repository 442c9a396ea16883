"""The rows of a table while it is made."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from stablegrad.oracle.formats import Format
from stablegrad.synthesis.layout import UNCOVERED
from stablegrad.synthesis.table import Kind, Waves

if TYPE_CHECKING:
    from stablegrad.oracle.ends import End
    from stablegrad.oracle.pieces import Fit
    from stablegrad.oracle.waves import WaveEnd


class Rows:
    """The polynomials of a table, one after the other."""

    def __init__(self, form: Format) -> None:
        self.format = form
        self.coefficients: list[tuple[float, ...]] = [(0.0, 0.0)]
        self.center = [0.0]
        self.scale = [0.0]
        self.slope = [0.0]
        self.kind = [UNCOVERED]
        self.kinds: list[Kind] = [Kind()]
        self.pieces = 0
        self.bound = 0.0

    def add(
        self,
        fit: Fit | None,
        center: float,
        scale: float,
        kind: Kind,
        ulp: float,
        times: int = 1,
    ) -> int:
        """A piece, in as many rows as it is wider than the narrowest of its binade."""
        if kind not in self.kinds[1:]:
            self.kinds.append(kind)
        for _ in range(times):
            self.coefficients.append((0.0, 0.0) if fit is None else fit.coefficients)
            self.center.append(center)
            self.scale.append(scale)
            self.slope.append(0.0 if fit is None else fit.slope)
            self.kind.append(1 + self.kinds[1:].index(kind))
        self.pieces += 1
        self.bound = max(self.bound, ulp)
        return len(self.kind) - 1

    def skip(self, times: int) -> None:
        """Rows for which nothing is proved."""
        self.coefficients += [(0.0, 0.0)] * times
        self.kind += [UNCOVERED] * times
        for numbers in (self.center, self.scale, self.slope):
            numbers.extend([0.0] * times)

    def again(self, sign: int) -> int:
        """Add all rows once more, times a sign, and say by how many places they come later."""
        by = len(self.kind) - 1
        self.coefficients += [tuple([sign * c for c in row]) for row in self.coefficients[1:]]
        self.kind += self.kind[1:]
        for numbers in (self.center, self.scale, self.slope):
            numbers.extend(numbers[1:])
        return by

    def end(self, e: End, extra_ulp: float = 0.0) -> int:
        """The rows of a form next to a point or at infinity."""
        kind = Kind(
            e.q,
            e.power,
            e.fit is not None,
            e.log_fit is not None,
            e.log_power,
            tuple([(x, *two_floats(c, self.format)) for x, c in e.rate]),
            e.even,
        )
        scale = 2.0 ** (-e.reach / e.q)
        row = self.add(e.fit, 0.0, scale, kind, e.ulp + extra_ulp)
        if e.log_fit is not None:
            self.add(e.log_fit, 0.0, scale, kind, e.ulp + extra_ulp)
            self.pieces -= 1
        return row

    def waves(self, e: WaveEnd) -> int:
        """The rows of a form that oscillates, one for each of its terms."""
        names = tuple([name for name, _ in e.terms])
        waves = Waves(e.octave, e.factor, names, e.share)
        kind = Kind(q=e.q, power=e.power, waves=waves)
        first = len(self.kind)
        for _, coefficients in e.terms:
            row = self.add(None, 0.0, 2.0**e.reach, kind, e.ulp)
            self.coefficients[row] = coefficients
        return first


def two_floats(c: Fraction, form: Format) -> tuple[float, float]:
    """A rational as a float near to it and one near to the rest."""
    hi = form.rounded(float(c))
    return hi, form.rounded(float(c - Fraction(hi)))
