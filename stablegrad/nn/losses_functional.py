"""Losses as functions, with torch.nn.functional's names and meanings.

None clamps: log(p) of a p that is written as a sigmoid or softmax is computed from the logits,
whatever lies between, because the rules see the whole expression.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import DomainError, DTypeError, ShapeError, TraceError, message
from stablegrad.ops.record import is_float
from stablegrad.tensor import Tensor, as_tensor

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> str:
    """A known way to reduce, or a DomainError."""
    if reduction not in REDUCTIONS:
        raise DomainError(message(f"reduction={reduction!r}", f"one of {REDUCTIONS}"))
    return reduction


def reduce(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or the losses themselves."""
    check_reduction(reduction)
    if reduction == "none":
        return loss
    return ops.mean(loss) if reduction == "mean" else ops.sum(loss)


def pair(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Prediction and target of one shape: broadcasting them is nearly always a mistake."""
    x, y = as_tensor(input), like(target, as_tensor(input))
    if x.shape != y.shape:
        raise ShapeError(
            message(
                f"{name} of an input of shape {x.shape} and a target of shape {y.shape}",
                "one shape",
                "Reshape the target, for instance with target[:, None].",
            )
        )
    if not is_float(x.dtype):
        raise DTypeError(message(f"{name} of an input of dtype {x.dtype}", "a floating dtype"))
    return x, y


def like(data: Any, x: Tensor) -> Tensor:
    """Data as a tensor; integers, booleans and what has no dtype become that of ``x``."""
    made = as_tensor(data)
    if made.dtype == x.dtype or (is_float(made.dtype) and hasattr(data, "dtype")):
        return made
    return made.astype(x.dtype)


def _weighted(loss: Tensor, weight: Any, x: Tensor) -> Tensor:
    if weight is None:
        return loss
    w = like(weight, x)
    try:
        fits = np.broadcast_shapes(w.shape, loss.shape) == loss.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            message(f"a weight of shape {w.shape}", f"a shape that broadcasts to {loss.shape}")
        )
    return w * loss


# -- two classes --------------------------------------------------------------------------


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """-(y*log(p) + (1 - y)*log(1 - p)) of probabilities.

    Written after a sigmoid it is as good as ``binary_cross_entropy_with_logits``: the rules
    see the logits through both logarithms. Nothing is clamped: a probability of exactly 0
    for what is there costs infinity, and costs nothing for what is not.

    Args:
        input: probabilities p, 0 <= p <= 1, of any shape.
        target: truths y, 0 <= y <= 1, of the same shape.
        weight: a weight for each element, or None.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or with "none" a tensor of the shape of the input.

    Raises:
        ShapeError: another shape of the target.
        DomainError: an unknown reduction.

    Example:
        >>> p = sg.nn.functional.sigmoid([100.0])
        >>> sg.nn.functional.binary_cross_entropy(p, [0.0]).item()
        100.0
    """
    p, y = pair("binary_cross_entropy", input, target)
    hit = _product_at_zero(y, p)
    miss = _product_at_zero(1 - y, 1 - p)
    return reduce(_weighted(-(hit + miss), weight, p), reduction)


def _product_at_zero(y: Tensor, p: Tensor) -> Tensor:
    """y*log(p), 0 where both are 0. For a sigmoid p the condition is proved false and goes."""
    both = ops.logical_and(ops.equal(p, 0), ops.equal(y, 0))
    return ops.where(both, 0, y * ops.log(p))


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """-(y*log(sigmoid(z)) + (1 - y)*log(1 - sigmoid(z))) of logits.

    Args:
        input: logits z of any shape.
        target: truths y, 0 <= y <= 1, of the same shape.
        weight: a weight for each element, or None.
        reduction: "mean", "sum" or "none".
        pos_weight: a weight for the positive part, or None.

    Returns:
        A scalar, or with "none" a tensor of the shape of the input.

    Raises:
        ShapeError: another shape of the target.
        DomainError: an unknown reduction.

    Example:
        >>> sg.nn.functional.binary_cross_entropy_with_logits([-100.0], [1.0]).item()
        100.0
    """
    z, y = pair("binary_cross_entropy_with_logits", input, target)
    # two terms of one sign: nothing cancels, in the value or in the gradient
    hit = _weighted(y * ops.softplus(-z), pos_weight, z)
    return reduce(_weighted(hit + (1 - y) * ops.softplus(z), weight, z), reduction)


# -- many classes -------------------------------------------------------------------------


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log(softmax(x)) of the true class, or its mean under the true probabilities.

    Args:
        input: logits of shape (classes,), (n, classes) or (n, classes, ...).
        target: integers of the shape of the input without its classes: the true class of
            each; or floating-point probabilities of the shape of the input.
        weight: a weight for each class, of shape (classes,), or None.
        ignore_index: a class, in integer targets, that costs nothing.
        reduction: "mean" (of integer targets by their weights), "sum" or "none".
        label_smoothing: how much of each truth to spread over all classes, 0 to 1.

    Returns:
        A scalar, or with "none" a tensor of the shape of the input without its classes.

    Raises:
        ShapeError: a target or weight of another shape.
        DTypeError: an input that is not floating-point.
        DomainError: a class that does not exist, or an unknown reduction.

    Example:
        >>> sg.nn.functional.cross_entropy([[0.0, 200.0]], [0]).item()
        200.0
    """
    x = as_tensor(input)
    axis = _class_axis("cross_entropy", x)
    if not 0 <= label_smoothing <= 1:
        raise DomainError(message(f"label_smoothing={label_smoothing}", "0 to 1"))
    y = as_tensor(target)
    log_p = ops.log_softmax(x, axis=axis)
    if is_float(y.dtype):
        return _cross_entropy_of_probabilities(
            log_p, like(target, x), weight, reduction, label_smoothing
        )
    loss, weights = _picked("cross_entropy", log_p, y, weight, ignore_index)
    if label_smoothing:
        classes = x.shape[axis]
        each = _class_weighted(-log_p, weight, axis)
        spread = ops.where(ops.equal(y, ignore_index), 0, ops.sum(each, axis=axis))
        loss = (1 - label_smoothing) * loss + (label_smoothing / classes) * spread
    return _reduce_by_weights(loss, weights, reduction)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative of the true class's entry, which is its log-probability.

    Arguments, returns and errors are those of ``cross_entropy`` with integer targets.

    Example:
        >>> sg.nn.functional.nll_loss([[-1.0, -2.0]], [1]).item()
        2.0
    """
    x = as_tensor(input)
    _class_axis("nll_loss", x)
    loss, weights = _picked("nll_loss", x, as_tensor(target), weight, ignore_index)
    return _reduce_by_weights(loss, weights, reduction)


def _class_axis(name: str, x: Tensor) -> int:
    if x.ndim == 0:
        raise ShapeError(message(f"{name} of a scalar", "an input of shape (n, classes)"))
    if not is_float(x.dtype):
        raise DTypeError(message(f"{name} of an input of dtype {x.dtype}", "a floating dtype"))
    return 0 if x.ndim == 1 else 1


def _class_weights(weight: Any, x: Tensor, axis: int) -> Tensor:
    w = like(weight, x)
    if w.shape != (x.shape[axis],):
        raise ShapeError(message(f"a weight of shape {w.shape}", f"({x.shape[axis]},)"))
    return w


def _class_weighted(loss: Tensor, weight: Any, axis: int) -> Tensor:
    """The loss times the weight of each class along its axis."""
    if weight is None:
        return loss
    w = _class_weights(weight, loss, axis)
    return loss * w.reshape((-1, *[1] * (loss.ndim - axis - 1)))


def _picked(
    name: str, log_p: Tensor, y: Tensor, weight: Any, ignore_index: int
) -> tuple[Tensor, Tensor | None]:
    """The weighted loss of each, and the weights by which a mean divides (None for all 1)."""
    axis = 0 if log_p.ndim == 1 else 1
    shape = (*log_p.shape[:axis], *log_p.shape[axis + 1 :])
    if y.shape != shape:
        raise ShapeError(
            message(
                f"{name} of an input of shape {log_p.shape} and a target of shape {y.shape}",
                f"a target of shape {shape} that names classes"
                + (f", or probabilities of shape {log_p.shape}" if name != "nll_loss" else ""),
            )
        )
    if y.dtype.kind not in "iu":
        raise DTypeError(message(f"{name} of a target of dtype {y.dtype}", "integers"))
    ignored = _check_classes(y, log_p.shape[axis], ignore_index)
    kept = y if ignored is False else ops.where(ops.equal(y, ignore_index), 0, y)
    index = kept.reshape((*shape[:axis], 1, *shape[axis:]))
    loss = -ops.take_along_axis(log_p, index, axis=axis).reshape(shape)
    weights = None
    if weight is not None:
        weights = _class_weights(weight, log_p, axis)[kept]
        loss = weights * loss
    if ignored is not False:
        loss = ops.where(ops.equal(y, ignore_index), 0, loss)
        ones = 1 if weights is None else weights
        weights = ops.where(ops.equal(y, ignore_index), 0, ones).astype(log_p.dtype)
    return loss, weights


def _check_classes(y: Tensor, classes: int, ignore_index: int) -> bool | None:
    """Whether any target is to be ignored; None if that is not known yet."""
    try:
        values = y.numpy()
    except TraceError:
        return None
    ignored = values == ignore_index
    wrong = values[~ignored & ((values < 0) | (values >= classes))]
    if wrong.size:
        raise DomainError(
            message(f"the class {wrong.flat[0]} as a target", f"classes from 0 to {classes - 1}")
        )
    return bool(ignored.any())


def _reduce_by_weights(loss: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
    if reduction == "mean" and weights is not None:
        return ops.sum(loss) / ops.sum(weights)
    return reduce(loss, reduction)


def _cross_entropy_of_probabilities(
    log_p: Tensor, y: Tensor, weight: Any, reduction: str, label_smoothing: float
) -> Tensor:
    axis = 0 if log_p.ndim == 1 else 1
    if y.shape != log_p.shape:
        raise ShapeError(
            message(
                f"cross_entropy of probabilities of shape {y.shape}",
                f"the shape of the input, {log_p.shape}, or integers that name classes",
            )
        )
    if label_smoothing:
        y = (1 - label_smoothing) * y + label_smoothing / log_p.shape[axis]
    # a class with logit -inf costs nothing where it has no part in the truth
    absent = ops.logical_and(ops.equal(y, 0), ops.equal(log_p, -np.inf))
    each = _class_weighted(-ops.where(absent, 0, y * log_p), weight, axis)
    loss = ops.sum(each, axis=axis)
    if check_reduction(reduction) == "mean":
        return ops.sum(loss) / (loss.size or 1)
    return reduce(loss, reduction)
