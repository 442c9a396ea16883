"""Where mathematics leaves a choice: every choice of every convention, at two orders and modes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import NotDifferentiableError, UnknownNameError
from stablegrad.settings import CONVENTIONS, Conventions, current

snp = sg.numpy
F = sg.nn.functional
NAN, INF = math.nan, math.inf

TIED = np.array([2.0, 1.0, 2.0])
ROW = np.array([-INF, -INF])
X = [0.0]

CASES: dict[tuple[str, str], list[tuple[Any, Any, Any]]] = {
    # (convention, choice): (function, argument, gradient of the sum)
    ("kinks", "zero"): [(snp.abs, X, [0.0]), (F.relu, X, [0.0])],
    ("kinks", "left"): [
        (snp.abs, X, [-1.0]),
        (F.relu, X, [0.0]),
        (lambda x: snp.minimum(x, 0.0), X, [1.0]),
        (lambda x: snp.clip(x, 0.0, 1.0), [0.0, 1.0, 0.5, 2.0], [0.0, 1.0, 1.0, 0.0]),
    ],
    ("kinks", "right"): [
        (snp.abs, X, [1.0]),
        (F.relu, X, [1.0]),
        (lambda x: snp.minimum(x, 0.0), X, [0.0]),
        (lambda x: snp.clip(x, 0.0, 1.0), [0.0, 1.0, 0.5, 2.0], [1.0, 0.0, 1.0, 0.0]),
        (F.relu6, [0.0, 6.0, 1.0], [1.0, 0.0, 1.0]),
    ],
    ("kinks", "mean"): [(snp.abs, X, [0.0]), (F.relu, [0.0, 2.0, -2.0], [0.5, 1.0, 0.0])],
    ("kinks", "nan"): [(snp.abs, [0.0, 2.0], [NAN, 1.0]), (F.relu, [0.0, -2.0], [NAN, 0.0])],
    ("origin", "zero"): [(snp.linalg.norm, [0.0, 0.0], [0.0, 0.0])],
    ("origin", "nan"): [
        (snp.linalg.norm, [0.0, 0.0], [NAN, NAN]),
        (snp.linalg.norm, [3.0, 4.0], [0.6, 0.8]),
        (lambda x: snp.hypot(x[0], x[1]), [0.0, 0.0], [NAN, NAN]),
        (snp.std, [1.0, 1.0], [NAN, NAN]),
        (lambda x: F.pairwise_distance(x, np.ones(2), eps=0.0), [1.0, 1.0], [NAN, NAN]),
        (lambda x: snp.linalg.norm(x) ** 2, [0.0, 0.0], [0.0, 0.0]),
    ],
    ("ties", "share"): [(snp.max, TIED, [0.5, 0.0, 0.5])],
    ("ties", "first"): [
        (snp.max, TIED, [1.0, 0.0, 0.0]),
        (lambda x: snp.min(-x, axis=0, keepdims=True), TIED, [-1.0, 0.0, 0.0]),
        (snp.median, np.array([2.0, 2.0, 2.0]), [0.0, 1.0, 0.0]),
        (lambda x: snp.sort(x)[2], TIED, [0.0, 0.0, 1.0]),
        (lambda x: snp.cummax(x)[2], TIED, [1.0, 0.0, 0.0]),
        (lambda x: snp.cummin(-x).sum(), TIED, [-3.0, 0.0, 0.0]),
        (lambda x: snp.maximum(x[0], x[1]), [1.0, 1.0], [1.0, 0.0]),
        (lambda x: snp.maximum(x[1], x[0]), [1.0, 1.0], [0.0, 1.0]),
        (lambda x: snp.minimum(x[1], x[0] * 2), [1.0, 2.0], [0.0, 1.0]),
        (lambda x: snp.max(x.reshape(2, 2), axis=1).sum(), [1.0, 1.0, 3.0, 4.0], [1, 0, 0, 1]),
    ],
    ("ties", "nan"): [
        (snp.max, TIED, [NAN, NAN, NAN]),
        (snp.max, [1.0, 2.0], [0.0, 1.0]),
        (lambda x: snp.sort(x)[0], TIED, [0.0, 1.0, 0.0]),
        (lambda x: snp.sort(x)[2], TIED, [0.0, 0.0, NAN]),
        (lambda x: snp.cummax(x)[0], TIED, [1.0, 0.0, 0.0]),
        (lambda x: snp.cummax(x)[2], TIED, [NAN, 0.0, 0.0]),
        (lambda x: snp.maximum(x[0], x[1]), [1.0, 1.0], [NAN, NAN]),
    ],
    ("roots", "inf"): [(snp.sqrt, X, [INF])],
    ("roots", "zero"): [
        (snp.sqrt, [0.0, 4.0], [0.0, 0.25]),
        (lambda x: x**0.25, [0.0, 16.0], [0.0, 1 / 32]),
        (snp.cbrt, X, [0.0]),
        (lambda x: x * snp.sqrt(x), X, [0.0]),
    ],
    ("roots", "nan"): [(snp.sqrt, [0.0, 4.0], [NAN, 0.25]), (lambda x: x**0.5, X, [NAN])],
    ("powers", "limit"): [(lambda y: snp.power(np.zeros(2), y), [2.0, 3.0], [0.0, 0.0])],
    ("powers", "nan"): [
        (lambda y: snp.power(np.zeros(1), y), [2.0], [NAN]),
        (lambda x: snp.power(x, np.array([0.0, 2.0])), [0.0, 0.0], [NAN, 0.0]),
    ],
    ("entropy", "limit"): [(lambda x: sg.special.xlogy(x, 3.0), X, [math.log(3.0)])],
    ("entropy", "nan"): [
        (lambda x: sg.special.xlogy(x, 3.0), [0.0, 1.0], [NAN, math.log(3.0)]),
        (sg.special.entr, X, [NAN]),
    ],
    ("rounding", "zero"): [(snp.floor, [0.5], [0.0])],
    ("rounding", "straight_through"): [
        (snp.floor, [0.5], [1.0]),
        (lambda x: snp.round(x) ** 2, [1.75], [4.0]),
    ],
    ("masked_rows", "zero"): [(lambda x: F.softmax(x)[0], ROW, [0.0, 0.0])],
    ("masked_rows", "nan"): [
        (lambda x: F.softmax(x)[0], ROW, [NAN, NAN]),
        (lambda x: F.softmax(x)[0], [0.0, -INF], [0.0, 0.0]),
    ],
    ("zero_factor", "block"): [(lambda x: 0.0 * np.zeros(1) * snp.sqrt(x), X, [0.0])],
    ("zero_factor", "ieee"): [(lambda x: sg.tensor([0.0]) * snp.sqrt(x), X, [NAN])],
}


@pytest.mark.parametrize(("name", "choice"), CASES, ids=lambda v: v)
def test_each_choice(name: str, choice: str) -> None:
    for f, argument, expected in CASES[name, choice]:
        x = np.asarray(argument, float)
        with sg.conventions(**{name: choice}):
            got = sg.grad(lambda v, f=f: snp.sum(f(v)))(x).numpy()
            columns = [
                sg.jvp(lambda v, f=f: snp.sum(f(v)), (x,), (t,))[1].numpy() for t in np.eye(x.size)
            ]
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        # forward mode: 0 * nan is nan, so only where all are numbers
        if np.isfinite(got).all():
            np.testing.assert_allclose(columns, expected, rtol=1e-12)
        else:
            assert not np.isfinite(columns).all()


def test_every_choice_has_a_case() -> None:
    known = {(name, choice) for name, (_, choices) in CONVENTIONS.items() for choice in choices}
    assert known - set(CASES) == {("rounding", "error")}
    with (
        sg.conventions(rounding="error"),
        pytest.raises(NotDifferentiableError, match="rounding="),
    ):
        sg.grad(lambda x: snp.floor(x) * x)(1.5).item()


def test_the_first_choice_is_the_usual() -> None:
    for name, (_, choices) in CONVENTIONS.items():
        assert getattr(Conventions(), name) == next(iter(choices))
    with sg.conventions(**{name: next(iter(c)) for name, (_, c) in CONVENTIONS.items()}) as now:
        assert now.conventions == Conventions()


def test_values_follow_the_convention_of_masked_rows() -> None:
    f = lambda q: F.scaled_dot_product_attention(q, q, q, [[False, False], [True, True]])  # noqa: E731
    x = np.ones((2, 1))
    assert f(x).numpy().tolist() == [[0.0], [1.0]]
    with sg.conventions(masked_rows="nan"):
        assert np.isnan(f(x).numpy()).ravel().tolist() == [True, False]


def test_a_convention_belongs_to_what_was_built_under_it() -> None:
    x = sg.tensor([0.0], requires_grad=True)
    with sg.conventions(kinks="right", ties="first"):
        inside = F.relu(x).sum()
        assert current().conventions.kinks == "right"
        with sg.conventions(kinks="mean"):
            assert current().conventions.ties == "first"
    outside = F.relu(x).sum()
    inside.backward()
    assert x.grad.item() == 1.0
    x.zero_grad()
    outside.backward()
    assert x.grad.item() == 0.0
    assert current().conventions == Conventions()


def test_second_derivatives_under_a_convention() -> None:
    with sg.conventions(kinks="right", roots="zero"):
        assert sg.grad(sg.grad(lambda x: F.relu(x) ** 2))(0.0).item() == 2.0
        assert sg.grad(sg.grad(snp.sqrt))(0.0).item() == 0.0
    with sg.conventions(rounding="straight_through"):
        assert sg.grad(sg.grad(lambda x: snp.round(x) ** 3))(2.2).item() == 12.0


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="'kink'"), sg.conventions(kink="left"):
        pass
    with pytest.raises(UnknownNameError, match="'zero', 'left'"), sg.conventions(kinks="up"):
        pass


def test_the_page_has_every_convention() -> None:
    page = Path(__file__).parent.parent.joinpath("docs", "conventions.md").read_text("utf8")
    for name, (where, choices) in CONVENTIONS.items():
        assert f"`{name}`" in page
        assert where in page, name
        for choice, meaning in choices.items():
            assert f"`{choice}`: {meaning}" in page, (name, choice)


@pytest.mark.parametrize(
    ("f", "mixed"),
    [
        (lambda p, q: snp.sum((snp.sqrt(p) - snp.sqrt(q)) ** 2), -0.5 / 0.25),
        (lambda p, q: snp.sum((3 * snp.sqrt(q) - 3 * snp.sqrt(p)) ** 2 * 5), -22.5 / 0.25),
    ],
)
def test_a_factor_that_is_a_variable_blocks_nothing(f: Any, mixed: float) -> None:
    """The cotangent of a square is a sum of its own, which depends on the variables as the root."""
    x = sg.tensor(np.array([0.25, 0.25]))
    (pp, pq), (qp, qq) = sg.hessian(f, argnums=(0, 1))(x, sg.tensor(np.array([0.25, 0.25])))
    for block, sign in ((pp, -1), (pq, 1), (qp, 1), (qq, -1)):
        np.testing.assert_allclose(block.numpy(), sign * mixed * np.eye(2), rtol=1e-15)
