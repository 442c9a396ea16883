"""Errors against the truth: in ulp of the correctly rounded result, in bits, and in words."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.oracle.ball import Ball
from stablegrad.oracle.problem import Truth
from stablegrad.oracle.rounding import (
    Status,
    float_format,
    round_balls,
    round_exact,
    ulp_exponents,
)

Array = np.ndarray[Any, Any]

RIGHT_ULP = 64.0
SHARP_ULP = 4.0
WRONG_RELATIVE = 1e-3


def as_truth(true: Truth | Ball | Fraction | float, dtype: Any) -> Truth:
    """A truth from anything that is one: a ball or an exact number."""
    if isinstance(true, Truth):
        return true
    if isinstance(true, Ball):
        values, status, offset = round_balls([true], dtype)
    else:
        number = Fraction(true)
        values = np.array([round_exact(number, dtype)])
        status = np.array([Status.DECIDED], np.int8)
        offset = np.zeros(1)
        if np.isfinite(values[0]):
            unit = Fraction(2) ** int(ulp_exponents(values, dtype)[0])
            offset[0] = float((number - Fraction(float(values[0]))) / unit)
    return Truth(values[0], status[0], offset[0], 0)


def err_ulp(got: Any, true: Truth | Ball | Fraction | float, dtype: Any = None) -> Array:
    """The distance of results from the truth in ulp of the correctly rounded result.

    Args:
        got: results, an array or a number.
        true: the truth: a ``Truth`` of the same shape, a ball, or an exact number.
        dtype: the dtype whose ulp counts; that of ``got`` by default. The ulp of a subnormal
            truth is the smallest subnormal.

    Returns:
        float64 errors. An infinity counts as the first number past the largest float. Where the
        truth is undefined, nan is right (0) and all else wrong (inf); a nan where there is a
        truth is wrong (inf); where the truth is undecided the error is nan.

    Example:
        >>> from fractions import Fraction
        >>> import numpy as np
        >>> float(err_ulp(np.float32(0.1), Fraction(1, 10))) < 0.5
        True
    """
    got = np.asarray(got)
    dtype = np.dtype(got.dtype if dtype is None else dtype)
    truth = as_truth(true, dtype)
    exponents = ulp_exponents(truth.value, dtype)
    past = float_format(dtype)[2]
    # halves, so that infinity as the number past the largest float64 stays a float64
    g, t = _halved(got, past), _halved(truth.value, past)
    with np.errstate(all="ignore"):
        error = np.abs(np.ldexp(g - t, 1 - exponents) - truth.offset)
        error = np.where(np.isnan(got), np.inf, error)
        error = np.where((got == truth.value) & np.isinf(got), 0.0, error)
    error = np.where(truth.status == Status.UNDEFINED, np.where(np.isnan(got), 0.0, np.inf), error)
    return np.where(truth.status == Status.UNDECIDED, np.nan, error)


def _halved(x: Any, past: int) -> Array:
    wide = np.asarray(x, np.float64)
    return np.where(np.isinf(wide), np.copysign(2.0 ** (past - 1), wide), wide / 2)


def bits_lost(error_ulp: Any) -> Array:
    """Errors in ulp as bits: log2, and 0 for an error of at most one ulp."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log2(np.asarray(error_ulp, np.float64)), 0.0)


def classify(got: Any, true: Truth | Ball | Fraction | float, dtype: Any = None) -> Array:
    """Each result in a word.

    * ``sharp``: within 4 ulp; ``right``: within 64 ulp;
    * ``wrong``: nan, inf or zero that the truth is not, or off by more than 1e-3;
    * ``lossy``: between; ``undecided``: the truth is not known;
    * ``underflows``: the truth is below the smallest normal float and the result within two
      smallest normals of 0.

    Returns:
        An array of these words.
    """
    got = np.asarray(got)
    dtype = np.dtype(got.dtype if dtype is None else dtype)
    truth = as_truth(true, dtype)
    error = err_ulp(got, truth, dtype)
    value = np.asarray(truth.value, np.float64)
    wide = np.asarray(got, np.float64)
    precision, lowest, _ = float_format(dtype)
    tiny = 2.0 ** (lowest + precision - 1)
    with np.errstate(all="ignore"):
        off = np.abs(wide - value) > WRONG_RELATIVE * np.abs(value)
        false_zero = (wide == 0) & (value != 0)
        false_special = ~np.isfinite(wide) & (wide != value)
    words = np.full(np.broadcast_shapes(got.shape, value.shape), "lossy", dtype="<U10")
    words = np.where(off | false_zero | false_special, "wrong", words)
    words = np.where((error <= RIGHT_ULP) & ~false_zero & ~false_special, "right", words)
    words = np.where((error <= SHARP_ULP) & ~false_zero & ~false_special, "sharp", words)
    small = (np.abs(value) < tiny) & (np.abs(wide) <= 2 * tiny) & ((value != 0) | (wide != 0))
    words = np.where(small & np.isfinite(wide), "underflows", words)
    words = np.where(
        truth.status == Status.UNDEFINED, np.where(np.isnan(wide), "sharp", "wrong"), words
    )
    return np.where(truth.status == Status.UNDECIDED, "undecided", words)
