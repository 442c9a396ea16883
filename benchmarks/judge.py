"""Judging a result by the truth: right within 64 ulp, sharp within 4.

Where the truth is a normal float of the case's dtype, the error is in ulp of it. Where it is
zero, infinite, undefined or subnormal, the result must be the same, or a subnormal within four
spacings of the nearest. A zero among the elements of a vector is measured against the largest
true element.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad import oracle
from stablegrad.ir import Term

RIGHT_ULP = 64
SHARP_ULP = 4
WRONG = math.inf


def exact(text: Any) -> Fraction | float:
    """The number that 30 digits tell; inf and nan as floats."""
    value = float(text)
    return Fraction(Decimal(str(text))) if math.isfinite(value) or "e" in str(text) else value


def error_ulp(got: float, truth: Fraction | float, dtype: Any, scale: Fraction) -> float:
    """The error of one element in ulp; 0 where the truth is special and met, else infinite.

    Args:
        got: the element of the result.
        truth: its true value, with more digits than dtype has.
        dtype: the dtype of the case.
        scale: the greatest finite true element of the result.
    """
    limits = np.finfo(dtype)
    if isinstance(truth, float):
        same = math.isnan(got) if math.isnan(truth) else got == truth
        return 0.0 if same else WRONG
    greatest = Fraction(float(limits.max))
    if abs(truth) >= greatest + greatest * Fraction(float(limits.epsneg)) / 2:  # rounds to inf
        return 0.0 if math.isinf(got) and (got > 0) == (truth > 0) else WRONG
    if not math.isfinite(got):
        return WRONG
    if truth == 0 and scale > 0:
        unit = np.spacing(np.asarray(float(scale), dtype))
        return abs(got) / float(unit) if got else 0.0
    difference = abs(Fraction(got) - truth)
    if abs(truth) < Fraction(float(limits.tiny)):
        near = difference <= SHARP_ULP * Fraction(float(limits.smallest_subnormal))
        return 0.0 if near else WRONG
    ulp = Fraction(float(np.spacing(np.asarray(float(abs(truth)), dtype))))
    return float(difference / ulp)


def worst_ulp(got: Any, truth: Any, dtype: str) -> float:
    """The error of the worst element of a result."""
    values = [float(v) for v in np.ravel(np.asarray(got, np.float64))]
    truths = [exact(t) for t in np.ravel(np.asarray(truth, dtype=object))]
    if len(values) != len(truths):
        return WRONG
    finite = [abs(t) for t in truths if isinstance(t, Fraction)]
    scale = max(finite, default=Fraction(0))
    return max(error_ulp(v, t, dtype, scale) for v, t in zip(values, truths, strict=True))


def case_error(results: list[Any], case: Mapping[str, Any]) -> float:
    """The error of a case: of the worst element of the worst point."""
    worst = 0.0
    for got, truth in zip(results, case["right_30digits"], strict=True):
        pairs = [(got[k], truth[k]) for k in truth] if isinstance(truth, dict) else [(got, truth)]
        worst = max(worst, *[worst_ulp(g, t, case["dtype"]) for g, t in pairs])
    return worst


ASIDE = (-(2.0**-20), -(2.0**-40), 2.0**-40, 2.0**-20)
"""How far to both sides of a point a function is looked at, relative to the point."""


def level(root: Term, by: Term, bindings: Mapping[Term, Any], value: Any, **options: Any) -> Any:
    """Where a function is one finite number at a point and on both sides of it: its slope is 0.

    The oracle's series does not tell that of sqrt(hypot(y - y, 0)): a root has none at 0.

    Args:
        root: the program, of scalars.
        by: the input that is moved.
        bindings: the points.
        value: the true values there, nan where there is none.
        options: those of the oracle.
    """
    same = np.isfinite(value)
    x = np.asarray(bindings[by])
    for share in ASIDE if same.any() else ():
        beside = oracle.truth(root, {**bindings, by: x + share * np.where(x == 0, 1, x)}, **options)
        same = same & beside.decided & (beside.value == value)
    return same
