"""What JAX spells in a way of its own is read as the op that it is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax.scipy import special, stats

import stablegrad.jax as sj


def test_an_entry_of_exponentials_is_one() -> None:
    x = np.array([-100.0, 0, 100], np.float32)

    def loss(v):
        return -jnp.log(jnp.exp(v)[0] / jnp.sum(jnp.exp(v)))

    value, slope = jax.jit(jax.value_and_grad(sj.stabilize(loss)))(x)
    assert value == 200
    np.testing.assert_array_equal(slope, [-1, 0, 1])


def test_entries_of_several_axes_are_taken_as_jax_takes_them() -> None:
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    for f in (lambda v: v[0], lambda v: v[:, 1], lambda v: v[1, :, -1], lambda v: v[..., 2:3, 0]):
        np.testing.assert_array_equal(sj.stabilize(f)(x), f(x))


def test_products_of_vectors_are_sums() -> None:
    x = np.array([3e20, 4e20], np.float32)
    f = sj.stabilize(lambda v: jnp.sqrt(jnp.dot(v, v)))
    value, slope = jax.jit(jax.value_and_grad(f))(x)
    np.testing.assert_allclose(value, 5e20, rtol=3e-7)
    np.testing.assert_allclose(slope, [0.6, 0.8], rtol=3e-7)


@pytest.mark.parametrize("subscripts", ["ij,ij->i", "ij,ij->j", "ij,ij->", "ijk,kij->j"])
def test_products_of_several_vectors(subscripts: str) -> None:
    rng = np.random.default_rng(1)
    inputs, _ = subscripts.split("->")
    sizes = dict(zip("ijk", (2, 3, 4), strict=True))
    x, y = (
        rng.integers(-9, 9, [sizes[c] for c in s]).astype(np.float32) for s in inputs.split(",")
    )

    def f(a, b):
        return jnp.einsum(subscripts, a, b)

    assert not sj.explain(f)(x, y).passed
    np.testing.assert_array_equal(sj.stabilize(f)(x, y), f(x, y))


def test_the_sign_of_gamma_is_read() -> None:
    x = np.array([-5.3, -4.2, -3, -0.5, -0.0, 0, 1, 30, np.nan], np.float32)
    assert not sj.explain(special.gamma)(x).passed
    np.testing.assert_array_equal(sj.stabilize(special.gammasgn)(x), special.gammasgn(x))
    ratio = sj.stabilize(lambda v: special.gamma(v + 1) / special.gamma(v))
    assert ratio(np.float32(127.2)) == pytest.approx(127.2, rel=3e-7)


def test_a_choice_between_what_is_kept_in_float64() -> None:
    """Its condition stays what it is: this raised."""

    def f(x, df):
        return jnp.sum(stats.t.logpdf(x, df))

    x, df = np.array([0.3, 2], np.float32), np.float32(3)
    found = np.asarray(jax.jit(jax.hessian(sj.stabilize(f)))(x, df))
    # d2/dx2 of -(v + 1)/2 log(1 + x**2/v) is -(v + 1)(v - x**2)/(v + x**2)**2
    wanted = np.diag([-4 * (3 - v * v) / (3 + v * v) ** 2 for v in x.astype(float)])
    np.testing.assert_allclose(found, wanted, rtol=5e-7)


def test_exponents_are_shifted_in_the_range_of_float32() -> None:
    f = sj.stabilize(lambda a, b, w: jnp.log(w * jnp.exp(a) + (1 - w) * jnp.exp(b)))
    found = jax.jit(f)(np.float32(100), np.float32(98.75), np.float32(0.3))
    assert float(found) == pytest.approx(99.307958940, rel=3e-7)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_the_normal_distribution_is_one_op(shape: tuple[int, ...]) -> None:
    (region,) = sj.explain(lambda v: stats.norm.cdf(-v, 1.0, 2.0))(jnp.ones(shape)).regions
    assert region.roots[0].op.name == "ndtr"
    ratio = jax.jit(sj.stabilize(lambda a, b: special.ndtr(-a) / special.ndtr(-b)))
    found = float(ratio(np.float32(40), np.float32(41)))
    assert found == pytest.approx(3.977748704512e17, rel=3e-7)  # by mpmath


def test_a_safe_norm_holds_where_squares_underflow() -> None:
    def safe(v):
        square = jnp.sum(v**2)
        none = square == 0
        return jnp.where(none, 0.0, jnp.sqrt(jnp.where(none, 1.0, square)))

    f = jax.jit(jax.value_and_grad(sj.stabilize(safe)))
    value, slope = f(np.array([3e-25, 4e-25], np.float32))
    np.testing.assert_allclose(value, 5e-25, rtol=3e-7)
    np.testing.assert_allclose(slope, [0.6, 0.8], rtol=3e-7)
    value, slope = f(np.zeros(2, np.float32))
    np.testing.assert_array_equal([value, *slope], 0)


def test_a_masked_entropy_has_no_log_of_what_underflowed() -> None:
    mask = np.array([True, True, False])

    def entropy(v):
        shares = jax.nn.softmax(jnp.where(mask, v, -jnp.inf))
        return -jnp.sum(shares * jnp.log(jnp.where(mask, shares, 1.0)))

    value, slope = jax.jit(jax.value_and_grad(sj.stabilize(entropy)))(np.float32([0, 200, 1]))
    np.testing.assert_array_equal([value, *slope], 0)
