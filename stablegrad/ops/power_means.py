"""Weighted power means of two numbers, the shares of their powers, and their slopes."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import power_mean_kernels as kernels
from stablegrad.ops.record import NONNEGATIVE, POSITIVE, REAL, UNIT, elementwise

_WEIGHT = Facts(lo=0.0, hi=1.0, lo_open=True, hi_open=True)
_BOUND = (
    "4 ulp, slopes 8 ulp where no share in them is below the range; second derivatives are not "
    "bounded: they have zeros, and cancel for small p"
)
_DOMAIN = (POSITIVE, POSITIVE, _WEIGHT, REAL)


def _reduced(x: Any, y: Any, w: Any, p: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The base, its weight, the other's weight, log(other/base) and its power, for balls."""
    if not (x > 0 and y > 0 and w > 0 and w < 1):
        x = x * math.nan
    log = (x / y).log()
    if p * log > 0:
        return x, w, 1 - w, -log, (-p * log).exp()
    return y, 1 - w, w, log, (p * log).exp()


def _mean_ball(x: Any, y: Any, w: Any, p: Any) -> Any:
    if p == 0.0:
        x = x * math.nan
    base, own, other, _, fallen = _reduced(x, y, w, p)
    return base * ((own + other * fallen).log() / p).exp()


def _gap_ball(x: Any, y: Any, w: Any, p: Any) -> Any:
    base, own, other, _, fallen = _reduced(x, y, w, p)
    return (1 - fallen if base is x else fallen - 1) / (own + other * fallen)


def _slope_ball(x: Any, y: Any, w: Any, p: Any) -> Any:
    if p == 0.0:
        x = x * math.nan
    base, own, other, log, fallen = _reduced(x, y, w, p)
    whole = own + other * fallen
    log_mean = whole.log() / p
    return base * log_mean.exp() / p * (other * fallen / whole * log - log_mean)


def _share_ball(v: Any, x: Any, w: Any, y: Any, p: Any) -> Any:
    if not (v > 0 and x > 0 and w > 0 and y > 0):
        v = v * math.nan
    odds = (v / w).log() + p * (x / y).log()
    return odds.sigmoid()


def _shares(x: Term, y: Term, w: Term, p: Term) -> tuple[Term, Term]:
    return power_share(w, x, 1 - w, y, p), power_share(1 - w, y, w, x, p)


def _mean_partials(out: Term, x: Term, y: Term, w: Term, p: Term) -> tuple[Term, ...]:
    a, b = _shares(x, y, w, p)
    return (
        a * out / x,
        b * out / y,
        power_mean_gap(x, y, w, p) * out / p,
        power_mean_by_exponent(x, y, w, p),
    )


def _share_partials(out: Term, v: Term, x: Term, w: Term, y: Term, p: Term) -> tuple[Term, ...]:
    both = out * power_share(w, y, v, x, p)
    return both / v, both * p / x, -both / w, -both * p / y, both * OPS["log_ratio"](x, y)


def _gap_partials(out: Term, x: Term, y: Term, w: Term, p: Term) -> tuple[Term, ...]:
    a, b = _shares(x, y, w, p)
    both = a * b / (w * (1 - w))
    return both * p / x, -both * p / y, -out * out, both * OPS["log_ratio"](x, y)


def _slope_partials(out: Term, x: Term, y: Term, w: Term, p: Term) -> tuple[Term, ...]:
    a, b = _shares(x, y, w, p)
    log, mean, gap = OPS["log_ratio"](x, y), power_mean(x, y, w, p), power_mean_gap(x, y, w, p)
    bend = a * b * log * mean
    return (
        a * out / x + bend / x,
        b * out / y - bend / y,
        gap * out / p + bend / (w * (1 - w) * p) - mean * gap / (p * p),
        out * out / mean + bend * log / p - 2 * out / p,
    )


power_mean = elementwise(
    "power_mean",
    family="growth",
    kernel=kernels.mean,
    ball=_mean_ball,
    partials=_mean_partials,
    domain=_DOMAIN,
    range=POSITIVE,
    cost=12,
    ulp=None,
    accuracy=_BOUND,
    source="x*exp(log1p((1 - w)*expm1(p*log(y/x)))/p) in pairs, x that of the greater power",
    doc="(w*x**p + (1 - w)*y**p)**(1/p), for any exponent.",
    example=">>> sg.ops.power_mean(sg.tensor([2.0]), 8.0, 0.5, 1e-30).numpy()\n"
    "array([4.], dtype=float32)",
)

power_share = elementwise(
    "power_share",
    family="growth",
    kernel=kernels.share,
    ball=_share_ball,
    partials=_share_partials,
    domain=(POSITIVE, POSITIVE, POSITIVE, POSITIVE, REAL),
    range=UNIT,
    cost=8,
    ulp=None,
    accuracy=_BOUND,
    source="the logistic function of log(v/w) + p*log(x/y) in pairs",
    doc="v*x**p / (v*x**p + w*y**p): the share of one power in a weighted sum of two.",
    example=">>> sg.ops.power_share(sg.tensor([1.0]), 2.0, 1.0, 2.0, 1e30).numpy()\n"
    "array([0.5], dtype=float32)",
)

power_mean_gap = elementwise(
    "power_mean_gap",
    family="growth",
    kernel=kernels.gap,
    ball=_gap_ball,
    partials=_gap_partials,
    domain=_DOMAIN,
    cost=8,
    ulp=None,
    accuracy=_BOUND,
    source="expm1(t)/(1 + w*expm1(t)), t = p*log(x/y) in pairs",
    doc="(x**p - y**p) / (w*x**p + (1 - w)*y**p): p times the relative slope of a mean by w.",
    example=">>> sg.ops.power_mean_gap(sg.tensor([2.0]), 2.0, 0.5, 1e9).numpy()\n"
    "array([0.], dtype=float32)",
)

power_mean_by_exponent = elementwise(
    "power_mean_by_exponent",
    family="growth",
    kernel=kernels.by_exponent,
    ball=_slope_ball,
    partials=_slope_partials,
    domain=_DOMAIN,
    range=NONNEGATIVE,
    cost=14,
    ulp=None,
    accuracy="4 ulp; its own derivatives have zeros, and cancel for small p",
    source="the mean times the divergence of shares from weights, by p*p",
    doc="The slope of power_mean by its exponent.",
    example=">>> sg.ops.power_mean_by_exponent(sg.tensor([2.0]), 2.0, 0.5, 3.0).numpy()\n"
    "array([0.], dtype=float32)",
)
