"""From an expression of one variable to a table: anchors, ends, middle pieces, all proved.

A table covers every float of the domain that it can prove; what it cannot prove stays a gap, in
which the naive form is kept. Nothing is sampled: where the grid of the survey misses a zero, the
pieces around it fail their proof.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from stablegrad.errors import StablegradError
from stablegrad.synthesis.recipe import Recipe, X
from stablegrad.synthesis.table import UNCOVERED, Kind, Side, Table, Zone

if TYPE_CHECKING:
    from stablegrad.oracle.ends import End
    from stablegrad.oracle.pieces import Fit
    from stablegrad.oracle.points import Zero

TOLERANCE = 2.0**-56.5
"""Relative error that a polynomial may have; evaluating it costs more."""
DEGREE = 13
LOWEST, HIGHEST = -1022, 1024
BOTTOMS = {1: (-1, -3, -5, -8, -14, -24, -40), 2: (-2, -4, -8, -16, -30), 3: (-6, -12, -30)}
TOPS = {-1: (2, 3, 4, 5, 6, 7, 9, 12), -2: (4, 6, 8, 12), -3: (6, 9, 12)}
HALVINGS = (2, 3, 4, 5, 6, 7)
"""A binade is cut into 2**k pieces, for the first of these k that does."""
MARKS = (1.0, 1.25, 1.5, 1.75)
"""Where in a binade the survey looks."""
OSCILLATES = 12
"""Zeros on one side from which on a function is said to oscillate."""
FAR = 12
"""Where no form at infinity is found, pieces end at 2**FAR."""
PIECES = 2000
WORK = 150_000
"""Steps of walks after which what is left is declined: a few seconds."""
END_WORK = 60
NO_RATE = (Fraction(0), Fraction(0))


class DeclinedError(StablegradError, ValueError):
    """Nothing can be made of an expression; the text says why."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A zero, or an end of the domain."""

    x: float
    zero: Zero | None


class _Rows:
    """The polynomials of a table, one after the other."""

    def __init__(self) -> None:
        self.coefficients: list[tuple[float, ...]] = [(0.0, 0.0)]
        self.center = [0.0]
        self.scale = [0.0]
        self.kind = [UNCOVERED]
        self.kinds: list[Kind] = [Kind()]
        self.pieces = 0
        self.bound = 0.0

    def add(self, fit: Fit | None, center: float, scale: float, kind: Kind, ulp: float) -> int:
        if kind not in self.kinds[1:]:
            self.kinds.append(kind)
        self.coefficients.append((0.0, 0.0) if fit is None else fit.coefficients)
        self.center.append(center)
        self.scale.append(scale)
        self.kind.append(1 + self.kinds[1:].index(kind))
        self.pieces += 1
        self.bound = max(self.bound, ulp)
        return len(self.kind) - 1

    def skip(self) -> int:
        """A row for which nothing is proved."""
        self.coefficients.append((0.0, 0.0))
        self.center.append(0.0)
        self.scale.append(0.0)
        self.kind.append(UNCOVERED)
        return len(self.kind) - 1

    def end(self, e: End, extra_ulp: float = 0.0) -> int:
        """The rows of a form next to a point or at infinity."""
        kind = Kind(
            e.q,
            e.power,
            e.fit is not None,
            e.log_fit is not None,
            e.log_power,
            tuple([(x, *two_floats(c)) for x, c in e.rate]),
            e.even,
        )
        scale = 2.0 ** (-e.reach / e.q)
        row = self.add(e.fit, 0.0, scale, kind, e.ulp + extra_ulp)
        if e.log_fit is not None:
            self.add(e.log_fit, 0.0, scale, kind, e.ulp + extra_ulp)
            self.pieces -= 1
        return row


def two_floats(c: Fraction) -> tuple[float, float]:
    """A rational as the float nearest to it and the float nearest to the rest."""
    hi = float(c)
    return hi, float(c - Fraction(hi))


