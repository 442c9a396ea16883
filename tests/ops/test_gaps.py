"""Gaps of circular functions at large angles, from which whole turns must be taken off exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stablegrad.ir import OPS
from stablegrad.ops.pair_trig import quarter_turns
from stablegrad.ops.pairs import pi
from stablegrad.oracle import truth
from stablegrad.testing import check_op, variable

SEED = 20261130


@pytest.mark.parametrize(
    "name", ["sin_gap", "cos_gap", "arc_between", "sin_of_difference", "cos_of_difference"]
)
def test_gaps_at_large_angles(name: str) -> None:
    """Angles of every size, some of them nearly whole half turns apart."""
    rng = np.random.default_rng(SEED)
    n = 600
    a, b = (10 ** rng.uniform(0, 300, n) * rng.choice([-1.0, 1.0], n) for _ in range(2))
    a[: n // 2] = 10 ** rng.uniform(3, 18, n // 2)
    turns = np.pi * rng.integers(-9, 9, n // 2) * (1 + 10.0 ** rng.uniform(-9, 0, n // 2))
    b[: n // 2] = a[: n // 2] + turns
    report = check_op(OPS[name], points=[a, b], dtypes=(np.float64,), orders=0)
    assert report.ok, str(report)
    assert report.points > n // 2


@pytest.mark.parametrize("name", ["sin_of_difference", "cos_of_difference"])
def test_differences_nearer_to_a_zero_than_their_last_place(name: str) -> None:
    """a - b is a multiple of pi/2 to twice the precision, or beside it by a part of its rest."""
    k = np.arange(1, 400)
    exact = [Fraction(pi(100)) * int(i) / 2 for i in k]
    a = np.array([float(x) for x in exact])
    rest = np.array([float(x - Fraction(float(y))) for x, y in zip(exact, a, strict=True)])
    scale = np.random.default_rng(SEED).choice([1.0, 1.0 + 1e-15, 1.001, 0.5], len(k))
    report = check_op(OPS[name], points=[a, -rest * scale], dtypes=(np.float64,), orders=0)
    assert report.ok, str(report)


def test_quarter_turns_of_floats_of_every_size() -> None:
    rng = np.random.default_rng(SEED)
    x = np.exp2(rng.uniform(-60, 1023.9, 500)) * rng.choice([-1.0, 1.0], 500)
    x[0] = 6381956970095103.0 * 2.0**797  # the float that is nearest to a whole number of them
    hi, lo = quarter_turns(x)
    assert (np.abs(hi) <= 2.0).all()
    assert (np.abs(lo) <= np.spacing(np.abs(hi))).all()
    v = variable("v", x.dtype)
    sines = truth(OPS["sin"](v), {v: x}).value
    cosines = truth(OPS["cos"](v), {v: x}).value
    np.testing.assert_allclose(np.sin(np.pi / 2 * hi), sines, rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.cos(np.pi / 2 * hi), cosines, rtol=0, atol=1e-15)
    assert hi[0] - np.rint(hi[0]) + lo[0] == pytest.approx(cosines[0] * 2 / np.pi, rel=1e-9)
