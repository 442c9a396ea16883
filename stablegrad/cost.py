"""The static cost of terms, by which rewrites are chosen: what may lose digits is dear."""

from __future__ import annotations

from stablegrad.ir import Term
from stablegrad.ops import forms


def node_cost(term: Term) -> int:
    """The static cost of one node; a sum that may cancel is the dearest."""
    if term.op is forms.AFFINE:
        if len(term.args) == 1 and term.params[0] == 0:
            return 0
        return 1 if one_sign(term) else 10
    if term.op is forms.MONOMIAL:
        return sum(3 if abs(p) >= 2 else 1 for p in term.params[0])
    return term.op.cost


def one_sign(term: Term) -> bool:
    """Whether all addends of a flat sum are proved to have one sign: it cannot cancel."""
    constant, coefficients = term.params
    signs = set()
    if constant != 0:
        signs.add(not isinstance(constant, str) and constant > 0)
    for c, x in zip(coefficients, term.args, strict=True):
        if not (x.facts.nonnegative or x.facts.nonpositive):
            return False
        signs.add((c > 0) == x.facts.nonnegative)
    return len(signs) == 1


def region_cost(root: Term, stops: set[Term]) -> int:
    """The cost of the distinct nodes from ``root`` down to the terms in ``stops``."""
    if root in stops:
        return 0
    cost = 0
    seen = {root}
    sums = {t.args: t for t in stops if t.op is forms.AFFINE}
    stack = [root]
    while stack:
        term = stack.pop()
        if term.op is forms.AFFINE and term.args in sums and _multiple(term, sums[term.args]):
            continue  # a bound sum, scaled: both sides have it
        cost += node_cost(term)
        for a in term.args:
            if a not in seen and a not in stops:
                seen.add(a)
                stack.append(a)
    return cost


def _multiple(a: Term, b: Term) -> bool:
    """Whether a flat sum is another one times a constant."""
    (c, first), (d, second) = a.params, b.params
    if isinstance(c, str) or isinstance(d, str):
        return False
    pairs = zip((c, *first), (d, *second), strict=True)
    return all(x * second[0] == y * first[0] for x, y in pairs)
