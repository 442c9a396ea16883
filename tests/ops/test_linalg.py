"""Linear algebra where matrices are singular, badly scaled or ill conditioned; two derivatives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import ShapeError
from stablegrad.ir import OPS, Term
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.matrix_kernels import equilibrated
from stablegrad.ops.record import const
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
    if name not in ("triangle", "sign_of_det")
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
        ]
        for got, expected in pairs:
            assert got.shape == expected.shape
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got.numpy(), expected, rtol=rtol)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match="square matrices"):
        snl.inv(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="3 rows"):
        snl.solve(np.eye(3), np.ones((2, 2)))
