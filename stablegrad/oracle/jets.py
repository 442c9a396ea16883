"""Jets: a function near a point, by its Taylor coefficients and a bound on a complex disk.

By Cauchy's estimate a function that is analytic on |t| <= R and at most S there has Taylor
coefficients of at most S / R**k. So the coefficients of a program, computed as balls, together
with complex balls for its values over a cover of the disk, enclose it on any smaller disk:
nothing is sampled, and no interval loses digits to dependency.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
from flint import acb, arb, arb_series

from stablegrad.oracle.ball import UndecidedError
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.derived import Derived, infinite
from stablegrad.oracle.walk import ALMOST, HopelessError, NoExpansionError

Arb = Any
HALF = Fraction(1, 2)
COVERS = (0, 2, 4)
"""Rows of squares in the covers of a half disk; 0 for a single box, None for no cover."""


def cover(center: Arb, radius: Arb, rows: int | None) -> list[Any]:
    """Complex boxes that cover the upper half of a disk (the lower one mirrors it)."""
    if rows is None:
        return []
    if not rows:
        return [acb(arb(center, radius), arb(0, radius))]
    half = radius / (2 * rows)
    return [
        acb(arb(center + x * half, half), arb(y * half, half))
        for y in range(1, 2 * rows, 2)
        for x in range(1 - 2 * rows, 2 * rows, 2)
        if (abs(x) - 1) ** 2 + (y - 1) ** 2 < 4 * rows * rows
    ]


class Jet(Derived):
    """Taylor coefficients at a point; values over a disk; values over a real interval."""

    __slots__ = ("asked", "bessel", "disk", "real", "series")

    def __init__(self, series: Any, disk: list[Any], real: Arb) -> None:
        self.series = series
        self.disk = disk
        self.real = real
        self.bessel: dict[int, Jet] = {}
        """Bessel functions of this, which recurrences ask for again and again."""
        self.asked: dict[Any, Jet] = {}
        """Powers and functions of this: several ops of a program ask for the same ones."""

    @staticmethod
    def variable(center: Arb, half: Arb, radius: Arb, rows: int | None) -> Jet:
        """The identity: center + t, |t| <= radius, the real interval |t| <= half."""
        return Jet(arb_series([center, 1]), cover(center, radius, rows), arb(center, half))

    def work(self) -> float:
        """What a step with such costs, about."""
        return (0.25 + flint.ctx.cap / 14 + len(self.disk) / 8) * (0.5 + flint.ctx.prec / 400)

    def constant(self, value: Any) -> Jet:
        c = as_arb(value)
        return Jet(arb_series([c]), [acb(c)] * len(self.disk), c)

    def of_ball(self, value: Arb) -> Jet:
        return Jet(arb_series([value]), [acb(value)] * len(self.disk), value)

    def decided(self) -> bool:
        """Whether the sign is known."""
        return bool(self.real > 0 or self.real < 0)

    def _lift(self, other: Any) -> Jet:
        return other if isinstance(other, Jet) else self.constant(other)

    def sup(self) -> Arb:
        """An upper bound of the absolute value over the disk."""
        found = arb(0)
        for z in self.disk:
            if not z.is_finite():
                raise NoExpansionError("not analytic on the disk")
            found = found.max(z.abs_upper())
        return found

    # -- arithmetic -----------------------------------------------------------------------

    def __add__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            if other == 0:
                return self
            c = as_arb(other)
            return Jet(self.series + c, [a + c for a in self.disk], self.real + c)
        disk = [a + b for a, b in zip(self.disk, other.disk, strict=True)]
        return Jet(self.series + other.series, disk, self.real + other.real)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return Jet(-self.series, [-z for z in self.disk], -self.real)

    def __sub__(self, other: Any) -> Jet:
        return self + -other

    def __rsub__(self, other: Any) -> Jet:
        return self._lift(other) - self

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            if other == 1:
                return self
            c = as_arb(other)
            return Jet(self.series * c, [a * c for a in self.disk], self.real * c)
        disk = [a * b for a, b in zip(self.disk, other.disk, strict=True)]
        return Jet(self.series * other.series, disk, self.real * other.real)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Jet:
        if not isinstance(other, Jet) and other:
            c = as_arb(other)
            return Jet(self.series / c, [a / c for a in self.disk], self.real / c)
        o = self._lift(other)
        if o.series[0].contains(0):
            raise NoExpansionError("division by zero")
        disk = [a / b for a, b in zip(self.disk, o.disk, strict=True)]
        return Jet(self.series / o.series, disk, self.real / o.real)

    def __rtruediv__(self, other: Any) -> Jet:
        return self.power(-1) * other

    def __pow__(self, other: Any) -> Jet:
        return self.power(other)

    def power(self, p: Any) -> Jet:
        """self**p: by multiplication for a whole p, else by exp and log."""
        if isinstance(p, Jet):
            c = p.series[0]
            whole = p.series.length() <= 1 and c.is_exact() and c == int(float(c))
            if not whole:
                return (p * self.log()).exp()
            p = int(float(c))
        if p == 1:
            return self
        found = self.asked.get(p)
        if found is None:
            found = self.asked[p] = self._power(p)
        return found

    def _power(self, p: Any) -> Jet:
        if p.denominator == 2:
            return self.power(HALF) ** p.numerator if p != HALF else self.sqrt()
        if p.denominator != 1 or abs(p) > 64:
            return (self.log() * p).exp()
        if p < 0:
            return self.power(-p).inverse()
        return Jet(self.series**p, [z**p for z in self.disk], self.real**p)

    def inverse(self) -> Jet:
        if self.series[0].contains(0):
            raise NoExpansionError("division by zero")
        return Jet(self.series.inv(), [1 / z for z in self.disk], 1 / self.real)

    # -- order: decided on the real interval ------------------------------------------------

    def _sign(self) -> int:
        if self.real > 0:
            return 1
        if self.real < 0:
            return -1
        if self.series.length() == 0:
            return 0
        raise UndecidedError

    def __lt__(self, other: Any) -> bool:
        if infinite(other):
            return other > 0
        return (self - other)._sign() < 0

    def __gt__(self, other: Any) -> bool:
        if infinite(other):
            return other < 0
        return (self - other)._sign() > 0

    __le__ = __lt__
    __ge__ = __gt__

    def __eq__(self, other: object) -> bool:
        if other is self or infinite(other):  # formulas ask so whether something is nan
            return other is self
        return (self - other)._sign() == 0

    def __ne__(self, other: object) -> Any:
        if other is self or infinite(other):
            return other is not self
        difference = self - other
        try:
            return difference._sign() != 0
        except UndecidedError:
            if any(not c.contains(0) for c in difference.series.coeffs()[1:]):
                return ALMOST
            raise

    __hash__ = None  # type: ignore[assignment]

    def __abs__(self) -> Jet:
        return self if self._sign() >= 0 else -self

    abs = __abs__

    def sign(self) -> Jet:
        return self.constant(self._sign())

    def maximum(self, other: Any) -> Jet:
        return self._lift(other) if self < other else self

    def minimum(self, other: Any) -> Jet:
        return self if self < other else self._lift(other)

    # -- functions ----------------------------------------------------------------------------

    def apply(
        self, series: Callable[[Any], Any], disk: Callable[[Any], Any], real: Callable[[Any], Any]
    ) -> Jet:
        """f of self, from f of power series, of complex and of real balls."""
        found = self.asked.get(series)
        if found is None:
            found = Jet(series(self.series), [disk(z) for z in self.disk], real(self.real))
            self.asked[series] = found
        return found

    def outer(
        self, taylor: Callable[[Arb, int], list[Arb]], disk: Any, real: Callable[[Any], Any]
    ) -> Jet:
        """f of self, from the Taylor coefficients of f at a ball."""
        c = self.series[0] if self.series.length() else arb(0)
        inner = self.series - arb_series([c])
        outer = taylor(c, flint.ctx.cap)
        composed = (
            arb_series(outer[:1])
            if inner.length() == 0
            else arb_series(outer)(arb_series([0, *inner.coeffs()[1:]]))
        )
        return Jet(composed, [disk(z) for z in self.disk], real(self.real))

    def exp(self) -> Jet:
        return self.apply(arb_series.exp, acb.exp, arb.exp)

    def log(self) -> Jet:
        return self.apply(arb_series.log, lambda z: z.log(analytic=True), arb.log)

    def sqrt(self) -> Jet:
        return self.apply(arb_series.sqrt, lambda z: z.sqrt(analytic=True), arb.sqrt)

    def cbrt(self) -> Jet:
        return -((-self).cbrt()) if self._sign() < 0 else (self.log() / 3).exp()

    def sin(self) -> Jet:
        return self.apply(arb_series.sin, acb.sin, arb.sin)

    def cos(self) -> Jet:
        return self.apply(arb_series.cos, acb.cos, arb.cos)

    def tan(self) -> Jet:
        return self.apply(arb_series.tan, acb.tan, arb.tan)

    def sinh(self) -> Jet:
        return self.apply(lambda s: (s.exp() - (-s).exp()) / 2, acb.sinh, arb.sinh)

    def cosh(self) -> Jet:
        return self.apply(lambda s: (s.exp() + (-s).exp()) / 2, acb.cosh, arb.cosh)

    def tanh(self) -> Jet:
        return self.apply(lambda s: 1 - 2 / ((2 * s).exp() + 1), acb.tanh, arb.tanh)

    def arctan(self) -> Jet:
        return self.apply(arb_series.atan, _off_cuts(acb.atan, "imag"), arb.atan)

    def arcsin(self) -> Jet:
        return self.apply(arb_series.asin, _off_cuts(acb.asin, "real"), arb.asin)

    def arccos(self) -> Jet:
        return self.apply(arb_series.acos, _off_cuts(acb.acos, "real"), arb.acos)

    def erf(self) -> Jet:
        return self.apply(arb_series.erf, acb.erf, arb.erf)

    def erfc(self) -> Jet:
        return self.apply(arb_series.erfc, acb.erfc, arb.erfc)

    def ndtr(self) -> Jet:
        return (self * self.of_ball(-1 / arb(2).sqrt())).erfc() / 2

    def lgamma(self) -> Jet:
        """log |Gamma|, left of 0 by reflection."""
        if self.real < 0:
            pi = self.of_ball(arb.pi())
            return (pi / abs((self * pi).sin())).log() - (1 - self).lgamma()
        return self.apply(arb_series.lgamma, _right_half(acb.lgamma), arb.lgamma)

    def digamma(self) -> Jet:
        return self.polygamma(0)

    def polygamma(self, n: Any) -> Jet:
        order = int(n)

        def disk(z: Any) -> Any:
            return z.digamma() if order == 0 else z.polygamma(acb(order))

        def real(x: Any) -> Any:
            return disk(acb(x)).real

        return self.outer(lambda c, m: _polygamma_taylor(c, order, m), _right_half(disk), real)

    def bessel_ie(self, order: int, n: int = 0) -> Jet:
        """I_order(x) exp(-|x|)."""
        if n or order > 1:
            return self.bessel_by_recurrence(order, n)
        if order in self.bessel:
            return self.bessel[order]
        size = abs(self)
        nu = acb(order)
        found = (
            size.outer(
                lambda c, m: bessel_taylor(c, order, m),
                lambda z: z.bessel_i(nu),
                lambda x: _rising(x, arb(order)),
            )
            * (-size).exp()
        )
        self.bessel[order] = -found if order and self._sign() < 0 else found
        return self.bessel[order]


def _off_cuts(function: Any, part: str) -> Callable[[Any], Any]:
    """A function with branch points at +-1 or +-i, where the box lies between the cuts."""

    def safe(z: Any) -> Any:
        size = getattr(z, part)
        other = z.real if part == "imag" else z.imag
        between = size < 1 and size > -1
        beside = part == "imag" and (other > 0 or other < 0)
        return function(z) if between or beside else acb("nan")

    return safe


def _rising(x: Arb, order: Arb) -> Arb:
    """I_order over a ball of x >= 0, where it rises: wide real balls take flint a second."""
    low, high = x.lower(), x.upper()
    return (low if low > 0 else arb(0)).bessel_i(order).union(high.bessel_i(order))


def _right_half(function: Any) -> Callable[[Any], Any]:
    return lambda z: function(z) if z.real > 0 else acb("nan")


def _polygamma_taylor(c: Arb, order: int, length: int) -> list[Arb]:
    if not c > 0:
        raise (HopelessError if c < 0 else NoExpansionError)("polygamma left of its pole")
    flint.ctx.cap += order + 1
    try:
        found = arb_series([c, 1]).lgamma()
        for _ in range(order + 1):
            found = found.derivative()
        return found.coeffs()[:length]
    finally:
        flint.ctx.cap -= order + 1


def bessel_taylor(c: Arb, order: int, length: int) -> list[Arb]:
    """I_0 from x y'' + y' = x y, I_1 as its derivative."""
    if c.is_zero():
        a = [arb(0)] * (length + 2)
        a[0] = arb(1)
        for k in range(2, length + 2, 2):
            a[k] = a[k - 2] / k**2
    else:
        a = [c.bessel_i(arb(0)), c.bessel_i(arb(1))]
        for k in range(length):
            before = a[k - 1] if k else arb(0)
            total = c * a[k] + before - (k + 1) ** 2 * a[k + 1]
            a.append(total / (c * ((k + 1) * (k + 2))))
    return a[:length] if order == 0 else [(k + 1) * a[k + 1] for k in range(length)]
