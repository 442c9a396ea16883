"""Kernels of eigen- and singular value decompositions and of functions of symmetric matrices.

The k-th derivative of f(A) along E, F, ... is made of divided differences of f over k + 1
eigenvalues. Where these are close, a divided difference is the integral of the derivative of f
over them (Hermite and Genocchi), taken by Gauss's rule; else it is the plain quotient. Repeated
eigenvalues are no special case.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops.matrix_kernels import (
    Array,
    each,
    exponent,
    scale,
    symmetric,
    transposed,
    usable,
)
from stablegrad.ops.reduction import widened

EPS = 2.0**-52
CANCELLED = 0.25
NEAR = 2.0**-6
"""Quotients of numerators that lost at most two bits, over no small share of the eigenvalues,
need no integral."""

MARGIN = 8
"""How many estimated errors the two ways may differ by."""

ORDERS = (8, 12)
"""Nodes of Gauss's rule in each direction; how far the two differ is the error of the second."""

Scalar = Callable[[int, Array], Array]
"""A scalar function: (order of the derivative, points) -> values."""


class Remembered:
    """A decomposition that is kept, by content, for the ops that share it in one program."""

    def __init__(self, function: Callable[[Array], Any], size: int = 2) -> None:
        self.function = function
        self.size = size
        self.known: list[tuple[Array, Any]] = []

    def __call__(self, a: Array) -> Any:
        for key, result in self.known:
            if key.shape == a.shape and np.array_equal(key, a):
                return result
        result = self.function(a)
        self.known = [(a.copy(), result), *self.known[: self.size - 1]]
        return result


def parts(function: Callable[..., Any], a: Array, *shapes: tuple[int, ...]) -> list[Array]:
    """The results of a decomposition of a batch; nan for the matrices that LAPACK refuses."""
    sizes = [math.prod(s) for s in shapes]

    def joined(x: Array) -> Array:
        found = function(x)
        batch = x.shape[:-2]
        return np.concatenate(
            [f.reshape((*batch, n)) for f, n in zip(found, sizes, strict=True)], axis=-1
        )

    flat = each(joined, (sum(sizes),), a)
    ends = np.cumsum([0, *sizes])
    return [
        flat[..., i:j].reshape(a.shape[:-2] + s)
        for i, j, s in zip(ends, ends[1:], shapes, strict=False)
    ]


def _without_scale(a: Array) -> tuple[Array, Array]:
    """The matrix with its greatest entry about 1, and the exponents taken out."""
    e = exponent(a, -1).max(axis=-2, keepdims=True, initial=-2000)
    return scale(a, -e), e


# -- symmetric matrices -------------------------------------------------------------------


def _eigh(a: Array) -> list[Array]:
    n = a.shape[-1]
    b, bad = usable(symmetric(a), np.eye(n))
    b, e = _without_scale(b)
    w, v = parts(np.linalg.eigh, b, (n,), (n, n))
    return [np.where(bad[..., 0], np.nan, scale(w, e[..., 0])), np.where(bad, np.nan, v)]


eigh = Remembered(_eigh)


def eigvalsh(xp: Any, a: Any) -> Any:
    """The eigenvalues of (a + a^T)/2, ascending."""
    a = widened(xp, a)
    b, bad = usable(symmetric(a), np.eye(a.shape[-1]))
    b, e = _without_scale(b)
    (w,) = parts(lambda x: [np.linalg.eigvalsh(x)], b, a.shape[-1:])
    return np.where(bad[..., 0], np.nan, scale(w, e[..., 0]))


def eigenvectors(xp: Any, a: Any) -> Any:
    """The eigenvectors in columns."""
    return eigh(widened(xp, a))[1]


def eigen_diagonal(xp: Any, a: Any, e: Any) -> Any:
    """diag(V^T e V)."""
    v = eigenvectors(xp, a)
    return (v * (symmetric(widened(xp, e)) @ v)).sum(axis=-2)


# -- divided differences ------------------------------------------------------------------


@cache
def _gauss(count: int, k: int) -> tuple[Array, Array]:
    """Nodes (as increments along x0, x1 - x0, x2 - x1, ...) and weights over the simplex."""
    x, w = np.polynomial.legendre.leggauss(count)
    x, w = 0.5 * (x + 1), 0.5 * w
    nodes, weights = [], []
    for places in itertools.product(range(count), repeat=k):
        s = x[list(places)]
        nodes.append(np.cumprod(s))
        weights.append(np.prod(w[list(places)]) * np.prod(s ** np.arange(k - 1, -1, -1)))
    return np.array(nodes), np.array(weights)


