"""Pooling as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from typing import Any

from stablegrad.nn import pooling
from stablegrad.nn.convolution import Sizes
from stablegrad.nn.functions import FunctionModule


class _MaxPool(FunctionModule):
    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            ceil_mode=ceil_mode,
        )


class MaxPool1d(_MaxPool):
    """The greatest element of each window; arguments are those of ``MaxPool2d``."""

    function = staticmethod(pooling.max_pool1d)


class MaxPool2d(_MaxPool):
    """The greatest element of each window; ties share its derivative equally.

    Args:
        kernel_size: the size of a window.
        stride: steps between windows, the size of one by default.
        padding: how far windows reach beyond the edges; what is there never wins.
        dilation: steps between the elements of a window.
        ceil_mode: whether windows that reach beyond the end count too.

    Example:
        >>> sg.nn.MaxPool2d(2)(np.ones((1, 3, 4, 6))).shape
        (1, 3, 2, 3)
    """

    function = staticmethod(pooling.max_pool2d)


class MaxPool3d(_MaxPool):
    """The greatest element of each window; arguments are those of ``MaxPool2d``."""

    function = staticmethod(pooling.max_pool3d)


class _AvgPool(FunctionModule):
    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )


class AvgPool1d(_AvgPool):
    """The mean of each window; arguments are those of ``AvgPool2d``."""

    function = staticmethod(pooling.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of each window.

    Args:
        kernel_size: the size of a window.
        stride: steps between windows, the size of one by default.
        padding: zeros put around the input.
        ceil_mode: whether windows that reach beyond the end count too.
        count_include_pad: whether the zeros count in the divisor.
        divisor_override: another divisor.

    Example:
        >>> sg.nn.AvgPool2d(2)(np.ones((1, 3, 4, 6))).shape
        (1, 3, 2, 3)
    """

    function = staticmethod(pooling.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window; arguments are those of ``AvgPool2d``."""

    function = staticmethod(pooling.avg_pool3d)


class _AdaptivePool(FunctionModule):
    def __init__(self, output_size: Any) -> None:
        super().__init__(output_size=output_size)


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of parts of the last axis; see ``AdaptiveAvgPool2d``."""

    function = staticmethod(pooling.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of as many parts of the last two axes as the output is to have.

    Args:
        output_size: a number, or one for each axis; None keeps a length.

    Example:
        >>> sg.nn.AdaptiveAvgPool2d((2, None))(np.ones((1, 3, 5, 7))).shape
        (1, 3, 2, 7)
    """

    function = staticmethod(pooling.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptivePool):
    """The means of parts of the last three axes; see ``AdaptiveAvgPool2d``."""

    function = staticmethod(pooling.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptivePool):
    """The greatest elements of parts of the last axis; see ``AdaptiveAvgPool2d``."""

    function = staticmethod(pooling.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptivePool):
    """The greatest elements of parts of the last two axes; see ``AdaptiveAvgPool2d``."""

    function = staticmethod(pooling.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptivePool):
    """The greatest elements of parts of the last three axes; see ``AdaptiveAvgPool2d``."""

    function = staticmethod(pooling.adaptive_max_pool3d)
