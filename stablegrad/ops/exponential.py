"""Exponentials, logarithms and the logistic family."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import intervals
from stablegrad.ops.pairs import two_sum
from stablegrad.ops.record import (
    NEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    const,
    elementwise,
)

# to 128 bits and more, so that constants of derivatives are exact before they are rounded once
LN2 = Fraction(0xB17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D, 1 << 192)
LN10 = Fraction(0x24D763776AAA2B05BA95B58AE0B4C28A38A3FB3E76977E43A, 1 << 192)
LN2_HI = float(LN2)
LN2_LO = float(LN2 - Fraction(LN2_HI))

AT_LEAST_MINUS_ONE = Facts(lo=-1.0)


def _exact(f: Any, *points: float) -> tuple[tuple[float, float], ...]:
    """Arguments at which a library function is exact, with its values."""
    return tuple([(p, float(f(p))) for p in points])


# -- exponentials -------------------------------------------------------------------------

exp = elementwise(
    "exp",
    family="exponential",
    kernel=lambda xp, x: xp.exp(x),
    ball=lambda x: x.exp(),
    partials=lambda y, x: (y,),
    domain=(REAL,),
    range=POSITIVE,
    infer_facts=intervals.increasing(math.exp, REAL, POSITIVE, exact=((0.0, 1.0),)),
    cost=5,
    lax="exp",
    aten="exp",
    source="DLMF 4.2",
    doc="The exponential function.",
    example=">>> sg.ops.exp(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

exp2 = elementwise(
    "exp2",
    family="exponential",
    kernel=lambda xp, x: xp.exp2(x),
    spellings=(
        lambda x: exp(x * log(const(2, x.dtype))),
        lambda x: OPS["power"](const(2, x.dtype), x),
    ),
    partials=lambda y, x: (const(LN2, y.dtype) * y,),
    domain=(REAL,),
    range=POSITIVE,
    infer_facts=intervals.increasing(
        math.exp2, REAL, POSITIVE, exact=_exact(math.exp2, -1.0, 0.0, 1.0)
    ),
    cost=4,
    lax="exp2",
    aten="exp2",
    source="definition",
    doc="2 to the power x.",
    example=">>> sg.ops.exp2(sg.tensor([3.0])).numpy()\narray([8.], dtype=float32)",
)

expm1 = elementwise(
    "expm1",
    family="exponential",
    kernel=lambda xp, x: xp.expm1(x),
    spellings=(lambda x: exp(x) - 1,),
    partials=lambda y, x: (exp(x),),
    textbook=lambda y, x: (y + 1,),
    domain=(REAL,),
    range=AT_LEAST_MINUS_ONE,
    infer_facts=intervals.increasing(math.expm1, REAL, AT_LEAST_MINUS_ONE, exact=((0.0, 0.0),)),
    cost=5,
    lax="expm1",
    aten="expm1",
    source="DLMF 4.2",
    doc="exp(x) - 1, without cancellation near 0.",
    example=">>> sg.ops.expm1(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

# -- logarithms ---------------------------------------------------------------------------

log = elementwise(
    "log",
    family="exponential",
    kernel=lambda xp, x: xp.log(x),
    ball=lambda x: x.log(),
    partials=lambda y, x: (1 / x,),
    domain=(POSITIVE,),
    infer_facts=intervals.increasing(math.log, POSITIVE, REAL, exact=((1.0, 0.0),)),
    cost=4,
    lax="log",
    aten="log",
    source="DLMF 4.2",
    doc="The natural logarithm of x > 0.",
    example=">>> sg.ops.log(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)

log2 = elementwise(
    "log2",
    family="exponential",
    kernel=lambda xp, x: xp.log2(x),
    spellings=(lambda x: log(x) / log(const(2, x.dtype)),),
    partials=lambda y, x: (const(1 / LN2, y.dtype) / x,),
    domain=(POSITIVE,),
    infer_facts=intervals.increasing(
        math.log2, POSITIVE, REAL, exact=_exact(math.log2, 0.5, 1.0, 2.0, 4.0)
    ),
    cost=4,
    lax="log2",
    aten="log2",
    source="definition",
    doc="The logarithm to base 2 of x > 0.",
    example=">>> sg.ops.log2(sg.tensor([8.0])).numpy()\narray([3.], dtype=float32)",
)

log10 = elementwise(
    "log10",
    family="exponential",
    kernel=lambda xp, x: xp.log10(x),
    spellings=(lambda x: log(x) / log(const(10, x.dtype)),),
    partials=lambda y, x: (const(1 / LN10, y.dtype) / x,),
    domain=(POSITIVE,),
    infer_facts=intervals.increasing(
        math.log10, POSITIVE, REAL, exact=_exact(math.log10, 1.0, 10.0, 100.0)
    ),
    cost=4,
    lax="",
    aten="log10",
    source="definition",
    doc="The logarithm to base 10 of x > 0.",
    example=">>> sg.ops.log10(sg.tensor([100.0])).numpy()\narray([2.], dtype=float32)",
)

log1p = elementwise(
    "log1p",
    family="exponential",
    kernel=lambda xp, x: xp.log1p(x),
    spellings=(lambda x: log(1 + x),),
    partials=lambda y, x: (1 / (1 + x),),
    domain=(AT_LEAST_MINUS_ONE,),
    infer_facts=intervals.increasing(math.log1p, AT_LEAST_MINUS_ONE, REAL, exact=((0.0, 0.0),)),
    cost=4,
    lax="log1p",
    aten="log1p",
    source="DLMF 4.2",
    doc="log(1 + x) of x > -1, without the rounding of 1 + x.",
    example=">>> sg.ops.log1p(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

# -- logarithms of sums and differences of exponentials -----------------------------------


def _log1mexp_kernel(xp: Any, x: Any) -> Any:
    return xp.where(x > -LN2_HI, xp.log(-xp.expm1(x)), xp.log1p(-xp.exp(x)))


log1mexp = elementwise(
    "log1mexp",
    family="exponential",
    kernel=_log1mexp_kernel,
    spellings=(
        lambda x: log(1 - exp(x)),
        lambda x: log(-expm1(x)),
        lambda x: log1p(-exp(x)),
    ),
    partials=lambda y, x: (-1 / expm1(-x),),
    textbook=lambda y, x: (-exp(x) / (1 - exp(x)),),
    domain=(NEGATIVE,),
    range=NEGATIVE,
    cost=5,
    source="Maechler 2012, Accurately computing log(1 - exp(-|a|))",
    doc="log(1 - exp(x)) of x < 0.",
    example=">>> sg.ops.log1mexp(sg.tensor([-1.0])).numpy()\narray([-0.45867515], dtype=float32)",
)


def _log_expm1_kernel(xp: Any, x: Any) -> Any:
    # around the zero at log(2): exp(x) - 2 = 2*expm1(x - log(2)), the difference exact
    middle = xp.log1p(2 * xp.expm1((x - LN2_HI) - LN2_LO))
    right = x + xp.log1p(-xp.exp(-x))
    return xp.where(x < 0.35, xp.log(xp.expm1(x)), xp.where(x < 1.5, middle, right))


log_expm1 = elementwise(
    "log_expm1",
    family="exponential",
    kernel=_log_expm1_kernel,
    spellings=(
        lambda x: log(exp(x) - 1),
        lambda x: log(expm1(x)),
        lambda x: x + log1mexp(-x),
    ),
    partials=lambda y, x: (-1 / expm1(-x),),
    textbook=lambda y, x: (exp(x) / (exp(x) - 1),),
    domain=(POSITIVE,),
    infer_facts=intervals.increasing(lambda v: math.log(math.expm1(v)), POSITIVE, REAL),
    cost=5,
    source="Maechler 2012; the inverse of softplus",
    doc="log(exp(x) - 1) of x > 0.",
    example=">>> sg.ops.log_expm1(sg.tensor([1.0])).numpy()\narray([0.54132485], dtype=float32)",
)


def difference(xp: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """A - b as a rounded difference and its error, the error 0 beside infinities."""
    high, low = two_sum(a, -b)
    return high, xp.where(xp.isfinite(low), low, 0.0)


def _sigmoid_difference_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, a, b)
    t = xp.exp(-xp.abs(high))
    r = 1 / (1 + t)
    t = t * r
    right = high >= 0
    # first order in the rounding error of a - b, which the exponential would magnify
    return xp.where(right, r, t) * (1 + low * xp.where(right, t, r))


def _union_partials(a: Term, b: Term) -> tuple[Term, Term]:
    slope = sigmoid_difference(a, b) * sigmoid_difference(b, a)
    return slope, -slope


sigmoid_difference = elementwise(
    "sigmoid_difference",
    family="exponential",
    kernel=_sigmoid_difference_kernel,
    ball=lambda a, b: 1 / (1 + (b - a).exp()),
    partials=lambda y, a, b: _union_partials(a, b),
    domain=(REAL, REAL),
    range=UNIT,
    cost=5,
    source="definition, with the rounding error of the difference put back",
    doc="sigmoid(a - b): the share of exp(a) in exp(a) + exp(b).",
    example=">>> sg.ops.sigmoid_difference(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([0.5], dtype=float32)",
)

logaddexp = elementwise(
    "logaddexp",
    family="exponential",
    kernel=lambda xp, a, b: xp.logaddexp(a, b),
    spellings=(lambda a, b: log(exp(a) + exp(b)),),
    partials=lambda y, a, b: (sigmoid_difference(a, b), sigmoid_difference(b, a)),
    textbook=lambda y, a, b: (exp(a - y), exp(b - y)),
    domain=(REAL, REAL),
    cost=6,
    commutative=True,
    lax="",
    aten="logaddexp",
    source="max(a, b) + log1p(exp(-|a - b|))",
    doc="log(exp(a) + exp(b)).",
    example=">>> sg.ops.logaddexp(sg.tensor([0.0]), 0.0).numpy()\n"
    "array([0.6931472], dtype=float32)",
)


def _logdiffexp_kernel(xp: Any, a: Any, b: Any) -> Any:
    low = xp.where(b == -math.inf, -math.inf, b - a)  # also for a = -inf or inf
    return a + xp.where(low == -math.inf, 0.0, _log1mexp_kernel(xp, low))


def _logdiffexp_weight_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, b, a)
    e = xp.expm1(high)
    # d/dx of -1/expm1(x) is (1 + e)/e**2; relative to the value -(1 + e)/e, which is -1 if e = inf
    return -1 / e * (1 - low * xp.where(e > 1, 1 + 1 / e, (1 + e) / e))


def _difference_partials(a: Term, b: Term) -> tuple[Term, Term]:
    slope = logdiffexp_weight(a, b) * logdiffexp_weight(b, a)
    return slope, -slope


def _logdiffexp_facts(term: Term) -> Facts:
    a, b = term.args[0].facts, term.args[1].facts
    return Facts(defined=a.defined and b.defined and intervals.always_less(b, a))


logdiffexp_weight = elementwise(
    "logdiffexp_weight",
    family="exponential",
    kernel=_logdiffexp_weight_kernel,
    ball=lambda a, b: -1 / (b - a).expm1(),
    partials=lambda y, a, b: _difference_partials(a, b),
    domain=(REAL, REAL),
    infer_facts=lambda term: Facts(),  # a pole at a = b, which no interval can say
    cost=6,
    source="definition, with the rounding error of the difference put back",
    doc="1 / (1 - exp(b - a)): the derivative of logdiffexp.",
    example=">>> sg.ops.logdiffexp_weight(sg.tensor([100.0]), 0.0).numpy()\n"
    "array([1.], dtype=float32)",
)

logdiffexp = elementwise(
    "logdiffexp",
    family="exponential",
    kernel=_logdiffexp_kernel,
    spellings=(
        lambda a, b: log(exp(a) - exp(b)),
        lambda a, b: a + log1mexp(b - a),
    ),
    partials=lambda y, a, b: (logdiffexp_weight(a, b), logdiffexp_weight(b, a)),
    textbook=lambda y, a, b: (exp(a - y), -exp(b - y)),
    domain=(REAL, REAL),  # and a > b
    infer_facts=_logdiffexp_facts,
    cost=6,
    source="a + log1mexp(b - a); Maechler 2012",
    doc="log(exp(a) - exp(b)) of a > b.",
    example=">>> sg.ops.logdiffexp(sg.tensor([1.0]), 0.0).numpy()\n"
    "array([0.54132485], dtype=float32)",
)

# -- the logistic family ------------------------------------------------------------------


def _sigmoid_kernel(xp: Any, x: Any) -> Any:
    t = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, t) / (1 + t)


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
    source="1/(1 + exp(-|x|)) and its mirror image",
    doc="The logistic function 1/(1 + exp(-x)).",
    example=">>> sg.ops.sigmoid(sg.tensor([0.0])).numpy()\narray([0.5], dtype=float32)",
)

softplus = elementwise(
    "softplus",
    family="exponential",
    kernel=lambda xp, x: xp.logaddexp(x, xp.zeros((), x.dtype)),
    spellings=(
        lambda x: log(1 + exp(x)),
        lambda x: log1p(exp(x)),
        lambda x: logaddexp(x, const(0, x.dtype)),
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
    kernel=lambda xp, x: -xp.logaddexp(-x, xp.zeros((), x.dtype)),
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

logit_slope = elementwise(
    "logit_slope",
    family="exponential",
    kernel=lambda xp, x: 1 / (x * (1 - x)),
    ball=lambda x: 1 / (x * (1 - x)),
    # of its own, because 1/(1 - x)**2 - 1/x**2 cancels at 1/2
    partials=lambda y, x: ((2 * x - 1) / x / x / (1 - x) / (1 - x),),
    domain=(UNIT,),
    range=Facts(lo=4.0, lo_open=False),
    cost=3,
    source="definition",
    doc="1 / (x * (1 - x)) of 0 < x < 1: the derivative of logit.",
    example=">>> sg.ops.logit_slope(sg.tensor([0.5])).numpy()\narray([4.], dtype=float32)",
)
