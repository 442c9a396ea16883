"""Ops over whole arrays: shapes and dtypes as NumPy's, transposes, values at extreme inputs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from stablegrad import ops  # noqa: F401 - declares the ops
from stablegrad.canonical import canonical
from stablegrad.engines.numpy import Plan
from stablegrad.errors import DTypeError, ShapeError
from stablegrad.ir import OPS, Term, make
from stablegrad.ops import einsums, extremes, indexing, linalg, shape
from stablegrad.ops.record import INPUT

RNG = np.random.default_rng(20261121)


def leaf(number: int, value: np.ndarray) -> Term:
    return make(INPUT, (), (number,), value.shape, value.dtype)


def evaluate(roots: list[Term], leaves: list[Term], values: list[np.ndarray]) -> list[np.ndarray]:
    return Plan([canonical(r) for r in roots], leaves)(values)


def apply(name: str, *values: Any, **params: Any) -> np.ndarray:
    """The value of an op on arrays."""
    arrays = [np.asarray(v) for v in values]
    leaves = [leaf(i, a) for i, a in enumerate(arrays)]
    term = OPS[name](*leaves, **params)
    (result,) = evaluate([term], leaves, arrays)
    assert result.shape == term.shape
    assert result.dtype == term.dtype
    return result


def check_transpose(name: str, *values: np.ndarray, wrt: int | None = None, **params: Any) -> None:
    """<v, J t> = <J^T v, t> for each data argument, from the record's jvp and vjp."""
    leaves = [leaf(i, a) for i, a in enumerate(values)]
    out = OPS[name](*leaves, **params)
    if out is leaves[0]:  # an op that changes nothing builds nothing
        return
    v = RNG.normal(size=out.shape)
    g = leaf(90, v)
    static = dict(zip(out.op.params, out.params, strict=True))
    pulled = out.op.vjp(out, out.args, g, **static)
    for i, a in enumerate(values):
        if a.dtype.kind != "f" or (wrt is not None and i != wrt):
            continue
        t = RNG.normal(size=a.shape)
        tangent = leaf(80 + i, t)
        tangents = [tangent if j == i else None for j in range(len(values))]
        pushed = out.op.jvp(out, out.args, tangents, **static)
        assert pushed.shape == out.shape
        assert pulled[i].shape == a.shape
        assert pulled[i].dtype == a.dtype
        jt, jv = evaluate([pushed, pulled[i]], [*leaves, g, tangent], [*values, v, t])
        assert np.sum(v * jt) == pytest.approx(np.sum(jv * t), rel=1e-9, abs=1e-12)


# -- shapes, dtypes, values ---------------------------------------------------------------

SHAPES = [(), (1,), (5,), (3, 4), (2, 3, 4), (0,), (3, 0), (1, 4)]
AXES = [None, 0, -1, (0, -1), ()]


def valid(axis: Any, ndim: int) -> bool:
    axes = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return len({a % ndim if ndim else a for a in axes}) == len(axes) and (ndim > 0 or not axes)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, bool])
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "any", "all"])
def test_reductions_are_as_numpy(name: str, dtype: Any) -> None:
    for size in SHAPES:
        x = (RNG.normal(size=size) * 3).astype(dtype)
        for axis in AXES:
            if not valid(axis, x.ndim):
                continue
            for keepdims in (False, True):
                if x.size == 0 and name in ("max", "min"):
                    continue
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
                got = apply(name, x, axis=axis, keepdims=keepdims)
                assert got.shape == expected.shape
                assert got.dtype == expected.dtype
                rtol = 4e-3 if dtype is np.float16 else 1e-6
                np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


def test_axis_has_one_normal_form() -> None:
    x = leaf(0, np.ones((2, 3)))
    assert OPS["sum"](x, axis=-1) is OPS["sum"](x, axis=(1,))
    assert OPS["sum"](x) is OPS["sum"](x, axis=[1, 0])
    assert OPS["reshape"](x, shape=(-1, 2)) is OPS["reshape"](x, shape=(3, 2))
    assert OPS["getitem"](x, index=(slice(0, 9), -1)) is OPS["getitem"](x, index=(Ellipsis, 2))


