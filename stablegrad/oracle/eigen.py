"""Eigenvalues, singular values and orthonormal bases in balls.

Eigenvalues are roots of exact characteristic polynomials, with their multiplicities; those that
are simple, and their vectors, are followed along power series. Nothing of our formulas is used.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from stablegrad.ops import spectral_kernels
from stablegrad.oracle import matrices
from stablegrad.oracle.ball import UNKNOWN, Ball
from stablegrad.oracle.matrices import (
    NOTHING,
    ONE,
    Array,
    Rows,
    UnsettledError,
    each,
    flipped,
    full,
    objects,
    product,
    solved,
    sum_of,
    symmetric,
)
from stablegrad.oracle.series import NAN, ZERO


def length_of(rows: Rows) -> int:
    """How many coefficients the series in a matrix have."""
    return max(len(x.c) for row in rows for x in row)


def constants(rows: Rows) -> Rows:
    """The matrix of constant terms."""
    return [[x.constant() for x in row] for row in rows]


def trouble_of(*ms: Rows) -> Ball | None:
    """What stands everywhere for a matrix that is not known, or not finite."""
    entries = [x for m in ms for row in m for x in row]
    if any(not x.known for x in entries):
        return UNKNOWN
    if any(not x.c[0].is_finite() for x in entries):
        return Ball((NAN,))
    return None


# -- eigenvalues --------------------------------------------------------------------------


def _exact(rows: Rows) -> flint.fmpq_mat | None:
    if not all(x.c[0].is_exact() for row in rows for x in row):
        return None
    values = []
    for row in rows:
        line = []
        for x in row:
            mantissa, e = x.c[0].man_exp()
            power = Fraction(2) ** int(e)
            line.append(flint.fmpq(int(mantissa)) * flint.fmpq(power.numerator, power.denominator))
        values.append(line)
    return flint.fmpq_mat(values)


def eigenvalues(rows: Rows) -> list[tuple[Any, int]]:
    """(root, multiplicity) of a matrix with real eigenvalues and exact entries, ascending."""
    exact = _exact(rows)
    if exact is None:
        raise UnsettledError
    polynomial = exact.charpoly()
    roots: Any = (polynomial * polynomial.denom()).numer().complex_roots()
    found = [(r.real, int(m)) for r, m in roots]
    return sorted(found, key=lambda pair: _Key(pair[0]))


class _Key:
    """Order of disjoint balls by their middles."""

    def __init__(self, value: Any) -> None:
        self.value = value.mid()

    def __lt__(self, other: _Key) -> bool:
        return bool(self.value < other.value)


def _lifted(rows: Rows, root: Any) -> Ball:
    """A simple eigenvalue as a series, by Newton's method on the characteristic polynomial."""
    length = length_of(rows)
    if length == 1:
        return Ball((root,))
    coefficients = matrices.characteristic(rows)
    value = Ball((root, *([ZERO] * (length - 1))))
    for _ in range(length):
        p, slope = NOTHING, NOTHING
        for c in coefficients:
            slope = slope * value + p
            p = p * value + c
        if slope.c[0].contains(ZERO):
            raise UnsettledError
        p = Ball((ZERO, *p.c[1:])) if len(p.c) > 1 else NOTHING  # root is one, by what it is
        value = value - p / slope
        value = Ball((root, *value.c[1:]))
    return value


def eigvalsh(a: Array) -> Array:
    """Eigenvalues of (a + a^T)/2, ascending; of repeated ones no derivative is known."""

    def one(x: Rows) -> Array:
        n = len(x)
        trouble = trouble_of(x)
        if trouble is not None:
            return full((n,), trouble)
        x = symmetric(x)
        out: list[Ball] = []
        try:
            for root, times in eigenvalues(constants(x)):
                single = times == 1 or length_of(x) == 1
                value = _lifted(x, root) if single and times == 1 else Ball((root,))
                out += [value if single else UNKNOWN] * times
        except UnsettledError:
            return full((n,), UNKNOWN)
        return objects([out], (1, n))[0]

    return each(one, a, core=(2,))


