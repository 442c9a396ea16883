"""Formulas as people write them, at points where they went wrong: values and all slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.expressions import parse
from stablegrad.ir import make
from stablegrad.ops.record import INPUT
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import Settings
from stablegrad.tensor.core import wrap

WIDE = np.dtype(np.float64)
BOUND = 16

FORMULAS: dict[str, list[tuple[float, ...]]] = {
    # arccosh(1 + d*d/2): squares leave the range
    "arccosh(1 + ((x - u)**2 + (y - v)**2)/(2*y*v))": [
        (1.1059895293936822e-56, 2.3854520537971634e129, 1.2e-280, 1.1422469883283093e-55),
        (1e-170, 3e-170, 1.0, 1.0),
        (0.25, 0.5, 2.0, 3.0),
    ],
    "arccosh(1 + 2*(x - y)**2/((1 - x*x)*(1 - y*y)))": [
        (8.03151154340171e-242, -1.7046917892793683e-164),
        (0.5, -0.25),
    ],
    # the entropy of a coin by its log odds
    "log(1 + exp(x)) - x/(1 + exp(-x))": [(5.310636708607298,), (35.0,), (-35.0,), (0.1,)],
    # log(1 + d/v): the step leaves the range
    "log(v + 0.5*(y - m)**2) - log(v)": [
        (0.07544141326964163, -7.232550485489771e238, -1.173634641606136e-89),
        (1e-290, 1e-170, 2e-170),
        (0.5, 2.0, 1.0),
    ],
}


def judged(text: str, at: tuple[float, ...], dtype: Any = WIDE) -> list[tuple[str, float]]:
    """What was judged of a formula at a point, and how far off it is."""
    f = parse(text)
    columns = [np.array([v], dtype) for v in at]
    inputs = [make(INPUT, (), (i,), (), dtype) for i in range(len(columns))]
    meant = f(*[wrap(x, Settings(), requires=False) for x in inputs]).term
    bindings = dict(zip(inputs, columns, strict=True))
    tensors = [sg.tensor(c, requires_grad=True) for c in columns]
    value = f(*tensors)
    value.backward(np.ones(1, dtype))
    pairs = [("value", value.numpy(), truth(meant, bindings))]
    for name, x, t in zip(f.names, inputs, tensors, strict=True):
        slope = truth(meant, bindings, order=1, direction={x: 1.0})
        pairs.append((name, t.grad.numpy(), slope))
    return [(name, float(err_ulp(got, true)[0])) for name, got, true in pairs if true.decided[0]]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_right_where_they_went_wrong(text: str) -> None:
    for at in FORMULAS[text]:
        found = judged(text, at)
        assert len(found) > 1, at
        assert max(error for _, error in found) <= BOUND, (at, found)
