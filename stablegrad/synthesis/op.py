"""The op ``synthesized``: a value, replaced by a table's wherever the table is proved."""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.record import REAL, ZERO, Op, elementwise
from stablegrad.oracle.formats import FLOAT64
from stablegrad.synthesis.factors import times_power
from stablegrad.synthesis.kernel import evaluate
from stablegrad.synthesis.recipe import Recipe
from stablegrad.synthesis.store import table_for
from stablegrad.synthesis.symmetry import SCALE, SHIFT, Symmetry


def _kernel(xp: Any, x: Any, y: Any, *, recipe: Recipe) -> Any:
    x = xp.asarray(x, recipe.format.name)
    table = table_for(recipe, x)
    if table is None:
        return y
    value, covered = evaluate(xp, x, table)
    # then a compiler leaves the naive form out
    otherwise = xp.nan if table.total else y
    return xp.where(covered, value, otherwise).astype(y.dtype)


def _ball(x: Any, y: Any, *, recipe: Recipe) -> Any:
    return y


REACH = 300
"""Binary exponents within which products and quotients have exact errors."""
FAR = 700.0
"""Exponents up to which exp stays inside the range."""
SHARE = 0.25
"""The least share of a sum of two terms that it may be: below they cancel too far."""


def _reduced(xp: Any, a: Any, b: Any, y: Any, *, symmetry: Symmetry, recipes: Any) -> Any:
    """A function of two values as its symmetry says, from one of r = b/|a|**p or b - p*a."""
    a, b, near = xp.broadcast_arrays(xp.asarray(a, xp.float64), xp.asarray(b, xp.float64), y)
    p, size = float(symmetry.p), xp.abs(a)
    if symmetry.kind == SHIFT:
        r = pairs.two_sum(b, -p * a)
        fine = xp.abs(r[0]) <= np.finfo(np.float64).max
        away = a
    else:
        inside = (size > 2.0**-REACH) & (size < 2.0**REACH) & (xp.abs(b) < 2.0**REACH)
        fine = inside & ((xp.abs(b) > 2.0**-REACH) | (b == 0))
        safe = xp.where(fine, size, 1.0)
        power = pairs.power((safe, 0.0 * safe), int(abs(p)))
        wide = (xp.where(fine, b, 1.0), 0.0 * safe)
        r = pairs.divide(wide, power) if p > 0 else pairs.multiply(wide, power)
        r = xp.where(b == 0, b, r[0]), r[1]  # pairs forget the sign of a zero
        away = safe
    value, covered = None, None
    for negative, recipe in enumerate(recipes):
        if recipe is None:
            continue
        mine = fine if symmetry.kind == SHIFT else fine & ((a < 0) if negative else (a > 0))
        if isinstance(mine, np.ndarray) and not mine.any():
            continue
        table = table_for(recipe, r[0][mine] if isinstance(mine, np.ndarray) else r[0])
        if table is None:
            continue
        found, there = evaluate(xp, r[0], table, r[1])
        there = there & mine
        value = found if value is None else xp.where(there, found, value)
        covered = there if covered is None else covered | there
    if value is None:
        return near
    value, enough = _moved(xp, value, away, symmetry)
    covered = covered & enough
    if symmetry.k:  # one factor may have left the range where the product does not
        size = xp.abs(value)
        inside = (size >= np.finfo(np.float64).tiny) & (size <= np.finfo(np.float64).max)
        covered = covered & (inside | (value == 0) & (xp.abs(r[0]) < 1))
    return xp.where(covered, value, near).astype(y.dtype)


def _moved(xp: Any, value: Any, a: Any, symmetry: Symmetry) -> tuple[Any, Any]:
    """The value brought from a = 0, or from |a| = 1, to a; and where that is not too much."""
    if symmetry.kind == SCALE and symmetry.k:
        return times_power(xp, FLOAT64, value, a, symmetry.k), True
    if symmetry.k:
        k = float(symmetry.k)
        hi, lo = pairs.two_prod(a, k)
        small = xp.abs(hi) < FAR
        return value * (1 + xp.where(small, lo, 0.0)) * xp.exp(xp.where(small, hi, 0.0)), small
    if not symmetry.c:
        return value, True
    c = float(symmetry.c)
    hi, lo = pair_exp.log(xp, a) if symmetry.kind == SCALE else (a, 0.0 * a)
    hi, more = pairs.two_prod(hi, c)
    total, rest = pairs.two_sum(hi, value)
    total = total + (rest + (more + lo * c))
    return total, xp.abs(total) >= SHARE * (xp.abs(hi) + xp.abs(value))


REDUCED: Op = elementwise(
    "reduced",
    result="same",
    family="lowered",
    params=("symmetry", "recipes"),
    kernel=_reduced,
    ball=lambda a, b, y, **_: y,
    partials=lambda out, a, b, y: (ZERO, ZERO, 1),
    domain=(REAL, REAL, REAL),
    infer_facts=lambda term: term.args[2].facts,
    cost=6,
    ulp=None,
    accuracy="4 ulp and what its tables prove, where they cover b/|a|**p or b - p*a; else y's",
    source="homogeneous functions: Euler",
    doc="y, a function of a and b that a shift or a scale of both makes one of one value.",
)

SYNTHESIZED: Op = elementwise(
    "synthesized",
    result="same",
    family="lowered",
    params=("recipe",),
    kernel=_kernel,
    ball=_ball,
    partials=lambda out, x, y: (ZERO, 1),
    domain=(REAL, REAL),
    infer_facts=lambda term: term.args[1].facts,
    cost=3,
    ulp=None,
    accuracy="the bound that its table proves, where the table covers the input; else that of y",
    source="Cauchy's estimate for Taylor models; Tang 1991 for tables",
    doc="y, a function of x alone, by a proved table where there is one.",
)
