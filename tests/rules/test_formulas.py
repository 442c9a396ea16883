"""Formulas as people write them, at points where they went wrong: values and all slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.expressions import parse
from stablegrad.ir import make
from stablegrad.ops.record import INPUT
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import Settings
from stablegrad.tensor.core import wrap

WIDE = np.dtype(np.float64)
BOUND = 16

FORMULAS: dict[str, list[tuple[float, ...]]] = {
    # arccosh(1 + d*d/2): squares leave the range
    "arccosh(1 + ((x - u)**2 + (y - v)**2)/(2*y*v))": [
        (1.1059895293936822e-56, 2.3854520537971634e129, 1.2e-280, 1.1422469883283093e-55),
        (1e-170, 3e-170, 1.0, 1.0),
        (0.25, 0.5, 2.0, 3.0),
    ],
    "arccosh(1 + 2*(x - y)**2/((1 - x*x)*(1 - y*y)))": [
        (8.03151154340171e-242, -1.7046917892793683e-164),
        (0.5, -0.25),
    ],
    # the entropy of a coin by its log odds
    "log(1 + exp(x)) - x/(1 + exp(-x))": [(5.310636708607298,), (35.0,), (-35.0,), (0.1,)],
    # log(1 + d/v): the step leaves the range
    "log(v + 0.5*(y - m)**2) - log(v)": [
        (0.07544141326964163, -7.232550485489771e238, -1.173634641606136e-89),
        (1e-290, 1e-170, 2e-170),
        (0.5, 2.0, 1.0),
    ],
    # means and lengths by any exponent
    "((x**p + y**p)/2)**(1/p)": [
        (4.983180712702597e294, 4.9938116230503043e294, 5.383264684655094e294),
        (1.335471650547145e-284, -1.1377103261701678e50, 3.2531818612174227e73),
        (1.3974543003880117e-237, 1.397454300388028e-237, 1.3974543003880193e-237),
        (3.0, 2.0, 1e-250),
        (3.0, -1.5, 5.0),
    ],
    "(a*x**r + (1 - a)*y**r)**(1/r)": [
        (1.040623583042014e-268, 1.0360736584564112e-161, 3.206563295689255e267, 7.5e158),
        (1.548917611758871e-38, 2.2664942179725028e-38, 1.9388e-38, 1.835e-38),
        (0.25, 2.0, 1e-200, 1.5),
        (0.3, 2.0, 0.5, 3.0),
    ],
    "(a*x**(-r) + (1 - a)*y**(-r))**(-v/r)": [
        (0.3, 2.0, 1e-20, 3.0, 0.5),
        (0.3, 2.0, 1e20, 3.0, 2.0),
    ],
    "(abs(x/a)**n + abs(y/b)**n)**(1/n)": [
        (2.1929769838546784e296, 1.974761087484812e296, 9.8e295, 2.35e296, 2.8e296),
        (3.0, 2.0, 5.0, 7.0, 4.0),
    ],
    # smooth minima, and masks in sums of exponentials
    "-log(exp(-k*a) + exp(-k*b))/k": [
        (8.471814228938386e184, 9.398903231464808e184, 2.7328874538040755e184),
        (-8.47e184, 9.4e184, 2.73e184),
        (2.0, 0.5, 0.75),
    ],
    "log(where(m > 0, exp(x), 0) + exp(y))": [
        (9.34396803538159e130, 4.8440597307988793e120, -0.08692904889742635),
        (-1.0, 1.3899819323586807e222, 3.0),
        (1.0, 2.0, 3.0),
    ],
    # legs of an angle that overflow, and that are lost both
    "arctan2(2*x*y, x*x - y*y)": [
        (4.66890302885733e236, -0.008669367480446867),
        (1e200, -3e200),
        (1e-200, 3e-200),
        (1.0, 2.0),
    ],
    # (1 - exp(-a - b))/((1 - exp(-a))*(1 - exp(-b)))
    "e*(exp((a + b)*e) - 1)/((exp(a*e) - 1)*(exp(b*e) - 1))": [
        (1.3634149978049642e-08, -0.4011983207391129, -7.447055867887871e-187),
        (4.942232320306629e-24, 3.761089367740591e-05, 7.364804438070912e-81),
        (1e-20, 300.0, -200.0),
        (0.5, 2.0, 3.0),
        (0.5, 700.0, -2.0),
    ],
    # short intervals: their lengths before anything is rounded
    "log(sigmoid(b - x) - sigmoid(a - x))": [
        (1e-10, 0.3, 0.0),
        (1.0, 60.0, 0.0),
        (1.0, -60.0, 0.0),
        (2.0, 0.3, 0.5),
    ],
    "log(sigmoid(b*x) - sigmoid(a*x))": [(1.1000001, 0.3, 1.1), (1.1, 0.3, 1.0)],
    "log(exp(-a*a) - exp(-b*b))": [(1.1, 1.1000001), (0.5, 2.0)],
    "log(exp(-(a/l)**k) - exp(-(b/l)**k))": [(1.0, 2.0, 2.0, 1.0000001), (1.0, 3.0, 2.0, 2.0)],
    # logarithms to other bases feel the rounding of sums, and their range, as natural ones do
    "20*log10(sqrt(a*a + b*b))": [(0.6, 0.8), (1e200, 3e200), (1e-200, 0.0), (3.0, 4.0)],
    "log2(a + b)": [(0.6, 0.4000000001), (1.7e308, 1e308), (3.0, 5.0)],
    "log10(a/n) - log10(n) + 2*log10(n)": [(1.5, 1e-300), (2.0, 3.0)],
    # slopes x**-q, where 1 - q is rounded
    "(x**(1 - q) - 1)/(1 - q)": [(8.207227311298113e-299, -0.008267347306343896), (2.0, 0.3)],
    "(c**(1 - g) - d**(1 - g))/(1 - g)": [
        (2.320711701597231e290, -0.0004619765677088306, 1.4877533621027231e25),
        (2.0, 0.3, 3.0),
    ],
}


def judged(text: str, at: tuple[float, ...], dtype: Any = WIDE) -> list[tuple[str, float]]:
    """What was judged of a formula at a point, and how far off it is."""
    f = parse(text)
    columns = [np.array([v], dtype) for v in at]
    inputs = [make(INPUT, (), (i,), (), dtype) for i in range(len(columns))]
    meant = f(*[wrap(x, Settings(), requires=False) for x in inputs]).term
    bindings = dict(zip(inputs, columns, strict=True))
    tensors = [sg.tensor(c, requires_grad=True) for c in columns]
    value = f(*tensors)
    value.backward(np.ones(1, dtype))
    pairs = [("value", value.numpy(), truth(meant, bindings))]
    for name, x, t in zip(f.names, inputs, tensors, strict=True):
        slope = truth(meant, bindings, order=1, direction={x: 1.0})
        pairs.append((name, t.grad.numpy(), slope))
    return [(name, float(err_ulp(got, true)[0])) for name, got, true in pairs if true.decided[0]]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_right_where_they_went_wrong(text: str) -> None:
    for at in FORMULAS[text]:
        found = judged(text, at)
        assert len(found) > 1, at
        assert max(error for _, error in found) <= BOUND, (at, found)


def test_powers_of_negative_numbers_are_as_written() -> None:
    x, p = (sg.tensor(np.array(v), requires_grad=True) for v in (-3.0, 2.0))
    value = parse("((x**p + y**p)/2)**(1/p)")(x, p, sg.tensor(np.array(3.0)))
    value.backward()
    assert value.numpy() == 3.0
    assert x.grad.numpy() == -0.5


def test_powers_of_a_base_have_whole_numbers_of_digits() -> None:
    for log, base, n in ((sg.numpy.log2, 2.0, 50), (sg.numpy.log10, 10.0, 15)):
        powers = base ** np.arange(1, n)
        x = sg.tensor(powers - 1)
        assert np.array_equal(sg.numpy.floor(log(1 + x)).numpy(), np.arange(1, n))
        assert np.array_equal(sg.numpy.ceil(-20 * log(1 + x)).numpy(), -20.0 * np.arange(1, n))
        near = sg.tensor(powers * (1 - 1e-12) - 1)
        assert np.array_equal(sg.numpy.floor(log(1 + near)).numpy(), np.arange(n - 1))


REMOVABLE = {  # values and slopes at 0/0: the rates of gates, and quotients of what vanishes there
    "0.1*(v + 40)/(1 - exp(-(v + 40)/10))": (-40.0, 1.0, 0.05),
    "(10 - v)/(100*(exp((10 - v)/10) - 1))": (10.0, 0.1, 0.05 * 0.1),
    "sin(3*v + 3)/(2*v + 2)": (-1.0, 1.5, 0.0),
    "x/tanh(x/2)": (0.0, 2.0, 0.0),
    "tan(x)/x": (0.0, 1.0, 0.0),
    "arctan(2*x)/x": (0.0, 2.0, 0.0),
    "x/arcsinh(x)": (0.0, 1.0, 0.0),
}


@pytest.mark.parametrize("text", REMOVABLE)
def test_quotients_have_their_limit_where_both_sides_vanish(text: str) -> None:
    at, limit, slope = REMOVABLE[text]
    x = sg.tensor(np.array([at, at + 1e-9]), requires_grad=True)
    value = parse(text)(x)
    value.backward(np.ones(2))
    assert value.numpy() == pytest.approx(limit, rel=1e-8)
    assert x.grad.numpy() == pytest.approx(slope, rel=1e-8, abs=1e-8)
