"""Truth: ball arithmetic at rising precision. The only package that imports flint.

Its precision is global to the process; it is set in ``precision.py`` alone, and restored.
"""

from stablegrad.oracle.rounding import Status, Undecided, Undefined
from stablegrad.oracle.truth import Truth, derivative, gradient, gradient_by_series, mixed, truth

__all__ = [
    "Status",
    "Truth",
    "Undecided",
    "Undefined",
    "derivative",
    "gradient",
    "gradient_by_series",
    "mixed",
    "truth",
]
