"""jacobian and hessian."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.api.arguments import (
    Argnums,
    Variables,
    call,
    check_callable,
    outermost,
    output_tensors,
    results,
    take_variables,
    unflatten,
    zeros_for,
)
from stablegrad.api.derivatives import grad
from stablegrad.ir import OPS, Term
from stablegrad.ops.shape import stack
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.tensor.cells import freeze, value_leaf
from stablegrad.tensor.core import Tensor, leaf_of
from stablegrad.tensor.gradients import gradients, pushforward, requires_grad


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives all first derivatives of f.

    Args:
        f: a function of arrays, numbers, or containers of them.
        argnums: the place of the argument to differentiate by, or a tuple of places.

    Returns:
        A function with f's arguments that returns a tensor of shape ``y.shape + x.shape``; where
        the result or the argument is a container, such containers, the result's outside.

    Example:
        >>> sg.jacobian(lambda x: x * x)(np.array([1.0, 2.0])).numpy()
        array([[2., 0.],
               [0., 4.]])
    """
    check_callable(f, "jacobian")

    @functools.wraps(f)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        xs, given = take_variables(f, args, argnums, "jacobian")
        ys, structure = output_tensors(f, call(f, given, kwargs), "jacobian")
        return unflatten(structure, [xs.rebuilt(_matrices(y.term, xs)) for y in ys])

    return derivative


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives all second derivatives of f.

    Args:
        f: a function of arrays, numbers, or containers of them, with one scalar result.
        argnums: the place of the argument to differentiate by, or a tuple of places.

    Returns:
        A function with f's arguments that returns a tensor of shape ``x.shape + x.shape``, or
        containers of such.

    Raises:
        ShapeError: f's result is not a scalar.

    Example:
        >>> sg.hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0])).numpy()
        array([[ 6.,  0.],
               [ 0., 12.]])
    """
    check_callable(f, "hessian")
    return jacobian(grad(f, argnums), argnums)


def _matrices(y: Term, xs: Variables) -> list[Tensor]:
    """The derivatives of a term by each variable, of shape y.shape + x.shape."""
    wide = sum(x.size for x in xs.terms)
    by_columns = wide < y.size
    terms = _columns(y, xs.terms) if by_columns else _rows(y, xs.terms)
    return terms if isinstance(terms[0], Tensor) else results(terms)  # type: ignore[arg-type]


def _basis(term: Term) -> list[Term]:
    """The unit arrays of a term's shape, as leaves: programs over them have one structure."""
    basis: list[Term] = []
    for i in range(term.size):
        unit = np.zeros(term.shape, term.dtype)
        unit.flat[i] = 1
        basis.append(value_leaf(freeze(unit)))
    return basis


def _rows(y: Term, xs: list[Term]) -> list[Any]:
    settings = current()
    rows: list[list[Term]] = []
    for seed in _basis(y):
        found = gradients([(y, seed)], xs, settings)
        rows.append([found.get(x, zeros_for(x)) for x in xs])
    shapes = [(*y.shape, *x.shape) for x in xs]
    return _assembled([[row[i] for row in rows] for i in range(len(xs))], shapes, xs)


def _columns(y: Term, xs: list[Term]) -> list[Any]:
    settings = current()
    columns: list[list[Term]] = []
    for i, x in enumerate(xs):
        still = [zeros_for(other) for other in xs]
        along = [[*still[:i], unit, *still[i + 1 :]] for unit in _basis(x)]
        columns.append([pushforward(y, xs, tangents, settings) for tangents in along])
    shapes = [(*x.shape, *y.shape) for x in xs]
    assembled = _assembled(columns, shapes, [y] * len(xs))
    return [_swapped(m, x, y) for m, x in zip(assembled, xs, strict=True)]


def _swapped(matrix: Any, x: Term, y: Term) -> Any:
    axes = (*range(len(x.shape), len(x.shape) + len(y.shape)), *range(len(x.shape)))
    if not isinstance(matrix, Tensor):
        return OPS["transpose"](matrix, axes=axes)
    term = matrix._program[0] if matrix._program else matrix.term
    origin = OPS["transpose"](term, axes=axes)
    return _settled(np.transpose(matrix.numpy(), axes), origin)


def _assembled(parts: list[list[Term]], shapes: list[Any], likes: list[Term]) -> list[Any]:
    """Stacks of rows or columns: terms, or tensors with values where nothing is around.

    Values are computed row by row, because all rows have one structure and share one program.
    """
    stacked = [
        OPS["reshape"](stack(terms), shape=shape) if terms else zeros_of(shape, like)
        for terms, shape, like in zip(parts, shapes, likes, strict=True)
    ]
    if not outermost():
        return stacked
    settings = current()
    values: list[list[Any]] = [[] for _ in parts]
    equal = len({len(p) for p in parts}) == 1
    batches = zip(*parts, strict=True) if equal else ()
    for batch in batches:
        for found, value in zip(values, evaluate(batch, settings), strict=True):
            found.append(value)
    if not equal:
        values = [[evaluate([t], settings)[0] for t in terms] for terms in parts]
    return [
        _settled(np.array(found, dtype=like.dtype).reshape(shape), term)
        for found, shape, term, like in zip(values, shapes, stacked, likes, strict=True)
    ]


def zeros_of(shape: Any, like: Term) -> Term:
    """A derivative without elements."""
    assert math.prod(shape) == 0
    return value_leaf(freeze(np.zeros(shape, like.dtype)))


def _settled(value: Any, term: Term) -> Tensor:
    result = leaf_of(
        freeze(np.ascontiguousarray(value).reshape(value.shape)),
        origin=term if requires_grad(term) else None,
    )
    result._program = (term, current())
    return result
