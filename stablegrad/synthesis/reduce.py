"""Fragile functions of two values that a shift or a scale of both makes functions of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stablegrad.canonical import with_args
from stablegrad.ir import Facts, Term, make, topological
from stablegrad.ops.forms import AFFINE
from stablegrad.ops.record import CONST, REAL, VARIABLE, const, is_float
from stablegrad.synthesis.build import DeclinedError
from stablegrad.synthesis.detect import (
    EXPONENTIALS,
    GIVEN_UP,
    TEST,
    Allowance,
    suspect,
)
from stablegrad.synthesis.fragile import SEED, Run, points, wrong
from stablegrad.synthesis.op import REDUCED
from stablegrad.synthesis.recipe import WIDE, Recipe, X, over, recipe
from stablegrad.synthesis.store import proved
from stablegrad.synthesis.symmetry import SCALE, SHIFT, Symmetry, is_scalar_function, symmetry

Array = np.ndarray[Any, Any]
Y: Term = make(VARIABLE, (), ("y",), (), WIDE)
"""The second value of an expression of two; the first is X."""


@dataclass(frozen=True, slots=True)
class Way:
    """How an expression of X and Y is one of one value, and what is proved of that."""

    symmetry: Symmetry
    swapped: bool
    recipes: tuple[Recipe | None, Recipe | None]
    proved: str


@dataclass(frozen=True, slots=True)
class Reduction:
    """Two ways where something is added to the one value: one of them does not cancel.

    There may be none. The cost is counted as that of parts of one value is.
    """

    ways: tuple[Way, ...]
    cost: int


class Pairs:
    """For each term the two values that it is a function of, and how many ops away they are."""

    def __init__(self, roots: Sequence[Term], largest: int) -> None:
        self.largest = largest
        self.order = topological(roots)
        self.leaves: dict[Term, tuple[Term, ...]] = {}
        self.size: dict[Term, int] = {}
        for term in self.order:
            self._place(term)

    def _place(self, term: Term) -> None:
        self.leaves[term], self.size[term] = (term,), 0
        if term.op is CONST:
            self.leaves[term] = ()
        elif term.args and term.op.elementwise and term.op is not REDUCED:
            found = dict.fromkeys([x for a in term.args for x in self.leaves[a]])
            size = 1 + sum([self.size[a] for a in term.args])
            if len(found) <= 2 and size < self.largest and all(is_float(x.dtype) for x in found):
                self.leaves[term], self.size[term] = tuple(found), size

    def of(self, term: Term) -> tuple[Term, Term] | None:
        """The two values of a term, if there are two."""
        found = self.leaves[term]
        if len(found) != 2 or not is_scalar_function(term) or term in found:
            return None
        return found[0], found[1]


def reduced(
    roots: Sequence[Term],
    run: Run,
    note: Callable[[Term, Term, str], None],
    allowance: Allowance,
) -> list[Term]:
    """The roots with every fragile part of two values that has a symmetry by one of one value.

    The arguments are those of ``synthesize``.
    """
    pairs = Pairs(roots, run.largest)
    if not any(pairs.of(t) for t in pairs.order):
        return list(roots)
    done: dict[Term, Term] = {}
    stack = list(roots)
    while stack:
        term = stack[-1]
        if term in done:
            stack.pop()
            continue
        pair = pairs.of(term)
        found = _reduction(term, pair, run, allowance) if pair else None
        waiting = [a for a in (pair if found and pair else term.args) if a not in done]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if found is None or pair is None:
            args = tuple([done[a] for a in term.args])
            done[term] = term if args == term.args else with_args(term, args)
            continue
        new = term
        for way in found.ways:
            a, b = (done[x] for x in (reversed(pair) if way.swapped else pair))
            new = make(REDUCED, (a, b, new), (way.symmetry, way.recipes), term.shape, term.dtype)
            note(term, new, way.proved)
        done[term] = new
    return [done[r] for r in roots]


_reductions: dict[Any, Reduction] = {}


def _reduction(
    term: Term, pair: tuple[Term, Term], run: Run, allowance: Allowance
) -> Reduction | None:
    """The reduction of a term, X and Y for its two values."""
    if not suspect(term, *pair) and not any(
        t.op.name in EXPONENTIALS and t.args[0].op is AFFINE for t in _inside(term, pair)
    ):
        return None
    expression = over(term, dict(zip(pair, (X, Y), strict=True)))
    facts = pair[0].facts, pair[1].facts
    key = (expression, str(term.dtype), *facts, run)
    if not allowance.permits(key):
        return None
    if key not in _reductions:
        _reductions[key] = _found(expression, term.dtype, facts, run)
    found = _reductions[key]
    allowance.spend(key, found.cost)
    return found if found.ways else None


def _inside(term: Term, pair: tuple[Term, Term]) -> list[Term]:
    """The terms between a term and its two values."""
    return [t for t in topological([term], stop=pair.__contains__) if t not in pair]


def _found(expression: Term, dtype: Any, facts: tuple[Facts, Facts], run: Run) -> Reduction:
    fragile = False
    ways: list[Way] = []
    cost = 0
    for kind in (SHIFT, SCALE):
        for swapped in (False, True):
            names = (Y, X) if swapped else (X, Y)
            found = symmetry(expression, *names, kind)
            if found is None:
                continue
            seen = (facts[1], facts[0]) if swapped else facts
            there = over(expression, dict(zip(names, (X, Y), strict=True)))
            if not fragile:
                cost += TEST
                if not _is_fragile(there, dtype, seen, found, run):
                    return Reduction((), cost)
            fragile = True
            recipes, text, spent = _made(there, found, seen[0])
            cost += spent
            if text:
                ways.append(Way(found, swapped, recipes, text))
            if ways and not found.c:
                break
        if ways:
            break
    return Reduction(tuple(ways), cost)


def _made(
    expression: Term, found: Symmetry, facts: Facts
) -> tuple[tuple[Recipe | None, Recipe | None], str, int]:
    """Tables of f(0, r), or of f(1, r) and f(-1, r), what is proved of them, and their cost.

    One that has pieces is enough to know: the others are made where their inputs are met.
    """
    starts = [0] if found.kind == SHIFT else [1] if facts.lo >= 0 else [1, -1]
    recipes: list[Recipe | None] = [None, None]
    told = ""
    cost = 0
    for i, start in enumerate(starts):
        what = recipes[i] = recipe(_at(expression, X, start), Y)
        try:
            table = proved(what) if not told else None
        except DeclinedError:
            recipes[i] = None
            cost += GIVEN_UP
            continue
        if table is not None:
            told = table.summary()
            cost += table.pieces
    power = "" if found.p == 1 else f"**{found.p}"
    times = "" if found.p == 1 else f"{found.p}*"
    by = f"b - {times}a" if found.kind == SHIFT else f"b/a{power}"
    text = f"by its {found.kind} a function of {by}: {told}" if told else ""
    return (recipes[0], recipes[1]), text, cost


def _at(expression: Term, variable: Term, value: int) -> Term:
    """An expression with a number for a variable."""
    done: dict[Term, Term] = {variable: const(value, WIDE)}
    for term in topological([expression], stop=done.__contains__):
        if term not in done:
            args = tuple([done[a] for a in term.args])
            done[term] = term if args == term.args else with_args(term, args)
    return done[expression]


def _is_fragile(
    expression: Term, dtype: Any, facts: tuple[Facts, Facts], found: Symmetry, run: Run
) -> bool:
    """Whether the naive form is off by too much somewhere along the symmetry.

    The facts are those of the two values as the symmetry has them, X and Y the same.
    """
    if not run.judges(dtype):
        return False
    r = points(dtype, REAL)
    rng = np.random.default_rng(SEED)
    p, n = float(found.p), r.size
    with np.errstate(all="ignore"):
        if found.kind == SHIFT:
            start = rng.normal(size=n) * np.exp2(rng.uniform(-30, 12, n))
            pairs = [(start, r + p * start), ((start - r) / p, start)]
        else:
            start = np.exp2(rng.uniform(-8, 8, n))
            sign = rng.choice([-1.0, 1.0], n)
            pairs = [(start * sign, r * start**p), (np.abs(start / r) ** (1 / p) * sign, start)]
        a, b = (
            np.concatenate(v).astype(dtype).astype(np.float64) for v in zip(*pairs, strict=True)
        )
    inside = np.isfinite(a) & np.isfinite(b)
    for x, f in zip((a, b), facts, strict=True):
        inside &= (x > f.lo) & (x < f.hi)
    at = {X: a[inside], Y: b[inside]}
    return bool(inside.any()) and wrong(expression, at, dtype, run, shared=True)
