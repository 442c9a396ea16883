"""Sums of products, quotients, roots and sums of exact numbers, whole, over the whole range."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ir import OPS
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import Settings
from stablegrad.testing import SEED, leaf, sample_bits
from stablegrad.transforms.rational import LIMIT

POINTS = 300
SQRT = OPS["sqrt"]

PROGRAMS = {
    "ratio less one": lambda x, y, z: x / y - 1 + 0 * z,
    "difference of fractions": lambda x, y, z: x / (x + y) - y / (z - x),
    "polynomial": lambda x, y, z: 2 * x**3 - y**3 + 0.1 * x * y - z,
    "product of sums": lambda x, y, z: (x + y) * (x - y) - z * z,
    "repeated division": lambda x, y, z: x / y / y / y - z,
    "roots": lambda x, y, z: SQRT(OPS["abs"](x)) * y - SQRT(OPS["abs"](y)) * z + x / 3,
    "determinant": lambda x, y, z: x * (y * z - x * x) - y * (x * z - y * y) + z * (x * y - z * z),
}


def arguments() -> list[np.ndarray]:
    rng = np.random.default_rng(SEED)
    x, y, z = (sample_bits(np.float64, POINTS, rng) for _ in range(3))
    everyday = rng.random(POINTS) < 0.5
    x = np.where(everyday, rng.standard_normal(POINTS), x)
    near = rng.random(POINTS) < 0.4
    y = np.where(near, x * (1 + 10.0 ** rng.uniform(-15, -2, POINTS)), y)
    z = np.where(rng.random(POINTS) < 0.4, y * (1 - 10.0 ** rng.uniform(-15, -2, POINTS)), z)
    special = [0.0, -0.0, 5e-324, 1.7e308, np.inf, np.nan]
    x[: len(special)] = special
    return [x, y, z]


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_rounded_about_once_wherever_a_float_is(name: str) -> None:
    data = arguments()
    leaves = [leaf(d) for d in data]
    term = PROGRAMS[name](*leaves)
    compiled, _ = program.program_of([term], Settings())
    root = compiled.roots[0]
    while root.op.name in ("require", "known_result"):  # 0*z is a guard around the sum
        root = root.args[0]
    assert root.op.name == "rational_sum"
    got = program.evaluate([term], Settings())[0]
    true = truth(term, dict(zip(leaves, data, strict=True)), budget=20_000)
    normal = true.decided & np.isfinite(true.value) & (np.abs(true.value) >= np.finfo(float).tiny)
    assert normal.sum() > POINTS // 3
    assert err_ulp(got, true)[normal].max() <= 1
    undefined = np.isnan(true.value)
    assert np.isnan(got[undefined]).all()


def test_a_large_sum_or_one_of_rounded_numbers_stays_as_it_was() -> None:
    x, y = leaf([1.5]), leaf([2.0])
    many = [leaf([float(i)]) for i in range(LIMIT)]
    for term in (OPS["exp"](x) / y - 1, sum((a / (a + x) - y for a in many), start=x)):
        compiled, _ = program.program_of([term], Settings())
        assert compiled.roots[0].op.name != "rational_sum"
