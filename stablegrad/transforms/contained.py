"""Which conditions a derivative contains already: it is no number where they fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stablegrad.canonical import canonical
from stablegrad.ir import Term, topological
from stablegrad.ops import forms
from stablegrad.ops.form_records import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.guards import blocks_zeros
from stablegrad.ops.record import is_float
from stablegrad.transforms.apart import is_asked
from stablegrad.transforms.conditions import Condition, parts
from stablegrad.transforms.domains import PARTIAL, guards


def contained(found: Sequence[Term], conditions: Sequence[Condition]) -> dict[Term, int]:
    """By term of the derivatives, which conditions make it nan (or infinite) as they are."""
    keys = _keys(conditions)
    far = sum(1 << n for n, c in enumerate(conditions) if c.pole and is_asked(c))
    within = [(n, parts(c.context)) for n, c in enumerate(conditions) if c.context is not None]
    held: dict[Term, int] = {}
    for term in topological(found):
        bits = keys.get(term, 0)
        if term.op is REQUIRE:
            bits |= held[term.args[0]] | keys.get(term.args[1], 0)
        elif term.op.name == "where":
            bits |= held[term.args[1]] & held[term.args[2]]
        elif term.op.elementwise and is_float(term.dtype):
            masks: set[Term] = set()
            for i, a in enumerate(term.args):
                if a.dtype.kind == "b":
                    if not blocks_zeros(a):
                        masks.add(a)
                    continue
                bits |= held[a]
                if term.op is MONOMIAL:
                    p = term.params[0][i]
                    bits |= keys.get(("power", a), 0) if p < 0 else 0
                    bits |= 0 if isinstance(p, int) else keys.get(("root", a), 0)
            if far and term.op is not MONOMIAL and term.op is not AFFINE:
                bits &= ~far  # a function of what is infinite may be a number
            if masks:
                bits = sum(1 << n for n, w in within if bits >> n & 1 and masks <= w)
        held[term] = bits
    return held


def _keys(conditions: Sequence[Condition]) -> dict[object, int]:
    """What in a derivative shows that a condition fails; the conditions as bits."""
    keys: dict[object, int] = {}
    for n, c in enumerate(conditions):
        if c.guard.facts.hi <= 0 and not c.pole:  # what underflows may hold at run time
            continue
        own: list[object] = [c.guard]
        if c.pole:  # the derivative has a pole too, or the guard of the partial
            own += [("power", c.guard.args[0]), *guards(c.part)]
            own += [c.part] if c.part.op is not MONOMIAL else []
        else:
            own += [c.part, ("root", c.guard.args[0]), *_slopes(c.part)]
        for key in own:
            keys[key] = keys.get(key, 0) | 1 << n
    return keys


def _slopes(part: Term) -> Iterator[Term]:
    """The partials of a function that has no value everywhere, which have none there either."""
    if part.op.name not in PARTIAL or part.op.partials is None:
        return
    given = frozenset((part, *part.args))
    for partial in part.op.partials(part, *part.args):
        slope = canonical(partial, given)
        yield slope.args[1] if slope.op is REQUIRE else forms.split(slope)[1]