@pytest.mark.parametrize("size", [(), (4,), (2, 3), (2, 1, 3), (0, 2)])
def test_shape_ops_are_as_numpy(size: tuple[int, ...]) -> None:
    x = RNG.normal(size=size)
    np.testing.assert_array_equal(apply("reshape", x, shape=-1 if x.size else (0,)), x.ravel())
    np.testing.assert_array_equal(apply("transpose", x), x.T)
    np.testing.assert_array_equal(apply("flip", x), np.flip(x))
    bigger = (3, *size)
    np.testing.assert_array_equal(
        apply("broadcast_to", x, shape=bigger), np.broadcast_to(x, bigger)
    )
    widths = ((1, 2),) * x.ndim
    padded = np.pad(x, widths) if x.ndim else x
    np.testing.assert_array_equal(apply("pad", x, widths=widths), padded)
    for axis in range(-x.ndim, x.ndim):
        joined = apply("concatenate", x, x, x, axis=axis)
        np.testing.assert_array_equal(joined, np.concatenate([x, x, x], axis))


def test_shape_functions_are_as_numpy() -> None:
    value = RNG.normal(size=(2, 1, 6))
    x = leaf(0, value)
    pairs = [
        (shape.expand_dims(x, -1), value[..., None]),
        (shape.expand_dims(x, (0, 2)), np.expand_dims(value, (0, 2))),
        (shape.squeeze(x), value[:, 0]),
        (shape.swapaxes(x, 0, -1), np.swapaxes(value, 0, -1)),
        (shape.moveaxis(x, [0, 1], [-1, 0]), np.moveaxis(value, [0, 1], [-1, 0])),
        (shape.stack([x, x], axis=-1), np.stack([value, value], -1)),
        *zip(shape.split(x, 3, axis=-1), np.split(value, 3, -1), strict=True),
        *zip(shape.split(x, [1, 4], axis=2), np.split(value, [1, 4], 2), strict=True),
        (linalg.trace(x, offset=1, axis1=0, axis2=2), np.trace(value, 1, 0, 2)),
        (linalg.diagonal(x, -1, 2, 0), np.diagonal(value, -1, 2, 0)),
        (linalg.outer(x, x), np.outer(value, value)),
        (linalg.tensordot(x, x, ([0, 2], [0, 2])), np.tensordot(value, value, ([0, 2], [0, 2]))),
        (linalg.dot(x, shape.swapaxes(x, 1, 2)),
         np.dot(value, value.swapaxes(1, 2))),
    ]  # fmt: skip
    got = evaluate([term for term, _ in pairs], [x], [value])
    for a, (_, b) in zip(got, pairs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-14)


