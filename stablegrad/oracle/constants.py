"""Rational constants as balls; those that stand for an irrational number as that number.

Ops keep the constants of their partials to 128 bits, and those of an error function in an error
function multiply. Where terms cancel, what is left would be the
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

WHOLE = "1"
"""The square of a root, of twice as many digits, is a short rational again."""
IRRATIONAL: dict[str, Callable[[], Any]] = {
    WHOLE: lambda: arb(1),
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
    "1/pi**1.5": lambda: 1 / arb.pi() ** arb(1.5),
    "1/(2 pi)**1.5": lambda: 1 / (2 * arb.pi()) ** arb(1.5),
    "1/pi**2": lambda: 1 / arb.pi() ** 2,
    "1/pi**2.5": lambda: 1 / arb.pi() ** arb(2.5),
    "1/(2 pi)**2.5": lambda: 1 / (2 * arb.pi()) ** arb(2.5),
    "1/pi**3": lambda: 1 / arb.pi() ** 3,
}
ROOTS = {"sqrt": 2, "fourth root": 4}
"""Roots of a factor, with its sign, in place of a name: hypot(x, x)**0.5 has the root of a root."""
FACTOR_BITS = 60
NEAR = 2.0**-122
NEAR_ENOUGH = 2.0**-85
SIMPLE = 10_000


def as_arb(x: Any) -> Any:
    """An int, float or Fraction as a ball."""
    if not isinstance(x, Fraction):
        return arb(x)
    if x.numerator.bit_length() >= LONG:
        found = _sum(x)
        if found is not None:
            name, factor, whole = found
            if name in ROOTS:
                number = _signed_root(factor, ROOTS[name])
            else:
                number = IRRATIONAL[name]() * _exactly(factor)
            return number + _exactly(Fraction(whole)) if whole else number
    if _length(x.denominator) >= LONG > _length(x.numerator):  # that of one divided by
        return 1 / as_arb(1 / x)
    return _exactly(x)


def _length(x: int) -> int:
    """The bits of a number without the zeros at its end."""
    return (x // (x & -x)).bit_length() if x else 0


def _exactly(x: Fraction) -> Any:
    return arb(flint.fmpq(x.numerator, x.denominator))


def _signed_root(power: Fraction, degree: int) -> Any:
    root = _exactly(abs(power)).root(degree)
    return root if power > 0 else -root


@lru_cache(maxsize=1024)
def _sum(x: Fraction) -> tuple[str, Fraction, Fraction | int] | None:
    """(name, factor, n) of an irrational number, times a short rational, plus half an integer."""
    found = known(x)
    if found is not None:
        return (*found, 0)
    for whole in BESIDE if _SMALL < abs(x) < 1 / _SMALL else ():
        # of one size with x, so that as many of its bits are looked at
        if abs(x) <= 8 * abs(x - whole) <= 32 * abs(x):
            found = known(x - whole)
            if found is not None and found[0] != WHOLE:
                return (*found, whole)
    return None


_SMALL = Fraction(1, 16)
_BESIDE = (*range(1, 9), Fraction(1, 2), Fraction(3, 2))
BESIDE = tuple([sign * n for n in _BESIDE for sign in (1, -1)])
"""What stands beside a logarithm: 2 + log(2), log(2) - 1/2."""


@lru_cache(maxsize=1024)
def known(x: Fraction) -> tuple[str, Fraction] | None:
    """(name, factor) of an irrational number that x is 128 bits of, times a short rational."""
    top = x.numerator
    length = _length(top)
    if length < LONG:
        return None
    scale = Fraction(2) ** (x.denominator.bit_length() - top.bit_length())
    with precision(300):
        for name, number in IRRATIONAL.items():
            mantissa, exponent = (_exactly(x * scale) / number()).mid().man_exp()
            near = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
            factor = _short(near) if name != WHOLE or length >= 2 * LONG else None
            if factor is not None:
                return name, factor / scale
    for name, degree in ROOTS.items():
        power = _short((x * scale) ** degree)
        if power is not None and not _is_square(power):
            return name, (power if x > 0 else -power) / scale**degree
    return None


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
    """128 bits of an irrational number times a short rational that x is 90 bits of, or x.

    Or of the root of a short rational: sin(sqrt(2)*x) takes all digits of it.
    """
    with precision(300):
        for name, number in IRRATIONAL.items():
            if name == WHOLE or abs(x) > SIMPLE * SIMPLE:  # exp(1e-30) is not 1
                continue
            ratio = _exactly(x) / number()
            factor = Fraction(float(ratio.mid())).limit_denominator(SIMPLE)
            if not factor or abs(factor.numerator) > SIMPLE:
                continue
            if abs(ratio / _exactly(factor) - 1) < NEAR_ENOUGH:
                return _digits(lambda factor=factor, number=number: number() * _exactly(factor))
        for degree in ROOTS.values():
            power = (x**degree).limit_denominator(SIMPLE)
            if not power or power.numerator > SIMPLE or _is_square(power):
                continue
            if abs(x**degree - power) <= power * NEAR_ENOUGH:
                signed = power if x > 0 else -power
                return _digits(lambda p=signed, d=degree: _signed_root(p, d))
    return x


def _digits(number: Callable[[], Any]) -> Fraction:
    """128 bits of a number."""
    with precision(128):
        mantissa, exponent = number().mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
