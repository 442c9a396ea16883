"""NumPy's further names: joined, chosen, sampled and counted arrays follow NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import DomainError, DTypeError, OutOfRangeError, ShapeError

snp = sg.numpy
X = np.array([[0.5, -0.25, 0.75], [0.1, 0.9, -0.6]])
Y = np.array([[1.5, 0.2, -2.0], [0.3, 3.0, 0.7]])
V = np.array([1.0, 2.0, 3.0])
W = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan]])
L = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])
TURNS = np.array([0.0, 3.0, 6.5, -3.0, -9.0, 10.0, -20.0, np.pi, 2 * np.pi, 0.0])
ENDS = np.array([np.inf, -np.inf, np.nan, 1.0])
SIGNS = np.array([1.5, -1.5, -0.0, np.inf, -np.inf, np.nan, -0.25])
CUBE = np.arange(16.0).reshape(4, 2, 2) ** 2 + np.eye(4).reshape(4, 2, 2)


def same(got, want):
    if isinstance(want, list | tuple):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            same(g, w)
        return
    if not isinstance(got, sg.Tensor):
        assert got == want
        return
    want = np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-13, atol=1e-300)
    assert (np.signbit(got.numpy()) == np.signbit(want))[want == 0].all() or want.dtype.kind != "f"


@pytest.mark.parametrize(
    "f",
    [
        lambda m: m.interp(Y, V, V**2),
        lambda m: m.interp(np.array([1.0, 2, 3, 0, 4, np.nan]), V, V**2, left=-1.0, right=7.0),
        lambda m: m.interp(Y, np.array([2.0, 0.5, 1.0]), V, period=2.5),
        lambda m: m.interp(Y, V[:1], V[:1]),
        lambda m: m.trapezoid(X),
        lambda m: m.trapezoid(X, V, axis=1),
        lambda m: m.trapezoid(X, dx=0.5, axis=0),
        lambda m: m.trapezoid(X, abs(Y)),
        lambda m: m.gradient(L),
        lambda m: m.gradient(L, 2.0),
        lambda m: m.gradient(X),
        lambda m: m.gradient(X, 2.0, V, edge_order=1),
        lambda m: m.gradient(L, L.cumsum(), edge_order=2),
        lambda m: m.gradient(X, axis=1, edge_order=2),
        lambda m: m.convolve(L, V),
        lambda m: m.convolve(V, L, "same"),
        lambda m: m.convolve(L, V, "valid"),
        lambda m: m.correlate(L, V),
        lambda m: m.correlate(V, L),
        lambda m: m.correlate(V, L, "full"),
        lambda m: m.correlate(L, V, "same"),
        lambda m: m.correlate(V, L, "same"),
        lambda m: m.convolve(L, L[:4], "same"),
        lambda m: m.correlate(L[:4], L, "same"),
        lambda m: m.correlate(L, L[:4], "same"),
        lambda m: m.polyval(V, X),
        lambda m: m.polyval(V, 0.3),
        lambda m: m.interp(0.3, V, L[:3]),
        lambda m: m.gradient(L, 0.1),
        lambda m: m.append(V, 0.3),
        lambda m: m.insert(V, 1, 0.3),
        lambda m: m.diff(V, prepend=0.3),
        lambda m: m.isclose(V * 0.1, 0.1, rtol=1e-12, atol=0),
        lambda m: m.float_power(0.1, V),
        lambda m: m.ediff1d(V, to_end=0.1),
        lambda m: m.vander(V),
        lambda m: m.vander(V, 2, increasing=True),
        lambda m: m.unwrap(TURNS),
        lambda m: m.unwrap(X * 20, axis=0),
        lambda m: m.unwrap(L, period=4),
        lambda m: m.unwrap(L, discont=5),
        lambda m: m.ediff1d(X),
        lambda m: m.ediff1d(X, to_end=[1.0, 2.0], to_begin=0.0),
        lambda m: m.cov(X),
        lambda m: m.cov(X, Y, rowvar=False),
        lambda m: m.cov(L, bias=True),
        lambda m: m.cov(X, ddof=0),
        lambda m: m.corrcoef(X),
        lambda m: m.corrcoef(L),
        lambda m: m.corrcoef(X, Y),
        lambda m: m.nanvar(W, axis=0),
        lambda m: m.nanvar(W, ddof=1),
        lambda m: m.nanstd(W, axis=1, keepdims=True),
        lambda m: m.nanstd(W, axis=1, ddof=1),
        lambda m: m.nanmedian(W),
        lambda m: m.nanmedian(W, axis=0),
        lambda m: m.nanquantile(W, [0.1, 0.5, 0.77], axis=1, keepdims=True),
        lambda m: m.nansum(np.arange(4)),
        lambda m: m.nanmax(np.arange(4)),
        lambda m: m.nancumprod(np.arange(1, 4)),
        lambda m: m.nanpercentile(W, 30),
        lambda m: m.nanmedian(W[:1]),
        lambda m: m.nanmedian(np.array([np.inf, 4.0, np.nan, 3.0])),
        lambda m: m.nanargmax(W, axis=1),
        lambda m: m.nanargmin(W),
        lambda m: m.nancumsum(W),
        lambda m: m.nancumprod(W, axis=1),
        lambda m: m.select([X > 0.5, X < 0], [X, Y], 7.0),
        lambda m: m.piecewise(X, [X < 0, X >= 0.5], [lambda x: -x, lambda x: x * 2]),
        lambda m: m.piecewise(X, [X < 0, X >= 0.5], [-1, lambda x: x * 2, 5]),
        lambda m: m.piecewise(V, V < 2, [1, 2]),
        lambda m: m.choose(np.array([0, 1, 2]), [V, V * 10, V * 100]),
        lambda m: m.choose(np.array([[0], [1]]), [V, 2.0]),
        lambda m: m.compress([True, False, True], X, axis=1),
        lambda m: m.compress([False, True], X),
        lambda m: m.extract(X > 0, X),
        lambda m: m.delete(X, 1, axis=1),
        lambda m: m.delete(L, [0, 2]),
        lambda m: m.delete(L, slice(1, 3)),
        lambda m: m.insert(L, 2, 7.0),
        lambda m: m.insert(L, [1, 3], [7.0, 8.0]),
        lambda m: m.insert(X, 1, V, axis=0),
        lambda m: m.insert(X, 1, 5.0, axis=1),
        lambda m: m.insert(X, [0, 3], np.array([[1.0, 2], [3, 4]]), axis=1),
        lambda m: m.insert(L, 1, [5.0, 6.0, 7.0]),
        lambda m: m.insert(X, 1, np.array([[1.0], [2.0]]), axis=1),
        lambda m: m.insert(X, [1], np.array([[1.0, 9], [2.0, 8]]), axis=1),
        lambda m: m.nonzero(X > 0),
        lambda m: m.flatnonzero(X > 0),
        lambda m: m.argwhere(X > 0),
        lambda m: m.apply_along_axis(lambda v: v.cumsum() if hasattr(v, "cumsum") else 0, 0, X),
        lambda m: m.apply_along_axis(lambda v: v.sum(), 1, X),
        lambda m: m.apply_along_axis(lambda v: v[:2] * 2, 1, X),
        lambda m: m.isclose(X, X + 1e-7),
        lambda m: m.isclose(
            ENDS,
            ENDS[[0, 0, 2, 0]],
            equal_nan=True,
        ),
        lambda m: m.allclose(X, X + 1e-9),
        lambda m: m.array_equal(X, X),
        lambda m: m.array_equal(W, W, equal_nan=True),
        lambda m: m.array_equiv(V, np.stack([V, V])),
        lambda m: m.isneginf(np.array([-np.inf, 1])),
        lambda m: m.isposinf(np.array([np.inf, 1])),
        lambda m: m.divmod(L, V[:1] * 2.3),
        lambda m: m.modf(SIGNS),
        lambda m: m.ldexp(V, np.array([3, -5, 1000])),
        lambda m: m.ldexp(np.array([1e-300, 5e-324]), np.array([1990, 2000])),
        lambda m: m.ldexp(np.array([1e300]), np.array([-2040])),
        lambda m: m.float_power(np.array([2, 3]), 2),
        lambda m: m.around(X * 10, 1),
        lambda m: m.i0(X),
        lambda m: m.real(X),
        lambda m: m.imag(X),
        lambda m: m.conj(X),
        lambda m: m.angle(np.array([-1.0, 0.0, -0.0, 2, np.nan]), deg=True),
        lambda m: m.isreal(X),
        lambda m: m.shape(X),
        lambda m: m.ndim(X),
        lambda m: m.result_type(X, np.float32),
        lambda m: m.append(L, V),
        lambda m: m.append(X, Y, axis=1),
        lambda m: m.atleast_2d(V),
        lambda m: m.atleast_3d(X, V),
        lambda m: m.dstack([X, Y]),
        lambda m: m.block([[X, Y], [Y, X]]),
        lambda m: m.block([V, 1.0]),
        lambda m: m.block([[np.eye(2), np.zeros((2, 1))], [np.ones((1, 3))]]),
        lambda m: m.vsplit(X, 2),
        lambda m: m.hsplit(X, [1]),
        lambda m: m.dsplit(X[None], 3),
        lambda m: m.unstack(X, axis=1),
        lambda m: m.meshgrid(V, L),
        lambda m: m.meshgrid(V, L, V, indexing="ij"),
        lambda m: m.meshgrid(V, L, sparse=True),
        lambda m: m.flipud(X),
        lambda m: m.fliplr(X),
        lambda m: m.rot90(X),
        lambda m: m.rot90(X, 3),
        lambda m: m.rot90(X, 2),
        lambda m: m.rot90(X, -1, axes=(1, 0)),
        lambda m: m.roll(X, (1, 2), axis=(0, 1)),
        lambda m: m.roll(X, 1, axis=(0, 1)),
        lambda m: m.diff(X, prepend=0.0, append=np.array([[1.0], [2.0]])),
        lambda m: m.diff(X, n=2, axis=1, prepend=0.0),
        lambda m: m.diagflat(X),
        lambda m: m.diagflat(V, 1),
        lambda m: m.resize(V, (2, 4)),
        lambda m: m.cumulative_sum(V, include_initial=True),
        lambda m: m.cumulative_prod(X, axis=1),
        lambda m: m.bartlett(5),
        lambda m: m.kaiser(5, 3.0),
        lambda m: m.geomspace(1, 100, 3),
        lambda m: m.indices((2, 3)),
        lambda m: m.tri(3),
        lambda m: m.diag_indices(3),
        lambda m: m.tril_indices(3),
        lambda m: m.triu_indices(3, 1),
        lambda m: m.empty_like(V) * 0,
        lambda m: m.vecdot(X, Y),
        lambda m: m.vecdot(X, Y, axis=0),
        lambda m: m.matvec(X, V),
        lambda m: m.vecmat(V[:2], X),
        lambda m: m.linalg.vecdot(X, Y),
        lambda m: m.linalg.cross(V, L[:3]),
        lambda m: m.linalg.tensordot(X, Y, axes=2),
        lambda m: m.linalg.tensorinv(CUBE, ind=1),
        lambda m: m.linalg.tensorsolve(np.eye(6).reshape(2, 3, 2, 3) * 2, X),
    ],
)
def test_functions_follow_numpy(f):
    same(f(snp), f(np))


def gradient(f, x):
    return sg.grad(f)(np.asarray(x)).numpy()


def test_interpolation_is_differentiable_in_places_and_values():
    slopes = sg.grad(lambda *a: snp.interp(*a).sum(), (0, 1, 2))(
        np.array([0.25, 1.5, 9.0]), np.array([0.0, 1.0, 2.0]), np.array([0.0, 4.0, 5.0])
    )
    np.testing.assert_allclose(slopes[0].numpy(), [4.0, 1.0, 0.0])
    np.testing.assert_allclose(slopes[1].numpy(), [-3.0, -1.5, -0.5])
    np.testing.assert_allclose(slopes[2].numpy(), [0.75, 0.75, 1.5])


def test_a_nan_that_is_skipped_has_no_part_in_the_derivative():
    x = [1.0, np.nan, 4.0, 2.0]
    np.testing.assert_allclose(gradient(snp.nanmedian, x), [0, 0, 0, 1])
    want = [-4 / 3 / 3 * 2, 0, 5 / 3 / 3 * 2, -1 / 3 / 3 * 2]
    np.testing.assert_allclose(gradient(snp.nanvar, x), want, rtol=1e-14)
    assert gradient(snp.nanstd, [2.0, np.nan, 2.0]).tolist() == [0, 0, 0]
    assert gradient(lambda t: snp.nancumsum(t).sum(), x).tolist() == [4, 0, 2, 1]


def test_a_correlation_of_huge_and_of_constant_rows():
    x = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 5.0]])
    want = np.corrcoef(x)[0, 1]
    for scale in (1e-200, 1e200):
        assert abs(snp.corrcoef(x * scale)[0, 1].item() - want) < 1e-15
        slope = gradient(lambda t: snp.corrcoef(t)[0, 1], x * scale)
        np.testing.assert_allclose(
            slope * scale, gradient(lambda t: snp.corrcoef(t)[0, 1], x), rtol=1e-13
        )
    assert not gradient(lambda t: snp.corrcoef(t)[0, 1], np.ones((2, 3))).any()


def test_a_power_of_two_beyond_the_range_times_what_brings_it_back():
    x, n = np.array([5e-324, 1e-300]), np.array([2000, 1990])
    assert snp.ldexp(x, n).numpy().tolist() == np.ldexp(x, n).tolist()
    assert gradient(lambda t: snp.ldexp(t, np.array([1000, 3])).sum(), x).tolist() == [2.0**1000, 8]


def test_full_bases_span_the_rest_of_the_space():
    a = np.random.default_rng(3).normal(size=(4, 2))
    weights = np.arange(16.0).reshape(4, 4) ** 1.5
    for vectors in (
        lambda t: snp.linalg.svd(t)[0],
        lambda t: snp.linalg.svd(t.T)[2].T,
        lambda t: snp.linalg.qr(t, mode="complete")[0],
    ):
        rest = vectors(sg.tensor(a)).numpy()
        np.testing.assert_allclose(rest.T @ rest, np.eye(4), atol=1e-14)

        def f(t, vectors=vectors):
            p = vectors(t)[:, 2:]
            return (p @ p.T * weights).sum()

        def g(t):
            return -(t @ snp.linalg.pinv(t) * weights).sum()

        for order in (sg.grad, sg.hessian):
            np.testing.assert_allclose(order(f)(a).numpy(), order(g)(a).numpy(), atol=1e-11)


def test_factors_of_cholesky_solve():
    a, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    for lower in (False, True):
        x = snp.linalg.cho_solve(snp.linalg.cho_factor(a, lower), b)
        np.testing.assert_allclose(x.numpy(), np.linalg.solve(a, b))
    want = np.block([[a, np.zeros((2, 2))], [np.zeros((1, 2)), b.reshape(1, 2)]])
    assert snp.linalg.block_diag(a, b).numpy().tolist() == want.tolist()


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda: snp.interp(V, V, V[:2]), ShapeError),
        (lambda: snp.interp(V, V, V, period=0), DomainError),
        (lambda: snp.gradient(V, 1.0, 2.0), ShapeError),
        (lambda: snp.gradient(V[:1]), ShapeError),
        (lambda: snp.convolve(X, V), ShapeError),
        (lambda: snp.convolve(V, V, "most"), DomainError),
        (lambda: snp.cov(V, aweights=V), DTypeError),
        (lambda: snp.nanquantile(V, 2.0), DomainError),
        (lambda: snp.select([], []), ShapeError),
        (lambda: snp.piecewise(V, [V > 0], [1, 2, 3]), ShapeError),
        (lambda: snp.choose(V, [V]), DTypeError),
        (lambda: snp.choose(np.array([3]), [V]), OutOfRangeError),
        (lambda: snp.ldexp(V, V), DTypeError),
        (lambda: snp.meshgrid(V, indexing="yx"), ShapeError),
        (lambda: snp.cumulative_sum(X), ShapeError),
        (lambda: snp.linalg.tensorinv(X), ShapeError),
        (lambda: snp.linalg.tensorsolve(X, V), ShapeError),
    ],
)
def test_bad_calls(f, error):
    with pytest.raises(error, match=r"test_numpy_arrays\.py"):
        f()


def test_names_of_general_matrices_say_what_to_use():
    with pytest.raises(AttributeError, match="eigh for symmetric"):
        snp.linalg.eig
    with pytest.raises(AttributeError, match="no 'foo'"):
        snp.linalg.foo


@pytest.mark.parametrize(
    "ones",
    [
        lambda x: np.ones(1),
        lambda x: np.ones_like(np.asarray(x)),
        snp.ones_like,
        lambda x: snp.ones(2),
    ],
    ids=["array", "like", "ones_like", "ones"],
)
def test_an_array_of_ones_is_the_number_1(ones):
    x = sg.tensor(np.array([50.0, 800.0]), requires_grad=True)
    y = snp.log(ones(x.detach()) - sg.ops.sigmoid(x))
    assert y.numpy().tolist() == [-50, -800]
    y.sum().backward()
    assert x.grad.numpy().tolist() == [-1, -1]
    w = snp.ones(2).requires_grad_()
    (w * 3).sum().backward()
    assert w.is_leaf
    assert w.grad.numpy().tolist() == [3, 3]
    assert snp.ones(2).assign_(np.zeros(2)).numpy().tolist() == [0, 0]


def test_equal_distances_between_tensors() -> None:
    ends = np.array([0.3, 1.0]), np.array([2.5, -1.0])
    first, last = (sg.tensor(v) for v in ends)
    linspace: Any = np.linspace  # NumPy's types know no tensors
    logspace: Any = np.logspace
    for given in ({}, {"num": 4, "endpoint": False}, {"num": 3, "axis": -1}, {"num": 1}):
        found = linspace(first, last, **given)
        np.testing.assert_allclose(found.numpy(), linspace(*ends, **given), rtol=1e-14)
    assert sg.grad(lambda x: np.sum(linspace(0.0, x, 5)))(2.0).item() == 2.5
    np.testing.assert_allclose(logspace(first, last, 4).numpy(), np.logspace(*ends, 4), rtol=1e-13)
    with pytest.raises(sg.errors.DTypeError, match="geomspace of a tensor"):
        np.geomspace(first, last, 3)


def test_lists_of_tensors_are_stacked_with_their_gradients() -> None:
    determinant = sg.grad(lambda a, b: snp.linalg.det([[a, 1.0], [b, a]]), argnums=(0, 1))
    assert [g.item() for g in determinant(np.float64(3.0), np.float64(2.0))] == [6.0, -1.0]
    assert sg.grad(lambda a: snp.sum(snp.array([a, a * a, 0.1]) ** 2))(np.float64(3.0)) == 114.0
    with pytest.raises(ShapeError, match="rows of equal length"):
        sg.grad(lambda a: snp.sum([a, [a, a]]))(1.0)
