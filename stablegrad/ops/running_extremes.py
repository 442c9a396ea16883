"""Running extremes. Where the greatest so far occurs several times, they share its derivative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops.record import Op
from stablegrad.ops.reduction import as_rows, from_rows, normal_along, widened
from stablegrad.ops.sorting import ORDERS
from stablegrad.ops.structured import (
    Normal,
    Params,
    Terms,
    is_symbolic,
    normal_axis,
    same_facts,
    structured,
)


def segmented(xp: Any, values: Any, segment: Any) -> Any:
    """Running sums along the last axis that begin anew in every segment, by doubling."""
    n, step = values.shape[-1], 1
    while step < n:
        same = segment[..., step:] == segment[..., :-step]
        more = xp.where(same, values[..., :-step], 0.0)
        values = xp.concatenate([values[..., :step], values[..., step:] + more], axis=-1)
        step *= 2
    return values


class _Rows:
    """Rows of x, where each element equals the greatest so far, and how often that occurred."""

    def __init__(self, xp: Any, x: Any, axis: int) -> None:
        self.xp, self.shape, self.axes = xp, x.shape, (axis,)
        rows = as_rows(xp, x, self.axes)
        top = xp.maximum.accumulate(rows, axis=-1)
        self.undefined = xp.isnan(top)
        self.tied = rows == top
        new = top[..., 1:] != top[..., :-1]
        self.first: Any = None
        """Where the greatest so far stands, if nowhere twice: known on NumPy only."""
        if not is_symbolic(xp) and not (self.tied[..., 1:] & ~new).any():
            places = np.where(self.tied, np.arange(rows.shape[-1]), 0)
            self.first = np.maximum.accumulate(places, axis=-1)
            return
        new = xp.cumsum(new, axis=-1)
        self.segment = xp.concatenate([xp.zeros_like(new[..., :1]), new], axis=-1)
        self.count = segmented(xp, xp.where(self.tied, 1.0, 0.0), self.segment)

    def rows(self, t: Any) -> Any:
        return as_rows(self.xp, widened(self.xp, t), self.axes)

    def back(self, rows: Any) -> Any:
        rows = self.xp.where(self.undefined, math.nan, rows)
        return from_rows(self.xp, rows, self.shape, self.axes)


def _jvp_kernel(xp: Any, x: Any, t: Any, *, axis: int) -> Any:
    if x.shape[axis] < 2 or x.size == 0:
        return t
    s = _Rows(xp, x, axis)
    if s.first is not None:
        return s.back(np.take_along_axis(s.rows(t), s.first, axis=-1))
    return s.back(segmented(xp, xp.where(s.tied, s.rows(t), 0.0), s.segment) / s.count)


def _vjp_kernel(xp: Any, x: Any, g: Any, *, axis: int) -> Any:
    if x.shape[axis] < 2 or x.size == 0:
        return g
    s = _Rows(xp, x, axis)
    if s.first is not None:
        n = s.first.shape[-1]
        rows = s.rows(g)
        starts = n * np.arange(rows.size // n).reshape(*rows.shape[:-1], 1)
        put = np.bincount((s.first + starts).ravel(), rows.ravel(), rows.size)
        s.undefined = np.isnan(as_rows(xp, x, s.axes))
        return s.back(put.reshape(rows.shape))
    turned = [xp.flip(a, -1) for a in (s.rows(g) / s.count, s.segment)]
    later = xp.flip(segmented(xp, *turned), -1)
    s.undefined = xp.isnan(as_rows(xp, x, s.axes))
    return s.back(xp.where(s.tied, later, 0.0))


def _normal_pair(name: str) -> Any:
    def normalise(terms: Terms, params: Params) -> Normal:
        x, t = terms
        axis = normal_axis(params[0], x.ndim, name)
        return (x, OPS["broadcast_to"](t, shape=x.shape)), (axis,)

    return normalise


def _linear(name: str, kernel: Any, transposed: str, doc: str, example: str) -> Op:
    def jvp(out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: int) -> Term | None:
        return None if tangents[1] is None else OPS[name](args[0], tangents[1], axis=axis)

    return structured(
        name,
        params=("axis",),
        defaults=(0,),
        normalise=_normal_pair(name),
        infer=lambda args, params: (args[0].shape, args[1].dtype),
        kernel=kernel,
        jvp=jvp,
        vjp=lambda out, args, g, *, axis: (None, OPS[transposed](args[0], g, axis=axis)),
        ulp=None,
        accuracy="n*eps relative to the sum of absolute terms, n the number of ties",
        doc=doc,
        example=example,
        **ORDERS,
    )


cummax_jvp = _linear(
    "cummax_jvp",
    _jvp_kernel,
    "cummax_vjp",
    "The mean of t over the places where x is its greatest so far: the derivative of cummax.",
    ">>> x, t = sg.tensor([2.0, 2.0, 1.0]), sg.tensor([1.0, 2.0, 5.0])\n"
    ">>> sg.ops.cummax_jvp(x, t).numpy()\narray([1. , 1.5, 1.5], dtype=float32)",
)
cummax_vjp = _linear(
    "cummax_vjp",
    _vjp_kernel,
    "cummax_jvp",
    "The transposed derivative of cummax.",
    ">>> x, g = sg.tensor([2.0, 2.0, 1.0]), sg.tensor([1.0, 2.0, 4.0])\n"
    ">>> sg.ops.cummax_vjp(x, g).numpy()\narray([4., 3., 0.], dtype=float32)",
)


def _extreme(name: str, ufunc: str, turn: Any, lax: str, doc: str, shown: str) -> Op:
    def kernel(xp: Any, x: Any, *, axis: int) -> Any:
        return getattr(xp, ufunc).accumulate(x, axis=axis)

    return structured(
        name,
        params=("axis",),
        defaults=(0,),
        normalise=normal_along(name),
        infer=lambda args, params: (args[0].shape, args[0].dtype),
        kernel=kernel,
        jvp=lambda out, args, tangents, *, axis: cummax_jvp(turn(args[0]), tangents[0], axis=axis),
        vjp=lambda out, args, g, *, axis: (cummax_vjp(turn(args[0]), g, axis=axis),),
        infer_facts=same_facts,
        ulp=(0, 1, 0),
        lax=lax,
        aten=name,
        doc=doc,
        example=f">>> sg.ops.{name}(sg.tensor([2.0, 1.0, 3.0])).numpy()\n"
        f"array([{shown}], dtype=float32)",
        **ORDERS,
    )


cummax = _extreme(
    "cummax",
    "maximum",
    lambda x: x,
    "cummax",
    "The greatest element so far along an axis; ties share its derivative.",
    "2., 2., 3.",
)
cummin = _extreme(
    "cummin",
    "minimum",
    lambda x: -x,
    "cummin",
    "The least element so far along an axis; ties share its derivative.",
    "2., 1., 1.",
)