def _doubt(f: Scalar, k: int, x: Array, slopes: Array) -> Array:
    """What rounding may do to the k-th derivative: an ulp of its value and one of its argument."""
    moved = np.abs(x * f(k + 1, x))
    return EPS * (np.abs(slopes) + np.where(np.isfinite(moved), moved, (k + 1) * np.abs(slopes)))


def _integral(f: Scalar, x: Array, count: int) -> tuple[Array, Array]:
    """f[x0, ..., xk] for rows x, as the integral of the k-th derivative; and its rounding error."""
    k = x.shape[1] - 1
    nodes, weights = _gauss(count, k)
    points = (x[:, :1] + np.diff(x, axis=1) @ nodes.T).ravel()
    slopes = f(k, points)
    error = _doubt(f, k, points, slopes)
    shape = (len(x), len(weights))
    return slopes.reshape(shape) @ weights, error.reshape(shape) @ weights


def divided_differences(f: Scalar, w: Array, k: int) -> Array:
    """The tensor of f[w_i0, ..., w_ik] for ascending w.

    Where both ways are open the integral is taken, but for one that is further from the plain
    quotient than the error of that allows: the derivative jumps in between.
    """
    n = len(w)
    table = f(0, w)
    error = _doubt(f, 0, w, table)
    for level in range(1, k + 1):
        index = np.array(list(itertools.combinations_with_replacement(range(n), level + 1)))
        x = w[index]
        above, below = tuple(index[:, 1:].T), tuple(index[:, :-1].T)
        with np.errstate(all="ignore"):
            drop, size = table[above] - table[below], np.abs(table[above]) + np.abs(table[below])
            spread = x[:, -1] - x[:, 0]
            value, doubt = drop / spread, (error[above] + error[below]) / spread
            close = ~(np.abs(drop) > CANCELLED * size)
            close |= spread < NEAR * np.maximum(np.abs(x[:, 0]), np.abs(x[:, -1]))
            if close.any():
                (rough, _), (fine, noise) = (_integral(f, x[close], m) for m in ORDERS)
                noise = noise + np.abs(fine - rough)
                apart = np.abs(fine - value[close]) > MARGIN * (noise + doubt[close])
                worse = noise > doubt[close]
                better = ~(apart | worse) & ~np.isnan(fine) | (spread[close] == 0)
                value[close] = np.where(better, fine, value[close])
                doubt[close] = np.where(better, noise, doubt[close])
        table, error = (_symmetric_tensor(n, index, v) for v in (value, doubt))
    return table


def _symmetric_tensor(n: int, index: Array, values: Array) -> Array:
    """The tensor with these values at ascending indices and all their permutations."""
    out = np.empty((n,) * index.shape[1])
    for order in itertools.permutations(range(index.shape[1])):
        out[tuple(index[:, list(order)].T)] = values
    return out


def spectral(f: Scalar, a: Array, es: list[Array], *, snap: bool) -> Array:
    """The derivative of f(a) along symmetric matrices, for one matrix."""
    w, v = eigh(a)
    if np.isnan(w).any():
        return np.full(a.shape, np.nan)
    w = _snapped(w) if snap else _inside(f, w)
    if not es:
        return _conjugated(v, f(0, w))
    k = len(es)
    table = divided_differences(f, w, k)
    inner = [v.T @ symmetric(e) @ v for e in es]
    letters = "abcdefgh"[: k + 1]
    subscripts = ",".join([letters, *[letters[i : i + 2] for i in range(k)]])
    out = np.zeros(a.shape)
    with np.errstate(all="ignore"):
        for order in itertools.permutations(inner):
            path = order[0] if k == 1 else None
            if path is not None:  # a direction that is zero blocks an infinite slope
                out += np.where(path == 0, 0.0, table * path)
            else:
                out += np.einsum(f"{subscripts}->{letters[0]}{letters[-1]}", table, *order)
    return v @ symmetric(out) @ v.T


def _tiny(w: Array) -> Array:
    """Which eigenvalues rounding cannot tell from 0."""
    return np.abs(w) <= len(w) * EPS * np.abs(w).max(initial=0.0)


def _snapped(w: Array) -> Array:
    return np.where(_tiny(w), 0.0, w)


def _inside(f: Scalar, w: Array) -> Array:
    """Eigenvalues that rounding alone put outside the domain of f count as 0."""
    outside = _tiny(w) & np.isnan(f(0, w))
    if not outside.any() or np.isnan(f(0, np.zeros(1)))[0]:
        return w
    return np.sort(np.where(outside, 0.0, w))


