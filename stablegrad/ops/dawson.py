"""Dawson's integral and the imaginary error function.

All derivatives of Dawson's integral, F(x) = exp(-x**2) times the integral of exp(t**2) from 0 to
x, are ops: F' = 1 - 2 x F cancels for large x. Up to 8 they are Taylor polynomials about points
1/8 apart, beyond an asymptotic series whose terms have one sign.
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import pairs
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.record import REAL, elementwise, interval
from stablegrad.ops.special_error import gauss_term

_END = 8
_TERMS = 32


def _series(c: Decimal, terms: int) -> tables.Series:
    """Taylor coefficients about c >= 0: F' = 1 - 2 x F, from a series of positive terms at c."""
    square = c * c
    total, term, k = Decimal(0), Decimal(1), 0
    while term > total * Decimal(10) ** -(tables.DIGITS + 5) or k <= square:
        total += term / (2 * k + 1)
        k += 1
        term = term * square / k
    out = [c * total * (-square).exp()]
    out.append(1 - 2 * c * out[0])
    for k in range(1, terms - 1):
        out.append(-2 * (c * out[k] + out[k - 1]) / (k + 1))
    return out


_TABLE = tables.Table(_series, lambda n: (0, _END), 8)


@cache
def _asymptotic(n: int) -> tuple[float, ...]:
    """The coefficients of u**k in x**(n + 1) F^(n)(x), u = 1/(2 x**2), the highest first."""
    rows = [
        (-1) ** n * math.prod(range(1, 2 * k, 2)) * math.perm(2 * k + n, n) / 2
        for k in range(_TERMS)
    ]
    return tuple(rows[::-1])


def _far(xp: Any, a: Any, n: int) -> Any:
    r = 1.0 / a
    return tables.polynomial(0.5 * r * r, _asymptotic(n)) * xp.power(a, -float(n + 1))


def _derivative(xp: Any, x: Any, *, n: int) -> Any:
    x = xp.asarray(x, dtype=float)
    a = xp.abs(x)
    value = _TABLE(xp, xp.minimum(a, float(_END)), n)
    value = pairs.redo(xp, a > _END, value, lambda xp, a: _far(xp, a, n), a)
    value = xp.where(xp.isnan(x), xp.nan, value)
    return value if n % 2 else xp.where(x < 0, -value, value)


def _erfi(xp: Any, x: Any) -> Any:
    """2/sqrt(pi) exp(x**2) F(x), the square in two floats and the exponential in two steps."""
    x = xp.asarray(x, dtype=float)
    bounded = xp.clip(x, -30.0, 30.0)
    hi, lo = pairs.two_prod(bounded, bounded)
    half = xp.exp(0.5 * hi)
    small = xp.abs(x) < 1e-140  # there the error of the square means nothing
    rest = xp.where(small, 0.0, lo)
    scaled = 2.0 / math.sqrt(math.pi) * _derivative(xp, bounded, n=0) * (1.0 + rest)
    value = half * scaled * half
    return xp.where(xp.abs(x) > 30.0, xp.sign(x) * xp.inf, value)


def _facts(term: Term) -> Facts:
    bound = 2.0 ** (term.param("n") + 1) * math.factorial(term.param("n"))
    return interval(-bound, bound, closed=True)._replace(defined=term.args[0].facts.defined)


dawsn = elementwise(
    "dawsn",
    family="special",
    kernel=lambda xp, x: _derivative(xp, x, n=0),
    ball=lambda x: x.dawsn(0),
    partials=lambda y, x: (dawsn_derivative(x, n=1),),
    textbook=lambda y, x: (1 - 2 * x * y,),
    domain=(REAL,),
    range=interval(-0.5410442246351817, 0.5410442246351817, closed=True),
    cost=5,
    source="DLMF 7.5.1, 7.12.1; Taylor polynomials about points 1/8 apart",
    doc="Dawson's integral: exp(-x**2) times the integral of exp(t**2) from 0 to x.",
    example=">>> sg.ops.dawsn(sg.tensor([2.0])).numpy()\narray([0.3013404], dtype=float32)",
)

dawsn_derivative = elementwise(
    "dawsn_derivative",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=_derivative,
    ball=lambda x, *, n: x.dawsn(n),
    partials=lambda y, x: (OPS["dawsn_derivative"](x, n=y.param("n") + 1),),
    domain=(REAL,),
    infer_facts=_facts,
    cost=6,
    source="DLMF 7.12.1; Taylor polynomials about points 1/8 apart",
    doc="The n-th derivative of Dawson's integral.",
    example=">>> sg.ops.dawsn_derivative(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

erfi = elementwise(
    "erfi",
    family="special",
    kernel=_erfi,
    ball=lambda x: x.erfi(),
    partials=lambda y, x: (gauss_term(x * x),),
    domain=(REAL,),
    cost=6,
    source="DLMF 7.5.1: 2/sqrt(pi) exp(x**2) times Dawson's integral",
    doc="The imaginary error function, 2/sqrt(pi) times the integral of exp(t**2) from 0 to x.",
    example=">>> sg.ops.erfi(sg.tensor([1.0])).numpy()\narray([1.6504258], dtype=float32)",
)
