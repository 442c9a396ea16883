"""Functions that leave the range of floats where what is made of them does not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from stablegrad.ir import OPS, Term, make
from stablegrad.ops.behaviour import ENDLESS, EVEN, FALLS, GROWS, LEADING, ODD
from stablegrad.ops.derivative import gradient
from stablegrad.ops.ranged_functions import CODED
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import err_ulp, truth
from stablegrad.oracle.truth import taylor
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

SEED = 2026
PLAIN = Settings(excluded=frozenset({"synthesis"}))
COUNT = 96
"""More points than the oracle is asked to decide."""


def f(name: str) -> Callable[..., Term]:
    return OPS[name]


sqrt, exp, log, cbrt, arctan, hypot = (f(n) for n in "sqrt exp log cbrt arctan hypot".split())
maximum = f("maximum")

Program = Callable[..., Term]


def scalars(count: int) -> list[Term]:
    return [make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(count)]


def bit_patterns(seed: int, count: int) -> np.ndarray[Any, Any]:
    """Half anything that a float can be, half of everyday size; every other positive."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    near = rng.standard_normal(count) * 2.0 ** rng.integers(-12, 12, count)
    x = np.where(np.isfinite(raw) & (rng.random(count) < 0.5), raw, near)
    return np.where(np.arange(count) % 2 == 0, np.abs(x), x)


def worst(program: Program, data: list[Any], known: int) -> list[float]:
    """The largest errors in ulp of value and slope, where both have a normal value."""
    shaped = [make(INPUT, (), (i,), (COUNT,), np.dtype(np.float64)) for i in range(len(data))]
    y = program(*shaped)
    slope = gradient(y, shaped[0], const(1, y.dtype, y.shape))
    got = compile_terms([y, slope], shaped, PLAIN)(data)
    inputs = scalars(len(data))
    true = taylor(
        program(*inputs), dict(zip(inputs, data, strict=True)), 1, direction={inputs[0]: 1.0}
    )
    found = []
    for a, t in zip(got, true, strict=True):
        size = np.abs(t.value)
        judged = t.decided & np.isfinite(t.value) & ((size == 0) | (size > 1e-307))
        assert judged.sum() >= known
        found.append(float(np.max(np.abs(np.asarray(err_ulp(a, t))[judged]))))
    return found


def calls(count: int) -> list[tuple[str, Term]]:
    """Every elementwise op of so many arguments, or its first derivatives where it is one."""
    found = []
    for name, op in OPS.items():
        orders = sorted(set(permutations([1, *[0] * (len(op.params) - 1)][: len(op.params)])))
        for order in orders if op.elementwise else []:
            try:
                y = op(*scalars(count), **dict(zip(op.params, order, strict=True)))
                truth(y, {x: np.array([0.25]) for x in scalars(count)})
            except (TypeError, IndexError, AttributeError, ValueError, AssertionError):
                continue  # of another count of arguments
            if y.dtype.kind == "f":
                found.append((name, y))
    return found


FAR_OUT = [0.25, -0.4, 45.25, -45.25, 1000.25, -1000.25]
EXTREME = [s * v for s in (1.0, -1.0) for v in (1e6 + 0.25, 2.0**1000, 2.0**-1000)]
POINTS = {1: [*FAR_OUT, *EXTREME], 2: FAR_OUT, 3: [0.25, -0.4, 1000.25]}
SMALLEST, LARGEST = -708.4, 709.8
"""The logarithms of the range of floats."""


def test_what_leaves_the_range_is_declared_and_no_more():
    """A new op is found here, by the oracle: its values far out."""
    falls, grows = set(), set()
    for count, points in POINTS.items():
        at = [np.array(v) for v in zip(*product(points, repeat=count), strict=True)]
        for name, y in calls(count):
            size = truth(log(f("abs")(y)), dict(zip(scalars(count), at, strict=True)))
            known = np.where(size.decided & np.isfinite(size.value), size.value, 0.0)
            falls |= {name} if (known[np.abs(at[0]) > 1e-300] < SMALLEST).any() else set()
            grows |= {name} if (known > LARGEST).any() else set()
    assert falls == FALLS
    assert grows == GROWS


def test_zeros_at_0_are_declared_and_no_more():
    """The first terms of all functions that are a power near 0, by the oracle at tiny numbers."""
    (x,) = scalars(1)
    found = {}
    for name, y in calls(1):
        if y.params:
            continue
        less, more, far = truth(y, {x: np.array([2.0**-300, 2.0**-200, 0.25])}).value
        if not 0 < abs(less) < 2.0**-100:
            continue
        order = np.log2(more / less) / 100
        first = less * 2.0 ** (300 * order)
        if 2 * order == round(2 * order) and far != first * 0.25**order:  # it is no power itself
            found[name] = order, first
    declared = {n: (float(k), pytest.approx(float(c), rel=1e-15)) for n, (k, c) in LEADING.items()}
    assert found == declared


def test_parities_are_declared_and_no_more():
    """What is the same but for its sign, or the same, on both sides of 0, by the oracle."""
    (x,) = scalars(1)
    at = np.array([0.3, 0.77, 1.9, 7.3, 45.3])
    odd, even = set(), set()
    for name, y in calls(1):
        if y.params:
            continue
        right, left = truth(y, {x: at}), truth(y, {x: -at})
        known = right.decided & left.decided & np.isfinite(right.value) & np.isfinite(left.value)
        a, b = right.value[known], left.value[known]
        odd |= {name} if a.any() and (a == -b).all() else set()
        even |= {name} if len(set(a)) > 1 and (a == b).all() else set()
    assert odd == ODD
    assert even == EVEN


