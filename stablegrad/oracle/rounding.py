"""From balls to floats: correct rounding, or the verdict that a ball is still too wide."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from flint import arb

from stablegrad.oracle.ball import NEGATIVE_ZERO, NOT_KNOWN, Ball

Array = np.ndarray[Any, Any]


class Status(IntEnum):
    """What is known of an element of the truth."""

    DECIDED = 0
    """The float is the true value, correctly rounded."""
    LIMIT = 1
    """The point itself has no value; several points ever closer to it round to this float."""
    UNDEFINED = 2
    """Proved to have no value: nan."""
    UNDECIDED = 3
    """The budget of precision ran out: nan, and no claim."""


Undefined = Status.UNDEFINED
Undecided = Status.UNDECIDED


@cache
def two_to(exponent: int) -> Any:
    """A power of two as an exact ball."""
    return arb(2) ** exponent


@cache
def float_format(dtype: Any) -> tuple[int, int, int]:
    """(bits of precision, exponent of the smallest subnormal, exponent past the largest)."""
    info = ml_dtypes.finfo(dtype)
    precision = info.nmant + 1
    return precision, int(info.minexp) - info.nmant, int(info.maxexp)


def round_exact(value: Fraction, dtype: Any) -> float:
    """The value of a dtype nearest to a rational (half to even), as a float64."""
    precision, lowest, past = float_format(np.dtype(dtype))
    if value == 0:
        return 0.0
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - precision + 1, lowest)
    rounded = round(size / unit) * unit
    result = float("inf") if rounded >= Fraction(2) ** past else float(rounded)
    return result if value > 0 else -result


def fraction_of(value: Any) -> Fraction:
    """The exact rational that an arb endpoint is."""
    mantissa, exponent = value.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _round_ends(wide: Array, ends: Sequence[Any], dtype: Any) -> Array:
    """Ends of balls, and the float64s nearest to them, rounded to a dtype (as float64s)."""
    if dtype == np.float64:
        return wide
    if dtype == np.float32:
        with np.errstate(all="ignore"):
            # only float64s halfway between two float32s depend on what was rounded off
            below = np.nextafter(wide, -np.inf).astype(np.float32)
            above = np.nextafter(wide, np.inf).astype(np.float32)
            out = wide.astype(np.float32).astype(np.float64)
        unsure = (below != above) & np.isfinite(wide)
    else:
        out, unsure = wide.copy(), np.isfinite(wide)
    for i in np.flatnonzero(unsure).tolist():
        size = abs(wide[i])
        # far below every float of a narrow dtype; the fraction would be long
        out[i] = 0.0 * wide[i] if size < 1e-300 else round_exact(fraction_of(ends[i]), dtype)
    return out


def ulp_exponents(values: Array, dtype: Any) -> Array:
    """Exponents e such that 2**e is one ulp of a value: of its own binade, at least subnormal."""
    precision, lowest, past = float_format(np.dtype(dtype))
    size = np.abs(np.asarray(values, np.float64))
    _, exponents = np.frexp(np.where(np.isfinite(size), size, 0.0))
    exponents = np.where(np.isinf(size), past, exponents)
    return np.where(size == 0, lowest, np.maximum(exponents - precision, lowest))


def round_balls(balls: Sequence[Ball], dtype: Any) -> tuple[Array, Array, Array]:
    """Round many balls.

    Returns:
        The floats; the status of each; and the offset of the true value from its float, in
        ulp (between -1/2 and 1/2), so that errors can be told to a fraction of an ulp.
    """
    dtype = np.dtype(dtype)
    n = len(balls)
    values, status = np.full(n, np.nan), np.empty(n, np.int8)
    lows: list[Any] = []
    highs: list[Any] = []
    finite: list[int] = []
    for i, b in enumerate(balls):
        c = b.c[0]
        if not c.is_finite():
            values[i], status[i] = _not_finite(b)
            continue
        finite.append(i)
        if c.is_exact():
            lows.append(c)
            highs.append(c)
        else:
            lows.append(c.lower())
            highs.append(c.upper())
    low = _round_ends(np.array([float(c) for c in lows]), lows, dtype)
    high = _round_ends(np.array([float(c) for c in highs]), highs, dtype)
    same = low == high
    places = np.array(finite, np.intp)
    values[places] = np.where(same, high, np.nan)
    status[places] = np.where(same, Status.DECIDED, Status.UNDECIDED)
    for i in places[same & (high == 0)].tolist():
        if balls[i].c[0].is_exact() and balls[i].flags & NEGATIVE_ZERO:
            values[i] = -0.0
    return values.astype(dtype), status, _offsets(balls, values, dtype)


def _not_finite(ball: Ball) -> tuple[float, Status]:
    """The float of a ball that is no finite number, if there is one."""
    value = ball.c[0]
    if ball.flags & NOT_KNOWN:
        return float("nan"), Status.UNDECIDED
    if value.is_nan():
        return float("nan"), Status.UNDEFINED
    if value.is_exact():
        return float(value), Status.DECIDED
    return float("nan"), Status.UNDECIDED


def _offsets(balls: Sequence[Ball], values: Array, dtype: Any) -> Array:
    exponents = ulp_exponents(values, dtype).tolist()
    offset = np.zeros(len(balls))
    for i in np.flatnonzero(np.isfinite(values)).tolist():
        c = balls[i].c[0]
        if c.is_exact() and c == values[i]:
            continue
        offset[i] = float((c - arb(values[i])) * two_to(-exponents[i]))
    return offset


def round_ball(ball: Ball, dtype: Any) -> tuple[float, Status]:
    """The float that a ball rounds to, if it rounds to one."""
    values, status, _ = round_balls([ball], dtype)
    return float(values[0]), Status(int(status[0]))
