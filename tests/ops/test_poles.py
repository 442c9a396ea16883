"""What is infinite or 0 at all points, and the sign of a zero, is what the program as written says.

The worst of random programs, shrunk: rules are identities of finite numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stablegrad.ir import Term
from stablegrad.oracle import err_ulp
from tests.ops.test_found_by_fuzz import f, results

log, log1p, exp, expm1 = f("log"), f("log1p"), f("exp"), f("expm1")
sqrt, square, negative, absolute = f("sqrt"), f("square"), f("negative"), f("abs")
sin, cos, tanh, arctan, arcsinh = f("sin"), f("cos"), f("tanh"), f("arctan"), f("arcsinh")
sinh, cosh, erf, erfc, hypot = f("sinh"), f("cosh"), f("erf"), f("erfc"), f("hypot")
sigmoid, softplus, log_sigmoid = f("sigmoid"), f("softplus"), f("log_sigmoid")
maximum, minimum, logaddexp, divide = f("maximum"), f("minimum"), f("logaddexp"), f("divide")

Program = Callable[[Term, Term], Term]

RIGHT: dict[str, tuple[Program, float, float]] = {
    "zero times a negative": (lambda x, y: erfc(y / ((y - y) * x)), -2.0, 1.0),
    "zero over a negative": (lambda x, y: arctan(0.5 / ((y - y) / x)), -2.0, 1.0),
    "negative zero": (lambda x, y: erfc(1.0 / negative((y - y) * y)), 1.0, 1.0),
    "function of a negative zero": (lambda x, y: sigmoid(y / expm1((y - y) * y)), 1.0, -3.0),
    "pole under a soft maximum": (lambda x, y: logaddexp(2.0 / (x * (x - x)), x - x), -0.5, 1.0),
    "pole over a pole": (lambda x, y: y / (x / (y - y) / x) + 1.0, 1.0, 1.0),
    "pole under a minimum": (lambda x, y: minimum(x / ((x - x) * x), y), -7.0, 1.0),
    "greater than itself": (
        lambda x, y: softplus(maximum(negative(y), x) / (negative(y) - maximum(negative(y), x))),
        -2.7,
        1.0,
    ),
    "negated zero": (lambda x, y: erfc(1.0 / negative(minimum(y, 1.0) - 1.0)), 1.0, 3.0),
    "size of what underflowed": (
        lambda x, y: minimum(2.0 / absolute(log(cos(x))), 1.0),
        -9e-187,
        1.0,
    ),
    "root of a negative times zero": (lambda x, y: sqrt(y * expm1(y - y)) + 1.0, 1.0, -9e15),
    "root of a negative times a length": (
        lambda x, y: sqrt(y * hypot(1 / x - 1 / x, -1 * (1 / x - 1 / x))) + 1.0,
        1.0,
        -1.4e-132,
    ),
    "growth over a sum with its inverse": (
        lambda x, y: expm1(x) / (expm1(x) - erfc(x) / expm1(x)),
        1.0,
        1.0,
    ),
    "log1p less its argument beside -1": (
        lambda x, y: log(1.0 - cos(arctan(x))) / (log(1.0 - cos(arctan(x))) + cos(arctan(x))),
        2.0**-10,
        1.0,
    ),
    "growth over growth of growth": (lambda x, y: exp(x) / expm1(cosh(x)), 32.0, 1.0),
    "wave beyond the range in a length": (
        lambda x, y: sigmoid(hypot(erf(cos(cosh(y) - sqrt(y))), cosh(y))),
        1.0,
        1.7e10,
    ),
    "log of what is rounded beside 1": (
        lambda x, y: log(square(x * x) / arcsinh(square(x * x))) / (x * x) + x,
        2e-47,
        1.0,
    ),
    "log of a shrunk softplus": (
        lambda x, y: 1 / x - log(sinh(logaddexp(log_sigmoid(x * x), log_sigmoid(x * x)))),
        -6.3e-176,
        1.0,
    ),
    "log of a quotient by a tail": (
        lambda x, y: sigmoid(log(log(divide(0.5, erfc(y))))),
        1.0,
        8e28,
    ),
    "over the smaller one": (lambda x, y: (y / x) / minimum(x, y / x), 8796093022208.0, -5e-305),
    "over growth by the smaller one": (
        lambda x, y: (y / x) / expm1(minimum(x, y / x)),
        8796093022208.0,
        -5e-305,
    ),
    "log of a lost product": (lambda x, y: tanh(log(sinh(x * y)) / 200.0), 2.6e-169, 2.6e-231),
    "root of a lost difference": (lambda x, y: sqrt(hypot(y, x) - x), 8.8e-134, -3.8e-270),
}


@pytest.mark.parametrize("name", RIGHT)
def test_values_are_right(name: str) -> None:
    program, *at = RIGHT[name]
    (got, true), _ = results(program, [np.array([v]) for v in at])
    assert true.decided.all()
    assert np.abs(err_ulp(got, true)).max() <= 64


NOWHERE: dict[str, tuple[Program, float, float]] = {
    "quotient of zeros": (
        lambda x, y: erfc(divide(1.0, x - x)) / erfc(divide(1.0, x - x)),
        1.0,
        1.0,
    ),
    "quotient of zeros of a sign": (
        lambda x, y: erfc(1.0 / (y * (y - y))) / erfc(1.0 / (y * (y - y))),
        1.0,
        1.0,
    ),
    "quotient of tails of a pole": (lambda x, y: erfc(1 / y) / erfc(1 / y) + 0 * x, 1.0, 0.0),
    "infinite lengths": (
        lambda x, y: hypot(hypot(1 / (y - y), y), y - y) - hypot(1 / (y - y), y),
        1.0,
        1.0,
    ),
    "soft maximum less an infinity": (
        lambda x, y: log1p(minimum(-1.0, y)) + logaddexp(negative(log1p(minimum(-1.0, y))), 1.0),
        1.0,
        1.0,
    ),
    "infinities of both signs": (
        lambda x, y: 0.5 / (maximum(x, y) - x) - 0.25 / (maximum(x, y) - x),
        1.0,
        -3.0,
    ),
    "sine of a pole": (
        lambda x, y: sin(logaddexp(0.5 / absolute(minimum(x, y - y)), -1.0)),
        1.0,
        1.0,
    ),
    "leg that is a wave of a pole": (
        lambda x, y: 1 / hypot(expm1(y), cos(log1p(1.0 - minimum(2.0, y)))),
        1.0,
        8.8e12,
    ),
    "log of a lost negative": (lambda x, y: tanh(log(sinh(x * y))), 2.6e-169, -2.6e-231),
    "log of a lost square": (lambda x, y: sigmoid(log(expm1(y * y) / -1.0)), 1.0, 1.1e-218),
    "root of a lost negative": (lambda x, y: sqrt(x - hypot(y, x)), 8.8e-134, -3.8e-270),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_no_number_is_made_up(name: str) -> None:
    program, *at = NOWHERE[name]
    (got, true), _ = results(program, [np.array([v]) for v in at])
    assert not true.decided.any()
    assert np.isnan(got).all()
