"""Programs that can be cut: some elements, or some rows, make a smaller one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.audit.sampling import thinned
from stablegrad.audit.trace import Trace, trace
from stablegrad.ir import Term, make, topological
from stablegrad.ops.record import CONST, INPUT

Array = np.ndarray[Any, Any]

CHUNK = 1 << 16
"""Elements of the largest node of a chunk."""


class Elements:
    """An elementwise program: any of its elements make a smaller program.

    Attributes:
        size: how many elements there are.
        rows: what a chunk is counted in.
    """

    rows = "elements"

    def __init__(self, traced: Trace) -> None:
        self.traced = traced
        self.shape = traced.result.shape
        self.size = traced.result.size
        self.chunk = CHUNK
        self.whole = {name for name, x in traced.variables if x.shape == self.shape}

    @staticmethod
    def possible(traced: Trace) -> bool:
        """Whether each element of the result depends on one element of each input alone."""
        plain = [t for t in topological([traced.result]) if t.op not in (CONST, INPUT)]
        return all(t.op.elementwise or t.op.name == "broadcast_to" for t in plain)

    def trace_of(self, places: Array) -> Trace:
        """The program of some of the elements, on the user's lines."""
        count = len(places)
        done: dict[Term, Term] = {}
        values: list[Array] = []
        for x, value in zip(self.traced.inputs, self.traced.values, strict=True):
            shape = () if x.size == 1 else (count,)
            done[x] = make(INPUT, (), x.params, shape, x.dtype)
            full = value if x.shape == self.shape else np.broadcast_to(value, self.shape)
            flat = full.reshape(-1) if full.flags.c_contiguous else full.flat
            values.append(value.reshape(()) if x.size == 1 else np.asarray(flat[places]))
        for t in topological([self.traced.result]):
            if t in done:
                continue
            if t.op.name == "broadcast_to":
                done[t] = done[t.args[0]]
                continue
            args = tuple([done[a] for a in t.args])
            shape = () if t.op is CONST or all(a.shape == () for a in args) else (count,)
            done[t] = make(t.op, args, t.params, shape, t.dtype)
        names = [(name, done[x]) for name, x in self.traced.variables]
        lines = {done[t]: p for t, p in self.traced.places.items() if t in done}
        inputs = [done[x] for x in self.traced.inputs]
        return Trace(done[self.traced.result], inputs, values, names, lines)

    def is_whole(self, name: str) -> bool:
        """Whether a result has an element of its own for each of the program."""
        return name == "value" or name.rpartition(" by ")[2] in self.whole


class Rows:
    """A function that is called on some rows of its arguments."""

    rows = "rows"

    def __init__(
        self, f: Callable[..., Any], args: list[Any], traced: Trace, rows: int, largest: int
    ) -> None:
        self.f = f
        self.args = args
        self.size = rows
        self.chunk = max(1, CHUNK * rows // max(largest, 1))
        shapes = {"value": traced.result.shape} | {n: x.shape for n, x in traced.variables}
        self.whole = {name for name, shape in shapes.items() if shape[:1] == (rows,)}

    def trace_of(self, places: Array) -> Trace:
        """The program on some of the rows."""
        return trace(self.f, thinned(self.args, self.size, places))

    def is_whole(self, name: str) -> bool:
        """Whether a result has a part of its own for each row."""
        return name.rpartition(" by ")[2] in self.whole


Source = Elements | Rows
