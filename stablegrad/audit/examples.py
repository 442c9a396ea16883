"""Single inputs of an audit: those that a search found, and those that plots show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Example:
    """One input of a domain at which the naive program fails.

    Attributes:
        kind: "ordinary", the one of fewest digits that was found; "worst", that of most bits.
        inputs: the values of the parameters that were searched over, by name.
        result: the result that is worst there.
        got, true: that result (its worst element) and the correctly rounded truth.
        bits_lost: log2 of the error in ulp.
    """

    kind: str
    inputs: dict[str, Any]
    result: str
    got: float
    true: float
    bits_lost: float

    def __str__(self) -> str:
        at = ", ".join(f"{name} = {_short(value)}" for name, value in self.inputs.items())
        word = "fails at" if self.kind == "ordinary" else "is worst at"
        return (
            f"{word} {at}: {self.result} is {self.got:.9g}, truly {self.true:.9g} "
            f"({self.bits_lost:.1f} bits lost)"
        )

    def to_json(self) -> dict[str, Any]:
        """The example by its attributes; nan and infinities as text."""
        return {
            "kind": self.kind,
            "inputs": self.inputs,
            "result": self.result,
            "got": _json_number(self.got),
            "true": _json_number(self.true),
            "bits_lost": round(self.bits_lost, 1),
        }


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join([_short(v) for v in value])}]"
    return f"{value:.9g}"


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


@dataclass
class Series:
    """One result against one input, element by element, for plots.

    Attributes:
        result, variable: what is plotted, against which input.
        x: the elements of the input.
        naive, stabilized, true: what comes out, and should.
        before, after: bits lost, naive and stabilized.
    """

    result: str
    variable: str
    x: np.ndarray[Any, Any]
    naive: np.ndarray[Any, Any]
    stabilized: np.ndarray[Any, Any]
    true: np.ndarray[Any, Any]
    before: np.ndarray[Any, Any]
    after: np.ndarray[Any, Any]


PLOTTED = 240
"""Elements of a result that are kept for plots."""


def series_of(
    result: str,
    variable: str,
    numbers: Sequence[np.ndarray[Any, Any]],
    bits: Sequence[np.ndarray[Any, Any]],
) -> Series:
    """The worst elements of a result and as many others, evenly chosen.

    Args:
        result: what is plotted.
        variable: against which input.
        numbers: the input, and the result as written, stabilized and true.
        bits: lost as written, and stabilized.
    """
    count = len(bits[0])
    worst = np.argsort(-bits[0], kind="stable")[: PLOTTED // 2]
    even = np.linspace(0, max(count - 1, 0), PLOTTED // 2).astype(int)
    some = np.unique(np.concatenate([worst, even]))[:count]
    x, before, after, true = [v[some] for v in numbers]
    return Series(result, variable, x, before, after, true, bits[0][some], bits[1][some])
