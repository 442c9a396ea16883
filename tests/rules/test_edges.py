"""Functions with an end at 1, of reductions near it; growth whose exponent leaves the range."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad.oracle import err_ulp, gradient, truth
from stablegrad.oracle.constants import completed

norm = snp.linalg.norm


def mobius(u, v):
    """The sum of two points of the ball."""
    product, a, b = snp.sum(u * v), snp.sum(u * u), snp.sum(v * v)
    return ((1 + 2 * product + b) * u + (1 - a) * v) / (1 + 2 * product + a * b)


BALL = {
    "distance from 0": lambda u, v: 2 * snp.arctanh(norm(u)) + norm(v),
    "distance": lambda u, v: 2 * snp.arctanh(norm(mobius(u, v))),
    "curvature": lambda u, v: 4 * snp.arctanh(norm(2 * u) / 2) + norm(v),
    "angle": lambda u, v: snp.arcsin(norm(u)) - snp.sum(v),
    "conformal factor": lambda u, v: 2 / (1 - norm(u) ** 2) + snp.log1p(-snp.sum(v * v)),
    "models": lambda u, v: snp.arccosh(
        1 + 2 * norm(u - v) ** 2 / ((1 - norm(u) ** 2) * (1 - norm(v) ** 2))
    ),
}
OFF = [1e-3, 1e-6, 1e-10, 1e-15]


@pytest.mark.parametrize("off", OFF)
@pytest.mark.parametrize("name", BALL)
def test_points_near_the_edge_of_the_ball(name, off):
    x, y = np.array([0.6, 0.8 - off]), np.array([0.6, -0.8 + 3e-4])
    u, v = sg.tensor(x, requires_grad=True), sg.tensor(y, requires_grad=True)
    data = {u.term: x, v.term: y}
    z = BALL[name](u, v)
    assert err_ulp(z.numpy(), truth(z.term, data)).max() <= 4
    for leaf, slope in zip((u, v), sg.autograd.grad(z, [u, v]), strict=True):
        assert err_ulp(slope.numpy(), gradient(z.term, leaf.term, data)).max() <= 16


@pytest.mark.parametrize("rate", [1e200, -1e200, 30.0, -30.0])
def test_logistic_growth_beyond_all_times(rate):
    values = [10.0, 2.0, rate, 1e150]
    leaves = [sg.tensor(np.asarray(v), requires_grad=True) for v in values]
    c, x, r, t = leaves
    y = c / (1 + (c / x - 1) * snp.exp(-r * t))
    data = {a.term: a.numpy() for a in leaves}
    assert err_ulp(y.numpy(), truth(y.term, data)) <= 4
    for leaf, slope in zip(leaves, sg.autograd.grad(y, leaves), strict=True):
        assert err_ulp(slope.numpy(), gradient(y.term, leaf.term, data)) <= 4


@pytest.mark.parametrize("power", [-1200, 1200])
def test_constants_beyond_the_range_of_floats_are_completed(power):
    number = Fraction(3) ** power * Fraction(10**30 + 7, 10**30)
    assert completed(number) == number


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1.0])
def test_the_angle_of_vectors_in_space_whose_products_leave_the_range(scale):
    x, y = scale * np.array([1.0, 2.0, 3.5]), scale * np.array([2.0, -1.0, 1.25])
    a, b = sg.tensor(x, requires_grad=True), sg.tensor(y, requires_grad=True)
    i, j = [1, 2, 0], [2, 0, 1]
    cross = snp.stack([a[p] * b[q] - a[q] * b[p] for p, q in zip(i, j, strict=True)])
    z = snp.arctan2(norm(cross), snp.sum(a * b))
    data = {a.term: x, b.term: y}
    assert err_ulp(z.numpy(), truth(z.term, data)) <= 4
    for leaf, slope in zip((a, b), sg.autograd.grad(z, [a, b]), strict=True):
        assert err_ulp(slope.numpy(), gradient(z.term, leaf.term, data)).max() <= 64


def test_nested_choices_beside_a_sum_are_read_in_linear_time():
    x = sg.tensor(np.array([1.0, 2.0]))
    top = snp.exp(x)
    for k in range(60):
        top = snp.where(x > k, snp.where(x > 1.5, top, 0.5), top)
    y = top / (snp.sum(snp.exp(x)) + 1e-9)
    assert np.isfinite(y.numpy()).all()
