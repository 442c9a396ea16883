"""The op ``synthesized``: a value, replaced by a table's wherever the table is proved."""

from __future__ import annotations

from typing import Any

from stablegrad.ops.record import REAL, ZERO, Op, elementwise
from stablegrad.synthesis.kernel import evaluate
from stablegrad.synthesis.recipe import Recipe
from stablegrad.synthesis.store import table_of


def _kernel(xp: Any, x: Any, y: Any, *, recipe: Recipe) -> Any:
    value, covered = evaluate(xp, xp.asarray(x, xp.float64), table_of(recipe))
    return xp.where(covered, value, y).astype(y.dtype)


def _ball(x: Any, y: Any, *, recipe: Recipe) -> Any:
    return y


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
