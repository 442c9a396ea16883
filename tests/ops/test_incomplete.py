"""Incomplete gamma and beta functions and their kin, held to the bounds that they state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import stablegrad as sg
from stablegrad.engines.numpy import kernel_of, xp
from stablegrad.errors import NotDifferentiableError
from stablegrad.ir import OPS
from stablegrad.ops.record import POSITIVE
from stablegrad.oracle import err_ulp, mixed, truth
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.testing import (
    check_op,
    derivative_term,
    leaf,
    sample_arguments,
    variable,
)

Array = np.ndarray[Any, Any]
SEED = 20261121
POINTS = 48


def powers(rng: np.random.Generator, low: float, high: float, n: int = POINTS) -> Array:
    """Numbers of every size between two powers of ten."""
    return 10 ** rng.uniform(low, high, n)


def gamma_points(low: float = -6, high: float = 5) -> list[Array]:
    """a, and x of every size, more of them where P(a, x) is neither 0 nor 1."""
    rng = np.random.default_rng(SEED)
    a = powers(rng, low, high)
    near = a * np.exp(rng.normal(size=POINTS) * np.minimum(3 / np.sqrt(a), 2))
    return [a, np.where(rng.random(POINTS) < 0.6, near, powers(rng, low, high))]


def beta_points() -> list[Array]:
    """a, b, and x, more of them where I_x(a, b) is neither 0 nor 1."""
    rng = np.random.default_rng(SEED)
    a, b = powers(rng, -4, 3), powers(rng, -4, 3)
    mean = a / (a + b)
    near = mean + 1.5 * rng.normal(size=POINTS) * np.sqrt(mean * (1 - mean) / (a + b + 1))
    any_x = rng.random(POINTS) ** rng.integers(1, 8, POINTS)
    return [a, b, np.clip(np.where(rng.random(POINTS) < 0.6, near, any_x), 1e-9, 1 - 1e-6)]


def whole_range(n: int) -> list[Array]:
    """Positive numbers over the range of floats, half of them neighbours."""
    rng = np.random.default_rng(SEED)
    x = [np.exp2(rng.uniform(-1000, 1000, POINTS)) for _ in range(n)]
    x[-1][::2] = x[0][::2] * (1 + rng.normal(size=POINTS // 2) * 10.0 ** rng.integers(-12, 0))
    x[0][::3] = powers(rng, -3, 3)[::3]
    x[-1][::3] = powers(rng, -3, 3)[::3]
    return [np.abs(v) for v in x]


def errors(
    name: str, values: list[Array], dtype: Any, orders: int, **params: Any
) -> dict[str, Array]:
    """The error in ulp of a value and all derivatives, at normal results."""
    values = [v.astype(dtype) for v in values]
    leaves = [leaf(v) for v in values]
    names = [variable(f"x{i}", v.dtype) for i, v in enumerate(values)]
    y, meant = OPS[name](*leaves, **params), OPS[name](*names, **params)
    bound = dict(zip(names, values, strict=True))
    terms = {"value": y}
    truths = {"value": truth(meant, bound, limits=False)}
    for i in range(len(values)) if orders else ():
        terms[f"d{i}"] = derivative_term(y, leaves[i])
        truths[f"d{i}"] = truth(meant, bound, order=1, direction={names[i]: 1.0}, limits=False)
        for j in range(i, len(values)) if orders > 1 else ():
            terms[f"d{i}{j}"] = derivative_term(terms[f"d{i}"], leaves[j])
            truths[f"d{i}{j}"] = (
                truth(meant, bound, order=2, direction={names[i]: 1.0}, limits=False)
                if i == j
                else mixed(meant, (names[i], names[j]), bound)
            )
    out: dict[str, Array] = {}
    got = evaluate(list(terms.values()), current())
    tiny = float(np.finfo(dtype).tiny)
    for what, value in zip(terms, got, strict=True):
        t = truths[what]
        assert (~t.decided).sum() <= POINTS // 50, what
        inside = t.decided & np.isfinite(t.value) & (np.abs(t.value) > tiny)
        assert inside.sum() > POINTS // 4, what
        out[what] = np.where(inside, err_ulp(value, t, dtype), 0.0)
        small = t.decided & (np.abs(t.value) <= tiny)
        assert (np.abs(value[small]) <= 2 * tiny).all(), what
    return out


# -- stated bounds ------------------------------------------------------------------------

BETA = ("betaln", "lgamma_difference", "polygamma_difference", "log_minus_digamma")


@pytest.mark.parametrize("name", BETA)
def test_logs_of_gamma_functions_over_the_whole_range(name: str) -> None:
    orders = 2 if name == "betaln" else 1
    found = errors(name, whole_range(2), np.float64, orders)
    for what, error in found.items():
        if what != "value" or name in ("polygamma_difference", "log_minus_digamma"):
            assert error.max() <= 8, what
    assert np.median(found["value"]) <= 1
    found = errors(name, [np.clip(v, 1e-30, 1e30) for v in whole_range(2)], np.float32, 1)
    assert max(np.median(e) for e in found.values()) <= 0.5


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma_at_orders_0_1_2(name: str) -> None:
    """The bounds of the record; the second derivative by a has zeros."""
    for what, error in errors(name, gamma_points(-6, 8), np.float64, 2).items():
        assert error.max() <= (64 if what == "d00" else 8), what
    for what, error in errors(name, gamma_points(-6, 4), np.float32, 2).items():
        assert error.max() <= 1, what


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_incomplete_gamma_of_bit_patterns(name: str, dtype: Any) -> None:
    report = check_op(OPS[name], dtypes=(dtype,), n=150)
    assert report.ok, str(report)


def test_the_slope_of_incomplete_gamma_takes_single_numbers() -> None:
    slope = sg.grad(lambda a: sg.special.gammainc(a, 200.0))(sg.tensor(100.0, dtype=float))
    assert float(slope) == pytest.approx(-1.3050818781983820716e-15, rel=1e-14)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma_next_to_a_large_parameter(name: str) -> None:
    """In both tails down to the smallest numbers, where errors of the exponent are multiplied."""
    rng = np.random.default_rng(SEED)
    a = powers(rng, 1.5, 24, 80)
    x = a + np.sqrt(a) * rng.uniform(-37, 37, a.size)
    x = np.where(x > 0.1 * a, x, 0.9 * a)
    names = [variable(v, a.dtype) for v in "ax"]
    true = truth(OPS[name](*names), dict(zip(names, [a, x], strict=True)))
    got = evaluate([OPS[name](leaf(a), leaf(x))], current())[0]
    assert true.decided.all()
    normal = np.abs(true.value) > np.finfo(float).tiny
    assert normal.sum() > 60
    assert err_ulp(got, true, np.float64)[normal].max() <= 8


@pytest.mark.parametrize(("n", "m"), [(0, 1), (1, 0), (1, 1), (2, 0), (0, 2)])
def test_derivatives_of_the_gamma_density(n: int, m: int) -> None:
    for what, error in errors(
        "gamma_density_derivative", gamma_points(), np.float64, 1, n=n, m=m
    ).items():
        assert error.max() <= 64, what
    rng = np.random.default_rng(SEED)
    bits = sample_arguments((POSITIVE, POSITIVE), np.float64, 100, rng)
    inside = np.logical_and.reduce([(v > 0) & (v < np.inf) for v in bits])  # at ends are limits
    bits = [v[inside] for v in bits]
    report = check_op(
        OPS["gamma_density_derivative"],
        params={"n": n, "m": m},
        points=bits,
        dtypes=(np.float64,),
        orders=1,
    )
    assert report.ok, str(report)
    assert report.points > 150


def test_the_gamma_density_of_equal_arguments() -> None:
    """Where a - 1 - x is -1, whatever a is; and where the density underflows, its slope not."""
    rng = np.random.default_rng(SEED)
    a = powers(rng, -30, 30, 60)
    for dtype in (np.float32, np.float64):
        for what, error in errors("gamma_density", [a, a], dtype, 2).items():
            assert error.max() <= 8, what
    thin = [np.array([2.5, 1e-200, 0.002]), np.array([1e-250, 520.0, 4e-221])]
    report = check_op(OPS["gamma_density"], points=thin, dtypes=(np.float64,))
    assert report.ok, str(report)


def test_incomplete_beta_at_orders_0_1_2() -> None:
    """The bounds of the record; second derivatives by the parameters have zeros."""
    points = beta_points()
    for what, error in errors("betainc", points, np.float64, 2).items():
        assert error.max() <= (16, 32, 128)[0 if what == "value" else len(what) - 1], what
    for what, error in errors("betainc", points, np.float32, 1).items():
        assert error.max() <= 1, what


def test_incomplete_beta_next_to_large_parameters() -> None:
    """In both tails: 200 times as far off when it was SciPy's."""
    rng = np.random.default_rng(SEED)
    a, b = powers(rng, 0.5, 3.9, 120), powers(rng, 0.5, 3.9, 120)
    mean = a / (a + b)
    x = mean + rng.uniform(-30, 30, a.size) * np.sqrt(mean * (1 - mean) / (a + b + 1))
    x = np.where((x > 0) & (x < 1), x, mean)
    names = [variable(v, a.dtype) for v in "abx"]
    true = truth(OPS["betainc"](*names), dict(zip(names, [a, b, x], strict=True)))
    got = evaluate([OPS["betainc"](leaf(a), leaf(b), leaf(x))], current())[0]
    normal = true.decided & (np.abs(true.value) > np.finfo(float).tiny)
    assert normal.sum() > 80
    assert err_ulp(got, true, np.float64)[normal].max() <= 16


