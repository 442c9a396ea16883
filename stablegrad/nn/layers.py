"""Layers: linear maps, activations, containers, with torch.nn's names and meanings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from stablegrad.errors import DomainError, DTypeError, ShapeError, message
from stablegrad.nn import functional, init
from stablegrad.nn.module import Module, Parameter
from stablegrad.ops.structured import integer
from stablegrad.tensor import Tensor, as_tensor, get_default_dtype


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
        dtype = get_default_dtype() if dtype is None else dtype
        generator = init.generator_of(seed)
        self.weight = Parameter([[0.0] * in_features] * out_features, dtype=dtype)
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        init.uniform_(self.weight, -bound, bound, generator)
        self.bias = None
        if bias:
            self.bias = added = Parameter([0.0] * out_features, dtype=dtype)
            init.uniform_(added, -bound, bound, generator)

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


class Sequential(Module):
    """Modules one after the other.

    Args:
        modules: the modules, or one mapping from names to modules.

    Raises:
        DTypeError: what is no module.

    Example:
        >>> sg.nn.Sequential(sg.nn.Linear(2, 3), sg.nn.Sigmoid())
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): Sigmoid()
        )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = list(modules[0].items())
        else:
            named = [(str(i), m) for i, m in enumerate(modules)]
        for name, module in named:
            if not isinstance(module, Module):
                hint = "Did you mean a module's instance, with parentheses?"
                raise DTypeError(
                    message(
                        f"{module!r} in Sequential", "a module", hint if callable(module) else ""
                    )
                )
            setattr(self, name, module)

    def _list(self) -> list[Module]:
        return [m for m in vars(self).values() if isinstance(m, Module)]

    def forward(self, input: Any) -> Any:
        for module in self._list():
            input = module(input)
        return input

    def append(self, module: Module) -> Sequential:
        """Add a module at the end; returns the container."""
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._list())

    def __getitem__(self, index: int | slice) -> Any:
        found = self._list()[index]
        return Sequential(*found) if isinstance(found, list) else found


# -- activations --------------------------------------------------------------------------


class Sigmoid(Module):
    """1/(1 + exp(-x)), element by element; right in value and gradient in both tails.

    Example:
        >>> x = sg.tensor([-100.0, 0.0, 100.0], requires_grad=True)
        >>> sg.nn.Sigmoid()(x).sum().backward()
        >>> x.grad.numpy()
        array([3.8e-44, 2.5e-01, 3.8e-44], dtype=float32)
    """

    def forward(self, input: Any) -> Tensor:
        return functional.sigmoid(input)


class LogSigmoid(Module):
    """log(sigmoid(x)), element by element."""

    def forward(self, input: Any) -> Tensor:
        return functional.logsigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent, element by element."""

    def forward(self, input: Any) -> Tensor:
        return functional.tanh(input)


class ReLU(Module):
    """The positive part; its derivative at 0 is 0."""

    def forward(self, input: Any) -> Tensor:
        return functional.relu(input)


class LeakyReLU(Module):
    """x where it is positive, else ``negative_slope*x``.

    Args:
        negative_slope: the derivative at 0 and below.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Tensor:
        return functional.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Softplus(Module):
    """log(1 + exp(beta*x))/beta, element by element.

    Args:
        beta: the sharpness of the bend.
        threshold: accepted as torch has it; not needed, because nothing overflows.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Tensor:
        return functional.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class _AlongAxis(Module):
    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongAxis):
    """exp(x)/sum(exp(x)) along an axis.

    Args:
        dim: the axis, the last by default.
    """

    def forward(self, input: Any) -> Tensor:
        return functional.softmax(input, self.dim)


class LogSoftmax(_AlongAxis):
    """x - log(sum(exp(x))) along an axis.

    Args:
        dim: the axis, the last by default.
    """

    def forward(self, input: Any) -> Tensor:
        return functional.log_softmax(input, self.dim)
