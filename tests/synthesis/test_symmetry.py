"""Functions of two values that a shift or a scale makes functions of one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import stablegrad as sg
from stablegrad import ops as o
from stablegrad import program
from stablegrad.ir import Term
from stablegrad.oracle import Status, truth
from stablegrad.program import forget
from stablegrad.rules import DATABASES
from stablegrad.synthesis.recipe import X
from stablegrad.synthesis.reduce import Y
from stablegrad.synthesis.symmetry import SCALE, SHIFT, Symmetry, symmetry

STABILIZE = [r.name for d in DATABASES for r in d.rules if d.name == "stabilize"]
THIRD, HALF = Fraction(1, 3), Fraction(1, 2)
F = Fraction


@pytest.mark.parametrize(
    ("f", "kind", "p", "k", "c"),
    [
        (o.log(o.exp(X) + o.exp(Y)), SHIFT, 1, 0, 1),
        ((o.exp(X) - o.exp(Y)) / (X - Y), SHIFT, 1, 1, 0),
        (o.exp(X - Y) - 1 - (X - Y), SHIFT, 1, 0, 0),
        (X * o.log(X) - X * o.log(Y) - X + Y, SCALE, 1, 1, 0),
        ((X - Y) / (o.log(X) - o.log(Y)), SCALE, 1, 1, 0),
        (o.sqrt(X * X + Y) - X, SCALE, 2, 1, 0),
        (o.cbrt(X + Y) - o.cbrt(X), SCALE, 1, THIRD, 0),
        (o.log(o.sqrt(X * X + Y * Y)), SCALE, 1, 0, 1),
        (o.where(X > Y, X, Y) / (X + Y), SCALE, 1, 0, 0),
        (o.sqrt(1 + X * Y), SCALE, -1, 0, 0),
        (o.maximum(X, Y) - o.hypot(X, Y), SCALE, 1, 1, 0),
    ],
)
def test_symmetries_are_found(f: Term, kind: str, p: int, k: Fraction, c: int) -> None:
    assert symmetry(f, X, Y, kind) == Symmetry(kind, F(p), F(k), F(c))


@pytest.mark.parametrize(
    "f",
    [
        o.sin(X) - o.sin(Y),
        o.log(X + 1) - Y,
        o.maximum(X, 0) + o.exp(Y),
        o.where(X > 0, o.exp(X - Y), o.exp(Y)),
        X * o.log(Y) - Y + X,
        o.floor(X / Y) + X,
        o.exp(X) - o.exp(2 * Y) + X,
    ],
)
def test_what_has_none_is_left_alone(f: Term) -> None:
    for kind in (SHIFT, SCALE):
        for pair in ((X, Y), (Y, X)):
            assert symmetry(f, *pair, kind) is None


FRAGILE = {
    "deviance": lambda a, b: a * o.log(a / b) - a + b,
    "exp quotient": lambda a, b: (o.exp(a) - o.exp(b)) / (a - b),
    "shifted exponential": lambda a, b: o.exp(a - b) - 1 - (a - b),
    "root of a square": lambda a, b: o.sqrt(a * a + b) - a,
    "cube roots": lambda a, b: o.cbrt(a + b) - o.cbrt(a),
    "arctan of a ratio": lambda a, b: o.arctan(a / b) - a / b,
}


def points(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Of all sizes, of one size, and next to each other."""
    rng = np.random.default_rng(4)
    a = np.concatenate([np.exp2(rng.uniform(-30, 30, n)), np.exp2(rng.uniform(-3, 3, 2 * n))])
    near = a[n : 2 * n] * (1 + np.exp2(rng.uniform(-50, -1, n)))
    b = np.concatenate([np.exp2(rng.uniform(-30, 30, n)), near, a[2 * n :] + rng.normal(size=n)])
    return a, b


def errors(got: np.ndarray, f, a: np.ndarray, b: np.ndarray, **moved: object) -> np.ndarray:
    true = truth(f(X, Y), {X: a, Y: b}, got.dtype, budget=1600, limits=False, **moved)
    tiny = np.finfo(got.dtype).tiny
    normal = (true.status == Status.DECIDED) & np.isfinite(true.value)
    normal &= np.abs(true.value) >= tiny
    assert normal.sum() > 40
    error = (got[normal] - true.value[normal]) / np.spacing(np.abs(true.value[normal]))
    return np.abs(error - true.offset[normal])


@pytest.mark.parametrize("name", FRAGILE)
def test_values_and_gradients_are_right_without_rules(name: str) -> None:
    f = FRAGILE[name]
    a, b = points()
    with sg.rules(exclude=STABILIZE), np.errstate(all="ignore"):
        x, y = (sg.tensor(v, requires_grad=True) for v in (a, b))
        z = f(x, y)
        assert "reduced" in sg.explain(z).ops
        assert errors(z.numpy(), f, a, b).max() <= 4
        z.sum().backward()
        assert x.grad is not None
        assert y.grad is not None
        for got, moves in ((x.grad, {X: 1.0, Y: 0.0}), (y.grad, {X: 0.0, Y: 1.0})):
            direction = {v: np.full(a.shape, d) for v, d in moves.items()}
            assert errors(got.numpy(), f, a, b, order=1, direction=direction).max() <= 4


