"""Remainders and whole quotients of numbers with few bits, as all have that were float32 once.

With factors of 24 bits and a quotient below 2**29 the product of quotient and divisor is exact, and
so is what is left. NumPy's loops divide bit by bit and take several times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad.ops import pairs

_LOW_BITS = (1 << 29) - 1
_SMALL = 256  # elements below which NumPy's loop is the fastest


def _applies(xp: Any, a: Any, b: Any) -> bool:
    return xp.name == "numpy" and a.size >= _SMALL and a.shape == b.shape and _wide(a) and _wide(b)


def _wide(x: Any) -> bool:
    return x.dtype == np.float64 and x.flags.c_contiguous


def _inexact(a: Any, b: Any, quotient: Any, rest: Any) -> Any:
    """Where the rest may not be exact, or is nan."""
    many = ((a.view(np.int64) | b.view(np.int64)) & _LOW_BITS) != 0
    return many | ~((np.abs(quotient) < 2.0**29) & (rest == rest))


def mod(xp: Any, a: Any, b: Any) -> Any:
    """The remainder with the sign of b."""
    if not _applies(xp, a, b):
        return xp.mod(a, b)
    quotient = a / b
    rest = a - np.floor(quotient) * b
    inexact = _inexact(a, b, quotient, rest)
    over = (rest < 0) != (b < 0)  # the quotient was rounded up
    over &= rest != 0
    rest += b * over
    return pairs.redo(xp, inexact, np.copysign(rest, b), lambda xp, a, b: xp.mod(a, b), a, b)


def floor_divide(xp: Any, a: Any, b: Any) -> Any:
    """The greatest whole number not above a / b."""
    if not _applies(xp, a, b):
        return xp.floor_divide(a, b)
    quotient = a / b
    whole = np.floor(quotient)
    rest = a - whole * b
    inexact = _inexact(a, b, quotient, rest)
    whole -= ((rest < 0) != (b < 0)) & (rest != 0)
    return pairs.redo(xp, inexact, whole, lambda xp, a, b: xp.floor_divide(a, b), a, b)


def fmod(xp: Any, a: Any, b: Any) -> Any:
    """The remainder with the sign of a."""
    if not _applies(xp, a, b):
        return xp.fmod(a, b)
    quotient = a / b
    rest = a - np.trunc(quotient) * b
    inexact = _inexact(a, b, quotient, rest)
    size = np.abs(rest)
    over = (rest < 0) != (a < 0)
    over &= rest != 0
    size = np.abs(size - np.abs(b) * over)
    return pairs.redo(xp, inexact, np.copysign(size, a), lambda xp, a, b: xp.fmod(a, b), a, b)
