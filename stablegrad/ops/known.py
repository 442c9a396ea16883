"""Results that infinities on the way have spoilt, and all ops that ask for a decision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.ir import Term, make
from stablegrad.ops.lowered_structured import inputs_of
from stablegrad.ops.ranged import (
    RANGED_COMPARISON,
    RANGED_LOG,
    RANGED_LOG1MEXP,
    RANGED_PRODUCT,
    RANGED_SUM,
    infer,
)
from stablegrad.ops.record import declare
from stablegrad.ops.settled import FEW, decide

PROBED = 8
"""Elements that are asked for first: where none of them is a number there may be none at all."""


def _known_result(xp: Any, value: Any, *inputs: Any, beyond: bool, meant: Term | None) -> Any:
    if xp.name != "numpy" or meant is None:
        return value
    total = value.item() if value.size == 1 else np.add.reduce(value, axis=None)
    if total == total and not (beyond and math.isinf(total)):
        return value
    value, *found = np.broadcast_arrays(value, *inputs)
    value = np.array(value)
    unknown = _is_beyond if beyond else np.isnan
    lost = unknown(value) & np.logical_and.reduce([np.isfinite(x) for x in found])
    places = np.flatnonzero(lost)
    for some in (places[:PROBED], places[PROBED:FEW]):
        part = value.flat[some]
        decide(xp, part, unknown(part), meant, [x.flat[some] for x in found])
        value.flat[some] = part
        if unknown(part).all():
            break
    return value


def _is_beyond(x: Any) -> Any:
    return ~np.isfinite(x)


KNOWN = declare(
    "known_result",
    family="lowered",
    params=("beyond", "meant"),
    infer=infer,
    kernel=_known_result,
    elementwise=True,
    source="exp(-cosh(x))*sinh(x) vanishes where both leave the range",
    doc="A result, given its value, that is nan where it was made of infinities that are none, "
    "or infinite: asked for where ``beyond``.",
)


def _ranged_tie(xp: Any, value: Any, a: Any, b: Any, *inputs: Any, meant: Term | None) -> Any:
    if xp.name != "numpy" or meant is None:
        return value
    tie = np.equal(a, b)
    if not tie.any():
        return value
    value, lost, *found = np.broadcast_arrays(value, tie & ((a == 0) | np.isinf(a)), *inputs)
    if not lost.any():
        return value
    again = value.astype(np.float64)
    decide(xp, again, lost, meant, found)
    return again == 1 if value.dtype.kind == "b" else again


RANGED_TIE = declare(
    "ranged_tie",
    family="lowered",
    params=("meant",),
    infer=infer,
    kernel=_ranged_tie,
    elementwise=True,
    source="x**3 is no sinh(x), where both are infinite",
    doc="A comparison or sign, given its value, of two numbers that have both left the range.",
)

DECIDED = (
    RANGED_PRODUCT,
    RANGED_LOG,
    RANGED_LOG1MEXP,
    RANGED_SUM,
    RANGED_COMPARISON,
    RANGED_TIE,
    KNOWN,
)
"""What may be decided: the last parameter says as what, the last arguments are the inputs."""


def undecided(term: Term) -> Term:
    """A lowered term as it is where nothing decides."""
    if term.op not in DECIDED or term.params[-1] is None:
        return term
    args = term.args[: -len(inputs_of(term.params[-1]))]
    return make(term.op, args, (*term.params[:-1], None), term.shape, term.dtype)
