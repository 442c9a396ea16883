"""The number 1 in every spelling: as a tensor, an array of any shape or dtype, a list."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad.oracle import err_ulp, gradient, truth

X = np.array([40.0, 0.5, -35.0])
SPELLINGS = {
    "tensor": lambda: sg.tensor(1.0),
    "tensor of integers": lambda: sg.tensor(1),
    "tensor of ones": lambda: sg.tensor(np.ones(3)),
    "detached": lambda: sg.tensor(1.0).detach(),
    "reshaped": lambda: sg.tensor(np.ones(3)).reshape(1, 3),
    "array": lambda: np.ones(3),
    "array of integers": lambda: np.ones(3, int),
    "narrow array": lambda: np.ones(3, np.float32),
    "larger array": lambda: np.ones((2, 3)),
    "column": lambda: np.ones((2, 1)),
    "list": lambda: [1.0, 1.0, 1.0],
    "ones": lambda: snp.ones(3),
    "ones_like": lambda: snp.ones_like(X),
    "full": lambda: snp.full(3, 1.0),
}
PROGRAMS = {
    "log(1 - p)": lambda one, x: snp.log(one - sg.special.expit(x)),
    "log of a quotient": lambda one, x: snp.log(one / (one + snp.exp(-x))),
    "tail of tanh": lambda one, x: one - snp.tanh(x) ** 2,
    "log of a tail": lambda one, x: snp.log(one - sg.special.erf(x)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_spelling_of_one_is_the_constant(name, spelling):
    x = sg.tensor(X, requires_grad=True)
    data = {x.term: X}
    plain, y = PROGRAMS[name](1.0, x), PROGRAMS[name](SPELLINGS[spelling](), x)
    want = truth(plain.term, data)
    assert max(err_ulp(row, want).max() for row in np.atleast_2d(y.numpy())) <= 4
    slope = gradient(plain.term, x.term, data, seed=np.ones(3))
    (found,) = sg.autograd.grad(y, x, grad_outputs=np.ones(y.shape))
    times = y.size // 3
    assert err_ulp(found.numpy() / times, slope).max() <= 4


def test_compiled_functions_see_ones_that_come_and_go():
    one = sg.tensor(1.0, dtype=np.float64)
    f = sg.compile(lambda x: snp.log(one - sg.special.expit(x)))
    for value, want in ((1.0, -40.0), (2.0, 0.0), (1.0, -40.0)):
        one.assign_(value)
        assert f(np.array(40.0)).item() == pytest.approx(want, abs=1e-16)


def test_a_one_that_a_derivative_is_taken_by_is_a_variable():
    one, x = sg.tensor(1.0, dtype=np.float64), sg.tensor(0.5, dtype=np.float64)
    assert sg.grad(lambda a: (a - x) ** 3)(one).item() == 0.75
    one.requires_grad_()
    ((one - x) ** 3).backward()
    assert one.grad.item() == 0.75


def test_a_one_is_the_same_whatever_else_it_is_used_for():
    one, x = sg.tensor(np.ones(2)), sg.tensor(np.array([40.0, 1.0]))
    alone = snp.log(one - sg.special.expit(x)).numpy()
    tail, product = snp.log(one - sg.special.expit(x)), one @ x
    both = sg.compile(lambda: (tail, product))()
    assert both[0].numpy().tolist() == alone.tolist()
    assert both[1].item() == 41.0


def test_ones_in_another_dtype():
    ones = sg.tensor(np.ones(2, np.float32))
    assert ones.astype(float).numpy().tolist() == [1.0, 1.0]
    assert ones.astype("bfloat16").astype(int).numpy().tolist() == [1, 1]


def test_ones_are_standardized():
    x = sg.tensor(np.ones(3))
    assert ((x - snp.mean(x)) / (snp.std(x) + 1e-8)).numpy().tolist() == [0.0, 0.0, 0.0]


REMOVABLE = {
    "log(x)/(x - 1)": (lambda x: snp.log(x) / (x - 1), 1.0),
    "logarithmic mean": (lambda x: (x - 1) / snp.log(x), 1.0),
    "geometric sum": (lambda x: (1 - x**5) / (1 - x), 5.0),
}


@pytest.mark.parametrize("name", REMOVABLE)
def test_a_one_has_the_value_that_it_has_beside_other_numbers(name):
    f, value = REMOVABLE[name]
    for x in (np.ones(2), np.float64(1.0), np.array([1.0, 2.0])):
        assert np.ravel(f(sg.tensor(x)).numpy())[0] == value
