"""Synthesized kernels under NumPy: a table where the naive form needs it, and only there."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
from stablegrad import ops
from stablegrad.canonical import canonical
from stablegrad.engines import masked
from stablegrad.engines.numpy import Plan, bound
from stablegrad.ir import Term, make, topological
from stablegrad.ops.record import CONST, INPUT
from stablegrad.oracle import truth
from stablegrad.synthesis import X, recipe
from stablegrad.synthesis.op import SYNTHESIZED
from stablegrad.transforms.lower import Lowering

RATIO = ops.log(X) / (X - 1)
NARROW = X + 1e-3 * (ops.exp(X - 1.3) - 1) / (X - 1.3)
"""What cancels at 1.3 shows within 1e-3 of it only: few points of a cell would meet it."""


def lowered(f: Term, n: int) -> tuple[Term, Term]:
    """The kernel of an expression beside the expression, for n elements, and its input."""
    x = make(INPUT, (), (0,), (n,), np.dtype(np.float64))
    done: dict[Term, Term] = {X: x}
    for t in topological([f]):
        if t is not X:
            shape = () if t.op is CONST else (n,)
            done[t] = make(t.op, tuple([done[a] for a in t.args]), t.params, shape, t.dtype)
    root = make(SYNTHESIZED, (x, done[f]), (recipe(f, X),), (n,), np.dtype(np.float64))
    return Lowering()([root])[0], x


def run(f: Term, xs: np.ndarray) -> np.ndarray:
    root, x = lowered(f, xs.size)
    return Plan([root], [x])([xs])[0]


def masked_of(f: Term) -> masked.Masked:
    return masked.masked_of(lowered(f, 4)[0], bound, bound)


def worst(f: Term, xs: np.ndarray, got: np.ndarray) -> float:
    true = truth(f, {X: xs})
    return float(np.max(np.abs((got - true.value) / np.spacing(np.abs(true.value)) - true.offset)))


def test_it_is_right_and_the_naive_form_serves_where_it_is_good() -> None:
    xs = np.array([1 - 1e-9, 1.0, 1 + 1e-12, 0.3, 5.0, 77.0, 1e300, 1e-300])
    assert worst(RATIO, xs, run(RATIO, xs)) <= 4
    assert set(masked_of(RATIO).bad(xs)) == {0, 1, 2}
    root, _ = lowered(RATIO, xs.size)
    assert root in masked.sources(topological([root]))


def test_the_table_is_read_for_what_needs_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    xs = np.full(3000, 40.0)
    xs[::100] = 1 + 1e-9
    want = run(RATIO, xs)
    sizes = []

    def counted(xp, x, table):
        sizes.append(x.size)
        return evaluate(xp, x, table)

    evaluate = masked.evaluate
    monkeypatch.setattr(masked, "evaluate", counted)
    assert np.array_equal(run(RATIO, xs), want)
    assert sizes == [30]


def test_the_naive_form_is_left_out_where_the_table_serves_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    xs = np.linspace(0.999, 1.001, 500)
    want = run(RATIO, xs)
    monkeypatch.setattr(masked.Masked, "naive", None)
    assert np.array_equal(run(RATIO, xs), want)


def test_a_value_depends_on_its_input_alone() -> None:
    rng = np.random.default_rng(5)
    xs = np.exp2(rng.uniform(-40, 40, 2000))
    masked._known.clear()
    single = np.concatenate([run(RATIO, x[None]) for x in xs[:60]])
    masked._known.clear()
    assert np.array_equal(run(RATIO, xs)[:60], single)


def test_what_cancels_between_points_is_found_by_its_sign() -> None:
    d = np.exp2(np.linspace(-45, -11, 200))
    xs = np.concatenate([1.3 - d, 1.3 + d, [1.3]])
    with np.errstate(all="ignore"):
        naive = masked_of(NARROW).naive(xs)
    assert not worst(NARROW, xs, naive) <= 4
    assert worst(NARROW, xs, run(NARROW, xs)) <= 4


def test_what_no_piece_covers_is_the_naive_form() -> None:
    xs = np.array([-1.0, -np.inf, np.nan, 2.0])
    got = run(RATIO, xs)
    assert np.isnan(got[:3]).all()
    assert got[3] == np.log(2.0)


@pytest.mark.parametrize(("x", "true"), [(300.0, 600 * np.exp(-600.0)), (2000.0, 0.0)])
def test_what_no_piece_covers_and_is_all_rounding_is_decided(x: float, true: float) -> None:
    """Balls of a few bits know nothing of the entropy of a rare state; the referee does."""
    snp = sg.numpy
    z = sg.tensor(np.array(x))
    found = snp.log(2 * snp.cosh(z)) - z * snp.tanh(z)
    assert found.numpy() == pytest.approx(true, rel=0.01, abs=0)


REDOING = canonical(ops.tanh(ops.sin(X) * X + 0.5) - X)
"""Its sum is computed again in pairs where it cancels, which costs more than the table."""


def test_the_table_serves_all_that_it_covers_where_the_naive_form_redoes_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    xs = np.random.default_rng(0).uniform(-1, 1, 300)
    assert masked_of(REDOING).dear
    assert not masked_of(RATIO).dear
    monkeypatch.setattr(masked.Masked, "naive", None)
    assert worst(REDOING, xs, run(REDOING, xs)) <= 4
