"""What the codes of one program have in common is computed once.

While a program runs, an instruction of its pool is evaluated at the elements that somebody asks
for and kept: no element is computed twice, and an instruction is not called often for a few
elements each time, so that the cost is that of the instructions and not that of the codes. Extended
precision is tried first, then pairs; few elements are computed in balls, if the engine has any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from typing import Any, Protocol

import numpy as np

from stablegrad.ir import Shape
from stablegrad.ops import extended
from stablegrad.ops.code_pools import Cone, Pool
from stablegrad.ops.pair_codes import (
    Bounded,
    Code,
    bounded,
    columns,
    evaluated,
    evaluated_jointly,
    is_exact,
    spread,
)

SHARED_AT_MOST = 65_536
"""Elements of an array whose pairs are kept while the program runs."""
_CALL = 512
"""Elements that take as long as the calls do which an instruction is made of."""
_FEW = 64
"""Elements for which balls are faster than pairs."""
_LEAST = 4
"""Elements for which balls are faster than extended precision, which may not be enough."""


class sharing:  # noqa: N801 - used as a function; a generator would take three times as long
    """Let the codes of a pool that run inside, once each, share what they have in common."""

    __slots__ = ("pool", "token")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.token: Token[_Running | None] | None = None

    def __enter__(self) -> None:
        if self.pool.cones > 1:
            self.token = _running.set(_Running(self.pool))

    def __exit__(self, *_: object) -> None:
        if self.token is not None:
            _running.reset(self.token)


def run_code_at(
    xp: Any,
    where: Any,
    leaves: Sequence[Any],
    rounded: Sequence[bool],
    code: Code,
    enough: Callable[[Bounded], Any],
) -> Bounded:
    """The result of a code at the elements where a mask holds, with its error.

    Args:
        xp: the engine's names; its balls serve for few elements.
        where: the mask.
        leaves: the numbers that the code starts from.
        rounded: which of them are rounded results.
        code: the instructions.
        enough: which elements of a result are as good as anybody wants.
    """
    if not (extended.is_held() and extended.is_known(code)):
        return _run(_PAIRS, where, leaves, rounded, code)
    in_balls = getattr(xp, "in_balls", None)
    if in_balls is not None and is_exact(tuple(rounded), code):
        count = np.count_nonzero(where)
        if count <= _LEAST:
            hi, lo, error = in_balls(*_by_element(where, leaves, code))
            if np.isfinite(error).all():
                return (hi, lo), error
    x, error = _run(_EXTENDED, where, leaves, rounded, code)
    hi = x.astype(np.float64)
    lo = (x - hi).astype(np.float64)
    left = ~(np.isfinite(error) & enough(((hi, lo), error)))
    if not np.any(left):
        return (hi, lo), error
    error = error.copy()  # it may be kept
    few = np.count_nonzero(left) <= _FEW
    if in_balls is not None and few and is_exact(tuple(rounded), code):
        again = np.zeros(where.shape, bool)
        again[where] = left
        hi[left], lo[left], error[left] = in_balls(*_by_element(again, leaves, code))
        left &= ~np.isfinite(error)
    if np.any(left):
        again = np.zeros(where.shape, bool)
        again[where] = left
        (hi[left], lo[left]), error[left] = _run(_PAIRS, again, leaves, rounded, code)
    return (hi, lo), error


def _run(kind: _Kind, where: Any, leaves: Sequence[Any], rounded: Sequence[bool], code: Any) -> Any:
    running = _running.get()
    known = running is not None and isinstance(code, Cone) and code.pool is running.pool
    if running is not None and known and where.size <= SHARED_AT_MOST:
        return running.level(kind, where.shape).at(where.reshape(-1), leaves, code)
    registers = [kind.leaf(x, r) for x, r in zip(columns(where, leaves), rounded, strict=True)]
    for step in code:
        registers.append(kind.step(step, registers))
    return registers[-1]


def _by_element(
    where: Any, leaves: Sequence[Any], code: Any
) -> tuple[Sequence[Any], Sequence[int], list[dict[int, Any]]]:
    """Instructions, the numbers of those of a code, and by number what is known at elements."""
    running = _running.get()
    if running is not None and isinstance(code, Cone) and code.pool is running.pool:
        steps, order, numbers = code.pool.steps, code.order, code.numbers
        memory = running.elements.setdefault(where.shape, {})
    else:
        steps, memory = [*leaves, *code], {}
        order = range(len(steps))
        numbers = order[: len(leaves)]
    known = [memory.setdefault(place, {}) for place in np.flatnonzero(where).tolist()]
    for number, column in zip(numbers, columns(where, leaves), strict=True):
        for registers, x in zip(known, column.tolist(), strict=True):
            registers.setdefault(number, x)
    return steps, order, known


class _Kind(Protocol):
    """An arithmetic: how its values are made, and how they lie in arrays."""

    def leaf(self, x: Any, rounded: bool) -> Any:
        """A number of the program, or a rounded result."""

    def step(self, step: Any, registers: Any) -> Any:
        """The value of an instruction."""

    def taken(self, value: Any, places: Any) -> Any:
        """The value at some places."""

    def room(self, size: int) -> Any:
        """A value to be written to."""

    def put(self, room: Any, places: Any, value: Any) -> None:
        """Write the value at some places."""


class _Pairs:
    def leaf(self, x: Any, rounded: bool) -> Any:
        return bounded(x, rounded)

    def step(self, step: Any, registers: Any) -> Any:
        return evaluated(step, registers)

    def taken(self, value: Any, places: Any) -> Any:
        (hi, lo), error = value
        return (hi[places], lo[places]), error[places]

    def room(self, size: int) -> Any:
        return (np.empty(size), np.empty(size)), np.empty(size)

    def put(self, room: Any, places: Any, value: Any) -> None:
        (hi, lo), error = room
        (hi[places], lo[places]), error[places] = value


class _Extended:
    def leaf(self, x: Any, rounded: bool) -> Any:
        return extended.leaf(x, rounded)

    def step(self, step: Any, registers: Any) -> Any:
        return extended.step(step, registers)

    def taken(self, value: Any, places: Any) -> Any:
        x, error = value
        return x[places], error[places]

    def room(self, size: int) -> Any:
        return np.empty(size, np.longdouble), np.empty(size)

    def put(self, room: Any, places: Any, value: Any) -> None:
        x, error = room
        x[places], error[places] = value


_PAIRS, _EXTENDED = _Pairs(), _Extended()


class _Covered:
    """At which elements instructions are evaluated."""

    def __init__(self, mask: Any = None, calls: int = 0, places: Any = None) -> None:
        self.mask = mask
        self.calls = calls
        self.places = places
        """Of the elements, in order, where values are of these alone."""


_NOWHERE, _EVERYWHERE, _GONE = _Covered(), _Covered(), _Covered()


class _Batch:
    """The registers at elements at which some instructions are to be evaluated."""

    def __init__(self, level: _Level, before: _Covered, after: _Covered, where: Any) -> None:
        self.level = level
        self.before = before
        self.after = after
        self.where = where
        """Their places; None for all there are."""
        self.found: dict[int, Any] = {}

    def __getitem__(self, number: int) -> Any:
        found = self.found.get(number)
        if found is None:
            found = self.found[number] = self.level.read(number, self.where)
        return found


class _Level:
    """The values of instructions at arrays of one shape."""

    def __init__(self, pool: Pool, kind: _Kind, shape: Shape, size: int) -> None:
        self.pool = pool
        self.kind = kind
        self.shape = shape
        self.size = size
        self.values: list[Any] = [None] * len(pool.steps)
        self.covered = [_NOWHERE] * len(pool.steps)
        self.gone = 0
        """Of how many codes what nobody needs has been dropped."""

    def at(self, where: Any, leaves: Sequence[Any], cone: Cone) -> Any:
        """The result of a code at some of the elements, which are evaluated as far as needed."""
        for place in range(self.gone, cone.place):
            for number in self.pool.dead[place]:
                self.values[number], self.covered[number] = None, _GONE
        self.gone = max(self.gone, cone.place)
        asked = np.flatnonzero(where)
        everything = self._is_everything_due(where, cone)
        batches: dict[int, _Batch | None] = {}
        for number in cone.order:
            before = self.covered[number]
            if before is _EVERYWHERE:
                continue
            if id(before) not in batches:
                batches[id(before)] = self._batch(before, where, asked, everything)
            batch = batches[id(before)]
            if batch is None:
                continue
            if number in cone.leaves:
                x = spread(leaves[cone.leaves[number]], self.shape).reshape(-1)
                x = x if batch.where is None else x[batch.where]
                self._keep(number, self.kind.leaf(x, self.pool.steps[number]), batch)
                continue
            step, twin = self.pool.steps[number], self.pool.twins[number]
            joint = twin is not None and self.kind is _PAIRS and self.covered[twin] is before
            if twin is not None and joint:
                both = evaluated_jointly(step, batch)
                self._keep(number, both[0], batch)
                self._keep(twin, both[1], batch)
            else:
                self._keep(number, self.kind.step(step, batch), batch)
        return self.read(cone.order[-1], asked)

    def read(self, number: int, places: Any) -> Any:
        """The value of a number at some of the elements where it is known; None for all."""
        value, held = self.values[number], self.covered[number].places
        if places is None or places is held:
            return value
        return self.kind.taken(value, places if held is None else np.searchsorted(held, places))

    def _is_everything_due(self, where: Any, cone: Cone) -> bool:
        """Whether calls for a few elements each have cost as much as all of them would.

        Then all that a code is made of is evaluated everywhere: no instruction may be so before
        those that it needs.
        """
        calls = max([self.covered[number].calls for number in cone.order]) + 1
        mask = self.covered[cone.order[-1]].mask
        known = where if mask is None else where | mask
        return calls * _CALL >= self.size - int(np.count_nonzero(known))

    def _batch(self, before: _Covered, where: Any, asked: Any, everything: bool) -> _Batch | None:
        """What is to be evaluated beyond some elements; None for nothing."""
        if everything:
            places = None if before.mask is None else np.flatnonzero(~before.mask)
            return _Batch(self, before, _EVERYWHERE, places)
        if before.mask is None:
            return _Batch(self, before, _Covered(where, 1, asked), asked)
        missing = np.flatnonzero(where & ~before.mask)
        if not missing.size:
            return None
        return _Batch(self, before, _Covered(before.mask | where, before.calls + 1), missing)

    def _keep(self, number: int, value: Any, batch: _Batch) -> None:
        batch.found[number] = value
        self.covered[number] = batch.after
        if batch.before is _NOWHERE:
            self.values[number] = value
            return
        if batch.before.places is not None:
            room = self.kind.room(self.size)
            self.kind.put(room, batch.before.places, self.values[number])
            self.values[number] = room
        self.kind.put(self.values[number], batch.where, value)


class _Running:
    """The pairs of one run of a program."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.levels: dict[tuple[_Kind, Shape], _Level] = {}
        self.elements: dict[Shape, dict[int, dict[int, Any]]] = {}
        """By shape and place, what balls were found."""

    def level(self, kind: _Kind, shape: Shape) -> _Level:
        """Those at arrays of one shape."""
        found = self.levels.get((kind, shape))
        if found is None:
            found = self.levels[kind, shape] = _Level(self.pool, kind, shape, math.prod(shape))
        return found


_running: ContextVar[_Running | None] = ContextVar("shared pairs", default=None)
