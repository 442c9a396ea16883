"""Determinants, and their derivatives of every order: cofactors, at singular matrices too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops import matrix_kernels as kernels
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.record import ZERO, interval
from stablegrad.ops.shape import expand_dims
from stablegrad.ops.solving import LINALG, flipped, inv, square_matrix
from stablegrad.ops.structured import Normal, Params, Terms, structured, sum_of


def _scalar(name: str) -> Any:
    def infer(args: Terms, params: Params) -> tuple[Shape, Any]:
        square_matrix(args[0], name)
        return args[0].shape[:-2], real_dtype(args[0].dtype)

    return infer


def spread(g: Term) -> Term:
    """A number for each matrix, with two axes of length 1 after it."""
    return expand_dims(g, (-2, -1))


def inner(a: Term, b: Term) -> Term:
    """The sum of products of the elements of two matrices."""
    return OPS["sum"](a * b, axis=(-2, -1))


# -- cofactors ----------------------------------------------------------------------------


def same_shapes(name: str) -> Any:
    """All arguments brought to one batch of square matrices."""

    def normalise(terms: Terms, params: Params) -> Normal:
        for t in terms:
            square_matrix(t, name)
        try:
            shape = np.broadcast_shapes(*[t.shape for t in terms])
        except ValueError:
            raise ShapeError(
                message(f"{name} of shapes {[t.shape for t in terms]}", "shapes that broadcast")
            ) from None
        return tuple([OPS["broadcast_to"](t, shape=shape) for t in terms]), params

    return normalise


def _cofactors_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    """Each direction in its turn: the op is symmetric in them, and one more differentiates it."""
    a, *es = args
    parts = [] if tangents[0] is None else [cofactors(a, *es, tangents[0])]
    for i, t in enumerate(tangents[1:]):
        if t is not None:
            parts.append(cofactors(a, *es[:i], t, *es[i + 1 :]))
    return sum_of(parts)


def _cofactors_vjp(out: Term, args: Terms, g: Term) -> Terms:
    a, *es = args
    others = [cofactors(a, *es[:i], g, *es[i + 1 :]) for i in range(len(es))]
    return cofactors(a, *es, g), *others


cofactors = structured(
    "cofactors",
    normalise=same_shapes("cofactors"),
    infer=lambda args, params: (args[0].shape, real_dtype(args[0].dtype)),
    kernel=kernels.cofactors,
    jvp=_cofactors_jvp,
    vjp=_cofactors_vjp,
    cost=8,
    accuracy="n*eps relative to the product of the n - 1 greatest singular values (n - 1 - k with "
    "k directions of norm 1), times the ratio of the greatest to the least of those",
    source="the product of the other singular values, of equilibrated matrices; "
    "Higham 2002, section 14.6",
    doc="The gradient of det(a), or of its mixed derivative along matrices e, e, ...: symmetric "
    "in these, finite where a is singular.",
    example=">>> sg.ops.cofactors(sg.tensor([[0.0, 0.0], [0.0, 5.0]])).numpy()\n"
    "array([[5., 0.],\n       [0., 0.]], dtype=float32)",
    **LINALG,
)

# -- det, slogdet -------------------------------------------------------------------------

det = structured(
    "det",
    infer=_scalar("det"),
    kernel=kernels.det,
    jvp=lambda out, args, tangents: inner(cofactors(args[0]), tangents[0]),
    vjp=lambda out, args, g: (spread(g) * cofactors(args[0]),),
    cost=6,
    accuracy="n*eps relative to the product of the norms of the rows (Hadamard's bound)",
    source="LAPACK getrf on equilibrated rows and columns; Higham 2002, section 14.6",
    aten="linalg_det",
    doc="The determinant; its derivatives are right at singular matrices too.",
    example=">>> sg.ops.det(sg.tensor([[0.0, 2.0], [3.0, 4.0]])).item()\n-6.0",
    **LINALG,
)

sign_of_det = structured(
    "sign_of_det",
    infer=_scalar("sign_of_det"),
    kernel=kernels.sign_of_det,
    partials=lambda out, a: (ZERO,),
    infer_facts=lambda term: interval(-1.0, 1.0, closed=True)._replace(
        defined=term.args[0].facts.defined
    ),
    cost=6,
    accuracy="exact where |det| is beyond the bound of det",
    source="as det",
    doc="The sign of the determinant.",
    example=">>> sg.ops.sign_of_det(sg.tensor([[0.0, 2.0], [3.0, 4.0]])).item()\n-1.0",
    **LINALG,
)

logabsdet = structured(
    "logabsdet",
    infer=_scalar("logabsdet"),
    kernel=kernels.logabsdet,
    jvp=lambda out, args, tangents: inner(flipped(inv(args[0])), tangents[0]),
    vjp=lambda out, args, g: (spread(g) * flipped(inv(args[0])),),
    cost=5,
    accuracy="4 ulp plus n*eps times the condition of the equilibrated matrix",
    source="mantissa and exponent of the determinant apart",
    aten="linalg_slogdet",
    doc="log(|det(a)|), also where the determinant leaves the range; -inf where a is singular.",
    example=">>> sg.ops.logabsdet(sg.tensor([[1e-30, 0.0], [0.0, 1e-30]])).item()\n"
    "-138.1551055908203",
    **LINALG,
)
