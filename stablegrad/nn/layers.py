"""Layers: linear maps, tables, dropout and shapes, with torch.nn's names and meanings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.nn import functional, init
from stablegrad.nn.module import Module, Parameter
from stablegrad.ops.structured import integer, normal_axis
from stablegrad.tensor import Tensor, as_tensor, get_default_dtype


def empty_parameter(shape: Sequence[int], dtype: Any, fill: float = 0.0) -> Parameter:
    """A parameter filled with one number, of the default dtype if ``dtype`` is None."""
    return Parameter(np.full(tuple(shape), fill, get_default_dtype() if dtype is None else dtype))


def uniform_parameters(
    shape: Sequence[int], outs: int, bias: bool, dtype: Any, seed: init.Seed
) -> tuple[Parameter, Parameter | None]:
    """A weight of shape (out, in, ...) and a bias, uniform as torch draws them."""
    fan = math.prod(shape[1:])
    bound = 1 / math.sqrt(fan) if fan else 0.0
    generator = init.generator_of(seed)
    weight = empty_parameter(shape, dtype)
    init.uniform_(weight, -bound, bound, generator)
    if not bias:
        return weight, None
    added = empty_parameter((outs,), dtype)
    init.uniform_(added, -bound, bound, generator)
    return weight, added


class Identity(Module):
    """Gives what it gets; takes any arguments, and ignores them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Tensor:
        return as_tensor(input)


class Linear(Module):
    """``x @ weight.T + bias``.

    Args:
        in_features: the length of the last axis of the input.
        out_features: the length of the last axis of the result.
        bias: whether to add one.
        dtype: of the parameters; the default dtype if None.
        seed: a seed or a numpy.random.Generator for the initial values, which are uniform
            between -1/sqrt(in_features) and 1/sqrt(in_features), as torch draws them.

    Attributes:
        weight: shape (out_features, in_features).
        bias: shape (out_features,), or None.

    Raises:
        DomainError: a negative number of features.
        DTypeError: a number of features that is no integer.

    Example:
        >>> layer = sg.nn.Linear(3, 2, seed=0)
        >>> layer
        Linear(in_features=3, out_features=2, bias=True)
        >>> layer(np.ones((5, 3), np.float32)).shape
        (5, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if integer(value, name) < 0:
                raise DomainError(message(f"{name}={value!r}", "an integer of 0 or more"))
        self.in_features = in_features
        self.out_features = out_features
        shape = (out_features, in_features)
        self.weight, self.bias = uniform_parameters(shape, out_features, bias, dtype, seed)

    def forward(self, input: Any) -> Tensor:
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Flatten(Module):
    """Joins the axes from ``start_dim`` to ``end_dim`` into one.

    Args:
        start_dim: the first axis to join.
        end_dim: the last axis to join.

    Example:
        >>> sg.nn.Flatten()(np.zeros((5, 2, 3))).shape
        (5, 6)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Tensor:
        x = as_tensor(input)
        ndim = max(1, x.ndim)
        first, last = (d + ndim if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < ndim:
            raise ShapeError(
                message(
                    f"Flatten({self.start_dim}, {self.end_dim}) of shape {x.shape}",
                    "axes of the input, in their order",
                )
            )
        joined = math.prod(x.shape[first : last + 1])
        return x.reshape((*x.shape[:first], joined, *x.shape[last + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Cuts one axis into several.

    Args:
        dim: the axis.
        unflattened_size: the lengths of the new axes.

    Example:
        >>> sg.nn.Unflatten(1, (2, 3))(np.zeros((5, 6))).shape
        (5, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Any) -> Tensor:
        x = as_tensor(input)
        axis = normal_axis(self.dim, x.ndim, "Unflatten")
        return x.reshape((*x.shape[:axis], *self.unflattened_size, *x.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Embedding(Module):
    """The rows of a table at integer places.

    Args:
        num_embeddings: how many rows the table has.
        embedding_dim: how long a row is.
        padding_idx: a row that starts at 0 and gets no gradient.
        dtype: of the table; the default dtype if None.
        seed: a seed or a numpy.random.Generator for the initial values, which are normal.

    Attributes:
        weight: shape (num_embeddings, embedding_dim).

    Example:
        >>> sg.nn.Embedding(10, 3, seed=0)([[1, 2], [1, 9]]).shape
        (2, 2, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = empty_parameter((num_embeddings, embedding_dim), dtype)
        init.normal_(self.weight, generator=seed)
        if padding_idx is not None:
            values = self.weight.numpy().copy()
            values[padding_idx] = 0
            self.weight.assign_(values)

    def forward(self, input: Any) -> Tensor:
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(Module):
    """In training each element is 0 with probability p, else divided by 1 - p.

    Args:
        p: the probability.
        seed: a seed or a numpy.random.Generator of its own; None shares the one that
            ``sg.nn.init.manual_seed`` seeds.

    Example:
        >>> layer = sg.nn.Dropout(0.5, seed=0)
        >>> layer(np.ones(4, np.float32)).numpy()
        array([2., 0., 0., 0.], dtype=float32)
        >>> layer.eval()(np.ones(4, np.float32)).numpy()
        array([1., 1., 1., 1.], dtype=float32)
    """

    _function = staticmethod(functional.dropout)

    def __init__(self, p: float = 0.5, *, seed: init.Seed = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise DomainError(message(f"p={p}", "a probability"))
        self.p = p
        self.generator = None if seed is None else init.generator_of(seed)

    def forward(self, input: Any) -> Tensor:
        return self._function(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout1d(Dropout):
    """As ``Dropout``, whole channels at a time: inputs of shape (n, channels, ...)."""

    _function = staticmethod(functional.dropout1d)


class Dropout2d(Dropout1d):
    """As ``Dropout``, whole channels at a time: inputs of shape (n, channels, height, width)."""


class Dropout3d(Dropout1d):
    """As ``Dropout``, whole channels at a time: inputs of shape (n, channels, d, h, w)."""
