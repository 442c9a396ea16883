"""Eigenvalues and eigenvectors of symmetric matrices.

The gradient of eigenvalues w with cotangent g(w) is the function g of the matrix, so that it is
right at repeated eigenvalues, and so is its own derivative. Eigenvectors have a derivative only
where eigenvalues are simple: pairs that a program uses and that are not give nan, pairs that it
does not use give nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops import spectral_kernels as kernels
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.linalg import diagonal_op, from_diagonal
from stablegrad.ops.record import const
from stablegrad.ops.shape import expand_dims
from stablegrad.ops.solving import (
    LINALG,
    flipped,
    matmul,
    same_square,
    square_matrix,
    symmetrised,
)
from stablegrad.ops.spectral import as_function, spectral
from stablegrad.ops.structured import Params, Terms, structured, sum_of

SOURCE = "LAPACK syevd; Magnus 1985; Higham 2008, section 3.2"


def _vector(name: str) -> Any:
    def infer(args: Terms, params: Params) -> tuple[Shape, Any]:
        square_matrix(args[0], name)
        return args[0].shape[:-1], real_dtype(args[0].dtype)

    return infer


def composed(a: Term, g: Term) -> Term:
    """V diag(g) V^T: as a function of the matrix where g is one of its eigenvalues."""
    w = eigvalsh(a)
    found = as_function(g, [w], a.shape[-1]) if a.ndim == 2 else as_function(g, [w], w.size)
    if found is not None:
        body, parameters = found
        return spectral(a, *parameters, function=body, parameters=len(parameters))
    v = eigenvectors(a)
    return matmul(v * expand_dims(g, -2), flipped(v))


def off_diagonal(x: Term) -> Term:
    """Where a square matrix has elements beside its diagonal, and any that are not zero."""
    n = x.shape[-1]
    eye = from_diagonal(const(1, bool, x.shape[:-1]), rows=n, columns=n)
    return OPS["logical_and"](OPS["logical_not"](eye), OPS["not_equal"](x, 0.0))


def differences(w: Term) -> Term:
    """w_j - w_i."""
    return expand_dims(w, -2) - expand_dims(w, -1)


def quotients(x: Term, below: Term) -> Term:
    """x / below beside the diagonal, where x is not zero."""
    return OPS["indicator"](off_diagonal(x)) * x / below


# -- eigenvalues --------------------------------------------------------------------------

eigvalsh = structured(
    "eigvalsh",
    infer=_vector("eigvalsh"),
    kernel=kernels.eigvalsh,
    jvp=lambda out, args, tangents: eigen_diagonal(args[0], tangents[0]),
    vjp=lambda out, args, g: (composed(args[0], g),),
    cost=9,
    accuracy="n*eps*norm(a)",
    source=SOURCE,
    aten="linalg_eigvalsh",
    doc="The eigenvalues of the symmetric matrices (a + a.T)/2, ascending.",
    example=">>> sg.ops.eigvalsh(sg.tensor([[0.0, 2.0], [2.0, 0.0]])).numpy()\n"
    "array([-2.,  2.], dtype=float32)",
    **LINALG,
)

# -- eigenvectors -------------------------------------------------------------------------


def _turns(a: Term, v: Term, t: Term) -> Term:
    """V^T dV, for a moving along t."""
    turned = matmul(flipped(v), symmetrised(t), v)
    return quotients(turned, differences(eigvalsh(a)))


def _eigenvectors_vjp(out: Term, args: Terms, g: Term) -> Terms:
    (a,) = args
    m = matmul(flipped(out), g)
    used = OPS["logical_or"](off_diagonal(m), off_diagonal(flipped(m)))
    odd = (m - flipped(m)) * Fraction(1, 2)
    core = OPS["indicator"](used) * odd / differences(eigvalsh(a))
    return (matmul(out, core, flipped(out)),)


eigenvectors = structured(
    "eigenvectors",
    infer=same_square("eigenvectors"),
    kernel=kernels.eigenvectors,
    jvp=lambda out, args, tangents: matmul(out, _turns(args[0], out, tangents[0])),
    vjp=_eigenvectors_vjp,
    cost=10,
    accuracy="n*eps*norm(a) over the gap to the next eigenvalue; signs are those of LAPACK",
    source=SOURCE,
    aten="linalg_eigh",
    doc="The eigenvectors of the symmetric matrices (a + a.T)/2 in columns; the derivative by "
    "those of repeated eigenvalues is nan.",
    example=">>> abs(sg.ops.eigenvectors(sg.tensor([[1.0, 0.0], [0.0, 3.0]]))).numpy()\n"
    "array([[1., 0.],\n       [0., 1.]], dtype=float32)",
    **LINALG,
)


# -- the diagonal of a matrix in the basis of another --------------------------------------


def _eigen_diagonal_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    a, e = args
    ta, te = tangents
    parts = [] if te is None else [eigen_diagonal(a, te)]
    if ta is not None:
        v = eigenvectors(a)
        inside = matmul(flipped(v), symmetrised(e), v)
        parts.append(2 * diagonal_op(matmul(inside, _turns(a, v, ta))))
    return sum_of(parts)


def _eigen_diagonal_vjp(out: Term, args: Terms, g: Term) -> Terms:
    a, e = args
    v = eigenvectors(a)
    inside = matmul(flipped(v), symmetrised(e), v)
    core = quotients(inside * (expand_dims(g, -2) - expand_dims(g, -1)), differences(eigvalsh(a)))
    return matmul(v, core, flipped(v)), composed(a, g)


eigen_diagonal = structured(
    "eigen_diagonal",
    infer=_vector("eigen_diagonal"),
    kernel=kernels.eigen_diagonal,
    jvp=_eigen_diagonal_jvp,
    vjp=_eigen_diagonal_vjp,
    cost=11,
    accuracy="n*eps*norm(e), times norm(a) over the gap to the next eigenvalue",
    source="first-order perturbation; Magnus 1985",
    doc="diag(V.T @ e @ V) with the eigenvectors V of a: how eigenvalues move along e.",
    example=">>> a = sg.tensor([[1.0, 0.0], [0.0, 3.0]])\n"
    ">>> sg.ops.eigen_diagonal(a, a).numpy()\narray([1., 3.], dtype=float32)",
    **LINALG,
)
