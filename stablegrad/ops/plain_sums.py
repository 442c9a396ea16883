"""Sums of two addends in plain floats, redone only where they cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.ops import pairs

_SMALL = 4096  # below this size, choosing elements costs more than computing them all


def two_addends(
    xp: Any,
    xs: tuple[Any, ...],
    constant: Any,
    multipliers: tuple[Any, ...],
    counts: tuple[int, ...],
    compensated: Callable[..., Any],
) -> Any:
    """The sum of two multiples of floats, or products of two floats.

    Where the sizes of the addends are together at most twice that of the sum, nothing cancels
    and their roundings are at most doubled, so they need not be carried along.

    Args:
        xp: NumPy's namespace.
        xs: the factors, in order.
        constant: one of the addends, or None.
        multipliers: for each other addend 1, -1, or a pair hi + lo.
        counts: how many of the factors each addend is of.
        compensated: ``compensated(xp, *xs)``, the sum with its roundings.
    """
    addends: list[Any] = [] if constant is None else [constant]
    position = 0
    for multiplier, count in zip(multipliers, counts, strict=True):
        p = xs[position] * xs[position + 1] if count == 2 else xs[position]
        position += count
        if multiplier == -1:
            p = -p
        elif multiplier != 1:
            p = p * multiplier[0]
        addends.append(p)
    a, b = addends
    total = a + b
    good = np.abs(a) + np.abs(b) <= 2 * np.abs(total)
    if np.count_nonzero(good) == total.size:
        return total
    if total.size < _SMALL:
        return np.where(good, total, compensated(xp, *xs))
    same = [x if x.shape == total.shape else np.broadcast_to(x, total.shape) for x in xs]
    return pairs.redo(xp, ~good, total, compensated, *same)
