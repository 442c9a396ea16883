"""Logarithms of the sum and the difference of two exponentials."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import Facts, Term
from stablegrad.ops import intervals, pair_exp, pairs
from stablegrad.ops.exponential import exp, log, log1mexp
from stablegrad.ops.logistic import sigmoid
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


def _union_partials(a: Term, b: Term) -> tuple[Term, Term]:
    slope = sigmoid_difference(a, b) * sigmoid_difference(b, a)
    return slope, -slope


sigmoid_difference = elementwise(
    "sigmoid_difference",
    family="exponential",
    kernel=_sigmoid_difference_kernel,
    ball=lambda a, b: 1 / (1 + (b - a).exp()),
    partials=lambda y, a, b: _union_partials(a, b),
    domain=(REAL, REAL),
    range=UNIT,
    cost=5,
    source="definition, with the rounding error of the difference put back",
    doc="sigmoid(a - b): the share of exp(a) in exp(a) + exp(b).",
    example=">>> sg.ops.sigmoid_difference(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([0.5], dtype=float32)",
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


def _logaddexp_kernel(xp: Any, a: Any, b: Any) -> Any:
    value = xp.logaddexp(a, b)
    # (gap + 3)*log1p(exp(-gap)) is at most 3*log(2): digits are lost below a fifth of that only
    near = xp.abs(value) < 0.42
    return pairs.redo(xp, near, value, _logaddexp_near, *xp.broadcast_arrays(a, b))


logaddexp = elementwise(
    "logaddexp",
    family="exponential",
    kernel=_logaddexp_kernel,
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


def _difference_partials(a: Term, b: Term) -> tuple[Term, Term]:
    slope = logdiffexp_weight(a, b) * logdiffexp_weight(b, a)
    return slope, -slope


def _logdiffexp_facts(term: Term) -> Facts:
    a, b = term.args[0].facts, term.args[1].facts
    return Facts(defined=a.defined and b.defined and intervals.always_less(b, a))


logdiffexp_weight = elementwise(
    "logdiffexp_weight",
    family="exponential",
    kernel=_logdiffexp_weight_kernel,
    ball=lambda a, b: -1 / (b - a).expm1(),
    partials=lambda y, a, b: _difference_partials(a, b),
    domain=(REAL, REAL),
    infer_facts=lambda term: Facts(),  # a pole at a = b, which no interval can say
    cost=6,
    source="definition, with the rounding error of the difference put back",
    doc="1 / (1 - exp(b - a)): the derivative of logdiffexp.",
    example=">>> sg.ops.logdiffexp_weight(sg.tensor([100.0]), 0.0).numpy()\n"
    "array([1.], dtype=float32)",
)

logdiffexp = elementwise(
    "logdiffexp",
    family="exponential",
    kernel=_logdiffexp_kernel,
    spellings=(
        lambda a, b: log(exp(a) - exp(b)),
        lambda a, b: a + log1mexp(b - a),
    ),
    partials=lambda y, a, b: (logdiffexp_weight(a, b), logdiffexp_weight(b, a)),
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
