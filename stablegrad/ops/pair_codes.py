"""Codes: sums, products and functions evaluated in pairs, with a bound of the error.

Addends that cancelled, and arguments whose rounding is felt, are computed again from the numbers
that they were made of, everything in twice the precision. An error bound goes along, and what is
not better is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from stablegrad.ir import Shape
from stablegrad.ops import pairs
from stablegrad.ops.exact import Rational
from stablegrad.ops.lowered_arithmetic import Product, Sum, multiple, product
from stablegrad.ops.pair_calls import CALLS, JOINT, Call, polygamma
from stablegrad.ops.pairs import Pair


class Function(NamedTuple):
    """A function of registers: a name of ``CALLS``, or ``polygamma`` of an order."""

    name: str
    registers: tuple[int, ...]
    order: int = 0


class Select(NamedTuple):
    """One of two registers by a condition in a third; 0 for ``None``."""

    condition: int
    chosen: int
    other: int | None


class Better(NamedTuple):
    """A register that says what a rounded one is; whichever is known better."""

    meant: int
    rounded: int


Code = tuple[Sum | Product | Function | Select | Better, ...]
Bounded = tuple[Pair, Any]
"""A pair and a bound of its absolute error."""

_UNIT = 2.0**-102  # of one operation in pairs
ROUNDED = 2.0**-51
"""The relative error of an op in floats."""
ENOUGH = 2.0**-53
"""The relative error below which a value is rounded once more, at worst."""
_SMALL = 2.0**-200
_LOWEST = -900  # exponents from here on leave room for the second float of a pair
_BESIDE = 16.0  # what a step loses beside its length


def columns(where: Any, arrays: Sequence[Any]) -> list[Any]:
    """The elements of arrays where a mask holds."""
    return [spread(x, where.shape)[where] for x in arrays]


def spread(x: Any, shape: Shape) -> Any:
    """An array, broadcast if it has another shape: that alone takes as long as a short sum."""
    same = isinstance(x, np.ndarray) and x.shape == shape
    return x if same else np.broadcast_to(x, shape)


def bounded(x: Any, rounded: bool) -> Bounded:
    """A number of the program, or a rounded result."""
    return (x, 0.0 * x), ROUNDED * np.abs(x) if rounded else np.zeros(x.shape)


def is_enough(found: Bounded) -> Any:
    """Where a result is known so well that its error does not show when it is rounded."""
    (hi, _), error = found
    return error <= ENOUGH * np.abs(hi)


class Registers(Protocol):
    """What instructions read."""

    def __getitem__(self, number: int, /) -> Bounded:
        """The value in a register."""
        ...


def evaluated(step: Any, registers: Registers) -> Bounded:
    """The value of an instruction."""
    if isinstance(step, Sum):
        return _sum(step, registers)
    if isinstance(step, Product):
        return _product(step, registers)
    if isinstance(step, Select):
        return _select(step, registers)
    if isinstance(step, Better):
        return _better(step, registers)
    return _call(step, registers)


def _sum(step: Sum, registers: Registers) -> Bounded:
    total: Pair | None = None
    size: Any = abs(float(step.constant))
    error: Any = 0.0
    for c, i in step.addends:
        x, e = registers[i]
        addend = multiple(x, c)
        total = addend if total is None else pairs.add(total, addend)
        size = size + np.abs(addend[0])
        error = error + abs(float(c)) * e
    assert total is not None
    if step.constant != 0:
        high, low = pairs.split(step.constant)
        zero = 0.0 * total[0]
        total = pairs.add(total, (high + zero, low + zero))
    return total, error + _UNIT * size


def _product(step: Product, registers: Registers) -> Bounded:
    value = product([(registers[i][0], p) for i, p in step.factors], np)
    relative: Any = 0.0
    for i, p in step.factors:
        x, e = registers[i]
        relative = relative + abs(float(p)) * (_UNIT + e / np.abs(x[0]))
    error = relative * np.abs(value[0])
    zero = value[0] == 0
    if np.any(zero):
        error = np.where(zero, _bound_of_zero(step, registers), error)
    least = [np.min(np.abs(registers[i][0][0]), initial=1.0) for i, _ in step.factors]
    if min(least) < _SMALL:
        error = error + _error_below(step, registers)
    return value, error


def _error_below(step: Product, registers: Registers) -> Any:
    """How far a product of numbers other than 0 may be off where it, or a part, is very small."""
    above: Any = 0
    below: Any = 0
    least: Any = 0
    for i, p in step.factors:
        size = np.frexp(registers[i][0][0])[1] * abs(float(p))
        above, below = (above + size, below) if p > 0 else (above, below + size)
        least = np.minimum(least, np.minimum(above, below))
    small = above - below < _LOWEST
    known = np.where(small, 2.0 ** (_LOWEST + 40), 0.0)
    error = np.where((least < _LOWEST) & ~small, np.inf, known)
    zero = np.logical_or.reduce([registers[i][0][0] == 0 for i, _ in step.factors])
    return np.where(zero, 0.0, error)


def _bound_of_zero(step: Product, registers: Registers) -> Any:
    """How large a product that came out 0 can be: a factor of 0 is as large as its error."""
    largest: list[tuple[Pair, Rational]] = []
    for i, p in step.factors:
        x, e = registers[i]
        size = np.abs(x[0]) if p < 0 else np.abs(x[0]) + e
        largest.append(((size, 0.0 * size), p))
    return np.abs(product(largest, np)[0])


def _select(step: Select, registers: Registers) -> Bounded:
    holds = registers[step.condition][0][0] != 0
    (hi, lo), error = registers[step.chosen]
    other: Any = ((0.0, 0.0), 0.0) if step.other is None else registers[step.other]
    pair = np.where(holds, hi, other[0][0]), np.where(holds, lo, other[0][1])
    return pair, np.where(holds, error, other[1])


def _better(step: Better, registers: Registers) -> Bounded:
    (hi, lo), error = registers[step.meant]
    (x, _), rounding = registers[step.rounded]
    known = error < rounding
    return (np.where(known, hi, x), np.where(known, lo, 0.0)), np.where(known, error, rounding)


@cache
def is_exact(rounded: tuple[bool, ...], code: Code) -> bool:
    """Whether rounded numbers stand in a code only beside what they are."""
    used: set[int] = set()
    for step in code:
        if isinstance(step, Sum):
            used |= {i for _, i in step.addends}
        elif isinstance(step, Product):
            used |= {i for i, _ in step.factors}
        elif isinstance(step, Select):
            used |= {i for i in step if i is not None}
        elif isinstance(step, Better):
            used.add(step.meant)
        else:
            used |= set(step.registers)
    return not any(rounded[i] for i in used if i < len(rounded))


def _call(step: Function, registers: Registers) -> Bounded:
    call = polygamma(step.order) if step.name == "polygamma" else CALLS[step.name]
    return _with_error(
        step, call, call.value(*[registers[i][0] for i in step.registers]), registers
    )


def evaluated_jointly(step: Function, registers: Registers) -> tuple[Bounded, Bounded]:
    """The value of a function, and that of the other one which is computed with it."""
    joint = JOINT[step.name]
    values = joint.values(registers[step.registers[0]][0])
    names = (step.name, joint.other)
    own, other = [
        _with_error(step, CALLS[name], value, registers)
        for name, value in zip(names, values, strict=True)
    ]
    return own, other


def _with_error(step: Function, call: Call, value: Pair, registers: Registers) -> Bounded:
    if step.name in ("maximum", "minimum"):
        return value, _error_of_choice(value, *[registers[i] for i in step.registers])
    xs = [registers[i][0] for i in step.registers]
    floor: Any = call.floor
    if call.scale is not None:
        floor = np.minimum(floor, _BESIDE * np.abs(xs[call.scale][0]))
    error: Any = _UNIT * (np.abs(value[0]) + floor)
    slopes = call.slopes(*[x[0] for x in xs], value[0])
    for i, slope in zip(step.registers, slopes, strict=True):
        error = error + registers[i][1] * np.abs(slope)
    return value, error


def _error_of_choice(value: Pair, x: Bounded, y: Bounded) -> Any:
    """How far the greater or smaller one may be off: as the other only where it may be that one."""
    (a, c), (b, d) = x[0], y[0]
    either = ~(np.abs((a - b) + (c - d)) > x[1] + y[1])
    alone = np.where((value[0] == a) & (value[1] == c), x[1], y[1])
    return np.where(either, np.maximum(x[1], y[1]), alone)
