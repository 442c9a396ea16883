"""Differences of exponentials, logistic functions and logarithms, as ops of both arguments.

As in ``gaps``, a difference of neighbouring values is written by the difference of arguments.
"""

from __future__ import annotations

from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.pairs import two_sum
from stablegrad.ops.record import POSITIVE, REAL, elementwise, interval

_LOG_2 = float(pair_exp.LN2)
_ABOVE_MINUS_ONE = Facts(lo=-1.0)


def _exp_gap(xp: Any, a: Any, b: Any) -> Any:
    """The root of the greater exponential twice: it overflows later than their difference."""
    a, b = pairs.arrays(xp, a, b)
    high, low = xp.maximum(a, b), xp.minimum(a, b)
    root = xp.exp(0.5 * high)
    value = -xp.expm1(xp.where(high == low, 0.0, low - high)) * root * root
    value = xp.where((high == low) & (high < xp.inf), 0.0, value)
    return xp.where(a < b, -value, value)


def _sigmoid_gap(xp: Any, a: Any, b: Any) -> Any:
    """sigmoid(a)*sigmoid(-b)*(1 - exp(b - a)) for a >= b."""
    a, b = pairs.arrays(xp, a, b)
    high, low = xp.maximum(a, b), xp.minimum(a, b)
    rise = -xp.expm1(xp.where(high == low, 0.0, low - high))
    value = xp.special.expit(high) * xp.special.expit(-low) * rise
    same = (high == low) & xp.isinf(high)
    return xp.where(same, 0.0, xp.where(a < b, -value, value))


def _softplus_gap(xp: Any, a: Any, b: Any) -> Any:
    """log1p(sigmoid(b) * (exp(a - b) - 1)) for b < a, unless they are far apart."""
    a, b = pairs.arrays(xp, a, b)
    high, low = xp.maximum(a, b), xp.minimum(a, b)
    rise = xp.where(high == low, 0.0, high - low)
    near = rise < 1.0
    value = xp.log1p(xp.special.expit(low) * xp.expm1(xp.where(near, rise, 0.0)))
    far = xp.logaddexp(0.0, high) - xp.logaddexp(0.0, low)
    value = xp.where(near, value, far)
    value = xp.where(high == low, xp.where(high == xp.inf, xp.nan, 0.0), value)
    return xp.where(a < b, -value, value)


def _log_ratio1p(xp: Any, u: Any, v: Any) -> Any:
    u, v = pairs.arrays(xp, u, v)
    base = 1.0 + v
    change = (u - v) / base
    near = xp.abs(change) < 0.5
    ratio = (1.0 + u) / base
    plain = xp.log(xp.abs(1.0 + u)) - xp.log(xp.abs(base))
    sound = (ratio > 1e-290) & (ratio < 1e290)
    far = xp.where(sound, xp.log(xp.where(sound, ratio, 1.0)), plain)
    value = xp.where(near, xp.log1p(xp.where(near, change, 0.0)), far)
    apart = ((u < -1) & (v >= -1)) | ((u > -1) & (v < -1))
    return xp.where(apart, xp.nan, value)


def _log1p_gap(xp: Any, u: Any, v: Any) -> Any:
    return xp.where((u < -1) | (v < -1), xp.nan, _log_ratio1p(xp, u, v))


def _log_ratio1p_partials(y: Term, u: Term, v: Term) -> tuple[Term, Term]:
    inside = OPS["isfinite"](y)
    return OPS["require"](1 / (1 + u), inside), OPS["require"](-1 / (1 + v), inside)


