"""Infinite parts that do not depend on a variable: where they leave the slope by it as it is.

An infinite addend leaves the slope of the others: x + 1/0 has the slope 1 by x. It leaves none
where these are blocked, so that an infinite constant is left: maximum(x, 1) + 1/0 below 1; where
it goes into a function, or a product, together with the variable; and into a choice where it is
chosen. A pole that was made of the variable, 1/(x - x), leaves none anywhere.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import cached_property

from stablegrad.canonical import with_args
from stablegrad.ir import OPS, Term, topological
from stablegrad.ops.corrected import TURNING
from stablegrad.ops.derivative import active_terms
from stablegrad.ops.form_records import AFFINE, REQUIRE
from stablegrad.ops.record import CONST
from stablegrad.transforms.conditions import Condition
from stablegrad.transforms.fold import fold, is_small
from stablegrad.transforms.given import is_made_of_given

LEVEL = frozenset("abs log log1p sqrt arcsinh logaddexp maximum minimum".split())
"""Functions whose slope at an infinity is the limit of that before it, a number."""


class Apart:
    """The poles of a function that leave the slope by some of its variables."""

    def __init__(self, order: Sequence[Term], by: set[Term]) -> None:
        self._order = order
        self._by = by

    @cached_property
    def _dependent(self) -> set[Term]:
        return active_terms(self._order, self._by)

    @cached_property
    def _met(self) -> _Met:
        return _Met(self._order, self._dependent)

    def leaves(self, condition: Condition) -> bool:
        """Whether a condition is that of a pole which leaves the slope, but for ``beside``."""
        part = condition.part
        return (
            condition.pole
            and bool(self._dependent)
            # a constant of a sum depends on no variable
            and (part not in self._dependent or part.op is AFFINE)
            and not (is_never_met(condition) and self._was_made_of(condition))
            and not (
                part in self._met.waves or (part in self._met.functions and is_asked(condition))
            )
        )

    def beside(self, condition: Condition, derivative: Term) -> list[Term]:
        """What must hold instead where a pole leaves the slope."""
        if not is_asked(condition):
            return []
        part = condition.part
        chosen = sorted(self._met.choices.get(part, ()), key=lambda t: t.key)
        found = [OPS["logical_or"](condition.guard, other) for other in chosen]
        if derivative.support is not None:  # where it is blocked an infinite constant is left
            found.append(OPS["logical_or"](condition.around(), derivative.support))
        if len(part.args) > 1:  # an infinite addend leaves the slope; nan none
            found.append(OPS["logical_not"](OPS["isnan"](part)))
        return found

    def _was_made_of(self, condition: Condition) -> bool:
        """Whether a constant pole was made of the variables: 1/(x - x) still requires x."""
        part = condition.part
        required = [t.args[1] for t in self._order if t.op is REQUIRE and t.args[0] is part]
        return any(t in self._by for t in topological([condition.guard, *required]))


class _Met:
    """What the parts of a function that do not depend on a variable meet on their way."""

    def __init__(self, order: Sequence[Term], dependent: Container[Term]) -> None:
        self.functions: set[Term] = set()
        """Parts of what goes into a function, or a product, with the variable."""
        self.waves: set[Term] = set()
        """Parts of what goes into a wave, which has no value at infinity."""
        self.choices: dict[Term, set[Term]] = {}
        """Parts of what is chosen or not, and where it is not or is finite all the same."""
        for term in reversed(order):
            if term in dependent:
                self._meet(term, dependent)
                continue
            if term in self.functions:
                self.functions.update(term.args)
            for a in term.args if term in self.choices else ():
                self.choices.setdefault(a, set()).update(self.choices[term])
            if term in self.waves or term.op.name in TURNING:
                self.waves.update(term.args)

    def _meet(self, term: Term, dependent: Container[Term]) -> None:
        name = term.op.name
        sums = term.op in (AFFINE, REQUIRE)
        if term in self.functions or not (sums or name in LEVEL):
            self.functions.update(term.args)
        elif name == "logaddexp":  # beside what is infinite by itself its slope is 0
            self.functions.update([a for a in term.args if a in dependent])
        elif name in ("maximum", "minimum"):  # what is not chosen leaves the other's
            for a in term.args:
                if a not in dependent:
                    lost = OPS["logical_or"](OPS["not_equal"](term, a), OPS["isfinite"](a))
                    self.choices.setdefault(a, set()).add(lost)


def is_asked(condition: Condition) -> bool:
    """Whether a pole is more than that of a quotient by data."""
    return is_never_met(condition) or not is_made_of_given(condition.guard.args[0], choices=False)


def is_never_met(condition: Condition) -> bool:
    """Whether a pole is that of a constant, 1/(x - x), wherever that has a value."""
    guard = condition.guard
    if condition.pole and guard.op.name == "not_equal":
        x, end = guard.args
        while x.op is REQUIRE:
            x = x.args[0]
        guard = OPS["not_equal"](_constant(x) or x, end)
    return condition.pole and guard.facts.hi <= 0


def _constant(x: Term) -> Term | None:
    """The constant that a term is where it has a value: sin(y - y), which requires y."""
    if not is_small(x, lambda t: t.op is CONST):
        return None
    bare: dict[Term, Term | None] = {}
    for t in topological([x]):
        if t.op is CONST or t.op is REQUIRE:
            bare[t] = t if t.op is CONST else bare[t.args[0]]
            continue
        args = [a for a in (bare[a] for a in t.args) if a is not None]
        known = t.op.elementwise and t.args and len(args) == len(t.args)
        bare[t] = with_args(t, tuple(args)) if known else None
    found = bare[x]
    return None if found is None else fold([found])[0]
