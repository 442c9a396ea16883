"""NumPy's and SciPy's names: the same arguments, shapes, dtypes and values."""

# ruff: noqa: PLW0108 - the table of cases is read best as lambdas

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.special as sp

import stablegrad as sg
from stablegrad.errors import DomainError, DTypeError, ShapeError, UnknownNameError
from stablegrad.numpy.elementwise import ELEMENTWISE
from stablegrad.ops.sorting import METHODS
from stablegrad.special.functions import ELEMENTWISE as SPECIAL

snp = sg.numpy
X = np.array([[0.5, -0.25, 0.75], [0.1, 0.9, -0.6]])
Y = np.array([[1.5, 0.2, -2.0], [0.3, 3.0, 0.7]])
V = np.array([1.0, 2.0, 3.0])
MODES = ("edge", "reflect", "symmetric", "wrap")
W = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan]])


def same(got, want, rtol=1e-14):
    if isinstance(want, list | tuple):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            same(g, w, rtol)
        return
    want = np.asarray(want)
    assert isinstance(got, sg.Tensor)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.numpy(), want, rtol=rtol, atol=1e-300)


@pytest.mark.parametrize("name", sorted(n for n in ELEMENTWISE if hasattr(np, n)))
def test_elementwise_functions(name):
    theirs, ours = getattr(np, name), getattr(snp, name)
    count = theirs.nin if isinstance(theirs, np.ufunc) else 1
    if name == "invert":
        same(ours(X > 0), ~(X > 0))
        return
    start = abs(X) + (1.0 if ("cosh" in name and "arc" in name) or name == "acosh" else 0.0)
    args = (start, Y)[:count]
    same(ours(*args), theirs(*args), 1e-13)
    wanted = theirs(*[a.astype(np.float32) for a in args]).dtype
    assert ours(*[sg.tensor(a, dtype="float32") for a in args]).dtype == wanted
    with pytest.raises(DTypeError, match="test_namespaces"):
        ours(*args, *args, *args)


