"""The error function and the normal distribution as pairs, for the few elements that cancelled.

A power series without subtractions near 0, the continued fraction of Mills's ratio in the tails.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.pairs import Pair

_DEEP = 4.5  # from here on 80 levels of the continued fraction give 2**-105
_LEVELS = 80
_FAR = 30.0  # of the normal distribution; beyond this its density, as a pair, leaves the range
_MOST = 120  # terms of the series, of which 90 are needed at its end
_SERIES_END = 2.0**-110
_SHORT_TERMS = 54  # 1/(2**27 27!) is below 2**-110


with localcontext() as _context:
    _context.prec = 50
    _DENSITY_AT_0 = pairs.split(1 / (2 * pairs.pi()).sqrt())
    _ROOT_2 = pairs.split(Decimal(2).sqrt())


def _like(x: Any, value: tuple[float, float]) -> Pair:
    return value[0] + 0.0 * x, value[1] + 0.0 * x


def mills(t: Pair) -> Pair:
    """(1 - ndtr(t))/density(t) of t >= 4.5: 1/(t + 1/(t + 2/(t + 3/(t + ...))))."""
    out = t
    for k in range(_LEVELS, 0, -1):
        out = pairs.add(t, pairs.divide(_like(t[0], (float(k), 0.0)), out))
    return pairs.divide(_like(t[0], (1.0, 0.0)), out)


def normal_density(x: Pair) -> Pair:
    """exp(-x**2/2)/sqrt(2 pi), of |x| < 30."""
    square = pairs.multiply(x, x)
    bell = pair_exp.exp(np, (-0.5 * square[0], -0.5 * square[1]))
    return pairs.multiply(bell, _like(x[0], _DENSITY_AT_0))


def _excess(x: Pair) -> Pair:
    """ndtr(x) - 1/2 of |x| < 4.5: the density times x + x**3/3 + x**5/15 + ..."""
    square = pairs.multiply(x, x)
    term, total = x, x
    for k in range(1, _MOST):
        term = pairs.divide(pairs.multiply(term, square), _like(x[0], (2.0 * k + 1.0, 0.0)))
        total = pairs.add(total, term)
        if not np.any(np.abs(term[0]) > _SERIES_END * np.abs(total[0])):
            break
    return pairs.multiply(total, normal_density(x))


def _where(holds: Any, x: Pair, other: float) -> Pair:
    return np.where(holds, x[0], other), np.where(holds, x[1], 0.0)


def _chosen(holds: Any, x: Pair, y: Pair) -> Pair:
    return np.where(holds, x[0], y[0]), np.where(holds, x[1], y[1])


def ndtr(x: Pair) -> Pair:
    """The normal distribution: below -4.5 by its tail, which is 0 below -30."""
    size = np.abs(x[0])
    middle = size < _DEEP
    excess = _excess(_where(middle, x, 0.0))
    value = pairs.add(_like(x[0], (0.5, 0.0)), excess)
    if np.all(middle):
        return value
    sign = np.where(x[0] < 0, -1.0, 1.0)
    seen = ~middle & (size < _FAR)
    t = _where(seen, (sign * x[0], sign * x[1]), _DEEP)
    tail = _where(seen, pairs.multiply(mills(t), normal_density(t)), 0.0)
    upper = pairs.add(_like(x[0], (1.0, 0.0)), pairs.negative(tail))
    return _chosen(middle, value, _chosen(x[0] < 0, tail, upper))


def erf(x: Pair) -> Pair:
    """2*ndtr(x*sqrt(2)) - 1."""
    t = pairs.multiply(x, _like(x[0], _ROOT_2))
    middle = np.abs(t[0]) < _DEEP
    excess = _excess(_where(middle, t, 0.0))
    upper = ndtr(_where(~middle, t, _DEEP))
    far = pairs.add((2.0 * upper[0], 2.0 * upper[1]), _like(x[0], (-1.0, 0.0)))
    return _chosen(middle, (2.0 * excess[0], 2.0 * excess[1]), far)


def erfc(x: Pair) -> Pair:
    """2*ndtr(-x*sqrt(2))."""
    hi, lo = ndtr(pairs.multiply(x, _like(x[0], (-_ROOT_2[0], -_ROOT_2[1]))))
    return 2.0 * hi, 2.0 * lo


def erfcx(x: Pair) -> Pair:
    """exp(x**2)*erfc(x): above 3.2 by Mills's ratio."""
    t = pairs.multiply(x, _like(x[0], _ROOT_2))
    deep = t[0] > _DEEP
    inner = _where(~deep, x, 0.0)
    square = pairs.multiply(inner, inner)
    near = pairs.multiply(pair_exp.exp(np, square), erfc(inner))
    if not np.any(deep):
        return near
    hi, lo = pairs.multiply(mills(_where(deep, t, _DEEP)), _like(x[0], _DENSITY_AT_0))
    return _chosen(deep, (2.0 * hi, 2.0 * lo), near)


