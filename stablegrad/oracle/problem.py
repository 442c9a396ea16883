"""Terms at a point, evaluated at rising precision until every element rounds to one float."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb

from stablegrad.ir import Shape, Term, topological
from stablegrad.ops.record import is_float
from stablegrad.oracle.ball import UNKNOWN, Ball
from stablegrad.oracle.evaluate import bind, evaluate, is_elementwise
from stablegrad.oracle.precision import at_first, precision, rising
from stablegrad.oracle.rounding import Status, round_balls

Array = np.ndarray[Any, Any]
LEAST = -(2**1000)
"""Orders below are not told apart: exp(-2**4096) has one that is no float."""
EXTRA = 4
"""Coefficients more than asked for, from which a 0/0 in the way can be stripped."""


@dataclass(frozen=True, slots=True)
class Truth:
    """True values of one term, element by element.

    Attributes:
        value: the correctly rounded floats; nan where undefined or undecided.
        status: a ``Status`` for each.
        offset: the true value minus ``value``, in ulp of ``value``.
        bits: the greatest precision that was used.
    """

    value: Array
    status: Array
    offset: Array
    bits: int

    @property
    def decided(self) -> Array:
        """Where the value is the truth."""
        return self.status <= Status.LIMIT

    @property
    def undefined(self) -> Array:
        """Where it is proved that there is no value."""
        return self.status == Status.UNDEFINED

    @property
    def undecided(self) -> Array:
        """Where the budget ran out."""
        return self.status == Status.UNDECIDED


class Result:
    """The floats of one root at one order, filled in as elements are decided."""

    def __init__(self, size: int, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.value = np.full(size, np.nan, self.dtype)
        self.status = np.full(size, Status.UNDECIDED, np.int8)
        self.offset = np.zeros(size)
        self.least, self.most = np.full((2, size), -np.inf)
        """Bounds for the binary order of what rounds to 0."""
        self.bits = 0

    def fill(self, places: Array, balls: Sequence[Ball], bits: int, *, limit: bool = False) -> None:
        values, status, offset = round_balls(balls, self.dtype)
        if limit:
            status[status == Status.DECIDED] = Status.LIMIT
        keep = status != Status.UNDECIDED
        at = places[keep]
        self.value[at], self.status[at], self.offset[at] = values[keep], status[keep], offset[keep]
        for i in np.flatnonzero(keep & (values == 0)).tolist():
            size = balls[i].c[0]
            self.least[places[i]] = _order(size.abs_lower())
            self.most[places[i]] = _order(size.abs_upper())
        self.bits = max(self.bits, bits)

    def shaped(self, shape: Any) -> Truth:
        """What was found, in the shape of the term."""
        parts = [a.reshape(shape) for a in (self.value, self.status, self.offset)]
        return Truth(parts[0], parts[1], parts[2], self.bits)

    def open(self, places: Array) -> Array:
        return places[self.status[places] == Status.UNDECIDED]


def _order(size: arb) -> float:
    """The binary order of an exact number; that of 0 is -inf."""
    if size.is_zero() or not size.is_finite():
        return -math.inf
    mantissa, exponent = size.man_exp()
    return float(max(int(exponent) + int(mantissa).bit_length(), LEAST))


class Problem:
    """Terms at a point and along a direction, evaluated at rising precision."""

    def __init__(
        self,
        terms: list[Term],
        bindings: Mapping[Term, Any],
        direction: Mapping[Term, Any],
        orders: Sequence[int],
        budget: int,
        known: dict[Term, Any] | None = None,
    ) -> None:
        self.terms = terms
        self.known = known
        """Values at all of the points, at the least precision: other problems there share them."""
        self.orders = list(orders)
        self.order = max(orders)
        self.roots = [t for t in terms for _ in self.orders]
        self.budget = budget
        self.direction = {t: np.asarray(d) for t, d in direction.items()}
        self.values = {t: np.asarray(v) for t, v in bindings.items()}
        below = topological(terms, stop=self.values.__contains__)
        self.flat = all(is_elementwise(t) for t in below if t not in self.values)
        shapes = [v.shape for v in self.values.values()]
        # scalar terms may be given arrays of points: then the results have the points' shape
        self.plain = all(v.shape == t.shape for t, v in self.values.items())
        try:
            self.shape = np.broadcast_shapes(*shapes, *[t.shape for t in terms])
        except ValueError:
            self.flat = False  # terms of several shapes, each over leaves of its own
        if self.flat:
            self.size = math.prod(self.shape)
            self.values = {t: self._spread(v) for t, v in self.values.items()}
            self.direction = {t: self._spread(d) for t, d in self.direction.items()}

    def _spread(self, v: Array) -> Array:
        return np.broadcast_to(v, self.shape).ravel()

    def balls(
        self, places: Array | None, order: int, values: Mapping[Term, Any]
    ) -> list[list[Ball]]:
        """The derivative of this order of each term at some elements (None: all)."""
        bound = {}
        for t, v in values.items():
            d = self.direction.get(t)
            if places is None:
                bound[t] = bind(v, d, order)
            else:
                bound[t] = bind(v[places], None if d is None else d[places], order)
        size = 1 if places is None else len(places)
        here = self.flat and not order and values is self.values and size == self.size
        known = self.known if here and at_first() else None
        found = evaluate(self.terms, bound, flat=self.flat, known=known)
        return [
            _coefficients(out if self.flat else _filled(out, t.shape), k, size)
            for t, out in zip(self.terms, found, strict=True)
            for k in self.orders
        ]

    def solve(
        self,
        dtype: Any,
        limits: bool,
        others: Sequence[Problem] = (),
        combine: Any = None,
    ) -> list[Truth]:
        """Round every element of every term, at the precision that each needs."""
        results = [
            Result(
                self.size if self.flat else math.prod(t.shape), t.dtype if dtype is None else dtype
            )
            for t in self.roots
        ]
        self.rise(results, self.order, self.values, others, combine)
        moving = bool(self.direction) or self.single() is not None
        alone = self.single() is not None
        if (
            moving
            and (alone or limits)
            and not others
            and any((r.status == Status.UNDEFINED).any() for r in results)
        ):
            self._strip(results)
        if limits and not others and any((r.status == Status.UNDEFINED).any() for r in results):
            from stablegrad.oracle.limits import take_limits

            take_limits(self, results)
        return [self._shaped(t, r) for t, r in zip(self.roots, results, strict=True)]

    def _shaped(self, term: Term, r: Result) -> Truth:
        if not self.flat:
            return r.shaped(term.shape)
        full = r.shaped(self.shape)
        if term.shape != self.shape and self.plain:
            extra = len(self.shape) - len(term.shape)
            pick = (0,) * extra + tuple(
                [slice(0, 1) if m == 1 else slice(None) for m in term.shape]
            )
            return Truth(full.value[pick], full.status[pick], full.offset[pick], full.bits)
        return full

    def rise(
        self,
        results: list[Result],
        order: int,
        values: Mapping[Term, Any],
        others: Sequence[Problem] = (),
        combine: Any = None,
        *,
        limit: bool = False,
    ) -> None:
        """Fill in what is undecided, doubling the precision until the budget is spent."""
        for bits in rising(self.budget):
            places = [r.open(np.arange(len(r.status))) for r in results]
            if self.flat:
                todo = np.unique(np.concatenate(places))
                places = [todo] * len(results)
            if not any(len(p) for p in places):
                return
            chosen = places[0] if self.flat else None
            with precision(bits):
                balls = self.balls(chosen, order, values)
                if others:
                    rest = [o.balls(chosen, order, o.values)[0] for o in others]
                    balls = [combine(balls[0], rest)]
                for r, p, b in zip(results, places, balls, strict=True):
                    r.fill(p, b if self.flat else [b[i] for i in p.tolist()], bits, limit=limit)

    def single(self) -> Term | None:
        """The one leaf on whose numbers, each alone, the elements depend: by which they move."""
        leaves = [t for t in self.values if is_float(t.dtype)]
        if self.flat and self.order and len(self.direction) == 1:
            return next(iter(self.direction))
        if len(leaves) != 1 or not (self.flat or self.values[leaves[0]].size == 1):
            return None
        return leaves[0]

    def _strip(self, results: list[Result]) -> None:
        """Where 0/0 was met, once more with longer series, from which zeros can be stripped."""
        kept = self.direction
        if not kept:
            leaf = self.single()
            assert leaf is not None
            self.direction = {leaf: np.ones(self.values[leaf].shape)}
        fresh = []
        for r in results:
            again = Result(len(r.status), r.dtype)
            again.status[:] = np.where(
                r.status == Status.UNDEFINED, Status.UNDECIDED, Status.DECIDED
            )
            fresh.append(again)
        open_places = [a.status == Status.UNDECIDED for a in fresh]
        budget, self.budget = self.budget, min(self.budget, 3200)
        self.rise(fresh, self.order + EXTRA, self.values)
        self.budget, self.direction = budget, kept
        for r, again, places in zip(results, fresh, open_places, strict=True):
            won = places & (again.status == Status.DECIDED) & np.isfinite(again.value)
            r.value[won], r.offset[won] = again.value[won], again.offset[won]
            r.status[won] = Status.LIMIT if self.single() is None else Status.DECIDED
            r.bits = max(r.bits, again.bits)


def _filled(out: Array, shape: Shape) -> Array:
    """An array of a term's shape: 1 - mean(x) is held as one number, whatever its shape."""
    return np.broadcast_to(out, shape) if out.size < math.prod(shape) else out


def _coefficients(out: Array, order: int, size: int) -> list[Ball]:
    """The derivative that coefficients of series are, element by element."""
    if out.dtype != object:
        out = bind(out.astype(np.float64))
    balls = out.ravel().tolist()
    if len(balls) == 1 and size != 1:
        balls = balls * size
    balls = [b if type(b) is Ball else Ball.exact(b) for b in balls]
    if not order:
        return balls
    factor = math.factorial(order)
    picked = [b.coefficient(order) if b.known else UNKNOWN for b in balls]
    return picked if factor == 1 else [b * factor for b in picked]