def test_what_is_added_is_taken_from_the_side_that_does_not_cancel() -> None:
    f = lambda a, b: o.log(o.exp(a) + o.exp(b))  # noqa: E731
    a, b = np.array([800.0, -3.777, -800.0, 1.0]), np.array([1.0, -0.065, -801.0, 900.0])
    with sg.rules(exclude=STABILIZE), np.errstate(all="ignore"):
        got = f(sg.tensor(a), sg.tensor(b)).numpy()
    true = truth(f(X, Y), {X: a, Y: b})
    assert (np.abs(got - true.value) <= 4 * np.spacing(np.abs(true.value))).all()


def test_negative_values_have_a_kernel_of_their_own() -> None:
    f = FRAGILE["cube roots"]
    a, b = np.array([-2.0, -8.0, 3.0]), np.array([1e-9, -1e-12, -1e-9])
    with sg.rules(exclude=STABILIZE):
        got = f(sg.tensor(a), sg.tensor(b)).numpy()
    true = truth(f(X, Y), {X: a, Y: b})
    assert (np.abs(got - true.value) <= 4 * np.spacing(np.abs(true.value))).all()


def test_zeros_keep_their_sign() -> None:
    f = FRAGILE["arctan of a ratio"]
    a, b = np.array([2.0, 2.0, -2.0, 2.0]), np.array([0.0, -0.0, 0.0, 3.0])
    with sg.rules(exclude=STABILIZE), np.errstate(all="ignore"):
        got = f(sg.tensor(a), sg.tensor(b)).numpy()
    assert got[:3].tolist() == [-np.inf, np.inf, np.inf]


def test_shapes_broadcast_and_float32_is_computed_in_float64() -> None:
    f = FRAGILE["deviance"]
    a = np.array([[1.0], [2.0]], np.float32)
    b = np.array([1.0001, 2.0001, 3.0], np.float32)
    with sg.rules(exclude=STABILIZE):
        got = f(sg.tensor(a), sg.tensor(b))
    assert got.shape == (2, 3)
    assert got.dtype == np.float32
    wide = np.broadcast_arrays(a.astype(np.float64), b.astype(np.float64))
    assert errors(np.tile(got.numpy(), (14, 1)), f, *(np.tile(v, (14, 1)) for v in wide)).max() < 1


def test_the_report_names_the_symmetry() -> None:
    with sg.rules(exclude=STABILIZE):
        text = str(sg.explain(FRAGILE["deviance"](sg.tensor([1.0, 2.0]), sg.tensor([1.0, 3.0]))))
    assert "by its scale a function of b/a" in text


@pytest.mark.parametrize("name", ["deviance", "shifted exponential", "cube roots"])
def test_it_is_the_same_under_xla(name: str) -> None:
    pytest.importorskip("jax")
    a, b = points()
    with sg.rules(exclude=STABILIZE), np.errstate(all="ignore"):
        got = sg.compile(FRAGILE[name], engine="xla")(a, b).numpy()
    assert errors(got, FRAGILE[name], a, b).max() <= 4


def test_conditions_alone_beside_what_is_added() -> None:
    """A Huber loss: abs(x - y) - 1/2, under a condition that is the only other factor."""

    def huber(x: Term, y: Term) -> Term:
        near = sg.ops.abs(x - y) < 1
        return sg.ops.where(near, 0.5 * (x - y) ** 2, sg.ops.abs(x - y) - 0.5)

    x, y = np.array([0.25, 3.0, -4.0]), np.zeros(3)
    value, slope = sg.value_and_grad(lambda x: sg.numpy.sum(huber(x, sg.tensor(y))))(sg.tensor(x))
    assert value.numpy() == pytest.approx(0.03125 + 2.5 + 3.5)
    assert slope.numpy().tolist() == [0.25, 1.0, -1.0]


def test_the_limit_of_a_program_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = sg.tensor([1.0, 2.0], dtype="float64"), sg.tensor([1.0, 3.0], dtype="float64")
    c, d = sg.tensor([4.0, 2.0], dtype="float64"), sg.tensor([5.0, 3.0], dtype="float64")
    with sg.rules(exclude=STABILIZE):
        y = FRAGILE["deviance"](a, b) * FRAGILE["arctan of a ratio"](c, d)
        assert sg.explain(y).ops.count("reduced") == 2
        monkeypatch.setattr(program, "WIDENED", replace(program.WIDENED, most=10))
        forget()
        assert sg.explain(y).ops.count("reduced") == 1
