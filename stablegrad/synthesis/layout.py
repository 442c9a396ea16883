"""Where kernels find the rows of a table: from the bits of the input, and what the rows are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

UNCOVERED = 0
"""The row, and the kind, of inputs for which nothing is proved."""


class Layout(NamedTuple):
    """A table as kernels read it.

    Attributes:
        start: 64 times base, and shift, of both sides, of the one after those of the other.
        cells: where there are many zones, what start leads to: for each cell the input from which
            on the second of its two rows serves, and those rows.
        anchors: hi and lo of the zone that a row is of, else 0.
        logs: the rows of each kind that another follows.
        direct: what start has for an input, by its sign and exponent.
        points: the bits of exact inputs, with their values.
        roots: the kinds of each exponent 1/q of the variable that is not 1.
        even, dressed, waved: the kinds that are even, that are more than a polynomial, waves apart.
    """

    start: Any
    cells: tuple[Any, Any] | None
    anchors: tuple[Any, Any]
    logs: dict[int, tuple[int, ...]]
    direct: Any
    points: tuple[tuple[Any, float], ...]
    roots: tuple[tuple[int, list[int]], ...]
    even: list[int]
    dressed: list[int]
    waved: list[int]


LOOKED_THROUGH = 3
"""Zones that every input is compared with."""
FINEST = 12
"""A binade has 2**FINEST cells at most."""


def layout_of(table: Any) -> Layout:
    """The layout of a table."""
    base = [b for s in table.sides for b in s.base]
    shift = [h for s in table.sides for h in s.shift]
    logs = {
        i: tuple(np.flatnonzero(table.kind == i)[::2].tolist())
        for i, k in enumerate(table.kinds)
        if k.log
    }
    cells = None
    if len(table.zones) > LOOKED_THROUGH:
        found = _cells(table, base, shift)
        if found is not None:
            base, shift, cells = found
    form = table.format
    start = (64 * np.array(base) + np.array(shift)).astype(form.integer)
    hi, lo = np.zeros((2, len(table.kind)), form.name)
    for z in table.zones:
        for r in (z.above, z.below):
            if r != UNCOVERED:
                hi[r], lo[r] = z.hi, z.lo
    kinds = list(enumerate(table.kinds))[1:]
    roots = sorted({k.q for _, k in kinds} - {1})
    return Layout(
        start,
        cells,
        (hi, lo),
        logs,
        _by_exponent(table, start),
        tuple([(np.array(p, form.name).view(form.integer)[()], y) for p, y in table.points]),
        tuple([(q, [i for i, k in kinds if k.q == q]) for q in roots]),
        [i for i, k in kinds if k.even],
        [i for i, k in kinds if not k.plain and not k.waves],
        [i for i, k in kinds if k.waves],
    )


def _by_exponent(table: Any, start: Any) -> Any:
    """What ``start`` has for each sign and exponent, as the upper bits of a float are."""
    form, sides = table.format, table.sides
    biased = np.arange(1 << (8 * np.dtype(form.integer).itemsize - 1 - form.fraction))
    entries = [
        np.clip(biased - form.bias, side.low - 1, side.high) - (side.low - 1) for side in sides
    ]
    return start[np.concatenate([entries[0], entries[1] + len(sides[0].base)])]


def _cells(table: Any, base: list[int], shift: list[int]) -> Any:
    """Cells that are inside of a zone or use none, in place of the pieces of each binade."""
    kind = np.dtype(table.format.name).type
    firsts, shifts, rows, edges = [], [], [], []
    for s, side in enumerate(table.sides):
        for n in range(len(side.base)):
            first, pieces = base[len(firsts)], table.format.fraction - shift[len(firsts)]
            e = side.low - 1 + n
            start = 2.0**e
            outer = n == 0, n == len(side.base) - 1
            near = []
            for z in table.zones:
                at = -z.hi if s else z.hi
                if at - z.width < (np.inf if outer[1] else 2 * start) and at + z.width > (
                    0 if outer[0] else start
                ):
                    near.append((at, z))
            if near and any(outer):
                return None
            k = max([pieces, *[e + 2 - math.frexp(z.width)[1] for _, z in near]])
            if k > FINEST:
                return None
            firsts.append(len(edges))
            shifts.append(table.format.fraction - k)
            for j in range(2**k):
                row = first + (j >> (k - pieces)) if first else UNCOVERED
                lo, hi = start * (1 + j / 2**k), start * (1 + (j + 1) / 2**k)
                found, edge = (row, row), np.inf
                for at, z in near:
                    if at - z.width <= lo and hi <= at + z.width:
                        found = tuple([r or row for r in (z.below, z.above)])
                        edge = z.hi if z.lo < 0 else np.nextafter(kind(z.hi), kind(np.inf))
                    elif row == UNCOVERED and at - z.width < hi and lo < at + z.width:
                        return None
                rows += found
                edges.append(edge)
    form = table.format
    return firsts, shifts, (np.array(edges, form.name), np.array(rows, form.integer))
