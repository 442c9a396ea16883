"""Functions that leave the range of floats where what is made of them does not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
import pytest

from stablegrad.ir import OPS, Term, make
from stablegrad.ops.derivative import gradient
from stablegrad.ops.near_zero import LEADING
from stablegrad.ops.ranged_functions import TAILS
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import err_ulp
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


@pytest.mark.parametrize("name", LEADING)
def test_the_first_term_of_a_series_is_what_the_oracle_says(name):
    (x,) = scalars(1)
    order, slope = LEADING[name]
    series = taylor(OPS[name](x), {x: np.array([0.0])}, order, direction={x: 1.0})
    *below, last = [float(t.value[0]) for t in series]
    assert not any(below)
    assert last == pytest.approx(float(Fraction(slope)) * factorial(order), rel=1e-15)


FAR = sorted(TAILS - {"inverse_power_cos", "inverse_power_sin", "log_step", "compound_sum"})


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("rooted", [False, True])
def test_a_tail_times_a_number(name, rooted):
    """What is 0 by itself is none in a product."""

    def program(x: Term, y: Term) -> Term:
        return sqrt(y * f(name)(x)) if rooted else y * f(name)(x)

    x, y = bit_patterns(SEED, COUNT), bit_patterns(SEED + 1, COUNT)
    x[::4] = np.sign(x[::4]) * np.geomspace(20.0, 40.0, len(x[::4])) ** (1 if "r" in name else 2)
    if name in ("sigmoid", "softplus", "ndtr"):
        x[::4] *= -1
    if name == "log_sigmoid":
        y = -y
    assert max(worst(program, [x, y], 8)) <= 4


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
