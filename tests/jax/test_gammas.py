"""Gamma family and powers of float32 programs: right to the last place, and not on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

import stablegrad.jax as sj
from stablegrad.engines.xla import kernels
from stablegrad.engines.xla.gammas import GAMMAS
from stablegrad.engines.xla.namespace import namespace
from stablegrad.engines.xla.settled import POWERS
from stablegrad.ir import OPS
from stablegrad.oracle import truth
from stablegrad.testing import SEED, leaf

POINTS = 400
BITS = 26  # two more than float32 has
EDGES = [0.0, -1.5, np.inf, -np.inf, np.nan, 1.0, 2.0, 0.5, 3.0, 1.4616321325302124]


def _arguments(rng: np.random.Generator) -> Any:
    """Float32 numbers: everyday ones, of any size, halves, and beside the zeros."""
    x = np.concatenate(
        [
            rng.gamma(2.0, 1.0, POINTS // 4),
            np.exp(rng.uniform(-85, 85, POINTS // 4)),
            rng.integers(1, 20, POINTS // 4) / 2,
            rng.choice([1.0, 2.0, 1.46163], POINTS // 4)
            * (1 + np.exp(rng.uniform(-16, -2, POINTS // 4)) * rng.choice([-1, 1], POINTS // 4)),
        ]
    )
    rng.shuffle(x)
    x[: len(EDGES)] = rng.permutation(EDGES)
    return x.astype(np.float32).astype(float)


@pytest.mark.parametrize("name", sorted(GAMMAS))
def test_digits_that_float32_needs(name: str) -> None:
    rng = np.random.default_rng(SEED)
    count = 1 if name in ("lgamma", "digamma") else 2
    xs = [_arguments(rng) for _ in range(count)]
    if "step" in name:
        xs[1] *= rng.choice([-1, 1], POINTS)
    params = {"n": 0} if name.startswith("polygamma") else {}
    leaves = [leaf(x) for x in xs]
    true = truth(OPS[name](*leaves, **params), dict(zip(leaves, xs, strict=True)), budget=20_000)
    with jax.enable_x64(True):
        xp = namespace(jax)
        got = np.asarray(jax.jit(lambda *xs: GAMMAS[name](xp, *xs, **params))(*xs))
    value = np.asarray(true.value, float)
    small = np.finfo(np.float32).tiny
    known = true.decided & (np.abs(value) > small)
    with np.errstate(invalid="ignore"):
        ends = [xs[0], xs[0] + xs[-1] if "step" in name else xs[-1]]  # of steps the other end
    usual = known & np.all([x > 0 for x in ends], axis=0)
    assert usual.sum() > POINTS // 3
    assert np.allclose(got[usual], value[usual], rtol=2.0**-BITS, atol=0)
    assert np.isnan(got[np.any([np.isnan(x) for x in xs], axis=0)]).all()


def test_ordinary_arrays_stay_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    hosted = kernels.hosted

    def counted(run: Any, shape: Any = None) -> Any:
        def counting(*xs: Any) -> Any:
            calls.append(np.size(xs[0]))
            return run(*xs)

        return hosted(counting, shape)

    monkeypatch.setattr(kernels, "hosted", counted)

    def f(x: Any, a: Any, b: Any) -> Any:
        normal = gammaln(a) + gammaln(b) - gammaln(a + b)
        return gammaln(x + 0.5) - gammaln(x) + normal

    rng = np.random.default_rng(SEED)
    xs = [jnp.asarray(rng.gamma(2.0, 1.0, 5000) + 0.1, np.float32) for _ in range(3)]
    sums = jax.value_and_grad(lambda *xs: sj.stabilize(f)(*xs).sum(), (0, 1, 2))
    jax.block_until_ready(jax.jit(sums)(*xs))
    assert not calls
    rows = [x.reshape(5, -1) for x in xs]
    jax.block_until_ready(jax.jit(jax.vmap(sj.stabilize(f)))(*rows))
    assert not calls
    value = jax.jit(sj.stabilize(f))(-xs[0], xs[1], xs[2])
    jax.block_until_ready(value)
    assert calls
    assert np.isfinite(np.asarray(value)).all()


@pytest.mark.parametrize(("n", "m"), [(1, 0), (2, 0), (0, 1), (0, 2)])
def test_derivatives_of_powers(n: int, m: int) -> None:
    rng = np.random.default_rng(SEED)
    x, y = _arguments(rng), rng.normal(size=POINTS) * 3
    y[::3] = np.rint(y[::3])
    x[:8], y[:8] = [0, 0, 0, np.inf, np.inf, np.inf, -2, -2], [1, -1, 0.5, 1, -1, 0, 2, 1.5]
    y = y.astype(np.float32).astype(float)
    kernel = OPS["power_derivative"].kernel
    with jax.enable_x64(True), np.errstate(all="ignore"):
        xp = namespace(jax)
        run = jax.jit(lambda *xs: POWERS["power_derivative"](xp, *xs, n=n, m=m))
        assert "exponential" not in run.lower(x, y).as_text()  # no roots on the device
        got, want = np.asarray(run(x, y)), kernel(kernels.NUMPY, x, y, n=n, m=m)
        alone = [float(run(a, b)) for a, b in zip(x[:8], y[:8], strict=True)]  # numbers, no arrays
    assert np.allclose(got[:8], want[:8], rtol=2.0**-BITS, atol=0, equal_nan=True)
    assert np.array_equal(alone, got[:8], equal_nan=True)
    leaves = [leaf(x), leaf(y)]
    term = OPS["power_derivative"](*leaves, n=n, m=m)
    true = truth(term, dict(zip(leaves, (x, y), strict=True)), budget=20_000)
    value = np.asarray(true.value, float)
    usual = true.decided & (np.abs(value) > 1e-38) & (x > 0)
    assert usual.sum() > POINTS // 2
    assert np.allclose(got[usual], value[usual], rtol=2.0**-BITS, atol=0)
