"""Faults that random programs have found where digits or signs are lost below the range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stablegrad.ir import Term
from stablegrad.ops.record import const
from stablegrad.oracle import err_ulp
from tests.ops.test_found_by_fuzz import f, results

exp, log, log1p, sqrt, sin = f("exp"), f("log"), f("log1p"), f("sqrt"), f("sin")
cosh, sinh, erf, erfc, expm1 = f("cosh"), f("sinh"), f("erf"), f("erfc"), f("expm1")
hypot, logaddexp, sigmoid, arcsinh = f("hypot"), f("logaddexp"), f("sigmoid"), f("arcsinh")
maximum, minimum, log_sigmoid, cos = f("maximum"), f("minimum"), f("log_sigmoid"), f("cos")
tanh, sech, softplus, erfcx = f("tanh"), f("sech"), f("softplus"), f("erfcx")

Program = Callable[[Term, Term], Term]


def long_sum(x: Term) -> Term:
    """The slope is one sum whose code has 78 instructions, and cancels 300 times."""
    t = arcsinh(x) / erf(x)
    return sin(maximum(t, logaddexp(-minimum(hypot(x, t), 0.5), sinh(t) ** 2)))


def share(x: Term) -> Term:
    """Sums of what cancels 30 times, within one that does."""
    wave = cos(hypot(tanh(x), x)) ** 2
    return cosh(exp(wave)) / hypot(cosh(exp(wave)), wave)


def waves(y: Term) -> Term:
    """More terms than one code has."""
    total = sin(y)
    for k in range(2, 40):
        total = total + sin(k * y)
    return total


NOWHERE: dict[str, tuple[Program, float, float]] = {
    "root of an odd power": (lambda x, y: sqrt(x * (x * x)), -4.4e-134, 1.0),
    "root of minus a square": (lambda x, y: sqrt(-x * x), 1.07e-196, 1.0),
    "log of minus a square": (lambda x, y: log(-(x * x)), 1.9e-242, 1.0),
    "beyond the log": (lambda x, y: 1.0 / log(-(x * x)), 1.9e-242, 1.0),
    "log of minus an exponential": (lambda x, y: log(-exp(x)), -1.2e223, 1.0),
    "the same in range": (lambda x, y: log(-exp(x)), -2.0, 1.0),
    "root of minus a logistic": (lambda x, y: sqrt(-sigmoid(x)), -4.3e9, 1.0),
    "root of a negative function": (lambda x, y: sqrt(log_sigmoid(x)), 1.0e3, 1.0),
    "root of minus a tail": (lambda x, y: sqrt(-erfc(x)) + y, 64.0, 1.0),
    "root of one over": (lambda x, y: sqrt(1.0 / sinh(x)), -524288.0, 1.0),
    "root of a quotient": (lambda x, y: sqrt(exp(x) / log(y * y)), -1.8e16, -0.0625),
    "root of a minimum": (lambda x, y: sqrt(minimum(exp(x) / x, exp(x))), -2.7e67, 1.0),
    "log of a quotient": (lambda x, y: log(erfc(x * y) / x), -2.8e14, -0.0625),
    "log beside 1": (lambda x, y: log1p(-cosh(1.0 / x)), 1.4e14, 1.0),
    "log of what is left of 1": (lambda x, y: log1p(1.0 - hypot(x, 2.0)), 1.7e-108, 1.0),
    "log of almost nothing": (lambda x, y: log1p(x + expm1(1.0 / x)), -2.4e-94, 1.0),
    "beside an overflow": (lambda x, y: sigmoid(hypot(sqrt(x), sinh(y))), -0.0078125, 2.5e145),
    "quotient of itself beside a condition": (
        lambda x, y: 3.0 * exp(log1p(x) / log1p(x)),
        -4.9e83,
        1.0,
    ),
    "greater than a pole": (lambda x, y: maximum(x, 1.0 / (y - y)), 1.0, 1.0),
    "root of a root of a pole": (lambda x, y: tanh(sqrt(sqrt(3.0 - y / (x - x)))), 1.0, 1.0),
    "power of a root of a pole": (lambda x, y: exp(-(sqrt(x - y / (x - x)) ** 0.6)), 1.0, 1.0),
    "roots of a pole": (lambda x, y: exp(-sqrt(sqrt(sqrt(x - y / (x - x))))), 1.0, 1.0),
    "leg of a pole": (lambda x, y: hypot(1.0 / (x - x), x), 1.0, 1.0),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_there_is_no_number_where_there_is_none(name):
    program, *at = NOWHERE[name]
    (value, true_value), (slope, true_slope) = results(program, [np.array([v]) for v in at])
    assert true_value.undefined.all() | np.isinf(true_value.value).all()
    assert true_slope.undefined.all()
    assert not np.isfinite(value).any()
    assert np.isnan(slope).all()


@pytest.mark.parametrize("x", [0.0, -0.0])
def test_a_zero_that_is_none_by_underflow_stays_one(x):
    """The roots of 0 and of -0 are what they are, and so is the log."""
    data = [np.array([x]), np.array([3.0])]
    for program in (lambda x, y: sqrt(x * y), lambda x, y: sqrt(-x * y * y)):
        (value, _), _ = results(program, data)
        assert value == 0
    (value, _), _ = results(lambda x, y: log(x * y), data)
    assert value == -np.inf


RIGHT: dict[str, tuple[Program, float, float]] = {
    "over a tail": (lambda x, y: sigmoid(1.0 / erfc(x + 1.0)), 3.6e44, 1.0),
    "over a difference": (lambda x, y: log_sigmoid(x / (x - arcsinh(x))), 4.6e-128, 1.0),
    "share of a difference": (lambda x, y: (x * x - arcsinh(x * x)) / (x * x), 2e-90, 1.0),
    "difference to nothing": (lambda x, y: x - arcsinh(x), -3.6e-307, 1.0),
    "odds beyond the range": (lambda x, y: sigmoid(log(hypot(x, sinh(x)))), 3.4e156, 1.0),
    "odds of a difference": (lambda x, y: sigmoid(log(cosh(y) - x)), 1.0, -1.3e235),
    "hypotenuse less a leg": (
        lambda x, y: expm1(hypot(cos(x), x) - hypot(hypot(cos(x), x), sinh(x))),
        -1.0e180,
        1.0,
    ),
    "constants that are no floats": (
        lambda x, y: sigmoid(logaddexp(logaddexp(x, x), x)),
        -64.0,
        1.0,
    ),
    "negative constants": (
        lambda x, y: x / erfc(-1.0 / log_sigmoid(const(1, x.dtype))),
        1.0,
        1.0,
    ),
    "sign of a zero": (lambda x, y: exp(1.0 / log_sigmoid(x / y)), -11.24, -0.011),
    "leg beyond the range": (lambda x, y: minimum(hypot(sin(y / x), y / x), 2.0), -2.6e-85, 1e294),
    "all digits of a root": (lambda x, y: cos(hypot(x, x)), -3.7e183, 1.0),
    "wave of an overflow": (lambda x, y: sin(y * y), 1.0, 1.43e247),
    "an overflow less itself": (lambda x, y: x * (x / y) - x * (x / y), 6.15e259, 1.0),
    "waves of an overflow that cancel": (lambda x, y: cos(sinh(y)) - cos(sinh(y)) + x, 1.0, 1e4),
    "over itself beside an overflow": (
        lambda x, y: minimum(erf(x), log(sinh(y) ** 2)) / minimum(erf(x), log(sinh(y) ** 2)) + x,
        1.0,
        7.0e13,
    ),
    "log of a quotient near 1": (lambda x, y: 1.0 / log(sigmoid(x) * cosh(y)), 1.0, 1.0),
    "long, over growth": (lambda x, y: waves(y) / erfcx(-x), 26.73, 0.1),
    "long, over a root of growth": (lambda x, y: waves(y) / sqrt(cosh(x)), 1000.0, 0.1),
    "long, over the gamma function": (lambda x, y: waves(y) / sqrt(f("gamma")(x)), 250.0, 0.1),
    "soft maximum near 0": (lambda x, y: logaddexp(sin(x) - 2.0, x - 0.3), 0.0182, 1.0),
}
SLOPES: dict[str, tuple[Program, float, float]] = {
    "homogeneous": (lambda x, y: x / hypot(x, hypot(x, x)), 0.00884129, 1.0),
    "homogeneous beside a tail": (lambda x, y: logaddexp(x * y, x) / x, -90.0, -9.49),
    "over itself": (lambda x, y: maximum(hypot(x, y), y) / hypot(x, y), -0.125, 1.0),
    "branch of a minimum": (lambda x, y: x / hypot(x, minimum(1.0, x)), -8.35e-99, 1.0),
    "of large numbers": (lambda x, y: logaddexp(x + y, x), -5.6e247, -7.0e13),
    "what a rounded tie hides": (lambda x, y: maximum(hypot(x, y), y), 24302.3, 1.24e17),
    "what a tie below pairs hides": (lambda x, y: minimum(y, hypot(y, 1.0 / x)), -3.8e17, 1.0),
    "a tie of large numbers": (lambda x, y: maximum(y, logaddexp(y, x + y)), -5.6e-17, -8.1e118),
    "root of what underflows": (lambda x, y: x / sqrt(cosh(x) ** 2) + sigmoid(x), 700.0, 1.0),
    "tail at a large logarithm": (lambda x, y: logaddexp(sin(x), arcsinh(y)), -0.2, 5e234),
    "wave of a root": (lambda x, y: cos(sqrt(x * y)), 12.0, 8981002904897391.0),
    "wave of the root of a reciprocal": (lambda x, y: cos(sqrt(-1.0 / x)), -5.2e-16, 1.0),
    "all digits of a root below": (lambda x, y: sin(expm1(hypot(x, x))), 60.0, 1.0),
    "what is no branch": (lambda x, y: exp(y - minimum(x, 2.0) + x), -1.2e285, 6.2e144),
    "branch beyond the range": (lambda x, y: sigmoid(maximum(x**6, x)), 1.9e81, 1.0),
    "what cancels below what grows": (
        lambda x, y: 1.0 / (cosh((x + log_sigmoid(1.0 / y)) - 1.0 / y) + 2.0),
        2.0**40,
        -1.727233711018889e-77,
    ),
    "share of a small gap of large numbers": (
        lambda x, y: logaddexp(hypot(x, y), (y - x) + 2.0),
        0.015625,
        1.2786682062094304e148,
    ),
    "sums of far waves in a sum": (lambda x, y: share(x), 5.81e42, 1.0),
    "a long sum": (lambda x, y: long_sum(x), -0.07331, 1.0),
    "order that rounding changed": (
        lambda x, y: minimum(hypot(y, y), logaddexp(x, hypot(y, y))),
        -128.0,
        -0.2,
    ),
    "fourth root beside a negative": (
        lambda x, y: maximum(erfc(sqrt(sqrt(maximum(x, 2.0))) / x**2), tanh(2.0 - x)),
        -2.3e52,
        1.0,
    ),
    "choice of tails": (lambda x, y: sinh(minimum(exp(-x * x), sech(x * x)) * y), 27.1, 1e12),
    "choice of a share": (lambda x, y: y * minimum(softplus(-x * x), erfc(x)), 27.1, 1e200),
    "choice of what decays": (lambda x, y: y * maximum(sigmoid(-x * x), exp(-x * x)), 27.1, 1e200),
    "derivatives that grow": (lambda x, y: sinh(hypot(x, y)) / hypot(x, y), 32.0, 1.0),
}


@pytest.mark.parametrize("name", RIGHT)
def test_values_are_right_although_something_underflows(name):
    program, *at = RIGHT[name]
    (got, true), _ = results(program, [np.array([v]) for v in at])
    assert np.abs(err_ulp(got, true)).max() <= 2


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_right_although_something_is_lost(name):
    program, *at = SLOPES[name]
    _, (got, true) = results(program, [np.array([v]) for v in at])
    assert np.abs(err_ulp(got, true)).max() <= 4


def test_an_infinite_constant_addend_leaves_the_slope():
    x = np.array([-3.0, 0.25])
    _, (slope, true) = results(lambda x, y: sqrt(x * x + 1.0) + 1.0 / (y - y), [x, x])
    assert np.abs(err_ulp(slope, true)).max() <= 2


@pytest.mark.parametrize(
    ("function", "x", "zero"),
    [
        (tanh, np.inf, True),
        (exp, -np.inf, True),
        (exp, np.inf, False),
        (lambda x: 1.0 / x, np.inf, True),
        (lambda x: 1.0 / x, 0.0, False),
        (lambda x: logaddexp(x, 0.0), -np.inf, True),
        (sin, np.inf, False),
    ],
)
def test_what_cancels_at_infinity_is_0_where_it_is_finite(function, x, zero):
    data = [np.array([x]), np.array([1.0])]
    (value, _), _ = results(lambda x, y: function(x) - function(x), data)
    assert value == 0 if zero else np.isnan(value)
