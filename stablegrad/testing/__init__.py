"""Tools to test ops with: floats sampled by bit pattern, and ``check_op`` against the truth.

The contract test of this library runs ``check_op`` over every record; authors of new ops run it
on theirs.
"""

from stablegrad.testing.ops import (
    SEED,
    Cell,
    Failure,
    OpReport,
    check_op,
    derivative_term,
    differentiable,
    leaf,
    variable,
)
from stablegrad.testing.sampling import sample_arguments, sample_bits, special_points

__all__ = [
    "SEED",
    "Cell",
    "Failure",
    "OpReport",
    "check_op",
    "derivative_term",
    "differentiable",
    "leaf",
    "sample_arguments",
    "sample_bits",
    "special_points",
    "variable",
]
