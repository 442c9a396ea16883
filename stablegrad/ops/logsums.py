"""Logarithms of the sum and the difference of two exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import intervals, pair_exp, pairs
from stablegrad.ops.dtypes import narrow
from stablegrad.ops.exponential import bose_slope_kernel, exp, log, log1mexp
from stablegrad.ops.logistic import sigmoid, sigmoid_slope
from stablegrad.ops.record import REAL, UNIT, elementwise


def difference(xp: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """A - b as a rounded difference and its error, the error 0 beside infinities."""
    high, low = pairs.two_sum(a, -b)
    return high, xp.where(xp.isfinite(low), low, 0.0)


def _sigmoid_difference_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, a, b)
    value = sigmoid.kernel(xp, high)
    # first order in the rounding error of a - b, which the exponential would magnify
    return value + value * (low * xp.special.expit(-high))


def antisymmetric(slope: Term) -> tuple[Term, Term]:
    """Partials of a function of a - b."""
    return slope, -slope


sigmoid_difference = elementwise(
    "sigmoid_difference",
    family="exponential",
    kernel=_sigmoid_difference_kernel,
    ball=lambda a, b: (a - b).sigmoid(),
    partials=lambda y, a, b: antisymmetric(union_slope(a, b)),
    domain=(REAL, REAL),
    range=UNIT,
    cost=5,
    source="definition, with the rounding error of the difference put back",
    doc="sigmoid(a - b): the share of exp(a) in exp(a) + exp(b).",
    example=">>> sg.ops.sigmoid_difference(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([0.5], dtype=float32)",
)


def _union_slope_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, a, b)
    value = sigmoid_slope.kernel(xp, high)
    return value - value * (low * xp.tanh(high / 2))


union_slope = elementwise(
    "union_slope",
    family="exponential",
    kernel=_union_slope_kernel,
    ball=lambda a, b: (a - b).sigmoid() * (b - a).sigmoid(),
    # sigmoid(b - a) - sigmoid(a - b) cancels where a is near b; its closed form does not
    partials=lambda y, a, b: antisymmetric(y * OPS["tanh"]((b - a) / 2)),
    domain=(REAL, REAL),
    range=Facts(lo=0.0, hi=0.25, hi_open=False),
    cost=5,
    ulp=(4, 4, math.inf),
    accuracy="the second derivative has zeros: relative to the greater of its two terms there",
    source="definition, with the rounding error of the difference put back",
    doc="sigmoid(a - b) * sigmoid(b - a): the derivative of sigmoid_difference.",
    example=">>> sg.ops.union_slope(sg.tensor([1.0]), 1.0).numpy()\narray([0.25], dtype=float32)",
)


def _logaddexp_near_zero(xp: Any, a: Any, b: Any) -> Any:
    """By the sum less 1 in pairs: expm1 of the greater plus exp of the smaller."""
    zero = 0.0 * a
    more, less = xp.maximum(a, b), xp.maximum(xp.minimum(a, b), -740.0)
    high, low = pairs.add(pair_exp.expm1(xp, (more, zero)), pair_exp.exp(xp, (less, zero)))
    return xp.log1p(high) + low / (1 + high)


def _loses(xp: Any, value: Any, larger: Any, gap: Any) -> Any:
    """Where larger + f(gap) has lost digits: it cancelled, or the rounded gap matters."""
    return (larger != 0) & ((gap + 3) * xp.abs(value - larger) > 5 * xp.abs(value))


def _logaddexp_near(xp: Any, a: Any, b: Any) -> Any:
    value = xp.logaddexp(a, b)
    loses = _loses(xp, value, xp.maximum(a, b), xp.abs(a - b))
    return pairs.redo(xp, loses, value, _logaddexp_near_zero, a, b)


ENOUGH = 2.0**-16
"""What a sum in float64 must be for float32s in it to leave 34 bits."""


def log_of_two(a: Any, b: Any, exp: Any, scale: float = 1.0) -> tuple[Any, Any, Any, Any]:
    """Of float32s: where the log-sum of two is to be redone, it, and the two in float64."""
    a, b = (t.astype(np.float64) for t in np.broadcast_arrays(a, b))
    value = a - b
    np.negative(np.abs(value, out=value), out=value)
    np.log1p(exp(value, out=value), out=value)
    if scale != 1.0:
        value *= scale
    value += np.maximum(a, b)
    return ~(np.abs(value) >= ENOUGH), value, a, b  # nan: of infinities


def _logaddexp_kernel(xp: Any, a: Any, b: Any) -> Any:
    if narrow(xp, a, b):
        again, value, a, b = log_of_two(a, b, np.exp)
        return pairs.redo(xp, again, value, _logaddexp_kernel, a, b)
    value = xp.logaddexp(a, b)
    # (gap + 3)*log1p(exp(-gap)) is at most 3*log(2): digits are lost below a fifth of that only
    near = xp.abs(value) < 0.42
    return pairs.redo(xp, near, value, _logaddexp_near, *xp.broadcast_arrays(a, b))


logaddexp = elementwise(
    "logaddexp",
    family="exponential",
    kernel=_logaddexp_kernel,
    widens=True,
    spellings=(lambda a, b: log(exp(a) + exp(b)),),
    partials=lambda y, a, b: (sigmoid_difference(a, b), sigmoid_difference(b, a)),
    textbook=lambda y, a, b: (exp(a - y), exp(b - y)),
    domain=(REAL, REAL),
    cost=6,
    commutative=True,
    lax="",
    aten="logaddexp",
    source="max(a, b) + log1p(exp(-|a - b|)); in pairs where that cancels",
    doc="log(exp(a) + exp(b)).",
    example=">>> sg.ops.logaddexp(sg.tensor([0.0]), 0.0).numpy()\n"
    "array([0.6931472], dtype=float32)",
)


def _logdiffexp_near_zero(xp: Any, a: Any, b: Any) -> Any:
    """By the difference less 1 in pairs: -exp(a) * expm1(b - a) - 1."""
    zero = 0.0 * a
    product = pairs.multiply(pair_exp.exp(xp, (a, zero)), pair_exp.expm1(xp, pairs.two_sum(b, -a)))
    high, low = pairs.add(pairs.negative(product), (zero - 1.0, zero))
    return xp.log1p(high) + low / (1 + high)


def _logdiffexp_kernel(xp: Any, a: Any, b: Any) -> Any:
    gap = xp.where(b == -math.inf, -math.inf, b - a)  # also for a = -inf or inf
    value = a + xp.where(gap == -math.inf, 0.0, log1mexp.kernel(xp, gap))
    loses = _loses(xp, value, a, -gap)
    return pairs.redo(xp, loses, value, _logdiffexp_near_zero, *xp.broadcast_arrays(a, b))


def _logdiffexp_weight_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, b, a)
    e = xp.expm1(high)
    value = -1 / e
    # the derivative of -1/expm1(x), relative to the value, is -(1 + e)/e: -1 where e is inf
    relative = low * xp.where(e > 1, 1 + 1 / e, (1 + e) / e)
    return value - xp.where(low == 0, 0.0, value * relative)


def _inside(partial: Term, a: Term, b: Term) -> Term:
    """The partial, nan where there is no logarithm of exp(a) - exp(b)."""
    return OPS["require"](partial, OPS["greater_equal"](a, b))


def _logdiffexp_facts(term: Term) -> Facts:
    a, b = term.args[0].facts, term.args[1].facts
    return Facts(defined=a.defined and b.defined and intervals.always_less(b, a))


logdiffexp_weight = elementwise(
    "logdiffexp_weight",
    family="exponential",
    kernel=_logdiffexp_weight_kernel,
    ball=lambda a, b: -1 / (b - a).expm1(),
    partials=lambda y, a, b: antisymmetric(-bose_slope_difference(a, b)),
    domain=(REAL, REAL),
    infer_facts=lambda term: Facts(),  # a pole at a = b, which no interval can say
    cost=6,
    source="definition, with the rounding error of the difference put back",
    doc="1 / (1 - exp(b - a)): the derivative of logdiffexp.",
    example=">>> sg.ops.logdiffexp_weight(sg.tensor([100.0]), 0.0).numpy()\n"
    "array([1.], dtype=float32)",
)


def _bose_slope_difference_kernel(xp: Any, a: Any, b: Any) -> Any:
    high, low = difference(xp, a, b)
    value = bose_slope_kernel(xp, high)
    relative = xp.where(low == 0, 0.0, low / xp.tanh(high / 2))
    return value - xp.where((relative == 0) | xp.isinf(value), 0.0, value * relative)


def _bose_slope_difference_ball(a: Any, b: Any) -> Any:
    gap = a - b
    return 1 / (gap * gap) if gap == 0 else -1 / (gap.expm1() * (-gap).expm1())


bose_slope_difference = elementwise(
    "bose_slope_difference",
    family="exponential",
    kernel=_bose_slope_difference_kernel,
    ball=_bose_slope_difference_ball,
    partials=lambda y, a, b: antisymmetric(y / OPS["tanh"]((b - a) / 2)),
    domain=(REAL, REAL),
    infer_facts=lambda term: Facts(),  # a pole at a = b, which no interval can say
    cost=6,
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2: four inexact factors",
    source="definition, with the rounding error of the difference put back",
    doc="bose_slope(a - b): minus the derivative of logdiffexp_weight by its first argument.",
    example=">>> sg.ops.bose_slope_difference(sg.tensor([1.0]), 0.0).numpy()\n"
    "array([0.9206736], dtype=float32)",
)

logdiffexp = elementwise(
    "logdiffexp",
    family="exponential",
    kernel=_logdiffexp_kernel,
    spellings=(
        lambda a, b: log(exp(a) - exp(b)),
        lambda a, b: a + log1mexp(b - a),
    ),
    # a = b is on the edge of the domain, exactly: log(0); the spellings cannot decide it
    ball=lambda a, b: a if b == -math.inf else a + (-(b - a).expm1()).log(),
    partials=lambda y, a, b: (
        _inside(logdiffexp_weight(a, b), a, b),
        _inside(logdiffexp_weight(b, a), a, b),
    ),
    textbook=lambda y, a, b: (exp(a - y), -exp(b - y)),
    domain=(REAL, REAL),  # and a > b
    infer_facts=_logdiffexp_facts,
    cost=6,
    accuracy="about 100 ulp at the few floats nearest to its zero, where exp(a) - exp(b) is 1",
    source="a + log1mexp(b - a), in pairs where that cancels; Maechler 2012",
    doc="log(exp(a) - exp(b)) of a > b.",
    example=">>> sg.ops.logdiffexp(sg.tensor([1.0]), 0.0).numpy()\n"
    "array([0.54132485], dtype=float32)",
)
