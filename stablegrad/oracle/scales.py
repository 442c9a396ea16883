"""Scales of germs: ``exp(r(1/w)) * w**-f * log(z)**k``, and how they multiply."""

from __future__ import annotations

import math
from fractions import Fraction

from stablegrad.oracle.laurent import Laurent

Rate = tuple[Fraction, ...]
Key = tuple[Rate, int]
HIGHEST = 4
"""The greatest power of 1/w in the exponent of a scale."""
FLAT: Rate = (Fraction(0),) * (HIGHEST + 1)
"""No exponential: coefficients of the powers HIGHEST to 1 of 1/w, and last the fraction f of a
power w**-f, 0 <= f < 1, that goes with the scale."""
ONE: Key = (FLAT, 0)


def relative(a: Rate, b: Rate) -> Rate:
    """The scale a over the scale b; its last entry may be any fraction."""
    return tuple([x - y for x, y in zip(a, b, strict=True)])


def put(parts: dict[Key, Laurent], a: Rate, b: Rate, sign: int, k: int, x: Laurent) -> None:
    """Add ``x`` at the product (or quotient) of two scales, its fraction between 0 and 1."""
    rate = [r + sign * s for r, s in zip(a, b, strict=True)]
    whole = math.floor(rate[HIGHEST])
    rate[HIGHEST] -= whole
    key = (tuple(rate), k)
    x = x.shifted(-whole)
    parts[key] = parts[key] + x if key in parts else x