INDICES = [
    0,
    -1,
    slice(None),
    slice(1, None, 2),
    slice(None, None, -1),
    slice(4, 0, -2),
    slice(3, 1),
    None,
    Ellipsis,
    (1, 2, 0),
    (Ellipsis, 0),
    (None, 1, Ellipsis, None, slice(1)),
    [0, 2, 0],
    np.array([[0, 1], [2, 0]]),
    (slice(None), [1, 1]),
    ([0, 1], [1, 2]),
    ([0, 1], slice(None), [1, 2]),
    (0, slice(None), [1, 0]),
    (slice(None), 0, [1, 0]),
    (slice(None), [0], None, [[1], [0]]),
    ([], slice(1)),
    np.array([True, False, True]),
    (slice(None), np.array([True, False, True, False]), 1),
    np.int64(1),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_is_as_numpy_and_transposes(index: Any) -> None:
    x = RNG.normal(size=(3, 4, 5))
    spec, arrays = indexing.parse_index(index, x.shape)
    expected = x[tuple(index) if isinstance(index, tuple) else index]
    np.testing.assert_array_equal(apply("getitem", x, *arrays, index=spec), expected)
    values = RNG.normal(size=expected.shape)
    target = np.zeros(x.shape)
    np.add.at(target, index, values)
    got = apply("index_add", values, *arrays, shape=x.shape, index=spec)
    np.testing.assert_allclose(got, target, rtol=1e-15)
    check_transpose("getitem", x, *map(np.asarray, arrays), index=spec)
    check_transpose("index_add", values, *map(np.asarray, arrays), shape=x.shape, index=spec)


def test_take_along_axis() -> None:
    x = RNG.normal(size=(3, 4))
    i = np.array([[0, 3, 3], [1, 1, 1], [2, 0, -1]])
    np.testing.assert_array_equal(
        apply("take_along_axis", x, i, axis=1), np.take_along_axis(x, i, 1)
    )
    check_transpose("take_along_axis", x, i, axis=-1)
    check_transpose("add_along_axis", RNG.normal(size=i.shape), i, length=4, axis=1)


MATMULS = [
    ((3,), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 2)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((1, 2, 3), (4, 3, 2)),
    ((2, 0), (0, 3)),
]


@pytest.mark.parametrize(("a", "b"), MATMULS)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = RNG.normal(size=a), RNG.normal(size=b)
    np.testing.assert_allclose(apply("matmul", x, y), x @ y, rtol=1e-13, atol=1e-15)
    check_transpose("matmul", x, y)
    half = apply("matmul", x.astype(np.float16), y.astype(np.float16))
    assert half.dtype == np.float16


EINSUMS = [
    ("i,i->", (3,), (3,)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 3), (3, 4)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iji->j", (3, 2, 3)),
    ("iii->i", (3, 3, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 2)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 2)),
    ("...i,...i", (4, 1, 3), (2, 3)),
    ("i...->...", (3, 2, 2)),
    ("ij,kj,lk->il", (2, 3), (4, 3), (2, 4)),
    ("ij,ij->ij", (1, 3), (2, 3)),
    ("i,j->ij", (2,), (3,)),
    (",i->i", (), (3,)),
    ("ij,kl->k", (2, 3), (4, 2)),
    ("ba", (2, 3)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=lambda c: c[0])
def test_einsum(case: Any) -> None:
    subscripts, *shapes = case
    xs = [RNG.normal(size=s) for s in shapes]
    expected = np.einsum(subscripts, *xs)
    np.testing.assert_allclose(apply("einsum", *xs, subscripts=subscripts), expected, rtol=1e-12)
    # the record's derivatives are those of the normal form
    leaves = [leaf(i, x) for i, x in enumerate(xs)]
    term = OPS["einsum"](*leaves, subscripts=subscripts)
    plain = evaluate(list(term.args), leaves, xs)
    check_transpose("einsum", *plain, subscripts=term.params[0])


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize("axis", [None, 0, (0, 2), -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_transpose(name: str, axis: Any, keepdims: bool) -> None:
    check_transpose(name, RNG.normal(size=(2, 3, 4)), axis=axis, keepdims=keepdims)


def test_linear_ops_transpose() -> None:
    x = RNG.normal(size=(2, 3, 4))
    check_transpose("reshape", x, shape=(4, 6))
    check_transpose("transpose", x, axes=(1, 2, 0))
    check_transpose("broadcast_to", x[:, :1], shape=(5, 2, 3, 4))
    check_transpose("flip", x, axis=(0, 1))
    check_transpose("pad", x, widths=((1, 0), (0, 0), (2, 3)))
    check_transpose("concatenate", x, x[:, :1], x[:, :0], axis=1)
    check_transpose("cumsum", x, axis=1)
    check_transpose("diagonal", x)
    check_transpose("from_diagonal", x, rows=4, columns=6)


# -- extreme inputs -----------------------------------------------------------------------


def test_sum_does_not_overflow_on_the_way() -> None:
    assert apply("sum", [1e308, 1e308, -1e308]) == 1e308
    assert apply("mean", [1.5e308, 1.5e308]) == 1.5e308
    assert apply("sum", [1e308, 1e308]) == np.inf
    assert np.isnan(apply("sum", [np.inf, -np.inf]))
    assert apply("mean", [np.inf, 1.0]) == np.inf


def test_ties_share_and_nan_is_undefined() -> None:
    x = np.array([[1.0, 3.0, 3.0], [np.nan, 1.0, 2.0]])
    t = leaf(0, x)
    out = OPS["max"](t, axis=1)
    g = leaf(1, np.ones(2))
    assert extremes.max.vjp is not None
    (pulled,) = extremes.max.vjp(out, out.args, g, axis=(1,), keepdims=False)
    (value,) = evaluate([pulled], [t, g], [x, np.ones(2)])
    np.testing.assert_array_equal(value[0], [0.0, 0.5, 0.5])
    assert np.isnan(value[1, 0])


# -- support ------------------------------------------------------------------------------


def test_support_follows_linear_ops() -> None:
    x = leaf(0, np.ones((2, 3)))
    masked = OPS["pad"](x, widths=((0, 1), (0, 0)))
    other = leaf(1, np.ones((3, 2)))
    terms = [
        masked,
        OPS["sum"](masked, axis=1),
        OPS["mean"](masked, axis=1, keepdims=True),
        OPS["matmul"](masked, other),
        OPS["matmul"](OPS["transpose"](other), masked),
        einsums.einsum("ij,jk->ki", masked, other),
        OPS["broadcast_to"](masked, shape=(2, 3, 3)),
        OPS["cumsum"](OPS["flip"](masked), axis=0),
        OPS["concatenate"](x, masked, axis=0),
        OPS["getitem"](masked, index=(slice(1, None), 0)),
        OPS["reshape"](masked, shape=(9,)),
        OPS["index_add"](masked, shape=(5, 3), index=slice(0, 5, 2)),
        OPS["diagonal"](masked),
        OPS["from_diagonal"](leaf(2, np.ones(2)), rows=2, columns=2),
    ]
    for term in terms:
        assert term.support is not None
        assert term.support.shape == term.shape
        leaves = [x, other, leaf(2, np.ones(2))]
        mask, full = evaluate([term.support, term], leaves, [np.ones(t.shape) for t in leaves])
        np.testing.assert_array_equal(mask, full != 0, err_msg=term.op.name)
    assert OPS["sum"](x).support is None
    assert OPS["matmul"](x, other).support is None


# -- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda x: OPS["sum"](x, axis=2), ShapeError, "axis 2 of sum"),
        (lambda x: OPS["sum"](x, axis=(0, -2)), ShapeError, "each axis once"),
        (lambda x: OPS["sum"](x, axis="rows"), DTypeError, "an integer"),
        (lambda x: OPS["reshape"](x, shape=(4,)), ShapeError, "6 elements in all"),
        (lambda x: OPS["reshape"](x, shape=(-1, 4)), ShapeError, "6 elements in all"),
        (lambda x: OPS["transpose"](x, axes=(0, 0)), ShapeError, "permutation"),
        (lambda x: OPS["broadcast_to"](x, shape=(2, 4)), ShapeError, "broadcasts to"),
        (lambda x: OPS["matmul"](x, x), ShapeError, r"last axis of the first \(3\)"),
        (lambda x: einsums.einsum("ij,jk", x, x), ShapeError, "one length for 'j'"),
        (lambda x: einsums.einsum("ijk->i", x), ShapeError, "a label for each axis"),
        (lambda x: einsums.einsum("ij->k", x), ShapeError, "output labels"),
        (lambda x: indexing.getitem(x, 5), IndexError, "index 5 on axis 0 of length 2"),
        (lambda x: indexing.getitem(x, (0, 0, 0)), IndexError, "3 indices"),
        (lambda x: indexing.getitem(x, 1.5), DTypeError, "an integer"),
        (lambda x: shape.concatenate(x, shape.transpose(x), axis=0), ShapeError, "agree outside"),
        (lambda x: shape.split(x, 2, axis=1), ShapeError, "equal length"),
        (lambda x: extremes.max(OPS["getitem"](x, index=slice(0, 0))),
         ShapeError, "an element at least"),
    ],
)  # fmt: skip
def test_errors_say_what_came_and_what_was_expected(build: Any, error: Any, text: str) -> None:
    x = leaf(0, np.ones((2, 3)))
    with pytest.raises(error, match=text) as caught:
        build(x)
    assert "test_structured.py" in str(caught.value)
