"""Kernels for the incomplete gamma function and its derivatives in both arguments.

A derivative by the parameter is the integral of the density times a logarithm less its mean, over
the tail in which that does not change its sign.
"""

from __future__ import annotations

from typing import Any

from stablegrad.ops import pair_exp, pairs, uniform_gamma
from stablegrad.ops.density_kernels import (
    exp_of_pair,
    gamma_density,
    log_minus_digamma,
    reciprocal_gamma,
)
from stablegrad.ops.gamma_kernels import (
    digamma_pairs,
    log_gamma_of_one_plus,
    log_gamma_pairs,
    polygamma_pairs,
)
from stablegrad.ops.special_gamma import digamma, polygamma
from stablegrad.ops.tail_integral import integral

_SMALL = 0.5
"""Parameters below which 1/gamma(a) is taken out of derivatives by a: it vanishes at 0."""


# -- the incomplete gamma function -----------------------------------------------------------------


_FAR = 1e5
"""Parameters from which P is 0 or 1 where Temme's expansion is not asked."""


def _front(xp: Any, a: Any, x: Any) -> Any:
    """x**a exp(-x) / gamma(a + 1) for x < a + 1."""
    small = a < 1.0
    p = xp.where(small, a, 0.5)
    total = pairs.multiply((p, 0.0 * x), pair_exp.log(xp, xp.where(small, x, 1.0)))
    total = pairs.add(total, (xp.where(small, -x, 0.0), 0.0 * x))
    total = pairs.add(total, pairs.negative(log_gamma_pairs(xp, pairs.two_sum(p, 1.0))))
    plain = gamma_density(xp, xp.where(small, 1.0, a), x) * (x / a)
    return xp.where(small, exp_of_pair(xp, total), plain)


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
    """Q(a, x) for x > a and x > 1/2: the continued fraction DLMF 8.9.2, from its end."""
    tail = 0.0 * x
    for k in range(250, 0, -1):
        tail = k * (a - k) / (x + (2.0 * k + 1.0 - a) + tail)
    return gamma_density(xp, a, x) * (x / (x + 1.0 - a + tail))


def _upper_near_zero(xp: Any, a: Any, x: Any) -> Any:
    """Q(a, x) for a <= 1 and x <= 1/2: 1 - x**a/gamma(a + 1) and a series of one sign."""
    log = a * xp.log(x) - log_gamma_of_one_plus(xp, a)
    power, total = 1.0 + 0.0 * x, 0.0 * x
    for k in range(1, 16):
        power = power * (-x / k)
        total = total - power / (a + k)
    return xp.exp(log) * (a * total) - xp.expm1(log)


def gammainc(xp: Any, a: Any, x: Any, *, upper: bool = False) -> Any:
    """P(a, x), or Q(a, x): series, a continued fraction, Temme's expansion next to a large a."""
    a, x = pairs.arrays(xp, a, x)
    inside = (a > 0) & (x > 0) & xp.isfinite(x) & xp.isfinite(a)
    p, t = xp.where(inside, 1.0, a), xp.where(inside, 1.0, x)
    edges = xp.special.gammaincc(p, t) if upper else xp.special.gammainc(p, t)
    value = xp.where(inside, xp.where((x > a) != upper, 1.0, 0.0), edges)
    near = inside & uniform_gamma.covers(a, x)
    rest = inside & ~near & (a < _FAR)
    start = rest & (a <= 1.0) & (x <= 0.5) if upper else xp.zeros(x.shape, dtype=bool)
    high = rest & (x > 0.5) & (x > a + (0.0 if upper else 1.0))

    def large(xp: Any, a: Any, x: Any) -> Any:
        return uniform_gamma.gammainc(xp, a, x, upper=upper)

    def low(xp: Any, a: Any, x: Any) -> Any:
        value = _lower_series(xp, a, x)
        return 1.0 - value if upper else value

    def above(xp: Any, a: Any, x: Any) -> Any:
        value = _upper_fraction(xp, a, x)
        return value if upper else 1.0 - value

    value = pairs.redo(xp, near, value, large, a, x)
    value = pairs.redo(xp, rest & ~start & ~high, value, low, a, x)
    value = pairs.redo(xp, high, value, above, a, x)
    return pairs.redo(xp, start, value, _upper_near_zero, a, x)


# -- derivatives by parameters -----------------------------------------------------------------


