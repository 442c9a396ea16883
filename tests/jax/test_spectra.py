"""Functions of matrices through JAX's decompositions: derivatives where values repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp

import stablegrad.jax as sj

W = np.arange(9.0).reshape(3, 3)
MATRICES = {
    "rank 1": np.diag([1.0, 0.0, 0.0]),
    "identity": np.eye(3),
    "symmetric": np.array([[2.0, 1.0, 0.5], [1.0, -1.0, 0.25], [0.5, 0.25, 0.75]]),
}


def _svd(f: Callable[[Any], Any], *, diagonal: bool) -> Callable[[Any], Any]:
    def product(a):
        u, s, v = jnp.linalg.svd(a, full_matrices=False)
        return jnp.sum(W * (u @ jnp.diag(f(s)) @ v if diagonal else (u * f(s)) @ v))

    return product


def _eigh(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def product(a):
        w, v = jnp.linalg.eigh(a)
        return jnp.sum(W * ((v * f(w)) @ v.T))

    return product


def _symmetric(g: Any) -> Any:
    return (g + g.T) / 2


PROGRAMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "svd and diag": (_svd(lambda s: s, diagonal=True), lambda a: W),
    "svd": (_svd(lambda s: 2 * s, diagonal=False), lambda a: 2 * W),
    "exp": (
        _eigh(jnp.exp),
        lambda a: _symmetric(scipy.linalg.expm_frechet(a, W, compute_expm=False)),
    ),
    "square": (_eigh(lambda w: w**2), lambda a: _symmetric(W @ a + a @ W)),
}


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_derivatives_where_values_repeat(program: str, matrix: str) -> None:
    f, slope = PROGRAMS[program]
    with jax.enable_x64(True):
        a = jnp.asarray(MATRICES[matrix])
        value, got = jax.jit(jax.value_and_grad(sj.stabilize(f)))(a)
        np.testing.assert_allclose(value, f(a), rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(got, slope(MATRICES[matrix]), rtol=1e-12, atol=1e-12)


def test_vectors_alone_are_left_to_jax() -> None:
    def f(a):
        w, v = jnp.linalg.eigh(a)
        return jnp.sum(v[:, 0] ** 2 * w)

    a = jnp.asarray(MATRICES["symmetric"], jnp.float32)
    np.testing.assert_allclose(sj.stabilize(f)(a), f(a), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(sj.stabilize(f))(a), jax.grad(f)(a), rtol=1e-4, atol=1e-5)
