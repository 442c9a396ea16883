"""What underflows, overflows or has a pole on the way is decided as what it is meant to be.

The worst of random programs, shrunk: rules are identities of finite numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stablegrad.ir import Term, make
from stablegrad.ops import settled
from stablegrad.ops.record import INPUT
from stablegrad.oracle import codes, err_ulp, truth
from stablegrad.program import compile_terms
from tests.ops.test_found_by_fuzz import PLAIN, f, results

sqrt, log, log1p, exp, expm1 = f("sqrt"), f("log"), f("log1p"), f("exp"), f("expm1")
square, negative, absolute, divide = f("square"), f("negative"), f("abs"), f("divide")
sin, cos, tanh, arctan, arcsinh = f("sin"), f("cos"), f("tanh"), f("arctan"), f("arcsinh")
sinh, cosh, erf, erfc, hypot = f("sinh"), f("cosh"), f("erf"), f("erfc"), f("hypot")
sigmoid, softplus, log_sigmoid = f("sigmoid"), f("softplus"), f("log_sigmoid")
maximum, minimum, logaddexp = f("maximum"), f("minimum"), f("logaddexp")

Program = Callable[[Term, Term], Term]

RIGHT: dict[str, tuple[Program, float, float]] = {
    "root of a difference": (lambda x, y: sqrt(sinh(y) - y), 1.0, 3e-110),
    "root of a shrunk number": (lambda x, y: sqrt(x - tanh(x)), 8.8e-134, 1.0),
    "root of an angle": (lambda x, y: sqrt(arctan(1 / (y * y))), 1.0, 1e170),
    "root of a tail": (lambda x, y: sqrt(-erf(log_sigmoid(sqrt(y)))), 1.0, 6e5),
    "root of a log": (lambda x, y: sqrt(log1p(x * y * x)), 1e-120, 1e-100),
    "root of growth": (
        lambda x, y: sqrt(cosh(log1p(1 / y) * sinh(hypot(sin(1 / y), 1.0)))),
        1.0,
        2.2e-200,
    ),
    "log of cosh minus 1": (lambda x, y: log(arcsinh(cosh(y) - 1)), 1.0, 1e-170),
    "quotient of what underflows": (lambda x, y: arcsinh(x * x) / (x * x), -3e-160, 1.0),
    "arcsinh of what overflows": (
        lambda x, y: arcsinh(cosh(maximum(-1.0, y * sin(y * (y * y))))),
        1.0,
        -7100000.0,
    ),
    "share of what overflows": (lambda x, y: sigmoid(log(softplus(y * y))), 1.0, 6e172),
    "share of two": (lambda x, y: sigmoid(log(erfc(expm1(y)) + expm1(y))), 1.0, 5.9e79),
    "guard of what overflows": (
        lambda x, y: maximum(y, cosh(x) / y - maximum(cosh(x) / y, 0.5)),
        -3e32,
        -0.03125,
    ),
    "zero at log(2)": (lambda x, y: log(expm1(logaddexp(y, y))), 1.0, -3.2e-291),
    "wave near its top": (lambda x, y: cos(1 / y) - 1, 1.0, -8.5e-158),
    "wave of a length": (lambda x, y: sin(hypot(x * 2, x * 2)), 6e304, 1.0),
    "wave of a length with a tail": (
        lambda x, y: cos(sqrt(hypot(y, arcsinh(erfc(y))))),
        1.0,
        7e104,
    ),
    "wave of a number and a logarithm": (
        lambda x, y: sin(sinh(logaddexp(2 - y, 2 - y))),
        1.0,
        679.6725104037698,
    ),
    "difference of far waves": (lambda x, y: sin(x / y) - sin(x), 5.764607523034235e17, -0.2),
    "wave beside what is rounded": (
        lambda x, y: cos(logaddexp(cosh(log1p(y)), cosh(log1p(y)) / expm1(cosh(log1p(y))))),
        1.0,
        2.5e141,
    ),
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
    "root of a bounded function": (lambda x, y: sqrt(tanh(-(x * x))), 9.9e-178, 1.0),
    "root of a slow function": (lambda x, y: sqrt(arcsinh(erfc(y) * x)), -1.2e195, 4.5e15),
    "root of a quotient of tails": (lambda x, y: sqrt(erfc(y) / log1p(-erfc(y))), 1.0, 1.9e-298),
    "root of minus a tail": (lambda x, y: sqrt(-erf(exp(y / x))), -0.25, 1.1e15),
    "log of a log": (lambda x, y: tanh(log(log(erf(y)))), 1.0, 32.0),
    "log of a log beside 1": (lambda x, y: x / log(log1p(-exp(y))), 1.0, -65536.0),
    "log of a log of a tail": (lambda x, y: sigmoid(log(log_sigmoid(cosh(y)))), 1.0, -7.5),
    "log at its pole": (lambda x, y: expm1(arcsinh(log1p(cos(y) - 2))), 1.0, 2.6e-228),
    "leg without a value": (
        lambda x, y: erf(hypot(sigmoid(sqrt(x)) - 1, sinh(-1 / y))),
        -0.0625,
        -7e-15,
    ),
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
def test_there_is_no_number_where_there_is_none(name: str) -> None:
    program, *at = NOWHERE[name]
    (value, true), _ = results(program, [np.array([v]) for v in at])
    assert true.undefined.all()
    assert np.isnan(value).all()


def test_work_on_one_result_is_bounded_and_honest_zeros_cost_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def counted(term: Term, bindings: dict[Term, Any], *args: Any, **options: Any) -> Any:
        asked.append(next(iter(bindings.values())).size)
        return truth(term, bindings, *args, **options)

    monkeypatch.setattr(codes, "truth", counted)
    for x, most in ((np.full(1000, 1e-110), settled.FEW), (np.zeros(1000), 0)):
        asked.clear()
        (value, _), _ = results(lambda x, y: sqrt(sinh(x) - x), [x, np.ones(1000)])
        assert sum(asked) <= 2 * most  # the value and its slope
        assert (value[: settled.FEW] == (value[0] if most else 0)).all()
    assert value[0] == 0


@pytest.mark.parametrize("scale", [lambda x, y: f("sech")(x), lambda x, y: arctan(y * x) * exp(-x)])
def test_what_is_infinite_on_the_way_is_told_in_long_programs(scale) -> None:
    """Products of sums of so many functions that no code is made of them."""

    def program(x: Term, y: Term) -> Term:
        waves = sum([sin(k * x) for k in range(1, 40)], x)
        return (exp(y) * waves + x) * scale(x, y)

    (value, true), (slope, rate) = results(program, [np.array([500.0, 2]), np.array([800.0, 3.0])])
    assert true.decided.all()
    assert np.abs(err_ulp(value, true)).max() <= 4
    assert np.abs(err_ulp(slope, rate)).max() <= 8


EDGES: dict[str, Callable[[Term], Term]] = {
    "arcsin beyond 1": lambda x: f("arcsin")(1 + x * x),
    "arccos beyond 1": lambda x: f("arccos")(cosh(x)),
    "arccos beyond -1": lambda x: f("arccos")(-cosh(x)),
    "arccosh before 1": lambda x: f("arccosh")(cos(x)),
    "root less 1": lambda x: f("sqrt1pm1")(-hypot(x, 1.0)),
}


BELOW: dict[str, Callable[[Term], Term]] = {
    "root of minus a tail": lambda x: sqrt(-erfc(x)),
    "root of a product": lambda x: hypot(sqrt(-exp(-x * x) * x), 1.0),
    "log of the smaller one": lambda x: softplus(log(minimum(exp(-x * x) / -x, exp(-x * x)))),
    "log of a quotient": lambda x: logaddexp(log(erfc(x) / -x), 1.0),
    "cube of a root": lambda x: 1.0 + sqrt(exp(x * x * x / -20) / -20) ** 3,
}


@pytest.mark.parametrize("name", BELOW)
def test_the_sign_of_what_float64_loses_is_told_in_float32(name: str) -> None:
    x = make(INPUT, (), (0,), (2,), np.dtype(np.float32))
    at = np.array([30.0, 90.0], np.float32)
    y = BELOW[name](x)
    assert truth(y, {x: at}).undefined.all()
    (got,) = compile_terms([y], [x], PLAIN)([at])
    assert np.isnan(got).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", EDGES)
def test_what_is_rounded_onto_the_edge_of_a_domain_is_outside(name: str, dtype: str) -> None:
    x = make(INPUT, (), (0,), (2,), np.dtype(dtype))
    at = np.array([1e-12, -3e-9], dtype)
    y = EDGES[name](x)
    assert truth(y, {x: at}).undefined.all()
    (got,) = compile_terms([y], [x], PLAIN)([at])
    assert np.isnan(got).all()
