"""Functions with torch.nn.functional's names and meanings.

Each is written in plain ops: what is fragile in it, values and derivatives of every order, is
the business of the rules. At a kink the derivative is that of the left side: relu'(0) = 0.
"""

from __future__ import annotations

from typing import Any

from stablegrad import ops
from stablegrad.errors import ShapeError, UnknownNameError, message
from stablegrad.function import custom_gradient
from stablegrad.ir import OPS
from stablegrad.nn.losses_functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
)
from stablegrad.tensor import Tensor, as_tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "cross_entropy",
    "elu",
    "gelu",
    "hardtanh",
    "huber_loss",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "mish",
    "mse_loss",
    "nll_loss",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
]

# Klambauer et al. 2017, to float64
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946
_GELU_SLOPE = 0.7978845608028654  # sqrt(2/pi)


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """``input @ weight.T + bias``.

    Args:
        input: shape (..., in).
        weight: shape (out, in).
        bias: shape (out,), or None.

    Returns:
        A tensor of shape (..., out).

    Raises:
        ShapeError: shapes that do not fit together.

    Example:
        >>> sg.nn.functional.linear([1.0, 2.0], [[3.0, 4.0]], [0.5]).numpy()
        array([11.5], dtype=float32)
    """
    x, w = as_tensor(input), as_tensor(weight)
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise ShapeError(
            message(
                f"an input of shape {x.shape} for a weight of shape {w.shape}",
                f"an input of shape (..., {w.shape[-1] if w.ndim else 'in'}) and a weight "
                "of shape (out, in)",
            )
        )
    y = x @ w.T
    if bias is None:
        return y
    b = as_tensor(bias)
    if b.shape not in ((), w.shape[:1]):
        raise ShapeError(message(f"a bias of shape {b.shape}", f"the shape {w.shape[:1]}"))
    return y + b


# -- activations --------------------------------------------------------------------------


def sigmoid(input: Any) -> Tensor:
    """The logistic function 1/(1 + exp(-x)), element by element; 4 ulp at orders 0, 1, 2.

    Example:
        >>> sg.grad(sg.nn.functional.sigmoid)(100.0).item() > 0
        True
    """
    return ops.sigmoid(as_tensor(input))


def logsigmoid(input: Any) -> Tensor:
    """log(sigmoid(x)), element by element; 4 ulp at orders 0, 1, 2.

    Example:
        >>> sg.nn.functional.logsigmoid(-200.0).item()
        -200.0
    """
    return ops.log_sigmoid(as_tensor(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta*x))/beta, element by element; 4 ulp at orders 0, 1, 2.

    Args:
        input: any shape.
        beta: the sharpness of the bend.
        threshold: accepted as torch has it; not needed, because nothing overflows.

    Returns:
        A tensor of the shape of the input.

    Example:
        >>> sg.nn.functional.softplus(-100.0).item() > 0
        True
    """
    x = as_tensor(input)
    return ops.softplus(x) if beta == 1 else ops.softplus(x * beta) / beta


def tanh(input: Any) -> Tensor:
    """The hyperbolic tangent, element by element; 4 ulp at orders 0, 1, 2."""
    return ops.tanh(as_tensor(input))


def relu(input: Any) -> Tensor:
    """The positive part; its derivative at 0 is 0.

    Example:
        >>> sg.grad(sg.nn.functional.relu)(0.0).item()
        0.0
    """
    return ops.maximum(as_tensor(input), 0)


def relu6(input: Any) -> Tensor:
    """x limited to the range from 0 to 6; its derivative at the ends is 0."""
    return hardtanh(input, 0, 6)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to the range from min_val to max_val; its derivative at the ends is 0."""
    return ops.minimum(ops.maximum(as_tensor(input), min_val), max_val)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, else negative_slope*x, whose derivative counts at 0.

    Example:
        >>> sg.grad(sg.nn.functional.leaky_relu)(0.0).item()
        0.009999999776482582
    """
    x = as_tensor(input)
    return ops.where(x > 0, x, x * negative_slope)


def elu(input: Any, alpha: float = 1.0) -> Tensor:
    """x where it is positive, else alpha*(exp(x) - 1)."""
    x = as_tensor(input)
    return ops.where(x > 0, x, ops.expm1(x) * alpha)


def celu(input: Any, alpha: float = 1.0) -> Tensor:
    """x where it is positive, else alpha*(exp(x/alpha) - 1)."""
    x = as_tensor(input)
    return ops.where(x > 0, x, ops.expm1(x / alpha) * alpha)


def selu(input: Any) -> Tensor:
    """The self-normalising elu of Klambauer et al. 2017."""
    return elu(input, _SELU_ALPHA) * _SELU_SCALE


def silu(input: Any) -> Tensor:
    """x*sigmoid(x), element by element.

    Example:
        >>> sg.nn.functional.silu(-200.0).item()
        -0.0
    """
    x = as_tensor(input)
    return x * ops.sigmoid(x)


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x times the normal distribution function, element by element.

    Args:
        input: any shape.
        approximate: "none" for the function itself, "tanh" for the usual approximation.

    Returns:
        A tensor of the shape of the input.

    Raises:
        UnknownNameError: another name.
    """
    x = as_tensor(input)
    if approximate == "none":
        return x * ops.ndtr(x)
    if approximate == "tanh":
        return 0.5 * x * (1 + ops.tanh(_GELU_SLOPE * (x + 0.044715 * x**3)))
    raise UnknownNameError(message(f"approximate={approximate!r}", "'none' or 'tanh'"))


def mish(input: Any) -> Tensor:
    """x*tanh(softplus(x)), element by element (Misra 2019)."""
    x = as_tensor(input)
    return x * ops.tanh(ops.softplus(x))


def softsign(input: Any) -> Tensor:
    """x/(1 + |x|), element by element, with derivative 1/(1 + |x|)**2."""
    return _softsign(as_tensor(input))


@custom_gradient
def _softsign(x: Tensor) -> Any:
    # of its own, because 1/(1 + |x|) - |x|/(1 + |x|)**2 cancels: 207 ulp at x = -615
    below = 1 + ops.abs(x)
    return x / below, lambda upstream: upstream / below / below


def softmax(input: Any, dim: int = -1) -> Tensor:
    """exp(x)/sum(exp(x)) along ``dim``, the last by default.

    Example:
        >>> sg.nn.functional.softmax([0.0, 1000.0]).numpy()
        array([0., 1.], dtype=float32)
    """
    return OPS["softmax"](as_tensor(input), axis=dim)


def softmin(input: Any, dim: int = -1) -> Tensor:
    """The softmax of -x along ``dim``."""
    return OPS["softmax"](-as_tensor(input), axis=dim)


def log_softmax(input: Any, dim: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along ``dim``, the last by default.

    Example:
        >>> sg.nn.functional.log_softmax([0.0, 1000.0]).numpy()
        array([-1000.,     0.], dtype=float32)
    """
    return OPS["log_softmax"](as_tensor(input), axis=dim)
