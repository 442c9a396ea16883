"""Sums, means, extremes and truth over axes, and the running sum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, UNKNOWN, Facts, Shape, Term
from stablegrad.ops.dtypes import real_dtype, total_dtype
from stablegrad.ops.record import ZERO, Op, is_float
from stablegrad.ops.structured import (
    Normal,
    Params,
    Terms,
    full_support,
    is_symbolic,
    linear_jvp,
    normal_axes,
    normal_axis,
    structured,
    union,
)

Axis = tuple[int, ...] | None
"""The axes of a reduction in normal form: sorted, counted from the front; None for all."""

SUM_BOUND = "n*eps relative to the sum of absolute terms"


# -- what reductions share ----------------------------------------------------------------


def normal_reduction(name: str, *, empty: bool = True) -> Callable[[Terms, Params], Normal]:
    """Normal form of (axis, keepdims, ...) for the op ``name``.

    Args:
        name: for error texts.
        empty: whether there is a result for no elements.
    """

    def normalise(terms: Terms, params: Params) -> Normal:
        x = terms[0]
        axis: Axis = None if params[0] is None else normal_axes(params[0], x.ndim, name)
        if axis is not None and len(axis) == x.ndim:
            axis = None
        if not empty and 0 in [x.shape[a] for a in every(axis, x.ndim)]:
            raise ShapeError(
                message(
                    f"{name} over {axis or 'all axes'} of shape {x.shape}", "an element at least"
                )
            )
        return terms, (axis, bool(params[1]), *params[2:])

    return normalise


def every(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction by number."""
    return tuple(range(ndim)) if axis is None else axis


def count(shape: Shape, axis: Axis) -> int:
    """How many elements are reduced to one."""
    return math.prod(shape[a] for a in every(axis, len(shape)))


def reduced(shape: Shape, axis: Axis, keepdims: bool) -> Shape:
    """The shape after a reduction."""
    gone = every(axis, len(shape))
    if keepdims:
        return tuple([1 if i in gone else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in gone])


def kept(term: Term, shape: Shape, axis: Axis) -> Term:
    """A reduced term with the reduced axes back at length 1."""
    return OPS["reshape"](term, shape=reduced(shape, axis, keepdims=True))


def spread(term: Term, shape: Shape, axis: Axis) -> Term:
    """A reduced term repeated along the reduced axes: the transpose of a sum."""
    return OPS["broadcast_to"](kept(term, shape, axis), shape=shape)


def reduce_infer(dtype_of: Callable[[Any], Any]) -> Callable[[Terms, Params], tuple[Shape, Any]]:
    """The shape rule of a reduction whose dtype follows from that of its argument."""

    def infer(args: Terms, params: Params) -> tuple[Shape, Any]:
        x = args[0]
        return reduced(x.shape, params[0], params[1]), dtype_of(x.dtype)

    return infer


def widened(xp: Any, x: Any) -> Any:
    """The array in the precision in which sums are formed."""
    if not is_symbolic(xp):
        return x.astype(np.float64, copy=False)
    if not is_float(x.dtype):
        return x.astype(xp.result_type(float))
    return x.astype(xp.float32) if x.dtype.itemsize == 2 else x


