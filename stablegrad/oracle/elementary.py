"""Elementary functions of balls: exponentials, powers, circular and hyperbolic functions.

Each gives the value at the constant term, with IEEE's values at the edge of the domain, and
the rest of the series from the function's derivative. Kinks follow the convention table: a
derivative of 0 at the kink of abs, sign, sqrt(x*x), equal shares where maxima tie.
"""

from __future__ import annotations

from typing import Any

from flint import arb

from stablegrad.oracle import series
from stablegrad.oracle.series import INF, NAN, ONE, ZERO, Arb

Ball = Any  # the class that mixes this in, or is built by it, is further up

HALF = arb(1) / 2
_NEGATIVE_ZERO = 1
_LITERAL = 4


def _cbrt(c: Arb) -> Arb:
    return c.root(3) if c >= ZERO else -((-c).root(3)) if c <= ZERO else NAN


def _sech_squared(x: Ball) -> Ball:
    """sech(x)**2 = 4e/(1+e)**2 with e = exp(-2|x|): no overflow far out."""
    if x.c[0] > ZERO:
        e = (x * -2).exp()
    elif x.c[0] < ZERO:
        e = (x * 2).exp()
    else:
        return 1 / x.cosh().square()
    return 4 * e / (1 + e).square()


class Elementary:
    """Mixed into Ball."""

    __slots__ = ()

    # -- exponentials and logarithms ------------------------------------------------------

    def exp(self: Ball) -> Ball:
        first = self.at(_exp, ZERO, INF)
        if first is None or len(self.c) == 1:
            return self.chain(first, None)
        return self.settle(series.exponential(first, self.c))

    def exp2(self: Ball) -> Ball:
        return (self * self.new((arb(2).log(),))).exp()

    def expm1(self: Ball) -> Ball:
        first = self.at(arb.expm1, -ONE, INF)
        return self.chain(first, lambda x: x.exp(), flags=self.flags & _NEGATIVE_ZERO)

    def log(self: Ball) -> Ball:
        c = self.c[0]
        if c.is_zero():
            return self.new((-INF, *_steep(self)))
        return self.chain(_where_positive(self, c, arb.log, INF), lambda x: 1 / x)

    def log1p(self: Ball) -> Ball:
        c = self.c[0]
        if c == -1:
            return self.new((-INF, *_steep(self)))
        first = _where_positive(self, c + 1, lambda _: c.log1p(), INF)
        return self.chain(first, lambda x: 1 / (1 + x), flags=self.flags & _NEGATIVE_ZERO)

    def log2(self: Ball) -> Ball:
        return self.log() / self.new((arb(2).log(),))

    def log10(self: Ball) -> Ball:
        return self.log() / self.new((arb(10).log(),))

    def sigmoid(self: Ball) -> Ball:
        if self.c[0] < 0:  # the exponential of what is far above has no bound
            rising = self.exp()
            return rising * (1 + rising) ** -1
        return (1 + (-self).exp()) ** -1

    # -- powers and roots -------------------------------------------------------------

    def square(self: Ball) -> Ball:
        return self * self

    def reciprocal(self: Ball) -> Ball:
        return 1 / self

    def sqrt(self: Ball) -> Ball:
        c = self.c[0]
        if c.is_zero():
            return _root_at_zero(self, self.flags & _NEGATIVE_ZERO)
        first = _where_positive(self, c, arb.sqrt, INF)
        if first is None or len(self.c) == 1 or not first.is_finite():
            return self.chain(first, lambda x: HALF * x.rsqrt())
        return self.settle(series.power(first, self.c, HALF))

    def rsqrt(self: Ball) -> Ball:
        c = self.c[0]
        if c.is_zero():
            sign = -1 if self.negative_zero else 1
            return self.new((sign * INF, *([NAN] * (len(self.c) - 1))))
        first = _where_positive(self, c, arb.rsqrt, ZERO)
        if first is None or len(self.c) == 1 or not first.is_finite():
            return self.chain(first, lambda x: -HALF * x.rsqrt() / x)
        return self.settle(series.power(first, self.c, -HALF))

    def cbrt(self: Ball) -> Ball:
        c = self.c[0]
        if c.is_zero() and len(self.c) > 1:
            return self.new((ZERO, INF * self.c[1], *([NAN] * (len(self.c) - 2))))
        first = self.at(_cbrt, -INF, INF)
        if first is None or len(self.c) == 1 or not first.is_finite():
            return self.chain(
                first, lambda x: 1 / (3 * x.cbrt().square()), flags=self.flags & _NEGATIVE_ZERO
            )
        return self.settle(series.power(first, self.c, arb(1) / 3))

    def power(self: Ball, other: Any) -> Ball:
        """self**other, with IEEE's pow at the edges."""
        from stablegrad.oracle.powers import power

        return power(self, other if isinstance(other, Elementary) else self.exact(other, _LITERAL))

    def hypot(self: Ball, other: Ball) -> Ball:
        if any(b.known and b.c[0] in (INF, -INF) for b in (self, other)):
            return self.new((INF,))  # also beside nan, as IEEE has it
        return (self * self + other * other).sqrt()

    # -- absolute value, sign, rounding, choice -----------------------------------------

    def abs(self: Ball) -> Ball:
        if not self.known or self.is_nan:
            return self.undefined()
        sign = _leading_sign(self)
        if sign is None:
            return self.chain(abs(self.c[0]), None) if len(self.c) == 1 else self.unknown()
        if sign == 0:  # a kink, or zero throughout: the derivative is 0 by convention
            return self.new((ZERO,))
        return self if sign > 0 else -self

    def unknown(self: Ball) -> Ball:
        return self.chain(None, None)

    def sign(self: Ball) -> Ball:
        c = self.c[0]
        if c.is_zero():
            return self.new((ZERO,), self.flags & _NEGATIVE_ZERO)
        if c > ZERO or c < ZERO:
            return self.new((ONE if c > ZERO else -ONE,))
        return self.undefined() if c.is_nan() else self.unknown()

    def floor(self: Ball) -> Ball:
        return _rounded(self, arb.floor)

    def ceil(self: Ball) -> Ball:
        return _rounded(self, arb.ceil)

    def trunc(self: Ball) -> Ball:
        return -((-self).floor()) if self.c[0] < ZERO else self.floor()

    def rint(self: Ball) -> Ball:
        """To the nearest whole number, ties to even, as NumPy."""
        down = self.floor()
        rest = self.constant() - down
        order = rest.compare(_half(self)) if rest.known else 1
        even = (down * _half(self)).floor() * 2 == down
        up = order == 1 or (order == 0 and not even)
        return down + 1 if up else down

    def maximum(self: Ball, other: Any) -> Ball:
        return _choose(self, other, 1)

    def minimum(self: Ball, other: Any) -> Ball:
        return _choose(self, other, -1)

    # -- circular functions -------------------------------------------------------------

    def sin(self: Ball) -> Ball:
        return self._sincos()[0]

    def cos(self: Ball) -> Ball:
        return self._sincos()[1]

    def _sincos(self: Ball) -> tuple[Ball, Ball]:
        s, c = self.at(arb.sin), self.at(arb.cos)
        if s is None or c is None:
            return self.unknown(), self.unknown()
        flags = self.flags & _NEGATIVE_ZERO
        if len(self.c) == 1:
            return self.new((s,), flags), self.new((c,))
        sines, cosines = series.coupled(s, c, self.c, -1)
        return self.settle(sines, flags=flags), self.settle(cosines)

    def tan(self: Ball) -> Ball:
        first = self.at(arb.tan)
        return self.chain(first, lambda x: 1 / x.cos().square(), flags=self.flags & 1)

    def arcsin(self: Ball) -> Ball:
        first = _where_unit(self, arb.asin)
        return self.chain(
            first, lambda x: ((1 - x) * (1 + x)).rsqrt(), flags=self.flags & _NEGATIVE_ZERO
        )

    def arccos(self: Ball) -> Ball:
        return self.chain(_where_unit(self, arb.acos), lambda x: -((1 - x) * (1 + x)).rsqrt())

    def arctan(self: Ball) -> Ball:
        half_pi = arb.pi() / 2
        first = self.at(arb.atan, -half_pi, half_pi)
        return self.chain(first, lambda x: 1 / (1 + x * x), flags=self.flags & _NEGATIVE_ZERO)

    def arctan2(self: Ball, other: Any) -> Ball:
        """The angle of the point (other, self)."""
        from stablegrad.oracle.powers import arctan2

        return arctan2(self, other if isinstance(other, Elementary) else self.exact(other))

    # -- hyperbolic functions -------------------------------------------------------------

    def sinh(self: Ball) -> Ball:
        return self._hyperbolic()[0]

    def cosh(self: Ball) -> Ball:
        return self._hyperbolic()[1]

    def _hyperbolic(self: Ball) -> tuple[Ball, Ball]:
        s, c = self.at(arb.sinh, -INF, INF), self.at(arb.cosh, INF, INF)
        if s is None or c is None:
            return self.unknown(), self.unknown()
        flags = self.flags & _NEGATIVE_ZERO
        if len(self.c) == 1:
            return self.new((s,), flags), self.new((c,))
        sines, cosines = series.coupled(s, c, self.c, 1)
        return self.settle(sines, flags=flags), self.settle(cosines)

    def tanh(self: Ball) -> Ball:
        return self.chain(self.at(arb.tanh, -ONE, ONE), _sech_squared, flags=self.flags & 1)

    def arcsinh(self: Ball) -> Ball:
        first = self.at(arb.asinh, -INF, INF)
        return self.chain(first, lambda x: (1 + x * x).rsqrt(), flags=self.flags & 1)

    def arccosh(self: Ball) -> Ball:
        c = self.c[0]
        first = ZERO if c == 1 else _where_positive(self, c - 1, lambda _: c.acosh(), INF)
        return self.chain(first, lambda x: ((x - 1) * (x + 1)).rsqrt())

    def arctanh(self: Ball) -> Ball:
        c = self.c[0]
        if c == 1 or c == -1:
            return self.new((c * INF, *([NAN] * (len(self.c) - 1))))
        first = _where_unit(self, arb.atanh)
        return self.chain(first, lambda x: 1 / ((1 - x) * (1 + x)), flags=self.flags & 1)

    atan = arctan
    asin = arcsin
    acos = arccos
    atan2 = arctan2
    asinh = arcsinh
    acosh = arccosh
    atanh = arctanh


