"""Joining and splitting arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import operands
from stablegrad.ops import shape
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.methods import no_out


def _tensors(arrays: Any) -> list[Tensor]:
    found = list(arrays)
    if not found:
        raise ShapeError(message("nothing to join", "an array at least"))
    return operands(*found)


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


def _atleast_3d(a: Tensor) -> Tensor:
    if a.ndim < 2:
        return a.reshape(1, -1, 1)
    return a.reshape(*a.shape, 1) if a.ndim == 2 else a


def atleast_2d(*arrays: Any) -> Any:
    """Scalars and vectors as matrices of one row."""
    found = [_atleast_2d(t) for t in _tensors(arrays)]
    return found[0] if len(found) == 1 else tuple(found)


def atleast_3d(*arrays: Any) -> Any:
    """Arrays with three axes at least: vectors in the second, matrices in the first two."""
    found = [_atleast_3d(t) for t in _tensors(arrays)]
    return found[0] if len(found) == 1 else tuple(found)


def hstack(tup: Sequence[Any]) -> Tensor:
    """Arrays joined along the second axis, vectors along their only one."""
    tensors = [t.reshape(1) if t.ndim == 0 else t for t in _tensors(tup)]
    return concatenate(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(tup: Sequence[Any]) -> Tensor:
    """Arrays joined along the first axis, vectors as rows."""
    return concatenate([_atleast_2d(t) for t in _tensors(tup)], 0)


def dstack(tup: Sequence[Any]) -> Tensor:
    """Arrays joined along the third axis."""
    return concatenate([_atleast_3d(t) for t in _tensors(tup)], 2)


def append(arr: Any, values: Any, axis: int | None = None) -> Tensor:
    """Values joined to the end of an array, of all its elements by default."""
    return concatenate([arr, values], axis)


def block(arrays: Any) -> Tensor:
    """Arrays put together from nested lists of blocks, innermost lists along the last axis."""
    depth, inner = 0, arrays
    while isinstance(inner, list):
        depth, inner = depth + 1, inner[0] if inner else None
    tensors = _tensors(_blocks(arrays))
    ndim = max(depth, *[t.ndim for t in tensors])
    return _block(arrays, ndim, depth)


def _blocks(arrays: Any) -> list[Any]:
    return [b for a in arrays for b in _blocks(a)] if isinstance(arrays, list) else [arrays]


def _block(arrays: Any, ndim: int, depth: int) -> Tensor:
    if not isinstance(arrays, list):
        t = as_tensor(arrays)
        return t.reshape((*[1] * (ndim - t.ndim), *t.shape))
    return concatenate([_block(a, ndim, depth - 1) for a in arrays], ndim - depth)


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


def vsplit(ary: Any, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Sections along the first axis."""
    return split(ary, indices_or_sections, 0)


def hsplit(ary: Any, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Sections along the second axis, of vectors along their only one."""
    return split(ary, indices_or_sections, 0 if as_tensor(ary).ndim == 1 else 1)


def dsplit(ary: Any, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Sections along the third axis."""
    return split(ary, indices_or_sections, 2)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The arrays along an axis, without it."""
    t = as_tensor(x)
    return tuple([shape.squeeze(part, axis) for part in split(t, t.shape[axis], axis)])


def meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Tensor, ...]:
    """The coordinates of a grid from those along its axes.

    Args:
        xi: vectors.
        copy: accepted as NumPy has it.
        sparse: whether to leave axes that do not vary at length 1.
        indexing: "xy" where the first vector runs along the second axis, or "ij".
    """
    if indexing not in ("xy", "ij"):
        raise ShapeError(message(f"indexing={indexing!r}", "'xy' or 'ij'"))
    d = len(xi)
    axes = list(range(d))
    if indexing == "xy" and d > 1:
        axes[:2] = [1, 0]
    open_grid = [
        as_tensor(x).reshape((*[1] * a, -1, *[1] * (d - a - 1)))
        for x, a in zip(xi, axes, strict=True)
    ]
    return tuple(open_grid) if sparse or not d else broadcast_arrays(*open_grid)


def broadcast_arrays(*args: Any) -> tuple[Tensor, ...]:
    """Arrays broadcast to one shape."""
    tensors = _tensors(args)
    try:
        common = np.broadcast_shapes(*[t.shape for t in tensors])
    except ValueError:
        shapes = " and ".join(str(t.shape) for t in tensors)
        raise ShapeError(message(f"shapes {shapes}", "shapes that broadcast")) from None
    return tuple([OPS["broadcast_to"](t, shape=common) for t in tensors])
