"""Float32 programs whose intermediates leave the range of floats though their results do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp

import stablegrad as sg
import stablegrad.jax as sj
from stablegrad.oracle import Status, err_ulp, truth

SIZES = (1e-30, 1e-3, 0.7, 2.0, 1e3, 1e10, 1e14, 1e20, 1e30, 3e38)
X = np.array([s * size for size in SIZES for s in (1, -1)], np.float32)

LOGARITHMS: dict[str, Callable[[Any], Any]] = {
    "log1p(x**2)": lambda x: jnp.log1p(x**2),
    "log(x**2 + 3*x + 7)": lambda x: jnp.log(x**2 + 3 * x + 7),
    "log(5 + 3*x**4)": lambda x: jnp.log(5 + 3 * x**4),
    "log(3*x*x)": lambda x: jnp.log(3 * x * x),
    "log2(x*x + 1)": lambda x: jnp.log2(x * x + 1),
    "log10(x*x + 1)": lambda x: jnp.log10(x * x + 1),
    "arcsinh(x**3)": lambda x: jnp.arcsinh(x**3),
    "Cauchy": lambda x: -jnp.log1p(((x - 1) / 3e-10) ** 2) - jnp.log(jnp.float32(3e-10)),
    "Student's t": lambda x: -3 * jnp.log1p(((x - 1) / 0.25) ** 2 / 5),
}
VANISHING: dict[str, Callable[[Any], Any]] = {
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "mish": lambda x: x * jnp.tanh(jnp.log1p(jnp.exp(x))),
    "swish": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "x*sigmoid(x**3)": lambda x: x * jax.nn.sigmoid(x**3),
    "x**3*sech(x*x)**2": lambda x: x**3 * (1 - jnp.tanh(x * x) ** 2),
    "x**4*exp(-x**2/2)": lambda x: x**4 * jnp.exp(-(x**2) / 2),
    "Hermite": lambda x: (x**3 - 3 * x) * jnp.exp(-x * x / 2),
    "(1 + x**3)*exp(-x**4)": lambda x: (1 + x**3) * jnp.exp(-(x**4)),
    "standardized": lambda x: ((x - 1) / 3) ** 4 * jnp.exp(-(((x - 1) / 3) ** 2) / 2),
    "beside a log": lambda x: x**2 * jnp.exp(-(x**4)) * jnp.log1p(x * x),
    "Yukawa": lambda x: jnp.exp(-abs(x)) * (1 + abs(x) + x * x / 3),
    "beside a quotient": lambda x: x**5 / (1 + x * x) * jnp.exp(-x * x),
}
FAR_OUT = VANISHING | {
    "Matern": lambda x: jnp.exp(-jnp.sqrt(5 * x * x)) * (1 + jnp.sqrt(5 * x * x) + 5 * x * x / 3),
}
OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "Ricker": lambda x, s: (1 - (x / s) ** 2) * jnp.exp(-x * x / (2 * s * s)),
    "normal": lambda x, s: jnp.exp(-(x * x) / (2 * s * s)) / jnp.sqrt(2 * jnp.pi * s * s),
    "Maxwell": lambda x, s: x * x / s**3 * jnp.exp(-x * x / (2 * s * s)),
    "under a choice": lambda x, s: jnp.where(x > 0, x * x * jnp.exp(-x * x * s), 0),
    "hydrogen": lambda x, s: ((2 - x / s) * jnp.exp(-x / (2 * s))) ** 2 * x * x,
    "gelu": lambda x, s: jax.nn.gelu(x * s),
}


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic of large arrays, also for these few points."""
    monkeypatch.setattr("stablegrad.jax.regions.FEW", 0)


def _true(f: Callable[[Any], Any], order: int) -> Any:
    report = sj.explain(f)(jnp.asarray(X))
    (region,), (reading,) = report.regions, report.readings
    known = dict(reading.constants) | dict.fromkeys(reading.inputs, X)
    numbers = dict(zip(region.inputs, reading.steps[0].inputs, strict=True))
    bindings = {x: np.asarray(known[a]) for x, a in numbers.items()}
    moves: Any = {x: np.ones(X.shape) if a in reading.inputs else 0.0 for x, a in numbers.items()}
    if not order:
        return truth(region.roots[0], bindings, np.float32)
    return truth(region.roots[0], bindings, np.float32, order=1, direction=moves)


def _is_near(got: Any, true: Any, bound: float) -> None:
    size = np.abs(np.asarray(true.value, float))
    limits = np.finfo(np.float32)
    known = np.asarray(true.status) <= Status.LIMIT
    counts = known & ((size == 0) | ((size >= limits.tiny) & (size <= limits.max)))
    assert counts.sum() >= X.size // 2
    error = np.where(counts, err_ulp(got, true), 0.0)
    assert (error <= bound).all(), [*zip(X, got, true.value, error, strict=True)]
    # what underflows is next to nothing, not nan
    assert not np.isnan(got[known]).any(), [*zip(X, got, strict=True)]


