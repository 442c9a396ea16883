"""Where a function has no value it has no derivative either, whatever its masks block.

A guard on a partial stands inside the masks of what comes before it: the slope of
``log(minimum(x, y))`` by x would be 0 where y < 0 is the smaller one, although there is no log.
And what does not depend on x any more once it is simplified, ``sqrt(x) - sqrt(x)``, has the
derivative 0 on its domain only. So the conditions on which a function has values are collected
and those that its derivative does not contain already are put around it.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

from stablegrad.canonical import canonical, with_args
from stablegrad.ir import OPS, Facts, Term, topological
from stablegrad.ops import forms
from stablegrad.ops.corrected import TURNING
from stablegrad.ops.derivative import active_terms
from stablegrad.ops.form_records import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.guards import blocks_zeros, implied, of_finite_inputs
from stablegrad.ops.record import CONST, REAL, const, is_const, is_float
from stablegrad.transforms.fold import fold, is_small
from stablegrad.transforms.given import is_made_of_given

SUMS = frozenset(("sum", "mean"))
"""Reductions whose value exists only where all that they take in has one."""
PARTIAL = frozenset(
    """
    log_ratio one_plus_log_ratio log_ratio1p log_step logdiffexp deviance log_ndtr_difference
    log_sigmoid_difference
    """.split()
)
"""Functions of several arguments that have no value at some, which are no box."""
LEVEL = frozenset("abs log log1p sqrt arcsinh logaddexp maximum minimum".split())
"""Functions whose slope at an infinity is the limit of that before it, a number."""
QUOTIENTS = frozenset(("log_ratio", "one_plus_log_ratio"))
"""Those with a pole where an argument is 0."""
_NONE: frozenset[Term] = frozenset()


def guards(out: Term) -> list[Term]:
    """What must hold of the arguments of an op so that it has a value, as far as is not proved."""
    found: list[Term] = []
    for x, domain in zip(out.args, out.op.domain, strict=False):
        if domain is REAL or x.dtype.kind == "b" or x.facts.within(_closed(domain)):
            continue
        if domain.lo > -math.inf and not x.facts.lo >= domain.lo:
            found.append(OPS["greater_equal"](x, domain.lo))
        if domain.hi < math.inf and not x.facts.hi <= domain.hi:
            found.append(OPS["less_equal"](x, domain.hi))
    if found and len(out.args) > 1:  # the domain need be no box: x**y has a value at -2 for some y
        inside = reduce(OPS["logical_and"], found)
        found = [OPS["logical_or"](inside, OPS["isfinite"](out))]
    return found


def _closed(domain: Facts) -> Facts:
    return domain._replace(lo_open=False, hi_open=False)


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


def confined(
    y: Term,
    xs: Sequence[Term],
    found: Sequence[Term],
    order: Sequence[Term],
    seeds: Sequence[Term],
    moved: Sequence[Term] = (),
) -> list[Term]:
    """The derivatives ``found`` of ``y`` by ``xs``, nan where ``y`` has no value.

    Looked at are the elementwise functions that ``y`` is or sums up, of which the derivatives
    are by elements in the same place.

    Args:
        y: what was differentiated.
        xs: its variables; ``y`` itself in forward mode.
        found: a derivative by each.
        order: the terms of ``y``, arguments first.
        seeds: the cotangent of ``y``, or the tangents of its variables: where all are 0, nothing
            is asked.
        moved: the variables, in forward mode.
    """
    if not any(t.op is REQUIRE or t.op is MONOMIAL or t.op.domain for t in order):
        return list(found)
    conditions, tops = _conditions(y, order, _moving(y, seeds))
    if not conditions:
        return list(found)
    held = _held(found, conditions)
    result: list[Term] = []
    for x, d in zip(xs, found, strict=True):
        # what does not depend on x any more, once it is simplified, may still need it to be right
        parts = (y,) if is_const(d, 0) else tops.get(x, _NONE)
        functions = {t for t in parts if t.shape == x.shape}
        by = set(moved) if x is y else {x}
        dependent = set() if is_const(d, 0) else active_terms(order, by)
        around = d
        reached: _Reached | None = None
        for n, condition in enumerate(conditions):
            if held[d] >> n & 1 or functions.isdisjoint(condition.tops):
                continue
            apart = condition.pole and dependent and _is_apart(condition, dependent)
            if apart and not (_never(condition) and _was_made_of(condition, by, order)):
                reached = reached or _Reached(order, dependent)
                if not reached.by(condition):
                    for other in reached.beside(condition):
                        around = OPS["require"](around, OPS["logical_or"](condition.guard, other))
                    # an infinite addend leaves the slope by what it does not depend on; nan none
                    if _is_asked(condition) and len(condition.part.args) > 1:
                        number = OPS["logical_not"](OPS["isnan"](condition.part))
                        around = OPS["require"](around, number)
                    continue
            around = _around(around, condition)
        result.append(around)
    return result


def _never(condition: Condition) -> bool:
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


def _was_made_of(condition: Condition, by: Container[Term], order: Sequence[Term]) -> bool:
    """Whether a constant pole was made of a variable: 1/(x - x) still requires x."""
    required = [t.args[1] for t in order if t.op is REQUIRE and t.args[0] is condition.part]
    return any(t in by for t in topological([condition.guard, *required]))


def _is_apart(condition: Condition, dependent: Container[Term]) -> bool:
    """Whether what is infinite does not depend on a variable, as a constant of a sum does not."""
    return condition.part not in dependent or condition.part.op is AFFINE


def _is_asked(condition: Condition) -> bool:
    """Whether a pole is more than that of a quotient by data."""
    return _never(condition) or not is_made_of_given(condition.guard.args[0], choices=False)


class _Reached:
    """What infinite parts that do not depend on a variable meet on their way.

    In sums alone they leave the slope, beyond all functions.
    """

    def __init__(self, order: Sequence[Term], dependent: Container[Term]) -> None:
        self.dependent: set[Term] = set()
        """Parts of what goes into a function, or a product, with the variable."""
        self.turning: set[Term] = set()
        """Parts of what goes into a wave, which has no value at infinity."""
        self.choices: dict[Term, set[Term]] = {}
        """Parts of what is chosen or not, and where it is not or is finite all the same."""
        for term in reversed(order):
            if term in dependent:
                name = term.op.name
                sums = term.op in (AFFINE, REQUIRE)
                if term in self.dependent or not (sums or name in LEVEL):
                    self.dependent.update(term.args)
                elif name == "logaddexp":  # beside what is infinite by itself its slope is 0
                    self.dependent.update([a for a in term.args if a in dependent])
                elif name in ("maximum", "minimum"):  # what is not chosen leaves the other's
                    for a in term.args:
                        if a not in dependent:
                            apart = OPS["logical_or"](OPS["not_equal"](term, a), OPS["isfinite"](a))
                            self.choices.setdefault(a, set()).add(apart)
                continue
            if term in self.dependent:
                self.dependent.update(term.args)
            for a in term.args if term in self.choices else ():
                self.choices.setdefault(a, set()).update(self.choices[term])
            if term in self.turning or term.op.name in TURNING:
                self.turning.update(term.args)

    def by(self, condition: Condition) -> bool:
        """Whether a pole leaves no slope; not asked where it is that of a quotient by data."""
        part = condition.part
        if part in self.turning:
            return True
        return part in self.dependent and _is_asked(condition)

    def beside(self, condition: Condition) -> list[Term]:
        """Where what an infinite part goes into is finite or not chosen."""
        found = self.choices.get(condition.part, ()) if _is_asked(condition) else ()
        return sorted(found, key=lambda t: t.key)


def _around(derivative: Term, condition: Condition) -> Term:
    guard = condition.guard
    if condition.pole:
        for top in condition.tops:
            guard = OPS["logical_or"](guard, OPS["isfinite"](top))
    if condition.context is not None:
        guard = OPS["logical_or"](guard, OPS["logical_not"](condition.context))
    return OPS["require"](derivative, guard)


def _conditions(
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
            if not (context is not None and implied(guard, _parts(context))):
                found.append(Condition(guard, term, pole, top, context))
        for arg, where in _looked_at(term, context):
            contexts[arg] = _either(contexts[arg], where) if arg in contexts else where
            tops[arg] = tops.get(arg, _NONE) | top
    return found, tops


def needed(term: Term) -> Iterator[tuple[Term, bool]]:
    """What must hold of the arguments of a term for its value; whether it is infinite else."""
    if term.op is REQUIRE:
        if not of_finite_inputs(term.args[1]):
            yield term.args[1], False
        inner = term.args[0]  # what cancelled may have left 1/0
        if inner.op is CONST and isinstance(inner.params[0], str) and inner.params[0] != "-0":
            yield OPS["isfinite"](inner), True
        return
    if term.op is AFFINE:
        if isinstance(term.params[0], str) and term.params[0] != "nan":
            yield OPS["isfinite"](const(term.params[0], term.dtype)), True
        return
    if term.op is not MONOMIAL:
        if term.op.name in PARTIAL and not term.facts.defined:
            yield OPS["logical_not"](OPS["isnan"](term)), False
            for x in term.args:  # of zeros alone: log(a/0)
                if x.facts.lo == 0 == x.facts.hi and term.op.name in QUOTIENTS:
                    yield OPS["not_equal"](x, const(0, x.dtype)), True
        for guard in guards(term):
            yield guard, False
        for x, domain in zip(term.args, term.op.domain, strict=False):
            ends = ((domain.lo, domain.lo_open), (domain.hi, domain.hi_open))
            for end, is_open in ends if len(term.args) == 1 and not x.facts.within(domain) else ():
                if is_open and math.isfinite(end):
                    yield OPS["not_equal"](x, end), True
        return
    for x, p in zip(term.args, term.params[0], strict=True):
        if x.dtype.kind == "b":
            continue
        if not isinstance(p, int) and not x.facts.nonnegative:
            yield OPS["greater_equal"](x, const(0, x.dtype)), False
        if p < 0 and not x.facts.nonzero:
            yield OPS["not_equal"](x, const(0, x.dtype)), True


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


def _moving(y: Term, seeds: Sequence[Term]) -> Term | None:
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


def _parts(condition: Term) -> set[Term]:
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


def _slopes(part: Term) -> Iterator[Term]:
    """The partials of a function that has no value everywhere, which have none there either."""
    if part.op.name not in PARTIAL or part.op.partials is None:
        return
    given = frozenset((part, *part.args))
    for partial in part.op.partials(part, *part.args):
        slope = canonical(partial, given)
        yield slope.args[1] if slope.op is REQUIRE else forms.split(slope)[1]


def _held(found: Sequence[Term], conditions: Sequence[Condition]) -> dict[Term, int]:
    """By term of the derivatives, which conditions make it nan (or infinite) as they are."""
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
    far = sum(1 << n for n, c in enumerate(conditions) if c.pole and _is_asked(c))
    within = [(n, _parts(c.context)) for n, c in enumerate(conditions) if c.context is not None]
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
