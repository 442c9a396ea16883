"""The mode matrix: every transform of JAX over programs that naive derivatives get wrong."""

from __future__ import annotations

import math
import os

# several virtual devices, wherever this module is imported before JAX starts
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax import lax

import stablegrad.jax as sj

P = jax.sharding.PartitionSpec


def where_trap(t):
    return jnp.where(t > 0, jnp.sqrt(t), 0.0)


def division(t):
    return jnp.float32(1e-12) / t


def log_sigmoid(t):
    return jnp.log(1 - jax.nn.sigmoid(t))


def softmax(t):
    return jax.nn.softmax(jnp.stack([t, 0 * t, 0 * t]))[0]


def norm(t):
    return jnp.linalg.norm(t * jnp.array([3.0, 4.0]))


def _sigmoid_slopes(t: float, shift: float = 0.0) -> tuple[float, float, float]:
    s, r = 1 / (1 + math.exp(shift - t)), 1 / (1 + math.exp(t - shift))
    return s * r, s * r * (r - s), s * r * ((r - s) ** 2 - 2 * s * r)


_first = 1 / (1 + math.exp(-20.0))
_c = float(np.float32(1e-12))
CASES = {
    where_trap: (0.0, (0.0, 0.0, 0.0)),
    division: (_c, (-1 / _c, 2 / _c**2, -6 / _c**3)),
    log_sigmoid: (20.0, (-_first, *[-v for v in _sigmoid_slopes(20.0)[:2]])),
    softmax: (30.0, _sigmoid_slopes(30.0, math.log(2.0))),
    norm: (0.0, (0.0, 0.0, 0.0)),
}


def _loop(f):
    """f(t) as the sum of a scan's outputs of which all but the last are zero."""
    return lambda t: lax.scan(
        lambda c, i: (c + jnp.where(i == 2, f(t), 0.0), None), 0.0, jnp.arange(3)
    )[0]


def _while(f):
    return lambda t: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, f(t)), (0, 0.0 * t))[1]


def _cond(f):
    return lambda t: lax.cond(t >= 0, f, lambda v: v, t)


def _switch(f):
    return lambda t: lax.switch(jnp.int32(t >= 0), [lambda v: v, f], t)


def _custom_rule(f):
    return jax.jit(jax.checkpoint(jax.jit(f)))


def _sharded(f):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("d",))

    def over(t):
        def mixed(a, b):  # one argument varies over the axis, the other does not
            return lax.psum(f(b) + 0 * a[0], "d")

        g = jax.shard_map(mixed, mesh=mesh, in_specs=(P("d"), P()), out_specs=P())
        return g(jnp.zeros(2), t) / 2

    return over


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
    "scan": lambda f, t: (1, jax.grad(_loop(S(f)))(t)),
    "scan inside": lambda f, t: (1, jax.grad(S(_loop(f)))(t)),
    "while inside": lambda f, t: (1, jax.jvp(S(_while(f)), (t,), (jnp.ones_like(t),))[1]),
    "cond inside": lambda f, t: (2, jax.grad(jax.grad(S(_cond(f))))(t)),
    "switch inside": lambda f, t: (1, jax.jit(jax.grad(S(_switch(f))))(t)),
    "jit of remat inside": lambda f, t: (1, jax.grad(S(_custom_rule(f)))(t)),
    "linearize": lambda f, t: (1, jax.linearize(S(f), t)[1](jnp.ones_like(t))),
    "vjp": lambda f, t: (1, jax.vjp(S(f), t)[1](jnp.ones_like(t))[0]),
    "donation": lambda f, t: (1, jax.jit(jax.grad(S(f)), donate_argnums=0)(t + 0)),
    "shard_map": lambda f, t: (1, jax.grad(_sharded(S(f)))(t)),
    "shard_map inside": lambda f, t: (1, jax.grad(S(_sharded(f)))(t)),
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
