"""Exponential and logarithm as pairs hi + lo, for the few elements where a kernel cancelled.

The argument is reduced to within 1/256 of a multiple of 1/128, whose exponential is in a table.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops.pairs import Pair, add, fast_two_sum, multiply, series, split, two_sum

Array = np.ndarray[Any, Any]

LN2 = Fraction(0xB17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D, 1 << 192)

# log(2) in three floats; the first two have 40 bits, so that small multiples of them are exact
_LN2_1 = float(Fraction(int(LN2 * 2**40), 2**40))
_LN2_2 = float(Fraction(int((LN2 - Fraction(_LN2_1)) * 2**80), 2**80))
_LN2_3 = float(LN2 - Fraction(_LN2_1) - Fraction(_LN2_2))
_LN2_PAIR = split(LN2)

_STEPS = 128
_MOST = 45  # steps in log(2)/2


def _taylor(terms: int) -> list[Pair]:
    """1/n! for n from 1 to ``terms``: the coefficients of expm1(s)/s."""
    out: list[Pair] = []
    value = Fraction(1)
    for n in range(1, terms + 1):
        value /= n
        out.append(split(value))
    return out


_HEAD, _TAIL = _taylor(6), [c for c, _ in _taylor(12)[6:]]  # 2**-113 and 2**-112, for s of 1/256


@cache
def _table() -> tuple[Array, Array]:
    """expm1 of the multiples of 1/128, as hi and lo."""
    with localcontext() as context:
        context.prec = 50
        rows = [split((Decimal(j) / _STEPS).exp() - 1) for j in range(-_MOST, _MOST + 1)]
    hi, lo = np.array(rows).T.copy()
    return hi, lo


def expm1_exponent(xp: Any, a: Pair) -> tuple[Pair, Any]:
    """The expm1(r) and k with a = k*log(2) + r, |r| < 0.35, for |a| below 2**9."""
    k = xp.rint(a[0] / float(LN2))
    r = add((a[0] - k * _LN2_1, 0.0 * k), (-k * _LN2_2, -k * _LN2_3))
    r = add(r, (a[1], 0.0 * k))
    j = xp.rint(r[0] * _STEPS)
    s = fast_two_sum(r[0] - j / _STEPS, r[1])  # the difference is exact
    small = multiply(s, series(xp, s, _HEAD, _TAIL))
    row = xp.where(xp.abs(j) <= _MOST, j + _MOST, 0.0).astype(xp.int64)
    high, low = _table()
    step = xp.take(high, row), xp.take(low, row)
    return add(step, add(small, multiply(step, small))), k


def exp(xp: Any, a: Pair) -> Pair:
    """The exponential to about 2**-100 relative, for |a| below 2**9."""
    m, k = expm1_exponent(xp, a)
    hi, lo = add((1.0 + 0.0 * k, 0.0 * k), m)
    scale = xp.exp2(k)
    return hi * scale, lo * scale


def expm1(xp: Any, a: Pair) -> Pair:
    """The exponential less 1 to about 2**-100 relative, for |a| below 2**9."""
    m, k = expm1_exponent(xp, a)
    scale = xp.exp2(k)
    return add((m[0] * scale, m[1] * scale), two_sum(scale, -1.0))


def expm1_and_exp(xp: Any, a: Pair) -> tuple[Pair, Pair]:
    """The exponential less 1, and the exponential."""
    m, k = expm1_exponent(xp, a)
    scale = xp.exp2(k)
    hi, lo = add((1.0 + 0.0 * k, 0.0 * k), m)
    less = add((m[0] * scale, m[1] * scale), two_sum(scale, -1.0))
    return less, (hi * scale, lo * scale)


def log(xp: Any, x: Any) -> Pair:
    """The logarithm of a positive float, to about 2**-97 absolute."""
    return log_of_pair(xp, (x, 0.0 * x))


def log_of_pair(xp: Any, x: Pair) -> Pair:
    """The logarithm of a positive pair, by one Newton step for its mantissa."""
    m, k = xp.frexp(x[0])
    small = m < 0.7071067811865476
    m, k = xp.where(small, 2 * m, m), xp.where(small, k - 1, k)
    near = xp.log(m)
    zero = 0.0 * near
    e = exp(xp, (-near, zero))
    d = add(multiply((m, xp.ldexp(x[1], -k)), e), (zero - 1.0, zero))
    log_m = add((near, zero), fast_two_sum(d[0], d[1] - 0.5 * d[0] * d[0]))
    k = k * 1.0
    return add(multiply((k, zero), (_LN2_PAIR[0] + zero, _LN2_PAIR[1] + zero)), log_m)
