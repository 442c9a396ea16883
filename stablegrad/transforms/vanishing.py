"""Which numbers may be lost below the range, and the small programs that are decided there."""

from __future__ import annotations

import math
from weakref import WeakSet

import numpy as np

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.corrected import TURNING
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.known import KNOWN, RANGED_TIE
from stablegrad.ops.lowered_gaps import SIGNED
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
APART = frozenset("astype stop_gradient".split())
"""Ops that are not what they are computed as."""
STEPS = APART | frozenset(
    "indicator sign floor ceil round trunc heaviside remainder floor_divide mod".split()
)
"""Those, and ops with honest zeros."""
_large: WeakSet[Term] = WeakSet()
"""Terms that were found not to be such programs, nor is what is made of them."""


def as_known(value: Term, term: Term) -> Term:
    """A lowered result that is decided where infinities on the way have spoilt it.

    exp(-cosh(x))*sinh(x) is 0 at 800, and maximum(x, sin(exp(y))) is x beyond 1.

    Args:
        value: the lowered result.
        term: the same, canonical.
    """
    if value.dtype != np.float64 or value is term or is_exact(term):
        return value
    seen, stack, risky = {term}, [term], False
    while stack:
        t = stack.pop()
        kind = t.dtype == np.float64 or (t.dtype.kind == "b" and t.op is not INPUT)
        plain = not t.args or t.op.elementwise or t.op.name == "broadcast_to"
        if not (kind and plain) or t.op.name in APART or len(seen) > WHOLE:
            return value
        risky = risky or _is_risky(t)
        fresh = [a for a in t.args if a not in seen]
        seen.update(fresh)
        stack += fresh
    if not risky:
        return value
    args = (value, *inputs_of(term))
    beyond = len(seen) > TERMS  # its parts are no small programs, that are decided themselves
    return make(KNOWN, args, (beyond, term), forms.broadcast(MONOMIAL, args), value.dtype)


def as_told_apart(value: Term, term: Term) -> Term:
    """A lowered comparison of computed numbers, decided where both have left the range.

    Args:
        value: the lowered comparison.
        term: the same, canonical.
    """
    if term.op.name not in SIGNED or any(map(is_exact, term.args)):
        return value
    small = all(map(vanishes, term.args))
    if not (small or all(map(_is_unbounded, term.args))):
        return value
    inputs = vanishing_inputs(term)
    if inputs is None or (small and any(map(_is_rectified, topological([term])))):
        return value
    told = value
    while told.op.name in ("redone_comparison", "ranged_comparison"):
        told = told.args[0]
    args = (value, *told.args[:2], *inputs)
    meant = OPS["where"](term, 1.0, 0.0)
    return make(RANGED_TIE, args, (meant,), forms.broadcast(MONOMIAL, args), value.dtype)


def as_told_sign(value: Term, term: Term) -> Term:
    """A lowered sign, decided where the number has underflowed.

    Args:
        value: the lowered sign.
        term: the same, canonical.
    """
    (x,) = term.args
    single = x.op is not AFFINE or (len(x.args) == 1 and x.params[0] == 0)
    if value.dtype != np.float64 or not (single and vanishes(x)):
        return value
    inputs = vanishing_inputs(x)
    if inputs is None or any(map(_is_rectified, topological([x]))):
        return value
    args = (value, value, forms.const(0, value.dtype), *inputs)
    return make(RANGED_TIE, args, (term,), forms.broadcast(MONOMIAL, args), value.dtype)


def _is_rectified(t: Term) -> bool:
    """Whether zeros are meant: two of maximum(x, 0) are often equal."""
    return t.op.name in ("maximum", "minimum") and any(is_const(x, 0) for x in t.args)


def _is_risky(t: Term) -> bool:
    """Whether a term may be nan by an infinity that is none: 0*inf, inf - inf or sin(inf)."""
    computed = [x for x in t.args if x.dtype.kind != "b" and not is_exact(x)]
    if t.op is AFFINE:
        return len(list(filter(_is_unbounded, computed))) > 1
    if t.op is MONOMIAL:
        powers = dict(zip(t.args, t.params[0], strict=True))
        large = {x for x in computed if (_is_unbounded if powers[x] > 0 else _is_small)(x)}
        small = {x for x in computed if (_is_small if powers[x] > 0 else _is_unbounded)(x)}
        return bool(large and small) and len(large | small) > 1
    return t.op.name in TURNING and any(map(_is_unbounded, computed))


def _is_unbounded(x: Term) -> bool:
    return x.facts.hi == math.inf or x.facts.lo == -math.inf


def _is_small(x: Term) -> bool:
    return x.facts.lo < TINY and x.facts.hi > -TINY


WHOLE = 256
"""The size of whole results that are decided."""


def _has_honest_zeros(t: Term) -> bool:
    if t.op is MONOMIAL:
        return any(x.dtype.kind == "b" for x in t.args)
    if t.op.name in ("where", "clip"):
        return any(is_const(x, 0) for x in t.args)
    return t.op.name in STEPS
