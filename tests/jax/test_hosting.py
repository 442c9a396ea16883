"""What is called back from compiled programs: on one core it must not wait for itself."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax

from stablegrad.engines.xla.kernels import hosted

ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax
import jax.numpy as jnp
from stablegrad.engines.xla.kernels import hosted

with jax.enable_x64(True):
    x = jnp.linspace(0.0, 1.0, 200_000)
    f = jax.jit(lambda x: hosted(lambda u, v: u * v)(jnp.sin(x), hosted(lambda u: 2 * u)(x)))
    for _ in range(20):
        jax.block_until_ready([f(x), f(x + 1), f(x + 2)])
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's affinities")
def test_large_arrays_on_one_core() -> None:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    done = subprocess.run(
        [sys.executable, "-c", ONE_CORE], timeout=100, check=False, env=environment
    )
    assert done.returncode == 0


def test_vmap_calls_once_where_elements_stand_by_themselves() -> None:
    shapes: list[tuple[int, ...]] = []

    def product(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        shapes.append(u.shape)
        return u * v

    with jax.enable_x64(True):
        x, y = np.arange(12.0).reshape(3, 4), np.arange(4.0)
        got = jax.jit(jax.vmap(hosted(product), (1, None)))(x, 2.0)
        assert np.array_equal(got, 2 * x.T)
        got = jax.vmap(hosted(product), (0, None))(x, y)
        assert np.array_equal(got, x * y)
        assert shapes == [(4, 3), (3, 4)]
        rows = jax.vmap(hosted(lambda u: u.sum(keepdims=True), (1,)))(x)
        assert np.array_equal(rows, x.sum(1, keepdims=True))
