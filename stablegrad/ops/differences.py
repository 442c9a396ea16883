"""Differences that cancel at a point: log1p(x) - x, 1 - cos(x), x - sin(x), log(cosh(x))."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Facts
from stablegrad.ops import intervals, pairs
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.exponential import exp, expm1, log, log1p, log_expm1_slope
from stablegrad.ops.hyperbolic import cosh, tanh
from stablegrad.ops.logistic import softplus
from stablegrad.ops.pair_exp import LN2
from stablegrad.ops.record import (
    NONNEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    const,
    elementwise,
    interval,
)
from stablegrad.ops.taylor_tables import polynomial
from stablegrad.ops.trigonometric import cos, sin

_ABOVE_MINUS_ONE = Facts(lo=-1.0)
_NOT_POSITIVE = interval(-math.inf, 0.0, closed=True)


@cache
def _coefficients(term: Callable[[int], Fraction], count: int) -> tuple[float, ...]:
    """The floats of a power series, the highest power first."""
    return tuple([float(term(k)) for k in range(count)][::-1])


# -- logarithms --------------------------------------------------------------------------------


def _atanh_tail(k: int) -> Fraction:
    return Fraction(2, 2 * k + 3)


def _log1pmx(xp: Any, x: Any) -> Any:
    """With r = x/(2 + x) it is -r x + 2 (r**3/3 + r**5/5 + ...), for r*r < 1/5."""
    x = xp.asarray(x, dtype=float)
    inside = (x > -0.6) & (x < 1.5)
    t = xp.where(inside, x, 0.0)
    r = t / (2.0 + t)
    square = r * r
    near = r * (square * polynomial(square, _coefficients(_atanh_tail, 24)) - t)
    return xp.where(inside, near, xp.where(x == xp.inf, -xp.inf, xp.log1p(x) - x))


log1pmx = elementwise(
    "log1pmx",
    family="exponential",
    kernel=_log1pmx,
    spellings=(lambda x: log1p(x) - x, lambda x: log(1 + x) - x),
    partials=lambda y, x: (log1pmx_slope(x),),
    textbook=lambda y, x: (1 / (1 + x) - 1,),
    domain=(_ABOVE_MINUS_ONE,),
    range=_NOT_POSITIVE,
    cost=5,
    source="log1p(x) = 2 artanh(x/(2 + x)); the first term and x cancel exactly",
    doc="log1p(x) - x of x > -1.",
    example=">>> sg.ops.log1pmx(sg.tensor([1e-3])).numpy()\narray([-4.9966695e-07], dtype=float32)",
)

log1pmx_slope = elementwise(
    "log1pmx_slope",
    family="exponential",
    kernel=lambda xp, x: xp.where(x == xp.inf, -1.0, -x / (1.0 + x)),
    ball=lambda x: 1 / (1 + x) - 1,
    # an op of its own, because x/(1 + x)**2 - 1/(1 + x) cancels far out
    partials=lambda y, x: (-1 / (1 + x) / (1 + x),),
    domain=(REAL,),
    cost=3,
    source="definition",
    doc="-x / (1 + x): the derivative of log1pmx.",
    example=">>> sg.ops.log1pmx_slope(sg.tensor([1.0])).numpy()\narray([-0.5], dtype=float32)",
)


def _log_cosh(xp: Any, x: Any) -> Any:
    size = xp.abs(xp.asarray(x, dtype=float))
    small = size < 1.0
    half = xp.sinh(xp.where(small, 0.5 * size, 0.0))
    far = size + (xp.log1p(xp.exp(-2.0 * size)) - float(LN2))
    return xp.where(small, xp.log1p(2.0 * half * half), far)


log_cosh = elementwise(
    "log_cosh",
    family="hyperbolic",
    kernel=_log_cosh,
    spellings=(
        lambda x: log(cosh(x)),
        lambda x: log((exp(x) + exp(-x)) / 2),
        lambda x: softplus(2 * x) - x - log(const(2, x.dtype)),
        lambda x: OPS["logaddexp"](x, -x) - log(const(2, x.dtype)),
    ),
    partials=lambda y, x: (tanh(x),),
    domain=(REAL,),
    range=NONNEGATIVE,
    cost=5,
    source="log1p(2 sinh(x/2)**2) near 0; |x| + log1p(exp(-2|x|)) - log(2) beyond",
    doc="log(cosh(x)), also where cosh overflows.",
    example=">>> sg.ops.log_cosh(sg.tensor([1000.0])).numpy()\narray([999.3068], dtype=float32)",
)


def _expm1_series(c: Decimal, terms: int) -> tables.Series:
    out = tables.exp(c, terms + 1)
    return tables.over_x([out[0] - 1, *out[1:]], c)


_LOG_EXPREL_END = 40
_LOG_EXPREL = tables.Table(
    lambda c, k: tables.log(_expm1_series(c, k)),
    lambda n: (-_LOG_EXPREL_END - 8 * n, _LOG_EXPREL_END + 8 * n),
    4,
)


def _log_exprel(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of log(expm1(x) / x)."""
    x = xp.asarray(x, dtype=float)
    low, high = _LOG_EXPREL.ends(n)
    value = _LOG_EXPREL(xp, x, n)

    def far(xp: Any, x: Any) -> Any:
        if n == 0:
            return xp.maximum(x, 0.0) - xp.log(xp.abs(x))
        pole = 1.0 / x
        for k in range(1, n):
            pole = pole * -k / x
        return xp.where(x > 0, 1.0, 0.0) - pole if n == 1 else -pole

    value = pairs.redo(xp, (x < low) | (x > high), value, far, x)
    return xp.where(x == xp.inf, xp.inf, value) if n == 0 else value


