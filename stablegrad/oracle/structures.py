"""Structured ops on arrays of balls, where a kernel written for floats cannot serve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import flint
import numpy as np

from stablegrad.oracle import eigen, matrices, matrix_functions
from stablegrad.oracle.ball import UNKNOWN, Ball
from stablegrad.oracle.orders import ORDERS
from stablegrad.oracle.series import ZERO

Array = np.ndarray[Any, Any]

MATRIX_WORK = 2000
"""Products of numbers from which matrices go to arb's own multiplication."""


def lift(value: Any) -> Ball:
    """A ball, from a ball or a number; in an array of no axes too, as assignment may leave one."""
    if isinstance(value, np.ndarray):
        value = value.item()
    return value if type(value) is Ball else Ball.exact(value)


def lifted(array: Any) -> Array:
    """An array of balls from an object array that may hold numbers among them."""
    items = np.asarray(array, object)
    return _collect([lift(x) for x in items.ravel().tolist()], items.shape)


def groups(x: Array, axis: Any, keepdims: bool) -> tuple[list[list[Any]], tuple[int, ...]]:
    """The elements reduced together, for each element of the result, and the result's shape."""
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(a % x.ndim for a in axes)
    rest = [a for a in range(x.ndim) if a not in axes]
    moved = x.transpose(*rest, *axes)
    lead = tuple(x.shape[a] for a in rest)
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape)) if keepdims else lead
    rows = moved.reshape(math.prod(lead), math.prod(x.shape[a] for a in axes))
    return rows.tolist(), shape


def _collect(values: Iterable[Any], shape: tuple[int, ...]) -> Array:
    out = np.empty(math.prod(shape), object)
    out[:] = list(values)
    return out.reshape(shape)


def extreme(balls: Sequence[Ball], sign: int) -> Ball:
    """The greatest (sign 1) or least of balls; ties share the derivative equally."""
    best = balls[0].constant()
    for b in balls[1:]:
        best = best.maximum(b.constant()) if sign > 0 else best.minimum(b.constant())
    if not best.known or not any(len(b.c) > 1 for b in balls):
        return best
    top = best.c[0]
    if top.is_nan():
        return next(b for b in balls if b.is_nan)
    tied = [b for b in balls if b.c[0].overlaps(top)]
    if len(tied) == 1:
        return tied[0]
    if not all(b.c[0].is_exact() for b in tied):
        return UNKNOWN
    tied = [b for b in tied if b.c[0] == top]
    total = tied[0]
    for b in tied[1:]:
        total = total + b
    return total / len(tied) if top.is_finite() else total


def _max(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    rows, shape = groups(x, axis, keepdims)
    return _collect([extreme(r, 1) for r in rows], shape)


def _min(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    rows, shape = groups(x, axis, keepdims)
    return _collect([extreme(r, -1) for r in rows], shape)


def _coefficients(x: Array, length: int) -> list[Any] | None:
    """Matrices of the coefficients 0, 1, ... of a matrix of balls; None if not all finite."""
    rows = x.tolist()
    matrices = []
    for k in range(length):
        entries = []
        for row in rows:
            line = [b.c[k] if k < len(b.c) else ZERO for b in row]
            if not all(c.is_finite() for c in line):
                return None
            entries.append(line)
        matrices.append(flint.arb_mat(entries))
    return matrices


def _length(x: Array) -> int:
    return max((len(b.c) for b in x.ravel().tolist()), default=1)


def matmul(a: Array, b: Array) -> Array:
    """The matrix product; large ones of finite balls by arb's own multiplication."""
    work = math.prod(a.shape) * (b.shape[-1] if b.ndim > 1 else 1)
    if work < MATRIX_WORK or a.ndim > 2 or b.ndim > 2:
        return np.asarray(np.matmul(a, b), object)
    left = a if a.ndim == 2 else a[None]
    right = b if b.ndim == 2 else b[:, None]
    m, n = _length(left), _length(right)
    p, q = _coefficients(left, m), _coefficients(right, n)
    if p is None or q is None:
        return np.asarray(np.matmul(a, b), object)
    total = []
    for k in range(max(m, n)):
        parts = [p[j] * q[k - j] for j in range(k + 1) if j < m and k - j < n]
        out = parts[0] if parts else None
        for part in parts[1:]:
            out = out + part
        total.append(None if out is None else out.table())
    shape = (left.shape[0], right.shape[1])
    balls = [
        Ball(tuple([ZERO if t is None else t[i][j] for t in total]))
        for i in range(shape[0])
        for j in range(shape[1])
    ]
    full = _collect(balls, shape)
    return full.reshape((a.shape[:-1] if a.ndim > 1 else ()) + (b.shape[1:] if b.ndim > 1 else ()))


def _einsum(*arrays: Array, subscripts: str) -> Array:
    inputs = subscripts.split("->", maxsplit=1)[0].split(",")
    if len(arrays) == 2:
        a, b = inputs
        if len(set(a)) == len(a) == 2 and len(set(b)) == len(b) == 2:
            out = subscripts.split("->")[1] if "->" in subscripts else None
            if a[1] == b[0] and out == a[0] + b[1]:
                return matmul(arrays[0], arrays[1])
    return np.asarray(np.einsum(subscripts, *arrays), object)


def _logical(name: str) -> Callable[..., Array]:
    def reduce(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
        return getattr(np, name)(x, axis=axis, keepdims=keepdims)

    return reduce


def _infinite_sum(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    return np.asarray(np.sum(x, axis=axis, keepdims=keepdims), object)


TABLE: dict[str, Callable[..., Array]] = {
    "max": _max,
    "min": _min,
    "sum": _infinite_sum,
    "matmul": matmul,
    "einsum": _einsum,
    "any": _logical("any"),
    "all": _logical("all"),
    **matrices.TABLE,
    **ORDERS,
    **eigen.TABLE,
    **matrix_functions.TABLE,
}
"""Functions of arrays of balls by op; a structured op not here runs its own kernel."""
