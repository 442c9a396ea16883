"""Elements of float32 programs that float64 loses too, computed by the program in float64.

Fragile float32 parts are computed in float64, plainly. That is enough where at most half of its
digits cancel, and nothing leaves its range. Elsewhere, at 1e-11 in 1/x - 1/tan(x), the elements
are few: they are computed by the whole machinery that float64 programs have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.ir import Term
from stablegrad.ops.ranged import infer
from stablegrad.ops.record import declare

LEFT = 2.0**-20
"""What is left of an addend where its rounding in float64 shows in float32."""
SHORT = 8192
"""Elements of which BLAS adds the squares in one thread."""

Compiler = Callable[[Term, Sequence[Any]], Any]


def _no_compiler(meant: Term, columns: Sequence[Any]) -> Any:
    raise NotImplementedError("programs are compiled by stablegrad.program; import stablegrad")


_compiler: list[Compiler] = [_no_compiler]


def set_compiler(compiler: Compiler) -> None:
    """Let the program layer say how a term is evaluated in float64 at some points."""
    _compiler[0] = compiler


def _rescued(
    xp: Any, value: Any, *rest: Any, where: str, least: tuple[float, ...], meant: Term
) -> Any:
    if getattr(xp, "decider", None) is None:
        return value
    watched, inputs = rest[: len(least)], rest[len(least) :]
    lost = _LOST[where](value, least, watched)
    if lost is None:
        return value
    value, lost, *columns = np.broadcast_arrays(value, lost, *inputs)
    lost = lost & np.logical_and.reduce([np.isfinite(x) for x in columns])
    places = np.flatnonzero(lost)
    if not places.size:
        return value
    again = _compiler[0](meant, [x.flat[places] for x in columns]).astype(value.dtype)
    value = np.array(value)
    if where == "beyond":  # where float64 has no number either, an infinity may be one
        again = np.where(np.isnan(again), value.flat[places], again)
    value.flat[places] = again
    return value


def _is_beyond(value: Any, least: Any, watched: Any) -> Any:
    """Where a value is infinite or nan; None if nowhere."""
    return None if np.isfinite(np.add.reduce(value, axis=None)) else ~np.isfinite(value)


def _is_left(value: Any, least: tuple[float, ...], addends: Sequence[Any]) -> Any:
    """Where a sum is a small part of one of its addends; None if nowhere."""
    if value.size == 1:  # numbers of Python compare in a tenth of the time
        size = abs(value.item())
        pairs = zip(least, addends, strict=True)
        return np.True_ if any(size < c * abs(x.item()) for c, x in pairs) else None
    size, lost = np.abs(value), np.False_
    for c, x in zip(least, addends, strict=True):
        found = size < c * np.abs(x)
        lost = lost | found if len(addends) > 1 else found
    return lost if np.logical_or.reduce(lost, axis=None) else None


def _is_close(value: Any, least: tuple[float, ...], arguments: Sequence[Any]) -> Any:
    """Where two arguments that are rounded are next to each other; None if nowhere."""
    a, b = arguments
    lost = np.abs(a - b) < least[0] * np.abs(a)
    return lost if np.logical_or.reduce(lost, axis=None) else None


def _is_far(value: Any, least: Any, arguments: Sequence[Any]) -> Any:
    """Where an argument is infinite; None if nowhere."""
    (x,) = arguments
    return None if np.isfinite(np.add.reduce(x, axis=None)) else np.isinf(x)


def _is_by_zero(value: Any, least: tuple[float, ...], watched: Any) -> Any:
    """Where a function of what is rounded is next to its zero; None if nowhere."""
    lost = np.abs(value) < least[0]
    return lost if np.logical_or.reduce(lost, axis=None) else None


def _is_by_zero_or_pole(value: Any, least: tuple[float, ...], watched: Any) -> Any:
    """Where a logarithm of what is rounded is next to its zero, or infinite; None if nowhere."""
    lost, beyond = _is_by_zero(value, least, watched), _is_beyond(value, least, watched)
    return lost if beyond is None else beyond if lost is None else lost | beyond


def _is_below(value: Any, least: tuple[float, ...], watched: Any) -> Any:
    """Where what is compared with 0 is lost below the range; None if nowhere."""
    return _is_by_zero(watched[0], least, watched)


def _is_by_end(value: Any, least: tuple[float, ...], arguments: Sequence[Any]) -> Any:
    """Where an argument that is rounded is next to 1 or -1; None if nowhere."""
    lost = np.abs(1.0 - np.abs(arguments[0])) < least[0]
    return lost if np.logical_or.reduce(lost, axis=None) else None


def _is_turned(value: Any, least: tuple[float, ...], arguments: Sequence[Any]) -> Any:
    """Where an argument that is rounded has made many turns; None if nowhere."""
    x, near = arguments[0], least[0]
    if x.ndim == 1 and x.size <= SHORT and x.dot(x) < 0.5 * near * near:  # a call that costs little
        return None
    if x.size == 1:
        return None if abs(x.item()) <= near else np.True_
    lost = np.abs(x) > near
    return lost if np.logical_or.reduce(lost, axis=None) else None


_LOST = {
    "turned": _is_turned,
    "beyond": _is_beyond,
    "left": _is_left,
    "far": _is_far,
    "close": _is_close,
    "zero": _is_by_zero,
    "zero or pole": _is_by_zero_or_pole,
    "below": _is_below,
    "end": _is_by_end,
}
"""Which elements are computed anew, by what they are: None if none is."""


RESCUED = declare(
    "rescued",
    family="lowered",
    params=("where", "least", "meant"),
    infer=infer,
    kernel=_rescued,
    elementwise=True,
    source="the same program in float64",
    ulp=None,
    accuracy="that of the float64 program, rounded once",
    doc="A value of a float32 program, computed anew where float64 is not enough: given the value, "
    "what it is made of as far as it is watched, and the inputs of the program.",
)
