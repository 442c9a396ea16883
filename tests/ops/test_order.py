"""Sorting and everything that runs along an axis: ties, zeros, masks, two derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.ir import OPS
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.record import const
from stablegrad.oracle import truth
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.testing import leaf

RNG = np.random.default_rng(20261121)
INF = np.inf


def derivatives(
    name: str, x: np.ndarray, t: np.ndarray, **params: Any
) -> tuple[list[np.ndarray], list[Any]]:
    """Value, first and second derivative along t, the last two ways; and what they should be."""
    a, b = leaf(x), leaf(t)
    y = OPS[name](a, **params)
    first = pushforward(y, (a,), (b,))
    second = pushforward(first, (a,), (b,))
    along = OPS["sum"](gradient(y, a, const(1, y.dtype, y.shape)) * b)
    reverse = OPS["sum"](gradient(along, a, const(1, y.dtype)) * b)
    got = evaluate([y, first, second, reverse], current())
    true = [truth(y, {a: x}, order=k, direction={a: t} if k else None) for k in range(3)]
    return got, true


PLAIN = RNG.normal(size=6)
CASES = [
    ("cumprod", PLAIN),
    ("cumprod", np.array([2.0, 0.0, -3.0, 0.0, 5.0])),
    ("cumprod", np.array([0.0, 0.0, 0.0])),
    ("cumprod", np.array([1e200, 1e100, 1e-200, 1e-250])),
    ("cumprod", np.array([1e-200, 1e-200, 1e300, 3.0])),
    *[("cumlogsumexp", PLAIN * s) for s in (1.0, 40.0, 1000.0)],
    ("cumlogsumexp", np.array([800.0, -INF, 801.0])),
    ("cummax", np.array([1.0, 3.0, 3.0, 2.0, 4.0])),
    ("cummin", np.array([1.0, 1.0, 0.5, 0.5, 0.5])),
    ("sort", np.array([2.0, 1.0, 2.0, 5e-324, -0.0, 0.0])),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "x"), CASES, ids=lambda c: c if isinstance(c, str) else "x")
def test_two_derivatives_in_every_direction(name: str, x: Any, dtype: Any) -> None:
    if dtype is np.float32:
        big = np.isfinite(x) & (np.abs(x) != 0) & (np.abs(np.log10(np.abs(x) + 1e-320)) > 18)
        x = np.where(big, np.sign(x) * np.abs(x) ** 0.12, x)
    x = x.astype(dtype)
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    for k in range(len(x)):
        t = np.eye(len(x), dtype=dtype)[k]
        got, true = derivatives(name, x, t)
        for order, (value, answer) in enumerate(zip(got[:3], true, strict=True)):
            assert np.all(answer.decided)
            # each place has a scale of its own
            scale = np.abs(answer.value)
            scale = (
                scale if name == "cumprod" else np.max(scale, where=np.isfinite(scale), initial=0)
            )
            masked = np.isinf(answer.value)
            assert np.array_equal(value[masked], answer.value[masked])
            error = np.abs(value[~masked] - answer.value[~masked])
            limit = np.broadcast_to(32 * len(x) * eps * scale, value.shape)[~masked] + tiny
            assert np.all(error <= limit), (order, k, value, answer.value)
        total, scale = true[2].value.sum(), np.abs(true[2].value).sum()
        assert abs(got[3] - total) <= 32 * len(x) * eps * scale + tiny


def test_long_axes_are_as_short_ones() -> None:
    x = RNG.normal(size=(2, 1000))
    c = RNG.normal(size=(2, 1000))
    for name, expected in (
        ("cumlogsumexp", np.logaddexp.accumulate(x, axis=1)),
        ("cumprod", np.cumprod(x * 1.5, axis=1)),
        ("cummax", np.maximum.accumulate(x, axis=1)),
        ("cummin", np.minimum.accumulate(x, axis=1)),
    ):
        given = leaf(x * 1.5 if name == "cumprod" else x)
        y = OPS[name](given, axis=1)
        np.testing.assert_allclose(evaluate([y], current())[0], expected, rtol=1e-11, atol=1e-300)
        t = leaf(RNG.normal(size=x.shape))
        push, pull = evaluate([pushforward(y, (given,), (t,)), gradient(y, given, leaf(c))],
                              current())  # fmt: skip
        left, right = np.sum(push * c), np.sum(pull * t.params[0].value)
        assert left == pytest.approx(right, rel=1e-9)


def test_masked_entries_have_no_part() -> None:
    x = np.array([-INF, -INF, 0.0, -INF])
    f = sg.numpy.cumlogsumexp
    np.testing.assert_array_equal(f(x).numpy(), [-INF, -INF, 0.0, 0.0])
    np.testing.assert_array_equal(
        sg.grad(lambda v: f(v)[2:].sum())(x).numpy(), [0.0, 0.0, 2.0, 0.0]
    )
    np.testing.assert_array_equal(sg.grad(lambda v: f(v)[0])(x).numpy(), np.zeros(4))
    assert np.isnan(f(np.array([0.0, np.nan, 1.0])).numpy()).tolist() == [False, True, True]


def test_a_saturated_running_sum_keeps_its_derivatives() -> None:
    x = np.array([0.0, 60.0, -30.0])
    for k in range(3):
        got, true = derivatives("cumlogsumexp", x, np.eye(3)[k])
        for value, answer in zip(got[:3], true, strict=True):
            np.testing.assert_allclose(value, answer.value, rtol=1e-14, atol=0)


def test_ties_share_in_order_statistics() -> None:
    x = np.array([3.0, 1.0, 3.0, 2.0, 3.0])
    median = sg.grad(sg.numpy.median)(x).numpy()
    np.testing.assert_allclose(median, np.where(x == 3, 1 / 3, 0))
    top = sg.grad(lambda v: sg.numpy.topk(v, 2)[0].sum())(x).numpy()
    np.testing.assert_allclose(top, np.where(x == 3, 2 / 3, 0))
    values, places = sg.numpy.topk(x, 2)
    assert values.numpy().tolist() == [3.0, 3.0]
    assert places.numpy().tolist() == [0, 2]
    least = sg.numpy.topk(x, 2, largest=False)
    assert least[1].numpy().tolist() == [1, 3]
    for method in ("lower", "higher", "midpoint", "nearest", "linear", "hazen"):
        g = sg.grad(lambda v, m=method: sg.numpy.quantile(v, 0.4, method=m))(x)
        assert g.numpy().sum() == pytest.approx(1)
        assert np.unique(g.numpy()[x == 3]).size == 1


def test_what_lies_outside_has_no_part() -> None:
    """An infinite slope at an element that is not chosen stays outside, at both orders."""
    x = np.array([0.0, 4.0, 9.0])
    f = lambda v: sg.numpy.median(sg.numpy.sqrt(v))  # noqa: E731
    np.testing.assert_array_equal(sg.grad(f)(x).numpy(), [0.0, 0.25, 0.0])
    np.testing.assert_array_equal(np.diag(sg.hessian(f)(x).numpy()), [0.0, -1 / 32, 0.0])
    assert sg.jvp(f, (x,), (np.ones(3),))[1].item() == 0.25


def test_medians_of_huge_numbers() -> None:
    assert sg.numpy.median(np.array([1.5e308, 1.7e308])).item() == pytest.approx(1.6e308)
    assert np.isnan(sg.numpy.median(np.array([INF, -INF])).item())
    g = sg.grad(sg.numpy.median)(np.array([1e308, 1e308, 1e308])).numpy()
    np.testing.assert_allclose(g, np.full(3, 1 / 3))


def test_nan_comes_last_and_has_no_derivative() -> None:
    x = np.array([np.nan, 1.0, 0.0])
    assert np.isnan(sg.numpy.sort(x).numpy()).tolist() == [False, False, True]
    g = sg.grad(lambda v: sg.numpy.sort(v)[:2].sum())(x).numpy()
    assert np.isnan(g).tolist() == [True, False, False]
    assert np.isnan(sg.numpy.median(x).item())


def test_running_products_recover_from_overflow() -> None:
    x = np.array([1e200, 1e200, 1e-200, 1e-250])
    got = sg.numpy.cumprod(x).numpy()
    np.testing.assert_allclose(got, [1e200, INF, 1e200, 1e-50], rtol=1e-15)
    g = sg.grad(lambda v: sg.numpy.cumprod(v)[3])(x).numpy()
    np.testing.assert_allclose(g, [1e-250, 1e-250, 1e150, 1e200], rtol=1e-15)