def _log_step(xp: Any, b: Any, h: Any) -> Any:
    b, h = pairs.arrays(xp, b, h)
    change = h / b
    near = xp.abs(change) < 0.5
    big = (xp.abs(b) > 1e300) | (xp.abs(h) > 1e300)
    scale = xp.where(big, 0.5, 1.0)
    hi, lo = two_sum(b * scale, h * scale)
    ratio = hi / (b * scale)
    plain = xp.log(xp.abs(hi)) - xp.log(xp.abs(b)) + xp.where(big, _LOG_2, 0.0)
    sound = (ratio > 1e-290) & (ratio < 1e290)
    far = xp.log(xp.where(sound, ratio, 1.0)) + xp.where(sound & (hi != 0), lo / hi, 0.0)
    far = xp.where(sound, far, xp.where(ratio < 0, xp.nan, plain))
    value = xp.where(near, xp.log1p(xp.where(near, change, 0.0)), far)
    return xp.where(xp.isinf(b), xp.nan, value)


def _log_step_partials(y: Term, b: Term, h: Term) -> tuple[Term, Term]:
    inside = OPS["isfinite"](y)
    upper = 1 / (b + h)  # one of a sum, as others write it, so that what cancels is seen
    return OPS["require"](-h * upper / b, inside), OPS["require"](upper, inside)


def _log_step_facts(term: Term) -> Facts:
    b, h = (x.facts for x in term.args)
    if b.positive and h.nonnegative:
        return Facts(lo=0.0, lo_open=False, defined=b.defined and h.defined)
    return REAL


def _small_log(xp: Any, b: Any, h: Any) -> Any:
    """log(exp(b)*expm1(h)) where that is near 0: what it differs from 1 by, in pairs.

    It is expm1(b + h) - exp(b) for b <= 0, of which either may be tiny; the product less 1 for
    b > 0, where h is small.
    """
    zero = 0.0 * b
    down = xp.minimum(b, 0.0)
    least = xp.maximum(down, -500.0)  # exp(b) is far below an ulp of expm1(b + h), or stands alone
    e = pair_exp.exp(xp, (least, zero))
    e = xp.where(down < least, xp.exp(down), e[0]), xp.where(down < least, 0.0, e[1])
    low = pairs.add(pair_exp.expm1(xp, two_sum(down, xp.where(b > 0, 0.0, h))), pairs.negative(e))
    m, k = pair_exp.expm1_exponent(xp, (xp.maximum(b, 0.0), zero))
    h = xp.where(b > 0, h, 1.0)
    whole = k.astype(xp.int32)
    step = pair_exp.expm1(xp, (h, zero))
    step = xp.ldexp(step[0], whole), xp.ldexp(step[1], whole)
    tiny = xp.ldexp(h, whole)
    step = xp.where(h < 1e-100, tiny, step[0]), xp.where(h < 1e-100, 0.5 * h * tiny, step[1])
    product = pairs.multiply(pairs.add((1.0 + zero, zero), m), step)
    high = pairs.add(product, (zero - 1.0, zero))
    return xp.log1p(xp.where(b > 0, high[0] + high[1], low[0] + low[1]))


def _log_exp_step(xp: Any, b: Any, h: Any) -> Any:
    b, h = pairs.arrays(xp, b, h)
    value = b + OPS["log_expm1"].kernel(xp, h)
    small = (xp.abs(value) < 0.25 * xp.abs(b)) & (xp.abs(value) < 0.5)
    return pairs.redo(xp, small, value, _small_log, b, h)


exp_gap = elementwise(
    "exp_gap",
    family="exponential",
    kernel=_exp_gap,
    ball=lambda a, b: a.exp() - b.exp(),
    partials=lambda y, a, b: (OPS["exp"](a), -OPS["exp"](b)),
    domain=(REAL, REAL),
    cost=7,
    source="exp(a) * expm1(b - a) for a > b",
    doc="exp(a) - exp(b).",
    example=">>> sg.ops.exp_gap(sg.tensor([2.0]), 1.0).numpy()\narray([4.6707745], dtype=float32)",
)

