"""Sums of products as mantissa and exponent, where they leave the range of floats."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from stablegrad.ops import pairs
from stablegrad.ops.exact import Exact, Rational, to_float
from stablegrad.ops.pairs import two_prod, two_sum

_LOW, _HIGH = 2.0**-900, 2.0**1000


def left_range(xp: Any, total: Any) -> Any:
    """Where a sum of products may have lost digits to the range of floats."""
    size = xp.abs(total)
    return ~((size > _LOW) & (size < _HIGH))


def sum_in_parts(
    xp: Any,
    xs: list[Any],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> tuple[Any, Any]:
    """A sum of multiples and products of finite floats as mantissa and exponent."""
    addends: list[tuple[Any, Any, Any]] = []
    if constant != 0:
        m, e = xp.frexp(xp.full_like(xs[0], to_float(constant)))
        addends.append((m, 0.0 * m, e.astype(np.int64)))
    position = 0
    for c, count in zip(coefficients, counts, strict=True):
        m, e = xp.frexp(xs[position])
        error, e = 0.0 * m, e.astype(np.int64)
        if count == 2:
            other, more = xp.frexp(xs[position + 1])
            m, error = two_prod(m, other)
            e = e + more
        position += count
        high, low = pairs.split(c)
        m, error = pairs.multiply((m, error), (high + 0.0 * m, low + 0.0 * m))
        addends.append((m, error, e))
    top = reduce(xp.maximum, [xp.where(m == 0, -(10**6), e) for m, _, e in addends])
    hi = lo = xp.zeros_like(xs[0])
    for m, error, e in addends:
        shift = xp.clip(e - top, -3000, 0).astype(np.int32)
        hi, rest = two_sum(hi, xp.ldexp(m, shift))
        lo = lo + rest + xp.ldexp(error, shift)
    return hi + lo, xp.where(top < -(10**5), 0, top)


def beyond(
    plain: Any,
    left: Any,
    xs: tuple[Any, ...],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    """Sums that left the range, of finite floats: x*x - y*y at 1e200 is inf - inf."""
    if isinstance(constant, str):
        return plain
    again = left & reduce(np.logical_and, [np.isfinite(x) for x in xs])
    if not again.any():
        return plain
    with np.errstate(all="ignore"):
        same = [np.broadcast_to(x, again.shape)[again] for x in xs]
        mantissa, exponent = sum_in_parts(np, same, constant, coefficients, counts)
        total = np.array(np.broadcast_to(plain, again.shape))
        total[again] = np.ldexp(mantissa, np.clip(exponent, -3000, 3000).astype(np.int32))
    return total
