"""Solving linear systems, inverses and Cholesky factors, with derivatives in their own terms."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops import matrix_kernels as kernels
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.exact import Rational, to_float
from stablegrad.ops.shape import swapaxes, unbroadcast
from stablegrad.ops.structured import (
    EXACT_ZERO,
    Params,
    Terms,
    linear_jvp,
    moved_support,
    structured,
    sum_of,
    union,
)

LINALG: dict[str, Any] = {"family": "linalg", "ulp": None}
"""Fields that the ops of linear algebra share."""

SKEEL = "n*eps relative to |inv(a)| (|a| |x| + |b|), the condition of Skeel"


# -- shapes and small functions -----------------------------------------------------------


def square_matrix(x: Term, name: str) -> int:
    """The order of the matrices in the last two axes, which must be square."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            message(f"{name} of shape {x.shape}", "square matrices in the last two axes")
        )
    return x.shape[-1]


def same_square(name: str) -> Any:
    """The shape rule of a function from square matrices to matrices of their shape."""

    def infer(args: Terms, params: Params) -> tuple[Shape, Any]:
        square_matrix(args[0], name)
        return args[0].shape, real_dtype(args[0].dtype)

    return infer


def flipped(x: Term) -> Term:
    """The matrices transposed."""
    return swapaxes(x, -1, -2)


def matmul(*factors: Term) -> Term:
    """The product of several matrices, from the left."""
    out = factors[0]
    for f in factors[1:]:
        out = OPS["matmul"](out, f)
    return out


def symmetrised(x: Term) -> Term:
    """(x + x^T)/2."""
    return (x + flipped(x)) * Fraction(1, 2)


# -- triangle -----------------------------------------------------------------------------


def _triangle_kernel(xp: Any, x: Any, *, upper: bool, diagonal: Rational) -> Any:
    rows, columns = x.shape[-2:]
    i, j = xp.arange(rows)[:, None], xp.arange(columns)
    keep = i < j if upper else i > j
    zero = xp.zeros((), x.dtype)
    if diagonal == 0:
        return xp.where(keep, x, zero)
    weighted = x if diagonal == 1 or x.dtype == bool else x * to_float(diagonal)
    return xp.where(keep, x, xp.where(i == j, weighted, zero))


triangle = structured(
    "triangle",
    params=("upper", "diagonal"),
    defaults=(False, 1),
    infer=lambda args, params: (args[0].shape, args[0].dtype),
    kernel=_triangle_kernel,
    jvp=linear_jvp,
    vjp=lambda out, args, g, **params: (triangle(g, **params),),
    infer_facts=lambda term: (
        union([term.args[0].facts, EXACT_ZERO]) if term.param("diagonal") == 1 else _plain(term)
    ),
    support=moved_support,
    cost=1,
    source="definition",
    accuracy="exact: moves elements, and halves the diagonal where asked to",
    aten="tril",
    doc="One triangle of matrices, the diagonal times a constant; structural zeros elsewhere.",
    example=">>> sg.ops.triangle(sg.tensor([[1.0, 2.0], [3.0, 4.0]])).numpy()\n"
    "array([[1., 0.],\n       [3., 4.]], dtype=float32)",
    **LINALG,
)


def _plain(term: Term) -> Any:
    return EXACT_ZERO._replace(
        lo=-np.inf, hi=np.inf, lo_open=True, hi_open=True, defined=term.args[0].facts.defined
    )


# -- solve --------------------------------------------------------------------------------


def _solve_infer(name: str) -> Any:
    def infer(args: Terms, params: Params) -> tuple[Shape, Any]:
        a, b = args
        n = square_matrix(a, name)
        if b.ndim < 2 or b.shape[-2] != n:
            raise ShapeError(
                message(f"{name} of shapes {a.shape} and {b.shape}", f"{n} rows in the second")
            )
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ShapeError(
                message(f"{name} of shapes {a.shape} and {b.shape}", "leading axes that broadcast")
            ) from None
        return (*batch, n, b.shape[-1]), real_dtype(a.dtype)

    return infer


def _solve_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term:
    a, _ = args
    ta, tb = tangents
    parts = [] if tb is None else [tb]
    if ta is not None:
        parts.append(-matmul(_factor(ta, **params), out))
    return out.op(a, sum_of(parts), **params)


