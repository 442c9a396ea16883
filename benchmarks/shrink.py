"""The shortest program that still shows a fault: subprograms and arguments stand in for more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from stablegrad.ir import Term, rebuild, topological
from stablegrad.ops.record import CONST, INPUT, const

Fails = Callable[[Term, Sequence[float]], bool]
"""Whether a program shows the fault at a point."""


def shrink(
    root: Term, inputs: Sequence[Term], point: Sequence[float], fails: Fails
) -> tuple[Term, tuple[float, ...]]:
    """The smallest program found, and the plainest point, that still fail.

    Args:
        root: a program of scalars over ``inputs``.
        inputs: its inputs.
        point: their values at the fault.
        fails: tells whether a program still shows it; what raises does not.
    """

    def still(candidate: Term, values: Sequence[float]) -> bool:
        try:
            return fails(candidate, values)
        except Exception:  # noqa: BLE001 - another fault than the one that is looked for
            return False

    if not still(root, point):
        raise ValueError("the scalar program does not show the fault")
    size = len(topological([root]))
    progress = True
    while progress:
        progress = False
        for candidate in _smaller(root, inputs):
            length = len(topological([candidate]))
            if length < size and still(candidate, point):
                root, size, progress = candidate, length, True
                break
    values = list(point)
    for i, v in enumerate(values):
        for plain in _plainer(v):
            tried = [*values[:i], plain, *values[i + 1 :]]
            if still(root, tried):
                values = tried
                break
    return root, tuple(values)


def _smaller(root: Term, inputs: Sequence[Term]) -> Iterator[Term]:
    """Programs with fewer nodes, the greatest cuts first."""
    order = topological([root])
    inner = [t for t in order if t.args]
    yield from inner[:-1]
    for term in reversed(inner):
        others = [*term.args, *inputs, const(1, term.dtype), const(2, term.dtype)]
        for other in others:
            if other.dtype == term.dtype and other.shape == term.shape:
                yield rebuild([root], {term: other})[0]


def _plainer(v: float) -> Iterator[float]:
    """Numbers near ``v`` that are shorter to write."""
    if v == 0 or not math.isfinite(v):
        return
    yield from (1.0, math.copysign(2.0 ** math.frexp(v)[1], v))
    for digits in (0, 1, 2, 3, 5, 8):
        yield float(f"{v:.{digits}e}")


def formula(root: Term) -> str:
    """A program as calls of its ops on inputs x, y and numbers; cut off where it is long."""
    text: dict[Term, str] = {}
    for term in topological([root]):
        if term.op is INPUT:
            text[term] = "xyzw"[term.params[0]]
        elif term.op is CONST:
            text[term] = str(term.params[0])
        else:
            text[term] = f"{term.op.name}({', '.join(text[a] for a in term.args)})"[:2000]
    return text[root]
