"""Logarithms of the probability of an interval, normal and logistic.

With d(x, y) the integral of exp((x*x - t*t)/2) over y < t < x, the probability of the interval
is the normal density at x times d. Reflecting the interval where needed, d is only taken for
x <= 0, where it does not overflow; where the interval is short it is an integral of positive
numbers, else a difference of Mills's ratios that hardly cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import mills, pairs
from stablegrad.ops.exponential import log, log1mexp
from stablegrad.ops.logistic import log_sigmoid, sigmoid
from stablegrad.ops.logsums import difference, logdiffexp_weight
from stablegrad.ops.record import NEGATIVE, POSITIVE, REAL, elementwise
from stablegrad.ops.special_error import ndtr

_ROOT_2PI = math.sqrt(2 * math.pi)
_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_SHORT = 1.0


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


def _reflected(xp: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """The interval or its mirror image, whichever lies to the left; nan where it is empty."""
    x, y = pairs.arrays(xp, x, y)
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


def _hazard_derivatives(xp: Any, x: Any, y: Any, n: int) -> list[Any]:
    """The normal density at x over the probability of (y, x), and n derivatives of it by x."""
    flip, right, left = _reflected(xp, x, y)
    at_x, at_y = _hazards(xp, right, left)
    hazard = xp.where(flip, at_y, at_x)
    hazard = xp.where((x == y) & xp.isfinite(x), xp.inf, hazard)
    if not n:
        return [hazard]
    plain = (x >= 2.0) | (hazard > xp.maximum(2.0, -2.0 * x))
    found = [hazard, *_by_itself(xp, x, hazard, n)]
    better = _by_one_sided(xp, x, y, hazard, n)
    return [hazard, *[xp.where(plain, a, b) for a, b in zip(found[1:], better, strict=True)]]


def _times(xp: Any, a: Any, b: Any) -> Any:
    """A product in which 0 is 0 beside an infinity, which has overflown."""
    return xp.where((a == 0) | (b == 0), 0.0, a * b)


def _leibniz(xp: Any, a: Sequence[Any], b: Sequence[Any]) -> Any:
    """The last derivative of a product, from those of both factors."""
    k = len(a) - 1
    return sum(math.comb(k, j) * _times(xp, a[j], b[k - j]) for j in range(k + 1))


def _shifted(derivatives: Sequence[Any], first: Any, factor: float = 1.0) -> list[Any]:
    """The derivatives of ``factor * f`` plus the variable, from those of f."""
    return [first, *[factor * d + (1.0 if k == 0 else 0.0) for k, d in enumerate(derivatives[1:])]]


def _by_itself(xp: Any, x: Any, hazard: Any, n: int) -> list[Any]:
    """H' = -H (x + H): good where x is positive, or little beside H."""
    found = [hazard]
    for _ in range(n):
        found.append(-_leibniz(xp, found, _shifted(found, x + hazard)))
    return found[1:]


def _by_one_sided(xp: Any, x: Any, y: Any, hazard: Any, n: int) -> list[Any]:
    """H = h w with the hazard h of (-inf, x), and w = 1/(1 - q) for the quotient q of both sides.

    There w' = -h v and v' = -h v (2 w - 1) with v = q w**2; all terms of H' have one sign, and
    all of H'' too.
    """
    sided = [mills.hazard(xp, x, 1, k) for k in range(n + 1)]
    quotient = ndtr.kernel(xp, y) / ndtr.kernel(xp, x)

    def left(xp: Any, x: Any, y: Any) -> Any:
        fall = _decay(xp, _gap(xp, x, y)[1])
        return xp.where(fall == 0, 0.0, mills.ratio(xp, y, 1, 0) / mills.ratio(xp, x, 1, 0) * fall)

    quotient = pairs.redo(xp, x < 0, quotient, left, x, y)
    w = [hazard / sided[0]]
    v = [quotient * w[0] * w[0]]
    product: list[Any] = []
    for k in range(n):
        product.append(_leibniz(xp, sided[: k + 1], v))
        w.append(-product[k])
        v.append(-_leibniz(xp, product, [2.0 * w[0] - 1.0, *[2.0 * t for t in w[1 : k + 1]]]))
    return [_leibniz(xp, sided[: k + 1], w[: k + 1]) for k in range(1, n + 1)]


def _coupling(xp: Any, x: Any, y: Any, n: int, m: int) -> Any:
    """A derivative of K = H G, with the hazards H and G at both ends, n and m times.

    K' is -K (x + 2 H) by x and K (2 G - y) by y, and H' by y is K.
    """
    at_x = _hazard_derivatives(xp, x, y, n)
    at_y = _hazard_derivatives(xp, -y, -x, m)  # by -y
    steps = _shifted(at_y, (at_y[0] - y) + at_y[0], 2.0)
    column = [_times(xp, at_x[0], at_y[0])]
    for _ in range(m):  # by -y, too
        column.append(-_leibniz(xp, column, steps[: len(column)]))
    rows = [[(-1.0) ** j * c for j, c in enumerate(column)]]
    sums = _shifted(at_x, (x + at_x[0]) + at_x[0], 2.0)
    for i in range(n):
        row = []
        for j in range(m + 1):
            total: Any = 0.0
            for p in range(i + 1):
                for q in range(j + 1):
                    other = sums[i - p] if j == q else 2.0 * rows[i - p][j - q - 1]
                    part = math.comb(i, p) * math.comb(j, q) * _times(xp, rows[p][q], other)
                    total = total - part
            row.append(total)
        rows.append(row)
    return rows[n][m]


