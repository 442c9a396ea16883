"""Layers that pad, enlarge and rearrange grids, with torch.nn's names and meanings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from stablegrad.nn import functional
from stablegrad.nn.convolution import Sizes, spread
from stablegrad.nn.module import Module
from stablegrad.tensor import Tensor, as_tensor


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


def _padding(name: str, mode: str, axes: int) -> type[_Pad]:
    doc = f"Pads the last {axes} axes by {mode!r} elements; see ``functional.pad``."
    return type(name, (_Pad,), {"__doc__": doc, "axes": axes, "mode": mode, "__module__": __name__})


ZeroPad1d, ZeroPad2d, ZeroPad3d = [_padding(f"ZeroPad{d}d", "constant", d) for d in (1, 2, 3)]
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = [
    _padding(f"ReflectionPad{d}d", "reflect", d) for d in (1, 2, 3)
]
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = [
    _padding(f"ReplicationPad{d}d", "replicate", d) for d in (1, 2, 3)
]
CircularPad1d, CircularPad2d, CircularPad3d = [
    _padding(f"CircularPad{d}d", "circular", d) for d in (1, 2, 3)
]


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


def _layer(name: str, function: Callable[..., Tensor], names: Sequence[str]) -> type[Module]:
    """A layer that keeps the further arguments of a function."""

    class Layer(Module):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__()
            given = dict(zip(names, args, strict=False)) | kwargs
            if given.keys() - set(names) or len(args) > len(names):
                raise TypeError(f"{name} takes {', '.join(names)}; got {args} and {kwargs}")
            self.given = given

        def forward(self, input: Any) -> Tensor:
            return function(as_tensor(input), **self.given)

        def extra_repr(self) -> str:
            return ", ".join(f"{k}={v!r}" for k, v in self.given.items())

    Layer.__name__ = Layer.__qualname__ = name
    Layer.__doc__ = f"``functional.{function.__name__}`` as a layer."
    return Layer


_WINDOWS = ("kernel_size", "dilation", "padding", "stride")
PixelShuffle = _layer("PixelShuffle", functional.pixel_shuffle, ["upscale_factor"])
PixelUnshuffle = _layer("PixelUnshuffle", functional.pixel_unshuffle, ["downscale_factor"])
ChannelShuffle = _layer("ChannelShuffle", functional.channel_shuffle, ["groups"])
Unfold = _layer("Unfold", functional.unfold, _WINDOWS)
Fold = _layer("Fold", functional.fold, ("output_size", *_WINDOWS))
Upsample = _layer(
    "Upsample", functional.interpolate, ["size", "scale_factor", "mode", "align_corners"]
)
LocalResponseNorm = _layer(
    "LocalResponseNorm", functional.local_response_norm, ["size", "alpha", "beta", "k"]
)


class _Pool3d(Module):
    """The arguments of pooling over three axes."""

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, **options: Any
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.options = options

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool3d(_Pool3d):
    """The greatest element of each window over three axes; see ``functional.max_pool3d``."""

    def forward(self, input: Any) -> Tensor:
        given = self.kernel_size, self.stride, self.padding
        return functional.max_pool3d(input, *given, **self.options)


class AvgPool3d(_Pool3d):
    """The mean of each window over three axes; see ``functional.avg_pool3d``."""

    def forward(self, input: Any) -> Tensor:
        given = self.kernel_size, self.stride, self.padding
        return functional.avg_pool3d(input, *given, **self.options)


class Softmax2d(Module):
    """Softmax over the channels of pictures."""

    def forward(self, input: Any) -> Tensor:
        return functional.softmax(input, -3)
