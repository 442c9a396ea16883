"""Divergences of softmaxes under the bridge, as JAX, Optax and SciPy's functions spell them.

The truth is mpmath's, from the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax
import jax.numpy as jnp
from jax.nn import log_softmax, softmax
from jax.scipy.special import kl_div, logsumexp, rel_entr

import stablegrad.jax as sj

ROWS = 200  # more than the elements that are computed in float64 throughout


def _by_hand(a: Any, b: Any) -> Any:
    p, q = a - logsumexp(a, -1, keepdims=True), b - logsumexp(b, -1, keepdims=True)
    return jnp.sum(jnp.exp(p) * (p - q), -1)


def _masked(a: Any, b: Any) -> Any:
    p = softmax(a)
    return jnp.sum(p * (jnp.where(p == 0, 0, jnp.log(p)) - log_softmax(b)), -1)


def _convex(a: Any, b: Any) -> Any:
    return _masked(a, b) + jnp.sum(jnp.exp(log_softmax(b)) - softmax(a), -1)


def _entropies(a: Any, b: Any) -> Any:
    p = softmax(a)
    return jnp.sum(p * log_softmax(a), -1) - jnp.sum(p * log_softmax(b), -1)


def _warm(a: Any, b: Any) -> Any:
    a, b = 2 * a, 2 * b  # of halved logits
    return jnp.sum(softmax(a / 2) * (log_softmax(a / 2) - log_softmax(b / 2)), -1)


SPELLINGS: dict[str, Callable[[Any, Any], Any]] = {
    "logs": lambda a, b: jnp.sum(softmax(a) * (log_softmax(a) - log_softmax(b)), -1),
    "ratio": lambda a, b: jnp.sum(softmax(a) * jnp.log(softmax(a) / softmax(b)), -1),
    "hand": _by_hand,
    "masked": _masked,
    "convex": _convex,
    "entropies": _entropies,
    "warm": _warm,
    "rel_entr": lambda a, b: jnp.sum(rel_entr(softmax(a), softmax(b)), -1),
    "kl_div": lambda a, b: jnp.sum(kl_div(softmax(a), softmax(b)), -1),
}


def _true(a: Any, b: Any) -> tuple[Any, list[Any], list[Any]]:
    """The divergence of a row and its slopes by both rows of logits."""
    with mpmath.workdps(60):
        rows = [[mpmath.mpf(float(x)) for x in row] for row in (a, b)]
        totals = [mpmath.fsum([mpmath.exp(x) for x in row]) for row in rows]
        p, q = ([mpmath.exp(x) / t for x in row] for row, t in zip(rows, totals, strict=True))
        logs = [mpmath.log(x / y) for x, y in zip(p, q, strict=True)]
        value = mpmath.fdot(p, logs)
        by_a = [x * (d - value) for x, d in zip(p, logs, strict=True)]
        return value, by_a, [y - x for x, y in zip(p, q, strict=True)]


@pytest.mark.parametrize(
    ("name", "dtype", "gap"),
    [*[(name, np.float64, 1e-9) for name in SPELLINGS], ("logs", np.float32, 1e-3)],
)
def test_divergence_of_near_softmaxes(name: str, dtype: Any, gap: float) -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(ROWS, 5)).astype(dtype)
    b = (a + gap * rng.normal(size=a.shape)).astype(dtype)
    f = sj.stabilize(SPELLINGS[name])
    with jax.enable_x64(dtype is np.float64):
        value = np.asarray(jax.jit(f)(a, b))
        slopes = jax.jit(jax.grad(lambda a, b: jnp.sum(f(a, b)), (0, 1)))(a, b)
        slopes = [np.asarray(s) for s in slopes]
    assert value.dtype == dtype
    for i in range(0, ROWS, 20):
        true, *rows = _true(a[i], b[i])
        assert abs(float(value[i] - true)) <= 4 * np.spacing(dtype(true))
        for got, row in zip(slopes, rows, strict=True):
            ulp = np.spacing(dtype(max(abs(x) for x in row)))
            assert max(abs(float(g - x)) for g, x in zip(got[i], row, strict=True)) <= 4 * ulp


def test_second_slopes_of_a_divergence() -> None:
    """Along one direction, by the logits of the weights and by the others."""
    a = np.array([0.3, -1.2, 2.0])
    b, d = a + np.array([1e-9, -2e-9, 3e-10]), np.array([1.0, -0.5, 0.25])
    f = sj.stabilize(SPELLINGS["logs"])
    with jax.enable_x64(True):
        by_a = jax.grad(jax.grad(lambda t: f(a + t * d, b)))(0.0)
        by_b = jax.grad(jax.grad(lambda t: f(a, b + t * d)))(0.0)
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(t) for t in row] for row in (a, b))

        def along(*moves: int) -> Any:
            def value(t: Any) -> Any:
                rows = [
                    [u + t * mpmath.mpf(v) * k for u, v in zip(row, d, strict=True)]
                    for row, k in zip((x, y), moves, strict=True)
                ]
                p, q = ([mpmath.exp(u) for u in row] for row in rows)
                p, q = ([u / mpmath.fsum(row) for u in row] for row in (p, q))
                return mpmath.fsum([u * mpmath.log(u / v) for u, v in zip(p, q, strict=True)])

            return mpmath.diff(value, 0, 2, h=mpmath.mpf(10) ** -18)

        assert abs(float(by_a) / along(1, 0) - 1) < 1e-15
        assert abs(float(by_b) / along(0, 1) - 1) < 1e-15


def test_what_has_no_weight_has_no_part() -> None:
    f = sj.stabilize(SPELLINGS["masked"])
    a, b = np.array([0.0, -np.inf, 0.0]), np.array([0.0, -np.inf, 0.0])
    with jax.enable_x64(True):
        assert f(a, b) == 0
        assert f(np.zeros(3), b) == np.inf