# -- vectors ------------------------------------------------------------------------------


def _vector(rows: Rows, value: Ball, like: Any) -> list[Ball]:
    """The eigenvector of norm 1 of a simple eigenvalue, its sign that of a float vector."""
    n = len(rows)
    m = int(np.argmax(np.abs(like)))
    keep = [i for i in range(n) if i != m]
    left = [[rows[i][j] - value if i == j else rows[i][j] for j in keep] for i in keep]
    rest = solved(left, [[-rows[i][m]] for i in keep]) if keep else []
    if rest is None:
        raise UnsettledError
    vector: list[Ball] = [ONE] * n
    for i, row in zip(keep, rest, strict=True):
        vector[i] = row[0]
    size = sum_of(x * x for x in vector).sqrt()
    sign = -1 if like[m] < 0 else 1
    return [x * sign / size for x in vector]


def _vectors(rows: Rows, like: Any, chosen: slice) -> tuple[list[Ball], list[list[Ball]]]:
    """Chosen eigenvalues of a symmetric matrix and their vectors, all of them simple."""
    roots = [r for r, m in eigenvalues(constants(rows)) for _ in range(m)][chosen]
    values, vectors = [], []
    for root, guide in zip(roots, like, strict=True):
        value = _lifted(rows, root)
        values.append(value)
        vectors.append(_vector(rows, value, guide))
    return values, vectors


def _floats(rows: Rows) -> Array:
    return np.array([[float(x.c[0].mid()) for x in row] for row in rows])


def eigenvectors(a: Array) -> Array:
    """Eigenvectors of (a + a^T)/2 in columns, signs as LAPACK's; unknown if one is repeated."""

    def one(x: Rows) -> Array:
        n = len(x)
        trouble = trouble_of(x)
        if trouble is not None:
            return full((n, n), trouble)
        x = symmetric(x)
        like = np.linalg.eigh(_floats(x))[1].T
        try:
            _, vectors = _vectors(x, like, slice(None))
        except UnsettledError:
            return full((n, n), UNKNOWN)
        return objects(flipped(vectors), (n, n))

    return each(one, a, core=(2,))


def eigen_diagonal(a: Array, e: Array) -> Array:
    """diag(V^T e V)."""
    v = eigenvectors(a)
    inside = np.swapaxes(v, -1, -2) @ (e + np.swapaxes(e, -1, -2)) @ v
    return np.diagonal(inside, axis1=-2, axis2=-1) * Ball.exact(Fraction(1, 2))


# -- singular values ----------------------------------------------------------------------


def _both(x: Rows) -> Rows:
    """[[0, x], [x^T, 0]]: eigenvalues are singular values with both signs."""
    m, n = len(x), len(x[0])
    top = [[NOTHING] * m + list(row) for row in x]
    return top + [list(row) + [NOTHING] * n for row in flipped(x)]


def svdvals(a: Array) -> Array:
    """Singular values, descending."""
    k = min(a.shape[-2:])
    whole = eigvalsh(each(lambda x: objects(_both(x), (len(x) + len(x[0]),) * 2), a, core=(2,)))
    return whole[..., ::-1][..., :k]


def _singular(a: Array, pick: Callable[[list[list[Ball]], int], Rows], shape: Any) -> Array:
    m, n = a.shape[-2:]
    k = min(m, n)

    def one(x: Rows) -> Array:
        trouble = trouble_of(x)
        if trouble is not None:
            return full(shape, trouble)
        u, _, vh = np.linalg.svd(_floats(x), full_matrices=False)
        like = np.concatenate([u.T, vh], axis=1)[::-1]
        try:
            _, vectors = _vectors(_both(x), like, slice(m + n - k, None))
        except UnsettledError:
            return full(shape, UNKNOWN)
        root = Ball.exact(2).sqrt()
        return objects(pick([[y * root for y in v] for v in vectors[::-1]], m), shape)

    return each(one, a, core=(2,))


