"""a * b + c with one rounding."""

from __future__ import annotations

from typing import Any

from stablegrad.ir import OPS
from stablegrad.ops import intervals
from stablegrad.ops.arithmetic import one
from stablegrad.ops.record import REAL, elementwise


def _kernel(xp: Any, a: Any, b: Any, c: Any) -> Any:
    a, b, c = xp.broadcast_arrays(a, b, c)
    plain = a * b + c
    fused = OPS["compensated_sum"].kernel(
        xp, a, b, c, constant=0, coefficients=(1, 1), counts=(2, 1)
    )
    return xp.where(xp.isnan(fused) | xp.isinf(plain), _beyond(xp, a, b, c, plain), fused)


def _beyond(xp: Any, a: Any, b: Any, c: Any, plain: Any) -> Any:
    """Where the product leaves the range: with the greater factor and c divided by 16."""
    first = xp.abs(a) >= xp.abs(b)
    high, low = xp.where(first, a, b) / 16, xp.where(first, b, a)
    inside = xp.isfinite(a) & xp.isfinite(b) & xp.isfinite(c)
    return xp.where(inside, (high * low + c / 16) * 16, plain)


fma = elementwise(
    "fma",
    family="arithmetic",
    kernel=_kernel,
    ball=lambda a, b, c: a * b + c,
    partials=lambda y, a, b, c: (b, a, one(y)),
    domain=(REAL, REAL, REAL),
    infer_facts=lambda term: intervals.add(
        intervals.multiply(term.args[0].facts, term.args[1].facts), term.args[2].facts
    ),
    cost=2,
    aten="addcmul",
    source="Dekker 1971",
    doc="a * b + c, where the product is not rounded.",
    example=">>> sg.ops.fma(sg.tensor([1 + 2.0**-20]), 1 - 2.0**-20, -1.0).item() == -(2.0**-40)\n"
    "True",
)
