"""Shapes, places and choices."""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import operands
from stablegrad.ops import indexing, linalg
from stablegrad.ops import shape as shapes
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.apply import apply
from stablegrad.tensor.methods import no_out


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """x where the condition holds, else y; what is not chosen has no part in any derivative.

    With the condition alone, the places where it holds, as integer arrays.
    """
    if (x is None) != (y is None):
        raise DTypeError(message("where with one choice", "where(condition, x, y)"))
    chosen = as_tensor(condition)
    if x is None:
        return tuple([as_tensor(i) for i in np.nonzero(chosen.numpy())])
    if chosen.dtype.kind != "b":
        chosen = OPS["not_equal"](chosen, 0)
    return apply(OPS["where"], (chosen, x, y))


def clip(a: Any, a_min: Any = None, a_max: Any = None, out: None = None, **sides: Any) -> Tensor:
    """Limited to the range from a_min to a_max; None leaves a side open."""
    no_out(out)
    return as_tensor(a).clip(sides.pop("min", a_min), sides.pop("max", a_max), **sides)


def round(a: Any, decimals: int = 0, out: None = None) -> Tensor:
    """To the nearest whole number, or number of decimals; the even one at a tie."""
    no_out(out)
    return as_tensor(a).round(decimals)


def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> Tensor:
    """The same elements in another shape."""
    if order != "C":
        raise DTypeError(message(f"order={order!r}", "row-major order, 'C'"))
    return as_tensor(a).reshape(shape)


def ravel(a: Any, order: str = "C") -> Tensor:
    """All elements in one axis."""
    return reshape(a, -1, order)


def transpose(a: Any, axes: Any = None) -> Tensor:
    """The axes in another order, reversed by default."""
    return as_tensor(a).transpose(axes)


permute_dims = transpose


def astype(x: Any, dtype: Any, *, copy: bool = True) -> Tensor:
    """In another dtype."""
    return as_tensor(x).astype(dtype)


def squeeze(a: Any, axis: Any = None) -> Tensor:
    """Without axes of length 1."""
    return shapes.squeeze(as_tensor(a), axis)


def expand_dims(a: Any, axis: Any) -> Tensor:
    """With axes of length 1 inserted."""
    return shapes.expand_dims(as_tensor(a), tuple(axis) if isinstance(axis, list) else axis)


