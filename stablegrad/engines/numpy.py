"""The default engine: NumPy and SciPy kernels, IEEE arithmetic with subnormals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import scipy.special

from stablegrad.engines import blocks, masked, rare, tables
from stablegrad.engines.memory import LEAST, keep_freed
from stablegrad.ir import Term, topological
from stablegrad.ops.code_pools import Pool
from stablegrad.ops.dtypes import converted
from stablegrad.ops.lowered_calls import REDOING
from stablegrad.ops.record import CONST, Op, round_to
from stablegrad.ops.shared_pairs import sharing
from stablegrad.oracle.codes import decided, in_balls, judged, settled

Array = np.ndarray[Any, Any]


class Namespace:
    """NumPy's names, and ``special`` with SciPy's."""

    special = scipy.special
    name = "numpy"

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        setattr(self, name, value)
        return value


class _Plain(Namespace):
    """With balls for the few elements for which pairs are slow."""

    in_balls = staticmethod(in_balls)


class _Decided(_Plain):
    """What kernels see as ``xp``; its referee decides what pairs of floats cannot tell."""

    referee = staticmethod(settled)
    judge = staticmethod(judged)
    decider = staticmethod(decided)


xp = _Decided()
PLAIN = _Plain()
"""Without the referee: what floats, pairs of them and a few balls give."""
BARE = Namespace()
"""What floats and pairs of them give, as any engine has them."""


def kernel_of(op: Op) -> Callable[..., Any]:
    """The kernel of an op on this engine."""
    return op.engine_kernels.get("numpy", op.kernel)


Step = tuple[
    Callable[..., Any], int | None, Callable[[list[Any]], Any], int, Any, Any, tuple[int, ...]
]
"""A kernel with its parameters bound; the slot of its one argument, or what takes several from
the slots; the slot of its value, dtype and shape; the slots that nobody reads from then on."""


Wrap = Callable[[Op, Callable[..., Any]], Callable[..., Any]]
"""What puts itself around the kernels of a plan, to watch or disturb them."""


def _nothing(cells: list[Any]) -> tuple[()]:
    return ()


class Plan:
    """A straight-line program for NumPy: one step per term, values dropped after last use.

    What is a function of one float32 is one step, and so are a synthesized kernel with its naive
    form and a run of elementwise steps on large arrays.
    """

    def __init__(
        self,
        roots: Sequence[Term],
        inputs: Sequence[Term],
        wrap: Wrap | None = None,
        names: Any = xp,
    ) -> None:
        if wrap is None:
            roots = rare.taken_apart(roots, bound)
        order = topological([*inputs, *roots])
        self.names = names
        self.pool = Pool()
        self.functions: dict[Term, Term] = {}
        if wrap is None and names is xp:
            self.functions = {**masked.sources(order), **tables.sources(order)}
        order = self._reached(order, roots, inputs)
        if any(term.size >= LEAST for term in order):
            keep_freed()
        slot = {term: i for i, term in enumerate(order)}
        self.template: list[Array | None] = [None] * len(order)
        self.input_slots = [slot[t] for t in inputs]
        self.root_slots = [slot[t] for t in roots]
        last_use: dict[int, int] = {}
        for term in order:
            for a in self._args(term):
                last_use[slot[a]] = slot[term]
        keep = {*self.root_slots, *self.input_slots}
        dead: dict[int, list[int]] = {}
        for used, by in last_use.items():
            if used not in keep and order[used].op is not CONST:
                dead.setdefault(by, []).append(used)
        steps: list[tuple[Term, Step]] = []
        known = set(inputs)
        for term in order:
            if term in known:
                continue
            out = slot[term]
            if term.op is CONST:
                value = np.broadcast_to(round_to(term.params[0], term.dtype), term.shape)
                self.template[out] = value
                continue
            sources = [slot[a] for a in self._args(term)]
            kernel = self._kernel(term)
            step = (
                wrap(term.op, kernel) if wrap else kernel,
                sources[0] if len(sources) == 1 else None,
                itemgetter(*sources) if len(sources) > 1 else _nothing,
                out,
                term.dtype,
                term.shape,
                tuple(dead.get(out, ())),
            )
            steps.append((term, step))
        self.steps: list[Step] = (
            [step for _, step in steps]
            if wrap
            else blocks.in_runs(steps, slot, keep, self.functions, self.pool)
        )

    def _args(self, term: Term) -> tuple[Term, ...]:
        """What a step takes: the argument of a function of one value, else those of the term."""
        return (self.functions[term],) if term in self.functions else blocks.read_by(term)

    def _reached(
        self, order: Sequence[Term], roots: Sequence[Term], inputs: Sequence[Term]
    ) -> list[Term]:
        """The terms that are still computed, functions being one step each."""
        needed = {*roots, *inputs}
        for term in reversed(order):
            if term in needed:
                needed.update(self._args(term))
        return [term for term in order if term in needed]

    def _kernel(self, term: Term) -> Callable[..., Any]:
        if term in self.functions and term.dtype == blocks.WIDE:
            return masked.masked_of(term, partial(bound, names=PLAIN), bound)
        if term in self.functions:
            return tables.function_of(term, self.functions[term], bound)
        return bound(term, self.names, self.pool)

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        """Run on the values of the inputs, in their order; return those of the roots."""
        if self.pool.cones > 1:
            with sharing(self.pool):
                return self._run(values)
        return self._run(values)

    def _run(self, values: Sequence[Array]) -> list[Array]:
        cells: list[Any] = self.template.copy()
        for i, value in zip(self.input_slots, values, strict=True):
            cells[i] = value
        with np.errstate(all="ignore"):
            for kernel, single, several, out, dtype, shape, dead in self.steps:
                if single is None:
                    value = kernel(*several(cells))
                elif single == blocks.RUN:
                    kernel(cells)
                    for i in dead:
                        cells[i] = None
                    continue
                else:
                    value = kernel(cells[single])
                if getattr(value, "dtype", None) != dtype:
                    value = converted(np.asarray(value), dtype)
                if value.shape != shape:
                    value = np.broadcast_to(value, shape)
                cells[out] = value
                for i in dead:
                    cells[i] = None
        return [np.asarray(cells[i]) for i in self.root_slots]


def bound(term: Term, names: Any = xp, pool: Pool | None = None) -> Callable[..., Any]:
    """The kernel of a term with its parameters; its code, if it has one, joins a pool."""
    static = term.static
    if pool is not None and term.op.name in REDOING:
        rounded = static["rounded"]
        static["code"] = pool.add(term.args[-len(rounded) :], rounded, static["code"])
    return partial(kernel_of(term.op), names, **static)
