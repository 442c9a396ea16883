"""Greatest and least elements over axes, and where they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops.record import ZERO, Op
from stablegrad.ops.reduction import (
    REDUCES,
    Axis,
    count_nonzero,
    kept,
    normal_reduction,
    reduce_infer,
    reduced,
    same_dtype,
    spread,
)
from stablegrad.ops.structured import Normal, Params, Terms, normal_axis, structured


def _shares(out: Term, x: Term, axis: Axis) -> Term:
    """The derivative of an extreme: ties share it equally; nan where a nan is the extreme."""
    top = kept(out, x.shape, axis)
    undefined = OPS["isnan"](top)
    tied = OPS["equal"](x, top)
    ties = OPS["astype"](count_nonzero(tied, axis=axis, keepdims=True), dtype=x.dtype)
    ties = OPS["where"](undefined, math.nan, ties)
    return OPS["indicator"](OPS["logical_or"](tied, undefined)) * (1 / ties)


def _extreme_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis, keepdims: bool
) -> Term:
    return OPS["sum"](tangents[0] * _shares(out, args[0], axis), axis=axis, keepdims=keepdims)


def _extreme_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    return (spread(g, args[0].shape, axis) * _shares(out, args[0], axis),)


FEW, SMALL = 32, 100
"""Groups of up to FEW elements are reduced side by side, from SMALL groups on."""


def _extreme(name: str, lax: str, doc: str) -> Op:
    def kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
        return getattr(xp, name)(x, axis=axis, keepdims=keepdims)

    def numpy_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
        last = axis is not None and axis == tuple(range(x.ndim - len(axis), x.ndim))
        few = math.prod(x.shape[x.ndim - len(axis) :]) if axis is not None and last else 0
        if not 1 < few <= FEW or x.size < FEW * SMALL:
            return kernel(xp, x, axis=axis, keepdims=keepdims)
        # many groups of few elements: one element of all groups at a time
        assert axis is not None
        better = np.maximum if name == "max" else np.minimum
        taps = np.ndindex(*x.shape[x.ndim - len(axis) :])
        out = x[(Ellipsis, *next(taps))].copy()
        for tap in taps:
            better(out, x[(Ellipsis, *tap)], out=out)
        return out.reshape(reduced(x.shape, axis, keepdims))

    return structured(
        name,
        normalise=normal_reduction(name, empty=False),
        infer=reduce_infer(same_dtype),
        kernel=kernel,
        engine_kernels={"numpy": numpy_kernel},
        jvp=_extreme_jvp,
        vjp=_extreme_vjp,
        degree=(),
        infer_facts=lambda term: term.args[0].facts,
        ulp=(0, 1, 0),
        lax=lax,
        aten=f"a{name}",
        doc=doc,
        example=f">>> sg.ops.{name}(sg.tensor([1.0, 1.0])).item()\n1.0",
        **REDUCES,
    )


max = _extreme("max", "reduce_max", "The greatest element over axes; ties share its derivative.")
min = _extreme("min", "reduce_min", "The least element over axes; ties share its derivative.")


def _normal_arg(name: str) -> Callable[[Terms, Params], Normal]:
    def normalise(terms: Terms, params: Params) -> Normal:
        (x,) = terms
        axis, keepdims = params
        if axis is not None:
            axis = normal_axis(axis, x.ndim, name)
        if (x.size if axis is None else x.shape[axis]) == 0:
            raise ShapeError(message(f"{name} of shape {x.shape}", "an element at least"))
        return terms, (axis, keepdims)

    return normalise


def _arg_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    axis = None if params[0] is None else (params[0],)
    return reduced(args[0].shape, axis, params[1]), np.dtype(np.int64)


def _arg_extreme(name: str, lax: str, doc: str) -> Op:
    def kernel(xp: Any, x: Any, *, axis: int | None, keepdims: bool) -> Any:
        return getattr(xp, name)(x, axis=axis, keepdims=keepdims)

    return structured(
        name,
        normalise=_normal_arg(name),
        infer=_arg_infer,
        kernel=kernel,
        partials=lambda y, x: (ZERO,),
        infer_facts=lambda term: Facts(0.0, float(term.args[0].size - 1), False, False, True),
        ulp=(0, 0, 0),
        lax=lax,
        aten=name,
        doc=doc,
        example=f">>> sg.ops.{name}(sg.tensor([1.0, 1.0])).item()\n0",
        **REDUCES,
    )


argmax = _arg_extreme("argmax", "argmax", "The place of the greatest element, the first of ties.")
argmin = _arg_extreme("argmin", "argmin", "The place of the least element, the first of ties.")
