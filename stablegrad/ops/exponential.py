"""Exponentials and logarithms."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import intervals
from stablegrad.ops.pair_exp import LN2
from stablegrad.ops.record import (
    NEGATIVE,
    POSITIVE,
    REAL,
    const,
    elementwise,
)

# to 128 bits and more, so that constants of derivatives are exact before they are rounded once
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

# -- logarithms next to 1 -----------------------------------------------------------------


def _log1mexp_kernel(xp: Any, x: Any) -> Any:
    return xp.where(x > -LN2_HI, xp.log(-xp.expm1(x)), xp.log1p(-xp.exp(x)))


log1mexp = elementwise(
    "log1mexp",
    family="exponential",
    kernel=_log1mexp_kernel,
    ball=lambda x: (-x.expm1()).log(),
    spellings=(
        lambda x: log(1 - exp(x)),
        lambda x: log(-expm1(x)),
        lambda x: log1p(-exp(x)),
    ),
    partials=lambda y, x: (log1mexp_slope(x),),
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
    partials=lambda y, x: (log_expm1_slope(x),),
    textbook=lambda y, x: (exp(x) / (exp(x) - 1),),
    domain=(POSITIVE,),
    infer_facts=intervals.increasing(lambda v: math.log(math.expm1(v)), POSITIVE, REAL),
    cost=5,
    source="Maechler 2012; the inverse of softplus",
    doc="log(exp(x) - 1) of x > 0.",
    example=">>> sg.ops.log_expm1(sg.tensor([1.0])).numpy()\narray([0.54132485], dtype=float32)",
)


def _log_expm1_slope_facts(term: Term) -> Facts:
    x = term.args[0].facts
    if x.positive:
        return Facts(lo=1.0, defined=x.defined)
    if x.negative:
        return Facts(hi=0.0, defined=x.defined)
    return Facts()  # a pole at 0, which no interval can say


log_expm1_slope = elementwise(
    "log_expm1_slope",
    family="exponential",
    kernel=lambda xp, x: -1 / xp.expm1(-x),
    ball=lambda x: -1 / (-x).expm1(),
    partials=lambda y, x: (-bose_slope(x),),
    domain=(REAL,),
    infer_facts=_log_expm1_slope_facts,
    cost=5,
    source="definition",
    doc="1 / (1 - exp(-x)): the derivative of log_expm1 for x > 0, of log1mexp for x < 0.",
    example=">>> sg.ops.log_expm1_slope(sg.tensor([100.0])).numpy()\narray([1.], dtype=float32)",
)


def _log1mexp_slope_ball(x: Any) -> Any:
    if x < 0:  # exp(-x) has no bound far out
        return x.exp() / x.expm1()
    return -1 / (x * x) if x == 0 else (-x).log()  # -inf at 0, nan beyond


log1mexp_slope = elementwise(
    "log1mexp_slope",
    family="exponential",
    # 0 is met from the left, whatever its sign
    kernel=lambda xp, x: xp.where(x > 0, math.nan, -1 / xp.expm1(xp.abs(x))),
    ball=_log1mexp_slope_ball,
    partials=lambda y, x: (y * (1 - y),),  # y < 0: nothing cancels
    domain=(NEGATIVE,),
    range=NEGATIVE,
    cost=5,
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2: three inexact factors",
    source="definition",
    doc="1 / (1 - exp(-x)) of x < 0: the derivative of log1mexp, -inf at 0.",
    example=">>> sg.ops.log1mexp_slope(sg.tensor([-1.0])).numpy()\n"
    "array([-0.5819767], dtype=float32)",
)


def bose_slope_kernel(xp: Any, x: Any) -> Any:
    """exp(-|x|) / expm1(-|x|)**2: nothing overflows, and no square underflows early."""
    size = -xp.abs(x)
    e = xp.expm1(size)
    return xp.exp(size) / e / e


bose_slope = elementwise(
    "bose_slope",
    family="exponential",
    kernel=bose_slope_kernel,
    ball=lambda x: -1 / (x.expm1() * (-x).expm1()),
    partials=lambda y, x: (-y / OPS["tanh"](x / 2),),
    domain=(REAL,),  # but for 0, which no interval can say
    infer_facts=lambda term: POSITIVE._replace(
        defined=term.args[0].facts.defined and term.args[0].facts.nonzero
    ),
    cost=5,
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2: several inexact factors and a sum",
    source="definition",
    doc="exp(x) / (exp(x) - 1)**2: minus the derivative of 1/(exp(x) - 1); inf at 0.",
    example=">>> sg.ops.bose_slope(sg.tensor([1.0])).numpy()\narray([0.9206736], dtype=float32)",
)