def as_rows(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """An array with several axes moved to the end and joined into one."""
    if axes == (x.ndim - 1,):
        return x
    ends = tuple(range(x.ndim - len(axes), x.ndim))
    moved = xp.moveaxis(x, axes, ends)
    length = math.prod(x.shape[a] for a in axes)
    return moved.reshape(*moved.shape[: x.ndim - len(axes)], length)


def from_rows(xp: Any, rows: Any, shape: Shape, axes: tuple[int, ...]) -> Any:
    """Rows put back to the axes that they were made from."""
    if axes == (len(shape) - 1,):
        return rows
    ends = tuple(range(len(shape) - len(axes), len(shape)))
    lengths = [n for i, n in enumerate(shape) if i not in axes] + [shape[a] for a in axes]
    return xp.moveaxis(rows.reshape(lengths), ends, axes)


def normal_axes_of(name: str) -> Callable[[Terms, Params], Normal]:
    """Normal form of the parameter ``axis`` of an op that keeps the shape of its argument.

    Every other argument is brought to the shape of the first.
    """

    def normalise(terms: Terms, params: Params) -> Normal:
        x, *others = terms
        axis = None if params[0] is None else normal_axes(params[0], x.ndim, name)
        if axis is not None and len(axis) == x.ndim:
            axis = None
        return (x, *[OPS["broadcast_to"](t, shape=x.shape) for t in others]), (axis,)

    return normalise


def same_dtype(dtype: Any) -> Any:
    """The dtype itself."""
    return dtype


def real_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    """The shape of the first argument, in the dtype of real functions of it."""
    return args[0].shape, real_dtype(args[0].dtype)


def any_support(term: Term) -> Term | None:
    """The support of a sum: where any element has one."""
    support = full_support(term.args[0])
    if support is None or term.dtype.kind == "b":
        return None
    return OPS["any"](support, axis=term.params[0], keepdims=term.params[1])


def accumulator(x: Any) -> Any:
    """The dtype in which sums of an array are formed: the widest that costs little."""
    return np.float64 if is_float(x.dtype) else None


REDUCES: dict[str, Any] = {
    "family": "reduction",
    "params": ("axis", "keepdims"),
    "defaults": (None, False),
    "source": "definition",
}
"""Fields that reductions share."""


# -- sum and mean -------------------------------------------------------------------------


def _sum_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return xp.sum(x, axis=axis, keepdims=keepdims)


def _sum_numpy(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    if not is_float(x.dtype):
        return np.sum(x, axis=axis, keepdims=keepdims)
    return _without_overflow(x, axis, keepdims, 1)


def _without_overflow(x: Any, axis: Axis, keepdims: bool, divisor: int) -> Any:
    """sum(x)/divisor in float64; scaled by a power of two where only the way overflows."""
    total = np.add.reduce(x, axis=axis, dtype=np.float64, keepdims=keepdims)
    finite = math.isfinite(total) if total.ndim == 0 else np.isfinite(total).all()
    if not finite and np.isfinite(x).all():
        bits = count(x.shape, axis).bit_length()
        scaled = np.sum(
            np.ldexp(x.astype(np.float64), -bits), axis=axis, keepdims=keepdims, dtype=np.float64
        )
        return np.where(np.isfinite(total), total / divisor, np.ldexp(scaled / divisor, bits))
    return total if divisor == 1 else total / divisor


def _sum_facts(term: Term) -> Facts:
    (x,) = term.args
    facts = x.facts
    n = count(x.shape, term.params[0])
    if n == 0:
        return Facts(0.0, 0.0, False, False, True)
    lo, hi = n * facts.lo, n * facts.hi
    if lo not in (0, facts.lo):
        lo = math.nextafter(lo, -math.inf)
    if hi not in (0, facts.hi):
        hi = math.nextafter(hi, math.inf)
    return facts._replace(lo=lo, hi=hi)


def _sum_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    return (spread(g, args[0].shape, axis),)


sum = structured(
    "sum",
    degree=(),
    normalise=normal_reduction("sum"),
    infer=reduce_infer(total_dtype),
    kernel=_sum_kernel,
    engine_kernels={"numpy": _sum_numpy},
    jvp=linear_jvp,
    vjp=_sum_vjp,
    infer_facts=_sum_facts,
    support=any_support,
    ulp=None,
    accuracy=SUM_BOUND,
    lax="reduce_sum",
    aten="sum",
    doc="The sum over axes, all by default.",
    example=">>> sg.ops.sum(sg.tensor([1.0, 2.0])).item()\n3.0",
    **REDUCES,
)


def _mean_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return xp.sum(x, axis=axis, keepdims=keepdims) / count(x.shape, axis)


def _mean_numpy(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    if x.dtype == object:
        return _mean_kernel(xp, x, axis=axis, keepdims=keepdims)
    n = count(x.shape, axis)
    if n == 0:
        return np.full(reduced(x.shape, axis, keepdims), np.nan)
    return _without_overflow(x, axis, keepdims, n)


def _mean_facts(term: Term) -> Facts:
    (x,) = term.args
    return x.facts if count(x.shape, term.params[0]) else UNKNOWN


def _mean_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    shape = args[0].shape
    return (spread(g, shape, axis) / (count(shape, axis) or 1),)


mean = structured(
    "mean",
    degree=(),
    normalise=normal_reduction("mean"),
    infer=reduce_infer(real_dtype),
    kernel=_mean_kernel,
    engine_kernels={"numpy": _mean_numpy},
    jvp=linear_jvp,
    vjp=_mean_vjp,
    infer_facts=_mean_facts,
    support=any_support,
    ulp=None,
    accuracy=SUM_BOUND,
    aten="mean",
    doc="The mean over axes, all by default; a sum that overflows on the way does no harm.",
    example=">>> sg.ops.mean(sg.tensor([1.0, 2.0])).item()\n1.5",
    **REDUCES,
)


# -- truth ------------------------------------------------------------------------------


def _truth(name: str, lax: str, doc: str) -> Op:
    def kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
        return getattr(xp, name)(x, axis=axis, keepdims=keepdims)

    return structured(
        name,
        normalise=normal_reduction(name),
        infer=reduce_infer(lambda _: np.dtype(bool)),
        kernel=kernel,
        partials=lambda y, x: (ZERO,),
        range=Facts(0.0, 1.0, False, False, True),
        infer_facts=lambda term: Facts(0.0, 1.0, False, False, True),
        ulp=(0, 0, 0),
        lax=lax,
        aten=name,
        doc=doc,
        example=f">>> bool(sg.ops.{name}(sg.tensor([True])))\nTrue",
        **REDUCES,
    )


any = _truth("any", "reduce_or", "Whether any element over axes is true (not zero).")
all = _truth("all", "reduce_and", "Whether all elements over axes are true (not zero).")


def _count_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return xp.sum(x != 0, axis=axis, keepdims=keepdims)


def _count_facts(term: Term) -> Facts:
    (x,) = term.args
    return Facts(0.0, float(count(x.shape, term.params[0])), False, False, True)


count_nonzero = structured(
    "count_nonzero",
    normalise=normal_reduction("count_nonzero"),
    infer=reduce_infer(lambda _: np.dtype(np.int64)),
    kernel=_count_kernel,
    partials=lambda y, x: (ZERO,),
    infer_facts=_count_facts,
    ulp=(0, 0, 0),
    aten="count_nonzero",
    doc="How many elements over axes are not zero.",
    example=">>> sg.ops.count_nonzero(sg.tensor([1.0, 0.0])).item()\n1",
    **REDUCES,
)


# -- running sum --------------------------------------------------------------------------


def normal_along(name: str) -> Callable[[Terms, Params], Normal]:
    """Normal form of a single axis that stays."""

    def normalise(terms: Terms, params: Params) -> Normal:
        (axis,) = params
        if isinstance(axis, tuple) and len(axis) == 1:
            (axis,) = axis
        return terms, (normal_axis(axis, terms[0].ndim, name),)

    return normalise


def _cumsum_kernel(xp: Any, x: Any, *, axis: int) -> Any:
    return xp.cumsum(x, axis=axis)


def _cumsum_numpy(xp: Any, x: Any, *, axis: int) -> Any:
    return np.cumsum(x, axis=axis, dtype=accumulator(x))


def _cumsum_vjp(out: Term, args: Terms, g: Term, *, axis: int) -> Terms:
    flip = OPS["flip"]
    return (flip(cumsum(flip(g, axis=(axis,)), axis=axis), axis=(axis,)),)


def _cumsum_support(term: Term) -> Term | None:
    support = full_support(term.args[0])
    if support is None:
        return None
    counted = OPS["astype"](support, dtype=np.dtype(np.int64))
    return OPS["greater"](cumsum(counted, axis=term.params[0]), 0)


def _cumsum_facts(term: Term) -> Facts:
    facts = term.args[0].facts
    n = term.shape[term.params[0]]
    return union([facts, facts._replace(lo=facts.lo * n, hi=facts.hi * n)]) if n else UNKNOWN


cumsum = structured(
    "cumsum",
    family="reduction",
    params=("axis",),
    defaults=(0,),
    normalise=normal_along("cumsum"),
    infer=lambda args, params: (args[0].shape, total_dtype(args[0].dtype)),
    kernel=_cumsum_kernel,
    engine_kernels={"numpy": _cumsum_numpy},
    jvp=linear_jvp,
    vjp=_cumsum_vjp,
    infer_facts=_cumsum_facts,
    support=_cumsum_support,
    ulp=None,
    accuracy=SUM_BOUND,
    source="definition",
    lax="cumsum",
    aten="cumsum",
    doc="The running sum along an axis.",
    example=">>> sg.ops.cumsum(sg.tensor([1.0, 2.0]), axis=0).numpy()\narray([1., 3.], ...)",
)
