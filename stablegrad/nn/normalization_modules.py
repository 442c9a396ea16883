"""Normalisation and distances as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.nn import functional
from stablegrad.nn.functions import FunctionModule
from stablegrad.nn.layers import empty_parameter
from stablegrad.nn.module import Buffer, Module, Parameter
from stablegrad.nn.normalization import lengths_of
from stablegrad.tensor import Tensor, as_tensor, get_default_dtype


def _pair(
    shape: tuple[int, ...], affine: bool, bias: bool, dtype: Any
) -> tuple[Parameter | None, Parameter | None]:
    """A weight of ones and a bias of zeros, or None."""
    if not affine:
        return None, None
    return empty_parameter(shape, dtype, 1.0), empty_parameter(shape, dtype) if bias else None


class LayerNorm(Module):
    """(x - mean)/sqrt(var + eps) over the last axes, times a weight, plus a bias.

    Args:
        normalized_shape: the lengths of the last axes, over which is normalised.
        eps: added to the variance.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias beside it.
        dtype: of the parameters; the default dtype if None.

    Attributes:
        weight: of that shape, ones at first; or None.
        bias: of that shape, zeros at first; or None.

    Example:
        >>> sg.nn.LayerNorm(3)([1e30, 1e30, 4e30]).numpy()
        array([-0.70710677, -0.70710677,  1.4142135 ], dtype=float32)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = lengths_of(normalized_shape)
        self.eps = eps
        self.weight, self.bias = _pair(self.normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, input: Any) -> Tensor:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """x/sqrt(mean(x*x) + eps) over the last axes, times a weight.

    Args:
        normalized_shape: the lengths of the last axes, over which is normalised.
        eps: added to the mean of squares; the machine epsilon of the dtype by default.
        elementwise_affine: whether there is a weight.
        dtype: of the weight; the default dtype if None.

    Attributes:
        weight: of that shape, ones at first; or None.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = lengths_of(normalized_shape)
        self.eps = eps
        self.weight, _ = _pair(self.normalized_shape, elementwise_affine, False, dtype)

    def forward(self, input: Any) -> Tensor:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class GroupNorm(Module):
    """(x - mean)/sqrt(var + eps) over groups of channels and all their places.

    Args:
        num_groups: into how many groups channels are cut.
        num_channels: how many channels there are.
        eps: added to the variance.
        affine: whether there are a weight and a bias for each channel.
        dtype: of the parameters; the default dtype if None.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ShapeError(
                message(f"{num_channels} channels in {num_groups} groups", "groups that divide")
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight, self.bias = _pair((num_channels,), affine, True, dtype)

    def forward(self, input: Any) -> Tensor:
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class _BatchNorm(Module):
    dimensions: ClassVar[tuple[int, ...]]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Buffer | None
    running_var: Buffer | None
    num_batches_tracked: Buffer | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight, self.bias = _pair((num_features,), affine, True, dtype)
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            kind = get_default_dtype() if dtype is None else dtype
            self.running_mean = Buffer(np.zeros(num_features, kind))
            self.running_var = Buffer(np.ones(num_features, kind))
            self.num_batches_tracked = Buffer(np.asarray(0, np.int64))

    def forward(self, input: Any) -> Tensor:
        x = as_tensor(input)
        if x.ndim not in self.dimensions or x.shape[1] != self.num_features:
            raise ShapeError(
                message(
                    f"{type(self).__name__} of shape {x.shape}",
                    f"{' or '.join(map(str, self.dimensions))} dimensions, the second of "
                    f"{self.num_features} channels",
                )
            )
        momentum, seen = self.momentum, self.num_batches_tracked
        count = 1 if seen is None else seen.item() + 1
        y = functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            1 / count if momentum is None else momentum,
            self.eps,
        )
        if self.training and seen is not None:
            seen.assign_(np.asarray(count, np.int64))
        return y

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """(x - mean)/sqrt(var + eps) of each channel, over the batch and all places.

    In training, mean and variance are those of the batch, and the running ones move towards
    them; in evaluation the running ones count.

    Inputs are of shape (n, channels) or (n, channels, length).

    Args:
        num_features: the channels.
        eps: added to the variance.
        momentum: how much of the batch's statistics goes into the running ones; None for the
            mean of all batches so far.
        affine: whether there are a weight and a bias for each channel.
        track_running_stats: whether there are running ones; else the batch's always count.
        dtype: of the parameters; the default dtype if None.

    Attributes:
        weight, bias: shape (num_features,), or None.
        running_mean, running_var: buffers of shape (num_features,), or None.

    Raises:
        ShapeError: an input of another shape, or in training a single value for each channel.

    Example:
        >>> layer = sg.nn.BatchNorm1d(2)
        >>> layer([[1.0, 2.0], [3.0, 6.0]]).numpy().round(3)
        array([[-1., -1.],
               [ 1.,  1.]], dtype=float32)
        >>> layer.running_mean.numpy()
        array([0.2, 0.4], dtype=float32)
    """

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """As ``BatchNorm1d``, for inputs of shape (n, channels, height, width)."""

    dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """As ``BatchNorm1d``, for inputs of shape (n, channels, depth, height, width)."""

    dimensions = (5,)


class _InstanceNorm(Module):
    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, num_features: int, eps: float = 1e-5, affine: bool = False, *, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_features, self.eps = num_features, eps
        self.weight, self.bias = _pair((num_features,), affine, True, dtype)

    def forward(self, input: Any) -> Tensor:
        return functional.instance_norm(input, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}"


class InstanceNorm1d(_InstanceNorm):
    """(x - mean)/sqrt(var + eps) over all places of each channel of each input.

    Inputs are of shape (n, channels, ...).

    Args:
        num_features: the channels.
        eps: added to the variance.
        affine: whether there are a weight and a bias for each channel.
        dtype: of the parameters; the default dtype if None.

    Example:
        >>> sg.nn.InstanceNorm1d(1)([[[1.0, 1.0, 4.0]]]).numpy().round(3)
        array([[[-0.707, -0.707,  1.414]]], dtype=float32)
    """


class InstanceNorm2d(_InstanceNorm):
    """As ``InstanceNorm1d``, for inputs of shape (n, channels, height, width)."""


class InstanceNorm3d(_InstanceNorm):
    """As ``InstanceNorm1d``, for inputs of shape (n, channels, depth, height, width)."""


class CosineSimilarity(FunctionModule):
    """The cosine of the angle between vectors along an axis.

    Args:
        dim: the axis.
        eps: the least norm that is divided by.
    """

    function = staticmethod(functional.cosine_similarity)

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(dim=dim, eps=eps)


class PairwiseDistance(FunctionModule):
    """The p-norm of x1 - x2 + eps along the last axis.

    Args:
        p: which norm.
        eps: added to every difference.
        keepdim: whether the last axis stays with length 1.
    """

    function = staticmethod(functional.pairwise_distance)

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(p=p, eps=eps, keepdim=keepdim)
