"""Derivatives taken inside a stabilized step: ``stabilize`` of a function that calls ``grad``.

The first matrix is that of test_modes with the transforms inside; the second runs programs that
nest derivatives in ways that could confuse what belongs to what, against JAX at points where
JAX is right.
"""

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
from tests.jax.programs import CASES, looped, rematted, sharded, switched, through_cond, whiled

S = sj.stabilize
MODES: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "grad": (1, lambda f: S(jax.grad(f))),
    "jit of value_and_grad": (1, lambda f: S(jax.jit(lambda t: jax.value_and_grad(f)(t)[1]))),
    "grad of jit": (1, lambda f: S(jax.grad(jax.jit(f)))),
    "jvp": (1, lambda f: S(lambda t: jax.jvp(f, (t,), (jnp.ones_like(t),))[1])),
    "jacfwd": (1, lambda f: S(jax.jacfwd(f))),
    "jacrev": (1, lambda f: S(jax.jacrev(f))),
    "grad of grad": (2, lambda f: S(jax.grad(jax.grad(f)))),
    "grad of grad of grad": (3, lambda f: S(jax.grad(jax.grad(jax.grad(f))))),
    "jvp of grad": (2, lambda f: S(lambda t: jax.jvp(jax.grad(f), (t,), (jnp.ones_like(t),))[1])),
    "hessian": (2, lambda f: S(jax.hessian(f))),
    "grad around": (2, lambda f: jax.grad(S(jax.grad(f)))),
    "jit around": (1, lambda f: jax.jit(S(jax.grad(f)))),
    "vmap of grad": (1, lambda f: S(lambda t: jax.vmap(jax.grad(f))(jnp.stack([t, t]))[1])),
    "grad of vmap": (
        1,
        lambda f: S(jax.grad(lambda v: jax.vmap(f)(jnp.stack([v, v]))[0])),
    ),
    "vmap around": (1, lambda f: lambda t: jax.vmap(S(jax.grad(f)))(jnp.stack([t, t]))[1]),
    "remat": (1, lambda f: S(jax.grad(jax.checkpoint(f)))),
    "scan of grad": (1, lambda f: S(looped(jax.grad(f)))),
    "grad of scan": (1, lambda f: S(jax.grad(looped(f)))),
    "jvp of while": (1, lambda f: S(lambda t: jax.jvp(whiled(f), (t,), (jnp.ones_like(t),))[1])),
    "grad of cond": (1, lambda f: S(jax.grad(through_cond(f)))),
    "grad of switch": (1, lambda f: S(jax.grad(switched(f)))),
    "jit of remat of jit": (1, lambda f: S(jax.grad(rematted(f)))),
    "linearize": (1, lambda f: S(lambda t: jax.linearize(f, t)[1](jnp.ones_like(t)))),
    "vjp": (1, lambda f: S(lambda t: jax.vjp(f, t)[1](jnp.ones_like(t))[0])),
    "shard_map": (1, lambda f: S(jax.grad(sharded(f)))),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", MODES)
def test_derivatives_inside_are_right(mode: str, case: Any) -> None:
    point, truth = CASES[case]
    order, transform = MODES[mode]
    got = transform(case)(jnp.float32(point))
    np.testing.assert_allclose(np.asarray(got, float), truth[order - 1], rtol=4e-6, atol=0)


@jax.custom_vjp
def rounded(x):
    """Rounds; its derivative is the identity, so that cotangents pass through untouched."""
    return jnp.round(x * 4) / 4


rounded.defvjp(lambda x: (rounded(x), None), lambda _, g: (g,))


def _steps(inner, count):
    def f(x):
        y = x
        for _ in range(count):
            y = y - 0.1 * jax.grad(lambda v: inner(v, x))(y)
        return y

    return f


def _earlier(x):
    slope, aux = jax.grad(lambda w: (jnp.tanh(w) ** 2, jnp.exp(w)), has_aux=True)(x)
    return slope * jax.grad(lambda u: jnp.sin(u) * x)(aux)


