"""Kernels of the logarithm of a ratio, and of divergences."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops import pairs
from stablegrad.ops.dtypes import narrow
from stablegrad.ops.taylor_tables import polynomial

_NEAR = 2.0**-5
"""Of float32s, how far from 1 a ratio must be for its logarithm less that to keep 40 bits."""


def _wide(x: Any, y: Any) -> tuple[Any, Any]:
    x, y = np.broadcast_arrays(x, y)
    return x.astype(np.float64), y.astype(np.float64)


def _far(ratio: Any) -> Any:
    """Where the ratio of float32s is far from 1; false where it is nan."""
    off = ratio - 1.0
    return np.abs(off, out=off) > _NEAR


def log_ratio(xp: Any, x: Any, y: Any) -> Any:
    """log(x / y), by log1p where the ratio is near 1."""
    if narrow(xp, x, y):
        x, y = _wide(x, y)
        ratio = x / y
        return pairs.redo(xp, ~_far(ratio), np.log(ratio), log_ratio, x, y)
    value = xp.log(x / y)
    close = (x / y > 0.5) & (x / y < 2.0)

    def near(xp: Any, x: Any, y: Any) -> Any:
        return xp.log1p((x - y) / y)

    def far(xp: Any, x: Any, y: Any) -> Any:
        # the quotient left the range: each logarithm is large, and their difference larger
        apart = xp.log(xp.abs(x)) - xp.log(xp.abs(y))
        return xp.where((x < 0) == (y < 0), apart, xp.nan)

    x, y, value = xp.broadcast_arrays(x, y, value)
    value = pairs.redo(xp, close, value, near, x, y)
    size = xp.abs(x / y)
    lost = (x != 0) & (y != 0) & xp.isfinite(x) & xp.isfinite(y)
    lost = lost & ((size < 2.0**-1000) | (size > 2.0**1000))
    return pairs.redo(xp, lost, value, far, x, y)


def _positive(xp: Any, x: Any, y: Any) -> bool:
    """Whether all numbers of NumPy's arrays are."""
    return xp.name == "numpy" and all(a.size and bool(a.min() > 0) for a in (x, y))


def _outside(xp: Any, x: Any, y: Any, value: Any) -> Any:
    """The infinity that SciPy's divergences take for a negative argument; nan beside nan."""
    outside = (x < 0) | (y < 0) | ((y == 0) & (x != 0))
    return xp.where(xp.isnan(x) | xp.isnan(y), xp.nan, xp.where(outside, xp.inf, value))


def rel_entr(xp: Any, x: Any, y: Any) -> Any:
    """x * log(x / y), infinite outside of the domain."""
    value = x * log_ratio(xp, x, y)
    return value if _positive(xp, x, y) else _outside(xp, x, y, xp.where(x == 0, 0.0, value))


@cache
def _atanh_series() -> tuple[float, ...]:
    """2/3, 2/5, ...: of 2 artanh(v)/v - 2 in v*v, the highest power first."""
    return tuple([float(Fraction(2, 2 * k + 3)) for k in range(46)][::-1])


def deviance(xp: Any, x: Any, y: Any) -> Any:
    """With v = (x - y)/(x + y) it is v (x - y) + 2 x v (v**2/3 + v**4/5 + ...)."""
    if narrow(xp, x, y):
        x, y = _wide(x, y)
        ratio = x / y
        value = np.log(ratio)
        value *= x
        value -= x - y
        return pairs.redo(xp, ~(_far(ratio) & np.isfinite(value)), value, deviance, x, y)
    x, y = xp.broadcast_arrays(xp.asarray(x, dtype=float), xp.asarray(y, dtype=float))
    value = x * log_ratio(xp, x, y) - (x - y)

    def near(xp: Any, x: Any, y: Any) -> Any:
        _, shift = xp.frexp(xp.maximum(xp.abs(x), xp.abs(y)))
        a, b = xp.ldexp(x, -shift), xp.ldexp(y, -shift)
        d, d_rest = pairs.two_sum(a, -b)
        whole, whole_rest = pairs.two_sum(a, b)
        v = d / whole
        back, back_rest = pairs.two_prod(v, whole)
        v_rest = ((d - back) - back_rest + d_rest - v * whole_rest) / whole
        square, square_rest = pairs.two_prod(v, v)
        square = square + (square_rest + 2.0 * v * v_rest)
        total = d + (d_rest + a * (square * polynomial(square, _atanh_series())))
        return xp.ldexp(v * total + v_rest * total, shift)

    ratio = x / y
    value = pairs.redo(xp, (ratio > 0.2) & (ratio < 5.0), value, near, x, y)
    return xp.where((x == 0) & (y > 0) & xp.isfinite(y), y, value)


def kl_div(xp: Any, x: Any, y: Any) -> Any:
    """The deviance, infinite outside of the domain."""
    value = deviance(xp, x, y)
    return value if _positive(xp, x, y) else _outside(xp, x, y, xp.where(x == 0, y, value))
