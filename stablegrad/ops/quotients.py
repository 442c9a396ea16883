"""Functions such as expm1(x)/x, sin(x)/x and log1p(x)/x with all their derivatives.

By Leibniz the n-th derivative of f(x)/x**m is a sum of derivatives of f over powers of x. It
cancels near 0, where a table or a power series stands in for it, and near its zeros, where it
is redone in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.taylor_tables import Series, Table

_HALF_PI = Fraction(pairs.pi(80)) / 2
_FAR = 2.0**20
"""Beyond it a pair has no digits left of a reduced argument."""


@cache
def _leibniz(n: int, m: int) -> tuple[int, ...]:
    """For each k the factor of f^(k)(x) / x**(m + n - k) in the n-th derivative of f(x)/x**m."""
    return tuple(
        [math.comb(n, k) * (-1) ** (n - k) * math.perm(m + n - k - 1, n - k) for k in range(n + 1)]
    )


def meaning(x: Any, waves: list[Any], m: int, at_zero: Callable[[int], Any]) -> Any:
    """The n-th derivative of f(x)/x**m in exact arithmetic, from f, f', ..., f^(n) at x.

    ``at_zero(k)`` is the coefficient of x**k in f(x)/x**m.
    """
    n = len(waves) - 1
    if x == 0:  # as far as any truncated series can see
        total = x * 0
        for k in range(n, n + 12):
            total = total + x ** (k - n) * (at_zero(k) * math.perm(k, n))
        return total
    total = waves[n] / x**m
    for k in range(n):
        total = total + waves[k] * _leibniz(n, m)[k] / x ** (m + n - k)
    return total


def _sum(x: Any, waves: list[Any], m: int) -> tuple[Any, Any]:
    """Leibniz's sum in floats, by Horner in 1/x, and the size of what it adds up."""
    n = len(waves) - 1
    total = size = 0.0
    for k, c in enumerate(_leibniz(n, m)):
        term = float(c) * waves[k]
        total = total / x + term
        size = size / abs(x) + abs(term)
    for _ in range(m):
        total, size = total / x, size / abs(x)
    return total, size


def _sum_pairs(x: pairs.Pair, waves: list[pairs.Pair], m: int) -> pairs.Pair:
    """The same in pairs."""
    n = len(waves) - 1
    zero = 0.0 * x[0]
    total = (zero, zero)
    for k, c in enumerate(_leibniz(n, m)):
        term = pairs.multiply((float(c) + zero, zero), waves[k])
        total = pairs.add(pairs.divide(total, x) if k else total, term)
    for _ in range(m):
        total = pairs.divide(total, x)
    return total


# -- exponentials ----------------------------------------------------------------------------

_TABLE_END = 40


def _over_x(series: Callable[[Decimal, int], Series], m: int = 1) -> Callable[..., Series]:
    """The series of f(x) / x**m from that of f."""

    def quotient(c: Decimal, terms: int) -> Series:
        out = series(c, terms + m)
        for _ in range(m):
            out = tables.over_x(out, c)
        return out

    return quotient


def _expm1(c: Decimal, terms: int) -> Series:
    out = tables.exp(c, terms)
    return [out[0] - 1, *out[1:]]


_EXPREL = Table(_over_x(_expm1), lambda n: (-_TABLE_END - 8 * n, _TABLE_END), 8)
_SINHC = Table(_over_x(lambda c, k: tables.hyperbolic(c, k)[0]), lambda n: (0, _TABLE_END), 8)


def _growing(xp: Any, x: Any, n: int) -> Any:
    """The n-th derivative of exp(x)/x for x >= 40, without overflow before the end."""
    root = xp.exp(0.5 * x)
    total = 0.0 * x
    for c in _leibniz(n, 1):
        total = total / x + c
    return root * total / x * root


