"""Second slopes of formulas, where the program for the first one is differentiated again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad import ops
from stablegrad.oracle import Status, err_ulp, mixed, truth
from stablegrad.program import forget
from stablegrad.testing import leaf

ULP = 16.0
PROGRAMS: list[tuple[str, Callable[..., Any], list[tuple[float, ...]]]] = [
    (
        "the chi-square density of many degrees of freedom",
        lambda x, k: (
            x ** (k / 2 - 1) * ops.exp(-x / 2) / (2 ** (k / 2) * ops.exp(ops.lgamma(k / 2)))
        ),
        [(300.0, 300.0), (310.0, 300.0), (1.0, 2.0), (1e-3, 5.0)],
    ),
    (
        "the same by the gamma function",
        lambda x, k: x ** (k / 2 - 1) * ops.exp(-x / 2) / (2 ** (k / 2) * ops.gamma(k / 2)),
        [(300.0, 300.0), (310.0, 300.0), (1.0, 2.0), (1e-3, 5.0)],
    ),
]


@pytest.mark.parametrize("synthesis", ["on", "off"])
@pytest.mark.parametrize(
    ("function", "points"), [p[1:] for p in PROGRAMS], ids=[p[0] for p in PROGRAMS]
)
def test_second_slopes_are_right(
    function: Callable[..., Any],
    points: list[tuple[float, ...]],
    synthesis: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STABLEGRAD_SYNTHESIS", synthesis)
    forget()
    columns = [np.array(c) for c in zip(*points, strict=True)]
    leaves = [leaf(c) for c in columns]
    known = dict(zip(leaves, columns, strict=True))
    y = function(*leaves)
    for i, j in combinations_with_replacement(range(len(leaves)), 2):
        slope = sg.grad(lambda *xs: function(*xs).sum(), argnums=i)
        got = sg.grad(lambda *xs, slope=slope: slope(*xs).sum(), argnums=j)(*columns).numpy()
        a, b = leaves[i], leaves[j]
        true = truth(y, known, order=2, direction={a: 1.0}) if a is b else mixed(y, (a, b), known)
        assert (true.status == Status.DECIDED).all()
        assert (err_ulp(got, true) <= ULP).all(), (got, true.value)


def test_a_slope_of_exprel_is_divided_inside_of_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "STABLEGRAD_SYNTHESIS", "on"
    )  # kernels of factors hide what they overflow by
    slope = sg.grad(lambda x, y: (x**3 / ops.expm1(x / y)).sum())
    second = sg.grad(lambda x, y: slope(x, y).sum())
    assert second(sg.tensor(np.array([3.0])), sg.tensor(np.array([1e-3]))).numpy() == 0
