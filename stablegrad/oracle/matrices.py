"""Linear algebra on arrays of balls: elimination and minors, on power series as on numbers.

Nothing here knows of our kernels or derivatives: determinants are division-free, solutions
come from elimination, and derivatives are coefficients of series through the same arithmetic.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.oracle.ball import UNKNOWN, Ball
from stablegrad.oracle.series import NAN, ZERO

Array = np.ndarray[Any, Any]
Rows = list[list[Any]]

NOTHING = Ball((ZERO,))
ONE = Ball.exact(1)


class UnsettledError(Exception):
    """A pivot, or another quantity that must not be zero, is not known to be nonzero."""


# -- batches ------------------------------------------------------------------------------


def each(function: Callable[..., Any], *arrays: Array, core: tuple[int, ...]) -> Array:
    """Apply a function of rows to every matrix of a batch; leading axes broadcast.

    Args:
        function: takes a list of rows (or a list of numbers) per array, gives an object array.
        arrays: the batches.
        core: how many of the last axes of each array belong to one matrix or vector.
    """
    batch = np.broadcast_shapes(*[a.shape[: a.ndim - c] for a, c in zip(arrays, core, strict=True)])
    spread = [
        np.broadcast_to(a, batch + a.shape[a.ndim - c :]) for a, c in zip(arrays, core, strict=True)
    ]
    out: Array | None = None
    for place in np.ndindex(*batch):
        items = [a[place].tolist() for a in spread]
        value = np.asarray(function(*items), object)
        if out is None:
            out = np.empty(batch + value.shape, object)
        out[place] = value
    assert out is not None, "an empty batch has no truth to find"
    return out


def objects(rows: Any, shape: tuple[int, ...]) -> Array:
    """An object array of a shape from nested lists; NumPy alone would look into the balls."""
    flat = rows
    for _ in range(len(shape) - 1):
        flat = [x for row in flat for x in row]
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(shape)


def full(shape: tuple[int, ...], value: Ball) -> Array:
    """One ball in every place."""
    return np.full(shape, value, object)


# -- elimination --------------------------------------------------------------------------


def _pivot(rows: Rows, k: int) -> int:
    """The row of the greatest entry in column k; balls that hold zero are no pivots."""
    known = [i for i in range(k, len(rows)) if not rows[i][k].c[0].contains(ZERO)]
    if known:
        best = known[0]
        for i in known[1:]:
            if abs(rows[i][k].c[0].mid()) > abs(rows[best][k].c[0].mid()):
                best = i
        return best
    if all(rows[i][k].c[0].is_zero() for i in range(k, len(rows))):
        return -1
    raise UnsettledError


def product(a: Rows, b: Rows) -> Rows:
    """The matrix product."""
    columns = list(zip(*b, strict=True))
    return [[sum_of(x * y for x, y in zip(row, col, strict=True)) for col in columns] for row in a]


def sum_of(values: Any) -> Any:
    """The sum of balls, in order."""
    total = None
    for v in values:
        total = v if total is None else total + v
    return NOTHING if total is None else total


def identity(n: int) -> Rows:
    """The identity matrix."""
    return [[ONE if i == j else NOTHING for j in range(n)] for i in range(n)]


def flipped(a: Rows) -> Rows:
    """The transpose."""
    return [list(row) for row in zip(*a, strict=True)]


def solved(a: Rows, b: Rows) -> Rows | None:
    """X of a X = b by elimination with pivots; None where a is singular."""
    n = len(a)
    rows = [list(x) + list(y) for x, y in zip(a, b, strict=True)]
    for k in range(n):
        p = _pivot(rows, k)
        if p < 0:
            return None
        rows[k], rows[p] = rows[p], rows[k]
        inverse = 1 / rows[k][k]
        rows[k] = [x * inverse for x in rows[k]]
        for i in range(n):
            factor = rows[i][k]
            if i == k or (len(factor.c) == 1 and factor.c[0].is_zero()):
                continue
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[n:] for row in rows]


def _guarded(function: Callable[..., Array]) -> Callable[..., Array]:
    """Unknown in every place where a pivot was not settled."""

    def run(*args: Any, shape: tuple[int, ...]) -> Array:
        if any(not x.known for m in args for row in m for x in row):
            return full(shape, UNKNOWN)
        if any(x.is_nan or not x.c[0].is_finite() for m in args for row in m for x in row):
            return full(shape, Ball((NAN,)))
        try:
            return function(*args)
        except UnsettledError:
            return full(shape, UNKNOWN)

    return run


@_guarded
def _solve(a: Rows, b: Rows) -> Array:
    x = solved(a, b)
    shape = (len(b), len(b[0]))
    return full(shape, Ball((NAN,))) if x is None else objects(x, shape)


def solve(a: Array, b: Array) -> Array:
    """X of a X = b; nan where a is singular."""
    return each(lambda x, y: _solve(x, y, shape=b.shape[-2:]), a, b, core=(2, 2))


def inv(a: Array) -> Array:
    """The inverse; nan where there is none."""
    n = a.shape[-1]
    return each(lambda x: _solve(x, identity(n), shape=(n, n)), a, core=(2,))


def triangle(a: Rows, *, upper: bool, unit: bool = False) -> Rows:
    """The matrix with zeros on the other side of its diagonal."""
    return [
        [
            ONE if i == j and unit else x if i == j or (i < j) == upper else NOTHING
            for j, x in enumerate(row)
        ]
        for i, row in enumerate(a)
    ]


def triangular_solve(a: Array, b: Array, *, upper: bool, unit: bool) -> Array:
    """X of T X = b, T one triangle of a."""
    return each(
        lambda x, y: _solve(triangle(x, upper=upper, unit=unit), y, shape=b.shape[-2:]),
        a,
        b,
        core=(2, 2),
    )


def symmetric(a: Rows) -> Rows:
    """(a + a^T) / 2."""
    n = len(a)
    return [[a[i][j] if i == j else (a[i][j] + a[j][i]) / 2 for j in range(n)] for i in range(n)]


@_guarded
def _cholesky(a: Rows) -> Array:
    n = len(a)
    a = symmetric(a)
    out = [[NOTHING] * n for _ in range(n)]
    for j in range(n):
        rest = a[j][j] - sum_of(x * x for x in out[j][:j])
        if not rest.c[0] > ZERO:
            if rest.c[0].contains(ZERO) and not rest.c[0].is_zero():
                raise UnsettledError
            return full((n, n), Ball((NAN,)))
        out[j][j] = rest.sqrt()
        for i in range(j + 1, n):
            left = a[i][j] - sum_of(x * y for x, y in zip(out[i][:j], out[j][:j], strict=True))
            out[i][j] = left / out[j][j]
    return objects(out, (n, n))


def cholesky(a: Array) -> Array:
    """The lower triangular L with L L^T = (a + a^T)/2; nan where that is not positive definite."""
    return each(lambda x: _cholesky(x, shape=a.shape[-2:]), a, core=(2,))


# -- determinants -------------------------------------------------------------------------


def characteristic(a: Rows) -> list[Ball]:
    """Coefficients of det(t I - a), the highest first: Berkowitz's products, no division."""
    n = len(a)
    if n == 0:
        return [ONE]
    vector = [ONE, -a[n - 1][n - 1]]
    for k in range(n - 2, -1, -1):
        row = a[k][k + 1 :]
        column = [a[i][k] for i in range(k + 1, n)]
        below = [r[k + 1 :] for r in a[k + 1 :]]
        toeplitz = [ONE, -a[k][k]]
        for _ in range(n - 1 - k):
            toeplitz.append(-sum_of(x * y for x, y in zip(row, column, strict=True)))
            column = [sum_of(x * y for x, y in zip(r, column, strict=True)) for r in below]
        size = len(vector)
        vector = [
            sum_of(toeplitz[i - j] * vector[j] for j in range(min(i + 1, size)))
            for i in range(size + 1)
        ]
    return vector


