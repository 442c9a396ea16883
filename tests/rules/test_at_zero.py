"""Slopes exactly at 0, where a rule may have put the kink of an absolute value or a bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import const
from stablegrad.oracle import Status, derivative, err_ulp, truth
from stablegrad.settings import Settings
from tests.rules.test_families import CASES, built

RIGHT = 64.0  # ulp, which is what a plain program may lose
OTHERS = [0.6, -1.7, 2.2, 0.4, 1.1, 3.3, 2.0, 1.0]
SCALAR = {
    name: (function, len(values))
    for name, function, values in CASES
    if all(np.ndim(v) == 0 for v in values)
}


def error(got: Any, true: Any) -> float:
    """In ulp; infinite for nan, and for another number than a true 0."""
    if true.value == 0:
        return 0.0 if abs(got) < 1e-15 else np.inf
    lost = float(err_ulp(np.float64(got), true))
    return np.inf if np.isnan(lost) else lost


@pytest.mark.parametrize("name", SCALAR)
def test_no_slope_is_lost_at_0(name: str) -> None:
    function, count = SCALAR[name]
    for i in range(count):
        values = OTHERS[:count]
        values[i] = 0.0
        leaves, y = built(function, values)
        known = {x: x.params[0].value for x in leaves}
        value = truth(y, known, budget=800)
        if value.status > Status.LIMIT or not np.isfinite(value.value):
            continue
        slopes = [gradient(y, x, const(1, y.dtype)) for x in leaves]
        runs = [program.evaluate(slopes, Settings(naive=n)) for n in (True, False)]
        for x, naive, ours in zip(leaves, *runs, strict=True):
            true = derivative(y, x, known, budget=800)
            normal = true.value == 0 or np.finfo(float).tiny < abs(true.value) < np.inf
            if true.status == Status.DECIDED and normal and error(naive, true) <= RIGHT:
                assert error(ours, true) <= RIGHT, (values, float(ours), float(true.value))
