"""Guard precision: results that depend on rounding are computed again by the oracle.

A guarded program runs three times, the second and third time with every result disturbed by a few
units in the last place. Where the results disagree, or where one is no normal number, the element
is suspected and the oracle decides it. That costs three runs and, for each suspect, about a
millisecond; it is off unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
from ml_dtypes import finfo

from stablegrad.engines.numpy import Plan
from stablegrad.ir import Term, make, topological
from stablegrad.ops.record import CONST, Op, is_float
from stablegrad.oracle import truth
from stablegrad.settings import current, in_force

Array = np.ndarray[Any, Any]

SUSPECT_ULP = 64
"""Results that differ by more under disturbed rounding are suspected."""
LIMIT = 10_000
"""Suspects that one evaluation has decided; the rest stay as they are, and are reported."""
BUDGET = 20_000
SEEDS = (1, 2)
MOST_UNITS = 4
"""Units in the last place by which a result is moved: few would often move two of them alike."""

_EXACT_FAMILIES = frozenset({"leaf", "shape", "indexing", "comparison", "forms", "derivative"})
_EXACT = frozenset("where negative abs maximum minimum clip sign require astype indicator".split())


@dataclass(slots=True)
class GuardReport:
    """What guarded evaluations found.

    Attributes:
        elements: float elements of results that were evaluated.
        suspects: those that depend on rounding, or are no normal numbers.
        changed: suspects whose value the oracle has replaced.
        left: suspects that stay as they were: undecided, or too many.
    """

    elements: int = 0
    suspects: int = 0
    changed: int = 0
    left: int = 0


_report: ContextVar[GuardReport | None] = ContextVar("stablegrad_guard", default=None)


@contextmanager
def guard() -> Iterator[GuardReport]:
    """Guard the expressions built inside: what depends on rounding is decided by the oracle.

    Only what is looked at inside is counted in the report. Elementwise programs are decided
    element by element; a program with reductions has each of its results decided as a whole.

    Yields:
        The report, filled as results are looked at.

    Example:
        >>> import numpy as np, stablegrad as sg, stablegrad.numpy as snp
        >>> with sg.rules(exclude="stabilize"), sg.guard() as report:  # rules alone cure this one
        ...     y = 1 - snp.cos(sg.tensor(np.array([1e-9, 1.0])))
        ...     print(y.numpy())
        [5.00000000e-19 4.59697694e-01]
        >>> report.changed
        1
    """
    report = GuardReport()
    token = _report.set(report)
    try:
        with in_force(replace(current(), guarded=True)):
            yield report
    finally:
        _report.reset(token)


class GuardedPlan:
    """A plan whose results are disturbed, compared and decided."""

    def __init__(
        self, lowered: Sequence[Term], meant: Sequence[Term], inputs: Sequence[Term]
    ) -> None:
        self.plan = Plan(lowered, inputs)
        self.disturbed = [Plan(lowered, inputs, wrap=disturbance(seed)) for seed in SEEDS]
        self.meant = list(meant)
        """The terms whose truth is wanted, not lowered."""
        self.inputs = list(inputs)

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        """Run on the values of the inputs, in their order; return those of the roots."""
        results = self.plan(values)
        others = [run(values) for run in self.disturbed]
        report = _report.get() or GuardReport()
        return [
            self._decided(term, got, [o[i] for o in others], values, report)
            for i, (term, got) in enumerate(zip(self.meant, results, strict=True))
        ]

    def _decided(
        self,
        term: Term,
        got: Array,
        others: Sequence[Array],
        values: Sequence[Array],
        report: GuardReport,
    ) -> Array:
        if not is_float(got.dtype):
            return got
        suspect = _suspected(got, others)
        places = np.flatnonzero(suspect)
        report.elements += got.size
        report.suspects += places.size
        places = places[:LIMIT]
        if not places.size:
            return got
        true = self._truth(term, values, places, got)
        whole = true.value.size == got.size  # the truth of every element, or of the suspects
        value, decided, undefined = (
            x.ravel()[places] if whole else x.ravel()
            for x in (true.value, true.decided, true.undefined)
        )
        out = np.array(got).ravel()
        before = out[places]
        # where there is no value, what conventions and IEEE say is there already
        after = np.where(decided, value.astype(got.dtype), before)
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        report.changed += int((~same).sum())
        report.left += int(suspect.sum() - decided.sum() - undefined.sum())
        out[places] = after
        return out.reshape(got.shape)

    def _truth(self, term: Term, values: Sequence[Array], places: Array, got: Array) -> Any:
        elements = _elements(term, self.inputs, places.size)
        if elements is None:
            bound = dict(zip(self.inputs, values, strict=True))
            return truth(term, bound, got.dtype, budget=BUDGET)
        root, inputs = elements
        bound = {
            x: np.broadcast_to(v, got.shape).ravel()[places]
            for x, v in zip(inputs, values, strict=True)
        }
        return truth(root, bound, got.dtype, budget=BUDGET)


def disturbance(
    seed: int, least: int = 0
) -> Callable[[Op, Callable[..., Any]], Callable[..., Any]]:
    """What makes a kernel round otherwise: each result off by a few units in its last place.

    Args:
        seed: of the random units.
        least: by how many units every result is moved at least.
    """
    steps = count()

    def wrap(op: Op, kernel: Callable[..., Any]) -> Callable[..., Any]:
        if op.family in _EXACT_FAMILIES or op.name in _EXACT:
            return kernel
        step = next(steps)

        def run(*args: Any) -> Any:
            value = np.asarray(kernel(*args))
            if not is_float(value.dtype):
                return value
            # the same each time: looking again must not change a result
            rng = np.random.default_rng([seed, step])
            units = rng.integers(-MOST_UNITS, MOST_UNITS + 1, value.shape)
            if least:
                units = np.where(units < 0, np.minimum(units, -least), np.maximum(units, least))
            return (value * (1 + units * finfo(value.dtype).eps)).astype(value.dtype)

        return run

    return wrap


def _suspected(got: Array, others: Sequence[Array]) -> Array:
    size = np.abs(got)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.where(np.isfinite(size), size, 1))
        suspect = ~np.isfinite(got) | (size < finfo(got.dtype).smallest_normal)
        for other in others:
            suspect |= ~(np.abs(got - other) <= SUSPECT_ULP * unit)
    return suspect


def _elements(term: Term, inputs: Sequence[Term], number: int) -> tuple[Term, list[Term]] | None:
    """An elementwise program for ``number`` elements, or None where elements mix."""
    order = topological([term])
    for t in order:
        if t.args and not t.op.elementwise and t.op.name != "broadcast_to":
            return None
    chosen = [make(x.op, (), x.params, (number,), x.dtype) for x in inputs]
    done = dict(zip(inputs, chosen, strict=True))
    for t in order:
        if t in done:
            continue
        if t.op.name == "broadcast_to":
            done[t] = done[t.args[0]]
            continue
        shape = () if t.op is CONST else (number,)
        done[t] = make(t.op, tuple([done[a] for a in t.args]), t.params, shape, t.dtype)
    root = done[term]
    return (root, chosen) if root.shape == (number,) else None
