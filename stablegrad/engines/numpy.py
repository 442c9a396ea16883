"""The default engine: NumPy and SciPy kernels, IEEE arithmetic with subnormals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import scipy.special

from stablegrad.ir import Term, topological
from stablegrad.ops.dtypes import converted
from stablegrad.ops.record import CONST, Op, round_to

Array = np.ndarray[Any, Any]


class _Namespace:
    """What kernels see as ``xp``: NumPy's names, and ``special`` with SciPy's."""

    special = scipy.special
    name = "numpy"

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        setattr(self, name, value)
        return value


xp = _Namespace()


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
    """A straight-line program for NumPy: one step per term, values dropped after last use."""

    def __init__(
        self, roots: Sequence[Term], inputs: Sequence[Term], wrap: Wrap | None = None
    ) -> None:
        order = topological([*inputs, *roots])
        slot = {term: i for i, term in enumerate(order)}
        self.template: list[Array | None] = [None] * len(order)
        self.input_slots = [slot[t] for t in inputs]
        self.root_slots = [slot[t] for t in roots]
        last_use: dict[int, int] = {}
        for term in order:
            for a in term.args:
                last_use[slot[a]] = slot[term]
        keep = {*self.root_slots, *self.input_slots}
        dead: dict[int, list[int]] = {}
        for used, by in last_use.items():
            if used not in keep and order[used].op is not CONST:
                dead.setdefault(by, []).append(used)
        self.steps: list[Step] = []
        known = set(inputs)
        for term in order:
            if term in known:
                continue
            out = slot[term]
            if term.op is CONST:
                value = np.broadcast_to(round_to(term.params[0], term.dtype), term.shape)
                self.template[out] = value
                continue
            sources = [slot[a] for a in term.args]
            params = dict(zip(term.op.params, term.params, strict=True))
            kernel = partial(kernel_of(term.op), xp, **params)
            self.steps.append(
                (
                    wrap(term.op, kernel) if wrap else kernel,
                    sources[0] if len(sources) == 1 else None,
                    itemgetter(*sources) if len(sources) > 1 else _nothing,
                    out,
                    term.dtype,
                    term.shape,
                    tuple(dead.get(out, ())),
                )
            )

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        """Run on the values of the inputs, in their order; return those of the roots."""
        cells: list[Any] = self.template.copy()
        for i, value in zip(self.input_slots, values, strict=True):
            cells[i] = value
        with np.errstate(all="ignore"):
            for kernel, single, several, out, dtype, shape, dead in self.steps:
                value = kernel(*several(cells)) if single is None else kernel(cells[single])
                if getattr(value, "dtype", None) != dtype:
                    value = converted(np.asarray(value), dtype)
                if value.shape != shape:
                    value = np.broadcast_to(value, shape)
                cells[out] = value
                for i in dead:
                    cells[i] = None
        return [np.asarray(cells[i]) for i in self.root_slots]
