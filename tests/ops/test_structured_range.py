"""Norms, softmax and their kin where squares overflow, one entry dominates, or all is masked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stablegrad.ops  # noqa: F401 - declares the ops
from stablegrad.ir import OPS, Term, make
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import truth
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

INF = np.inf
EPS = np.finfo(np.float64).eps


def leaf(number: int, value: np.ndarray) -> Term:
    return make(INPUT, (), (number,), value.shape, value.dtype)


def run(roots: list[Term], leaves: list[Term], values: list[np.ndarray]) -> list[np.ndarray]:
    return compile_terms(roots, leaves, Settings())(values)


def apply(name: str, *values: Any, **params: Any) -> np.ndarray:
    arrays = [np.asarray(v, None if isinstance(v, np.ndarray) else float) for v in values]
    leaves = [leaf(i, a) for i, a in enumerate(arrays)]
    return run([OPS[name](*leaves, **params)], leaves, arrays)[0]


def grad(name: str, x: Any, seed: Any = None, **params: Any) -> np.ndarray:
    """The gradient of the op, the cotangent being ones or ``seed``."""
    x = np.asarray(x, float)
    a = leaf(0, x)
    y = OPS[name](a, **params)
    seed = np.ones(y.shape) if seed is None else np.asarray(seed, float)
    g = leaf(1, seed)
    return run([gradient(y, a, g)], [a, g], [x, seed])[0]


def derivatives(
    name: str, x: np.ndarray, t: np.ndarray, **params: Any
) -> tuple[list[np.ndarray], list[Any]]:
    """Value, first and second derivative along t, the last two ways; and what they should be."""
    a, b = leaf(0, x), leaf(1, t)
    y = OPS[name](a, **params)
    first = pushforward(y, (a,), (b,))
    second = pushforward(first, (a,), (b,))
    along = OPS["sum"](gradient(y, a, const(1, y.dtype, y.shape)) * b)
    by_reverse = OPS["sum"](gradient(along, a, const(1, y.dtype)) * b)
    got = run([y, first, second, by_reverse], [a, b], [x, t])
    true = [truth(y, {a: x}, order=k, direction={a: t} if k else None) for k in range(3)]
    return got, true


# -- derivatives against the oracle -------------------------------------------------------

RNG = np.random.default_rng(7)
PLAIN = RNG.normal(size=4)
CASES = [
    *[(name, PLAIN * s) for name in ("logsumexp", "softmax", "log_softmax") for s in (1.0, 40.0)],
    *[(name, PLAIN * s) for name in ("norm", "unit_vector") for s in (1.0, 1e200, 1e-200)],
    *[(name, np.array([1e10, 1.0, -3e-9])) for name in ("norm", "unit_vector")],
    *[(name, PLAIN + s) for name in ("var", "std", "center") for s in (0.0, 1e9)],
    *[("prod", x) for x in (PLAIN, np.array([2.0, 0.0, 3.0]), np.array([0.0, 5.0, 0.0, 2.0]))],
    ("cumsum", PLAIN),
    ("mean", PLAIN),
    ("max", PLAIN),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "x"), CASES, ids=lambda c: c if isinstance(c, str) else "x")
def test_two_derivatives_in_every_direction_of_an_axis(name: str, x: Any, dtype: Any) -> None:
    if dtype is np.float32 and np.abs(np.log10(np.abs(x[x != 0]))).max() > 18:
        x = np.sign(x) * np.abs(x) ** 0.18  # as far out as float32 reaches
    x = x.astype(dtype)
    eps = np.finfo(dtype).eps
    for k in range(len(x)):
        t = np.eye(len(x), dtype=dtype)[k] * np.max(np.abs(x))  # so that results are in range
        got, true = derivatives(name, x, t)
        for order, (value, answer) in enumerate(zip(got[:3], true, strict=True)):
            scale = np.max(np.abs(answer.value), initial=0.0)
            floor = np.finfo(dtype).tiny
            error = np.max(np.abs(value - answer.value), initial=0.0)
            assert np.all(answer.decided)
            assert error <= 32 * len(x) * eps * scale + floor, (order, k)
        total = true[2].value.sum()
        scale = np.abs(true[2].value).sum()
        assert abs(got[3] - total) <= 32 * len(x) * eps * scale + np.finfo(dtype).tiny


@pytest.mark.parametrize("k", [0, 1, 2])
def test_saturated_softmax_keeps_relative_accuracy(k: int) -> None:
    x = np.array([60.0, 0.0, -30.0])
    t = np.eye(3)[k]
    for name in ("softmax", "log_softmax", "logsumexp"):
        got, true = derivatives(name, x, t)
        for value, answer in zip(got[:3], true, strict=True):
            np.testing.assert_allclose(value, answer.value, rtol=64 * EPS, atol=0)


def test_second_derivative_of_norm_where_one_entry_dominates() -> None:
    got, true = derivatives("norm", np.array([1e12, 1.0]), np.array([1.0, 0.0]))
    assert got[2] == pytest.approx(1e-36, rel=8 * EPS)
    assert true[2].value == got[2]


# -- values at extreme inputs -------------------------------------------------------------


def test_logsumexp_values() -> None:
    assert apply("logsumexp", [-800.0, -805.0]) == -799.9932846515109
    assert apply("logsumexp", [1000.0, 1000.0]) == 1000.6931471805599
    assert apply("logsumexp", [0.0, -50.0]) == pytest.approx(np.exp(-50), rel=4 * EPS)
    assert apply("logsumexp", [-INF, -INF]) == -INF
    assert apply("logsumexp", [INF, INF, -INF]) == INF
    assert np.isnan(apply("logsumexp", [np.nan, 0.0]))
    assert apply("logsumexp", np.zeros((2, 0)), axis=1).tolist() == [-INF, -INF]
    rows = apply("logsumexp", np.zeros((2, 3, 4)), axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(rows, np.full((1, 3, 1), np.log(8)))


def test_softmax_values() -> None:
    np.testing.assert_array_equal(apply("softmax", [1e308, -1e308]), [1.0, 0.0])
    assert np.isnan(apply("softmax", [INF, 0.0])).all()
    value = apply("log_softmax", [0.0, -745.0, -40.0])
    np.testing.assert_allclose(value, [-np.exp(-40), -745.0, -40.0], rtol=4 * EPS)


def test_masked_rows_have_zero_derivatives() -> None:
    x = np.array([[-INF, -INF], [0.0, -INF]])
    np.testing.assert_array_equal(apply("softmax", x), [[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(grad("softmax", x, [[1, 2], [3, 4]]), np.zeros((2, 2)))
    np.testing.assert_array_equal(grad("logsumexp", x, axis=1), [[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(grad("log_softmax", x, [[1, 2], [1, 0]]), np.zeros((2, 2)))


def test_cross_entropy_gradient_of_a_confident_right_answer() -> None:
    value = grad("log_softmax", [50.0, 0.0], [-1.0, 0.0])
    np.testing.assert_allclose(value, [-np.exp(-50), np.exp(-50)], rtol=8 * EPS)


def test_norm_values() -> None:
    assert apply("norm", [3e200, 4e200]) == pytest.approx(5e200, rel=4 * EPS)
    assert apply("norm", [3e-200, 4e-200]) == pytest.approx(5e-200, rel=4 * EPS)
    assert apply("norm", [5e-324, 0.0]) == 5e-324
    assert apply("norm", [INF, 1.0]) == INF
    assert apply("norm", np.zeros((0, 3)), axis=0).tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(
        apply("norm", np.array([[3e200, 4e200], [3.0, 4.0]]), axis=1), [5e200, 5.0], rtol=4 * EPS
    )
    np.testing.assert_array_equal(grad("norm", [0.0, 0.0]), [0.0, 0.0])
    np.testing.assert_allclose(grad("norm", [3e-320, 4e-320]), [0.6, 0.8], rtol=1e-3)


def test_variance_values() -> None:
    for offset in (0.0, 1e9, -1e15):
        assert apply("var", np.array([1.0, 2.0, 4.0]) + offset, ddof=1) == pytest.approx(7 / 3)
    assert apply("std", [1e200, -1e200]) == pytest.approx(1e200, rel=2 * EPS)
    assert apply("std", [1e-200, -1e-200]) == pytest.approx(1e-200, rel=2 * EPS)
    assert np.isnan(apply("var", [1.0], ddof=1))
    np.testing.assert_array_equal(grad("std", [2.0, 2.0]), [0.0, 0.0])
    np.testing.assert_allclose(grad("var", [1e9, 1e9 + 2]), [-1.0, 1.0])
    x = RNG.normal(size=(3, 4, 5))
    for axis in (None, 0, (0, 2), -1):
        for keepdims in (False, True):
            for name in ("var", "std"):
                got = apply(name, x, axis=axis, keepdims=keepdims, ddof=1)
                expected = getattr(np, name)(x, axis=axis, keepdims=keepdims, ddof=1)
                np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_product_values() -> None:
    assert apply("prod", [1e200, 1e200, 1e-200, 1e-200]) == pytest.approx(1.0, rel=8 * EPS)
    assert apply("prod", [1e-160, 1e-160, 1e300]) == pytest.approx(1e-20, rel=8 * EPS)
    assert apply("prod", [1e200, 0.0, 1e200]) == 0.0
    assert np.isnan(apply("prod", [INF, 0.0]))
    assert apply("prod", np.full(5000, 0.5) * 2) == 1.0
    np.testing.assert_array_equal(grad("prod", [0.0, 3.0, 4.0]), [12.0, 0.0, 0.0])
    np.testing.assert_array_equal(grad("prod", [0.0, 0.0, 4.0]), [0.0, 0.0, 0.0])
    np.testing.assert_allclose(
        grad("prod", [1e200, 1e200, 1e-200, 1e-250]), [1e-250, 1e-250, 1e150, 1e200], rtol=1e-13
    )


def test_ops_over_several_axes_are_as_over_one() -> None:
    x, t = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 3, 4))
    joined = [np.moveaxis(a, 1, 0).reshape(3, 8) for a in (x, t)]
    for name in ("softmax", "log_softmax", "unit_vector", "center", "prod_others"):
        many = apply(name, x, axis=(0, 2))
        one = apply(name, joined[0], axis=1)
        np.testing.assert_allclose(np.moveaxis(many, 1, 0).reshape(3, 8), one, rtol=1e-13)
    for name in ("softmax_jvp", "log_softmax_jvp", "log_softmax_vjp", "unit_vector_jvp"):
        many = apply(name, x, t, axis=(0, -1))
        one = apply(name, *joined, axis=1)
        np.testing.assert_allclose(np.moveaxis(many, 1, 0).reshape(3, 8), one, rtol=1e-12)
