"""The bound of rounding errors in float32: never below what a run in float32 loses."""

import numpy as np
import pytest

from stablegrad.engines.rounding import error_bound
from stablegrad.ir import OPS, make
from stablegrad.jax.regions import SINGLE
from stablegrad.ops import forms
from stablegrad.ops.record import VARIABLE
from stablegrad.synthesis.fragile import Run, points, wrong
from stablegrad.synthesis.recipe import X

LIMIT = SINGLE.limit


def _sum(*addends):
    return forms.total([(c, t) for c, t in addends], (), np.dtype(np.float64))


def _product(*factors):
    return forms.product([forms.power(t, p) for t, p in factors])


def _op(name, *args):
    return OPS[name](*args)


FINE = {
    "x*sigmoid(x)": _product((X, 1), (_op("sigmoid", X), 1)),
    "exp(-x**2/2)": _op("exp", _sum((-1, _product((X, 2))))),
    "tanh(x)*cos(x)": _product((_op("tanh", X), 1), (_op("cos", X), 1)),
}
LOST = {
    "sin(x) - x*cos(x)": _sum((1, _op("sin", X)), (-1, _product((X, 1), (_op("cos", X), 1)))),
    "1/x - 1/tan(x)": _sum((1, _product((X, -1))), (-1, _product((_op("tan", X), -1)))),
    "exp(x) - exp(sin(x))": _sum((1, _op("exp", X)), (-1, _op("exp", _op("sin", X)))),
}


def _inputs():
    x = points(np.dtype(np.float32), X.facts)
    return x[(np.abs(x) <= SINGLE.reach) & (np.abs(x) * SINGLE.reach >= 1)]


@pytest.mark.parametrize("name", FINE)
def test_what_keeps_its_digits_is_told_without_a_run(name):
    assert error_bound(FINE[name], {X: _inputs()}) <= LIMIT


@pytest.mark.parametrize("name", LOST)
def test_what_cancels_is_not_bounded(name):
    assert error_bound(LOST[name], {X: _inputs()}) > LIMIT


def test_what_the_run_loses_the_bound_tells():
    judged = Run(SINGLE.values, limit=LIMIT, least=SINGLE.least)
    x, dtype = _inputs(), np.dtype(np.float32)
    terms = [*FINE.values(), *LOST.values()]
    terms += [_op(f, t) for t in LOST.values() for f in ("exp", "tanh", "abs")]
    terms += [_product((t, 1), (s, -1)) for t in LOST.values() for s in FINE.values()]
    seen = set()
    for term in terms:
        lost = wrong(term, {X: x}, dtype, judged)
        seen.add(lost)
        assert not lost or error_bound(term, {X: x}) > LIMIT
    assert seen == {True, False}


def test_of_two_variables():
    y = make(VARIABLE, (), ("y",), (), np.dtype(np.float64))
    a, b = np.float64([1.0, 2.0]), np.float64([1.5, 2.5])
    gap = _sum((1, _op("exp", X)), (-1, _op("exp", y)))
    assert 1 < error_bound(gap, {X: a, y: b}) < 9
    assert error_bound(gap, {X: a, y: a * (1 + 2.0**-20)}) > LIMIT


def test_a_choice_that_rounding_may_turn_has_no_bound():
    small = _op("less", _op("sin", X), _op("tanh", X))
    term = _op("where", small, X, _op("exp", X))
    assert error_bound(term, {X: np.float64([1.0, 2.0])}) < 8
    assert error_bound(term, {X: np.float64([0.0])}) > LIMIT
