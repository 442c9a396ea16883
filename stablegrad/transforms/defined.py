"""Where a function has no value it has no derivative either, whatever its masks block.

A guard on a partial stands inside the masks of what comes before it: the slope of
``log(minimum(x, y))`` by x would be 0 where y < 0 is the smaller one, although there is no log.
And what does not depend on x any more once it is simplified, ``sqrt(x) - sqrt(x)``, has the
derivative 0 on its domain only. So the conditions on which a function has values are collected
(``conditions``) and those that its derivative does not contain already (``contained``) are put
around it, but for those of infinite parts that leave the slope as it is (``apart``).
"""

from __future__ import annotations

from collections.abc import Sequence

from stablegrad.ir import OPS, Term
from stablegrad.ops.form_records import MONOMIAL, REQUIRE
from stablegrad.ops.record import is_const
from stablegrad.transforms.apart import Apart
from stablegrad.transforms.conditions import collected, moving
from stablegrad.transforms.contained import contained


def confined(
    y: Term,
    xs: Sequence[Term],
    found: Sequence[Term],
    order: Sequence[Term],
    seeds: Sequence[Term],
    moved: Sequence[Term] = (),
) -> list[Term]:
    """The derivatives ``found`` of ``y`` by ``xs``, nan where ``y`` has no value.

    Looked at are the elementwise functions that ``y`` is or sums up, of which the derivatives
    are by elements in the same place.

    Args:
        y: what was differentiated.
        xs: its variables; ``y`` itself in forward mode.
        found: a derivative by each.
        order: the terms of ``y``, arguments first.
        seeds: the cotangent of ``y``, or the tangents of its variables: where all are 0, nothing
            is asked.
        moved: the variables, in forward mode.
    """
    if not any(t.op is REQUIRE or t.op is MONOMIAL or t.op.domain for t in order):
        return list(found)
    conditions, tops = collected(y, order, moving(y, seeds))
    if not conditions:
        return list(found)
    held = contained(found, conditions)
    result: list[Term] = []
    for x, d in zip(xs, found, strict=True):
        # what does not depend on x any more, once it is simplified, may still need it to be right
        parts = (y,) if is_const(d, 0) else tops.get(x, ())
        functions = {t for t in parts if t.shape == x.shape}
        apart = None if is_const(d, 0) else Apart(order, set(moved) if x is y else {x})
        around = d
        for n, condition in enumerate(conditions):
            if held[d] >> n & 1 or functions.isdisjoint(condition.tops):
                continue
            if apart and apart.leaves(condition):
                guards = apart.beside(condition, d)
            else:
                guards = [condition.around()]
            for guard in guards:
                around = OPS["require"](around, guard)
        result.append(around)
    return result
