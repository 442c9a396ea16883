"""Kernels and meaning of the derivatives of x**y by both arguments, to any order.

d^n/dx^n d^m/dy^m x**y = q * x**(y - n), where q is a polynomial in y and log(x) by Leibniz's
rule. Where q cancels it is evaluated in pairs; where x**y leaves the range and the derivative
does not, a root of it is squared.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

from stablegrad.ops import pair_exp, pairs


@cache
def coefficients(n: int, i: int) -> tuple[int, ...]:
    """The i-th derivative of y*(y - 1)*...*(y - n + 1): coefficients, the highest power first."""
    out = [1]
    for k in range(n):
        out = [a - k * b for a, b in zip([*out, 0], [0, *out], strict=True)]
    for _ in range(i):
        degree = len(out) - 1
        out = [c * (degree - k) for k, c in enumerate(out[:-1])]
    return tuple(out)


def falling(y: Any, n: int, i: int) -> Any:
    """The i-th derivative of y*(y - 1)*...*(y - n + 1), for floats and for balls."""
    out = 1 + 0 * y
    if not i:
        for k in range(n):
            out = (y - k) * out
        return out
    return _polynomial(y, coefficients(n, i))


def _polynomial(y: Any, terms: tuple[int, ...]) -> Any:
    out = 0 * y
    for c in terms:
        out = out * y + c
    return out


def _terms(n: int, m: int) -> list[tuple[int, int]]:
    """(i, power of the logarithm) of the terms of q."""
    return [(i, m - i) for i in range(min(n, m) + 1)]


def ball(x: Any, y: Any, *, n: int, m: int) -> Any:
    """The derivative by its formula, for balls; a power beats a logarithm at 0 and infinity."""
    if m == 0 and -math.inf < y < math.inf:  # whatever x is: it may be known by its digits only
        factor = falling(y, n, 0)
        if factor == 0.0 and x == 0.0:  # a polynomial of a lower degree: no pole to divide by
            return factor * x**y
        return factor * x ** (y - n)
    if x != x or y != y:
        return x + y
    if y in (math.inf, -math.inf):
        limit = x**y
        if limit == 0:
            return limit
    if m == 0:
        return falling(y, n, 0) * x ** (y - n)
    if x == math.inf and y < n:
        return 0
    if x == 0.0 and y > n:
        # by x the power beats it with two orders less, but no more
        return 0 if y > n + 2 else x ** (y - n) / x.log()
    if not n:
        return x.log() ** m * x**y
    total: Any = 0
    for i, power in _terms(n, m):
        slope = falling(y, n, i)
        total = slope * math.comb(m, i) * x.log() ** power + total
    return total * x ** (y - n)


def _factor(xp: Any, x: Any, y: Any, n: int, m: int) -> Any:
    """The polynomial q, in pairs where its terms cancel."""
    if not m:
        return falling(y, n, 0)
    log = xp.log(x)
    if not n:
        return log**m
    total, size = 0.0 * y, 0.0 * y
    for i, power in _terms(n, m):
        slope = falling(y, n, i)
        term = math.comb(m, i) * slope * log**power
        reach = xp.abs(term)
        if i:  # the derivatives of a falling factorial cancel themselves
            most = _polynomial(xp.abs(y), tuple([abs(c) for c in coefficients(n, i)]))
            reach = xp.abs(math.comb(m, i) * most * log**power)
        if power:  # at x = 1 whatever the exponent
            term, reach = xp.where(log == 0, log, term), xp.where(log == 0, 0.0, reach)
        total, size = total + term, size + reach
    cancels = (xp.abs(total) < 0.7 * size) & (size < 1e60)
    return pairs.redo(xp, cancels, total, partial(_factor_in_pairs, n=n, m=m), x, y)


def _factor_in_pairs(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    log = pair_exp.log(xp, x)
    zero = 0.0 * y
    total = (zero, zero)
    for i, power in _terms(n, m):
        terms = [(math.comb(m, i) * c + zero, zero) for c in coefficients(n, i)]
        term = pairs.horner((y, zero), terms)
        if power:
            term = pairs.multiply(term, pairs.power(log, power))
        total = pairs.add(total, term)
    return total[0] + total[1]


def _by_root(xp: Any, x: Any, y: Any, q: Any, *, n: int, m: int) -> Any:
    """q * x**(y - n) by the square of a root, with what y - n lost to rounding put back."""
    size = xp.abs(x)
    rounded, lost = pairs.two_sum(y, -float(n))
    root = xp.power(size, rounded / 2)
    back = xp.exp(xp.where((lost == 0) | (size == 0), 0.0, lost * xp.log(size)))
    whole = xp.floor(y) == y
    odd = xp.abs(xp.fmod(y, 2.0)) == 1
    sign = xp.where(xp.signbit(x) & whole, (-1.0) ** n * xp.where(odd, -1.0, 1.0), 1.0)
    sign = xp.where((x < 0) & ~whole, xp.nan, sign)
    # a root that is 0 leaves 0 whatever the factor: that is at most a power of y
    vanishes = (root == 0) & ((x >= 0) | (m == 0))
    return xp.where(vanishes, root, ((q * root) * root) * back) * sign


def derivative(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    """x**y itself divided by x, n times: y - 1 would be rounded, and x**1e-9 feel it."""
    x, y = xp.broadcast_arrays(x, y)
    q = _factor(xp, x, y, n, m)
    result, plain = _plainly(xp, x, y, q, n)
    result = pairs.redo(xp, ~plain, result, partial(_by_root, n=n, m=m), x, y, q)
    return xp.where(_vanishes(xp, x, y, q, n, m), 0.0, result)


def settled_derivative(xp: Any, x: Any, y: Any, *, n: int, m: int) -> tuple[Any, Any]:
    """The same where no root is needed, and where that is; by one of the arguments alone."""
    q = _factor(xp, x, y, n, m)
    result, plain = _plainly(xp, x, y, q, n)
    vanishes = _vanishes(xp, x, y, q, n, m)
    settled = plain | vanishes | xp.isnan(q)
    if not n:
        settled = settled | (((x == 0) | (x == math.inf)) & (xp.abs(y) < math.inf))
    return xp.where(vanishes, 0.0, result), settled


def _plainly(xp: Any, x: Any, y: Any, q: Any, n: int) -> tuple[Any, Any]:
    """The derivative by the power itself, and where nothing on the way leaves the range."""
    whole = xp.power(x, y)
    product = q * whole
    info = xp.finfo(product.dtype)
    result = product
    for _ in range(n):
        result = result / x
    plain = (xp.abs(product) >= info.tiny) & (xp.abs(product) <= info.max)
    return result, plain & (xp.abs(whole) >= info.tiny) & (xp.abs(x) <= info.max)


def _vanishes(xp: Any, x: Any, y: Any, q: Any, n: int, m: int) -> Any:
    """At x = 0 a power beats a logarithm, and a derivative of a constant is 0."""
    vanishes = (x == 0) & (y > n)
    if m:
        return vanishes | ((x == math.inf) & (y < n))
    return vanishes | ((q == 0) & ~xp.isnan(x))
