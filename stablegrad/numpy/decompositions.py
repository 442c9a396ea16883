"""Decompositions of matrices and functions of matrices; leading axes are a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from stablegrad.errors import DomainError, message
from stablegrad.ir import OPS, topological
from stablegrad.numpy.matrices import square, turned
from stablegrad.ops import shape
from stablegrad.ops.orthogonal import complement
from stablegrad.ops.spectral import WIDE, as_function
from stablegrad.settings import current
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.core import traced_input, wrap


class EighResult(NamedTuple):
    """Eigenvalues, ascending, and eigenvectors in columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """Left singular vectors in columns, singular values, right ones in rows."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class QRResult(NamedTuple):
    """An orthonormal and an upper triangular factor."""

    Q: Tensor
    R: Tensor


# -- eigenvalues --------------------------------------------------------------------------


def _symmetric(a: Any, uplo: str | None, name: str) -> Tensor:
    x = square(a, name)
    if uplo is None:
        return x
    if uplo.upper() not in ("L", "U"):
        raise DomainError(message(f"UPLO={uplo!r}", "'L', 'U' or None"))
    upper = uplo.upper() == "U"
    half = OPS["triangle"](x, upper=upper)
    return half + turned(OPS["triangle"](x, upper=upper, diagonal=0))


def eigh(a: Any, UPLO: str | None = None) -> EighResult:
    """Eigenvalues and eigenvectors of symmetric matrices.

    What is made of V f(w) V^T has right derivatives at repeated eigenvalues; V alone has none
    there, and nan says so.

    Args:
        a: square matrices, read as (a + a.T)/2.
        UPLO: "L" or "U" to read one triangle only.

    Returns:
        (eigenvalues, eigenvectors): ascending, and in columns.
    """
    x = _symmetric(a, UPLO, "eigh")
    return EighResult(OPS["eigvalsh"](x), OPS["eigenvectors"](x))


def eigvalsh(a: Any, UPLO: str | None = None) -> Tensor:
    """The eigenvalues of symmetric matrices, ascending; see ``eigh``."""
    return OPS["eigvalsh"](_symmetric(a, UPLO, "eigvalsh"))


# -- singular values ----------------------------------------------------------------------


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition: a = U @ diag(S) @ Vh.

    Args:
        a: matrices of shape (..., m, n).
        full_matrices: whether U and Vh are square; the further vectors are any basis of the
            rest of the space, and what depends on their span alone has right derivatives.
        compute_uv: whether to give U and Vh too.

    Returns:
        (U, S, Vh), or S alone. What is made of U f(S) Vh has right derivatives at repeated
        singular values; U and Vh alone have none there, and nan says so.
    """
    x = as_tensor(a)
    if not compute_uv:
        return OPS["svdvals"](x)
    left, values, right = OPS["left_vectors"](x), OPS["svdvals"](x), OPS["right_vectors"](x)
    if full_matrices:
        left, right = _completed(left), turned(_completed(turned(right)))
    return SVDResult(left, values, right)


def _completed(q: Tensor) -> Tensor:
    """Orthonormal columns, and more of them up to a basis of the space."""
    if q.shape[-1] == q.shape[-2]:
        return q
    return OPS["concatenate"](q, complement(q), axis=-1)


def svdvals(x: Any, /) -> Tensor:
    """The singular values, descending; the derivative is 0 where one is 0."""
    return OPS["svdvals"](as_tensor(x))


def pinv(a: Any, rcond: Any = None, *, rtol: Any = None) -> Tensor:
    """The pseudoinverse.

    Args:
        a: matrices of shape (..., m, n).
        rcond: the share of the greatest singular value up to which others count as 0.
        rtol: the same; max(m, n)*eps by default.

    Returns:
        Matrices of shape (..., n, m); derivatives are along matrices of the same rank.
    """
    share = rcond if rtol is None else rtol
    return OPS["pinv"](as_tensor(a), rtol=None if share is None else float(share))


def matrix_rank(A: Any, tol: Any = None, *, rtol: Any = None) -> Tensor:
    """How many singular values exceed ``tol``, or ``rtol`` (max(m, n)*eps) times the greatest."""
    x = as_tensor(A)
    s = OPS["svdvals"](x)
    if tol is None:
        precise = np.float64 if x.dtype.kind in "iub" else x.dtype
        share = max(x.shape[-2:]) * float(ml_dtypes.finfo(precise).eps) if rtol is None else rtol
        tol = share * s.max(axis=-1, keepdims=True)
    return OPS["count_nonzero"](s > tol, axis=-1)


