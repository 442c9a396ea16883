"""Pictures and other grids taken apart, enlarged and padded, with torch's names and meanings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, UnknownNameError, message
from stablegrad.nn.convolution import Sizes, padded, spread
from stablegrad.ops import indexing
from stablegrad.ops.sliding import sliding
from stablegrad.tensor import Tensor, as_tensor


def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """Channels moved into space: (..., c r r, h, w) becomes (..., c, h r, w r)."""
    x, r = as_tensor(input), upscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-3] % (r * r):
        raise ShapeError(message(f"pixel_shuffle of shape {x.shape} by {r}", "(..., c*r*r, h, w)"))
    *lead, channels, h, w = x.shape
    y = x.reshape((-1, channels // (r * r), r, r, h, w)).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape((*lead, channels // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """Space moved into channels: the inverse of ``pixel_shuffle``."""
    x, r = as_tensor(input), downscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-1] % r or x.shape[-2] % r:
        raise ShapeError(
            message(f"pixel_unshuffle of shape {x.shape} by {r}", "(..., c, h*r, w*r)")
        )
    *lead, channels, h, w = x.shape
    y = x.reshape((-1, channels, h // r, r, w // r, r)).transpose(0, 1, 3, 5, 2, 4)
    return y.reshape((*lead, channels * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Tensor:
    """The channels (axis 1) of several groups by turns."""
    x = as_tensor(input)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ShapeError(message(f"channel_shuffle of shape {x.shape}, {groups=}", "(n, c, ...)"))
    n, c, *rest = x.shape
    return x.reshape((n, groups, c // groups, *rest)).swapaxes(1, 2).reshape(x.shape)


def unfold(
    input: Any, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """All windows of a picture in columns: (n, c, h, w) becomes (n, c*size, windows).

    Args:
        input: shape (n, c, h, w).
        kernel_size: the size of a window.
        dilation: steps between the elements of a window.
        padding: zeros around.
        stride: steps between windows.
    """
    x = as_tensor(input)
    if x.ndim != 4:
        raise ShapeError(message(f"unfold of shape {x.shape}", "(n, channels, height, width)"))
    size, gaps = spread(kernel_size, 2, "kernel_size"), spread(dilation, 2, "dilation")
    edges, steps = spread(padding, 2, "padding", 0), spread(stride, 2, "stride")
    cut = sliding(padded(x, [(p, p) for p in edges]), size, steps, gaps)
    n, c, rows, columns = cut.shape[:4]
    columns_first = cut.transpose(0, 1, 4, 5, 2, 3)
    return columns_first.reshape((n, c * math.prod(size), rows * columns))


def fold(
    input: Any,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Windows in columns added up where they came from: the transpose of ``unfold``."""
    x = as_tensor(input)
    size, gaps = spread(kernel_size, 2, "kernel_size"), spread(dilation, 2, "dilation")
    edges, steps = spread(padding, 2, "padding", 0), spread(stride, 2, "stride")
    whole = spread(output_size, 2, "output_size")
    full = [n + 2 * p for n, p in zip(whole, edges, strict=True)]
    counts = [
        (n - g * (k - 1) - 1) // s + 1 for n, g, k, s in zip(full, gaps, size, steps, strict=True)
    ]
    each = math.prod(size)
    if x.ndim != 3 or x.shape[1] % each or x.shape[2] != math.prod(counts):
        raise ShapeError(message(f"fold of shape {x.shape}", f"(n, c*{each}, {math.prod(counts)})"))
    n = x.shape[0]
    cut = x.reshape((n, x.shape[1] // each, *size, *counts)).transpose(0, 1, 4, 5, 2, 3)
    y = ops.windows_add(cut, length=tuple(full), stride=steps, dilation=gaps)
    return y[:, :, edges[0] : full[0] - edges[0], edges[1] : full[1] - edges[1]]


def interpolate(
    input: Any,
    size: Sizes | None = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Another size of pictures, signals or volumes.

    Args:
        input: shape (n, channels, *lengths).
        size: the new lengths.
        scale_factor: what to multiply the lengths by instead.
        mode: "nearest", "nearest-exact", or "linear", "bilinear", "trilinear".
        align_corners: whether the first and last elements stay where they are, when linear.

    Raises:
        ShapeError: no lengths.
        DomainError: both or neither of ``size`` and ``scale_factor``.
        UnknownNameError: another mode.
    """
    x = as_tensor(input)
    d = x.ndim - 2
    if d < 1:
        raise ShapeError(message(f"interpolate of shape {x.shape}", "(n, channels, lengths)"))
    if (size is None) == (scale_factor is None):
        raise DomainError(message(f"{size=}, {scale_factor=}", "one of them"))
    if mode not in ("nearest", "nearest-exact", "linear", "bilinear", "trilinear"):
        raise UnknownNameError(
            message(f"mode={mode!r}", "nearest, nearest-exact, linear, bilinear or trilinear")
        )
    if size is None:
        many = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor] * d
        wanted = [math.floor(n * f) for n, f in zip(x.shape[2:], many, strict=True)]
        shares = [1 / f for f in many]
    else:
        wanted = list(spread(size, d, "size"))
        shares = [n / m for n, m in zip(x.shape[2:], wanted, strict=True)]
    for i, (m, share) in enumerate(zip(wanted, shares, strict=True)):
        x = _resized(x, i + 2, m, share, mode, align_corners=bool(align_corners))
    return x


def _resized(
    x: Tensor, axis: int, m: int, share: float, mode: str, *, align_corners: bool
) -> Tensor:
    n, at = x.shape[axis], np.arange(m)
    if mode.startswith("nearest"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        return indexing.take(x, np.minimum(((at + shift) * share).astype(int), n - 1), axis)
    if align_corners:
        place = at * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        place = np.maximum((at + 0.5) * share - 0.5, 0.0)
    below = np.minimum(place.astype(int), n - 1)
    above = np.minimum(below + 1, n - 1)
    shape = [1] * x.ndim
    shape[axis] = m
    weight = as_tensor((place - below).reshape(shape).astype(x.dtype))
    return indexing.take(x, below, axis) * (1 - weight) + indexing.take(x, above, axis) * weight


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * mean of squares over neighbouring channels)**beta.

    Args:
        input: shape (n, channels, ...).
        size: how many channels count, zeros beyond the ends.
        alpha: the factor of the mean.
        beta: the exponent.
        k: what is added.
    """
    x = as_tensor(input)
    if x.ndim < 3:
        raise ShapeError(message(f"local_response_norm of shape {x.shape}", "(n, channels, ...)"))
    square = ops.square(x)
    widths = [(0, 0)] * x.ndim
    widths[1] = (size // 2, (size - 1) // 2)
    around = ops.pad(square, widths=tuple(widths))
    near = [ops.getitem(around, index=(slice(None), slice(i, i + x.shape[1]))) for i in range(size)]
    total = near[0]
    for part in near[1:]:
        total = total + part
    return x / (k + alpha * total / size) ** beta
