"""Arguments for the ops of linear algebra under the contract (``test_contract.CASES``)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS
from stablegrad.ops.spectral import X


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


A = array(3, 3) + 4 * np.eye(3)
DEFINITE = np.stack([x @ x.T + np.eye(3) for x in array(2, 3, 3, seed=1)])
SINGULAR = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 1.0, 5.0]])
RANK_ONE = np.outer([1.0, -2.0, 0.5], [3.0, 1.0, 4.0])
TALL, WIDE = array(4, 2, seed=4), array(2, 3, seed=5)
CLUSTER = np.diag([1.0, 1.0 + 1e-9, 1.001, 3.0])
E4 = array(4, 4, seed=7)
E, F = array(3, 3, seed=2), array(3, 3, seed=3)

CASES: dict[str, list[tuple[list[Any], dict[str, Any]]]] = {
    "triangle": [([A], {}), ([array(3, 4)], {"upper": True, "diagonal": Fraction(1, 2)})],
    "solve": [([A, array(3, 2)], {}), ([A, array(2, 3, 1)], {})],
    "triangular_solve": [([A, array(3, 2)], {}), ([A, array(3, 2)], {"upper": True, "unit": True})],
    "inv": [([A], {}), ([DEFINITE], {})],
    "cholesky": [([DEFINITE], {})],
    "det": [([A], {}), ([SINGULAR], {}), ([RANK_ONE], {}), ([DEFINITE], {})],
    "cofactors": [
        ([A], {}),
        ([SINGULAR], {}),
        ([RANK_ONE], {}),
        ([A, E], {}),
        ([SINGULAR, E], {}),
        ([RANK_ONE, E], {}),
        ([np.zeros((3, 3)), E], {}),
        ([RANK_ONE, E, F], {}),
    ],
    "eigvalsh": [([A], {}), ([DEFINITE], {})],
    "eigenvectors": [([A], {}), ([DEFINITE], {})],
    "eigen_diagonal": [([A, E], {})],
    "svdvals": [([A], {}), ([WIDE], {}), ([np.stack([TALL, -TALL])], {})],
    "left_vectors": [([A], {}), ([WIDE], {}), ([TALL], {})],
    "right_vectors": [([A], {}), ([WIDE], {}), ([TALL], {})],
    "singular_diagonal": [([TALL, array(4, 2, seed=6)], {})],
    "pinv": [([A], {}), ([WIDE], {}), ([TALL], {})],
    "missing_axes": [([np.linalg.qr(TALL)[0]], {}), ([np.linalg.qr(A)[0]], {})],
    "orthonormal": [([A], {}), ([TALL], {})],
    "upper_factor": [([A], {}), ([TALL], {})],
    "expm": [  # of norm about 1: for larger ones the bound grows, see test_linalg
        ([A / 8], {}),
        ([np.stack([E, F]) / 4], {}),
        ([E4 / 4, E4.T], {}),
        ([np.zeros((3, 3)), E], {}),
        ([A / 8, E, F], {}),
    ],
    "matrix_function": [
        ([A], {"function": OPS["sin"](X)}),
        ([DEFINITE], {"function": OPS["log"](X)}),
        ([np.eye(3), E], {"function": OPS["exp"](X)}),
        ([CLUSTER, E4], {"function": OPS["exp"](X) / X}),
        ([np.eye(3), E, F], {"function": OPS["exp"](X)}),
        ([CLUSTER, E4, E4], {"function": OPS["sqrt"](X)}),
    ],
    "sign_of_det": [([A], {})],
    "logabsdet": [([A], {}), ([DEFINITE], {})],
}
