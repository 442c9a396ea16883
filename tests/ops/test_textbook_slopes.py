"""Textbook formulas of which factors are lost on the way: the worst of those found."""

from __future__ import annotations

from typing import Any

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
CLAYTON = "(u**(-t) + v**(-t) - 1)**(-1/t)"
MIXTURE = "log(w*exp(-x*x/2) + (1 - w)*exp(-(x - m)**2/2))"

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
    "powers that left the range": (
        "(b*y)**(5/3)/(b + 2*y)**(2/3)",
        "b",
        {"b": 3.2718550973847406e305, "y": 1.788756411487625e-28},
    ),
    "powers whose exponents add up to no float": (
        "1.5*(y**(2/3) - m**(2/3))/m**(1/6)",
        "m",
        {"y": 7.702590568633399e-40, "m": 9.728799816735098e296},
    ),
    "choice that leaves nothing out": (
        "v*v/(2*a)*(1 - exp(-2*a*t))",
        "a",
        {"v": 5.635571051420359e174, "a": 1.1714161890795385e220, "t": 9.029577380525509e-191},
    ),
    "choice of which the other side is lost": (
        "a*(1 - exp(-r*t))/r",
        "r",
        {"a": 5.728761969683555e272, "r": 5.824639221239676e272, "t": 5.926165007412974e272},
    ),
    "less one, of a length": ("y - y/(x*x + y*y)", "x", {"y": 1.3e117, "x": 3.8e117}),
    "choice behind a guard": (
        "(d - a)/(2*b) + sqrt(((d - a)/(2*b))**2 + 1)",
        "b",
        {"d": -5.05, "a": -0.45, "b": 9.05e-184},
    ),
    "copula that is next to a product": (
        CLAYTON,
        "u",
        {"u": 1.5e-229, "t": 2.9e-229, "v": 2.4e-229},
    ),
    "copula that is the least": (CLAYTON, "v", {"u": 5.7e-44, "t": 8.9e102, "v": 3.5e-96}),
    "copula by its exponent": (CLAYTON, "t", {"u": 0.3, "t": 7.4e-20, "v": 0.7}),
    "mixture next to 1": (MIXTURE, "x", {"w": 5.2e-281, "x": -9.7e-61, "m": 7e72}),
    "mean of exponentials next to 1": (
        "log(w*exp(a) + (1 - w)*exp(b))",
        "w",
        {"w": 2.3e-29, "a": -1.6, "b": -2.3e-31},
    ),
    "what is left after a small loss": (
        "-log(r + (1 - r)*exp(-h*t))/t",
        "r",
        {"r": 1.6e-158, "h": 8.7e-159, "t": 4.4e-158},
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


WELL = "sqrt(2*m*(e - v)) - sqrt(2*m*e)"

NARROW: dict[str, tuple[str, str, dict[str, float]]] = {
    "roots of products next to each other": (WELL, "e", {"m": 1.97e14, "e": 3.9e9, "v": -5.9e-19}),
    "tail over its density, by a root of 2": (
        "exp(-x*x/2)/(sqrt(2*pi)*(0.5*erfc(x/sqrt(2))))",
        "x",
        {"x": 1.5605289368187568e21},
    ),
    "logs beside a multiple of log(2)": (
        "(k/2 - 1)*log(x) - x/2 - k/2*log(2) - lgamma(k/2)",
        "k",
        {"k": 9848008736768.0, "x": 9848008736768.0},
    ),
    "root of a product beyond the range": (WELL, "v", {"m": 1.3e26, "e": 3.9e-31, "v": -8.1e24}),
}
"""Of float32 programs."""


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("count", [1, 24])
def test_values_and_slopes_are_right(name: str, count: int) -> None:
    _right(*SLOPES[name], count, np.dtype(np.float64))


@pytest.mark.parametrize("name", NARROW)
def test_values_and_slopes_of_float32_programs_are_right(name: str) -> None:
    _right(*NARROW[name], 3, np.dtype(np.float32))


def _right(text: str, by: str, at: dict[str, float], count: int, dtype: np.dtype[Any]) -> None:
    leaves = {v: leaf(np.full(count, x, dtype)) for v, x in at.items()}
    value = parse(text).walk({v: wrap(x, Settings(), requires=False) for v, x in leaves.items()})
    slope = gradient(value.term, leaves[by], const(1, dtype, (count,)))
    found = program.evaluate([value.term, slope], Settings(excluded=frozenset({"synthesis"})))
    points = {t: t.params[0].value for t in leaves.values()}
    for order, got in enumerate(found):
        along = {leaves[by]: 1.0} if order else None
        true = truth(value.term, points, order=order, direction=along)
        assert true.decided.all()
        assert np.abs(err_ulp(got, true)).max() <= 4
