"""Sums of exponentials with weights, beyond the range of the exponentials."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad.oracle import err_ulp, gradient, truth

LOGITS = np.array([[1000.0, 999.0, 3e4, 5.0], [-1000.0, -1001.0, 0.0, -999.0]])
WEIGHTS = np.array([[1.0, 0.25, 0.0, 3.0], [2.0, 1.0, 0.0, 0.5]])
PROGRAMS = {
    "mixture": lambda w, x: snp.log(snp.sum(w * snp.exp(x), axis=1)),
    "kept axes": lambda w, x: snp.log(snp.mean(w * snp.exp(x), axis=1, keepdims=True) / 3),
    "gaussians": lambda w, x: snp.log(snp.sum(snp.exp(-0.5 * x**2) * 0.4, axis=1)),
    "masked softmax": lambda w, x: w * snp.exp(x) / snp.sum(w * snp.exp(x), axis=1, keepdims=True),
    "a share": lambda w, x: snp.exp(x[0, 1]) / snp.sum(w[0] * snp.exp(x[0])),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_weighted_sums_of_exponentials(name, dtype):
    logits = np.where(WEIGHTS == 0, 600.0 if dtype == "float64" else 80.0, LOGITS)
    x = sg.tensor(logits.astype(dtype), requires_grad=True)
    w = sg.tensor(WEIGHTS.astype(dtype), requires_grad=True)
    data = {x.term: x.numpy(), w.term: w.numpy()}
    y = PROGRAMS[name](w, x)
    assert err_ulp(y.numpy(), truth(y.term, data)).max() <= 16
    seed = np.linspace(1.0, 2.0, y.size).reshape(y.shape).astype(dtype)
    used = [x] if name == "gaussians" else [x, w]
    found = sg.autograd.grad(y, used, grad_outputs=sg.tensor(seed))
    for leaf, slope in zip(used, found, strict=True):
        true = np.asarray(gradient(y.term, leaf.term, data, seed=seed).value, float)
        ordinary = np.isfinite(true)  # by a weight of 0, exp(x) over the sum may overflow
        scale = np.abs(true[ordinary]).max()
        assert np.array_equal(slope.numpy()[~ordinary], true[~ordinary])
        off = np.abs(slope.numpy()[ordinary] - true[ordinary])
        assert off.max() <= 64 * np.finfo(dtype).eps * scale


def test_rows_without_weight_or_with_infinite_exponents():
    x = sg.tensor(np.array([[2000.0, 1.0], [-np.inf, 1500.0], [np.inf, 1.0], [np.nan, 1.0]]))
    w = sg.tensor(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    y = snp.log(snp.sum(w * snp.exp(x), axis=1)).numpy()
    assert y[1] == 1500.0
    assert y[2] == np.inf
    assert np.isnan(y[3])
