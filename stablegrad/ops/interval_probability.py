"""Logarithms of the probability of an interval, normal and logistic.

With d(x, y) the integral of exp((x*x - t*t)/2) over y < t < x, the probability of the interval
is the normal density at x times d. Reflecting the interval where needed, d is only taken for
x <= 0, where it does not overflow; where the interval is short it is an integral of positive
numbers, else a difference of Mills's ratios that hardly cancels.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops import mills, pairs
from stablegrad.ops.exponential import log, log1mexp
from stablegrad.ops.logistic import log_sigmoid, sigmoid
from stablegrad.ops.logsums import difference, logdiffexp_weight
from stablegrad.ops.record import NEGATIVE, POSITIVE, REAL, elementwise
from stablegrad.ops.special_error import ndtr

_ROOT_2PI = math.sqrt(2 * math.pi)
_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_SHORT = 2.0


@cache
def _nodes() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Gauss and Legendre's nodes and weights on (0, 1)."""
    x, w = np.polynomial.legendre.leggauss(12)
    return tuple(((x + 1) / 2).tolist()), tuple((w / 2).tolist())


def _gap(xp: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The length h of the interval and the exponent (y*y - x*x)/2, both as they round once."""
    h, h_lo = difference(xp, x, y)
    s, s_lo = pairs.two_sum(x, y)
    p, p_lo = pairs.two_prod(xp.minimum(h, 1e150), -0.5 * xp.maximum(s, -1e150))
    lo = p_lo - 0.5 * (h * s_lo + h_lo * s)
    exponent = (p, xp.where(xp.isfinite(lo), lo, 0.0))
    return (h, h_lo), exponent


def _decay(xp: Any, exponent: Any) -> Any:
    """The exponential of minus a pair."""
    out = xp.exp(-exponent[0])
    return out - out * exponent[1]


def _density_integral(xp: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The integral d(x, y) for y < x <= -y, x <= 0, and exp((x*x - y*y)/2)."""
    (h, h_lo), exponent = _gap(xp, x, y)
    fall = _decay(xp, exponent)
    value = mills.ratio(xp, x, 1, 0) - mills.ratio(xp, y, 1, 0) * fall
    value = value * _ROOT_2PI

    def short(xp: Any, x: Any, h: Any, h_lo: Any) -> Any:
        total = 0.0 * h
        for u, w in zip(*_nodes(), strict=True):
            t = u * h
            total = total + w * xp.expm1(t * (x - 0.5 * t))
        return h + (h * total + h_lo * (1.0 + total))

    return pairs.redo(xp, exponent[0] < _SHORT, value, short, x, h, h_lo), fall


def _arrays(xp: Any, *args: Any) -> tuple[Any, ...]:
    return tuple(xp.broadcast_arrays(*[xp.asarray(a, dtype=float) for a in args]))


def _reflected(xp: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """The interval or its mirror image, whichever lies to the left; nan where it is empty."""
    x, y = _arrays(xp, x, y)
    x = xp.where(x >= y, x, xp.nan)
    flip = x + y > 0
    return flip, xp.where(flip, -y, x), xp.where(flip, -x, y)


def _log_ndtr_difference(xp: Any, x: Any, y: Any) -> Any:
    _, x, y = _reflected(xp, x, y)

    def left(xp: Any, x: Any, y: Any) -> Any:
        integral, _ = _density_integral(xp, x, y)
        return xp.log(integral) - (0.5 * x * x + _LOG_ROOT_2PI)

    around = xp.log1p(-(ndtr.kernel(xp, y) + ndtr.kernel(xp, -x)))
    short = (x <= 0) | (around < -0.9)  # then -1.5 < y, about
    value = pairs.redo(xp, short, around, left, x, y)
    return xp.where((x == y) & xp.isfinite(x), -xp.inf, value)


def _hazards(xp: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The densities at x and at y over the probability between, for an interval to the left."""

    def right_end(xp: Any, x: Any, y: Any) -> Any:
        return 1.0 / _density_integral(xp, x, y)[0]

    def left_end(xp: Any, x: Any, y: Any) -> Any:
        integral, fall = _density_integral(xp, x, y)
        return fall / integral

    narrow = 0.5 * (xp.special.erf(x * math.sqrt(0.5)) - xp.special.erf(y * math.sqrt(0.5)))
    at_x = mills.gauss(xp, xp.maximum(x, 0.0), 1, 1.0 / _ROOT_2PI) / narrow
    at_y = mills.gauss(xp, y, 1, 1.0 / _ROOT_2PI) / narrow
    left = (x <= 0) | (y > -0.9)
    at_x = pairs.redo(xp, left, at_x, right_end, x, y)
    return at_x, pairs.redo(xp, left, at_y, left_end, x, y)


def _interval_hazard(xp: Any, x: Any, y: Any) -> Any:
    """The normal density at x over the probability of (y, x)."""
    flip, x, y = _reflected(xp, x, y)
    at_x, at_y = _hazards(xp, x, y)
    value = xp.where(flip, at_y, at_x)
    return xp.where((x == y) & xp.isfinite(x), xp.inf, value)


def _interval_hazard_excess(xp: Any, x: Any, y: Any) -> Any:
    """The number x plus the hazard at x."""
    x, y = _arrays(xp, x, y)
    value = x + _interval_hazard(xp, x, y)

    def left(xp: Any, x: Any, y: Any) -> Any:
        integral, fall = _density_integral(xp, x, y)
        slope = mills.ratio(xp, x, 1, 1)  # 1 + x m(x), without cancellation
        rest = xp.where(fall == 0, 0.0, x * mills.ratio(xp, y, 1, 0) * fall)
        return (slope - rest) * _ROOT_2PI / integral

    def far_left(xp: Any, x: Any, y: Any) -> Any:
        _, (exponent, _) = _gap(xp, x, y)
        return -x / xp.expm1(exponent) - 1.0 / x

    value = pairs.redo(xp, (x < 0) & (y < x), value, left, x, y)
    return pairs.redo(xp, (x < -1e10) & (y < x), value, far_left, x, y)


log_ndtr_difference = elementwise(
    "log_ndtr_difference",
    family="special",
    kernel=_log_ndtr_difference,
    ball=lambda x, y: _probability_meaning(x, y).log(),
    spellings=(lambda x, y: log(ndtr(x) - ndtr(y)),),
    partials=lambda out, x, y: (interval_hazard(x, y), -interval_hazard(-y, -x)),
    domain=(REAL, REAL),  # and x > y
    range=NEGATIVE,
    infer_facts=lambda term: NEGATIVE,
    cost=6,
    ulp=(4, 4, 6),
    accuracy="6 ulp in mixed second derivatives, the product of both slopes",
    source="log of Mills's ratios, or of an integral by Gauss and Legendre's rule",
    doc="log(ndtr(x) - ndtr(y)) of x > y: the log-probability of an interval.",
    example=">>> sg.ops.log_ndtr_difference(sg.tensor([1.0]), -1.0).numpy()\n"
    "array([-0.38171515], dtype=float32)",
)

interval_hazard = elementwise(
    "interval_hazard",
    family="special",
    kernel=_interval_hazard,
    ball=lambda x, y: _hazard_meaning(x, y),  # noqa: PLW0108 - it stands further down
    partials=lambda out, x, y: (
        -out * interval_hazard_excess(x, y),
        out * interval_hazard(-y, -x),
    ),
    domain=(REAL, REAL),  # and x > y
    range=POSITIVE,
    infer_facts=lambda term: POSITIVE,
    cost=7,
    ulp=(4, 6, math.inf),
    accuracy="6 ulp at order 1, a product; order 2 relative to the terms that cancel",
    source="as log_ndtr_difference",
    doc="The normal density at x over ndtr(x) - ndtr(y), x > y.",
    example=">>> sg.ops.interval_hazard(sg.tensor([1.0]), -1.0).numpy()\n"
    "array([0.35443744], dtype=float32)",
)

interval_hazard_excess = elementwise(
    "interval_hazard_excess",
    family="special",
    kernel=_interval_hazard_excess,
    ball=lambda x, y: x + _hazard_meaning(x, y),
    partials=lambda out, x, y: (
        1 - interval_hazard(x, y) * out,
        interval_hazard(x, y) * interval_hazard(-y, -x),
    ),
    domain=(REAL, REAL),  # and x > y
    range=REAL,
    infer_facts=lambda term: REAL,
    cost=7,
    ulp=(4, math.inf, math.inf),
    accuracy="its derivative by x cancels where the interval is long or far out",
    source="the derivative of Mills's ratio, whose terms have one sign",
    doc="x + interval_hazard(x, y): minus the logarithmic derivative of interval_hazard.",
    example=">>> sg.ops.interval_hazard_excess(sg.tensor([1.0]), -1.0).numpy()\n"
    "array([1.3544375], dtype=float32)",
)


def _probability_meaning(x: Any, y: Any) -> Any:
    """The probability of (y, x), from the tails on the left."""
    if not x > y:
        return x * (0 if x == y else math.nan)
    if x + y > 0:
        x, y = -y, -x
    root = type(x).exact(2).sqrt()
    return ((-x / root).erfc() - (-y / root).erfc()) / 2


def _hazard_meaning(x: Any, y: Any) -> Any:
    density = (-(x * x) / 2).exp() / (type(x).exact(1).arctan() * 8).sqrt()
    return density / abs(_probability_meaning(x, y))


# -- the logistic distribution -----------------------------------------------------------------


def _log_sigmoid_difference(xp: Any, x: Any, y: Any) -> Any:
    x, y = _arrays(xp, x, y)
    high, low = difference(xp, y, x)
    gap = log1mexp.kernel(xp, xp.where(high < 0, high, xp.nan))
    steep = xp.expm1(-high)  # of the gap by its argument: -1 over this
    gap = gap - xp.where(low == 0, 0.0, low / steep)
    value = log_sigmoid.kernel(xp, x) + log_sigmoid.kernel(xp, -y) + gap
    return xp.where((x == y) & xp.isfinite(x), -xp.inf, value)


def _log_sigmoid_difference_partials(out: Term, x: Term, y: Term) -> tuple[Term, Term]:
    weight = logdiffexp_weight(y, x)
    inside = OPS["greater_equal"](x, y)
    slopes = sigmoid(-x) - weight, weight - sigmoid(y)
    return OPS["require"](slopes[0], inside), OPS["require"](slopes[1], inside)


log_sigmoid_difference = elementwise(
    "log_sigmoid_difference",
    family="exponential",
    kernel=_log_sigmoid_difference,
    ball=lambda x, y: -(1 + (-x).exp()).log() - (1 + y.exp()).log() + (-(y - x).expm1()).log(),
    spellings=(lambda x, y: log(sigmoid(x) - sigmoid(y)),),
    partials=_log_sigmoid_difference_partials,
    domain=(REAL, REAL),  # and x > y
    range=NEGATIVE,
    infer_facts=lambda term: NEGATIVE,
    cost=6,
    source="sigmoid(x) - sigmoid(y) = sigmoid(x) sigmoid(-y) (1 - exp(y - x))",
    doc="log(sigmoid(x) - sigmoid(y)) of x > y: the log-probability of an interval.",
    example=">>> sg.ops.log_sigmoid_difference(sg.tensor([1.0]), -1.0).numpy()\n"
    "array([-0.77193683], dtype=float32)",
)
