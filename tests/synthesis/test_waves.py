"""Tails that oscillate: ``z**p * F * (A + B sin + C cos)``, found by symbols and proved."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb

from stablegrad import ops
from stablegrad.ir import Term
from stablegrad.oracle import truth
from stablegrad.oracle.formats import FLOAT64
from stablegrad.oracle.precision import precision
from stablegrad.oracle.walk import NoExpansionError, walk
from stablegrad.oracle.waves import LEAST, SHARE, Wave, WaveEnd, wave_end
from stablegrad.settings import Settings
from stablegrad.synthesis import Builder, X, evaluate, recipe
from stablegrad.synthesis.table import Table
from stablegrad.transforms.expand import derivative
from tests.synthesis.test_kernels import errors

x = X
RAW = Settings(excluded=frozenset({"stabilize"}))
VERSINE = (1 - ops.cos(x)) / (x * x)
CUBE = (x - ops.sin(x)) / (x * x * x)
WHOLE = {
    "(1 - cos(x))/x**2": VERSINE,
    "(x - sin(x))/x**3": CUBE,
    "its slope": derivative(CUBE, x, 1, RAW),
    "(1 + cos(x))/x": (1 + ops.cos(x)) / x,
    "(sin(x)/x)**2": ops.sin(x) * ops.sin(x) / (x * x),
    "sin(2 x)/x": ops.sin(2 * x) / x,
    "x - sin(x)": x - ops.sin(x),
    "half the angle": x * x * (1 - ops.cos(x / 2)),
    "an expansion that never ends": ops.sin(x) / (x * x + 1),
    "a phase": ops.cos(x + 1 / x) + 2,
}
ZEROS = {
    "a sine over x, slope": derivative(ops.sin(x) / x, x, 1, RAW),
    "the versine, slope": derivative(VERSINE, x, 1, RAW),
    "the versine, second slope": derivative(VERSINE, x, 2, RAW),
    "the cube, second slope": derivative(CUBE, x, 2, RAW),
    "a phase that is none": ops.sin(x + 1) / x,
}


def made(f: Term) -> Table:
    return Builder(recipe(f, x)).build()


def inputs(n: int) -> np.ndarray:
    """Random bit patterns, everyday sizes, and the floats next to multiples of pi/2."""
    rng = np.random.default_rng(5)
    signs = rng.choice([-1.0, 1.0], n)
    turns = np.rint(np.exp2(rng.uniform(0, 50, n)))
    parts = [
        rng.integers(0, 2**64, n, dtype=np.uint64).view(np.float64),
        np.exp2(rng.uniform(-3, 12, n)) * signs,
        turns * (np.pi / 2) * signs,
    ]
    found = np.concatenate(parts)
    return found[np.isfinite(found)]


def forms(table: Table) -> list[float]:
    return [k.waves.share for k in table.kinds if k.waves]


@pytest.mark.parametrize("name", WHOLE)
def test_what_never_cancels_has_no_gap(name: str) -> None:
    f = WHOLE[name]
    table = made(f)
    assert forms(table)
    assert not any(forms(table))
    xs = inputs(200)
    error, covered, normal = errors(f, table, xs)
    far = normal & (np.abs(xs) >= 64)
    assert normal.sum() > 200
    assert far.sum() > 60
    assert covered[far].all(), xs[far & ~covered][:5]
    assert error[normal & covered].max() <= min(4, table.bound_ulp)


@pytest.mark.parametrize("name", ["(1 - cos(x))/x**2", "(x - sin(x))/x**3", "its slope"])
def test_such_tables_are_whole(name: str) -> None:
    table = made(WHOLE[name])
    assert table.complete
    assert errors(WHOLE[name], table, inputs(100))[1].all()


@pytest.mark.parametrize("name", ZEROS)
def test_next_to_zeros_of_a_sum_it_declines(name: str) -> None:
    f = ZEROS[name]
    table = made(f)
    assert forms(table) == [SHARE]
    xs = inputs(250)
    error, covered, normal = errors(f, table, xs)
    assert error[normal & covered].max() <= min(4, table.bound_ulp)
    outside = xs[normal & ~covered]
    assert all(any(lo <= v <= hi for lo, hi in table.gaps) for v in outside.tolist())
    assert covered[normal].mean() > (0.5 if "phase" in name else 0.98)


def test_every_input_next_to_a_zero_is_right_or_declined() -> None:
    f = ZEROS["the cube, second slope"]
    table = made(f)
    # the zeros that are none of cos(x/2): tan(x/2) = -6/x, nearly
    turns = 2 * np.pi * np.arange(8, 200)
    zeros = turns - 12 / turns
    xs = np.concatenate([zeros, zeros * (1 + 2.0**-20), zeros + 8 / turns, zeros - 9 / turns])
    error, covered, normal = errors(f, table, xs)
    assert not covered[: 2 * zeros.size].any()
    assert covered[2 * zeros.size :].any()
    assert error[normal & covered].max() <= 4


def form(f: Term, side: int = 1, reach: int = 6) -> WaveEnd | None:
    return wave_end(f, x, side=side, reach=reach, form=FLOAT64)


def test_what_the_forms_are() -> None:
    versine = form(VERSINE)
    assert versine is not None
    assert (versine.power, versine.octave, versine.factor) == (-2, -1, "sin")
    assert versine.terms == (("sin", (2.0, 0.0)),)
    assert (versine.share, versine.error) == (0, 0)
    odd = form(ops.sin(x) / x + ops.cos(x), -1)
    assert odd is not None
    assert [name for name, _ in odd.terms] == ["sin", "cos"]
    assert dict(odd.terms)["sin"] == (0.0, 0.0, 2.0**-6)  # sin(-z)/-z
    assert odd.share == SHARE
    roots = form(ops.sqrt(x) * ops.sin(x))
    assert roots is not None
    assert float(roots.power) == 0.5
    small = form(ops.cos(x) + ops.exp(-x), reach=8)
    assert small is not None
    assert small.share == 0
    assert 0 < small.error < FLOAT64.tolerance


@pytest.mark.parametrize(
    "f",
    [
        ops.sin(3 * x),  # a multiple that rounds
        ops.sin(x / 3),
        ops.cos(2 * x),  # overflows where x does not
        ops.sin(x * x),
        ops.sin(x) + ops.sin(x / 2),  # two frequencies
        1 / (2 + ops.sin(x)),
        ops.exp(ops.sin(x)),
        ops.exp(-x) * ops.sin(x),
        ops.cos(x) + ops.exp(-x),  # not small enough at 64, next to a zero of cos
        ops.sin(x) * ops.log(x),
        ops.sqrt(x) + ops.sin(x),
        ops.abs(ops.sin(x)),
        ops.tanh(x),  # does not oscillate
    ],
)
def test_what_has_no_form(f: Term) -> None:
    assert form(f) is None


def test_waves_multiply_as_sines_do() -> None:
    f = (ops.sin(x) + 2 * ops.cos(x / 2) - 1 / x) * (x - ops.cos(x)) * ops.sin(x + 1)
    with precision(200):
        wave = walk(f, x, Wave.variable(-1, arb(2) ** -4))
        z = arb(37)
        total = arb(0)
        for a, (c, s) in wave.parts.items():
            angle = z * arb(a.numerator) / a.denominator
            for germ, factor in ((c, angle.cos()), (s, angle.sin())):
                for (rate, logs), part in germ.parts.items():
                    assert not any(rate)
                    assert not logs
                    inner = arb(0)
                    for k in reversed(part.c):
                        inner = inner / z + k
                    total = total + inner * factor * z**-part.v
        u = -z
        want = (u.sin() + 2 * (u / 2).cos() - 1 / u) * (u - u.cos()) * (u + 1).sin()
        assert total.overlaps(want)
        assert abs(total - want).upper() < 1e-20


def test_conditions_on_what_oscillates_have_no_answer() -> None:
    with precision(100), pytest.raises(NoExpansionError):
        walk(ops.where(ops.sin(x) > 0, x, -x), x, Wave.variable(1, arb(2) ** -4))


HARDEST = 6381956970095103.0 * 2.0**797
"""As near to a multiple of pi/2 as a float64 can be."""


def test_no_sine_of_a_float_is_as_small() -> None:
    with precision(2000):
        worst = abs(arb(HARDEST).cos())
    assert LEAST < float(worst) < 2.0**-60


def test_next_to_a_double_zero_it_is_as_good_as_the_cosine_of_the_platform() -> None:
    f = 1 + ops.cos(2 * x)  # 2 cos(x)**2
    table = made(f)
    assert table.complete
    xs = np.array([HARDEST])
    cosine, square = (truth(g, {x: xs}, budget=6400).value for g in (ops.cos(x), f))
    off = abs(np.cos(xs) / cosine - 1)  # of glibc 8 ulp
    value, covered = evaluate(np, xs, table)
    assert covered.all()
    assert abs(value / square - 1) <= 2 * off + 2.0**-51
    assert 1e-37 < value < 1e-36


def test_an_input_that_is_off_is_declined() -> None:
    table = made(VERSINE)
    xs = np.array([100.0, 100.0, 1e20])
    _, covered = evaluate(np, xs, table, np.array([0.0, 1e-15, 0.0]))
    assert covered.tolist() == [True, False, True]


def test_a_table_is_read_back_as_it_was() -> None:
    table = made(ZEROS["the cube, second slope"])
    again = Table.from_bytes(table.to_bytes())
    assert again.kinds == table.kinds
    xs = inputs(50)
    with np.errstate(all="ignore"):
        for a, b in zip(evaluate(np, xs, table), evaluate(np, xs, again), strict=True):
            assert np.array_equal(a, b, equal_nan=True)


def test_it_is_the_same_under_xla() -> None:
    jax = pytest.importorskip("jax")
    for f in (VERSINE, ZEROS["the cube, second slope"]):
        table = made(f)
        xs = inputs(200)
        with jax.enable_x64(True):
            value, covered = jax.jit(lambda v, t=table: evaluate(jax.numpy, v, t))(xs)
        value, covered = np.asarray(value), np.asarray(covered)
        with np.errstate(all="ignore"):
            want, there = evaluate(np, xs, table)
        assert (covered == there).mean() > 0.99
        ok = covered & there & np.isfinite(want) & (np.abs(want) >= np.finfo(np.float64).tiny)
        assert ok.sum() > 150
        assert (np.abs(value[ok] - want[ok]) <= 4 * np.spacing(np.abs(want[ok]))).all()
