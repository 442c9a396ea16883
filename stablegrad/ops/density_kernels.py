"""Kernels of the density of the gamma distribution and its derivatives: exponentials of pairs."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ops import pair_exp, pairs, uniform_gamma
from stablegrad.ops.gamma_kernels import digamma_pairs, log_gamma_of_one_plus, log_gamma_pairs
from stablegrad.ops.special_gamma import digamma, polygamma

HUGE = 1e10
"""Parameters beyond which a pair holds too few digits after the point."""

_SMALL = 0.5
"""Parameters below which 1/gamma(a) is taken out of derivatives by a: it vanishes at 0."""

_BRINK = 2.0**-10
"""Parameters below which log(x) - digamma(a) has no zero that matters."""


def exp_of_pair(xp: Any, a: pairs.Pair) -> Any:
    """The exponential of a pair, as a float."""
    out = xp.exp(a[0])
    return out + xp.where(xp.isfinite(out), out * a[1], 0.0)


def log_gamma(xp: Any, a: Any, a_lo: Any = 0.0) -> pairs.Pair:
    """The logarithm of the gamma function of a positive float or pair, as a pair."""
    zero = 0.0 * a
    low = a < 0.5
    moved = pairs.add((a, a_lo + zero), (xp.where(low, 1.0, 0.0), zero))
    log = pair_exp.log(xp, xp.where(low, a, 1.0))
    log = (log[0], log[1] + xp.where(low, a_lo / a, 0.0))
    return pairs.add(log_gamma_pairs(xp, moved), pairs.negative(log))


def _log_density(xp: Any, a: Any, x: Any, shift: Any) -> pairs.Pair:
    """The logarithm of x**(a - 1 - shift) exp(-x), for a up to ``HUGE``, as a pair."""
    total = pairs.multiply(pairs.two_sum(a, -1.0 - shift), pair_exp.log(xp, x))
    return pairs.add(total, (-xp.minimum(x, 1e15), 0.0 * x))


def _density(xp: Any, a: Any, x: Any, shift: Any) -> Any:
    """x**(a - 1 - shift) exp(-x) / gamma(a) for positive numbers; no shift next to a large a."""
    small = xp.minimum(a, HUGE)
    total = _log_density(xp, small, x, shift)
    value = exp_of_pair(xp, pairs.add(total, pairs.negative(log_gamma(xp, small))))
    value = xp.where(a > HUGE, 0.0, value)
    return pairs.redo(xp, uniform_gamma.covers(a, x), value, uniform_gamma.density, a, x)


def gamma_density(xp: Any, a: Any, x: Any) -> Any:
    """Evaluate x**(a - 1) exp(-x) / gamma(a)."""
    return gamma_density_derivative(xp, a, x, n=0, m=0)


def _bell(logs: list[Any]) -> list[Any]:
    """The derivatives of exp(f) over itself, from those of f: one more than these."""
    out: list[Any] = [1.0]
    for n in range(len(logs)):
        out.append(sum(math.comb(n, i) * out[n - i] * logs[i] for i in range(n + 1)))
    return out


def _levels(xp: Any, a: Any, x: Any, n: int) -> list[Any]:
    """The first n derivatives of x**a / gamma(a) by a, over itself."""
    if not n:
        return [1.0]
    logs = [-polygamma.kernel(xp, a, n=i) for i in range(1, n)]
    return _bell([log_minus_digamma(xp, x, a), *logs])


def reciprocal_gamma(xp: Any, a: Any, n: int) -> list[Any]:
    """1/gamma(a) and its first n derivatives, for 0 < a < 1."""
    up = 1.0 + a
    logs = [-polygamma.kernel(xp, up, n=i) if i else -digamma.kernel(xp, up) for i in range(n)]
    front = xp.exp(-log_gamma_of_one_plus(xp, a))  # 1/gamma(a + 1)
    rows = [front * b for b in _bell(logs)]
    return [a * rows[i] + (i * rows[i - 1] if i else 0.0) for i in range(n + 1)]


def _small_levels(xp: Any, a: Any, x: Any, n: int) -> list[Any]:
    """As ``_levels``, but over x**a: 1/gamma(a) is small and varies fast."""
    rows = reciprocal_gamma(xp, a, n)
    log = xp.log(x)
    out = [
        sum(math.comb(i, j) * log ** (i - j) * rows[j] for j in range(i + 1)) for i in range(n + 1)
    ]
    out[1] = xp.where(a > _BRINK, rows[0] * log_minus_digamma(xp, x, a), out[1])
    return out


def _slopes(xp: Any, a: Any, x: Any, unit: Any, n: int, m: int) -> list[Any]:
    """The first n derivatives by a of p/unit**m, p as below."""
    top = x / unit
    before, now = [0.0] * (n + 1), [1.0] + [0.0] * n
    for k in range(m):  # Laguerre polynomials by their recurrence
        gap, rest = pairs.two_sum(a, -x)
        gap, lost = pairs.two_sum(gap, -1.0 - k)
        b = (gap + (lost + rest)) / unit
        following = [
            b * now[i] + (i * now[i - 1] / unit if i else 0.0) - k * top * before[i] / unit
            for i in range(n + 1)
        ]
        before, now = now, following
    out, below = [0.0] * (n + 1), [1.0] + [0.0] * n
    for k in range(m + 1):  # and next to x = 0 by powers, of which some vanish if a is whole
        power = math.comb(m, k) * (-top) ** (m - k)
        out = [o + power * f for o, f in zip(out, below, strict=True)]
        below = [
            (below[i] * (a - (k + 1)) + (i * below[i - 1] if i else 0.0)) / unit
            for i in range(n + 1)
        ]
    return [xp.where(x < 1.0, o, f) for o, f in zip(out, now, strict=True)]


def _together(levels: list[Any], slopes: list[Any]) -> Any:
    """The derivative of a product, from those of its factors."""
    n = len(levels) - 1
    return sum(math.comb(n, i) * levels[n - i] * slopes[i] for i in range(n + 1))


def gamma_density_derivative(xp: Any, a: Any, x: Any, *, n: int, m: int) -> Any:
    """The derivative of the density, n times by a and m times by x.

    That by x is x**(a - 1 - m) exp(-x) times a polynomial p. The power is taken as a whole where
    the density might underflow, and apart where the power might overflow.
    """
    a, x = pairs.arrays(xp, a, x)
    inside = (a > 0) & (x > 0) & xp.isfinite(a) & xp.isfinite(x)
    p, t = xp.where(inside, a, 1.0), xp.where(inside, x, 1.0)
    apart = uniform_gamma.covers(p, t) | ((p >= _SMALL) & (p < 1.0 + m))
    value = _density(xp, p, t, xp.where(apart, 0.0, float(m)))

    def derived(xp: Any, a: Any, x: Any, value: Any, unit: Any) -> Any:
        factor = _together(_levels(xp, a, x, n), _slopes(xp, a, x, unit, n, m))
        return xp.where(value == 0, 0.0, value * factor)

    def scaled(xp: Any, a: Any, x: Any, value: Any) -> Any:
        unit = xp.maximum(x, 2.0**-300)
        return derived(xp, a, x, value, unit) * (unit / x) ** m

    if n or m:
        plain = derived(xp, p, t, value, xp.where(apart, t, 1.0))
        value = pairs.redo(xp, apart & xp.isnan(plain), plain, scaled, p, t, value)

    def small(xp: Any, a: Any, x: Any) -> Any:
        factor = _together(_small_levels(xp, a, x, n), _slopes(xp, a, x, 1.0 + 0.0 * a, n, m))
        value = exp_of_pair(xp, _log_density(xp, a, x, float(m)))
        return xp.where(value == 0, 0.0, value * factor)

    value = pairs.redo(xp, (p < _SMALL) & (n > 0), value, small, p, t)
    return xp.where(inside, value, _at_edges(xp, a, x, n, m))


def _at_edges(xp: Any, a: Any, x: Any, n: int, m: int) -> Any:
    """The limits at 0, of (a - 1)...(a - m) x**(a - 1 - m) log(x)**n, and at inf; else nan."""
    front, slope = 1.0, 0.0  # of that product, and its derivative by a
    for k in range(1, m + 1):
        front, slope = front * (a - k), slope * (a - k) + front
    sign = xp.where(front != 0, front * (-1.0) ** n, n * slope * (-1.0) ** (n - 1) if n else 0.0)
    pole = xp.where(sign == 0, 0.0, xp.copysign(xp.inf, sign))
    value = xp.where(a < 1 + m, pole, 0.0)
    value = xp.where(a == 1 + m, pole if n else 1.0, value)
    for k in range(m if not n else 0):  # a power series
        value = xp.where(a == 1 + k, math.comb(m, k) * (-1.0) ** (m - k), value)
    value = xp.where(x == 0, value, xp.where(x == xp.inf, 0.0, xp.nan))
    return xp.where((a > 0) & xp.isfinite(a) & (x >= 0), value, xp.nan)


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

    near = (2.0 * xp.abs(value) < xp.abs(log) + xp.abs(mean)) & (a > 2.0**-10)
    value = pairs.redo(xp, near & (a < 1e8), value, again, x, a)
    return pairs.redo(xp, near & (a >= 1e8) & xp.isfinite(x), value, far, x, a)
