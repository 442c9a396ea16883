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
from stablegrad.ops.gamma_kernels import digamma_pairs, log_gamma_pairs
from stablegrad.ops.gamma_logs import betaln, polygamma_difference
from stablegrad.ops.information import deviance
from stablegrad.ops.special_gamma import digamma, lgamma, polygamma

_SMALL = 0.5
"""Parameters below which 1/gamma(a) is taken out of second derivatives: it vanishes at 0."""

_HUGE = 1e10
"""Parameters beyond which a pair holds too few digits after the point."""


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
    return pairs.add(log_gamma_pairs(xp, moved), pairs.negative(log))


def gamma_density(xp: Any, a: Any, x: Any) -> Any:
    """Evaluate x**(a - 1) exp(-x) / gamma(a)."""
    a, x = pairs.arrays(xp, a, x)
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
    a, b, x = pairs.arrays(xp, a, b, x)
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
    x, a = pairs.arrays(xp, x, a)
    log, mean = xp.log(x), digamma.kernel(xp, a)
    value = log - mean

    def again(xp: Any, x: Any, a: Any) -> Any:
        low = a < 1.0  # then by digamma(a + 1) - 1/a
        zero = 0.0 * a
        total = pairs.negative(digamma_pairs(xp, (xp.where(low, a + 1.0, a), 0.0 * a)))
        step = xp.where(low, (a + 1.0 - 1.0) - a, 0.0)  # the sum was rounded
        pole = pairs.divide((1.0 + zero, zero), (a, zero))
        total = pairs.add(total, (xp.where(low, pole[0], 0.0), xp.where(low, pole[1], 0.0)))
        total = pairs.add(total, pair_exp.log(xp, x))
        return total[0] + (total[1] + step * polygamma.kernel(xp, a + 1.0, n=1))

    def far(xp: Any, x: Any, a: Any) -> Any:
        close = xp.abs(x - a) < 0.5 * a
        ratio = xp.where(close, xp.log1p(xp.where(close, x - a, 0.0) / a), xp.log(x / a))
        return ratio + (0.5 + 1.0 / (12.0 * a)) / a

    near = (2.0 * xp.abs(value) < xp.abs(log) + xp.abs(mean)) & (a > 0.05)
    value = pairs.redo(xp, near & (a < 1e8), value, again, x, a)
    return pairs.redo(xp, near & (a >= 1e8) & xp.isfinite(x), value, far, x, a)


# -- the incomplete gamma function -----------------------------------------------------------------


def _front(xp: Any, a: Any, x: Any) -> Any:
    """x**a exp(-x) / gamma(a + 1) for x < a + 1."""
    small = a < 1.0
    p = xp.where(small, a, 0.5)
    total = pairs.multiply((p, 0.0 * x), pair_exp.log(xp, xp.where(small, x, 1.0)))
    total = pairs.add(total, (xp.where(small, -x, 0.0), 0.0 * x))
    total = pairs.add(total, pairs.negative(log_gamma_pairs(xp, pairs.two_sum(p, 1.0))))
    plain = gamma_density(xp, xp.where(small, 1.0, a), x) * (x / a)
    return xp.where(small, _exp_of_pair(xp, total), plain)


def _lower_series(xp: Any, a: Any, x: Any) -> Any:
    """P(a, x) for x < a + 1: positive terms."""
    term, total = 1.0 + 0.0 * x, 0.0 * x
    for k in range(1, 600):
        term = term * (x / (a + k))
        total = total + term
        if not (term > 1e-17 * total).any():
            break
    return _front(xp, a, x) * (1.0 + total)


def _upper_fraction(xp: Any, a: Any, x: Any) -> Any:
    """Q(a, x) for x > a + 1: the continued fraction DLMF 8.9.2, from its end."""
    tail = 0.0 * x
    for k in range(250, 0, -1):
        tail = k * (a - k) / (x + (2.0 * k + 1.0 - a) + tail)
    return gamma_density(xp, a, x) * (x / (x + 1.0 - a + tail))


def gammainc(xp: Any, a: Any, x: Any, *, upper: bool = False) -> Any:
    """P(a, x), or Q(a, x): SciPy's, and series where they converge soon."""
    a, x = pairs.arrays(xp, a, x)
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
    first, *rest = [(u, u / 8) for u in nodes]
    return (first[0], first[1] / -math.expm1(-1 / 8)), *rest  # what is below varies no more


