"""Jensen's gap of the exponential, from the mean to the log of the mean of exponentials.

It is of second order in the deviations d from the mean: log1p(mean(expm1(d) - d)), a sum of what
is not negative. Its slope, softmax(x) - 1/n, is of the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops.differences import expm1mx
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.moments import centred
from stablegrad.ops.reduction import (
    Axis,
    count,
    normal_axes_of,
    normal_reduction,
    real_infer,
    reduce_infer,
    reduced,
    spread,
    widened,
)
from stablegrad.ops.softmax_family import softmax, softmax_jvp
from stablegrad.ops.softmax_kernels import logsumexp
from stablegrad.ops.softmax_kernels import softmax as softmax_kernel
from stablegrad.ops.structured import Terms, is_symbolic, structured

_SOURCE = "the mean of deviations is 0"
_WIDE = 30.0
"""Deviations from here on hold so much of the sum that nothing cancels."""


def _kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    shape, n = reduced(x.shape, axis, keepdims), count(x.shape, axis)
    if x.size == 0 or n == 0:
        return xp.full(shape, math.nan)
    wide = widened(xp, x)
    off = centred(xp, wide, axis)
    top = xp.max(off, axis=axis, keepdims=True)
    near = top < _WIDE
    bent = expm1mx.kernel(xp, xp.where(near, off, 0.0))
    gap = xp.log1p(xp.sum(bent, axis=axis, keepdims=True) / n)
    if is_symbolic(xp) or not near.all():
        regular = xp.isfinite(top)
        mean = xp.where(regular, 0.0, xp.sum(wide, axis=axis, keepdims=True) / n)
        whole = logsumexp(xp, xp.where(regular, off, wide), axis=axis, keepdims=True)
        gap = xp.where(near, gap, whole - math.log(n) - mean)
    return gap.reshape(shape)


def _slope_kernel(xp: Any, x: Any, *, axis: Axis) -> Any:
    if x.size == 0:
        return x
    n = count(x.shape, axis)
    off = centred(xp, widened(xp, x), axis)
    held = xp.minimum(off, _WIDE)
    # beside deviations the rounding of their gap, of second order, is small
    gap = xp.log1p(xp.sum(xp.expm1(held) - held, axis=axis, keepdims=True) / n)
    exponent = off - gap
    near = xp.abs(exponent) < 1.0
    near = near & (xp.max(off, axis=axis, keepdims=True) < _WIDE)
    gain = xp.expm1(xp.where(near, exponent, 0.0)) / n
    if not is_symbolic(xp) and near.all():
        return gain
    return xp.where(near, gain, softmax_kernel(xp, x, axis=axis) - 1.0 / n)


def _jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis, keepdims: bool
) -> Term:
    along = jensen_excess_slope(args[0], axis=axis) * tangents[0]
    return OPS["sum"](along, axis=axis, keepdims=keepdims)


jensen_excess = structured(
    "jensen_excess",
    family="reduction",
    params=("axis", "keepdims"),
    defaults=(None, False),
    source=_SOURCE,
    normalise=normal_reduction("jensen_excess"),
    infer=reduce_infer(real_dtype),
    kernel=_kernel,
    spellings=(
        lambda x, *, axis, keepdims: (
            OPS["log"](OPS["mean"](OPS["exp"](x), axis=axis, keepdims=keepdims))
            - OPS["mean"](x, axis=axis, keepdims=keepdims)
        ),
    ),
    jvp=_jvp,
    vjp=lambda out, args, g, *, axis, keepdims: (
        spread(g, args[0].shape, axis) * jensen_excess_slope(args[0], axis=axis),
    ),
    infer_facts=lambda term: Facts(lo=0.0),
    cost=8,
    ulp=None,
    widens=True,
    accuracy="n*eps relative to it",
    doc="log(mean(exp(x))) - mean(x), also where all are near.",
    example=">>> sg.ops.jensen_excess(sg.tensor([1.0, 1.0 + 2**-10])).item()\n1.192092...e-07",
)

jensen_excess_slope = structured(
    "jensen_excess_slope",
    normalise=normal_axes_of("jensen_excess_slope"),
    infer=real_infer,
    kernel=_slope_kernel,
    spellings=(lambda x, *, axis: softmax(x, axis=axis) - 1 / count(x.shape, axis),),
    jvp=lambda out, args, tangents, *, axis: softmax_jvp(args[0], tangents[0], axis=axis),
    vjp=lambda out, args, g, *, axis: (softmax_jvp(args[0], g, axis=axis),),
    infer_facts=lambda term: Facts(-1.0, 1.0, defined=term.args[0].facts.defined),
    family="reduction",
    params=("axis",),
    defaults=(-1,),
    cost=8,
    ulp=None,
    widens=True,
    accuracy="n*eps relative to the greatest",
    source=_SOURCE,
    doc="softmax(x) - 1/n, also where all are near: the slope of jensen_excess.",
    example=">>> sg.ops.jensen_excess_slope(sg.tensor([1.0, 1.0 + 2**-10])).numpy()\n"
    "array([-0.00024414,  0.00024414], dtype=float32)",
)
