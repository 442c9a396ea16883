"""Exponentials and log-sums to the bases 2 and 10."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts
from stablegrad.ops import intervals, pair_exp, pairs
from stablegrad.ops.dtypes import narrow
from stablegrad.ops.exponential import LN2, LN10
from stablegrad.ops.logsums import antisymmetric, difference, log_of_two
from stablegrad.ops.record import POSITIVE, REAL, UNIT, const, elementwise

_EXACT_POWERS = tuple([(float(n), float(10**n)) for n in range(3)])


def _exp10_kernel(xp: Any, x: Any) -> Any:
    return xp.power(10.0, x)


exp10 = elementwise(
    "exp10",
    family="exponential",
    kernel=_exp10_kernel,
    spellings=(lambda x: OPS["power"](const(10, x.dtype), x),),
    partials=lambda y, x: (const(LN10, y.dtype) * y,),
    domain=(REAL,),
    range=POSITIVE,
    infer_facts=intervals.increasing(
        lambda v: 10.0**v if v < 309 else math.inf, REAL, POSITIVE, exact=_EXACT_POWERS
    ),
    cost=4,
    source="definition",
    doc="10 to the power x.",
    example=">>> sg.ops.exp10(sg.tensor([3.0])).numpy()\narray([1000.], dtype=float32)",
)

# -- log-sums to base 2 -------------------------------------------------------------------


def _share_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, b, a)
    e = xp.exp2(high)
    # first order in the rounding error of b - a, which the exponential would magnify
    value = 1.0 / (1.0 + e)
    return value - value * (low * float(LN2) * xp.where(xp.isinf(e), 1.0, e * value))


def _slope_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, a, b)
    e = xp.exp2(-xp.abs(high))
    size = 1.0 + e
    lost = e - (size - 1.0)
    # first order in what the rounded sum and the rounded difference lost
    error = 2.0 * lost / size + low * float(LN2) * xp.tanh(high * (0.5 * float(LN2)))
    value = e / (size * size)
    return value - value * error


def _power_of_two(x: Any) -> Any:
    return (x * type(x).exact(2).log()).exp()


share2 = elementwise(
    "share2",
    family="exponential",
    kernel=_share_kernel,
    ball=lambda a, b: 1 / (1 + _power_of_two(b - a)),
    partials=lambda y, a, b: antisymmetric(const(LN2, y.dtype) * share2_slope(a, b)),
    domain=(REAL, REAL),
    range=UNIT,
    cost=5,
    source="definition, with the rounding error of the difference put back",
    doc="2**a / (2**a + 2**b): the derivative of logaddexp2.",
    example=">>> sg.ops.share2(sg.tensor([1.0]), 1.0).numpy()\narray([0.5], dtype=float32)",
)


share2_slope = elementwise(
    "share2_slope",
    family="exponential",
    kernel=_slope_kernel,
    ball=lambda a, b: 1 / ((1 + _power_of_two(a - b)) * (1 + _power_of_two(b - a))),
    partials=lambda y, a, b: antisymmetric(
        y * const(LN2, y.dtype) * OPS["tanh"]((b - a) * const(Fraction(LN2) / 2, y.dtype))
    ),
    domain=(REAL, REAL),
    range=Facts(lo=0.0, hi=0.25, hi_open=False),
    cost=5,
    ulp=(4, 4, math.inf),
    accuracy="the second derivative has zeros: relative to the greater of its two terms there",
    source="definition, with the rounding error of the difference put back",
    doc="share2(a, b) * share2(b, a): the derivative of share2, over log(2).",
    example=">>> sg.ops.share2_slope(sg.tensor([1.0]), 1.0).numpy()\narray([0.25], dtype=float32)",
)

_LN2_PAIR = pairs.split(pair_exp.LN2)


def _power(xp: Any, x: Any) -> tuple[Any, pairs.Pair]:
    """2**x as s and s*m with 2**x = s*(1 + m): s a power of two, exact where x is whole."""
    whole = xp.rint(x)
    zero = 0.0 * x
    m = pairs.multiply((x - whole, zero), (_LN2_PAIR[0] + zero, _LN2_PAIR[1] + zero))
    m = pair_exp.expm1(xp, m)
    scale = xp.exp2(whole)
    return scale, (m[0] * scale, m[1] * scale)


def _near_zero(xp: Any, a: Any, b: Any) -> Any:
    """By the sum less 1 in pairs."""
    more, more_rest = _power(xp, xp.maximum(a, b))
    less, less_rest = _power(xp, xp.maximum(xp.minimum(a, b), -1060.0))
    whole = pairs.add(pairs.two_sum(more, -1.0), (less, 0.0 * less))
    high, low = pairs.add(whole, pairs.add(more_rest, less_rest))
    return (xp.log1p(high) + low / (1 + high)) / float(LN2)


def _kernel(xp: Any, a: Any, b: Any) -> Any:
    if narrow(xp, a, b):
        again, value, a, b = log_of_two(a, b, np.exp2, 1 / float(LN2))
        return pairs.redo(xp, again, value, _kernel, a, b)
    a, b = xp.broadcast_arrays(a, b)
    value = xp.logaddexp2(a, b)
    top, gap = xp.maximum(a, b), xp.abs(a - b)
    # it cancelled, or the rounded gap matters
    loses = (
        (xp.abs(value) < 0.7) & (top != 0) & ((gap + 3) * xp.abs(value - top) > 5 * xp.abs(value))
    )
    return pairs.redo(xp, loses, value, _near_zero, a, b)


logaddexp2 = elementwise(
    "logaddexp2",
    family="exponential",
    kernel=_kernel,
    widens=True,
    spellings=(lambda a, b: OPS["log2"](OPS["exp2"](a) + OPS["exp2"](b)),),
    ball=lambda a, b: (_power_of_two(a) + _power_of_two(b)).log() / type(a).exact(2).log(),
    partials=lambda y, a, b: (share2(a, b), share2(b, a)),
    textbook=lambda y, a, b: (OPS["exp2"](a - y), OPS["exp2"](b - y)),
    domain=(REAL, REAL),
    cost=6,
    commutative=True,
    aten="logaddexp2",
    source="max(a, b) + log2(1 + 2**-|a - b|); in pairs where that cancels",
    doc="log2(2**a + 2**b).",
    example=">>> sg.ops.logaddexp2(sg.tensor([0.0]), 0.0).numpy()\narray([1.], dtype=float32)",
)
