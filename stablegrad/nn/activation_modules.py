"""Activations as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from typing import Any

from stablegrad.nn import functional
from stablegrad.nn.functions import FunctionModule
from stablegrad.nn.layers import empty_parameter
from stablegrad.nn.module import Module, Parameter
from stablegrad.tensor import Tensor


class Sigmoid(FunctionModule):
    """1/(1 + exp(-x)), element by element; right in value and gradient in both tails.

    Example:
        >>> x = sg.tensor([-100.0, 0.0, 100.0], requires_grad=True)
        >>> sg.nn.Sigmoid()(x).sum().backward()
        >>> x.grad.numpy()
        array([3.8e-44, 2.5e-01, 3.8e-44], dtype=float32)
    """

    function = staticmethod(functional.sigmoid)


class CELU(FunctionModule):
    """x where it is positive, else alpha*(exp(x/alpha) - 1).

    Args:
        alpha: how far below 0 it reaches.
    """

    function = staticmethod(functional.celu)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class ELU(FunctionModule):
    """x where it is positive, else alpha*(exp(x) - 1).

    Args:
        alpha: how far below 0 it reaches.
    """

    function = staticmethod(functional.elu)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class GELU(FunctionModule):
    """x times the normal distribution function.

    Args:
        approximate: "none" for the function itself, "tanh" for the usual approximation.
    """

    function = staticmethod(functional.gelu)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class GLU(FunctionModule):
    """The first half along an axis times the sigmoid of the second.

    Args:
        dim: the axis.
    """

    function = staticmethod(functional.glu)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class Hardshrink(FunctionModule):
    """x, 0 where it is at most lambd from 0.

    Args:
        lambd: the distance.
    """

    function = staticmethod(functional.hardshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Hardsigmoid(FunctionModule):
    """(x + 3)/6 limited to the range from 0 to 1."""

    function = staticmethod(functional.hardsigmoid)


class Hardswish(FunctionModule):
    """x times ``Hardsigmoid``."""

    function = staticmethod(functional.hardswish)


class Hardtanh(FunctionModule):
    """x limited to a range; its derivative at the ends is 0.

    Args:
        min_val: the lower end.
        max_val: the upper end.
    """

    function = staticmethod(functional.hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__(min_val=min_val, max_val=max_val)


class LeakyReLU(FunctionModule):
    """x where it is positive, else ``negative_slope*x``.

    Args:
        negative_slope: the derivative at 0 and below.
    """

    function = staticmethod(functional.leaky_relu)

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(negative_slope=negative_slope)


class LogSigmoid(FunctionModule):
    """log(sigmoid(x)), element by element."""

    function = staticmethod(functional.logsigmoid)


class LogSoftmax(FunctionModule):
    """x - log(sum(exp(x))) along an axis.

    Args:
        dim: the axis, the last by default.
    """

    function = staticmethod(functional.log_softmax)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class Mish(FunctionModule):
    """x*tanh(softplus(x)), element by element."""

    function = staticmethod(functional.mish)


class ReLU(FunctionModule):
    """The positive part; its derivative at 0 is 0."""

    function = staticmethod(functional.relu)


class ReLU6(FunctionModule):
    """x limited to the range from 0 to 6."""

    function = staticmethod(functional.relu6)


class SELU(FunctionModule):
    """The self-normalising elu of Klambauer et al. 2017."""

    function = staticmethod(functional.selu)


class SiLU(FunctionModule):
    """x*sigmoid(x), element by element."""

    function = staticmethod(functional.silu)


class Softmax(FunctionModule):
    """exp(x)/sum(exp(x)) along an axis.

    Args:
        dim: the axis, the last by default.
    """

    function = staticmethod(functional.softmax)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class Softmin(FunctionModule):
    """The softmax of -x along an axis.

    Args:
        dim: the axis, the last by default.
    """

    function = staticmethod(functional.softmin)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class Softplus(FunctionModule):
    """log(1 + exp(beta*x))/beta, element by element.

    Args:
        beta: the sharpness of the bend.
        threshold: accepted as torch has it; not needed, because nothing overflows.
    """

    function = staticmethod(functional.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Softshrink(FunctionModule):
    """x moved towards 0 by lambd, 0 where it is nearer than that.

    Args:
        lambd: the distance.
    """

    function = staticmethod(functional.softshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Softsign(FunctionModule):
    """x/(1 + |x|), element by element."""

    function = staticmethod(functional.softsign)


class Tanh(FunctionModule):
    """The hyperbolic tangent, element by element."""

    function = staticmethod(functional.tanh)


class Tanhshrink(FunctionModule):
    """x - tanh(x), element by element."""

    function = staticmethod(functional.tanhshrink)


class Threshold(FunctionModule):
    """x where it is above the threshold, else ``value``.

    Args:
        threshold: where x begins.
        value: what stands below.
    """

    function = staticmethod(functional.threshold)

    def __init__(self, threshold: float, value: float) -> None:
        super().__init__(threshold=threshold, value=value)


class PReLU(Module):
    """x where it is positive, else x times a weight that is learnt.

    Args:
        num_parameters: one for all, or as many as there are channels.
        init: the first value of the weights.
        dtype: of the weights; the default dtype if None.

    Attributes:
        weight: shape (num_parameters,).
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = None) -> None:
        super().__init__()
        self.weight = empty_parameter((num_parameters,), dtype, init)

    def forward(self, input: Any) -> Tensor:
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.weight.size}"