def _thrice(x):
    y, back = jax.vjp(lambda w: jnp.tanh(jnp.exp(w)) * w, x)
    return back(jnp.ones_like(y))[0] + back(back(y)[0])[0]


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "a constant of the inner derivative": lambda x: jax.grad(lambda w: w * x)(x),
    "a constant that is a function": lambda x: jax.grad(
        lambda w: jnp.log(jnp.exp(w) + jnp.tanh(x) * jnp.exp(x))
    )(x),
    "a constant twice": lambda x: jax.grad(lambda w: jnp.exp(w) * jnp.sin(w * x**2))(x),
    "one value as two arguments": lambda x: sum(
        jax.grad(lambda a, b: jnp.exp(a * jnp.tanh(b)) * b, (0, 1))(x, jnp.exp(x))
    ),
    "a value of an earlier derivative": _earlier,
    "one pullback, three times": _thrice,
    "cotangents with several users": jax.grad(lambda v: jnp.copysign(v, -1.0) + lax.rem(v, v + 1)),
    "stopped": jax.grad(
        lambda w: jnp.exp(w - lax.stop_gradient(jnp.tanh(w))) * w * lax.stop_gradient(w)
    ),
    "cotangents that pass a function untouched": jax.grad(
        lambda w: jnp.log(rounded(jnp.exp(w) + 1)) * w
    ),
    "a loop of steps": lambda x: lax.fori_loop(
        0, 3, lambda i, w: w - 0.1 * jax.grad(lambda v: jnp.log1p(jnp.exp(v)) + v * v * x)(w), x
    ),
    "steps one after another": _steps(lambda v, x: (v - x) ** 2 + v**3, 2),
    "steps of a loss": _steps(lambda v, x: jnp.log(1 + jnp.exp(v)) + (v - x) ** 2, 3),
    "a step that is differentiated": lambda x: jax.grad(
        lambda p: (
            (jnp.tanh(p - 0.5 * jax.grad(lambda v: (jnp.tanh(v * x) - 0.2) ** 2)(p)) - 0.3) ** 2
        )
    )(x),
    "jvp of grad": lambda x: jax.jvp(
        jax.grad(lambda v: jnp.log1p(jnp.exp(v * jnp.sin(v)))), (x,), (jnp.cos(x),)
    )[1],
    "grad of jvp": jax.grad(
        lambda v: jax.jvp(lambda u: jnp.tanh(u) * jnp.exp(-u), (v,), (v * v,))[1]
    ),
    "cond": jax.grad(
        lambda v: lax.cond(v > 0, lambda a: jnp.tanh(a) * v, lambda a: a * a, v) * jnp.exp(v)
    ),
    "fori_loop": jax.grad(
        lambda v: lax.fori_loop(0, 3, lambda i, s: s + jnp.log1p((v * i) ** 2), 0.0)
    ),
    "vmap": lambda x: jnp.sum(
        jax.vmap(jax.grad(lambda v, a: jnp.log1p(jnp.exp(v * a)) * a * v), (None, 0))(
            x, jnp.arange(3.0)
        )
    ),
    "a Hessian": lambda x: jnp.sum(
        jax.hessian(lambda v: jnp.log(jnp.sum(jnp.exp(v))) * jnp.tanh(v[0]))(jnp.stack([x, 2 * x]))
    ),
    "a Hessian through a vmap of derivatives": lambda x: jnp.sum(
        jax.hessian(
            lambda v: jnp.sum(jax.vmap(jax.grad(lambda a: jnp.tanh(a * v[0]) * jnp.exp(v[1])))(v))
        )(jnp.stack([x, 2 * x]))
    ),
    "vmaps side by side": lambda x: jnp.sum(
        jax.vmap(
            lambda a: jax.vmap(lambda b: jax.grad(lambda c: jnp.tanh(c * a) * jnp.exp(b * c))(x))(
                jnp.arange(3.0)
            )
        )(jnp.arange(3.0))
    ),
    "a Jacobian": lambda x: jnp.sum(
        jax.jacfwd(jax.jacrev(lambda v: jnp.tanh(v) * jnp.sum(jnp.exp(v))))(jnp.stack([x, 2 * x]))
    ),
}
AROUND: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "value": (S, lambda f: f),
    "grad around": (lambda f: jax.grad(S(f)), jax.grad),
    "grad inside": (lambda f: S(jax.grad(f)), jax.grad),
    "both": (lambda f: jax.grad(S(jax.grad(f))), lambda f: jax.grad(jax.grad(f))),
    "vmap around": (lambda f: jax.vmap(S(jax.grad(f))), lambda f: jax.vmap(jax.grad(f))),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("program", PROGRAMS)
