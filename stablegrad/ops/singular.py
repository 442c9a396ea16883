"""Singular values and vectors, functions of them, the pseudoinverse, and QR.

U f(S) V^T is a block of an odd function of the symmetric matrix [[0, A], [A^T, 0]], whose
eigenvalues are the singular values with both signs: so repeated and zero singular values are as
in ``spectral``. The singular values themselves have a kink at 0, with derivative 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, Shape, Term, topological
from stablegrad.ops import spectral_kernels as kernels
from stablegrad.ops.behaviour import EVEN, ODD
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.eigen import differences, off_diagonal, quotients
from stablegrad.ops.record import const
from stablegrad.ops.shape import concatenate, expand_dims, slice_axis
from stablegrad.ops.solving import LINALG, flipped, matmul
from stablegrad.ops.spectral import X, applied, as_function, parameter, spectral
from stablegrad.ops.structured import Params, Terms, structured, sum_of

SOURCE = "LAPACK gesdd; Jordan and Wielandt's matrix (Horn and Johnson 2013, theorem 7.3.3)"


def _matrices(name: str, core: Any) -> Any:
    def infer(args: Terms, params: Params) -> tuple[Shape, Any]:
        (x,) = args
        if x.ndim < 2:
            raise ShapeError(message(f"{name} of shape {x.shape}", "matrices in the last two axes"))
        m, n = x.shape[-2:]
        return (*x.shape[:-2], *core(m, n)), real_dtype(x.dtype)

    return infer


# -- functions of singular values ---------------------------------------------------------


def parity(body: Term) -> int:
    """1 for an expression proved even in its variable, -1 for odd, 0 for neither."""
    known: dict[Term, int] = {}
    for t in topological([body]):
        signs = [known[a] for a in t.args]
        name = t.op.name
        if t is X:
            known[t] = -1
        elif all(s == 1 for s in signs):
            known[t] = 1
        elif name in ODD:
            known[t] = signs[0]
        elif name in EVEN:
            known[t] = abs(signs[0])
        elif name in ("multiply", "divide"):
            known[t] = signs[0] * signs[1]
        elif name in ("add", "subtract") or (name == "affine" and t.params[0] == 0):
            known[t] = signs[0] if len(set(signs)) == 1 else 0
        elif name == "monomial":
            known[t] = 1
            for s, p in zip(signs, t.params[0], strict=True):
                known[t] *= s ** (int(p) % 2) if isinstance(p, int) else int(s == 1)
        else:
            known[t] = 0
    return known[body]


def symmetric_block(a: Term) -> Term:
    """[[0, a], [a^T, 0]]."""
    m, n = a.shape[-2:]
    batch = a.shape[:-2]
    top = concatenate(const(0, a.dtype, (*batch, m, m)), a, axis=-1)
    low = concatenate(flipped(a), const(0, a.dtype, (*batch, n, n)), axis=-1)
    return concatenate(top, low, axis=-2)


def singular_function(a: Term, body: Term, parameters: Sequence[Term]) -> Term:
    """U f(S) V^T for one matrix; f not proved odd is 0 at 0, where its odd extension jumps."""
    m, n = a.shape[-2:]
    if body is X:
        return a
    odd = parity(body) == -1
    if not odd:
        names = [parameter(i) for i in range(len(parameters))]
        body = OPS["sign"](X) * applied(body, OPS["abs"](X), names)
    whole = spectral(
        symmetric_block(a),
        *parameters,
        function=body,
        parameters=len(parameters),
        snap=not odd,
    )
    return slice_axis(slice_axis(whole, -2, 0, m), -1, m, m + n)


def composed(a: Term, g: Term) -> Term:
    """U diag(g) V^T, g the cotangent of the singular values: 0 where these are 0."""
    found = as_function(g, [svdvals(a)], min(a.shape[-2:]))
    if found is not None:
        return singular_function(a, *found)
    return matmul(left_vectors(a) * expand_dims(g, -2), right_vectors(a))


# -- values and vectors -------------------------------------------------------------------

svdvals = structured(
    "svdvals",
    infer=_matrices("svdvals", lambda m, n: (min(m, n),)),
    kernel=kernels.svdvals,
    jvp=lambda out, args, tangents: singular_diagonal(args[0], tangents[0]),
    vjp=lambda out, args, g: (composed(args[0], g),),
    cost=9,
    accuracy="n*eps*norm(a)",
    source=SOURCE,
    aten="linalg_svdvals",
    doc="The singular values of matrices, descending; the derivative is 0 where one is 0.",
    example=">>> sg.ops.svdvals(sg.tensor([[0.0, 2.0], [3.0, 0.0]])).numpy()\n"
    "array([3., 2.], dtype=float32)",
    **LINALG,
)


def _gaps(s: Term) -> Term:
    """s_j**2 - s_i**2, in range and without cancellation."""
    return differences(s) * (expand_dims(s, -2) + expand_dims(s, -1))


def _outside(basis: Term, t: Term) -> Term:
    """The part of t across the columns of a basis."""
    return t - matmul(basis, matmul(flipped(basis), t))


def _moved(t: Term, own: Term, other: Term, s: Term) -> Term:
    """How the left vectors ``own`` of a matrix move as it moves along t."""
    row = expand_dims(s, -2)
    p = matmul(flipped(own), t, other) * row
    total = matmul(own, quotients(p + flipped(p), _gaps(s)))
    if own.shape[-2] > own.shape[-1]:
        total = total + _outside(own, matmul(t, other)) / row
    return total


def _pulled(g: Term, own: Term, other: Term, s: Term) -> Term:
    """The transpose of ``_moved``."""
    row = expand_dims(s, -2)
    m = matmul(flipped(own), g)
    used = OPS["logical_or"](off_diagonal(m), off_diagonal(flipped(m)))
    core = OPS["indicator"](used) * (m - flipped(m)) / _gaps(s)
    total = matmul(own, core * row, flipped(other))
    if own.shape[-2] > own.shape[-1]:
        across = _outside(own, g)
        used = OPS["indicator"](OPS["not_equal"](across, 0.0))
        total = total + matmul(used * across / row, flipped(other))
    return total


def _left_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    (a,), (t,) = args, tangents
    assert t is not None
    return _moved(t, out, flipped(right_vectors(a)), svdvals(a))


def _left_vjp(out: Term, args: Terms, g: Term) -> Terms:
    (a,) = args
    return (_pulled(g, out, flipped(right_vectors(a)), svdvals(a)),)


def _right_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    (a,), (t,) = args, tangents
    assert t is not None
    return flipped(_moved(flipped(t), flipped(out), left_vectors(a), svdvals(a)))


def _right_vjp(out: Term, args: Terms, g: Term) -> Terms:
    (a,) = args
    return (flipped(_pulled(flipped(g), flipped(out), left_vectors(a), svdvals(a))),)


_VECTORS: dict[str, Any] = {
    **LINALG,
    "cost": 10,
    "source": SOURCE,
    "aten": "linalg_svd",
    "accuracy": "n*eps*norm(a) over the gap to the next singular value; signs as LAPACK has them",
}

left_vectors = structured(
    "left_vectors",
    infer=_matrices("left_vectors", lambda m, n: (m, min(m, n))),
    kernel=kernels.left_vectors,
    jvp=_left_jvp,
    vjp=_left_vjp,
    doc="The left singular vectors of matrices, in columns; the derivative by those of repeated "
    "singular values is nan.",
    example=">>> abs(sg.ops.left_vectors(sg.tensor([[3.0, 0.0], [0.0, 1.0]]))).numpy()\n"
    "array([[1., 0.],\n       [0., 1.]], dtype=float32)",
    **_VECTORS,
)

right_vectors = structured(
    "right_vectors",
    infer=_matrices("right_vectors", lambda m, n: (min(m, n), n)),
    kernel=kernels.right_vectors,
    jvp=_right_jvp,
    vjp=_right_vjp,
    doc="The right singular vectors of matrices, in rows; the derivative by those of repeated "
    "singular values is nan.",
    example=">>> abs(sg.ops.right_vectors(sg.tensor([[3.0, 0.0], [0.0, 1.0]]))).numpy()\n"
    "array([[1., 0.],\n       [0., 1.]], dtype=float32)",
    **_VECTORS,
)


# -- how singular values move -------------------------------------------------------------


def _diagonal_jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    a, t = args
    ta, tt = tangents
    parts = [] if tt is None else [singular_diagonal(a, tt)]
    if ta is not None:
        u, v, s = left_vectors(a), flipped(right_vectors(a)), svdvals(a)
        left = _moved(ta, u, v, s) * matmul(t, v)
        right = _moved(flipped(ta), v, u, s) * matmul(flipped(t), u)
        parts += [OPS["sum"](x, axis=-2) for x in (left, right)]
    return sum_of(parts)


def _diagonal_vjp(out: Term, args: Terms, g: Term) -> Terms:
    a, t = args
    u, v, s = left_vectors(a), flipped(right_vectors(a)), svdvals(a)
    row = expand_dims(g, -2)
    left = _pulled(matmul(t, v) * row, u, v, s)
    right = flipped(_pulled(matmul(flipped(t), u) * row, v, u, s))
    return left + right, composed(a, g)


singular_diagonal = structured(
    "singular_diagonal",
    infer=lambda args, params: (svdvals.infer(args[:1], ())[0], real_dtype(args[0].dtype)),
    kernel=kernels.singular_diagonal,
    jvp=_diagonal_jvp,
    vjp=_diagonal_vjp,
    cost=11,
    accuracy="n*eps*norm(t), times norm(a) over the gap to the next singular value",
    source="first-order perturbation; Magnus and Neudecker 2019, section 8.7",
    doc="diag(U.T @ t @ V) with the singular vectors of a: how singular values move along t.",
    example=">>> a = sg.tensor([[3.0, 0.0], [0.0, 1.0]])\n"
    ">>> sg.ops.singular_diagonal(a, a).numpy()\narray([3., 1.], dtype=float32)",
    **LINALG,
)

# -- pseudoinverse ------------------------------------------------------------------------


def _pinv_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, rtol: float | None
) -> Term:
    (a,), (t,) = args, tangents
    assert t is not None
    x, xt, tt = out, flipped(out), flipped(t)
    left, right = matmul(x, xt, tt), matmul(tt, xt, x)
    return left - matmul(left, a, x) + right - matmul(x, a, right) - matmul(x, t, x)


def _pinv_vjp(out: Term, args: Terms, g: Term, *, rtol: float | None) -> Terms:
    (a,) = args
    x, xt, gt = out, flipped(out), flipped(g)
    left, right = matmul(gt, x, xt), matmul(xt, x, gt)
    total = left - matmul(a, x, left) + right - matmul(right, x, a)
    return (total - matmul(xt, g, xt),)


pinv = structured(
    "pinv",
    params=("rtol",),
    defaults=(None,),
    infer=_matrices("pinv", lambda m, n: (n, m)),
    kernel=kernels.pinv,
    jvp=_pinv_jvp,
    vjp=_pinv_vjp,
    cost=10,
    accuracy="n*eps times the condition over the singular values kept, relative to norm(pinv(a)); "
    "derivatives along matrices of the same rank",
    source="SVD; Golub and Pereyra 1973",
    aten="linalg_pinv",
    doc="The pseudoinverse; singular values up to rtol (default max(m, n)*eps) times the greatest "
    "count as 0.",
    example=">>> sg.ops.pinv(sg.tensor([[2.0], [0.0]])).numpy()\n"
    "array([[0.5, 0. ]], dtype=float32)",
    **LINALG,
)
