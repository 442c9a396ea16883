"""Branches that few elements take: computed for these alone, with the values of all."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.engines.rare import taken_apart
from stablegrad.ir import OPS, make, topological
from stablegrad.ops.record import INPUT


def program(x, y, mark=sg.ops.rarely):
    rare = mark(x > y)
    return sg.ops.where(rare, sg.ops.exp(x) * sg.ops.sin(y), x + y) + sg.ops.where(
        rare, sg.ops.exp(x), 1.0
    )


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("shift", [-10.0, 0.0, 10.0])
def test_values_and_slopes_are_those_of_the_branches(size: int, shift: float) -> None:
    rng = np.random.default_rng(0)
    found = []
    for mark in (sg.ops.rarely, lambda condition: condition):
        x = sg.tensor(rng.normal(size=size), requires_grad=True)
        y = sg.tensor(rng.normal(size=size) - shift, requires_grad=True)
        z = program(x, y, mark)
        z.backward(np.ones(size))
        found.append((z.numpy(), x.grad.numpy(), y.grad.numpy()))
        rng = np.random.default_rng(0)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_nothing_else_needs_is_no_step() -> None:
    x, y = (make(INPUT, (), (i,), (9,), np.dtype(np.float64)) for i in range(2))
    rare = OPS["rarely"](OPS["greater"](x, y))
    shared = OPS["sin"](y)
    root = OPS["where"](rare, OPS["exp"](x) * shared, OPS["cos"](shared))
    (apart,) = taken_apart([root], lambda term, xp: lambda *args: args[0])
    names = {t.op.name for t in topological([apart])}
    assert {"rare_branch", "sin", "cos"} <= names
    assert names.isdisjoint(["exp", "where"])
