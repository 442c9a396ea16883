"""Kernels and meaning of ((1 + u)**y - 1)/u and of its derivatives by both arguments.

Written out, the n-th derivative by u is, with v = u/(1 + u) and c[j] = (-1)**(n - j) * n!/j!,

    u**-(n + 1) * ((1 + u)**y * sum_j c[j] * y*(y - 1)*...*(y - j + 1) * v**j - c[0])

It is 0 at y = 0, 1, ..., n. With k the nearest of these and d = y - k, this factor is taken out:

    u**-(n + 1) * (d * (1 + u)**y * sum_j c[j] * D[j] * v**j + c[0] * expm1(d * log1p(u)))

where D[j] is the difference quotient of the falling factorials at y and k. What else cancels, for
small u*y and where a derivative by y changes its sign, is evaluated in pairs; for the least u*y
the binomial series is. As with powers, y is y' * 2**s, and powers of two are multiplied on last.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any

from stablegrad.ops import pair_exp, pairs, power_kernels
from stablegrad.ops.compound_kernels import (
    exponent,
    from_base,
    from_excess,
    grown,
    log_pair,
    pair_factor,
    pair_jet,
    scaled,
    scaled_exp,
    sign_at_zero,
    sign_of_power,
    upright,
)
from stablegrad.ops.pairs import Pair
from stablegrad.ops.power_kernels import falling

_FAR = 5600.0
"""Beyond this y * log(1 + u) a derivative is 0, infinite or that of -1/u."""
_SERIES = 28
"""Terms of the binomial series, for |u| * max(1, |y|) < 1/16."""


def _quotient(n: int, j: int) -> float:
    """c[j] of the formula above."""
    return (-1.0) ** (n - j) * math.factorial(n) / math.factorial(j)


def _ldexp(xp: Any, a: Pair, k: Any) -> Pair:
    return xp.ldexp(a[0], k), xp.ldexp(a[1], k)


def _normal(xp: Any, a: Pair) -> tuple[Pair, Any]:
    """A pair as one of everyday size and a power of two."""
    hi, k = xp.frexp(a[0])
    return (hi, xp.ldexp(a[1], -k)), k


def _where(xp: Any, mask: Any, a: Pair, b: Pair) -> Pair:
    return xp.where(mask, a[0], b[0]), xp.where(mask, a[1], b[1])


def _clip(xp: Any, a: Pair, most: float) -> Pair:
    inside = xp.abs(a[0]) < most
    return xp.clip(a[0], -most, most), xp.where(inside, a[1], 0.0)


# -- the value and its derivatives by the exponent ------------------------------------------


def _value(xp: Any, base: Pair, excess: Pair, y: Any) -> Any:
    """(base**y - 1) / (base - 1); at base = 1 it is y."""
    u = excess[0]
    hi, lo, log = exponent(xp, base, excess, y)
    divisor = xp.where(u == 0, 1.0, u)
    value = grown(xp, base, excess, y, (hi, lo), less_one=True) / divisor
    # where the power leaves the range, and where its gain has lost its digits
    size, power = xp.frexp(divisor)
    grows, k = scaled_exp(xp, hi, lo)
    far = (hi > 700) & (base[0] > 0) & xp.isfinite(base[0]) & xp.isfinite(y)
    value = xp.where(far, xp.ldexp(grows / size, k - power), value)
    ratio = xp.where(u == 0, 1.0, log / divisor)
    small = (xp.abs(hi) < 1e-9) & (base[0] > 0) & xp.isfinite(base[0]) & (xp.abs(ratio) > 0)
    value = xp.where(small, y * ratio * (1.0 + 0.5 * hi), value)
    return xp.where(u == 0, y + 0.0 * y, value)


def _by_exponent(xp: Any, base: Pair, excess: Pair, y: Any, m: int) -> Any:
    """log(base)**m * base**y / (base - 1), m > 0."""
    hi, lo, log = exponent(xp, base, excess, y, always=m > 1)
    _, s = scaled(xp, y)
    steps = xp.clip(xp.ldexp(log, s), -1e5, 1e5)
    u = xp.where(excess[0] == 0, 1.0, excess[0])
    grows, k = scaled_exp(xp, hi, lo - excess[1] / u)
    value = xp.ldexp(log / u * steps ** (m - 1) * grows, k - s * (m - 1))
    value = xp.where(excess[0] == 0, 1.0 if m == 1 else 0.0, value)
    pole = xp.where(y > 0, 0.0, -((-1.0) ** m) * xp.inf * sign_at_zero(xp, base[0], y, 0))
    value = xp.where(base[0] == 0, pole, xp.where(base[0] < 0, xp.nan, value))
    return xp.where(xp.isfinite(base[0]) & xp.isfinite(y), value, xp.nan)


# -- derivatives by the base ------------------------------------------------------------------


def _series(xp: Any, *args: Any, n: int, m: int) -> Any:
    """The binomial series: for |u| * max(1, |y|) < 1/16."""
    hi, lo, y = args
    _, s = scaled(xp, y)
    zero = 0.0 * y
    u = _ldexp(xp, (hi, lo), s)
    power: Pair = (1.0 + zero, zero)
    total: Pair = (zero, zero)
    for k, jet in enumerate(pair_jet(xp, y, n + _SERIES, m)[n + 1 :], n):
        weight = pairs.split(Fraction(math.factorial(m), (k + 1) * math.factorial(k - n)))
        term = pairs.multiply(jet[m], (weight[0] + zero, weight[1] + zero))
        total = pairs.add(total, pairs.multiply(term, power))
        power = pairs.multiply(power, u)
    return xp.ldexp(total[0] + total[1], s * (n + 1 - m))


def _closed(xp: Any, *args: Any, n: int, m: int) -> Any:
    """The formula at the head of this file, in pairs."""
    base, excess, y = (args[0], args[1]), (args[2], args[3]), args[4]
    zero = 0.0 * y
    _, s = scaled(xp, y)
    size, above = upright(xp, base, excess)
    log = log_pair(xp, size, above)
    steps = _clip(xp, _ldexp(xp, log, s), 1e5)
    part = (xp.ldexp(y, -s), zero)
    power = _clip(xp, pairs.multiply(part, steps), _FAR)
    # sum c[j] * v**j, or, for a small base, that times base**n: powers of u and of the base
    small = size[0] < 0.5
    u, power_of_u = _normal(xp, excess)
    below, power_of_base = _normal(xp, _where(xp, small, (1.0 + zero, zero), base))
    alpha = _ldexp(xp, pairs.divide(u, below), power_of_u - power_of_base)
    beta = _where(xp, small, base, (1.0 + zero, zero))
    # y is y' * 2**s: the power of two goes to v**j, or, if that is too great, to all terms
    # (beyond the range it does not matter)
    great = (xp.abs(xp.ldexp(alpha[0], s)) > 1e6) & (xp.abs(power[0]) < _FAR)
    alpha = _clip(xp, _ldexp(xp, alpha, xp.where(great, 0, s)), 1e6)
    beta = _ldexp(xp, beta, xp.where(great, -s, 0))
    apart = xp.where(great, s * n, 0)
    lowered = pairs.add(power, pairs.multiply((-float(n) + zero, zero), log))
    power = _clip(xp, _where(xp, small, lowered, power), _FAR)
    sign = sign_of_power(xp, base[0], y) * xp.where(small & (base[0] < 0), (-1.0) ** n, 1.0)
    if m:
        jets = pair_jet(xp, y, n, m)
        terms = [pair_factor(xp, jet, steps, m) for jet in jets]
        total, k = _grow(xp, _combined(terms, alpha, beta, n), power)
        total = _where(xp, base[0] < 0, (xp.nan + zero, zero), total)
        k = k + apart - s * m
    else:
        total, k = _gain(xp, base, y, s, steps, (alpha, beta, apart), power, sign, n)
    hi, lo = pairs.divide(total, pairs.power(u, n + 1))
    return xp.ldexp(hi + lo, k - (n + 1) * power_of_u)


def _combined(terms: list[Pair], alpha: Pair, beta: Pair, n: int) -> Pair:
    """The sum of c[j] * terms[j] * alpha**j * beta**(n - j)."""
    total = None
    for j in range(n, -1, -1):
        c = _quotient(n, j) + 0.0 * alpha[0]
        term = pairs.multiply(terms[j], (c, 0.0 * c))
        if j:
            term = pairs.multiply(term, pairs.power(alpha, j))
        if n - j:
            term = pairs.multiply(term, pairs.power(beta, n - j))
        total = term if total is None else pairs.add(total, term)
    assert total is not None
    return total


def _grow(xp: Any, factor: Pair, power: Pair) -> tuple[Pair, Any]:
    """factor * exp(power), as a pair and a power of two."""
    less, k = pair_exp.expm1_exponent(xp, power)
    return pairs.multiply(factor, pairs.add((1.0 + 0.0 * k, 0.0 * k), less)), k.astype(xp.int32)


def _gain(
    xp: Any,
    base: Pair,
    y: Any,
    s: Any,
    steps: Pair,
    factors: tuple[Pair, Pair, Any],
    power: Pair,
    sign: Any,
    n: int,
) -> tuple[Pair, Any]:
    """What u**-(n + 1) multiplies, as a pair and a power of two; 0 at y = 0, 1, ..., n."""
    zero = 0.0 * y
    nearest = xp.clip(xp.rint(y), 0.0, float(n))
    rest = pairs.two_sum(y, -nearest)
    whole = rest[0] == 0
    rest = _ldexp(xp, _where(xp, whole, (1.0 + zero, zero), rest), -s)
    quotient: Pair = (zero, zero)
    quotients = [quotient]
    value = 1.0 + zero
    for j in range(n):
        factor = _ldexp(xp, pairs.two_sum(y, -float(j) + zero), -s)
        quotient = pairs.add(pairs.multiply(quotient, factor), (xp.ldexp(value, -s * j), zero))
        quotients.append(quotient)
        value = value * (nearest - j)
    alpha, beta, apart = factors
    first, k = _grow(xp, _combined(quotients, alpha, beta, n), power)
    k = k + apart
    first = first[0] * sign, first[1] * sign
    # expm1(rest * log) / rest, the power being negative for a negative base and odd rest
    way = _clip(xp, pairs.multiply(rest, steps), _FAR)
    less, far = pair_exp.expm1_exponent(xp, way)
    far = far.astype(xp.int32)
    most = xp.maximum(xp.maximum(k, far), 0)
    odd = sign_of_power(xp, base[0], xp.where(whole, 0.0, y - nearest))
    grows = pairs.add((1.0 + zero, zero), less)
    gain = pairs.add(
        _ldexp(xp, (grows[0] * odd, grows[1] * odd), far - most),
        (-xp.ldexp(1.0 + zero, -most), zero),
    )
    gain = _where(xp, (far == 0) & (most == 0) & (odd == 1), less, gain)
    near = (xp.abs(way[0]) < 1e-11) & (base[0] > 0)
    half = pairs.multiply(way, (0.5 + zero, zero))
    third = pairs.add((1.0 + zero, zero), (way[0] * way[0] / 6.0, zero))
    straight = pairs.multiply(steps, pairs.add(third, half))
    straight = _ldexp(xp, straight, -most)
    gain = _where(
        xp, near, straight, pairs.divide(gain, _where(xp, near, (1.0 + zero, zero), rest))
    )
    c = _quotient(n, 0) + zero
    total = pairs.add(_ldexp(xp, first, k - most), pairs.multiply(gain, (c, zero)))
    tiny = xp.abs(rest[0]) < 2.0**-400
    lift = xp.where(tiny, 600, 0)
    total = pairs.multiply(total, _ldexp(xp, rest, lift))
    total = _where(xp, whole, (zero, zero), total)
    return total, most - lift


def _by_base(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    """The derivative, n > 0 times by the base and m times by the exponent."""
    u = excess[0]
    regular = xp.isfinite(base[0]) & xp.isfinite(y) & (base[0] != 0)
    with_series = regular & (xp.abs(u) * xp.maximum(1.0, xp.abs(y)) < 0.0625)
    value = xp.full_like(y, xp.nan)
    closed = partial(_closed, n=n, m=m)
    value = pairs.redo(xp, regular & ~with_series, value, closed, *base, *excess, y)
    value = pairs.redo(xp, with_series, value, partial(_series, n=n, m=m), *excess, y)
    return xp.where((base[0] == 0) & xp.isfinite(y), _at_zero(xp, base[0], y, n, m), value)


def _at_zero(xp: Any, base: Any, y: Any, n: int, m: int) -> Any:
    """The derivative at base 0: its limit where it has one."""
    if m:
        return xp.where(y > n + 1, 0.0, xp.nan)
    pole = -falling(y, n, 0) * xp.inf * sign_at_zero(xp, base, y, n)
    out = xp.where((y > 0) & (y < n - 1), xp.nan, pole)
    out = xp.where(y > n, float(math.factorial(n)), out)
    return xp.where(falling(y, n + 1, 0) == 0, 0.0, out)


def _geometric(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    if n:
        return _by_base(xp, base, excess, y, n, m)
    return _by_exponent(xp, base, excess, y, m) if m else _value(xp, base, excess, y)


def of_excess(xp: Any, u: Any, y: Any, *, n: int, m: int) -> Any:
    """((1 + u)**y - 1) / u, or its derivative."""
    base, excess, y = from_excess(xp, u, y)
    return _geometric(xp, base, excess, y, n, m)


def of_base(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    """(x**y - 1) / (x - 1), or its derivative."""
    base, excess, y = from_base(xp, x, y)
    return _geometric(xp, base, excess, y, n, m)


# -- meaning ------------------------------------------------------------------------------


def ball(base: Any, u: Any, y: Any, n: int, m: int) -> Any:
    """The derivative of (base**y - 1)/u by u*f[n] = g[n] - n*f[n - 1], for balls."""
    near = u.geometric_series(y, n, m)
    if near is not None:
        return near
    if not (abs(u) < math.inf and abs(y) < math.inf):
        return (u + y) * math.nan if n or m or u == 0 else (base**y - 1) / u
    if base == 0.0 and y < 0 and not m:
        return falling(y, n, 0) * base ** (y - n) / u
    value: Any = 0
    if not base > 0 or (not m and y in range(5)):  # exact, so that ties in rounding are seen
        if not m:
            value = (base**y - 1) / u
        for j in range(0 if m else 1, n + 1):
            value = (power_kernels.ball(base, y, n=j, m=m) - j * value) / u
        return value
    log = u.log1p() if abs(u) < 0.5 else base.log()
    power = y * log
    grown = power.exp()
    if not m:
        value, grown = power.expm1() / u, grown / base
    for j in range(0 if m else 1, n + 1):
        factor = falling(y, j, 0) * log**m if m else falling(y, j, 0)
        for i in range(1, min(j, m) + 1):
            factor = factor + math.comb(m, i) * falling(y, j, i) * log ** (m - i)
        slope = factor * grown
        value = (slope - j * value if j else slope) / u
        grown = grown / base
    return value