@pytest.mark.parametrize("name", sorted(n for n in SPECIAL if hasattr(sp, n)))
def test_special_functions(name):
    theirs, ours = getattr(sp, name), getattr(sg.special, name)
    args = (abs(X), abs(Y), abs(X) / (1 + abs(X)))[
        : theirs.nin if isinstance(theirs, np.ufunc) else 1
    ]
    same(ours(*args), theirs(*args), 1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda m: m.sum(X),
        lambda m: m.sum(X, 0),
        lambda m: m.sum(X, axis=(0, 1), keepdims=True),
        lambda m: m.sum(X, dtype=np.float32),
        lambda m: m.mean(X, 1),
        lambda m: m.prod(X, axis=1),
        lambda m: m.var(X, ddof=1),
        lambda m: m.std(X, axis=0),
        lambda m: m.max(X, axis=1, keepdims=True),
        lambda m: m.amin(X),
        lambda m: m.ptp(X, axis=0),
        lambda m: m.any(X > 0.8, axis=1),
        lambda m: m.all(X),
        lambda m: m.argmax(X, axis=0),
        lambda m: m.argmin(X),
        lambda m: m.count_nonzero(X > 0),
        lambda m: m.cumsum(X),
        lambda m: m.cumsum(X, 1),
        lambda m: m.average(X, axis=1, weights=V),
        lambda m: m.average(X, weights=abs(Y)),
        lambda m: m.where(X > 0, X, Y),
        lambda m: m.where(X > 0, X, 0.0),
        lambda m: m.where([True, False], 1.0, np.zeros(2)),
        lambda m: m.clip(X, 0, 0.5),
        lambda m: m.clip(X, None, 0.5),
        lambda m: m.round(X * 100, 1),
        lambda m: m.concatenate([X, Y]),
        lambda m: m.concatenate([X, Y], axis=None),
        lambda m: m.concatenate((X, X > 0), axis=1),
        lambda m: m.stack([X, Y], axis=1),
        lambda m: m.hstack([X, Y]),
        lambda m: m.vstack([V, V]),
        lambda m: m.column_stack([V, V]),
        lambda m: m.split(X, 3, axis=1),
        lambda m: m.array_split(V, 2),
        lambda m: m.broadcast_arrays(X, V),
        lambda m: m.atleast_1d(3.0) if m is np else m.atleast_1d(np.float64(3.0)),
        lambda m: m.reshape(X, (3, 2)),
        lambda m: m.ravel(X),
        lambda m: m.transpose(X),
        lambda m: m.swapaxes(X, 0, 1),
        lambda m: m.moveaxis(X, 0, 1),
        lambda m: m.expand_dims(X, (0, 2)),
        lambda m: m.squeeze(X[:1]),
        lambda m: m.broadcast_to(V, (2, 3)),
        lambda m: m.flip(X, 1),
        lambda m: m.roll(X, 1),
        lambda m: m.roll(X, -1, axis=1),
        lambda m: m.repeat(X, 2),
        lambda m: m.repeat(X, [1, 2], axis=0),
        lambda m: m.tile(V, 2),
        lambda m: m.tile(X, (2, 1, 2)),
        lambda m: m.pad(X, 1),
        lambda m: m.pad(X, ((1, 0), (0, 2)), constant_values=7.0),
        *[lambda m, k=k: m.pad(X, ((1, 1), (0, 2)), mode=k) for k in MODES],
        lambda m: m.diff(X),
        lambda m: m.diff(X, n=2, axis=1),
        lambda m: m.take(X, [0, 2], axis=1),
        lambda m: m.take(X, 4),
        lambda m: m.take_along_axis(X, np.argsort(X, axis=1), axis=1),
        lambda m: m.diag(V),
        lambda m: m.diag(V, -1),
        lambda m: m.diag(X),
        lambda m: m.diagonal(X, 1),
        lambda m: m.tril(X),
        lambda m: m.triu(X, 1),
        lambda m: m.matmul(X, V),
        lambda m: m.dot(X, V),
        lambda m: m.inner(X, Y),
        lambda m: m.vdot(X, Y),
        lambda m: m.outer(V, V),
        lambda m: m.tensordot(X, Y, axes=([0, 1], [0, 1])),
        lambda m: m.einsum("ij,kj->ik", X, Y),
        lambda m: m.trace(X),
        lambda m: m.cross(V, V[::-1]),
        lambda m: m.linalg.norm(X),
        lambda m: m.linalg.norm(X, axis=1, keepdims=True),
        lambda m: m.linalg.norm(V, 1),
        lambda m: m.linalg.norm(V, np.inf),
        lambda m: m.linalg.norm(X, "fro"),
        lambda m: m.linalg.norm(X, -np.inf, axis=0),
        lambda m: m.arange(5),
        lambda m: m.arange(1.0, 2.0, 0.25),
        lambda m: m.linspace(0, 1, 5),
        lambda m: m.logspace(0, 2, 3),
        lambda m: m.zeros((2, 3)),
        lambda m: m.ones(3, dtype=np.float32),
        lambda m: m.full((2,), 7.0),
        lambda m: m.eye(3),
        lambda m: m.identity(2),
        lambda m: m.zeros_like(X),
        lambda m: m.ones_like(X, dtype=np.int64),
        lambda m: m.full_like(X, 3),
        lambda m: m.array([1.0, 2.0]),
        lambda m: m.array([[1, 2]], dtype=np.float32),
        lambda m: m.asarray(V),
        lambda m: m.rad2deg(X),
        lambda m: m.astype(X, np.float32),
        lambda m: m.cumprod(X),
        lambda m: m.cumprod(X, axis=1),
        lambda m: m.sort(X),
        lambda m: m.sort(X, axis=None),
        lambda m: m.argsort(X, axis=0),
        lambda m: m.searchsorted(V, Y, side="right"),
        lambda m: m.median(X),
        lambda m: m.median(X, axis=1, keepdims=True),
        lambda m: m.median(np.array([1.0, np.nan])),
        lambda m: m.quantile(X, 0.3),
        lambda m: m.quantile(X, [0.1, 0.9], axis=(0, 1), keepdims=True),
        *[lambda m, n=n: m.quantile(V, [0.0, 0.2, 0.5, 0.8], method=n) for n in METHODS],
        lambda m: m.percentile(X, 40, axis=0),
        lambda m: m.nansum(W, axis=0),
        lambda m: m.nanprod(W),
        lambda m: m.nanmean(W, axis=1),
        lambda m: m.nanmax(W, axis=1),
        lambda m: m.nanmin(W),
        lambda m: m.nan_to_num(np.array([np.nan, np.inf, -np.inf]), posinf=1.0),
    ],
)
def test_functions_follow_numpy(f):
    same(f(snp), f(np))


def test_constants_and_dtypes():
    assert snp.pi == np.pi
    assert snp.newaxis is None
    assert snp.float32 is np.float32


