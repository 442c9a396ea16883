"""The one place that sets python-flint's precision, which is global to the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import flint

MINIMUM = 100
"""Bits of the first attempt: enough for a float64 that loses nothing."""

BUDGET = 12_800
"""Bits after which a point is given up as undecided, unless the caller says otherwise."""


CHEAP = 1600
"""Bits up to which an evaluation costs hardly more than one of 100."""


_one_at_a_time = RLock()


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Set the working precision in bits, and restore the caller's on the way out."""
    with _one_at_a_time:
        before = flint.ctx.prec
        flint.ctx.prec = bits
        try:
            yield
        finally:
            flint.ctx.prec = before


def at_first() -> bool:
    """Whether the precision in force is that of a first attempt."""
    return flint.ctx.prec == MINIMUM


def rising(budget: int = BUDGET, start: int = MINIMUM) -> Iterator[int]:
    """The precisions to try: fourfold while they cost little, then doubled."""
    bits = start
    while bits <= budget:
        yield bits
        bits *= 4 if bits < CHEAP else 2