def _log_ndtr_difference_derivative(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    x, y = pairs.arrays(xp, x, y)
    if not m:
        return _hazard_derivatives(xp, x, y, n - 1)[-1]
    if not n:
        return (-1.0) ** m * _hazard_derivatives(xp, -y, -x, m - 1)[-1]
    return _coupling(xp, x, y, n - 1, m - 1)


log_ndtr_difference = elementwise(
    "log_ndtr_difference",
    family="special",
    kernel=_log_ndtr_difference,
    ball=lambda x, y: _probability_meaning(x, y).log(),
    spellings=(lambda x, y: log(ndtr(x) - ndtr(y)),),
    partials=lambda out, x, y: (
        log_ndtr_difference_derivative(x, y, n=1, m=0),
        log_ndtr_difference_derivative(x, y, n=0, m=1),
    ),
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


def _derivative_facts(term: Term) -> Facts:
    """Signs where they are known: the hazards, their slopes, and the product of both."""
    signs = {(1, 0): POSITIVE, (0, 1): NEGATIVE, (2, 0): NEGATIVE, (0, 2): NEGATIVE}
    return {**signs, (1, 1): POSITIVE}.get(term.params, REAL)


log_ndtr_difference_derivative = elementwise(
    "log_ndtr_difference_derivative",
    family="special",
    params=("n", "m"),
    kernel=_log_ndtr_difference_derivative,
    ball=lambda x, y, *, n, m: _derivative_meaning(x, y, n, m),
    partials=lambda out, x, y: (
        log_ndtr_difference_derivative(x, y, n=out.params[0] + 1, m=out.params[1]),
        log_ndtr_difference_derivative(x, y, n=out.params[0], m=out.params[1] + 1),
    ),
    domain=(REAL, REAL),  # and x > y
    infer_facts=_derivative_facts,
    cost=7,
    ulp=(6, 8, math.inf),
    accuracy="4 ulp for n + m = 1, 6 for 2 and 8 for 3, products of inexact factors; from the "
    "fourth derivative on relative to the largest term, for they have zeros",
    source="as log_ndtr_difference",
    doc="The mixed derivative of log_ndtr_difference, n times by x and m times by y, n + m > 0; "
    "by x it is the density at x over the probability.",
    example=">>> x = sg.tensor([1.0])\n"
    ">>> sg.ops.log_ndtr_difference_derivative(x, -1.0, n=1, m=0).numpy()\n"
    "array([0.35443744], dtype=float32)",
)


def _probability_meaning(x: Any, y: Any) -> Any:
    """The probability of (y, x), from the tails on the left."""
    if not x > y:
        return x * (0 if x == y else math.nan)
    if x + y > 0:
        x, y = -y, -x
    root = type(x).exact(2).sqrt()
    return ((-x / root).erfc() - (-y / root).erfc()) / 2


def _derivative_meaning(x: Any, y: Any, n: int, m: int) -> Any:
    """The derivative by H' = -H (x + H) and, with K = H G, K' = -K (x + 2 H), or K (2 G - y)."""
    if not n:
        return _derivative_meaning(-y, -x, m, n) * (-1) ** m
    if (n + m > 1 and abs(x) == math.inf) or (m and abs(y) == math.inf):
        return x * 0 if x == y else type(x).exact(0)
    probability = abs(_probability_meaning(x, y))
    root = (type(x).exact(1).arctan() * 8).sqrt()
    hazard = (-(x * x) / 2).exp() / root / probability
    if probability == 0:  # the infinity where x = y
        return hazard * (-1) ** (n - 1)
    other = (-(y * y) / 2).exp() / root / probability
    # polynomials in H and G: {(i, j): the polynomial in x, y as {(a, b): c}}
    terms = {(1, 0, 0, 0): 1} if not m else {(1, 1, 0, 0): 1}
    for by_x in [True] * (n - 1) + [False] * (m - 1):
        terms = _derived(terms, by_x)
    total: Any = 0
    for (i, j, a, b), c in terms.items():
        part: Any = c
        for factor in [hazard] * i + [other] * j + [x] * a + [y] * b:
            part = factor * part
        total = part + total
    return total


_Terms = dict[tuple[int, int, int, int], int]


def _derived(terms: _Terms, by_x: bool) -> _Terms:
    """The derivative of a sum of c H**i G**j x**a y**b."""
    out: _Terms = {}
    for (i, j, a, b), c in terms.items():
        if by_x:  # H' = -x H - H**2, G' = -G H
            parts = [((i, j, a + 1, b), -i), ((i + 1, j, a, b), -i - j), ((i, j, a - 1, b), a)]
        else:  # H' = H G, G' = G**2 - y G
            parts = [((i, j + 1, a, b), i + j), ((i, j, a, b + 1), -j), ((i, j, a, b - 1), b)]
        for key, factor in parts:
            if factor:
                out[key] = out.get(key, 0) + factor * c
    return {key: c for key, c in out.items() if c}


# -- the logistic distribution -----------------------------------------------------------------


def _log_sigmoid_difference(xp: Any, x: Any, y: Any) -> Any:
    x, y = pairs.arrays(xp, x, y)
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
