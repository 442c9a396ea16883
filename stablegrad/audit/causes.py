"""Why an operation loses digits: a word for every element that is lost.

A node that is judged on right arguments can only fail in a few ways, and each leaves its mark in
the values that it was given and gave. A textbook derivative is looked into: it is run on the same
right values step by step, and the first step that leaves the range, meets 0*inf or cancels says
why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.audit.program import run
from stablegrad.ir import Term, topological
from stablegrad.ops.record import CONST, is_float

Array = np.ndarray[Any, Any]

CANCELLATION = "cancellation"
OVERFLOW = "overflow"
UNDERFLOW = "underflow"
SATURATION = "saturation"
ZERO_TIMES_INF = "0*inf"
UNTAKEN = "nan from an untaken branch"
REMOVABLE = "removable singularity"
SUBNORMAL = "subnormal"
ROUNDING = "rounding"
"""What adds up in the absence of any of these."""

MEANINGS = {
    CANCELLATION: "nearly equal numbers are subtracted, so that their rounding errors remain",
    OVERFLOW: "a value is too great for a float, though the result is not",
    UNDERFLOW: "a value is too small for a float, though the result is not",
    SATURATION: "the derivative is computed from a value that has reached its limit",
    ZERO_TIMES_INF: "zero meets infinity (0*inf, inf/inf or inf - inf), which is nan",
    UNTAKEN: "a branch that was not taken hands back a nan, which 0 does not stop",
    REMOVABLE: "0/0 where there is a limit",
    SUBNORMAL: "a value is below the smallest normal float and has lost its last digits",
    ROUNDING: "many small errors add up",
}
ADDS = frozenset("add subtract affine sum mean matmul dot cumsum einsum trapezoid".split())
_MULTIPLIES = frozenset("multiply monomial".split())
_LOST = 2.0**4
"""A sum that is smaller than its addends by this factor or more cancels."""


def spread(value: Any, shape: tuple[int, ...]) -> Array:
    """A value in a shape: broadcast where it can be, else its worst element everywhere."""
    array = np.asarray(value)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        flat = np.asarray(array, np.float64).ravel()
        worst = flat[np.argmax(np.where(np.isnan(flat), np.inf, np.abs(flat)))] if flat.size else 0
        return np.broadcast_to(worst, shape)


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    info = ml_dtypes.finfo(dtype)
    return float(info.tiny), float(info.max)


def counted(causes: Array, where: Array) -> Counter[str]:
    """How many of the elements have which cause."""
    names, numbers = np.unique(causes[where], return_counts=True)
    return Counter({str(n): int(k) for n, k in zip(names, numbers, strict=True) if n})


def of_range(true: Array, shape: tuple[int, ...]) -> Array:
    """The cause where the true value of a node left the range of normal floats."""
    value = spread(true, shape)
    found = np.where(value == 0, UNDERFLOW, SUBNORMAL)
    return np.where(np.isfinite(value), found, OVERFLOW).astype(object)


def of_value(term: Term, args: Sequence[Array], got: Array, true: Array) -> Array:
    """The cause for each element of a node that was run on right arguments."""
    tiny, great = _limits(term.dtype)
    shape = got.shape
    with np.errstate(all="ignore"):
        size = np.abs(np.asarray(true, np.float64))
        given = [np.abs(spread(np.asarray(a, np.float64), shape)) for a in args]
        largest = np.max(given, axis=0) if given else np.zeros(shape)
        nonzero = [np.where(g > 0, g, np.inf) for g in given]
        least = np.min(nonzero, axis=0) if given else np.ones(shape)
        found = np.full(shape, CANCELLATION, object)
        if term.op.name not in ADDS:
            found[(largest > np.sqrt(great)) & ~np.isinf(largest)] = OVERFLOW
            found[(least < np.sqrt(tiny)) & (largest < np.sqrt(tiny))] = UNDERFLOW
        found[((size > 0) & (size < tiny)) | (least < tiny)] = SUBNORMAL
        plain = np.isfinite(largest)
        found[np.isinf(got) & plain] = OVERFLOW
        found[np.isnan(got) & ~plain] = ZERO_TIMES_INF
        found[np.isnan(got) & plain] = REMOVABLE
    return found


def of_steps(
    term: Term, values: Mapping[Term, Any], got: Array, bad: Array, outputs: Sequence[Term]
) -> Array:
    """The cause for each element of a step back: what its textbook derivative does on the way.

    Args:
        term: the step back over inputs.
        values: right values of those inputs.
        got: what the step gives.
        bad: the elements that are lost.
        outputs: the inputs that stand for the value of the node itself.
    """
    shape = got.shape
    found = np.full(shape, "", object)
    order = [t for t in topological([term]) if t.args and is_float(t.dtype)]
    if not order:
        return np.full(shape, CANCELLATION, object)
    known = dict(values)
    run_values = run([t for t in topological([term]) if t.args], known) | known
    for t in topological([term]):
        if t.op is CONST:
            run_values[t] = run([t], {})[t]
    saturating = _made_of(term, outputs)
    for t in order:
        args = [spread(run_values[a], shape) for a in t.args if is_float(a.dtype)]
        if not args:
            continue
        mark = _step(t, args, spread(run_values[t], shape), saturating)
        fresh = bad & (found == "") & (mark != "")
        # a nan or an infinity says more than digits that were lost before it
        special = bad & np.isnan(got) & np.isin(mark, (ZERO_TIMES_INF, REMOVABLE))
        special &= ~np.isin(found, (ZERO_TIMES_INF, REMOVABLE))
        found = np.where(fresh | special, mark, found)
    rest = np.where(np.isnan(got), ZERO_TIMES_INF, CANCELLATION)
    return np.where(found == "", rest, found)


def _made_of(term: Term, outputs: Sequence[Term]) -> set[Term]:
    """The terms that are made of the node's own value and constants alone."""
    found = set(outputs)
    for t in topological([term]):
        own = any(a in found for a in t.args)
        if own and all(a in found or a.op is CONST for a in t.args):
            found.add(t)
    return found


