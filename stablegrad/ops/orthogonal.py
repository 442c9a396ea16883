"""The QR decomposition of matrices with at least as many rows as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stablegrad.errors import ShapeError, message
from stablegrad.ir import Shape, Term
from stablegrad.ops import spectral_kernels as kernels
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.record import ZERO
from stablegrad.ops.solving import LINALG, flipped, matmul, triangle, triangular_solve
from stablegrad.ops.structured import Params, Terms, structured


def _infer(name: str, *, square: bool) -> Any:
    def infer(args: Terms, params: Params) -> tuple[Shape, Any]:
        (x,) = args
        if x.ndim < 2 or x.shape[-2] < x.shape[-1]:
            raise ShapeError(
                message(f"{name} of shape {x.shape}", "matrices with no more columns than rows")
            )
        rows = x.shape[-1] if square else x.shape[-2]
        return (*x.shape[:-2], rows, x.shape[-1]), real_dtype(x.dtype)

    return infer


def _missing(args: Terms, params: Params) -> tuple[Shape, Any]:
    (rows, columns), dtype = (
        _infer("missing_axes", square=False)(args, params)[0][-2:],
        args[0].dtype,
    )
    return (*args[0].shape[:-2], rows, rows - columns), real_dtype(dtype)


def _over(x: Term, r: Term) -> Term:
    """x @ inv(r)."""
    return flipped(triangular_solve(flipped(r), flipped(x)))


def _parts(q: Term, r: Term, t: Term) -> tuple[Term, Term, Term]:
    """C = t R^-1, M = Q^T C and the turn of Q, antisymmetric with the lower triangle of M."""
    c = _over(t, r)
    m = matmul(flipped(q), c)
    low = triangle(m, diagonal=0)
    return c, m, low - flipped(low)


def _copied(m: Term) -> Term:
    """The symmetric matrix with the lower triangle of m."""
    return triangle(m) + flipped(triangle(m, diagonal=0))


def _q_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    (a,), (t,) = args, tangents
    assert t is not None
    c, m, turn = _parts(out, upper_factor(a), t)
    return matmul(out, turn) + (c - matmul(out, m))


def _r_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    (a,), (t,) = args, tangents
    assert t is not None
    _, m, turn = _parts(orthonormal(a), out, t)
    return matmul(triangle(m - turn, upper=True), out)


def _q_vjp(out: Term, args: Terms, g: Term) -> Terms:
    inside = -_copied(matmul(flipped(g), out))
    return (_over_turned(g + matmul(out, inside), upper_factor(args[0])),)


def _r_vjp(out: Term, args: Terms, g: Term) -> Terms:
    g = triangle(g, upper=True)
    inside = _copied(matmul(out, flipped(g)))
    return (_over_turned(matmul(orthonormal(args[0]), inside), out),)


def _over_turned(x: Term, r: Term) -> Term:
    """x @ inv(r).T."""
    return flipped(triangular_solve(r, flipped(x), upper=True))


_QR: dict[str, Any] = {
    **LINALG,
    "cost": 8,
    "source": "LAPACK geqrf; Walter and Lehmann 2012",
    "aten": "linalg_qr",
    "accuracy": "n*eps times the condition of a with columns of norm 1; signs are LAPACK's",
}

orthonormal = structured(
    "orthonormal",
    infer=_infer("orthonormal", square=False),
    kernel=kernels.orthonormal,
    jvp=_q_jvp,
    vjp=_q_vjp,
    doc="Q of a = Q @ R, with orthonormal columns.",
    example=">>> abs(sg.ops.orthonormal(sg.tensor([[3.0], [4.0]]))).numpy()\n"
    "array([[0.6],\n       [0.8]], dtype=float32)",
    **_QR,
)

upper_factor = structured(
    "upper_factor",
    infer=_infer("upper_factor", square=True),
    kernel=kernels.upper_factor,
    jvp=_r_jvp,
    vjp=_r_vjp,
    doc="R of a = Q @ R, upper triangular.",
    example=">>> abs(sg.ops.upper_factor(sg.tensor([[3.0], [4.0]]))).numpy()\n"
    "array([[5.]], dtype=float32)",
    **_QR,
)

missing_axes = structured(
    "missing_axes",
    infer=_missing,
    kernel=kernels.missing_axes,
    partials=lambda out, q: (ZERO,),
    cost=8,
    accuracy="exact: zeros and ones",
    source="Cholesky factorization of I - q @ q.T with the greatest diagonal first",
    doc="Axes, unit vectors in columns, that are farthest from the span of orthonormal columns.",
    example=">>> sg.ops.missing_axes(sg.tensor([[0.0], [1.0]])).numpy()\n"
    "array([[1.],\n       [0.]], dtype=float32)",
    **LINALG,
)


def complement(q: Any) -> Any:
    """Orthonormal columns that complete the orthonormal columns q to a basis of the space.

    Args:
        q: a term or tensor of shape (..., m, k), k <= m.

    Returns:
        Shape (..., m, m - k): projections of the axes that are farthest from q, made orthonormal.
        As the choice of axes does not move, derivatives of every order follow.
    """
    axes = missing_axes(q)
    return orthonormal(axes - matmul(q, matmul(flipped(q), axes)))
