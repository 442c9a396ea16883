"""Runs of elementwise steps over large arrays, a block at a time: what lies between stays in cache.

A float64 array of a million elements is read from memory and written back by every step; a block
of a few thousand is not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import Term
from stablegrad.ops.dtypes import converted
from stablegrad.ops.record import CONST

BLOCK = 8192
"""Elements computed at once: several float64 arrays of that many fit the cache of a core."""

_LEAST = 4 * BLOCK


def joins(term: Term) -> bool:
    """Whether a step can be in a run: elementwise, of large arrays of one shape, and numbers."""
    return (
        term.op.elementwise
        and math.prod(term.shape) >= _LEAST
        and all(a.op is CONST or a.shape in (term.shape, ()) for a in term.args)
    )


class Run:
    """Consecutive steps of a plan whose values have one shape."""

    def __init__(
        self, steps: Sequence[Any], read: Sequence[int], kept: Sequence[int], single: set[int]
    ) -> None:
        """Take the steps as they stand in the plan.

        Args:
            steps: kernel, slot of its one argument, what takes several from the cells, slot of
                the value, dtype, shape, slots that nobody reads from then on.
            read: slots that the steps read and no step writes.
            kept: slots of values that are read after the run.
            single: those of ``read`` that hold one number for all elements.
        """
        self.steps = [
            (kernel, one, several, out, dtype) for kernel, one, several, out, dtype, *_ in steps
        ]
        self.whole = [i for i in read if i not in single]
        self.numbers = [i for i in read if i in single]
        self.shape: tuple[int, ...] = steps[0][5]
        dtypes = {out: dtype for _, _, _, out, dtype, *_ in steps}
        self.kept = [(i, dtypes[i]) for i in kept]
        self.untried = [math.prod(self.shape), 8 * BLOCK, BLOCK]
        """Sizes of blocks that the next calls try: what a few elements cost each block may be more
        than the cache gains."""
        self.block, self.least_ns = BLOCK, math.inf

    def __call__(self, cells: list[Any]) -> None:
        """Run the steps, and write what is kept to its cells."""
        try:
            block = self.untried.pop()
        except IndexError:
            self._run(cells, self.block)
            return
        start = time.thread_time_ns()
        self._run(cells, block)
        spent_ns = time.thread_time_ns() - start
        if spent_ns < self.least_ns:
            self.block, self.least_ns = block, spent_ns

    def _run(self, cells: list[Any], block: int) -> None:
        size = math.prod(self.shape)
        inner: list[Any] = [None] * len(cells)
        for i in self.numbers:
            inner[i] = np.asarray(cells[i]).reshape(-1)[:1].reshape(())
        whole = [(i, np.ascontiguousarray(cells[i]).reshape(-1)) for i in self.whole]
        results = [(i, np.empty(size, dtype)) for i, dtype in self.kept]
        for start in range(0, size, block):
            part = slice(start, start + block)
            for i, array in whole:
                inner[i] = array[part]
            for kernel, one, several, out, dtype in self.steps:
                value = kernel(*several(inner)) if one is None else kernel(inner[one])
                if getattr(value, "dtype", None) != dtype:
                    value = converted(np.asarray(value), dtype)
                inner[out] = value
            for i, array in results:
                array[part] = inner[i]
        for i, array in results:
            cells[i] = array.reshape(self.shape)