def exprel(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of expm1(x) / x."""
    x = xp.asarray(x, dtype=float)
    if n == 0:
        value = xp.expm1(x) / xp.where(x == 0, 1.0, x)
        value = xp.where(x == 0, 1.0, value)
    else:
        value = _EXPREL(xp, x, n)

        def decaying(xp: Any, x: Any) -> Any:
            out = math.factorial(n) / -x
            for _ in range(n):
                out = out / -x
            return out

        low = _EXPREL.ends(n)[0]
        value = pairs.redo(xp, x < low, value, decaying, x)

    def grown(xp: Any, x: Any) -> Any:
        return xp.where(x == xp.inf, xp.inf, _growing(xp, xp.minimum(x, 1e4), n))

    return pairs.redo(xp, x > _TABLE_END, value, grown, x)


def sinhc(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of sinh(x) / x."""
    x = xp.asarray(x, dtype=float)
    size = xp.abs(x)
    if n == 0:
        value = xp.sinh(size) / xp.where(size == 0, 1.0, size)
        value = xp.where(size == 0, 1.0, value)
    else:
        value = _SINHC(xp, size, n)

    def grown(xp: Any, x: Any) -> Any:
        return xp.where(x == xp.inf, xp.inf, 0.5 * _growing(xp, xp.minimum(x, 1e4), n))

    value = pairs.redo(xp, size > _TABLE_END, value, grown, size)
    return xp.where(x < 0, -value, value) if n % 2 else value


def exprel_meaning(x: Any, n: int) -> Any:
    """The n-th derivative of expm1(x) / x."""
    if _infinite(x):
        return x.exp() if x > 0 else 1 / -x
    return meaning(x, [x.expm1(), *([x.exp()] * n)], 1, lambda k: _ratio(1, k + 1))


def sinhc_meaning(x: Any, n: int) -> Any:
    """The n-th derivative of sinh(x) / x."""
    s, c = x.sinh(), x.cosh()
    if _infinite(x):
        return s if n % 2 else c
    waves = [c if k % 2 else s for k in range(n + 1)]
    return meaning(x, waves, 1, lambda k: _ratio(1 - k % 2, k + 1))


def _ratio(top: int, factorial: int) -> Fraction:
    return Fraction(top, math.factorial(factorial))


def _infinite(x: Any) -> bool:
    return x == math.inf or x == -math.inf


# -- waves -----------------------------------------------------------------------------------

_SINC = Table(_over_x(lambda c, k: tables.sine_cosine(c, k)[0]), lambda n: (0, 24 + 2 * n), 8)


def _versine(c: Decimal, terms: int) -> Series:
    out = [-a for a in tables.sine_cosine(c, terms)[1]]
    return [out[0] + 1, *out[1:]]


_VERSINC = Table(_over_x(_versine, 2), lambda n: (0, 24 + 2 * n), 8)


@cache
def _half_pi_parts() -> tuple[float, ...]:
    """The number pi/2 in floats of 32 bits, whose multiples up to 2**20 are exact."""
    out, rest, unit = [], _HALF_PI, Fraction(1, 2**31)
    for _ in range(5):
        part = rest // unit * unit
        out.append(float(part))
        rest, unit = rest - part, unit / 2**32
    return tuple(out)


@cache
def _wave_series(first: int) -> tuple[pairs.Pair, ...]:
    """(-1)**k / (2 k + first)!, the highest k first."""
    return tuple([pairs.split(Fraction((-1) ** k, math.factorial(2 * k + first))) for k in _TERMS])


_TERMS = range(15, -1, -1)


def sin_cos_pairs(xp: Any, x: Any, x_lo: Any = None, turns: Any = 0) -> tuple[pairs.Pair, ...]:
    """The sine and cosine as pairs, of |x| < 2**20, of a pair, or of one plus quarter turns."""
    zero = 0.0 * x
    more = xp.rint(x / float(_HALF_PI))
    r = (x, zero if x_lo is None else x_lo)
    for part in _half_pi_parts():
        r = pairs.add(r, (-more * part, zero))
    square = pairs.multiply(r, r)
    s, c = (
        pairs.horner(square, [(a + zero, b + zero) for a, b in _wave_series(k)]) for k in (1, 0)
    )
    s = pairs.multiply(r, s)
    quadrant = (xp.where(xp.isfinite(more), more, 0.0).astype(xp.int64) + turns) & 3
    odd = (quadrant & 1) == 1
    sine = [xp.where(odd, b, a) for a, b in zip(s, c, strict=True)]
    cosine = [xp.where(odd, a, b) for a, b in zip(s, c, strict=True)]
    down, back = quadrant >= 2, (quadrant == 1) | (quadrant == 2)
    return (
        (xp.where(down, -sine[0], sine[0]), xp.where(down, -sine[1], sine[1])),
        (xp.where(back, -cosine[0], cosine[0]), xp.where(back, -cosine[1], cosine[1])),
    )


def _cycle(a: Any, b: Any, minus: Callable[[Any], Any], n: int) -> list[Any]:
    """The n functions a, b, -a, -b, a, ..."""
    return [(a, b, minus(a), minus(b))[k % 4] for k in range(n)]


def _quotient_of_wave(xp: Any, x: Any, n: int, table: Table, m: int) -> Any:
    """The n-th derivative of sin(x)/x (m = 1) or (1 - cos(x))/x**2 (m = 2), for x >= 0."""

    def far(xp: Any, x: Any) -> Any:
        s, c = xp.sin(x), xp.cos(x)
        waves = _cycle(s, c, lambda a: -a, n + 2 - m)
        if m == 2:
            half = xp.sin(0.5 * x)
            waves = [2.0 * half * half, *waves]
        out, terms = _sum(x, waves, m)
        cancelled = (terms > 1.5 * xp.abs(out)) & (x < _FAR)
        return pairs.redo(xp, cancelled, out, again, x)

    def again(xp: Any, x: Any) -> Any:
        zero = 0.0 * x
        s, c = sin_cos_pairs(xp, x)
        waves = _cycle(s, c, pairs.negative, n + 2 - m)
        if m == 2:
            waves = [pairs.add((1.0 + zero, zero), pairs.negative(c)), *waves]
        out = _sum_pairs((x, zero), waves, m)
        return out[0] + out[1]

    value = table(xp, x, n)
    return pairs.redo(xp, x > table.ends(n)[1], value, far, x)


def sine_over_x(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of sin(x) / x."""
    x = xp.asarray(x, dtype=float)
    if n == 0:
        return xp.where(x == 0, 1.0, xp.sin(x) / xp.where(x == 0, 1.0, x))
    value = _quotient_of_wave(xp, xp.abs(x), n, _SINC, 1)
    return xp.where(x < 0, -value, value) if n % 2 else value


def versine_over_square(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of (1 - cos(x)) / x**2."""
    x = xp.asarray(x, dtype=float)
    if n == 0:
        ratio = sine_over_x(xp, 0.5 * x)
        return 0.5 * ratio * ratio
    value = _quotient_of_wave(xp, xp.abs(x), n, _VERSINC, 2)
    return xp.where(x < 0, -value, value) if n % 2 else value


def sine_over_x_meaning(x: Any, n: int) -> Any:
    """The n-th derivative of sin(x) / x."""
    waves = _cycle(x.sin(), x.cos(), lambda a: -a, n + 1)
    return meaning(x, waves, 1, lambda k: _ratio((1, 0, -1, 0)[k % 4], k + 1))


def versine_over_square_meaning(x: Any, n: int) -> Any:
    """The n-th derivative of (1 - cos(x)) / x**2."""
    waves = [1 - x.cos(), *_cycle(x.sin(), x.cos(), lambda a: -a, n)]
    return meaning(x, waves, 2, lambda k: _ratio((1, 0, -1, 0)[k % 4], k + 2))


# -- logarithms --------------------------------------------------------------------------------

_NEAR_ONE = 0.125


def _log_quotient(xp: Any, x: pairs.Pair, y: pairs.Pair, n: int) -> Any:
    """The n-th derivative of log1p(x)/x by x, from the pairs x and y = 1 + x.

    It is (-1)**n n! times the integral of s**n / (1 + x s)**(n + 1) over 0 < s < 1.
    """
    near = xp.abs(x[0]) < _NEAR_ONE

    def far(xp: Any, x: Any, x_lo: Any, y: Any, y_lo: Any) -> Any:
        log = xp.where(xp.abs(x) < 1.0, xp.log1p(x), xp.log(y))
        waves = [log, *[_signed(k) / _power(y, k) for k in range(1, n + 1)]]
        out, terms = _sum(x, waves, 1)
        cancelled = (terms > 1.5 * xp.abs(out)) & (y < 2.0**60)
        out = pairs.redo(xp, cancelled, out, again, x, x_lo, y, y_lo)
        pole = (y >= 0) & (y < 0.5) & ~xp.isfinite(out)
        return xp.where(pole, (-1.0) ** n * math.inf, out)

    def again(xp: Any, x: Any, x_lo: Any, y: Any, y_lo: Any) -> Any:
        zero = 0.0 * x
        waves = [_log_pair(xp, (y, y_lo))]
        power = (1.0 + zero, zero)
        for k in range(1, n + 1):
            power = pairs.divide(power, (y, y_lo))
            waves.append(pairs.multiply((_signed(k) + zero, zero), power))
        out = _sum_pairs((x, x_lo), waves, 1)
        return out[0] + out[1]

    coefficients = _log_series(n)
    t = xp.where(near, x[0], 0.0)
    value = coefficients[0] + 0.0 * t
    for c in coefficients[1:]:
        value = value * t + c
    return pairs.redo(xp, ~near, value, far, x[0], x[1], y[0], y[1])


def _signed(k: int) -> float:
    return float((-1) ** (k - 1) * math.factorial(k - 1))


def _power(y: Any, k: int) -> Any:
    return y if k == 1 else y * _power(y, k - 1)


def _log_pair(xp: Any, y: pairs.Pair) -> pairs.Pair:
    """The logarithm of a pair."""
    hi, lo = pair_exp.log(xp, y[0])
    rest = y[1] / y[0]
    return pairs.add((hi, lo), (rest, 0.0 * rest))


@cache
def _log_series(n: int) -> tuple[float, ...]:
    """The n-th derivative of log1p(x)/x as a polynomial in x, the highest power first."""
    count = 20 + n
    return tuple(
        [float(Fraction((-1) ** k * math.perm(k, n), k + 1)) for k in range(n, n + count)][::-1]
    )


def log1p_over_x(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of log1p(x) / x."""
    x = xp.asarray(x, dtype=float)
    if n == 0:
        value = xp.log1p(x) / xp.where(x == 0, 1.0, x)
        return xp.where(x == 0, 1.0, xp.where(x == xp.inf, 0.0, value))
    return _log_quotient(xp, (x, 0.0 * x), pairs.two_sum(x, 1.0), n)


def log_over_difference(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of log(x) / (x - 1)."""
    x = xp.asarray(x, dtype=float)
    if n == 0:
        step = x - 1.0
        near = xp.abs(step) < 0.5
        value = xp.where(near, xp.log1p(step), xp.log(x)) / xp.where(step == 0, 1.0, step)
        return xp.where(step == 0, 1.0, xp.where(x == xp.inf, 0.0, value))
    return _log_quotient(xp, pairs.two_sum(x, -1.0), (x, 0.0 * x), n)


def log1p_over_x_meaning(x: Any, n: int) -> Any:
    """The n-th derivative of log1p(x) / x."""
    if _infinite(x):
        return 1 / x
    y = 1 + x
    waves = [x.log1p(), *[_signed_ratio(k) / y**k for k in range(1, n + 1)]]
    return meaning(x, waves, 1, lambda k: Fraction((-1) ** k, k + 1))


def _signed_ratio(k: int) -> int:
    return (-1) ** (k - 1) * math.factorial(k - 1)


def log_over_difference_meaning(x: Any, n: int) -> Any:
    """The n-th derivative of log(x) / (x - 1)."""
    return log1p_over_x_meaning(x - 1, n)