def test_slow_poles_at_0_are_declared_and_no_more():
    """What is infinite at 0, and a logarithm or the root of one beside it."""
    (x,) = scalars(1)
    at = {x: np.array([s * 2.0**-k for k in (500, 1000) for s in (1, -1)])}
    found = set()
    for name, y in calls(1):
        true = truth(y, at)
        nearer, near = np.where(true.decided, np.abs(true.value), np.nan).reshape(2, 2)[::-1]
        found |= {name} if ((nearer > 1.2 * near) & (nearer < 1e4)).any() else set()
    assert found == ENDLESS


@pytest.mark.parametrize("name", sorted(ENDLESS))
def test_a_slow_pole_at_what_is_lost_below_the_range(name):
    """It is in range there on one side of 0, and nan or a number on the other."""

    def program(x: Term) -> Term:
        return maximum(f(name)(x * f("square")(x)), -1e4)

    x = np.array([s * v for s in (1, -1) for v in (2e-107, 1e-150)])  # subnormal, 0
    (shaped,), (scalar,) = [make(INPUT, (), (0,), x.shape, x.dtype)], scalars(1)
    (got,) = compile_terms([program(shaped)], [shaped], PLAIN)([x])
    true = truth(program(scalar), {scalar: x})
    there = true.decided & np.isfinite(true.value)
    assert there.sum() >= 2
    assert np.abs(err_ulp(got, true))[there].max() <= 2
    assert np.isnan(got[true.undefined]).all()


UNARY = {name for name, _ in calls(1)} & CODED
LEAVING = sorted(UNARY & (FALLS | GROWS))


@pytest.mark.parametrize("name", LEAVING)
@pytest.mark.parametrize("rooted", [False, True])
def test_a_function_out_of_range_times_a_number(name, rooted):
    """What is 0 or infinite by itself is neither in a product."""

    def program(x: Term, y: Term) -> Term:
        return sqrt(y * f(name)(x)) if rooted else y * f(name)(x)

    x, y = bit_patterns(SEED, COUNT), bit_patterns(SEED + 1, COUNT)
    x[::4] = np.geomspace(20.0, 1400.0, len(x[::4])) * np.resize([1, -1], len(x[::4]))
    if name == "gamma":
        x = np.abs(x)
    if rooted:
        (t,) = scalars(1)
        y *= np.sign(truth(f(name)(t), {t: np.clip(x, -1.0, 1.0)}).value)
    assert max(worst(program, [x, y], 8)) <= 4


@pytest.mark.parametrize("name", sorted(UNARY & GROWS))
def test_a_small_power_of_a_function_out_of_range(name):
    """cosh(x)**0.1 is in range at 1000."""
    x = np.geomspace(20.0, 1400.0, COUNT) * np.resize([1, -1], COUNT)
    if name == "gamma":
        x = np.abs(x)
    y = np.geomspace(1e-4, 0.1, COUNT)[::-1]
    (t,) = scalars(1)
    sign = truth(f(name)(t), {t: x}, limits=False).value > 0
    if sign.sum() >= 8:
        x, y = np.resize(x[sign], COUNT), np.resize(y[sign], COUNT)
        assert max(worst(lambda x, y: f(name)(x) ** y, [x, y], 8)) <= 8


@pytest.mark.parametrize("name", LEADING)
def test_a_function_near_its_zero_times_a_number(name):
    x, y = bit_patterns(SEED + 2, COUNT), bit_patterns(SEED + 3, COUNT)
    x = np.clip(x, -0.4, 0.4)  # where all of them are defined
    tiny = np.abs(x) < 1e-150
    y = np.where(tiny, 2.0**1000, y)
    values, _ = worst(lambda x, y: y * f(name)(x), [x, y], 40)
    assert values <= 4


PROGRAMS: dict[str, tuple[int, Program]] = {
    "angle": (2, lambda x, y: arctan(y / x)),
    "angle times a leg": (2, lambda x, y: y * arctan(y / x)),
    "two angles": (2, lambda x, y: arctan(x / y) + arctan(y / x)),
    "shares of tails": (2, lambda x, y: f("sigmoid")(x) / f("sigmoid")(y)),
    "cube root of a quotient": (2, lambda x, y: cbrt(x / (2.0 * y))),
    "entropy of mixing": (2, lambda x, y: (x + y) * log(x + y) - x * log(x) - y * log(y)),
    "Stirling's difference": (1, lambda n: (n + 1.0) * log(n + 1.0) - n * log(n) - 1.0),
    "compound growth": (1, lambda n: (1.0 + 1.0 / n) ** n),
    "charging": (4, lambda v, t, r, c: v * (1.0 - exp(-t / r / c))),
    "kinetic energy": (2, lambda m, v: m * (1.0 / sqrt(1.0 - v * v) - 1.0)),
    "complex root": (2, lambda x, y: sqrt(2.0 * (sqrt(x * x + y * y) - x))),
    "half a tangent": (2, lambda x, y: (sqrt(x * x + y * y) - x) / y),
    "midpoint formula": (3, lambda a, b, c: (-b / 2.0 + sqrt(b * b / 4.0 - a * c)) / a),
    "reduced quadratic": (3, lambda a, b, c: (-b + sqrt(b * b - a * c)) / a),
    "citardauq": (3, lambda a, b, c: (2.0 * c) / (-b - sqrt(b * b - 4.0 * a * c))),
    "difference of roots": (3, lambda n, x, y: x ** (1.0 / n) - y ** (1.0 / n)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_over_the_whole_range(name):
    count, program = PROGRAMS[name]
    data = [bit_patterns(SEED + 10 + i, COUNT) for i in range(count)]
    value, slope = worst(program, data, 8)
    assert value <= 4
    assert slope <= 5
