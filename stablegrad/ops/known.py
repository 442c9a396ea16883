"""Results that infinities on the way have made nan, and all ops that ask for a decision."""

from __future__ import annotations

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


def _known_result(xp: Any, value: Any, *inputs: Any, meant: Term | None) -> Any:
    if xp.name != "numpy" or meant is None:
        return value
    total = value.item() if value.size == 1 else np.add.reduce(value, axis=None)
    if total == total:
        return value
    value, *found = np.broadcast_arrays(value, *inputs)
    value = np.array(value)
    lost = np.isnan(value) & np.logical_and.reduce([np.isfinite(x) for x in found])
    places = np.flatnonzero(lost)
    for some in (places[:PROBED], places[PROBED:FEW]):
        part = value.flat[some]
        decide(xp, part, np.isnan(part), meant, [x.flat[some] for x in found])
        value.flat[some] = part
        if np.isnan(part).all():
            break
    return value


KNOWN = declare(
    "known_result",
    family="lowered",
    params=("meant",),
    infer=infer,
    kernel=_known_result,
    elementwise=True,
    source="exp(-cosh(x))*sinh(x) vanishes where both leave the range",
    doc="A result, given its value, that is nan where it was made of infinities that are none.",
)

DECIDED = (RANGED_PRODUCT, RANGED_LOG, RANGED_LOG1MEXP, RANGED_SUM, RANGED_COMPARISON, KNOWN)
"""What may be decided: the last parameter says as what, the last arguments are the inputs."""


def undecided(term: Term) -> Term:
    """A lowered term as it is where nothing decides."""
    if term.op not in DECIDED or term.params[-1] is None:
        return term
    args = term.args[: -len(inputs_of(term.params[-1]))]
    return make(term.op, args, (*term.params[:-1], None), term.shape, term.dtype)