sigmoid_gap = elementwise(
    "sigmoid_gap",
    family="logistic",
    kernel=_sigmoid_gap,
    spellings=(lambda a, b: OPS["sigmoid"](a) - OPS["sigmoid"](b),),
    ball=lambda a, b: a.sigmoid() - b.sigmoid(),
    partials=lambda y, a, b: (OPS["sigmoid_slope"](a), -OPS["sigmoid_slope"](b)),
    domain=(REAL, REAL),
    range=interval(-1.0, 1.0, closed=True),
    cost=7,
    source="sigmoid(a)*sigmoid(-b)*(1 - exp(b - a))",
    doc="sigmoid(a) - sigmoid(b): the probability of an interval.",
    example=">>> sg.ops.sigmoid_gap(sg.tensor([40.0]), 39.0).numpy()\n"
    "array([7.29987e-18], dtype=float32)",
)

softplus_gap = elementwise(
    "softplus_gap",
    family="logistic",
    kernel=_softplus_gap,
    spellings=(lambda a, b: OPS["softplus"](a) - OPS["softplus"](b),),
    ball=lambda a, b: (1 + a.exp()).log() - (1 + b.exp()).log(),
    partials=lambda y, a, b: (OPS["sigmoid"](a), -OPS["sigmoid"](b)),
    domain=(REAL, REAL),
    cost=7,
    source="log1p(sigmoid(b) * expm1(a - b))",
    doc="softplus(a) - softplus(b).",
    example=">>> sg.ops.softplus_gap(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)

log_ratio1p = elementwise(
    "log_ratio1p",
    family="exponential",
    kernel=_log_ratio1p,
    ball=lambda u, v: ((1 + u) / (1 + v)).log(),
    partials=_log_ratio1p_partials,
    infer_facts=lambda term: REAL,
    domain=(REAL, REAL),  # where 1 + u and 1 + v have one sign
    cost=5,
    source="log1p((u - v) / (1 + v))",
    doc="log((1 + u)/(1 + v)), for 1 + u and 1 + v of one sign.",
    example=">>> sg.ops.log_ratio1p(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)

log1p_gap = elementwise(
    "log1p_gap",
    family="exponential",
    kernel=_log1p_gap,
    spellings=(lambda u, v: OPS["log1p"](u) - OPS["log1p"](v),),
    ball=lambda u, v: (1 + u).log() - (1 + v).log(),
    partials=lambda y, u, v: (1 / (1 + u), -1 / (1 + v)),
    domain=(_ABOVE_MINUS_ONE, _ABOVE_MINUS_ONE),
    cost=5,
    source="log1p((u - v) / (1 + v))",
    doc="log1p(u) - log1p(v).",
    example=">>> sg.ops.log1p_gap(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)

log_step = elementwise(
    "log_step",
    family="exponential",
    kernel=_log_step,
    ball=lambda b, h: ((b + h) / b).log(),
    partials=_log_step_partials,
    textbook=lambda y, b, h: (1 / (b + h) - 1 / b, 1 / (b + h)),
    domain=(REAL, REAL),  # where b and b + h have one sign
    infer_facts=_log_step_facts,
    cost=5,
    source="log1p(h/b)",
    doc="log((b + h)/b), for b and b + h of one sign.",
    example=">>> sg.ops.log_step(sg.tensor([1.0]), 0.0).numpy()\narray([0.], dtype=float32)",
)

log_exp_step = elementwise(
    "log_exp_step",
    family="exponential",
    kernel=_log_exp_step,
    ball=lambda b, h: b + (h.exp() - 1).log(),
    partials=lambda y, b, h: (1 + 0 * b, OPS["log_expm1_slope"](h)),
    domain=(REAL, POSITIVE),
    cost=6,
    source="b + log(expm1(h))",
    doc="log(exp(b + h) - exp(b)) of h > 0.",
    example=">>> sg.ops.log_exp_step(sg.tensor([800.0]), 800.0).numpy()\n"
    "array([1600.], dtype=float32)",
)
