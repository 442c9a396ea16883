"""Scales of germs: ``exp(r(1/w)) * w**-f * log(z)**k``, and how they multiply."""

from __future__ import annotations

import math
from fractions import Fraction

from stablegrad.oracle.laurent import Laurent


class Rate(tuple[Fraction, ...]):  # noqa: SLOT001 - which it cannot have
    """Coefficients of an exponent; their hash, which takes divisions, is computed once."""

    hashed: int | None = None

    def __hash__(self) -> int:
        if self.hashed is None:
            self.hashed = super().__hash__()
        return self.hashed


Key = tuple[Rate, int]
HIGHEST = 4
"""The greatest power of 1/w in the exponent of a scale."""
FLAT = Rate([Fraction(0)] * (HIGHEST + 1))
"""No exponential: coefficients of the powers HIGHEST to 1 of 1/w, and last the fraction f of a
power w**-f, 0 <= f < 1, that goes with the scale."""
ONE: Key = (FLAT, 0)


def relative(a: Rate, b: Rate) -> Rate:
    """The scale a over the scale b; its last entry may be any fraction."""
    return a if b is FLAT else Rate([x - y for x, y in zip(a, b, strict=True)])


def put(parts: dict[Key, Laurent], a: Rate, b: Rate, sign: int, k: int, x: Laurent) -> None:
    """Add ``x`` at the product (or quotient) of two scales, its fraction between 0 and 1."""
    if b is FLAT or (a is FLAT and sign == 1):  # nearly always
        key = (a if b is FLAT else b, k)
    else:
        rate = [r + sign * s for r, s in zip(a, b, strict=True)]
        whole = math.floor(rate[HIGHEST])
        rate[HIGHEST] -= whole
        key = (Rate(rate) if any(rate) else FLAT, k)
        x = x.shifted(-whole)
    parts[key] = parts[key] + x if key in parts else x
