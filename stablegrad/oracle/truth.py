"""``truth``: the correctly rounded values and derivatives of terms, or why there are none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import Term
from stablegrad.ops.record import is_float
from stablegrad.oracle.ball import Ball
from stablegrad.oracle.evaluate import bind
from stablegrad.oracle.precision import BUDGET, precision, rising
from stablegrad.oracle.problem import Problem, Result, Truth
from stablegrad.oracle.reverse import pullback

Array = np.ndarray[Any, Any]


def truth(
    terms: Sequence[Term] | Term,
    bindings: Mapping[Term, Any],
    dtype: Any = None,
    *,
    order: int = 0,
    direction: Mapping[Term, Any] | None = None,
    budget: int = BUDGET,
    limits: bool = True,
    known: dict[Term, Any] | None = None,
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
        known: what calls at the same values, of order 0, share: filled with the balls of terms.

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
    problem = Problem(many, bindings, direction or {}, [order], budget, known)
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
    return Problem([term], bindings, direction, range(order + 1), budget).solve(dtype, limits)


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
    both = Problem([term], bindings, {a: 1.0, b: 1.0}, [2], budget)
    alone = [Problem([term], bindings, {t: 1.0}, [2], budget) for t in by]

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
        Result(math.prod(np.shape(bindings[t])), t.dtype if dtype is None else dtype)
        for t in leaves
    ]
    for bits in rising(budget):
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
