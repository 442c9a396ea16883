"""Float32 programs at points where plain float64 is not enough."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.expressions import parse
from stablegrad.ir import make
from stablegrad.ops.record import INPUT
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import Settings
from stablegrad.tensor.core import wrap

NARROW = np.dtype(np.float32)

PROGRAMS = {
    "1/x - 1/tan(x)": [(1e-11,), (-3e-20,), (0.5,), (1e-35,)],
    "3*(sin(x)/x**3 - cos(x)/x**2) - 1/exp(x)": [(1e-9,), (2e-5,), (0.1,), (7.0,)],
    "sqrt(x*x + y*y) - x": [(1e19, 1e-3), (1e10, 1.0), (-5.0, 2.0), (3e30, 3e20)],
    "exp(x)/(exp(x) + exp(y))*exp(-y)": [(1e10, 1e10), (3e5, 2e5), (1.0, 2.0), (-1e8, 3.0)],
    "sin(sinh(x))": [(64.0,), (-70.0,), (45.0,), (2.0,)],
    "cos(x*exp(y))": [(3.5, 64.0), (-1e8, 30.0), (0.5, 1.0)],
    "tan(1/(x*y*y))": [(1e-20, 1e-5), (3e-9, 7e-3), (0.5, 2.0)],
    "sin(x*y*y)/(x*y*y)": [(1e9, 1e3), (0.5, 2.0), (3.0, 1e-5)],
    "sqrt((x - y)*(x + y))": [(7.3e24, 3.8e-13), (7.6e-31, 4.7e-31), (3e30, 4.7e22), (2.0, 1.0)],
    "(1 + x**y)**(-z)": [(6.36e36, 15.0, 0.022), (2.0, 3.0, 0.5)],
    "sqrt(x*y)": [(7e24, 4e23), (1.5e-28, 2.7e-27), (2.0, 3.0)],
    "sqrt(x/y)": [(7e24, 4e-23), (1.5e-28, 2.7e27), (2.0, 3.0)],
    "z/sqrt(x/(5*y))": [(7e24, 4e-23, 2.0), (1.5e-28, 2.7e27, 3e-12), (2.0, 3.0, 0.5)],
    "1/sqrt(3*x*y)": [(7e24, 4e23), (1.5e-28, 2.7e-27), (2.0, 3.0)],
    "1/(1 + (x/y)**8)": [(1e38, 1e-38), (1e-38, 1e38), (2.0, 3.0), (1e-45, 1e38)],
}


@pytest.mark.parametrize("text", PROGRAMS)
def test_points_that_float64_loses_are_right(text: str) -> None:
    f, points = parse(text), PROGRAMS[text]
    columns = [np.array(c, NARROW) for c in zip(*points, strict=True)]
    inputs = [make(INPUT, (), (i,), (), NARROW) for i in range(len(columns))]
    meant = f(*[wrap(x, Settings(), requires=False) for x in inputs]).term
    bindings = dict(zip(inputs, columns, strict=True))
    true = truth(meant, bindings)
    tensors = [sg.tensor(c, requires_grad=True) for c in columns]
    value = f(*tensors)
    assert true.decided.all()
    assert (err_ulp(value.numpy(), true) <= 4).all()
    value.backward(np.ones(len(points), NARROW))
    for x, t in zip(inputs, tensors, strict=True):
        slope = truth(meant, bindings, order=1, direction={x: 1.0})
        assert slope.decided.all()
        assert (err_ulp(t.grad.numpy(), slope) <= 4).all()


KERNELS = {
    "gammaln((x + 1)/2) - gammaln(x/2) - log(x)/2 - (x + 1)/2*log(1 + y*y/x)": [
        (1e15, 2.0),
        (1e10, 1.5),
        (3.0, 0.5),
    ],
    "1/x - y/(exp(x*y) - 1)": [(1e-9, 2.0), (1e-5, 1.0), (2.0, 3.0)],
}
"""Programs with parts that have kernels of their own in float32: not enough beside others."""


@pytest.mark.parametrize("text", KERNELS)
def test_slopes_beside_kernels_are_right(text: str) -> None:
    f, points = parse(text), KERNELS[text]
    columns = [np.array(c, NARROW) for c in zip(*points, strict=True)]
    inputs = [make(INPUT, (), (i,), (), NARROW) for i in range(len(columns))]
    meant = f(*[wrap(x, Settings(), requires=False) for x in inputs]).term
    bindings = dict(zip(inputs, columns, strict=True))
    slope = sg.grad(lambda x, *rest: f(x, *rest).sum())
    bend = sg.grad(lambda x, *rest: slope(x, *rest).sum())
    for order, got in enumerate((slope(*columns), bend(*columns)), 1):
        true = truth(meant, bindings, order=order, direction={inputs[0]: 1.0})
        assert true.decided.all()
        assert (err_ulp(got.numpy(), true) <= 4).all()


def test_elements_are_the_same_alone_and_among_many() -> None:
    f = parse("1/x - 1/tan(x)")
    many = np.linspace(0.1, 1.5, 70_001).astype(NARROW)
    many[::7] *= NARROW.type(1e-12)
    whole = f(sg.tensor(many)).numpy()
    for i in (0, 1, 7, 69_993, 70_000):
        assert whole[i] == f(sg.tensor(many[i])).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_multiples_of_products_keep_their_values(dtype: str) -> None:
    great = np.array(np.finfo(dtype).max / 4, dtype)
    assert np.isfinite(parse("0.01*x*y")(sg.tensor(great), sg.tensor(np.array(8, dtype))).numpy())


def test_powers_that_underflow_on_the_way_lose_nothing() -> None:
    x, s = (sg.tensor(np.array(v), requires_grad=True) for v in (1.5e63, 1.6e63))
    parse("x/(s*s)*exp(-x*x/(2*s*s))")(x, s).backward()
    inputs = [make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(2)]
    wrapped = [wrap(t, Settings(), requires=False) for t in inputs]
    meant = parse("x/(s*s)*exp(-x*x/(2*s*s))")(*wrapped).term
    at = dict(zip(inputs, (1.5e63, 1.6e63), strict=True))
    true = truth(meant, at, order=1, direction={inputs[1]: 1.0})
    assert err_ulp(s.grad.numpy(), true) <= 4


FAR = {
    "(b/a)**(1/n) - 1": [
        (4.7e305, 1.1e-191, 2.9e94),
        (5.8e-282, 3.7e246, 1.4e214),
        (2.0, 3.0, 4.0),
    ],
    "t*log(exp(n/t) - 1)": [(1.1e-271, 1.5e85), (3.5e181, 4.2e-222), (2.0, 3.0)],
    "log(exp(a*x) - 1)/log(exp(a) - 1)": [(1.7e233, 7.4e91), (1.5, 2.5)],
}


@pytest.mark.parametrize("text", FAR)
def test_arguments_that_left_the_range(text: str) -> None:
    f = parse(text)
    columns = [np.array(c) for c in zip(*FAR[text], strict=True)]
    inputs = [make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(len(columns))]
    meant = f(*[wrap(x, Settings(), requires=False) for x in inputs]).term
    true = truth(meant, dict(zip(inputs, columns, strict=True)))
    assert true.decided.all()
    assert (err_ulp(f(*map(sg.tensor, columns)).numpy(), true) <= 4).all()


@pytest.mark.parametrize(
    "text", ["sqrt(x*y)", "sqrt(x/y)", "1/sqrt(2*x*y)", "sqrt((x - y)*(x + y))"]
)
def test_roots_of_products_are_had_in_float32(text: str) -> None:
    x, y = (sg.tensor(np.array(v, NARROW)) for v in ([3.0, 5.0], [1.0, 2.0]))
    assert "rooted_product" in sg.explain(parse(text)(x, y)).ops
    assert "astype" not in str(sg.explain(parse(text)(x, y)))
