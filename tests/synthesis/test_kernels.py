"""Tables are right wherever they say so: judged by balls, bit pattern by bit pattern."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import count

import flint
import numpy as np
import pytest

from stablegrad import ops
from stablegrad.ir import OPS, Term
from stablegrad.oracle import Status, truth
from stablegrad.oracle.ends import end
from stablegrad.oracle.formats import FLOAT64
from stablegrad.oracle.pieces import Middle
from stablegrad.oracle.points import sign, zero
from stablegrad.oracle.precision import precision
from stablegrad.settings import Settings
from stablegrad.synthesis import Builder, DeclinedError, X, build, evaluate, op, recipe, table_of
from stablegrad.synthesis import layout as layouts
from stablegrad.synthesis.recipe import digest, rebased
from stablegrad.synthesis.table import Table
from stablegrad.transforms.expand import derivative

x = X
RAW = Settings(excluded=frozenset({"stabilize"}))
COMPLETE = {
    "log cosh": ops.log(ops.cosh(x)),
    "log(1 - exp(x))": ops.log(1 - ops.exp(x)),
    "log(exp(x) - 1)": ops.log(ops.exp(x) - 1),
    "log(x)/(x - 1)": ops.log(x) / (x - 1),
    "sqrt(x + 1) - sqrt(x)": ops.sqrt(x + 1) - ops.sqrt(x),
    "sinh(sqrt(x))/sqrt(x)": ops.sinh(ops.sqrt(x)) / ops.sqrt(x),
    "x ndtr(x)": x * ops.ndtr(x),
    "log(1 - tanh(x)**2)": ops.log(1 - ops.tanh(x) * ops.tanh(x)),
    "x**3/(exp(x) - 1)": x * x * x / (ops.exp(x) - 1),
    "lorentz": 1 / ops.sqrt(1 - x * x) - 1,
    "1/(1 - exp(-x)) - 1/x": 1 / (1 - ops.exp(-x)) - 1 / x,
    "x tanh(log(1 + exp(x)))": x * ops.tanh(ops.log(1 + ops.exp(x))),
    "cbrt(x + 1) - cbrt(x), x > 0": ops.cbrt(ops.exp(x) + 1) - ops.cbrt(ops.exp(x)),
}


def inputs(table: Table, n: int = 250) -> np.ndarray:
    """Random bit patterns, everyday sizes, and what lies next to the anchors."""
    rng = np.random.default_rng(11)
    signs = rng.choice([-1.0, 1.0], n)
    parts = [
        rng.integers(0, 2**64, n, dtype=np.uint64).view(np.float64),
        np.exp2(rng.uniform(-60, 60, n)) * signs,
        np.exp2(rng.uniform(-5, 11, n)) * signs,
        np.array([5e-324, -5e-324, 2.2e-308, 1.7e308, -1.7e308]),
    ]
    parts += [z.hi + np.exp2(rng.uniform(-52, -1, 40)) * signs[:40] for z in table.zones]
    found = np.concatenate(parts)
    return found[np.isfinite(found)]


def errors(f: Term, table: Table, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error in ulp, what is covered, and where the truth is a normal float."""
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
        true = truth(f, {x: xs}, budget=3200, limits=False)
        normal = (true.status == Status.DECIDED) & np.isfinite(true.value)
        normal &= np.abs(true.value) >= np.finfo(np.float64).tiny
        unit = np.spacing(np.abs(true.value))
        error = np.abs((value - true.value) / unit - true.offset)
    return np.where(np.isfinite(error), error, np.inf), np.asarray(covered), normal


@pytest.mark.parametrize("name", COMPLETE)
def test_a_kernel_is_sharp_within_its_bound_and_without_gaps(name: str) -> None:
    f = COMPLETE[name]
    table = Builder(recipe(f, x)).build()
    assert table.complete, table.gaps
    xs = inputs(table)
    error, covered, normal = errors(f, table, xs)
    assert normal.sum() > 100
    assert covered[normal].all(), xs[normal & ~covered][:5]
    worst = error[normal].max()
    assert worst <= 4
    assert worst <= table.bound_ulp


def test_what_is_not_covered_is_a_gap_and_never_wrong() -> None:
    f = (1 - ops.cos(x * x)) / x  # double zeros that are no floats
    table = Builder(recipe(f, x)).build()
    xs = inputs(table)
    error, covered, normal = errors(f, table, xs)
    assert not table.complete
    assert (error[normal & covered] <= min(4, table.bound_ulp)).all()
    outside = xs[normal & ~covered]
    assert outside.size
    assert all(any(lo <= v <= hi for lo, hi in table.gaps) for v in outside.tolist())


