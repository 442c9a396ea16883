"""Fresnel's integrals and angles in degrees, beside SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import stablegrad as sg
from stablegrad.ir import OPS
from stablegrad.testing import check_op


def test_fresnel_is_scipys() -> None:
    x = np.array([-np.inf, -7.0, -0.3, 0.0, 1e-200, 1.5, 30.0, np.inf, np.nan])
    for ours, theirs in zip(sg.special.fresnel(x), scipy.special.fresnel(x), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-11)
        assert np.array_equal(np.signbit(ours.numpy()), np.signbit(theirs))


@pytest.mark.parametrize("name", ["fresnel_sine", "fresnel_cosine"])
def test_fresnel_far_out(name: str) -> None:
    """Where SciPy's phase is wrong: the square of x is exact, and so are its turns."""
    rng = np.random.default_rng(20261130)
    x = 10 ** rng.uniform(0.7, 12, 200)
    report = check_op(OPS[name], points=[x], dtypes=(np.float64,))
    assert report.ok, str(report)
    theirs = scipy.special.fresnel(x)[0 if name == "fresnel_sine" else 1]
    ours = OPS[name](x).numpy()
    assert np.abs(ours - theirs).max() > 1e-13


def test_degrees_are_scipys() -> None:
    x = np.array([-720.0, -45.0, 0.0, 30.0, 45.0, 90.0, 180.0, 1e6])
    for name in ("sindg", "cosdg", "tandg"):
        ours = getattr(sg.special, name)(x).numpy()
        finite = np.abs(ours) < 1e10
        theirs = getattr(scipy.special, name)(x)
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-14, atol=1e-16)
    assert sg.special.cosdg(90.0).item() == 0
    assert sg.special.cotdg(45.0).item() == 1
    ours = sg.special.radian(np.float64(10.0), 30.0, 36.0).item()
    assert ours == pytest.approx(scipy.special.radian(10, 30, 36), rel=1e-15)
    np.testing.assert_allclose(sg.nn.functional.log1mexp([0.5]).numpy(), np.log(-np.expm1(-0.5)))
