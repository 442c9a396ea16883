"""Sums of functions that cancel under XLA: digits that only twice the precision has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax import export
from jax.scipy.special import erf, gammaln, ndtr
from jax.scipy.stats import gamma
from jax.sharding import Mesh, PartitionSpec

from stablegrad.engines.xla import kernels
from stablegrad.engines.xla.namespace import namespace
from stablegrad.jax import stabilize
from stablegrad.ops import pair_exp, pair_trig


def poisson(k, m):
    return k * jnp.log(m) - m - gammaln(k + 1)


# log(sqrt(2 pi k)) + 1/(12 k) and its neighbours, by Stirling's series
K = np.array([1e10, 1e12, 1e15])
VALUE = -0.5 * np.log(2 * np.pi * K) - 1 / (12 * K)
SLOPE = -0.5 / K


def test_gamma_functions_that_cancel_keep_their_digits() -> None:
    with jax.enable_x64(True):
        f = stabilize(poisson)
        k = jnp.asarray(K)
        np.testing.assert_allclose(jax.jit(f)(k, k), VALUE, rtol=1e-14)
        slope = jax.jit(jax.grad(lambda k, m: f(k, m).sum()))
        np.testing.assert_allclose(slope(k, k), SLOPE, rtol=1e-9)


def test_each_device_of_a_shard_map_calls_for_itself() -> None:
    with jax.enable_x64(True):
        mesh, spec = Mesh(np.array(jax.devices()[:1]), ("d",)), PartitionSpec("d")
        f = jax.shard_map(stabilize(poisson), mesh=mesh, in_specs=spec, out_specs=spec)
        np.testing.assert_allclose(jax.jit(f)(K, K), VALUE, rtol=1e-14)


def test_numpy_is_called_once_and_where_digits_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    redone = kernels.redone

    def counted(xp, total, *rest, **params):
        calls.append(total.size)
        return redone(xp, total, *rest, **params)

    monkeypatch.setattr(kernels, "redone", counted)
    with jax.enable_x64(True):
        f = jax.jit(jax.vmap(stabilize(lambda k, m: k * jnp.log(m) - m * 2 - gammaln(k + 1))))
        f(jnp.array([3.0, 5.0]), jnp.array([2.0, 7.0]))
        assert calls == []
        g = jax.jit(jax.vmap(jax.vmap(stabilize(poisson))))
        k = jnp.asarray(K)[:, None]
        np.testing.assert_allclose(g(k, k)[:, 0], VALUE, rtol=1e-14)
        assert calls == [3]


def test_what_is_exported_calls_nothing_back() -> None:
    with jax.enable_x64(True):
        k = jax.ShapeDtypeStruct((3,), np.dtype(np.float64))
        text = export.export(jax.jit(stabilize(poisson)))(k, k).mlir_module()
    assert "callback" not in text


def test_pairs_stay_pairs_under_the_simplifier() -> None:
    with jax.enable_x64(True):
        xp = namespace(jax)
        x = np.linspace(0.5, 3.0, 257)
        for f in (pair_exp.exp, pair_exp.log_of_pair, lambda n, p: pair_trig.sine_cosine(n, p)[0]):
            hi, lo = jax.jit(lambda x, f=f: f(xp, (x, 0.0 * x)))(x)
            high, low = f(np, (x, 0.0 * x))
            scale = np.maximum(np.abs(high), 1.0)
            off = (np.asarray(hi) - high) + (np.asarray(lo) - low)
            assert (np.abs(off) <= 2.0**-95 * scale).all()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5])
def test_few_elements_of_many_are_redone_as_each_by_itself(share: float) -> None:
    rng = np.random.default_rng(7)
    near = 1.5 + 1e-6 * rng.normal(size=70_000)
    x = np.where(rng.random(near.size) < share, near, rng.uniform(3, 9, near.size))
    with jax.enable_x64(True):
        slope = jax.jit(jax.vmap(jax.grad(stabilize(lambda v: gamma.logpdf(v, 2.5)))))
        assert "callback" in slope.lower(x).as_text()
        whole = np.asarray(slope(x))
        parts = np.concatenate([np.asarray(slope(part)) for part in np.split(x, 10)])
    np.testing.assert_array_equal(whole, parts)
    true = (3 - 2 * x) / (2 * x)  # the numerator is exact
    np.testing.assert_allclose(whole, true, rtol=1e-15)


def _normal(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def _logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


INTERVALS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "logistic": (
        lambda x, a, b, s: 1 / (1 + jnp.exp(-(x - a) / s)) - 1 / (1 + jnp.exp(-(x - b) / s)),
        lambda x, a, b, s: _logistic((x - a) / s) - _logistic((x - b) / s),
    ),
    "error function": (
        lambda x, a, b, s: erf(x * s - a) - erf(x * s - b),
        lambda x, a, b, s: mpmath.erf(x * s - a) - mpmath.erf(x * s - b),
    ),
    "softplus": (
        lambda x, a, b, s: jnp.logaddexp(0, (x - a) / s) - jnp.logaddexp(0, (x - b) / s),
        lambda x, a, b, s: (
            mpmath.log1p(mpmath.exp((x - a) / s)) - mpmath.log1p(mpmath.exp((x - b) / s))
        ),
    ),
    "waves": (
        lambda x, a, b, s: jnp.sin(x * s + a) - jnp.sin(x * s + b),
        lambda x, a, b, s: mpmath.sin(x * s + a) - mpmath.sin(x * s + b),
    ),
}


@pytest.mark.parametrize("name", INTERVALS)
def test_short_intervals_take_their_length_before_it_is_rounded(name: str) -> None:
    f, meant = INTERVALS[name]
    points = [(-1.3, 0.7, 0.7 + 1e-12, 2.3), (1.3, 0.7, 0.7 + 1e-9, 0.3), (1.0, -3, -3 + 4e-16, 1)]
    columns = np.array(points).T
    with jax.enable_x64(True):
        value, slopes = jax.jit(jax.vmap(jax.value_and_grad(stabilize(f), (0, 1, 2, 3))))(*columns)
    with mpmath.workdps(60):
        for i, point in enumerate(points):
            at = tuple(mpmath.mpf(x) for x in point)
            assert abs(float(value[i]) / meant(*at) - 1) < 16 * 2.0**-53
            for k, slope in enumerate(slopes):
                true = mpmath.diff(meant, at, tuple(int(k == j) for j in range(4)))
                assert abs(float(slope[i]) - true) <= 32 * 2.0**-53 * abs(true)


def test_the_log_of_a_short_normal_interval_takes_its_length_before_it_is_rounded() -> None:
    x, a, b = 3.3, 0.7, 0.7 + 1e-12
    with jax.enable_x64(True):
        value = stabilize(lambda x, a, b: jnp.log(ndtr(b - x) - ndtr(a - x)))(x, a, b)
    with mpmath.workdps(60):
        true = mpmath.log(_normal(mpmath.mpf(b) - x) - _normal(mpmath.mpf(a) - x))
    assert abs(float(value) / true - 1) < 4 * 2.0**-53


def test_an_interval_without_end_has_no_length() -> None:
    f = stabilize(lambda x, a, b: ndtr((b - x) / 2) - ndtr((a - x) / 2))
    with jax.enable_x64(True):
        assert f(1.0, 3.0, np.inf) == pytest.approx(0.15865525393145705, rel=1e-15)
        assert f(1.0, np.inf, np.inf) == 0
        assert f(1.0, -np.inf, np.inf) == 1