def test_a_pole_has_two_sides() -> None:
    f = ops.arctan(1 / x) - 1 / x
    table = Builder(recipe(f, x)).build()
    xs = np.array([0.0, -0.0, 5e-324, -5e-324])
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
    assert covered.all()
    assert value.tolist() == [-np.inf, np.inf, -np.inf, np.inf]


def test_terms_that_overflow_have_no_nan_for_a_sum() -> None:
    f = ops.lgamma(x * x + 1)
    table = Builder(recipe(f, x)).build()
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, np.array([1.5e160, -1e170, 1e3]), table)
    assert not np.isnan(value[np.asarray(covered)]).any()
    assert covered[2]


HARD = {
    "an essential singularity": ops.exp(-1 / x) * ops.log(1 + ops.exp(x)),
    "a doubly exponential tail": ops.exp(-ops.exp(x)) * ops.cosh(x),
    "a branch point": ops.arccos(x) / ops.sqrt(1 - x),
    "what cancels in a derivative of erf": derivative(ops.erf(x) / x, x, 1, RAW),
    "a derivative of Bessel functions": derivative(ops.log(ops.i0(x)), x, 1, RAW),
    "two zeros in one interval": (ops.exp(x) - 2.5) * ops.log(x),
    "oscillation at 0": x * ops.sin(1 / x),
    "oscillation far out": ops.exp(x) - ops.cos(x),
    "a cubic exponent": x * (1 + ops.tanh(0.8 * (x + 0.04 * x * x * x))),
}


@pytest.mark.parametrize("name", HARD)
def test_what_is_covered_is_right_of_hard_functions(name: str) -> None:
    f = HARD[name]
    table = Builder(recipe(f, x)).build()
    xs = inputs(table, 150)
    error, covered, normal = errors(f, table, xs)
    assert (error[normal & covered] <= min(8, table.bound_ulp)).all()
    assert (normal & covered).sum() > 150
    if "oscillation" not in name:
        assert covered[normal].mean() > 0.98


def test_what_is_given_up_is_the_same_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> Table:
        return Builder(recipe(HARD["oscillation at 0"], x)).build()

    monkeypatch.setattr(build, "WORK", 5000)
    table = made()
    assert table.gaps
    clock = count(0, 1000)  # a second between two looks is a quarter of an hour
    monkeypatch.setattr(build.time, "thread_time", lambda: float(next(clock)))
    assert replace(made(), elapsed_s=table.elapsed_s).to_bytes() == table.to_bytes()


def test_the_first_zeros_of_what_oscillates_are_covered() -> None:
    f = HARD["oscillation far out"]
    table = Builder(recipe(f, x)).build()
    xs = -np.linspace(0.01, 30, 500)
    error, covered, normal = errors(f, table, xs)
    assert covered[normal].all()
    assert (error[normal] <= table.bound_ulp).all()


def test_the_rest_of_an_input_counts() -> None:
    f = ops.log(1 + ops.exp(x)) - 0.5
    table = Builder(recipe(f, x)).build()
    xs = np.concatenate([np.linspace(-30, 30, 200), [-0.43275212956718856]])
    low = 0.4 * np.spacing(xs)
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table, low)
    assert covered.all()
    for v, a, b in zip(value.tolist(), xs.tolist(), low.tolist(), strict=True):
        with precision(300):
            true = (1 + (flint.arb(a) + flint.arb(b)).exp()).log() - flint.arb("0.5")
            assert abs(float((flint.arb(v) - true) / true)) < 4 * 2.0**-52


def test_special_values() -> None:
    table = Builder(recipe(ops.log(x) / (x - 1), x)).build()
    xs = np.array([1.0, 0.0, np.inf, np.nan, -1.0, 5e-324])
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
    assert covered.tolist() == [True, True, True, False, False, True]
    assert value[:3].tolist() == [1.0, np.inf, 0.0]
    assert value[5] == pytest.approx(744.4400719213812, rel=1e-15)


def test_subnormal_results_are_next_to_the_truth() -> None:
    f = ops.sigmoid(x) * (1 - ops.sigmoid(x))
    table = Builder(recipe(f, x)).build()
    xs = np.linspace(-745, -700, 200)
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
    true = truth(f, {x: xs})
    assert covered.all()
    assert (np.abs(value - true.value) <= np.maximum(4 * np.spacing(true.value), 1e-323)).all()


