"""``truth``: the correctly rounded values and derivatives of terms, or why there are none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import Term, topological
from stablegrad.ops.record import is_float
from stablegrad.oracle.ball import UNKNOWN, Ball
from stablegrad.oracle.evaluate import bind, evaluate, is_elementwise
from stablegrad.oracle.precision import BUDGET, doubling, precision
from stablegrad.oracle.reverse import pullback
from stablegrad.oracle.rounding import Status, round_balls

Array = np.ndarray[Any, Any]
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


class _Result:
    """The floats of one root at one order, filled in as elements are decided."""

    def __init__(self, size: int, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.value = np.full(size, np.nan, self.dtype)
        self.status = np.full(size, Status.UNDECIDED, np.int8)
        self.offset = np.zeros(size)
        self.bits = 0

    def fill(self, places: Array, balls: Sequence[Ball], bits: int, *, limit: bool = False) -> None:
        values, status, offset = round_balls(balls, self.dtype)
        if limit:
            status[status == Status.DECIDED] = Status.LIMIT
        keep = status != Status.UNDECIDED
        at = places[keep]
        self.value[at], self.status[at], self.offset[at] = values[keep], status[keep], offset[keep]
        self.bits = max(self.bits, bits)

    def shaped(self, shape: Any) -> Truth:
        """What was found, in the shape of the term."""
        parts = [a.reshape(shape) for a in (self.value, self.status, self.offset)]
        return Truth(parts[0], parts[1], parts[2], self.bits)

    def open(self, places: Array) -> Array:
        return places[self.status[places] == Status.UNDECIDED]


def truth(
    terms: Sequence[Term] | Term,
    bindings: Mapping[Term, Any],
    dtype: Any = None,
    *,
    order: int = 0,
    direction: Mapping[Term, Any] | None = None,
    budget: int = BUDGET,
    limits: bool = True,
) -> Any:
    """The true values of terms, or of their derivatives along a direction.

    Args:
        terms: a term or several, over the leaves, inputs or variables in ``bindings``; no
            unexpanded derivative nodes.
        bindings: the values of the leaves: arrays or numbers, taken exactly.
        dtype: the dtype to round to; None for each term's own.
        order: the order of the derivative; 0 for values.
        direction: how leaves move, for order 1 and more: leaf -> array of its shape or a number.
            Without it the only float leaf moves by 1 in every element, which for an elementwise
            program is the derivative of each element.
        budget: bits of precision after which an element is undecided.
        limits: whether points without a value (0 * log 0) are given their limit, if points
            ever closer round to one float; the status says so.

    Returns:
        A ``Truth`` for each term (one, if a term was given). IEEE's values stand where the
        reals have none: log(0) is -inf, 1/0 an infinity by the sign of the zero.

    Example:
        >>> import numpy as np
        >>> from stablegrad.ir import make
        >>> from stablegrad.ops import sigmoid
        >>> from stablegrad.ops.record import VARIABLE
        >>> x = make(VARIABLE, (), ("x",), (), np.dtype(np.float32))
        >>> float(truth(sigmoid(x), {x: 20.0}, order=1).value)
        2.06115369216775e-09
    """
    many = [terms] if isinstance(terms, Term) else list(terms)
    if order and direction is None:
        direction = _only_leaf(bindings)
    problem = _Problem(many, bindings, direction or {}, [order], budget)
    results = problem.solve(dtype, limits)
    return results[0] if isinstance(terms, Term) else results


def taylor(
    term: Term,
    bindings: Mapping[Term, Any],
    order: int,
    dtype: Any = None,
    *,
    direction: Mapping[Term, Any] | None = None,
    budget: int = BUDGET,
    limits: bool = True,
) -> list[Truth]:
    """The true value and derivatives of orders 1, 2, ..., ``order``, from one series."""
    if direction is None:
        direction = _only_leaf(bindings)
    return _Problem([term], bindings, direction, range(order + 1), budget).solve(dtype, limits)


def _only_leaf(bindings: Mapping[Term, Any]) -> dict[Term, Any]:
    floats = [t for t in bindings if is_float(t.dtype)]
    if len(floats) != 1:
        raise ShapeError(
            message(f"no direction for {len(floats)} inputs", "direction={leaf: array, ...}")
        )
    return {floats[0]: 1.0}


def derivative(
    term: Term,
    by: Term,
    bindings: Mapping[Term, Any],
    order: int = 1,
    dtype: Any = None,
    **options: Any,
) -> Truth:
    """The true derivative of an elementwise term by one of its leaves, element by element."""
    return truth(term, bindings, dtype, order=order, direction={by: 1.0}, **options)


def mixed(
    term: Term,
    by: tuple[Term, Term],
    bindings: Mapping[Term, Any],
    dtype: Any = None,
    budget: int = BUDGET,
) -> Truth:
    """The true second derivative of an elementwise term by two different leaves.

    From the series along both directions and along each: 2 f_ab = D_(1,1) - D_(1,0) - D_(0,1) of
    second derivatives, which are balls, so that what cancels only asks for precision.
    """
    a, b = by
    both = _Problem([term], bindings, {a: 1.0, b: 1.0}, [2], budget)
    alone = [_Problem([term], bindings, {t: 1.0}, [2], budget) for t in by]

    def combine(balls: Sequence[Ball], parts: Sequence[Sequence[Ball]]) -> list[Ball]:
        return [(x - y - z) / 2 for x, y, z in zip(balls, *parts, strict=True)]

    return both.solve(dtype, False, alone, combine)[0]


def gradient(
    term: Term,
    by: Term | Sequence[Term],
    bindings: Mapping[Term, Any],
    dtype: Any = None,
    *,
    seed: Any = None,
    budget: int = BUDGET,
) -> Any:
    """The true gradient of a term by array leaves, by reverse accumulation in balls.

    Args:
        term: what is differentiated; the sum of its elements is, if it is no scalar.
        by: a leaf, or several.
        bindings: the values of all leaves, taken exactly.
        dtype: the dtype to round to; None for each leaf's own.
        seed: the cotangent of the term; 1 in every element by default.
        budget: bits of precision after which an element is undecided.

    Returns:
        A ``Truth`` of the leaf's shape, or a list of them.
    """
    leaves = [by] if isinstance(by, Term) else list(by)
    results = [
        _Result(math.prod(np.shape(bindings[t])), t.dtype if dtype is None else dtype)
        for t in leaves
    ]
    for bits in doubling(budget):
        places = [r.open(np.arange(len(r.status))) for r in results]
        if not any(len(p) for p in places):
            break
        with precision(bits):
            bound = {t: bind(v) for t, v in bindings.items()}
            pulled = pullback(term, leaves, bound, None if seed is None else bind(seed))
            for r, p, balls in zip(results, places, pulled, strict=True):
                flat = balls.ravel().tolist()
                r.fill(p, [flat[i] for i in p.tolist()], bits)
    out = []
    for t, r in zip(leaves, results, strict=True):
        shape = np.shape(bindings[t])
        out.append(r.shaped(shape))
    return out[0] if isinstance(by, Term) else out


def gradient_by_series(
    term: Term, by: Term, bindings: Mapping[Term, Any], dtype: Any = None, **options: Any
) -> Truth:
    """The true gradient of a scalar term, one series for each element of the leaf.

    Slow, but independent of every transpose in the op records.
    """
    value = np.asarray(bindings[by])
    parts = []
    for i in range(value.size):
        unit = np.zeros(value.size)
        unit[i] = 1.0
        step = {by: unit.reshape(value.shape)}
        parts.append(truth(term, bindings, dtype, order=1, direction=step, **options))
    return Truth(
        np.array([p.value for p in parts]).reshape(value.shape),
        np.array([p.status for p in parts]).reshape(value.shape),
        np.array([p.offset for p in parts]).reshape(value.shape),
        max((p.bits for p in parts), default=0),
    )


class _Problem:
    """Terms at a point and along a direction, evaluated at rising precision."""

    def __init__(
        self,
        terms: list[Term],
        bindings: Mapping[Term, Any],
        direction: Mapping[Term, Any],
        orders: Sequence[int],
        budget: int,
    ) -> None:
        self.terms = terms
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
        if self.flat:
            self.shape = np.broadcast_shapes(*shapes, *[t.shape for t in terms])
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
        return [
            _coefficients(out, k, size)
            for out in evaluate(self.terms, bound, flat=self.flat)
            for k in self.orders
        ]

    def solve(
        self,
        dtype: Any,
        limits: bool,
        others: Sequence[_Problem] = (),
        combine: Any = None,
    ) -> list[Truth]:
        """Round every element of every term, at the precision that each needs."""
        results = [
            _Result(
                self.size if self.flat else math.prod(t.shape), t.dtype if dtype is None else dtype
            )
            for t in self.roots
        ]
        self._rise(results, self.order, self.values, others, combine)
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

    def _shaped(self, term: Term, r: _Result) -> Truth:
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

    def _rise(
        self,
        results: list[_Result],
        order: int,
        values: Mapping[Term, Any],
        others: Sequence[_Problem] = (),
        combine: Any = None,
        *,
        limit: bool = False,
    ) -> None:
        """Fill in what is undecided, doubling the precision until the budget is spent."""
        for bits in doubling(self.budget):
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

    def _strip(self, results: list[_Result]) -> None:
        """Where 0/0 was met, once more with longer series, from which zeros can be stripped."""
        kept = self.direction
        if not kept:
            leaf = self.single()
            assert leaf is not None
            self.direction = {leaf: np.ones(self.values[leaf].shape)}
        fresh = []
        for r in results:
            again = _Result(len(r.status), r.dtype)
            again.status[:] = np.where(
                r.status == Status.UNDEFINED, Status.UNDECIDED, Status.DECIDED
            )
            fresh.append(again)
        open_places = [a.status == Status.UNDECIDED for a in fresh]
        budget, self.budget = self.budget, min(self.budget, 3200)
        self._rise(fresh, self.order + EXTRA, self.values)
        self.budget, self.direction = budget, kept
        for r, again, places in zip(results, fresh, open_places, strict=True):
            won = places & (again.status == Status.DECIDED) & np.isfinite(again.value)
            r.value[won], r.offset[won] = again.value[won], again.offset[won]
            r.status[won] = Status.LIMIT if self.single() is None else Status.DECIDED
            r.bits = max(r.bits, again.bits)


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
