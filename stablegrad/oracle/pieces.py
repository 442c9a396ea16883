"""Proved polynomials: a function on an interval, near-minimax, with a bound of what is left.

A middle piece is the Taylor series of a ``Jet``, cut in Chebyshev's basis; what is cut off and
Cauchy's bound of the rest are the proof. Its coefficients are the floats that a kernel uses, so
that their rounding is in the bound too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import flint
from flint import arb, arb_mat

from stablegrad.ir import Term
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.far import Far
from stablegrad.oracle.formats import FLOAT64, Format
from stablegrad.oracle.jets import COVERS, Jet
from stablegrad.oracle.precision import precision
from stablegrad.oracle.walk import HopelessError, NoExpansionError, UnknownOpError, walk

Arb = Any
LENGTHS = (36, 72, 128)
"""Taylor coefficients of a jet: more where the bound on the disk is loose, because what cancels
in the function does not cancel in boxes."""
DISK = 4
"""Radius of a jet's disk, in half widths of its piece: each coefficient gains two bits."""
PRECISIONS = (192, 512, 1536, 5000, 16_000, 40_000)
GROWTH = 0.5
"""The greatest sum of the other coefficients, relative to the first: then Horner is stable."""
LEAST_SLOPE, GREATEST_SLOPE = 1 / 16, 64.0
"""Of the exponential factor that a steep piece has, over its whole width."""
EXPONENTIAL = 4
"""Roundings of an exponential factor: exp within an ulp, a product and a sum."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A polynomial in t with float coefficients, the first of them in two parts.

    Attributes:
        coefficients: c0, the rest of c0, c1, c2, ...
        error: a proved bound of ``|P(t) - f| / |f|`` over the piece.
        evaluation: a proved bound of the rounding error of Horner's rule, relative
            to the smallest ``|P|``, the last rounding included.
        slope: the function is P(t) * exp(slope * t) * 2**-lift.
        lift: 0, or what keeps P in the middle of the range.
    """

    coefficients: tuple[float, ...]
    error: float
    evaluation: float
    slope: float = 0.0
    lift: int = 0
    format: Format = FLOAT64

    @property
    def ulp(self) -> float:
        """The proved bound in ulp of the result: half an ulp for the last rounding."""
        return (self.error + self.evaluation) / self.format.unit - 0.5


@cache
def _chebyshev(length: int) -> tuple[Any, Any]:
    """Monomials to Chebyshev polynomials, and back, for row vectors."""
    back = [[0] * length for _ in range(length)]
    back[0][0] = 1
    if length > 1:
        back[1][1] = 1
    for k in range(2, length):
        for j in range(length):
            back[k][j] = (2 * back[k - 1][j - 1] if j else 0) - back[k - 2][j]
    matrix = flint.fmpz_mat(back)
    return arb_mat(flint.fmpq_mat(matrix).inv()), arb_mat(matrix)


def _upper(x: Arb) -> Arb:
    return abs(x).upper()


def economized(b: list[Arb], tail: Arb, allowed: Arb, most: int) -> tuple[list[Arb], Arb] | None:
    """A polynomial of low degree near Taylor coefficients on [-1, 1], and how near.

    Args:
        b: coefficients, t scaled to [-1, 1].
        tail: a bound of the rest of the series.
        allowed: the error that may be made.
        most: the greatest degree.
    """
    length = len(b)
    there, back = _chebyshev(length)
    row = arb_mat(1, length, b) * there
    degree, error = length - 1, tail
    while degree > 0:
        more = error + _upper(row[0, degree])
        if not more < allowed:
            break
        error = more
        degree -= 1
    if degree > most or not error < allowed:
        return None
    kept = [row[0, k] if k <= degree else arb(0) for k in range(length)]
    out = arb_mat(1, length, kept) * back
    return [out[0, k] for k in range(degree + 1)], error


def grows(c: list[Arb]) -> float:
    """The other coefficients together over the first."""
    return sum(abs(float((x / c[0]).mid())) for x in c[1:])


