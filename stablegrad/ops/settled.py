"""The last resort of sums and waves: elements that twice the precision cannot tell.

x*y - (x - 1)*y at 1e200 has no digit left in pairs, and sin(x*y) needs the product to a part of a
turn, however large it is. Such elements are few, and floats know nothing of them; an engine that
has arithmetic of any precision computes them in it. There they come out rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import Term

LOST = 64.0
"""How many units in the last place must be at stake."""


def settle(xp: Any, value: Any, open_: Any, columns: Sequence[Any], code: tuple[Any, ...]) -> None:
    """Put what the code is worth into the elements of a value that are still open.

    Args:
        xp: the engine's names; without a ``referee`` nothing changes.
        value: a flat array, written to.
        open_: where it is still open.
        columns: the numbers that the code starts from, exact.
        code: the instructions.
    """
    referee = getattr(xp, "referee", None)
    if referee is None or not np.any(open_):
        return
    found = referee([x[open_] for x in columns], code)
    value[open_] = np.where(np.isnan(found), value[open_], found)


FEW = 32
"""Elements of one result that are decided: each takes a fraction of a millisecond."""


def decide(xp: Any, value: Any, open_: Any, meant: Term, inputs: Sequence[Any]) -> None:
    """Put the truth into elements of a value of which an argument was lost below the range.

    Elements with an input that is 0 are left alone: a zero that is made of one is honest.

    Args:
        xp: the engine's names; without a ``decider`` nothing changes.
        value: an array, written to.
        open_: where it is not known.
        meant: the elementwise program that it is the value of.
        inputs: the values of its inputs, in the shape of the value.
    """
    decider = getattr(xp, "decider", None)
    if decider is None:
        return
    for x in inputs:
        open_ = open_ & np.isfinite(x) & (x != 0)
    places = np.flatnonzero(open_)[:FEW]
    if places.size:
        columns = [x.flat[places] for x in inputs]
        value.flat[places] = decider(meant, value.flat[places], columns)