def _step(t: Term, args: list[Array], value: Array, saturating: set[Term]) -> Array:
    """What one step of a derivative does wrong; empty where nothing."""
    tiny = _limits(t.dtype)[0]
    mark = np.full(value.shape, "", object)
    with np.errstate(all="ignore"):
        given = [np.abs(np.asarray(a, np.float64)) for a in args]
        size = np.abs(np.asarray(value, np.float64))
        largest, least = np.max(given, axis=0), np.min(given, axis=0)
        if t.op.name in ADDS:
            lost = (size < largest / _LOST) & (largest < np.inf)
            mark[lost] = SATURATION if t in saturating else CANCELLATION
        else:
            fine = np.isfinite(largest)
            small = (size > 0) & (size < tiny) & (least >= tiny)
            mark[small] = SUBNORMAL
            if t.op.name in _MULTIPLIES | {"power", "divide", "square", "reciprocal", "exp"}:
                vanished = (size == 0) & (least > 0) & fine
                mark[vanished] = UNDERFLOW
            mark[np.isinf(size) & fine & (least > 0)] = OVERFLOW
        fresh = np.isnan(size) & ~np.any([np.isnan(g) for g in given], axis=0)
        mark[fresh] = ZERO_TIMES_INF
        if t.op.name == "divide":
            mark[fresh & (largest == 0)] = REMOVABLE
    return mark


# -- branches -------------------------------------------------------------------------------


def taken(roots: Sequence[Term], condition: Any, *, conditions: bool = True) -> dict[Term, Array]:
    """For each node, which elements are used by the results; what ``where`` drops is not.

    Args:
        roots: the results.
        condition: gives the true value of a boolean term.
        conditions: whether to be used in a condition counts: not for gradients.
    """
    found: dict[Term, Array] = {r: np.ones(r.shape, bool) for r in roots}

    def use(a: Term, mask: Array) -> None:
        reduced = _fold(mask, a.shape)
        found[a] = found[a] | reduced if a in found else reduced

    for term in reversed(topological(roots)):
        mask = found[term]
        if term.op.name == "where":
            chosen = np.broadcast_to(condition(term.args[0]), term.shape).astype(bool)
            use(term.args[0], mask & conditions)
            use(term.args[1], mask & chosen)
            use(term.args[2], mask & ~chosen)
        else:
            for a in term.args:
                every = np.broadcast_to(mask.any(), a.shape)
                use(a, mask if term.op.elementwise else every)
    return found


def _fold(mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask in the shape of an argument that was broadcast."""
    if mask.shape == shape:
        return mask
    extra = mask.ndim - len(shape)
    if extra < 0:
        return np.broadcast_to(mask, shape)
    mask = np.asarray(mask.any(axis=tuple(range(extra))))
    axes = tuple([i for i, n in enumerate(shape) if n == 1 and mask.shape[i] != 1])
    return np.asarray(mask.any(axis=axes, keepdims=True))
