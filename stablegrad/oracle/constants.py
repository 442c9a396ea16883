"""Rational constants as balls; those that stand for an irrational number as that number.

Ops keep the constants of their partials to 128 bits. Where terms cancel, what is left would be the
rounding of such a constant: so its digits are known again here, times a short rational.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import flint
from flint import arb

from stablegrad.ops.exact import LONG
from stablegrad.oracle.precision import precision

IRRATIONAL: dict[str, Callable[[], Any]] = {
    "1/sqrt(pi)": lambda: 1 / arb.pi().sqrt(),
    "1/sqrt(2 pi)": lambda: 1 / (2 * arb.pi()).sqrt(),
    "sqrt(pi)": lambda: arb.pi().sqrt(),
    "sqrt(2 pi)": lambda: arb(2).sqrt() * arb.pi().sqrt(),
    "pi": arb.pi,
    "1/pi": lambda: 1 / arb.pi(),
    "log(2)": lambda: arb(2).log(),
    "1/log(2)": lambda: 1 / arb(2).log(),
    "log(10)": lambda: arb(10).log(),
    "1/log(10)": lambda: 1 / arb(10).log(),
}
ROOT = "sqrt"
"""The root of a factor, in place of a name."""
FACTOR_BITS = 60
NEAR = 2.0**-122
SIMPLE = 10_000


def as_arb(x: Any) -> Any:
    """An int, float or Fraction as a ball."""
    if not isinstance(x, Fraction):
        return arb(x)
    if x.numerator.bit_length() >= LONG:
        found = known(x)
        if found is not None:
            name, factor = found
            return (
                _exactly(factor).sqrt() if name == ROOT else IRRATIONAL[name]() * _exactly(factor)
            )
    return _exactly(x)


def _exactly(x: Fraction) -> Any:
    return arb(flint.fmpq(x.numerator, x.denominator))


@lru_cache(maxsize=1024)
def known(x: Fraction) -> tuple[str, Fraction] | None:
    """(name, factor) of an irrational number that x is 128 bits of, times a short rational."""
    top = x.numerator
    if (top // (top & -top)).bit_length() < LONG:
        return None
    scale = Fraction(2) ** (x.denominator.bit_length() - top.bit_length())
    with precision(300):
        for name, number in IRRATIONAL.items():
            mantissa, exponent = (_exactly(x * scale) / number()).mid().man_exp()
            near = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
            factor = _short(near)
            if factor is not None:
                return name, factor / scale
    square = _short((x * scale) ** 2) if x > 0 else None
    return None if square is None or _is_square(square) else (ROOT, square / scale**2)


def _is_square(x: Fraction) -> bool:
    return all(math.isqrt(n) ** 2 == n for n in (x.numerator, x.denominator))


def _short(near: Fraction) -> Fraction | None:
    """The short rational that a number is 122 bits of."""
    shift = Fraction(2) ** FACTOR_BITS
    for factor in (round(near * shift) / shift, near.limit_denominator(SIMPLE)):
        if factor and abs(near / factor - 1) < NEAR:
            return Fraction(factor)
    return None


@lru_cache(maxsize=1024)
def completed(x: Fraction) -> Fraction:
    """128 bits of an irrational number times a short rational that x is 90 bits of, or x."""
    with precision(300):
        for number in IRRATIONAL.values():
            ratio = _exactly(x) / number()
            factor = Fraction(float(ratio.mid())).limit_denominator(SIMPLE)
            if not factor or abs(factor.numerator) > SIMPLE:
                continue
            if abs(ratio / _exactly(factor) - 1) < arb(2) ** -85:
                with precision(128):
                    mantissa, exponent = (number() * _exactly(factor)).mid().man_exp()
                return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return x
