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
from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.norms import norm_kept, scaled, sum_of_squares, unit_vector
from stablegrad.ops.record import NONNEGATIVE, const
from stablegrad.ops.reduction import (
    Axis,
    count,
    normal_axes_of,
    normal_reduction,
    reduce_infer,
    reduced,
    spread,
    widened,
)
from stablegrad.ops.structured import Normal, Params, Terms, is_symbolic, linear_jvp, structured

SOURCE = "Higham 2002, section 1.9"

# -- kernels ------------------------------------------------------------------------------


def centred(xp: Any, x: Any, axis: Axis) -> Any:
    """x less its mean over the axes, to the last digits of what is left."""
    n = count(x.shape, axis)
    if n == 0:
        return x
    mean = xp.sum(x, axis=axis, keepdims=True) / n
    if not is_symbolic(xp) and not np.isfinite(mean).all():  # the sum may have overflowed
        mean = np.where(np.isfinite(mean), mean, np.sum(x / n, axis=axis, keepdims=True))
    left = x - mean
    return left - xp.sum(left, axis=axis, keepdims=True) / n


def _center_kernel(xp: Any, x: Any, *, axis: Axis) -> Any:
    return centred(xp, widened(xp, x), axis)


def _std_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, ddof: float) -> Any:
    off = centred(xp, widened(xp, x), axis)
    left = count(x.shape, axis) - ddof
    size = norm_kept(xp, off, axis)
    size = size / math.sqrt(left) if left > 0 else xp.where(size > 0, math.inf, math.nan)
    return size.reshape(reduced(x.shape, axis, keepdims))


def _var_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, ddof: float) -> Any:
    off = centred(xp, widened(xp, x), axis)
    left = count(x.shape, axis) - ddof
    total, safe = sum_of_squares(xp, off, axis)
    if left <= 0:  # 0/0, or inf where the squares are not 0, as NumPy has it
        out = xp.where(total > 0, math.inf, math.nan)
    elif safe:
        out = total / left
    else:
        y, exponent = scaled(xp, off, axis)
        out = xp.ldexp(xp.sum(y * y, axis=axis, keepdims=True) / left, 2 * exponent)
    return out.reshape(reduced(x.shape, axis, keepdims))


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
    infer_facts=lambda term: Facts(defined=term.args[0].facts.defined),
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
