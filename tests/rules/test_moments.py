"""Variances, covariances, distances and standard scores written with sums, far from 0."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad.oracle import err_ulp, gradient, truth

FAR = np.array([[1e8 + 1, 1e8 + 2, 1e8 + 4.5], [-3e7, -3e7 + 0.25, -3e7 - 1]])
NEAR = FAR + np.array([[0.5, -0.25, 0.125], [1.0, 2.0, 0.25]])
PROGRAMS = {
    "second moment": lambda x, y: snp.mean(x**2, axis=1) - snp.mean(x, axis=1) ** 2,
    "sums": lambda x, y: (snp.sum(x * x) - snp.sum(x) ** 2 / 6) / 5,
    "a constant beside": lambda x, y: snp.sqrt(snp.mean(x * x) - snp.mean(x) * snp.mean(x) + 1e-3),
    "covariance": lambda x, y: snp.mean(x * y, axis=0) - snp.mean(x, axis=0) * snp.mean(y, axis=0),
    "squared distance": lambda x, y: snp.sum(x * x) - 2 * snp.sum(x * y) + snp.sum(y * y),
    "distance": lambda x, y: snp.sqrt(
        snp.sum(x**2, axis=1) + snp.sum(y**2, axis=1) - 2 * snp.sum(x * y, axis=1)
    ),
    "of vectors": lambda x, y: x[0] @ x[0] - 2 * (x[0] @ y[0]) + y[0] @ y[0],
    "of norms": lambda x, y: (
        snp.linalg.norm(x[0]) ** 2 + snp.linalg.norm(y[0]) ** 2 - 2 * snp.sum(x[0] * y[0])
    ),
    "deviation": lambda x, y: 3 * (x[0] - snp.mean(x[0])) + 1,
    "standard score": lambda x, y: (
        (x - snp.mean(x, axis=1, keepdims=True))
        / snp.sqrt(snp.mean(x**2, axis=1, keepdims=True) - snp.mean(x, axis=1, keepdims=True) ** 2)
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_moments_far_from_zero(name):
    x, y = sg.tensor(FAR, requires_grad=True), sg.tensor(NEAR, requires_grad=True)
    data = {x.term: FAR, y.term: NEAR}
    z = PROGRAMS[name](x, y)
    assert err_ulp(z.numpy(), truth(z.term, data)).max() <= 4
    seed = np.linspace(1.0, 2.0, z.size).reshape(z.shape)
    (slope,) = sg.autograd.grad(z, [x], grad_outputs=sg.tensor(seed))
    true = gradient(z.term, x.term, data, seed=seed)
    scale = np.abs(np.asarray(true.value, float)).max()
    assert np.abs(slope.numpy() - np.asarray(true.value, float)).max() <= 64 * 2.0**-52 * scale


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_roots_of_mean_squares_beyond_the_range_of_squares(dtype):
    big = float(np.finfo(dtype).max) / 16
    x = sg.tensor(np.array([big, big / 5, 1.0], dtype), requires_grad=True)
    for f in (
        lambda x: x / snp.sqrt(snp.mean(x * x) + 1e-6),
        lambda x: (x - snp.mean(x)) / snp.sqrt(snp.var(x) + 1e-5),
        lambda x: 1 / snp.sqrt(1 + snp.sum(x**2)),
    ):
        y = f(x)
        assert err_ulp(y.numpy(), truth(y.term, {x.term: x.numpy()})).max() <= 4


def test_a_part_of_an_expansion_is_left_alone():
    x, y = sg.tensor(FAR), sg.tensor(NEAR)
    for f in (
        lambda: snp.sum(x * x) - 3 * snp.sum(x * y) + snp.sum(y * y),
        lambda: snp.mean(x * x, axis=0) - snp.mean(x, axis=1)[0] ** 2,
        lambda: snp.mean(x * x) - 2 * snp.mean(x) ** 2,
    ):
        assert not [r for r in sg.explain(f()).fired if r.rule.group == "moments"]
