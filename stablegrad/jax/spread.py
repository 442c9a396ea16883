"""Decompositions, convolutions and windows of JAX's as terms: what the audit alone reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stablegrad.engines.numpy import xp
from stablegrad.ir import OPS, Term
from stablegrad.ops.indexing import getitem
from stablegrad.ops.orthogonal import complement
from stablegrad.ops.record import const
from stablegrad.ops.solving import flipped, matmul
from stablegrad.tensor.cells import freeze, value_leaf

Array = np.ndarray[Any, Any]
Terms = Sequence[Term | None]


def taken(line: Term, numbers: Array) -> Term:
    """Elements of a line, by their numbers."""
    return getitem(line, value_leaf(freeze(numbers.astype(np.int64))))


# -- decompositions -----------------------------------------------------------------------


def _signed(term: Term, x: Array, like: Array, *, axis: int = -2) -> Term:
    """Vectors that are free but for their sign, with the signs that JAX chose."""
    ours = np.asarray(term.op.kernel(xp, x))
    signs = np.where(np.sum(ours * like, axis=axis, keepdims=True) < 0, -1, 1)
    return OPS["multiply"](term, value_leaf(freeze(signs.astype(term.dtype))))


def _eigh(a: Term, x: Array, values: Sequence[Array], params: Mapping[str, Any]) -> Terms | None:
    if params["subset_by_index"] is not None or not np.array_equal(x, np.swapaxes(x, -1, -2)):
        return None
    return [_signed(OPS["eigenvectors"](a), x, values[0]), OPS["eigvalsh"](a)]


def _svd(a: Term, x: Array, values: Sequence[Array], params: Mapping[str, Any]) -> Terms | None:
    if params["subset_by_index"] is not None:
        return None
    found = [OPS["svdvals"](a)]
    if not params["compute_uv"]:
        return found
    k = min(a.shape[-2:])
    u, vh = values[1], values[2]
    left = _signed(OPS["left_vectors"](a), x, u[..., :k])
    right = _signed(OPS["right_vectors"](a), x, vh[..., :k, :], axis=-1)
    if params["full_matrices"]:
        left = _completed(left, u)
        right = flipped(_completed(flipped(right), np.swapaxes(vh, -1, -2)))
    return [*found, left, right]


def _qr(a: Term, x: Array, values: Sequence[Array], params: Mapping[str, Any]) -> Terms | None:
    m, n = a.shape[-2:]
    if params["pivoting"]:
        order = np.asarray(values[2])
        a = matmul(a, _leaf(np.swapaxes(np.eye(n, dtype=a.dtype)[order], -1, -2)))
        x = np.take_along_axis(x, order[..., None, :], -1)
    first = getitem(a, index=(..., slice(None, m)))
    q, r = OPS["orthonormal"](first), OPS["upper_factor"](first)
    ours = np.asarray(q.op.kernel(xp, x[..., :m]))
    signs = np.where(np.sum(ours * values[0][..., : min(m, n)], axis=-2) < 0, -1, 1)
    signs = signs.astype(a.dtype)
    q = OPS["multiply"](q, _leaf(signs[..., None, :]))
    r = OPS["multiply"](r, _leaf(signs[..., None]))
    if m < n:
        rest = getitem(a, index=(..., slice(m, None)))
        r = OPS["concatenate"](r, matmul(flipped(q), rest), axis=-1)
    if params["full_matrices"] and m > n:
        below = const(0, a.dtype, (*r.shape[:-2], m - n, n))
        q, r = _completed(q, values[0]), OPS["concatenate"](r, below, axis=-2)
    return [q, r, None] if params["pivoting"] else [q, r]


def _leaf(value: Array) -> Term:
    return value_leaf(freeze(np.ascontiguousarray(value)))


def _completed(q: Term, values: Array) -> Term:
    """Orthonormal columns, and the further ones that JAX chose, turned from those of ours."""
    k, m = q.shape[-1], values.shape[-1]
    if k == m:
        return q
    known, others = values[..., :k], values[..., k:]
    axes = np.asarray(OPS["missing_axes"].kernel(xp, known))
    rest = axes - known @ (np.swapaxes(known, -1, -2) @ axes)
    ours = np.asarray(OPS["orthonormal"].kernel(xp, rest))
    turn = (np.swapaxes(ours, -1, -2) @ others).astype(q.dtype)
    return OPS["concatenate"](q, matmul(complement(q), _leaf(turn)), axis=-1)


def _cholesky(
    a: Term, x: Array, values: Sequence[Array], params: Mapping[str, Any]
) -> Terms | None:
    return [OPS["cholesky"](a)] if np.array_equal(x, np.swapaxes(x, -1, -2)) else None


DECOMPOSITIONS: dict[str, Callable[..., Terms | None]] = {
    "eigh": _eigh,
    "svd": _svd,
    "qr": _qr,
    "cholesky": _cholesky,
}
"""By primitive: given the term, its value, JAX's results and the parameters."""