def finish(
    c: list[Arb], error: Arb, tolerance: float, form: Format = FLOAT64, *, greatest: float
) -> Fit | None:
    """Round coefficients for t in [-1, 1] and bound what it costs; None where too much.

    The first one has to be from 1/greatest to greatest in size.
    """
    hi = form.rounded(float(c[0].mid()))
    if not 1 / greatest <= abs(hi) <= greatest:
        return None
    lo = form.rounded(float((c[0] - arb(hi)).mid()))
    rounded = [hi, lo, *[form.rounded(float(x.mid())) for x in c[1:]]]
    rest = sum(abs(x) for x in rounded[2:])
    if not (rest + abs(lo) <= GROWTH * abs(hi) and math.isfinite(rest)):
        return None
    for x, f in zip(c[1:], rounded[2:], strict=True):
        error = error + _upper(x - arb(f))
    error = error + _upper(c[0] - arb(hi) - arb(lo))
    smallest = abs(hi) - rest - abs(lo)
    relative = float((error / arb(smallest)).upper()) * (1 + 2.0**-40)
    if not relative < tolerance:
        return None
    return Fit(tuple(rounded), relative, horner_bound(rounded, form.unit) / smallest, format=form)


def horner_bound(c: list[float], unit: float) -> float:
    """A bound of the rounding error of hi + (lo + t*(c1 + t*(c2 + ...))), |t| <= 1 exact.

    t may itself carry one rounding; every operation rounds by at most ``unit`` of its result, and
    results are bounded by sums of absolute coefficients.
    """
    size = delta = 0.0
    for x in reversed(c[2:]):
        product = size * (1 + 2 * unit)
        delta = delta + 2 * unit * product  # t and the product round
        size = abs(x) + product
        delta = delta + unit * size
    size, delta = size * (1 + 2 * unit), delta + 2 * unit * size
    size += abs(c[1])
    delta += unit * size
    return (delta + unit * (abs(c[0]) + size + delta)) * (1 + 2.0**-40)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece is: ``|z - center| <= half`` for the input side*z; and its slope."""

    center: Fraction
    half: Fraction
    side: int
    slope: float = 0.0


class Middle:
    """Pieces of one function away from its singularities.

    Args:
        term: a scalar term of one variable.
        variable: that variable.
        form: what the polynomials are evaluated in.
    """

    def __init__(self, term: Term, variable: Term, form: Format) -> None:
        self.term = term
        self.variable = variable
        self.tolerance = form.tolerance
        self.format = form
        self.degree = form.degree
        self.start = 0
        self.cover = 0
        self.half = Fraction(0)
        self.far: Far | None = None
        """What stands for the function where it is set."""
        self.unknown = False
        """Whether the last piece failed because jets do not have an op of the function."""
        self.where: Any = None
        self.seen: dict[Any, tuple[Jet, Jet]] = {}
        """Walks over the interval that was asked for last: they serve with and without a slope."""

    def piece(
        self, center: Fraction, half: Fraction, side: int, *, steep: bool = False
    ) -> Fit | None:
        """The polynomial in t = (z - center)/half of f(side*z), or None.

        Args:
            center: the middle of the interval of z.
            half: half its width, a power of two.
            side: the sign of the input.
            steep: take out a factor exp(slope * t) where the function needs it.
        """
        if half != self.half:
            self.half, self.cover = half, max(self.cover - 1, 0)
        for k in range(self.start, len(PRECISIONS)):
            with precision(PRECISIONS[k]):
                place = Place(center, half, side)
                try:
                    b = self._coefficients(place)
                except HopelessError as error:
                    self.unknown = isinstance(error, UnknownOpError)
                    return None
                except NoExpansionError:
                    # a nan may come from too few bits, or from a singularity
                    if k >= 2:
                        return None
                    continue
                if b is None:
                    continue
                self.start = max(0, min(k, 2))
                if self._fits(b):
                    fit = self._proved(b, place)
                    if fit is not None or not steep:
                        return fit
                slope = self.format.rounded(float((b[1] / b[0]).mid())) if steep else 0.0
                if not LEAST_SLOPE < abs(slope) < GREATEST_SLOPE:
                    return None  # too wide, whatever the disk says
                place = Place(center, half, side, slope)
                b = self._coefficients(place)
                return self._proved(b, place) if b is not None and self._fits(b) else None
        return None

    def _allowed(self, b: list[Arb]) -> Arb:
        return abs(b[0]) * (self.tolerance / 2)

    def _fits(self, b: list[Arb]) -> bool:
        found = economized(b, arb(0), self._allowed(b), self.degree)
        return found is not None and grows(found[0]) <= GROWTH

    def _proved(self, b: list[Arb], place: Place) -> Fit | None:
        allowed = self._allowed(b)
        rest = arb(0)
        if self.far is not None:
            z = arb(as_arb(place.center), as_arb(place.half))
            rest = self.far.rest(z) * arb(abs(place.slope)).exp()
            if not rest < allowed:
                return None
        for level in range(self.cover, len(COVERS)):
            try:
                # with a slope, so that conditions see what vanishes at single points only
                sup = self._walked(place, rows=COVERS[level], cap=2).sup()
            except NoExpansionError:
                continue
            for count in LENGTHS:
                tail = _upper(sup * arb(DISK) ** -count * 2) + rest
                if not tail < allowed:
                    continue
                if count > len(b):
                    longer = self._coefficients(place, cap=count)
                    if longer is None:
                        return None
                    b = longer
                found = economized(b, tail, allowed, self.degree)
                if found is not None:
                    self.cover = level
                    return self._finished(*found, place.slope)
        return None

    def _finished(self, c: list[Arb], error: Arb, slope: float) -> Fit | None:
        """The fit, brought to the middle of the range where it is near an end of it."""
        size = abs(float(c[0].mid()))
        form = self.format
        lift = 0 if form.small < size < form.great else form.lift * (1 if size < 1 else -1)
        if lift:
            by = arb(2) ** lift
            c, error = [x * by for x in c], error * by
        fit = finish(c, error, self.tolerance, form, greatest=max(1 / form.small, form.great))
        if fit is None:
            return None
        return replace(
            fit,
            slope=slope,
            lift=lift,
            evaluation=fit.evaluation + (EXPONENTIAL * form.unit if slope else 0.0),
        )

    def _walked(self, place: Place, *, rows: int | None, cap: int) -> Jet:
        before = flint.ctx.cap
        flint.ctx.cap = cap
        try:
            x, f = self._jets(place, rows, cap)
            if place.slope:
                t = (x - as_arb(place.center * place.side)) * (place.side / place.half)
                f = f * (t * -Fraction(place.slope)).exp()
            return f
        finally:
            flint.ctx.cap = before

    def _jets(self, place: Place, rows: int | None, cap: int) -> tuple[Jet, Jet]:
        """The variable and the function."""
        where = place.center, place.half, place.side, self.far
        key = rows, cap, flint.ctx.prec
        if where != self.where:
            self.where, self.seen = where, {}
        if key not in self.seen:
            h = as_arb(place.half)
            x = Jet.variable(as_arb(place.center * place.side), h, DISK * h, rows)
            far = self.far
            f = walk(self.term, self.variable, x) if far is None else far.jet(x * place.side)
            self.seen[key] = x, f
        return self.seen[key]

    def _coefficients(self, place: Place, *, cap: int = LENGTHS[0]) -> list[Arb] | None:
        """Taylor coefficients in t, or None if they are not known well enough."""
        series = self._walked(place, rows=None, cap=cap).series
        first = series[0]
        if not first.is_finite():
            raise NoExpansionError("no value")
        if first.rel_accuracy_bits() < 100:
            return None
        h = as_arb(place.half) * place.side
        scale = as_arb(1)
        b = []
        floor = abs(first) * arb(2) ** -70
        for k in range(cap):
            c = series[k] * scale
            if not c.rad() < floor:
                return None
            b.append(c)
            scale = scale * h
        return b
