"""The logistic family: sigmoid, its logarithms, and its inverse."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import pairs
from stablegrad.ops.exponential import exp, log, log1p
from stablegrad.ops.record import (
    NEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    const,
    elementwise,
)


def _sigmoid_kernel(xp: Any, x: Any) -> Any:
    """1/(1 + exp(-x)); far to the left, where exp(-x) overflows, exp(x)."""
    # NumPy's exponential is computed by vectors, SciPy's function is not
    value = 1.0 / (1.0 + xp.exp(-x)) if xp.name == "numpy" else xp.special.expit(x)
    return pairs.redo(xp, x < _far_left(value.dtype), value, lambda xp, x: xp.exp(x), x)


@cache
def _far_left(dtype: Any) -> float:
    return -0.99 * math.log(np.finfo(dtype).max)


sigmoid = elementwise(
    "sigmoid",
    family="exponential",
    kernel=_sigmoid_kernel,
    spellings=(
        lambda x: 1 / (1 + exp(-x)),
        lambda x: exp(x) / (1 + exp(x)),
        lambda x: exp(x) / (exp(x) + 1),
    ),
    partials=lambda y, x: (sigmoid(x) * sigmoid(-x),),
    textbook=lambda y, x: (y * (1 - y),),
    domain=(REAL,),
    range=UNIT,
    cost=3,
    lax="logistic",
    aten="sigmoid",
    source="1/(1 + exp(-x)); exp(x) far to the left",
    doc="The logistic function 1/(1 + exp(-x)).",
    example=">>> sg.ops.sigmoid(sg.tensor([0.0])).numpy()\narray([0.5], dtype=float32)",
)


def _sigmoid_slope_kernel(xp: Any, x: Any) -> Any:
    t = xp.exp(-xp.abs(x))
    return t / (1 + t * (2 + t))


sigmoid_slope = elementwise(
    "sigmoid_slope",
    family="exponential",
    kernel=_sigmoid_slope_kernel,
    ball=lambda x: x.sigmoid() * (-x).sigmoid(),
    partials=lambda y, x: (-y * OPS["tanh"](x / 2),),
    domain=(REAL,),
    range=Facts(lo=0.0, hi=0.25, hi_open=False),
    cost=3,
    ulp=(4, 4, math.inf),
    accuracy="the second derivative has zeros: relative to the greater of its two terms there",
    source="definition, with one exponential",
    doc="sigmoid(x) * sigmoid(-x): the derivative of sigmoid, as programs are lowered to it.",
    example=">>> sg.ops.sigmoid_slope(sg.tensor([0.0])).numpy()\narray([0.25], dtype=float32)",
)


def _softplus_kernel(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


softplus = elementwise(
    "softplus",
    family="exponential",
    kernel=_softplus_kernel,
    spellings=(
        lambda x: log(1 + exp(x)),
        lambda x: log1p(exp(x)),
        lambda x: OPS["logaddexp"](x, const(0, x.dtype)),
    ),
    partials=lambda y, x: (sigmoid(x),),
    textbook=lambda y, x: (exp(x - y),),
    domain=(REAL,),
    range=POSITIVE,
    cost=5,
    lax="",
    aten="softplus",
    source="max(x, 0) + log1p(exp(-|x|))",
    doc="log(1 + exp(x)).",
    example=">>> sg.ops.softplus(sg.tensor([0.0])).numpy()\narray([0.6931472], dtype=float32)",
)

log_sigmoid = elementwise(
    "log_sigmoid",
    family="exponential",
    kernel=lambda xp, x: -_softplus_kernel(xp, -x),
    spellings=(lambda x: log(sigmoid(x)),),
    partials=lambda y, x: (sigmoid(-x),),
    textbook=lambda y, x: (exp(y - x),),
    domain=(REAL,),
    range=NEGATIVE,
    cost=5,
    lax="",
    aten="log_sigmoid_forward",
    source="-softplus(-x)",
    doc="log(sigmoid(x)).",
    example=">>> sg.ops.log_sigmoid(sg.tensor([0.0])).numpy()\narray([-0.6931472], dtype=float32)",
)


def _logit_kernel(xp: Any, x: Any) -> Any:
    # around the zero at 1/2, where 2*x - 1 is exact
    middle = xp.log1p((2 * x - 1) / (1 - x))
    return xp.where((x > 0.3) & (x < 0.65), middle, xp.log(x / (1 - x)))


logit = elementwise(
    "logit",
    family="exponential",
    kernel=_logit_kernel,
    spellings=(
        lambda x: log(x / (1 - x)),
        lambda x: log(x) - log1p(-x),
        lambda x: -log(1 / x - 1),
    ),
    partials=lambda y, x: (logit_slope(x),),
    textbook=lambda y, x: (1 / (x * (1 - x)),),
    domain=(UNIT,),
    cost=5,
    lax="",
    aten="logit",
    source="definition; log1p around 1/2",
    doc="log(x / (1 - x)) of 0 < x < 1.",
    example=">>> sg.ops.logit(sg.tensor([0.5])).numpy()\narray([0.], dtype=float32)",
)


def _logit_slope_facts(term: Term) -> Facts:
    x = term.args[0].facts
    return Facts(4.0, math.inf, False, True, x.defined) if x.within(UNIT) else Facts()


def _logit_slope_kernel(xp: Any, x: Any) -> Any:
    """1 / (x * (1 - x)), the product with both of its rounding errors."""
    rest, lost = pairs.two_sum(xp.ones((), x.dtype), -x)
    product, error = pairs.two_prod(x, rest)
    correction = error + x * lost
    useful = (correction != 0) & xp.isfinite(correction)  # -0 keeps its sign
    slope = 1 / xp.where(useful, product + correction, product)
    return xp.where((x < 0) | (x > 1), xp.nan, slope)


logit_slope = elementwise(
    "logit_slope",
    family="exponential",
    kernel=_logit_slope_kernel,
    ball=lambda x: 1 / (x * (1 - x)) + 0 * (x * (1 - x)).sqrt(),  # undefined outside
    # an op of its own, because 1/(1 - x)**2 - 1/x**2 cancels at 1/2
    partials=lambda y, x: ((2 * x - 1) * y * y,),
    domain=(UNIT,),
    infer_facts=_logit_slope_facts,
    cost=3,
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2: three inexact factors and a sum",
    source="definition",
    doc="1 / (x * (1 - x)) of 0 < x < 1: the derivative of logit.",
    example=">>> sg.ops.logit_slope(sg.tensor([0.5])).numpy()\narray([4.], dtype=float32)",
)
