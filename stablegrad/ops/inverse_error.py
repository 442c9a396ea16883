"""Inverses of the complementary error function and of the logarithm of the normal distribution."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import meanings, mills, pairs
from stablegrad.ops.exponential import LN2_HI, LN2_LO
from stablegrad.ops.record import NEGATIVE, POSITIVE, REAL, elementwise, interval
from stablegrad.ops.taylor_tables import polynomial

_ROOT_PI_HALF = pairs.split(pairs.pi().sqrt() / 2)
_ROOT_2PI = math.sqrt(2 * math.pi)


@cache
def _erf_series() -> tuple[float, ...]:
    """Of sqrt(pi)/2 erf(y)/y - 1 in y*y, over y*y; the highest power first."""
    return tuple(
        [float(Fraction((-1) ** k, math.factorial(k) * (2 * k + 1))) for k in range(14, 0, -1)]
    )


def _smallest(xp: Any, t: Any) -> Any:
    """The inverse where t is next to the smallest floats: a fixed point that contracts fast."""
    y, log_t = 26.5 + 0.0 * t, xp.log(t)
    for _ in range(6):
        y = xp.sqrt(xp.log(mills.ratio(xp, -y, 2, 0)) - log_t)
    return y


def _erfcinv_positive(xp: Any, t: Any) -> tuple[pairs.Pair, pairs.Pair]:
    """The y >= 0 with erfc(y) = t for 0 < t <= 1, and minus dy/dt, after a Newton step."""
    zero = 0.0 * t
    y = xp.special.erfcinv(t)
    tail = t < 0.5
    near = xp.where(tail, 0.0, y)
    far = xp.where(tail & (t > 1e-280), y, 1.0)
    ratio = mills.ratio(xp, -far, 2, 0)  # erfcx
    rest_far = (ratio - t / mills.gauss(xp, far, 2, 1.0)) * _ROOT_PI_HALF[0]
    growth = xp.exp(near * near)
    aim = pairs.multiply(_pair(_ROOT_PI_HALF, zero), (1.0 - t, zero))
    square = near * near
    bent = near * (square * polynomial(square, _erf_series()))
    rest_near = (((aim[0] - near) + aim[1]) - bent) * growth
    step = xp.where(tail, xp.where(t > 1e-280, rest_far, 0.0), rest_near)
    step = xp.where(xp.abs(step) < 1e-8, step, 0.0)  # not where t is 0 or nan
    ratio = ratio + step * (2.0 * far * ratio - 1.0 / _ROOT_PI_HALF[0])
    growth = growth + growth * (2.0 * near * step)
    y = pairs.redo(xp, (t < 1e-280) & (t > 0), y, _smallest, t)
    ratio = xp.where(t < 1e-280, mills.ratio(xp, -xp.where(t > 0, y, 1.0), 2, 0), ratio)
    y_pair = pairs.fast_two_sum(y, step)
    y_pair = (y_pair[0], xp.where(xp.isfinite(y), y_pair[1], 0.0))
    front = pairs.multiply(_pair(_ROOT_PI_HALF, zero), (xp.where(tail, ratio, growth), zero))
    by = xp.where(tail & (t > 1e-280), t, 1.0)
    slope = pairs.divide(front, (by, zero))
    tiny = t < 1e-280
    slope = (xp.where(tiny, front[0] / t, slope[0]), xp.where(tiny, 0.0, slope[1]))
    return y_pair, slope


def _pair(value: tuple[float, float], zero: Any) -> pairs.Pair:
    return value[0] + zero, value[1] + zero


def _erfcinv(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of erfcinv, n < 3."""
    x = xp.asarray(x, dtype=float)
    left = x > 1.0
    t = xp.where(left, 2.0 - x, xp.where(x == 0, 0.0, x))
    t = xp.where((t >= 0) & (t <= 1), t, xp.nan)
    y, slope = _erfcinv_positive(xp, t)
    if n == 0:
        value = y[0] + y[1]
    elif n == 1:
        return -(slope[0] + slope[1])
    else:
        product = pairs.multiply(pairs.multiply(slope, slope), y)
        value = 2.0 * (product[0] + product[1])
        # slopes beyond 1e140, where pairs overflow
        value = xp.where(t < 1e-130, 2.0 * y[0] * slope[0] * slope[0], value)
    return xp.where(left, -value, value)


