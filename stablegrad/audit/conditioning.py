"""What a problem makes of errors that no program can avoid: two units in the last place of inputs.

A program whose result is off by no more than that is as right as anybody could ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stablegrad.audit.moves import MOVES, moved, moved_between
from stablegrad.audit.truths import Known
from stablegrad.ir import Term

Array = np.ndarray[Any, Any]

_SWINGS = 32
"""An error that is greater than what neighbours show by less than this factor asks for more."""
_MISSED = 1.25
"""What a result that swings reaches between the places that were tried, relative to these."""


class Neighbours:
    """The truth of results at inputs next to those of an audit, found when first asked for."""

    def __init__(
        self,
        bindings: Mapping[Term, Any],
        truths_at: Callable[[Mapping[Term, Any]], list[Known]],
    ) -> None:
        self.bindings = bindings
        self.truths_at = truths_at
        self.found: list[list[Known]] = []

    def excuse(self, at: int, got: Array, known: Known) -> Array:
        """Elements of a result whose error is no more than what neighbours differ by."""
        self._look(moved, len(MOVES))
        true = np.asarray(known.value, np.float64)
        with np.errstate(all="ignore"):
            error = np.abs(np.asarray(got, np.float64) - true)
            reach = self._reach(at, true)
            if (known.decided & (error > reach) & (error < _SWINGS * reach)).any():
                self._look(moved_between, len(MOVES) + 1)
                reach = _MISSED * self._reach(at, true)
        return known.decided & (error <= reach)

    def _look(
        self, moves: Callable[[Mapping[Term, Any]], Sequence[Mapping[Term, Any]]], least: int
    ) -> None:
        if len(self.found) < least:
            self.found += [self.truths_at(values) for values in moves(self.bindings)]

    def _reach(self, at: int, true: Array) -> Array:
        """How far a result is from its true value at neighbouring inputs, at most."""
        reach = np.zeros(true.shape)
        for found in self.found:
            other = found[at]
            away = np.abs(np.asarray(other.value, np.float64) - true)
            reach = np.fmax(reach, np.where(other.decided & np.isfinite(away), away, 0.0))
        return reach
