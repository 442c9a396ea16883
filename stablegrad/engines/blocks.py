"""Runs of steps over large arrays, a block at a time: what lies between stays in the cache.

A float64 array of a million elements is read from memory and written back by every step; a block
of a few thousand is not. Elementwise steps can be cut anywhere, and those along the last axis
between rows, the first axis counting as the number of rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Container, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from stablegrad.ir import Term
from stablegrad.ops.code_pools import Pool
from stablegrad.ops.dtypes import converted
from stablegrad.ops.lowered_calls import REDOING
from stablegrad.ops.record import CONST
from stablegrad.ops.shared_pairs import sharing

BLOCK = 8192
"""Elements computed at once: several float64 arrays of that many fit the cache of a core."""

NARROW, WIDE = np.dtype(np.float32), np.dtype(np.float64)

_LEAST = 4 * BLOCK  # elements of an array that is worth it
_ROWS = 16


class Run:
    """Consecutive steps of a plan whose values have as many rows."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.terms: dict[Term, Any] = {}
        """The terms in order, and their steps in the plan."""
        self.read: dict[Term, str] = {}
        """Of the terms that no step computes, how: "cut" in rows, "whole", or a single number."""

    def takes(self, term: Term, step: Any) -> bool:
        """Take a step, if its rows are computed each by itself and as many as those before."""
        if not term.shape or term.shape[0] != self.rows or self.rows < _ROWS:
            return False
        if term.op.elementwise:
            read = {a: _reading(a, term) for a in read_by(term)}
        elif term.op.family == "reduction" and _along_last(term):
            read = {a: "cut" if a.shape[0] == self.rows else "" for a in read_by(term)}
        else:
            return False
        for a, how in read.items():
            if not how or (a in self.terms and how != "cut") or self.read.get(a, how) != how:
                return False
        self.read |= {a: how for a, how in read.items() if a not in self.terms}
        self.terms[term] = step
        return True

    def pays(self) -> bool:
        """Whether there is anything to keep in the cache."""
        shapes = [t.shape for t in (*self.terms, *self.read)]
        return len(self.terms) > 1 and max(map(math.prod, shapes)) >= _LEAST

    def close(self, slot: dict[Term, int], keep: set[int], pool: Pool) -> Any:
        """The run as a step of the plan, which takes all cells and writes to them itself."""
        self.slots = {
            how: [slot[a] for a, found in self.read.items() if found == how]
            for how in ("cut", "whole", "single")
        }
        steps = list(self.terms.values())
        dead = {i for step in steps for i in step[6]}
        written = {step[3] for step in steps}
        self.steps = [(*step[:5], [i for i in step[6] if i in written]) for step in steps]
        self.kept = [step[3:6] for step in steps if step[3] in keep or step[3] not in dead]
        arrays = [*self.terms, *[a for a, how in self.read.items() if how == "cut"]]
        shapes = {t.shape for t in arrays}
        self.flat = len(shapes) == 1 and not self.slots["whole"] and _elementwise(self.terms)
        """Whether it can be cut within rows: elementwise throughout, on one shape."""
        row = max(math.prod(shape[1:]) for shape in shapes)
        if self.flat:
            self.rows, row = self.rows * row, 1
        # the next calls try smaller blocks while these are faster: what a few elements cost each
        # block may be more than the cache gains
        self.untried = [max(BLOCK // row, 1), max(8 * BLOCK // row, 1), self.rows]
        self.block, self.least_ns = self.rows, math.inf
        self.pool = pool if any(t.op.name in REDOING for t in self.terms) else None
        return (self, RUN, None, 0, None, (), tuple(sorted(dead - written)))

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
        else:
            self.untried = []

    def _run(self, cells: list[Any], block: int) -> None:
        inner: dict[int, Any] = {}
        for i in self.slots["single"]:
            inner[i] = np.asarray(cells[i]).reshape(-1)[:1].reshape(())
        for i in self.slots["whole"]:
            inner[i] = cells[i]
        results = [(i, np.empty(shape, dtype)) for i, dtype, shape in self.kept]
        cut = [(i, cells[i]) for i in self.slots["cut"]]
        lines = results
        if self.flat:
            cut = [(i, np.ascontiguousarray(a).reshape(-1)) for i, a in cut]
            lines = [(i, a.reshape(-1)) for i, a in results]
        for start in range(0, self.rows, block):
            part = slice(start, start + block)
            for i, array in cut:
                inner[i] = array[part]
            with nullcontext() if self.pool is None else sharing(self.pool):
                self._block(inner)
            for i, array in lines:
                array[part] = inner[i]
        for i, array in results:
            cells[i] = array

    def _block(self, inner: dict[int, Any]) -> None:
        for kernel, one, several, out, dtype, dead in self.steps:
            value = kernel(*several(inner)) if one is None else kernel(inner[one])
            if getattr(value, "dtype", None) != dtype:
                value = converted(np.asarray(value), dtype)
            inner[out] = value
            for i in dead:
                del inner[i]


def read_by(term: Term) -> tuple[Term, ...]:
    """What the kernel of a term takes: its arguments, or float32s that it widens by itself."""
    # along rows only the first has to be narrow
    arrays = [a for a in term.args if a.op is not CONST or term.op.elementwise]
    if not term.op.widens or term.dtype != WIDE or not all(_widened(a) for a in arrays):
        return term.args
    return tuple([a.args[0] if a in arrays else a for a in term.args])


def _widened(a: Term) -> bool:
    """Whether an array, not a single number, is one of float32s in float64."""
    return a.op.name == "astype" and a.dtype == WIDE and a.args[0].dtype == NARROW and a.shape != ()


RUN = -1
"""In a step, in place of the slot of its argument: it is a run."""


def in_runs(
    steps: Sequence[tuple[Term, Any]],
    slot: dict[Term, int],
    keep: set[int],
    apart: Container[Term],
    pool: Pool,
) -> list[Any]:
    """The steps of a plan, those that can run in blocks taken together.

    Args:
        steps: terms in the order in which they are computed, and their steps: kernel, slot of the
            one argument, what takes several from the cells, slot of the value, dtype, shape,
            slots that nobody reads from then on.
        slot: of every term.
        keep: slots that are read after the plan.
        apart: terms whose steps are not to be taken together with others.
        pool: what steps may compute again in pairs.
    """
    out: list[Any] = []
    run: Run | None = None
    for term, step in (*steps, (None, None)):
        if run is not None and term is not None and term not in apart and run.takes(term, step):
            continue
        if run is not None:
            out += [run.close(slot, keep, pool)] if run.pays() else run.terms.values()
        run = None
        if term is None:
            break
        run = Run(term.shape[0] if term.shape else 0)
        if term in apart or not run.takes(term, step):
            out.append(step)
            run = None
    return out


def _reading(a: Term, user: Term) -> str:
    """How a step reads an argument; "" where its rows are not those of the value."""
    if a.op is CONST or a.shape == ():
        return "single"
    if a.ndim < user.ndim or a.shape[0] == 1:
        return "whole"
    return "cut" if a.ndim == user.ndim and a.shape[0] == user.shape[0] else ""


def _along_last(term: Term) -> bool:
    ndim = term.args[0].ndim
    if ndim < 2 or "axis" not in term.op.params or any(a.ndim != ndim for a in term.args):
        return False
    return term.param("axis") in (ndim - 1, (ndim - 1,))


def _elementwise(terms: Iterable[Term]) -> bool:
    return all(t.op.elementwise for t in terms)
