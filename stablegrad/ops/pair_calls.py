"""Elementary functions and the gamma family on pairs, for sums that cancelled.

A ``Call`` has a value in pairs and the derivative by which an error of its argument is felt, so
that the error of a whole program in pairs can be bounded while it is evaluated. Where a function
is not implemented for an argument, its value is nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from stablegrad.ops import gamma_kernels, gamma_pairs, pair_error, pair_exp, pair_trig, pairs
from stablegrad.ops.pairs import Pair

_PI = Fraction(pairs.pi())
_ROOT_2 = math.sqrt(2.0)
Slope = Callable[..., Any]


class Call(NamedTuple):
    """A function on pairs: ``value(x)``, and ``slope(x, y)`` of the floats x and y = f(x).

    The slope of a function of several arguments is a tuple.
    """

    value: Callable[..., Pair]
    slope: Slope
    floor: float = 0.0
    """The absolute error of the value, in units of the last place of 1."""
    scale: int | None = None
    """The argument beside which the error is no greater than that, however small it is."""

    def slopes(self, *xs: Any) -> tuple[Any, ...]:
        """The slopes by all arguments, from these and the value."""
        found = self.slope(*xs)
        return found if isinstance(found, tuple) else (found,)


def _one(x: Pair) -> Pair:
    return 1.0 + 0.0 * x[0], 0.0 * x[0]


def _inside(x: Pair, value: Callable[[Pair], Pair], low: float, high: float) -> Pair:
    """The value for low < x < high, nan elsewhere."""
    good = (x[0] > low) & (x[0] < high)
    middle = 0.5 * (low + high)
    hi, lo = value((np.where(good, x[0], middle), np.where(good, x[1], 0.0)))
    return np.where(good, hi, np.nan), np.where(good, lo, 0.0)


def _exp(x: Pair) -> Pair:
    """exp; 0 below -500, which is less than its floor away."""
    small = x[0] <= -500.0
    x = (np.where(small, 0.0, x[0]), np.where(small, 0.0, x[1]))
    hi, lo = _inside(x, lambda x: pair_exp.exp(np, x), -501.0, 500.0)
    return np.where(small, 0.0, hi), np.where(small, 0.0, lo)


def _expm1(x: Pair) -> Pair:
    """expm1; -1 below -500, which is less than its last place away."""
    small = x[0] <= -500.0
    x = (np.where(small, 0.0, x[0]), np.where(small, 0.0, x[1]))
    hi, lo = _inside(x, lambda x: pair_exp.expm1(np, x), -501.0, 500.0)
    return np.where(small, -1.0, hi), np.where(small, 0.0, lo)


def _sigmoid(x: Pair) -> Pair:
    """1/(1 + e) of e = exp(-|x|) for positive x, e times that for others."""
    sign = np.where(x[0] > 0, -1.0, 1.0)
    e = _exp((sign * x[0], sign * x[1]))
    above = np.where(x[0] > 0, 1.0, e[0]), np.where(x[0] > 0, 0.0, e[1])
    return pairs.divide(above, pairs.add(_one(e), e))


def _log(x: Pair) -> Pair:
    return _inside(x, lambda x: pair_exp.log_of_pair(np, x), 0.0, math.inf)


def _log1p(x: Pair) -> Pair:
    """One Newton step: log1p(x) = y + expm1(-y)*(1 + x) + x, up to its square; else log(1 + x)."""

    def value(x: Pair) -> Pair:
        y = np.log1p(x[0])
        zero = 0.0 * y
        e = pair_exp.expm1(np, (-y, zero))
        rest = pairs.add(pairs.multiply(e, pairs.add(_one(x), x)), x)
        return pairs.add((y, zero), rest)

    large = (x[0] > 1.0) | (x[0] < -0.5)
    small = value((np.where(large, 0.0, x[0]), np.where(large, 0.0, x[1])))
    if not np.any(large):
        return small
    whole = pairs.add(_one(x), x)
    far = _log((np.where(large, whole[0], 1.0), np.where(large, whole[1], 0.0)))
    return np.where(large, far[0], small[0]), np.where(large, far[1], small[1])


def _log_ratio(x: Pair, y: Pair) -> Pair:
    """log(x / y), of x - y where they are near each other."""
    near = np.abs(x[0] - y[0]) < 0.25 * np.abs(y[0])
    change = pairs.divide(pairs.add(x, pairs.negative(y)), y)
    close = _log1p((np.where(near, change[0], 0.0), np.where(near, change[1], 0.0)))
    far = _log(pairs.divide(x, y))
    return np.where(near, close[0], far[0]), np.where(near, close[1], far[1])


def _sine_cosine(x: Pair) -> tuple[Pair, Pair]:
    return pair_trig.sine_cosine(np, x)


def _tan(x: Pair) -> Pair:
    s, c = _sine_cosine(x)
    return pairs.divide(s, c)


def _tanh_and_slope(x: Pair) -> tuple[Pair, Pair]:
    """-e/(2 + e) and 4 (1 + e)/(2 + e)**2 of e = expm1(-2 |x|), which is -1 beyond 250."""
    far = np.abs(x[0]) >= 250.0
    twice = np.where(x[0] < 0, 2.0, -2.0)
    a = np.where(far, 0.0, twice * x[0]), np.where(far, 0.0, twice * x[1])
    e, u = pair_exp.expm1_and_exp(np, a)
    e = np.where(far, -1.0, e[0]), np.where(far, 0.0, e[1])
    u = np.where(far, 0.0, u[0]), np.where(far, 0.0, u[1])
    below = pairs.add(e, (2.0, 0.0))
    hi, lo = pairs.divide(e, below)
    sign = 0.5 * twice
    slope = pairs.divide((4.0 * u[0], 4.0 * u[1]), pairs.multiply(below, below))
    return (sign * hi, sign * lo), slope


def _arctan(x: Pair) -> Pair:
    start = np.arctan(x[0])
    zero = 0.0 * start
    s, c = _sine_cosine((start, zero))
    top = pairs.add(pairs.multiply(x, c), pairs.negative(s))
    return pairs.add((start, zero), ((top[0] + top[1]) / (c[0] + x[0] * s[0]), zero))


def _arctan2(y: Pair, x: Pair) -> Pair:
    """By a rotation back to an angle near 0, which is its tangent; of one scale."""
    k = -np.frexp(np.maximum(np.abs(x[0]), np.abs(y[0])))[1]
    x, y = (np.ldexp(x[0], k), np.ldexp(x[1], k)), (np.ldexp(y[0], k), np.ldexp(y[1], k))
    start = np.arctan2(y[0], x[0])
    s, c = _sine_cosine((start, 0.0 * start))
    top = pairs.add(pairs.multiply(y, c), pairs.negative(pairs.multiply(x, s)))
    rest = (top[0] + top[1]) / (x[0] * c[0] + y[0] * s[0])
    return pairs.add((start, 0.0 * start), (rest, 0.0 * start))


def _arcsin(x: Pair) -> Pair:
    start = np.arcsin(x[0])
    zero = 0.0 * start
    s, c = _sine_cosine((start, zero))
    top = pairs.add(x, pairs.negative(s))
    return pairs.add((start, zero), ((top[0] + top[1]) / c[0], zero))


def _arccos(x: Pair) -> Pair:
    half = pairs.split(_PI / 2)
    hi, lo = _arcsin(x)
    return pairs.add((half[0] + 0.0 * hi, half[1] + 0.0 * hi), (-hi, -lo))


def _lgamma(x: Pair) -> Pair:
    return _inside(x, lambda x: gamma_kernels.log_gamma_pairs(np, x), 0.4, 1e280)


def _digamma(x: Pair) -> Pair:
    return _inside(x, lambda x: gamma_kernels.digamma_pairs(np, x), 0.4, 1e280)


def _step(step: Callable[..., Pair], whole: Callable[[Pair], Pair], x: Pair, h: Pair) -> Pair:
    """A step of a function: as such where it is small, else by the values at both ends."""
    small = (x[0] > 0) & (x[0] < 1e280) & (2.0 * h[0] > -x[0]) & (h[0] < 4.0 * x[0])
    one, none = 1.0, 0.0
    u = (np.where(small, x[0], one), np.where(small, x[1], none))
    v = (np.where(small, h[0], none), np.where(small, h[1], none))
    value = step(u, v)
    if np.all(small):
        return value
    other = pairs.add(whole(pairs.add(x, h)), pairs.negative(whole(x)))
    return np.where(small, value[0], other[0]), np.where(small, value[1], other[1])


def lgamma_step(x: Pair, h: Pair) -> Pair:
    """lgamma(x + h) - lgamma(x), relative to itself where h is not far above x."""
    value = _step(lambda x, h: gamma_pairs.lgamma_step(_log1p, _log, x, h), _lgamma, x, h)
    tiny = np.abs(h[0]) < 2.0**-110 * x[0]
    if not np.any(tiny):
        return value
    slope = _digamma((np.where(tiny, x[0], 1.0), np.where(tiny, x[1], 0.0)))
    linear = pairs.multiply(h, slope)
    return np.where(tiny, linear[0], value[0]), np.where(tiny, linear[1], value[1])


def _digamma_step(x: Pair, h: Pair) -> Pair:
    return _step(lambda x, h: gamma_pairs.digamma_step(_log1p, x, h), _digamma, x, h)


def _maximum(x: Pair, y: Pair) -> Pair:
    first = (x[0] > y[0]) | ((x[0] == y[0]) & (x[1] >= y[1]))
    return np.where(first, x[0], y[0]), np.where(first, x[1], y[1])


def _minimum(x: Pair, y: Pair) -> Pair:
    return pairs.negative(_maximum(pairs.negative(x), pairs.negative(y)))


def _abs(x: Pair) -> Pair:
    sign = np.where(x[0] < 0, -1.0, 1.0)
    return sign * x[0], sign * x[1]


def _interval_slopes(x: Any, y: Any, z: Any) -> tuple[Any, Any]:
    """No less than those of the hazard at x by x and by y."""
    other = z * np.exp(np.minimum(0.5 * (x - y) * (x + y), 600.0))
    return z * (np.abs(x) + z), z * other


def _erfcx(x: Pair) -> Pair:
    return _inside(x, pair_error.erfcx, -22.0, 1e150)


def _density(x: Any) -> Any:
    return 0.4 * np.exp(-0.5 * x * x)


def _hazard(x: Any) -> Any:
    """No less than the derivative of log_ndtr."""
    return np.where(x < 0, 1.0 - x, 1.0)


def _digamma_slope(x: Any) -> Any:
    return 1.0 / x + 1.0 / (x * x)


def polygamma(n: int) -> Call:
    """The n-th derivative of digamma."""
    sign = 1.0 if n % 2 else -1.0

    def value(x: Pair) -> Pair:
        hi, lo = _inside(x, lambda x: gamma_kernels.polygamma_pairs(np, x, n), 0.4, 1e100)
        return sign * hi, sign * lo

    return Call(value, lambda x, y: (n + 1) * np.abs(y) / x + np.abs(y))


CALLS: dict[str, Call] = {
    "abs": Call(_abs, lambda x, y: 1.0 + 0.0 * y),
    "maximum": Call(_maximum, lambda x, y, z: (1.0 + 0.0 * z, 1.0 + 0.0 * z)),
    "minimum": Call(_minimum, lambda x, y, z: (1.0 + 0.0 * z, 1.0 + 0.0 * z)),
    "exp": Call(_exp, lambda x, y: y, 1e-180),
    "expm1": Call(_expm1, lambda x, y: 1.0 + y),
    "sigmoid": Call(_sigmoid, lambda x, y: np.exp(-np.abs(x)), 1e-180),
    "log": Call(_log, lambda x, y: 1.0 / x, 1.0),
    "log1p": Call(_log1p, lambda x, y: np.exp(-y)),
    "log_ratio": Call(_log_ratio, lambda x, y, z: (1.0 / x, 1.0 / y)),
    "sin": Call(lambda x: _sine_cosine(x)[0], lambda x, y: 1.0 + 0.0 * y),
    "cos": Call(lambda x: _sine_cosine(x)[1], lambda x, y: 1.0 + 0.0 * y),
    "tan": Call(_tan, lambda x, y: 1.0 + y * y),
    "tanh": Call(lambda x: _tanh_and_slope(x)[0], lambda x, y: 1.0 + 0.0 * y),
    "sech_squared": Call(lambda x: _tanh_and_slope(x)[1], lambda x, y: 2.0 * y, 1e-180),
    "arctan": Call(_arctan, lambda x, y: 1.0 + 0.0 * y),
    "arctan2": Call(
        _arctan2, lambda y, x, z: tuple(np.abs(t) / np.hypot(x, y) ** 2 for t in (x, y)), 2.0
    ),
    "arcsin": Call(_arcsin, lambda x, y: 1.0 / np.cos(y)),
    "arccos": Call(_arccos, lambda x, y: 1.0 / np.sin(y), 2.0),
    "ndtr": Call(pair_error.ndtr, lambda x, y: _density(x), 1.0),
    "erf": Call(pair_error.erf, lambda x, y: 3.0 * _density(_ROOT_2 * x)),
    "erfc": Call(pair_error.erfc, lambda x, y: 3.0 * _density(_ROOT_2 * x), 1.0),
    "erfcx": Call(_erfcx, lambda x, y: 2.0 * np.abs(x) * y + 1.2, 3e5),
    "log_ndtr": Call(lambda x: pair_error.log_ndtr(_log, x), lambda x, y: _hazard(x), 3e5),
    "log_ndtr_derivative": Call(pair_error.log_ndtr_slope, lambda x, y: 1.0 + 0.0 * y, 3e5),
    "interval_hazard": Call(pair_error.interval_hazard, _interval_slopes, 3e5),
    "lgamma": Call(_lgamma, lambda x, y: np.abs(np.log(x)) + 1.0 / x, 200.0),
    "digamma": Call(_digamma, lambda x, y: _digamma_slope(x), 20.0),
    "lgamma_step": Call(
        lgamma_step,
        lambda x, h, y: (np.abs(h) * _digamma_slope(x), np.abs(np.log(x + h)) + 1.0 / (x + h)),
        0.01,
        1,
    ),
    "digamma_step": Call(
        _digamma_step,
        lambda x, h, y: (np.abs(h) * _digamma_slope(x) / x, _digamma_slope(x + h)),
        1e-4,
        1,
    ),
}


class Joint(NamedTuple):
    """Another function that is had with one, and the values of both."""

    other: str
    values: Callable[[Pair], tuple[Pair, Pair]]


def _turned(both: tuple[Pair, Pair]) -> tuple[Pair, Pair]:
    return both[1], both[0]


JOINT: dict[str, Joint] = {
    "sin": Joint("cos", _sine_cosine),
    "cos": Joint("sin", lambda x: _turned(_sine_cosine(x))),
    "tanh": Joint("sech_squared", _tanh_and_slope),
    "sech_squared": Joint("tanh", lambda x: _turned(_tanh_and_slope(x))),
}
"""Functions whose values come from one computation."""