def _integral(xp: Any, scale: Any, integrand: Callable[[Any], Any]) -> Any:
    """The integral over (0, inf) of a function that varies on this scale."""
    total = 0.0 * scale
    for u, w in _rule():
        value = integrand(u * scale)
        total = total + w * xp.where(xp.isfinite(value), value, 0.0)
    return scale * total


_SERIES = 1.0
"""Up to here the alternating series of x**-a P(a, x) has nothing to cancel."""


def _by_a_series(xp: Any, a: Any, x: Any, n: int) -> Any:
    """The derivative of x**a/gamma(a + 1) * S with S = 1 + a sum (-x)**k / (k! (a + k))."""
    s, s1, s2, power = 1.0 + 0.0 * x, 0.0 * x, 0.0 * x, 1.0 + 0.0 * x
    for k in range(1, 20):
        power = power * (-x / k)
        below = 1.0 / (a + k)
        s = s + a * power * below
        s1 = s1 + k * power * below * below
        s2 = s2 - 2.0 * k * power * below * below * below
    front = _front(xp, a, x) * xp.exp(x)
    # the derivative of x**a/gamma(a + 1), over itself
    c = xp.where(a < 1.0, xp.log(x) - digamma.kernel(xp, 1.0 + a), 0.0)
    c = xp.where(a < 1.0, c, log_minus_digamma(xp, x, a) - 1.0 / a)
    if n == 1:
        return front * (s * c + s1)
    return front * ((c * c - polygamma.kernel(xp, 1.0 + a, n=1)) * s + 2.0 * c * s1 + s2)


def _reciprocal_gamma(xp: Any, a: Any) -> tuple[Any, Any, Any]:
    """1/gamma(a) and its first two derivatives, for small a > 0."""
    up = 1.0 + a
    level = digamma.kernel(xp, up)
    g = xp.exp(-lgamma.kernel(xp, up))  # 1/gamma(a + 1)
    first = -level * g
    second = (level * level - polygamma.kernel(xp, up, n=1)) * g
    return a * g, g + a * first, 2.0 * first + a * second


def gammainc_by_a(xp: Any, a: Any, x: Any, *, n: int) -> Any:
    """The n-th derivative of P(a, x) by a, n = 1 or 2."""
    a, x = pairs.arrays(xp, a, x)
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

    def beyond(xp: Any, a: Any, x: Any) -> Any:
        """-Q(a, x) twice differentiated as a product of 1/gamma(a) and an integral."""
        g, g1, g2 = _reciprocal_gamma(xp, a)
        log_x = xp.log(x)

        def integrand(u: Any) -> Any:
            t = log_x + xp.log1p(u)
            return xp.exp((a - 1.0) * xp.log1p(u) - x * u) * ((g * t + 2.0 * g1) * t + g2)

        return -xp.exp(a * log_x - x) * _integral(xp, 1.0 / (xp.sqrt(x) + x), integrand)

    value = xp.where((x == 0) | (x == xp.inf), 0.0, xp.nan) * xp.where(a > 0, 1.0, xp.nan)
    inside = (a > 0) & (x > 0) & xp.isfinite(x) & xp.isfinite(a)
    near = inside & (x <= _SERIES)
    small = inside & ~near & (a < _SMALL) if n == 2 else xp.zeros(x.shape, dtype=bool)
    rest = inside & ~near & ~small
    value = pairs.redo(xp, near, value, lambda xp, a, x: _by_a_series(xp, a, x, n), a, x)
    value = pairs.redo(xp, small, value, beyond, a, x)
    value = pairs.redo(xp, rest & (c <= 0), value, lower, a, x, c, spread)
    return pairs.redo(xp, rest & (c > 0), value, upper, a, x, c, spread)


def _beta_fraction(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """The continued fraction DLMF 8.17.22 for x < (a + 1)/(a + b + 2), from its end."""
    tail = 1.0 + 0.0 * x
    for m in range(200, 0, -1):
        tail = 1.0 - (a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)) / tail
        tail = 1.0 + m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)) / tail
    return 1.0 / (1.0 - (a + b) * x / (a + 1.0) / tail)


