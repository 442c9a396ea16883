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

from stablegrad.engines.xla.single import WIDE, is_narrow, total
from stablegrad.ir import OPS, Term
from stablegrad.ops.lowered import EXP_OF_SUM
from stablegrad.ops.lowered_arithmetic import Sum
from stablegrad.ops.record import CONST, INPUT, REAL, is_float

GONE = 1e4
"""exp(-1e4) is 2**-14427: beside twelve numbers of float64 it is below all floats."""
_ONE_MORE = 800.0
"""So much further out it is, for each number more: exp(-800) is below all floats."""
_MOST = 64
"""The greatest degree of a polynomial that counts."""
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
    "add subtract negative abs softplus silu log_cosh where astype hypot arcsinh ranged_log "
    "ranged_sum".split()
)
"""No greater than a multiple of the greatest of their arguments, and as finite."""

_OF_POSITIVE = frozenset(["log1p", "sqrt"])
"""The same where their argument is at least 0."""


_SUMS_OF_PRODUCTS = frozenset(["compensated_sum", "redone_sum"])
_PRODUCTS = frozenset(["scaled_product", "ranged_product"])
_POWERS = {"divide": (1, -1), "reciprocal": (-1,)}
"""Products by another name: the powers of their arguments."""
_OSCILLATING = frozenset(["sin", "cos"])
"""No numbers at infinity, however small beside what grows."""


_SYNTHESIZED = frozenset(["synthesized", "reduced"])
"""These mean their last argument."""


class Growth(NamedTuple):
    """A term as a polynomial: its degree, what its being finite depends on, what it grows by.

    Attributes:
        degree: the degree.
        finite: the numbers that have to be finite.
        nonzero: the numbers that may not be 0, and the masks that have to hold.
        positive: the numbers that have to be at least 0.
        by: the numbers that it grows by.
    """

    degree: float
    finite: frozenset[Term] = frozenset()
    nonzero: frozenset[Term] = frozenset()
    positive: frozenset[Term] = frozenset()
    by: frozenset[Term] = frozenset()


class Gone(NamedTuple):
    """Where a factor vanishes: the argument, the side, the degree of a polynomial that it holds.

    The argument of an ``exp_of_sum`` is the sum that it is given.
    """

    inner: Term
    side: int
    degree: float = 0


class Repair(NamedTuple):
    """An argument that counts as a number where a factor beside it vanishes."""

    position: int
    fill: int
    gone: Gone
    growth: Growth
    beyond: float


class Overflows(NamedTuple):
    """What is to be done about values that overflow.

    Attributes:
        repairs: by product, the arguments that count as numbers where another factor vanishes.
        finite: by test for being finite, what a polynomial is finite by, though it may overflow.
    """

    repairs: dict[Term, list[Repair]]
    finite: dict[Term, Growth]


def overflows(order: Sequence[Term], held: Container[Term], plain: Container[Term]) -> Overflows:
    """The arguments of products that may be infinite where another factor vanishes.

    Args:
        order: the terms.
        held: those of float32 whose values are held in float64.
        plain: products that take their factors in float32 all the same.
    """
    growths: dict[Term, Growth | None] = {}
    gone: dict[Term, Gone] = {}
    lost: set[Term] = set()
    found: dict[Term, list[Repair]] = {}
    finite: dict[Term, Growth] = {}
    for term in order:
        growths[term] = growth = _growth(term, growths)
        lost_arguments = any(a in lost for a in term.args)
        name = _name(term)
        wide = term.dtype == np.float32 and term in held
        if wide and name == "scaled_product":
            wide = not is_narrow(*term.params[:2])
        limit = math.inf if wide else 1
        if name in _OSCILLATING and term.args[0].op is not INPUT and not _bounded(term.args[0]):
            limit = -1
        if is_float(term.dtype) and (lost_arguments or growth is None or growth.degree > limit):
            lost.add(term)
        if name in _DECAYING:
            gone[term] = Gone(term.args[0], _DECAYING[name])
        elif term.op is EXP_OF_SUM:
            gone[term] = Gone(term, -1)
        elif name in ("negative", "astype") and term.args[0] in gone:
            gone[term] = gone[term.args[0]]
        elif name == "isfinite" and term.args[0] in lost:
            tested = growths[term.args[0]]
            if tested is not None and tested.degree > 1:
                finite[term] = tested
        made: list[Repair] = []
        for factors in _products(term):
            falling = [i for i, p in factors if p > 0 and term.args[i] in gone]
            degree = _degree(term, factors, growths, gone) if falling else math.inf
            if term.dtype.itemsize < 4 or degree > _MOST:
                continue
            for i, p in factors:
                a, other = term.args[i], growths[term.args[i]]
                beside = [j for j in falling if j != i]
                rounded = term in plain and other is not None and other.degree > 1
                if beside and other and (a in lost or rounded) and a.op is not INPUT:
                    fall = gone[term.args[beside[0]]]
                    if len(other.finite) <= _FEW or _grow_together(fall.inner, growths, other):
                        beyond = max(GONE, _ONE_MORE * degree) if term.dtype == WIDE else GONE
                        made.append(Repair(i, int(p < 0), fall, other, beyond))
            if name not in _SUMS_OF_PRODUCTS:
                gone[term] = gone[term.args[falling[0]]]._replace(degree=degree)
        if made:
            found[term] = made
    return Overflows(found, finite)


def _name(term: Term) -> str:
    """The name of an op; of a call that is redone where need be, that of the function."""
    return str(term.params[0]) if term.op.name == "redone_call" else term.op.name


