"""Sine and cosine as pairs hi + lo, for the few elements where a kernel cancelled.

The angle is reduced to within 1/256 of a multiple of 1/128, whose sine and cosine are in a table.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops.pairs import (
    PI,
    Pair,
    add,
    fast_two_sum,
    multiply,
    negative,
    pi,
    series,
    split,
    two_prod,
    two_sum,
)

Array = np.ndarray[Any, Any]

_HALF_PI = Fraction(pi()) / 2
_HALF_PI_1 = float(Fraction(int(_HALF_PI * 2**32), 2**32))
_HALF_PI_2, _HALF_PI_3 = split(_HALF_PI - Fraction(_HALF_PI_1))
QUARTER_TURN = split(_HALF_PI)
_MOST = 2.0**20  # angles up to here are reduced
_STEPS = 128
_ROWS = 101  # steps in pi/4


def _series(first: int) -> tuple[list[Pair], list[float]]:
    """(-1)**k / (2 k + first)!: the head in pairs, and a tail of which 2**-110 is left."""
    out: list[Pair] = []
    value = Fraction(1)
    for k in range(8):
        out.append(split(value))
        value /= -(2 * k + first + 1) * (2 * k + first + 2)
    return out[:3], [c for c, _ in out[3:]]


_SINE, _COSINE = _series(1), _series(0)


@cache
def _table() -> tuple[Array, Array, Array, Array]:
    """sin and cos of the multiples of 1/128, as hi and lo."""
    sines: list[Pair] = []
    cosines: list[Pair] = []
    with localcontext() as context:
        context.prec = 50
        for j in range(-_ROWS, _ROWS + 1):
            x = Decimal(j) / _STEPS
            term, total = Decimal(1), [Decimal(0), Decimal(0)]
            for n in range(40):
                total[n % 2] += term if n % 4 < 2 else -term
                term = term * x / (n + 1)
            cosines.append(split(total[0]))
            sines.append(split(total[1]))
    s, c = np.array(sines).T.copy(), np.array(cosines).T.copy()
    return s[0], s[1], c[0], c[1]


def _near(xp: Any, r: Pair) -> tuple[Pair, Pair]:
    """sin(r) and cos(r), |r| <= pi/4."""
    j = xp.rint(r[0] * _STEPS)
    h = fast_two_sum(r[0] - j / _STEPS, r[1])  # the difference is exact
    square = multiply(h, h)
    s, c = multiply(h, series(xp, square, *_SINE)), series(xp, square, *_COSINE)
    row = xp.where(xp.abs(j) <= _ROWS, j + _ROWS, 0.0).astype(xp.int64)
    s_hi, s_lo, c_hi, c_lo = [xp.take(column, row) for column in _table()]
    step_s, step_c = (s_hi, s_lo), (c_hi, c_lo)
    sine = add(multiply(step_s, c), multiply(step_c, s))
    cosine = add(multiply(step_c, c), negative(multiply(step_s, s)))
    return sine, cosine


def sine_cosine(xp: Any, x: Pair) -> tuple[Pair, Pair]:
    """sin(x) and cos(x) to about 2**-100 relative to 1, of |x| up to 2**20; nan beyond."""
    inside = xp.abs(x[0]) < _MOST
    x = (xp.where(inside, x[0], xp.nan), xp.where(inside, x[1], 0.0))
    k = xp.rint(x[0] / (_HALF_PI_1 + _HALF_PI_2))
    zero = 0.0 * k
    r = two_sum(x[0], -k * _HALF_PI_1)  # the product is exact
    r = add(r, negative(two_prod(k, _HALF_PI_2 + zero)))
    r = add(r, (x[1], -k * _HALF_PI_3))
    return _turned(xp, _near(xp, r), xp.where(inside, k, 0.0).astype(xp.int64) & 3)


_WHOLE, _CHUNKS = 24, 9
_LOWEST = -50  # the exponent of the last bit of 4


@cache
def _quarter_turns() -> Array:
    """2**e in quarter turns, modulo 4, in pieces of 24 bits, for exponents from the lowest."""
    bits = _WHOLE * _CHUNKS - 2
    inverse = int(2**1400 / Fraction(pi(500)) * 2)  # 2/pi
    rows = []
    for e in range(_LOWEST, 972):
        shift = 1400 - e - bits
        whole = (inverse >> shift) if shift > 0 else inverse << -shift
        whole %= 1 << (bits + 2)
        rows.append([(whole >> _WHOLE * j) % (1 << _WHOLE) for j in reversed(range(_CHUNKS))])
    return np.array(rows, dtype=np.float64)


def quarter_turns(x: Array) -> Pair:
    """A finite float in quarter turns, modulo 4, to about 2**-100 (Payne and Hanek 1983)."""
    f, exponent = np.frexp(np.abs(x))
    e = np.clip(exponent - 53, _LOWEST, 971)
    large = exponent - 53 >= _LOWEST
    digits = np.where(large, np.ldexp(f, 53), 0.0)
    high = np.floor(digits * 2.0**-27)
    low, zero = digits - high * 2.0**27, 0.0 * f
    total: Pair = (zero, zero)
    pieces = _quarter_turns()[e - _LOWEST]
    for j in range(_CHUNKS):
        for part, unit in ((high, 2.0**27), (low, 1.0)):
            term = (part * pieces[..., j]) * (unit * 2.0 ** (2 - _WHOLE * (j + 1)))
            total = add(total, (term - 4.0 * np.rint(0.25 * term), zero))
    small = multiply((np.where(large, 0.0, np.abs(x)), zero), split(1 / _HALF_PI))
    total = add(total, small)
    hi, lo = fast_two_sum(total[0] - 4.0 * np.rint(0.25 * total[0]), total[1])
    sign = np.copysign(1.0, x)
    return sign * hi, sign * lo


def sine_cosine_of_turns(t: Pair) -> tuple[Pair, Pair]:
    """The sine and cosine of so many quarter turns, relative to themselves next to whole ones."""
    k = np.rint(t[0])
    r = multiply(fast_two_sum(t[0] - k, t[1]), QUARTER_TURN)
    return _turned(np, _near(np, r), k.astype(np.int64) & 3)


def sin_cos_pi_pair(xp: Any, x: Any) -> tuple[Pair, Pair]:
    """sin(pi x) and cos(pi x) as pairs, to about 2**-100 relative to 1."""
    r, quadrant = _reduce(xp, x)
    return _turned(xp, _near(xp, multiply((r, 0.0 * r), PI)), quadrant)


def _turned(xp: Any, found: tuple[Pair, Pair], quadrant: Any) -> tuple[Pair, Pair]:
    (s_hi, s_lo), (c_hi, c_lo) = found
    s_hi, c_hi = rotate(xp, s_hi, c_hi, quadrant)
    s_lo, c_lo = rotate(xp, s_lo, c_lo, quadrant)
    return (s_hi, s_lo), (c_hi, c_lo)


def sin_cos_pi(xp: Any, x: Any) -> Pair:
    """sin(pi x) and cos(pi x) for any float64, exact zeros included, to 1 ulp."""
    r, quadrant = _reduce(xp, x)
    hi, lo = two_prod(r, PI[0])
    lo = xp.where(xp.abs(r) < 1e-280, 0.0, lo + r * PI[1])
    s, c = xp.sin(hi), xp.cos(hi)
    return rotate(xp, s + c * lo, c - s * lo, quadrant)


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
