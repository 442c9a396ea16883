"""Products of arrays."""

from __future__ import annotations

from typing import Any

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import operands
from stablegrad.ops import einsums, linalg
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.methods import no_out


def matmul(x1: Any, x2: Any, out: None = None) -> Tensor:
    """The matrix product, over leading axes broadcast."""
    no_out(out)
    return OPS["matmul"](as_tensor(x1), as_tensor(x2))


def dot(a: Any, b: Any, out: None = None) -> Tensor:
    """The dot product: of vectors, matrices, or with a scalar."""
    no_out(out)
    return linalg.dot(as_tensor(a), as_tensor(b))


def inner(a: Any, b: Any) -> Tensor:
    """The sum of products over the last axes."""
    x, y = as_tensor(a), as_tensor(b)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    return linalg.tensordot(x, y, (-1, -1))


def vdot(a: Any, b: Any) -> Tensor:
    """The dot product of all elements."""
    return linalg.dot(as_tensor(a).ravel(), as_tensor(b).ravel())


def outer(a: Any, b: Any, out: None = None) -> Tensor:
    """All products of an element of a and one of b."""
    no_out(out)
    return linalg.outer(as_tensor(a).ravel(), as_tensor(b).ravel())


def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """The sum of products over chosen axes."""
    return linalg.tensordot(as_tensor(a), as_tensor(b), axes)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal."""
    return linalg.trace(as_tensor(a), offset, axis1, axis2)


def einsum(subscripts: str, *operands: Any, out: None = None, optimize: Any = True) -> Tensor:
    """Einstein's summation."""
    no_out(out)
    return einsums.einsum(subscripts, *[as_tensor(x) for x in operands])


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The dot products of vectors along an axis, over the others broadcast."""
    x, y = operands(x1, x2)
    return (x * y).sum(axis=axis)


def matvec(x1: Any, x2: Any, /) -> Tensor:
    """Matrices times vectors, over leading axes broadcast."""
    v = as_tensor(x2)
    return (as_tensor(x1) @ v.reshape((*v.shape, 1))).squeeze(-1)


def vecmat(x1: Any, x2: Any, /) -> Tensor:
    """Vectors times matrices, over leading axes broadcast."""
    v = as_tensor(x1)
    return (v.reshape((*v.shape[:-1], 1, v.shape[-1])) @ as_tensor(x2)).squeeze(-2)


def cross(a: Any, b: Any) -> Tensor:
    """The vector product, over the last axis, of length 3."""
    x, y = as_tensor(a), as_tensor(b)
    if x.shape[-1:] != (3,) or y.shape[-1:] != (3,):
        raise ShapeError(message(f"cross of {x.shape} and {y.shape}", "a last axis of length 3"))
    following, before = [1, 2, 0], [2, 0, 1]
    return x[..., following] * y[..., before] - x[..., before] * y[..., following]
