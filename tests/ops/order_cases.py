"""Arguments with which the contract is tested on ops about order and on running ops."""

from __future__ import annotations

from typing import Any

import numpy as np


def array(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape) * 3


X = array(3, 4)
TIED = np.array([1.0, 2.0, 0.5, 2.0, 2.0, 3.0])
CASES: dict[str, list[tuple[list[Any], dict[str, Any]]]] = {
    "sort": [
        ([X], {"axis": 1}),
        ([X], {"axis": 0, "descending": True}),
        ([np.array([2.0, 1.0, 2.0, 2.0, 0.0, 1.0])], {}),
    ],
    "argsort": [([X], {"axis": 0}), ([np.array([2.0, 1.0, 2.0])], {"descending": True})],
    "tie_mean": [([np.array([2.0, 1.0, 2.0, 2.0]), array(4)], {}), ([X, X + 1], {"axis": 0})],
    "searchsorted": [([np.array([1.0, 2.0, 2.0, 3.0]), array(5)], {"side": "right"})],
    "cummax": [([X], {"axis": 1}), ([TIED], {})],
    "cummin": [([X], {"axis": 0}), ([TIED], {})],
    "cummax_jvp": [([TIED, array(6)], {}), ([X, X + 1], {"axis": 1})],
    "cummax_vjp": [([TIED, array(6)], {}), ([X, X + 1], {"axis": 1})],
    "cumprod": [([X], {"axis": 1}), ([np.array([2.0, 0.0, 3.0, 0.0, 5.0])], {})],
    "cumprod_jvp": [
        ([X, array(3, 4, seed=2)], {"axis": 1}),
        ([np.array([2.0, 0.0, 3.0]), array(3), array(3, seed=1)], {}),
    ],
    "cumprod_vjp": [
        ([X, array(3, 4, seed=2)], {"axis": 1}),
        ([np.array([2.0, 0.0, 3.0]), array(3), array(3, seed=1)], {}),
    ],
    "cumlogsumexp": [([X], {"axis": 1}), ([X * 1000], {"axis": 0})],
    "cumlogsumexp_jvp": [
        ([X, array(3, 4, seed=2)], {"axis": 1}),
        ([array(5), array(5, seed=1), array(5, seed=2)], {}),
    ],
    "cumlogsumexp_vjp": [
        ([X, array(3, 4, seed=2)], {"axis": 1}),
        ([array(5), array(5, seed=1), array(5, seed=2)], {}),
    ],
}
