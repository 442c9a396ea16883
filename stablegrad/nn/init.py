"""Initial values of parameters, as torch.nn.init has them.

Every function takes a ``generator``: a seed, a ``numpy.random.Generator``, or None for the one
that ``manual_seed`` seeds. It starts from seed 0, so that programs repeat themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from stablegrad.errors import DomainError, ShapeError, UnknownNameError, message
from stablegrad.tensor import Tensor

Seed = int | np.random.Generator | None
"""Where random numbers come from: a seed, a generator, or None for the shared generator."""

_shared = [np.random.default_rng(0)]


def manual_seed(seed: int) -> None:
    """Seed the generator that is used where none is given.

    Example:
        >>> sg.nn.init.manual_seed(1)
        >>> a = sg.nn.Linear(2, 2)
        >>> sg.nn.init.manual_seed(1)
        >>> b = sg.nn.Linear(2, 2)
        >>> bool((a.weight.numpy() == b.weight.numpy()).all())
        True
    """
    _shared[0] = np.random.default_rng(seed)


def generator_of(seed: Seed) -> np.random.Generator:
    """The generator that a seed stands for."""
    return _shared[0] if seed is None else np.random.default_rng(seed)


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor.assign_(np.broadcast_to(np.asarray(values, tensor.dtype), tensor.shape))
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Seed = None) -> Tensor:
    """Draw values from a <= value < b.

    Args:
        tensor: a leaf of any shape.
        a: the lower end.
        b: the upper end.
        generator: see the module.

    Returns:
        The tensor itself.

    Example:
        >>> x = sg.nn.init.uniform_(sg.nn.Parameter([0.0, 0.0]), 1, 2, generator=0)
        >>> bool(((x >= 1) & (x < 2)).numpy().all())
        True
    """
    return _fill(tensor, generator_of(generator).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Seed = None) -> Tensor:
    """Draw values from the normal distribution.

    Args:
        tensor: a leaf of any shape.
        mean: the mean.
        std: the standard deviation.
        generator: see the module.

    Returns:
        The tensor itself.

    Raises:
        DomainError: a negative standard deviation.
    """
    if not std >= 0:
        raise DomainError(message(f"std={std}", "a standard deviation of 0 or more"))
    return _fill(tensor, generator_of(generator).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every value to ``val``; returns the tensor."""
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Set every value to 0; returns the tensor."""
    return _fill(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Set every value to 1; returns the tensor."""
    return _fill(tensor, 1)


_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations through a nonlinearity.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "selu" or "leaky_relu".
        param: the negative slope of "leaky_relu", 0.01 by default.

    Raises:
        UnknownNameError: another name.

    Example:
        >>> sg.nn.init.calculate_gain("linear")
        1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        names = [*_GAINS, "leaky_relu"]
        raise UnknownNameError(message(f"the nonlinearity {nonlinearity!r}", f"one of {names}"))
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ShapeError(
            message(f"a tensor of shape {tensor.shape}", "2 dimensions at least: (out, in, ...)")
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str) -> int:
    fan_in, fan_out = _fans(tensor)
    if mode not in ("fan_in", "fan_out"):
        raise UnknownNameError(message(f"mode={mode!r}", "'fan_in' or 'fan_out'"))
    return max(1, fan_in if mode == "fan_in" else fan_out)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Seed = None,
) -> Tensor:
    """Draw uniformly, with a bound that keeps the variance through rectifiers (He et al. 2015).

    Args:
        tensor: a leaf of shape (out, in, ...).
        a: the negative slope, for "leaky_relu".
        mode: keep the variance forward ("fan_in") or backward ("fan_out").
        nonlinearity: see ``calculate_gain``.
        generator: see the module.

    Returns:
        The tensor itself.

    Raises:
        ShapeError: fewer than two dimensions.
        UnknownNameError: an unknown mode or nonlinearity.
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Seed = None,
) -> Tensor:
    """Draw normally, keeping the variance through rectifiers (He et al. 2015).

    Arguments, returns and errors are those of ``kaiming_uniform_``.
    """
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Seed = None) -> Tensor:
    """Draw uniformly, keeping the variance both ways (Glorot and Bengio 2010).

    Args:
        tensor: a leaf of shape (out, in, ...).
        gain: see ``calculate_gain``.
        generator: see the module.

    Returns:
        The tensor itself.

    Raises:
        ShapeError: fewer than two dimensions.
    """
    bound = gain * math.sqrt(6.0 / max(1, sum(_fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Seed = None) -> Tensor:
    """Draw normally, keeping the variance both ways (Glorot and Bengio 2010).

    Arguments, returns and errors are those of ``xavier_uniform_``.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(1, sum(_fans(tensor)))), generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Seed = None,
) -> Tensor:
    """Draw values from the normal distribution, none outside of a <= value <= b.

    Args:
        tensor: a leaf of any shape.
        mean: the mean of the distribution before it is cut.
        std: its standard deviation.
        a: the lower end.
        b: the upper end.
        generator: see the module.

    Returns:
        The tensor itself.

    Raises:
        DomainError: a standard deviation that is not positive, or ends in the wrong order.
    """
    if not (std > 0 and a < b):
        raise DomainError(message(f"std={std} between {a} and {b}", "std > 0 and a < b"))
    low, high = (a - mean) / std, (b - mean) / std
    sign = -1 if low > 0 else 1  # by the lower tail, where ndtr keeps its digits
    low, high = sorted((sign * low, sign * high))
    shares = generator_of(generator).uniform(ndtr(low), ndtr(high), tensor.shape)
    values = mean + std * sign * ndtri(shares)
    return _fill(tensor, np.clip(values, a, b))


def eye_(tensor: Tensor) -> Tensor:
    """Make a matrix the identity, or as much of it as fits; returns it."""
    if tensor.ndim != 2:
        raise ShapeError(message(f"a tensor of shape {tensor.shape}", "a matrix"))
    rows, columns = tensor.shape
    return _fill(tensor, np.eye(rows, columns))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Seed = None) -> Tensor:
    """Make rows, or columns if there are fewer, orthogonal (Saxe, McClelland and Ganguli 2014).

    Args:
        tensor: a leaf of shape (out, in, ...), taken as a matrix of ``out`` rows.
        gain: the length of each.
        generator: see the module.

    Returns:
        The tensor itself.

    Raises:
        ShapeError: fewer than two dimensions.

    Example:
        >>> w = sg.nn.init.orthogonal_(sg.nn.Parameter(np.zeros((2, 3))), generator=0).numpy()
        >>> bool(np.allclose(w @ w.T, np.eye(2)))
        True
    """
    _fans(tensor)
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    normal = generator_of(generator).normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q = q * np.sign(np.diagonal(r))  # without it the distribution is not uniform
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))
