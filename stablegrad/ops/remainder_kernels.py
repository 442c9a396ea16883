"""Remainders and whole quotients of numbers with few bits, as all have that were float32 once.

With factors of 24 bits and a quotient below 2**29 the product of quotient and divisor is exact, and
so is what is left. NumPy's loops divide bit by bit and take several times as long.

Below 2**28 the rounded quotient lies on the same side of every whole number as the true one: a
quotient that is not whole is off the next whole number by 2**-24, or by 2**-24 of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.ops import pairs
from stablegrad.ops.dtypes import narrow

_LOW_BITS = (1 << 29) - 1
_SMALL = 256  # elements below which NumPy's loop is the fastest
_LIMIT = 2.0**28
_SIGN = np.int64(-(2**63))


# -- float32s -----------------------------------------------------------------------------


def _divided(a: Any, b: Any, rounding: Callable[..., Any]) -> tuple[Any, Any, Any, bool]:
    """Float32s in float64, their whole quotient, and whether all of it is right."""
    finite = bool(np.isfinite(b).all())
    a, b = a.astype(np.float64), b.astype(np.float64)
    quotient = a / b
    whole = rounding(quotient, out=quotient)
    return (
        a,
        b,
        whole,
        finite and bool(whole.max(initial=0.0) < _LIMIT and whole.min(initial=0.0) > -_LIMIT),
    )


def _rest(a: Any, b: Any, whole: Any, sign: Any) -> Any:
    """What is left, with the sign of another array, which it has where it is not 0."""
    rest = whole * b
    np.subtract(a, rest, out=rest)
    bits = rest.view(np.int64)
    bits |= sign.view(np.int64) & _SIGN
    return rest


def _checked(xp: Any, value: Any, whole: Any, a: Any, b: Any, exact: Callable[..., Any]) -> Any:
    """The value, computed by NumPy where the quotient is not sure."""
    value, whole, a, b = np.broadcast_arrays(value, whole, a, b)
    doubtful = ~((np.abs(whole) < _LIMIT) & np.isfinite(b))
    return pairs.redo(xp, doubtful, value, lambda xp, a, b: exact(a, b), a, b)


# -- float64s that may have been float32s -------------------------------------------------


def _applies(xp: Any, a: Any, b: Any) -> bool:
    fits = xp.name == "numpy" and a.size >= _SMALL and b.shape in (a.shape, ())
    return fits and _wide(a) and _wide(b)


def _wide(x: Any) -> bool:
    return x.dtype == np.float64 and x.flags.c_contiguous


def _inexact(a: Any, b: Any, quotient: Any, rest: Any) -> Any:
    """Where the rest may not be exact, or is nan."""
    many = ((a.view(np.int64) | b.view(np.int64)) & _LOW_BITS) != 0
    return many | ~((np.abs(quotient) < 2.0**29) & (rest == rest))


# -- kernels ------------------------------------------------------------------------------


def mod(xp: Any, a: Any, b: Any) -> Any:
    """The remainder with the sign of b."""
    if narrow(xp, a, b):
        a, b, whole, sure = _divided(a, b, np.floor)
        rest = _rest(a, b, whole, b)
        return rest if sure else _checked(xp, rest, whole, a, b, np.mod)
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
    if narrow(xp, a, b):
        a, b, whole, sure = _divided(a, b, np.floor)
        return whole if sure else _checked(xp, whole, whole, a, b, np.floor_divide)
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
    if narrow(xp, a, b):
        a, b, whole, sure = _divided(a, b, np.trunc)
        rest = _rest(a, b, whole, a)
        return rest if sure else _checked(xp, rest, whole, a, b, np.fmod)
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
