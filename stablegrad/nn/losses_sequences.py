"""The loss of sequences of labels without times, with torch.nn.functional's names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.nn.losses_functional import check_reduction, reduce
from stablegrad.ops.shape import stack
from stablegrad.tensor import Tensor, as_tensor

Array = np.ndarray[Any, Any]


def _whole(name: str, given: Any, shape: tuple[int, ...] | None = None) -> Array:
    found = np.asarray(as_tensor(given).numpy())
    if found.dtype.kind not in "iu" or (shape is not None and found.shape != shape):
        raise ShapeError(
            message(f"{name} of dtype {found.dtype} and shape {found.shape}",
                    "integers" + ("" if shape is None else f" of shape {shape}"))
        )  # fmt: skip
    return found.astype(np.int64)


def _rows(targets: Array, lengths: Array) -> list[Array]:
    """The labels of each sequence, from rows that are padded or from all in one row."""
    if targets.ndim == 2:
        return [row[:n] for row, n in zip(targets, lengths.tolist(), strict=True)]
    ends = np.cumsum(lengths)
    return [targets[end - n : end] for end, n in zip(ends, lengths.tolist(), strict=True)]


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006): -log(P) of label sequences.

    P is the sum over all ways to spread the labels over the times, with blanks between. It is
    summed in logarithms by time, so that nothing leaves the range, and derivatives of every order
    follow. By ``log_probs`` they are those of this sum, where torch gives what is right only
    behind a log_softmax.

    Args:
        log_probs: logarithms of probabilities, shape (times, n, classes) or (times, classes).
        targets: labels, integers of shape (n, longest) or all in one row.
        input_lengths: how many times count for each, integers of shape (n,) or ().
        target_lengths: how many labels each has, integers of shape (n,) or ().
        blank: the class of no label.
        reduction: "mean" (of each by its number of labels, 1 at least), "sum" or "none".
        zero_infinity: whether sequences that cannot be are left out, with derivative 0.

    Returns:
        A scalar, or with "none" a tensor of shape (n,); times*eps relative to the sum of the
        logarithms, and derivatives relative to their greatest.

    Raises:
        ShapeError: shapes that do not fit together, or no integers.
        DomainError: classes or lengths that do not exist, or an unknown reduction.

    Example:
        >>> p = sg.nn.functional.log_softmax(np.zeros((3, 1, 2), np.float32))
        >>> round(sg.nn.functional.ctc_loss(p, [[1]], [3], [1]).item(), 6)  # -log(6/8)
        0.287682
    """
    check_reduction(reduction)
    x = as_tensor(log_probs)
    alone = x.ndim == 2
    if x.ndim not in (2, 3):
        raise ShapeError(message(f"ctc_loss of shape {x.shape}", "(times, n, classes)"))
    x = x.reshape((x.shape[0], 1, x.shape[1])) if alone else x
    times, n, classes = x.shape
    counts, lengths = (
        _whole(name, np.reshape(np.asarray(as_tensor(v)), -1) if alone else v, (n,))
        for name, v in (("input_lengths", input_lengths), ("target_lengths", target_lengths))
    )
    labels = _whole("targets", targets)
    held = labels.shape[-1] if labels.ndim == 2 else labels.size
    total = lengths.max(initial=0) if labels.ndim == 2 else lengths.sum()
    if labels.ndim not in (1, 2) or (labels.ndim == 2 and len(labels) != n) or total > held:
        raise ShapeError(
            message(f"targets of shape {labels.shape} of lengths {lengths.tolist()}",
                    f"({n}, longest), or all labels in one row")
        )  # fmt: skip
    if counts.min(initial=0) < 0 or counts.max(initial=0) > times or lengths.min(initial=0) < 0:
        raise DomainError(message(f"lengths {counts.tolist()}", f"at most {times} times"))
    rows = _rows(labels, lengths)
    wrong = [v for row in rows for v in row.tolist() if not 0 <= v < classes or v == blank]
    if not 0 <= blank < classes or wrong:
        got = f"the label {wrong[0]}" if wrong else f"blank={blank}"
        raise DomainError(message(got, f"classes from 0 to {classes - 1}, labels no blank"))
    loss = -_log_probability(x, rows, counts, lengths, blank)
    if zero_infinity:
        loss = ops.where(ops.isinf(loss), 0.0, loss)
    if reduction == "mean":
        return ops.mean(loss / as_tensor(np.maximum(lengths, 1)).astype(loss.dtype))
    found = reduce(loss, reduction)
    return found.reshape(()) if alone and reduction == "none" else found


def _log_probability(
    x: Tensor, rows: list[Array], counts: Array, lengths: Array, blank: int
) -> Tensor:
    """log(P) of each: the states are the labels with blanks around, which a way passes in order."""
    times, n, _ = x.shape
    longest = int(lengths.max(initial=0))
    states = np.full((n, 2 * longest + 1), blank)
    for i, row in enumerate(rows):
        states[i, 1 : 2 * len(row) : 2] = row
    jumps = np.zeros(states.shape, bool)  # over a blank, to another label
    jumps[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    first = np.zeros(states.shape, bool)
    first[:, :2] = True
    first[lengths == 0, 1:] = False
    index = as_tensor(np.broadcast_to(states, (times, *states.shape)))
    p = ops.take_along_axis(x, index, axis=2)
    none = as_tensor(np.full((n, 2), -math.inf)).astype(x.dtype)
    alpha = ops.where(as_tensor(first), p[0], -math.inf)
    alpha = ops.where(as_tensor((counts > 0)[:, None]), alpha, -math.inf)
    for t in range(1, int(counts.max(initial=0))):
        before = ops.concatenate(none, alpha, axis=1)
        two = ops.where(as_tensor(jumps), before[:, :-2], -math.inf)
        ways = ops.logsumexp(stack([alpha, before[:, 1:-1], two], 2), axis=2)
        alpha = ops.where(as_tensor((counts > t)[:, None]), ways + p[t], alpha)
    last = 2 * lengths[:, None] - np.array([0, 1])
    ends = ops.take_along_axis(alpha, as_tensor(np.maximum(last, 0)), axis=1)
    return ops.logsumexp(ops.where(as_tensor(last >= 0), ends, -math.inf), axis=1)