class Builder:
    """Makes the table of one recipe."""

    def __init__(self, recipe: Recipe, tolerance: float = TOLERANCE) -> None:
        from stablegrad.oracle.pieces import Middle  # flint is slow to import

        self.f = recipe.expression
        self.tolerance = tolerance
        self.middle = Middle(self.f, X, tolerance, DEGREE)
        self.rows = _Rows()
        self.zones: list[Zone] = []
        self.gaps: list[tuple[float, float]] = []

    def build(self) -> Table:
        """The table.

        Raises:
            DeclinedError: the function is undefined everywhere, constant, or nothing of it could
                be proved.
        """
        start = time.thread_time()
        sides = (self._side(1), self._side(-1))
        rows = self.rows
        if not rows.pieces:
            raise DeclinedError("nothing could be proved of it")
        width = max(len(c) for c in rows.coefficients)
        coefficients = np.zeros((width, len(rows.kind)))
        for i, c in enumerate(rows.coefficients):
            coefficients[: len(c), i] = c
        return Table(
            coefficients,
            np.array(rows.center),
            np.array(rows.scale),
            np.array(rows.kind, np.int8),
            tuple(rows.kinds),
            sides,
            tuple(self.zones),
            self._points(),
            rows.pieces,
            rows.bound,
            tuple(_merged(self.gaps)),
            time.thread_time() - start,
        )

    # -- one sign of the input --------------------------------------------------------------

    def _side(self, s: int) -> Side:
        from stablegrad.oracle.points import UNDEFINED, signs

        bottom, top = self._first(BOTTOMS, s), self._first(TOPS, s)
        low = bottom.reach if bottom else BOTTOMS[1][-1]
        high = top.reach if top else FAR
        marks = [
            2.0**e * m for e in range(low - 1, high + 1) for m in MARKS if e < high or m == 1.0
        ]
        if bottom:
            marks = [m for m in marks if m >= 2.0 ** (low - 1)]
        found = signs(self.f, X, [s * m for m in marks])
        if not bottom and not top and all(v == UNDEFINED for v in found):
            return Side(0, 0, (UNCOVERED, UNCOVERED), (52, 52))
        anchors, spans, limit = self._anchors(s, marks, found)
        if limit is not None and limit < high:
            high, top = max(low, limit), None
        zones = self._make_zones(anchors, s)
        rate = _rate_of(top)
        base, shift = [self.rows.end(bottom) if bottom else UNCOVERED], [52]
        if not bottom and _defined(spans, 0.0, 2.0**low):
            self._gap(s, 0.0, 2.0**low)
        first, gaps = 0, len(self.gaps)
        for e in range(low, high):
            k, row = self._binade(s, e, zones, spans, rate if e >= 0 else NO_RATE, first)
            first = max(0, HALVINGS.index(k) - 1) if k in HALVINGS else 0
            base.append(row)
            shift.append(52 - k)
            if top is None and len(self.gaps) > gaps:
                high = e + 1  # a function that is hard here is harder farther out
                break
        if top is None:
            base.append(UNCOVERED)
            if _defined(spans, 2.0**high, math.inf):
                self._gap(s, 2.0**high, math.inf)
        else:
            base.append(self.rows.end(top))
        shift.append(52)
        return Side(low, high, tuple(base), tuple(shift))

    def _end(self, center: Any, side: int, q: int, reach: int, *, zero: bool = False) -> End | None:
        from stablegrad.oracle.ends import end

        if self.middle.work >= WORK:
            return None
        self.middle.work += END_WORK * self.middle.steps
        return end(
            self.f,
            X,
            center=center,
            side=side,
            q=q,
            reach=reach,
            tolerance=self.tolerance,
            degree=DEGREE,
            zero=zero,
        )

    def _first(self, reaches: dict[int, tuple[int, ...]], s: int) -> End | None:
        """The form that reaches farthest from 0, or from infinity."""
        for q, tries in reaches.items():
            for reach in tries:
                found = self._end(0, s, q, reach)
                if found is not None:
                    return found
        return None

    def _anchors(
        self, s: int, marks: list[float], found: list[int]
    ) -> tuple[list[Anchor], list[tuple[float, float]], int | None]:
        """Zeros and ends of the domain; where it is defined; the exponent where it oscillates."""
        from stablegrad.oracle.points import UNDEFINED, Zero, edge, zero

        anchors: list[Anchor] = []
        spans: list[tuple[float, float]] = []
        begin: float | None = 0.0 if found[0] != UNDEFINED else None
        zeros = 0
        for i, (z, here) in enumerate(zip(marks, found, strict=True)):
            before = found[i - 1] if i else here
            after = found[i + 1] if i + 1 < len(found) else here
            if here == 0:
                anchors.append(Anchor(s * z, Zero(s * z, 0.0, s * z)))
                zeros += 1
            elif here >= UNDEFINED and before < UNDEFINED and after < UNDEFINED:
                anchors.append(Anchor(s * z, None))  # a point left out, perhaps removable
            elif here == UNDEFINED and before < UNDEFINED:
                at = abs(edge(self.f, X, s * marks[i - 1], s * z))
                anchors.append(Anchor(s * at, None))
                if begin is not None:
                    spans.append((begin, at))
                begin = None
            elif before == UNDEFINED and here != UNDEFINED and begin is None:
                at = abs(edge(self.f, X, s * z, s * marks[i - 1]))
                anchors.append(Anchor(s * at, None))
                begin = at
            elif {before, here} == {1, -1}:
                zeros += 1
                if zeros <= OSCILLATES:
                    a, b = sorted((s * marks[i - 1], s * z))
                    root = zero(self.f, X, a, b)
                    if root is not None:
                        anchors.append(Anchor(root.hi, root))
            if zeros > OSCILLATES:
                first = min(abs(a.x) for a in anchors) if anchors else z
                limit = max(math.frexp(first)[1] - 1, math.frexp(marks[0])[1])
                spans.append((begin or 0.0, math.inf))
                return [a for a in anchors if abs(a.x) < 2.0**limit], spans, limit
        if begin is not None:
            spans.append((begin, math.inf))
        return anchors, spans, None

    def _make_zones(self, anchors: list[Anchor], s: int) -> list[tuple[float, float]]:
        """Proved neighbourhoods of anchors, as intervals of |x|."""
        from stablegrad.oracle.points import UNDEFINED, sign

        made: list[tuple[float, float]] = []
        for i, a in enumerate(anchors):
            others = [abs(a.x - b.x) for j, b in enumerate(anchors) if j != i]
            room = math.frexp(min([abs(a.x), *others]))[1] - 1
            center = Fraction(a.x) if a.zero is None else a.zero.ball
            for reach in (room - 2, room - 3, room - 5, room - 9):
                found: dict[int, End] = {}
                wanted = [
                    d for d in (1, -1) if sign(self.f, X, a.x + d * 2.0 ** (reach - 1)) < UNDEFINED
                ]
                for d in wanted:
                    for q, width in ((1, reach), (2, reach - reach % 2), (3, reach - reach % 3)):
                        form = self._end(center, d, q, width, zero=a.zero is not None)
                        if form is not None and not form.rate:
                            found[d] = form
                            break
                if wanted and len(found) == len(wanted):
                    self._zone(a, found, made)
                    break
        return made

    def _zone(self, a: Anchor, found: dict[int, End], made: list[tuple[float, float]]) -> None:
        width = 2.0 ** min(e.reach for e in found.values())
        # two roundings of z count as often as z does in the result
        extra = 2.0 * max(abs(float(e.power)) + 0.5 for e in found.values())
        exact = a.zero is None or a.zero.lo == 0
        rows = {d: self.rows.end(e, 0.0 if exact else extra) for d, e in found.items()}
        lo = 0.0 if a.zero is None else a.zero.lo
        self.zones.append(Zone(a.x, lo, width, rows.get(1, UNCOVERED), rows.get(-1, UNCOVERED)))
        made.append((abs(a.x) - width, abs(a.x) + width))

    # -- middle ---------------------------------------------------------------------------------

    def _binade(
        self,
        s: int,
        e: int,
        zones: list[tuple[float, float]],
        spans: list[tuple[float, float]],
        rate: tuple[Fraction, Fraction],
        first: int,
    ) -> tuple[int, int]:
        """(k, first row) of the 2**k pieces of one binade."""
        kind = Kind(
            rate=tuple([(Fraction(i + 1), *two_floats(c)) for i, c in enumerate(rate) if c])
        )
        extra = 5.0 if kind.rate else 0.0
        best: list[Fit | None] | None = None
        for k in HALVINGS[first:]:
            fits: list[Fit | None] = []
            failed = 0
            for j in range(2**k):
                lo, hi = 2.0**e * (1 + j / 2**k), 2.0**e * (1 + (j + 1) / 2**k)
                if not _defined(spans, lo, hi) or any(a <= lo and hi <= b for a, b in zones):
                    fits.append(None)
                    continue
                half = Fraction(2) ** (e - k - 1)
                fit = None
                if self.middle.work < WORK and self.rows.pieces < PIECES:
                    fit = self.middle.piece(Fraction(lo) + half, half, s, rate)
                fits.append(fit)
                if fit is None:
                    failed += 1
                    if k != HALVINGS[-1] or failed > 2**k // 4:
                        break
            if len(fits) == 2**k:
                best = fits
                if not failed:
                    break
        if best is None or not any(best):
            lo, hi = 2.0**e, 2.0 ** (e + 1)
            if _defined(spans, lo, hi) and not any(a <= lo and hi <= b for a, b in zones):
                self._gap(s, lo, hi)
            return 0, UNCOVERED
        k = len(best).bit_length() - 1
        row = len(self.rows.kind)
        for j, fit in enumerate(best):
            lo, hi = 2.0**e * (1 + j / 2**k), 2.0**e * (1 + (j + 1) / 2**k)
            if fit is None:
                self.rows.skip()
                if _defined(spans, lo, hi) and not any(a <= lo and hi <= b for a, b in zones):
                    self._gap(s, lo, hi)
                continue
            half = 2.0 ** (e - k - 1)
            self.rows.add(fit, lo + half, 1 / half, kind, fit.ulp + extra)
        return k, row

    def _gap(self, s: int, lo: float, hi: float) -> None:
        self.gaps.append((lo, hi) if s > 0 else (-hi, -lo))

    def _points(self) -> tuple[tuple[float, float], ...]:
        """Values at the points that pieces cannot have: 0, infinities, ends of the domain."""
        from stablegrad.oracle import Status, truth

        wanted = [0.0, math.inf, -math.inf, *[z.hi for z in self.zones if z.lo == 0]]
        found = truth(self.f, {X: np.array(wanted)}, budget=1600)
        out = []
        for x, y, status in zip(wanted, found.value, found.status, strict=True):
            if status <= Status.LIMIT:
                out.append((x, float(y)))
        return tuple(out)


def _rate_of(top: End | None) -> tuple[Fraction, Fraction]:
    """(b, a) of the factor exp(a*z*z + b*z) at infinity."""
    rates = dict(top.rate) if top is not None else {}
    return rates.get(Fraction(1), Fraction(0)), rates.get(Fraction(2), Fraction(0))


def _defined(spans: list[tuple[float, float]], lo: float, hi: float) -> bool:
    """Whether an interval meets the domain in more than an end."""
    return any(a < hi and lo < b for a, b in spans)


def _merged(gaps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    out: list[tuple[float, float]] = []
    for lo, hi in sorted(gaps):
        if out and out[-1][1] >= lo:
            out[-1] = (out[-1][0], max(out[-1][1], hi))
        else:
            out.append((lo, hi))
    return out
