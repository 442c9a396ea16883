"""Linear algebra where matrices are singular, badly scaled or ill conditioned; two derivatives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import DomainError, ShapeError
from stablegrad.ir import OPS, Term
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.matrix_kernels import equilibrated
from stablegrad.ops.record import const
from stablegrad.ops.spectral import X
from stablegrad.oracle import truth
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.testing import leaf, variable
from tests.ops.matrix_cases import CASES

EPS = float(np.finfo(float).eps)
RNG = np.random.default_rng(20261121)
snl = sg.numpy.linalg


def values(*terms: Term) -> list[np.ndarray]:
    return evaluate(list(terms), current())


def true_of(op: str, *arrays: np.ndarray, order: int = 0, along: Any = None, **params: Any) -> Any:
    """The truth of an op, or of its derivative with the first argument moving ``along``."""
    names = [variable(f"x{i}", a.dtype, a.shape) for i, a in enumerate(arrays)]
    direction = {names[0]: along} if order else None
    bound = dict(zip(names, arrays, strict=True))
    found = truth(OPS[op](*names, **params), bound, float, order=order, direction=direction)
    assert found.decided.all()
    return found.value


# -- second derivatives -------------------------------------------------------------------

SMOOTH = [
    (name, arrays, params)
    for name, cases in CASES.items()
    for arrays, params in cases
    if name not in ("triangle", "sign_of_det", "missing_axes")
]


@pytest.mark.parametrize(("name", "arrays", "params"), SMOOTH, ids=lambda v: str(v)[:20])
def test_second_derivatives_all_ways(name: str, arrays: Any, params: Any) -> None:
    along = RNG.normal(size=arrays[0].shape)
    others = [leaf(a) for a in arrays[1:]]
    x, t = leaf(arrays[0]), leaf(along)
    y = OPS[name](x, *others, **params)
    g = leaf(RNG.normal(size=y.shape))
    first = pushforward(y, (x,), (t,))
    forward = pushforward(first, (x,), (t,))
    pulled = OPS["sum"](gradient(y, x, g) * t)
    one = const(1, np.float64)
    mixed = [
        pushforward(pulled, (x,), (t,)),
        OPS["sum"](gradient(pulled, x, one) * t),
        OPS["sum"](gradient(OPS["sum"](first * g), x, one) * t),
    ]
    second, *ways = values(forward, *mixed)
    true = true_of(name, *arrays, order=2, along=along, **params)
    scale = np.abs(true).max() + np.abs(true_of(name, *arrays, **params)).max()
    assert np.abs(second - true).max() <= 256 * EPS * scale * arrays[0].shape[-1]
    expected = np.sum(true * g.params[0].value)
    size = np.abs(true * g.params[0].value).sum() + scale
    for way in ways:
        assert abs(way - expected) <= 512 * EPS * size


# -- stated bounds ------------------------------------------------------------------------


def hilbert(n: int) -> np.ndarray:
    i = np.arange(n)
    return 1.0 / (i[:, None] + i + 1)


def graded(n: int, seed: int) -> np.ndarray:
    """A matrix whose rows and columns span hundreds of orders of magnitude."""
    rng = np.random.default_rng(seed)
    e = rng.integers(-400, 400, size=(2, n))
    return np.ldexp(rng.normal(size=(n, n)), e[0][:, None] + e[1])


MATRICES = [
    RNG.normal(size=(4, 4)),
    hilbert(5),
    graded(4, 1),
    graded(5, 2),
    np.diag([1e-200, 1.0, 1e200]),
    np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]]),
    np.array([[1e-170, 2e-170], [3e-170, -1e-170]]),
    np.array([[0.0, 2e160], [3e160, 1e150]]),
]


def skeel(a: np.ndarray, x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|inv(a)| (|a| |x| + |b|), each product formed where it is in range."""
    inverse = np.abs(true_of("inv", a))
    with np.errstate(all="ignore"):
        parts = np.abs(a)[:, :, None] * np.abs(x)[None]
        right = parts.sum(1) + np.abs(b)
        return (inverse[:, :, None] * right[None]).sum(1)


@pytest.mark.parametrize("a", MATRICES, ids=range(len(MATRICES)))
def test_solve_and_inv_keep_their_bound(a: np.ndarray) -> None:
    n = len(a)
    b = a @ RNG.normal(size=(n, 2))
    true = true_of("solve", a, b)
    (got,) = values(OPS["solve"](leaf(a), leaf(b)))
    bound = 4 * n * EPS * skeel(a, true, b)
    assert (np.abs(got - true) <= bound + 5e-324).all()
    true = true_of("inv", a)
    (got,) = values(OPS["inv"](leaf(a)))
    bound = 4 * n * EPS * skeel(a, true, np.eye(n))
    assert (np.abs(got - true) <= bound + 5e-324).all()


