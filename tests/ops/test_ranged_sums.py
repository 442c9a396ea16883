"""Sums of addends that leave the range of floats: not inf - inf, which is nan."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad.oracle import err_ulp
from tests.ops.test_found_by_fuzz import f, results
from tests.ops.test_lost_below import Program

exp, cos, cosh, sinh, sqrt = f("exp"), f("cos"), f("cosh"), f("sinh"), f("sqrt")

SUMS: dict[str, tuple[Program, float, float]] = {
    "difference of squares": (lambda x, y: x * x - y * y, 1e200, 2e200),
    "of equal squares": (lambda x, y: x * x - y * y, 1e200, 1e200),
    "in its exponential": (lambda x, y: exp(x * x - y * y), 1e200, 1e200),
    "a square written out": (lambda x, y: x * x - 2.0 * x * y + y * y - x, 1e200, 1e200),
    "law of cosines": (lambda x, y: x * x + x * x - 2.0 * x * x * cos(y), 1e200, 1.25),
    "under a root": (lambda x, y: sqrt(x * x + x * x - 2.0 * x * x * cos(y)), 1e200, 1.25),
    "hyperbolic cosines": (lambda x, y: cosh(x) - cosh(y), 1e3, 2e3),
    "a sine and an exponential": (lambda x, y: sinh(x) - exp(y), 2e3, 1e3),
    "products with exponentials": (lambda x, y: x * exp(x) - exp(y), 1e3, 1001.0),
}


@pytest.mark.parametrize("name", SUMS)
def test_what_is_beyond_the_range_has_its_sign(name):
    program, *at = SUMS[name]
    (value, true), (slope, true_slope) = results(program, [np.array([v]) for v in at])
    assert true.decided.all()
    assert err_ulp(value, true) <= 4
    assert true_slope.decided.all()
    assert err_ulp(slope, true_slope) <= 4


def test_infinite_inputs_have_no_difference():
    far = np.array([np.inf])
    (value, _), _ = results(lambda x, y: x * x - y * y, [far, far])
    assert np.isnan(value).all()
