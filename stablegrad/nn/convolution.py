"""Convolution, with torch.nn.functional's names, arguments and meanings.

It is sliding windows and then a matrix product, so its derivatives of every order, forward and
backward, are those of the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stablegrad import numpy as arrays
from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, UnknownNameError, message
from stablegrad.ops.linalg import matmul
from stablegrad.ops.shape import slice_axis
from stablegrad.ops.sliding import sliding
from stablegrad.ops.structured import integer
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.naming import named

Sizes = int | Sequence[int]
"""One number for all axes, or one for each."""


def spread(value: Sizes, d: int, what: str, least: int = 1) -> tuple[int, ...]:
    """One integer for each of d axes, none below ``least``."""
    many = tuple(value) if isinstance(value, Iterable) else (value,) * d
    found = tuple([integer(n, what) for n in many])
    if len(found) != d or min(found) < least:
        raise ShapeError(
            message(f"{what} {value!r}", f"an integer of {least} or more, or {d} of them")
        )
    return found


def batched(name: str, input: Any, d: int) -> tuple[Tensor, bool]:
    """The input of shape (n, channels, *lengths), and whether it came without n."""
    x = as_tensor(input)
    if x.ndim not in (d + 1, d + 2):
        raise ShapeError(
            message(f"{name} of shape {x.shape}", f"(n, channels, {d} lengths), n left out or not")
        )
    return (x, False) if x.ndim == d + 2 else (x.reshape((1, *x.shape)), True)


def shape_words(d: int) -> dict[str, str]:
    """What the text of a function over d axes says of axes and shapes."""
    return {
        "d": str(d),
        "axes": ("one axis", "two axes", "three axes")[d - 1],
        "lengths": ("length", "height, width", "depth, height, width")[d - 1],
        **{word: ", ".join(str(n) * d) for n, word in enumerate(_NUMBERS, 2)},
    }


_NUMBERS = ("two", "three", "four", "five")


def padded(x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    """Structural zeros around the last axes."""
    full = ((0, 0),) * (x.ndim - len(widths)) + tuple(widths)
    return ops.pad(x, widths=full)


# -- convolution --------------------------------------------------------------------------


def _weight(name: str, weight: Any, x: Tensor, groups: int, d: int, *, across: bool) -> Tensor:
    """The weight, checked: of shape (out, in/groups, *size), or (in, out/groups, *size)."""
    w = as_tensor(weight)
    channels = x.shape[1]
    fits = w.ndim == d + 2 and groups > 0 and channels % groups == 0
    if fits and across:
        fits = w.shape[0] == channels
    elif fits:
        fits = w.shape[1] * groups == channels and w.shape[0] % groups == 0
    if not fits:
        shape = "(in, out/groups, *size)" if across else "(out, in/groups, *size)"
        raise ShapeError(
            message(
                f"{name} of an input of shape {x.shape} and a weight of shape {w.shape}, "
                f"groups={groups}",
                f"a weight of shape {shape}, channels that groups divide",
            )
        )
    return w


def _biased(y: Tensor, bias: Any, d: int) -> Tensor:
    if bias is None:
        return y
    b = as_tensor(bias)
    if b.shape != y.shape[1:2]:
        raise ShapeError(message(f"a bias of shape {b.shape}", f"the shape {y.shape[1:2]}"))
    return y + b.reshape((-1, *[1] * d))


def _widths(
    padding: Sizes | str, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    d = len(size)
    if not isinstance(padding, str):
        return [(p, p) for p in spread(padding, d, "padding", 0)]
    if padding == "valid":
        return [(0, 0)] * d
    if padding != "same":
        raise UnknownNameError(message(f"padding={padding!r}", "'same', 'valid' or integers"))
    if any(s != 1 for s in stride):
        raise DomainError(message(f"padding='same' with stride {tuple(stride)}", "a stride of 1"))
    spans = [g * (k - 1) for k, g in zip(size, dilation, strict=True)]
    return [(s // 2, s - s // 2) for s in spans]


_CONV = """The convolution over {axes} (a cross-correlation: kernels are not turned).

    Args:
        input: shape (n, channels, {lengths}), n left out or not.
        weight: shape (out, channels/groups, *size).
        bias: shape (out,), or None.
        stride: steps between windows, one number or one for each axis.
        padding: zeros put around the input; "same" keeps the lengths, "valid" puts none.
        dilation: steps between the elements of a window.
        groups: into how many parts channels are cut, each with kernels of its own.

    Returns:
        A tensor of shape (n, out, *lengths); n*eps relative to the sum of absolute products,
        and so are its derivatives.

    Raises:
        ShapeError: shapes that do not fit together.
        DomainError: padding "same" beside a stride.
        UnknownNameError: another name for the padding.

    Example:
        >>> sg.nn.functional.conv{d}d(np.ones((1, 3, {four})), np.ones((5, 3, {two}))).shape
        (1, 5, {three})
    """


def _convolution(d: int) -> Callable[..., Tensor]:
    name = f"conv{d}d"

    def convolution(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
    ) -> Tensor:
        x, alone = batched(name, input, d)
        w = _weight(name, weight, x, groups, d, across=False)
        size = w.shape[2:]
        steps, gaps = spread(stride, d, "stride"), spread(dilation, d, "dilation")
        cut = sliding(padded(x, _widths(padding, size, steps, gaps)), size, steps, gaps)
        n, out_lengths = x.shape[0], cut.shape[2 : 2 + d]
        # (n, channels, *lengths, *size) -> (n, groups, channels * size, lengths)
        order = (0, 1, *range(2 + d, 2 + 2 * d), *range(2, 2 + d))
        inner = math.prod(w.shape[1:])
        columns = cut.transpose(*order).reshape((n, groups, inner, math.prod(out_lengths)))
        kernels = w.reshape((groups, w.shape[0] // groups, inner))
        y = matmul(kernels, columns).reshape((n, w.shape[0], *out_lengths))
        y = _biased(y, bias, d)
        return y.reshape(y.shape[1:]) if alone else y

    return named(convolution, name, _CONV.format(**shape_words(d)), __name__)


_TRANSPOSED = """The transpose of ``conv{d}d``: what its gradient by the input is.

    Args:
        input: shape (n, channels, {lengths}), n left out or not.
        weight: shape (channels, out/groups, *size).
        bias: shape (out,), or None.
        stride: steps between windows, one number or one for each axis.
        padding: how much of the result's edges to leave out.
        output_padding: how much to add at the ends of the result.
        groups: into how many parts channels are cut.
        dilation: steps between the elements of a window.

    Returns:
        A tensor of shape (n, out, *lengths); n*eps relative to the sum of absolute products,
        and so are its derivatives.

    Raises:
        ShapeError: shapes that do not fit together.
        DomainError: an output padding that is no less than the stride or dilation.

    Example:
        >>> x, w = np.ones((1, 3, {four})), np.ones((3, 5, {two}))
        >>> sg.nn.functional.conv_transpose{d}d(x, w).shape
        (1, 5, {five})
    """


def _transposed_convolution(d: int) -> Callable[..., Tensor]:
    name = f"conv_transpose{d}d"

    def transposed_convolution(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        dilation: Sizes = 1,
    ) -> Tensor:
        x, alone = batched(name, input, d)
        w = _weight(name, weight, x, groups, d, across=True)
        size, lengths, n = w.shape[2:], x.shape[2:], x.shape[0]
        steps, gaps = spread(stride, d, "stride"), spread(dilation, d, "dilation")
        edges = spread(padding, d, "padding", 0)
        more = spread(output_padding, d, "output_padding", 0)
        if any(m >= max(s, g) for m, s, g in zip(more, steps, gaps, strict=True)):
            raise DomainError(message(f"output_padding={more}", "less than the stride or dilation"))
        outs = w.shape[1]
        inner = outs * math.prod(size)
        kernels = w.reshape((groups, x.shape[1] // groups, inner)).transpose(0, 2, 1)
        columns = matmul(kernels, x.reshape((n, groups, x.shape[1] // groups, math.prod(lengths))))
        columns = columns.reshape((n, groups * outs, *size, *lengths))
        order = (0, 1, *range(2 + d, 2 + 2 * d), *range(2, 2 + d))
        spans = zip(lengths, steps, gaps, size, strict=True)
        full = tuple([(m - 1) * s + g * (k - 1) + 1 for m, s, g, k in spans])
        y = ops.windows_add(columns.transpose(*order), length=full, stride=steps, dilation=gaps)
        for i, (edge, extra) in enumerate(zip(edges, more, strict=True)):
            y = _cut(y, 2 + i, edge, full[i] - edge + extra)
        y = _biased(y, bias, d)
        return y.reshape(y.shape[1:]) if alone else y

    return named(transposed_convolution, name, _TRANSPOSED.format(**shape_words(d)), __name__)


def _cut(y: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """A part of an axis; beyond its end there are zeros."""
    length = y.shape[axis]
    if stop <= start:
        raise ShapeError(message(f"padding {start} of an output of {length}", "an element left"))
    y = slice_axis(y, axis, start, min(stop, length))
    missing = max(stop - length, 0)
    widths = [(0, missing if i == axis else 0) for i in range(y.ndim)]
    return ops.pad(y, widths=tuple(widths)) if missing else y


conv1d, conv2d, conv3d = [_convolution(d) for d in (1, 2, 3)]
conv_transpose1d, conv_transpose2d, conv_transpose3d = [
    _transposed_convolution(d) for d in (1, 2, 3)
]


# -- padding ------------------------------------------------------------------------------

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Surround by a constant, or by the input's own elements.

    Args:
        input: any shape.
        pad: how many before and after, in pairs from the last axis on; below 0 cuts off.
        mode: "constant", "reflect", "replicate" or "circular".
        value: the constant.

    Raises:
        ShapeError: no pairs, or more pairs than axes.
        UnknownNameError: another mode.

    Example:
        >>> sg.nn.functional.pad([1.0, 2.0], (1, 2), value=9.0).numpy()
        array([9., 1., 2., 9., 9.], dtype=float32)
    """
    x = as_tensor(input)
    found = [integer(p, "a padding") for p in pad]
    if len(found) % 2 or len(found) // 2 > x.ndim:
        raise ShapeError(message(f"padding {pad} of shape {x.shape}", "a pair for each axis"))
    if mode != "constant" and mode not in _MODES:
        raise UnknownNameError(message(f"mode={mode!r}", f"one of {['constant', *_MODES]}"))
    pairs = list(zip(found[::2], found[1::2], strict=True))[::-1]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    for axis, (before, after) in enumerate(widths):
        x = slice_axis(x, axis, max(-before, 0), x.shape[axis] - max(-after, 0))
    grown = [(max(a, 0), max(b, 0)) for a, b in widths]
    if mode == "constant":
        return arrays.pad(x, grown, constant_values=value)
    return arrays.pad(x, grown, mode=_MODES[mode])
