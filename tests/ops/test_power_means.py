"""Weighted power means: the stated bounds, and the programs that are lifted to them."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.expressions import parse
from stablegrad.ir import OPS, make
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import err_ulp, taylor, truth
from stablegrad.program import compile_terms
from stablegrad.settings import Settings
from stablegrad.tensor.core import wrap

WIDE = np.dtype(np.float64)
SEED = 20260101


def points(count: int) -> dict[str, np.ndarray]:
    """Bases near each other and far apart, weights next to 0 and 1, exponents of all sizes."""
    rng = np.random.default_rng(SEED)
    x = 2.0 ** rng.uniform(-200, 200, count)
    near = x * (1 + rng.uniform(-0.5, 0.5, count) * 2.0 ** -rng.uniform(0, 50, count))
    y = np.where(rng.random(count) < 0.5, near, 2.0 ** rng.uniform(-200, 200, count))
    small = 2.0 ** -rng.uniform(1, 50, count)
    w = np.where(rng.random(count) < 0.5, small, 1 - small)
    p = rng.choice([-1.0, 1.0], count) * 2.0 ** rng.uniform(-150, 150, count)
    return {"x": x, "y": y, "w": w, "p": p, "v": 2.0 ** rng.uniform(-50, 50, count)}


@pytest.mark.parametrize(
    ("name", "letters", "orders"),
    [
        ("power_mean", "xywp", 1),
        ("power_mean_gap", "xywp", 1),
        ("power_share", "vxwyp", 1),
        ("power_mean_by_exponent", "xywp", 0),
    ],
)
def test_bound_of_powers_in_a_mean(name: str, letters: str, orders: int) -> None:
    data = points(60)
    values = [data[a] for a in letters]
    whole = [make(INPUT, (), (i,), v.shape, WIDE) for i, v in enumerate(values)]
    scalars = [make(INPUT, (), (i,), (), WIDE) for i in range(len(values))]
    y, flat = OPS[name](*whole), OPS[name](*scalars)
    slopes = [gradient(y, x, const(1, WIDE, y.shape)) for x in whole] if orders else []
    got = compile_terms([y, *slopes], whole, Settings())(values)
    bindings = dict(zip(scalars, values, strict=True))
    true = [truth(flat, bindings, limits=False)]
    true += [taylor(flat, bindings, 1, direction={x: 1.0}, limits=False)[1] for x in scalars][
        : len(slopes)
    ]
    for bound, a, t in zip((4, *[8] * len(slopes)), got, true, strict=True):
        inside = t.decided & (np.abs(t.value) > 1e-250) & (np.abs(t.value) < 1e300)
        assert inside.sum() >= 10
        assert (err_ulp(a, t)[inside] <= bound).all()


PROGRAMS = {
    "((x**p + y**p)/2)**(1/p)": [
        (4.983180712702597e294, 4.99e294, 5.4e294),
        (1.335e-284, -1.1377e50, 3.2e73),
        (3.0, 2.0, 1e-250),  # a slope 1e-250 of a share 1e-500
        (3.0, 1e-250, 2.0),
        (3.0, -1.5, 5.0),
    ],
    "(a*x**r + (1 - a)*y**r)**(1/r)": [
        (1.04e-268, 1.036e-161, 3.2e267, 7.5e158),
        (0.25, 2.0, 1e-200, 1.5),
        (1e-239, 1.3e303, -1.15, 0.35),
        (1e-110, 7.6e-123, -0.278, 1.1e149),
        (1.4e-225, 3.3e-225, 0.7, 4.8e-226),
    ],
    "(a*x**(-r) + (1 - a)*y**(-r))**(-1/r)": [(0.3, 2.0, 1e-20, 3.0), (0.3, 2.0, 1e20, 3.0)],
    "(a*x**r + (1 - a)*y**r)**(v/r)": [(0.3, 2.0, 1e-20, 0.5, 3.0), (0.3, 2.0, 700.0, 0.8, 9.0)],
}


@pytest.mark.parametrize("text", PROGRAMS)
def test_means_of_powers_at_far_exponents(text: str) -> None:
    f = parse(text)
    columns = [np.array(c) for c in zip(*PROGRAMS[text], strict=True)]
    inputs = [make(INPUT, (), (i,), (), WIDE) for i in range(len(columns))]
    meant = f(*[wrap(x, Settings(), requires=False) for x in inputs]).term
    bindings = dict(zip(inputs, columns, strict=True))
    true = truth(meant, bindings)
    tensors = [sg.tensor(c, requires_grad=True) for c in columns]
    value = f(*tensors)
    assert true.decided.any()
    assert (err_ulp(value.numpy(), true)[true.decided] <= 4).all()
    value.backward(np.ones(columns[0].shape))
    for x, t in zip(inputs, tensors, strict=True):
        slope = truth(meant, bindings, order=1, direction={x: 1.0})
        assert slope.decided.any()
        assert (err_ulp(t.grad.numpy(), slope)[slope.decided] <= 16).all()


def test_powers_of_other_signs_are_as_written() -> None:
    x, p = (sg.tensor(np.array(v), requires_grad=True) for v in (-3.0, 2.0))
    value = parse("((x**p + y**p)/2)**(1/p)")(x, p, sg.tensor(np.array(3.0)))
    value.backward()
    assert value.numpy() == 3.0
    assert x.grad.numpy() == -0.5
