"""Faults that random programs have found, and what their relatives were."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad.ir import OPS, Term, make
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import err_ulp, truth
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

POINTS = 300
PLAIN = Settings(excluded=frozenset({"synthesis"}))
WITHIN = 8.0  # ulp; without the rest of the argument it is 13 to 900


def f(name: str) -> Callable[..., Term]:
    return OPS[name]


exp, log, sin, cos, cosh, expm1 = f("exp"), f("log"), f("sin"), f("cos"), f("cosh"), f("expm1")
erf, erfc, sqrt, hypot, logaddexp = f("erf"), f("erfc"), f("sqrt"), f("hypot"), f("logaddexp")
maximum, minimum, log_sigmoid, arctan = f("maximum"), f("minimum"), f("log_sigmoid"), f("arctan")
sinh, arcsinh, log1p, abs_ = f("sinh"), f("arcsinh"), f("log1p"), f("abs")

STEEP: dict[str, Callable[[Term, Term], Term]] = {
    "slope of erf": lambda x, y: erf(x + y),
    "slope of erf beyond clip": lambda x, y: erf(maximum(x + y, -3.0) * 2.0),
    "slope of logaddexp": lambda x, y: logaddexp(x * y, y),
    "hyperbolic": lambda x, y: cosh(log_sigmoid(x) * y),
    "trigonometric": lambda x, y: sin(exp(x * 0.3) + y),
    "near a pole": lambda x, y: cos(1.0 / expm1(x) / 3.0),
    "tail": lambda x, y: erfc(x - 0.5 / log_sigmoid(y)),
    "bell curve": lambda x, y: exp(-0.5 * ((x - y) / 3.0) ** 2),
    "root of a sum": lambda x, y: exp(sqrt(x * x + y * y + 1.0)),
    "log near 1": lambda x, y: log(arctan(x * x + y * y)),
}


def results(program: Callable[[Term, Term], Term], data: list[Any]) -> Any:
    """Value and slope by the first input, and the truth of both."""
    inputs = [make(INPUT, (), (i,), np.shape(d), np.dtype(np.float64)) for i, d in enumerate(data)]
    y = program(*inputs)
    slope = gradient(y, inputs[0], const(1, y.dtype, y.shape))
    got = compile_terms([y, slope], inputs, PLAIN)(data)
    bound = dict(zip(inputs, data, strict=True))
    true = truth(y, bound), truth(y, bound, order=1, direction={inputs[0]: 1.0})
    return list(zip(got, true, strict=True))


@pytest.mark.parametrize("name", STEEP)
def test_the_rounding_of_an_argument_is_not_felt(name):
    rng = np.random.default_rng(20261129)
    data = [rng.standard_normal(POINTS) * 4 for _ in range(2)]
    for got, true in results(STEEP[name], data):
        normal = true.decided & (np.abs(true.value) > 1e-300) & np.isfinite(true.value)
        assert normal.mean() > 0.5
        assert np.abs(err_ulp(got, true)[normal]).max() <= WITHIN


def test_what_cancels_with_a_bound_taken_of_a_rounded_value_is_zero():
    """min(x*x, 1) is of the rounded square, which a sum must not meet with the exact one."""
    x = np.array([0.7, 0.3, 1.1])
    for program in (
        lambda x, y: minimum(x * x, 1.0) - x * x,
        lambda x, y: minimum(y - x, 1.0) - (y - x),
        lambda x, y: minimum(logaddexp(x, y) ** 2, 1.0) - logaddexp(x, y) ** 2,
    ):
        (value, true), _ = results(program, [x, np.full(3, -2.2397447421778042e102)])
        assert np.abs(err_ulp(value, true)).max() <= 1, program


@pytest.mark.parametrize(
    "program",
    [
        lambda y, x: sqrt(y) ** 2,
        lambda y, x: hypot(sqrt(y), x) ** 2,
        lambda y, x: x * sqrt(y) * sqrt(y),
        lambda y, x: x / sqrt(y) ** 2,
    ],
)
def test_a_squared_root_of_a_negative_is_no_number(program):
    y, x = np.array([-0.5, 0.25]), np.array([1.0, 1.0])
    (value, true), (slope, true_slope) = results(program, [y, x])
    assert np.isnan([value[0], slope[0]]).all()
    assert err_ulp(value, true)[1] <= 1
    assert err_ulp(slope, true_slope)[1] <= 1


NOWHERE: dict[str, tuple[Callable[[Term, Term], Term], float, float]] = {
    "masked argument": (lambda x, y: OPS["log1p"](minimum(x, y)), 1.0, -16.0),
    "masked argument of a root": (lambda x, y: sqrt(minimum(x, y)), 1.0, -16.0),
    "masked quotient": (lambda x, y: log(y / minimum(x, 2.0)), 33554432.0, -0.25),
    "masked log of a quotient of sums": (
        lambda x, y: log(maximum(x, 1.0) / (1.0 - y)),
        0.5,
        2.0,
    ),
    "wave of a pole": (lambda x, y: x - sin(log(y)), 1.0, 0.0),
    "wave of the pole of a constant": (lambda x, y: x - sin(log(y - y)), 1.0, 1.0),
    "pole of a function beyond a mask": (
        lambda x, y: maximum(2.0 / log(minimum(y, 1.0)), x),
        1.0,
        1.0,
    ),
    "beside a pole of its own": (lambda x, y: minimum(x, y) - log(x - x), 1.0, 0.25),
    "pole beyond a mask": (lambda x, y: log(minimum(x, y)), 1.0, 0.0),
    "beside a mask": (lambda x, y: log(y) + maximum(x, 0.5), -1.0, -2.0),
    "weighted by zero": (lambda x, y: log(x) * y, -1.0, 0.0),
    "log of almost nothing": (lambda x, y: log1p(x - 1.0), -9e-243, 1.0),
    "quotients of itself": (lambda x, y: sqrt(x) / sqrt(x) - sqrt(x) / sqrt(x), -4e-81, 1.0),
    "quotient of itself": (lambda x, y: sqrt(x) / sqrt(x), -1.0, 1.0),
    "difference to itself": (lambda x, y: (sqrt(x) - sqrt(x)) * y, -16.0, 1.0),
    "zero over itself": (lambda x, y: (x - x) / (x - x), 1.0, 1.0),
    "over a difference to itself": (lambda x, y: 0.5 / (x - x), 1.0, 1.0),
    "log of a difference to itself": (lambda x, y: log(x - x), 1.0, 1.0),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_where_there_is_no_value_there_is_no_slope(name):
    program, *at = NOWHERE[name]
    (value, _), (slope, true) = results(program, [np.array([v]) for v in at])
    assert not np.isfinite(value).any()
    assert np.isnan(slope).all()
    assert not true.decided.any()
    x, y = [make(INPUT, (), (i,), (1,), np.dtype(np.float64)) for i in range(2)]
    one, none = [const(c, np.dtype(np.float64), (1,)) for c in (1, 0)]
    along = pushforward(program(x, y), (x, y), (one, none))
    assert np.isnan(compile_terms([along], [x, y], PLAIN)([np.array([v]) for v in at])[0]).all()


def test_what_a_mask_blocks_needs_no_value():
    x = np.array([-1.0, 2.0, 0.0])
    where = f("where")
    for program in (
        lambda x, y: where(x > 0.0, log(x), 0.0),
        lambda x, y: where(x > 0.0, sqrt(minimum(x, y)), y),
        lambda x, y: where(x > 0.0, 1.0 / x, 0.0) + x,
        lambda x, y: where(x >= 0.0, x, -np.inf) * 0.0 + maximum(x, 0.0),
    ):
        for got, true in results(program, [x, np.full(3, 0.5)]):
            assert np.abs(err_ulp(got, true))[1] <= 1
            finite = np.isfinite(true.value)
            assert np.array_equal(np.isfinite(got), finite)


def test_a_sum_of_what_has_no_value_in_places():
    """Elements without a value have no slope; the others keep theirs."""
    x, y = np.array([1.0, 3.0, 2.0]), np.array([0.5, -2.0, 4.0])
    inputs = [make(INPUT, (), (i,), (3,), np.dtype(np.float64)) for i in range(2)]
    total = f("sum")(log(minimum(*inputs)))
    slope = gradient(total, inputs[0], const(1, total.dtype, ()))
    (got,) = compile_terms([slope], inputs, PLAIN)([x, y])
    assert np.array_equal(got, [0.0, np.nan, 0.5], equal_nan=True)


def test_ops_of_one_value_twice_are_taken_apart():
    x = np.array([-64.0, 3.0, -0.6931, 1e308])
    for program in (
        lambda x, y: logaddexp(x, x),
        lambda x, y: hypot(x, x),
        lambda x, y: exp(logaddexp(x, x)),
        lambda x, y: maximum(x, x) * exp(minimum(x, x) * 1e-3),
    ):
        for got, true in results(program, [x, x]):
            assert np.abs(err_ulp(got, true)).max() <= 1


def test_the_root_of_an_absolute_value_keeps_it():
    y = np.array([-0.5, 0.25, -3.0])
    for program in (
        lambda y, x: hypot(x, sqrt(OPS["abs"](y))),
        lambda y, x: cosh(sqrt(OPS["abs"](y))),
    ):
        for got, true in results(program, [y, np.ones(3)]):
            assert np.abs(err_ulp(got, true)).max() <= 4


HARMED: dict[str, tuple[Callable[[Term, Term], Term], float, float]] = {
    "what merges is no reason for one denominator": (
        lambda x, y: 1.0 / (2.0 + expm1(x)) + 3.0,
        1e24,
        1.0,
    ),
    "absolute value of a reciprocal": (
        lambda x, y: 1.0 / abs_(1.0 / x) + x,
        -13.248043145195233,
        1.0,
    ),
    "cosine of a right angle": (lambda x, y: abs_(cos(arctan(x))), 3e57, 1.0),
    "more than a rounded sum": (
        lambda x, y: (x + arcsinh(x)) - minimum(x + arcsinh(x), 0.5),
        -4.1e149,
        1.0,
    ),
    "more than a rounded difference": (
        lambda x, y: maximum(0.5 - log1p(x), log1p(x)) - (0.5 - log1p(x)),
        0.02,
        1.0,
    ),
    "soft maximum of a rounded sum": (
        lambda x, y: hypot((x - y) - logaddexp(1.0, x - y), 2.0),
        1.0,
        -1.83e252,
    ),
    "soft maximum with a constant": (
        lambda x, y: ((abs_(y) + 1.0) - logaddexp(abs_(y) + 1.0, x)) ** 2,
        1.0,
        -3.1e113,
    ),
    "logistic of a sum": (lambda x, y: (x + y) - log_sigmoid(x + y), -16777216.0, -14.2),
    "hypotenuse of a sum": (
        lambda x, y: (x + arcsinh(x)) - hypot(y, x + arcsinh(x)),
        2.36e167,
        1.0,
    ),
    "a sum in another order": (lambda x, y: logaddexp(x, 1.0) - logaddexp(1.0, x), -0.03125, 1.0),
    "a sum of squares": (lambda x, y: log(1.0 / (x * x + 0.5) + arcsinh(x)), -2.8e-17, 1.0),
    "known by its spelling": (lambda x, y: sin(30.0 * (x * f("sigmoid")(x))), 40.0, 1.0),
    "arcsinh of a large negative": (
        lambda x, y: erfc(hypot(arcsinh(x), 1.0)),
        -855625854.4442605,
        1.0,
    ),
    "steep beyond a soft maximum": (
        lambda x, y: sin(logaddexp((y - x) / 3.0, y)),
        -1.8295238579023558e64,
        1.966977070221562e-06,
    ),
    "growing cosh": (lambda x, y: cosh(sinh(x)) * y, -2.0, 3.0),
}


def test_an_infinite_addend_leaves_the_slope_by_others():
    x = np.array([-3.0, 0.25])
    _, (slope, true) = results(lambda x, y: sqrt(x * x + 1.0) + cosh(1.0 / (y - y)), [x, x])
    assert np.abs(err_ulp(slope, true)).max() <= 2


def test_a_slope_does_not_feel_the_rounding_of_what_erfcx_stands_for():
    x = np.array([3.1, 4.4, 5.2])
    _, (slope, true) = results(lambda x, y: log1p(erf(sinh(x) * 0.25)), [x, x])
    assert np.abs(err_ulp(slope, true)).max() <= WITHIN


@pytest.mark.parametrize("name", HARMED)
def test_what_was_right_stays_right(name):
    program, *at = HARMED[name]
    for got, true in results(program, [np.array([v]) for v in at])[:1]:
        assert np.abs(err_ulp(got, true)).max() <= 1


def test_a_leg_of_known_sign_is_no_loop():
    """hypot(u, v) + |u| for a negative u is a sum of one sign, as it stands and taken apart."""
    x = np.array([0.5, 3.0])
    for got, true in results(lambda x, y: hypot(log_sigmoid(x), y) + abs_(log_sigmoid(x)), [x, x]):
        assert np.abs(err_ulp(got, true)).max() <= 2


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (lambda x: snp.log1p(2 * snp.maximum(x, 1)) / snp.maximum(x, 1), math.log(3)),
        (lambda x: snp.maximum(x, 3) / snp.sin(snp.maximum(x, 3)), 3 / math.sin(3)),
        (
            lambda x: snp.minimum(x, -4) / (1 - snp.exp(snp.minimum(x, -4))),
            4 / math.expm1(-4),
        ),
        (
            lambda x: (
                snp.log(snp.maximum(x, 4) / snp.minimum(x + 9, 1))
                / (snp.maximum(x, 4) - snp.minimum(x + 9, 1))
            ),
            math.log(4) / 3,
        ),
    ],
)
def test_quotients_far_from_where_they_are_0_over_0_stay_as_they_are(f, wanted) -> None:
    value, slope = sg.value_and_grad(f)(np.float64(0.5))
    assert value.item() == pytest.approx(wanted, rel=1e-15)
    assert slope.item() == 0


LOST: dict[str, tuple[Callable[[Term, Term], Term], list[float], list[float]]] = {
    "a zero with its sign, the smaller of two": (
        lambda x, y: f("sigmoid")(y / maximum(x, (x - x) / x)),
        [-2.0, -3e14, 3.0],
        [1.0, -0.4, 2.0],
    ),
    "of another number": (lambda x, y: arctan(1.0 / minimum(x, (y - y) * y)), [2.0] * 2, [-1, 1.0]),
    "the log of a quotient of what overflows": (
        lambda x, y: log(f("sigmoid")(log(maximum(x, sinh(1.0 / y))))),
        [0.3, 15.0],
        [1e-7, 1e-13],
    ),
    "a square less 1 near -1": (lambda x, y: 1.0 / (x + y) ** 2 - 1.0, [-1.0, -1.1], [1e-10, 0.1]),
    "of a wave": (lambda x, y: 1.0 / sin(x) ** 2 - 1.0, [-1.57, 4.712], [0.0] * 2),
    "the wave of one": (lambda x, y: sin(1.0 - 1.0 / (y * y)), [1.0] * 2, [-4.77e-89, -1e-9]),
    "of a cube": (lambda x, y: sin(1.0 - 1.0 / y**3), [1.0] * 2, [-4.77e-69, -4.77e-8]),
    "of a twelfth power": (lambda x, y: sin(y**-12 - 1.0), [1.0] * 2, [-1e-10, -0.01]),
}


@pytest.mark.parametrize("name", LOST)
def test_what_was_lost_on_the_way_is_told(name) -> None:
    program, *data = LOST[name]
    for got, true in results(program, [np.array(d) for d in data])[:1]:
        assert true.decided.all()
        assert np.abs(err_ulp(got, true)).max() <= 2


def test_a_sigmoid_of_what_is_beyond_all_range_has_a_slope_beside_it() -> None:
    """1/(1 + exp(x)) has no value in balls where exp(x) has none."""
    data = [np.array([0.0012, 1.0]), np.array([-100505115.39925984, -3e7])]
    for name in ("sigmoid", "tanh", "sech"):
        _, (slope, true) = results(
            lambda x, y, name=name: (1 + (f(name)(sinh(y)) + x * y)) ** 2 / (x * y) ** 2, data
        )
        assert true.decided.all()
        assert np.abs(err_ulp(slope, true)).max() <= WITHIN, name


@pytest.mark.parametrize(
    "flat", [lambda x: expm1(f("tanh")(x) / hypot(f("tanh")(x), x)), lambda x: sin(x) / sinh(x)]
)
def test_slopes_of_what_is_level_are_known_to_all_digits_beside_that_of_a_tail(flat) -> None:
    x = np.array([9.4e-64, 1e-24, 3e-9])
    _, (slope, true) = results(lambda x, y: log(flat(x)) + log(erfc(x)), [x, x])
    assert true.decided.all()
    assert np.abs(err_ulp(slope, true)).max() <= WITHIN


@pytest.mark.parametrize("leg", [lambda x: sqrt(x) ** 2, lambda x: exp(log(x)), sqrt])
def test_a_length_has_no_value_where_a_leg_has_none_beside_one_that_overflows(leg) -> None:
    data = [np.array([-1e-44, 2.0]), np.array([3e17, 800.0])]
    ((value, true), _) = results(lambda x, y: minimum(hypot(exp(y), leg(x)), y), data)
    assert true.undefined.tolist() == [True, False]
    assert np.isnan(value).tolist() == [True, False]


def test_log_of_a_reciprocal_at_an_infinite_logarithm() -> None:
    """log(1/u) is -inf where u is -inf, and -log(u) is nan; next to u = 1 it keeps its digits."""
    log, absolute = f("log"), f("abs")
    x = np.array([-3.0, -1e300, 1.359140914, 1.5, 1e300, 0.5000000001])
    for program in (
        lambda x: x / log(1 / log(x + absolute(x))),
        lambda x: 1 / log(2 / log(x + absolute(x))),
        lambda x: x / log(log(x + absolute(x)) ** -3),
        lambda x: 1 / log(1 / (1 + log(x + absolute(x)))),
    ):
        got, true = results(program, [x])[0]
        assert true.decided[:2].all()
        assert (got[:2] == 0).all()
        assert np.abs(err_ulp(got, true))[true.decided].max() <= 4
        slope, true = results(program, [x])[1]
        assert np.abs(err_ulp(slope, true))[2:][true.decided[2:]].max() <= 4


@pytest.mark.parametrize("name", ["arcsinh", "sinh", "tanh"])
@pytest.mark.parametrize(("factor", "power"), [(1.0, -2), (1e40, 2), (1e-40, -4)])
def test_a_large_power_less_one_needs_all_digits_of_its_logarithm(name, factor, power) -> None:
    x = np.array([-2e-34, 2.01e-34, 1e-45, 3e-20])
    got, true = results(lambda x: (f(name)(x) * factor) ** power - 1, [x])[0]
    assert true.decided.all()
    assert np.abs(err_ulp(got, true)).max() <= 4


def test_a_product_of_softplus_and_its_argument_is_one_addend() -> None:
    """y*softplus(y)*k is no line k*y beside another addend that has the softplus."""
    softplus = f("softplus")
    y, k = np.array([-1.4, -0.45, 0.02, 0.5, 30.0]), np.array([0.3, 2.0, -1.5, 3.0, 1.0])
    for program in (
        lambda y, k: hypot(-(y * softplus(y) * k), 2.0),
        lambda y, k: -(k * y * softplus(y)),
        lambda y, k: k - 2 * y * softplus(y),
        lambda y, k: softplus(y) * y - k * y,
    ):
        for got, true in results(program, [y, k]):
            assert true.decided.all()
            assert np.abs(err_ulp(got, true)).max() <= 4