def test_names():
    for name in snp.__all__:
        assert hasattr(snp, name)
    for name in sg.special.__all__:
        assert hasattr(sg.special, name)
    assert snp.exp.__name__ == "exp"
    assert snp.exp.__doc__


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda: snp.exp(V, out=np.ones(3)), DTypeError),
        (lambda: snp.exp(V, where=V > 1), DTypeError),
        (lambda: snp.sum(V, where=V > 1), DTypeError),
        (lambda: snp.sum(V, initial=3.0), DTypeError),
        (lambda: snp.concatenate([]), ShapeError),
        (lambda: snp.concatenate([V, X]), ShapeError),
        (lambda: snp.stack([V, X]), ShapeError),
        (lambda: snp.where(V > 1, V), DTypeError),
        (lambda: snp.reshape(V, (2, 2)), ShapeError),
        (lambda: snp.reshape(V, 3, order="F"), DTypeError),
        (lambda: snp.pad(V, 1, mode="mean"), DTypeError),
        (lambda: snp.linalg.norm(X, 3), DomainError),
        (lambda: snp.quantile(X, 1.5), DomainError),
        (lambda: snp.quantile(X, 0.5, method="best"), UnknownNameError),
        (lambda: snp.median(np.zeros(0)), ShapeError),
        (lambda: snp.topk(V, 4), ShapeError),
        (lambda: snp.searchsorted(X, V), ShapeError),
        (lambda: snp.broadcast_arrays(V, np.ones(2)), ShapeError),
        (lambda: snp.exp("a"), DTypeError),
        (lambda: snp.zeros(3, dtype="U1"), DTypeError),
        (lambda: sg.special.polygamma(-1, V), DomainError),
        (lambda: sg.ops.polygamma(V, n=-1), DomainError),
        (lambda: sg.special.logsumexp(V, return_sign=True), DTypeError),
    ],
)
def test_bad_calls(f, error):
    with pytest.raises(error, match=r"test_namespaces\.py"):
        f()


def test_names_that_are_missing():
    with pytest.raises(AttributeError, match=r"np\.unique"):
        snp.unique
    with pytest.raises(AttributeError, match="no 'foo'"):
        snp.foo
    with pytest.raises(AttributeError, match="no 'foo'"):
        sg.special.foo
    with pytest.raises(AttributeError, match="no attribute 'foo'"):
        sg.foo


def test_where_alone_gives_places():
    rows, columns = snp.where(X > 0.6)
    same((rows, columns), np.where(X > 0.6))


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_log_sums(axis):
    for name in ("logsumexp", "softmax", "log_softmax"):
        if isinstance(axis, tuple) and name != "logsumexp":
            continue
        same(getattr(sg.special, name)(X, axis=axis), getattr(sp, name)(X, axis=axis), 1e-13)
    same(sg.special.logsumexp(X, 1, abs(Y), True), sp.logsumexp(X, 1, abs(Y), True), 1e-13)


def test_polygamma():
    for n in (0, 1, 3):
        same(sg.special.polygamma(n, abs(Y)), sp.polygamma(n, abs(Y)), 1e-12)


def test_gradients_pass_through_every_kind():
    x = sg.tensor(X, requires_grad=True)
    y = snp.concatenate([snp.pad(x, 1).ravel(), snp.tile(x, 2).ravel(), snp.diag(x[0]).ravel()])
    (y * np.arange(y.size)).sum().backward()
    want = np.zeros_like(X)
    weights = np.arange(y.size, dtype=float)
    want += weights[:20].reshape(4, 5)[1:3, 1:4]
    want += weights[20:32].reshape(2, 6)[:, :3] + weights[20:32].reshape(2, 6)[:, 3:]
    want[0] += np.diag(weights[32:].reshape(3, 3))
    np.testing.assert_allclose(x.grad.numpy(), want)


@pytest.mark.parametrize(
    "entry",
    [
        lambda x: sg.special.expit(x),
        lambda x: 1 / (1 + snp.exp(-x)),
        lambda x: 1 / (1 + np.exp(-x)),
        lambda x: x.sigmoid(),
        lambda x: sg.ops.sigmoid(x),
        lambda x: sp.expit(x),
    ],
)
def test_every_entry_point_gives_the_same(entry):
    x = sg.tensor([-100.0, 0.0, 100.0], requires_grad=True)
    y = entry(x)
    np.testing.assert_allclose(y.numpy(), np.array([3.7835058e-44, 0.5, 1], np.float32), rtol=1e-7)
    y.sum().backward()
    want = np.array([3.7835058e-44, 0.25, 3.7835058e-44], np.float32)
    assert x.grad.numpy().tolist() == want.tolist()


def test_all_names_of_the_package_exist():
    for name in sg.__all__:
        assert getattr(sg, name) is not None
    assert set(sg.__all__) <= set(dir(sg))


def test_functions_with_a_module_of_their_name_stay_functions():
    import importlib

    for name in ("tensor", "audit"):
        importlib.import_module(f"stablegrad.{name}")
        assert callable(getattr(sg, name))


def test_heavy_modules_are_imported_when_they_are_needed():
    code = (
        "import sys, stablegrad\n"
        "heavy = {'matplotlib', 'rich', 'click', 'jax', 'torch', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
