"""Order: sorting, places, quantiles, running extremes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.joining import stack
from stablegrad.ops import sorting
from stablegrad.ops.record import is_float
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.methods import no_out
from stablegrad.tensor.naming import named


def _flat(a: Any, axis: int | None) -> tuple[Tensor, int]:
    """NumPy's axis=None: all elements in one axis."""
    x = as_tensor(a)
    return (x.ravel(), 0) if axis is None else (x, axis)


def sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Tensor:
    """The elements in rising order along an axis, nan last; ties share derivatives equally.

    Args:
        a: an array.
        axis: the axis; None sorts all elements.
        kind: accepted as NumPy has it; the result is the same.
        stable: accepted as NumPy has it.
    """
    x, axis = _flat(a, axis)
    return OPS["sort"](x, axis=axis)


def argsort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Tensor:
    """The places of the elements in rising order along an axis; equal ones keep theirs."""
    x, axis = _flat(a, axis)
    return OPS["argsort"](x, axis=axis)


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Tensor:
    """For each of v the place in the sorted vector a where it would keep the order."""
    x = as_tensor(a)
    if sorter is not None:
        x = x[sorter]
    values = as_tensor(v)
    return OPS["searchsorted"](x, values, side=side)


def topk(a: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k greatest (or least) elements along an axis, best first, and their places.

    Example:
        >>> values, places = sg.numpy.topk([1.0, 3.0, 2.0], 2)
        >>> values.numpy(), places.numpy()
        (array([3., 2.], dtype=float32), array([1, 2]))
    """
    return sorting.topk(as_tensor(a), k, axis, largest)


def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Tensor:
    """The values below which shares q of the elements lie; ties share derivatives equally.

    Args:
        a: an array.
        q: a number from 0 to 1, or an array of them, which becomes the first axes.
        axis: an axis or several, all by default.
        out: must be None.
        overwrite_input: accepted as NumPy has it; tensors never change in place.
        method: how to choose between two neighbours: see ``ops.sorting.METHODS``.
        keepdims: whether reduced axes stay with length 1.

    Returns:
        A tensor of the shape of q and then of what is left of a; integers become float64.

    Raises:
        DomainError: a share outside of 0 to 1.
        UnknownNameError: another method.
        ShapeError: no elements.

    Example:
        >>> sg.numpy.quantile([1.0, 2.0, 4.0], [0.5, 0.75]).numpy()
        array([2., 3.], dtype=float32)
    """
    no_out(out)
    x = as_tensor(a)
    if not is_float(x.dtype):
        x = x.astype(np.float64)
    return by_shares(q, lambda share: sorting.quantile(x, share, axis, keepdims, method))


def by_shares(q: Any, quantile_of: Callable[[float], Tensor]) -> Tensor:
    """The quantiles of one share or of an array of shares, whose axes come first."""
    shares = np.asarray(q, float)
    found = [quantile_of(share) for share in shares.ravel().tolist()]
    return stack(found).reshape((*shares.shape, *found[0].shape)) if shares.ndim else found[0]


def percentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Tensor:
    """``quantile`` of q/100."""
    return quantile(a, np.true_divide(q, 100), *args, **kwargs)


def median(
    a: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Tensor:
    """The middle element, or the mean of the two middle ones; ties share derivatives equally.

    Example:
        >>> sg.grad(sg.numpy.median)(np.array([1.0, 2.0, 2.0])).numpy()
        array([0. , 0.5, 0.5])
    """
    return quantile(a, 0.5, axis, out, keepdims=keepdims)


def _running(name: str) -> Callable[..., Tensor]:
    def run(a: Any, axis: int | None = None) -> Tensor:
        x, axis = _flat(a, axis)
        return OPS[name](x, axis=axis)

    return named(run, name, OPS[name].doc)


cummax = _running("cummax")
cummin = _running("cummin")
cumlogsumexp = _running("cumlogsumexp")


def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Tensor:
    """Numbers in place of nan and infinities; what is replaced has derivative 0.

    Args:
        x: an array.
        copy: must be True.
        nan: what stands for nan.
        posinf: what stands for inf, the greatest float by default.
        neginf: what stands for -inf, the least float by default.
    """
    if not copy:
        raise DTypeError(message("nan_to_num(copy=False)", "a new tensor"))
    t = as_tensor(x)
    if not is_float(t.dtype):
        return t
    ends = np.nan_to_num(np.array([np.inf, -np.inf], t.dtype)).astype(float).tolist()
    high, low = (ends[0] if posinf is None else posinf, ends[1] if neginf is None else neginf)
    t = OPS["where"](OPS["isnan"](t), nan, t)
    t = OPS["where"](OPS["equal"](t, math.inf), high, t)
    return OPS["where"](OPS["equal"](t, -math.inf), low, t)
