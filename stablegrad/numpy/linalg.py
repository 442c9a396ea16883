"""numpy.linalg's names for tensors."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.decompositions import (
    cond,
    eigh,
    eigvalsh,
    expm,
    funm,
    logm,
    lstsq,
    matrix_rank,
    pinv,
    qr,
    sqrtm,
    svd,
    svdvals,
)
from stablegrad.numpy.matrices import (
    cholesky,
    det,
    inv,
    matrix_power,
    multi_dot,
    outer,
    slogdet,
    solve,
    solve_triangular,
)
from stablegrad.numpy.products import cross, tensordot, vecdot
from stablegrad.ops import linalg, shape
from stablegrad.ops.exact import exact
from stablegrad.ops.structured import normal_axis
from stablegrad.tensor import Tensor, as_tensor


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors or matrices, or the 2-norm of all elements; the derivative at 0 is 0.

    Args:
        x: an array.
        ord: of vectors: None or 2, any number, inf, -inf, 0 (how many are not zero); of matrices:
            None or "fro", "nuc" (the sum of singular values), 2 and -2 (the greatest and least
            of them), 1, -1, inf and -inf (of sums of columns and rows).
        axis: an axis for vectors, two for matrices; None for all of a vector or matrix.
        keepdims: whether reduced axes stay with length 1.
    """
    t = as_tensor(x)
    t = t.astype(float) if t.dtype.kind in "iub" else t
    vector = isinstance(axis, int) or (axis is None and t.ndim == 1)
    if ord is None or (ord == 2 and vector) or (ord == "fro" and not vector):
        return OPS["norm"](t, axis=axis, keepdims=keepdims)
    if vector and not isinstance(ord, str):
        return _vector_norm(t, ord, axis, keepdims)
    axes = (-2, -1) if axis is None and t.ndim == 2 else axis
    if not vector and isinstance(axes, tuple | list) and len(axes) == 2:
        first, second = (normal_axis(i, t.ndim, "norm") for i in axes)
        moved = shape.moveaxis(t, [first, second], [t.ndim - 2, t.ndim - 1])
        out = _matrix_norm(moved, ord)
        return shape.expand_dims(out, tuple(sorted((first, second)))) if keepdims else out
    raise DomainError(message(f"norm with ord={ord!r} of shape {t.shape}", "an order of norm"))


def _vector_norm(t: Tensor, p: float, axis: Any, keepdims: bool) -> Tensor:
    size = abs(t)
    if p == 1:
        return size.sum(axis=axis, keepdims=keepdims)
    if abs(p) == float("inf"):
        reduce = size.max if p > 0 else size.min
        return reduce(axis=axis, keepdims=keepdims)
    if p == 0:
        return OPS["count_nonzero"](t, axis=axis, keepdims=keepdims).astype(t.dtype)
    if p > 1:
        return OPS["p_norm"](t, axis=axis, keepdims=keepdims, p=exact(p))
    return (size**p).sum(axis=axis, keepdims=keepdims) ** (1 / p)


def _matrix_norm(t: Tensor, order: Any) -> Tensor:
    if order in ("nuc", 2, -2):
        s = OPS["svdvals"](t)
        return s.sum(axis=-1) if order == "nuc" else s.max(axis=-1) if order > 0 else s.min(axis=-1)
    inf = float("inf")
    if order not in (1, -1, inf, -inf):
        raise DomainError(
            message(f"norm with ord={order!r}", "None, 'fro', 'nuc', 1, 2, inf, or these negative")
        )
    sums = abs(t).sum(axis=-2 if abs(order) == 1 else -1)
    return sums.max(axis=-1) if order > 0 else sums.min(axis=-1)


def vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """The norm of vectors along axes."""
    t = as_tensor(x)
    if ord == 2:
        return OPS["norm"](t, axis=axis, keepdims=keepdims)
    return norm(t if axis is not None else t.ravel(), ord, axis, keepdims)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norm of the matrices in the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


