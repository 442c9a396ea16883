"""Normalisation and what compares vectors, with torch.nn.functional's names and meanings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.ops.exact import exact_ratio
from stablegrad.ops.record import is_float
from stablegrad.ops.structured import normal_axis
from stablegrad.tensor import Tensor, as_tensor, no_grad


def _scaled(y: Tensor, weight: Any, bias: Any, shape: Sequence[int]) -> Tensor:
    """y * weight + bias, both brought to ``shape``."""
    if weight is not None:
        y = y * _fitted("weight", weight, shape)
    return y if bias is None else y + _fitted("bias", bias, shape)


def _fitted(name: str, value: Any, shape: Sequence[int]) -> Tensor:
    t = as_tensor(value)
    if t.shape != tuple([n for n in shape if n != 1]) and t.shape != tuple(shape):
        raise ShapeError(message(f"a {name} of shape {t.shape}", f"the shape {tuple(shape)}"))
    return t.reshape(tuple(shape))


def lengths_of(normalized_shape: Any) -> tuple[int, ...]:
    """The lengths of axes, given as a sequence or as one number."""
    many = normalized_shape if isinstance(normalized_shape, Iterable) else (normalized_shape,)
    return tuple(many)


def _last_axes(name: str, x: Tensor, normalized_shape: Any) -> tuple[int, ...]:
    shape = lengths_of(normalized_shape)
    if not shape or x.shape[x.ndim - len(shape) :] != shape:
        raise ShapeError(
            message(f"{name} of an input of shape {x.shape}", f"a shape that ends with {shape}")
        )
    return shape


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean)/sqrt(var + eps) over the last axes, times a weight, plus a bias.

    Args:
        input: any shape.
        normalized_shape: the lengths of the last axes, over which is normalised.
        weight: of that shape, or None.
        bias: of that shape, or None.
        eps: added to the variance.

    Returns:
        A tensor of the shape of the input; n*eps relative to the greatest deviation, for inputs
        of any size, any mean and a variance of 0.

    Raises:
        ShapeError: an input that does not end with that shape.

    Example:
        >>> sg.nn.functional.layer_norm([1e30, 1e30, 4e30], 3).numpy()
        array([-0.70710677, -0.70710677,  1.4142135 ], dtype=float32)
    """
    x = as_tensor(input)
    shape = _last_axes("layer_norm", x, normalized_shape)
    y = ops.standardize(x, axis=tuple(range(-len(shape), 0)), eps=eps)
    return _scaled(y, weight, bias, shape)


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Tensor:
    """x/sqrt(mean(x*x) + eps) over the last axes, times a weight.

    Args:
        input: any shape.
        normalized_shape: the lengths of the last axes, over which is normalised.
        weight: of that shape, or None.
        eps: added to the mean of squares; the machine epsilon of the dtype by default.
    """
    x = as_tensor(input)
    shape = _last_axes("rms_norm", x, normalized_shape)
    small = float(ml_dtypes.finfo(x.dtype).eps) if eps is None else eps
    y = ops.standardize(x, axis=tuple(range(-len(shape), 0)), eps=small, centered=False)
    return _scaled(y, weight, None, shape)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean)/sqrt(var + eps) over groups of channels and all their places.

    Args:
        input: shape (n, channels, ...).
        num_groups: into how many groups channels are cut.
        weight: shape (channels,), or None.
        bias: shape (channels,), or None.
        eps: added to the variance.

    Raises:
        ShapeError: channels that the groups do not divide.
    """
    x = as_tensor(input)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            message(
                f"group_norm of shape {x.shape} in {num_groups} groups",
                "(n, channels, ...), channels that the groups divide",
            )
        )
    rows = x.reshape((x.shape[0], num_groups, -1 if x.size else 0))
    y = ops.standardize(rows, axis=(-1,), eps=eps).reshape(x.shape)
    return _scaled(y, weight, bias, (x.shape[1], *[1] * (x.ndim - 2)))


def instance_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """(x - mean)/sqrt(var + eps) over all places of each channel of each input."""
    return group_norm(input, as_tensor(input).shape[1], weight, bias, eps)


def batch_norm(
    input: Any,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean)/sqrt(var + eps) of each channel, over the batch and all places.

    Args:
        input: shape (n, channels, ...).
        running_mean: a leaf of shape (channels,), which training moves; or None.
        running_var: the same for the variance.
        weight: shape (channels,), or None.
        bias: shape (channels,), or None.
        training: whether the mean and variance are those of the batch; without running ones
            they are in any case.
        momentum: how much of the batch's statistics goes into the running ones.
        eps: added to the variance.

    Raises:
        ShapeError: an input without channels, or a single value for each in training.
    """
    x = as_tensor(input)
    if x.ndim < 2:
        raise ShapeError(message(f"batch_norm of shape {x.shape}", "(n, channels, ...)"))
    shape = (x.shape[1], *[1] * (x.ndim - 2))
    if training or running_mean is None or running_var is None:
        axes = (0, *range(2, x.ndim))
        count = x.size // max(x.shape[1], 1)
        if training and count < 2:
            raise ShapeError(
                message(
                    f"batch_norm in training of shape {x.shape}",
                    "more than one value for each channel",
                    "Use eval() to normalise by the running statistics.",
                )
            )
        y = ops.standardize(x, axis=axes, eps=eps)
        if training and running_mean is not None and running_var is not None:
            with no_grad():
                fixed = x.detach()
                _move(running_mean, fixed.mean(axis=axes), momentum)
                _move(running_var, fixed.var(axis=axes, ddof=1), momentum)
        return _scaled(y, weight, bias, shape)
    mean, var = (as_tensor(t).reshape(shape) for t in (running_mean, running_var))
    return _scaled((x - mean) / ops.sqrt(var + eps), weight, bias, shape)


