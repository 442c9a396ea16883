"""Arithmetic on unevaluated sums hi + lo of two floats, for the few places where kernels cancel.

Kernels compute in plain floats first and redo, in pairs, only the elements where a sum
cancelled. Everything is written over an array namespace ``xp``. Dekker 1971, Shewchuk 1997.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

Pair = tuple[Any, Any]

_SPLIT = 134217729.0  # 2**27 + 1
_SPLIT_32 = np.float32(4097.0)  # 2**12 + 1


def two_sum(a: Any, b: Any) -> Pair:
    """The rounded sum of two floats and its exact error."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def fast_two_sum(a: Any, b: Any) -> Pair:
    """As two_sum, where |a| >= |b| or a is 0."""
    s = a + b
    return s, b - (s - a)


def two_prod(a: Any, b: Any) -> Pair:
    """The rounded product of two floats and its error, exact while nothing leaves 1e-290..1e290."""
    p = a * b
    split = _SPLIT_32 if getattr(p, "dtype", None) == np.float32 else _SPLIT
    t = split * a
    a_hi = t - (t - a)
    a_lo = a - a_hi
    t = split * b
    b_hi = t - (t - b)
    b_lo = b - b_hi
    return p, ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


def add(a: Pair, b: Pair) -> Pair:
    """Sum of two pairs."""
    s, e = two_sum(a[0], b[0])
    t, f = two_sum(a[1], b[1])
    s, e = fast_two_sum(s, e + t)
    return fast_two_sum(s, e + f)


def negative(a: Pair) -> Pair:
    """The negated pair."""
    return -a[0], -a[1]


def multiply(a: Pair, b: Pair) -> Pair:
    """Product of two pairs."""
    p, e = two_prod(a[0], b[0])
    return fast_two_sum(p, e + (a[0] * b[1] + a[1] * b[0]))


def divide(a: Pair, b: Pair) -> Pair:
    """Quotient of two pairs."""
    q = a[0] / b[0]
    r = add(a, negative(multiply((q, 0.0 * q), b)))
    return fast_two_sum(q, (r[0] + r[1]) / b[0])


def sqrt(xp: Any, a: Pair) -> Pair:
    """Square root of a pair."""
    root = xp.sqrt(a[0])
    p, e = two_prod(root, root)
    return fast_two_sum(root, (((a[0] - p) - e) + a[1]) / (2 * root))


def power(a: Pair, n: int) -> Pair:
    """A pair to a whole power n >= 1."""
    out = a
    for bit in bin(n)[3:]:
        out = multiply(out, out)
        if bit == "1":
            out = multiply(out, a)
    return out


def horner(x: Pair, coefficients: Sequence[Pair]) -> Pair:
    """The polynomial with these pairs as coefficients, the highest power first."""
    out = coefficients[0]
    for c in coefficients[1:]:
        out = add(multiply(out, x), c)
    return out


def split(value: Any) -> tuple[float, float]:
    """An exact number (int, Fraction, Decimal) as hi + lo."""
    exact = Fraction(value)
    hi = float(exact)
    return hi, float(exact - Fraction(hi))


