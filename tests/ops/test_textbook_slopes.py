"""Textbook formulas of which factors are lost on the way: the worst of those found."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad import program
from stablegrad.expressions import parse
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import const
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import Settings
from stablegrad.tensor.core import wrap
from stablegrad.testing import leaf

BARRON = "abs(a - 2)/a*(((x/c)**2/abs(a - 2) + 1)**(a/2) - 1)"
ARCSIN = "arcsin(2*x/(sqrt((x + 1)**2 + y*y) + sqrt((x - 1)**2 + y*y)))"
NORM = "(abs(x/a)**n + abs(y/b)**n)**(1/n)"

SLOPES: dict[str, tuple[str, str, dict[str, float]]] = {
    "choice behind guards": (BARRON, "x", {"a": 5e-99, "x": -3.0, "c": 5e-237}),
    "choice with masks of its own": (BARRON, "c", {"a": 0.023, "x": -7.5e230, "c": 2.3e-55}),
    "log of a quotient beside 1": (
        "abs(x/a)**n",
        "n",
        {"x": 310923.74358629005, "a": 310923.7435728975, "n": 2.5},
    ),
    "log of a product that rounds to 1": (
        "abs(x*a)**n",
        "n",
        {"x": 1.0 + 2.0**-52, "a": 1.0 - 2.0**-52, "n": -3.0},
    ),
    "angle nearer to its end than pairs tell": (ARCSIN, "x", {"x": 3e233, "y": 2e151}),
    "angle next to its other end": (ARCSIN, "y", {"x": -3e224, "y": 105.0}),
    "spherical Bessel function": ("sin(x)/x**2 - cos(x)/x", "x", {"x": -2.8e-209}),
    "root beyond the range less 1": (
        "sqrt(m*(1 + z)**3 + 1 - m) - 1",
        "z",
        {"m": 6.7e-249, "z": 5.5e192},
    ),
    "power of a quotient next to 1 off 1": (
        "m*(1 - (1 - t/u)**(1/3))",
        "m",
        {"m": 2.7e-62, "t": 2.748667525154988e-62, "u": 2.7486675251551652e-62},
    ),
    "norm of high order": (
        NORM,
        "n",
        {
            "x": 310923.74358629005,
            "a": 310923.7435728975,
            "n": 310923.74356032984,
            "y": 310923.7435865649,
            "b": 310923.7435803088,
        },
    ),
}


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("count", [1, 24])
def test_values_and_slopes_are_right(name: str, count: int) -> None:
    text, by, at = SLOPES[name]
    leaves = {v: leaf(np.full(count, x)) for v, x in at.items()}
    value = parse(text).walk({v: wrap(x, Settings(), requires=False) for v, x in leaves.items()})
    slope = gradient(value.term, leaves[by], const(1, np.dtype(float), (count,)))
    found = program.evaluate([value.term, slope], Settings(excluded=frozenset({"synthesis"})))
    points = {t: t.params[0].value for t in leaves.values()}
    for order, got in enumerate(found):
        along = {leaves[by]: 1.0} if order else None
        true = truth(value.term, points, order=order, direction=along)
        assert true.decided.all()
        assert np.abs(err_ulp(got, true)).max() <= 4
