"""Differences of two values of a function, whose arguments are computed and close.

erf_gap((x + h)/s, x/s) is the slope times the difference of its arguments, and feels the rounding
of both. That difference is had in pairs, from the numbers of the program. Waves feel the rounding
of the middle between far arguments, too: their gaps are computed as what they are, in pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.pair_codes import Code, is_enough, is_exact
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import LOST, settle
from stablegrad.ops.shared_pairs import run_code_at

GAPS = frozenset("erf_gap ndtr_gap sigmoid_gap softplus_gap arctan_gap power_gap".split())
WAVES = frozenset(["sin_gap", "cos_gap"])
_NEAR = 0.125
_FAR = 16.0
_KNOWN = 2.0**-52


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def _redone_gap(
    xp: Any,
    a: Any,
    b: Any,
    *leaves: Any,
    name: str,
    parameters: tuple[Any, ...],
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    op = OPS[name]
    named = dict(zip(op.params, parameters, strict=True))
    if xp.name != "numpy":
        return op.engine_kernels.get("xla", op.kernel)(xp, a, b, **named)
    value = op.engine_kernels.get("numpy", op.kernel)(xp, a, b, **named)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(a), np.abs(b))
        gap = np.abs(a - b)
        alarm = gap < _NEAR * size
        if name in WAVES:
            alarm = alarm | ((size > _FAR) & (size > _FAR * np.abs(value)))
        alarm = alarm & np.isfinite(value)
    if not np.any(alarm):
        return value
    value, alarm, a, b, size, *numbers = np.broadcast_arrays(value, alarm, a, b, size, *leaves)
    value = np.array(value)
    before, flat = value[alarm], [x[alarm] for x in numbers]
    with np.errstate(all="ignore"):
        (hi, lo), error = run_code_at(xp, alarm, leaves, rounded, code, is_enough)
        if name in WAVES:
            known = error <= _KNOWN * np.abs(hi)
            again = np.where(known, hi + lo, before)
            if is_exact(rounded, code):
                settle(xp, again, ~known & (size[alarm] > LOST * np.abs(again)), flat, code)
        else:
            known = error <= _KNOWN * np.abs(hi)
            again = np.where(known, before * (hi / (a - b)[alarm]), before)
    value[alarm] = np.where(np.isfinite(again), again, before)
    return value


REDONE_GAP = declare(
    "redone_gap",
    family="lowered",
    params=("name", "parameters", "rounded", "code"),
    infer=_infer,
    kernel=_redone_gap,
    elementwise=True,
    source="f(a) - f(b) = f'(c)*(a - b); Dekker 1971 for the difference in pairs",
    ulp=None,
    accuracy="that of the gap, at the exact arguments",
    doc="A difference of values of a function at computed arguments that are close.",
)