@cache
def pi(digits: int = 60) -> Decimal:
    """The number pi (Gauss and Legendre's iteration)."""
    with localcontext() as context:
        context.prec = digits + 10
        a, b, t, p = Decimal(1), 1 / Decimal(2).sqrt(), Decimal("0.25"), 1
        while abs(a - b) > Decimal(10) ** -(digits // 2 + 5):
            a, b, t, p = (a + b) / 2, (a * b).sqrt(), t - p * ((a - b) / 2) ** 2, 2 * p
        return (a + b) ** 2 / (4 * t)


PI = split(pi())


with localcontext() as _context:
    _context.prec = 60
    _LOG_2 = split(Decimal(2).ln())


def exp(xp: Any, x: Any) -> Pair:
    """The exponential of a float, as a pair to 2**-100; for |x| < 700."""
    k = xp.rint(x / _LOG_2[0])
    zero = 0.0 * x
    r = add((x, zero), negative(multiply((k, zero), (_LOG_2[0] + zero, _LOG_2[1]))))
    series = [split(Fraction(1, math.factorial(j))) for j in range(24, -1, -1)]
    hi, lo = horner(r, [(a + zero, b) for a, b in series])
    power = k.astype(xp.int64)
    return xp.ldexp(hi, power), xp.ldexp(lo, power)


def log(xp: Any, x: Pair) -> Pair:
    """The logarithm of a positive pair: one Newton step from the float's logarithm."""
    start = xp.log(x[0])
    zero = 0.0 * start
    hi, lo = multiply(x, exp(xp, -start))
    rest = (hi - 1.0) + lo
    return add((start, zero), (rest - 0.5 * rest * rest, zero))


def redo(xp: Any, where: Any, value: Any, better: Callable[..., Any], *args: Any) -> Any:
    """``value``, but ``better(xp, *args)`` where the mask holds.

    NumPy evaluates ``better`` on those elements alone, a tracing namespace everywhere.
    """
    if xp.name != "numpy":
        return xp.where(where, better(xp, *args), value)
    if xp.ndim(value) == 0:
        return better(xp, *args) if where else value
    if np.count_nonzero(where):  # a fraction of the time of any()
        at = xp.nonzero(where)
        value = value.copy() if not value.flags.owndata else value
        value[at] = better(xp, *[a[at] if xp.ndim(a) else a for a in args])
    return value


def sin_cos_pi(xp: Any, x: Any) -> Pair:
    """sin(pi x) and cos(pi x) for any float64, exact zeros included, to 1 ulp."""
    r, quadrant = _reduce(xp, x)
    hi, lo = two_prod(r, PI[0])
    lo = xp.where(xp.abs(r) < 1e-280, 0.0, lo + r * PI[1])
    s, c = xp.sin(hi), xp.cos(hi)
    return rotate(xp, s + c * lo, c - s * lo, quadrant)


def sin_cos_pi_pair(xp: Any, x: Any) -> tuple[Pair, Pair]:
    """sin(pi x) and cos(pi x) as pairs, to 2**-100 relative to 1."""
    r, quadrant = _reduce(xp, x)
    zero = 0.0 * r
    angle = multiply((r, zero), PI)
    square = multiply(angle, angle)
    s = multiply(angle, horner(square, [(c[0] + zero, c[1]) for c in SINE]))
    c = horner(square, [(c[0] + zero, c[1]) for c in COSINE])
    s_hi, c_hi = rotate(xp, s[0], c[0], quadrant)
    s_lo, c_lo = rotate(xp, s[1], c[1], quadrant)
    return (s_hi, s_lo), (c_hi, c_lo)


def _factorial_series(first: int, terms: int) -> list[tuple[float, float]]:
    """(-1)**k / (2 k + first)! from the highest k down."""
    out, value = [], Fraction(1)
    for k in range(terms):
        out.append(split(value))
        value /= -(2 * k + first + 1) * (2 * k + first + 2)
    return out[::-1]


SINE = _factorial_series(1, 14)
COSINE = _factorial_series(0, 15)


def _reduce(xp: Any, x: Any) -> Pair:
    """Write x, modulo 2, as r + quadrant / 2 with |r| <= 1/4, exactly."""
    x = xp.where(xp.abs(x) < 2.0**53, x, 0.0 * x)  # beyond, every float is an even number
    halves = xp.rint(2.0 * x)
    return x - 0.5 * halves, halves.astype(xp.int64) & 3


def rotate(xp: Any, s: Any, c: Any, quadrant: Any) -> Pair:
    """Turn sine and cosine by a number of quarter turns."""
    odd = (quadrant & 1) == 1
    sine, cosine = xp.where(odd, c, s), xp.where(odd, s, c)
    turned = (quadrant == 1) | (quadrant == 2)
    return xp.where(quadrant >= 2, -sine, sine), xp.where(turned, -cosine, cosine)
