"""Tables of the inputs of one sign, and how two make one of all inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stablegrad.synthesis.layout import UNCOVERED
from stablegrad.synthesis.table import Side, Table, Zone

Array = np.ndarray[Any, Any]


def padded(rows: Sequence[Sequence[float]], dtype: Any) -> Array:
    """Coefficients of several polynomials, one in each column."""
    out = np.zeros((max(map(len, rows)), len(rows)), dtype)
    for i, c in enumerate(rows):
        out[: len(c), i] = c
    return out


def merged(gaps: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Intervals that touch as one."""
    out: list[tuple[float, float]] = []
    for lo, hi in sorted(gaps):
        if out and out[-1][1] >= lo:
            out[-1] = (out[-1][0], max(out[-1][1], hi))
        else:
            out.append((lo, hi))
    return out


def _place(point: tuple[float, float]) -> tuple[bool, bool, bool]:
    """0, -0, the infinities, then ends of the domain."""
    x, _ = point
    at_an_end = x == 0 or math.isinf(x)
    return not at_an_end, at_an_end and x != 0, at_an_end and math.copysign(1, x) < 0


def joined(right: Table, left: Table) -> Table:
    """The table of all inputs from those of positive and of negative ones."""
    by = len(right.kind) - 1
    kinds = list(right.kinds)
    kinds += [k for k in left.kinds[1:] if k not in kinds[1:]]
    # the first row and the first kind are those of what is not covered
    to = np.array([UNCOVERED, *[1 + kinds[1:].index(k) for k in left.kinds[1:]]], np.int8)

    def row(r: int) -> int:
        return r + by if r != UNCOVERED else UNCOVERED

    side = left.sides[1]
    return replace(
        right,
        coefficients=padded(
            [*right.coefficients.T, *left.coefficients.T[1:]], right.coefficients.dtype
        ),
        center=np.concatenate([right.center, left.center[1:]]),
        scale=np.concatenate([right.scale, left.scale[1:]]),
        slope=np.concatenate([right.slope, left.slope[1:]]),
        kind=np.concatenate([right.kind, to[left.kind[1:]]]),
        kinds=tuple(kinds),
        sides=(
            right.sides[0],
            Side(side.low, side.high, tuple([row(r) for r in side.base]), side.shift),
        ),
        zones=(
            *right.zones,
            *[Zone(z.hi, z.lo, z.width, row(z.above), row(z.below)) for z in left.zones],
        ),
        points=tuple(sorted([*right.points, *left.points], key=_place)),
        pieces=right.pieces + left.pieces,
        bound_ulp=max(right.bound_ulp, left.bound_ulp),
        gaps=tuple(merged([*right.gaps, *left.gaps])),
        elapsed_s=right.elapsed_s + left.elapsed_s,
    )
