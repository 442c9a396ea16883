"""Sorting and running extremes on arrays of balls; elements that are equal share derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any

import numpy as np

from stablegrad.oracle.ball import Ball, UndecidedError

Array = np.ndarray[Any, Any]


def _compare(a: Ball, b: Ball) -> int:
    found = a.compare(b)
    if found is None:  # nan last, as NumPy has it
        return int(a.is_nan) - int(b.is_nan)
    return found


def order_of(row: Sequence[Ball]) -> list[int]:
    """The places of balls in rising order, equal ones in their own."""
    for b in row:
        if not b.known:
            raise UndecidedError
    compare: Callable[[int, int], int] = lambda i, j: _compare(row[i], row[j])  # noqa: E731
    return sorted(range(len(row)), key=cmp_to_key(compare))


def mean(balls: Sequence[Ball]) -> Ball:
    """The mean of balls, a single one itself."""
    total = balls[0]
    for b in balls[1:]:
        total = total + b
    return total / len(balls) if len(balls) > 1 else total


def along(axis: int, function: Callable[..., Sequence[Any]], *arrays: Array) -> Array:
    """A function of rows, applied along an axis."""
    turned = [np.moveaxis(a, axis, -1) for a in arrays]
    out = np.empty(turned[0].shape, object)
    for place in np.ndindex(turned[0].shape[:-1]):
        out[place] = list(function(*[t[place].tolist() for t in turned]))
    return np.moveaxis(out, -1, axis)


def _ties(row: Sequence[Ball]) -> list[list[int]]:
    """For each element the places of all that equal it."""
    order_of(row)  # raises where a comparison is undecided
    return [[j for j, b in enumerate(row) if a is b or a.compare(b) == 0] for a in row]


def _sort(x: Array, *, axis: int, descending: bool) -> Array:
    def row(balls: list[Ball]) -> list[Ball]:
        ties = _ties(balls)
        shared = [mean([balls[j] for j in t]) for t in ties]
        found = [shared[i] for i in order_of(balls)]
        return found[::-1] if descending else found

    return along(axis, row, x)


def _argsort(x: Array, *, axis: int, descending: bool) -> Array:
    def row(balls: list[Ball]) -> list[int]:
        if not descending:
            return order_of(balls)
        n = len(balls)
        return [n - 1 - i for i in order_of(balls[::-1])][::-1]

    return along(axis, row, x).astype(np.int64)


def _sort_jvp(x: Array, t: Array, *, axis: int, descending: bool) -> Array:
    def row(balls: list[Ball], given: list[Ball]) -> list[Ball]:
        shared = [mean([given[j] for j in ties]) for ties in _ties(balls)]
        found = [shared[i] for i in order_of(balls)]
        return found[::-1] if descending else found

    return along(axis, row, x, t)


def _sort_vjp(x: Array, g: Array, *, axis: int, descending: bool) -> Array:
    def row(balls: list[Ball], given: list[Ball]) -> list[Ball]:
        order = order_of(balls)
        put = dict(zip(order[::-1] if descending else order, given, strict=True))
        return [mean([put[j] for j in ties]) for ties in _ties(balls)]

    return along(axis, row, x, g)


def _greatest(row: Sequence[Ball]) -> list[list[int]]:
    """For each place where the greatest element so far is."""
    found: list[list[int]] = []
    for i, b in enumerate(row):
        sign = 1 if not i else b.compare(row[found[-1][0]])
        if sign is None:
            raise UndecidedError
        found.append([i] if sign > 0 else [*found[-1], i] if sign == 0 else found[-1])
    return found


def _cummax(x: Array, *, axis: int) -> Array:
    return along(axis, lambda b: [mean([b[j] for j in top]) for top in _greatest(b)], x)


def _cummin(x: Array, *, axis: int) -> Array:
    return -_cummax(-x, axis=axis)


def _cummax_jvp(x: Array, t: Array, *, axis: int) -> Array:
    return along(axis, lambda b, c: [mean([c[j] for j in top]) for top in _greatest(b)], x, t)


def _cummax_vjp(x: Array, g: Array, *, axis: int) -> Array:
    def row(balls: list[Ball], given: list[Ball]) -> list[Ball]:
        out = [Ball.exact(0)] * len(balls)
        for top, c in zip(_greatest(balls), given, strict=True):
            for j in top:
                out[j] = out[j] + c / len(top)
        return out

    return along(axis, row, x, g)


ORDERS: dict[str, Callable[..., Array]] = {
    "sort": _sort,
    "argsort": _argsort,
    "sort_jvp": _sort_jvp,
    "sort_vjp": _sort_vjp,
    "cummax": _cummax,
    "cummin": _cummin,
    "cummax_jvp": _cummax_jvp,
    "cummax_vjp": _cummax_vjp,
}
"""Functions of arrays of balls by op."""