@pytest.mark.parametrize("a", MATRICES, ids=range(len(MATRICES)))
def test_det_keeps_its_bound(a: np.ndarray) -> None:
    n = len(a)
    det, log, sign = values(*[OPS[k](leaf(a)) for k in ("det", "logabsdet", "sign_of_det")])
    true = true_of("det", a)
    # the sum of absolute terms, of the matrix scaled by powers of two to about 1
    b, r, c = equilibrated(a)
    size = sum(np.abs(np.prod(b[range(n), list(p)])) for p in itertools.permutations(range(n)))
    scaled = true_of("det", b)
    if np.isfinite(true) and true:
        assert abs(det - true) <= 4 * n * EPS * np.ldexp(size, int(r.sum() + c.sum()))
    else:
        assert det == true
    condition = size / abs(scaled)
    expected = true_of("logabsdet", a)
    assert abs(log - expected) <= 4 * EPS * (abs(expected) + n * condition)
    assert sign == np.sign(scaled)


def test_det_and_its_log_do_not_leave_the_range_on_the_way() -> None:
    a = np.diag([1e200, 1e200, 1e-200, 1e-200])
    assert snl.det(a).item() == pytest.approx(1.0, rel=8 * EPS)
    tiny = np.eye(50) * 1e-30
    assert snl.slogdet(tiny).logabsdet.item() == pytest.approx(-1500 * np.log(10), rel=4 * EPS)
    assert snl.slogdet(hilbert(60)).logabsdet.item() < -700  # below every pivot's product
    assert snl.slogdet(np.zeros((2, 2))).logabsdet.item() == -np.inf
    near = np.eye(2) + np.array([[1e-12, 0.0], [0.0, 0.0]])
    assert snl.slogdet(near).logabsdet.item() == pytest.approx(np.log1p(near[0, 0] - 1), rel=1e-15)


def test_cofactors_of_matrices_of_any_rank_and_scale() -> None:
    for a in (np.zeros((3, 3)), np.zeros((1, 1)), np.diag([1e-200, 0.0, 1e300]), graded(4, 3)):
        (got,) = values(OPS["cofactors"](leaf(a)))
        true = true_of("cofactors", a)
        ok = np.isfinite(true) & (np.abs(true) > 1e-290)
        np.testing.assert_allclose(got[ok], true[ok], rtol=1e-10)
        assert (np.abs(got[~ok & np.isfinite(true)]) <= 1e-290).all()


def test_triangular_systems_keep_the_bound_of_substitution() -> None:
    n = 12
    a = np.triu(RNG.normal(size=(n, n)))  # condition numbers grow like 2**n
    b = RNG.normal(size=(n, 1))
    true = true_of("triangular_solve", a, b, upper=True)
    got = snl.solve_triangular(a, b).numpy()
    assert (np.abs(got - true) <= 4 * n * EPS * skeel(a, true, b)).all()


def test_cholesky_keeps_its_bound_whatever_the_scaling() -> None:
    n = 5
    b = hilbert(n)
    for scale in (np.ones(n), 2.0 ** np.array([300, -300, 0, 150, -400.0])):
        a = b * scale[:, None] * scale
        true = true_of("cholesky", a)
        (got,) = values(OPS["cholesky"](leaf(a)))
        size = np.sqrt(np.diagonal(a))[:, None]
        assert (np.abs(got - true) <= n * EPS * np.linalg.cond(b) * size).all()


SYMMETRIC = [
    RNG.normal(size=(4, 4)),
    np.eye(3) * 1e-300,
    np.diag([1e200, 1.0, -1e200]),
    np.ones((4, 4)),
    hilbert(5),
    np.array([[1e308, 1e307], [1e307, -1e308]]),
]


@pytest.mark.parametrize("a", SYMMETRIC, ids=range(len(SYMMETRIC)))
def test_eigenvalues_and_singular_values_keep_their_bound(a: np.ndarray) -> None:
    n = len(a)
    for name in ("eigvalsh", "svdvals"):
        true = true_of(name, a)
        (got,) = values(OPS[name](leaf(a)))
        assert (np.abs(got - true) <= 4 * n * EPS * np.abs(true).max()).all()