# -- what is proved -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "low", "high"),
    [
        (ops.log(ops.cosh(x)), 1.0, 1.25),
        (ops.lgamma(x + 1) - ops.lgamma(x), 2.0, 2.125),
        (ops.log(ops.i0(x)), 4.0, 4.125),
        (ops.sin(x) / x, 1.0, 1.25),
    ],
)
def test_a_proved_piece_is_as_near_as_it_says(f: Term, low: float, high: float) -> None:
    half = Fraction(high - low) / 2
    center = Fraction(low) + half
    fit = Middle(f, x, FLOAT64).piece(center, half, 1)
    assert fit is not None
    points = np.random.default_rng(1).uniform(low, high, 60)
    true = truth(f, {x: points})
    for point, near, offset in zip(points.tolist(), true.value, true.offset, strict=True):
        t = (Fraction(point) - center) / half
        value = Fraction(0)
        for c in reversed(fit.coefficients[2:]):
            value = (value + Fraction(c)) * t
        value += Fraction(fit.coefficients[0]) + Fraction(fit.coefficients[1])
        exact = Fraction(float(near)) + Fraction(float(offset)) * Fraction(float(np.spacing(near)))
        assert abs(value / exact - 1) <= Fraction(fit.error) + Fraction(2) ** -100


def test_a_piece_over_a_singularity_is_refused() -> None:
    for f, at in (
        (1 / (x - 1), 1),
        (ops.log(x - 1), 1),
        (ops.sqrt(x - 1), 1),
        (OPS["abs"](x - 1), 1),
    ):
        middle = Middle(f, x, FLOAT64)
        assert middle.piece(Fraction(at), Fraction(1, 64), 1) is None


def test_forms_at_the_ends() -> None:
    def form(f: Term, **place: int):
        found = end(f, x, center=0, **place)
        assert found is not None
        return found

    softplus = form(ops.log(1 + ops.exp(x)), side=-1, q=-1, reach=6)
    assert softplus.rate == ((Fraction(1), Fraction(-1)),)
    tail = form(ops.ndtr(x), side=-1, q=-1, reach=6)
    assert tail.rate == ((Fraction(2), Fraction(-1, 2)),)
    assert tail.power == -1
    slow = form(ops.log(1 - ops.exp(x)), side=-1, q=1, reach=-5)
    assert slow.log_fit is not None
    assert slow.fit is not None
    entropy = form(x * ops.log(x), side=1, q=1, reach=-2)
    assert entropy.log_power == 1
    assert entropy.fit is None
    root = form(ops.sqrt(x), side=1, q=1, reach=-2)
    assert root.power == Fraction(1, 2)
    assert end(ops.sin(x), x, center=0, side=1, q=-1, reach=6) is None


def test_what_cancels_exactly_far_out_leaves_the_next_scale() -> None:
    found = end(
        ops.log(1 + ops.exp(x)) - x,
        x,
        center=0,
        side=1,
        q=-1,
        reach=6,
    )
    assert found is not None
    assert found.rate == ((Fraction(1), Fraction(-1)),)


def test_zeros_are_enclosed() -> None:
    f = ops.log(1 - ops.exp(-x)) + 1
    found = zero(f, x, 0.25, 1.0)
    assert found is not None
    assert abs(found.hi + np.log1p(-np.exp(-1.0))) < 1e-15
    assert found.lo != 0
    below, above = np.nextafter(found.hi, 0), np.nextafter(found.hi, 1)
    assert sign(f, x, float(below)) < 0 < sign(f, x, float(above))


# -- recipes and refusals ---------------------------------------------------------------------


def test_recipes_are_known_by_structure() -> None:
    y = ops.exp(x)
    assert recipe(ops.log(1 - y), x) == recipe(ops.log(1 - ops.exp(x)), x)
    assert recipe(ops.log(1 - y), y).expression is ops.log(1 - x)
    assert digest(ops.log(1 - x)) != digest(ops.log(2 - x))
    assert digest(ops.log(1 - x)) == digest(rebased(ops.log(1 - x), x))


@pytest.mark.parametrize(
    "f", [ops.log(-1 - x * x), ops.sqrt(-ops.exp(x)), ops.floor(x), x - x + 0 * x]
)
def test_what_cannot_be_made_is_declined(f: Term) -> None:
    with pytest.raises(DeclinedError):
        Builder(recipe(f, x)).build()


