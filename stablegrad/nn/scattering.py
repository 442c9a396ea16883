"""Elements gathered, scattered, replaced and added at places, with torch's names and meanings."""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import ShapeError, message
from stablegrad.numpy.elementwise import operands
from stablegrad.ops import indexing
from stablegrad.ops.structured import normal_axis
from stablegrad.tensor import Tensor, as_tensor


def _corner(x: Tensor, shape: tuple[int, ...], axis: int, name: str) -> Tensor:
    """The part of x that places of a shape speak of: all of the axis, the first of the others."""
    fits = x.ndim == len(shape) and all(
        n <= m for i, (n, m) in enumerate(zip(shape, x.shape, strict=False)) if i != axis
    )
    if not fits:
        raise ShapeError(
            message(f"{name} of shape {x.shape} by places of shape {shape}", "places that fit in")
        )
    cut = tuple([slice(None) if i == axis else slice(0, n) for i, n in enumerate(shape)])
    return x[cut]


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """For each place the element that ``index`` names along an axis.

    Args:
        input: an array.
        dim: the axis.
        index: integers, as many axes as the input; no longer than it but along ``dim``.

    Returns:
        A tensor of the shape of ``index``; an element named twice gets both derivatives.

    Raises:
        ShapeError: places that do not fit in.

    Example:
        >>> gather([[1.0, 2.0], [3.0, 4.0]], 1, np.array([[0, 0], [1, 0]])).numpy()
        array([[1., 1.],
               [4., 3.]], dtype=float32)
    """
    x, places = as_tensor(input), as_tensor(index)
    axis = normal_axis(dim, x.ndim, "gather")
    return ops.take_along_axis(_corner(x, places.shape, axis, "gather"), places, axis=axis)


def _places(index: Any, shape: tuple[int, ...], dim: int, name: str) -> tuple[Any, ...]:
    """What ``index`` names along an axis of an array of a shape, as an index by arrays."""
    places = as_tensor(index)
    axis = normal_axis(dim, len(shape), name)
    fits = places.ndim == len(shape) and all(
        n <= m for i, (n, m) in enumerate(zip(places.shape, shape, strict=False)) if i != axis
    )
    if not fits:
        raise ShapeError(
            message(f"{name} into shape {shape} by places of shape {places.shape}", "that fit in")
        )
    grid = list(np.indices(places.shape, sparse=True))
    return tuple([places if i == axis else g for i, g in enumerate(grid)])


def _source(src: Any, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Values for places of a shape: a number, or the first ones of an array."""
    values = operands(src, like)[0]
    if values.ndim == 0:
        return ops.broadcast_to(values, shape=shape)
    if values.ndim != len(shape) or any(n < m for n, m in zip(values.shape, shape, strict=True)):
        raise ShapeError(message(f"values of shape {values.shape}", f"{shape} at least"))
    return values[tuple([slice(0, n) for n in shape])]


def _added(values: Tensor, places: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    """Zeros of a shape with values added at places."""
    found, arrays = indexing.parse_index(places, shape)
    return ops.index_add(values, *[as_tensor(a) for a in arrays], shape=shape, index=found)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """The input with values added at the places that ``index`` names along an axis.

    Args:
        input: an array.
        dim: the axis.
        index: integers, as many axes as the input.
        src: a number, or an array as long as ``index`` at least along each axis.

    Returns:
        A tensor of the shape of the input; a place named twice gets both values.

    Raises:
        ShapeError: places or values that do not fit.

    Example:
        >>> scatter_add([1.0, 1.0], 0, np.array([0, 0, 1]), [1.0, 2.0, 3.0]).numpy()
        array([4., 4.], dtype=float32)
    """
    x = as_tensor(input)
    places = _places(index, x.shape, dim, "scatter_add")
    return x + _added(_source(src, as_tensor(index).shape, x), places, x.shape)


def scatter(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """The input with values in place of the elements that ``index`` names along an axis.

    Arguments are those of ``scatter_add``; of several values for one place the last stays, and what
    is replaced has no part in any derivative.
    """
    x = as_tensor(input)
    places = _places(index, x.shape, dim, "scatter")
    shape = as_tensor(index).shape
    numbers = np.arange(x.size).reshape(x.shape)
    target = numbers[tuple([np.asarray(p) for p in places])]
    last = np.full(x.size, -1)
    last[target.ravel()] = np.arange(target.size)
    values = indexing.take(_source(src, shape, x).ravel(), np.maximum(last, 0)).reshape(x.shape)
    return ops.where((last >= 0).reshape(x.shape), values, x)


def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """The elements at places along an axis."""
    return indexing.take(as_tensor(input), as_tensor(index), dim)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """The input with alpha times the source added at places along an axis.

    Args:
        input: an array.
        dim: the axis.
        index: a vector of integers.
        source: an array of the input's shape, but as long as the index along the axis.
        alpha: the factor.
    """
    x = as_tensor(input)
    axis = normal_axis(dim, x.ndim, "index_add")
    places = (*[slice(None)] * axis, as_tensor(index))
    return x + _added(alpha * operands(source, x)[0], places, x.shape)


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """The input with a value where the mask holds; what is replaced has derivative 0."""
    return ops.where(as_tensor(mask), value, as_tensor(input))


def segment_sum(data: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """Sums of the rows that belong together, as jax.ops.segment_sum.

    Args:
        data: rows.
        segment_ids: for each row the number of its sum, a vector of integers.
        num_segments: how many sums there are.
    """
    x = as_tensor(data)
    return _added(x, (as_tensor(segment_ids),), (num_segments, *x.shape[1:]))
