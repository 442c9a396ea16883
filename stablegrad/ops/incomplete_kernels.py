"""Kernels for the incomplete gamma and beta functions and their derivatives in all arguments.

Densities are exponentials of a pair. A derivative by a parameter is the integral of the density
times a logarithm less its mean, over the tail in which that does not change its sign; it is
taken by the trapezoidal rule in the logarithm, which converges fast (Takahasi and Mori 1974).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.beta import betaln, polygamma_difference
from stablegrad.ops.gamma_kernels import _digamma_pairs, _log_gamma_pairs
from stablegrad.ops.information import deviance
from stablegrad.ops.special_gamma import digamma, polygamma

_HUGE = 1e10
"""Parameters beyond which a pair holds too few digits after the point."""


def arrays(xp: Any, *args: Any) -> tuple[Any, ...]:
    """The arguments as float64 arrays of one shape."""
    return tuple(xp.broadcast_arrays(*[xp.asarray(a, dtype=float) for a in args]))


# -- densities -----------------------------------------------------------------------------------


def _exp_of_pair(xp: Any, a: pairs.Pair) -> Any:
    out = xp.exp(a[0])
    return out + xp.where(xp.isfinite(out), out * a[1], 0.0)


def _log_gamma(xp: Any, a: Any, a_lo: Any = 0.0) -> pairs.Pair:
    """The logarithm of the gamma function of a positive float or pair, as a pair."""
    zero = 0.0 * a
    low = a < 0.5
    moved = pairs.add((a, a_lo + zero), (xp.where(low, 1.0, 0.0), zero))
    log = pair_exp.log(xp, xp.where(low, a, 1.0))
    log = (log[0], log[1] + xp.where(low, a_lo / a, 0.0))
    return pairs.add(_log_gamma_pairs(xp, moved), pairs.negative(log))


def gamma_density(xp: Any, a: Any, x: Any) -> Any:
    """Evaluate x**(a - 1) exp(-x) / gamma(a)."""
    a, x = arrays(xp, a, x)
    inside = (a > 0) & (x > 0) & xp.isfinite(a) & xp.isfinite(x)
    p, t = xp.where(inside, a, 1.0), xp.where(inside, x, 1.0)
    small = xp.minimum(p, _HUGE)
    zero = 0.0 * t
    log = pair_exp.log(xp, t)
    total = pairs.multiply(pairs.two_sum(small, -1.0), log)
    total = pairs.add(total, (-xp.minimum(t, 1e15), zero))
    total = pairs.add(total, pairs.negative(_log_gamma(xp, small)))
    value = _exp_of_pair(xp, total)

    def large(xp: Any, a: Any, x: Any) -> Any:
        return xp.sqrt(a / (2 * math.pi)) * xp.exp(-deviance.kernel(xp, a, x) - 1 / (12 * a)) / x

    value = pairs.redo(xp, p > _HUGE, value, large, p, t)
    edge = xp.where(a < 1, xp.inf, xp.where(a == 1, 1.0, 0.0))
    value = xp.where(inside, value, xp.where(x == 0, edge, xp.where(x == xp.inf, 0.0, xp.nan)))
    return xp.where((a > 0) & (x >= 0), value, xp.nan)


def beta_density(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """Evaluate x**(a - 1) (1 - x)**(b - 1) / beta(a, b)."""
    a, b, x = arrays(xp, a, b, x)
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1)
    p, q, t = (xp.where(inside, v, d) for v, d in ((a, 1.0), (b, 1.0), (x, 0.5)))
    rest = pairs.two_sum(1.0, -t)
    upper = pair_exp.log(xp, rest[0])
    upper = pairs.add(upper, (rest[1] / rest[0], 0.0 * t))
    total = pairs.multiply(pairs.two_sum(p, -1.0), pair_exp.log(xp, t))
    total = pairs.add(total, pairs.multiply(pairs.two_sum(q, -1.0), upper))
    low = [xp.minimum(v, _HUGE) for v in (p, q)]
    logs = pairs.add(_log_gamma(xp, low[0]), _log_gamma(xp, low[1]))
    logs = pairs.add(logs, pairs.negative(_log_gamma(xp, *pairs.two_sum(*low))))
    huge = xp.maximum(p, q) > _HUGE
    plain = betaln.kernel(xp, p, q)
    logs = (xp.where(huge, plain, logs[0]), xp.where(huge, 0.0, logs[1]))
    value = _exp_of_pair(xp, pairs.add(total, pairs.negative(logs)))
    first = xp.where(a < 1, xp.inf, xp.where(a == 1, b, 0.0))
    last = xp.where(b < 1, xp.inf, xp.where(b == 1, a, 0.0))
    value = xp.where(x == 0, first, xp.where(x == 1, last, value))
    return xp.where((a > 0) & (b > 0) & (x >= 0) & (x <= 1), value, xp.nan)


def log_minus_digamma(xp: Any, x: Any, a: Any) -> Any:
    """The difference of log(x) and digamma(a), in pairs where it cancels."""
    x, a = arrays(xp, x, a)
    log, mean = xp.log(x), digamma.kernel(xp, a)
    value = log - mean

    def again(xp: Any, x: Any, a: Any) -> Any:
        low = a < 1.0  # then by digamma(a + 1) - 1/a
        zero = 0.0 * a
        total = pairs.negative(_digamma_pairs(xp, xp.where(low, a + 1.0, a)))
        step = xp.where(low, (a + 1.0 - 1.0) - a, 0.0)  # the sum was rounded
        pole = pairs.divide((1.0 + zero, zero), (a, zero))
        total = pairs.add(total, (xp.where(low, pole[0], 0.0), xp.where(low, pole[1], 0.0)))
        total = pairs.add(total, pair_exp.log(xp, x))
        return total[0] + (total[1] + step * polygamma.kernel(xp, a + 1.0, n=1))

    near = (2.0 * xp.abs(value) < xp.abs(log) + xp.abs(mean)) & (a > 0.05) & (a < 1e15)
    return pairs.redo(xp, near, value, again, x, a)


# -- the incomplete gamma function -----------------------------------------------------------------


def _lower_series(xp: Any, a: Any, x: Any) -> Any:
    """P(a, x) for x < a + 1: positive terms."""
    term, total = 1.0 + 0.0 * x, 0.0 * x
    for k in range(1, 600):
        term = term * (x / (a + k))
        total = total + term
        if not (term > 1e-17 * total).any():
            break
    return gamma_density(xp, a, x) * (x / a) * (1.0 + total)


def _upper_fraction(xp: Any, a: Any, x: Any) -> Any:
    """Q(a, x) for x > a + 1: the continued fraction DLMF 8.9.2, from its end."""
    tail = 0.0 * x
    for k in range(250, 0, -1):
        tail = k * (a - k) / (x + (2.0 * k + 1.0 - a) + tail)
    return gamma_density(xp, a, x) * (x / (x + 1.0 - a + tail))


def gammainc(xp: Any, a: Any, x: Any, *, upper: bool = False) -> Any:
    """P(a, x), or Q(a, x): SciPy's, and series where they converge soon."""
    a, x = arrays(xp, a, x)
    value = xp.special.gammaincc(a, x) if upper else xp.special.gammainc(a, x)
    inside = (a > 0) & (x > 0) & xp.isfinite(x)
    below = inside & (x < a + 1) & ((a < 100) | (x < 0.7 * a))
    above = inside & (x > 1.5) & (x >= a + 1) & ((a < 100) | (x > 1.4 * a))
    if not upper:
        value = pairs.redo(xp, below, value, _lower_series, a, x)
        return pairs.redo(xp, above, value, lambda xp, a, x: 1.0 - _upper_fraction(xp, a, x), a, x)
    large = below & (value > 0.3) & (a > 0.3)
    value = pairs.redo(xp, large, value, lambda xp, a, x: 1.0 - _lower_series(xp, a, x), a, x)
    return pairs.redo(xp, above, value, _upper_fraction, a, x)