def _half(like: Ball) -> Ball:
    return like.new((HALF,))


def _exp(c: Arb) -> Arb:
    return c.exp()


def _where_positive(x: Ball, c: Arb, function: series.Unary, high: Arb) -> Arb | None:
    """f where c > 0, nan where c < 0, None where it cannot be told."""
    if c > ZERO:
        if c.is_finite():
            value = function(c)
            return value if value.is_finite() else None
        return high
    if c < ZERO:
        return NAN
    return NAN if x.is_nan else None


def _where_unit(x: Ball, function: series.Unary) -> Arb | None:
    """f where -1 <= c <= 1, nan outside, None where it cannot be told."""
    c = x.c[0]
    if -ONE <= c <= ONE:
        value = function(c)
        return value if value.is_finite() else None
    if c < -ONE or c > ONE:
        return NAN
    return NAN if x.is_nan else None


def _leading_sign(x: Ball) -> int | None:
    """The sign of x on both sides of here; 0 at a sign change or zero; None where unknown."""
    if not x.known:
        return None
    k = series.leading(x.c)
    if k is None:
        return 0
    c = x.c[k]
    if c.is_nan():
        return 1  # nan stays as it is
    if c > ZERO or c < ZERO:
        return (1 if c > ZERO else -1) if k % 2 == 0 else 0
    return None


