"""Pooling, with torch.nn.functional's names, arguments and meanings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import ShapeError, message
from stablegrad.nn.convolution import Sizes, batched, padded, shape_words, spread
from stablegrad.ops.shape import slice_axis, stack
from stablegrad.ops.sliding import sliding
from stablegrad.ops.structured import integer
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.naming import named


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


_MAX = """The greatest element of each window; ties share its derivative equally.

    Args:
        input: shape (n, channels, {lengths}), n left out or not.
        kernel_size: the size of a window, one number or one for each axis.
        stride: steps between windows, the size of one by default.
        padding: how far windows reach beyond the edges; what is there never wins.
        dilation: steps between the elements of a window.
        ceil_mode: whether windows that reach beyond the end count too.

    Returns:
        A tensor of shape (n, channels, *lengths) and the dtype of the input, exact.

    Raises:
        ShapeError: another number of axes, or windows that do not fit.

    Example:
        >>> x = np.arange(4.0**{d}).reshape(1, {four})
        >>> sg.nn.functional.max_pool{d}d(x, 2).shape
        (1, {two})
    """


def _max_pool(d: int) -> Callable[..., Tensor]:
    def max_pool(
        input: Any,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> Tensor:
        name = f"max_pool{d}d"
        cut, inside, _ = _pooled(name, input, kernel_size, stride, padding, dilation, ceil_mode, d)
        if not inside.numpy().all():
            cut = ops.where(inside, cut, -math.inf)
        return _without_batch(cut.max(axis=tuple(range(-d, 0))), input, d)

    return named(max_pool, f"max_pool{d}d", _MAX.format(**shape_words(d)), __name__)


_AVG = """The mean of each window.

    Args:
        input: shape (n, channels, {lengths}), n left out or not.
        kernel_size: the size of a window, one number or one for each axis.
        stride: steps between windows, the size of one by default.
        padding: zeros put around the input.
        ceil_mode: whether windows that reach beyond the end count too.
        count_include_pad: whether the zeros count in the divisor.
        divisor_override: another divisor.

    Returns:
        A tensor of shape (n, channels, *lengths); 2 ulp of the mean of absolute values.

    Raises:
        ShapeError: another number of axes, or windows that do not fit.

    Example:
        >>> x = np.arange(4.0**{d}).reshape(1, {four})
        >>> sg.nn.functional.avg_pool{d}d(x, 2).shape
        (1, {two})
    """


def _avg_pool(d: int) -> Callable[..., Tensor]:
    def avg_pool(
        input: Any,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        name, over = f"avg_pool{d}d", tuple(range(-d, 0))
        cut, inside, around = _pooled(name, input, kernel_size, stride, padding, 1, ceil_mode, d)
        counts = (around if count_include_pad else inside.numpy()).sum(axis=over)
        if divisor_override is not None:
            counts = np.full_like(counts, integer(divisor_override, "divisor_override"))
        if (counts == math.prod(cut.shape[-d:])).all():
            y = cut.mean(axis=over)
        else:
            y = cut.sum(axis=over) / as_tensor(counts).astype(cut.dtype)
        return _without_batch(y, input, d)

    return named(avg_pool, f"avg_pool{d}d", _AVG.format(**shape_words(d)), __name__)


_ADAPTIVE = """{what} of as many parts, of nearly one length, as the output is to have.

    Args:
        input: shape (n, channels, {lengths}), n left out or not.
        output_size: a number, or one for each axis; None keeps a length.

    Returns:
        A tensor of shape (n, channels, *output_size).

    Raises:
        ShapeError: another number of axes, or an output without elements.

    Example:
        >>> x = np.arange(4.0**{d}).reshape(1, {four})
        >>> sg.nn.functional.adaptive_{short}_pool{d}d(x, 2).shape
        (1, {two})
    """


def _adaptive_pool(short: str, reduce: str, what: str, d: int) -> Callable[..., Tensor]:
    name = f"adaptive_{short}_pool{d}d"

    def adaptive_pool(input: Any, output_size: Any) -> Tensor:
        x, _ = batched(name, input, d)
        sizes = output_size if isinstance(output_size, Iterable) else (output_size,) * d
        wanted = [n if m is None else m for m, n in zip(sizes, x.shape[2:], strict=True)]
        for axis, m in enumerate(spread(wanted, d, "output_size"), 2):
            n = x.shape[axis]
            if n % m == 0:
                x = x.reshape((*x.shape[:axis], m, n // m, *x.shape[axis + 1 :]))
                x = getattr(x, reduce)(axis=axis + 1)
                continue
            parts = [slice_axis(x, axis, k * n // m, -(-(k + 1) * n // m)) for k in range(m)]
            x = stack([getattr(p, reduce)(axis=axis) for p in parts], axis)
        return _without_batch(x, input, d)

    doc = _ADAPTIVE.format(short=short, what=what, **shape_words(d))
    return named(adaptive_pool, name, doc, __name__)


max_pool1d, max_pool2d, max_pool3d = [_max_pool(d) for d in (1, 2, 3)]
avg_pool1d, avg_pool2d, avg_pool3d = [_avg_pool(d) for d in (1, 2, 3)]
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = [
    _adaptive_pool("avg", "mean", "The means", d) for d in (1, 2, 3)
]
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = [
    _adaptive_pool("max", "max", "The greatest elements", d) for d in (1, 2, 3)
]
