"""The bridge: what it reads, what it leaves alone, what it reports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax import lax

import stablegrad as sg
import stablegrad.jax as sj
from stablegrad.ir import OPS, topological
from stablegrad.oracle import truth
from stablegrad.testing import leaf

ROOT = Path(sg.__file__).resolve().parent


def test_no_private_name_of_jax_is_used() -> None:
    private = re.compile(r"jax\s*\.\s*_src|from jax import _")
    files = [*(ROOT / "jax").rglob("*.py"), *(ROOT / "engines").rglob("*.py")]
    assert files
    assert not [f for f in files if private.search(f.read_text("utf8"))]


def test_containers_keywords_and_static_arguments_pass() -> None:
    @sj.stabilize
    def f(tree, *, power: int, name: str, shift=None):
        assert name == "n"
        assert shift is None
        return {"out": (tree["a"] ** power, jnp.log(1 - jax.nn.sigmoid(tree["b"])))}

    tree = {"a": jnp.arange(3.0), "b": np.float32(60.0)}
    out = f(tree, power=2, name="n")["out"]
    np.testing.assert_array_equal(out[0], [0.0, 1.0, 4.0])
    assert out[1] == -60
    slopes = jax.grad(lambda t: f(t, power=2, name="n")["out"][1])(tree)
    assert slopes["b"] == -1


def test_faces_have_jax_signatures() -> None:
    def f(x, y):
        return jnp.sum(x / y), {"aux": x}

    x, y = jnp.float32(1e-25), jnp.float32(1e-25)
    (value, aux), (dx, dy) = sj.value_and_grad(f, argnums=(0, 1), has_aux=True)(x, y)
    np.testing.assert_allclose([value, dx, dy], [1, 1e25, -1e25], rtol=1e-6)
    assert aux["aux"] == x
    np.testing.assert_allclose(sj.jacobian(jnp.tanh)(jnp.float32(10.0)), 8.2446146e-9, rtol=1e-6)
    assert sj.hessian(lambda v: jnp.sqrt(v) ** 4)(jnp.float32(0.0)) == 2


def test_inner_jits_and_named_functions_are_seen_through() -> None:
    """jax.numpy's where, clip, logsumexp and norm are jits of their own."""
    x = jnp.array([1e30, -1e30, 0.0], jnp.float32)
    np.testing.assert_allclose(sj.grad(jnp.linalg.norm)(x), [0.70710677, -0.70710677, 0], rtol=1e-6)
    clipped = sj.grad(lambda v: jnp.sum(jnp.where(v > 0, jnp.log(v), 0.0)))(jnp.zeros(2))
    np.testing.assert_array_equal(clipped, 0)
    weights = sj.grad(jax.scipy.special.logsumexp)(jnp.array([-jnp.inf, 1.0, 1.0]))
    np.testing.assert_allclose(weights, [0, 0.5, 0.5], rtol=1e-6)


def test_a_function_with_its_own_derivative_keeps_it() -> None:
    @jax.custom_jvp
    def straight_through(x):
        return jnp.round(x)

    straight_through.defjvps(lambda t, out, x: 3 * t)

    @jax.custom_vjp
    def clipped(x):
        return jnp.exp(x)

    clipped.defvjp(lambda x: (clipped(x), x), lambda x, g: (jnp.clip(g, -1, 1) * 7,))

    f = sj.stabilize(lambda x: straight_through(x) + clipped(x))
    assert f(jnp.float32(0.4)) == np.exp(np.float32(0.4))
    assert jax.grad(f)(jnp.float32(0.4)) == 10