@cache
def _bernoulli(n: int) -> Fraction:
    """Bernoulli's number B_n."""
    total = Fraction(int(n == 0))
    for k in range(n):
        total -= math.comb(n, k) * _bernoulli(k) / (n - k + 1)
    return total


def _log_exprel_meaning(x: Any, n: int) -> Any:
    """The n-th derivative, n >= 1: of b = 1/(1 - exp(-x)), where b' = b - b**2, and of 1/x."""
    if x == math.inf or x == -math.inf:
        return 1 / x + (1 if n == 1 and x > 0 else 0)
    if x == 0:  # as far as any truncated series can see
        total = x * 0
        for k in range(n, n + 12):
            c = Fraction(1, 2) if k == 1 else _bernoulli(k) / (k * math.factorial(k))
            total = total + x ** (k - n) * (c * math.perm(k, n))
        return total
    b = -1 / (-x).expm1()
    powers = {1: 1}  # the derivative as a polynomial in b
    for _ in range(n - 1):
        step: dict[int, int] = {}
        for p, c in powers.items():
            step[p] = step.get(p, 0) + c * p
            step[p + 1] = step.get(p + 1, 0) - c * p
        powers = step
    total = -((1 / x) ** n) * ((-1) ** (n - 1) * math.factorial(n - 1))
    for p, c in powers.items():
        total = total + b**p * c
    return total