# -- derivatives by parameters -----------------------------------------------------------------


@cache
def _rule() -> tuple[tuple[float, float], ...]:
    """Nodes and weights of the trapezoidal rule in log(u): whatever scales the integrand has."""
    nodes = [math.exp(i / 8) for i in range(-45 * 8, 12 * 8)]
    return tuple([(u, u / 8) for u in nodes])


def _integral(xp: Any, scale: Any, integrand: Callable[[Any], Any]) -> Any:
    """The integral over (0, inf) of a function that varies on this scale."""
    total = 0.0 * scale
    for u, w in _rule():
        value = integrand(u * scale)
        total = total + w * xp.where(xp.isfinite(value), value, 0.0)
    return scale * total


def gammainc_by_a(xp: Any, a: Any, x: Any, *, n: int) -> Any:
    """The n-th derivative of P(a, x) by a, n = 1 or 2."""
    a, x = arrays(xp, a, x)
    spread = polygamma.kernel(xp, a, n=1)
    c = log_minus_digamma(xp, x, a)

    def weight(gap: Any, c: Any, spread: Any) -> Any:
        level = gap + c
        return level if n == 1 else level * level - spread

    def lower(xp: Any, a: Any, x: Any, c: Any, spread: Any) -> Any:
        scale = 1.0 / (xp.sqrt(a) + xp.maximum(a - x, 0.0))
        return (
            x
            * gamma_density(xp, a, x)
            * _integral(
                xp, scale, lambda s: xp.exp(-x * xp.expm1(-s) - a * s) * weight(-s, c, spread)
            )
        )

    def upper(xp: Any, a: Any, x: Any, c: Any, spread: Any) -> Any:
        scale = 1.0 / (xp.sqrt(x) + xp.maximum(x - a, 0.0))
        return (
            -x
            * gamma_density(xp, a, x)
            * _integral(
                xp,
                scale,
                lambda u: xp.exp((a - 1.0) * xp.log1p(u) - x * u) * weight(xp.log1p(u), c, spread),
            )
        )

    value = xp.where((x == 0) | (x == xp.inf), 0.0, xp.nan) * xp.where(a > 0, 1.0, xp.nan)
    inside = (a > 0) & (x > 0) & xp.isfinite(x) & xp.isfinite(a)
    value = pairs.redo(xp, inside & (c <= 0), value, lower, a, x, c, spread)
    return pairs.redo(xp, inside & (c > 0), value, upper, a, x, c, spread)


