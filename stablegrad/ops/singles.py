"""Sums of products with their roundings, and sums and products of single numbers.

Arrays of one element are computed in Python's floats: a call of NumPy takes ten times as long as
the operation, and the result is the same to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops.exact import Exact, Rational, exact, round_to, to_float
from stablegrad.ops.pairs import Pair, two_prod, two_sum

_WIDE = np.dtype(np.float64)
_FEW = 4
_LEAST, _MOST = 2.0**-900, 2.0**1000  # far from the ends of the range


def accumulated(
    xs: Sequence[Any],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
    dtype: Any,
) -> tuple[Any, Any, list[Any]]:
    """The sum as hi and lo, whatever its range, and its rounded addends."""
    hi, lo, multipliers = constants_in(constant, coefficients, dtype)
    addends: list[Any] = [] if constant == 0 else [hi]
    position = 0
    for multiplier, count in zip(multipliers, counts, strict=True):
        p, e = xs[position], None
        if count == 2:
            p, e = two_prod(p, xs[position + 1])
        position += count
        if multiplier == -1:
            p, e = -p, None if e is None else -e
        elif multiplier != 1:
            p, e = _times_coefficient(p, e, multiplier)
        addends.append(p)
        if len(addends) == 1:
            hi, lo = p, lo if e is None else e
            continue
        hi, error = two_sum(hi, p)
        lo = lo + error if e is None else lo + error + e
    return hi, lo, addends


@cache
def constants_in(
    constant: Exact, coefficients: tuple[Rational, ...], dtype: Any
) -> tuple[Any, Any, tuple[Any, ...]]:
    """The constant as hi and lo, and each coefficient as 1, -1 or hi and lo, in a dtype.

    In Python's floats for None.
    """
    hi, lo = _split(constant, dtype)
    return hi, lo, tuple([c if c in (1, -1) else _split(c, dtype) for c in coefficients])


def _split(value: Exact, dtype: Any) -> Pair:
    high = round_to(value, dtype or _WIDE)[()]
    if isinstance(value, str) or not math.isfinite(high):
        low = high.dtype.type(0)
    else:
        low = round_to(exact(Fraction(value) - Fraction(float(high))), dtype or _WIDE)[()]
    return (float(high), float(low)) if dtype is None else (high, low)


def _times_coefficient(p: Any, e: Any, multiplier: Pair) -> Pair:
    high, low = multiplier
    q, f = two_prod(p, high)
    if low != 0:
        f = f + p * low
    return q, f if e is None else f + e * high


def sum_of_few(
    xs: Sequence[Any],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
    alarm: float,
) -> Any:
    """``sum_pair`` of float64 arrays of few elements, rounded once.

    None for other arrays, and where a sum is not finite or its greatest addend is ``alarm`` times
    as great.
    """
    largest = xs[0]
    for x in xs:
        if x.dtype != _WIDE or x.size > _FEW:
            return None
        if x.size > largest.size or (x.size == largest.size and x.ndim > largest.ndim):
            largest = x
    size, shape = largest.size, largest.shape
    columns: list[list[float]] = []
    for x in xs:
        same = x.shape == shape
        if not same and (x.size != 1 or x.ndim > len(shape)):
            return None
        columns.append(x.reshape(-1).tolist() * (1 if same else size))
    totals: list[float] = []
    for numbers in zip(*columns, strict=True):
        hi, lo, addends = accumulated(numbers, constant, coefficients, counts, None)
        total = hi + lo
        if not math.isfinite(total) or max(map(abs, addends)) > alarm * abs(total):
            return None
        totals.append(total)
    return np.array(totals).reshape(shape)


def single_product(xs: Any, powers: tuple[Rational, ...], factor: Rational) -> Any:
    """The product of arrays of one element in Python's floats.

    None for other arrays, and where a factor or an intermediate is far out.
    """
    total = 1.0 if factor == 1 else to_float(factor)
    shape: Any = ()
    for x, p in zip(xs, powers, strict=True):
        if x.size != 1 or x.dtype != _WIDE or not isinstance(p, int) or abs(p) > 4:
            return None
        number = x.item()
        for _ in range(abs(p)):
            if not _LEAST < abs(number) < _MOST:
                return None
            total = total * number if p > 0 else total / number
            if not _LEAST < abs(total) < _MOST:
                return None
        shape = x.shape if x.ndim > len(shape) else shape
    return np.array(total).reshape(shape)
