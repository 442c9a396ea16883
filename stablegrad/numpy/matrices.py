"""Functions of matrices, in the last two axes; leading axes are a batch. See ``linalg``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.ir import OPS
from stablegrad.ops import linalg, shape
from stablegrad.tensor import Tensor, as_tensor


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


def square(x: Any, name: str) -> Tensor:
    """A batch of square matrices."""
    t = as_tensor(x)
    if t.ndim < 2 or t.shape[-1] != t.shape[-2]:
        raise ShapeError(message(f"{name} of shape {t.shape}", "square matrices"))
    return t


def turned(x: Tensor) -> Tensor:
    """The matrices transposed."""
    return shape.swapaxes(x, -1, -2)


def solve(a: Any, b: Any) -> Tensor:
    """Solve a @ x = b.

    Args:
        a: square matrices, of shape (..., n, n).
        b: a vector of shape (n,), or matrices of shape (..., n, k); leading axes broadcast.

    Returns:
        x, of the shape of b; nan where a is singular.
    """
    left, right = square(a, "solve"), as_tensor(b)
    if right.ndim == 1:
        return OPS["solve"](left, right[:, None])[..., 0]
    return OPS["solve"](left, right)


def solve_triangular(
    a: Any, b: Any, lower: bool = False, trans: Any = 0, unit_diagonal: bool = False
) -> Tensor:
    """Solve T @ x = b for one triangle T of a, as scipy.linalg has it.

    Args:
        a: square matrices; the other triangle is not read.
        b: a vector or matrices.
        lower: whether T is the lower triangle.
        trans: 1 or "T" for the transpose of T; 0 or "N" for T.
        unit_diagonal: whether the diagonal counts as 1.
    """
    if trans not in (0, 1, "N", "T"):
        raise DomainError(message(f"trans={trans!r}", "0, 'N', 1 or 'T'"))
    left, right = square(a, "solve_triangular"), as_tensor(b)
    if trans in (1, "T"):
        left, lower = turned(left), not lower
    column = right[:, None] if right.ndim == 1 else right
    x = OPS["triangular_solve"](left, column, upper=not lower, unit=bool(unit_diagonal))
    return x[..., 0] if right.ndim == 1 else x


def inv(a: Any) -> Tensor:
    """The inverse of square matrices; nan where there is none. ``solve`` is more accurate."""
    return OPS["inv"](square(a, "inv"))


def det(a: Any) -> Tensor:
    """The determinant of square matrices; derivatives are right at singular ones too."""
    return OPS["det"](square(a, "det"))


def slogdet(a: Any) -> SlogdetResult:
    """The sign of the determinant and log |det|, which is -inf for singular matrices."""
    t = square(a, "slogdet")
    return SlogdetResult(OPS["sign_of_det"](t), OPS["logabsdet"](t))


def cholesky(a: Any, /, *, upper: bool = False) -> Tensor:
    """The Cholesky factor of positive definite matrices, read as (a + a.T)/2.

    Args:
        a: square matrices.
        upper: whether to give the upper triangular factor.

    Returns:
        L with L @ L.T = a, or its transpose; nan where a is not positive definite.
    """
    factor = OPS["cholesky"](square(a, "cholesky"))
    return turned(factor) if upper else factor


def matrix_power(a: Any, n: int) -> Tensor:
    """The n-th power of square matrices; negative powers are those of the inverse."""
    t = square(a, "matrix_power")
    if n == 0:
        return as_tensor(np.broadcast_to(np.eye(t.shape[-1], dtype=t.dtype), t.shape))
    if n < 0:
        t, n = inv(t), -n
    result: Tensor | None = None
    while True:
        if n % 2:
            result = t if result is None else result @ t
        n //= 2
        if not n:
            assert result is not None
            return result
        t = t @ t


def multi_dot(arrays: Any) -> Tensor:
    """The product of several matrices, in the cheapest order."""
    factors = [as_tensor(a) for a in arrays]
    if len(factors) < 2:
        raise ShapeError(message(f"multi_dot of {len(factors)} arrays", "two or more"))
    first, last = factors[0].ndim == 1, factors[-1].ndim == 1
    if first:
        factors[0] = factors[0][None, :]
    if last:
        factors[-1] = factors[-1][:, None]
    out = _chain(factors)
    out = out[0] if first else out
    return out[..., 0] if last else out


def _chain(factors: list[Tensor]) -> Tensor:
    """The product of matrices in the order of the fewest multiplications."""
    sizes = [f.shape[0] for f in factors] + [factors[-1].shape[1]]
    best: dict[tuple[int, int], tuple[int, int]] = {}  # of i to j: the cost, and where to split
    n = len(factors)
    for length in range(1, n + 1):
        for i in range(n - length + 1):
            j = i + length
            costs = [
                (best[i, k][0] + best[k, j][0] + sizes[i] * sizes[k] * sizes[j], k)
                for k in range(i + 1, j)
            ]
            best[i, j] = min(costs, default=(0, i))
    products = {(i, i + 1): f for i, f in enumerate(factors)}
    for i, j in sorted(best, key=lambda pair: pair[1] - pair[0]):
        if j - i > 1:
            k = best[i, j][1]
            products[i, j] = products[i, k] @ products[k, j]
    return products[0, n]


def outer(x1: Any, x2: Any, /) -> Tensor:
    """All products of an element of one vector and one of another."""
    a, b = as_tensor(x1), as_tensor(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(message(f"outer of shapes {a.shape} and {b.shape}", "two vectors"))
    return linalg.outer(a, b)


def kron(a: Any, b: Any) -> Tensor:
    """The Kronecker product: every element of a times all of b."""
    x, y = as_tensor(a), as_tensor(b)
    ndim = max(x.ndim, y.ndim)
    x = x.reshape((1,) * (ndim - x.ndim) + x.shape)
    y = y.reshape((1,) * (ndim - y.ndim) + y.shape)
    left = [n for m in x.shape for n in (m, 1)]
    right = [n for m in y.shape for n in (1, m)]
    joint = [m * n for m, n in zip(x.shape, y.shape, strict=True)]
    return (x.reshape(left) * y.reshape(right)).reshape(joint)
