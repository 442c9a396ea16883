"""An axis for a plot of errors: linear, or by magnitude where that is where things happen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BINS = 64
SPAN = 40
"""Powers of ten shown on an axis by magnitude at most; what is smaller is drawn at 0."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from 0 to 1.

    Attributes:
        low, high: the ends, in the scale of the axis.
        unit: the magnitude up to which an axis by magnitude is linear; 0 for a linear one.
        ticks: places from 0 to 1 with labels.
    """

    low: float
    high: float
    unit: float
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, x: Array) -> Array:
        """The place of each number."""
        places = (_scaled(x, self.unit) - self.low) / ((self.high - self.low) or 1.0)
        return np.clip(places, 0.0, 1.0)


def _scaled(x: Array, unit: float) -> Array:
    x = np.asarray(x, np.float64)
    if not unit:
        return x
    with np.errstate(all="ignore"):
        size = np.abs(x)
        return np.sign(x) * np.where(size > unit, 1 + np.log10(size / unit), size / unit)


def axis_for(x: Array, bits: Array) -> Axis:
    """The axis on which the inputs that lose digits lie furthest apart.

    Args:
        x: the inputs.
        bits: what is lost at each.
    """
    x = np.asarray(x, np.float64)
    fine = np.isfinite(x)
    inside = np.clip(x, *_ends(x[fine]))
    size = np.abs(inside[inside != 0])
    largest = float(size.max(initial=0.0))
    units = [0.0]
    if largest:
        smallest = max(float(size.min()), largest * 10.0**-SPAN)
        powers = (-3, -6, -12, -20, -SPAN)
        units += sorted({max(smallest, largest * 10.0**p) for p in powers}, reverse=True)
    weight = np.where(bits > 2, 4, 1)

    def spread(unit: float) -> int:
        places = _scaled(inside, unit)
        low, high = _ends(places)
        bins = ((places - low) / ((high - low) or 1.0) * (BINS - 1)).astype(int)
        return sum(int(np.max(weight[bins == b], initial=0)) for b in np.unique(bins))

    scores = [spread(u) for u in units]
    unit = next(u for u, s in zip(units, scores, strict=True) if s >= 0.8 * max(scores))
    places = _scaled(inside, unit)
    low, high = _ends(places)
    if x.size and low == high:
        low, high = low - 1.0, high + 1.0
    return Axis(low, high, unit, _ticks(low, high, unit))


def _ends(x: Array) -> tuple[float, float]:
    return (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)


def _ticks(low: float, high: float, unit: float) -> tuple[tuple[float, str], ...]:
    if not unit:
        step = 10.0 ** math.floor(math.log10((high - low) or 1.0))
        for factor in (0.1, 0.2, 0.5, 1.0, 2.0):
            if (high - low) / (step * factor) <= 8:
                step *= factor
                break
        numbers = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    else:
        first = math.floor(math.log10(unit))
        top = max(abs(low), abs(high))
        last = math.floor(math.log10(unit) + max(top - 1, 0))
        every = max(1, math.ceil((last - first + 1) / (3 if low < 0 < high else 6)))
        powers = [10.0**k for k in range(last, first, -every)]
        numbers = (
            [-p for p in powers if low < 0] + [0.0] + [p for p in reversed(powers) if high > 0]
        )
    places = _scaled(np.array(numbers), unit)
    inside = (places >= low - 1e-9) & (places <= high + 1e-9)
    return tuple(
        [
            ((float(p) - low) / (high - low), f"{n:.6g}")
            for p, n, keep in zip(places, numbers, inside, strict=True)
            if keep
        ]
    )
