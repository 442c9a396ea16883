"""Sums of functions that cancel: the elements that do come out as if rounded once."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ir import OPS, Term
from stablegrad.ops import extended, shared_pairs
from stablegrad.ops.code_pools import Pool
from stablegrad.ops.lowered_arithmetic import Sum
from stablegrad.ops.pair_calls import CALLS, polygamma
from stablegrad.ops.shared_pairs import sharing
from stablegrad.oracle import err_ulp, truth
from stablegrad.settings import Settings
from stablegrad.testing import SEED, leaf

POINTS = 200
HAZARD = OPS["log_ndtr_difference_derivative"]
NDTR, POW1P, EXPREL = OPS["ndtr"], OPS["pow1p"], OPS["exprel_derivative"]
LGAMMA, DIGAMMA, LOG, EXP = OPS["lgamma"], OPS["digamma"], OPS["log"], OPS["exp"]

SIGNED = ("sigmoid", "ndtr", "erf", "erfc", "erfcx", "log_ndtr", "log_ndtr_derivative", "log1p")
"""Functions in pairs that are another formula for negative arguments."""
PROGRAMS = {
    "poisson": (lambda k, m: k * LOG(m) - m - LGAMMA(k + 1), 1e2, 1e14),
    "gamma": (lambda a, b: a * LOG(b) - LGAMMA(a) - b + LOG(a), 1e2, 1e14),
    "binomial": (lambda n, k: LGAMMA(n + k + 1) - LGAMMA(k + 1) - LGAMMA(n + 1), 1.0, 1e6),
    "digamma": (lambda a, b: DIGAMMA(a) - LOG(b) + 1 / (2 * a), 1e1, 1e6),
    "polygamma": (lambda a, b: OPS["polygamma"](a, n=1) - 1 / b - 1 / (2 * a * a), 1e1, 1e4),
    "waves": (lambda x, y: OPS["sin"](x) ** 3 - OPS["cos"](y) + OPS["cos"](x), 1e-3, 1e4),
    "exponentials": (lambda x, y: EXP(x) - x * EXP(y) / y - x * x + y * y, 1e-3, 1e1),
    "powers": (lambda x, y: x**0.3 * y**0.7 - OPS["power"](x, y / (x + y)) + y, 1e-1, 1e1),
    "hazard below": (lambda x, y: HAZARD(-x, -4 * x, n=1, m=0) - y, 3e1, 1e3),
    "hazard above": (lambda x, y: HAZARD(4 * x, x, n=0, m=1) + y + 1 / x, 3e1, 1e3),
    "interest": (lambda i, n: OPS["power"](1 + i / n, n) - EXP(i), 1e-4, 1e2),
    "slope of interest": (
        lambda i, n: OPS["pow1p_derivative"](i / n, n, n=0, m=1) - i / n * POW1P(i / n, n - 1),
        1e-4,
        1e1,
    ),
    "normal": (lambda x, y: NDTR(x) - OPS["erfc"](-y * 0.75) / 2 + OPS["log_ndtr"](x), 0.1, 5.0),
    "error function": (lambda x, y: OPS["erf"](x) - OPS["erf"](y) * x / y, 0.2, 5.0),
    "hazard": (lambda x, y: OPS["log_ndtr_derivative"](-x, n=1) - y - 1 / x, 0.1, 1e3),
    "slope of exprel": (lambda x, y: EXPREL(x, n=1) - x / y * EXPREL(y, n=1), 0.5, 30.0),
    "angles": (lambda x, y: OPS["arctan"](x) - OPS["tanh"](y) - OPS["tan"](x) + y, 1e-2, 1.0),
}


def arguments(low: float, high: float) -> list[np.ndarray]:
    rng = np.random.default_rng(SEED)
    x = np.exp(rng.uniform(np.log(low), np.log(high), POINTS))
    near = rng.random(POINTS) < 0.8
    y = np.where(near, x * (1 + 10.0 ** rng.uniform(-15, -1, POINTS)), x[::-1])
    return [x, y]


def in_range(root: Term) -> Term:
    """A lowered sum without what is done where it leaves the range."""
    while root.op.name in ("ranged_sum", "known_result"):
        root = root.args[0]
    return root


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_cancels_is_the_truth(name: str) -> None:
    build, low, high = PROGRAMS[name]
    data = arguments(low, high)
    leaves = [leaf(d) for d in data]
    term = build(*leaves)
    compiled, _ = program.program_of([term], Settings())
    assert in_range(compiled.roots[0]).op.name == "redone_sum"
    true = truth(term, dict(zip(leaves, data, strict=True)), budget=20_000)
    with np.errstate(all="ignore"):
        error = err_ulp(program.evaluate([term], Settings())[0], true)
        before = err_ulp(program.evaluate([term], Settings(naive=True))[0], true)
    assert true.decided.all()
    assert error.max() <= 16
    assert before.max() > 100


def test_a_guard_that_fails_and_a_mask_hold_in_what_is_computed_again() -> None:
    x = leaf([1.0, 1.0, -1.0, 2.0])
    y = leaf([1.0 + 1e-9, 2.0, -1.0 - 1e-9, 2.0 + 1e-9])
    masked = OPS["where"](y < 1.5, LOG(y) - LOG(x) - x, 0.0) + OPS["where"](x < 1.5, x, 0.0)
    got = program.evaluate([masked], Settings())[0]
    true = truth(masked, {x: x.params[0].value, y: y.params[0].value})
    assert np.isnan(got[2])
    assert np.isnan(true.value[2])
    assert err_ulp(got, true)[[0, 1, 3]].max() <= 4


@pytest.mark.parametrize("name", [*CALLS, "polygamma"])
def test_functions_in_pairs_keep_ninety_bits(name: str) -> None:
    rng = np.random.default_rng(SEED)
    bounded = name in ("arcsin", "arccos", "log1p")
    x = rng.uniform(0.5, 0.9, POINTS) if bounded else np.exp(rng.uniform(-0.5, 5, POINTS))
    if name in SIGNED:
        x = np.minimum(x, 20.0) * rng.choice([-1.0, 1.0], POINTS)
    rest = x * rng.uniform(-1e-17, 1e-17, POINTS)
    if name == "interval_hazard":
        x = rng.choice([1.0, 6.0, 25.0], POINTS) * rng.uniform(-1.0, 1.0, POINTS)
        rest = x * rng.uniform(-1e-17, 1e-17, POINTS)
    call = polygamma(2) if name == "polygamma" else CALLS[name]
    pair = name in ("arctan2", "log_ratio", "lgamma_step", "digamma_step", "maximum", "minimum")
    args = [(x, rest), (x[::-1], rest[::-1])][: 2 if pair else 1]
    if name == "interval_hazard":
        args.append((x - np.exp(rng.uniform(-15, 4, POINTS)), 0.0 * x))
    params: dict[str, int] = {"n": 1, "m": 0} if name == "interval_hazard" else {}
    orders = {"polygamma": 2, "digamma_step": 0, "log_ndtr_derivative": 1}
    params |= {"n": orders[name]} if name in orders else {}
    of = {"digamma_step": "polygamma_step", "interval_hazard": HAZARD.name}
    op = OPS[of.get(name, name)]
    hi, lo = call.value(*args)
    # an exact sum of floats is the argument, and the value's own head is taken off: what is
    # left has the size of its rounding errors
    leaves = [leaf(d) for pair in args for d in pair]
    sums = [leaves[i] + leaves[i + 1] for i in range(0, len(leaves), 2)]
    bindings = {t: t.params[0].value for t in leaves}
    head = leaf(hi)
    true = truth(op(*sums, **params) - head, {**bindings, head: hi}, budget=20_000)
    scale = np.abs(hi) + call.floor
    assert (np.abs(lo - true.value) <= 2.0**-97 * scale).all()


def test_codes_of_one_program_share_what_they_have_in_common(monkeypatch) -> None:
    monkeypatch.setattr(extended, "is_held", lambda: False)
    x, y = (leaf(np.linspace(0.5, 2.0, 40) * c) for c in (1.0, 1.0 + 2**-40))
    first = OPS["sin"](x * y) - OPS["arctan"](y)
    roots = [first - OPS["sin"](x * x) + OPS["arctan"](x), OPS["sin"](first + x) - OPS["sin"](x)]
    sines = []
    sine = CALLS["sin"].value
    counted = CALLS["sin"]._replace(value=lambda a: sines.append(a) or sine(a))
    monkeypatch.setitem(CALLS, "sin", counted)
    shared = program.evaluate(roots, Settings())
    together, sines[:] = len(sines), []
    monkeypatch.setattr(shared_pairs, "SHARED_AT_MOST", 0)
    apart = program.evaluate(roots, Settings())
    assert 0 < together < len(sines)
    for a, b in zip(shared, apart, strict=True):
        np.testing.assert_array_equal(a, b)


def test_shared_pairs_end_with_the_program() -> None:
    assert shared_pairs._running.get() is None
    pool = Pool()
    code = (Sum(0, ((1, 0), (-1, 1))),)
    for names in (("a", "b"), ("a", "c")):
        pool.add(names, (False, False), code)
    with sharing(pool):
        assert shared_pairs._running.get() is not None
    assert shared_pairs._running.get() is None
    with pytest.raises(ValueError, match="stop"), sharing(pool):
        raise ValueError("stop")
    assert shared_pairs._running.get() is None
