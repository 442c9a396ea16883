"""Tools to test with: ``assert_stable``, ``check_op``, and floats sampled by bit pattern.

``assert_stable`` audits a function and its gradients; pytest has it as a fixture.

The contract test of this library runs ``check_op`` over every record; authors of new ops run it
on theirs.
"""

from stablegrad.testing.ops import (
    SEED,
    Failure,
    OpReport,
    check_op,
    derivative_term,
    differentiable,
    leaf,
    variable,
)
from stablegrad.testing.sampling import sample_arguments, sample_bits, special_points
from stablegrad.testing.stable import assert_stable

__all__ = [
    "SEED",
    "Failure",
    "OpReport",
    "assert_stable",
    "check_op",
    "derivative_term",
    "differentiable",
    "leaf",
    "sample_arguments",
    "sample_bits",
    "special_points",
    "variable",
]
