"""Synthesized kernels where the naive form needs them: elsewhere it is as good and faster.

The floats are cut into cells, 32 of each binade. A cell is left to the naive form where that is
within an ulp of the table at some points, and where nothing between its ops vanishes, leaves the
range or varies much: what cancels does one of these. A naive form that computes again in pairs
costs more than its table, which then serves all that it covers. That is looked at once for every
binade that is met, before the first value is given, so that a value depends on its input alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from stablegrad.engines.blocks import BLOCK, WIDE
from stablegrad.engines.tables import Step, steps_of, values_of
from stablegrad.ir import Term, topological
from stablegrad.ops.code_pools import Pool
from stablegrad.ops.record import CONST
from stablegrad.ops.shared_pairs import sharing
from stablegrad.synthesis import Recipe, evaluate, table_for

Array = np.ndarray[Any, Any]
Pools = tuple[Pool, Pool]
BITS = 5
"""A binade has 2**BITS cells."""
POINTS = 8
"""Points of each cell, its ends among them."""
CLOSE_ULP = 1.0
"""The greatest distance of the naive form to the table."""
STEADY = 16.0
"""The greatest ratio of two values of an op in a cell."""
LITTLE = 2.0**-52
"""The share of a step of which nothing may be known."""
_SHIFT = np.int64(52 - BITS)
_CELLS = 1 << (12 + BITS)
_BAD, _UNKNOWN = 1, 2
_CACHED = 512
_NOWHERE = np.zeros(0, np.intp)


class Masked:
    """A function of one float64: by naive steps in some cells, by its table in the others."""

    def __init__(
        self, steps: Sequence[Step], decided: Sequence[Step], recipe: Recipe, pools: Pools
    ) -> None:
        self.steps = steps
        self.decided = decided
        """The same where no table is: what pairs of floats cannot tell is decided there."""
        self.recipe = recipe
        self.pools = pools
        """What the steps compute again in pairs, and those that decide."""
        self.dear = pools[0].cones > 0
        """Whether the naive form costs more than the table."""
        self.verdicts = np.full(_CELLS, _UNKNOWN, np.uint8)

    def table(self, x: Array) -> tuple[Array, Array]:
        """The function at each input, and whether a table covers it."""
        table = table_for(self.recipe, x)
        return evaluate(np, x, table) if table else (x, np.zeros(x.shape, bool))

    def naive(self, x: Array) -> Array:
        """The naive form at each input."""
        with sharing(self.pools[0]):
            return np.broadcast_to(values_of(self.steps, x)[-1], x.shape)

    def bad(self, x: Array) -> Array:
        """Where the table serves, for a flat array."""
        cell = _cells(x)
        verdict = self.verdicts.take(cell, mode="clip")
        if verdict.max(initial=0) == _UNKNOWN:
            self._learn(np.unique(cell[verdict == _UNKNOWN] >> BITS))
            verdict = self.verdicts.take(cell, mode="clip")
        return np.flatnonzero(verdict)

    def __call__(self, x: Array) -> Array:
        flat = np.ascontiguousarray(x).reshape(-1)
        if flat.size <= BLOCK:
            here = self.bad(flat)
            if here.size == flat.size:
                return self._by_table(flat).reshape(x.shape)
            if not here.size:
                return self.naive(flat).reshape(x.shape)
        out = np.empty(flat.shape)
        bad: list[Array] = []
        for start in range(0, flat.size, BLOCK):
            part = flat[start : start + BLOCK]
            here = self.bad(part)
            if 2 * here.size <= part.size:
                out[start : start + BLOCK] = self.naive(part)
            elif here.size < part.size:
                good = np.ones(part.size, bool)
                good[here] = False
                out[start : start + BLOCK][good] = self.naive(part[good])
            if here.size:
                bad.append(here + start)
        # of all blocks together: a table costs about as much for one element as for a thousand
        places = bad[0] if len(bad) == 1 else np.concatenate([*bad, _NOWHERE])
        for start in range(0, places.size, BLOCK):
            here = places[start : start + BLOCK]
            out[here] = self._by_table(flat[here])
        return out.reshape(x.shape)

    def _by_table(self, x: Array) -> Array:
        value, covered = self.table(x)
        if np.count_nonzero(covered) < covered.size:
            left = np.flatnonzero(~covered)
            with sharing(self.pools[1]):
                value[left] = np.broadcast_to(values_of(self.decided, x[left])[-1], left.shape)
        return value

    def _learn(self, binades: Array) -> None:
        """Decide about all cells of some binades."""
        for part in np.array_split(binades, -(-binades.size // 32)):
            cells = (part[:, None] << BITS) + np.arange(1 << BITS)
            # both neighbours of a bad cell are bad: what spoils it may lie on the border
            bad = self._is_bad(cells.reshape(-1)).reshape(cells.shape)
            wide = bad.copy()
            wide[:, 1:] |= bad[:, :-1]
            wide[:, :-1] |= bad[:, 1:]
            self.verdicts[cells] = wide

    def _is_bad(self, cells: Array) -> Array:
        last = (1 << int(_SHIFT)) - 1
        places = np.linspace(0, last, POINTS).astype(np.int64)
        inner = np.random.default_rng(BITS).integers(-(last >> 5), last >> 5, POINTS - 2)
        places[1:-1] += inner
        x = ((cells[:, None] << _SHIFT) | places).view(np.float64)
        value, covered = (a.reshape(x.shape) for a in self.table(x.reshape(-1)))
        bad = np.asarray(covered.any(axis=1))
        asked = ~bad if self.dear else np.ones_like(bad)
        if asked.any():
            bad[asked] = self._is_off(x[asked], value[asked], covered[asked])
        return bad

    def _is_off(self, x: Array, value: Array, covered: Array) -> Array:
        """Whether the naive form is off, or may be, in cells of which some points are given."""
        known = values_of(self.steps, x.reshape(-1))
        naive = np.broadcast_to(known[-1], x.size).reshape(x.shape)
        with np.errstate(all="ignore"):
            error = np.abs(naive - value) / np.spacing(np.abs(value))
        # what no table covers is left to the naive form, or decided where that is all rounding
        bad = np.asarray(covered.any(axis=1) & ~(covered & (error <= CLOSE_ULP)).all(axis=1))
        for step in known[1:]:
            if getattr(step, "shape", ()) == (x.size,) and step.dtype == WIDE:
                size = np.abs(step.reshape(x.shape))
                sign = np.signbit(step.reshape(x.shape))
                steady = size.max(axis=1) <= STEADY * size.min(axis=1)
                bad |= ~(steady & (sign == sign[:, :1]).all(axis=1)) & covered.any(axis=1)
                little = (np.abs(naive) < LITTLE * size).any(axis=1)
                bad |= little & ~covered.any(axis=1)
        return bad


def _cells(x: Array) -> Array:
    return (x.view(np.int64) >> _SHIFT) & np.int64(_CELLS - 1)


# -- the synthesized parts of a program -------------------------------------------------------

_known: OrderedDict[Any, Masked] = OrderedDict()
"""By what they compute, the oldest first."""


def sources(order: Sequence[Term]) -> dict[Term, Term]:
    """The synthesized terms of a lowered program whose naive form is a function of the source.

    Args:
        order: the terms of the program, arguments first.
    """
    found: dict[Term, Term] = {}
    for term in order:
        if term.op.name != "synthesized" or term.dtype != WIDE:
            continue
        source, naive = term.args
        if source.dtype != WIDE or source.shape != term.shape or naive is source:
            continue
        inside = topological([naive], stop={source}.__contains__)
        if all(t is source or _is_part(t, term.shape) for t in inside):
            found[term] = source
    return found


def _is_part(term: Term, shape: tuple[int, ...]) -> bool:
    if term.op is CONST:
        return True
    known = bool(term.args) and term.op.elementwise and term.op.name != "astype"
    return known and term.shape in (shape, ())


Bind = Callable[..., Callable[..., Any]]


def masked_of(term: Term, bind: Bind, bind_decided: Bind) -> Masked:
    """The function of one value that a synthesized term is.

    Args:
        term: one that ``sources`` found.
        bind: the kernel of a term, its parameters bound, its code in the ``pool`` that is given.
        bind_decided: the same with what decides where floats do not.
    """
    source, naive = term.args
    form, _ = steps_of(naive, source, lambda term: None)
    key = (form, term.params)
    found = _known.get(key)
    if found is None:
        pools = Pool(), Pool()
        _, steps = steps_of(naive, source, partial(bind, pool=pools[0]))
        _, decided = steps_of(naive, source, partial(bind_decided, pool=pools[1]))
        found = _known[key] = Masked(steps, decided, term.param("recipe"), pools)
        if len(_known) > _CACHED:
            _known.popitem(last=False)
    return found
