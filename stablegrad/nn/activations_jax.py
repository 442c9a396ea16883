"""Activations that jax.nn has and torch.nn.functional has not, with jax.nn's names."""

from __future__ import annotations

import math
from typing import Any

from stablegrad import ops
from stablegrad.numpy.elementwise import operands
from stablegrad.tensor import Tensor, as_tensor


def squareplus(x: Any, b: Any = 4.0) -> Tensor:
    """(x + sqrt(x*x + b)) / 2, for x below 0 as b / (2 (sqrt(x*x + b) - x)).

    Args:
        x: an array.
        b: a positive number, or an array of them.

    Returns:
        An array, differentiable in both.

    Example:
        >>> sg.nn.functional.squareplus([-1e10, 0.0]).numpy()
        array([1.e-10, 1.e+00], dtype=float32)
    """
    t, width = operands(x, b)
    root = ops.hypot(t, ops.sqrt(width))
    below = ops.where(t < 0, t, -1.0)
    left = 0.5 * width / (ops.where(t < 0, root, 1.0) - below)
    return ops.where(t < 0, left, 0.5 * (ops.where(t < 0, 0.0, t) + root))


def sparse_plus(x: Any) -> Tensor:
    """0 up to -1, (x + 1)**2/4 up to 1, x beyond."""
    t = as_tensor(x)
    return ops.where(t <= -1, 0.0, ops.where(t >= 1, t, 0.25 * ops.square(t + 1)))


def sparse_sigmoid(x: Any) -> Tensor:
    """0 up to -1, (x + 1)/2 up to 1, 1 beyond; its derivative at the kinks is 0."""
    t = as_tensor(x)
    return ops.where(t <= -1, 0.0, ops.where(t >= 1, 1.0, 0.5 * (t + 1)))


def log1mexp(x: Any) -> Tensor:
    """log(1 - exp(-x)) for x > 0, as jax.nn has it: of -x, where ``sg.ops.log1mexp`` takes x."""
    return ops.log1mexp(-as_tensor(x))


def logmeanexp(a: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The logarithm of the mean of exponentials over axes, all by default."""
    x = as_tensor(a)
    found = ops.logsumexp(x, axis=axis, keepdims=keepdims)
    return found - math.log(x.size / max(found.size, 1)) if x.size else found


def standardize(x: Any, axis: Any = -1, epsilon: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) along axes; a constant row gives zeros.

    Args:
        x: an array.
        axis: the axis or axes.
        epsilon: added to the variance.

    Returns:
        A tensor of the shape of x; n*eps relative to the greatest deviation, for inputs of any
        size and mean.

    Example:
        >>> sg.nn.functional.standardize([1e30, 1e30, 4e30]).numpy()
        array([-0.70710677, -0.70710677,  1.4142135 ], dtype=float32)
    """
    t = as_tensor(x)
    return ops.standardize(t, axis=axis, eps=epsilon)
