"""Joining and splitting arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS
from stablegrad.ops import shape
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.methods import no_out


def _tensors(arrays: Any) -> list[Tensor]:
    found = [as_tensor(a) for a in arrays]
    if not found:
        raise ShapeError(message("nothing to join", "an array at least"))
    return found


def concatenate(
    arrays: Sequence[Any], axis: int | None = 0, out: None = None, *, dtype: Any = None
) -> Tensor:
    """Arrays joined along an axis they have; all elements in one axis for None."""
    no_out(out)
    tensors = _tensors(arrays)
    if axis is None:
        tensors, axis = [t.ravel() for t in tensors], 0
    result = OPS["concatenate"](*tensors, axis=axis)
    return result if dtype is None else result.astype(dtype)


def stack(arrays: Sequence[Any], axis: int = 0, out: None = None) -> Tensor:
    """Arrays of one shape joined along a new axis."""
    no_out(out)
    return shape.stack(_tensors(arrays), axis)


def atleast_1d(*arrays: Any) -> Any:
    """Scalars as arrays with one element."""
    found = [t.reshape(1) if t.ndim == 0 else t for t in _tensors(arrays)]
    return found[0] if len(found) == 1 else tuple(found)


def _atleast_2d(a: Tensor) -> Tensor:
    return a.reshape(1, -1) if a.ndim < 2 else a


def hstack(tup: Sequence[Any]) -> Tensor:
    """Arrays joined along the second axis, vectors along their only one."""
    tensors = [t.reshape(1) if t.ndim == 0 else t for t in _tensors(tup)]
    return concatenate(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(tup: Sequence[Any]) -> Tensor:
    """Arrays joined along the first axis, vectors as rows."""
    return concatenate([_atleast_2d(t) for t in _tensors(tup)], 0)


def column_stack(tup: Sequence[Any]) -> Tensor:
    """Vectors as columns."""
    tensors = [t.reshape(-1, 1) if t.ndim < 2 else t for t in _tensors(tup)]
    return concatenate(tensors, 1)


def split(ary: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Equal sections, or the parts between places."""
    return shape.split(as_tensor(ary), indices_or_sections, axis)


def array_split(ary: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Sections as equal as they can be."""
    x = as_tensor(ary)
    if isinstance(indices_or_sections, int):
        parts = np.array_split(np.arange(x.shape[axis]), indices_or_sections)
        indices_or_sections = np.cumsum([len(p) for p in parts])[:-1].tolist()
    return shape.split(x, indices_or_sections, axis)


def broadcast_arrays(*args: Any) -> tuple[Tensor, ...]:
    """Arrays broadcast to one shape."""
    tensors = _tensors(args)
    try:
        common = np.broadcast_shapes(*[t.shape for t in tensors])
    except ValueError:
        shapes = " and ".join(str(t.shape) for t in tensors)
        raise ShapeError(message(f"shapes {shapes}", "shapes that broadcast")) from None
    return tuple([OPS["broadcast_to"](t, shape=common) for t in tensors])
