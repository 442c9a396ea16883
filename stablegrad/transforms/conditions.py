"""The conditions on which a function has values, collected from its last op down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import NamedTuple

from stablegrad.ir import OPS, Term
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.guards import implied
from stablegrad.ops.record import CONST, const, is_float
from stablegrad.transforms.domains import needed

SUMS = frozenset(("sum", "mean"))
"""Reductions whose value exists only where all that they take in has one."""
_NONE: frozenset[Term] = frozenset()


class Condition(NamedTuple):
    """What must hold of a part of a function so that the function has a value, a finite one."""

    guard: Term
    part: Term
    pole: bool
    """Whether the part is infinite, rather than nan, where the guard fails."""
    tops: frozenset[Term]
    """The elementwise functions of which it is a part."""
    context: Term | None
    """Where they look at the part; None for everywhere."""

    def around(self) -> Term:
        """What must hold of a derivative: a finite function needs none of its poles."""
        guard = self.guard
        if self.pole:
            for top in self.tops:
                guard = OPS["logical_or"](guard, OPS["isfinite"](top))
        if self.context is not None:
            guard = OPS["logical_or"](guard, OPS["logical_not"](self.context))
        return guard


def collected(
    y: Term, order: Sequence[Term], context: Term | None
) -> tuple[list[Condition], dict[Term, frozenset[Term]]]:
    """The conditions, and of which functions each term is a part."""
    contexts: dict[Term, Term | None] = {y: context}
    tops = {y: frozenset((y,))}
    found: list[Condition] = []
    for term in reversed(order):
        if term not in contexts or not term.args:
            continue
        context, top = contexts[term], tops[term]
        if term.op.name in SUMS and context is None:
            inner = term.args[0]
            contexts[inner], tops[inner] = None, tops.get(inner, _NONE) | {inner}
        if not term.op.elementwise:
            continue
        for mask in _masks(term):
            context = _both(context, mask)
        for guard, pole in needed(term):
            if not (context is not None and implied(guard, parts(context))):
                found.append(Condition(guard, term, pole, top, context))
        for arg, where in _looked_at(term, context):
            contexts[arg] = _either(contexts[arg], where) if arg in contexts else where
            tops[arg] = tops.get(arg, _NONE) | top
    return found, tops


def _looked_at(term: Term, context: Term | None) -> Iterator[tuple[Term, Term | None]]:
    """The arguments that a value is made of, and where."""
    if term.op.name == "where":
        condition, a, b = term.args
        yield a, _both(context, condition)
        yield b, _both(context, OPS["logical_not"](condition))
        return
    for arg in term.args:
        if is_float(arg.dtype):
            yield arg, context


def _masks(term: Term) -> list[Term]:
    """What must hold, lest a product is 0 whatever its factors are."""
    return [a for a in term.args if a.dtype.kind == "b"] if term.op is MONOMIAL else []


def moving(y: Term, seeds: Sequence[Term]) -> Term | None:
    """Where a seed is not 0, as far as it has the shape of ``y``; None for everywhere."""
    if any(t.op is CONST or t.shape != y.shape for t in seeds):
        return None
    return reduce(OPS["logical_or"], [OPS["not_equal"](t, const(0, t.dtype)) for t in seeds])


def _both(a: Term | None, b: Term) -> Term:
    return b if a is None or a is b else OPS["logical_and"](a, b)


def _either(a: Term | None, b: Term | None) -> Term | None:
    if a is None or b is None:
        return None
    return a if a is b else OPS["logical_or"](a, b)


def parts(condition: Term) -> set[Term]:
    """Conditions that hold together where ``condition`` does."""
    found: set[Term] = set()
    rest = [condition]
    while rest:
        c = rest.pop()
        if c.op.name == "logical_and":
            rest += c.args
        else:
            found.add(c)
    return found