log_exprel = elementwise(
    "log_exprel",
    family="exponential",
    kernel=_log_exprel,
    spellings=(lambda x: log(OPS["exprel"](x)),),
    partials=lambda y, x: (log_exprel_slope(x),),
    textbook=lambda y, x: (log_expm1_slope(x) - 1 / x,),
    domain=(REAL,),
    cost=6,
    source="Taylor polynomials about points 1/4 apart; x - log(x) or -log(-x) beyond",
    doc="log(expm1(x) / x), 0 at 0.",
    example=">>> sg.ops.log_exprel(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

log_exprel_slope = elementwise(
    "log_exprel_slope",
    family="exponential",
    kernel=lambda xp, x: _log_exprel(xp, x, n=1),
    ball=lambda x: _log_exprel_meaning(x, 1),
    spellings=(lambda x: log_expm1_slope(x) - 1 / x, lambda x: -1 / expm1(-x) - 1 / x),
    partials=lambda y, x: (log_exprel_derivative(x, n=2),),
    domain=(REAL,),
    range=UNIT,
    cost=6,
    source="Taylor polynomials about points 1/4 apart; 1/(1 - exp(-x)) is 1 or 0 beyond",
    doc="1/(1 - exp(-x)) - 1/x, 1/2 at 0: the mean of exp(x t) on 0 < t < 1.",
    example=">>> sg.ops.log_exprel_slope(sg.tensor([0.0])).numpy()\narray([0.5], dtype=float32)",
)

log_exprel_derivative = elementwise(
    "log_exprel_derivative",
    family="exponential",
    params=("n",),
    defaults=(1,),
    kernel=_log_exprel,
    ball=lambda x, *, n: _log_exprel_meaning(x, n),
    partials=lambda y, x: (log_exprel_derivative(x, n=y.param("n") + 1),),
    domain=(REAL,),
    infer_facts=lambda term: (POSITIVE if term.param("n") in (1, 2) else REAL)._replace(
        defined=term.args[0].facts.defined
    ),
    cost=6,
    source="Taylor polynomials about points 1/4 apart; powers of x alone beyond",
    doc="The n-th derivative of log(expm1(x) / x), n >= 1.",
    example=">>> sg.ops.log_exprel_derivative(sg.tensor([0.0])).numpy()\n"
    "array([0.5], dtype=float32)",
)

# -- exponentials --------------------------------------------------------------------------------


def _expm1mx_term(k: int) -> Fraction:
    return Fraction(1, math.factorial(k + 2))


def _expm1mx(xp: Any, x: Any) -> Any:
    x = xp.asarray(x, dtype=float)
    inside = xp.abs(x) < 1.0
    t = xp.where(inside, x, 0.0)
    near = t * polynomial(t, _coefficients(_expm1mx_term, 18)) * t
    far = xp.expm1(x) - xp.where(x == xp.inf, 0.0, x)
    return xp.where(inside, near, far)


expm1mx = elementwise(
    "expm1mx",
    family="exponential",
    kernel=_expm1mx,
    spellings=(lambda x: expm1(x) - x, lambda x: exp(x) - 1 - x),
    partials=lambda y, x: (expm1(x),),
    domain=(REAL,),
    range=NONNEGATIVE,
    cost=5,
    source="definition; power series for |x| < 1",
    doc="exp(x) - 1 - x.",
    example=">>> sg.ops.expm1mx(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

# -- circular and hyperbolic functions -----------------------------------------------------------


def _minus_twice_square(value: Any) -> Any:
    return -2.0 * value * value


cosm1 = elementwise(
    "cosm1",
    family="trigonometric",
    kernel=lambda xp, x: _minus_twice_square(xp.sin(0.5 * x)),
    ball=lambda x: -2 * (x / 2).sin() ** 2,
    spellings=(lambda x: cos(x) - 1,),
    partials=lambda y, x: (-sin(x),),
    domain=(REAL,),
    range=interval(-2.0, 0.0, closed=True),
    cost=4,
    source="-2 sin(x/2)**2",
    doc="cos(x) - 1.",
    example=">>> sg.ops.cosm1(sg.tensor([0.0])).numpy()\narray([-0.], dtype=float32)",
)


def versine(x: Any) -> Any:
    """1 - cos(x), without cancellation."""
    return -cosm1(x)


def _coshm1(xp: Any, x: Any) -> Any:
    size = xp.abs(xp.asarray(x, dtype=float))
    near = -_minus_twice_square(xp.sinh(0.5 * xp.minimum(size, 2.0)))
    return xp.where(size < 2.0, near, xp.cosh(size) - 1.0)


coshm1 = elementwise(
    "coshm1",
    family="hyperbolic",
    kernel=_coshm1,
    ball=lambda x: 2 * (x / 2).sinh() ** 2,
    spellings=(lambda x: cosh(x) - 1, lambda x: (OPS["exp"](x) + OPS["exp"](-x)) / 2 - 1),
    partials=lambda y, x: (OPS["sinh"](x),),
    domain=(REAL,),
    range=NONNEGATIVE,
    cost=5,
    source="2 sinh(x/2)**2",
    doc="cosh(x) - 1.",
    example=">>> sg.ops.coshm1(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


def _x_minus_sin_term(k: int) -> Fraction:
    return Fraction((-1) ** k, math.factorial(2 * k + 3))


def _x_minus_sin(xp: Any, x: Any) -> Any:
    x = xp.asarray(x, dtype=float)
    inside = xp.abs(x) < 2.0
    t = xp.where(inside, x, 0.0)
    near = t * (t * (t * polynomial(t * t, _coefficients(_x_minus_sin_term, 14))))
    return xp.where(inside, near, x - xp.sin(x))


x_minus_sin = elementwise(
    "x_minus_sin",
    family="trigonometric",
    kernel=_x_minus_sin,
    spellings=(lambda x: x - sin(x),),
    partials=lambda y, x: (-cosm1(x),),
    textbook=lambda y, x: (1 - cos(x),),
    domain=(REAL,),
    infer_facts=intervals.increasing(lambda v: v - math.sin(v), REAL, REAL, exact=((0.0, 0.0),)),
    cost=5,
    source="definition; power series for |x| < 2",
    doc="x - sin(x).",
    example=">>> sg.ops.x_minus_sin(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)
