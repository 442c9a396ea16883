"""Whether an expression as it would be run is wrong somewhere: points at which it is compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.ir import Facts, Term
from stablegrad.ops.record import is_float
from stablegrad.oracle.formats import FLOAT32, FLOAT64, Format
from stablegrad.synthesis.recipe import Recipe, X

Array = np.ndarray[Any, Any]

SHARP_ULP = 4.0
SINGLE = 4


@dataclass(frozen=True, slots=True)
class Run:
    """How programs run for which parts are judged.

    Attributes:
        values: those of a term, as the engine would compute them, for arrays of values of its
            variables.
        native: whether a float32 or half is to be computed, from its source, without float64.
        limit: the greatest error in ulp of a float32 that is left as it is; of others it is 4.
        zeros: whether what is lost next to zeros counts.
        reach: inputs of no greater size count, nor smaller than its inverse.
        most: pieces of the tables of one program, where a test counts as 8 and a part declined as
            512. Parts that come later stay as they are, so that no program takes minutes.
        largest: ops of a part, shared ones once; what depends on one value by more is cut there.
        least: bytes of the smallest float that is judged.
        screen: values of a term in float64. Where a float32 is near them it is not judged further:
            what loses the digits of both loses those of one alone at other points.
        bound: the greatest error in ulp that a term may have in float32 at given points. Where
            that is within the limit, the term is not run to be judged.
    """

    values: Callable[[Term, Mapping[Term, Array]], Array]
    native: Callable[[Term], bool] = lambda source: False
    limit: float = SHARP_ULP
    zeros: bool = True
    reach: float = np.inf
    most: int = 3072
    largest: int = 96
    least: int = SINGLE
    screen: Callable[[Term, Mapping[Term, Array]], Array] | None = None
    bound: Callable[[Term, Mapping[Term, Array]], float] | None = None

    def judges(self, dtype: Any) -> bool:
        """Whether parts of a dtype are judged."""
        return is_float(np.dtype(dtype)) and np.dtype(dtype).itemsize >= self.least

    def format(self, source: Term, dtype: Any) -> Format:
        """What the kernel of a part is evaluated in."""
        small = max(np.dtype(dtype).itemsize, source.dtype.itemsize) <= SINGLE
        return FLOAT32 if small and self.native(source) else FLOAT64


POINTS = 60
"""Points of each kind at which a suspect is tested."""
ZEROS = 6
"""Zeros about which it is tested, too."""
BUDGET = 1600
SETS = 4
"""Sets of points at which balls are kept."""
SEED = 7


def points(dtype: Any, facts: Facts) -> Array:
    """Inputs at which suspects are tested: bit patterns, everyday sizes, near 0 and 1."""
    rng = np.random.default_rng(SEED)
    n = POINTS
    signs = rng.choice([-1.0, 1.0], n)
    limits = ml_dtypes.finfo(dtype)
    top, bottom = np.log2(float(limits.max)), np.log2(float(limits.tiny))
    parts = [
        np.exp2(rng.uniform(bottom, top, n)) * signs,
        np.exp2(rng.uniform(-60, 12, n)) * signs,
        np.exp2(rng.uniform(-4, 10, n)) * signs,
        rng.normal(size=n) * 3,
        signs * (1 + rng.choice([-1.0, 1.0], n) * np.exp2(rng.uniform(-52, -1, n))),
    ]
    x = np.concatenate(parts).astype(dtype).astype(np.float64)
    inside = (x > facts.lo) & (x < facts.hi) & np.isfinite(x)
    return x[inside]


def is_fragile(what: Recipe, dtype: Any, facts: Facts, run: Run) -> bool:
    """Whether the naive form is off by too much somewhere among the test points."""
    if not run.judges(dtype):
        return False
    x = points(dtype, facts)
    x = x[(np.abs(x) <= run.reach) & (np.abs(x) * run.reach >= 1)]
    if not x.size:
        return False
    if wrong(what.expression, {X: x}, dtype, run, shared=True):
        return True
    near = _near_zeros(what.expression, x, dtype, run) if run.zeros else x[:0]
    return bool(near.size) and wrong(what.expression, {X: near}, dtype, run)


def _near_zeros(expression: Term, x: Array, dtype: Any, run: Run) -> Array:
    """Points about some zeros that values at others show: there errors are greatest."""

    def values(at: Array) -> Array:
        return run.values(expression, {X: at.astype(dtype)}).astype(np.float64)

    x = np.sort(x)
    sign = np.sign(values(x))
    at = np.flatnonzero((sign[:-1] * sign[1:] < 0) & (np.sign(x[:-1]) == np.sign(x[1:])))
    at = at[np.argsort(np.abs(np.log(np.abs(x[at]))))[:ZEROS]]
    lo, hi, sign = x[at], x[at + 1], sign[at]
    for _ in range(40 if at.size else 0):
        middle = (lo / 2 + hi / 2).astype(dtype).astype(np.float64)
        same = values(middle) * sign > 0
        lo, hi = np.where(same, middle, lo), np.where(same, hi, middle)
    away = np.exp2([-4.0, -8, -14, -22])
    near = hi[:, None] * (1 + np.concatenate([away, -away]))
    return near.astype(dtype).astype(np.float64).ravel()


class Known(threading.local):
    """Balls of terms at points, which the parts of a program share: most stand in one another.

    At a few sets of points at most, the last ones used, until ``forget``.
    """

    def __init__(self) -> None:
        self.cells: dict[Any, dict[Term, Any]] = {}

    def at(self, bound: Mapping[Term, Array]) -> dict[Term, Any]:
        """What is known at some points, to be added to."""
        key = tuple([(v, x.tobytes()) for v, x in bound.items()])
        found = self.cells[key] = self.cells.pop(key, {})
        while len(self.cells) > SETS:
            del self.cells[next(iter(self.cells))]
        return found

    def forget(self) -> None:
        self.cells.clear()


KNOWN = Known()


def wrong(
    expression: Term,
    bound: Mapping[Term, Array],
    dtype: Any,
    run: Run,
    *,
    shared: bool = False,
) -> bool:
    """Whether an expression as it would be run is off by too much at one of some points.

    ``shared``: others are asked for at the same points.
    """
    from stablegrad.oracle import Status, truth

    single = dtype == np.float32
    if single and run.bound is not None and run.bound(expression, bound) <= run.limit:
        return False
    got = run.values(expression, {v: x.astype(dtype) for v, x in bound.items()}).astype(np.float64)
    if single and run.screen is not None:
        far = _far(got, run.screen(expression, bound), run.limit / 4)
        if not far.any():
            return False
        got, bound = got[far], {v: x[far] for v, x in bound.items()}
    known = KNOWN.at(bound) if shared else None
    found = truth(expression, dict(bound), dtype, budget=BUDGET, limits=False, known=known)
    true = found.value.astype(np.float64)
    tiny = float(ml_dtypes.finfo(dtype).tiny)
    decided = (found.status == Status.DECIDED) & ~np.isnan(true)
    if (np.isnan(got) & decided).any():
        return True
    normal = decided & np.isfinite(true) & (np.abs(true) >= tiny)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(found.value[normal])).astype(np.float64)
        error = np.abs((got[normal] - true[normal]) / unit - found.offset[normal])
    return bool((~(error <= (run.limit if dtype == np.float32 else SHARP_ULP))).any())


def _far(got: Array, wide: Array, limit: float) -> Array:
    """Where float32 values are not within so many ulp of float64 ones."""
    with np.errstate(all="ignore"):
        single = wide.astype(np.float32)
        unit = np.spacing(np.abs(single)).astype(np.float64)
        near = (np.abs(got - wide) <= limit * unit) | (got == single)
    return ~near
