"""Elements chosen by conditions and places, and comparisons of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, OutOfRangeError, ShapeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import operands
from stablegrad.numpy.shaping import where
from stablegrad.ops import indexing
from stablegrad.ops.shape import moveaxis
from stablegrad.ops.structured import normal_axis
from stablegrad.tensor import Tensor, as_tensor


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Tensor:
    """At each place the choice of the first condition that holds there, else the default.

    Args:
        condlist: conditions.
        choicelist: one array for each.
        default: what stands where none holds.
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ShapeError(
            message(f"{len(condlist)} conditions, {len(choicelist)} choices", "one for each")
        )
    out: Any = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = where(condition, choice, out)
    return out


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Tensor:
    """A function defined by pieces; no piece has a part in the derivative where it isn't chosen.

    Args:
        x: where to evaluate it.
        condlist: conditions, the last that holds counting.
        funclist: functions of x, or numbers, one for each condition and perhaps one for where
            none holds (0 without it).
        args: further arguments of the functions.
        kw: further arguments of the functions.
    """
    at = as_tensor(x)
    conditions = [condlist] if getattr(condlist, "ndim", 1) < 1 or _plain(condlist) else condlist
    functions = list(funclist)
    extra = len(functions) - len(conditions)
    if extra not in (0, 1):
        raise ShapeError(
            message(f"{len(functions)} pieces for {len(conditions)} conditions", "one for each")
        )
    out: Any = _piece(functions.pop(), at, args, kw) if extra else OPS["multiply"](at, 0)
    for condition, function in zip(conditions, functions, strict=True):
        out = where(condition, _piece(function, at, args, kw), out)
    return out


def _plain(condition: Any) -> bool:
    """Whether a condition stands alone, not in a list."""
    if isinstance(condition, Tensor | np.ndarray):
        return condition.ndim == 1 and condition.dtype.kind == "b"
    return not isinstance(condition, Sequence) or isinstance(condition[0], bool | np.bool_)


def _piece(function: Any, x: Tensor, args: Any, kw: Any) -> Any:
    if callable(function):
        return function(x, *args, **kw)
    return OPS["broadcast_to"](as_tensor(np.asarray(function, x.dtype)), shape=x.shape)


def choose(a: Any, choices: Any) -> Tensor:
    """At each place the element of the array that an integer names.

    Args:
        a: integers from 0.
        choices: the arrays, all broadcast to one shape.
    """
    which = as_tensor(a)
    if which.dtype.kind not in "iu":
        raise DTypeError(message(f"choose by dtype {which.dtype}", "integers"))
    numbers = which.numpy()
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < len(choices)):
        raise OutOfRangeError(
            message(f"choose among {len(choices)} by {numbers.max()}", "an index inside")
        )
    out: Any = choices[-1]
    for i in range(len(choices) - 2, -1, -1):
        out = where(which == i, choices[i], out)
    return OPS["broadcast_to"](as_tensor(out), shape=np.broadcast_shapes(out.shape, which.shape))


def compress(condition: Any, a: Any, axis: int | None = None) -> Tensor:
    """The elements along an axis where a vector of conditions holds."""
    x = as_tensor(a)
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    return indexing.take(x, np.flatnonzero(np.asarray(condition)), axis)


def extract(condition: Any, arr: Any) -> Tensor:
    """The elements of an array where a condition holds, in one axis."""
    return compress(np.ravel(np.asarray(condition)), arr)


def delete(arr: Any, obj: Any, axis: int | None = None) -> Tensor:
    """The array without the elements at some places along an axis."""
    x = as_tensor(arr)
    x, axis = (x.ravel(), 0) if axis is None else (x, normal_axis(axis, x.ndim, "delete"))
    obj = np.asarray(obj) if isinstance(obj, Tensor) else obj
    return indexing.take(x, np.delete(np.arange(x.shape[axis]), obj), axis)


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Tensor:
    """The array with values put in before some places along an axis."""
    x, v = operands(arr, values)
    x, axis = (x.ravel(), 0) if axis is None else (x, normal_axis(axis, x.ndim, "insert"))
    obj = np.asarray(obj) if isinstance(obj, Tensor) else obj
    places = np.arange(x.shape[axis])[obj] if isinstance(obj, slice) else np.asarray(obj)
    count = places.size
    if count == 1:  # values in one place, as many as there are along the axis
        v = v.reshape((*[1] * (x.ndim - v.ndim), *v.shape))
        v = moveaxis(v, 0, axis) if places.ndim == 0 else v
        count = v.shape[axis]
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    both = OPS["concatenate"](x, OPS["broadcast_to"](v, shape=shape).astype(x.dtype), axis=axis)
    own, new = np.arange(x.shape[axis]), np.arange(x.shape[axis], x.shape[axis] + count)
    return indexing.take(both, np.insert(own, places.ravel(), new), axis)


def nonzero(a: Any) -> tuple[Tensor, ...]:
    """The places of what is not zero, an integer array for each axis."""
    return tuple([as_tensor(i) for i in np.nonzero(np.asarray(as_tensor(a)))])


def flatnonzero(a: Any) -> Tensor:
    """The places of what is not zero, among all elements."""
    return nonzero(as_tensor(a).ravel())[0]


def argwhere(a: Any) -> Tensor:
    """The places of what is not zero, one in each row."""
    return as_tensor(np.argwhere(np.asarray(as_tensor(a))))


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kw: Any) -> Any:
    """A function applied to the vectors along an axis; its result stands in their place."""
    x = as_tensor(arr)
    axis = normal_axis(axis, x.ndim, "apply_along_axis")
    moved = OPS["transpose"](x, axes=(*[i for i in range(x.ndim) if i != axis], axis))
    lead = moved.shape[:-1]
    rows = moved.reshape((math.prod(lead), x.shape[axis]))
    found = [as_tensor(func1d(row, *args, **kw)) for row in rows]
    joined = OPS["concatenate"](*[f.reshape((1, *f.shape)) for f in found], axis=0)
    out = joined.reshape((*lead, *found[0].shape))
    order = list(range(axis)) + list(range(len(lead), out.ndim)) + list(range(axis, len(lead)))
    return OPS["transpose"](out, axes=tuple(order))


# -- comparisons --------------------------------------------------------------------------


def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Where two arrays agree: |a - b| <= atol + rtol |b|, or both are one infinity."""
    x, y = operands(a, b)
    near = (abs(x - y) <= atol + rtol * abs(y)) & OPS["isfinite"](y)
    near = near | (x == y)
    return near | (OPS["isnan"](x) & OPS["isnan"](y)) if equal_nan else near


def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether two arrays agree everywhere; see ``isclose``."""
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    """Whether two arrays have one shape and the same elements."""
    x, y = operands(a1, a2)
    if x.shape != y.shape:
        return False
    same = x == y
    return bool((same | ((x != x) & (y != y)) if equal_nan else same).all())


def array_equiv(a1: Any, a2: Any) -> bool:
    """Whether two arrays broadcast to one shape with the same elements."""
    x, y = operands(a1, a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return bool((x == y).all())


def isneginf(x: Any) -> Tensor:
    """Where an array is -inf."""
    return as_tensor(x) == -math.inf


def isposinf(x: Any) -> Tensor:
    """Where an array is inf."""
    return as_tensor(x) == math.inf
