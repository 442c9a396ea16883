"""Compound growth beyond the contract: bases below 0, whose powers take whole exponents."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad.engines.numpy import xp
from stablegrad.ir import OPS
from stablegrad.oracle import err_ulp, truth
from stablegrad.testing import SEED, variable


@pytest.mark.parametrize(("name", "excess"), [("geometric_sum", 0), ("compound_sum", 1)])
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_sums_of_powers_of_negative_bases(name: str, excess: int, n: int) -> None:
    rng = np.random.default_rng(SEED)
    x = -np.exp(6 * rng.normal(size=300)) - excess
    y = rng.integers(-20, 20, 300).astype(float)
    a, b = variable("a", x.dtype), variable("b", y.dtype)
    true = truth(OPS[name](a, b, n=n, m=0), {a: x, b: y})
    with np.errstate(all="ignore"):
        got = OPS[name].kernel(xp, x, y, n=n, m=0)
    assert true.decided.all()
    normal = (np.abs(true.value) >= np.finfo(float).tiny) | (true.value == 0)
    assert normal.sum() > 250
    assert err_ulp(got, true)[normal].max() <= 4
