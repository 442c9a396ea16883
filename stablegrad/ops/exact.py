"""Exact constants: rational numbers, and the floats that are none."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from stablegrad.ops.dtypes import converted

BITS = 128  # constants are exact up to this many significant bits
LONG = 110
"""Bits from which on a numerator can be no float's, nor the product of two."""


class Ratio(Fraction):
    """A fraction that keeps its hash: terms are found by their numbers, again and again."""

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is int:  # this is no whole number
            return False
        return Fraction.__eq__(self, other)

    def __repr__(self) -> str:  # what it is to a reader, and in source that is written out
        return f"Fraction({self.numerator}, {self.denominator})"

    def __reduce__(self) -> Any:
        return interned, (Fraction(self.numerator, self.denominator),)


_ratios: dict[tuple[int, int], Ratio] = {}
_KEPT = 1 << 14


def interned(value: Fraction) -> Ratio:
    """A fraction that is no whole number, mostly the same object for the same value."""
    if type(value) is Ratio:
        return value
    key = value.numerator, value.denominator
    known = _ratios.get(key)
    if known is None:
        known = Ratio(value)
        known._hash = hash(value)  # noqa: SLF001 - its own
        if len(_ratios) >= _KEPT:
            _ratios.clear()
        _ratios[key] = known
    return known


Rational = int | Fraction
Exact = int | Fraction | str
"""An exact constant: a rational number, or one of "inf", "-inf", "nan", "-0"."""


def exact(value: Any) -> Exact:
    """The exact value of a number, -0 and the non-finite values as strings."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | np.integer | np.bool_):
        return int(value)
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else interned(value)
    number = float(value)
    if math.isnan(number):
        return "nan"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if number == 0:
        return "-0" if math.copysign(1.0, number) < 0 else 0
    ratio = Fraction(number)
    return int(ratio) if ratio.denominator == 1 else interned(ratio)


def to_float(value: Exact) -> float:
    """The float64 nearest to an exact constant."""
    if isinstance(value, str):
        return -0.0 if value == "-0" else float(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def round_to(value: Exact, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The value of ``dtype`` nearest to an exact constant, rounded once (half to even)."""
    dtype = np.dtype(dtype)
    if dtype.kind in "biu":
        return np.array(value, dtype)
    near = to_float(value)
    if dtype == np.float64 or isinstance(value, str):
        return np.array(near, dtype)
    narrow = converted(np.array(near), dtype)
    if not np.isfinite(narrow) or Fraction(near) == value:
        return narrow
    # float64 may sit on the midpoint between two narrow floats where the exact value does not
    up, down = (np.nextafter(narrow, dtype.type(d), dtype=dtype) for d in (math.inf, -math.inf))
    candidates = [c for c in (narrow, up, down) if np.isfinite(c)]
    return np.array(min(candidates, key=lambda c: abs(Fraction(float(c)) - value)), dtype)


def exact_ratio(value: Rational) -> Rational:
    """An integer where it is one; rounded to ``BITS`` significant bits where it is longer."""
    kind = type(value)
    if kind is int or kind is Ratio:
        return value
    if isinstance(value, int):
        return value
    top, bottom = value.numerator, value.denominator
    if bottom == 1:
        return top
    if top.bit_length() <= BITS and bottom.bit_length() <= BITS:
        return interned(value)
    twos = bottom & -bottom
    if top.bit_length() <= BITS and (bottom // twos).bit_length() <= BITS:
        return interned(value)
    unit = Fraction(2) ** (top.bit_length() - bottom.bit_length() - BITS)
    short = round(value / unit) * unit
    return int(short) if short.denominator == 1 else interned(short)


def prod(a: Rational, b: Rational) -> Rational:
    """``a * b`` exactly."""
    if type(a) is int:
        if a == 1:
            return b
        if type(b) is int:
            return a * b
    elif type(b) is int and b == 1:
        return a
    return _prod(a, b)


@lru_cache(maxsize=1 << 14)
def _prod(a: Rational, b: Rational) -> Rational:
    return exact_ratio(a * b)


def ratio(a: Rational, b: Rational) -> Rational:
    """``a / b`` exactly."""
    if b == 1:
        return a
    if b == -1:
        return exact_ratio(-a)
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    return exact_ratio(Fraction(a) / Fraction(b))


def times(a: Exact, b: Exact) -> Exact:
    """The product of two exact constants, following IEEE where one is not a number."""
    if isinstance(a, str) or isinstance(b, str):
        return _special(to_float(a) * to_float(b))
    return prod(a, b)


def plus(a: Exact, b: Exact) -> Exact:
    """The sum of two exact constants, following IEEE where one is not a number."""
    if isinstance(a, str) or isinstance(b, str):
        if a == "-0":
            return b
        if b == "-0":
            return a
        return _special(to_float(a) + to_float(b))
    return added(a, b)


def added(a: Rational, b: Rational) -> Rational:
    """``a + b`` exactly; 0 where the rounding of two constants that have no exact ratio is left."""
    value = exact_ratio(a + b)
    if not value or type(a) is int or type(b) is int:
        return value
    if a.numerator.bit_length() < LONG or b.numerator.bit_length() < LONG:
        return value
    return 0 if abs(value) < abs(a) * _ROUNDING else value


_ROUNDING = Fraction(1, 1 << (BITS - 8))


def _special(value: float) -> Exact:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return "-0" if value == 0 and math.copysign(1, value) < 0 else exact_ratio(Fraction(value))


def rational_power(base: Rational, power: Rational) -> Rational | None:
    """``base ** power`` where that is an exact rational, else None."""
    if isinstance(power, int):
        if power == 1:
            return base
        if base == 0 and power < 0:
            return None
        bits = abs(power) * max(base.numerator.bit_length(), base.denominator.bit_length())
        return exact_ratio(Fraction(base) ** power) if bits <= 4096 else None
    if base < 0 or power.denominator != 2:
        return None
    top, bottom = math.isqrt(base.numerator), math.isqrt(base.denominator)
    if top * top != base.numerator or bottom * bottom != base.denominator or bottom == 0:
        return None
    return rational_power(exact_ratio(Fraction(top, bottom)), power.numerator)
