"""Kernels of the derivatives of 1/sqrt(x*(2 + s*x)) for s = 1 or -1: of arccosh and arccos at 1.

With t = s + x and q = x*(2 + s*x) the k-th derivative is (-s)**k P(t) / q**(k + 1/2), where
P[0] = 1 and P[k + 1] = (2 k + 1) t P[k] + (1 - t*t) P[k]' has no negative coefficient: only t and
q themselves cancel, and these are sums of two floats.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from stablegrad.ops import pairs


@cache
def numerator(k: int) -> dict[int, int]:
    """The coefficients of P[k] by powers of t, which are all even or all odd."""
    if not k:
        return {0: 1}
    out: dict[int, int] = {}
    for i, c in numerator(k - 1).items():
        for power, value in ((i + 1, (2 * k - 1) * c - i * c), (i - 1, i * c)):
            if value:
                out[power] = out.get(power, 0) + value
    return out


def ball(x: Any, s: int, k: int) -> Any:
    """The k-th derivative by its formula, for balls."""
    t = x + s
    q = x * (2 + x) if s > 0 else x * (2 - x)
    q = q + 0  # the end of the domain is seen from inside, at -0 too
    total: Any = 0
    for i, c in numerator(k).items():
        term: Any = c
        for _ in range(i):  # a power of a series must not meet 0**0
            term = term * t
        total = term + total
    for _ in range(k):
        total = total / q
    if s < 0:
        return total / q.sqrt()
    root = (x + 0).sqrt() * (2 + x).sqrt()  # below -2 too there is no value
    return (-total if k % 2 else total) / root


def _scaled(xp: Any, a: pairs.Pair) -> tuple[pairs.Pair, Any]:
    """A pair times a power of two, next to 1, and its exponent."""
    _, e = xp.frexp(a[0])
    return (xp.ldexp(a[0], -e), xp.ldexp(a[1], -e)), e


def derivative(xp: Any, x: Any, s: int, k: int) -> Any:
    """The k-th derivative; mantissas as pairs, so that every order is within an ulp."""
    x = xp.asarray(x, dtype=float)
    end = (x == 0) | (x == 2.0) if s < 0 else x == 0
    safe = xp.where((x > 0) & xp.isfinite(x) & ~end, x, 1.0)
    zero = 0.0 * safe
    (other, other_e) = _scaled(xp, pairs.two_sum(2.0 + zero, s * safe))
    m, m_e = xp.frexp(safe)
    q = pairs.multiply(other, (m, zero))
    q_e = m_e + other_e
    odd = q_e & 1
    root = pairs.sqrt(xp, (xp.ldexp(q[0], odd), xp.ldexp(q[1], odd)))
    shift = -((q_e - odd) // 2) - k * q_e
    t = pairs.two_sum(safe, s + zero)
    t_e = xp.where(t[0] > 2.0, xp.frexp(t[0])[1], 0)  # a small t keeps its place beside 1
    t = xp.ldexp(t[0], -t_e), xp.ldexp(t[1], -t_e)
    p = numerator(k)
    square = pairs.multiply(t, t)
    one = xp.ldexp(1.0 + zero, xp.maximum(-2 * t_e, -1000))
    top = (p[k] + zero, zero)
    for i in range(k - 2, -1, -2):  # homogeneous in t and 1, both over 2**t_e
        top = pairs.multiply(top, square)
        c = p.get(i, 0)
        for _ in range((k - i) // 2 - 1):
            c = c * one
        top = pairs.add(top, (c * one, zero))
    if k % 2:
        top = pairs.multiply(top, t)
    bottom = root
    for _ in range(k):
        bottom = pairs.multiply(bottom, q)
    high, low = pairs.divide(top, bottom)
    value = xp.ldexp(high + low, shift + k * t_e)
    lead = sum(p.values())
    sign = 1.0 if s < 0 else (-1.0) ** k
    at_end = sign * lead / xp.sqrt(xp.abs(x) * 0.0)
    if s < 0 and k % 2:
        at_end = xp.where(x == 0, -at_end, at_end)
    value = xp.where(end, at_end, sign * value)
    value = xp.where(x == xp.inf, sign * 0.0, value) if s > 0 else value
    outside = ~(x >= 0) if s > 0 else ~((x >= 0) & (x <= 2.0))
    return xp.where(outside, xp.nan, value)
