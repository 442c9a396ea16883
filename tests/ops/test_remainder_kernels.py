"""Remainders by an exact quotient are those of NumPy, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad.engines.numpy import xp
from stablegrad.ops import remainder_kernels
from stablegrad.testing.sampling import sample_bits, special_points


def pairs_of_floats() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(2)
    f32 = np.float32
    bits = [sample_bits(f32, 20_000, rng) for _ in range(3)]
    with np.errstate(all="ignore"):
        multiple = (bits[2] * rng.integers(-(2**24), 2**24, 20_000)).astype(f32)
    special = [a.ravel() for a in np.meshgrid(special_points(f32), special_points(f32))]
    return [
        (bits[0], bits[1]),
        (multiple, bits[2]),
        (rng.integers(-50, 50, 5000), rng.integers(-9, 9, 5000)),
        (rng.normal(size=5000), rng.normal(size=5000)),  # of 53 bits
        (special[0], special[1]),
    ]


@pytest.mark.parametrize("name", ["mod", "floor_divide", "fmod"])
def test_remainders_are_those_of_numpy(name: str):
    for a, b in pairs_of_floats():
        with np.errstate(all="ignore"):
            x, y = a.astype(np.float64), b.astype(np.float64)
            got = getattr(remainder_kernels, name)(xp, x, y)
            expected = getattr(np, name)(x, y)
        same = (got.view(np.int64) == expected.view(np.int64)) | (
            np.isnan(got) & np.isnan(expected)
        )
        assert same.all(), (x[~same][:3], y[~same][:3])
