"""Products of a factor that vanishes exponentially and one that overflows: 0, not 0 times inf.

The slope of x*sigmoid(g(x)) is a multiple of g'(x)*sigmoid_slope(g(x)), of exp(-x**2/2)*p(x) it
is another polynomial times the exponential. Far out the polynomial is no float and the other
factor is 0. Where the argument of the exponential is beyond ``GONE`` no polynomial of floats makes
a float of the product; so there the great factor counts as 0, if the numbers it is made of are
finite and what it is divided by is not 0; where both grow by the same numbers, or it has few.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stablegrad.engines.xla.single import PLAIN
from stablegrad.ir import Term
from stablegrad.ops.record import CONST, INPUT, REAL, is_float

GONE = 1e4
"""exp(-1e4) is 2**-14427: with it a product of twelve numbers of float64 is below all floats."""
_MOST = {8: 12, 4: 64}
"""By size of the float: the greatest degree of a polynomial that counts."""
_NUMBERS = 8
"""The most numbers it may be made of."""
_FEW = 2
"""So many where they are others than those that make the exponential vanish: a network has many."""
_DECAYING = {
    "exp": -1,
    "exp2": -1,
    "sigmoid": -1,
    "softplus": -1,
    "ndtr": -1,
    "erfc": 1,
    "sigmoid_slope": 0,
    "sech": 0,
    "sech_squared": 0,
}
"""Where a function falls off as an exponential does, or faster: below, above, on both sides."""
_SUMS = frozenset(
    "add subtract negative abs softplus silu log_cosh where astype hypot arcsinh".split()
)
"""No greater than a multiple of the greatest of their arguments, and as finite."""

_OF_POSITIVE = frozenset(["log1p", "sqrt"])
"""The same where their argument is at least 0."""


class Growth(NamedTuple):
    """A term as a polynomial: its degree, what its being finite depends on, what it grows by."""

    degree: float
    finite: frozenset[Term] = frozenset()
    nonzero: frozenset[Term] = frozenset()
    by: frozenset[Term] = frozenset()


class Gone(NamedTuple):
    """Where a factor vanishes: the argument, the side, the degree of a polynomial that it holds."""

    inner: Term
    side: int
    degree: float = 0


class Repair(NamedTuple):
    """An argument that counts as a number where a factor beside it vanishes."""

    position: int
    fill: int
    gone: Gone
    growth: Growth


def repairs(
    order: Sequence[Term], held: Container[Term], plain: Container[Term]
) -> dict[Term, list[Repair]]:
    """The arguments of products that may be infinite where another factor vanishes.

    Args:
        order: the terms.
        held: those of float32 whose values are held in float64.
        plain: products that take their factors in float32 all the same.

    Returns:
        By product, the repairs.
    """
    growths: dict[Term, Growth | None] = {}
    gone: dict[Term, Gone] = {}
    lost: set[Term] = set()
    found: dict[Term, list[Repair]] = {}
    for term in order:
        growths[term] = growth = _growth(term, growths)
        lost_arguments = any(a in lost for a in term.args)
        name, limit = term.op.name, 1 if term.dtype != np.float32 or term not in held else math.inf
        if is_float(term.dtype) and (lost_arguments or growth is None or growth.degree > limit):
            lost.add(term)
        if name in _DECAYING:
            gone[term] = Gone(term.args[0], _DECAYING[name])
        elif name in ("negative", "astype") and term.args[0] in gone:
            gone[term] = gone[term.args[0]]
        made: list[Repair] = []
        for factors in _products(term):
            falling = [i for i, p in factors if p > 0 and term.args[i] in gone]
            degree = _degree(term, factors, growths, gone) if falling else math.inf
            if degree > _MOST.get(term.dtype.itemsize, 0):
                continue
            for i, p in factors:
                a, other = term.args[i], growths[term.args[i]]
                beside = [j for j in falling if j != i]
                rounded = term in plain and other is not None and other.degree > 1
                if beside and other and (a in lost or rounded) and a.op is not INPUT:
                    fall = gone[term.args[beside[0]]]
                    if len(other.finite) <= _FEW or _grow_together(growths.get(fall.inner), other):
                        made.append(Repair(i, int(p < 0), fall, other))
            if term.op.name != "compensated_sum":
                gone[term] = gone[term.args[falling[0]]]._replace(degree=degree)
        if made:
            found[term] = made
    return found


def _grow_together(inner: Growth | None, growth: Growth) -> bool:
    """Whether a factor may overflow by the numbers that make another vanish, not just beside it."""
    return inner is None or not inner.by.isdisjoint(growth.by)


def _degree(
    term: Term,
    factors: Sequence[tuple[int, Any]],
    growths: Mapping[Term, Growth | None],
    gone: Mapping[Term, Gone],
) -> float:
    """The degree of the polynomial in a product beside what vanishes."""
    total = 0.0
    for i, p in factors:
        a = term.args[i]
        held = gone[a] if a in gone and p > 0 else growths[a]
        total += math.inf if held is None else float(abs(p)) * held.degree
    return total


def _products(term: Term) -> list[list[tuple[int, Any]]]:
    """The positions and powers of factors, for every product in a term."""
    name = term.op.name
    if name == "multiply":
        return [[(0, 1), (1, 1)]]
    if name == "scaled_product" and not term.params[2]:
        return [list(enumerate(term.params[0]))]
    found, position = [], 0
    for count in term.params[2] if name == "compensated_sum" else ():
        if count > 1:
            found.append([(position + i, 1) for i in range(count)])
        position += count
    return found


def _growth(term: Term, known: Mapping[Term, Growth | None]) -> Growth | None:
    """What a term is as a polynomial, or None."""
    if term.op is CONST:
        return None if isinstance(term.params[0], str) else Growth(0)
    if term.op is INPUT:
        return Growth(1, frozenset([term]), by=frozenset([term])) if is_float(term.dtype) else None
    name = term.op.name
    args = [known[a] for a in term.args if is_float(a.dtype)]
    if not args or not all(args):
        return None
    parts: list[Growth] = [g for g in args if g is not None]
    finite = frozenset[Term]().union(*[g.finite for g in parts])
    nonzero = frozenset[Term]().union(*[g.nonzero for g in parts])
    degrees = [g.degree for g in parts]
    bounded = max(abs(term.facts.lo), abs(term.facts.hi)) < 1e30
    if name in ("multiply", "square"):
        degree = sum(degrees) * (2 if name == "square" else 1)
    elif name in ("scaled_product", "divide"):
        powers = term.params[0] if name == "scaled_product" else (1, -1)
        if any(p != int(p) for p in powers) or (name == "scaled_product" and term.params[2]):
            return None
        degree = float(sum(abs(p) * d for p, d in zip(powers, degrees, strict=True)))
        below = [a for a, p in zip(term.args, powers, strict=True) if p < 0]
        nonzero |= {a for a in below if not (a.facts.lo > 0 or a.facts.hi < 0)}
    elif name in PLAIN:
        left, degree = degrees, 0.0
        for n in term.params[2]:
            degree, left = max(degree, sum(left[:n])), left[n:]
    elif name in _SUMS or (name in _OF_POSITIVE and term.args[0].facts.lo >= 0):
        degree = max(degrees)
    elif bounded and term.op.elementwise and all(d == REAL for d in term.op.domain):
        degree = 0.0
    else:
        return None
    few = len(finite) + len(nonzero) <= _NUMBERS
    if not few:
        return None
    if bounded or degree == 0:
        return Growth(0, finite, nonzero)
    return Growth(degree, finite, nonzero, frozenset[Term]().union(*[g.by for g in parts]))


def repaired(xp: Any, value: Any, repair: Repair, known: Mapping[Any, Any]) -> Any:
    """An argument, with what counts as a number where another factor vanishes put in."""
    inner, side, _ = repair.gone
    u = known[inner]
    there = xp.abs(u) > GONE if side == 0 else side * u > GONE
    fill: Any = value.dtype.type(repair.fill)
    for x in sorted(repair.growth.finite, key=lambda x: x.params):
        fill = fill + 0 * known[x]  # nan where it is not finite: cheaper than one more mask
    for x in repair.growth.nonzero:
        there = there & (known[x] != 0)
    return xp.where(there, fill.astype(value.dtype), value)
