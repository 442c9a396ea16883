"""Sums of products and quotients under XLA: in pairs, by NumPy what leaves the range."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax import export
from jax.scipy.special import digamma
from jax.sharding import Mesh, PartitionSpec

from stablegrad.engines.xla import kernels
from stablegrad.jax import stabilize

X = np.array([1.0, 3.0, 1 + 2e-12, 7.25, 1e200, 1e-200, 3e290, 0.0, 2.0])
Y = np.array([1.0 + 2**-50, 3 - 2**-40, 1.0, 7.0, 1e200 * (1 + 2**-50), 1e-200, 1e290, 2.0, 2.0])


def program(x, y):
    """Three sums that have parts in common, one made of another."""
    gap = 1 - x / y
    return gap, 2 - 3 * x / y + x * x / (y * y), gap / (3 * x / y - 7)


def exactly(x: float, y: float) -> list[float]:
    q = Fraction(x) / Fraction(y)
    return [float(v) for v in (1 - q, 2 - 3 * q + q * q, (1 - q) / (3 * q - 7))]


TRUE = np.array([exactly(x, y) for x, y in zip(X, Y, strict=True)]).T


def check(found, true=TRUE) -> None:
    np.testing.assert_allclose(np.array(found), true, rtol=1e-15, atol=0)


def test_rational_sums_keep_their_digits_and_their_range() -> None:
    with jax.enable_x64(True):
        f = stabilize(program)
        check(jax.jit(f)(X, Y))
        check(jax.jit(jax.vmap(f))(X, Y))
        rows = jax.jit(jax.vmap(jax.vmap(f, (0, None)), (None, 0)))(X, Y)
        check([np.diagonal(r) for r in rows])


def test_rational_sums_hold_on_each_device_and_without_calls() -> None:
    with jax.enable_x64(True):
        f = stabilize(program)
        mesh, spec = Mesh(np.array(jax.devices()[:1]), ("d",)), PartitionSpec("d")
        check(jax.jit(jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec))(X, Y))
        exported = export.export(jax.jit(f))(X, Y)
        assert "callback" not in exported.mlir_module()
        check(exported.call(X, Y))


def test_numpy_is_called_once_and_where_the_range_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    hosted = kernels.hosted

    def counted(run, shape=None):
        return hosted(lambda *xs: calls.append(len(xs)) or run(*xs), shape)

    monkeypatch.setattr("stablegrad.engines.xla.rationals.hosted", counted)
    with jax.enable_x64(True):
        f = jax.jit(stabilize(lambda x, y: (1 - x / y, 2 - 3 * x / y + x * x / (y * y))))
        ordinary = [0, 1, 2, 3, 7, 8]
        check(f(X[ordinary], Y[ordinary]), TRUE[:2, ordinary])
        assert not calls
        check(f(X, Y), TRUE[:2])
        assert len(calls) == 1


def test_poles_and_infinities_are_those_of_floats() -> None:
    with jax.enable_x64(True):
        f = jax.jit(stabilize(lambda x, y: 1 - x / y))
        x = jnp.array([1.0, -1.0, 0.0, np.inf, np.nan, 3.0])
        y = jnp.array([0.0, 0.0, 0.0, 2.0, 2.0, np.inf])
        np.testing.assert_array_equal(f(x, y), [-np.inf, np.inf, np.nan, -np.inf, np.nan, 1.0])


def test_a_long_kernel_is_emitted_once_for_all_calls() -> None:
    def three(a, b):
        return digamma(a) * 2 + digamma(b) * digamma(a * b) + digamma(digamma(a))

    def lines(f) -> int:
        return jax.jit(stabilize(f)).lower(a, b).as_text().count("\n")

    with jax.enable_x64(True):
        a, b = jnp.array([0.7, 2.5, -1.3]), jnp.array([4.0, 0.1, 30.5])
        assert lines(three) < 2.5 * lines(lambda a, b: digamma(a) * b)
        of = mpmath.digamma
        pairs = zip(map(float, a), map(float, b), strict=True)
        true = [float(of(x) * 2 + of(y) * of(mpmath.mpf(x) * y) + of(of(x))) for x, y in pairs]
        np.testing.assert_allclose(jax.jit(stabilize(three))(a, b), true, rtol=1e-13)


def test_scalars_that_leave_the_range_are_redone_too() -> None:
    slope = jax.jit(jax.grad(jax.grad(stabilize(lambda a, b: 1 / (1 / a + 1 / b)))))
    with jax.enable_x64(True):
        assert abs(slope(1e300, 2e300) * 1e301 + 80 / 27) < 1e-13


def test_shares_of_guarded_weights_end() -> None:
    noise = -jnp.log(-jnp.log(jnp.array([0.2, 0.3])))
    f = stabilize(lambda p: jax.nn.softmax((jnp.log(p) + noise) / 0.5)[0])
    p = jnp.array([0.3, 0.7])
    weights = (p * jnp.exp(noise)) ** 2
    assert abs(jax.jit(f)(p) - weights[0] / weights.sum()) < 1e-6