def test_nested_derivatives_are_those_of_the_program(program: str, around: str) -> None:
    ours, theirs = AROUND[around]
    x = jnp.array([0.7, -0.4]) if "vmap" in around else jnp.float32(0.7)
    f = PROGRAMS[program]
    got, want = jax.jit(ours(f))(x), jax.jit(theirs(f))(x)
    np.testing.assert_allclose(got, want, rtol=3e-5, atol=1e-6)


def test_derivatives_of_functions_that_are_jits_by_name() -> None:
    """The jit of a derivative has the name of the function, and may have as many arguments."""
    x = jnp.array([0.75, 3e30], jnp.float32)
    slope = S(jax.grad(lambda v: jnp.sum(jnp.hypot(v, 1.0))))
    np.testing.assert_allclose(slope(x), [0.6, 1.0], rtol=1e-6)
    at = jnp.float32(0.5)
    np.testing.assert_allclose(S(jax.grad(jnp.sinc))(at), -4 / np.pi, rtol=1e-6)


def test_rules_of_the_bridge_do_not_leak() -> None:
    """On, off and on again: what was traced inside of ``stabilize`` is not used outside."""

    @jax.jit
    def f(x):
        return jnp.log(1 - jax.nn.sigmoid(x))

    slope, x = jax.jit(jax.grad(f)), jnp.float32(60.0)
    text = jax.jit(slope).lower(x).as_text()
    assert np.isnan(slope(x))
    assert S(slope)(x) == -1
    assert np.isnan(slope(x))
    assert S(slope)(x) == -1
    assert jax.jit(slope).lower(x).as_text() == text
    assert "stablegrad" not in str(jax.make_jaxpr(jax.grad(f))(x))
    scanned = jax.grad(lambda v: lax.scan(lambda c, t: (c + f(t), None), 0.0, v)[0])
    xs = jnp.full(2, 60.0)
    np.testing.assert_array_equal(S(scanned)(xs), -1)
    assert np.isnan(scanned(xs)).all()


def test_a_train_step_is_right_where_its_loss_overflows() -> None:
    """Logistic regression spelled naively, gradient, momentum and all, without a change."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(16, 3)) * 60, jnp.float32)
    y = jnp.asarray(rng.random(16) < 0.5, jnp.float32)

    def step(w, velocity):
        def loss(w):
            p = jax.nn.sigmoid(x @ w)
            return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

        value, slope = jax.value_and_grad(loss)(w)
        velocity = 0.9 * velocity + slope
        return w - 0.1 * velocity, velocity, value

    w = jnp.ones(3)
    new, velocity, value = jax.jit(S(step))(w, jnp.zeros(3))
    z = np.asarray(x, float) @ np.ones(3)
    slopes = np.asarray(x, float).T @ (1 / (1 + np.exp(-z)) - np.asarray(y, float)) / 16
    np.testing.assert_allclose(velocity, slopes, rtol=1e-5)
    np.testing.assert_allclose(new, 1 - 0.1 * slopes, rtol=1e-5)
    true = np.mean(np.logaddexp(0, z) - np.asarray(y, float) * z)
    np.testing.assert_allclose(value, true, rtol=1e-5)
    assert not np.isfinite(step(w, jnp.zeros(3))[0]).all()


def test_what_stays_op_by_op_is_reported() -> None:
    t = jnp.float32(1.0)
    f = looped(lambda v: jnp.log(1 - jax.nn.sigmoid(v)))
    whole = sj.explain(jax.grad(f))(t)
    assert not whole.apart
    parts = sj.explain(jax.grad(jax.grad(f)))(t)
    assert parts.apart
    assert all("test_inside.py" in place for _, place in parts.apart)
    assert "op by op" in str(parts)
