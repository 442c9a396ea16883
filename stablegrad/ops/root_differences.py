"""Differences and inverses next to 1 that hold a root: sqrt(1 + x) - 1, arccosh(1 + x) and kin."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS, Facts
from stablegrad.ops import root_kernels
from stablegrad.ops.hyperbolic import arccosh
from stablegrad.ops.pair_exp import LN2
from stablegrad.ops.record import NONNEGATIVE, POSITIVE, SYMMETRIC_UNIT, elementwise, interval

sqrt1pm1 = elementwise(
    "sqrt1pm1",
    family="arithmetic",
    kernel=lambda xp, x: xp.where(x == xp.inf, x, x / (1.0 + xp.sqrt(1.0 + x))),
    spellings=(lambda x: OPS["sqrt"](1 + x) - 1,),
    partials=lambda y, x: (0.5 / OPS["sqrt"](1 + x),),
    domain=(interval(-1.0, math.inf, closed=True),),
    range=Facts(lo=-1.0, lo_open=False),
    cost=3,
    source="x / (1 + sqrt(1 + x))",
    doc="sqrt(1 + x) - 1 of x >= -1.",
    example=">>> sg.ops.sqrt1pm1(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


def _lorentz_excess(xp: Any, b: Any) -> Any:
    root = xp.sqrt((1.0 - b) * (1.0 + b))
    return b / root * (b / (1.0 + root))


lorentz_excess = elementwise(
    "lorentz_excess",
    family="arithmetic",
    kernel=_lorentz_excess,
    ball=lambda b: 1 / ((1 - b) * (1 + b)).sqrt() - 1,
    spellings=(lambda b: 1 / OPS["sqrt"](1 - b * b) - 1,),
    partials=lambda y, b: (b * OPS["arcsin_slope"](b, n=3),),
    domain=(SYMMETRIC_UNIT,),
    range=NONNEGATIVE,
    cost=4,
    source="b*b / (r*(1 + r)) with r = sqrt(1 - b*b)",
    doc="1/sqrt(1 - b*b) - 1 of |b| < 1: the kinetic energy of a velocity b, over m c**2.",
    example=">>> sg.ops.lorentz_excess(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


def _arccosh1p(xp: Any, x: Any) -> Any:
    root = xp.sqrt(x)
    value = xp.log1p(root * (root + xp.sqrt(2.0 + x)))
    return xp.where(x > 1e150, xp.log(x) + float(LN2), value)


arccosh1p = elementwise(
    "arccosh1p",
    family="hyperbolic",
    kernel=_arccosh1p,
    spellings=(lambda x: arccosh(1 + x),),
    partials=lambda y, x: (arccosh1p_derivative(x, n=1),),
    domain=(NONNEGATIVE,),
    range=NONNEGATIVE,
    cost=4,
    source="log1p(x + sqrt(x*(2 + x)))",
    doc="arccosh(1 + x) of x >= 0.",
    example=">>> sg.ops.arccosh1p(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

arccosh1p_derivative = elementwise(
    "arccosh1p_derivative",
    family="hyperbolic",
    params=("n",),
    kernel=lambda xp, x, *, n: root_kernels.derivative(xp, x, 1, n - 1),
    ball=lambda x, *, n: root_kernels.ball(x, 1, n - 1),
    partials=lambda y, x: (arccosh1p_derivative(x, n=y.param("n") + 1),),
    domain=(POSITIVE,),
    cost=5,
    source="a polynomial in 1 + x over an odd power of sqrt(x*(2 + x)), in pairs",
    doc="The n-th derivative of arccosh(1 + x), n > 0; the first is 1/sqrt(x*(2 + x)).",
    example=">>> sg.ops.arccosh1p_derivative(sg.tensor([2.0]), n=1).numpy()\n"
    "array([0.35355338], dtype=float32)",
)
