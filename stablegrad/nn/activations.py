"""Activations, with torch.nn.functional's names and meanings.

At a kink the derivative is that of the left side: relu'(0) = 0.
"""

from __future__ import annotations

from typing import Any

from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, UnknownNameError, message
from stablegrad.ir import OPS
from stablegrad.ops.shape import split
from stablegrad.tensor import Tensor, as_tensor

# Klambauer et al. 2017, to float64
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


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


def hardsigmoid(input: Any) -> Tensor:
    """(x + 3)/6 limited to the range from 0 to 1; its derivative at the ends is 0."""
    return ops.minimum(ops.maximum(as_tensor(input) + 3, 0), 6) / 6


def hardswish(input: Any) -> Tensor:
    """x times ``hardsigmoid(x)`` (Howard et al. 2019)."""
    x = as_tensor(input)
    return x * hardsigmoid(x)


def threshold(input: Any, threshold: float, value: float) -> Tensor:
    """x where it is above the threshold, else ``value``."""
    x = as_tensor(input)
    return ops.where(x > threshold, x, value)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, else negative_slope*x, whose derivative counts at 0.

    Example:
        >>> sg.grad(sg.nn.functional.leaky_relu)(0.0).item()
        0.009999999776482582
    """
    x = as_tensor(input)
    return ops.where(x > 0, x, x * negative_slope)


def prelu(input: Any, weight: Any) -> Tensor:
    """x where it is positive, else weight*x, with one weight or one for each channel.

    Args:
        input: any shape, (n, channels, ...) for several weights.
        weight: shape (1,), (channels,) or a scalar.

    Raises:
        ShapeError: as many weights as are neither one nor the channels.
    """
    x, w = as_tensor(input), as_tensor(weight)
    if w.size != 1:
        if x.ndim < 2 or w.shape != (x.shape[1],):
            raise ShapeError(
                message(f"weights of shape {w.shape} for {x.shape}", "one, or one a channel")
            )
        w = w.reshape((-1, *[1] * (x.ndim - 2)))
    elif w.ndim:
        w = w.reshape(())
    return ops.where(x > 0, x, x * w)


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
    """x*sigmoid(x), element by element; 4 ulp at orders 0, 1, 2.

    Example:
        >>> sg.nn.functional.silu(-200.0).item()
        -0.0
    """
    return ops.silu(as_tensor(input))


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x times the normal distribution function, element by element; 4 ulp at orders 0, 1, 2.

    Args:
        input: any shape.
        approximate: "none" for the function itself, "tanh" for the usual approximation.

    Returns:
        A tensor of the shape of the input.

    Raises:
        UnknownNameError: another name.
    """
    if approximate not in ("none", "tanh"):
        raise UnknownNameError(message(f"approximate={approximate!r}", "'none' or 'tanh'"))
    return OPS["gelu" if approximate == "none" else "gelu_tanh"](as_tensor(input))


def mish(input: Any) -> Tensor:
    """x*tanh(softplus(x)), element by element (Misra 2019); 4 ulp at orders 0, 1, 2."""
    return ops.mish(as_tensor(input))


def softsign(input: Any) -> Tensor:
    """x/(1 + |x|), element by element; 4 ulp at orders 0, 1, 2."""
    return ops.softsign(as_tensor(input))


def tanhshrink(input: Any) -> Tensor:
    """x - tanh(x), element by element; 4 ulp at orders 0, 1, 2."""
    return ops.tanhshrink(as_tensor(input))


def softshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, 0 where it is nearer than that.

    Raises:
        DomainError: a negative lambd.
    """
    if not lambd >= 0:
        raise DomainError(message(f"lambd={lambd}", "0 or more"))
    x = as_tensor(input)
    return ops.where(x > lambd, x - lambd, ops.where(x < -lambd, x + lambd, x * 0))


def hardshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x, 0 where it is at most lambd from 0."""
    x = as_tensor(input)
    return ops.where(ops.abs(x) <= lambd, 0.0, x)


def glu(input: Any, dim: int = -1) -> Tensor:
    """The first half along an axis times the sigmoid of the second (Dauphin et al. 2017).

    Raises:
        ShapeError: an axis of odd length.

    Example:
        >>> sg.nn.functional.glu([3.0, 0.0]).numpy()
        array([1.5], dtype=float32)
    """
    x = as_tensor(input)
    if x.ndim == 0 or x.shape[dim] % 2:
        raise ShapeError(message(f"glu of shape {x.shape}", "an axis of even length"))
    first, second = split(x, 2, dim)
    return first * ops.sigmoid(second)


def softmax(input: Any, dim: int = -1) -> Tensor:
    """exp(x)/sum(exp(x)) along ``dim``, the last by default; 0 where every x is -inf.

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
