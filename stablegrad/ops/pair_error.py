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