@pytest.mark.parametrize("name", [*LOGARITHMS, *VANISHING])
@pytest.mark.parametrize("synthesis", [True, False])
def test_values_and_slopes_are_right_over_the_range(name: str, synthesis: bool) -> None:
    f = (LOGARITHMS | VANISHING)[name]
    with sg.rules(exclude=() if synthesis else ("synthesis",)):
        stable = sj.stabilize(f)
        for order, h in ((0, stable), (1, jax.grad(stable))):
            _is_near(np.asarray(jax.jit(jax.vmap(h))(X)), _true(f, order), 64)


@pytest.mark.parametrize("name", ["gelu", "Hermite", "Cauchy"])
def test_slopes_are_right_op_by_op(name: str) -> None:
    f = (LOGARITHMS | VANISHING)[name]
    _is_near(np.asarray(jax.grad(lambda x: sj.stabilize(f)(x).sum())(X)), _true(f, 1), 64)


FAR = {
    np.float32: X[np.abs(X) > 1e9],
    np.float64: np.array([s * 10.0**k for k in (9, 40, 80, 120, 154, 200, 300) for s in (1, -1)]),
}


@pytest.mark.parametrize("dtype", FAR)
@pytest.mark.parametrize("name", FAR_OUT)
def test_bends_far_out_are_0(name: str, dtype: Any) -> None:
    with jax.enable_x64(dtype == np.float64):
        bend: Any = jax.jit(jax.vmap(jax.grad(jax.grad(sj.stabilize(FAR_OUT[name])))))
        np.testing.assert_array_equal(np.asarray(bend(FAR[dtype])), 0)


@pytest.mark.parametrize("name", FAR_OUT)
def test_slopes_far_out_in_float64(name: str) -> None:
    """Those of functions that end in a line or at 0: a number or 0, and never more than 2."""
    x = FAR[np.float64]
    with jax.enable_x64(True):
        stable = sj.stabilize(FAR_OUT[name])
        value, slope = (np.asarray(jax.jit(jax.vmap(f))(x)) for f in (stable, jax.grad(stable)))
    whole = np.round(slope, 12)
    np.testing.assert_array_equal(whole, np.where(value == 0, 0, 1))
    np.testing.assert_array_equal(value, x * whole)


@pytest.mark.parametrize("dtype", FAR)
@pytest.mark.parametrize("name", OF_TWO)
def test_slopes_by_either_number_far_out(name: str, dtype: Any) -> None:
    x = FAR[dtype]
    x = x[x > 0]
    flat = np.ones if name == "gelu" else np.zeros  # s*x in the end, or 0
    with jax.enable_x64(dtype == np.float64):
        f = sj.stabilize(OF_TWO[name])
        s = np.full_like(x, 1)

        def run(g: Any) -> Any:
            return np.asarray(jax.jit(jax.vmap(g))(x, s))

        np.testing.assert_array_equal(run(f), x * flat(x.shape, dtype))
        np.testing.assert_array_equal(run(jax.grad(f, 0)), flat(x.shape))
        np.testing.assert_array_equal(run(jax.grad(f, 1)), x * flat(x.shape, dtype))
        np.testing.assert_array_equal(run(jax.grad(jax.grad(f, 0), 0)), 0)
        np.testing.assert_array_equal(run(jax.grad(jax.grad(f, 1), 1)), 0)


def test_what_is_infinite_by_its_inputs_stays_no_number() -> None:
    f = jax.jit(sj.stabilize(lambda x, y: (1 + y * y) * jnp.exp(-x * x)))
    assert np.isnan(f(jnp.float32(1e10), jnp.float32(np.inf)))
    assert np.isnan(f(jnp.float32(1e10), jnp.float32(np.nan)))
    assert f(jnp.float32(1e10), jnp.float32(1e30)) == 0
    g = jax.jit(sj.stabilize(lambda x, y: (1 + 1 / (y * y)) * jnp.exp(-x * x)))
    assert np.isnan(g(jnp.float32(1e10), jnp.float32(0)))


@pytest.mark.parametrize("number", [1.0, 1e-3, 1e5])
def test_a_length_beside_a_number_is_right_in_float32_alone(number: float) -> None:
    c = np.float32(number)
    f = jax.vmap(jax.value_and_grad(sj.stabilize(lambda x: jnp.hypot(x, c))))
    x = np.concatenate([X, np.float32([0.0, 6.5615587, 1.0269641, np.inf, -np.inf])])
    value, slope = jax.jit(f)(x)
    wide = x.astype(np.float64)
    length = np.hypot(wide, np.float64(c))
    with np.errstate(invalid="ignore"):
        unit = np.where(np.isinf(wide), np.sign(wide), wide / length)
    np.testing.assert_array_max_ulp(value, length.astype(np.float32), 1)
    normal = np.abs(unit) > np.finfo(np.float32).tiny
    np.testing.assert_array_max_ulp(slope[normal], unit[normal].astype(np.float32), 3)
    assert "f64" not in jax.jit(f).lower(x).as_text()