def left_vectors(a: Array) -> Array:
    """Left singular vectors in columns."""
    m, n = a.shape[-2:]
    return _singular(a, lambda vs, rows: flipped([v[:rows] for v in vs]), (m, min(m, n)))


def right_vectors(a: Array) -> Array:
    """Right singular vectors in rows."""
    m, n = a.shape[-2:]
    return _singular(a, lambda vs, rows: [v[rows:] for v in vs], (min(m, n), n))


def singular_diagonal(a: Array, t: Array) -> Array:
    """diag(U^T t V)."""
    u, vh = left_vectors(a), right_vectors(a)
    inside = np.swapaxes(u, -1, -2) @ t @ np.swapaxes(vh, -1, -2)
    return np.diagonal(inside, axis1=-2, axis2=-1)


def pinv(a: Array, *, rtol: float | None) -> Array:
    """The pseudoinverse of matrices of full rank."""

    def one(x: Rows) -> Array:
        shape = (len(x[0]), len(x))
        trouble = trouble_of(x)
        if trouble is not None:
            return full(shape, trouble)
        turned = flipped(x)
        try:
            if len(x) >= len(x[0]):
                found = solved(product(turned, x), turned)
            else:
                found = solved(product(x, turned), x)
                found = None if found is None else flipped(found)
        except UnsettledError:
            found = None
        return full(shape, UNKNOWN) if found is None else objects(found, shape)

    return each(one, a, core=(2,))


def _gram_schmidt(x: Rows) -> tuple[Rows, Rows]:
    signs = np.sign(np.diagonal(np.linalg.qr(_floats(x))[1]))
    columns, out = flipped(x), []
    n = len(columns)
    r = [[NOTHING] * n for _ in range(n)]
    for j, column in enumerate(columns):
        rest = column
        for i, q in enumerate(out):
            r[i][j] = sum_of(a * b for a, b in zip(q, column, strict=True))
            rest = [a - r[i][j] * b for a, b in zip(rest, q, strict=True)]
        square = sum_of(a * a for a in rest)
        if square.c[0].contains(ZERO):
            raise UnsettledError
        size = square.sqrt() * int(signs[j] or 1)
        r[j][j] = size
        out.append([a / size for a in rest])
    return flipped(out), r


def _qr(a: Array, part: int, shape: Any) -> Array:
    def one(x: Rows) -> Array:
        trouble = trouble_of(x)
        if trouble is not None:
            return full(shape, trouble)
        try:
            return objects(_gram_schmidt(x)[part], shape)
        except UnsettledError:
            return full(shape, UNKNOWN)

    return each(one, a, core=(2,))


def _missing_axes(a: Array) -> Array:
    """A choice, made from the floats: any that spans the rest of the space is one."""

    def one(x: Rows) -> Array:
        shape = (len(x), len(x) - len(x[0]))
        trouble = trouble_of(x)
        if trouble is not None:
            return full(shape, trouble)
        found = spectral_kernels.farthest_axes(_floats(x))
        return objects([[Ball.exact(int(v)) for v in row] for row in found.tolist()], shape)

    return each(one, a, core=(2,))


TABLE: dict[str, Callable[..., Array]] = {
    "eigvalsh": eigvalsh,
    "eigenvectors": eigenvectors,
    "eigen_diagonal": eigen_diagonal,
    "svdvals": svdvals,
    "left_vectors": left_vectors,
    "right_vectors": right_vectors,
    "singular_diagonal": singular_diagonal,
    "pinv": pinv,
    "missing_axes": _missing_axes,
    "orthonormal": lambda a: _qr(a, 0, a.shape[-2:]),
    "upper_factor": lambda a: _qr(a, 1, (a.shape[-1],) * 2),
}
"""Functions of arrays of balls by op."""
