"""Losses of several classes or labels by margins, with torch.nn.functional's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.nn.losses_functional import like, pair, reduce
from stablegrad.nn.normalization import pairwise_distance
from stablegrad.tensor import Tensor, as_tensor


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over other classes of max(0, margin - x[y] + x)**p, over the number of classes.

    Args:
        input: scores, shape (n, classes) or (classes,).
        target: the classes, integers of shape (n,) or ().
        p: 1 or 2.
        margin: what the right class should be ahead by.
        weight: a weight for each class, or None.
        reduction: "mean", "sum" or "none".
    """
    x = as_tensor(input)
    rows = x.reshape((1, -1)) if x.ndim == 1 else x
    y = np.asarray(as_tensor(target)).reshape(-1)
    if rows.ndim != 2 or y.shape != rows.shape[:1] or p not in (1, 2):
        got = f"scores of shape {x.shape}, classes {y.shape}, {p=}"
        raise ShapeError(message(got, "a class each, p 1 or 2"))
    own = np.arange(rows.shape[1]) == y[:, None]
    right = ops.take_along_axis(rows, as_tensor(y[:, None]), axis=1)
    gap = ops.maximum(margin - right + rows, 0.0) ** p
    if weight is not None:
        gap = gap * as_tensor(weight)[y].reshape((-1, 1))
    loss = ops.where(own, 0.0, gap).sum(axis=1) / rows.shape[1]
    return reduce(loss.reshape(()) if x.ndim == 1 else loss, reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """The mean over labels of -(y log(sigmoid(x)) + (1 - y) log(sigmoid(-x))).

    Args:
        input: logits, shape (..., labels).
        target: 0 or 1 for each, or shares.
        weight: a weight for each label, or None.
        reduction: "mean", "sum" or "none".
    """
    x, y = pair("multilabel_soft_margin_loss", input, target)
    loss = -(y * ops.log_sigmoid(x) + (1 - y) * ops.log_sigmoid(-x))
    if weight is not None:
        loss = loss * like(weight, x)
    return reduce(loss.mean(axis=-1), reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """The sum of max(0, 1 - (x[y] - x[i])) over labels y and others i, over their number.

    Args:
        input: scores, shape (n, classes) or (classes,).
        target: the labels of each, integers, the first -1 ending them; the same shape.
        reduction: "mean", "sum" or "none".
    """
    x = as_tensor(input)
    y = np.asarray(as_tensor(target))
    if y.shape != x.shape or x.ndim not in (1, 2):
        raise ShapeError(message(f"scores of shape {x.shape}, labels {y.shape}", "the same shape"))
    rows, labels = x.reshape((-1, x.shape[-1])), y.reshape(-1, x.shape[-1])
    given = np.cumprod(labels >= 0, axis=1).astype(bool)
    named = np.zeros(rows.shape, bool)
    for i in range(rows.shape[0]):
        named[i, labels[i][given[i]]] = True
    picked = ops.take_along_axis(rows, as_tensor(np.where(given, labels, 0)), axis=1)
    others = rows.reshape((-1, 1, x.shape[-1]))
    gap = ops.maximum(1.0 - (picked.reshape((*picked.shape, 1)) - others), 0.0)
    keep = given[:, :, None] & ~named[:, None, :]
    loss = ops.where(keep, gap, 0.0).sum(axis=(1, 2)) / x.shape[-1]
    return reduce(loss.reshape(()) if x.ndim == 1 else loss, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) of a distance d.

    Args:
        anchor: vectors.
        positive: vectors that should be near.
        negative: vectors that should be far.
        distance_function: the distance, ``pairwise_distance`` by default.
        margin: how much farther, positive.
        swap: whether the distance from positive to negative counts where it is less.
        reduction: "mean", "sum" or "none".
    """
    if not margin > 0:
        raise DomainError(message(f"margin={margin}", "a positive number"))
    d = pairwise_distance if distance_function is None else distance_function
    far = d(anchor, negative)
    if swap:
        far = ops.minimum(far, d(positive, negative))
    return reduce(ops.maximum(d(anchor, positive) - far + margin, 0.0), reduction)