_SERIES, _PAIRED = 1.0, 12.0
"""Up to here the alternating series of x**-a P(a, x) has nothing to cancel, and no more than pairs
can spare."""


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
    bend = c * c - polygamma.kernel(xp, 1.0 + a, n=1)
    total = bend * s + 2.0 * c * s1 + s2
    size = xp.abs(bend * s) + xp.abs(2.0 * c * s1) + xp.abs(s2)
    return front * pairs.redo(xp, 8.0 * xp.abs(total) < size, total, _bend_in_pairs, a, x)


def _bend_in_pairs(xp: Any, a: Any, x: Any, far: bool = False) -> Any:
    """(c**2 - polygamma(1, 1 + a)) S + 2 c S' + S'' of the series above, next to its zeros.

    ``far`` for x up to 12, where the terms are 1e10 times as large as their sum.
    """
    zero = 0.0 * x
    s, s1, s2, power = [(v + zero, zero) for v in (1.0, 0.0, 0.0, 1.0)]
    for k in range(1, 28 if not far else 100):
        power = pairs.divide(pairs.multiply(power, (-x, zero)), (k + zero, zero))
        below = pairs.divide((1.0 + zero, zero), pairs.two_sum(a, float(k)))
        term = pairs.multiply(power, below)
        s = pairs.add(s, pairs.multiply(term, (a, zero)))
        term = pairs.multiply(pairs.multiply(term, below), (k + zero, zero))
        s1 = pairs.add(s1, term)
        term = pairs.multiply(term, below)
        s2 = pairs.add(s2, (-2.0 * term[0], -2.0 * term[1]))
    up = pairs.two_sum(a, 1.0)
    c = pairs.add(pair_exp.log(xp, x), pairs.negative(digamma_pairs(xp, up)))
    bend = pairs.add(pairs.multiply(c, c), pairs.negative(polygamma_pairs(xp, up, 1)))
    total = pairs.multiply(pairs.multiply(c, s1), (2.0 + zero, zero))
    total = pairs.add(pairs.add(total, s2), pairs.multiply(bend, s))
    return total[0] + total[1]


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
            * integral(
                xp, scale, lambda s: xp.exp(-x * xp.expm1(-s) - a * s) * weight(-s, c, spread)
            )
        )

    def upper(xp: Any, a: Any, x: Any, c: Any, spread: Any) -> Any:
        scale = 1.0 / (xp.sqrt(x) + xp.maximum(x - a, 0.0))
        return (
            -x
            * gamma_density(xp, a, x)
            * integral(
                xp,
                scale,
                lambda u: xp.exp((a - 1.0) * xp.log1p(u) - x * u) * weight(xp.log1p(u), c, spread),
            )
        )

    def beyond(xp: Any, a: Any, x: Any) -> Any:
        """-Q(a, x) differentiated as a product of 1/gamma(a) and an integral."""
        g, g1, *g2 = reciprocal_gamma(xp, a, n)
        log_x = xp.log(x)

        def integrand(u: Any) -> Any:
            rise = xp.log1p(u)
            t = log_x + rise
            level = g * t + g1 if n == 1 else (g * t + 2.0 * g1) * t + g2[0]
            return xp.exp((a - 1.0) * rise - x * u) * level

        return -xp.exp(-x) * xp.power(x, a) * integral(xp, 1.0 / (xp.sqrt(x) + x), integrand)

    def at_a_zero(xp: Any, a: Any, x: Any) -> Any:
        return _front(xp, a, x) * xp.exp(x) * _bend_in_pairs(xp, a, x, far=True)

    value = xp.where((x == 0) | (x == xp.inf), 0.0, xp.nan) * xp.where(a > 0, 1.0, xp.nan)
    inside = (a > 0) & (x > 0) & xp.isfinite(x) & xp.isfinite(a)
    near = inside & (x <= _SERIES)
    small = inside & ~near & (a < _SMALL)
    large = inside & uniform_gamma.covers(a, x)
    rest = inside & ~near & ~small & ~large
    value = pairs.redo(xp, near, value, lambda xp, a, x: _by_a_series(xp, a, x, n), a, x)
    value = pairs.redo(
        xp, large, value, lambda xp, a, x: uniform_gamma.gammainc_by_a(xp, a, x, n=n), a, x
    )
    value = pairs.redo(xp, small, value, beyond, a, x)
    if n == 2:  # the zeros are at x = a + 1/8 or so
        zeros = rest & (x < _PAIRED) & (xp.abs(x - a) < 0.1 + 0.125 * a)
        rest = rest & ~zeros
        value = pairs.redo(xp, zeros, value, at_a_zero, a, x)
    value = pairs.redo(xp, rest & (c <= 0), value, lower, a, x, c, spread)
    return pairs.redo(xp, rest & (c > 0), value, upper, a, x, c, spread)
