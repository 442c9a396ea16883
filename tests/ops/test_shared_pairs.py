"""Codes of one program: what they share, and the arithmetics that they are run in."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stablegrad.engines.numpy import PLAIN
from stablegrad.ops import extended, shared_pairs
from stablegrad.ops.code_pools import Pool
from stablegrad.ops.extended import _KNOWN
from stablegrad.ops.lowered_arithmetic import Product, Sum
from stablegrad.ops.pair_codes import Function, is_enough
from stablegrad.ops.shared_pairs import run_code_at, sharing
from stablegrad.testing import SEED

held = pytest.mark.skipif(not extended.is_held(), reason="the machine has no extended precision")
LENGTH = 12


def chain(length: int) -> list[tuple[object, ...]]:
    """Codes of a chain y -> tanh(sin(y)*x + 1/2) - x, each on the input alone."""
    codes, steps = [], []
    y = 0
    for _ in range(length):
        n = len(steps)
        steps += [Function("sin", (y,)), Product(((n + 1, 1), (0, 1)))]
        steps += [Sum(Fraction(0.5), ((1, n + 2),)), Function("tanh", (n + 3,))]
        steps += [Sum(0, ((1, n + 4), (-1, 0)))]
        y = n + 5
        codes.append(tuple(steps))
    return codes


def test_pairs_are_the_same_whatever_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """At some elements each time, of an array so large that not all are evaluated at once."""
    monkeypatch.setattr(shared_pairs, "_FEW", 0)
    rng = np.random.default_rng(SEED)
    x = rng.uniform(-1, 1, 5000)
    for held_here in {False, extended.is_held()}:
        monkeypatch.setattr(extended, "is_held", lambda held_here=held_here: held_here)
        pool = Pool()
        cones = [pool.add(["x"], [False], code) for code in chain(LENGTH)]
        with sharing(pool):
            for code, cone in zip(chain(LENGTH), cones, strict=True):
                where = rng.random(5000) < rng.choice([0.001, 0.02, 0.3])
                (hi, lo), error = run_code_at(PLAIN, where, [x], [False], cone, is_enough)
                with sharing(Pool()):
                    apart = run_code_at(PLAIN, where, [x], [False], code, is_enough)
                np.testing.assert_array_equal(hi, apart[0][0])
                np.testing.assert_array_equal(lo, apart[0][1])
                np.testing.assert_array_equal(error, apart[1])


@pytest.mark.parametrize("size", [2, 5000])
def test_no_instruction_is_evaluated_for_each_code_that_has_it(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    evaluated = shared_pairs.evaluated
    monkeypatch.setattr(extended, "is_held", lambda: False)
    monkeypatch.setattr(shared_pairs, "evaluated", lambda s, r: calls.append(s) or evaluated(s, r))
    x = np.linspace(-1, 1, size)
    pool = Pool()
    cones = [pool.add(["x"], [False], code) for code in chain(100)]
    with sharing(pool):
        for cone in cones:
            run_code_at(PLAIN, np.abs(x) > 0.5, [x], [False], cone, is_enough)
    assert len(calls) == 500
    assert sum(map(len, cones)) > 20_000


def test_balls_are_pairs_of_few_elements() -> None:
    x = np.random.default_rng(SEED).uniform(-1, 1, 50)
    everywhere = np.ones(50, bool)
    for code in chain(LENGTH):
        again = [shared_pairs._by_element(everywhere, [x], code)]
        hi, lo, error = PLAIN.in_balls(*again[0])
        (want, rest), bound = shared_pairs._run(shared_pairs._PAIRS, everywhere, [x], [False], code)
        assert (np.abs((hi - want) + (lo - rest)) <= error + bound).all()
        assert (error <= 2.0**-80 * np.abs(x)).all()


@held
@pytest.mark.parametrize("name", _KNOWN)
def test_the_bound_of_an_extended_function_holds(name: str) -> None:
    rng = np.random.default_rng(SEED)
    positive = name.startswith("log") and name != "log1p"
    inside = name in ("arcsin", "arccos", "log1p")
    x, y = [np.exp(rng.uniform(-12.0, 0.0 if inside else 6.0, 4000)) for _ in range(2)]
    x = x if positive else x * rng.choice([-1, 1], x.size)
    y[::2] = np.abs(x)[::2] * (1 + 1e-6 * rng.normal(size=2000))
    two = name in ("maximum", "minimum", "arctan2", "log_ratio")
    leaves = [x, y][: 1 + two]
    code = (Function(name, tuple(range(len(leaves)))),)
    known = [extended.leaf(v, rounded=False) for v in leaves]
    value, error = extended.step(code[0], known)
    hi, lo, rest = PLAIN.in_balls(*shared_pairs._by_element(np.ones(x.shape, bool), leaves, code))
    difference = (value - hi) - lo
    seen = np.isfinite(error)
    assert seen.mean() > 0.9
    assert (np.abs(difference)[seen] <= (error + rest)[seen]).all()


@held
def test_extended_sums_and_products_know_their_errors() -> None:
    x, y = np.random.default_rng(SEED).uniform(0.5, 2.0, (2, 1000))
    code = (
        Product(((0, -3), (1, Fraction(1.5)))),
        Sum(Fraction(0.1), ((Fraction(0.3), 2), (-1, 0), (2, 1))),
        Product(((3, 2), (2, 1))),
    )
    registers = [extended.leaf(x, rounded=False), extended.leaf(y, rounded=False)]
    for step in code:
        registers.append(extended.step(step, registers))
    value, error = registers[-1]
    hi, lo, rest = PLAIN.in_balls(*shared_pairs._by_element(np.ones(1000, bool), [x, y], code))
    assert (np.abs((value - hi) - lo) <= error + rest).all()
    assert np.median(error / np.abs(hi)) < 2.0**-58