# -- windows ------------------------------------------------------------------------------


def _windows(
    numbers: Array,
    sizes: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    window_dilation: Sequence[int],
) -> Array | None:
    """The elements in each window over the last axes: (..., places, window); 0 outside.

    None where no window fits.
    """
    first = numbers.ndim - len(sizes)
    for axis, step in enumerate(dilation, first):
        length = numbers.shape[axis]
        wide = np.zeros(_replaced(numbers.shape, axis, (length - 1) * step + 1), numbers.dtype)
        wide[_at(axis, slice(None, None, step))] = numbers
        numbers = wide
    for axis, (low, high) in enumerate(padding, first):
        pads = [(0, 0)] * numbers.ndim
        pads[axis] = (max(low, 0), max(high, 0))
        numbers = np.pad(numbers, pads)
        end = numbers.shape[axis] + min(high, 0)
        numbers = numbers[_at(axis, slice(-min(low, 0), end))]
    reach = [(k - 1) * d + 1 for k, d in zip(sizes, window_dilation, strict=True)]
    axes = tuple(range(first, numbers.ndim))
    if any(numbers.shape[a] < r for a, r in zip(axes, reach, strict=True)):
        return None
    found = np.lib.stride_tricks.sliding_window_view(numbers, reach, axis=axes)
    for i, (step, d) in enumerate(zip(strides, window_dilation, strict=True)):
        found = found[_at(first + i, slice(None, None, step))]
        found = found[_at(first + len(sizes) + i, slice(None, None, d))]
    return found


def _replaced(shape: Sequence[int], axis: int, length: int) -> tuple[int, ...]:
    return (*shape[:axis], length, *shape[axis + 1 :])


def _at(axis: int, chosen: slice) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, chosen)


def _chosen(x: Term, numbers: Array, outside: float) -> Term:
    """Elements of x by their numbers, from 1 on; 0 stands for what is outside of it."""
    line = taken(OPS["reshape"](x, shape=(x.size,)), np.maximum(numbers - 1, 0))
    if numbers.all():
        return line
    inside = value_leaf(freeze(numbers > 0))
    return OPS["where"](inside, line, const(outside, x.dtype))


def _numbers(shape: Sequence[int]) -> Array:
    return np.arange(1, math.prod(shape) + 1, dtype=np.int64).reshape(shape)


def convolution(args: tuple[Term, ...], params: Mapping[str, Any]) -> list[Term] | None:
    """``conv_general_dilated``: the windows of the left side times the right one."""
    x, w = args
    groups = params["feature_group_count"]
    if params["batch_group_count"] != 1:
        return None
    dims = params["dimension_numbers"]
    numbers = _numbers(x.shape).transpose(dims.lhs_spec)
    kernel = OPS["transpose"](w, axes=tuple(dims.rhs_spec))
    sizes = kernel.shape[2:]
    found = _windows(
        numbers,
        sizes,
        params["window_strides"],
        params["padding"],
        params["lhs_dilation"],
        params["rhs_dilation"],
    )
    if found is None:
        return None
    n, c, *places = found.shape[: 2 + len(sizes)]
    count, window = math.prod(places), math.prod(sizes)
    found = found.reshape(n, groups, c // groups, count, window)
    patches = _chosen(x, found, 0.0)
    shape = (groups, kernel.shape[0] // groups, c // groups, window)
    flat = OPS["reshape"](kernel, shape=shape)
    out = OPS["einsum"](patches, flat, subscripts="ngcpk,gock->ngop")
    out = OPS["reshape"](out, shape=(n, kernel.shape[0], *places))
    return [OPS["transpose"](out, axes=tuple(np.argsort(dims.out_spec).tolist()))]


def reduced_windows(
    ours: str, outside: float
) -> Callable[[tuple[Term, ...], dict[str, Any]], list[Term] | None]:
    """``reduce_window_*``: an op over the elements of each window."""

    def rule(args: tuple[Term, ...], params: dict[str, Any]) -> list[Term] | None:
        (x,) = args
        found = _windows(
            _numbers(x.shape),
            params["window_dimensions"],
            params["window_strides"],
            params["padding"],
            params["base_dilation"],
            params["window_dilation"],
        )
        if found is None:
            return None
        shape = found.shape[: x.ndim]
        parts = _chosen(x, found.reshape(*shape, -1), outside)
        return [OPS[ours](parts, axis=(x.ndim,), keepdims=False)]

    return rule


WINDOWS: dict[str, Callable[[tuple[Term, ...], dict[str, Any]], list[Term] | None]] = {
    "conv_general_dilated": convolution,
    "reduce_window_sum": reduced_windows("sum", 0.0),
    "reduce_window_max": reduced_windows("max", -math.inf),
    "reduce_window_min": reduced_windows("min", math.inf),
}
