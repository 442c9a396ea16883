"""Float32 densities and losses as libraries write them, at arguments where their slopes cancel.

The truth is the oracle's, for the program as JAX traces it.
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
from jax.scipy import stats
from jax.scipy.special import betainc, digamma, gammaln, xlog1py, xlogy

import stablegrad.jax as sj
from stablegrad.oracle import Status, err_ulp, truth

WITHIN = {"few": 4, "many": 16}  # ulp: logarithms in float32 may cancel a little


def _dice(x: Any, y: Any) -> Any:
    p = jax.nn.softmax(x)
    return jnp.sum(1 - (p * y + 1) / (p * y + 0.5 * (p - p * y) + 0.5 * (y - p * y) + 1), -1)


def _standardized(x: Any) -> Any:
    off = x - jnp.mean(x, -1, keepdims=True)
    raw, mean = (jnp.mean(a, -1, keepdims=True) for a in (x * x, x))
    return (off * jax.lax.rsqrt(jnp.clip(raw - mean**2, 0) + 1e-5))[..., 0]


def _cross_entropy(x: Any, y: Any) -> Any:
    return -y * jax.nn.log_sigmoid(x) - (1 - y) * jax.nn.log_sigmoid(-x)


def _asymmetric_laplace(x: Any, m: Any, s: Any, k: Any) -> Any:
    z = -jnp.abs(x - m) / s * jnp.where(x < m, 1 / k, k)
    return z - jnp.log(s * (k + 1 / k))


def _laplace(x: Any, m: Any, s: Any) -> Any:
    return -jnp.abs(x - m) / s - jnp.log(2 * s)


def _normal(x: Any, m: Any, s: Any) -> Any:
    z = (x - m) / s
    return -0.5 * z**2 - jnp.log(np.float32(np.sqrt(2 * np.pi)) * s)


def _gumbel(x: Any, m: Any, s: Any) -> Any:
    z = (x - m) / s
    return -(z + jnp.exp(-z)) - jnp.log(s)


def _chi2(x: Any, k: Any) -> Any:
    return (k / 2 - 1) * jnp.log(x) - x / 2 - k / 2 * jnp.log(2.0) - gammaln(k / 2)


def _beta(x: Any, a: Any, b: Any) -> Any:
    normal = gammaln(a) + gammaln(b) - gammaln(a + b)
    return (a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x) - normal


def _pareto(x: Any, s: Any, a: Any) -> Any:
    return jnp.log(a) + a * jnp.log(s) - (a + 1) * jnp.log(x)


def _student_t(x: Any, k: Any, m: Any, s: Any) -> Any:
    z = (x - m) / s
    return -(k + 1) / 2 * jnp.log1p(z * z / k) - jnp.log(s)


def _kumaraswamy(x: Any, a: Any, b: Any) -> Any:
    return jnp.log(a) + jnp.log(b) + xlogy(a - 1, x) + xlog1py(b - 1, -(x**a))


def _weibull(x: Any, s: Any, k: Any) -> Any:
    return -((x / s) ** k) + jnp.log(k) + (k - 1) * jnp.log(x) - k * jnp.log(s)


def _frechet(x: Any, s: Any, k: Any) -> Any:
    return -((s / x) ** k) + jnp.log(k / s) - (k + 1) * jnp.log(x / s)


def _generalized_gamma(x: Any, s: Any, a: Any, k: Any) -> Any:
    return (a - 1) * jnp.log(x) - a * jnp.log(s) - (x / s) ** k + jnp.log(k) - gammaln(a / k)


def _relaxed_bernoulli(x: Any, t: Any, logit: Any) -> Any:
    y = jnp.log(x) - jnp.log1p(-x)
    z = t * y - logit
    return jnp.log(t) - z - 2 * jax.nn.softplus(-z) - jnp.log(x) - jnp.log1p(-x)


def _huber(x: Any, y: Any) -> Any:
    distance = jnp.abs(x - y)
    near = jnp.minimum(distance, 1.0)
    return 0.5 * near**2 + (distance - near)


def _focal(x: Any, y: Any) -> Any:
    p = jax.nn.sigmoid(x)
    seen = jnp.where(y > 0, p, 1 - p)
    return -((1 - seen) ** 2) * jnp.log(seen)


def _no_count(x: Any, rate: Any) -> Any:
    return jnp.log(jax.nn.sigmoid(x) + (1 - jax.nn.sigmoid(x)) * jnp.exp(-rate))


CASES: dict[str, tuple[Callable[..., Any], list[list[float]]]] = {
    "Gumbel": (_gumbel, [[0.159, -0.0094, 58718.3], [7.8e-30, 5.244, 7.4e7], [1.0, 0.3, 0.7]]),
    "chi squared": (_chi2, [[4.6165872, 5.5892911], [9.0, 11.0], [0.2, 1.1]]),
    "beta": (_beta, [[0.39740622, 2.7187064, 4.6070871], [0.25, 3.0, 7.0]]),
    "Pareto": (_pareto, [[5.5, 0.105, 9.5e-32], [3.0, 2.0, 1e-9]]),
    "Student's t": (
        _student_t,
        [
            [29.5126038, 3.3e-30, 0.00583152, 0.00382674],
            [1.64e20, 0.0019499693, 0.03284, 9.3e-15],
            [7.1e29, 2.07e-10, 1.98e38, 3.05e17],
            [0.3, 5.0, 0.1, 2.0],
        ],
    ),
    "Kumaraswamy": (_kumaraswamy, [[0.84987479, 0.99999994, 41.475185], [0.3, 2.0, 3.0]]),
    "Weibull": (
        _weibull,
        [
            [0.012224781, 0.0266302, 0.0028324085],
            [8.109029, 13.210385, 0.002689051],
            [1.0409934e-12, 1.5959879e-13, 2.6104827e-9],
            [0.9505634, 0.961672, 4.8639674],
            [3.1411524, 3.2018185, 1.3811014],
        ],
    ),
    "Frechet": (_frechet, [[0.0266302, 0.012224781, 0.0028324085], [3.2, 3.1411524, 1.38]]),
    "generalized gamma": (_generalized_gamma, [[8.1, 13.2, 2.7e-3, 2.7e-3], [3.0, 3.1, 1.4, 1.4]]),
    "relaxed Bernoulli": (_relaxed_bernoulli, [[0.1098238, 0.3326251, 6.94e7], [0.4, 1.5, 0.2]]),
    "Huber": (_huber, [[6e-7, 1.3e-30], [3e-30, 0.0], [5.0, 0.1]]),
    "digamma beside a log": (lambda x: digamma(x) - jnp.log(x), [[3e4], [170.0], [2.0]]),
    "log of a sum next to 1": (lambda x, y: jnp.log(x * x + y * y), [[0.6, 0.8], [0.28, 0.96]]),
    "cross-entropy": (
        _cross_entropy,
        [[2.8e-9, 3.4e12], [-100.0, 1.0], [0.3, 0.2], [-0.007, -9e33]],
    ),
    "Laplace by scale": (_laplace, [[-5.004694938659668, 3.6704297065734863, 8.522100448608398]]),
    "asymmetric Laplace": (_asymmetric_laplace, [[1.2, -3.0, 2.9, 0.7], [-1.1, 1.6, 2.6, 1.04]]),
    "gelu": (jax.nn.gelu, [[-6.66], [-0.7586207], [-3.3582563], [2.0]]),
    "Laplace": (stats.laplace.pdf, [[70.0, -5.7, 1.3], [-60.3, 5.1, 1.7], [0.3, 0.1, 2.0]]),
    "normal": (
        _normal,
        [[2.5093787, 3.3196123, 0.8107], [0.1131551, -5.3221164, 5.4341], [3.0, 1.0, 2.1]],
    ),
    "Cauchy": (
        lambda x, m: jnp.log(0.5 - jnp.arctan(x - m) / np.pi),
        [[2e4, 0.3], [7e6, 1.0], [4e27, 2.0], [-1e15, 1.0], [0.3, 0.1]],
    ),
    "arcsine": (
        lambda x: (jnp.pi / 2 - jnp.arcsin(x)) * (jnp.pi / 2 + jnp.arcsin(x)),
        [[0.99998], [-0.9999999], [0.3]],
    ),
    "angle beside another": (
        lambda x, y: jnp.arctan2(y, x) - np.pi / 4,
        [[1.001, 1.0], [3.0, 3.0001], [1.0, -2.0]],
    ),
    "Pareto by probability": (
        stats.pareto.logcdf,
        [[49.165195, 2.4460126e-12], [47.144814, 6.3e-07], [2.6, 7.5e-16], [3.0, 2.0]],
    ),
    "Cauchy density": (stats.cauchy.pdf, [[4.6e11], [-1.1e16], [-4.495961]]),
    "Gumbel by probability": (stats.gumbel_r.cdf, [[-2.4222698], [-2.8874583], [1.0]]),
    "log of a Gumbel tail": (stats.gumbel_r.logsf, [[-2.9837618], [1.0]]),
    "Cauchy quantile": (stats.cauchy.ppf, [[1e-6, 0.3, 2.0], [0.999998, -1.0, 0.1]]),
    "gamma": (stats.gamma.pdf, [[50.3, 13.7], [3.3, 40.1], [0.5, 0.2]]),
    "log of a gamma tail": (stats.gamma.logcdf, [[0.031, 27.3], [0.2, 0.7], [3.0, 2.0]]),
    "softplus less a multiple": (
        lambda x, y: jnp.logaddexp(0, x) - x * y,
        [[50.0, 1.0], [-60.0, 0.0], [20.5, 1.0], [0.3, 0.25]],
    ),
    "focal loss": (_focal, [[16.14, 1.0], [-22.5, -1.0], [-174.8, 1.0], [0.3, 1.0]]),
    "no count": (_no_count, [[54.8, 0.339], [-2.07, 0.0046], [8.73, 0.605], [-60.0, 70.0]]),
    "log of 1 and a multiple": (
        lambda x, y: jnp.log(1 + y * jnp.exp(x)),
        [[95.0, 46.0], [120.5, 3e-9], [-3.0, 2.0], [0.3, 1e-9]],
    ),
    "log1p of a square": (lambda x: jnp.log1p(-x * x), [[0.9999981], [0.99999988], [1e-9]]),
}


def _slerp(p: Any, q: Any, t: Any) -> Any:
    angle = jnp.arccos(jnp.sum(p * q, -1))
    parts = jnp.sin((1 - t[:, 0]) * angle) * p[:, 0] + jnp.sin(t[:, 0] * angle) * q[:, 0]
    return parts / jnp.sin(angle)


def _cosine(p: Any, q: Any) -> Any:
    return jnp.sum(p * q, -1)


def _near_units() -> list[Any]:
    """Pairs of unit vectors of small and of ordinary angles."""
    rng = np.random.default_rng(7)
    p, q = rng.normal(size=(2, 6, 4))
    q = np.where(np.arange(6)[:, None] % 2, q, p + 1e-2 * q)
    return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, q)]


def _true(
    f: Callable[..., Any], columns: list[Any], place: int | None, entry: Any = slice(None)
) -> Any:
    report = sj.explain(f)(*columns)
    (region,), (reading,) = report.regions, report.readings
    known = dict(reading.constants) | dict(zip(reading.inputs, columns, strict=True))
    numbers = dict(zip(region.inputs, reading.steps[0].inputs, strict=True))
    bindings = {x: np.asarray(known[a]) for x, a in numbers.items()}
    if place is None:
        return truth(region.roots[0], bindings, np.float32)
    moved = reading.inputs[place]
    direction = np.zeros(columns[place].shape)
    direction[..., entry] = 1
    moves: Any = {x: direction if a is moved else 0.0 for x, a in numbers.items()}
    return truth(region.roots[0], bindings, np.float32, order=1, direction=moves)


@pytest.mark.parametrize("amount", WITHIN)
@pytest.mark.parametrize("name", CASES)
def test_values_and_slopes_by_all_arguments(
    name: str, amount: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if amount == "many":
        monkeypatch.setattr("stablegrad.jax.regions.FEW", 0)
    f, points = CASES[name]
    columns = [jnp.asarray(c, jnp.float32) for c in zip(*points, strict=True)]
    stable = sj.stabilize(f)
    places = tuple(range(len(columns)))
    slopes = jax.grad(lambda *args: stable(*args).sum(), places)
    found = [jax.jit(stable)(*columns), *jax.jit(slopes)(*columns)]
    for place, got in zip((None, *places), found, strict=True):
        true = _true(f, columns, place)
        size = np.abs(np.asarray(true.value, float))
        counts = (size >= np.finfo(np.float32).tiny) & (size <= np.finfo(np.float32).max)
        counts &= np.asarray(true.status) <= Status.LIMIT
        error = np.where(counts, err_ulp(np.asarray(got), true), 0.0)
        shown = [*zip(points, got, true.value, error, strict=True)]
        assert (error <= WITHIN[amount]).all(), (place, shown)


ROWS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "dice": (
        _dice,
        [[[4.25, 3.5, 2.97], [-2.8, 1.86, 4.3]], [[0.34, 0.37, 0.29], [0.3, 0.35, 0.35]]],
    ),
    "standardized": (
        _standardized,
        [
            [
                [2.4e33, 0.75, 0.077],
                [2.2e8, 5e-4, -18.4],
                [-1.4, 3.5493, 3.5444],
                [4.97e14, 0.4, -0.01],
            ]
        ],
    ),
    "slerp": (_slerp, [*_near_units(), np.linspace(0.1, 0.9, 6)[:, None]]),
    "squared angle": (lambda p, q: jnp.arccos(_cosine(p, q)) ** 2, _near_units()),
    "angle by chord": (
        lambda p, q: jnp.arccos(_cosine(p, q)) / jnp.sqrt(2 - 2 * _cosine(p, q)),
        _near_units(),
    ),
    "arcsine by cosine": (
        lambda p, q: jnp.arcsin(_cosine(p, q)) / jnp.sqrt(1 - _cosine(p, q) ** 2),
        _near_units(),
    ),
}
MANY = ("slerp", "squared angle", "angle by chord", "arcsine by cosine")


@pytest.mark.parametrize(
    ("name", "amount"), [*[(n, "few") for n in ROWS], *[(n, "many") for n in MANY]]
)
def test_slopes_by_all_entries_of_rows(
    name: str, amount: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if amount == "many":
        monkeypatch.setattr("stablegrad.jax.regions.FEW", 0)
    f, data = ROWS[name]
    columns = [jnp.asarray(c, jnp.float32) for c in data]
    stable = sj.stabilize(f)
    places = tuple(range(len(columns)))
    slopes = jax.jit(jax.grad(lambda *args: stable(*args).sum(), places))(*columns)
    for place, got in zip(places, slopes, strict=True):
        for j in range(got.shape[1]):
            true = _true(f, columns, place, j)
            size = np.abs(np.asarray(true.value, float))
            error = np.where(size >= np.finfo(np.float32).tiny, err_ulp(got[:, j], true), 0.0)
            assert (error <= WITHIN[amount]).all(), (
                place,
                j,
                [*zip(got[:, j], true.value, error, strict=True)],
            )


def test_the_bend_of_a_short_softmax_where_it_changes_its_sign() -> None:
    def share(x: Any) -> Any:
        return jax.nn.softmax(jnp.stack([x, 0 * x, 0 * x + 1]))[0]

    xs = np.linspace(1.2, 1.4, 41, dtype=np.float32)  # 1/2 at log(1 + e) = 1.3133
    got = jax.jit(jax.vmap(jax.grad(jax.grad(sj.stabilize(share)))))(xs)
    for x, y in zip(xs, np.asarray(got), strict=True):
        p = 1 / (1 + (1 + mpmath.e) * mpmath.exp(-mpmath.mpf(float(x))))
        true = float(p * (1 - p) * (1 - 2 * p))
        assert abs(float(y) - true) <= 2 * np.spacing(np.float32(abs(true)))


def test_the_incomplete_beta_function_is_read() -> None:
    a, b = np.array([[2.5, 0.4, 30.0], [3.5, 8.0, 0.7]], np.float32)
    x = np.array([0.2, 1e-6, 0.95], np.float32)
    stable = sj.stabilize(betainc)
    got = np.asarray(jax.jit(stable)(a, b, x))
    slope = np.asarray(jax.jit(jax.grad(lambda x: stable(a, b, x).sum()))(x))
    for k in range(3):
        p, q, r = (mpmath.mpf(float(v[k])) for v in (a, b, x))
        value = mpmath.betainc(p, q, 0, r, regularized=True)
        density = r ** (p - 1) * (1 - r) ** (q - 1) / mpmath.beta(p, q)
        assert abs(float((got[k] - value) / value)) < 4e-7
        assert abs(float((slope[k] - density) / density)) < 4e-7
    by_a = jax.grad(lambda a: stable(a, b, x).sum())(a)  # JAX has none
    assert np.isfinite(np.asarray(by_a)).all()
