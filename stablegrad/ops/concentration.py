"""Sums of powers of shares, and their logs: how concentrated these are.

Of s = softmax(x) and t = softmax(k*x), with x less its greatest entry, log(t/s) is (k - 1)*x + D,
where D, the log of sum(exp(x))/sum(exp(k*x)), is one of 1 and a sum of what is not negative. So
the slope of log(sum(s**k)), k*(t - s), keeps its digits where s and t are near.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.exact import Rational
from stablegrad.ops.reduction import (
    Axis,
    count,
    normal_axes_of,
    normal_reduction,
    reduce_infer,
    reduced,
    spread,
)
from stablegrad.ops.softmax_family import log_softmax, logsumexp, softmax, softmax_jvp
from stablegrad.ops.softmax_kernels import Shifted
from stablegrad.ops.structured import Normal, Params, Terms, structured, sum_of

# -- kernels ------------------------------------------------------------------------------


def _log_ratio(xp: Any, s: Shifted, gains: Any) -> Any:
    """D, from exp((k - 1)*x) - 1 of rows less their greatest."""
    less = -xp.sum(s.others * gains, axis=-1, keepdims=True)
    return xp.log1p(less / (1.0 + (s.rest - less)))


def _powers(xp: Any, x: Any, axis: Axis, k: Rational) -> tuple[Shifted, Any]:
    """The rows of x, and the sum of exp(k*x) but for the 1 of the greatest."""
    s = Shifted(xp, x, axis, keep=False)
    powers = s.others * s.others if k == 2 else xp.power(s.others, float(k))
    return s, xp.sum(powers, axis=-1, keepdims=True)


def _kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, k: Rational) -> Any:
    shape = reduced(x.shape, axis, keepdims)
    if x.size == 0 or count(x.shape, axis) == 0:
        return xp.zeros(shape)
    s, rest = _powers(xp, x, axis, k)
    whole = 1.0 + s.rest
    below = whole * whole if k == 2 else xp.power(whole, float(k))
    return s.settled((1.0 + rest) / below).reshape(shape)


def _log_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, k: Rational) -> Any:
    shape = reduced(x.shape, axis, keepdims)
    if x.size == 0 or count(x.shape, axis) == 0:
        return xp.full(shape, -xp.inf)
    s, rest = _powers(xp, x, axis, k)
    out = xp.log1p(rest) - float(k) * xp.log1p(s.rest)
    return s.spoiled(xp.where(s.masked, -xp.inf, out)).reshape(shape)


def _gap_kernel(xp: Any, x: Any, *, axis: Axis, k: Rational) -> Any:
    if x.size == 0:
        return x
    s = Shifted(xp, x, axis)
    gains = xp.expm1((float(k) - 1.0) * s.x)
    rest = xp.expm1(_log_ratio(xp, s, gains))
    if s.error is not None:
        rest = rest + (float(k) - 1.0) * s.error
    return s.back(s.settled(s.weights() * (gains + (1.0 + gains) * rest)))


# -- derivatives --------------------------------------------------------------------------


def _slope(out: Term, x: Term, *, axis: Axis, keepdims: bool, k: Rational) -> Term:
    """k*(t - s), times the sum where that is what is differentiated."""
    slope = k * softmax_power_slope(x, axis=axis, k=k)
    return slope if out.op.name.startswith("log") else slope * spread(out, x.shape, axis)


def _jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term:
    along = _slope(out, args[0], **params) * tangents[0]
    return OPS["sum"](along, axis=params["axis"], keepdims=params["keepdims"])


def _vjp(out: Term, args: Terms, g: Term, **params: Any) -> Terms:
    (x,) = args
    return (spread(g, x.shape, params["axis"]) * _slope(out, x, **params),)


def _along_gap(x: Term, t: Term, axis: Axis, k: Rational) -> Term:
    """The derivative of t - s, which is its own transpose."""
    top = OPS["max"](x, axis=axis, keepdims=True)
    top = STOP_GRADIENT.term((OPS["where"](OPS["isfinite"](top), top, 0.0),))
    powered = softmax_jvp(k * (x - top), t, axis=axis)  # k*x would round, or leave the range
    return sum_of([k * powered, -softmax_jvp(x, t, axis=axis)])


def _gap_normal(terms: Terms, params: Params) -> Normal:
    normal = normal_axes_of("softmax_power_slope")(terms, params[:1])
    assert isinstance(normal, tuple)
    return normal[0], (*normal[1], params[1])


def _gap_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    return args[0].shape, real_dtype(args[0].dtype)


# -- records ------------------------------------------------------------------------------

_FIELDS: dict[str, Any] = {
    "family": "reduction",
    "params": ("axis", "keepdims", "k"),
    "defaults": (None, False, 2),
    "infer": reduce_infer(real_dtype),
    "jvp": _jvp,
    "vjp": _vjp,
    "cost": 7,
    "ulp": None,
    "widens": True,
    "source": "sum(softmax(x)**k) = sum(exp(k*x))/sum(exp(x))**k",
}

softmax_power_sum = structured(
    "softmax_power_sum",
    normalise=normal_reduction("softmax_power_sum"),
    kernel=_kernel,
    spellings=(
        lambda x, *, axis, keepdims, k: OPS["sum"](
            OPS["power"](softmax(x, axis=axis), k), axis=axis, keepdims=keepdims
        ),
    ),
    infer_facts=lambda term: Facts(lo=0.0, defined=term.args[0].facts.defined),
    accuracy="(k + 3)*eps",
    doc="sum(softmax(x)**k) for a constant k > 1: of k = 2 one over the participation ratio.",
    example=">>> sg.ops.softmax_power_sum(sg.tensor([900.0, 900.0])).item()\n0.5",
    **_FIELDS,
)

log_softmax_power_sum = structured(
    "log_softmax_power_sum",
    normalise=normal_reduction("log_softmax_power_sum"),
    kernel=_log_kernel,
    spellings=(
        lambda x, *, axis, keepdims, k: logsumexp(
            k * log_softmax(x, axis=axis), axis=axis, keepdims=keepdims
        ),
    ),
    infer_facts=lambda term: Facts(hi=0.0, defined=term.args[0].facts.defined),
    accuracy="n*eps relative to it",
    doc="log(sum(softmax(x)**k)) for a constant k > 1, also where one entry dominates.",
    example=">>> sg.ops.log_softmax_power_sum(sg.tensor([0.0, -50.0])).item()\n-3.8574...e-22",
    **_FIELDS,
)

softmax_power_slope = structured(
    "softmax_power_slope",
    normalise=_gap_normal,
    infer=_gap_infer,
    kernel=_gap_kernel,
    spellings=(lambda x, *, axis, k: softmax(k * x, axis=axis) - softmax(x, axis=axis),),
    jvp=lambda out, args, tangents, *, axis, k: _along_gap(args[0], tangents[0], axis, k),
    vjp=lambda out, args, g, *, axis, k: (_along_gap(args[0], g, axis, k),),
    infer_facts=lambda term: Facts(-1.0, 1.0, defined=term.args[0].facts.defined),
    family="reduction",
    params=("axis", "k"),
    defaults=(-1, 2),
    cost=8,
    ulp=None,
    widens=True,
    accuracy="n*eps relative to the greatest",
    source="softmax(k*x)/softmax(x) = exp((k - 1)*x)*sum(exp(x))/sum(exp(k*x))",
    doc="softmax(k*x) - softmax(x) for a constant k > 1, also where the two are near.",
    example=">>> sg.ops.softmax_power_slope(sg.tensor([0.0, -50.0])).numpy()\n"
    "array([ 1.9287499e-22, -1.9287499e-22], dtype=float32)",
)
