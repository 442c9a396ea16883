"""Reductions, with NumPy's arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import OPS
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.methods import no_out
from stablegrad.tensor.naming import named


def _reduction(name: str, op_name: str = "") -> Callable[..., Tensor]:
    def reduce(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: None = None,
        *,
        keepdims: bool = False,
        where: Any = True,
        **params: Any,
    ) -> Tensor:
        no_out(out)
        _all_elements(name, where, params)
        return getattr(as_tensor(a), op_name or name)(
            axis=axis, dtype=dtype, keepdims=keepdims, **params
        )

    return named(reduce, name, _doc(op_name or name))


def _order(name: str, op_name: str = "") -> Callable[..., Tensor]:
    """Reductions without a dtype: (a, axis, out, keepdims)."""

    def reduce(
        a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True
    ) -> Tensor:
        no_out(out)
        _all_elements(name, where, {})
        return getattr(as_tensor(a), op_name or name)(axis=axis, keepdims=keepdims)

    return named(reduce, name, _doc(op_name or name))


def _running(name: str) -> Callable[..., Tensor]:
    def run(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Tensor:
        no_out(out)
        x = as_tensor(a)
        return getattr(x if dtype is None else x.astype(dtype), name)(axis=axis)

    return named(run, name, _doc(name))


def _all_elements(name: str, where: Any, params: dict[str, Any]) -> None:
    if where is not True or params.get("initial") is not None:
        raise DTypeError(
            message(
                f"{name} with where= or initial=", "all elements", "Choose them with where first."
            )
        )
    params.pop("initial", None)


def _doc(op_name: str) -> str | None:
    return OPS[op_name].doc if op_name in OPS else None


sum = _reduction("sum")
mean = _reduction("mean")
prod = _reduction("prod")
var = _reduction("var")
std = _reduction("std")
max = _order("max")
min = _order("min")
amax = _order("amax", "max")
amin = _order("amin", "min")
any = _order("any")
all = _order("all")
argmax = _order("argmax")
argmin = _order("argmin")
count_nonzero = _order("count_nonzero")
cumsum = _running("cumsum")
cumprod = _running("cumprod")


def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sums along an axis, from 0 if the initial one is included."""
    return _cumulative(cumsum, x, axis, dtype, 0, include_initial)


def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running products along an axis, from 1 if the initial one is included."""
    return _cumulative(cumprod, x, axis, dtype, 1, include_initial)


def _cumulative(
    run: Callable[..., Tensor], x: Any, axis: int | None, dtype: Any, start: int, initial: bool
) -> Tensor:
    t = as_tensor(x)
    if axis is None and t.ndim > 1:
        raise ShapeError(
            message(f"a running sum of shape {t.shape}", "axis=, the axis to run along")
        )
    along = (axis or 0) % t.ndim
    found = run(t, along, dtype)
    if not initial:
        return found
    edge = np.full((*t.shape[:along], 1, *t.shape[along + 1 :]), start, found.dtype)
    return OPS["concatenate"](as_tensor(edge), found, axis=along)


def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    """The range of values: the greatest less the least."""
    return max(a, axis, out, keepdims) - min(a, axis, out, keepdims)


def average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Tensor:
    """The mean, weighted if weights are given."""
    x = as_tensor(a)
    if weights is None:
        return x.mean(axis=axis, keepdims=keepdims)
    w = as_tensor(weights)
    if w.shape != x.shape:
        shape = [1] * x.ndim
        shape[axis] = w.size
        w = w.reshape(shape)
    total = np.broadcast_shapes(w.shape, x.shape)
    full = OPS["broadcast_to"](w, shape=total)
    return (x * w).sum(axis=axis, keepdims=keepdims) / full.sum(axis=axis, keepdims=keepdims)