def determinant(a: Rows) -> Ball:
    """The determinant, also where it is zero."""
    last = characteristic(a)[-1]
    return -last if len(a) % 2 else last


def _replaced(a: Rows, es: tuple[Rows, ...]) -> Ball:
    """The mixed derivative of the determinant along several matrices: rows replaced by theirs."""
    n, k = len(a), len(es)
    parts = []
    for places in itertools.permutations(range(n), k):
        rows = list(a)
        for e, i in zip(es, places, strict=True):
            rows[i] = e[i]
        parts.append(determinant(rows))
    return sum_of(parts)


def _without(a: Rows, i: int, j: int) -> Rows:
    return [row[:j] + row[j + 1 :] for k, row in enumerate(a) if k != i]


def det(a: Array) -> Array:
    """The determinant."""
    out = each(lambda x: objects([determinant(x)], (1,)), a, core=(2,))
    return out[..., 0]


def cofactors(a: Array, *es: Array) -> Array:
    """The gradient of the determinant, or of its derivative along matrices."""

    def one(*ms: Rows) -> Array:
        n = len(ms[0])
        rows = [
            [
                (-1) ** (i + j)
                * _replaced(_without(ms[0], i, j), tuple([_without(e, i, j) for e in ms[1:]]))
                for j in range(n)
            ]
            for i in range(n)
        ]
        return objects(rows, (n, n))

    return each(one, a, *es, core=(2,) * (1 + len(es)))


def logabsdet(a: Array) -> Array:
    """log |det(a)|."""
    return np.vectorize(lambda d: abs(d).log(), otypes=[object])(det(a))


def sign_of_det(a: Array) -> Array:
    """The sign of the determinant."""
    return np.vectorize(lambda d: d.sign(), otypes=[object])(det(a))


TABLE: dict[str, Callable[..., Array]] = {
    "solve": solve,
    "triangular_solve": triangular_solve,
    "inv": inv,
    "cholesky": cholesky,
    "det": det,
    "cofactors": cofactors,
    "logabsdet": logabsdet,
    "sign_of_det": sign_of_det,
}
"""Functions of arrays of balls by op."""
