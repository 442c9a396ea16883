"""Functions of matrices in balls: Newton's interpolation at eigenvalues of any multiplicity.

Derivatives are blocks of the function of block triangular matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flint
import numpy as np

from stablegrad.ir import Term, topological
from stablegrad.ops.record import VARIABLE
from stablegrad.oracle.ball import UNKNOWN, Ball
from stablegrad.oracle.eigen import constants, eigenvalues, length_of, trouble_of
from stablegrad.oracle.matrices import (
    NOTHING,
    Array,
    Rows,
    UnsettledError,
    each,
    full,
    objects,
    symmetric,
)
from stablegrad.oracle.series import ZERO


def _nested(a: Rows, es: list[Rows]) -> Rows:
    """[[X, I*e], [0, X]] for each direction in turn: its upper right block is the derivative."""
    block, n = a, len(a)
    for e in es:
        size = len(block)
        right = [
            [e[i % n][j % n] if i // n == j // n else NOTHING for j in range(size)]
            for i in range(size)
        ]
        top = [list(x) + y for x, y in zip(block, right, strict=True)]
        block = top + [[NOTHING] * size + list(x) for x in block]
    return block


def _toeplitz(a: Rows, length: int) -> Rows:
    """Block rows of coefficients: products of these are products of series."""
    n = len(a)
    zero = Ball((ZERO,))

    def entry(x: Ball, k: int) -> Ball:
        return Ball((x.c[k],)) if 0 <= k < len(x.c) else zero

    return [
        [entry(a[i % n][j % n], j // n - i // n) for j in range(n * length)]
        for i in range(n * length)
    ]


def _divided(values: list[tuple[Any, int]], taylor: Callable[[Any, int], list[Any]]) -> list[Any]:
    """f[x0], f[x0, x1], ... over points with multiplicities."""
    points = [(g, x) for g, (x, m) in enumerate(values) for _ in range(m)]
    local = [taylor(x, m) for x, m in values]
    n = len(points)
    row = [local[g][0] for g, _ in points]
    found = [row[0]]
    for k in range(1, n):
        fresh = []
        for i in range(n - k):
            (g, x), (h, y) = points[i], points[i + k]
            fresh.append(local[g][k] if g == h else (row[i + 1] - row[i]) / (y - x))
        row = fresh
        found.append(row[0])
    return found


def _interpolated(
    a: Rows, values: list[tuple[Any, int]], taylor: Callable[[Any, int], list[Any]]
) -> flint.arb_mat:
    """f of a matrix with these eigenvalues, by Newton's polynomial."""
    n = len(a)
    x = flint.arb_mat([[y.c[0] for y in row] for row in a])
    one = flint.arb_mat(n, n)
    for i in range(n):
        one[i, i] = 1
    points = [p for p, m in values for _ in range(m)]
    total: Any = None
    for c, p in zip(reversed(_divided(values, taylor)), reversed(points), strict=True):
        total = one * c if total is None else (x - one * p) * total + one * c
    return total


def _function_of(a: Rows, es: list[Rows], apply: Callable[[Rows, int], flint.arb_mat]) -> Array:
    """The derivative along directions of a function of a matrix of series."""
    n = len(a)
    whole = _nested(a, es)
    length = length_of(whole)
    value = apply(_toeplitz(whole, length), 2 ** len(es) * length).table()
    size = len(whole)
    return objects(
        [
            [
                Ball(tuple([value[i][size * k + size - n + j] for k in range(length)]))
                for j in range(n)
            ]
            for i in range(n)
        ],
        (n, n),
    )


def expm(a: Array, *es: Array) -> Array:
    """The exponential, or its derivative along matrices."""

    def one(*ms: Rows) -> Array:
        trouble = trouble_of(*ms)
        if trouble is not None:
            return full((len(ms[0]),) * 2, trouble)
        return _function_of(
            ms[0],
            list(ms[1:]),
            lambda x, _: flint.arb_mat([[y.c[0] for y in row] for row in x]).exp(),
        )

    return each(one, a, *es, core=(2,) * (1 + len(es)))


def spectral(a: Array, *rest: Array, function: Term, parameters: int, snap: bool) -> Array:
    """f of symmetric matrices, or its derivative along symmetric matrices."""
    from stablegrad.oracle.evaluate import bind, evaluate

    names = [t for t in _variables(function) if t.params[0] != "x"]
    given = {t: rest[int(t.params[0][1:])] for t in names}
    moving = any(len(p.item().c) > 1 for p in given.values())

    def taylor(point: Any, count: int) -> list[Any]:
        x = bind(np.array(Ball((point,)), object), np.ones(()), max(count - 1, 0))
        bound = {t: x for t in _variables(function) if t.params[0] == "x"} | given
        value = evaluate([function], bound)[0].item()
        if not value.known:
            raise UnsettledError
        return [value.coefficient(k).c[0] for k in range(count)]

    def one(*ms: Rows) -> Array:
        n = len(ms[0])
        trouble = trouble_of(*ms)
        if trouble is not None or moving:
            return full((n, n), trouble or UNKNOWN)
        x, *es = (symmetric(m) for m in ms)
        try:
            values = eigenvalues(constants(x))
            return _function_of(
                x,
                es,
                lambda whole, copies: _interpolated(
                    whole, [(v, m * copies) for v, m in values], taylor
                ),
            )
        except UnsettledError:
            return full((n, n), UNKNOWN)

    return each(one, a, *rest[parameters:], core=(2,) * (1 + len(rest) - parameters))


def _variables(body: Term) -> list[Term]:
    return [t for t in topological([body]) if t.op is VARIABLE]


TABLE: dict[str, Callable[..., Array]] = {"expm": expm, "matrix_function": spectral}
"""Functions of arrays of balls by op."""
