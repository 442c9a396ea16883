"""Faults of slopes that random programs have found: infinities that are none, and true ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stablegrad.ir import Term, make
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import err_ulp, truth
from stablegrad.program import compile_terms
from tests.ops.test_found_by_fuzz import PLAIN, f, results

exp, log, log1p, expm1, square = f("exp"), f("log"), f("log1p"), f("expm1"), f("square")
sin, cos, tan, sinh, cosh, tanh = (f(n) for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh"))
erf, erfc, hypot, arctan, abs_ = f("erf"), f("erfc"), f("hypot"), f("arctan"), f("abs")
sigmoid, softplus, log_sigmoid = f("sigmoid"), f("softplus"), f("log_sigmoid")
sqrt, arcsinh, ndtr = f("sqrt"), f("arcsinh"), f("ndtr")
maximum, minimum, logaddexp = f("maximum"), f("minimum"), f("logaddexp")

Program = Callable[[Term, Term], Term]


def pole(x: Term, y: Term) -> Term:
    """Its slopes have masks, which block what belongs to y = 0."""
    return hypot(y, x + 1.0 / y)


def softer(x: Term) -> Term:
    return logaddexp(1.0, x)


def log_of_length(x: Term, y: Term) -> Term:
    """The slope of logrel is lost below the range beside a power of logrel that is far above."""
    length = hypot(x * y, -1.0)
    return length - expm1(log(length)) / log(length)


RIGHT: dict[str, tuple[Program, float, float]] = {
    "more than a sine": (lambda x, y: maximum(x, sin(exp(y))), 16.0, 1e15),
    "less than a sine": (lambda x, y: maximum(sin(exp(y)), x), -16.0, 1e15),
    "less than a cosine and more": (
        lambda x, y: maximum(logaddexp(2.0, sin(exp(exp(y)))), x),
        -512.0,
        272.0,
    ),
    "cosine under a length": (lambda x, y: maximum(sin(cosh(y)) + x, cosh(y)), 1.0, -9e192),
    "wave below the range of exp": (
        lambda x, y: arctan(expm1(maximum(x / cos(x), y))),
        1.37e106,
        1.0,
    ),
    "share of a power": (
        lambda x, y: logaddexp(x - square(square(x)), arctan(square(square(x)))),
        -2.2e133,
        1.0,
    ),
    "share of a length": (
        lambda x, y: logaddexp(x, -square(hypot(1.0, exp(x)) / x)),
        600.0,
        1.0,
    ),
    "tail of growth": (lambda x, y: erfc(sinh(x - hypot(x, y))), 2.5e117, 8.7e99),
    "beside all floats": (
        lambda x, y: sigmoid(minimum(x * y, 2.0)) * hypot(x * y, minimum(x * y, 2.0)),
        -16.0,
        2.7e272,
    ),
    "error function of one": (
        lambda x, y: sin(hypot(x / erf(erf(x)), logaddexp(x, 1.0))),
        2e-135,
        1.0,
    ),
    "error function of one, in one": (
        lambda x, y: erf(expm1(sin(hypot(x / erf(erf(x)), logaddexp(x, 1.0))))),
        2e-135,
        1.0,
    ),
    "minimum of a number and itself and some": (
        lambda x, y: maximum(hypot(x, minimum(2.0, 2.0 + x)), 2.0 + x),
        -2.9e-42,
        1.0,
    ),
    "maximum of less some and itself": (lambda x, y: maximum(y, y - x), -7e-3, -9e176),
    "maximum of itself and less some": (lambda x, y: maximum(y - x, y), 7e-3, -9e176),
    "maximum with a constant": (lambda x, y: maximum(3.0, 3.0 - 2.0 * x), -1e-50, 1.0),
    "growth of a size": (lambda x, y: log1p(softplus(expm1(abs_(log(x))))), 1.98e-264, 1.0),
    "wave of a length": (lambda x, y: cos(hypot(square(x), 2.0)), -9e14, 1.0),
    "wave of a length of growth": (lambda x, y: cos(hypot(exp(x), y)), 53.0, 0.5),
    "log of a length": (log_of_length, -8.75, -5.5e265),
}


@pytest.mark.parametrize("name", RIGHT)
def test_slopes_are_right(name: str) -> None:
    program, *at = RIGHT[name]
    _, (slope, true) = results(program, [np.array([v]) for v in at])
    assert true.decided.all()
    assert np.abs(err_ulp(slope, true)).max() <= 8


SECOND: dict[str, tuple[Program, float, float]] = {
    "growth of growth": (lambda x, y: tanh(exp(2.0 * square(x))), 4.79e17, 1.0),
    "wave of a length": (lambda x, y: cos(hypot(square(x), 2.0)), 1.7e5, 1.0),
    "angle of a quotient": (lambda x, y: arctan(1.0 / x), 1.4821825304805564e-127, 1.0),
    "angle of a product": (lambda x, y: arctan(x * y), 5.979203372075514e-10, 2.6e232),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_slopes_are_right(name: str) -> None:
    program, *at = SECOND[name]
    x, y = (make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(2))
    one = const(1, x.dtype)
    root = program(x, y)
    second = gradient(gradient(root, x, one), x, one)
    data = [np.array(v) for v in at]
    (got,) = compile_terms([second], [x, y], PLAIN)(data)
    true = truth(root, dict(zip((x, y), data, strict=True)), order=2, direction={x: 1.0})
    assert true.decided.all()
    assert np.abs(err_ulp(got, true)).max() <= 8


NOWHERE: dict[str, tuple[Program, float, float]] = {
    "function of an infinite sum": (lambda x, y: softplus(x + 1.0 / (y - y)), 1.0, 1.0),
    "function of an infinite constant": (lambda x, y: softplus(x - log(y - y)), 1.0, 1.0),
    "infinite constant of a sum": (
        lambda x, y: log_sigmoid(x - 1.0 / (sin(y) - sin(y))),
        1.0,
        1.0,
    ),
    "infinite addend that is no number": (
        lambda x, y: x + maximum(x - x, log_sigmoid(y)) / (x - x),
        1.0,
        1.0,
    ),
    "length beside a pole of a log": (
        lambda x, y: softplus(hypot(cosh(log1p(-minimum(y, 1.0))), x)),
        0.05,
        1.58,
    ),
    "log of what is lost below the range": (
        lambda x, y: log(x * log(maximum(erfc(x), x))),
        -2.5876e-172,
        1.0,
    ),
    "log of 1 less itself": (lambda x, y: hypot(x, y) + log1p(-x / x), 0.7, 1.3),
    "addend that is 0/0 by a choice": (
        lambda x, y: x + maximum(minimum(x - x, y), log_sigmoid(y)) / minimum(x - x, y),
        1.0,
        1.0,
    ),
    "choice beside a pole of its variable": (
        lambda x, y: logaddexp(1.0 / (x - x), minimum(x - x, x)),
        1.0,
        1.0,
    ),
    "choice beside a function of a pole of its variable": (
        lambda x, y: logaddexp(log(sqrt(1.0 / sin(x - x))), minimum(x - x, x)),
        1.0,
        1.0,
    ),
    "log of a pole": (lambda x, y: log(1.0 / ((x - x) * y)), 0.7, 1.3),
    "wave of the log of a pole": (lambda x, y: tanh(cos(log(1.0 / ((x - x) * y)))), 0.7, 1.3),
    "over the size of a zero": (
        lambda x, y: logaddexp(0.5 / abs_(minimum(x, y - y)), -1.0),
        1.0,
        1.0,
    ),
    "over the size of a zero less another": (
        lambda x, y: exp(1.0 / abs_((y - y) - minimum(sqrt(y - y), x))),
        3.0,
        1.0,
    ),
    "wave of the root of what is negative": (lambda x, y: cos(sqrt(-exp(x))), -9e15, 1.0),
    "infinite addend beside what is not chosen": (
        lambda x, y: maximum(x, y) + 2.0 / (y - y),
        1.0,
        2.0,
    ),
    "infinite addend beside a bound": (
        lambda x, y: log1p(minimum(-1.0, y)) - maximum(minimum(-1.0, y), x),
        -3.0,
        2.0,
    ),
    "infinite addend beside a function of a bound": (
        lambda x, y: sinh(minimum(x, 1.0)) - log(y - y),
        3.0,
        2.0,
    ),
    "wave nobody knows": (lambda x, y: maximum(x, sin(exp(y))), 0.5, 1e15),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_there_is_no_slope_where_there_is_none(name: str) -> None:
    program, *at = NOWHERE[name]
    _, (slope, true) = results(program, [np.array([v]) for v in at])
    assert not true.decided.any()
    assert np.isnan(slope).all()


def test_an_infinite_addend_leaves_the_slope_of_the_others() -> None:
    for program in (
        lambda x, y: x + 1.0 / (y - y),
        lambda x, y: 2.0 * (x + log(y - y)),
        lambda x, y: log1p(minimum(-1.0, y)) - maximum(minimum(-1.0, y), x),
    ):
        _, (slope, true) = results(program, [np.array([1.5]), np.array([2.0])])
        assert true.decided.all()
        assert slope == true.value


LEVEL: dict[str, Program] = {
    "sum of exponentials": lambda x, y: logaddexp(x, 1.0 / (y - y)),
    "log of a sum of exponentials": lambda x, y: log(logaddexp(softplus(2.0 / (y - y)), x)),
    "log": lambda x, y: log(x + 1.0 / (y - y)),
    "size": lambda x, y: abs_(x + log(y - y)),
    "arcsinh": lambda x, y: x + arcsinh(x + 1.0 / (y - y)),
    "greater": lambda x, y: maximum(log1p(x + 1.0 / (y - y)), x),
    "greater than an infinity below": lambda x, y: maximum(x, 1.0 - 2.0 / (y - y)) - 2.0 / (y - y),
    "addend over zeros": lambda x, y: maximum(x + y / (y - y), abs_(y - y)),
    "no number of zeros": lambda x, y: cosh(((y - y) / y) + 0.5 / (y - y)) + y * x,
    "tail at infinity times growth": lambda x, y: exp(erfc(0.5 / (y - y)) * (y * x)),
}


@pytest.mark.parametrize("name", LEVEL)
def test_beside_an_infinite_constant_slopes_are_limits_in_both_modes(name: str) -> None:
    inputs = [make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(2)]
    data = [np.array(0.7), np.array(1.3)]
    for x in inputs:
        y = LEVEL[name](*inputs)
        slopes = [gradient(y, x, const(1, y.dtype)), pushforward(y, (x,), (const(1, x.dtype),))]
        true = truth(
            y, dict(zip(inputs, data, strict=True)), order=1, direction={x: 1.0}, limits=False
        )
        if x is inputs[0]:
            assert true.decided.all()
        for got in compile_terms(slopes, inputs, PLAIN)(data):
            assert got == true.value if true.decided else np.isnan(got)


NEAR = 4.0  # ulp
CURED: dict[str, tuple[Program, float, float]] = {
    "gap of a number and its log": (lambda x, y: log1p(log1p(x)) - log1p(x), 8e-10, 1.0),
    "gap of what rounds to one number": (lambda x, y: log1p(log1p(x)) - log1p(x), 1e-20, 1.0),
    "gap of exponentials": (lambda x, y: exp(sin(x)) - exp(x), 1e-20, 1.0),
    "gap of angles": (lambda x, y: arctan(sin(x)) - arctan(x), 3e-12, 1.0),
    "log of a tail undone": (lambda x, y: erfc(x) - expm1(log(erfc(x))), -1.0, 1.0),
    "growth of the entropy of a tail": (
        lambda x, y: expm1(arctan(erfc(x) * (1.0 - log(erfc(x))))),
        -4.89e-113,
        1.0,
    ),
    "function of a difference that is 0": (
        lambda x, y: erf(arcsinh(minimum(1.0, x) - minimum(exp(minimum(1.0, x)), x))),
        -1.0,
        1.0,
    ),
    "entropy of a normal tail": (lambda x, y: ndtr(x) * (1.0 - log(ndtr(x))), 20.0, 1.0),
    "growth of the entropy of a normal tail": (
        lambda x, y: exp(ndtr(x) * (1.0 - log(ndtr(x)))),
        7.5,
        1.0,
    ),
    "entropy of a tail": (lambda x, y: erfc(x) * (1.0 - log(erfc(x))), -5.2e-113, 1.0),
    "six of a logarithm of two": (
        lambda x, y: sin((logaddexp(y / y, y / y) + logaddexp(y / y, y / y)) * 3.0 * x),
        -2e162,
        1.0,
    ),
    "function of a root over it": (
        lambda x, y: square(1.0 - sin(hypot(x, x)) / hypot(x, x) + sin(hypot(x, x))),
        -2.5e-147,
        1.0,
    ),
    "function of a root over it, less 1": (
        lambda x, y: 1.0 - sin(hypot(x, x)) / hypot(x, x),
        -2.5e-20,
        1.0,
    ),
    "half beside a logarithm of two": (
        lambda x, y: cos(y / (logaddexp(x, x) - 0.5)),
        2.8310885661174683e-11,
        1.7e136,
    ),
    "fourth root of two": (lambda x, y: cos(sqrt(hypot(x, x)) * 2.0), -2.143e301, 1.0),
    "root of minus a tail": (lambda x, y: sqrt(-erfc(x) * exp(y)), 5.4e39, 1.0),
    "tie of what overflowed": (lambda x, y: y / minimum(y / x**2, sinh(y)), -4.6e-246, 5.9e284),
    "log beside cosh": (lambda x, y: log1p(cosh(x)), 2.99e197, 1.0),
    "log of a length of cosh": (lambda x, y: log(hypot(cosh(x), 2.0)), 4.5e15, 1.0),
    "maximum that overflowed": (lambda x, y: maximum(x**2, y) / x, 8.6e155, 1.0),
    "exponentials of two orders": (lambda x, y: sigmoid(expm1(x) ** 2), 1.5e256, 1.0),
    "leg that overflowed": (lambda x, y: hypot(0.5 / (y / x), x), -1.1e307, 0.0078125),
    "share of a length": (lambda x, y: hypot(arctan(log_sigmoid(cosh(cosh(x)))), -1.0), 32.0, 1.0),
    "log odds of a tail": (lambda x, y: tanh(log_sigmoid(3.0 / erfc(x))), 5.6e14, 1.0),
    "size of a product that underflowed": (lambda x, y: abs_(x * y), 2e-233, -1e-200),
    "size of what cancels below the range": (lambda x, y: abs_(log1p(x) - x), 2e-233, 1.0),
    "minimum that underflowed": (lambda x, y: minimum(x / y, 1.0) / (x / y), 8.7e-47, -3.3e296),
    "log of a logistic far down": (lambda x, y: 1.0 / log(sinh(sigmoid(x))), -1e5, 1.0),
    "log of what is nearly 1": (lambda x, y: log(tanh(cosh(x))), 67108864.0, 1.0),
    "function of what is nearly 1": (lambda x, y: tanh(sigmoid(cosh(x))), 4.87e288, 1.0),
    "one more than the log of cosh": (
        lambda x, y: minimum(log(cosh(x) / y) + 1.0, log(cosh(x) / y) + 1.0 + abs_(x)),
        2.2e12,
        1.0,
    ),
    "logistic far out": (
        lambda x, y: sigmoid(maximum(square(hypot(y * arcsinh(x), x)), y - abs_(y * arcsinh(x)))),
        1.0,
        -3.1e262,
    ),
    "choice of a function of a pole": (
        lambda x, y: minimum(x, sigmoid(1.0 / (0.5 - minimum(y * y, 0.5)))),
        4.0,
        2.0,
    ),
    "choice beside the log of 0": (
        lambda x, y: minimum(x, (y - y) - logaddexp(log(y - y), y)),
        4.0,
        2.0,
    ),
    "log next to -1": (lambda x, y: log(x * y) + 1.0, 1.4, 0.2635241979039896),
    "masked sum below the range": (
        lambda x, y: y * hypot(pole(x, y), softer(hypot(hypot(hypot(pole(x, y), 2.0), 1.0), y))),
        1.0,
        4.914206519773204e-237,
    ),
}


@pytest.mark.parametrize("name", CURED)
def test_what_random_programs_lost(name: str) -> None:
    program, *at = CURED[name]
    for got, true in results(program, [np.array([v]) for v in at]):
        assert true.decided.all() or np.isnan(got).all()
        assert true.undefined.all() or np.abs(err_ulp(got, true)).max() <= NEAR


def test_slopes_of_waves_take_the_rest_of_their_argument_along_at_any_size():
    """An argument of 1e9 is off by 1e-7 before it is redone: the slope there is none of it."""
    rng = np.random.default_rng(3)
    data = [10.0 ** rng.uniform(0, 9, 40), 10.0 ** rng.uniform(-3, 3, 40)]
    many = [make(INPUT, (), (i,), (40,), np.dtype(np.float64)) for i in range(2)]
    few = [make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(2)]
    for name, params in [("sinc_unnormalised", {})] + [
        ("sinc_unnormalised_derivative", {"n": n}) for n in (1, 2, 3)
    ]:
        wave = f(name)
        (got,) = compile_terms([wave(many[0] * many[1], **params)], many, PLAIN)(data)
        true = truth(wave(few[0] * few[1], **params), dict(zip(few, data, strict=True)))
        assert true.decided.all()
        assert np.abs(err_ulp(got, true)).max() <= 4, name


def test_no_rule_goes_round_on_what_it_left() -> None:
    """What told the side that is left as it is was proved by the pole beside it, and dropped."""

    def program(y: Term, _: Term) -> Term:
        m = minimum(y, 2.0)
        h = hypot(hypot(m, 1.0), hypot(m, 1.0))
        t = tanh(hypot(m, square(h)))
        return minimum(t, h * softplus(-log(arctan(t / y))))

    y = np.array([0.3, 1.5, 4.0])
    for got, true in results(program, [y, y]):
        assert true.decided.all()
        assert np.abs(err_ulp(got, true)).max() <= 4
