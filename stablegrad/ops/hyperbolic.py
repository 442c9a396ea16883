"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import intervals
from stablegrad.ops.exponential import exp, log, log1p
from stablegrad.ops.logistic import sigmoid
from stablegrad.ops.powers import hypot
from stablegrad.ops.record import (
    NONNEGATIVE,
    REAL,
    SYMMETRIC_UNIT,
    UNIT,
    const,
    elementwise,
)

AT_LEAST_ONE = Facts(lo=1.0, lo_open=False)


def _sqrt(x: Term) -> Term:
    return OPS["sqrt"](x)


sinh = elementwise(
    "sinh",
    family="hyperbolic",
    kernel=lambda xp, x: xp.sinh(x),
    spellings=(
        lambda x: (exp(x) - exp(-x)) / 2,
        lambda x: (exp(2 * x) - 1) / (2 * exp(x)),
    ),
    partials=lambda y, x: (cosh(x),),
    domain=(REAL,),
    infer_facts=intervals.increasing(math.sinh, REAL, REAL, exact=((0.0, 0.0),)),
    cost=5,
    lax="sinh",
    aten="sinh",
    source="DLMF 4.28",
    doc="The hyperbolic sine.",
    example=">>> sg.ops.sinh(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

cosh = elementwise(
    "cosh",
    family="hyperbolic",
    kernel=lambda xp, x: xp.cosh(x),
    spellings=(
        lambda x: (exp(x) + exp(-x)) / 2,
        lambda x: (exp(2 * x) + 1) / (2 * exp(x)),
    ),
    partials=lambda y, x: (sinh(x),),
    domain=(REAL,),
    range=AT_LEAST_ONE,
    cost=5,
    lax="cosh",
    aten="cosh",
    source="DLMF 4.28",
    doc="The hyperbolic cosine.",
    example=">>> sg.ops.cosh(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

tanh = elementwise(
    "tanh",
    family="hyperbolic",
    kernel=lambda xp, x: xp.tanh(x),
    spellings=(
        lambda x: sinh(x) / cosh(x),
        lambda x: (exp(2 * x) - 1) / (exp(2 * x) + 1),
        lambda x: (1 - exp(-2 * x)) / (1 + exp(-2 * x)),
        lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)),
        lambda x: 2 * sigmoid(2 * x) - 1,
        lambda x: sigmoid(2 * x) - sigmoid(-2 * x),
    ),
    partials=lambda y, x: (sech_squared(x),),
    textbook=lambda y, x: (1 - y * y,),
    domain=(REAL,),
    range=SYMMETRIC_UNIT,
    infer_facts=intervals.increasing(math.tanh, REAL, SYMMETRIC_UNIT, exact=((0.0, 0.0),)),
    cost=3,
    lax="tanh",
    aten="tanh",
    source="DLMF 4.28",
    doc="The hyperbolic tangent.",
    example=">>> sg.ops.tanh(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


def _sech_kernel(xp: Any, x: Any) -> Any:
    t = xp.exp(-xp.abs(x))
    return 2 * t / (1 + t * t)


def _sech_ball(x: Any) -> Any:
    """2t/(1 + t*t), as the balls of cosh have no bound far out."""
    t = (-abs(x) if x.decided() else x).exp()  # near 0 it may be of either sign
    return 2 * t / (1 + t * t)


def _sech_facts(term: Term) -> Facts:
    return Facts(0.0, 1.0, True, False, term.args[0].facts.defined)


sech = elementwise(
    "sech",
    family="hyperbolic",
    kernel=_sech_kernel,
    ball=_sech_ball,
    spellings=(
        lambda x: 1 / cosh(x),
        lambda x: 2 / (exp(x) + exp(-x)),
        lambda x: 2 * exp(x) / (exp(2 * x) + 1),
    ),
    partials=lambda y, x: (-sech(x) * tanh(x),),
    domain=(REAL,),
    range=UNIT,
    infer_facts=_sech_facts,
    cost=4,
    ulp=(4, 4, math.inf),
    accuracy="the second derivative has zeros: relative to the greater of its two terms there",
    source="2t/(1 + t*t) with t = exp(-|x|)",
    doc="The hyperbolic secant, 1/cosh(x).",
    example=">>> sg.ops.sech(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)


def _sech_squared_kernel(xp: Any, x: Any) -> Any:
    e = xp.exp(-2 * xp.abs(x))
    return 4 * e / (1 + e * (2 + e))


def _sech_squared_ball(x: Any) -> Any:
    y = _sech_ball(x)
    return y * y


sech_squared = elementwise(
    "sech_squared",
    family="hyperbolic",
    kernel=_sech_squared_kernel,
    ball=_sech_squared_ball,
    spellings=(lambda x: sech(x) * sech(x), lambda x: 1 / (cosh(x) * cosh(x))),
    partials=lambda y, x: (-2 * y * tanh(x),),
    domain=(REAL,),
    range=UNIT,
    infer_facts=_sech_facts,
    cost=4,
    ulp=(4, 4, math.inf),
    accuracy="the second derivative has zeros: relative to the greater of its two terms there",
    source="4e/(1 + e)**2 with e = exp(-2|x|)",
    doc="sech(x)**2: the derivative of tanh.",
    example=">>> sg.ops.sech_squared(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

arcsinh = elementwise(
    "arcsinh",
    family="hyperbolic",
    kernel=lambda xp, x: xp.arcsinh(x),
    spellings=(
        lambda x: log(x + _sqrt(x * x + 1)),
        lambda x: log(x + hypot(x, const(1, x.dtype))),
    ),
    partials=lambda y, x: (1 / hypot(x, const(1, x.dtype)),),
    textbook=lambda y, x: (1 / _sqrt(x * x + 1),),
    domain=(REAL,),
    infer_facts=intervals.increasing(math.asinh, REAL, REAL, exact=((0.0, 0.0),)),
    cost=4,
    lax="asinh",
    aten="asinh",
    source="DLMF 4.37",
    doc="The inverse hyperbolic sine.",
    example=">>> sg.ops.arcsinh(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

arccosh = elementwise(
    "arccosh",
    family="hyperbolic",
    kernel=lambda xp, x: xp.arccosh(x),
    spellings=(
        lambda x: log(x + _sqrt(x * x - 1)),
        lambda x: log(x + _sqrt(x - 1) * _sqrt(x + 1)),
    ),
    # two roots: x*x - 1 cancels near 1 and overflows far out
    partials=lambda y, x: (1 / (_sqrt(x - 1) * _sqrt(x + 1)),),
    textbook=lambda y, x: (1 / _sqrt(x * x - 1),),
    domain=(AT_LEAST_ONE,),
    range=NONNEGATIVE,
    infer_facts=intervals.increasing(math.acosh, AT_LEAST_ONE, NONNEGATIVE, exact=((1.0, 0.0),)),
    cost=4,
    lax="acosh",
    aten="acosh",
    source="DLMF 4.37",
    doc="The inverse hyperbolic cosine of x >= 1.",
    example=">>> sg.ops.arccosh(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)

arctanh = elementwise(
    "arctanh",
    family="hyperbolic",
    kernel=lambda xp, x: xp.arctanh(x),
    spellings=(
        lambda x: log((1 + x) / (1 - x)) / 2,
        lambda x: (log1p(x) - log1p(-x)) / 2,
    ),
    partials=lambda y, x: (1 / one_minus_square(x),),
    textbook=lambda y, x: (1 / (1 - x * x),),
    domain=(SYMMETRIC_UNIT,),
    infer_facts=intervals.increasing(math.atanh, SYMMETRIC_UNIT, REAL, exact=((0.0, 0.0),)),
    cost=4,
    lax="atanh",
    aten="atanh",
    source="DLMF 4.37",
    doc="The inverse hyperbolic tangent of -1 < x < 1.",
    example=">>> sg.ops.arctanh(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


def _one_minus_square_kernel(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    return xp.where(size < 0.5, 1 - x * x, (1 - size) * (1 + size))


def _one_minus_square_facts(term: Term) -> Facts:
    x = term.args[0].facts
    low = 0.0 if x.within(Facts(-1.0, 1.0, False, False)) else -math.inf
    open_end = low < 0 or x.within(SYMMETRIC_UNIT)
    return Facts(low, 1.0, open_end, False, x.defined)


one_minus_square = elementwise(
    "one_minus_square",
    family="hyperbolic",
    kernel=_one_minus_square_kernel,
    ball=lambda x: (1 - x) * (1 + x),
    # an op of its own, because 1/(1 - x)**2 - 1/(1 + x)**2 cancels at 0
    partials=lambda y, x: (-2 * x,),
    domain=(REAL,),
    infer_facts=_one_minus_square_facts,
    cost=2,
    source="(1 - x)*(1 + x), where 1 - |x| is exact",
    doc="1 - x*x, without cancellation: the reciprocal of arctanh's derivative.",
    example=">>> sg.ops.one_minus_square(sg.tensor([0.5])).numpy()\narray([0.75], dtype=float32)",
)
