"""What the bridge emits: float32 kernels near the truth, work shared between the passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax.scipy import special

import stablegrad.jax as sj
from stablegrad.engines import plan
from stablegrad.engines.xla.logistic import LOGISTIC, REFLECTED
from stablegrad.engines.xla.normal import NORMAL
from stablegrad.engines.xla.shared import SharedProducts
from stablegrad.ir import OPS, make, topological
from stablegrad.jax.reader import read
from stablegrad.jax.tidy import tidy
from stablegrad.ops.record import INPUT, REAL, const, is_const
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import current
from stablegrad.testing.sampling import sample_arguments

SINGLE = np.dtype(np.float32)
TINY = float(np.finfo(SINGLE).tiny)
SINC = "sinc_unnormalised"
NAMES = sorted({*LOGISTIC, *NORMAL, "hypot", "hypot_unit", SINC, f"{SINC}_derivative"})


def _input(i: int, shape: tuple[int, ...] = (64,)):
    return make(INPUT, (), (i,), shape, SINGLE)


def _params(name: str) -> tuple[int, ...]:
    return (1,) if name.endswith("_derivative") else ()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_float32_kernels_are_near_the_truth(name: str, *, mirrored: bool) -> None:
    if mirrored and name not in REFLECTED:
        pytest.skip("not written for negative arguments")
    op, rng = OPS[name], np.random.default_rng(5)
    columns = sample_arguments((REAL,) * len(op.domain), SINGLE, 64, rng)
    values = [np.where(np.abs(c) < TINY, SINGLE.type(0.25), c)[:64] for c in columns]
    inputs = [_input(i, values[0].shape) for i in range(len(values))]
    arguments = tuple([-x for x in inputs]) if mirrored else tuple(inputs)
    term = op.term(arguments, _params(name))
    (got,) = plan("xla", [term], inputs)(values)
    true = truth(term, dict(zip(inputs, values, strict=True)), SINGLE)
    normal = np.isfinite(true.value) & (np.abs(true.value) > 4 * TINY)
    assert np.where(normal, err_ulp(got, true), 0.0).max() <= 7


def test_factors_that_all_addends_share_leave_a_sum() -> None:
    weights, x, scale = _input(0, (50, 1)), _input(1, (50, 3)), _input(2, (3,))
    (term,) = (
        read(
            jax.make_jaxpr(lambda w, v, s: jnp.sum(w * v * v / s**3, axis=0))(
                *[np.ones(t.shape, SINGLE) for t in (weights, x, scale)]
            ),
            current(),
        )
        .steps[0]
        .region.stable
    )  # type: ignore[union-attr]
    (tidied,) = tidy([term])
    (total,) = [t for t in topological([tidied]) if t.op.name == "sum"]
    inside = {t.params[0] for t in topological([total]) if t.op is INPUT}
    assert inside == {0, 1}


def test_what_masks_in_a_sum_keeps_its_quotient() -> None:
    f = sj.stabilize(lambda v: jnp.sum(jnp.where(v > 0, v / jnp.sum(v), 0.0)))
    np.testing.assert_array_equal(jax.jit(f)(jnp.zeros(3)), 0.0)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_weighted_sum_of_squares_keeps_its_range(scale: float) -> None:
    def f(mean, spread, x):
        return jnp.sum(jnp.exp(-jnp.sum(((x - mean) / spread) ** 2, axis=-1)))

    rng = np.random.default_rng(3)
    x = (rng.normal(size=(20, 4)) * scale).astype(np.float32)
    mean, spread = np.full(4, 0.1 * scale, np.float32), np.full(4, scale, np.float32)
    got = jax.jit(jax.grad(sj.stabilize(f), argnums=(0, 1)))(mean, spread, x)
    wide = [np.asarray(v, float) for v in (mean, spread, x)]
    weights = np.exp(-(((wide[2] - wide[0]) / wide[1]) ** 2).sum(axis=1))[:, None]
    gap = wide[2] - wide[0]
    np.testing.assert_allclose(got[0], (2 * weights * gap / wide[1] ** 2).sum(axis=0), rtol=3e-6)
    second = (2 * weights * gap**2 / wide[1] ** 3).sum(axis=0)
    np.testing.assert_allclose(got[1], second, rtol=3e-6)


def test_the_normal_tails_of_jax_are_read() -> None:
    f = sj.stabilize(lambda x: jnp.log(1 - special.ndtr(x)))
    for x in (-9.0, -0.5, 2.0, 30.0):
        got = float(jax.jit(f)(jnp.float32(x)))
        np.testing.assert_allclose(got, float(special.log_ndtr(np.float64(-x))), rtol=2e-5)


def test_kernels_that_look_at_values_run_on_the_host() -> None:
    f = sj.stabilize(lambda x: special.gammaln(x + 1e-3) - special.gammaln(x))
    got = float(jax.jit(f)(jnp.float32(50.0)))
    assert got == pytest.approx(1e-3 * float(special.digamma(50.0)), rel=1e-4)


def _lowered(f, *args):
    """The regions of the gradient of a function, as they run."""
    closed = jax.make_jaxpr(jax.grad(sj.stabilize(f)))(*args)
    return [e.params["region"] for e in closed.jaxpr.eqns if e.primitive.name == "stablegrad"]


def test_the_slope_of_a_layer_norm_is_made_of_the_root_that_the_value_has() -> None:
    def normed(h):
        h = h - jnp.mean(h, axis=-1, keepdims=True)
        return h / jnp.sqrt(jnp.mean(h**2, axis=-1, keepdims=True) + 1e-5)

    w = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)
    region = _lowered(lambda h: jnp.sum(w * normed(h)), w)[-1]
    names = {t.op.name for t in topological(region.lowered)}
    assert not names & {"where", "isfinite", "any", "unit_vector", "hypot_unit"}
    assert sum(t.op.name == "hypot" for t in topological(region.lowered)) == 1


@pytest.mark.parametrize("size", [1e-30, 1.0, 3e38])
def test_a_mean_square_is_in_range_where_the_sum_is_not(size: float) -> None:
    x = np.full(100, size, np.float32)
    got = jax.jit(sj.stabilize(lambda x: x / jnp.sqrt(jnp.mean(x**2) + 1e-9)))(x)
    wide = np.float64(np.float32(size))
    np.testing.assert_allclose(got, wide / np.sqrt(wide**2 + 1e-9), rtol=1e-6)


@pytest.mark.parametrize("exponent", [-4.0, -3.0, 0.0])
def test_long_products_of_bounded_factors_need_no_exponents(exponent: float) -> None:
    def product(x):
        out = x
        for k in range(1, 12):
            out = out * jnp.sin(k * x)
        return out

    x = np.float32(10.0**exponent)
    stable = jax.jit(sj.stabilize(product))
    k = np.arange(1, 12)
    true = float(x) * np.prod(np.sin(k * float(x)))
    if abs(true) >= TINY:
        np.testing.assert_allclose(float(stable(x)), true, rtol=2e-6)
    assert "bitcast" not in stable.lower(x).as_text()


def test_masked_sums_keep_no_float64_arrays() -> None:
    def loss(s, m):
        return jnp.sum(special.log_ndtr(m / jnp.exp(s)))

    m = np.linspace(-2, 2, 4096, dtype=np.float32)
    step = jax.jit(jax.grad(sj.stabilize(loss)))
    text = step.lower(np.float32(0.1), m).compile().as_text()
    assert "f32[4096]" in text
    assert "f64[4096]" not in text.split("ENTRY")[1]


@pytest.mark.parametrize("dtype", [np.bool_, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("row", [[0, 0], [0, 1], [-1, 0], []])
def test_any_is_that_of_numpy(dtype: type, row: list[int]) -> None:
    x = np.array([row, row]).astype(dtype)
    variable = make(INPUT, (), (0,), x.shape, x.dtype)
    terms = [OPS["any"](variable, axis=axis) for axis in (None, (0,), (1,))]
    for got, axis in zip(plan("xla", terms, [variable])([x]), (None, 0, 1), strict=True):
        np.testing.assert_array_equal(got, np.any(x, axis=axis))


def test_factors_that_long_products_share_are_multiplied_once() -> None:
    def chain(x: jax.Array) -> jax.Array:
        for _ in range(40):
            x = jnp.tanh(x) + 0.1 * jnp.sin(x)
        return jnp.sum(x)

    def count(f) -> int:
        slope = jax.grad(f)
        x = jnp.linspace(0.1, 1.0, 8)
        text = jax.jit(lambda x: jax.jvp(slope, (x,), (x,))[1]).lower(x).compile().as_text()
        return text.count(" multiply(")

    assert count(sj.stabilize(chain)) < count(chain)


def test_shared_products_are_the_products() -> None:
    rng = np.random.default_rng(3)
    factors = [_input(i, ((), (4,))[i % 2]) for i in range(12)]
    products = {
        _input(100 + k): {
            f: int(p) for f, p in zip(factors, rng.integers(0, 4, 12), strict=True) if p
        }
        for k in range(20)
    }
    shared = SharedProducts(products)
    values: list[Counter] = [Counter({f: 1}) for f in shared.factors]
    for a, b in shared.pairs:
        values.append(values[a] + values[b])
    for term, powers in products.items():
        total: Counter = Counter()
        for n in shared.parts[term]:
            total += values[n]
        assert total == powers
        needed = shared.needed(term)
        assert needed == sorted(needed)
    left = sum(len(shared.parts[t]) - 1 for t in products) + len(shared.pairs)
    assert left < sum(sum(p.values()) - 1 for p in products.values()) / 2


def test_a_norm_and_its_slope_sum_squares_once() -> None:
    def loss(x: jax.Array) -> jax.Array:
        return jnp.linalg.norm(x.reshape(-1, 100), axis=-1).sum()

    f = jax.jit(jax.value_and_grad(sj.stabilize(loss)))
    memory = f.lower(np.ones(100_000, SINGLE)).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 1_000_000  # one array in float64


@pytest.mark.parametrize("hessian", [False, True])
def test_the_cotangent_1_is_no_factor(*, hessian: bool) -> None:
    """What is a product of two without it stays in float32, and is right with any other."""
    x = np.array([-3.0, -0.5, 1e-30, 2.0], np.float32)
    w = np.array([1e30, -2.0, 3.0, 1e-20], np.float32)
    f = sj.stabilize(lambda v, c: jnp.sum(c * jnp.exp(v)))

    def slope(v: jax.Array) -> jax.Array:
        g = jax.grad(f)
        return jax.jvp(lambda u: g(u, w), (v,), (jnp.ones_like(v),))[1] if hessian else g(v, w)

    assert hessian or "f64" not in jax.jit(slope).lower(x).as_text()
    v, c = _input(0, x.shape), _input(1, x.shape)
    true = truth(c * OPS["exp"](v), {v: x, c: w}, SINGLE)
    assert err_ulp(np.asarray(jax.jit(slope)(x)), true).max() <= 4
    _, pull = jax.vjp(lambda u: f(u, w), x)
    assert err_ulp(np.asarray(pull(np.float32(8.0))[0]) / 8, true).max() <= 4


def test_what_float64_sums_are_made_of_is_not_kept_in_float64() -> None:
    """XLA would put both factors into memory in float64: 16 bytes an element."""
    x = np.random.default_rng(2).normal(size=200_000).astype(np.float32)
    f = sj.stabilize(lambda v, c: jnp.sum(c * v * jax.nn.sigmoid(v * (1.5 + 0.07 * v * v))))
    memory = jax.jit(f).lower(x, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 9 * x.size


def test_opposite_slopes_keep_no_float64_in_memory() -> None:
    def density(x, m, s):
        return (-0.5 * ((x - m) / s) ** 2 - jnp.log(s)).sum()

    columns = [jnp.linspace(lo, 9.0, 2000) for lo in (-9.0, 1.0, 0.5)]
    slopes = jax.jit(jax.grad(sj.stabilize(density), (0, 1, 2)))
    made = slopes.lower(*columns).compile().as_text()
    assert "-> f64[" not in made
    dx, dm, _ = slopes(*columns)
    assert (dx == -dm).all()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: special.logsumexp(x, axis=-1),
        lambda x: jnp.linalg.norm(x, axis=-1),
        lambda x: jnp.std(x, axis=-1),
    ],
)
def test_reductions_of_rows_keep_at_most_one_array(f: Callable[[Any], Any]) -> None:
    x, w = jnp.ones(100_000), jnp.ones(1000)

    def temporary(f: Callable[..., Any]) -> int:
        compiled = jax.jit(jax.value_and_grad(f)).lower(x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    def loss(v: Any) -> Any:
        return jnp.sum(w * f(v.reshape(1000, 100)))

    assert temporary(sj.stabilize(loss)) <= 1.1 * max(temporary(loss), x.nbytes)


@pytest.mark.parametrize("name", ["center", "unit_vector", "norm", "std"])
def test_moments_of_rows_are_near_the_truth(name: str) -> None:
    rng = np.random.default_rng(8)
    scales = SINGLE.type(10.0) ** np.array([-30, -12, 0, 0, 12, 30, 37, 38], SINGLE)[:, None]
    values = (rng.normal(size=(8, 40)).astype(SINGLE) + np.arange(8, dtype=SINGLE)[:, None]) * (
        scales * SINGLE.type(0.3)
    )
    (x,) = (_input(0, values.shape),)
    params = {"center": (1,), "unit_vector": (1,), "norm": (1, False), "std": (1, False, 0)}
    term = OPS[name].term((x,), params[name])
    (got,) = plan("xla", [term], [x])([values])
    true = truth(term, {x: values}, SINGLE)
    assert err_ulp(got, true).max() <= 4


def test_what_holds_for_a_whole_sum_is_asked_of_the_sum() -> None:
    x, scale = _input(0, (50, 3)), _input(1, (50, 1))
    held = OPS["require"](2 * x, OPS["isfinite"](scale))
    for axis, outside in ((1, True), (0, False)):
        (tidied,) = tidy([OPS["sum"](held, axis=axis)])
        (total,) = [t for t in topological([tidied]) if t.op.name == "sum"]
        assert ("require" not in [t.op.name for t in topological([total])]) == outside
        (got,) = plan("xla", [tidied], [x, scale])(
            [np.ones(x.shape, SINGLE), np.where(np.arange(50) == 7, np.inf, 1)[:, None].astype("f")]
        )
        expected = np.where(np.arange(50) == 7, np.nan, 6.0) if axis else np.full(3, np.nan)
        np.testing.assert_array_equal(got, expected)


def test_a_sum_of_one_number_is_its_multiple() -> None:
    (tidied,) = tidy([OPS["sum"](const(Fraction(1, 100_000), SINGLE, (100_000,)))])
    assert is_const(tidied, 1)


@pytest.mark.parametrize("c", [(2, -0.5), (4, 1), (-8, -2), (1, 8), (0.5, 4)])
def test_a_sum_of_two_halved_or_doubled_is_float32_with_one_rounding(
    c: tuple[float, float],
) -> None:
    a, b = map(np.float32, c)
    f = jax.jit(sj.stabilize(lambda x, y: a * x + b * y))
    xs = np.random.default_rng(3).normal(size=(2, 1000)).astype(np.float32)
    great = int(np.argmax(np.abs(c)))  # its addend is beyond the range, the sum is not
    xs[great, 0] = 4.2e38 / c[great]
    xs[1 - great, 0] = -3e38 / c[1 - great] * min(1, abs(c[1 - great]))
    true = np.float64(c) @ xs.astype(np.float64)
    np.testing.assert_array_max_ulp(f(*xs), true.astype(np.float32), 0)
    assert "f64" not in f.lower(*xs).as_text()


@pytest.mark.parametrize("log", [jnp.log, jnp.log1p, jnp.log2])
def test_a_slope_computes_no_logarithm_to_ask_whether_it_is_finite(log: Any) -> None:
    def density(x: Any, s: Any) -> Any:
        return -0.5 * (x / s) ** 2 - log(2.5 * s)

    stable = sj.stabilize(density)
    slope = jax.jit(jax.grad(lambda s, w: (w * stable(jnp.ones_like(s), s)).sum()))
    s = np.array([0.5, 2.0, -0.7, -0.4, -0.1, 0.0, np.inf, np.nan, 0.0, -0.7], SINGLE)
    got = np.asarray(slope(s, np.array([1] * 8 + [0] * 2, SINGLE)))
    start = -0.4 if log is jnp.log1p else 0.0
    inside = (s > start) & (s != 0) & np.isfinite(s)
    scale = np.log(2) if log is jnp.log2 else 1
    true = s[inside] ** -3.0 - 1 / (s[inside] - start) / scale
    np.testing.assert_allclose(got[inside], true, rtol=1e-6)
    assert np.isnan(got[:8][s[:8] < start]).all()
    many = np.ones(4096, SINGLE)
    assert " log" not in slope.lower(many, many).compile().as_text()
