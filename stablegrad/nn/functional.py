"""Functions with torch.nn.functional's names and meanings.

Most are written in plain ops: what is fragile in them, values and derivatives of every order, is
the business of the ops and the rules.
"""

from __future__ import annotations

from typing import Any

from stablegrad.errors import ShapeError, message
from stablegrad.nn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from stablegrad.nn.activations_jax import (
    log1mexp,
    logmeanexp,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    standardize,
)
from stablegrad.nn.attention import (
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    gumbel_softmax,
    scaled_dot_product_attention,
)
from stablegrad.nn.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    pad,
)
from stablegrad.nn.losses_distances import (
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    poisson_nll_loss,
    sigmoid_focal_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
)
from stablegrad.nn.losses_functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)
from stablegrad.nn.losses_margins import (
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    triplet_margin_with_distance_loss,
)
from stablegrad.nn.losses_sequences import ctc_loss
from stablegrad.nn.normalization import (
    batch_norm,
    cdist,
    cosine_similarity,
    embedding,
    group_norm,
    instance_norm,
    layer_norm,
    normalize,
    one_hot,
    pairwise_distance,
    rms_norm,
)
from stablegrad.nn.pictures import (
    channel_shuffle,
    fold,
    interpolate,
    local_response_norm,
    pixel_shuffle,
    pixel_unshuffle,
    unfold,
)
from stablegrad.nn.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from stablegrad.nn.scattering import (
    gather,
    index_add,
    index_select,
    masked_fill,
    scatter,
    scatter_add,
    segment_sum,
)
from stablegrad.tensor import Tensor, as_tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "cdist", "celu", "channel_shuffle", "conv1d",
    "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "ctc_loss", "dropout",
    "dropout1d", "dropout2d", "dropout3d", "elu", "embedding", "focal_loss", "fold",
    "gather", "gaussian_nll_loss", "gelu", "glu", "group_norm", "gumbel_softmax",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hardshrink", "hardsigmoid",
    "hardswish", "hardtanh", "hinge_embedding_loss", "huber_loss", "identity", "index_add",
    "index_select", "instance_norm", "interpolate", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "local_response_norm", "log1mexp", "log_sigmoid",
    "log_softmax",
    "logmeanexp", "logsigmoid", "margin_ranking_loss", "masked_fill", "max_pool1d",
    "max_pool2d", "max_pool3d", "mish", "mse_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "normalize",
    "one_hot", "pad", "pairwise_distance", "pixel_shuffle", "pixel_unshuffle",
    "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm",
    "scaled_dot_product_attention", "scatter", "scatter_add", "segment_sum", "selu",
    "sigmoid", "sigmoid_focal_loss", "silu", "smooth_l1_loss", "soft_margin_loss",
    "soft_sign", "softmax", "softmin", "softplus", "softshrink", "softsign", "sparse_plus",
    "sparse_sigmoid", "squareplus", "standardize", "swish", "tanh", "tanhshrink",
    "threshold", "triplet_margin_loss", "triplet_margin_with_distance_loss", "unfold",
    "upsample",
]  # fmt: skip

# jax.nn's names of the same functions
swish, hard_sigmoid, hard_swish, hard_silu = silu, hardsigmoid, hardswish, hardswish
hard_tanh, soft_sign, log_sigmoid = hardtanh, softsign, logsigmoid
identity, upsample = as_tensor, interpolate
focal_loss = sigmoid_focal_loss


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """``input @ weight.T + bias``.

    Args:
        input: shape (..., in).
        weight: shape (out, in).
        bias: shape (out,), or None.

    Returns:
        A tensor of shape (..., out).

    Raises:
        ShapeError: shapes that do not fit together.

    Example:
        >>> sg.nn.functional.linear([1.0, 2.0], [[3.0, 4.0]], [0.5]).numpy()
        array([11.5], dtype=float32)
    """
    x, w = as_tensor(input), as_tensor(weight)
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise ShapeError(
            message(
                f"an input of shape {x.shape} for a weight of shape {w.shape}",
                f"an input of shape (..., {w.shape[-1] if w.ndim else 'in'}) and a weight "
                "of shape (out, in)",
            )
        )
    y = x @ w.T
    if bias is None:
        return y
    b = as_tensor(bias)
    if b.shape not in ((), w.shape[:1]):
        raise ShapeError(message(f"a bias of shape {b.shape}", f"the shape {w.shape[:1]}"))
    return y + b
