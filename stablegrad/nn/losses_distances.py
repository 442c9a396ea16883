"""Losses between numbers, distributions and vectors, with torch.nn.functional's names."""

from __future__ import annotations

import math
from typing import Any

from stablegrad import ops
from stablegrad.errors import DomainError, message
from stablegrad.nn.losses_functional import REDUCTIONS, like, pair, reduce
from stablegrad.nn.normalization import cosine_similarity, pairwise_distance
from stablegrad.tensor import Tensor, as_tensor

# -- between numbers ----------------------------------------------------------------------


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """(x - y)**2.

    Args:
        input: any shape.
        target: the same shape.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or with "none" a tensor of the shape of the input.

    Raises:
        ShapeError: another shape of the target.
        DomainError: an unknown reduction.

    Example:
        >>> sg.nn.functional.mse_loss([1.0, 2.0], [1.0, 4.0]).item()
        2.0
    """
    x, y = pair("mse_loss", input, target)
    return reduce(ops.square(x - y), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """|x - y|, with derivative 0 where they agree. Arguments are those of ``mse_loss``."""
    x, y = pair("l1_loss", input, target)
    return reduce(ops.abs(x - y), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """(x - y)**2/2 up to a distance delta, beyond it delta*(|x - y| - delta/2).

    Args:
        input: any shape.
        target: the same shape.
        reduction: "mean", "sum" or "none".
        delta: the distance where the square ends, positive.

    Returns:
        A scalar, or with "none" a tensor of the shape of the input.

    Raises:
        ShapeError: another shape of the target.
        DomainError: a delta that is not positive, or an unknown reduction.
    """
    if not delta > 0:
        raise DomainError(message(f"delta={delta}", "a positive distance"))
    x, y = pair("huber_loss", input, target)
    distance = ops.abs(x - y)
    loss = ops.where(distance <= delta, 0.5 * ops.square(x - y), delta * (distance - 0.5 * delta))
    return reduce(loss, reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - y)**2/(2*beta) up to a distance beta, beyond it |x - y| - beta/2.

    Arguments are those of ``huber_loss``; with beta = 0 it is the ``l1_loss``.
    """
    if not beta >= 0:
        raise DomainError(message(f"beta={beta}", "a distance of 0 or more"))
    if beta == 0:
        return l1_loss(input, target, reduction)
    x, y = pair("smooth_l1_loss", input, target)
    distance = ops.abs(x - y)
    loss = ops.where(distance < beta, 0.5 / beta * ops.square(x - y), distance - 0.5 * beta)
    return reduce(loss, reduction)


# -- between distributions ----------------------------------------------------------------


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """The Kullback-Leibler divergence: p*(log(p) - x), for log-probabilities x.

    Args:
        input: log-probabilities x of any shape, -inf where there is none.
        target: probabilities p of the same shape, or their logarithms.
        reduction: "mean" over all elements, "batchmean" by the first length, "sum" or "none".
        log_target: whether the target is logarithms.

    Returns:
        A scalar, or with "none" a tensor of the shape of the input; a p of 0 costs nothing.

    Raises:
        ShapeError: another shape of the target.
        DomainError: an unknown reduction.

    Example:
        >>> sg.nn.functional.kl_div([-1.0, -np.inf], [1.0, 0.0], reduction="sum").item()
        1.0
    """
    x, y = pair("kl_div", input, target)
    if log_target:
        none = ops.equal(y, -math.inf)
        each = ops.exp(y) * (y - x)
    else:
        none = ops.equal(y, 0)
        each = y * (ops.log(y) - x)
    loss = ops.where(none, 0.0, each)
    if reduction == "batchmean":
        return ops.sum(loss) / (x.shape[0] if x.ndim else 1)
    if reduction not in REDUCTIONS:
        raise DomainError(
            message(f"reduction={reduction!r}", f"one of {(*REDUCTIONS, 'batchmean')}")
        )
    return reduce(loss, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts: exp(x) - y*x, for logarithms x of rates.

    Args:
        input: logarithms of rates, or rates.
        target: counts of the same shape.
        log_input: whether the input is logarithms; else it is x - y*log(x + eps).
        full: whether to add Stirling's approximation of log(y!).
        eps: keeps the logarithm of a rate of 0 finite.
        reduction: "mean", "sum" or "none".
    """
    x, y = pair("poisson_nll_loss", input, target)
    loss = ops.exp(x) - y * x if log_input else x - y * ops.log(x + eps)
    if full:
        counted = ops.maximum(y, 1.0)
        more = y * ops.log(counted) - y + 0.5 * ops.log(2 * math.pi * counted)
        loss = loss + ops.where(y > 1, more, 0.0)
    return reduce(loss, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of a normal distribution: (log(var) + (x - y)**2/var)/2.

    Args:
        input: means of any shape.
        target: values of the same shape.
        var: variances, a shape that broadcasts; they count as eps at least.
        full: whether to add log(2*pi)/2.
        eps: the least variance.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: another shape of the target.
    """
    x, y = pair("gaussian_nll_loss", input, target)
    given = like(var, x)
    if given.ndim == x.ndim - 1 and given.shape == x.shape[:-1]:
        given = given.reshape((*given.shape, 1))
    variance = ops.maximum(given, eps)
    loss = 0.5 * (ops.log(variance) + ops.square(x - y) / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce(loss, reduction)


def sigmoid_focal_loss(
    inputs: Any,
    targets: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "none",
) -> Tensor:
    """Cross entropy of two classes, times (1 - p)**gamma of the true one's p (Lin et al. 2017).

    Args:
        inputs: logits of any shape.
        targets: truths of the same shape, 0 or 1.
        alpha: the weight of class 1, and 1 - alpha that of class 0; below 0, none.
        gamma: how much less what is nearly right counts.
        reduction: "mean", "sum" or "none", which is the default.

    Raises:
        ShapeError: another shape of the targets.

    Example:
        >>> loss = sg.nn.functional.sigmoid_focal_loss([100.0, -100.0], [1.0, 1.0], alpha=-1)
        >>> float(loss[0]) < 1e-44, loss[1].item()
        (True, 100.0)
    """
    z, y = pair("sigmoid_focal_loss", inputs, targets)
    # two terms of one sign, each a product: nothing cancels
    hit = y * ops.softplus(-z) * ops.sigmoid(-z) ** gamma
    miss = (1 - y) * ops.softplus(z) * ops.sigmoid(z) ** gamma
    loss = alpha * hit + (1 - alpha) * miss if alpha >= 0 else hit + miss
    return reduce(loss, reduction)


# -- with a margin ------------------------------------------------------------------------


def _positive_part(x: Tensor) -> Tensor:
    return ops.maximum(x, 0)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-y*x)) for y of 1 or -1."""
    x, y = pair("soft_margin_loss", input, target)
    return reduce(ops.softplus(-y * x), reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """x where y is 1, max(0, margin - x) where it is -1."""
    x, y = pair("hinge_embedding_loss", input, target)
    return reduce(ops.where(ops.equal(y, 1), x, _positive_part(margin - x)), reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - y*(a - b)): the first is to be greater where y is 1, less where -1."""
    a, b = pair("margin_ranking_loss", input1, input2)
    return reduce(_positive_part(margin - like(target, a) * (a - b)), reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos of the angle between vectors where y is 1, max(0, cos - margin) where -1."""
    a, b = pair("cosine_embedding_loss", input1, input2)
    cosine = cosine_similarity(a, b, dim=-1)
    y = like(target, a)
    loss = ops.where(ops.equal(y, 1), 1 - cosine, _positive_part(cosine - margin))
    return reduce(loss, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the ``pairwise_distance``.

    Args:
        anchor: shape (..., n).
        positive: what is to be near it, of the same shape.
        negative: what is to be farther, of the same shape.
        margin: by how much.
        p: which norm.
        eps: see ``pairwise_distance``.
        swap: whether the distance of positive and negative counts if it is less.
        reduction: "mean", "sum" or "none".
    """
    a, near = pair("triplet_margin_loss", anchor, positive)
    far = like(as_tensor(negative), a)
    away = pairwise_distance(a, far, p, eps)
    if swap:
        away = ops.minimum(away, pairwise_distance(near, far, p, eps))
    return reduce(_positive_part(pairwise_distance(a, near, p, eps) - away + margin), reduction)
