"""Which sums of reductions are decided as a whole where they cancel."""

from __future__ import annotations

import math
from collections.abc import Mapping

from stablegrad.cost import one_sign
from stablegrad.ir import Term, make
from stablegrad.ops.exact import to_float
from stablegrad.ops.forms import AFFINE
from stablegrad.ops.lowered_structured import SETTLED_SUM, inputs_of
from stablegrad.ops.record import INPUT, LEAF
from stablegrad.transforms.rational import MOVING

TERMS = 64
ELEMENTS = 32
"""The size of programs and of their inputs that are decided."""
ZEROS = frozenset(["log", "arccos", "arccosh"])
"""Functions with a zero, or an end, at which they feel the rounding of what is near 1."""

DEEP = -8.0
"""The logarithm of what is left of 1 where its rounding shows."""
WHOLE = frozenset(["sum", "mean"])


def as_settled(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """The lowered term, decided where it cancels, if it has reductions and is small.

    Args:
        value: the term, lowered.
        term: the term, canonical.
        lowered: the lowered terms of its arguments.
    """
    sums = term.op is AFFINE and not isinstance(term.params[0], str) and not one_sign(term)
    whole = term.op.name in WHOLE and term.shape == ()
    ends = term.op.name == "log1p"
    if not sums and not whole and not ends and term.op.name not in ZEROS:
        return value
    leaves = _small_leaves(term)
    if leaves is None:
        return value
    floor = abs(to_float(term.params[0])) if sums else 0.0 if whole or ends else 1.0
    coefficients = term.params[1] if sums else (1,) if whole else ()
    addends = [lowered[a] for a in term.args] if sums or whole else []
    args = (value, *addends, *leaves)
    return make(
        SETTLED_SUM,
        args,
        (coefficients, floor, DEEP if ends else -math.inf, term),
        value.shape,
        value.dtype,
    )


def _small_leaves(term: Term) -> list[Term] | None:
    """The inputs of a small program with reductions; None for others."""
    seen: dict[Term, None] = {}
    stack, reduces = [term], False
    while stack:
        t = stack.pop()
        if t in seen:
            continue
        seen[t] = None
        if len(seen) > TERMS:
            return None
        reduces = reduces or not (t.op.elementwise or t.op.name in MOVING or not t.args)
        stack += t.args
    if not reduces:
        return None
    leaves = inputs_of(term)
    known = all(t.op is INPUT or t.op is LEAF for t in leaves)
    small = sum(math.prod(t.shape) for t in leaves) <= ELEMENTS
    return leaves if known and small else None
