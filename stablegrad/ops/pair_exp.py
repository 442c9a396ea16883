"""Exponential and logarithm as pairs hi + lo, for the few elements where a kernel cancelled."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stablegrad.ops.pairs import Pair, add, fast_two_sum, horner, multiply, split, two_sum

LN2 = Fraction(0xB17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D, 1 << 192)

# log(2) in three floats; the first two have 40 bits, so that small multiples of them are exact
_LN2_1 = float(Fraction(int(LN2 * 2**40), 2**40))
_LN2_2 = float(Fraction(int((LN2 - Fraction(_LN2_1)) * 2**80), 2**80))
_LN2_3 = float(LN2 - Fraction(_LN2_1) - Fraction(_LN2_2))
_LN2_PAIR = split(LN2)


def _taylor(terms: int) -> list[Pair]:
    """1/n! for n from ``terms`` down to 1: the coefficients of expm1(r)/r."""
    out: list[Pair] = []
    value = Fraction(1)
    for n in range(1, terms + 1):
        value /= n
        out.append(split(value))
    return out[::-1]


_TAYLOR = _taylor(24)  # 0.35**24/25! is below 2**-110


def expm1_exponent(xp: Any, a: Pair) -> tuple[Pair, Any]:
    """The expm1(r) and k with a = k*log(2) + r, |r| < 0.35, for |a| below 2**9."""
    k = xp.rint(a[0] / float(LN2))
    r = add((a[0] - k * _LN2_1, 0.0 * k), (-k * _LN2_2, -k * _LN2_3))
    r = add(r, (a[1], 0.0 * k))
    zero = 0.0 * r[0]
    series = horner(r, [(c[0] + zero, c[1] + zero) for c in _TAYLOR])
    return multiply(r, series), k


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


def log(xp: Any, x: Any) -> Pair:
    """The logarithm of a positive float, to about 2**-97 absolute."""
    m, k = xp.frexp(x)
    small = m < 0.7071067811865476
    m, k = xp.where(small, 2 * m, m), xp.where(small, k - 1, k) * 1.0
    near = xp.log(m)
    zero = 0.0 * near
    e = exp(xp, (-near, zero))
    d = add(multiply((m, zero), e), (zero - 1.0, zero))
    log_m = add((near, zero), fast_two_sum(d[0], d[1] - 0.5 * d[0] * d[0]))
    return add(multiply((k, zero), (_LN2_PAIR[0] + zero, _LN2_PAIR[1] + zero)), log_m)