def test_the_greatest_eigenvalue_and_singular_value_have_gradients() -> None:
    b = np.random.default_rng(7).normal(size=(3, 3))
    a = b + b.T
    v = np.linalg.eigh(a)[1]
    u, _, w = np.linalg.svd(b)
    greatest = sg.grad(lambda a: sg.ops.max(sg.ops.eigvalsh(a)))(sg.tensor(a))
    assert greatest.numpy() == pytest.approx(np.outer(v[:, 2], v[:, 2]))
    norm = sg.grad(lambda b: snl.norm(b, 2))(sg.tensor(b))
    assert norm.numpy() == pytest.approx(np.outer(u[:, 0], w[0]))


def test_naive_derivatives_of_vectors_have_no_quotient_of_zeros() -> None:
    a = sg.tensor(np.diag([1.0, 2.0, 4.0]) + 0.1)
    f = sg.grad(lambda a: (snl.eigh(a)[1] ** 3).sum())
    with sg.naive():
        naive = f(a).numpy()
    assert naive == pytest.approx(f(a).numpy())


def test_vectors_reproduce_their_matrix() -> None:
    for a in SYMMETRIC:
        s = 0.5 * a + 0.5 * a.T
        scale = np.abs(s).max()
        w, v = (x.numpy() for x in snl.eigh(a))
        np.testing.assert_allclose((v * (w / scale)) @ v.T, s / scale, atol=16 * EPS * len(a))
        u, d, vh = (x.numpy() for x in snl.svd(a))
        np.testing.assert_allclose((u * (d / scale)) @ vh, a / scale, atol=16 * EPS * len(a))
        q, r = (x.numpy() for x in snl.qr(a))
        np.testing.assert_allclose(q @ (r / scale), a / scale, atol=16 * EPS * len(a))


@pytest.mark.parametrize("size", [1.0, 8.0, 30.0])
def test_expm_keeps_its_bound(size: float) -> None:
    a = RNG.normal(size=(4, 4))
    a *= size / np.linalg.norm(a, 2)
    e = RNG.normal(size=(4, 4))
    for arrays in ((a,), (a, e), (a, e, e.T)):
        true = true_of("expm", *arrays)
        (got,) = values(OPS["expm"](*[leaf(x) for x in arrays]))
        bound = 4 * EPS * max(1, size) * np.exp(size) * np.linalg.norm(e, 2) ** (len(arrays) - 1)
        assert np.abs(got - true).max() <= 4 * bound


