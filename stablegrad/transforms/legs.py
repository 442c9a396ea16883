"""Legs of a hypotenuse that have no value everywhere: beside them the other is no answer."""

from __future__ import annotations

from stablegrad.ir import Term, topological
from stablegrad.ops.corrected import TURNING
from stablegrad.ops.form_records import MONOMIAL, REQUIRE
from stablegrad.transforms.domains import guards, needed
from stablegrad.transforms.rational import is_exact


def partial_legs(length: Term) -> list[Term]:
    """What tells where legs of a hypotenuse are no numbers: those outside of some domain.

    A wave is one wherever its argument is, infinite by overflow too, of which it is nan.
    """
    if any(is_exact(x) and not _is_guarded(x) for x in length.args):  # it does not overflow
        return []
    return [_beyond_waves(x) for x in length.args if _has_domain(x)]


def _is_guarded(x: Term) -> bool:
    return any(t.op is REQUIRE for t in topological([x]))


def _beyond_waves(leg: Term) -> Term:
    """The argument of the wave that a leg is a function of; the leg itself, if of none."""
    x = leg
    while x.op.elementwise and len(x.args) == 1 and not _is_partial(x):
        (argument,) = x.args
        if x.op.name in TURNING:
            return leg if _has_pole(argument) else argument
        x = argument
    return leg


def _has_pole(x: Term) -> bool:
    """Whether a term may be infinite where nothing overflows."""
    stack, seen = [x], {x}
    while stack and len(seen) <= _LOOKED_AT:
        t = stack.pop()
        if t.facts.defined:
            continue
        if any(pole for _, pole in needed(t)):
            return True
        fresh = [a for a in t.args if a not in seen]
        seen.update(fresh)
        stack += fresh
    return bool(stack)


_LOOKED_AT = 64  # terms of a leg


def _has_domain(x: Term) -> bool:
    """Whether one of the last ops of a term is no function of all numbers."""
    stack, seen = [x], {x}
    while stack:
        t = stack.pop()
        if _is_partial(t) or (t.op.name in TURNING and _has_pole(t.args[0])):
            return True
        fresh = [] if t.facts.defined else [a for a in t.args if a not in seen]
        seen.update(fresh)
        stack += fresh
        if len(seen) > _LOOKED_AT:
            return False
    return False


def _is_partial(x: Term) -> bool:
    if x.op is REQUIRE:
        return True
    if x.op is MONOMIAL:
        parts = zip(x.args, x.params[0], strict=True)
        return any(not (isinstance(p, int) or a.facts.nonnegative) for a, p in parts)
    return bool(x.op.domain) and bool(guards(x))
