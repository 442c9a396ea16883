"""Gamma, beta, exponential integrals, Bessel functions and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import stablegrad as sg
from stablegrad.errors import DomainError, DTypeError
from stablegrad.ir import OPS
from stablegrad.oracle import truth
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.testing import derivative_term, leaf, variable
from tests.ops.test_incomplete import errors, powers

SEED = 20261129


def test_gamma_at_orders_0_1_2() -> None:
    rng = np.random.default_rng(SEED)
    x = np.concatenate([rng.uniform(-175, 172, 60), rng.uniform(-6, 6, 60), powers(rng, -30, 0)])
    x = x[x.astype(np.float32) != np.rint(x.astype(np.float32))]
    for dtype, bounds in ((np.float64, (4, 6, 8)), (np.float32, (0.5, 0.5, 0.5))):
        for (what, error), bound in zip(
            errors("gamma", [x], dtype, 2).items(), bounds, strict=True
        ):
            assert error.max() <= bound, (what, dtype)


def test_beta_at_orders_0_1_2() -> None:
    rng = np.random.default_rng(SEED)
    for a, b in (
        (powers(rng, -3, 2.5), powers(rng, -3, 2.5)),
        (powers(rng, -3, 1.5), powers(rng, 3, 14)),
    ):
        found = errors("beta", [a, b], np.float64, 2)
        assert found["value"].max() <= 4
        assert max(found["d0"].max(), found["d1"].max()) <= 8
        assert max(found["d00"].max(), found["d11"].max()) <= 12
    assert errors("beta", [a, b], np.float32, 0)["value"].max() <= 0.5


def test_the_other_exponential_integral_at_orders_0_1_2() -> None:
    rng = np.random.default_rng(SEED)
    x = np.concatenate([-powers(rng, -30, 2), powers(rng, -30, 2.5)])
    x = x[(np.abs(x - 0.3725) > 0.1) & (np.abs(x - 1) > 0.1)]
    for what, error in errors("expi", [x], np.float64, 2).items():
        assert error.max() <= 4, what


def test_the_cosine_integral_at_orders_0_1_2() -> None:
    rng = np.random.default_rng(SEED)
    zeros = np.array([0.6165054856207162, 3.3841804225511865, 6.427047744050368])
    x = np.concatenate([powers(rng, -300, 1.68), rng.uniform(0, 48, 80), -rng.uniform(0, 9, 9)])
    x = np.concatenate([x, zeros, np.nextafter(zeros, 0), zeros * (1 + 1e-9), zeros * (1 - 1e-5)])
    assert errors("cosine_integral", [x], np.float64, 0)["value"].max() <= 4
    narrow = powers(rng, -15, 1.6)
    assert max(e.max() for e in errors("cosine_integral", [narrow], np.float32, 2).values()) <= 0.5
    x = np.concatenate([x[np.abs(x) > 1e-100], powers(rng, 1.6, 8)])
    at, leaves = variable("x", x.dtype), leaf(x)
    y, terms = OPS["cosine_integral"](at), [OPS["cosine_integral"](leaves)]
    for _ in range(2):
        terms.append(derivative_term(terms[-1], leaves))
    for order, got in enumerate(evaluate(terms, current())):
        true = truth(y, {at: x}, order=order, direction={at: 1.0} if order else None)
        size = np.maximum(np.abs(true.value), 1 / np.abs(x))
        assert (np.abs(got - true.value) <= 4 * 2.0**-52 * size).all(), order
    si, ci = sg.special.sici([2.0, np.inf])
    np.testing.assert_allclose(si.numpy(), [1.6054129768, np.pi / 2], rtol=1e-6)
    np.testing.assert_allclose(ci.numpy(), [0.4229808288, 0.0], rtol=1e-6)


@pytest.mark.parametrize("name", ["bessel_j", "bessel_y"])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_oscillating_functions_relative_to_their_amplitude(name: str, n: int) -> None:
    rng = np.random.default_rng(SEED)
    x = np.concatenate([rng.uniform(n + 0.5, 40, 40), powers(rng, 1.6, 8, 40)])
    at = variable("x", x.dtype)
    y, leaves = OPS[name](at, n=n), leaf(x)
    terms = [OPS[name](leaves, n=n)]
    for _ in range(2):
        terms.append(derivative_term(terms[-1], leaves))
    amplitude = np.sqrt(2 / (np.pi * x))
    for order, got in enumerate(evaluate(terms, current())):
        true = truth(y, {at: x}, order=order, direction={at: 1.0} if order else None)
        assert true.decided.all()
        size = np.maximum(amplitude, np.abs(true.value))
        assert (np.abs(got - true.value) <= 32 * 2.0**-53 * size).all(), order


def test_edges_are_those_of_scipy() -> None:
    edge = np.array([-np.inf, -200.5, -3.0, -1.0, -0.0, 0.0, 1.0, 171.0, 172.0, np.inf, np.nan])
    for ours, theirs in (
        (sg.special.gamma, scipy.special.gamma),
        (sg.special.expi, scipy.special.expi),
        (sg.special.j0, scipy.special.j0),
        (lambda x: sg.special.jn(3, x), lambda x: scipy.special.jn(3, x)),
    ):
        got, want = ours(edge).numpy(), theirs(edge)
        finite = np.isfinite(edge)
        np.testing.assert_allclose(got[finite], want[finite], rtol=1e-12, atol=0)
    assert np.isnan(sg.special.gamma(edge[:4]).numpy()[[0, 2, 3]]).all()
    assert sg.special.gamma(edge[4:6]).numpy().tolist() == [-np.inf, np.inf]
    assert sg.special.gamma(np.inf).item() == np.inf
    assert sg.special.j0(np.inf).item() == 0


def test_lambert_next_to_its_branch_point() -> None:
    x = np.array([-0.36787944117144230, -0.3678794411714, -0.3])
    w, slope = sg.value_and_grad(lambda t: sg.special.lambertw(t).sum())(x)
    del w
    d = sg.ops.lambert_w1p(x).numpy()
    assert (d > 0).all()
    np.testing.assert_allclose(slope.numpy(), np.exp(1 - d) / d, rtol=1e-14)


SPECIAL = [
    "binom(N + 0.5, K)", "binom(N, N + 1)", "comb(N, K)", "comb(N, K, repetition=True)",
    "factorial(N)", "factorial(-V)", "poch(V, N)", "multigammaln(V + 2, 3)", "boxcox(V, U)",
    "boxcox(V, 0 * V)", "boxcox1p(V, U)", "inv_boxcox(V, U)", "inv_boxcox1p(V, U)", "lambertw(V)",
    "jv(2, V)", "jv(-3, V)", "yn(2, V)", "yv(-1, V)", "j0(V)", "j1(V)", "y0(V)", "y1(V)",
    "kn(2, V)", "k0(V)", "k1(V)", "k0e(V)", "k1e(V)", "betaincc(V, N, U)", "chdtr(N, V)",
    "chdtrc(N, V)", "kv(0.3, V)", "boxcox(V, 0.3)", "chdtr(3.3, V)", "stdtr(3.3, V)",
    "gdtr(V, N, U)", "gdtrc(V, N, U)", "pdtr(K, V)", "pdtrc(K, V)", "bdtr(K, I, U)",
    "bdtrc(K, I, U)", "nbdtr(K, N, U)", "nbdtrc(K, N, U)", "fdtr(N, V, U)", "fdtrc(N, V, U)",
    "stdtr(N, -V)", "stdtr(N, V * 10)", "stdtr(N, -V * 1e8)", "ndtri_exp(-V)", "powm1(V, N)",
    "pseudo_huber(V, N)", "exp1(V)", "expi(V)", "gamma(V)", "beta(V, N)",
]  # fmt: skip
PLACES = {
    "V": np.array([0.3, 1.0, 2.5, 7.0]),
    "U": np.array([0.1, 0.4, 0.7, 0.95]),
    "N": np.array([3.0, 5.0, 8.0, 20.0]),
    "K": np.array([0.0, 2.0, 5.0, 9.0]),
    "I": np.array([3, 5, 8, 20]),
}


@pytest.mark.parametrize("call", SPECIAL)
def test_functions_follow_scipy(call: str) -> None:
    name, rest = call.split("(", 1)
    wanted, got = (
        eval(f"f({rest}", {"f": getattr(module, name), **PLACES})
        for module in (scipy.special, sg.special)
    )
    np.testing.assert_allclose(got.numpy(), np.real(wanted), rtol=1e-14, atol=0)


def test_transforms_at_an_exponent_of_0() -> None:
    slope = sg.grad(lambda k: sg.special.boxcox(2.0, k))(np.float64(0.0))
    bend = sg.hessian(lambda k: sg.special.boxcox(2.0, k))(np.float64(0.0))
    assert slope.item() == pytest.approx(np.log(2) ** 2 / 2, rel=1e-14)
    assert bend.item() == pytest.approx(np.log(2) ** 3 / 3, rel=1e-14)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda: sg.special.lambertw(1.0, k=-1), DomainError),
        (lambda: sg.special.comb(5, 2, exact=True), DTypeError),
        (lambda: sg.special.factorial(5, exact=True), DTypeError),
        (lambda: sg.special.multigammaln(3.0, 0), DomainError),
        (lambda: sg.special.jv(0.5, 1.0), DomainError),
    ],
)
def test_bad_calls(f, error) -> None:
    with pytest.raises(error, match=r"test_gamma_function\.py"):
        f()


def test_a_missing_name_says_how_to_get_the_value() -> None:
    with pytest.raises(AttributeError, match=r"scipy\.special\.airy\(np\.asarray"):
        sg.special.airy


def test_students_distribution_has_its_density_as_derivative() -> None:
    t = np.array([-1e5, -1.0, 0.0, 0.7, 1e3])
    slope = sg.grad(lambda x: sg.special.stdtr(3.0, x).sum())(t).numpy()
    want = 2 / (np.pi * np.sqrt(3)) / (1 + t * t / 3) ** 2
    np.testing.assert_allclose(slope, want, rtol=1e-13)


def test_masks_inside_guards_are_no_common_factors() -> None:
    """Rewriting took such a mask out of a sum, and got it back, for ever."""

    def f(x):
        y = x * x / (3.0 + x * x)
        low, high = sg.special.betainc(0.5, 1.5, y), sg.special.betainc(1.5, 0.5, 1.0 - y)
        beside = sg.ops.where(x * x < 3.0, 0.5 - 0.5 * low, 0.5 * high)
        above = sg.ops.where(x * x < 3.0, 0.5 + 0.5 * low, 1.0 - 0.5 * high)
        return sg.ops.where(x < 0, beside, above)

    with sg.rules(exclude="synthesis"):
        got = sg.grad(f)(np.float64(0.7)).item()
    assert got == pytest.approx(0.27158835908824663, rel=1e-13)


def test_versines_keep_their_digits_near_whole_turns() -> None:
    x = np.array([1e-9, 2 * np.pi])
    np.testing.assert_allclose(sg.special.versine(x).numpy(), [5e-19, 2.9995195653237149e-32])
    np.testing.assert_allclose(sg.special.haversine(x).numpy() * 2, sg.special.versine(x).numpy())