def betainc(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """I_x(a, b): SciPy's, and the continued fraction where it converges soon."""
    a, b, x = pairs.arrays(xp, a, b, x)
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


def _beta_series(xp: Any, a: Any, b: Any, x: Any, n: int) -> Any:
    """The n-th derivative by a of x**a/(a B(a, b)) * S, S = 1 + a sum (1-b)_k x**k / (k! (a+k))."""
    s, s1, s2, power = 1.0 + 0.0 * x, 0.0 * x, 0.0 * x, 1.0 + 0.0 * x
    for k in range(1, 24):
        power = power * (x * (k - b) / k)
        below = 1.0 / (a + k)
        s = s + a * power * below
        s1 = s1 + k * power * below * below
        s2 = s2 - 2.0 * k * power * below * below * below
    front = beta_density(xp, a, b, x) * (x / a) * xp.exp((1.0 - b) * xp.log1p(-x))
    whole = digamma.kernel(xp, a + b) - digamma.kernel(xp, 1.0 + a)
    large = polygamma_difference.kernel(xp, a, b, n=0) - 1.0 / a
    c = xp.log(x) + xp.where(a < 1.0, whole, large)
    if n == 1:
        return front * (s * c + s1)
    bend = polygamma.kernel(xp, a + b, n=1) - polygamma.kernel(xp, 1.0 + a, n=1)
    return front * ((c * c + bend) * s + 2.0 * c * s1 + s2)


def betainc_by(xp: Any, a: Any, b: Any, x: Any, *, n: int, m: int) -> Any:
    """The derivative of I_x(a, b), n times by a and m times by b."""
    a, b, x = pairs.arrays(xp, a, b, x)
    y = 1.0 - x
    ca = xp.log(x) + polygamma_difference.kernel(xp, a, b, n=0)
    cb = xp.log1p(-x) + polygamma_difference.kernel(xp, b, a, n=0)
    if n + m == 1:
        bend = 0.0 * x
        low = ca <= 0 if n else cb >= 0
    else:
        low = b * x <= a * y
        if n == m:
            bend = polygamma.kernel(xp, a + b, n=1)
        else:
            bend = polygamma_difference.kernel(xp, *((a, b) if n else (b, a)), n=1)

    def weight(la: Any, lb: Any, bend: Any) -> Any:
        if n + m == 1:
            return la if n else lb
        return (la if n else lb) * (la if n == 2 else lb) + bend

    def lower(xp: Any, a: Any, b: Any, x: Any, y: Any, ca: Any, cb: Any, bend: Any) -> Any:
        scale = 1.0 / (xp.sqrt(a) + xp.maximum(a * y - b * x, 0.0))

        def integrand(s: Any) -> Any:
            rest = xp.log1p(-x * xp.expm1(-s) / y)
            return xp.exp((b - 1.0) * rest - a * s) * weight(ca - s, cb + rest, bend)

        return x * _integral(xp, scale, integrand)

    def upper(xp: Any, a: Any, b: Any, x: Any, y: Any, ca: Any, cb: Any, bend: Any) -> Any:
        scale = 1.0 / (xp.sqrt(b) + xp.maximum(b * x - a * y, 0.0))

        def integrand(s: Any) -> Any:
            rise = xp.log1p(-y * xp.expm1(-s) / x)
            return xp.exp((a - 1.0) * rise - b * s) * weight(ca + rise, cb - s, bend)

        return -y * _integral(xp, scale, integrand)

    args = (a, b, x, y, ca, cb, bend)
    value = xp.where((x == 0) | (y == 0), 0.0, xp.nan)
    inside = (a > 0) & (b > 0) & (x > 0) & (y > 0)
    series = inside & _series_at(xp, b, x) if not m else xp.zeros(x.shape, dtype=bool)
    mirror = inside & _series_at(xp, a, y) if not n else xp.zeros(x.shape, dtype=bool)
    rest = inside & ~series & ~mirror
    value = pairs.redo(xp, rest & low, value, lower, *args)
    value = pairs.redo(xp, rest & ~low, value, upper, *args)
    value = xp.where(inside, value * beta_density(xp, a, b, x), value)
    value = pairs.redo(xp, series, value, lambda xp, a, b, x: _beta_series(xp, a, b, x, n), a, b, x)
    return pairs.redo(xp, mirror, value, lambda xp, a, b, y: -_beta_series(xp, b, a, y, m), a, b, y)


def _series_at(xp: Any, b: Any, x: Any) -> Any:
    """Where the series in x converges soon and does not cancel."""
    return (x <= 0.1) & (b * x <= 1.0)