def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The x of least norm with least norm(a @ x - b), from the pseudoinverse.

    Args:
        a: a matrix of shape (m, n).
        b: a vector of shape (m,) or a matrix of shape (m, k).
        rcond: the share of the greatest singular value up to which others count as 0.

    Returns:
        (x, residuals, rank, singular values) as NumPy has them.
    """
    x, y = as_tensor(a), as_tensor(b)
    solution = pinv(x, rcond) @ y
    rank = matrix_rank(x, rtol=rcond)
    m, n = x.shape
    if m > n and rank.item() == n:
        rest = y - x @ solution
        residuals = (rest * rest).sum(axis=0)
        residuals = residuals.reshape((1,)) if residuals.ndim == 0 else residuals
    else:
        residuals = as_tensor(np.zeros(0, solution.dtype))
    return solution, residuals, rank, OPS["svdvals"](x)


def cond(x: Any, p: Any = None) -> Tensor:
    """The condition number: norm(x) * norm(inv(x)), for p = 2 the ratio of singular values."""
    from stablegrad.numpy.linalg import norm

    t = as_tensor(x)
    if p in (None, 2, -2):
        s = OPS["svdvals"](t)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    axes = (-2, -1)
    return norm(t, p, axes) * norm(OPS["inv"](square(t, "cond")), p, axes)


# -- QR -----------------------------------------------------------------------------------


def qr(a: Any, mode: str = "reduced") -> Any:
    """The QR decomposition: a = Q @ R.

    Args:
        a: matrices of shape (..., m, n).
        mode: "reduced", "complete" for a square Q, or "r" for R alone; what depends on the span
            of the further columns of Q alone has right derivatives.

    Returns:
        (Q, R), or R.
    """
    x = as_tensor(a)
    if mode not in ("reduced", "complete", "r"):
        raise DomainError(message(f"mode={mode!r}", "'reduced', 'complete' or 'r'"))
    m, n = x.shape[-2:]
    first = x if m >= n else shape.slice_axis(x, -1, 0, m)
    q, r = OPS["orthonormal"](first), OPS["upper_factor"](first)
    if m < n:
        r = OPS["concatenate"](r, turned(q) @ shape.slice_axis(x, -1, m, n), axis=-1)
    if mode == "complete" and m > n:
        below = OPS["broadcast_to"](
            as_tensor(np.zeros((), r.dtype)), shape=(*r.shape[:-2], m - n, n)
        )
        q, r = _completed(q), OPS["concatenate"](r, below, axis=-2)
    return r if mode == "r" else QRResult(q, r)


# -- functions of matrices ----------------------------------------------------------------


def expm(A: Any) -> Tensor:
    """The exponential of square matrices."""
    return OPS["expm"](square(A, "expm"))


def funm(A: Any, func: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of symmetric matrices: V f(w) V^T, right at repeated eigenvalues.

    Args:
        A: square matrices, read as (A + A.T)/2.
        func: a function of a tensor, element by element; it may use scalar tensors besides,
            and gradients reach these.

    Returns:
        Matrices of the shape of A.

    Raises:
        DomainError: a function that is not elementwise.

    Example:
        >>> funm(np.eye(2), lambda w: w * sg.numpy.exp(-w)).numpy()
        array([[0.36787944, 0.        ],
               [0.        , 0.36787944]])
    """
    x = square(A, "funm")
    w = traced_input((3,), WIDE)
    out = as_tensor(func(w))
    found = as_function(out.term, [w.term], 3)
    if found is None or w.term in topological(found[1]):
        raise DomainError(
            message("a function that is not elementwise for funm", "one of each eigenvalue alone")
        )
    body, terms = found
    given = [wrap(t, current(), requires=out.requires_grad) for t in terms]
    return OPS["matrix_function"](x, *given, function=body, parameters=len(given))


def sqrtm(A: Any) -> Tensor:
    """The square root of positive semidefinite matrices."""
    return funm(A, OPS["sqrt"])


def logm(A: Any) -> Tensor:
    """The logarithm of symmetric positive definite matrices."""
    return funm(A, OPS["log"])
