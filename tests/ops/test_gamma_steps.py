"""Steps of lgamma and its derivatives: relative to themselves between positive arguments."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ir import OPS
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import Settings
from stablegrad.testing import SEED, leaf

POINTS = 200


@pytest.mark.parametrize("n", [-1, 0, 1, 2])
def test_steps_of_any_size_and_sign(n: int) -> None:
    rng = np.random.default_rng(SEED)
    x = 10.0 ** rng.uniform(-3, 17, POINTS)
    h = x * rng.choice([-1, 1], POINTS) * 10.0 ** rng.uniform(-18, 0, POINTS) * 0.9
    x[:40], h[:40] = -x[:40] / 1e15, 3 * x[:40]
    leaves = [leaf(x), leaf(h)]
    term = OPS["lgamma_step"](*leaves) if n < 0 else OPS["polygamma_step"](*leaves, n=n)
    true = truth(term, dict(zip(leaves, (x, h), strict=True)), budget=20_000)
    got = program.evaluate([term], Settings())[0]
    scale = np.abs(h * np.log(np.abs(x + h))) if n < 0 else np.zeros(POINTS)
    size = np.maximum(np.abs(true.value), scale)
    positive = (x > 0) & (x + h > 0) & true.decided
    assert positive.sum() > 100
    # a base near -h is rounded once; the step feels that by h/(x + h)
    felt = 4 + np.abs(h / (x + h))
    error = err_ulp(got, true) * np.abs(true.value) / size
    assert (error <= 4 * felt)[positive].all()
    apart = ~positive & true.decided & (np.abs(true.value) > 1e-3)
    assert np.allclose(got[apart], true.value[apart], rtol=1e-9)
