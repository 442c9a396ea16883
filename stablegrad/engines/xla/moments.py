"""Float32 kernels of norms and moments: sums of squares and means in float64, nothing scaled.

A square of a float32 stays far inside the range of float64, and so many of them sum with an
error far below a rounding of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.ops.reduction import Axis, count, reduced

_WIDE = np.dtype(np.float64)


def _length(xp: Any, wide: Any, axis: Axis) -> Any:
    return xp.sqrt(xp.sum(wide * wide, axis=axis, keepdims=True))


def _centred(xp: Any, x: Any, axis: Axis) -> Any:
    wide = x.astype(_WIDE)
    return wide - xp.sum(wide, axis=axis, keepdims=True) / max(1, count(x.shape, axis))


def _apart(xp: Any, x: Any) -> Any:
    """An array as it is: XLA would move its reshape further in one pass, and so share nothing."""
    return xp.lax.optimization_barrier(x)


def formed(xp: Any, x: Any) -> Any:
    """A float32 array as it is, which XLA forms before it sums it.

    Where it takes a sum and a product in float64 together, it puts the factors into memory in
    float64; a choice is no part of a sum to it.
    """
    return xp.where(x == x, x, np.float32(np.nan))


def norm(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    """The kernel of ``norm``, in float64: a multiple of it may be in range where it is not."""
    return _length(xp, _apart(xp, x).astype(_WIDE), axis).reshape(reduced(x.shape, axis, keepdims))


_GREAT, _DOWN = 1e37, 2.0**-20


def unit_vector(xp: Any, x: Any, *, axis: Axis) -> Any:
    """The kernel of ``unit_vector``; 0 where x is.

    Divided in float32: to bring all of x to float64 again takes longer than the sum of squares. A
    length that has no inverse in float32 is scaled down with x.
    """
    x = _apart(xp, x)
    size = _length(xp, x.astype(_WIDE), axis)
    down = xp.where(size > _GREAT, _DOWN, 1.0)
    inverse = 1.0 / (xp.where(size == 0, 1.0, size) * down)
    return (x * down.astype(x.dtype)) * inverse.astype(x.dtype)


_TINY, _SMALL, _UP = 2.0**-120, np.float32(2.0**-60), 2.0**24


def center(xp: Any, x: Any, *, axis: Axis) -> Any:
    """The kernel of ``center``: the mean in float64, taken off in float32 in two parts.

    The smaller part is no normal float where the mean is small: beside what is small it is scaled.
    """
    number = x.dtype.type
    mean = xp.sum(x.astype(_WIDE), axis=axis, keepdims=True) / max(1, count(x.shape, axis))
    high = xp.where(xp.abs(mean) < _TINY, 0.0, mean).astype(x.dtype)
    low = xp.where(xp.isfinite(mean), mean - high.astype(_WIDE), 0.0)
    off = x - high
    scaled = (off * number(_UP) - (low * _UP).astype(x.dtype)) * number(1 / _UP)
    return xp.where(xp.abs(off) < _SMALL, scaled, off - low.astype(x.dtype))


def _spread(xp: Any, x: Any, axis: Axis, ddof: float) -> Any:
    """The mean square of deviations, axes kept, in float64."""
    off = _centred(xp, x, axis)
    total = xp.sum(off * off, axis=axis, keepdims=True)
    left = count(x.shape, axis) - ddof
    # 0/0, or inf where the squares are not 0, as NumPy has it
    return total / left if left > 0 else xp.where(total > 0, math.inf, math.nan)


def var(xp: Any, x: Any, *, axis: Axis, keepdims: bool, ddof: float) -> Any:
    """The kernel of ``var``."""
    value = _spread(xp, x, axis, ddof)
    return value.astype(x.dtype).reshape(reduced(x.shape, axis, keepdims))


def std(xp: Any, x: Any, *, axis: Axis, keepdims: bool, ddof: float) -> Any:
    """The kernel of ``std``."""
    value = xp.sqrt(_spread(xp, x, axis, ddof))
    return value.astype(x.dtype).reshape(reduced(x.shape, axis, keepdims))


def standardize(xp: Any, x: Any, *, axis: Axis, eps: float, centered: bool) -> Any:
    """The kernel of ``standardize``; 0 where there is no deviation at all."""
    apart = _apart(xp, x)
    off = _centred(xp, apart, axis) if centered else apart.astype(_WIDE)
    square = xp.sum(off * off, axis=axis, keepdims=True) / max(1, count(x.shape, axis)) + eps
    return (off * (1 / xp.sqrt(xp.where(square == 0, 1.0, square)))).astype(x.dtype)


MOMENTS: dict[str, Callable[..., Any]] = {
    "norm": norm,
    "unit_vector": unit_vector,
    "center": center,
    "var": var,
    "std": std,
    "standardize": standardize,
}
"""By op."""
