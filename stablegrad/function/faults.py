"""What is wrong with a gradient, in words: zero, a multiple, right on one side only."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SAME = 1e-3
"""Quotients of a gradient and the truth that differ by less, relatively, are one multiple."""
ENOUGH = 3
"""Elements that have to agree before something is said of them all."""


def faults_of(name: str, x: Array, got: Array, true: Array, bad: Array, known: Array) -> list[str]:
    """How the gradient by one input is wrong.

    Args:
        name: of the input.
        x: its elements.
        got: the gradient there.
        true: the truth.
        bad: where it is wrong; somewhere at least.
        known: where the truth is known.

    Returns:
        Sentences that hold for all elements; none where no simple one does.
    """
    x, got, true, bad, known = (np.ravel(v) for v in np.broadcast_arrays(x, got, true, bad, known))
    of = f"the gradient by input {name}"
    worst = int(np.flatnonzero(bad)[np.argmax(np.abs(np.nan_to_num(true[bad])))])
    place = f"{'' if name.isdigit() else f'{name} = '}{x[worst]:.6g}"
    at = f"at {place} it is {got[worst]:.6g}, truly {true[worst]:.6g}"
    nonzero = known & (true != 0)
    if nonzero.any() and not np.any(got[known]):
        return [f"{of} is 0 everywhere: {at}"]
    with np.errstate(all="ignore"):
        ratio = np.asarray(got, np.float64)[nonzero] / np.asarray(true, np.float64)[nonzero]
    if ratio.size >= ENOUGH and np.isfinite(ratio).all():
        middle = float(np.median(ratio))
        if np.allclose(ratio, middle, rtol=SAME, atol=0) and abs(middle - 1) > SAME:
            return [f"{of} is {middle:.4g} times the truth: {at}"]
    telling = nonzero & ~bad  # a zero is right by chance, below the range of floats
    return [
        f"{of} {told}: {at}" for told in _sides(x, bad, telling if telling.any() else known & ~bad)
    ]


def _sides(x: Array, bad: Array, right: Array) -> list[str]:
    """On which side of what number it is wrong."""
    if not right.any():
        return ["is wrong everywhere"]
    wrong, fine = x[bad], x[right]
    if wrong.min() == wrong.max():
        if (fine == wrong[0]).any():
            return []
        inside = fine.min() < wrong[0] < fine.max()
        return [f"is wrong only {'at' if inside else 'at the end'} {wrong[0]:.6g}"]
    if wrong.min() > fine.max():
        if fine.max() <= 0 <= wrong.min():
            return ["is one-sided, right for inputs below 0 and wrong for those above"]
        return [f"is right up to {fine.max():.6g} and wrong from {wrong.min():.6g} on"]
    if wrong.max() < fine.min():
        if wrong.max() <= 0 <= fine.min():
            return ["is one-sided, right for inputs above 0 and wrong for those below"]
        return [f"is right from {fine.min():.6g} on and wrong up to {wrong.max():.6g}"]
    return []
