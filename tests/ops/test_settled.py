"""Elements that twice the precision cannot tell come out as if rounded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ir import OPS, Term
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import const
from stablegrad.oracle import codes, err_ulp
from stablegrad.oracle.truth import taylor
from stablegrad.settings import Settings
from stablegrad.testing import SEED, leaf

SIN, COS, EXP, ERF, TAN = (OPS[n] for n in "sin cos exp erf tan".split())
RULES = Settings(excluded=frozenset({"synthesis"}))
FAR = 10.0 ** np.random.default_rng(SEED).uniform(20, 150, 40)
NEAR = 10.0 ** np.random.default_rng(SEED).uniform(-150, -20, 40)

PROGRAMS: dict[str, tuple[Callable[[Term], Term], Any, int]] = {
    "a wave of a quotient": (lambda x: SIN(3 / x), NEAR, 0),
    "a wave of a product": (lambda x: COS(x * (x + 2)), FAR, 0),
    "a wave of a root": (lambda x: SIN(OPS["sqrt"](x)), FAR, 1),
    "a wave of an exponential": (lambda x: TAN(EXP(x)), np.linspace(40, 700, 40), 0),
    "a root whose square is as large": (lambda x: x - OPS["sqrt"](x * x + 1), FAR, 0),
    "a quotient that is nearly 1": (lambda x: (3 * x + 3) / (2 * x), FAR, 1),
    "functions of numbers that are close": (
        lambda x: SIN(x + 1) - SIN(1.0 + 0 * x) - x * COS(1.0 + 0 * x),
        NEAR[:20],
        0,
    ),
    "the slope of a divided difference": (lambda x: ERF(x) / x, NEAR, 1),
}


CLOSE = np.random.default_rng(SEED).uniform(0.5, 3.0, 40)
GAP = 10.0 ** np.random.default_rng(SEED).uniform(-13, -3, 40)

QUOTIENTS: dict[str, tuple[Callable[[Term, Term], Term], int]] = {
    "sines": (lambda x, y: (SIN(x) - SIN(y)) / (x - y), 2),
    "cosines": (lambda x, y: (COS(x) - COS(y)) / (x - y), 2),
    "arctangents": (lambda x, y: (OPS["arctan"](x) - OPS["arctan"](y)) / (x - y), 2),
    "cubes": (lambda x, y: (x**3 - y**3) / (x - y), 2),
    "roots of sums of squares": (lambda x, y: OPS["log"](OPS["sqrt"](x * x + y * y)), 2),
    "means": (lambda x, y: OPS["log"]((x + y) / (2 * OPS["sqrt"](x * y))), 0),
    "tails of close quotients": (lambda x, y: OPS["ndtr"](x / 3) - OPS["ndtr"](y / 3), 0),
    "angles": (lambda x, y: OPS["arccos"]((1 + x * y) / OPS["sqrt"]((1 + x * x) * (1 + y * y))), 0),
}


@pytest.mark.parametrize("name", QUOTIENTS)
def test_functions_of_close_numbers_and_their_slopes_are_the_truth(name: str) -> None:
    build, order = QUOTIENTS[name]
    data = [CLOSE, CLOSE * (1 + GAP)]
    leaves = [leaf(d) for d in data]
    wanted = build(*leaves)
    for _ in range(order):
        wanted = gradient(wanted, leaves[0], const(1, wanted.dtype, wanted.shape))
    singles = [leaf(np.float64(1)), leaf(np.float64(2))]
    bindings = dict(zip(singles, data, strict=True))
    term = build(*singles)
    true = taylor(term, bindings, order, direction={singles[0]: 1.0}, budget=20_000)[order]
    with np.errstate(all="ignore"):
        error = err_ulp(program.evaluate([wanted], RULES)[0], true)
        before = err_ulp(program.evaluate([wanted], Settings(naive=True))[0], true)
    assert error.max() <= 64, f"seed {SEED}"
    assert not before.max() < 1000


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_has_no_digit_left_in_pairs_is_the_truth(name: str) -> None:
    build, data, order = PROGRAMS[name]
    x = leaf(data)
    term = build(x)
    wanted = gradient(term, x, const(1, term.dtype, term.shape)) if order else term
    single = leaf(np.float64(1))
    true = taylor(build(single), {single: data}, order, budget=20_000)[order]
    assert true.decided.all()
    with np.errstate(all="ignore"):
        error = err_ulp(program.evaluate([wanted], RULES)[0], true)
        before = err_ulp(program.evaluate([wanted], Settings(naive=True))[0], true)
    assert error.max() <= 4, f"seed {SEED}"
    assert not before.max() < 2.0**40


def test_work_on_one_result_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    one = codes._settled

    def counted(*args: Any) -> Any:
        asked.append(1)
        return one(*args)

    monkeypatch.setattr(codes, "_settled", counted)
    x = leaf(np.full(100_000, 1e200))
    got = program.evaluate([SIN(x * 3.7)], RULES)[0]
    assert len(asked) < 2000
    assert (np.abs(got) <= 1).all()


def test_what_stays_undecided_keeps_its_value() -> None:
    x = np.array([1.0, np.inf])
    code = (codes.Function("log", (0,)), codes.Function("sin", (1,)))
    assert np.isnan(codes.settled([-x], code)).all()
    unknown = (codes.Function("polygamma", (0,)),)
    assert np.isnan(codes.settled([x], unknown)).all()
