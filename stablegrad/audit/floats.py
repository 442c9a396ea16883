"""Floats by their place in the order of all floats of a dtype, and how ordinary they look."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

_SIGNED: dict[int, Any] = {2: np.int16, 4: np.int32, 8: np.int64}


def places(x: Array) -> Array:
    """The number of each float in the order of all of its dtype; both zeros are 0."""
    bits = np.ascontiguousarray(x).view(_SIGNED[x.dtype.itemsize]).astype(np.int64)
    least = np.int64(-(2 ** (8 * x.dtype.itemsize - 1)))
    return np.where(bits >= 0, bits, least - bits).reshape(x.shape)


def at_places(numbers: Array, dtype: np.dtype[Any]) -> Array:
    """The floats with these numbers."""
    least = np.int64(-(2 ** (8 * dtype.itemsize - 1)))
    bits = np.where(numbers >= 0, numbers, least - numbers)
    return np.ascontiguousarray(bits.astype(_SIGNED[dtype.itemsize])).view(dtype)


def ends(lo: float, hi: float, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The places of the least and the greatest finite float in [lo, hi]."""
    great = float(ml_dtypes.finfo(dtype).max)
    rounded = np.array([max(lo, -great), min(hi, great)]).astype(dtype)
    first, last = (int(p) for p in places(rounded))
    low, high = (float(v) for v in rounded)
    return first + (low < lo), last - (high > hi)


def by_bits(
    lo: float, hi: float, count: int, generator: np.random.Generator, dtype: np.dtype[Any]
) -> Array:
    """Floats uniform over the bit patterns of an interval: tiny and huge as often as others."""
    first, last = ends(lo, hi, dtype)
    if last < first:
        return np.full(count, lo).astype(dtype)
    return at_places(generator.integers(first, last, count, endpoint=True), dtype)


def neighbours(
    x: Array, lo: float, hi: float, generator: np.random.Generator, moved: Array
) -> Array:
    """Floats at distances of random size from others, inside [lo, hi]; only where ``moved``."""
    first, last = ends(lo, hi, x.dtype)
    size = 2.0 ** generator.uniform(0, 8 * x.dtype.itemsize - 6, x.shape)
    steps = (size * generator.choice([-1.0, 1.0], x.shape)).astype(np.int64)
    # places of float64 reach 2**62: clipping the step first keeps the sum inside of an int64
    there = np.clip(places(x), first, last)
    near = there + np.clip(steps, first - there, last - there)
    return np.where(moved, at_places(near, x.dtype), x)


# -- ordinary numbers -------------------------------------------------------------------------


@lru_cache(maxsize=64)
def ordinary(lo: float, hi: float, dtype: np.dtype[Any]) -> tuple[float, ...]:
    """Numbers of few digits in [lo, hi] as floats of a dtype, the most ordinary ones first."""
    found = {0.0}
    for exponent in range(-330, 310):
        digits = (1, 2, 5) if abs(exponent) > 3 else (*range(1, 10), 15, 25)
        if abs(exponent) <= 1:
            digits = tuple(range(1, 100))
        found |= {sign * float(f"{d}e{exponent}") for d in digits for sign in (1, -1)}
    inside = [v for v in found if lo <= v <= hi]
    inside += [v for v in (lo, hi) if math.isfinite(v)]
    with np.errstate(over="ignore"):
        rounded = {float(np.asarray(v).astype(dtype)): v for v in inside}
    rounded[0.0] = 0.0  # not the tiny number that rounded to it
    kept = [v for v in rounded if lo <= v <= hi]
    return tuple(sorted(kept, key=lambda v: (cost(rounded[v]), v)))


def cost(value: float) -> float:
    """How far a number is from an ordinary one: its digits, its size and its sign."""
    if value == 0:
        return 0.5
    if not math.isfinite(value):
        return 1000.0
    text = f"{abs(value):.17g}" if abs(value) != float(f"{value:.6g}") else f"{abs(value):.6g}"
    digits = text.partition("e")[0].replace(".", "").strip("0")
    exponent = math.floor(math.log10(abs(value)))
    return 2.0 * len(digits) + abs(exponent) + 0.25 * (value < 0)
