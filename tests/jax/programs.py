"""Programs that naive derivatives get wrong, and transforms that wrap them, for the tests."""

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


def looped(f):
    """f(t) as the sum of a scan's outputs of which all but the last are zero."""
    return lambda t: lax.scan(
        lambda c, i: (c + jnp.where(i == 2, f(t), 0.0), None), 0.0, jnp.arange(3)
    )[0]


def whiled(f):
    return lambda t: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, f(t)), (0, 0.0 * t))[1]


def through_cond(f):
    return lambda t: lax.cond(t >= 0, f, lambda v: v, t)


def switched(f):
    return lambda t: lax.switch(jnp.int32(t >= 0), [lambda v: v, f], t)


def rematted(f):
    return jax.jit(jax.checkpoint(jax.jit(f)))


def sharded(f):
    assert jax.device_count() > 1, "a module started JAX on import: programs.py was too late"
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("d",))

    def over(t):
        def mixed(a, b):  # one argument varies over the axis, the other does not
            return lax.psum(f(b) + 0 * a[0], "d")

        g = jax.shard_map(mixed, mesh=mesh, in_specs=(P("d"), P()), out_specs=P())
        return g(jnp.zeros(2), t) / 2

    return over
