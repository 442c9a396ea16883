"""Constants are folded with more digits than a float has, and zero as NumPy has it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.ir import OPS
from stablegrad.ops.record import const
from stablegrad.oracle import err_ulp, gradient, truth
from stablegrad.transforms.fold import fold

snp = sg.numpy


FUNCTIONS = [
    lambda r: snp.exp(-snp.sqrt(5.0) * r),
    lambda r: (1 + snp.sqrt(3.0) * r) * snp.exp(-snp.sqrt(3.0) * r),
    lambda r: snp.exp(-(r * r) / snp.sqrt(2 * 3.141592653589793)),
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_the_exponential_of_a_multiple_by_a_root(f):
    r = sg.tensor(np.linspace(0.01, 35.0, 50), requires_grad=True)
    y = f(r)
    (slope,) = sg.autograd.grad(y.sum(), [r])
    data = {r.term: r.numpy()}
    assert err_ulp(y.numpy(), truth(y.term, data)).max() <= 4
    assert err_ulp(slope.numpy(), gradient(y.term, r.term, data)).max() <= 4


def test_roots_of_constants_join_the_coefficient():
    x = sg.tensor([2.0], "float64")
    assert "1.19682684120429" in str(sg.explain(3 * x / snp.sqrt(2 * snp.pi)))


def test_zero_times_what_is_not_finite_is_nan():
    x = sg.tensor([np.inf, -np.inf, np.nan, 2.0, 0.0], requires_grad=True)
    for zero in (0, 0.0, snp.sqrt(0.0)):
        assert np.isnan((x * zero).numpy()).tolist() == [True, True, True, False, False]
        assert np.isnan((1 + zero * snp.abs(x)).numpy()).tolist() == [True] * 3 + [False] * 2
    snp.where(sg.tensor([False] * 5), 0 * x, 3 * x).sum().backward()
    assert x.grad.numpy().tolist() == [3.0] * 5


def test_constants_at_the_edge_of_a_domain_have_the_values_of_the_kernel():
    for f, args in ((sg.special.gammainc, (1.0, 0.0)), (sg.special.gammaincc, (1.0, 0.0))):
        numbers = f(*args)
        data = f(np.array([args[0]] * 2), sg.tensor([args[1]] * 2, dtype=float))
        assert numbers.item() == data.numpy()[0] == {"gammainc": 0.0, "gammaincc": 1.0}[f.__name__]


@pytest.mark.parametrize("value", [Fraction(1, 3), Fraction(3), Fraction(1, 10), Fraction(7)])
def test_negative_constants_have_as_many_digits_as_positive_ones(value):
    folded = fold([OPS["log"](const(value, np.dtype(np.float64)))])[0].params[0]
    opposite = fold([OPS["log"](const(1 / value, np.dtype(np.float64)))])[0].params[0]
    assert abs(Fraction(folded) + Fraction(opposite)) < Fraction(1, 2**90)