def swapaxes(a: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    return shapes.swapaxes(as_tensor(a), axis1, axis2)


def moveaxis(a: Any, source: Any, destination: Any) -> Tensor:
    """Axes moved to other places."""
    return shapes.moveaxis(as_tensor(a), source, destination)


def broadcast_to(array: Any, shape: Any) -> Tensor:
    """Repeated along new axes and axes of length 1."""
    return OPS["broadcast_to"](as_tensor(array), shape=shape)


def flip(m: Any, axis: Any = None) -> Tensor:
    """In reverse order along axes, all by default."""
    return OPS["flip"](as_tensor(m), axis=axis)


def flipud(m: Any) -> Tensor:
    """In reverse order along the first axis."""
    return flip(m, 0)


def fliplr(m: Any) -> Tensor:
    """In reverse order along the second axis."""
    return flip(m, 1)


def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turned by k right angles in the plane of two axes, from the first towards the second."""
    first, second = axes
    x = as_tensor(m)
    if k % 4 == 0:
        return x
    if k % 4 == 2:
        return flip(flip(x, first), second)
    if k % 4 == 1:
        return swapaxes(flip(x, second), first, second)
    return flip(swapaxes(x, first, second), second)


def size(a: Any, axis: int | None = None) -> int:
    """The number of elements, or the length of an axis."""
    x = as_tensor(a)
    return x.size if axis is None else x.shape[axis]


def take(a: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The elements at integer indices."""
    return as_tensor(a).take(indices, axis)


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Tensor:
    """For each place along an axis the element that the indices name there."""
    x = as_tensor(arr)
    if axis is None:
        x, axis = x.ravel(), 0
    return OPS["take_along_axis"](x, as_tensor(indices), axis=axis)


def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Tensor:
    """Surrounded by a constant, or by its own elements.

    Args:
        array: an array.
        pad_width: how many before and after, for all axes or each.
        mode: "constant"; "edge", "reflect", "symmetric" or "wrap" repeat elements, whose
            derivatives add up.
        constant_values: the constant.
    """
    x = as_tensor(array)
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        for axis, width in enumerate(widths):
            if any(width):
                x = indexing.take(x, np.pad(np.arange(x.shape[axis]), width, mode=mode), axis)
        return x
    if mode != "constant":
        raise DTypeError(
            message(f"pad with mode={mode!r}", "constant, edge, reflect, symmetric or wrap")
        )
    result = OPS["pad"](x, widths=tuple([tuple(w) for w in widths]))
    if isinstance(constant_values, int | float) and constant_values == 0:
        return result
    inside = np.pad(np.ones(x.shape, bool), widths)
    return where(inside, result, constant_values)


def roll(a: Any, shift: Any, axis: Any = None) -> Tensor:
    """Elements shifted along an axis or several, those beyond the end back at the beginning."""
    x = as_tensor(a)
    if isinstance(shift, tuple | list) or isinstance(axis, tuple | list):
        axes = axis if isinstance(axis, tuple | list) else [axis]
        for s, one in np.broadcast(shift, axes):
            x = roll(x, int(s), one)
        return x
    if axis is None:
        return roll(x.ravel(), shift, 0).reshape(x.shape)
    length = x.shape[axis]
    if length == 0 or shift % length == 0:
        return x
    cut = length - shift % length
    front, back = shapes.split(x, [cut], axis)
    return OPS["concatenate"](back, front, axis=axis)


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element several times."""
    x = as_tensor(a)
    if axis is None:
        x, axis = x.ravel(), 0
    places = np.repeat(np.arange(x.shape[axis]), np.asarray(repeats))
    return indexing.take(x, places, axis)


def tile(A: Any, reps: Any) -> Tensor:
    """The whole array several times along each axis."""
    x = as_tensor(A)
    counts = (reps,) if isinstance(reps, int) else tuple(reps)
    ndim = max(x.ndim, len(counts))
    counts = (*[1] * (ndim - len(counts)), *counts)
    x = x.reshape((*[1] * (ndim - x.ndim), *x.shape))
    for axis, count in enumerate(counts):
        if count != 1:
            x = repeat_whole(x, count, axis)
    return x


def repeat_whole(x: Tensor, count: int, axis: int) -> Tensor:
    """The array several times along one axis."""
    if count == 0:
        return shapes.slice_axis(x, axis, 0, 0)
    return OPS["concatenate"](*[x] * count, axis=axis)


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along an axis, of others put before and after it too."""
    x = as_tensor(a)
    axis %= max(x.ndim, 1)
    if prepend is not None or append is not None:
        edge = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        ends = [None if e is None else operands(e, x)[0] for e in (prepend, append)]
        ends = [e if e is None or e.ndim else broadcast_to(e, edge) for e in ends]
        parts = [part for part in (ends[0], x, ends[1]) if part is not None]
        x = OPS["concatenate"](*parts, axis=axis)
    for _ in range(n):
        length = x.shape[axis]
        x = shapes.slice_axis(x, axis, 1, length) - shapes.slice_axis(x, axis, 0, length - 1)
    return x


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """A diagonal."""
    return linalg.diagonal(as_tensor(a), offset, axis1, axis2)


def diag(v: Any, k: int = 0) -> Tensor:
    """The diagonal of a matrix, or a matrix with a diagonal."""
    x = as_tensor(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(message(f"diag of shape {x.shape}", "a vector or a matrix"))
    n = x.size + abs(k)
    if k == 0:
        return OPS["from_diagonal"](x, rows=n, columns=n)
    rows = np.arange(x.size) + max(-k, 0)
    return OPS["index_add"](
        x, as_tensor(rows), as_tensor(rows + k), shape=(n, n), index=(("array", 1), ("array", 1))
    )


def diagflat(v: Any, k: int = 0) -> Tensor:
    """A matrix with all elements of an array on a diagonal."""
    return diag(as_tensor(v).ravel(), k)


def resize(a: Any, new_shape: Any) -> Tensor:
    """The elements again and again until a shape is full."""
    x = as_tensor(a).ravel()
    wanted = (new_shape,) if isinstance(new_shape, int) else tuple(new_shape)
    return indexing.take(x, np.resize(np.arange(x.size), wanted), 0)


def _lower(x: Tensor, k: int) -> np.ndarray[Any, Any]:
    if x.ndim < 2:
        raise ShapeError(message(f"a triangle of shape {x.shape}", "a matrix"))
    rows, columns = x.shape[-2:]
    return np.tri(rows, columns, k, dtype=bool)


def _triangle(m: Any, keep: np.ndarray[Any, Any]) -> Tensor:
    return where(keep, as_tensor(m), 0)


def tril(m: Any, k: int = 0) -> Tensor:
    """The elements on and below a diagonal, zero elsewhere."""
    return _triangle(m, _lower(as_tensor(m), k))


def triu(m: Any, k: int = 0) -> Tensor:
    """The elements on and above a diagonal, zero elsewhere."""
    return _triangle(m, ~_lower(as_tensor(m), k - 1))
