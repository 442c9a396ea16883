"""Hessians of functions of a length: at the origin, near it and elsewhere, by the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stablegrad.ir import OPS, Term, make
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import err_ulp, mixed, taylor, truth
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

PLAIN = Settings(excluded=frozenset({"synthesis"}))
COUNT = 12


def f(name: str) -> Callable[..., Term]:
    return OPS[name]


exp, log, sqrt, sin, cosh = f("exp"), f("log"), f("sqrt"), f("sin"), f("cosh")

RADIAL: dict[str, Callable[[Term], Term]] = {
    "cosh": cosh,
    "cos": f("cos"),
    "sine over it": lambda r: sin(r) / r,
    "log cosh": lambda r: log(cosh(r)),
    "Lorentz factor": lambda r: sqrt(1 + r * r),
    "Matern 3/2": lambda r: (1 + r) * exp(-r),
    "Matern 5/2": lambda r: (1 + r + r * r / 3) * exp(-r),
    "sech": f("sech"),
    "Bessel function": f("i0"),
    "r*tanh(r)": lambda r: r * f("tanh")(r),
    "hyperbolic share": lambda r: r / f("sinh")(r),
}


def leaves(shape: tuple[int, ...]) -> list[Term]:
    return [make(INPUT, (), (i,), shape, np.dtype(np.float64)) for i in range(2)]


def hessian(g: Callable[[Term], Term], data: list[Any]) -> list[Any]:
    """Value, slope by x, and the second derivatives by x, and by x and y, of g(|(x, y)|)."""
    x, y = leaves(data[0].shape)
    value = g(sqrt(x * x + y * y))
    one = const(1, value.dtype, value.shape)
    slope = gradient(value, x, one)
    roots = [value, slope, gradient(slope, x, one), gradient(slope, y, one)]
    return compile_terms(roots, [x, y], PLAIN)(data)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0])
@pytest.mark.parametrize("name", RADIAL)
def test_hessians_near_the_origin(name: str, scale: float) -> None:
    rng = np.random.default_rng(2026)
    data = [scale * rng.standard_normal(COUNT) for _ in range(2)]
    x, y = leaves(())
    term = RADIAL[name](sqrt(x * x + y * y))
    bound = dict(zip((x, y), data, strict=True))
    true = [*taylor(term, bound, 2, direction={x: 1.0}), mixed(term, (x, y), bound)]
    for got, t in zip(hessian(RADIAL[name], data), true, strict=True):
        assert t.decided.all()
        assert np.abs(err_ulp(got, t)).max() <= 8


@pytest.mark.parametrize("name", RADIAL)
def test_hessians_at_the_origin_are_what_they_are_beside_it(name: str) -> None:
    """The second derivative is continuous, and even: 1e-60 away it is the same float."""
    (x, y), at = leaves(()), np.array([1e-60])
    term = RADIAL[name](sqrt(x * x + y * y))
    beside = truth(term, {x: at, y: 0 * at}, order=2, direction={x: 1.0})
    _, slope, by_x, by_both = hessian(RADIAL[name], [np.zeros(1), np.zeros(1)])
    assert np.abs(err_ulp(by_x, beside)) <= 1
    assert slope == 0
    assert by_both == 0


@pytest.mark.parametrize(("name", "bend"), [("Matern 5/2", -1 / 3), ("Lorentz factor", 1.0)])
def test_gradients_of_vectors_at_coincident_points(name: str, bend: float) -> None:
    """A Hessian times a vector, of a kernel of two equal points: a multiple of the vector."""
    x = make(INPUT, (), (0,), (2, 3), np.dtype(np.float64))
    v = make(INPUT, (), (1,), (2, 3), np.dtype(np.float64))
    one = const(1, x.dtype, ())
    r = sqrt(f("sum")(x * x, axis=(1,), keepdims=False))
    total = f("sum")(RADIAL[name](r), axis=(0,), keepdims=False)
    along = f("sum")(gradient(total, x, one) * v, axis=(0, 1), keepdims=False)
    data = [np.array([[0.0, 0.0, 0.0], [1e-9, 0.0, 0.0]]), np.arange(1.0, 7.0).reshape(2, 3)]
    (got,) = compile_terms([gradient(along, x, one)], [x, v], PLAIN)(data)
    assert got == pytest.approx(bend * data[1], rel=1e-8)