def block_diag(*arrs: Any) -> Tensor:
    """A matrix with matrices along its diagonal, zero elsewhere."""
    blocks = [as_tensor(a) for a in arrs]
    blocks = [b.reshape(1, -1) if b.ndim < 2 else b for b in blocks]
    width = sum(b.shape[1] for b in blocks)
    rows, start = [], 0
    for b in blocks:
        after = width - start - b.shape[1]
        rows.append(OPS["pad"](b, widths=((0, 0), (start, after))))
        start += b.shape[1]
    return OPS["concatenate"](*rows, axis=0)


def cho_solve(c_and_lower: tuple[Any, bool], b: Any) -> Tensor:
    """x with a @ x = b, from the Cholesky factor of a and whether it is the lower one."""
    factor, lower = as_tensor(c_and_lower[0]), bool(c_and_lower[1])
    turned = shape.swapaxes(factor, -1, -2)
    first, second = (factor, turned) if lower else (turned, factor)
    return solve_triangular(second, solve_triangular(first, b, lower=True), lower=False)


def cho_factor(a: Any, lower: bool = False) -> tuple[Tensor, bool]:
    """The Cholesky factor of a, for ``cho_solve``; its other triangle is zero."""
    return cholesky(a, upper=not lower), lower


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Tensor:
    """The x with tensordot(a, x, x.ndim) = b.

    Args:
        a: shape (*b.shape, *x.shape), with as many elements in either part.
        b: an array.
        axes: axes of a to move to its end first.
    """
    x, y = as_tensor(a), as_tensor(b)
    if axes is not None:
        x = shape.moveaxis(x, list(axes), list(range(x.ndim - len(axes), x.ndim)))
    rest = x.shape[y.ndim :]
    if x.size != y.size**2:
        raise ShapeError(
            message(
                f"tensorsolve of shapes {x.shape} and {y.shape}", "as many unknowns as equations"
            )
        )
    return solve(x.reshape(y.size, y.size), y.ravel()).reshape(rest)


def tensorinv(a: Any, ind: int = 2) -> Tensor:
    """The inverse of an array as a map from its last axes to its first ``ind`` ones."""
    x = as_tensor(a)
    first, last = x.shape[:ind], x.shape[ind:]
    n = math.prod(last)
    if ind < 1 or math.prod(first) != n:
        raise ShapeError(
            message(f"tensorinv of shape {x.shape}, ind={ind}", "as many elements on either side")
        )
    return inv(x.reshape(n, n)).reshape((*last, *first))


def matrix_transpose(x: Any) -> Tensor:
    """The last two axes exchanged."""
    return shape.swapaxes(as_tensor(x), -1, -2)


def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product."""
    return OPS["matmul"](as_tensor(x1), as_tensor(x2))


def trace(x: Any, *, offset: int = 0) -> Tensor:
    """The sum of a diagonal of the last two axes."""
    return linalg.trace(as_tensor(x), offset, -2, -1)


def diagonal(x: Any, *, offset: int = 0) -> Tensor:
    """A diagonal of the last two axes."""
    return linalg.diagonal(as_tensor(x), offset, -2, -1)


_ELSEWHERE = {
    "eig": "eigh for symmetric matrices",
    "eigvals": "eigvalsh for symmetric matrices",
    "schur": "eigh for symmetric matrices",
    "matrix_exp": "expm",
    "lu": "solve, inv, det or slogdet",
    "lu_factor": "solve, which takes several right-hand sides at once",
    "polar": "svd",
    "triangular_solve": "solve_triangular",
}


def __getattr__(name: str) -> Any:
    """Say what to do about a name that is not here."""
    hint = ""
    if name in ("eig", "eigvals", "schur"):
        hint = "; eigenvalues of general matrices are complex, and tensors are real"
    if name in _ELSEWHERE:
        hint += f"; use {_ELSEWHERE[name]}"
    raise AttributeError(f"stablegrad.numpy.linalg has no {name!r}{hint}")


__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "expm",
    "funm",
    "inv",
    "logm",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "sqrtm",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]
