"""Where a function is defined, where it vanishes, and where it oscillates: seen from its signs.

Nothing rests on what is seen here: where a zero is missed, the pieces around it fail their proof.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from stablegrad.ir import Term, topological
from stablegrad.ops.forms import MONOMIAL
from stablegrad.synthesis.recipe import X

if TYPE_CHECKING:
    from stablegrad.oracle.points import Zero

MARKS = 4
"""Points of a binade that are looked at; FINE where it has several zeros."""
FINE = 32
OSCILLATES = 12
"""Zeros on one side that are kept; a function that has more is said to oscillate."""
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Anchor:
    """A zero, or an end of the domain."""

    x: float
    zero: Zero | None


@dataclass(slots=True)
class Survey:
    """The inputs of one sign.

    Attributes:
        anchors: zeros and ends of the domain.
        spans: intervals of |x| on which there are values.
        low, high: exponents of |x| between which it is known and does not oscillate.
        empty: there is a value nowhere.
    """

    anchors: list[Anchor] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    low: int = 0
    high: int = 0
    empty: bool = False

    def defined(self, lo: float, hi: float) -> bool:
        """Whether an interval of |x| meets the domain in more than an end."""
        return any(a < hi and lo < b for a, b in self.spans)


def survey(f: Term, side: int, low: int, high: int, *, below: bool, above: bool) -> Survey:
    """Look at |x| from 2**low to 2**high.

    Args:
        f: a term over ``X``.
        side: 1 or -1.
        low: the least exponent.
        high: the greatest one.
        below: whether the function is known next to 0.
        above: whether it is known far out.
    """
    from stablegrad.oracle.points import UNDEFINED, edge

    marks, found = _marked(f, side, low, high)
    out = Survey(low=low, high=high, empty=all(v == UNDEFINED for v in found))
    begin: float | None = 0.0 if found[0] != UNDEFINED else None
    crossings: list[tuple[float, float]] = []
    for i, (z, here) in enumerate(zip(marks, found, strict=True)):
        before = found[i - 1] if i else here
        after = found[i + 1] if i + 1 < len(found) else here
        if here == 0:
            crossings.append((z, z))
        if here >= UNDEFINED and before < UNDEFINED and after < UNDEFINED:
            out.anchors.append(Anchor(side * z, None))  # a point left out, perhaps removable
        elif here == UNDEFINED and before < UNDEFINED:
            at = abs(edge(f, X, side * marks[i - 1], side * z))
            out.anchors.append(Anchor(side * at, None))
            if begin is not None:
                out.spans.append((begin, at))
            begin = None
        elif before == UNDEFINED and here != UNDEFINED and begin is None:
            at = abs(edge(f, X, side * z, side * marks[i - 1]))
            if here == 0 and math.nextafter(at, z) == z:
                at = z  # the domain begins with a zero
            else:
                out.anchors.append(Anchor(side * at, None))
            begin = at
        elif {before, here} == {1, -1}:
            crossings.append((marks[i - 1], z))
    if begin is not None:
        out.spans.append((begin, math.inf))
    kept = _kept(crossings, out, below=below, above=above)
    out.anchors += [a for c in kept if (a := _zero(f, side, *c)) is not None]
    first, last = 2.0**out.low, 2.0**out.high
    out.anchors = [a for a in out.anchors if first <= abs(a.x) <= last]
    return out


def zeros(f: Term, side: int, lo: float, hi: float) -> list[Anchor]:
    """The zeros within an interval of |x| that 16 points show."""
    from stablegrad.oracle.points import signs

    marks = [lo + (hi - lo) * k / 16 for k in range(17)]
    found = signs(f, X, [side * m for m in marks])
    out = []
    for i in range(16):
        if found[i] == 0 or {found[i], found[i + 1]} == {1, -1}:
            anchor = _zero(f, side, marks[i], marks[i] if found[i] == 0 else marks[i + 1])
            if anchor is not None:
                out.append(anchor)
    return out


def holes(f: Term, side: int, lo: float, hi: float) -> list[Anchor]:
    """The floats within an interval of |x| at which something that is divided by vanishes."""
    below: dict[Term, None] = {}
    for t in topological([f]):
        if t.op.name == "divide":
            below[t.args[1]] = None
        elif t.op is MONOMIAL:
            below |= {a: None for a, p in zip(t.args, t.params[0], strict=True) if p < 0}
    found = [a for d in below if d is not X for a in zeros(d, side, lo, hi)]
    return [Anchor(a.x, None) for a in found if a.zero is not None and a.zero.lo == 0]


def _marked(f: Term, side: int, low: int, high: int) -> tuple[list[float], list[int]]:
    from stablegrad.oracle.points import signs

    marks = [
        2.0**e * (1 + m / MARKS)
        for e in range(low - 1, high + 1)
        for m in range(MARKS)
        if e < high or m == 0
    ]
    found = signs(f, X, [side * m for m in marks])
    many = [
        e
        for i, e in enumerate(range(low - 1, high))
        if _changes(found[MARKS * i : MARKS * (i + 1) + 1]) > 1
    ]
    for e in many[:8]:
        more = [2.0**e * (1 + m / FINE) for m in range(FINE) if m % (FINE // MARKS)]
        marks += more
        found += signs(f, X, [side * m for m in more])
    order = sorted(range(len(marks)), key=marks.__getitem__)
    return [marks[i] for i in order], [found[i] for i in order]


def _changes(found: Sequence[int]) -> int:
    return sum({a, b} == {1, -1} for a, b in pairwise(found))


def _kept(
    crossings: list[tuple[float, float]], out: Survey, *, below: bool, above: bool
) -> list[tuple[float, float]]:
    """The zeros on that side on which the function is known; what lies beyond is cut off."""
    if len(crossings) <= OSCILLATES:
        return crossings
    if below:
        first = 0
    elif above:
        first = len(crossings) - OSCILLATES
    else:
        middle = min(range(len(crossings)), key=lambda i: abs(math.log(crossings[i][1])))
        first = min(max(0, middle - OSCILLATES // 2), len(crossings) - OSCILLATES)
    last = first + OSCILLATES
    if first:
        out.low = math.frexp(crossings[first - 1][1])[1]
    if last < len(crossings):
        out.high = max(math.frexp(crossings[last][0])[1] - 1, out.low)
    return crossings[first:last]


def _zero(f: Term, side: int, lo: float, hi: float) -> Anchor | None:
    from stablegrad.oracle.points import Zero, zero

    if lo == hi:
        return Anchor(side * lo, Zero(side * lo, 0.0, side * lo))
    root = zero(f, X, *sorted((side * lo, side * hi)))
    return None if root is None else Anchor(root.hi, root)
