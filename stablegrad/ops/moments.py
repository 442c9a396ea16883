"""Deviation from the mean, variance and standard deviation.

All rest on ``center``, x less its mean: linear, its own transpose, and right to the last digits
of the deviations, because the rounded mean is corrected by the mean of what is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, message
from stablegrad.ir import OPS, Term
from stablegrad.ops.norms import SMALLEST_SAFE, norm_of_rows, scaled_rows, unit_vector
from stablegrad.ops.record import NONNEGATIVE, const
from stablegrad.ops.reduction import (
    Axis,
    as_rows,
    count,
    every,
    from_rows,
    normal_axes_of,
    normal_reduction,
    real_dtype,
    reduce_infer,
    reduced,
    spread,
    widened,
)
from stablegrad.ops.structured import Normal, Params, Terms, is_symbolic, linear_jvp, structured

SOURCE = "Higham 2002, section 1.9"

# -- kernels ------------------------------------------------------------------------------


def centred_rows(xp: Any, rows: Any) -> Any:
    """Rows less their mean, to the last digits of what is left."""
    n = rows.shape[-1]
    if n == 0:
        return rows
    left = rows - _mean_of_rows(xp, rows, n)
    return left - xp.sum(left, axis=-1, keepdims=True) / n


def _mean_of_rows(xp: Any, rows: Any, n: int) -> Any:
    total = xp.sum(rows, axis=-1, keepdims=True) / n
    if is_symbolic(xp) or np.isfinite(total).all():
        return total
    return np.where(np.isfinite(total), total, np.sum(rows / n, axis=-1, keepdims=True))


def _center_kernel(xp: Any, x: Any, *, axis: Axis) -> Any:
    axes = every(axis, x.ndim)
    return from_rows(xp, centred_rows(xp, as_rows(xp, widened(xp, x), axes)), x.shape, axes)


def _std_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, ddof: float) -> Any:
    rows = centred_rows(xp, as_rows(xp, widened(xp, x), every(axis, x.ndim)))
    left = rows.shape[-1] - ddof
    size = norm_of_rows(xp, rows) / math.sqrt(left) if left > 0 else _undefined(xp, rows)
    return size.reshape(reduced(x.shape, axis, keepdims))


def _var_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, ddof: float) -> Any:
    rows = centred_rows(xp, as_rows(xp, widened(xp, x), every(axis, x.ndim)))
    if rows.shape[-1] <= ddof:
        out = _undefined(xp, rows)
    elif is_symbolic(xp):
        out = _scaled_variance(xp, rows, ddof)
    else:
        out = np.sum(rows * rows, axis=-1, keepdims=True) / (rows.shape[-1] - ddof)
        redo = ~((out > SMALLEST_SAFE) & np.isfinite(out))[..., 0]
        if redo.any():
            out[redo] = _scaled_variance(xp, rows[redo], ddof)
    return out.reshape(reduced(x.shape, axis, keepdims))


def _scaled_variance(xp: Any, rows: Any, ddof: float) -> Any:
    y, exponent = scaled_rows(xp, rows)
    return xp.ldexp(xp.sum(y * y, axis=-1, keepdims=True) / (rows.shape[-1] - ddof), 2 * exponent)


def _undefined(xp: Any, rows: Any) -> Any:
    """What NumPy has with no degree of freedom left: 0/0, or inf where the squares are not 0."""
    total = xp.sum(rows * rows, axis=-1, keepdims=True)
    return xp.where(total > 0, math.inf, math.nan)


# -- derivatives --------------------------------------------------------------------------


def _freedom(x: Term, axis: Axis, ddof: float) -> float:
    """The degrees of freedom; nan where none is left."""
    left = count(x.shape, axis) - ddof
    return left if left > 0 else math.nan


def _var_jvp(
    out: Term,
    args: Terms,
    tangents: Sequence[Term | None],
    *,
    axis: Axis,
    keepdims: bool,
    ddof: float,
) -> Term:
    (x,) = args
    along = center(x, axis=axis) * tangents[0]
    return 2 * OPS["sum"](along, axis=axis, keepdims=keepdims) / _freedom(x, axis, ddof)


def _var_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool, ddof: float) -> Terms:
    (x,) = args
    return (2 * spread(g, x.shape, axis) * center(x, axis=axis) / _freedom(x, axis, ddof),)


def _root_of_freedom(x: Term, axis: Axis, ddof: float) -> Term:
    return OPS["sqrt"](const(_freedom(x, axis, ddof), real_dtype(x.dtype)))


def _std_jvp(
    out: Term,
    args: Terms,
    tangents: Sequence[Term | None],
    *,
    axis: Axis,
    keepdims: bool,
    ddof: float,
) -> Term:
    (x,) = args
    along = unit_vector(center(x, axis=axis), axis=axis) * tangents[0]
    return OPS["sum"](along, axis=axis, keepdims=keepdims) / _root_of_freedom(x, axis, ddof)


def _std_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool, ddof: float) -> Terms:
    (x,) = args
    direction = unit_vector(center(x, axis=axis), axis=axis)
    return (spread(g, x.shape, axis) * direction / _root_of_freedom(x, axis, ddof),)


# -- records ------------------------------------------------------------------------------


center = structured(
    "center",
    normalise=normal_axes_of("center"),
    kernel=_center_kernel,
    spellings=(lambda x, *, axis: x - OPS["mean"](x, axis=axis, keepdims=True),),
    jvp=linear_jvp,
    vjp=lambda out, args, g, *, axis: (center(g, axis=axis),),
    accuracy="n*eps relative to the greatest deviation",
    family="reduction",
    params=("axis",),
    defaults=(None,),
    infer=lambda args, params: (args[0].shape, real_dtype(args[0].dtype)),
    cost=3,
    ulp=None,
    source=SOURCE,
    doc="x less its mean over axes, all by default.",
    example=">>> sg.ops.center(sg.tensor([1e7, 1e7 + 2])).numpy()\narray([-1.,  1.], ...)",
)


def _normal_spread(name: str) -> Any:
    first = normal_reduction(name)

    def normalise(terms: Terms, params: Params) -> Normal:
        if not isinstance(params[2], int | float):
            raise DomainError(message(f"ddof={params[2]!r} of {name}", "a number"))
        return first(terms, params)

    return normalise


def _variance(x: Term, axis: Axis, keepdims: bool, ddof: float) -> Term:
    """The variance by its meaning."""
    off = x - OPS["mean"](x, axis=axis, keepdims=True)
    return OPS["sum"](off * off, axis=axis, keepdims=keepdims) / _freedom(x, axis, ddof)


_SPREAD: dict[str, Any] = {
    "family": "reduction",
    "params": ("axis", "keepdims", "ddof"),
    "defaults": (None, False, 0),
    "infer": reduce_infer(real_dtype),
    "infer_facts": lambda term: NONNEGATIVE,
    "cost": 4,
    "ulp": None,
    "accuracy": "n*eps relative",
    "source": SOURCE,
}

var = structured(
    "var",
    normalise=_normal_spread("var"),
    kernel=_var_kernel,
    spellings=(lambda x, *, axis, keepdims, ddof: _variance(x, axis, keepdims, ddof),),
    jvp=_var_jvp,
    vjp=_var_vjp,
    aten="var",
    doc="The variance over axes, all by default: sum of squared deviations / (n - ddof).",
    example=">>> sg.ops.var(sg.tensor([1e7, 1e7 + 2])).item()\n1.0",
    **_SPREAD,
)

std = structured(
    "std",
    normalise=_normal_spread("std"),
    kernel=_std_kernel,
    spellings=(lambda x, *, axis, keepdims, ddof: OPS["sqrt"](_variance(x, axis, keepdims, ddof)),),
    jvp=_std_jvp,
    vjp=_std_vjp,
    aten="std",
    doc="The standard deviation over axes, all by default; its derivative at 0 is 0.",
    example=">>> sg.ops.std(sg.tensor([1e7, 1e7 + 2])).item()\n1.0",
    **_SPREAD,
)
