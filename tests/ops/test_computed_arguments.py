"""Functions, powers, products and logs of computed arguments: their digits and their range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ir import OPS, Term
from stablegrad.ops.derivative import gradient as gradient_of
from stablegrad.ops.record import const
from stablegrad.oracle import err_ulp, gradient, truth
from stablegrad.settings import Settings
from stablegrad.testing import SEED, leaf

POINTS = 200
PLAIN = Settings(excluded=frozenset({"synthesis"}))
EXP, LOG, SQRT, POWER = (OPS[n] for n in ("exp", "log", "sqrt", "power"))
SIGMOID, ERFC, NDTR = OPS["sigmoid"], OPS["erfc"], OPS["ndtr"]
Case = tuple[Callable[..., Term], float, float]

STEEP: dict[str, Case] = {
    "exp of a quotient": (lambda x, y: EXP(-x / y), 1.0, 600.0),
    "exp of logs": (lambda x, y: EXP(x * LOG(y) - y), 1.0, 100.0),
    "sigmoid": (lambda x, y: SIGMOID(-x * y / 3), 1.0, 40.0),
    "erfc": (lambda x, y: ERFC(x / y * 3), 0.3, 2.0),
    "ndtr": (lambda x, y: NDTR((y - x) * 7 - y), 0.5, 3.0),
    "sin": (lambda x, y: OPS["sin"](x * y), 1.0, 1e9),
    "cos": (lambda x, y: OPS["cos"](x / 3 - y), 1.0, 1e7),
    "tan": (lambda x, y: OPS["tan"](x * y), 1.0, 1e5),
    "sinh": (lambda x, y: OPS["sinh"](x / y * 300), 0.5, 1.0),
    "arccos near 1": (lambda x, y: OPS["arccos"](x / (x + y * 1e-9)), 0.5, 2.0),
    "arcsin near 1": (lambda x, y: OPS["arcsin"](x / (x + y * 1e-9)), 0.5, 2.0),
    "arctanh near 1": (lambda x, y: OPS["arctanh"](x / (x + y * 1e-9)), 0.5, 2.0),
    "arccosh near 1": (lambda x, y: OPS["arccosh"]((x + y * 1e-9) / x), 0.5, 2.0),
    "lgamma near 1": (lambda x, y: OPS["lgamma"](1 + y * 1e-9 / x), 0.5, 2.0),
    "lgamma near 2": (lambda x, y: OPS["lgamma"](2 - y * 1e-9 / x), 0.5, 2.0),
    "gamma": (lambda x, y: OPS["gamma"](x + y / 3), 50.0, 100.0),
    "compound interest": (lambda x, y: POWER(1 + x / y, y * 3), 1.0, 200.0),
    "power of a quotient": (lambda x, y: POWER(x / y, y), 50.0, 90.0),
    "growth": (lambda x, y: POWER(x / y, 1 / y) - 1, 0.9, 1.1),
}

FAR: dict[str, Case] = {
    "rational function": (lambda x, y: (1 + x**8) / (y + x**9), 1e40, 1e120),
    "root of a product": (lambda x, y: SQRT(x * y), 1e160, 1e300),
    "cube root of a product": (lambda x, y: POWER(x * y * x, 1 / 3), 1e110, 1e200),
    "plain sum": (lambda x, y: x / (x + y), 1e308, 1.7e308),
    "exponentials": (lambda x, y: (EXP(x) - y) / (EXP(x) + x), 710.0, 1e4),
    "hyperbolic": (lambda x, y: OPS["cosh"](x) / (OPS["sinh"](x) - y), 711.0, 1e5),
    "powers": (lambda x, y: POWER(x, y) / (1 + POWER(x, y)), 300.0, 900.0),
    "hypotenuse": (lambda x, y: x / OPS["hypot"](x * y, x), 1e160, 1e200),
    "absolute value": (lambda x, y: SQRT(OPS["abs"]((x * x - y) / y)), 1e160, 1e200),
    "log of a power": (lambda x, y: LOG(POWER(x, y)), 300.0, 900.0),
    "log of 1 and a power": (lambda x, y: LOG(1 + POWER(x, y)), 300.0, 900.0),
    "log of a sum": (lambda x, y: LOG(1 + (x * y) ** 2), 1e100, 1e200),
    "log of a quotient": (lambda x, y: LOG((x * x + y * y) / (x + y)), 1e160, 1e200),
}


def arguments(low: float, high: float) -> list[np.ndarray]:
    rng = np.random.default_rng(SEED)
    return [np.exp(rng.uniform(np.log(low), np.log(high), POINTS)) for _ in range(2)]


def errors(build: Callable[..., Term], low: float, high: float) -> tuple[Any, Any, Any]:
    """Errors in ulp, cured and naive, where the truth is a normal float."""
    data = arguments(low, high)
    leaves = [leaf(d) for d in data]
    term = build(*leaves)
    true = truth(term, dict(zip(leaves, data, strict=True)), budget=20_000)
    size = np.abs(true.value)
    good = true.decided & (size >= np.finfo(float).tiny) & np.isfinite(size)
    with np.errstate(all="ignore"):
        cured, naive = (
            np.nan_to_num(err_ulp(program.evaluate([term], s)[0], true)[good], nan=np.inf)
            for s in (Settings(), Settings(naive=True))
        )
    return good, cured, naive


@pytest.mark.parametrize("name", STEEP)
def test_the_rounding_of_an_argument_is_not_felt(name: str) -> None:
    good, cured, naive = errors(*STEEP[name])
    assert good.mean() > 0.5
    assert cured.max() <= 8
    assert naive.max() > 16


@pytest.mark.parametrize("name", FAR)
def test_what_leaves_the_range_on_the_way_is_no_matter(name: str) -> None:
    good, cured, naive = errors(*FAR[name])
    assert good.mean() > 0.3
    assert cured.max() <= 8
    assert np.isinf(naive).any() or naive.max() > 1e6


@pytest.mark.parametrize("at", [(1e200, 1.0), (1.0, 1e200), (1e-200, 1e-200), (1e-150, 1e-200)])
def test_slopes_of_a_length_less_a_leg_keep_their_range(at: tuple[float, float]) -> None:
    x, d = (leaf(np.array(v)) for v in at)
    loss = d * d * (SQRT(1 + (x / d) ** 2) - 1)
    slopes = [gradient_of(loss, v, const(1, loss.dtype)) for v in (x, d)]
    true = gradient(loss, [x, d], {x: at[0], d: at[1]})
    for got, exact in zip(program.evaluate(slopes, Settings()), true, strict=True):
        assert err_ulp(got, exact) <= 4


@pytest.mark.parametrize(
    ("build", "at"),
    [
        (lambda n, m, a: OPS["arcsin"](n / m * OPS["sin"](a)), (1.5, 1.0, 0.7297276562269663)),
        (
            lambda n, e, a: OPS["arccos"]((OPS["cos"](n) + e) / (1 + e * OPS["cos"](n))) * a,
            (1e-8, 0.5, 1.0),
        ),
    ],
)
def test_slopes_next_to_the_end_of_arcsin(build: Any, at: tuple[float, ...]) -> None:
    leaves = [leaf(np.array(v)) for v in at]
    angle = build(*leaves)
    slopes = [gradient_of(angle, v, const(1, angle.dtype)) for v in leaves]
    true = gradient(angle, leaves, dict(zip(leaves, at, strict=True)))
    for got, exact in zip(program.evaluate(slopes, Settings()), true, strict=True):
        assert err_ulp(got, exact) <= 4


def test_special_values_stay_what_they_are() -> None:
    x = leaf([0.0, np.inf, np.nan, -1.0, 1e300])
    y = leaf([0.0, 1.0, 1.0, 2.0, 1e-300])
    got = program.evaluate([EXP(x / y), SQRT(x * y), x / (x + y), OPS["sin"](x * y)], Settings())
    np.testing.assert_array_equal(got[0], [np.nan, np.inf, np.nan, np.exp(-0.5), np.inf])
    np.testing.assert_allclose(got[1], [0, np.inf, np.nan, np.nan, 1], rtol=1e-15)
    np.testing.assert_array_equal(got[2], [np.nan, np.nan, np.nan, -1.0, 1.0])
    assert np.isnan(got[3][[1, 2]]).all()


def test_second_slopes_of_steep_powers_of_sums() -> None:
    """A mean of powers to the power 1/r: its base is next to 1, and felt 1/r times."""
    r = np.geomspace(1e-12, 1e-2, 20)
    x, y = leaf(np.linspace(0.1, 9.0, 20)), leaf(np.where(np.arange(20) % 2 == 0, r, -r))
    value = POWER(0.4 * POWER(x, y) + 0.6 * POWER(const(2.5, x.dtype), y), 1 / y)
    bend = gradient_of(
        gradient_of(value, x, const(1, x.dtype, x.shape)), x, const(1, x.dtype, x.shape)
    )
    (got,) = program.evaluate([bend], PLAIN)
    true = truth(value, {t: t.params[0].value for t in (x, y)}, order=2, direction={x: 1.0})
    assert true.decided.all()
    assert np.abs(err_ulp(got, true)).max() <= 8


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "exp", "log", "log1p", "sech", "erfc"])
def test_elements_are_computed_alike_beside_any_others(name):
    felt = np.array([[0.9, 1.3], [2.5, 3.1], [7.3, 1.1], [-1.9, 0.4], [-0.99, 0.999]])
    others = np.array([[1e-3, 1e-3], [np.inf, 1.0], [np.nan, 1.0], [0.0, 5.0], [1e200, 1e200]])

    def values(points: Any) -> Any:
        x, y = [leaf(np.ascontiguousarray(column)) for column in points.T]
        return program.evaluate([OPS[name](x * y)], PLAIN)[0]

    both = np.concatenate([felt, others])
    together = values(both)
    np.testing.assert_array_equal(values(felt), together[: len(felt)])
    for i in range(len(both)):
        np.testing.assert_array_equal(values(both[i : i + 1]), together[i : i + 1])
