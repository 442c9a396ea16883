"""Rules that follow from the meaning of the ops: a naive spelling becomes the op.

Each spelling is also normalised by the rules of the other ops (completion), because those
rewrite its parts before the whole is seen: log(1 + exp(x)) is log1p(exp(x)) by the time
softplus is looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.canonical import canonical
from stablegrad.ir import OPS, Term
from stablegrad.ops.record import CONST, Op
from stablegrad.rewrite import Database, Rewriter, Rule, make_rule
from stablegrad.rules.databases import stabilize
from stablegrad.settings import Settings

GUARDS: dict[str, Callable[..., bool]] = {
    "clip": lambda x, low, high: x.op is not CONST,  # a number is a bound, not what is limited
}
"""Guards of the rules that follow from spellings."""


def spelling_rules(op: Op) -> list[Rule]:
    """One rule for each spelling of an elementwise op that canonical form does not undo."""
    found: list[Rule] = []
    if not op.elementwise or op.params:
        return found
    for spelling in op.spellings:
        rule = make_rule(
            _pair(op, spelling),
            database="stabilize",
            where=GUARDS.get(op.name),
            source=op.source,
            group="spellings",
            name=op.name,
        )
        useful = rule.lhs.op.name not in ("variable", "const") and rule.lhs is not rule.rhs
        if useful and rule.rhs.op is op:
            found.append(rule)
    return found


def _pair(op: Op, spelling: Callable[..., Term]) -> Callable[..., tuple[Any, Any]]:
    names = spelling.__code__.co_varnames[: spelling.__code__.co_argcount]

    def pair(*args: Term) -> tuple[Term, Term]:
        return spelling(*args), op(*args)

    import inspect

    pair.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    )
    pair.__doc__ = f"A spelling of {op.name}."
    return pair


def load() -> None:
    """Add the spellings of all ops and their completion to ``stabilize``.

    What was completed before takes part in what comes after: the ops come by their names, so that
    the order in which they are declared is no matter.
    """
    by_op = {op: spelling_rules(op) for _, op in sorted(OPS.items())}
    base = [rule for rules in by_op.values() for rule in rules]
    for rule in base:
        stabilize.add(rule)
    known = {(rule.lhs, rule.rhs) for rule in base}
    for op, rules in by_op.items():
        if not rules:
            continue
        others = Database("others")
        for rule in stabilize.rules:
            if rule.name != op.name:
                others.add(rule)
        for rule in rules:
            for lhs in _completions(rule, others):
                if (lhs, rule.rhs) not in known and lhs.op is not op:
                    known.add((lhs, rule.rhs))
                    stabilize.add(_variant(rule, lhs))


def _completions(rule: Rule, others: Database) -> list[Term]:
    (normal,) = Rewriter((others,), Settings())([rule.lhs])
    normal = canonical(normal)
    trivial = normal is rule.lhs or normal is rule.rhs or normal.op.name in ("variable", "const")
    return [] if trivial else [normal]


def _variant(rule: Rule, lhs: Term) -> Rule:
    return Rule(
        name=rule.name,
        database=rule.database,
        group=rule.group,
        lhs=lhs,
        rhs=rule.rhs,
        variables=rule.variables,
        guard=rule.guard,
        reason=rule.reason,
        place=rule.place,
        source=rule.source,
        rises=rule.rises,
    )
