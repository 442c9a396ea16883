"""Pooling, with torch.nn.functional's names, arguments and meanings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import ShapeError, message
from stablegrad.nn.convolution import Sizes, batched, padded, spread
from stablegrad.ops.shape import slice_axis, stack
from stablegrad.ops.sliding import sliding
from stablegrad.ops.structured import integer
from stablegrad.tensor import Tensor, as_tensor


def _pooled(
    name: str,
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    d: int,
) -> tuple[Tensor, Tensor, np.ndarray[Any, Any]]:
    """Windows of the padded input, those of where it was not padded, and of its own padding."""
    x, _ = batched(name, input, d)
    size = spread(kernel_size, d, "kernel_size")
    steps = size if stride is None else spread(stride, d, "stride")
    gaps, edges = spread(dilation, d, "dilation"), spread(padding, d, "padding", 0)
    if any(2 * p > k for p, k in zip(edges, size, strict=True)):
        raise ShapeError(message(f"padding={edges} of windows {size}", "at most half a window"))
    widths = [(p, p) for p in edges]
    if ceil_mode:
        for i, n in enumerate(x.shape[2:]):
            span = gaps[i] * (size[i] - 1) + 1
            count = -(-(n + 2 * edges[i] - span) // steps[i]) + 1
            if (count - 1) * steps[i] >= n + edges[i]:  # it would begin beyond the input
                count -= 1
            end = (count - 1) * steps[i] + span - n - edges[i]
            widths[i] = (edges[i], max(end, edges[i]))
    own = np.pad(np.ones(x.shape[2:], bool), widths)
    around = np.zeros(own.shape, bool)
    around[tuple([slice(0, n + 2 * p) for n, p in zip(x.shape[2:], edges, strict=True)])] = True
    inside = sliding(as_tensor(own), size, steps, gaps)
    counted = sliding(as_tensor(around), size, steps, gaps).numpy()
    return sliding(padded(x, widths), size, steps, gaps), inside, counted


def _without_batch(y: Tensor, input: Any, d: int) -> Tensor:
    return y.reshape(y.shape[1:]) if as_tensor(input).ndim == d + 1 else y


def max_pool(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    axes: int,
) -> Tensor:
    """The greatest element of each window, over ``axes`` axes: see ``max_pool2d``."""
    name = f"max_pool{axes}d"
    cut, inside, _ = _pooled(name, input, kernel_size, stride, padding, dilation, ceil_mode, axes)
    if not inside.numpy().all():
        cut = ops.where(inside, cut, -math.inf)
    return _without_batch(cut.max(axis=tuple(range(-axes, 0))), input, axes)


def max_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The greatest element of each window; arguments are those of ``max_pool2d``.

    Example:
        >>> sg.nn.functional.max_pool1d([[1.0, 3.0, 2.0, 0.0]], 2).numpy()
        array([[3., 2.]], dtype=float32)
    """
    return max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, axes=1)


def max_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The greatest element of each window; ties share its derivative equally.

    Args:
        input: shape (n, channels, height, width), n left out or not.
        kernel_size: the size of a window.
        stride: steps between windows, the size of one by default.
        padding: how far windows reach beyond the edges; what is there never wins.
        dilation: steps between the elements of a window.
        ceil_mode: whether windows that reach beyond the end count too.

    Returns:
        A tensor of shape (n, channels, *lengths).

    Raises:
        ShapeError: windows that do not fit.
    """
    return max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, axes=2)


def max_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The greatest element of each window over three axes: see ``max_pool2d``."""
    return max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, axes=3)


def avg_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window over three axes: see ``avg_pool2d``."""
    return avg_pool(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, axes=3
    )


def avg_pool(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    axes: int,
) -> Tensor:
    """The mean of each window, over ``axes`` axes: see ``avg_pool2d``."""
    name = f"avg_pool{axes}d"
    cut, inside, around = _pooled(name, input, kernel_size, stride, padding, 1, ceil_mode, axes)
    over = tuple(range(-axes, 0))
    counts = (around if count_include_pad else inside.numpy()).sum(axis=over)
    if divisor_override is not None:
        counts = np.full_like(counts, integer(divisor_override, "divisor_override"))
    whole = math.prod(cut.shape[-axes:])
    if (counts == whole).all():
        y = cut.mean(axis=over)
    else:
        y = cut.sum(axis=over) / as_tensor(counts).astype(cut.dtype)
    return _without_batch(y, input, axes)


def avg_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window; arguments are those of ``avg_pool2d``.

    Example:
        >>> sg.nn.functional.avg_pool1d([[1.0, 3.0, 2.0, 0.0]], 2).numpy()
        array([[2., 1.]], dtype=float32)
    """
    return avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, axes=1)


def avg_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.

    Args:
        input: shape (n, channels, height, width), n left out or not.
        kernel_size: the size of a window.
        stride: steps between windows, the size of one by default.
        padding: zeros put around the input.
        ceil_mode: whether windows that reach beyond the end count too.
        count_include_pad: whether the zeros count in the divisor.
        divisor_override: another divisor.

    Returns:
        A tensor of shape (n, channels, *lengths).

    Raises:
        ShapeError: windows that do not fit.
    """
    return avg_pool(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, axes=2
    )


def adaptive_pool(input: Any, output_size: Any, reduce: str, axes: int) -> Tensor:
    """The mean or maximum of as many parts, of nearly one length, as the output is to have."""
    x = as_tensor(input)
    if x.ndim not in (axes + 1, axes + 2):
        batched(f"adaptive pooling over {axes} axes", input, axes)
    sizes = output_size if isinstance(output_size, Iterable) else (output_size,) * axes
    lengths = x.shape[x.ndim - axes :]
    wanted = [n if m is None else m for m, n in zip(sizes, lengths, strict=True)]
    for i, m in enumerate(spread(wanted, axes, "output_size")):
        axis = x.ndim - axes + i
        n = x.shape[axis]
        if n % m == 0:
            x = x.reshape((*x.shape[:axis], m, n // m, *x.shape[axis + 1 :]))
            x = getattr(x, reduce)(axis=axis + 1)
            continue
        parts = [slice_axis(x, axis, k * n // m, -(-(k + 1) * n // m)) for k in range(m)]
        x = stack([getattr(p, reduce)(axis=axis) for p in parts], axis)
    return x


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """The means of as many parts of the last axis as the output is to have."""
    return adaptive_pool(input, output_size, "mean", 1)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """The means of as many parts of the last two axes as the output is to have.

    Args:
        input: shape (n, channels, height, width), n left out or not.
        output_size: a number, or one for each axis; None keeps a length.

    Example:
        >>> x = np.ones((1, 2, 5, 7), np.float32)
        >>> sg.nn.functional.adaptive_avg_pool2d(x, (2, None)).shape
        (1, 2, 2, 7)
    """
    return adaptive_pool(input, output_size, "mean", 2)


def adaptive_max_pool1d(input: Any, output_size: Any) -> Tensor:
    """The greatest elements of as many parts of the last axis as the output is to have."""
    return adaptive_pool(input, output_size, "max", 1)


def adaptive_max_pool2d(input: Any, output_size: Any) -> Tensor:
    """The greatest elements of parts of the last two axes: see ``adaptive_avg_pool2d``."""
    return adaptive_pool(input, output_size, "max", 2)