def test_many_zones_are_found_by_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    f = ops.cos(x) / x - ops.sin(x) / (x * x)
    table = Builder(recipe(f, x)).build()
    assert len(table.zones) > 8
    assert table.layout.cells is not None
    monkeypatch.setattr(layouts, "LOOKED_THROUGH", len(table.zones))
    apart = replace(table)  # zone after zone
    assert apart.layout.cells is None
    xs = np.concatenate([inputs(table), [z.hi for z in table.zones]])
    with np.errstate(all="ignore"):
        (value, covered), (other, also) = (evaluate(np, xs, t) for t in (table, apart))
    assert np.array_equal(covered, also)
    # next to the ends of zones one takes the zone and one the piece: both are proved
    assert np.mean(value[covered] == other[covered]) > 0.98
    assert np.max(np.abs(value - other)[covered] / np.spacing(np.abs(other[covered]))) <= 4
    # the float at a zero is on that side of it on which its rest is
    at = np.repeat([z.hi for z in table.zones], 2)
    low = np.array([z.lo + d * abs(z.hi) * 2.0**-60 for z in table.zones for d in (-1, 1)])
    (value, covered), (other, also) = (evaluate(np, at, t, low) for t in (table, apart))
    assert covered.all()
    assert also.all()
    assert np.array_equal(value, other)
    assert (value[::2] * value[1::2] < 0).all()


def test_a_table_of_the_whole_domain_leaves_the_naive_form_out() -> None:
    jax = pytest.importorskip("jax")
    f = ops.exp(ops.log(ops.cosh(x))) - 1
    waves = ops.cos(x) / x - ops.sin(x) / (x * x)
    for expression, total in ((f, True), (waves, False), (ops.log(1 + x), False)):
        what = recipe(expression, x)
        assert table_of(what).total == total
        with jax.enable_x64(True):
            run = jax.jit(
                lambda v, what=what: op._kernel(jax.numpy, v, jax.numpy.sin(v), recipe=what)
            )
            text = run.lower(jax.numpy.ones(8)).compile().as_text()
        assert ("sine(" in text) != total


def test_a_point_left_out_between_marks_has_no_gap() -> None:
    f = x + (ops.exp(x - 1.3) - 1) / (x - 1.3)
    table = Builder(recipe(f, x)).build()
    assert not table.gaps
    assert any(z.hi == 1.3 for z in table.zones)
    xs = np.concatenate([[1.3], 1.3 + np.exp2(np.linspace(-50, -3, 40))])
    error, covered, normal = errors(f, table, xs)
    assert covered.all()
    assert normal[1:].all()
    assert error[1:].max() <= 4
    assert evaluate(np, xs[:1], table)[0] == 2.3


@pytest.mark.parametrize(
    "f",
    [
        x * ops.log(x) - (x - 1) * ops.log(x - 1),  # its domain begins with a zero
        derivative(ops.exp(-ops.power(x, 2)) * x, x, 1, RAW),  # a zero that is no float
    ],
)
def test_zeros_have_no_gap_next_to_them(f: Term) -> None:
    table = Builder(recipe(f, x)).build()
    assert not table.gaps
    d = np.exp2(np.linspace(-48, 3, 60))
    xs = np.concatenate([[z.hi + d, z.hi - d] for z in table.zones]).ravel()
    error, covered, normal = errors(f, table, xs)
    assert normal.sum() > 50
    assert covered[normal].all()
    assert error[normal].max() <= 4


def test_zones_that_wait_for_pieces_cover_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    f = (X * X - 2) * (X - 3) - ops.exp(X - 7)
    monkeypatch.setattr(build, "FOR_ZONES", 1.0)
    at_once = Builder(recipe(f, X)).build()
    monkeypatch.setattr(build, "FOR_ZONES", 0.0)
    waiting = Builder(recipe(f, X)).build()
    assert at_once.gaps == waiting.gaps == ()
    xs = np.concatenate([np.linspace(-4, 4, 60), 2**0.5 * (1 + 2.0 ** -np.arange(10, 50, 4.0))])
    value, covered = evaluate(np, xs, waiting)
    true = truth(f, {X: xs})
    assert covered.all()
    error = (value - true.value) / np.spacing(np.abs(true.value)) - true.offset
    assert np.max(np.abs(error)) <= 4
