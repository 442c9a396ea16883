"""The sine and cosine integrals."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS
from stablegrad.ops import pair_exp, pairs
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.quotients import sine_over_x_meaning
from stablegrad.ops.record import REAL, elementwise, interval

EULER = Fraction("0.57721566490153286060651209008240243104215933593992359880576723")
_EULER = pairs.split(EULER)
_END = 48
_CIN = [Fraction((-1) ** (k + 1), 2 * k * math.factorial(2 * k)) for k in range(12, 0, -1)]
"""The entire part of -Ci, x**2/4 - x**4/96 + ..., as a power series in x**2 without its zero."""


def _series(c: Decimal, terms: int) -> tables.Series:
    """Taylor coefficients of Ci about c >= 1; its derivative is cos(x)/x."""
    total, term, k = Decimal(0), Decimal(1), 0
    while k < 2 * c or abs(term) > Decimal(10) ** -(tables.DIGITS + 5):
        k += 2
        term = -term * c * c / (k * (k - 1))
        total += term / k
    euler = Decimal(EULER.numerator) / Decimal(EULER.denominator)
    slope = tables.over_x(tables.sine_cosine(c, terms)[1], c)
    return [euler + c.ln() + total, *[a / (i + 1) for i, a in enumerate(slope[:-1])]]


_TABLE = tables.Table(_series, lambda n: (1, _END), 8)


def _near_0(xp: Any, x: Any) -> Any:
    """Euler's constant + log(x) - x**2/4 + ..., in pairs: its terms cancel next to 0.6165."""
    zero = 0.0 * x
    square = pairs.two_prod(x, x)
    part = pairs.horner(square, [(hi + zero, lo) for hi, lo in map(pairs.split, _CIN)])
    total = pairs.add(pair_exp.log(xp, x), (_EULER[0] + zero, _EULER[1]))
    hi, lo = pairs.add(total, pairs.negative(pairs.multiply(part, square)))
    return hi + lo


def _cosine_integral(xp: Any, x: Any) -> Any:
    a = xp.abs(xp.asarray(x, dtype=float))
    value = _TABLE(xp, xp.clip(a, 1.0, float(_END)))
    value = xp.where(a > _END, xp.special.sici(a)[1], value)
    tiny = xp.log(xp.where(a > 0, a, 1.0)) + _EULER[0] - 0.25 * a * a
    value = xp.where(a < 1e-5, xp.where(a > 0, tiny, -xp.inf), value)
    return pairs.redo(xp, (a >= 1e-5) & (a < 1.0), value, _near_0, a)


sine_integral = elementwise(
    "sine_integral",
    family="special",
    kernel=lambda xp, x: xp.special.sici(xp.asarray(x, dtype=float))[0],
    ball=lambda x: x.sine_integral(lambda x: sine_over_x_meaning(x, 0)),
    partials=lambda y, x: (OPS["sinc_unnormalised"](x),),
    textbook=lambda y, x: (OPS["sin"](x) / x,),
    domain=(REAL,),
    range=interval(-1.8519370519824662, 1.8519370519824662, closed=True),
    cost=5,
    source="DLMF 6.2.9",
    doc="The sine integral Si, of sin(t)/t from 0 to x.",
    example=">>> sg.ops.sine_integral(sg.tensor([2.0])).numpy()\narray([1.605413], dtype=float32)",
)

cosine_integral = elementwise(
    "cosine_integral",
    family="special",
    kernel=_cosine_integral,
    ball=lambda x: x.cosine_integral(),
    partials=lambda y, x: (OPS["cos"](x) / x,),
    domain=(REAL,),
    cost=6,
    ulp=None,
    accuracy="4 ulp up to 48; beyond, and next to zeros of derivatives, 4 ulp of the amplitude, "
    "the greater of |value| and 1/x",
    source="DLMF 6.2.13; Taylor polynomials about points 1/8 apart",
    doc="The cosine integral Ci of |x|: Euler's constant + log|x| + the integral of (cos(t) - 1)/t "
    "from 0 to x.",
    example=">>> sg.ops.cosine_integral(sg.tensor([2.0])).numpy()\n"
    "array([0.42298082], dtype=float32)",
)
