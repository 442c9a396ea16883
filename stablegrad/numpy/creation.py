"""Arrays from nothing, with NumPy's defaults for dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, message
from stablegrad.ir import OPS
from stablegrad.tensor import Tensor, as_tensor, tensor
from stablegrad.tensor.cells import as_dtype, freeze
from stablegrad.tensor.core import leaf_of, stacked
from stablegrad.tensor.naming import named


def array(object: Any, dtype: Any = None, copy: bool = True) -> Tensor:
    """A tensor with the data; Python floats become float64, as in NumPy."""
    if isinstance(object, Tensor):
        return object if dtype is None else object.astype(dtype)
    whole = stacked(object) if isinstance(object, list | tuple) else None
    if whole is not None:
        return whole if dtype is None else whole.astype(dtype)
    if dtype is None and not hasattr(object, "dtype"):
        dtype = np.asarray(object).dtype
    return tensor(object, dtype)


def asarray(a: Any, dtype: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor with the data, itself if it is one."""
    return array(a, dtype)


def _created(name: str) -> Callable[..., Tensor]:
    theirs = getattr(np, name)

    def create(*args: Any, **kwargs: Any) -> Tensor:
        if kwargs.get("dtype") is not None:
            kwargs["dtype"] = as_dtype(kwargs["dtype"])
        plain = [a.item() if isinstance(a, Tensor) and a.size == 1 else a for a in args]
        if any(isinstance(a, Tensor) for a in [*plain, *kwargs.values()]):
            raise DTypeError(message(f"{name} of a tensor", "numbers"))
        return leaf_of(freeze(theirs(*plain, **kwargs)))

    return named(create, name, f"As ``numpy.{name}``, a tensor.")


arange = _created("arange")
empty = _created("zeros")
eye = _created("eye")
identity = _created("identity")
ones = _created("ones")
bartlett, blackman = _created("bartlett"), _created("blackman")
hamming, hanning, kaiser = _created("hamming"), _created("hanning"), _created("kaiser")
geomspace = _created("geomspace")
indices = _created("indices")
tri = _created("tri")
zeros = _created("zeros")


_even, _powers = _created("linspace"), _created("logspace")


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """Numbers at equal distances; of tensors with gradients by both ends."""
    if not isinstance(start, Tensor) and not isinstance(stop, Tensor):
        return _even(start, stop, num, endpoint=endpoint, dtype=dtype, axis=axis)
    first, last = as_tensor(start), as_tensor(stop)
    ndim = max(first.ndim, last.ndim)
    steps = max(num - 1 if endpoint else num, 1)
    places = np.arange(num).reshape(num, *[1] * ndim)
    part = (places / steps).astype(np.result_type(first.dtype, last.dtype))
    found = OPS["where"](places == steps, last, first + (last - first) * part)
    found = found if dtype is None else found.astype(as_dtype(dtype))
    return OPS["transpose"](found, axes=_first_to(axis, found.ndim)) if axis else found


def _first_to(axis: int, ndim: int) -> tuple[int, ...]:
    """The order of axes that moves the first to a place."""
    order = list(range(1, ndim))
    order.insert(axis % ndim, 0)
    return tuple(order)


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """Powers of a base at equal quotients; of tensors with gradients."""
    if not any(isinstance(v, Tensor) for v in (start, stop, base)):
        return _powers(start, stop, num, endpoint=endpoint, base=base, dtype=dtype, axis=axis)
    found = as_tensor(base) ** linspace(start, stop, num, endpoint=endpoint, axis=axis)
    return found if dtype is None else found.astype(as_dtype(dtype))


def _places(name: str) -> Callable[..., tuple[Tensor, ...]]:
    theirs = getattr(np, name)

    def places(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        return tuple([leaf_of(freeze(a)) for a in theirs(*args, **kwargs)])

    return named(places, name, f"As ``numpy.{name}``, tensors.")


diag_indices = _places("diag_indices")
tril_indices = _places("tril_indices")
triu_indices = _places("triu_indices")


def empty_like(a: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """Zeros in the shape and dtype of another array."""
    return full_like(a, 0, dtype, shape)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """An array filled with one value; a tensor's gradients pass."""
    from stablegrad.numpy.shaping import broadcast_to

    return broadcast_to(array(fill_value, dtype), shape)


def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """An array like another, filled with one value."""
    like = as_tensor(a)
    return full(like.shape if shape is None else shape, fill_value, dtype or like.dtype)


def ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """Ones in the shape and dtype of another array; rules see that they are the number 1."""
    like = as_tensor(a)
    return ones(like.shape if shape is None else shape, dtype=dtype or like.dtype)


def zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """Zeros in the shape and dtype of another array."""
    return full_like(a, 0, dtype, shape)
