"""Float formats in which kernels are evaluated, and the numbers that keep them in range."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

LOG_2 = Fraction("0.69314718055994530941723212145817656808")


@dataclass(frozen=True, slots=True)
class Format:
    """What a kernel, and its proof, have to know of the arithmetic that it runs in.

    Attributes:
        name: NumPy's name of the dtype.
        integer: that of the integers of its width.
        fraction: bits of the fraction.
        bias: what exponents are stored with.
        tolerance: relative error that a polynomial may have; evaluating it costs more.
        degree: the greatest degree of a polynomial.
        small, great: values between which a polynomial is evaluated in its own size.
        lift: the binary logarithm of what brings others there, and great exponentials.
        moderate: the greatest first coefficient, and the inverse of the least, of a form that has
            powers of z on top.
        shift: the binary logarithm of what brings z to the middle; whole in halves and thirds.
        extreme: exponents beyond which exp is taken 2**lift times nearer to 1.
    """

    name: str
    integer: str
    fraction: int
    bias: int
    tolerance: float
    degree: int
    small: float
    great: float
    lift: int
    moderate: float
    shift: int
    extreme: float

    @property
    def unit(self) -> float:
        """Half an ulp of 1."""
        return 2.0 ** -(self.fraction + 1)

    @property
    def smallest(self) -> int:
        """The binary logarithm of the least positive float; no float reaches its inverse."""
        return 1 - self.bias - self.fraction

    @property
    def split(self) -> float:
        """Dekker's factor."""
        return 2.0 ** ((self.fraction + 2) // 2) + 1

    @property
    def log_lift(self) -> tuple[float, float]:
        """lift * log(2) in two floats."""
        exact = self.lift * LOG_2
        hi = self.rounded(float(exact))
        return hi, self.rounded(float(exact - Fraction(hi)))

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.name)

    def rounded(self, x: float) -> float:
        """A float64 as a number of this format; inf where it is too great."""
        with np.errstate(over="ignore", under="ignore"):
            return float(self.dtype.type(x))


FLOAT64 = Format(
    name="float64",
    integer="int64",
    fraction=52,
    bias=1023,
    tolerance=2.0**-56.5,
    degree=13,
    small=2.0**-900,
    great=2.0**1000,
    lift=600,
    moderate=2.0**500,
    shift=510,
    extreme=600.0,
)
FLOAT32 = Format(
    name="float32",
    integer="int32",
    fraction=23,
    bias=127,
    tolerance=2.0**-27.5,
    degree=7,
    small=2.0**-90,
    great=2.0**110,
    lift=80,
    moderate=2.0**60,
    shift=66,
    extreme=64.0,
)
FORMATS = {f.name: f for f in (FLOAT64, FLOAT32)}