def _move(running: Tensor | np.ndarray[Any, Any], new: Tensor, momentum: float) -> None:
    """Bring a running statistic nearer to a new one: a tensor's value, or an array's in place."""
    moved = ((1 - momentum) * as_tensor(running) + momentum * new).numpy().astype(running.dtype)
    if isinstance(running, Tensor):
        running.assign_(moved)
    else:
        running[...] = moved


# -- vectors ------------------------------------------------------------------------------


def _p_norm(x: Tensor, p: float, axis: int, keepdims: bool) -> Tensor:
    """The p-norm along an axis; its derivative at 0 is 0."""
    if not p > 0:
        raise DomainError(message(f"p={p}", "a positive p, or inf"))
    if p == 2:
        return ops.norm(x, axis=axis, keepdims=keepdims)
    size = ops.abs(x)
    if p == 1:
        return size.sum(axis=axis, keepdims=keepdims)
    if p == float("inf"):
        return size.max(axis=axis, keepdims=keepdims)
    return ops.p_norm(x, axis=axis, keepdims=keepdims, p=exact_ratio(Fraction(p)))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x/max(norm(x), eps) along an axis.

    Args:
        input: any shape with that axis.
        p: which norm.
        dim: the axis.
        eps: the least norm that is divided by.

    Returns:
        A tensor of the shape of the input; n*eps relative, for vectors of any length.

    Example:
        >>> sg.nn.functional.normalize([[3e30, 4e30]]).numpy().round(6)
        array([[0.6, 0.8]], dtype=float32)
    """
    x = as_tensor(input)
    size = _p_norm(x, p, dim, True)
    if p == 2:  # the unit vector has derivatives of its own
        return ops.where(size > eps, ops.unit_vector(x, axis=dim), x / eps)
    return x / ops.maximum(size, eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along an axis; norms count as eps at least.

    Args:
        x1: any shape with that axis.
        x2: a shape that broadcasts with it.
        dim: the axis.
        eps: the least norm that is divided by.

    Example:
        >>> sg.nn.functional.cosine_similarity([1e30, 0.0], [1e30, 1e30], dim=0).item()
        0.7071067690849304
    """
    a, b = as_tensor(x1), as_tensor(x2)
    axis = normal_axis(dim, max(a.ndim, b.ndim), "cosine_similarity")
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = (ops.broadcast_to(t, shape=shape) for t in (a, b))
    return (normalize(a, 2, axis, eps) * normalize(b, 2, axis, eps)).sum(axis=axis)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    Args:
        x1: shape (..., n).
        x2: a shape that broadcasts with it.
        p: which norm.
        eps: added to every difference; with 0 the derivative between equal points is 0.
        keepdim: whether the last axis stays with length 1.

    Example:
        >>> sg.nn.functional.pairwise_distance([3e30, 4e30], [0.0, 0.0]).numpy()
        array(5.e+30, dtype=float32)
    """
    difference = as_tensor(x1) - as_tensor(x2)
    return _p_norm(difference + eps if eps else difference, p, -1, keepdim)


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Tensor:
    """The p-distance of each row of x1 to each row of x2.

    Args:
        x1: shape (..., m, n).
        x2: shape (..., k, n).
        p: which norm.

    Returns:
        A tensor of shape (..., m, k); never by expanded squares, which cancel.
    """
    a, b = as_tensor(x1), as_tensor(x2)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            message(f"cdist of shapes {a.shape} and {b.shape}", "(..., m, n) and (..., k, n)")
        )
    rows = a.reshape((*a.shape[:-1], 1, a.shape[-1]))
    columns = b.reshape((*b.shape[:-2], 1, *b.shape[-2:]))
    return _p_norm(rows - columns, p, -1, False)


def one_hot(target: Any, num_classes: int = -1) -> Tensor:
    """For each class a row of zeros with a one at the class.

    Args:
        target: classes, integers of any shape.
        num_classes: how many there are; one more than the greatest by default.

    Example:
        >>> sg.nn.functional.one_hot([2, 0]).numpy()
        array([[0, 0, 1],
               [1, 0, 0]])
    """
    t = as_tensor(target)
    if t.dtype.kind not in "iu":
        raise DomainError(message(f"classes of dtype {t.dtype}", "integers"))
    values = t.numpy()
    count = int(values.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    if values.size and not 0 <= values.min() <= values.max() < count:
        raise DomainError(
            message(f"classes from {values.min()} to {values.max()}", f"0 to {count - 1}")
        )
    return as_tensor((values[..., None] == np.arange(count)).astype(np.int64))


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """The rows of a table at integer places.

    Args:
        input: places, integers of any shape.
        weight: the table, of shape (rows, n).
        padding_idx: a row that gets no gradient.

    Returns:
        A tensor of shape (*places, n); a row named several times gets all its gradients.

    Raises:
        DomainError: a place outside of the table, or places that are no integers.

    Example:
        >>> sg.nn.functional.embedding([1, 1], [[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([[3., 4.],
               [3., 4.]], dtype=float32)
    """
    places, table = as_tensor(input), as_tensor(weight)
    if table.ndim != 2 or not is_float(table.dtype):
        raise ShapeError(message(f"a table of shape {table.shape}", "a table of shape (rows, n)"))
    if places.dtype.kind not in "iu":
        raise DomainError(message(f"places of dtype {places.dtype}", "integers"))
    rows = table.shape[0]
    values = places.numpy()
    if values.size and not 0 <= values.min() <= values.max() < rows:
        raise DomainError(
            message(f"places from {values.min()} to {values.max()}", f"0 to {rows - 1}")
        )
    if padding_idx is not None:
        padding = padding_idx % rows
        fixed = (np.arange(rows) == padding)[:, None]
        table = ops.where(as_tensor(fixed), ops.stop_gradient(table), table)
    return table[places]
