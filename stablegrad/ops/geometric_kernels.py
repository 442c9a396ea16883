"""Kernels of ((1 + u)**y - 1)/u and its derivatives by both arguments.

The derivatives by u are integrals without cancellation:
    d^n/du^n = y*(y - 1)*...*(y - n) / u**(n + 1) * integral_0^L (1 - exp(-s))**n * exp(y*s) ds

with L = log1p(u), done by Gauss's rule where y*L is moderate; elsewhere the recurrence
u*f[n] = g[n] - n*f[n - 1] with g = (1 + u)**y - 1 does not cancel.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops import pairs, power_kernels
from stablegrad.ops.compound_kernels import derivative, exponent, from_base, from_excess, grown
from stablegrad.ops.pairs import Pair
from stablegrad.ops.power_kernels import falling


@cache
def _gauss(count: int = 24) -> list[tuple[float, float]]:
    """Nodes and weights of Gauss's rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return [((1 + float(t)) / 2, float(w) / 2) for t, w in zip(nodes, weights, strict=True)]


def _integrated(xp: Any, u: Any, log: Any, y: Any, n: int, m: int) -> Any:
    """The geometric sum's derivative by its integral, panel by panel."""
    tiny = xp.abs(u) < 1e-290
    step = xp.where(tiny, 1.0, log / xp.where(tiny, 1.0, u))
    size = xp.abs(log)
    total: Any = 0.0
    for start, end in ((0.0, 6.0), (6.0, 30.0), (30.0, math.inf)):
        if start and not (size > start).any():
            continue
        # fractions of the whole way at which this panel begins and ends
        whole = xp.where(size > 0, size, 1.0)
        first = xp.minimum(1.0, start / whole) if start else 0.0
        width = xp.minimum(1.0, end / whole) - first
        for node, weight in _gauss():
            w = first + width * node
            s = log * w
            rise = xp.where(tiny, w, -xp.expm1(-s) / xp.where(tiny, 1.0, u))
            wave = xp.exp(y * s) * rise**n
            factor: Any = 0.0
            for i in range(min(n + 1, m) + 1):
                factor = factor + math.comb(m, i) * falling(y, n + 1, i) * s ** (m - i)
            total = total + (weight * width) * wave * factor
    return total * step


def _geometric(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    """(base**y - 1) / (base - 1), or its derivative."""
    u = excess[0]
    if n == 0 and m == 0:
        zero = u == 0
        divisor = xp.where(zero, 1.0, u)
        gain = grown(xp, base, excess, y, less_one=True)
        half = xp.exp(0.5 * exponent(xp, base, excess, y)[0])
        far = xp.isinf(gain) & (base[0] > 0)
        value = xp.where(far, half / divisor * half, gain / divisor)
        small = (xp.abs(u) < 1e-290) & ~zero  # a gain this small loses its digits
        return xp.where(zero, y, xp.where(small, y + 0.0 * u, value))
    value = _recurrence(xp, base, excess, y, n, m)
    near = xp.abs(u) < 0.5
    log = xp.where(near, xp.log1p(xp.where(near, u, 0.0)), xp.log(xp.where(near, 1.0, base[0])))
    moderate = (log > -1.5) & (xp.abs(y * log) < xp.where(near, 2.0, 8.0))
    if n == 0:
        moderate = moderate & (xp.abs(u) < 1e-290)

    def better(xp: Any, u: Any, log: Any, y: Any) -> Any:
        return _integrated(xp, u, log, y, n, m)

    return pairs.redo(xp, moderate, value, better, u, log, y)


def _recurrence(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    if n == 0 and m == 0:
        return grown(xp, base, excess, y, less_one=True) / excess[0]
    whole = derivative(xp, base, excess, y, n, m)
    if n == 0:
        return whole / excess[0]
    rest = n * _recurrence(xp, base, excess, y, n - 1, m)
    return xp.where(xp.isinf(whole), whole, whole - rest) / excess[0]


def of_excess(xp: Any, u: Any, y: Any, *, n: int, m: int) -> Any:
    """((1 + u)**y - 1) / u, or its derivative."""
    base, excess, y = from_excess(xp, u, y)
    return _geometric(xp, base, excess, y, n, m)


def of_base(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    """(x**y - 1) / (x - 1), or its derivative."""
    base, excess, y = from_base(xp, x, y)
    return _geometric(xp, base, excess, y, n, m)


def ball(base: Any, u: Any, y: Any, n: int, m: int) -> Any:
    """The derivative of (base**y - 1)/u by u*f[n] = g[n] - n*f[n - 1]."""
    whole = base**y - 1 if n == 0 and m == 0 else power_kernels.ball(base, y, n=n, m=m)
    if n == 0:
        return whole / u
    return (whole - ball(base, u, y, n - 1, m) * n) / u
