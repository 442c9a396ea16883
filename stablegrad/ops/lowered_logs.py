"""Ops that lowering emits for logs of products and sums.

``log_of_product`` and ``log_of_sum`` redo two kinds of elements: those whose product or sum left
the range of floats, as mantissa and exponent, and those near 1, where the log feels the rounding.
``log_by_base`` brings what came of a natural logarithm to base 2 or 10.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.exact import Exact, Rational
from stablegrad.ops.exponential import LN2, LN10
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered import _scaled_product, sum_pair
from stablegrad.ops.pairs import Pair, two_prod
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.sums_in_parts import left_range, sum_in_parts

_LN2 = pairs.split(pair_exp.LN2)


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def half_whole(p: Rational) -> bool:
    """Whether a power is a small multiple of 1/2."""
    return Fraction(p).denominator in (1, 2) and abs(p) <= 64


# -- logs ---------------------------------------------------------------------------------


def _root(xp: Any, m: Any) -> Pair:
    """The square root of a positive float as a pair."""
    root = xp.sqrt(m)
    square, error = two_prod(root, root)
    return root, ((m - square) - error) / (2 * root)


def log_in_parts(xp: Any, mantissa: Pair, exponent: Any, extra: Pair) -> Any:
    """log(mantissa * 2**exponent) + extra."""
    hi, shift = xp.frexp(mantissa[0])
    lo = xp.ldexp(mantissa[1], -shift)
    low = xp.abs(hi) < 0.7071067811865476
    factor = xp.where(low, 2.0, 1.0)
    exponent = exponent + shift - low
    near = xp.log1p((hi * factor - 1.0) + lo * factor)
    zero = 0.0 * near
    scale = pairs.multiply((exponent + zero, zero), (_LN2[0] + zero, _LN2[1] + zero))
    total = pairs.add(pairs.add(scale, extra), (near, zero))
    return total[0] + total[1]


def careful_log(xp: Any, xs: list[Any], powers: tuple[Rational, ...], factor: Rational) -> Any:
    """The log of a product by mantissas as pairs and exponents."""
    one = xp.ones_like(xs[0])
    zero = 0.0 * one
    high, low = pairs.split(factor)
    start, shift = xp.frexp(high)
    mantissa: Pair = (start * one, xp.ldexp(low, -shift) * one)
    exponent = xp.full(one.shape, shift, np.int64)
    extra: Pair = (zero, zero)
    for x, p in zip(xs, powers, strict=True):
        if not half_whole(p):
            split = pairs.split(p)
            log = pair_exp.log(xp, x)
            power = (split[0] + zero, split[1] + zero)
            extra = pairs.add(extra, pairs.multiply(power, log))
            continue
        m, e = xp.frexp(x)
        e = e.astype(np.int64)
        steps = [(m, zero)] * int(abs(p))
        exponent = exponent + e * int(p)
        if Fraction(p).denominator == 2:
            odd = e & 1
            steps.append(_root(xp, xp.ldexp(m, odd)))
            exponent = exponent + (e - odd) // 2 * (1 if p > 0 else -1)
        for step in steps:
            mantissa = (pairs.multiply if p > 0 else pairs.divide)(mantissa, step)
            hi, shifts = xp.frexp(mantissa[0])
            mantissa = hi, xp.ldexp(mantissa[1], -shifts)
            exponent = exponent + shifts
    return log_in_parts(xp, mantissa, exponent, extra)


def _log_of_product(xp: Any, *xs: Any, powers: tuple[Rational, ...], factor: Rational) -> Any:
    value = np.asarray(
        _scaled_product(xp, *xs, powers=powers, factor=factor, again=()), dtype=float
    )
    size = np.abs(value)
    careful = ((size > 0.5) & (size < 2.0)) | (size < 2.3e-308) | np.isinf(size)
    for x in xs:
        careful = careful & np.isfinite(x) & (x != 0)
    result = np.log(value)
    if not np.any(careful):
        return result
    chosen = [np.broadcast_to(x, value.shape)[careful] for x in xs]
    result = np.array(result)
    result[careful] = careful_log(xp, chosen, powers, factor)
    return result


# -- logs of sums -------------------------------------------------------------------------


def _log_of_sum(
    xp: Any,
    *xs: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    hi, lo = sum_pair(xp, xs, constant, coefficients, counts)
    total = np.asarray(hi + lo)
    result = np.log(total)
    near = (total > 0.5) & (total < 2.0)
    result = np.where(near, np.log1p(np.where(near, (hi - 1.0) + lo, 0.0)), result)
    lost = left_range(np, total)
    for x in xs:
        lost = lost & np.isfinite(x)
    if not np.any(lost):
        return result
    chosen = [np.broadcast_to(x, total.shape)[lost] for x in xs]
    m, e = sum_in_parts(xp, chosen, constant, coefficients, counts)
    result = np.array(result)
    zero = 0.0 * m
    result[lost] = np.where(m == 0, np.log(m), log_in_parts(xp, (m, zero), e, (zero, zero)))
    return result


# -- other bases --------------------------------------------------------------------------

PER_NATURAL = {2: Fraction(1 / LN2), 10: Fraction(1 / LN10)}
"""By base: its logarithm of e."""
_SPLIT = {base: pairs.split(value) for base, value in PER_NATURAL.items()}
_NEXT = 2.3e-16
"""Relative: what the rounding of a natural logarithm may have taken off a whole number."""


def _log_by_base(xp: Any, y: Any, *, base: int) -> Any:
    high, low = _SPLIT[base]
    value = y * high
    if xp.name != "numpy":
        return value
    whole = np.rint(value)
    away = np.abs(value - whole)
    if not np.min(away, initial=np.inf) < 1e-12:  # few are
        return value
    near = away <= 2 * _NEXT * np.abs(whole)
    chosen, whole = np.asarray(y)[near], np.asarray(whole)[near]
    product, error = two_prod(chosen, np.float64(high))
    again = product + (error + chosen * low)
    again = np.where(np.abs(again - whole) <= _NEXT * np.abs(whole), whole, again)
    value = np.array(value)
    value[near] = np.where(np.isfinite(again), again, value[near])
    return value


LOG_OF_PRODUCT = declare(
    "log_of_product",
    family="lowered",
    params=("powers", "factor"),
    infer=_infer,
    kernel=_log_of_product,
    elementwise=True,
    source="log(m * 2**e) = log(m) + e*log(2), the product of mantissas as a pair",
    doc="The log of a product of powers.",
)

LOG_OF_SUM = declare(
    "log_of_sum",
    family="lowered",
    params=("constant", "coefficients", "counts"),
    infer=_infer,
    kernel=_log_of_sum,
    elementwise=True,
    source="log(m * 2**e) = log(m) + e*log(2), the sum as a pair",
    doc="The log of a sum of multiples and products.",
)

LOG_BY_BASE = declare(
    "log_by_base",
    family="lowered",
    params=("base",),
    infer=_infer,
    kernel=_log_by_base,
    elementwise=True,
    source="log(x)/log(b), whole where x is a power of b, as floor and ceil need it",
    doc="A natural logarithm brought to base 2 or 10.",
)
