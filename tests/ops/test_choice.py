"""Shortcuts of kernels: they change the time, not an element of the result."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.engines.numpy import xp
from stablegrad.ops.choice import choose

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e-40]


def sample(rng, shape, dtype):
    """Numbers of all sizes with special ones among them."""
    x = np.ldexp(rng.standard_normal(shape), rng.integers(-60, 60, shape)).astype(dtype)
    x.reshape(-1)[: len(SPECIAL)] = np.array(SPECIAL).astype(dtype)[: x.size]
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
@pytest.mark.parametrize("shapes", [((40, 30), ()), ((), (40, 30)), ((40, 1), (30,)), ((7,), (7,))])
def test_choosing_is_where_bit_for_bit(dtype, shapes):
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        a, b = (sample(rng, s or (1,), dtype).reshape(s) for s in shapes)
    full = np.broadcast_shapes(*shapes)
    for mask in (rng.random(full) < 0.5, rng.random((*full[:-1], 1)) < 0.5):
        expected = np.where(mask, a, b)
        found = choose(xp, mask, a, b)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()


def test_sums_of_two_do_not_depend_on_what_stands_beside_them():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(-1, 1, (2, 5000))
    z = np.where(rng.random(5000) < 0.5, -x * y, rng.uniform(-1, 1, 5000))

    def total(part):
        return (sg.tensor(x[part]) * sg.tensor(y[part]) + sg.tensor(z[part])).numpy()

    whole = total(slice(None))
    parts = [total(slice(i, i + 50)) for i in range(0, 5000, 50)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