def _grow_together(inner: Term, growths: Mapping[Term, Growth | None], growth: Growth) -> bool:
    """Whether a factor may overflow by the numbers that make another vanish, not just beside it."""
    parts = inner.args if inner.op is EXP_OF_SUM else (inner,)
    found = [growths.get(a) for a in parts]
    return any(g is None or not g.by.isdisjoint(growth.by) for g in found)


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
    if name in _PRODUCTS:
        return [list(enumerate(term.params[0]))]
    found, position = [], 0
    for count in term.params[2] if name in _SUMS_OF_PRODUCTS else ():
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
    name, own = _name(term), term.args[: _own(term)]
    args = [known[a] for a in own if is_float(a.dtype)]
    if not args or not all(args):
        return None
    parts: list[Growth] = [g for g in args if g is not None]
    finite = frozenset[Term]().union(*[g.finite for g in parts])
    nonzero = frozenset[Term]().union(*[g.nonzero for g in parts])
    positive = frozenset[Term]().union(*[g.positive for g in parts])
    degrees = [g.degree for g in parts]
    called = OPS[name](*own) if term.op.name == "redone_call" and not term.params[1] else term
    bounded = _bounded(called)
    if name in ("multiply", "square"):
        degree = sum(degrees) * (2 if name == "square" else 1)
    elif name in _PRODUCTS or name in _POWERS:
        powers = _POWERS.get(name) or term.params[0]
        roots = [a for a, p in zip(own, powers, strict=True) if p != int(p)]
        positive |= {a for a in roots if not a.facts.lo >= 0}
        degree = float(sum(abs(p) * d for p, d in zip(powers, degrees, strict=True)))
        below = [a for a, p in zip(own, powers, strict=True) if p < 0]
        nonzero |= {a for a in below if not (a.facts.lo > 0 or a.facts.hi < 0)}
    elif name in _SUMS_OF_PRODUCTS:
        left, degree = degrees, 0.0
        for n in term.params[2]:
            degree, left = max(degree, sum(left[:n])), left[n:]
    elif name == "rational_sum":
        found = _degree_of_code(degrees, term.params[0])
        if found is None:
            return None
        degree, below = found
        nonzero |= {own[i] for i in below}
    elif name == "require":
        degree, nonzero = degrees[0], nonzero | {term.args[1]}
    elif name in _SYNTHESIZED:
        degree = degrees[-1]
    elif name == "hypot_derivative":
        degree, nonzero = max(0, sum(term.params) - 1) * max(degrees), nonzero | set(own)
    elif name in _SUMS or (name in _OF_POSITIVE and own[0].facts.lo >= 0):
        degree = max(degrees)
    elif bounded and called.op.elementwise and all(d == REAL for d in called.op.domain):
        degree = 0.0
    else:
        return None
    few = len(finite) + len(nonzero) + len(positive) <= _NUMBERS
    if not few:
        return None
    if bounded or degree == 0:
        return Growth(0, finite, nonzero, positive)
    by = frozenset[Term]().union(*[g.by for g in parts])
    return Growth(degree, finite, nonzero, positive, by)


def _bounded(term: Term) -> bool:
    """Whether the values of a term stay far from overflow, by what is known of them."""
    return max(abs(term.facts.lo), abs(term.facts.hi)) < 1e30


def _own(term: Term) -> int:
    """How many arguments an op has without those of the code that redoes it."""
    name, params = term.op.name, term.params
    if name in _PRODUCTS:
        return len(params[0])
    if name in _SUMS_OF_PRODUCTS:
        return sum(params[2])
    return 1 if name.startswith(("redone_", "ranged_")) else len(term.args)


def _degree_of_code(degrees: Sequence[float], code: Sequence[Any]) -> tuple[float, set[int]] | None:
    """The degree of a sum of products of registers, and the arguments that it divides by."""
    found, below = list(degrees), set[int]()
    for step in code:
        if isinstance(step, Sum):
            found.append(max([found[i] for _, i in step.addends], default=0.0))
            continue
        below |= {i for i, p in step.factors if p < 0}
        if any(p != int(p) for _, p in step.factors) or any(i >= len(degrees) for i in below):
            return None
        found.append(sum([float(abs(p)) * found[i] for i, p in step.factors]))
    return found[-1], below


def repaired(xp: Any, value: Any, repair: Repair, known: Mapping[Any, Any]) -> Any:
    """An argument, with what counts as a number where another factor vanishes put in."""
    inner, side, _ = repair.gone
    u = (
        total([known[a] for a in inner.args], *inner.params)
        if inner.op is EXP_OF_SUM
        else known[inner]
    )
    there = (xp.abs(u) if side == 0 else side * u) > repair.beyond
    fill = value.dtype.type(repair.fill) + _zero(repair.growth, known)
    there = _defined(there, repair.growth, known)
    return xp.where(there, fill.astype(value.dtype), value)


def is_finite(growth: Growth, known: Mapping[Any, Any]) -> Any:
    """Whether a polynomial is finite by the numbers that it is made of, whatever its size."""
    return _defined(_zero(growth, known) == 0, growth, known)


def _zero(growth: Growth, known: Mapping[Any, Any]) -> Any:
    """0, nan where a number is not finite: cheaper than a mask for each."""
    zero: Any = 0
    for x in sorted(growth.finite, key=lambda x: x.params):
        zero = zero + 0 * known[x]
    return zero


def _defined(there: Any, growth: Growth, known: Mapping[Any, Any]) -> Any:
    """Where a mask holds and a polynomial has a value."""
    for x in growth.nonzero:
        there = there & (known[x] != 0)
    for x in growth.positive:
        there = there & (known[x] >= 0)
    return there
