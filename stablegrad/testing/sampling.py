"""Floats sampled by bit pattern: where an op is tested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.ir import Facts
from stablegrad.ops.record import REAL

Array = np.ndarray[Any, Any]


def _unsigned(dtype: np.dtype[Any]) -> Any:
    return {2: np.uint16, 4: np.uint32, 8: np.uint64}[dtype.itemsize]


def _place(x: Any, dtype: np.dtype[Any]) -> int:
    """The number of a float in the order of all floats of its dtype; both zeros are 0."""
    bits = int(np.asarray(x, dtype).view(_unsigned(dtype)))
    top = 1 << (8 * dtype.itemsize - 1)
    return bits if bits < top else top - bits


def _at_place(places: Any, dtype: np.dtype[Any]) -> Array:
    top = 1 << (8 * dtype.itemsize - 1)
    bits = [p if p >= 0 else top - p for p in places]
    return np.array(bits, _unsigned(dtype)).view(dtype)


def _ends(domain: Facts, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The places of the least and the greatest finite float inside an interval."""
    great = float(ml_dtypes.finfo(dtype).max)
    lo, hi = max(domain.lo, -great), min(domain.hi, great)
    first, last = _place(lo, dtype), _place(hi, dtype)
    low, high = float(_at_place([first], dtype)[0]), float(_at_place([last], dtype)[0])
    if low < lo or (domain.lo_open and low == lo and math.isfinite(domain.lo)):
        first += 1
    if high > hi or (domain.hi_open and high == hi and math.isfinite(domain.hi)):
        last -= 1
    return first, last


def sample_bits(
    dtype: Any, n: int, rng: np.random.Generator, domain: Facts = REAL, near: Sequence[float] = ()
) -> Array:
    """Floats uniform over the bit patterns of a dtype inside a domain.

    Args:
        dtype: float64, float32, float16 or bfloat16.
        n: how many.
        rng: where the randomness comes from.
        domain: the interval; its open ends are left out.
        near: points around which a quarter of the floats lie, at distances of random size.

    Returns:
        An array of n floats, finite, without special points (see ``special_points``).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = sample_bits(np.float32, 1000, rng)
        >>> bool(np.isfinite(x).all() and x.min() < -1e30 and (abs(x) < 1e-30).any())
        True
    """
    dtype = np.dtype(dtype)
    first, last = _ends(domain, dtype)
    if last < first:
        return np.empty(0, dtype)
    out = _at_place([int(p) for p in rng.integers(first, last, n, endpoint=True)], dtype)
    # half of all bit patterns are tiny and half are huge: a third at everyday sizes as well
    everyday = rng.normal(size=n) * 10.0 ** rng.uniform(-3, 2, n)
    chosen = rng.random(n) < 1 / 3
    inside = (everyday > domain.lo) & (everyday < domain.hi)
    out = np.where(chosen & inside, everyday.astype(dtype), out)
    for i, centre in enumerate(near):
        at = np.flatnonzero(rng.random(n) < 0.25 / len(near))
        steps = (2.0 ** rng.uniform(0, 8 * dtype.itemsize - 12, len(at))).astype(np.int64)
        places = _place(centre, dtype) + steps * rng.choice([-1, 1], len(at))
        places = np.clip(places, first, last)
        out[at] = _at_place([int(p) for p in places], dtype)
        del i
    return out


def special_points(dtype: Any, domain: Facts = REAL, near: Sequence[float] = ()) -> Array:
    """Zeros, infinities, nan, subnormals, extremes, the domain's ends and what is beside them."""
    dtype = np.dtype(dtype)
    info = ml_dtypes.finfo(dtype)
    points: list[float] = [0.0, -0.0, math.inf, -math.inf, math.nan]
    for size in (info.smallest_subnormal, 7 * info.smallest_subnormal, info.tiny, info.max, 1.0):
        points += [float(size), -float(size)]
    for centre in (domain.lo, domain.hi, 1.0, -1.0, *near):
        if math.isfinite(centre):
            place = _place(centre, dtype)
            points += [float(x) for x in _at_place([place + k for k in range(-3, 4)], dtype)]
    unique = {(x, math.copysign(1, x)): x for x in points if x == x}
    return np.array([*unique.values(), math.nan], dtype)


def sample_arguments(
    domains: Sequence[Facts],
    dtype: Any,
    n: int,
    rng: np.random.Generator,
    near: Sequence[float] = (),
) -> list[Array]:
    """Arguments for an elementwise op of these domains: sampled floats, then special points.

    For several arguments: random pairs, equal and opposite ones, neighbours, and pairs of which
    one is far greater; and all pairs of special points.
    """
    dtype = np.dtype(dtype)
    columns = [sample_bits(dtype, n, rng, d, near) for d in domains]
    specials = [special_points(dtype, d, near) for d in domains]
    if len(domains) == 1:
        return [np.concatenate([columns[0], specials[0]])]
    a, b = columns[-2], columns[-1]
    part = n // 8
    with np.errstate(all="ignore"):
        b[:part] = a[:part]
        b[part : 2 * part] = -a[part : 2 * part]
        b[2 * part : 3 * part] = np.nextafter(a[2 * part : 3 * part], dtype.type(1))
        far = slice(3 * part, 4 * part)
        b[far] = a[far] * dtype.type(2.0) ** rng.integers(-60, 60, part).astype(dtype)
        close = slice(4 * part, 5 * part)
        b[close] = a[close] * (1 + rng.normal(size=part) * 1e-3)
    few = [s[evenly(len(s), 25)] for s in specials]
    grid = np.meshgrid(*few[-2:], indexing="ij")
    out = [np.concatenate([c, g.ravel()]) for c, g in zip((a, b), grid, strict=True)]
    leading = zip(columns[:-2], specials[:-2], strict=True)
    firsts = [np.resize(np.concatenate(c), out[0].size) for c in leading]
    return [*[first[rng.permutation(first.size)] for first in firsts], *out]


def evenly(n: int, at_most: int) -> Array:
    """At most so many of n places, evenly apart."""
    return np.arange(n) if n <= at_most else np.unique(np.linspace(0, n - 1, at_most).astype(int))