def log_ndtr_slope(x: Pair) -> Pair:
    """The density over ndtr: below -4.5 one over Mills's ratio; 0 above 30."""
    deep = x[0] < -_DEEP
    seen = ~deep & (x[0] < _FAR)
    inner = _where(seen, x, 0.0)
    ratio = _where(seen, pairs.divide(normal_density(inner), ndtr(inner)), 0.0)
    if not np.any(deep):
        return ratio
    tail = mills(_where(deep, pairs.negative(x), _DEEP))
    return _chosen(deep, pairs.divide(_like(x[0], (1.0, 0.0)), tail), ratio)


def log_ndtr(log: Any, x: Pair) -> Pair:
    """log(ndtr(x)) by a logarithm on pairs: below -4.5 of Mills's ratio."""
    deep = x[0] < -_DEEP
    near = log(ndtr(_where(~deep, x, 0.0)))
    if not np.any(deep):
        return near
    t = _where(deep, pairs.negative(x), _DEEP)
    square = pairs.multiply(t, t)
    tail = log(pairs.multiply(mills(t), _like(x[0], _DENSITY_AT_0)))
    far = pairs.add((-0.5 * square[0], -0.5 * square[1]), tail)
    return _chosen(deep, far, near)


_NOTHING = 150.0  # exp(-this) is nothing beside 1, also after 2**-102 has been lost


def interval_hazard(x: Pair, y: Pair) -> Pair:
    """The density at x over ndtr(x) - ndtr(y), x > y; nan where one is too far out.

    With p = (x*x - y*y)/4 and q = (x - y)**2/8 it is exp(-p - q) over the integral of
    exp(-p*u - q*u*u), |u| < 1, times half of x - y, which serves where both are small. In a tail it
    is one over a difference of Mills's ratios, in the middle of the distribution over one of ndtr.
    """
    step, twice = pairs.add(x, pairs.negative(y)), pairs.add(x, y)
    hi, lo = pairs.multiply(step, twice)
    p = 0.25 * hi, 0.25 * lo
    hi, lo = pairs.multiply(step, step)
    q = 0.125 * hi, 0.125 * lo
    short = (np.abs(p[0]) < 0.5) & (q[0] < 0.5) & (step[0] > 0)
    value = _short_hazard(_where(short, step, 1.0), _where(short, p, 0.0), _where(short, q, 0.125))
    if np.all(short):
        return value
    turned = p[0] > 0  # the mirrored interval lies to the left, the density is that at its end
    left = _chosen(turned, pairs.negative(y), x)
    right = _chosen(turned, pairs.negative(x), y)
    steep = -2.0 * np.abs(p[0]), np.where(turned, -2.0 * p[1], 2.0 * p[1])
    tail = (left[0] < -_DEEP) & ~short & (step[0] > 0)
    fall = pair_exp.exp(np, _where(tail & (steep[0] > -_NOTHING), steep, 0.0))
    fall = _where(tail & (steep[0] > -_NOTHING), fall, 0.0)
    near = mills(_where(tail, pairs.negative(left), _DEEP))
    far = mills(_where(tail, pairs.negative(right), _DEEP))
    ratio = pairs.add(near, pairs.negative(pairs.multiply(far, fall)))
    top = _chosen(turned, fall, _like(x[0], (1.0, 0.0)))
    outside = pairs.divide(top, _where(tail, ratio, 1.0))
    middle = ~short & ~tail & (np.abs(x[0]) < _FAR) & (step[0] > 0)
    inner = _where(middle, left, 0.5), _where(middle, right, -0.5)
    share = pairs.add(ndtr(inner[0]), pairs.negative(ndtr(inner[1])))
    across = pairs.divide(normal_density(_where(middle, x, 0.0)), share)
    nothing = ~short & ~tail & (x[0] >= _FAR)
    other = _where(~nothing, _where(middle, across, np.nan), 0.0)
    return _chosen(short, value, _chosen(tail, outside, other))


def _short_hazard(step: Pair, p: Pair, q: Pair) -> Pair:
    """By the power series c of exp(-p*u - q*u*u): (n + 1) c[n + 1] = -p c[n] - 2q c[n - 1]."""
    before, term = _like(p[0], (0.0, 0.0)), _like(p[0], (1.0, 0.0))
    total = term
    p, twice_q = pairs.negative(p), (-2.0 * q[0], -2.0 * q[1])
    for n in range(1, _SHORT_TERMS):
        after = pairs.add(pairs.multiply(p, term), pairs.multiply(twice_q, before))
        before, term = term, pairs.divide(after, _like(p[0], (float(n), 0.0)))
        if n % 2 == 0:
            total = pairs.add(total, pairs.divide(term, _like(p[0], (n + 1.0, 0.0))))
    bell = pair_exp.exp(np, pairs.add(p, (0.5 * twice_q[0], 0.5 * twice_q[1])))
    return pairs.divide(bell, pairs.multiply(total, step))