GAPS = [0.0, 1e-300, 1e-16, 1e-12, 1e-8, 1e-4, 1e-2, 0.3]
BODIES = {
    "exp": OPS["exp"](X),
    "log": OPS["log"](X),
    "sqrt": OPS["sqrt"](X),
    "inverse": 1 / X,
    "sin(9x)": OPS["sin"](9 * X),
    "xlogx": OPS["xlogy"](X, X),
    "abs(x - 1.1)": OPS["abs"](X - 1.1),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("base", [1.0, 1e-150])
def test_divided_differences_over_any_gap(name: str, base: float) -> None:
    """f(a) along e, e for eigenvalues at every distance, in the basis in which they are exact."""
    function = BODIES[name]
    e = RNG.normal(size=(3, 3))
    e = e + e.T
    for gap in GAPS if base == 1 else GAPS[2:]:
        a = np.diag([base, base * (1 + gap), base * 2.5])
        for arrays in ((a, e), (a, e, e)):
            true = true_of("matrix_function", *arrays, function=function)
            (got,) = values(
                OPS["matrix_function"](*[leaf(x) for x in arrays], function=function, parameters=0)
            )
            scale = np.abs(true).max()
            if not np.isfinite(scale):
                continue
            assert np.abs(got - true).max() <= 512 * EPS * scale, (gap, len(arrays))


def test_functions_at_the_edge_of_their_domain() -> None:
    u = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    a = u @ np.diag([0.0, 1.0, 4.0]) @ u.T  # an eigenvalue of rounding size, of either sign
    np.testing.assert_allclose(snl.sqrtm(a).numpy(), u @ np.diag([0, 1, 2.0]) @ u.T, atol=1e-7)
    assert np.isnan(snl.sqrtm(np.diag([-1.0, 1.0])).numpy()).any()
    np.testing.assert_array_equal(snl.sqrtm(np.diag([0.0, 4.0])).numpy(), np.diag([0.0, 2.0]))


def test_funm_reaches_the_parameters_of_its_function() -> None:
    a = RNG.normal(size=(2, 3, 3))
    p = sg.tensor(0.7, dtype=np.float64, requires_grad=True)
    y = snl.funm(a, lambda w: sg.numpy.exp(p * w)).sum()
    (slope,) = sg.autograd.grad(y, [p])
    body = X * OPS["exp"](const(0.7, np.float64) * X)
    assert slope.item() == pytest.approx(
        true_of("matrix_function", a, function=body, parameters=0).sum(), rel=64 * EPS
    )
    (second,) = sg.autograd.grad(slope, [p])
    body = X * X * OPS["exp"](const(0.7, np.float64) * X)
    assert second.item() == pytest.approx(
        true_of("matrix_function", a, function=body, parameters=0).sum(), rel=64 * EPS
    )
    with pytest.raises(DomainError, match="elementwise"):
        snl.funm(a, lambda w: w / w.sum())


# -- places without a value ---------------------------------------------------------------


def test_what_has_no_value_is_nan_in_its_own_place_of_the_batch() -> None:
    batch = np.stack([np.eye(2), np.ones((2, 2)), np.full((2, 2), np.nan), -np.eye(2)])
    inverse = snl.inv(batch).numpy()
    np.testing.assert_array_equal(np.isnan(inverse).all(axis=(1, 2)), [False, True, True, False])
    factor = snl.cholesky(batch).numpy()
    np.testing.assert_array_equal(np.isnan(factor).any(axis=(1, 2)), [False, True, True, True])
    x = snl.solve(batch, np.ones(2)).numpy()
    np.testing.assert_array_equal(np.isnan(x).all(axis=1), [False, True, True, False])
    np.testing.assert_array_equal(snl.det(batch).numpy(), [1.0, 0.0, np.nan, 1.0])


@np.errstate(all="ignore")
def test_the_result_is_that_of_numpy_on_everyday_matrices() -> None:
    a, b = RNG.normal(size=(2, 1, 4, 4)), RNG.normal(size=(3, 4, 2))
    for dtype, rtol in ((np.float64, 1e-10), (np.float32, 2e-4), (np.int64, 1e-10)):
        x, y = (np.round(v * 9).astype(dtype) for v in (a, b))
        pairs = [
            (snl.solve(x, y), np.linalg.solve(x, y)),
            (snl.inv(x), np.linalg.inv(x)),
            (snl.det(x), np.linalg.det(x)),
            (snl.slogdet(x)[1], np.linalg.slogdet(x)[1]),
            (snl.matrix_power(x, -3), np.linalg.matrix_power(x, -3)),
            (snl.matrix_power(x, 5), np.linalg.matrix_power(x, 5)),
            (snl.multi_dot([y[0].T, x[0, 0], y[0]]), np.linalg.multi_dot([y[0].T, x[0, 0], y[0]])),
            (sg.numpy.kron(x[0, 0], y), np.kron(x[0, 0], y)),
            (snl.eigh(x @ x.mT)[0], np.linalg.eigh(x @ x.mT)[0]),
            (snl.eigvalsh(x, "U"), np.linalg.eigvalsh(x, "U")),
            (abs(snl.eigh(x, "L")[1]), abs(np.linalg.eigh(x, "L")[1])),
            (snl.svd(x)[1], np.linalg.svd(x)[1]),
            (snl.svdvals(y), np.linalg.svdvals(y)),
            (abs(snl.qr(y)[1]), abs(np.linalg.qr(y)[1])),
            (snl.qr(y.mT, "r"), np.asarray(np.linalg.qr(y.mT, "r"))),
            (snl.pinv(y), np.linalg.pinv(y)),
            (snl.lstsq(y[0], y[1])[0], np.linalg.lstsq(y[0], y[1])[0]),
            (snl.lstsq(y[0], y[1])[1], np.linalg.lstsq(y[0], y[1])[1]),
            (snl.cond(x), np.linalg.cond(x)),
            (snl.cond(x, 1), np.linalg.cond(x, 1)),
            *[
                (snl.norm(y[0], p), np.linalg.norm(y[0], p))
                for p in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
            ],
            *[
                (snl.norm(x, p, axis=-1), np.linalg.norm(x, p, axis=-1))
                for p in (None, 0, 1, 2, 3, 0.5, -1, np.inf, -np.inf)
            ],
            (snl.norm(y, "nuc", (0, 2), True), np.linalg.norm(y, "nuc", (0, 2), True)),
        ]
        for got, expected in [(sg.numpy.asarray(g), e) for g, e in pairs]:
            assert got.shape == expected.shape
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got.numpy(), expected, rtol=rtol)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match="square matrices"):
        snl.inv(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="3 rows"):
        snl.solve(np.eye(3), np.ones((2, 2)))
