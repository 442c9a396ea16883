"""Arguments under the contract for ops about order, running ops, windows and layers."""

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
    "sort_jvp": [
        ([np.array([2.0, 1.0, 2.0, 2.0]), array(4)], {}),
        ([X, X + 1], {"axis": 0, "descending": True}),
    ],
    "sort_vjp": [
        ([np.array([2.0, 1.0, 2.0, 2.0]), array(4)], {"descending": True}),
        ([X, X + 1], {"axis": 0}),
    ],
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
    "windows": [
        ([array(2, 7)], {"size": 3, "stride": 2, "dilation": 1}),
        ([array(2, 5, 6)], {"size": (2, 3), "stride": (1, 2), "dilation": (2, 1)}),
    ],
    "windows_add": [
        ([array(2, 3, 3)], {"length": 7, "stride": 2, "dilation": 1}),
        ([array(3, 2, 2, 3)], {"length": (5, 6), "stride": (1, 2), "dilation": (2, 1)}),
    ],
    "standardize": [
        ([X], {"axis": 1}),
        ([X + 1e9], {"axis": (0, 1), "eps": 1e-5}),
        ([X * 1e200], {"axis": 0, "eps": 1e-5, "centered": False}),
        ([X * 1e-200], {"axis": 0, "eps": 1e-300}),
        ([np.full(4, 7.0)], {"eps": 1e-5}),
    ],
    "standardize_jvp": [
        ([X, array(3, 4, seed=1)], {"axis": 1}),
        ([X + 1e9, array(3, 4, seed=1)], {"axis": (0, 1), "eps": 1e-5}),
        ([X * 1e200, X * 1e200 + array(3, 4)], {"axis": 0, "eps": 1e-5, "centered": False}),
        ([X * 1e-200, array(3, 4, seed=1)], {"axis": 0, "eps": 1e-300}),
        ([np.full(4, 7.0), array(4)], {"eps": 1e-5}),
    ],
    "masked_matmul": [([X, array(4, 2, seed=1)], {}), ([array(2, 3, 4), array(4, seed=1)], {})],
}
