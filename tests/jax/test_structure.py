"""What a program is made of, beside its numbers: choices, loops, places, types, containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax import lax

import stablegrad.jax as sj
from tests.jax.programs import P

S = sj.stabilize
X = np.array([0.3, -0.7, 1.9])


def summed(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: jnp.sum(f(x))


def branched(x):
    return jax.vmap(lambda v: lax.cond(v > 0, jnp.sqrt, lambda a: jnp.exp(a) * a, v))(x)


def switched(x):
    branches = [jnp.exp, lambda a: a**3, jnp.sqrt]
    return jax.vmap(lambda v: lax.switch(jnp.int32(jnp.sign(v)) + 1, branches, v))(x)


@pytest.mark.parametrize("chosen", [branched, switched])
def test_branches_under_vmap_do_not_meet(chosen: Callable[[Any], Any]) -> None:
    """What vmap makes of a branch is a choice, at every order: no nan comes from beside it."""
    x = jnp.float32(X)
    a = np.exp(X[1])
    slopes = [X[1] * a, a * (1 + X[1]), a * (2 + X[1])]
    if chosen is switched:
        slopes = [a, a, a]
    f: Callable[[Any], Any] = S(chosen)
    for order in range(3):
        roots = abs(X) ** 0.5, 0.5 * abs(X) ** -0.5, -0.25 * abs(X) ** -1.5
        want = np.where(X > 0, roots[order], slopes[order])
        np.testing.assert_allclose(jax.jit(f)(x), want, rtol=1e-6)
        f = jax.grad(summed(f))


def test_loops_of_different_lengths_under_vmap() -> None:
    def f(v):
        return lax.while_loop(lambda s: s < 5, lambda s: s * 2 + jnp.exp(-s), v)

    x = jnp.float32([0.3, 0.7, 6.0])
    np.testing.assert_allclose(S(jax.vmap(f))(x), jax.vmap(f)(x), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(S(f))(x), jax.vmap(f)(x), rtol=1e-6)


def test_jits_keep_the_places_that_are_given_for_some_arguments() -> None:
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, P("d"))
    f = jax.jit(
        lambda a, b: (jnp.tanh(a) * b, a + b),
        in_shardings=(split, None),
        out_shardings=(split, None),
    )
    x = jnp.arange(16.0)
    for got, want in zip(jax.jit(S(f))(x, x), f(x, x), strict=True):
        assert got.sharding == want.sharding


@pytest.mark.parametrize(
    "f",
    [
        lambda x: jnp.log(1 - jax.nn.sigmoid(x)) * jnp.tanh(x),
        lambda x: jnp.sum(jnp.log1p(jnp.exp(x)), axis=1),
        lambda x: jnp.linalg.norm(x, axis=0) + jax.nn.logsumexp(x),
        lambda x: lax.scan(lambda c, t: (jnp.tanh(c) * t, c), x, jnp.arange(3.0))[0],
        lambda x: lax.cond(jnp.sum(x) > 0, jnp.tanh, jnp.sin, x),
        jax.checkpoint(lambda v: jax.nn.log_softmax(jnp.tanh(v) @ jnp.ones((2, 3)))),
    ],
)
def test_types_that_say_how_arrays_are_split(f: Callable[[Any], Any]) -> None:
    """On a mesh of explicit axes, which is what make_mesh makes."""
    mesh = jax.make_mesh((8,), ("d",))
    with jax.set_mesh(mesh):
        x = jax.device_put(jnp.linspace(-2, 2, 16).reshape(8, 2), P("d"))
        for ours, theirs in ((S(f), f), (jax.grad(summed(S(f))), jax.grad(summed(f)))):
            got, want = jax.jit(ours)(x), jax.jit(theirs)(x)
            assert jax.typeof(got) == jax.typeof(want)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
            text = jax.jit(ours).lower(x).compile().as_text()
            assert ("all-" in text) <= ("all-" in jax.jit(theirs).lower(x).compile().as_text())


def _of_devices(body: Callable[..., Any]) -> Callable[..., Any]:
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.shard_map(body, mesh=mesh, in_specs=(P(), P("d")), out_specs=P("d"))


BODIES = {
    "a constant": lambda w, x: jnp.log(1 - jax.nn.sigmoid(w * x)),
    "an array of constants": lambda w, x: jnp.log(jnp.ones(1) - jax.nn.sigmoid(w * x)),
    "in a scan": lambda w, x: lax.scan(
        lambda c, t: (jnp.where(t > 0, jnp.log(1 - jax.nn.sigmoid(w * x)), c), None),
        0 * x,
        jnp.arange(2.0),
    )[0],
    "for each": lambda w, x: jnp.log(1 - jax.nn.sigmoid(w * x[0]))[None],
}


@pytest.mark.parametrize("name", BODIES)
def test_constants_among_what_varies_over_devices(name: str) -> None:
    """The types of a shard_map make a value of each constant: it is the constant still."""
    f = _of_devices(BODIES[name])
    w, x = jnp.float32(60.0), jnp.full(8, 60.0)
    np.testing.assert_allclose(jax.jit(S(f))(w, x), -3600, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.grad(lambda w: S(f)(w, x).sum()))(w), -480, rtol=1e-6)
    if name not in ("in a scan", "an array of constants"):  # they stay op by op inside
        slope = S(jax.grad(lambda w: f(w, x).sum()))
        np.testing.assert_allclose(jax.jit(slope)(w), -480, rtol=1e-6)


@pytest.mark.parametrize(
    "centered",
    [
        lambda x: x - x.mean(0),
        lambda x: x - x.mean(),
        lambda x: x - x.mean(1)[:, None],
        lambda x: x - x.mean(1).reshape(-1, 1),
    ],
)
def test_means_that_have_lost_their_axis_are_means(centered: Callable[[Any], Any]) -> None:
    x = np.float32([[1e6, 1e6 + 0.5], [1e6 + 0.25, 1e6 - 1], [1e6 + 2, 1e6]])
    want = centered(x.astype(float))
    np.testing.assert_allclose(jax.jit(S(centered))(x), want, rtol=1e-6)
