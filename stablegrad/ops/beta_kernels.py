"""Kernels for the incomplete beta function and its derivatives in all arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.ops import pair_exp, pairs, uniform_beta
from stablegrad.ops.density_kernels import HUGE, exp_of_pair, log_gamma, log_minus_digamma
from stablegrad.ops.differences import expm1mx, log1pmx
from stablegrad.ops.gamma_logs import betaln, polygamma_difference
from stablegrad.ops.special_gamma import digamma, polygamma
from stablegrad.ops.tail_integral import integral

_SMALL = 0.5
"""Parameters below which 1/beta is taken out of second derivatives by them, if the lesser ones."""

_APART = 30.0
"""Parameters from which the exponents of integrands are worth some care."""


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
    both = inside & (p >= 10.0) & (q >= 10.0)

    def large(xp: Any, a: Any, b: Any, x: Any) -> Any:
        return uniform_beta.front(xp, a, b, x) / x / (1.0 - x)

    value = pairs.redo(xp, both, value, large, p, q, t)
    first = xp.where(a < 1, xp.inf, xp.where(a == 1, b, 0.0))
    last = xp.where(b < 1, xp.inf, xp.where(b == 1, a, 0.0))
    value = xp.where(x == 0, first, xp.where(x == 1, last, value))
    return xp.where((a > 0) & (b > 0) & (x >= 0) & (x <= 1), value, xp.nan)


def _front(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """x**a (1 - x)**b / beta(a, b)."""
    both = (a >= 10.0) & (b >= 10.0)
    value = beta_density(xp, xp.where(both, 1.0, a), xp.where(both, 1.0, b), x) * (x * (1.0 - x))
    return pairs.redo(xp, both, value, uniform_beta.front, a, b, x)


def _beta_fraction(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """The continued fraction DLMF 8.17.22 for x < (a + 1)/(a + b + 2), from its end."""
    tail = 1.0 + 0.0 * x
    for m in range(200, 0, -1):
        tail = 1.0 - (a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)) / tail
        tail = 1.0 + m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)) / tail
    return 1.0 / (a * (1.0 - (a + b) * x / (a + 1.0) / tail))


def _even_fraction(a: Any, b: Any, x: Any, y: Any, gap: Any) -> Any:
    """Its even part, for gap = a y - b x >= 0: nothing cancels (DiDonato and Morris 1992)."""
    tail = 0.0 * x
    for n in range(200, 0, -1):
        part = a / (a + (2.0 * n - 1.0))
        w = n * (b - n) * x
        p = 1.0 + (n - 1.0) / a
        beta = n + w / (a + (2.0 * n - 1.0))
        beta = beta + (a + n) / (a + (2.0 * n + 1.0)) * (1.0 + gap + n * (1.0 + y))
        tail = p * (p + b / a) * (part * part) * (w * x) / (beta + tail)
    return 1.0 / ((1.0 + gap) / (1.0 + 1.0 / a) + tail)


def betainc(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """I_x(a, b): continued fractions, Temme's expansion for two large parameters, else SciPy's."""
    a, b, x = pairs.arrays(xp, a, b, x)
    value = xp.special.betainc(a, b, x)
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1) & xp.isfinite(a) & xp.isfinite(b)
    p, q, t = (xp.where(inside, v, d) for v, d in ((a, 1.0), (b, 1.0), (x, 0.5)))
    near = inside & uniform_beta.covers(xp, p, q, t)
    large = inside & ~near & (xp.minimum(a, b) > 1.0)
    low = x < (a + 1.0) / (a + b + 2.0)
    small = inside & (xp.minimum(a, b) <= 1.0) & (xp.maximum(a, b) < 1e5)

    def lower(xp: Any, a: Any, b: Any, x: Any) -> Any:
        return _front(xp, a, b, x) * _beta_fraction(xp, a, b, x)

    def upper(xp: Any, a: Any, b: Any, x: Any) -> Any:
        return 1.0 - _front(xp, a, b, x) * _beta_fraction(xp, b, a, 1.0 - x)

    def even(xp: Any, a: Any, b: Any, x: Any) -> Any:
        y = 1.0 - x
        gap = _gap(a, b, x)
        turn = gap > 0
        c, d = xp.where(turn, b, a), xp.where(turn, a, b)
        ratio = _even_fraction(c, d, xp.where(turn, y, x), xp.where(turn, x, y), xp.abs(gap))
        front = _front(xp, a, b, x)
        tail = xp.where(front == 0, 0.0, front * ratio)
        return xp.where(turn, 1.0 - tail, tail)

    value = pairs.redo(xp, near, value, uniform_beta.betainc, a, b, x)
    value = pairs.redo(xp, large, value, even, a, b, x)
    value = pairs.redo(xp, small & low, value, lower, a, b, x)
    return pairs.redo(xp, small & ~low & (value > 0.3), value, upper, a, b, x)


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
    gap = _gap(a, b, x)
    ca, cb = _level(xp, a, b, xp.log(x), gap), _level(xp, b, a, xp.log1p(-x), -gap)
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

    args = (a, b, x, y, gap, ca, cb, bend)

    def tail(below: bool, apart: bool) -> Callable[..., Any]:
        def lower(xp: Any, *args: Any) -> Any:
            a, b, x, y, gap, ca, cb, bend = args
            rise = lambda s, rest: weight(ca - s, cb + rest, bend)  # noqa: E731
            return x * _tail(xp, a, b, x, y, gap, rise, apart=apart)

        def upper(xp: Any, *args: Any) -> Any:
            a, b, x, y, gap, ca, cb, bend = args
            rise = lambda s, rest: weight(ca + rest, cb - s, bend)  # noqa: E731
            return -y * _tail(xp, b, a, y, x, -gap, rise, apart=apart)

        return lower if below else upper

    def at_start(xp: Any, a: Any, b: Any, x: Any, y: Any, gap: Any) -> Any:
        bend = _bend_near_zero(xp, a, b, xp.log(x))
        return -y * _tail(xp, b, a, y, x, -gap, lambda s, rest: bend(rest), apart=False)

    def at_end(xp: Any, a: Any, b: Any, x: Any, y: Any, gap: Any) -> Any:
        bend = _bend_near_zero(xp, b, a, xp.log1p(-x))
        return x * _tail(xp, a, b, x, y, gap, lambda s, rest: bend(rest), apart=False)

    value = xp.where((x == 0) | (y == 0), 0.0, xp.nan)
    inside = (a > 0) & (b > 0) & (x > 0) & (y > 0)
    series = inside & _series_at(xp, b, x) if not m else xp.zeros(x.shape, dtype=bool)
    mirror = inside & _series_at(xp, a, y) if not n else xp.zeros(x.shape, dtype=bool)
    rest = inside & ~series & ~mirror
    if n == 2 or m == 2:  # 1/beta vanishes with a parameter
        small = rest & (a < b if n else b < a) & ((a if n else b) < _SMALL)
        rest = rest & ~small
        value = pairs.redo(xp, small, value, at_start if n else at_end, a, b, x, y, gap)
    large = xp.maximum(a, b) > _APART
    for below in (True, False):
        for apart in (True, False):
            here = rest & (low == below) & (large == apart)
            value = pairs.redo(xp, here, value, tail(below, apart), *args)
    value = xp.where(inside, value * beta_density(xp, a, b, x), value)
    value = pairs.redo(xp, series, value, lambda xp, a, b, x: _beta_series(xp, a, b, x, n), a, b, x)
    return pairs.redo(xp, mirror, value, lambda xp, a, b, y: -_beta_series(xp, b, a, y, m), a, b, y)


def _bend_near_zero(xp: Any, a: Any, b: Any, log: Any) -> Callable[[Any], Any]:
    """(d/da)**2 of t**a / beta(a, b), over itself, of log(t) - log: where 1/beta is about a."""
    p = digamma.kernel(xp, a + b) - digamma.kernel(xp, 1.0 + a)
    square = p * p + polygamma.kernel(xp, a + b, n=1) - polygamma.kernel(xp, 1.0 + a, n=1)
    slope, rest = 2.0 * (1.0 / a + p), 2.0 * p / a + square

    def bend(rise: Any) -> Any:
        t = log + rise
        return (t + slope) * t + rest

    return bend


def _gap(a: Any, b: Any, x: Any) -> Any:
    """Evaluate b x - a (1 - x), to a few ulp of itself."""
    total = pairs.multiply(pairs.two_sum(a, b), (x, 0.0 * x))
    total = pairs.add(total, (-a, 0.0 * x))
    return total[0] + total[1]


def _level(xp: Any, a: Any, b: Any, log: Any, gap: Any) -> Any:
    """log(x) + digamma(a + b) - digamma(a), which is small where x is a/(a + b)."""
    plain = log + polygamma_difference.kernel(xp, a, b, n=0)
    close = (xp.abs(gap) < 0.5 * a) & (a > 1) & (b > 1)

    def near(xp: Any, a: Any, b: Any, gap: Any) -> Any:
        rest = log_minus_digamma(xp, a, a) - log_minus_digamma(xp, a + b, a + b)
        return xp.log1p(gap / a) + rest

    return pairs.redo(xp, close, plain, near, a, b, gap)


def _tail(
    xp: Any,
    a: Any,
    b: Any,
    x: Any,
    y: Any,
    gap: Any,
    weight: Callable[[Any, Any], Any],
    *,
    apart: bool,
) -> Any:
    """The integral of (t/x)**a ((1 - t)/y)**(b - 1) weight(s, log((1 - t)/y)) over s = log(x/t).

    ``gap`` is b x - a y. The exponent is a difference; what its two parts have in common is taken
    out first where they are large (``apart``).
    """
    scale = 1.0 / (xp.sqrt(a) + xp.maximum(-gap, 0.0))
    slope, ratio = (gap - x) / y, x / y

    def integrand(s: Any) -> Any:
        if not apart:
            rest = xp.log1p(-ratio * xp.expm1(-s))
            return xp.exp((b - 1.0) * rest - a * s) * weight(s, rest)
        bent = expm1mx.kernel(xp, -s)
        step = ratio * (s - bent)
        power = slope * s + (b - 1.0) * (log1pmx.kernel(xp, step) - ratio * bent)
        return xp.exp(power) * weight(s, xp.log1p(step))

    return integral(xp, scale, integrand)


def _series_at(xp: Any, b: Any, x: Any) -> Any:
    """Where the series in x converges soon and does not cancel."""
    return (x <= 0.1) & (b * x <= 1.0)
