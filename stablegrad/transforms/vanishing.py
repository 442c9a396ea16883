"""Which numbers may be lost below the range, and the small programs that are decided there."""

from __future__ import annotations

from weakref import WeakSet

import numpy as np

from stablegrad.ir import Term
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.lowered_structured import inputs_of
from stablegrad.ops.ranged import TINY
from stablegrad.ops.record import INPUT, is_const
from stablegrad.transforms.rational import is_exact


def vanishes(x: Term) -> bool:
    """Whether a computed number may be lost below the range, or the sign of one.

    A sum of the program's numbers is none, and a function of one with plain zeros at most where it
    decays.
    """
    lo, hi = x.facts.lo, x.facts.hi
    if is_exact(x) or lo >= TINY or hi <= -TINY:
        return False
    if x.op is MONOMIAL or not all(map(is_exact, x.args)):
        return True
    if x.op is AFFINE:
        return any(abs(c) < 1 for c in x.params[1])
    return lo == 0 or hi == 0 or x.op.name not in PLAIN


PLAIN = frozenset(
    "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh tanh arcsin arccos arctan arcsinh "
    "arccosh arctanh erf erfinv ndtri logit softsign abs lgamma digamma gamma sigmoid "
    "softplus".split()
)
"""Functions whose zeros are simple."""


def vanishing_inputs(term: Term) -> list[Term] | None:
    """The inputs of a small elementwise program in float64; None for others.

    And for one whose steps or masks make zeros: these are meant.
    """
    seen: dict[Term, None] = {}
    stack = [term]
    while stack:
        t = stack.pop()
        if t in seen:
            continue
        if t in _large or len(seen) > TERMS:
            _large.add(term)
            return None
        plain = t.op.elementwise or t.op.name == "broadcast_to"
        kind = t.dtype == np.float64 or (t.dtype.kind == "b" and t.op is not INPUT)
        if (t.args and (_has_honest_zeros(t) or not plain)) or not kind:
            _large.add(term)
            return None
        seen[t] = None
        stack += t.args
    return inputs_of(term)


TERMS = 64
"""The size of programs that are decided."""
STEPS = frozenset(
    "indicator sign floor ceil round trunc heaviside remainder floor_divide mod "
    "astype stop_gradient synthesized reduced".split()
)
"""Ops with honest zeros, and those that are not what they are computed as."""
_large: WeakSet[Term] = WeakSet()
"""Terms that were found not to be such programs, nor is what is made of them."""


def _has_honest_zeros(t: Term) -> bool:
    if t.op is MONOMIAL:
        return any(x.dtype.kind == "b" for x in t.args)
    if t.op.name in ("where", "clip"):
        return any(is_const(x, 0) for x in t.args)
    return t.op.name in STEPS