def _factor(a: Term, *, upper: bool | None = None, unit: bool = False) -> Term:
    """What of a matrix the op reads: all, or one triangle."""
    if upper is None:
        return a
    return triangle(a, upper=upper, diagonal=0 if unit else 1)


def _solve_vjp(out: Term, args: Terms, g: Term, **params: Any) -> Terms:
    a, b = args
    turned = dict(params)
    if "upper" in turned:
        turned["upper"] = not turned["upper"]
    op = OPS["triangular_solve" if turned else "solve"]  # the oracle has another node for out
    gb = op(flipped(a), g, **turned)
    ga = _factor(-matmul(gb, flipped(out)), **params)
    return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)


solve = structured(
    "solve",
    infer=_solve_infer("solve"),
    kernel=kernels.solve,
    jvp=_solve_jvp,
    vjp=_solve_vjp,
    cost=6,
    accuracy=SKEEL + "; nan where a is singular",
    source="LAPACK gesv on rows and columns equilibrated by powers of two; Higham 2002, ch. 7, 9",
    aten="linalg_solve",
    doc="X of a @ X = b, for matrices b; leading axes broadcast.",
    example=">>> sg.ops.solve(sg.tensor([[2.0]]), sg.tensor([[6.0]])).numpy()\n"
    "array([[3.]], dtype=float32)",
    **LINALG,
)

triangular_solve = structured(
    "triangular_solve",
    params=("upper", "unit"),
    defaults=(False, False),
    infer=_solve_infer("triangular_solve"),
    kernel=kernels.triangular_solve,
    jvp=_solve_jvp,
    vjp=_solve_vjp,
    cost=4,
    accuracy=SKEEL,
    source="substitution; Higham 2002, ch. 8",
    lax="triangular_solve",
    aten="linalg_solve_triangular",
    doc="X of T @ X = b, T the lower (or upper) triangle of a, its diagonal 1 where unit is true.",
    example=">>> a = sg.tensor([[2.0, 9.0], [0.0, 4.0]])\n"
    ">>> sg.ops.triangular_solve(a, sg.tensor([[2.0], [4.0]])).numpy()\n"
    "array([[1.],\n       [1.]], dtype=float32)",
    **LINALG,
)


# -- inv ----------------------------------------------------------------------------------


def _inv_vjp(out: Term, args: Terms, g: Term) -> Terms:
    t = flipped(out)
    return (-matmul(t, g, t),)


inv = structured(
    "inv",
    infer=same_square("inv"),
    kernel=kernels.inv,
    jvp=lambda out, args, tangents: -matmul(out, tangents[0], out),
    vjp=_inv_vjp,
    cost=8,
    accuracy="n*eps relative to |inv(a)| |a| |inv(a)|; nan where a is singular",
    source="LAPACK gesv on rows and columns equilibrated by powers of two; Higham 2002, ch. 14",
    aten="linalg_inv",
    doc="The inverse of square matrices.",
    example=">>> sg.ops.inv(sg.tensor([[4.0]])).numpy()\narray([[0.25]], dtype=float32)",
    **LINALG,
)


# -- cholesky -----------------------------------------------------------------------------

_HALF = Fraction(1, 2)


def _cholesky_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    (t,) = tangents
    assert t is not None
    left = triangular_solve(out, symmetrised(t))
    inner = triangular_solve(out, flipped(left))  # symmetric
    return matmul(out, triangle(inner, diagonal=_HALF))


def _cholesky_vjp(out: Term, args: Terms, g: Term) -> Terms:
    inner = triangle(matmul(flipped(out), g), diagonal=_HALF)
    turned = flipped(out)
    left = triangular_solve(turned, inner, upper=True)
    both = flipped(triangular_solve(turned, flipped(left), upper=True))
    return (symmetrised(both),)


cholesky = structured(
    "cholesky",
    infer=same_square("cholesky"),
    kernel=kernels.cholesky,
    jvp=_cholesky_jvp,
    vjp=_cholesky_vjp,
    cost=5,
    accuracy="n*eps times the condition of a with unit diagonal; nan where a is not definite",
    source="LAPACK potrf, the diagonal scaled to about 1 by powers of two; Murray 2016",
    lax="cholesky",
    aten="linalg_cholesky",
    doc="The lower triangular L with L @ L.T = (a + a.T)/2.",
    example=">>> sg.ops.cholesky(sg.tensor([[4.0]])).numpy()\narray([[2.]], dtype=float32)",
    **LINALG,
)
