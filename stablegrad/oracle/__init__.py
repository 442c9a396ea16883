"""Truth: ball arithmetic at rising precision. The only package that imports flint.

Its precision is global to the process; it is set in ``precision.py`` alone, and restored.
"""

from stablegrad.oracle.errors import bits_lost, classify, err_ulp
from stablegrad.oracle.rounding import Status, Undecided, Undefined
from stablegrad.oracle.truth import (
    Truth,
    derivative,
    gradient,
    gradient_by_series,
    mixed,
    taylor,
    truth,
)

__all__ = [
    "Status",
    "Truth",
    "Undecided",
    "Undefined",
    "bits_lost",
    "classify",
    "derivative",
    "err_ulp",
    "gradient",
    "gradient_by_series",
    "mixed",
    "taylor",
    "truth",
]
