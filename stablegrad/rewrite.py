"""The rewrite engine: rules, databases of rules, and the driver that applies them.

A rule is a function returning two spellings of one value, traced in our own terms. Patterns
match modulo commutativity and associativity of + and *, signs, and common scales, because
both sides are in canonical form. Rewriting is a function of a term alone: it never looks at
who else uses a term, so results cannot depend on what else was asked for, and all matches
at a root are tried, the least (cost, specificity, name) winning, so they cannot depend on
the order of the rules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from stablegrad.canonical import canonical, with_args
from stablegrad.cost import region_cost
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.matching import Match, instantiate, match_root
from stablegrad.ops import forms
from stablegrad.ops.record import VARIABLE, const
from stablegrad.screening import (
    Bits,
    factors_fit,
    needed,
    ops_below,
    parts_of_product,
    parts_of_sum,
    sum_fits,
)
from stablegrad.settings import Settings, register_name

Guard = Callable[..., Any]


@dataclass(frozen=True, eq=False, slots=True)
class Rule:
    """One rewrite: ``lhs`` becomes ``rhs`` where the guard is proved."""

    name: str
    database: str
    group: str
    lhs: Term
    rhs: Term
    variables: tuple[str, ...]
    guard: Guard | None
    reason: str
    place: str
    source: str
    rises: str = ""
    """Why the cost may rise; empty where it must fall."""

    def apply(self, term: Term) -> Iterator[tuple[Term, int]]:
        """All results of the rule at the root of a term, with the change of cost."""
        for match in match_root(self.lhs, term):
            if not self._allowed(match):
                continue
            result = match.rebuild(self.rhs, term)
            if result is term:
                continue
            stops = match.stops()
            change = region_cost(result, stops) - region_cost(term, stops)
            if change < 0 or self.rises:
                yield result, change

    def _allowed(self, match: Match) -> bool:
        if self.guard is None:
            return True
        verdict = self.guard(**{name: match.bound[name] for name in self.variables})
        return proved(verdict)


@dataclass(frozen=True, eq=False, slots=True)
class Procedure:
    """A rewrite whose left side no pattern expresses: a function from term to term or None."""

    name: str
    database: str
    group: str
    roots: tuple[str, ...]
    function: Callable[[Term], Term | None]
    example: Callable[..., Term]
    """A program of inputs that it rewrites, for tests and docs."""
    reason: str
    place: str
    source: str
    among: tuple[str, ...] = ()
    """Ops of which one must stand in the two levels below the root; () asks for none."""

    def apply(self, term: Term) -> Iterator[tuple[Term, int]]:
        """The result of the procedure, if any."""
        result = self.function(term)
        if result is not None and result is not term:
            yield result, -1


def proved(verdict: Any) -> bool:
    """Whether a guard holds for sure: a Python truth, or a comparison proved by facts."""
    if isinstance(verdict, Term):
        return verdict.facts.lo >= 1
    return bool(verdict)


# -- databases ----------------------------------------------------------------------------


class Database:
    """A named set of rules, indexed by the op at their root."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[Rule | Procedure] = []
        self._index: dict[str, list[tuple[Rule | Procedure, Bits, int]]] = {}
        """By root: rules with the ops they need all of, and those they need one of."""
        self._chosen: dict[Any, list[Rule | Procedure]] = {}

    def rule(
        self,
        *,
        where: Guard | None = None,
        source: str,
        group: str = "",
        name: str = "",
        rises: str = "",
    ) -> Callable[[Callable[..., tuple[Any, Any]]], Callable[..., tuple[Any, Any]]]:
        """Declare a rule: a function from pattern variables to (left side, right side).

        Args:
            where: a guard over the bound terms; the rule fires only where facts prove it.
            source: where the identity is from.
            group: a name under which several rules can be excluded together.
            name: the rule's name, the function's by default.
            rises: why the rule may raise the cost, where it does.
        """

        def add(function: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
            self.add(
                make_rule(
                    function,
                    database=self.name,
                    where=where,
                    source=source,
                    group=group,
                    name=name or function.__name__,
                    rises=rises,
                )
            )
            return function

        return add

    def procedure(
        self,
        *roots: str,
        example: Callable[..., Term],
        source: str,
        group: str = "",
        among: tuple[str, ...] = (),
    ) -> Callable[[Callable[[Term], Term | None]], Callable[[Term], Term | None]]:
        """Declare a rewrite by a function from a term with one of these root ops.

        Args:
            roots: the ops at the root.
            example: a program that it rewrites.
            source: where the identity is from.
            group: a name under which several rules can be excluded together.
            among: ops of which one must stand in the two levels below the root: where none
                does, the function is not called at all.
        """

        def add(function: Callable[[Term], Term | None]) -> Callable[[Term], Term | None]:
            reason, place = _reason(function), _place(function)
            self.add(
                Procedure(
                    name=function.__name__,
                    database=self.name,
                    group=group,
                    roots=roots,
                    function=function,
                    example=example,
                    reason=reason,
                    place=place,
                    source=source,
                    among=among,
                )
            )
            return function

        return add

    def add(self, rule: Rule | Procedure) -> None:
        """Add a rule and index it."""
        self.rules.append(rule)
        self._chosen.clear()
        register_name(rule.name)
        if rule.group:
            register_name(rule.group)
        if isinstance(rule, Procedure):
            any_of = 0
            for name in rule.among:
                any_of |= 1 << OPS[name].uid
            for root in rule.roots:
                self._index.setdefault(root, []).append((rule, (0, 0, 0), any_of))
            return
        self._index.setdefault(rule.lhs.op.name, []).append((rule, needed(rule.lhs), 0))

    def at(self, term: Term) -> Sequence[Rule | Procedure]:
        """The rules that may match at the root of a term."""
        entries = self._index.get(term.op.name)
        if entries is None:
            return ()
        form, may_fit = None, None  # nothing else of the term is looked at
        if term.op is forms.AFFINE:
            form, may_fit = parts_of_sum(term), sum_fits
        elif term.op is forms.MONOMIAL:
            form, may_fit = parts_of_product(term), factors_fit
        present = ops_below(term)
        key = (term.op, present, form)
        chosen = self._chosen.get(key)
        if chosen is None:
            if len(self._chosen) >= CHOICES:
                self._chosen.clear()
            chosen = self._chosen[key] = [
                rule
                for rule, need, any_of in entries
                if not any(n & ~p for n, p in zip(need, present, strict=True))
                and not (any_of and not any_of & present[1])
                and (may_fit is None or isinstance(rule, Procedure) or may_fit(rule.lhs, term))
            ]
        return chosen


CHOICES = 1 << 14  # choices of rules that are remembered


def make_rule(
    function: Callable[..., tuple[Any, Any]],
    *,
    database: str,
    where: Guard | None,
    source: str,
    group: str,
    name: str,
    rises: str = "",
) -> Rule:
    """Trace a rule function on pattern variables."""
    variables = tuple(inspect.signature(function).parameters)
    terms = [variable(v) for v in variables]
    lhs, rhs = (
        canonical(t if isinstance(t, Term) else const(t, np.float64)) for t in function(*terms)
    )
    return Rule(
        name=name,
        database=database,
        group=group,
        lhs=lhs,
        rhs=rhs,
        variables=variables,
        guard=where,
        reason=_reason(function),
        place=_place(function),
        source=source,
        rises=rises,
    )


def variable(name: str) -> Term:
    """A pattern variable."""
    return make(VARIABLE, (), (name,), (), np.dtype(np.float64))


def _reason(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").split("\n")[0]


def _place(function: Callable[..., Any]) -> str:
    code = function.__code__
    return f"{code.co_filename.rpartition('stablegrad/')[2]}:{code.co_firstlineno}"


# -- driver -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fired:
    """One application of a rule: what it made of what, and the user's line."""

    rule: Any  # a Rule or Procedure, or what stands for one (a synthesis)
    before: Term
    after: Term
    place: str = ""

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def reason(self) -> str:
        return self.rule.reason


LIMIT = 50  # rewrites in a row at one root: more is a loop in the rules
NESTED = 200  # rewrites inside what rewrites have made: more would go on for ever


@dataclass
class Rewriter:
    """Brings terms to canonical, stable form; remembers what it has done."""

    databases: tuple[Database, ...]
    settings: Settings
    memo: dict[Term, Term] = field(default_factory=dict)
    fired: list[Fired] = field(default_factory=list)
    places: dict[Term, str] = field(default_factory=dict)

    def __call__(self, roots: Iterable[Term]) -> list[Term]:
        """The roots in normal form."""
        roots = list(roots)
        memo = self.memo
        for root in roots:
            if root in memo:
                continue
            # frames: the term asked for, what it has become, rewrites so far, and around it
            stack: list[tuple[list[Term], Term, int, int]] = [([root], root, 0, 0)]
            while stack:
                aliases, term, count, around = stack[-1]
                if term in memo:
                    self._finish(aliases, memo[term])
                    stack.pop()
                    continue
                pending = [a for a in term.args if a not in memo]
                if pending:
                    inside = around + (count > 0)
                    stack.extend(([a], a, 0, inside) for a in pending)
                    continue
                new = with_args(term, tuple([memo[a] for a in term.args]))
                if new is term:
                    new = self._rewrite(term)
                    count += 1
                if new is term or new in aliases:
                    memo[term] = term
                    self._finish(aliases, term)
                    stack.pop()
                    continue
                if count > LIMIT or around > NESTED:
                    recent = ", ".join(f.name for f in self.fired[-5:])
                    raise RuntimeError(f"rules loop at {aliases[0]!r}; the last five: {recent}")
                if term in self.places:
                    self.places.setdefault(new, self.places[term])
                stack[-1] = ([*aliases, new], new, count, around)
        return [memo[root] for root in roots]

    def _finish(self, aliases: list[Term], result: Term) -> None:
        for alias in aliases:
            self.memo[alias] = result

    def _rewrite(self, term: Term) -> Term:
        """The best rewrite at the root, or the term itself."""
        best: tuple[Any, Term, Rule | Procedure] | None = None
        excluded = self.settings.excluded
        for database in self.databases:
            for rule in database.at(term):
                if excluded and (rule.name in excluded or rule.group in excluded):
                    continue
                for result, change in rule.apply(term):
                    rank = (change, -_specificity(rule), rule.name, result.key)
                    if best is None or rank < best[0]:
                        best = (rank, result, rule)
        if best is None:
            return term
        self.fired.append(Fired(best[2], term, best[1], self.places.get(term, "")))
        return best[1]


@cache
def _specificity(rule: Rule | Procedure) -> int:
    return len(topological([rule.lhs])) if isinstance(rule, Rule) else 0


__all__ = [
    "Database",
    "Fired",
    "Rewriter",
    "Rule",
    "canonical",
    "instantiate",
    "make_rule",
    "variable",
]
