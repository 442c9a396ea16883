"""numpy.linalg's names for tensors."""

from __future__ import annotations

from typing import Any

from stablegrad.errors import DomainError, message
from stablegrad.ir import OPS
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
from stablegrad.ops import linalg, shape
from stablegrad.tensor import Tensor, as_tensor


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The 2-norm over axes, or of all elements; the derivative at 0 is 0.

    Args:
        x: an array.
        ord: None, 2 or "fro" (the square root of the sum of squares); 1, inf and -inf for
            vectors.
        axis: an axis or several.
        keepdims: whether reduced axes stay with length 1.
    """
    t = as_tensor(x)
    vector = t.ndim == 1 or isinstance(axis, int)
    if ord is None or (ord == 2 and vector) or (ord == "fro" and not vector):
        return OPS["norm"](t, axis=axis, keepdims=keepdims)
    if vector and ord == 1:
        return abs(t).sum(axis=axis, keepdims=keepdims)
    if vector and ord in (float("inf"), float("-inf")):
        size = abs(t)
        reduce = size.max if ord > 0 else size.min
        return reduce(axis=axis, keepdims=keepdims)
    raise DomainError(message(f"norm with ord={ord!r}", "2 or 'fro'; 1, inf or -inf of vectors"))


def vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """The norm of vectors along axes."""
    t = as_tensor(x)
    if ord == 2:
        return OPS["norm"](t, axis=axis, keepdims=keepdims)
    return norm(t if axis is not None else t.ravel(), ord, axis, keepdims)


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


__all__ = [
    "cholesky",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_power",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "slogdet",
    "solve",
    "solve_triangular",
    "trace",
    "vector_norm",
]
