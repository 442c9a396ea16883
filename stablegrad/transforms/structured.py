"""Which sums of reductions are decided as a whole where they cancel."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from stablegrad.cost import one_sign
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops.exact import to_float
from stablegrad.ops.forms import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.lowered_structured import (
    AT_ONE,
    AT_STAKE,
    SETTLED_RANGE,
    SETTLED_STEEP,
    SETTLED_SUM,
    inputs_of,
)
from stablegrad.ops.pair_calls import CALLS
from stablegrad.ops.record import INPUT, LEAF
from stablegrad.transforms.meanings import has_meaning
from stablegrad.transforms.rational import MOVING, is_exact

TERMS = 96
ELEMENTS = 32
"""The size of programs and of their inputs that are decided."""
ZEROS = frozenset(["log", "arccos", "arccosh"])
"""Functions with a zero, or an end, at which they feel the rounding of what is near 1."""

DEEP = -8.0
"""The logarithm of what is left of 1 where its rounding shows."""
WHOLE = frozenset(["sum", "mean"])
QUOTIENTS = frozenset(["power", "power_derivative", "log_ratio", "arctan2", "hypot"])
STEEP = frozenset(["exp", "expm1", "softplus", "sigmoid", "log_sigmoid", "sigmoid_slope"])
TAILS = frozenset(["gammainc", "gammaincc", "betainc"])
CODED = frozenset(["polygamma", "polygamma_step"])
"""Functions with steps of their own in codes."""
SLOPES = frozenset(["softmax_jvp", "log_softmax_jvp", "log_softmax_vjp", "unit_vector_jvp"])
"""Ops that take a mean off their second argument, and cancel its rounding where it is computed."""
ROWS = frozenset(["softmax", "softmax_jvp", "log_softmax_jvp", "log_softmax_vjp"])
"""Exponentials of rows of differences."""


def as_settled(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """The lowered term, decided where it cancels, if it has reductions and is small.

    Args:
        value: the term, lowered.
        term: the term, canonical.
        lowered: the lowered terms of its arguments.
    """
    if term.op is MONOMIAL or term.op.name in QUOTIENTS or term.op.name == "log":
        settled = _as_settled_range(value, term, lowered)
        if settled is not value:
            return settled
    if term.op is REQUIRE:
        return _as_settled_guard(value, term)
    if term.op.name in STEEP or term.op.name in AT_ONE:
        return _as_settled_steep(value, term, lowered)
    if term.op.name in ROWS:
        value = _as_settled_steep(value, term, lowered)
    several = term.op is AFFINE and len(term.args) + (term.params[0] != 0) > 1
    sums = several and not isinstance(term.params[0], str) and not one_sign(term)
    whole = term.op.name in WHOLE and term.shape == () and not term.args[0].facts.nonnegative
    ends = term.op.name == "log1p"
    slope = term.op.name in SLOPES and not is_exact(term.args[1])
    slope = slope or (term.op.name == "center" and not is_exact(term.args[0]))
    if not (sums or whole or ends or slope) and term.op.name not in ZEROS:
        return value
    leaves = small_leaves(term)
    if leaves is None:
        return value
    floor = abs(to_float(term.params[0])) if sums else 0.0 if whole or ends or slope else 1.0
    coefficients = term.params[1] if sums else (1,) if whole or slope else ()
    addends = [lowered[a] for a in term.args] if sums or whole else []
    if slope:
        addends = [_cancelled(term, *[lowered[a] for a in term.args])]
    args = (value, *addends, *leaves)
    return make(
        SETTLED_SUM,
        args,
        (coefficients, floor, DEEP if ends else -math.inf, AT_STAKE, term),
        value.shape,
        value.dtype,
    )


def as_settled_result(value: Term, term: Term) -> Term:
    """A lowered result of reductions, decided where infinities on the way have made it nan."""
    leaves = small_leaves(term) if value.dtype == np.float64 else None
    if leaves is None:
        return value
    return make(SETTLED_RANGE, (value, *leaves), (0, True, term), value.shape, value.dtype)


def _as_settled_range(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered product or power, decided where a reduction that it is of leaves the range."""
    tails = [x for x in term.args if _is_tail(x)]
    watched = tails or [x for x in term.args if term.op.name != "log" and _may_be_reduced(x)]
    alone = len(term.args) == 1 and term.op is MONOMIAL and isinstance(term.params[0][0], int)
    if not watched or alone:
        return value
    leaves = small_leaves(term)
    if leaves is None:
        return value
    args = (value, *[lowered[x] for x in watched], *leaves)
    params = (len(watched), not tails, term)
    return make(SETTLED_RANGE, args, params, value.shape, value.dtype)