@pytest.mark.parametrize(
    ("name", "points"),
    [("gamma_density", gamma_points()), ("beta_density", beta_points())],
    ids=["gamma", "beta"],
)
def test_densities(name: str, points: list[Array]) -> None:
    found = errors(name, points, np.float64, 1)
    assert found["value"].max() <= 4
    assert max(np.median(e) for e in found.values()) <= 2


def test_zeta_at_orders_0_1_2() -> None:
    rng = np.random.default_rng(SEED)
    s, q = 1 + powers(rng, -6, 1.77), powers(rng, -3, 4)
    for what, error in errors("hurwitz_zeta", [s, q], np.float64, 2).items():
        assert error.max() <= (128 if "1" in what else 8), what
    small = [np.minimum(s, 40.0), np.clip(q, 0.05, None)]
    for what, error in errors("hurwitz_zeta", small, np.float32, 1).items():
        assert error.max() <= 1, what


def test_scaled_bessel_functions_at_orders_0_1_2() -> None:
    rng = np.random.default_rng(SEED)
    v, x = rng.uniform(-30, 30, POINTS), powers(rng, -8, 6)
    v[::3] = rng.integers(-3, 3, POINTS // 3) + 0.5  # at v = 0 derivatives by v are 0
    for what, error in errors("kve_derivative", [v, x], np.float64, 2).items():
        assert error.max() <= 512, what
        assert np.median(error) <= 8, what
    half = np.sqrt(np.pi / (2 * x))  # K_1/2 is elementary
    np.testing.assert_allclose(sg.special.kve(0.5, x).numpy(), half, rtol=1e-14)
    everyday = powers(rng, -3, 2)
    got = sg.special.kv(1.5, everyday).numpy()
    np.testing.assert_allclose(got, scipy.special.kv(1.5, everyday), rtol=1e-13)
    assert sg.special.kve(2.0, np.float64(0.0)).item() == np.inf


# -- the whole range, its edges -----------------------------------------------------------


def test_edges_are_those_of_scipy() -> None:
    edge = np.array([0.0, 1e-300, 1e-10, 0.5, 1.0, 3.0, 1e10, 1e300, np.inf])
    a, x = (v.ravel() for v in np.meshgrid(edge[1:-1], edge))
    for name in ("gammainc", "gammaincc"):
        got = evaluate([OPS[name](leaf(a), leaf(x))], current())[0]
        expected = getattr(scipy.special, name)(a, x)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)
        nothing = kernel_of(OPS[name])(xp, np.array([np.nan, 1.0]), np.array([1.0, np.nan]))
        assert np.isnan(nothing).all()
    slope = evaluate([OPS["gammainc_by_a"](leaf(a), leaf(x))], current())[0]
    assert not np.isnan(slope[(a < 1e9) & (x < 1e9)]).any()
    assert (slope[x == 0] == 0).all()
    p, q, z = (v.ravel() for v in np.meshgrid(edge[2:7], edge[2:7], [0.0, 1e-200, 0.5, 1.0]))
    got = evaluate([OPS["betainc"](leaf(p), leaf(q), leaf(z))], current())[0]
    np.testing.assert_allclose(got, scipy.special.betainc(p, q, z), rtol=1e-12, atol=1e-300)
    assert sg.special.gammainc(np.float64(1e-10), np.float64(5e-324)).item() == pytest.approx(
        np.exp(-7.444e-8), rel=1e-9
    )
    assert sg.special.betaln(np.inf, 2.0).item() == -np.inf


def test_tails_of_distributions_keep_their_digits() -> None:
    """log(1 - P) far out, by x and by a: stan-dev/math#2006."""

    def log_tail(a: Any, x: Any) -> Any:
        return sg.numpy.log(1 - sg.special.gammainc(a, x))

    a, x = sg.tensor(3.0, dtype=np.float64), sg.tensor(60.0, dtype=np.float64)
    slope = sg.grad(log_tail, argnums=(0, 1))(a, x)
    assert slope[1].item() == pytest.approx(-0.9672219236969372, rel=1e-14)
    assert np.isfinite(slope[0].item())


def test_third_derivatives_by_a_parameter_say_that_they_end() -> None:
    f = lambda a: sg.special.gammainc(a, 1.5)  # noqa: E731
    with pytest.raises(NotDifferentiableError, match="end at the order given"):
        sg.grad(sg.grad(sg.grad(f)))(sg.tensor(2.0))
