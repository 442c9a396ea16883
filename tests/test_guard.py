"""Guard precision: what depends on rounding is decided by the oracle, all else is untouched."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad.guarded import SUSPECT_ULP
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import const
from stablegrad.oracle import err_ulp, truth


def divergence(x, y):
    """Between Bernoulli laws, as it is written: it cancels twice."""
    return x * snp.log(x / y) + (1 - x) * snp.log((1 - x) / (1 - y))


def mixed(x, y):
    return snp.sin(snp.cos(x)) - snp.sin(snp.cos(y))


@pytest.mark.parametrize("f", [divergence, mixed])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_value_and_gradient_are_right(f, dtype):
    data = [np.array([0.18, 2.4e-5, 0.5], dtype), np.array([0.1800001, 2.40000001e-5, 0.7], dtype)]
    # without the rules, which would leave nothing to guard
    with sg.rules(exclude="stabilize"), sg.guard() as report:
        x, y = (sg.tensor(d, requires_grad=True) for d in data)
        value = f(x, y)
        got = value.numpy()
        value.sum().backward()
        slope = x.grad.numpy()
    bound = dict(zip((x.term, y.term), data, strict=True))
    assert err_ulp(got, truth(value.term, bound)).max() <= SUSPECT_ULP
    true = truth(value.term, bound, order=1, direction={x.term: 1.0})
    assert err_ulp(slope, true).max() <= SUSPECT_ULP
    assert report.left == 0
    if dtype is np.float64:
        assert report.changed > 0


def test_what_is_sound_is_not_touched():
    data = np.random.default_rng(5).standard_normal(1000)
    f = lambda t: snp.exp(t) * 2 + t * t  # noqa: E731
    plain = f(sg.tensor(data)).numpy()
    with sg.guard() as report:
        assert (f(sg.tensor(data)).numpy() == plain).all()
    assert (report.elements, report.suspects, report.changed) == (1000, 0, 0)


def test_results_of_reductions_are_decided_as_a_whole():
    data = np.array([1e17, 1.0, -1e17, 3.0])
    with sg.guard():
        x = sg.tensor(data)
        got = (snp.sum(snp.exp(x * 1e-17)) - snp.sum(snp.exp(-x * 1e-17))).item()
    true = truth((snp.sum(snp.exp(x * 1e-17)) - snp.sum(snp.exp(-x * 1e-17))).term, {x.term: data})
    assert err_ulp(got, true) <= 1


def test_it_is_off_outside_and_what_is_left_is_counted(monkeypatch):
    monkeypatch.setattr("stablegrad.guarded.LIMIT", 2)
    x, y = np.full(5, 0.5), np.full(5, 0.5 + 1e-12)
    with sg.rules(exclude="stabilize"):
        loose = divergence(sg.tensor(x), sg.tensor(y)).numpy()
        with sg.guard() as report:
            guarded = divergence(sg.tensor(x), sg.tensor(y)).numpy()
    assert report.suspects == 5
    assert report.left == 3
    assert (guarded[2:] == loose[2:]).all()
    assert (guarded[:2] != loose[:2]).all()


def test_derivative_nodes_are_guarded_too():
    with sg.guard():
        x = sg.tensor(np.array([0.3, 0.3 + 1e-9]))
        term = mixed(x, x * x + 0.21).term
    slope = gradient(term, x.term, const(1, term.dtype, term.shape))
    assert slope.dtype == term.dtype