def _as_settled_guard(value: Term, term: Term) -> Term:
    """A guarded term, decided where it is nan as a reduction that its guard reads underflowed."""
    leaves = small_leaves(term)
    if leaves is None or not any(_may_be_reduced(t) for t in topological([term.args[1]])):
        return value
    return make(SETTLED_RANGE, (value, value, *leaves), (1, True, term), value.shape, value.dtype)


def _as_settled_steep(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered function, decided where it feels the rounding of reductions."""
    leaves = None if is_exact(term.args[0]) else small_leaves(term)
    if leaves is None:
        return value
    args = (value, lowered[term.args[0]], *leaves)
    return make(SETTLED_STEEP, args, (term.op.name, term), value.shape, value.dtype)


def _is_tail(x: Term) -> bool:
    """Whether a factor is a tail that underflows where its log and its slope's quotient do not."""
    return x.op.name in TAILS or (x.op.name == "where" and any(a.op.name in TAILS for a in x.args))


def _may_be_reduced(x: Term) -> bool:
    """Whether a factor is a reduction, what puts axes back that one took, or a sum of such."""
    parts = x.args if x.op is AFFINE else (x,)
    if x.op is AFFINE and any(a.op is MONOMIAL for a in parts):
        return True
    return any(
        (a.op.family == "reduction" and a.size < a.args[0].size)
        or a.op.name in ("reshape", "broadcast_to", "require")
        for a in parts
    )


def _cancelled(slope: Term, x: Term, t: Term | None = None) -> Term:
    """The size of what cancels in a slope, element by element."""
    if t is None:
        return OPS["abs"](x)
    axis = slope.param("axis")
    size = OPS["abs"](t)
    if slope.op.name == "unit_vector_jvp":
        return size / OPS["norm"](x, axis=axis, keepdims=True)
    if slope.op.name != "softmax_jvp":
        return size
    share = OPS["softmax"](x, axis=axis)  # what one that dominates has in common with itself goes
    weighted = share * size
    return share * (OPS["sum"](weighted, axis=axis, keepdims=True) + size - 2 * weighted)


def _is_unknown(t: Term) -> bool:
    """Whether a term is a function that pairs do not know: log_i0(x*y) beside x*y."""
    name = t.op.name
    return t.op.family == "special" and not (name in CODED or name in CALLS or has_meaning(name))


def small_leaves(term: Term, limit: int = TERMS) -> list[Term] | None:
    """The inputs of a small program with reductions, or functions unknown to pairs; else None."""
    seen: dict[Term, None] = {}
    stack, reduces = [term], False
    while stack:
        t = stack.pop()
        if t in seen:
            continue
        seen[t] = None
        if len(seen) > limit:
            return None
        reduces = reduces or not (t.op.elementwise or t.op.name in MOVING or not t.args)
        reduces = reduces or t.op.name in TAILS or _is_unknown(t)
        stack += t.args
    if not reduces:
        return None
    leaves = inputs_of(term)
    known = all(t.op is INPUT or t.op is LEAF for t in leaves)
    small = sum(math.prod(t.shape) for t in leaves) <= ELEMENTS
    return leaves if known and small else None
