"""The entire function f(s) = sinh(sqrt(s)) / sqrt(s) and all its derivatives, for s of any sign.

4 s f[n+2] + (4 n + 6) f[n+1] = f[n] for its derivatives f[n]. Between the ends of a table they are
Taylor polynomials; beyond them they follow from sinh and cosh (sin and cos, for negative s) of the
root, which is taken as a pair, or, where it is huge, reduced modulo pi/2 in whole numbers.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops import pairs
from stablegrad.ops.pairs import Pair
from stablegrad.ops.quotients import sin_cos_pairs
from stablegrad.ops.taylor_tables import Series, Table

_LARGE = 2.0**20
"""Roots beyond it are reduced in whole numbers."""


def _series(c: Decimal, terms: int) -> Series:
    """From the values f[k] / k!, by the recurrence downwards: it is stable where it is used."""
    out = [Decimal(0)] * (terms + 1)
    # f[n] as its own power series for the two highest, then downwards
    for n in (terms - 1, terms):
        total, k = Decimal(0), 0
        term = Decimal(math.factorial(n)) / math.factorial(2 * n + 1)
        while k < 4 or abs(term) > abs(total) * Decimal(10) ** -110:
            total += term
            k += 1
            term = term * c * (k + n) / (k * (2 * k + 2 * n) * (2 * k + 2 * n + 1))
        out[n] = total
    for n in range(terms - 2, -1, -1):
        out[n] = 4 * c * out[n + 2] + (4 * n + 6) * out[n + 1]
    return [out[k] / math.factorial(k) for k in range(terms)]


_TABLE = Table(_series, lambda n: (-64 - 16 * n, 416 + 16 * n), 1)


def _root_pair(xp: Any, s: Any) -> Pair:
    """The square root of a positive float as a pair."""
    root = xp.sqrt(s)
    hi, lo = pairs.two_prod(root, root)
    rest = ((s - hi) - lo) / (2.0 * root)
    return pairs.fast_two_sum(root, rest - rest * rest / (2.0 * root))


_BITS = 700  # a root has up to 512 before the point, and must be right to 140 after it


@cache
def _half_pi(bits: int) -> int:
    """The number pi/2 times 2**bits; with as many bits more as a root has before the point."""
    return int(Fraction(pairs.pi(2 * bits // 3)) * 2 ** (bits - 1))


def _reduced(s: float) -> tuple[float, float, int]:
    """The root of s less a multiple of pi/2, as a pair, and that multiple modulo 4."""
    if not math.isfinite(s):
        return math.nan, math.nan, 0
    root = math.isqrt(int(Fraction(s) * 4**_BITS))  # times 2**_BITS
    half_pi = _half_pi(_BITS)
    turns = (root + half_pi // 2) // half_pi
    hi, lo = pairs.split(Fraction(root - turns * half_pi, 1 << _BITS))
    return hi, lo, turns & 3


def _sin_cos_of_root(xp: Any, s: Any) -> tuple[Pair, Pair, Pair]:
    """The root of s > 0, its sine and its cosine, as pairs."""
    root = _root_pair(xp, xp.where(s > 1e290, 1e290, s))
    sine, cosine = sin_cos_pairs(xp, *root)
    far = xp.sqrt(s) > _LARGE
    if xp.name != "numpy":  # no whole numbers long enough: the rounded root's sine
        zero = 0.0 * s
        sine = xp.where(far, xp.sin(xp.sqrt(s)), sine[0]), xp.where(far, zero, sine[1])
        cosine = xp.where(far, xp.cos(xp.sqrt(s)), cosine[0]), xp.where(far, zero, cosine[1])
    elif far.any():
        at = xp.nonzero(far)
        parts = [_reduced(v) for v in np.atleast_1d(s[at]).tolist()]
        hi, lo, turns = (np.array([p[i] for p in parts]) for i in range(3))
        s_far, c_far = sin_cos_pairs(xp, hi, lo, turns)
        for whole, part in ((sine, s_far), (cosine, c_far)):
            for a, b in zip(whole, part, strict=True):
                a[at] = b
    return root, sine, cosine


def _down(xp: Any, first: Pair, second: Pair, s: Any, n: int) -> Pair:
    """The f[n] from f[0] and f[1], by the recurrence, in pairs."""
    zero = 0.0 * s
    values = [first, second]
    for k in range(n - 1):
        step = pairs.multiply((4.0 * k + 6.0 + zero, zero), values[k + 1])
        step = pairs.add(values[k], pairs.negative(step))
        values.append(pairs.divide(step, (4.0 * s, zero)))
    return values[n]


def _left(xp: Any, s: Any, n: int) -> Any:
    """For very negative s."""
    size = xp.atleast_1d(-s)
    root, sine, cosine = _sin_cos_of_root(xp, size)
    far = xp.sqrt(size) > _LARGE
    root = (xp.where(far, xp.sqrt(size), root[0]), xp.where(far, 0.0, root[1]))
    near = xp.minimum(size, 1e200)
    first = pairs.divide(sine, root)
    # f' = (cos(r) - sin(r)/r) / (2 s)
    second = pairs.add(cosine, pairs.negative(first))
    second = pairs.divide(second, (-2.0 * near, 0.0 * near))
    out = _down(xp, first, second, -near, n)
    # beyond, one term is all there is
    wave = (sine, cosine, pairs.negative(sine), pairs.negative(cosine))[n % 4][0]
    alone = wave / root[0]
    for _ in range(n):
        alone = alone / (-2.0 * root[0])
    value = xp.where(size < 1e200, out[0] + out[1], alone)
    return xp.reshape(value, xp.shape(s))


def _right(xp: Any, s: Any, n: int) -> Any:
    """For large s, where sinh(r) = cosh(r) = exp(r)/2."""
    hi, lo = _root_pair(xp, xp.minimum(s, 1e6))
    scale = xp.exp(0.5 * hi)
    first = 1.0 / hi
    values = [first, (1.0 - first) / (2.0 * s)]
    for k in range(n - 1):
        values.append((values[k] - (4.0 * k + 6.0) * values[k + 1]) / (4.0 * s))
    out = 0.5 * scale * values[n] * scale
    return xp.where(s < 1e6, out + xp.where(out < xp.inf, out * lo, 0.0), xp.inf)


def sinhc_sqrt(xp: Any, s: Any, *, n: int = 0) -> Any:
    """The n-th derivative of sinh(sqrt(s)) / sqrt(s)."""
    s = xp.asarray(s, dtype=float)
    low, high = _TABLE.ends(n)
    value = _TABLE(xp, s, n)
    value = pairs.redo(xp, s > high, value, lambda xp, s: _right(xp, s, n), s)
    return pairs.redo(xp, s < low, value, lambda xp, s: _left(xp, s, n), s)


def sinhc_sqrt_meaning(s: Any, n: int) -> Any:
    """The n-th derivative of sinh(sqrt(s)) / sqrt(s)."""
    if s == 0:  # as far as any truncated series can see
        total = s * 0
        for k in range(n, n + 12):
            total = total + s ** (k - n) * Fraction(math.perm(k, n), math.factorial(2 * k + 1))
        return total
    if s > 0:
        root = s.sqrt()
        values = [root.sinh() / root]
        values.append((root.cosh() - values[0]) / (s * 2))
    else:
        root = (-s).sqrt()
        values = [root.sin() / root]
        values.append((root.cos() - values[0]) / (s * 2))
    for k in range(n - 1):
        values.append((values[k] - values[k + 1] * (4 * k + 6)) / (s * 4))
    return values[n]
