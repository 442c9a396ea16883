"""Arguments for the ops of linear algebra under the contract (``test_contract.CASES``)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


A = array(3, 3) + 4 * np.eye(3)
DEFINITE = np.stack([x @ x.T + np.eye(3) for x in array(2, 3, 3, seed=1)])
SINGULAR = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 1.0, 5.0]])
RANK_ONE = np.outer([1.0, -2.0, 0.5], [3.0, 1.0, 4.0])
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
    "sign_of_det": [([A], {})],
    "logabsdet": [([A], {}), ([DEFINITE], {})],
}