def _steep(x: Ball) -> tuple[Arb, ...]:
    """The coefficients from 1 on where the slope is inf: 1/0 times the direction of x."""
    rest = len(x.c) - 1
    if not rest:
        return ()
    step = x.c[1]
    slope = INF if step > ZERO else -INF if step < ZERO else NAN
    return (slope, *([NAN] * (rest - 1)))


def _root_at_zero(x: Ball, flags: int) -> Ball:
    """sqrt where the value is exactly 0: inf slope, or the even part of a square below it."""
    length = len(x.c)
    if length == 1:
        return x.new((ZERO,), flags)
    k = series.leading(x.c)
    if k is None:  # zero as far as it is known: the root, half as far
        known = (length + 1) // 2
        return x.new((ZERO,) * known + (NAN,) * (length - known))
    if k == 1:
        second = [] if length < 3 else [-INF if x.c[2].is_zero() else NAN]
        return x.new((ZERO, *_steep(x)[:1], *second, *([NAN] * (length - 3))), flags)
    if k % 2:
        return x.new((ZERO, *([NAN] * (length - 1))))
    shifted = x.new(x.c[k:])
    root = shifted.sqrt().c if len(shifted.c) > 1 else (shifted.c[0].sqrt(),)
    if (k // 2) % 2:  # |t|**odd: a kink, derivative 0 by convention
        return x.new((ZERO,))
    out = (ZERO,) * (k // 2) + tuple(root)
    return x.new((out + (NAN,) * length)[:length])


def _rounded(x: Ball, function: series.Unary) -> Ball:
    return x.new((value,)) if (value := x.at(function, -INF, INF)) is not None else x.unknown()


def _choose(a: Ball, b: Any, sign: int) -> Ball:
    """The greater (sign 1) or the smaller (sign -1); nan wins, as in NumPy."""
    b = b if hasattr(b, "c") else a.exact(b, _LITERAL)
    if not a.known or not b.known:
        return a.unknown()
    x, y = a.c[0], b.c[0]
    if x.is_nan():
        return a
    if y.is_nan():
        return b
    if a is b:
        return a
    if x < y:
        return b if sign > 0 else a
    if x > y:
        return a if sign > 0 else b
    if x.is_exact() and y.is_exact():  # a tie
        if len(a.c) == 1 == len(b.c):
            return b if (b.sign_of_zero() * sign > 0) else a
        if b.flags & _LITERAL:
            return b
        return a if a.flags & _LITERAL else (a + b) * a.new((HALF,))
    if len(a.c) == 1 == len(b.c):
        return a.new((x.max(y) if sign > 0 else x.min(y),))
    return a.unknown()
