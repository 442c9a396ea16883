"""Limits at points where a program has no value: 0 * log(0), inf - inf, repeated eigenvalues.

The program is evaluated ever closer to the point, from both sides along the direction (at an
infinity, at ever greater numbers). Where the results round to one float they are reported as a
limit; where they do not, or sides disagree, the point stays undefined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stablegrad.ops.record import is_float
from stablegrad.oracle.ball import Ball
from stablegrad.oracle.precision import precision
from stablegrad.oracle.rounding import Status
from stablegrad.oracle.series import arb

if TYPE_CHECKING:
    from stablegrad.ir import Term
    from stablegrad.oracle.problem import Problem, Result

SCALES = (4096, 8192)
"""The point is missed by 2**-k for these k: beyond the square of every float."""
GREAT = {4096: 1100, 8192: 2200}
"""An infinity is replaced by 2**k: beyond every float, and near enough for exp(x*x)."""


EXACT = 4400
"""Bits in which the sum of any two floats is exact."""
BESIDE = (60, 100)
"""Matrices with repeated eigenvalues or singular values are moved by about 2**-k for these k: far
enough for the roots of a polynomial to be told apart, and less than any float's rounding."""


def beside(bindings: Mapping[Term, Any], scale: int) -> dict[Term, Any]:
    """Every number of every float leaf moved by about 2**-scale, in directions of its own."""
    rng = np.random.default_rng(scale)
    steps: dict[Term, Any] = {}
    for t, v in bindings.items():
        if is_float(t.dtype):
            shape = np.shape(v)
            sides = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
            steps[t] = sides * 2.0**-scale
    return stepped(bindings, steps)


def stepped(bindings: Mapping[Term, Any], steps: Mapping[Term, Any]) -> dict[Term, Any]:
    """Leaves moved by floats, the sums exact: objects, for no float can hold them."""
    out: dict[Term, Any] = {}
    for t, v in bindings.items():
        out[t] = value = np.asarray(v)
        if t not in steps:
            continue
        moved = np.empty(value.size, object)
        pairs = zip(value.ravel().tolist(), np.ravel(steps[t]).tolist(), strict=True)
        for i, (x, step) in enumerate(pairs):
            with precision(EXACT):
                moved[i] = Ball((Ball.exact(x).c[0] + arb(step),))
        out[t] = moved.reshape(value.shape)
    return out


def near(problem: Problem, places: Any, scale: int, side: int) -> dict[Any, Any]:
    """Leaves a little off their values: objects, for no float can hold them."""
    out = {}
    alone = problem.single()
    rng = np.random.default_rng(scale)
    with precision(2 * scale + 200):
        step, great = arb(2) ** -scale, arb(2) ** GREAT[scale]
        for t, v in problem.values.items():
            if not is_float(t.dtype):
                out[t] = v
                continue
            d = problem.direction.get(t)
            if not problem.direction:
                # several numbers leave the point in another proportion at each scale, so that
                # what depends on the path (x/y at 0) does not look like a limit
                d = np.ones(v.shape) if alone is not None else rng.uniform(0.5, 1.5, v.shape)
            moved = np.empty(v.size, object)
            items = v.astype(object).ravel().tolist()
            steps = [0] * v.size if d is None else np.broadcast_to(d, v.shape).ravel().tolist()
            chosen = range(v.size) if places is None else places.tolist()
            for i in chosen:
                x = Ball.exact(items[i])
                c = x.c[0]
                if t is alone and not c.is_finite() and not c.is_nan():
                    c = great if c > 0 else -great
                elif steps[i]:
                    c = c + side * arb(steps[i]) * step
                moved[i] = Ball((c,)) if c is not x.c[0] else x
            out[t] = moved.reshape(v.shape)
    return out


def _at_zero(problem: Problem) -> Any:
    leaf = problem.single()
    return False if leaf is None else (problem.values[leaf] == 0).ravel()


def _negative_zero(problem: Problem) -> Any:
    leaf = problem.single()
    return False if leaf is None else (np.signbit(problem.values[leaf])).ravel()


def _is_odd(values: Any) -> Any:
    bits = np.ascontiguousarray(values).view(np.dtype(f"u{values.dtype.itemsize}"))
    return (bits & 1).astype(bool)


def _meet_halfway(a: Result, b: Result) -> Any:
    """Where two sides of a limit that lies between two floats round to one each."""
    half = (np.abs(a.offset) == 0.5) & (np.abs(b.offset) == 0.5)
    toward = np.where(a.offset > 0, np.inf, -np.inf).astype(a.value.dtype)
    return half & (np.nextafter(a.value, toward) == b.value)


def take_limits(problem: Problem, results: list[Result]) -> None:
    """Give undefined elements their limit, where there is one."""
    from stablegrad.oracle.problem import Result

    masks = [r.status == Status.UNDEFINED for r in results]
    anywhere = np.any(masks, axis=0) if problem.flat else None
    places = None if anywhere is None else np.flatnonzero(anywhere)
    runs = []
    for side in (1, -1):
        for scale in SCALES:
            fresh = []
            for r, mask in zip(results, masks, strict=True):
                again = Result(len(r.status), r.dtype)
                again.status[:] = np.where(mask, Status.UNDECIDED, Status.DECIDED)
                fresh.append(again)
            budget, problem.budget = problem.budget, 3 * max(SCALES)
            problem.rise(fresh, problem.order, near(problem, places, scale, side))
            problem.budget = budget
            runs.append(fresh)
    for k, (r, mask) in enumerate(zip(results, masks, strict=True)):
        sides = []
        for first, second in ((runs[0][k], runs[1][k]), (runs[2][k], runs[3][k])):
            agree = (first.value == second.value) & (first.status == second.status)
            agree &= ~(second.least > first.most)  # a pole whose residue is far below floats
            none = (first.status == Status.UNDEFINED) & (second.status == Status.UNDEFINED)
            sides.append((agree & (first.status == Status.DECIDED), none, second))
        (right, no_right, a), (left, no_left, b) = sides
        halfway = right & left & _meet_halfway(a, b)
        both = halfway | (right & left & (a.value == b.value))
        # at a pole the sign of the zero says from which side it is met, as in IEEE's 1/0
        pole = right & left & np.isinf(a.value) & np.isinf(b.value) & ~both
        from_left = pole & _negative_zero(problem)
        right, both = right & ~from_left, both | (pole & _at_zero(problem))
        won = mask & (both | (right & no_left) | (left & no_right))
        chosen = right & ~(halfway & _is_odd(a.value))
        r.value[won] = np.where(chosen, a.value, b.value)[won]
        r.offset[won] = np.where(chosen, a.offset, b.offset)[won]
        r.status[won] = Status.LIMIT