def test_what_is_not_known_passes_through_and_is_reported() -> None:
    def f(a, key):
        root = jnp.linalg.cholesky(a)
        noise = jax.random.normal(key, (2,))
        order = jnp.sort(noise)
        phase = jnp.abs(jnp.fft.fft(order))
        seen = jax.pure_callback(np.square, jax.ShapeDtypeStruct((2,), jnp.float32), order)
        return jnp.sum(jnp.log(jnp.diagonal(root))) + jnp.sum(phase) + jnp.sum(seen), order

    a, key = jnp.eye(2) * 4, jax.random.key(0)
    for ours, theirs in zip(sj.stabilize(f)(a, key), f(a, key), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    report = sj.explain(f)(a, key)
    names = {name for name, _ in report.passed}
    assert {"cholesky", "sort", "fft", "pure_callback"} <= names
    assert all("test_bridge.py" in place for name, place in report.passed if name == "cholesky")
    assert "cholesky" in str(report)


def test_effects_happen_once_and_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    @jax.jit
    @sj.stabilize
    def f(x):
        jax.debug.print("saw {}", x, ordered=True)
        return jnp.log(1 - jax.nn.sigmoid(x))

    assert f(jnp.float32(50.0)) == -50
    jax.effects_barrier()
    assert capfd.readouterr().out.count("saw") == 1


def test_complex_and_integer_programs_are_left_as_they_are() -> None:
    def f(n, z):
        return (n * 3) // 2 % 5, z * jnp.conj(z), jnp.exp(1j * z.real)

    args = jnp.arange(6), jnp.array([1 + 2j, 0.5j], jnp.complex64)
    for ours, theirs in zip(sj.stabilize(f)(*args), f(*args), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes_stay_and_half_precision_computes_in_single(dtype: str) -> None:
    f = sj.stabilize(lambda x: jnp.log(1 - jax.nn.sigmoid(x)) * jnp.exp(-x / 2))
    x = jnp.asarray(10.0, dtype)
    value, slope = jax.jit(jax.value_and_grad(f))(x)
    assert value.dtype == slope.dtype == x.dtype
    true = -(10 + np.log1p(np.exp(-10.0))) * np.exp(-5.0)
    tolerance = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(float(value), true, rtol=2 * tolerance)


def test_float64_programs_run_in_float64() -> None:
    with jax.enable_x64(True):
        f = sj.stabilize(lambda x: jnp.log(1 - jax.nn.sigmoid(x)))
        slope = jax.jit(jax.grad(jax.grad(f)))(jnp.float64(30.0))
        assert slope.dtype == np.float64
        np.testing.assert_allclose(slope, -np.exp(-30.0) / (1 + np.exp(-30.0)) ** 2, rtol=1e-15)


def test_products_are_not_undone_by_xla() -> None:
    def f(a, b, c):
        return a / b / c, a / (b / c), (a * b) / c

    tiny = jnp.float32(1e-25)
    found = jax.jit(sj.stabilize(f))(tiny, tiny, tiny)
    np.testing.assert_allclose(found, [1e25, 1e-25, 1e-25], rtol=1e-6)


def test_rules_in_force_are_those_of_the_call() -> None:
    f = sj.stabilize(lambda x: jnp.log(1 - jax.nn.sigmoid(x)))
    with sg.rules(exclude="stabilize"):
        assert f(jnp.float32(50.0)) == -np.inf
    assert f(jnp.float32(50.0)) == -50


def test_loops_keep_their_carry_and_their_outputs() -> None:
    def f(x):
        def body(carry, v):
            total, n = carry
            return (total + jnp.log(1 - jax.nn.sigmoid(v)), n + 1), n * 2

        (total, n), ys = lax.scan(body, (0.0, 0), x, reverse=True)
        return total, n, ys

    x = jnp.array([50.0, 60.0, 1.0])
    total, n, ys = jax.jit(sj.stabilize(f))(x)
    np.testing.assert_allclose(total, -111.31326, rtol=1e-6)
    assert n == 3
    np.testing.assert_array_equal(ys, [4, 2, 0])
    np.testing.assert_allclose(
        jax.grad(lambda v: sj.stabilize(f)(v)[0])(x), [-1, -1, -0.7310586], rtol=1e-6
    )


def test_what_is_not_callable_is_named() -> None:
    with pytest.raises(TypeError, match="function"):
        sj.stabilize(3)


def test_powers_that_are_no_half_integers_keep_their_range() -> None:
    f = sj.stabilize(lambda x: jnp.sum(jnp.abs(x) ** 3) ** (1.0 / 3.0))
    x = np.array([100.0, 200.0])
    slopes = jax.jit(jax.grad(f))(jnp.asarray(x, jnp.float16))
    p = float(np.float16(1 / 3))  # the power that the program has; the sum overflows float16
    true = 3 * x**2 * p * np.sum(x**3) ** (p - 1)
    np.testing.assert_allclose(np.asarray(slopes, float), true, rtol=1e-3)


def test_functions_that_run_on_the_host_keep_their_digits_without_x64() -> None:
    def f(a, b):
        lgamma = jax.scipy.special.gammaln
        return lgamma(a) + lgamma(b) - lgamma(a + b), lgamma(a + b) - lgamma(a)

    a, b = jnp.array([3.0, 1e7]), jnp.array([3.0, 1e-3])
    sums, steps = jax.jit(sj.stabilize(f))(a, b)
    np.testing.assert_allclose(sums, [-3.4011974, 6.891061], rtol=1e-6)
    np.testing.assert_allclose(steps, [4.0943446, 0.016118096], rtol=1e-6)
    by_b = jax.vmap(jax.grad(lambda a, b: sj.stabilize(f)(a, b)[1], 1))(a, b)
    np.testing.assert_allclose(by_b, [1.7061177, 16.118096], rtol=1e-6)


def test_weak_types_stay_weak() -> None:
    half, x = jnp.ones(2, jnp.float16), jnp.asarray(1.5)
    for f in (lambda x: x * 2 + 1, lambda x: jnp.log(1 - jax.nn.sigmoid(x))):
        for g in (sj.stabilize(f), jax.jit(sj.stabilize(f))):
            assert g(x).weak_type == f(x).weak_type
            assert (g(x) * half).dtype == (f(x) * half).dtype


def test_slopes_by_python_numbers_stay_weak() -> None:
    def f(x):
        return x**2 * jnp.sin(x)

    for g in (jax.grad(sj.stabilize(f)), sj.stabilize(jax.grad(f)), jax.jit(sj.grad(f))):
        assert g(2.0).weak_type
        assert not g(np.float32(2.0)).weak_type


def test_results_are_arrays_of_the_dtypes_that_jit_gives() -> None:
    def f(x):
        return x, 3.0, 2, np.float64(1.5), x * 2, None

    for x in (1.0, np.array([1.0, 2.0]), np.float64(3)):
        for a, b in zip(sj.stabilize(f)(x), jax.jit(f)(x), strict=True):
            if b is None:
                assert a is None
                continue
            assert isinstance(a, jax.Array)
            assert (a.dtype, a.shape, a.weak_type) == (b.dtype, b.shape, b.weak_type)


def test_a_slope_that_is_finite_anywhere_is_not_blocked() -> None:
    """The log density of the logistic distribution, whose slope is -tanh(z/2)/s."""

    def f(x, s):
        z = x / s
        return -(z + 2 * jax.nn.softplus(-z))

    x, s = jnp.float32(1e-5), jnp.float32(2.0)
    np.testing.assert_allclose(jax.grad(sj.stabilize(f))(x, s), -1.25e-6, rtol=1e-6)
    assert sj.stabilize(jax.grad(lambda x: 0.0 * f(x, s)))(jnp.float32(jnp.inf)) == 0


def test_references_are_read_and_written_in_order() -> None:
    def f(x):
        ref = jax.new_ref(x)
        ref[0] = ref[0] * 2
        ref[...] += 1
        return ref[...]

    x = jnp.array([1.0, 2.0])
    np.testing.assert_array_equal(jax.jit(sj.stabilize(f))(x), f(x))


def test_log_sums_in_loops_count_the_greatest_once() -> None:
    """In a loop XLA forms the argument twice, contracted in one place: no entry is the greatest."""
    a, b = jnp.float32([2.04, -2.56, 0.42, -0.57]), jnp.float32([-0.45, -0.22, -2.02, -0.23])
    cost = (a[:, None] - b[None]) ** 2

    def potentials(cost):
        def step(_, pair):
            g = -0.1 * jax.scipy.special.logsumexp((pair[0][:, None] - cost) / 0.1, axis=0)
            return -0.1 * jax.scipy.special.logsumexp((g[None] - cost) / 0.1, axis=1), g

        return jax.lax.fori_loop(0, 5, step, (jnp.zeros(4), jnp.zeros(4)))

    got = jax.jit(sj.stabilize(potentials))(cost)
    for ours, theirs in zip(got, jax.jit(potentials)(cost), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("second", [[0.75, -1.25, 1e6], 2.0])
def test_a_function_of_jax_that_is_written_out_is_its_op(second: Any) -> None:
    f = sj.stabilize(jax.scipy.special.betaln)
    a, b = jnp.float32([2.5, 3.5, 1e6]), jnp.float32(second) if isinstance(second, list) else second
    (e,) = jax.make_jaxpr(f)(a, b).jaxpr.eqns
    assert "betaln" in {t.op.name for t in topological(e.params["region"].roots)}
    x, y = leaf(np.asarray(a, float)), leaf(np.broadcast_to(np.asarray(second, float), 3).copy())
    bound = {x: np.asarray(a, float), y: np.broadcast_to(np.asarray(second, float), 3)}
    value = truth(OPS["betaln"](x, y), bound)
    slope = truth(OPS["betaln"](x, y), bound, order=1, direction={x: 1.0})
    for got, true in ((f(a, b), value), (jax.grad(lambda v: f(v, b).sum())(a), slope)):
        np.testing.assert_allclose(got, true.value, rtol=1e-6)