def _conjugated(v: Array, d: Array) -> Array:
    with np.errstate(all="ignore"):
        out = (v * d) @ v.T
    if not np.isfinite(d).all() and not np.isfinite(out).all():
        # where an eigenvector does not reach, an infinite value does not either
        with np.errstate(all="ignore"):
            products = v[:, None, :] * v[None, :, :]
            out = np.where(products == 0, 0.0, products * d).sum(-1)
    return symmetric(out)


# -- singular values ----------------------------------------------------------------------


def _svd(a: Array) -> list[Array]:
    m, n = a.shape[-2:]
    k = min(m, n)
    b, bad = usable(a, np.eye(m, n))
    b, e = _without_scale(b)
    u, s, vh = parts(lambda x: np.linalg.svd(x, full_matrices=False), b, (m, k), (k,), (k, n))
    s = np.where(bad[..., 0], np.nan, scale(s, e[..., 0]))
    return [np.where(bad, np.nan, u), s, np.where(bad, np.nan, vh)]


svd = Remembered(_svd)


def svdvals(xp: Any, a: Any) -> Any:
    """The singular values, descending."""
    a = widened(xp, a)
    b, bad = usable(a, np.eye(*a.shape[-2:]))
    b, e = _without_scale(b)
    (s,) = parts(lambda x: [np.linalg.svd(x, compute_uv=False)], b, (min(a.shape[-2:]),))
    return np.where(bad[..., 0], np.nan, scale(s, e[..., 0]))


def left_vectors(xp: Any, a: Any) -> Any:
    """The left singular vectors in columns."""
    return svd(widened(xp, a))[0]


def right_vectors(xp: Any, a: Any) -> Any:
    """The right singular vectors in rows."""
    return svd(widened(xp, a))[2]


def singular_diagonal(xp: Any, a: Any, t: Any) -> Any:
    """diag(U^T t V)."""
    u, _, vh = svd(widened(xp, a))
    return (u * (widened(xp, t) @ transposed(vh))).sum(axis=-2)


def pinv(xp: Any, a: Any, *, rtol: float | None) -> Any:
    """The pseudoinverse; singular values up to rtol times the greatest count as 0."""
    a = widened(xp, a)
    u, s, vh = svd(a)
    share = max(a.shape[-2:]) * EPS if rtol is None else rtol
    keep = s > share * s.max(axis=-1, keepdims=True, initial=0.0)
    inverse = np.where(keep, 1.0 / np.where(keep, s, 1.0), 0.0)
    out = (transposed(vh) * inverse[..., None, :]) @ transposed(u)
    return np.where(np.isnan(s).any(axis=-1)[..., None, None], np.nan, out)


# -- QR -----------------------------------------------------------------------------------


def _qr(a: Array) -> list[Array]:
    m, n = a.shape[-2:]
    b, bad = usable(a, np.eye(m, n))
    b, e = _without_scale(b)
    q, r = parts(np.linalg.qr, b, (m, n), (n, n))
    return [np.where(bad, np.nan, q), np.where(bad, np.nan, scale(r, e))]


qr = Remembered(_qr)


def orthonormal(xp: Any, a: Any) -> Any:
    """Q of a = Q R."""
    return qr(widened(xp, a))[0]


def upper_factor(xp: Any, a: Any) -> Any:
    """R of a = Q R."""
    return qr(widened(xp, a))[1]


def missing_axes(xp: Any, q: Any) -> Any:
    """Unit vectors farthest from the span of q."""
    q, bad = usable(widened(xp, q), np.eye(*q.shape[-2:]))
    return np.where(bad, np.nan, farthest_axes(q))


def farthest_axes(q: Array) -> Array:
    """The pivots of I - q q^T, the greatest first, as unit vectors in columns."""
    rows, columns = q.shape[-2:]
    rest = np.eye(rows) - q @ transposed(q)
    out = np.zeros((*q.shape[:-1], rows - columns))
    for j in range(rows - columns):
        pivot = np.diagonal(rest, axis1=-2, axis2=-1).argmax(axis=-1)[..., None, None]
        np.put_along_axis(out[..., j : j + 1], pivot, 1.0, axis=-2)
        column = np.take_along_axis(rest, pivot, axis=-1)
        rest = rest - column * transposed(column) / np.take_along_axis(column, pivot, axis=-2)
    return out
