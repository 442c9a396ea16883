"""Kernels of linear algebra in float64.

Matrices are equilibrated by powers of two, so that nothing leaves the range early. A matrix
without the result asked for (singular, not definite) gives nan, in its own place of the batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from stablegrad.ops.exact import to_float
from stablegrad.ops.pair_exp import LN2
from stablegrad.ops.reduction import widened

Array = np.ndarray[Any, Any]

WELL_CONDITIONED = 100.0
"""Condition numbers up to which cofactors come from the inverse; beyond, from the SVD."""

FAR = 20_000
"""Exponents are cut here: no product of floats reaches them."""


# -- batches ------------------------------------------------------------------------------


def each(function: Callable[..., Any], shape: tuple[int, ...], *arrays: Array) -> Array:
    """A LAPACK call on a batch of finite matrices; nan for the matrices that it refuses."""
    with np.errstate(all="ignore"):
        try:
            return function(*arrays)
        except np.linalg.LinAlgError:
            pass
        batch = np.broadcast_shapes(*[a.shape[:-2] for a in arrays])
        spread = [np.broadcast_to(a, batch + a.shape[-2:]) for a in arrays]
        out = np.full(batch + shape, np.nan)
        for place in np.ndindex(*batch):
            try:
                out[place] = function(*[a[place] for a in spread])
            except np.linalg.LinAlgError:
                continue
        return out


def usable(a: Array, stand_in: Any) -> tuple[Array, Array]:
    """The matrices, those that are not finite exchanged for one that is; and which those are."""
    bad = np.asarray(~np.isfinite(a).all(axis=(-2, -1), keepdims=True))
    return np.where(bad, stand_in, a) if bad.any() else a, bad


def exponent(a: Array, axis: int) -> Array:
    """Exponents of the greatest entries along an axis; 0 for zeros."""
    top = np.abs(a).max(axis=axis, keepdims=True, initial=0.0)
    return np.frexp(top)[1].astype(np.int64)


def equilibrated(a: Array) -> tuple[Array, Array, Array]:
    """(b, r, c): a = 2**r b 2**c with rows r and columns c, the entries of b about 1."""
    r = exponent(a, -1)
    b = np.ldexp(a, -r)
    c = exponent(b, -2)
    return np.ldexp(b, -c), r, c


def clipped(e: Array) -> Array:
    """Exponents that ldexp takes."""
    return np.clip(e, -FAR, FAR).astype(np.int32)


def scale(x: Array, e: Array) -> Array:
    """x * 2**e."""
    return np.ldexp(x, clipped(e))


def balanced(x: Array, e: Array, axes: Any) -> tuple[Array, Array]:
    """(y, s): x * 2**e = y * 2**s, the greatest y over the axes about 1, in one step each."""
    powers = np.where(x == 0, -FAR, np.frexp(x)[1].astype(np.int64) + e)
    shift = powers.max(axis=axes, keepdims=True, initial=-FAR)
    return scale(x, e - shift), shift


def transposed(a: Array) -> Array:
    """The last two axes exchanged."""
    return np.swapaxes(a, -1, -2)


def symmetric(a: Array) -> Array:
    """(a + a^T)/2, without overflow."""
    return 0.5 * a + 0.5 * transposed(a)


# -- solving ------------------------------------------------------------------------------


def solve(xp: Any, a: Any, b: Any) -> Any:
    """X of a X = b."""
    a, b = widened(xp, a), widened(xp, b)
    n = a.shape[-1]
    a, bad = usable(a, np.eye(n))
    a, r, c = equilibrated(a)
    right, shift = balanced(b, -r, -2)  # columns of b apart
    x = each(np.linalg.solve, b.shape[-2:], a, right)
    x = scale(x, shift - transposed(c))
    return np.where(bad, np.nan, x)


def inv(xp: Any, a: Any) -> Any:
    """The inverse."""
    a, bad = usable(widened(xp, a), np.eye(a.shape[-1]))
    a, r, c = equilibrated(a)
    x = each(np.linalg.inv, a.shape[-2:], a)
    x = scale(x, -transposed(r) - transposed(c))
    return np.where(bad, np.nan, x)


def triangular_solve(xp: Any, a: Any, b: Any, *, upper: bool, unit: bool) -> Any:
    """X of T X = b, T one triangle of a, by substitution."""
    a, b = widened(xp, a), widened(xp, b)
    n = a.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.broadcast_to(b, batch + b.shape[-2:]).astype(float)
    order = range(n - 1, -1, -1) if upper else range(n)
    for i in order:
        known = slice(i + 1, n) if upper else slice(0, i)
        row = a[..., i : i + 1, known]
        value = x[..., i : i + 1, :] - row @ x[..., known, :]
        x[..., i : i + 1, :] = value if unit else value / a[..., i : i + 1, i : i + 1]
    return x


def cholesky(xp: Any, a: Any) -> Any:
    """The lower triangular L with L L^T = (a + a^T)/2."""
    a, bad = usable(symmetric(widened(xp, a)), np.eye(a.shape[-1]))
    diagonal = np.diagonal(a, axis1=-2, axis2=-1)[..., None]
    half = np.frexp(np.abs(diagonal))[1].astype(np.int64) // 2
    b = scale(scale(a, -half), -transposed(half))
    x = each(np.linalg.cholesky, a.shape[-2:], b)
    return np.where(bad, np.nan, scale(x, half))


# -- determinants -------------------------------------------------------------------------


def _determinant(a: Array) -> tuple[Array, Array, Array]:
    """(m, e, bad): det(a) = m * 2**e with m = 0 or 1/2 <= |m| < 1; bad where a is not finite."""
    n = a.shape[-1]
    a, bad = usable(a, np.eye(n))
    b, r, c = equilibrated(a)
    value = np.asarray(scipy.linalg.det(b, check_finite=False))  # NumPy's goes through a log
    sign, log = np.linalg.slogdet(b)
    with np.errstate(all="ignore"):
        lost = ~np.isfinite(value) | ((np.abs(value) < 1e-290) & np.isfinite(log))
        m, e = np.frexp(np.where(lost, 1.0, value))
        bits = np.where(lost, log / to_float(LN2), 0.0)
        whole = np.floor(bits)
        m = np.where(lost, sign * np.exp2(bits - whole) * 0.5, m)
    shift = r.sum(axis=(-2, -1)) + c.sum(axis=(-2, -1))
    e = e + np.where(lost, whole, 0).astype(np.int64) + shift
    return m, e, bad[..., 0, 0]


def det(xp: Any, a: Any) -> Any:
    """The determinant."""
    m, e, bad = _determinant(widened(xp, a))
    return np.where(bad, np.nan, scale(m, e))


def logabsdet(xp: Any, a: Any) -> Any:
    """log |det(a)|."""
    m, e, bad = _determinant(widened(xp, a))
    m = np.abs(m)
    low = m < math.sqrt(0.5)
    m, e = np.where(low, 2.0 * m, m), np.where(low, e - 1, e)
    return np.where(bad, np.nan, np.log(m) + e * to_float(LN2))


def sign_of_det(xp: Any, a: Any) -> Any:
    """The sign of the determinant."""
    m, _, bad = _determinant(widened(xp, a))
    return np.where(bad, np.nan, np.sign(m))


def cofactors(xp: Any, a: Any, *es: Any) -> Any:
    """The gradient of det at a, or that of its derivative along matrices e, e, ..."""
    arrays = [widened(xp, x) for x in (a, *es)]
    shape = np.broadcast_shapes(*[x.shape for x in arrays])
    bad = np.zeros((*shape[:-2], 1, 1), bool)
    finite = []
    for x in arrays:
        y, wrong = usable(x, np.eye(shape[-1]))
        bad = bad | wrong
        finite.append(y)
    b, r, c = equilibrated(finite[0])
    total = r.sum(axis=(-2, -1), keepdims=True) + c.sum(axis=(-2, -1), keepdims=True)
    scaled = []
    for e in finite[1:]:
        y, shift = balanced(np.broadcast_to(e, shape), -r - c, (-2, -1))
        scaled.append(y)
        total = total + shift
    out = np.empty(shape)
    b = np.broadcast_to(b, shape)
    for place in np.ndindex(*shape[:-2]):
        out[place] = _cofactors(b[place], [e[place] for e in scaled])
    out = scale(out, total - r - c)
    return np.where(bad, np.nan, out)


def _cofactors(b: Array, es: list[Array]) -> Array:
    if not es:
        inverse = each(np.linalg.inv, b.shape, b)
        condition = np.abs(inverse).sum(-1).max(initial=0) * np.abs(b).sum(-1).max(initial=0)
        if condition < WELL_CONDITIONED:
            return np.linalg.det(b) * inverse.T
    u, s, vh = np.linalg.svd(b)
    s = np.where(s > len(s) * np.finfo(s.dtype).eps * s.max(initial=0), s, 0)  # else rounding
    sign = np.round(np.linalg.det(u) * np.linalg.det(vh))
    inner = [u.T @ e @ vh.T for e in es]
    return sign * (u @ _diagonal_cofactors(s, inner) @ vh)


def _diagonal_cofactors(s: Array, es: list[Array]) -> Array:
    """The same for a diagonal matrix: minors of the directions times the other singular values."""
    n, k = len(s), len(es)
    out = np.zeros((n, n))
    if k >= n:
        return out
    chosen = np.array(list(itertools.combinations(range(n), k + 1)))
    others = np.ones((len(chosen), n), bool)
    np.put_along_axis(others, chosen, values=False, axis=1)
    mantissas, exponents = np.frexp(s)
    weight = np.prod(np.where(others, mantissas, 1.0), axis=1)
    weight = scale(weight, np.where(others, exponents, 0).sum(axis=1))
    for a, b in itertools.product(range(k + 1), repeat=2):
        rows, columns = np.delete(chosen, a, axis=1), np.delete(chosen, b, axis=1)
        total = np.zeros(len(chosen))
        for order in itertools.permutations(range(k)):
            lines = [es[m][rows[:, i, None], columns] for i, m in enumerate(order)]
            total += np.linalg.det(np.stack(lines, axis=1)) if k else 1.0
        np.add.at(out, (chosen[:, a], chosen[:, b]), (-1) ** (a + b) * weight * total)
    return out