erfcinv = elementwise(
    "erfcinv",
    family="special",
    kernel=_erfcinv,
    ball=lambda x: x.erfcinv(),
    partials=lambda y, x: (-erfcinv_slope(x),),
    textbook=lambda y, x: (-(math.sqrt(math.pi) / 2) * OPS["exp"](y * y),),
    domain=(interval(0.0, 2.0),),
    range=REAL,
    cost=5,
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2, a product of three inexact factors",
    source="the inverse of DLMF 7.2.2: SciPy's, and a Newton step",
    doc="The number whose complementary error function is x.",
    example=">>> sg.ops.erfcinv(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)

erfcinv_slope = elementwise(
    "erfcinv_slope",
    family="special",
    kernel=lambda xp, x: -_erfcinv(xp, x, n=1),
    ball=lambda x: (x.erfcinv() ** 2).exp() * meanings.pi_like(x).sqrt() / 2,
    partials=lambda y, x: (-erfcinv_bend(x),),
    domain=(interval(0.0, 2.0),),
    range=POSITIVE,
    cost=6,
    ulp=(4, 6, 12),
    accuracy="6 and 12 ulp at orders 1 and 2: products of many inexact factors",
    source="exp(y**2) = erfcx(y) / erfc(y), and erfc(y) = x exactly",
    doc="Minus the derivative of erfcinv, sqrt(pi)/2 exp(erfcinv(x)**2).",
    example=">>> sg.ops.erfcinv_slope(sg.tensor([1.0])).numpy()\n"
    "array([0.88622695], dtype=float32)",
)


def _erfcinv_bend_ball(x: Any) -> Any:
    y = x.erfcinv()
    return y * (y * y * 2).exp() * meanings.pi_like(x) / 2


def _erfcinv_bend_partials(out: Term, x: Term) -> tuple[Term]:
    y, slope = erfcinv(x), erfcinv_slope(x)
    return (-2 * slope * slope * slope * (1 + 4 * y * y),)


erfcinv_bend = elementwise(
    "erfcinv_bend",
    family="special",
    kernel=lambda xp, x: _erfcinv(xp, x, n=2),
    ball=_erfcinv_bend_ball,
    partials=_erfcinv_bend_partials,
    domain=(interval(0.0, 2.0),),
    range=REAL,
    cost=6,
    ulp=(6, 12, 20),
    accuracy="6, 12 and 20 ulp at orders 0, 1 and 2: products of many inexact factors",
    source="2 y slope**2",
    doc="The second derivative of erfcinv.",
    example=">>> sg.ops.erfcinv_bend(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)

# -- the inverse of log_ndtr -----------------------------------------------------------------------


def _ndtri_exp(xp: Any, y: Any) -> pairs.Pair:
    """SciPy's, and a Newton step on the logarithm, whose value the argument is."""
    y = xp.asarray(y, dtype=float)
    x = xp.special.ndtri_exp(y)

    def center(xp: Any, y: Any) -> Any:
        # 2 exp(y) - 1, without cancellation at y = -log(2)
        return xp.special.erfinv(xp.expm1((y + LN2_HI) + LN2_LO)) * math.sqrt(2.0)

    def right(xp: Any, y: Any) -> Any:
        return -xp.special.ndtri(-xp.expm1(y))  # from the upper tail

    x = pairs.redo(xp, (y > -1.2) & (y < -0.3), x, center, y)
    x = pairs.redo(xp, (y >= -0.3) & (y < 0), x, right, y)

    def step(xp: Any, x: Any, y: Any) -> Any:
        ratio = mills.ratio(xp, x, 1, 0)
        p, p_lo = pairs.two_prod(xp.maximum(x, -1e100), 0.5 * xp.maximum(x, -1e100))
        off = ((y + p) + (p_lo - xp.log(ratio))) * (ratio * _ROOT_2PI)
        usable = (x > -1e100) & (xp.abs(off) < 1e-6 * xp.maximum(xp.abs(x), 1.0))
        return xp.where(usable, off, 0.0)

    far = (y <= -1.2) & xp.isfinite(x)
    return pairs.fast_two_sum(x, pairs.redo(xp, far, 0.0 * y, step, x, y))


def _ndtri_exp_kernel(xp: Any, y: Any) -> Any:
    x, x_lo = _ndtri_exp(xp, y)
    return xp.where(xp.isfinite(x), x + x_lo, x)


def _ndtri_exp_slope(xp: Any, y: Any, *, n: int) -> Any:
    """The n-th derivative of Mills's ratio at ndtri_exp(y)."""
    y = xp.asarray(y, dtype=float)
    x, x_lo = _ndtri_exp(xp, y)
    near = xp.minimum(x, 1.0)
    value = mills.ratio(xp, near, 1, n) + x_lo * mills.ratio(xp, near, 1, n + 1)
    value = value * _ROOT_2PI

    def right(xp: Any, x: Any, y: Any) -> Any:
        below = None
        out = xp.exp(y) * _ROOT_2PI * mills.ratio(xp, -x, 1, 0) / -xp.expm1(y)
        for k in range(n):
            step = x * out + (1.0 if below is None else k * below)
            below, out = out, step
        return out

    return pairs.redo(xp, x > 1.0, value, right, x, y)


def _ndtri_exp_ball(y: Any) -> Any:
    tail = y.exp()
    if tail < 0.5:
        return meanings.ndtri(tail)
    return -meanings.ndtri(-y.expm1())


def _ndtri_exp_slope_ball(y: Any, n: int) -> Any:
    x = _ndtri_exp_ball(y)
    below, value = None, (x * x / 2 + y).exp() * (meanings.pi_like(y) * 2).sqrt()
    for k in range(n):
        step = x * value + (1 if below is None else below * k)
        below, value = value, step
    return value


ndtri_exp = elementwise(
    "ndtri_exp",
    family="special",
    kernel=_ndtri_exp_kernel,
    ball=_ndtri_exp_ball,
    partials=lambda x, y: (ndtri_exp_slope(y, n=0),),
    domain=(NEGATIVE,),
    range=REAL,
    cost=6,
    ulp=(4, 4, 8),
    accuracy="8 ulp at order 2, a product of two slopes",
    source="SciPy's ndtri_exp, and a Newton step",
    doc="The number whose log_ndtr is y, for y < 0.",
    example=">>> sg.ops.ndtri_exp(sg.tensor([-1.0])).numpy()\narray([-0.33747497], dtype=float32)",
)

ndtri_exp_slope = elementwise(
    "ndtri_exp_slope",
    family="special",
    params=("n",),
    defaults=(0,),
    kernel=_ndtri_exp_slope,
    ball=lambda y, *, n: _ndtri_exp_slope_ball(y, n),
    partials=lambda out, y: (ndtri_exp_slope(y, n=out.param("n") + 1) * ndtri_exp_slope(y, n=0),),
    domain=(NEGATIVE,),
    range=POSITIVE,
    cost=7,
    ulp=(6, 12, 20),
    accuracy="6, 12 and 20 ulp at orders 0, 1 and 2: each adds a factor",
    source="the ratio M = ndtr/density has dM/dy = M' M, and all its derivatives are positive",
    doc="The n-th derivative of ndtr(x)/density(x) at x = ndtri_exp(y); n = 0: of ndtri_exp.",
    example=">>> sg.ops.ndtri_exp_slope(sg.tensor([-1.0])).numpy()\n"
    "array([0.9761717], dtype=float32)",
)
