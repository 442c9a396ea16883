"""Inputs next to given ones: what a problem makes of errors that no program can avoid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stablegrad.ir import Term
from stablegrad.ops.record import is_float

Array = np.ndarray[Any, Any]

MOVES = ((1, 1.0), (1, -1.0), (2, 1.0), (2, -1.0), (2, 0.0), (2, 0.0))
"""How inputs are moved: by how many ulp, to which side; 0 for a side at random for each."""


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
