"""Differences of the error function and of the normal distribution: probabilities of intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops import pairs
from stablegrad.ops.record import REAL, Op, elementwise

_NODES, _WEIGHTS = (a.tolist() for a in np.polynomial.legendre.leggauss(12))
_ROOT_HALF = math.sqrt(0.5)


def _integral(xp: Any, low: Any, high: Any, c: float) -> Any:
    """The integral of exp(-c*t*t) from low to high, 0 <= low <= high, c*(high**2 - low**2) < 1."""
    h, rest = pairs.two_sum(high, -low)
    total: Any = 0.0
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        s = h * (0.5 + 0.5 * node)
        total = total + 0.5 * weight * xp.exp(-c * s * (2.0 * low + s))
    bounded = xp.minimum(low, 1e150)  # beyond 40 nothing is left anyway
    square, error = pairs.two_prod(bounded, bounded)
    error = xp.where(low > 1e-140, error, 0.0)
    return xp.exp(-c * square) * (1.0 - c * error) * ((h + rest) * total)


def _gap(xp: Any, a: Any, b: Any, *, normal: bool) -> Any:
    """F(a) - F(b), where F is ndtr or erf: an integral where they are near, tails or centres."""
    a, b = xp.broadcast_arrays(a, b)
    narrow = a.dtype
    a, b = a.astype(np.float64), b.astype(np.float64)
    c = 0.5 if normal else 1.0
    low, high = xp.minimum(a, b), xp.maximum(a, b)
    left, right = xp.minimum(xp.abs(low), xp.abs(high)), xp.maximum(xp.abs(low), xp.abs(high))
    apart = (low < 0) & (high > 0)
    near = ~apart & (c * (right - left) * (right + left) < 1.0)
    if normal:
        across = 0.5 * (xp.special.erf(high * _ROOT_HALF) - xp.special.erf(low * _ROOT_HALF))
        tails = OPS["ndtr"].kernel(xp, -left) - OPS["ndtr"].kernel(xp, -right)
    else:
        across = xp.special.erf(high) - xp.special.erf(low)
        tails = OPS["erfc"].kernel(xp, left) - OPS["erfc"].kernel(xp, right)
    inside = _integral(xp, xp.where(near, left, 0.0), xp.where(near, right, 0.0), c)
    density = 1.0 / math.sqrt(2.0 * math.pi) if normal else 2.0 / math.sqrt(math.pi)
    size = xp.where(apart, across, xp.where(near, density * inside, tails))
    return xp.where(a < b, -size, size).astype(narrow)


def _slope(name: str, x: Term) -> Term:
    """The derivative of an op at x."""
    op = OPS[name]
    assert op.partials is not None
    (slope,) = op.partials(op(x), x)
    return slope


def _difference(of: str, *, normal: bool, doc: str, example: str) -> Op:
    """The record of of(a) - of(b)."""
    return elementwise(
        f"{of}_gap",
        family="special",
        kernel=lambda xp, a, b: _gap(xp, a, b, normal=normal),
        spellings=(lambda a, b: OPS[of](a) - OPS[of](b),),
        partials=lambda y, a, b: (_slope(of, a), -_slope(of, b)),
        domain=(REAL, REAL),
        cost=6,
        source="the integral of the density by Gauss and Legendre's rule, or tails",
        doc=doc,
        example=example,
    )


erf_gap = _difference(
    "erf",
    normal=False,
    doc="erf(a) - erf(b).",
    example=">>> sg.ops.erf_gap(sg.tensor([1.0]), 0.0).numpy()\narray([0.8427008], dtype=float32)",
)

ndtr_gap = _difference(
    "ndtr",
    normal=True,
    doc="ndtr(a) - ndtr(b): the probability of an interval.",
    example=">>> sg.ops.ndtr_gap(sg.tensor([1.0]), -1.0).numpy()\n"
    "array([0.6826895], dtype=float32)",
)
