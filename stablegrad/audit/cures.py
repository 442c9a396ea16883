"""What mends a line: the rules that fired there, or the stable way its op is handled."""

from __future__ import annotations

from collections.abc import Iterable

from stablegrad.audit.blame import ACCUMULATE
from stablegrad.audit.findings import Cure
from stablegrad.audit.forward import PART_OF
from stablegrad.audit.lines import Line
from stablegrad.canonical import canonical, canonical_node
from stablegrad.ir import OPS, Term, topological
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.rewrite import Fired

DERIVATIVE = "derivative of "
LEVELS = 3
"""How far below its root a rule's left side is searched for an op."""
EXAMPLES = 8
"""Nodes of one line that are looked for in what rules rewrote."""
_SPELLING = "A spelling of "
_SUMS = {"add", "subtract", "negative", "affine", ACCUMULATE}
_PRODUCTS = {"multiply", "divide", "reciprocal", "square", "sqrt", "rsqrt", "power", "monomial"}


def cures_of(line: Line, fired: Iterable[Fired], nodes: Iterable[Term]) -> tuple[Cure, ...]:
    """What mends a line.

    Args:
        line: the operation that loses digits.
        fired: the rules that fired when the program was stabilized.
        nodes: the terms of that operation, as the user wrote them.
    """
    fired, nodes = list(fired), list(nodes)
    ops = {line.op, *[t.op.name for t in nodes if line.op in PART_OF.values()]}
    here = [f for f in fired if f.place == line.place]
    about: list[Fired] = []
    made: set[Term] = set()
    for f in here:
        if any(_concerns(f, op) for op in ops) or made & set(_top(f.before)):
            about.append(f)
            made.add(f.after)
    if not here:
        images = {canonical(t) for t in nodes[:EXAMPLES]}
        about = [f for f in fired if images & set(_top(f.before))]
    rules = dict.fromkeys([f.rule for f in about])
    found = [Cure("rule", r.name, _told(r.reason), r.source) for r in rules]
    if line.backward.bad or line.op.startswith(DERIVATIVE):
        if not (about and line.forward.bad):
            found += _derivative(line, nodes)
    elif not found:
        found.append(_evaluation(line.op))
    return tuple(found)


def _told(reason: str) -> str:
    """Why a rule helps, to somebody who sees the user's line and not the rule's."""
    if not reason.startswith(_SPELLING):
        return reason
    name = reason.removeprefix(_SPELLING).rstrip(".")
    return f"What is written there is {name}, which is computed as one function."


def is_sum_op(op: str) -> bool:
    """Whether an operation adds or subtracts."""
    return op.removeprefix(DERIVATIVE) in _SUMS


def _concerns(fired: Fired, op: str) -> bool:
    """Whether a rule rewrote something that holds this op, whatever form it had then."""
    names = {t.op.name for t in _top(fired.before)}
    if op in _SUMS:
        return AFFINE.name in names
    if op in _PRODUCTS:
        return MONOMIAL.name in names
    return op in names


def _top(term: Term) -> list[Term]:
    floor = term.depth - LEVELS
    return topological([term], stop=lambda t: t.depth <= floor)


def _derivative(line: Line, nodes: Iterable[Term]) -> list[Cure]:
    """The cure of a backward loss that no rule explains."""
    nodes = list(nodes)
    name = line.op.removeprefix(DERIVATIVE)
    if name in PART_OF.values() and nodes:
        name = nodes[0].op.name
    if name not in OPS:
        return [_evaluation(line.op)]
    op = OPS[name]
    if line.backward.nan and any(_is_masked(t) for t in nodes):
        return [Cure("mask", op.name, "what a condition blocks is zero, whatever it would be")]
    if op.textbook is not None:
        return [Cure("derivative", op.name, f"its stable derivative ({op.source})")]
    return [_evaluation(line.op)]


def _is_masked(term: Term) -> bool:
    return canonical_node(term).support is not None or term.op.partials is not None


def _evaluation(op: str) -> Cure:
    if op in _SUMS:
        return Cure("evaluation", "compensated sum", "rounding errors are carried along")
    if op in _PRODUCTS:
        return Cure(
            "evaluation", "range-safe product", "what leaves the range on the way is redone apart"
        )
    return Cure("evaluation", f"stable {op}", "evaluated with more digits, or in another order")
