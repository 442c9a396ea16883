"""Convolution as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from stablegrad.errors import ShapeError, message
from stablegrad.nn import convolution, init
from stablegrad.nn.convolution import Sizes, spread
from stablegrad.nn.layers import uniform_parameters
from stablegrad.nn.module import Module, Parameter
from stablegrad.tensor import Tensor


class _Convolution(Module):
    """What convolutions share: a weight and a bias, drawn as torch draws them."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]
    weight: Parameter
    bias: Parameter | None

    def _setup(
        self,
        channels: tuple[int, int],
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        dilation: Sizes,
        groups: int,
        bias: bool,
        dtype: Any,
        seed: init.Seed,
    ) -> None:
        """Channels of the weight's first axis, and of its second in all groups together."""
        ins, outs = self.in_channels, self.out_channels
        if groups < 1 or ins % groups or outs % groups:
            raise ShapeError(
                message(f"{ins} to {outs} channels in {groups} groups", "groups that divide both")
            )
        self.kernel_size = spread(kernel_size, self.axes, "kernel_size")
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups = groups
        shape = (channels[0], channels[1] // groups, *self.kernel_size)
        self.weight, self.bias = uniform_parameters(shape, outs, bias, dtype, seed)

    in_channels: int
    out_channels: int

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        plain = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        parts += [
            f"{name}={getattr(self, name)!r}"
            for name, usual in plain.items()
            if getattr(self, name) != usual
        ]
        return ", ".join(parts if self.bias is not None else [*parts, "bias=False"])


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self._setup(
            (out_channels, in_channels),
            kernel_size, stride, padding, dilation, groups, bias, dtype, seed,
        )  # fmt: skip

    def forward(self, input: Any) -> Tensor:
        return self.function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )


class Conv1d(_Conv):
    """The convolution over one axis; arguments are those of ``Conv2d``."""

    axes = 1
    function = staticmethod(convolution.conv1d)


class Conv2d(_Conv):
    """The convolution over two axes, plus a bias.

    Args:
        in_channels: the channels of the input.
        out_channels: the channels of the result.
        kernel_size: the size of a window.
        stride: steps between windows.
        padding: zeros put around the input; "same" keeps the lengths, "valid" puts none.
        dilation: steps between the elements of a window.
        groups: into how many parts channels are cut, each with kernels of its own.
        bias: whether to add one.
        dtype: of the parameters; the default dtype if None.
        seed: a seed or a numpy.random.Generator for the initial values.

    Attributes:
        weight: shape (out_channels, in_channels/groups, *kernel_size).
        bias: shape (out_channels,), or None.

    Raises:
        ShapeError: groups that do not divide the channels, or a size that is not positive.

    Example:
        >>> layer = sg.nn.Conv2d(3, 8, 3, padding="same", seed=0)
        >>> layer
        Conv2d(3, 8, kernel_size=(3, 3), padding='same')
        >>> layer(np.ones((1, 3, 5, 5), np.float32)).shape
        (1, 8, 5, 5)
    """

    axes = 2
    function = staticmethod(convolution.conv2d)


class Conv3d(_Conv):
    """The convolution over three axes; arguments are those of ``Conv2d``."""

    axes = 3
    function = staticmethod(convolution.conv3d)


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        *,
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.output_padding = output_padding
        self._setup(
            (in_channels, out_channels),
            kernel_size, stride, padding, dilation, groups, bias, dtype, seed,
        )  # fmt: skip

    def forward(self, input: Any) -> Tensor:
        return self.function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(_ConvTranspose):
    """The transpose of ``Conv1d``; arguments are those of ``ConvTranspose2d``."""

    axes = 1
    function = staticmethod(convolution.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of ``Conv2d``, plus a bias.

    Args:
        in_channels: the channels of the input.
        out_channels: the channels of the result.
        kernel_size: the size of a window.
        stride: steps between windows.
        padding: how much of the result's edges to leave out.
        output_padding: how much to add at the ends of the result.
        groups: into how many parts channels are cut.
        bias: whether to add one.
        dilation: steps between the elements of a window.
        dtype: of the parameters; the default dtype if None.
        seed: a seed or a numpy.random.Generator for the initial values.

    Attributes:
        weight: shape (in_channels, out_channels/groups, *kernel_size).
        bias: shape (out_channels,), or None.

    Example:
        >>> layer = sg.nn.ConvTranspose2d(3, 8, 2, stride=2, seed=0)
        >>> layer(np.ones((1, 3, 5, 5), np.float32)).shape
        (1, 8, 10, 10)
    """

    axes = 2
    function = staticmethod(convolution.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The transpose of ``Conv3d``; arguments are those of ``ConvTranspose2d``."""

    axes = 3
    function = staticmethod(convolution.conv_transpose3d)