def _beta_fraction(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """The continued fraction DLMF 8.17.22 for x < (a + 1)/(a + b + 2), from its end."""
    tail = 1.0 + 0.0 * x
    for m in range(200, 0, -1):
        tail = 1.0 - (a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)) / tail
        tail = 1.0 + m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)) / tail
    return 1.0 / (1.0 - (a + b) * x / (a + 1.0) / tail)


def betainc(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """I_x(a, b): SciPy's, and the continued fraction where it converges soon."""
    a, b, x = arrays(xp, a, b, x)
    value = xp.special.betainc(a, b, x)
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1) & (xp.maximum(a, b) < 1e5)
    low = x < (a + 1.0) / (a + b + 2.0)

    def lower(xp: Any, a: Any, b: Any, x: Any) -> Any:
        y = 1.0 - x
        front = beta_density(xp, a, b, x) * x * y
        return front * _beta_fraction(xp, a, b, x) / a

    def upper(xp: Any, a: Any, b: Any, x: Any) -> Any:
        y = 1.0 - x
        front = beta_density(xp, a, b, x) * x * y
        return 1.0 - front * _beta_fraction(xp, b, a, y) / b

    value = pairs.redo(xp, inside & low, value, lower, a, b, x)
    return pairs.redo(xp, inside & ~low & (value > 0.3), value, upper, a, b, x)


def _beta_by_parameter(xp: Any, a: Any, b: Any, x: Any, y: Any, log_x: Any, density: Any) -> Any:
    """The derivative of I_x(a, b) by a, from x and y = 1 - x."""
    c = log_x + polygamma_difference.kernel(xp, a, b, n=0)

    def lower(xp: Any, a: Any, b: Any, x: Any, y: Any, c: Any) -> Any:
        scale = 1.0 / (xp.sqrt(a) + xp.maximum(a * y - b * x, 0.0))

        def integrand(s: Any) -> Any:
            rest = xp.log1p(-x * xp.expm1(-s) / y)
            return xp.exp((b - 1.0) * rest - a * s) * (c - s)

        return x * _integral(xp, scale, integrand)

    def upper(xp: Any, a: Any, b: Any, x: Any, y: Any, c: Any) -> Any:
        scale = 1.0 / (xp.sqrt(b) + xp.maximum(b * x - a * y, 0.0))

        def integrand(s: Any) -> Any:
            rise = xp.log1p(-y * xp.expm1(-s) / x)
            return xp.exp((a - 1.0) * rise - b * s) * (c + rise)

        return -y * _integral(xp, scale, integrand)

    value = xp.where((x == 0) | (y == 0), 0.0, xp.nan)
    inside = (a > 0) & (b > 0) & (x > 0) & (y > 0)
    value = pairs.redo(xp, inside & (c <= 0), value, lower, a, b, x, y, c)
    value = pairs.redo(xp, inside & (c > 0), value, upper, a, b, x, y, c)
    return xp.where(inside, value * density, value)


def betainc_by_a(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """The derivative of I_x(a, b) by a."""
    a, b, x = arrays(xp, a, b, x)
    density = beta_density(xp, a, b, x)
    return _beta_by_parameter(xp, a, b, x, 1.0 - x, xp.log(x), density)


def betainc_by_b(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """The derivative of I_x(a, b) by b, from the mirror image."""
    a, b, x = arrays(xp, a, b, x)
    density = beta_density(xp, a, b, x)
    return 0.0 - _beta_by_parameter(xp, b, a, 1.0 - x, x, xp.log1p(-x), density)
