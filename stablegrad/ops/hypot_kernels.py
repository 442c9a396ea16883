"""Kernels of hypot's derivatives: homogeneous polynomials over odd powers of the hypotenuse.

d^n/dx^n d^m/dy^m hypot(x, y) = x**a y**b Q(x*x, y*y) / h**(2k - 1) with k = n + m, where only Q
can cancel. Q and h are evaluated in pairs, powers of two apart, so that every order is within
an ulp of the truth and nothing leaves the range early.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops import pairs
from stablegrad.ops.dtypes import narrow

Polynomial = dict[tuple[int, int], int]


def length(x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Of float32s: the root of the sum of their squares, nan beside nan, and both in float64."""
    x, y = (a.astype(np.float64) for a in np.broadcast_arrays(x, y))
    h = x * x
    h += y * y
    return np.sqrt(h, out=h), x, y


def unit(xp: Any, x: Any, y: Any) -> Any:
    """X / hypot(x, y), both scaled where the hypotenuse would overflow or be subnormal."""
    if narrow(xp, x, y):
        h, x, y = length(x, y)
        value = np.divide(x, h, out=h)
        return pairs.redo(xp, np.isnan(value), value, unit, x, y)
    largest = xp.maximum(xp.abs(x), xp.abs(y))
    info = xp.finfo(largest.dtype)
    up = 2.0 ** (info.maxexp // 2)
    big, small = largest > info.max / 4, largest < info.tiny / info.eps
    if xp.name != "numpy" or (big | small).any():
        scale = xp.where(big, 1 / up, xp.where(small, up, 1.0)).astype(largest.dtype)
        x, y = x * scale, y * scale
    h = xp.hypot(x, y)
    value = xp.where(h == 0, x, x / h)
    return xp.where(xp.isinf(x) & xp.isfinite(y), xp.sign(x), value)


@cache
def numerator(n: int, m: int) -> Polynomial:
    """The coefficients of x**i y**j in  h**(2(n + m) - 1) d^n/dx^n d^m/dy^m h."""
    if n + m == 1:
        return {(n, m): 1}
    by_y = not n
    before = numerator(n, m - 1) if by_y else numerator(n - 1, m)
    power = 2 * (n + m) - 3
    out: Polynomial = {}
    for (i, j), c in before.items():
        slope = c * (j if by_y else i)
        # p' * (x*x + y*y) - power * p * x, or the same by y
        for term, value in (
            ((i + 2, j - 1) if by_y else (i + 1, j), slope),
            ((i, j + 1) if by_y else (i - 1, j + 2), slope),
            ((i, j + 1) if by_y else (i + 1, j), -power * c),
        ):
            if value:
                out[term] = out.get(term, 0) + value
    return {term: c for term, c in out.items() if c}


def _least_powers(p: Polynomial) -> tuple[int, int]:
    return min(i for i, _ in p), min(j for _, j in p)


def ball(x: Any, y: Any, n: int, m: int) -> Any:
    """The derivative by its formula, for balls; 0 at the origin by convention."""
    square = x * x + y * y
    if square == 0:
        return 0
    if square == float("inf"):
        if n + m > 1:
            return 1 / square
        leg: Any = x if n else y
        other: Any = y if n else x
        whole = abs(leg) == math.inf and abs(other) != math.inf
        return leg.sign() if whole else leg / square.sqrt()
    return quotient_ball(x, y, numerator(n, m), 2 * (n + m) - 1)


def quotient_ball(x: Any, y: Any, p: Polynomial, k: int) -> Any:
    """The quotient for balls, away from the origin."""
    square = x * x + y * y
    if square == math.inf:
        if sum(next(iter(p))) < k:
            return 1 / square
        if abs(x) == abs(y):
            return x * 0
        x, y = (x.sign(), 0 * y) if abs(x) == math.inf else (0 * x, y.sign())
        square = x * x + y * y
    total: Any = 0
    for (i, j), c in p.items():
        # products, for a power of a series must not meet 0**0
        term: Any = c
        for factor in [x] * i + [y] * j:
            term = factor * term
        total = term + total
    return total / (square ** (k // 2) * square.sqrt())


def derivative(xp: Any, x: Any, y: Any, n: int, m: int) -> Any:
    """The derivative of hypot of order n by x and m by y; 0 at the origin and at infinities."""
    k = n + m
    if k == 1:
        return unit(xp, x, y) if n else unit(xp, y, x)
    return quotient(xp, x, y, numerator(n, m), 2 * k - 1)


def quotient(xp: Any, x: Any, y: Any, p: Polynomial, k: int) -> Any:
    """A homogeneous polynomial, even or odd in x and in y, over an odd power of the hypotenuse.

    It is 0 at the origin, and at infinities where its degree is below zero.
    """
    x, y = xp.broadcast_arrays(x, y)
    largest = xp.maximum(xp.abs(x), xp.abs(y))
    degree = sum(next(iter(p)))
    if degree == k and (xp.name != "numpy" or xp.isinf(largest).any()):
        far = xp.isinf(largest)
        one_sided = far & (xp.abs(x) != xp.abs(y))  # else it depends on the path
        x, y = (
            xp.where(one_sided, xp.where(xp.isinf(t), xp.sign(t), 0.0), xp.where(far, xp.nan, t))
            for t in (x, y)
        )
        largest = xp.maximum(xp.abs(x), xp.abs(y))
    (x_part, x_exponent), (y_part, y_exponent) = xp.frexp(x), xp.frexp(y)
    exponent = xp.frexp(largest)[1]
    u, v = xp.ldexp(x, -exponent), xp.ldexp(y, -exponent)
    uu, vv = pairs.two_prod(u, u), pairs.two_prod(v, v)
    square = pairs.add(uu, vv)
    root = pairs.sqrt(xp, square)
    a, b = _least_powers(p)
    zero = 0.0 * u
    top = (zero, zero)
    for (i, j), c in p.items():
        term = (zero + c, zero)
        for factor in [uu] * ((i - a) // 2) + [vv] * ((j - b) // 2):
            term = pairs.multiply(term, factor)
        top = pairs.add(top, term)
    for part in [x_part] * a + [y_part] * b:
        top = pairs.multiply(top, (part, zero))
    bottom = root
    for _ in range(k // 2):
        bottom = pairs.multiply(bottom, square)
    high, low = pairs.divide(top, bottom)
    shift = a * x_exponent + b * y_exponent + (degree - a - b - k) * exponent
    value = xp.ldexp(high + low, shift)
    return xp.where((largest == 0) | xp.isinf(largest), zero.dtype.type(0), value)
