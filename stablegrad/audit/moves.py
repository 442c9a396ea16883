"""Inputs next to given ones: what a problem makes of errors that no program can avoid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stablegrad.ir import Term
from stablegrad.ops.record import is_float
from stablegrad.oracle.limits import stepped
from stablegrad.oracle.rounding import ulp_exponents

Array = np.ndarray[Any, Any]

MOVES = ((1, 1.0), (1, -1.0), (2, 1.0), (2, -1.0), (2, 0.0), (2, 0.0))
"""How inputs are moved: by how many ulp, to which side; 0 for a side at random for each."""


BETWEEN = 16
"""How many times inputs are moved to places between floats."""


def moved_between(bindings: Mapping[Term, Array]) -> list[dict[Term, Any]]:
    """Inputs anywhere within two ulp, no floats but exact numbers: for the oracle alone.

    There are four floats within two ulp of a number, too few to show how far a result swings that
    takes every value in between (the cosine of a great square).
    """
    generator = np.random.default_rng(1)
    found: list[dict[Term, Any]] = []
    for _ in range(BETWEEN):
        steps: dict[Term, Array] = {}
        for t, value in bindings.items():
            if is_float(t.dtype):
                fixed = (value == 0) | ~np.isfinite(value)
                ulp = np.ldexp(1.0, ulp_exponents(np.where(fixed, 1.0, np.abs(value)), t.dtype))
                steps[t] = np.where(fixed, 0.0, generator.uniform(-2, 2, value.shape) * ulp)
        found.append(stepped(bindings, steps))
    return found


def moved(bindings: Mapping[Term, Array]) -> list[dict[Term, Array]]:
    """Inputs an ulp or two away, in several directions; zeros and infinities stay.

    What a result changes by is what a problem makes of errors that no program can avoid.
    """
    found: list[dict[Term, Array]] = []
    generator = np.random.default_rng(0)
    for k, (steps, way) in enumerate(MOVES):
        values: dict[Term, Array] = {}
        for i, (t, value) in enumerate(bindings.items()):
            values[t] = value
            if not is_float(t.dtype):
                continue
            side = generator.choice([-1.0, 1.0], value.shape) if not way else way ** (1 + k * i)
            fixed = (value == 0) | ~np.isfinite(value)
            towards = np.copysign(np.inf, np.where(value < 0, -side, side)).astype(t.dtype)
            there = value
            for _ in range(steps):
                there = np.nextafter(there, towards)
            values[t] = np.where(fixed | ~np.isfinite(there), value, there).astype(t.dtype)
        found.append(values)
    return found
