"""Kernels for the incomplete beta function and its derivatives in all arguments."""

from __future__ import annotations

from typing import Any

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.density_kernels import HUGE, exp_of_pair, log_gamma
from stablegrad.ops.gamma_logs import betaln, polygamma_difference
from stablegrad.ops.special_gamma import digamma, polygamma
from stablegrad.ops.tail_integral import integral


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
    low = [xp.minimum(v, HUGE) for v in (p, q)]
    logs = pairs.add(log_gamma(xp, low[0]), log_gamma(xp, low[1]))
    logs = pairs.add(logs, pairs.negative(log_gamma(xp, *pairs.two_sum(*low))))
    huge = xp.maximum(p, q) > HUGE
    plain = betaln.kernel(xp, p, q)
    logs = (xp.where(huge, plain, logs[0]), xp.where(huge, 0.0, logs[1]))
    value = exp_of_pair(xp, pairs.add(total, pairs.negative(logs)))
    first = xp.where(a < 1, xp.inf, xp.where(a == 1, b, 0.0))
    last = xp.where(b < 1, xp.inf, xp.where(b == 1, a, 0.0))
    value = xp.where(x == 0, first, xp.where(x == 1, last, value))
    return xp.where((a > 0) & (b > 0) & (x >= 0) & (x <= 1), value, xp.nan)


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

        return x * integral(xp, scale, integrand)

    def upper(xp: Any, a: Any, b: Any, x: Any, y: Any, ca: Any, cb: Any, bend: Any) -> Any:
        scale = 1.0 / (xp.sqrt(b) + xp.maximum(b * x - a * y, 0.0))

        def integrand(s: Any) -> Any:
            rise = xp.log1p(-y * xp.expm1(-s) / x)
            return xp.exp((a - 1.0) * rise - b * s) * weight(ca + rise, cb - s, bend)

        return -y * integral(xp, scale, integrand)

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
