"""Arrays from nothing, with NumPy's defaults for dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.tensor import Tensor, as_tensor, tensor
from stablegrad.tensor.cells import as_dtype, freeze
from stablegrad.tensor.core import leaf_of
from stablegrad.tensor.naming import named


def array(object: Any, dtype: Any = None, copy: bool = True) -> Tensor:
    """A tensor with the data; Python floats become float64, as in NumPy."""
    if isinstance(object, Tensor):
        return object if dtype is None else object.astype(dtype)
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
        return leaf_of(freeze(theirs(*plain, **kwargs)))

    return named(create, name, f"As ``numpy.{name}``, a tensor.")


arange = _created("arange")
empty = _created("zeros")
eye = _created("eye")
identity = _created("identity")
linspace = _created("linspace")
logspace = _created("logspace")
ones = _created("ones")
bartlett, blackman = _created("bartlett"), _created("blackman")
hamming, hanning, kaiser = _created("hamming"), _created("hanning"), _created("kaiser")
geomspace = _created("geomspace")
indices = _created("indices")
tri = _created("tri")
zeros = _created("zeros")


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
