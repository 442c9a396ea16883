"""Gradients of whole programs in balls, by reverse accumulation.

The partial derivatives of an elementwise op come from power series, so that the op's own
partials are judged and not used; an op that has a meaning is differentiated through its
meaning. Only what moves elements about (sums, products of matrices, indexing) uses the
record's transpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term, make, topological
from stablegrad.ops.record import VARIABLE, Op, is_float
from stablegrad.oracle.ball import HARD, UNKNOWN, Ball
from stablegrad.oracle.evaluate import bind, evaluate, mapped, meaning, step
from stablegrad.oracle.series import ONE, ZERO
from stablegrad.oracle.structures import lifted

Array = np.ndarray[Any, Any]


def pullback(
    root: Term, by: Sequence[Term], bound: Mapping[Term, Array], seed: Array | None = None
) -> list[Array]:
    """The cotangents of leaves, for a cotangent of the root (1 in every element by default).

    Args:
        root: a term over the bound leaves.
        by: those of the leaves whose cotangents are wanted.
        bound: arrays of balls (or of numbers) for the leaves.
        seed: an array of balls of the root's shape.
    """
    order = topological([root], stop=bound.__contains__)
    cells: dict[Term, Array] = dict(bound)
    moving = set(by)
    for term in order:
        if term not in cells:
            cells[term] = step(term, [cells[a] for a in term.args], False)
        if any(a in moving for a in term.args) and term not in bound and is_float(term.dtype):
            moving.add(term)
    cotangents: dict[Term, Array] = {}
    if seed is None:
        seed = np.full(root.shape, Ball((ONE,)), object)
    cotangents[root] = seed
    for term in reversed(order):
        if term in bound or term not in moving or term not in cotangents:
            continue
        cotangent = cotangents.pop(term)
        wanted = [a in moving for a in term.args]
        parts = _pull(term, [cells[a] for a in term.args], cells[term], cotangent, wanted)
        for a, part in zip(term.args, parts, strict=True):
            if part is not None and a in moving:
                share = _summed(part, a.shape)
                cotangents[a] = cotangents[a] + share if a in cotangents else share
    nothing = Ball((ZERO,))
    return [
        lifted(cotangents[t]) if t in cotangents else np.full(cells[t].shape, nothing, object)
        for t in by
    ]


def _summed(array: Array, shape: Shape) -> Array:
    """A cotangent brought from the broadcast shape to that of the argument."""
    if array.shape == shape:
        return array
    extra = array.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        [i + extra for i, n in enumerate(shape) if n == 1 and array.shape[i + extra] != 1]
    )
    out = np.asarray(np.sum(array, axis=axes, keepdims=True), object)
    return out.reshape(shape)


def _pull(
    term: Term, args: list[Array], out: Array, cotangent: Array, wanted: list[bool]
) -> list[Array | None]:
    op = term.op
    if op.elementwise:
        return [
            _times_partial(term, args, i, cotangent) if w else None for i, w in enumerate(wanted)
        ]
    if op.name == "astype":
        return [cotangent]
    if op.name == "custom":
        return [cotangent if i == term.params[2] else None for i in range(len(args))]
    shapes = tuple([a.shape for a in term.args])
    dtypes = tuple([a.dtype for a in term.args])
    if op.spellings:
        variables, root = meaning(op, term.params, shapes, dtypes)
        chosen = [v for v, w in zip(variables, wanted, strict=True) if w]
        full = {v: _full(a, v.shape) for v, a in zip(variables, args, strict=True)}
        found = iter(pullback(root, chosen, full, _full(cotangent, root.shape)))
        return [next(found) if w else None for w in wanted]
    variables, pulled = transpose(op, term.params, shapes, dtypes, term.shape, term.dtype)
    given = {v: _full(a, v.shape) for v, a in zip(variables, [*args, out, cotangent], strict=True)}
    present = [p for p in pulled if isinstance(p, Term)]
    values = iter(evaluate(present, given))
    return [next(values) if isinstance(p, Term) else None for p in pulled]


def _full(a: Array, shape: Shape) -> Array:
    return a if a.shape == shape else np.broadcast_to(a, shape)


@lru_cache(maxsize=1024)
def transpose(
    op: Op,
    params: tuple[Any, ...],
    shapes: tuple[Shape, ...],
    dtypes: tuple[Any, ...],
    out_shape: Shape,
    out_dtype: Any,
) -> tuple[tuple[Term, ...], tuple[Any, ...]]:
    """A structured op's vjp over variables: (arguments, out, cotangent), and the terms."""
    names = [f"a{i}" for i in range(len(shapes))]
    variables = [
        make(VARIABLE, (), (n,), s, d) for n, s, d in zip(names, shapes, dtypes, strict=True)
    ]
    out = make(VARIABLE, (), ("out",), out_shape, out_dtype)
    cotangent = make(VARIABLE, (), ("cotangent",), out_shape, out_dtype)
    static = dict(zip(op.params, params, strict=True))
    if op.vjp is not None:
        pulled = tuple(op.vjp(out, tuple(variables), cotangent, **static))
    else:
        pulled = (None,) * len(shapes)
    return (*variables, out, cotangent), pulled


def _times_partial(term: Term, args: list[Array], i: int, cotangent: Array) -> Array | None:
    """The cotangent times the derivative by argument i, from series of order 1."""
    moved = list(args)
    x = args[i] if args[i].dtype == object else bind(args[i].astype(np.float64))
    moved[i] = mapped(_move, x)
    slope = mapped(_slope, step(term, moved, False))
    if term.op.name in ("multiply", "divide"):
        # a factor 0 is 0 also times the infinite slope of the other, but no mask of a pole above
        finite = mapped(lambda b: b.known and b.c[0].is_finite(), lifted(cotangent))
        slope = np.where(finite.astype(bool), slope, mapped(_softened, slope))
    return np.asarray(cotangent * slope, object)


def _softened(b: Ball) -> Ball:
    return Ball((ZERO,)) if b is HARD else b


def _move(b: Ball) -> Ball:
    return Ball((*b.c[:1], ONE), b.flags) if b.known else b


def _slope(b: Ball) -> Ball:
    if not b.known:
        return UNKNOWN
    return HARD if len(b.c) == 1 else Ball((b.c[1],))
