"""Which logarithms are worth a code for elements whose argument left the range."""

from __future__ import annotations

import math
from collections.abc import Mapping

from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.behaviour import ENDLESS
from stablegrad.ops.forms import MONOMIAL, REQUIRE
from stablegrad.ops.ranged import RANGED_LOG, RANGED_LOG1MEXP, TINY
from stablegrad.transforms.ranged import coded, is_signed
from stablegrad.transforms.ranging import GROWING, ranges
from stablegrad.transforms.rational import is_exact
from stablegrad.transforms.vanishing import vanishes, vanishing_inputs


def as_ranged_log(log: Term, inner: Term, lowered: Mapping[Term, Term], *, plus: int = 0) -> Term:
    """A lowered log that is had with exponents where its argument left the range.

    Args:
        log: the lowered log.
        inner: what it is the log of, canonical.
        lowered: the lowered terms of what that is made of.
        plus: 1 for log1p.
    """
    grows = is_signed(inner) or any(ranges(x) or x.op.name in GROWING for x in forms.factors(inner))
    if not (grows or (plus == 0 and vanishes(inner))):
        return log
    one = forms.const(plus, inner.dtype)
    total = forms.total([(1, inner), (1, one)], inner.shape, inner.dtype)
    inputs = vanishing_inputs(total)
    found = coded(total, lowered)
    if found is None:
        if inputs is None:
            return log
        found = (), (), ()
    leaves, code, unsure = found
    args = (log, lowered[inner], *[lowered[x] for x in leaves], *(inputs or ()))
    meant = None if inputs is None else OPS["log"](total)
    params = (0.0 if plus else TINY, code, unsure, meant)
    return make(RANGED_LOG, args, params, forms.broadcast(MONOMIAL, args), log.dtype)


def as_ranged_pole(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered function with a slow pole at 0, told where its argument was lost below the range.

    Args:
        value: the lowered function, of one argument.
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    if term.op.name in LOGS_AT_0:
        return _log_at_0(value, term, LOGS_AT_0[term.op.name], lowered)
    (x,) = term.args
    inputs = vanishing_inputs(term) if is_signed(x) or vanishes(x) else None
    if inputs is None:
        return value
    args = (value, lowered[x], *inputs)
    return make(RANGED_LOG, args, (TINY, (), (), term), value.shape, value.dtype)


LOGS_AT_0 = {"log1mexp": -1, "log_expm1": 1}
"""Functions that are the logarithm of their argument, or minus it, near 0."""
POLES = ENDLESS - {"log"}
"""Functions with a slow pole, but that which is had with exponents far out as well."""


def _log_at_0(value: Term, term: Term, sign: int, lowered: Mapping[Term, Term]) -> Term:
    (x,) = term.args
    found = coded(forms.scale(sign, x), lowered) if is_signed(x) else None
    if found is None:
        return value
    inputs = vanishing_inputs(term)
    leaves, code, unsure = found
    args = (value, lowered[x], *[lowered[t] for t in leaves], *(inputs or ()))
    params = (sign, code, unsure, None if inputs is None else term)
    return make(RANGED_LOG1MEXP, args, params, forms.broadcast(MONOMIAL, args), value.dtype)


def as_ranged_ratio(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered ``log_ratio`` that is had with exponents where it is not finite.

    Args:
        value: the lowered log of a quotient.
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    x, y = term.args
    quotient = forms.monomial({x: 1, y: -1}, term.shape, term.dtype)
    found = None if is_exact(x) and is_exact(y) else coded(quotient, lowered)
    if found is None:
        return value
    inputs = vanishing_inputs(term)
    args = (value, value, *[lowered[x] for x in found[0]], *(inputs or ()))
    shape = forms.broadcast(MONOMIAL, args)
    params = (0.0, *found[1:], None if inputs is None else term)
    return make(RANGED_LOG, args, params, shape, value.dtype)


def as_ranged_step(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered ``log_step`` that is had with exponents where its step left the range.

    Args:
        value: the lowered log1p(step/base).
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    base, step = term.args
    while step.op is REQUIRE:
        step = step.args[0]
    if not ranges(step):
        return value
    total = forms.total([(1, base), (1, step)], term.shape, term.dtype)
    quotient = forms.monomial({total: 1, base: -1}, term.shape, term.dtype)
    found = coded(quotient, lowered)
    if found is None:
        return value
    inputs = vanishing_inputs(term)
    leaves, code, unsure = found
    args = (value, lowered[term.args[1]], *[lowered[x] for x in leaves], *(inputs or ()))
    params = (TINY, code, unsure, None if inputs is None else term)
    return make(RANGED_LOG, args, params, forms.broadcast(MONOMIAL, args), value.dtype)


def as_ranged_angle(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered ``arctan2`` that is decided where one of its legs overflowed, or both are lost.

    Args:
        value: the lowered angle.
        term: the same, canonical.
        lowered: the lowered terms of its legs.
    """
    legs = [x for x in term.args if ranges(x) and not math.isfinite(x.facts.hi - x.facts.lo)]
    inputs = vanishing_inputs(term) if legs else None
    if inputs is None:
        return value
    size = OPS["maximum"](*[OPS["abs"](lowered[x]) for x in term.args])
    shape = forms.broadcast(MONOMIAL, (value, size, *inputs))
    return make(RANGED_LOG, (value, size, *inputs), (TINY, (), (), term), shape, value.dtype)


RATIOS = {"log_ratio": as_ranged_ratio, "log_step": as_ranged_step, "arctan2": as_ranged_angle}
"""Functions of quotients, and what keeps their range."""
