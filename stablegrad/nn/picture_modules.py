"""Layers that pad, enlarge and rearrange grids, with torch.nn's names and meanings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from stablegrad.nn import functional, pictures
from stablegrad.nn.convolution import Sizes, spread
from stablegrad.nn.functions import FunctionModule
from stablegrad.nn.module import Module
from stablegrad.tensor import Tensor


class _Pad(Module):
    """Padding of the last axes; before and after each, from the last on, or one number for all."""

    axes: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = spread(padding, 2 * self.axes, "padding", -(2**31))
        self.value = 0.0

    def forward(self, input: Any) -> Tensor:
        return functional.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return str(self.padding)


_PAD = """Pads the last axes of an input by {what}; see ``functional.pad``.

    Args:
        padding: one number for all sides, or before and after each axis, from the last on.

    Raises:
        ShapeError: another number of widths.

    Example:
        >>> sg.nn.{name}(1)(np.ones((1, {three}))).shape
        (1, {five})
    """


def _padding(kind: str, mode: str, what: str) -> list[type[_Pad]]:
    """The layers of one kind, over one, two and three axes."""
    found: list[type[_Pad]] = []
    for d in (1, 2, 3):
        name = f"{kind}Pad{d}d"
        shapes = {"three": ", ".join("3" * d), "five": ", ".join("5" * d)}
        doc = _PAD.format(name=name, what=what, **shapes)
        space = {"__doc__": doc, "axes": d, "mode": mode, "__module__": __name__}
        found.append(type(name, (_Pad,), space))
    return found


ZeroPad1d, ZeroPad2d, ZeroPad3d = _padding("Zero", "constant", "zeros")
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _padding(
    "Reflection", "reflect", "the elements seen in a mirror at the edge"
)
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _padding(
    "Replication", "replicate", "the elements at the edge"
)
CircularPad1d, CircularPad2d, CircularPad3d = _padding(
    "Circular", "circular", "the elements of the other end"
)


class _ConstantPad(_Pad):
    """Padding by a constant."""

    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value


class ConstantPad1d(_ConstantPad):
    """Pads the last axis by a constant."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Pads the last 2 axes by a constant."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Pads the last 3 axes by a constant."""

    axes = 3


class PixelShuffle(FunctionModule):
    """Channels moved into space: (..., c r r, h, w) becomes (..., c, h r, w r).

    Args:
        upscale_factor: r.
    """

    function = staticmethod(pictures.pixel_shuffle)

    def __init__(self, upscale_factor: int) -> None:
        super().__init__(upscale_factor=upscale_factor)


class PixelUnshuffle(FunctionModule):
    """Space moved into channels: the inverse of ``PixelShuffle``.

    Args:
        downscale_factor: the factor.
    """

    function = staticmethod(pictures.pixel_unshuffle)

    def __init__(self, downscale_factor: int) -> None:
        super().__init__(downscale_factor=downscale_factor)


class ChannelShuffle(FunctionModule):
    """The channels (axis 1) of several groups by turns.

    Args:
        groups: how many groups.
    """

    function = staticmethod(pictures.channel_shuffle)

    def __init__(self, groups: int) -> None:
        super().__init__(groups=groups)


class Unfold(FunctionModule):
    """All windows of a picture in columns: (n, c, h, w) becomes (n, c*size, windows).

    Args:
        kernel_size: the size of a window.
        dilation: steps between the elements of a window.
        padding: zeros around.
        stride: steps between windows.

    Example:
        >>> sg.nn.Unfold(2)(np.ones((1, 3, 4, 4))).shape
        (1, 12, 9)
    """

    function = staticmethod(pictures.unfold)

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)


class Fold(FunctionModule):
    """Windows in columns added up where they came from: the transpose of ``Unfold``.

    Args:
        output_size: the height and width of the result.
        kernel_size: the size of a window.
        dilation: steps between the elements of a window.
        padding: how much of the result's edges to leave out.
        stride: steps between windows.

    Example:
        >>> sg.nn.Fold(4, 2)(np.ones((1, 12, 9))).shape
        (1, 3, 4, 4)
    """

    function = staticmethod(pictures.fold)

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(
            output_size=output_size,
            kernel_size=kernel_size,
            dilation=dilation,
            padding=padding,
            stride=stride,
        )


class Upsample(FunctionModule):
    """Another size of pictures, signals or volumes; see ``functional.interpolate``.

    Args:
        size: the new lengths.
        scale_factor: what to multiply the lengths by instead.
        mode: "nearest", "nearest-exact", or "linear", "bilinear", "trilinear".
        align_corners: whether the first and last elements stay where they are, when linear.

    Example:
        >>> sg.nn.Upsample(scale_factor=2)(np.ones((1, 3, 4, 5))).shape
        (1, 3, 8, 10)
    """

    function = staticmethod(pictures.interpolate)

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__(
            size=size, scale_factor=scale_factor, mode=mode, align_corners=align_corners
        )


class LocalResponseNorm(FunctionModule):
    """x / (k + alpha * mean of squares over neighbouring channels)**beta.

    Args:
        size: how many channels count, zeros beyond the ends.
        alpha: the factor of the mean.
        beta: the exponent.
        k: what is added.
    """

    function = staticmethod(pictures.local_response_norm)

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(size=size, alpha=alpha, beta=beta, k=k)


class Softmax2d(Module):
    """Softmax over the channels of pictures, of shape (n, channels, height, width)."""

    def forward(self, input: Any) -> Tensor:
        return functional.softmax(input, -3)
