"""Codes in extended precision, which is faster than pairs and mostly enough.

x86 has arithmetic with 64 bits of mantissa, and the C library has the elementary functions in it:
eleven bits beyond float64 at a tenth of the cost of pairs. What cancelled a few bits is had there.
An error bound goes along as it does with pairs, and what it leaves open is computed in pairs. So a
machine without such numbers is slower and no less accurate.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from stablegrad.ops import pairs
from stablegrad.ops.exact import Rational
from stablegrad.ops.lowered_arithmetic import Product, Sum
from stablegrad.ops.pair_calls import CALLS
from stablegrad.ops.pair_codes import ROUNDED, Better, Code, Function, Select

Extended = tuple[Any, Any]
"""A number and a float64, a bound of its absolute error."""

_UNIT = 2.0**-64  # of one operation
_TINY = 1e-280  # products below have an error that float64 may not hold
_SMALL = 2.0**-20  # errors that are felt linearly


class Registers(Protocol):
    """What instructions read."""

    def __getitem__(self, number: int, /) -> Extended:
        """The value in a register."""
        ...


class _Known(NamedTuple):
    """A function, and the relative error of its value (Zimmermann et al., glibc's manual)."""

    value: Callable[..., Any]
    error: float = 2.0**-62


def _log_ratio(x: Any, y: Any) -> Any:
    near = np.abs(x - y) < 0.25 * np.abs(y)
    return np.where(near, np.log1p((x - y) / y), np.log(x / y))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _sech_squared(x: Any) -> Any:
    c = np.cosh(x)
    return 1 / (c * c)


_KNOWN: dict[str, _Known] = {
    "abs": _Known(np.abs, 0.0),
    "maximum": _Known(np.maximum, 0.0),
    "minimum": _Known(np.minimum, 0.0),
    "exp": _Known(np.exp),
    "expm1": _Known(np.expm1, 2.0**-61),
    "sigmoid": _Known(_sigmoid, 2.0**-61),
    "log": _Known(np.log),
    "log1p": _Known(np.log1p, 2.0**-61),
    "log_ratio": _Known(_log_ratio, 2.0**-60),
    "sin": _Known(np.sin),
    "cos": _Known(np.cos),
    "tan": _Known(np.tan),
    "tanh": _Known(np.tanh, 2.0**-61),
    "sech_squared": _Known(_sech_squared, 2.0**-60),
    "arctan": _Known(np.arctan),
    "arctan2": _Known(np.arctan2),
    "arcsin": _Known(np.arcsin),
    "arccos": _Known(np.arccos),
}
"""Of those that pairs know."""


@cache
def is_held() -> bool:
    """Whether the machine has such numbers."""
    return np.finfo(np.longdouble).nmant == 63


@cache
def is_known(code: Code) -> bool:
    """Whether all functions of a code are known here."""
    return all(not isinstance(s, Function) or s.name in _KNOWN for s in code)


def leaf(x: Any, rounded: bool) -> Extended:
    """A number of the program, or a rounded result."""
    error = ROUNDED * np.abs(x) if rounded else np.zeros(x.shape)
    return x.astype(np.longdouble), error


def step(step: Any, registers: Registers) -> Extended:
    """The value of an instruction."""
    if isinstance(step, Sum):
        return _sum(step, registers)
    if isinstance(step, Product):
        return _product(step, registers)
    if isinstance(step, Select):
        holds = registers[step.condition][0] != 0
        x, error = registers[step.chosen]
        y, other = (0.0, 0.0) if step.other is None else registers[step.other]
        return np.where(holds, x, y), np.where(holds, error, other)
    if isinstance(step, Better):
        (x, error), (y, rounding) = registers[step.meant], registers[step.rounded]
        known = error < rounding
        return np.where(known, x, y), np.where(known, error, rounding)
    return _call(step, registers)


@cache
def _constant(c: Rational) -> Any:
    high, low = pairs.split(c)
    return np.longdouble(high) + np.longdouble(low)


def _sum(step: Sum, registers: Registers) -> Extended:
    total: Any = None if step.constant == 0 else _constant(step.constant)
    size: Any = None if total is None else abs(total)
    error: Any = None
    for c, i in step.addends:
        x, e = registers[i]
        if c == -1:
            x = -x
        elif c != 1:
            x, e = x * _constant(c), e * abs(float(c))
        total = x if total is None else total + x
        size = np.abs(x) if size is None else size + np.abs(x)
        error = e if error is None else error + e
    scaled = sum(c not in (1, -1) for c, _ in step.addends)
    roundings = len(step.addends) - 1 + 2 * (step.constant != 0) + 2 * scaled
    return total, error + roundings * _UNIT * size.astype(np.float64)


def _product(step: Product, registers: Registers) -> Extended:
    above = below = None
    relative: Any = None
    roundings = 0
    for i, p in step.factors:
        x, e = registers[i]
        part = abs(float(p)) * (e / np.abs(x.astype(np.float64)))
        relative = part if relative is None else relative + part
        half = isinstance(p, Fraction)
        root, n = (np.sqrt(x), abs(int(2 * p))) if half else (x, abs(int(p)))
        power = _power(root, n)
        roundings += n + half
        if p > 0:
            above = power if above is None else above * power
        else:
            below = power if below is None else below * power
    value: Any = above if below is None else (1 if above is None else above) / below
    size = np.abs(value).astype(np.float64)
    held = (relative < _SMALL) & (size > _TINY)
    return value, np.where(held, (relative + roundings * _UNIT) * size, np.inf)


def _power(x: Any, n: int) -> Any:
    out = x
    for bit in bin(n)[3:]:
        out = out * out
        if bit == "1":
            out = out * x
    return out


def _call(step: Function, registers: Registers) -> Extended:
    known = _KNOWN[step.name]
    xs = [registers[i] for i in step.registers]
    value = known.value(*[x for x, _ in xs])
    near = value.astype(np.float64)
    error: Any = known.error * np.abs(near)
    if step.name in ("maximum", "minimum"):  # off as one of the two is, not as both are
        error = np.maximum(*[e for _, e in xs])
    else:
        slopes = CALLS[step.name].slopes(*[x.astype(np.float64) for x, _ in xs], near)
        for (_, e), slope in zip(xs, slopes, strict=True):
            error = error + e * np.abs(slope)
    return value, np.where((value == 0) | (np.abs(near) > _TINY), error, np.inf)
