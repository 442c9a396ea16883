"""The mode matrix: every transform of JAX over programs that naive derivatives get wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp

import stablegrad.jax as sj
from tests.jax.programs import CASES, looped, rematted, sharded, switched, through_cond, whiled

S = sj.stabilize
MODES = {
    "grad": lambda f, t: (1, jax.grad(S(f))(t)),
    "jvp": lambda f, t: (1, jax.jvp(S(f), (t,), (jnp.ones_like(t),))[1]),
    "jacfwd": lambda f, t: (1, jax.jacfwd(S(f))(t)),
    "jacrev of jacfwd": lambda f, t: (2, jax.jacrev(jax.jacfwd(S(f)))(t)),
    "hessian": lambda f, t: (2, sj.hessian(f)(t)),
    "grad of grad of grad": lambda f, t: (3, jax.grad(jax.grad(jax.grad(S(f))))(t)),
    "jit": lambda f, t: (1, jax.jit(jax.grad(S(f)))(t)),
    "nested jit": lambda f, t: (1, jax.jit(jax.grad(jax.jit(S(jax.jit(f)))))(t)),
    "vmap of grad": lambda f, t: (1, jax.vmap(jax.grad(S(f)))(jnp.stack([t, t]))[1]),
    "grad of vmap": lambda f, t: (1, jax.grad(lambda v: jax.vmap(S(f))(jnp.stack([v, v]))[0])(t)),
    "stabilized vmap": lambda f, t: (1, jax.grad(S(lambda v: jax.vmap(f)(v[None])[0]))(t)),
    "remat": lambda f, t: (1, jax.grad(jax.checkpoint(S(f)))(t)),
    "remat inside": lambda f, t: (1, jax.grad(S(jax.checkpoint(f)))(t)),
    "scan": lambda f, t: (1, jax.grad(looped(S(f)))(t)),
    "scan inside": lambda f, t: (1, jax.grad(S(looped(f)))(t)),
    "while inside": lambda f, t: (1, jax.jvp(S(whiled(f)), (t,), (jnp.ones_like(t),))[1]),
    "cond inside": lambda f, t: (2, jax.grad(jax.grad(S(through_cond(f))))(t)),
    "switch inside": lambda f, t: (1, jax.jit(jax.grad(S(switched(f))))(t)),
    "jit of remat inside": lambda f, t: (1, jax.grad(S(rematted(f)))(t)),
    "linearize": lambda f, t: (1, jax.linearize(S(f), t)[1](jnp.ones_like(t))),
    "vjp": lambda f, t: (1, jax.vjp(S(f), t)[1](jnp.ones_like(t))[0]),
    "donation": lambda f, t: (1, jax.jit(jax.grad(S(f)), donate_argnums=0)(t + 0)),
    "shard_map": lambda f, t: (1, jax.grad(sharded(S(f)))(t)),
    "shard_map inside": lambda f, t: (1, jax.grad(S(sharded(f)))(t)),
    "pmap": lambda f, t: (1, jax.pmap(jax.grad(S(f)))(t[None])[0]),
    "export": lambda f, t: (
        1,
        jax.export.export(jax.jit(jax.grad(S(f))))(jax.ShapeDtypeStruct((), t.dtype)).call(t),
    ),
}


@pytest.mark.filterwarnings("ignore:Some donated buffers")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda f: f.__name__)
def test_derivatives_are_right(case, mode: str) -> None:
    point, truth = CASES[case]
    order, got = MODES[mode](case, jnp.float32(point))
    np.testing.assert_allclose(np.asarray(got, float), truth[order - 1], rtol=4e-6, atol=0)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_regions_that_make_half_precision_of_none(dtype: Any) -> None:
    def f(x: Any) -> Any:
        h = x.astype(dtype)
        return jnp.log(1 + jnp.exp(h)).astype(jnp.float32).sum()

    x = np.linspace(-2, 2, 3, dtype=np.float32)
    got = sj.stabilize(jax.jacfwd(jax.jacrev(f)))(x)
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(np.diag(got), s * (1 - s), rtol=1e-2)
