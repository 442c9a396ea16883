"""Limits at points where a program has no value: 0 * log(0), inf - inf.

The program is evaluated ever closer to the point, from both sides along the direction (at an
infinity, at ever greater numbers). Where the results round to one float they are reported as a
limit; where they do not, or sides disagree, the point stays undefined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stablegrad.ops.record import is_float
from stablegrad.oracle.ball import Ball
from stablegrad.oracle.precision import precision
from stablegrad.oracle.rounding import Status
from stablegrad.oracle.series import arb

if TYPE_CHECKING:
    from stablegrad.oracle.problem import Problem, Result

SCALES = (4096, 8192)
"""The point is missed by 2**-k for these k: beyond the square of every float."""
GREAT = {4096: 1100, 8192: 2200}
"""An infinity is replaced by 2**k: beyond every float, and near enough for exp(x*x)."""


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
            none = (first.status == Status.UNDEFINED) & (second.status == Status.UNDEFINED)
            sides.append((agree & (first.status == Status.DECIDED), none, second))
        (right, no_right, a), (left, no_left, b) = sides
        both = right & left & (a.value == b.value)
        # at a pole the sign of the zero says from which side it is met, as in IEEE's 1/0
        pole = right & left & np.isinf(a.value) & np.isinf(b.value) & ~both
        from_left = pole & _negative_zero(problem)
        right, both = right & ~from_left, both | (pole & _at_zero(problem))
        won = mask & (both | (right & no_left) | (left & no_right))
        source = np.where(right, a.value, b.value)
        r.value[won] = source[won]
        r.offset[won] = np.where(right, a.offset, b.offset)[won]
        r.status[won] = Status.LIMIT
