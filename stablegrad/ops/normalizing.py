"""x less its mean, over its root mean square: what normalisation layers have in common.

With c = x - mean(x) and n elements, c / sqrt(mean(c*c) + eps) is sqrt(n) times a part of the
unit vector of (c, sqrt(n*eps)). So its derivatives are those of the unit vector: nothing
overflows or cancels, whatever the size of x, its mean and eps, also for a variance of 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stablegrad.errors import DomainError, message
from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.moments import centred
from stablegrad.ops.norms import scaled, sum_of_squares
from stablegrad.ops.record import const, interval
from stablegrad.ops.reduction import (
    Axis,
    count,
    every,
    normal_axes_of,
    real_dtype,
    widened,
)
from stablegrad.ops.shape import moveaxis, slice_axis
from stablegrad.ops.structured import Normal, Params, Terms, structured

_axes = normal_axes_of("standardize")


def _normal(terms: Terms, params: Params) -> Normal:
    axis, eps, centered = params
    if not (isinstance(eps, int | float) and 0 <= eps < math.inf):
        raise DomainError(message(f"eps={eps!r} of standardize", "a number of 0 or more"))
    normal = _axes(terms, (axis,))
    assert isinstance(normal, tuple)
    return normal[0], (*normal[1], float(eps), bool(centered))


def _kernel(xp: Any, x: Any, *, axis: Axis, eps: float, centered: bool) -> Any:
    n = count(x.shape, axis)
    if x.size == 0:
        return x
    wide = widened(xp, x)
    c = centred(xp, wide, axis) if centered else wide
    total, safe = sum_of_squares(xp, c, axis)
    if safe:
        return c / xp.sqrt(total / n + eps)
    _, exponent = scaled(xp, c, axis)
    if eps:  # so that neither of the two overflows; the lesser may vanish beside the other
        exponent = xp.maximum(exponent, math.frexp(math.sqrt(eps))[1])
    y = xp.ldexp(c, -exponent)
    half = xp.ldexp(xp.full(exponent.shape, math.sqrt(eps)), -exponent)
    size = xp.sqrt(xp.sum(y * y, axis=axis, keepdims=True) / n + half * half)
    return y / xp.where(size == 0, 1.0, size)


# -- derivatives --------------------------------------------------------------------------


def joined_rows(x: Term, axis: Axis) -> tuple[Term, tuple[int, ...]]:
    """The axes joined as the last one."""
    axes = every(axis, x.ndim)
    moved = moveaxis(x, axes, tuple(range(x.ndim - len(axes), x.ndim)))
    lead = moved.shape[: x.ndim - len(axes)]
    return OPS["reshape"](moved, shape=(*lead, count(x.shape, axis))), axes


def parted_rows(rows: Term, shape: Shape, axes: tuple[int, ...]) -> Term:
    """Rows put back to the axes that they were made from."""
    lengths = [n for i, n in enumerate(shape) if i not in axes] + [shape[a] for a in axes]
    ends = tuple(range(len(shape) - len(axes), len(shape)))
    return moveaxis(OPS["reshape"](rows, shape=tuple(lengths)), ends, axes)


def _slope(x: Term, t: Term, axis: Axis, eps: float, centered: bool) -> Term:
    """The derivative along t, which is its own transpose."""
    n = count(x.shape, axis)
    if x.size == 0:
        return t
    if centered:
        x, t = OPS["center"](x, axis=axis), OPS["center"](t, axis=axis)
    shape = x.shape
    (rows, axes), (tangent, _) = joined_rows(x, axis), joined_rows(t, axis)
    if eps:
        end = (*rows.shape[:-1], 1)
        rows = OPS["concatenate"](rows, const(math.sqrt(n * eps), x.dtype, end), axis=-1)
        tangent = OPS["concatenate"](tangent, const(0, x.dtype, end), axis=-1)
    turned = OPS["unit_vector_jvp"](rows, tangent, axis=-1)
    out = parted_rows(slice_axis(turned, -1, 0, n), shape, axes) * math.sqrt(n)
    return OPS["center"](out, axis=axis) if centered else out


def _jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term:
    assert tangents[0] is not None
    return _slope(args[0], tangents[0], **params)


def _meaning(x: Term, *, axis: Axis, eps: float, centered: bool) -> Term:
    c = x - OPS["mean"](x, axis=axis, keepdims=True) if centered else x
    return c / OPS["sqrt"](OPS["mean"](c * c, axis=axis, keepdims=True) + eps)


def _facts(term: Term) -> Any:
    n = count(term.shape, term.params[0])
    bound = math.nextafter(math.sqrt(n), math.inf)
    facts = interval(-bound, bound, closed=True)
    return facts._replace(defined=term.args[0].facts.defined)


standardize = structured(
    "standardize",
    family="reduction",
    params=("axis", "eps", "centered"),
    defaults=(-1, 0.0, True),
    normalise=_normal,
    infer=lambda args, params: (args[0].shape, real_dtype(args[0].dtype)),
    kernel=_kernel,
    spellings=(_meaning,),
    jvp=_jvp,
    vjp=lambda out, args, g, **params: (_slope(args[0], g, **params),),
    infer_facts=_facts,
    cost=5,
    ulp=None,
    accuracy="n*eps relative to the greatest deviation",
    source="Ba, Kiros and Hinton 2016, as a part of a unit vector",
    doc="(x - mean(x)) / sqrt(mean of squares + eps) over axes; not centred, x over its own root.",
    example=(
        ">>> x = sg.tensor([1e30, 1e30, 4e30])\n"
        ">>> sg.ops.standardize(x).numpy()\n"
        "array([-0.70710677, -0.70710677,  1.4142135 ], dtype=float32)"
    ),
)
