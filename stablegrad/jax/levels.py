"""Levels: which of the vmaps around the derivatives of operations are one and the same.

JAX maps what is bound inside of a ``vmap``, each equation where an argument has the axis. So the
equations of one chain may lie in different ones: under ``hessian`` the value in none, its tangent
in the outer, a cotangent in the inner, that one's tangent in both. Where a derivative is handed on
with its axes, and mapped over all of them again, both equations lie in the same. An operation
that JAX mapped before it was differentiated has the axis in its shape instead; where it works on
each element alone it is seen as mapped, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from stablegrad.jax.equations import Equation
from stablegrad.jax.inside import applied
from stablegrad.jax.operations import ELEMENTWISE
from stablegrad.jax.regions import numbered
from stablegrad.settings import Settings

Flags = tuple[bool, ...]
"""For each of the vmaps around derivatives, in one order, whether a value has its axis."""
Level = tuple[int, int]
"""An equation and which of its vmaps."""


def within(flags: Flags, around: Flags) -> bool:
    """Whether a value has the axes of these vmaps alone."""
    return all(has or not flag for flag, has in zip(flags, around, strict=True))


class Levels:
    """The vmaps around the derivatives among some equations.

    Args:
        equations: in order.
        settings: in force.
        parts: the addends of a cotangent.

    Attributes:
        equations: with axes that elementwise ones have in their shapes as further vmaps.
        places: for each equation, which of its own vmaps each of those around any derivative
            is, the inner ones first.
    """

    def __init__(
        self,
        equations: Sequence[Equation],
        settings: Settings,
        parts: Callable[[Any], Sequence[Any]],
    ) -> None:
        self.settings = settings
        self.parts = parts
        self.equations: list[Equation] = []
        self.maker: dict[int, int] = {}
        self.parent: dict[Level, Level] = {}
        self.members: dict[Level, set[int]] = {}
        for n, given in enumerate(equations):
            e = given if given.mark is None else self._lifted(given)
            self.equations.append(e)
            if e.mark is not None:
                self.maker.update(dict.fromkeys(e.outputs, n))
                self._join(n, e)
        self.places = self._places()

    def _givers(self, e: Equation) -> Iterator[tuple[int, int]]:
        """The derivatives that an equation takes: their equations, and as which arguments."""
        assert e.mark is not None
        for i, x in enumerate(e.inputs):
            moves = i >= len(e.mark.made)
            for a in self.parts(x) if e.mark.reverse and moves else [x]:
                m = self.maker.get(a) if isinstance(a, int) else None
                if m is not None:
                    yield m, i

    # -- one and the same ---------------------------------------------------------------------

    def _root(self, level: Level) -> Level:
        while self.parent[level] != level:
            level = self.parent[level]
        return level

    def _join(self, n: int, e: Equation) -> None:
        for k in range(len(e.batch)):
            self.parent[n, k] = n, k
            self.members[n, k] = {n}
        for m, i in self._givers(e):
            own = [k for k, flags in enumerate(e.batch) if flags[i]]
            if len(own) != len(self.equations[m].batch):
                continue
            for j, k in enumerate(own):
                a, b = self._root((m, j)), self._root((n, k))
                # two vmaps of one equation are two, whatever is handed on
                if a != b and self.members[a].isdisjoint(self.members[b]):
                    if len(self.members[a]) < len(self.members[b]):
                        a, b = b, a
                    self.parent[b] = a
                    self.members[a] |= self.members.pop(b)

    def _places(self) -> list[list[int | None]]:
        own = [
            [self._root((n, k)) for k in range(len(e.batch))] if e.mark is not None else []
            for n, e in enumerate(self.equations)
        ]
        inside: dict[Level, set[Level]] = {}
        for levels in own:
            for k, level in enumerate(levels):
                inside.setdefault(level, set()).update(levels[:k])
        try:
            order = list(TopologicalSorter(inside).static_order())
        except CycleError:  # told apart by their positions alone
            own = [[(0, k) for k in range(len(levels))] for levels in own]
            order = [(0, k) for k in range(max(map(len, own)))]
        return [[levels.index(x) if x in levels else None for x in order] for levels in own]

    # -- axes in shapes -----------------------------------------------------------------------

    def _lifted(self, e: Equation) -> Equation:
        mark = e.mark
        assert mark is not None
        if mark.source is None or mark.source[0].name not in ELEMENTWISE:
            return e
        count, kinds = len(mark.made), mark.region.inputs
        more = {
            len(self.equations[m].batch) - sum(flags[i] for flags in e.batch)
            for m, i in self._givers(e)
            if i >= count
        }
        has = [bool(x.shape) for x in kinds]
        shapes = {x.shape for x in kinds if x.shape}
        if len(more) != 1 or len(shapes) != 1 or not 0 < min(more) <= len(*shapes):
            return e
        if mark.reverse and not all(has[i] for i in mark.moved):
            return e  # the cotangent of what is the same for all elements is a sum
        (depth,) = more
        inner = [numbered(i, x.shape[depth:], x.dtype) for i, x in enumerate(kinds)]
        primitive, params = mark.source
        region = applied(primitive.name, inner, params, self.settings)
        if region is None:
            return e
        moves = [True] * len(mark.places) if mark.reverse else [has[i] for i in mark.moved]
        batch = ((*has, *moves),) * depth + e.batch
        return replace(e, batch=batch, mark=replace(mark, region=region))
