"""Sums of functions that cancel under XLA: digits that only twice the precision has."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax import export
from jax.scipy.special import gammaln
from jax.sharding import Mesh, PartitionSpec

from stablegrad.engines.xla.namespace import namespace
from stablegrad.jax import stabilize
from stablegrad.ops import pair_exp, pair_trig


def poisson(k, m):
    return k * jnp.log(m) - m - gammaln(k + 1)


# log(sqrt(2 pi k)) + 1/(12 k) and its neighbours, by Stirling's series
K = np.array([1e10, 1e12, 1e15])
VALUE = -0.5 * np.log(2 * np.pi * K) - 1 / (12 * K)
SLOPE = -0.5 / K


@pytest.mark.parametrize("wrap", ["eager", "jit", "vmap", "shard_map"])
def test_gamma_functions_that_cancel_keep_their_digits(wrap: str) -> None:
    with jax.enable_x64(True):
        f = stabilize(poisson)
        slope = jax.grad(lambda k, m: f(k, m).sum())
        mesh = Mesh(np.array(jax.devices()[:1]), ("d",))
        spec = PartitionSpec("d")
        wraps = {
            "eager": lambda g: g,
            "jit": jax.jit,
            "vmap": jax.vmap,
            "shard_map": lambda g: jax.shard_map(g, mesh=mesh, in_specs=spec, out_specs=spec),
        }
        k = jnp.asarray(K)
        np.testing.assert_allclose(wraps[wrap](f)(k, k), VALUE, rtol=1e-14)
        np.testing.assert_allclose(wraps[wrap](slope)(k, k), SLOPE, rtol=1e-9)
        assert np.isnan(f(k[0], jnp.nan))


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
