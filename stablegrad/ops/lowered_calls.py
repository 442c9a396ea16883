"""Sums of rounded functions that cancelled, once more in pairs.

``redone_sum`` adds what was computed anyway. Where the sum is much smaller than its addends their
rounding shows; these elements, and no others, are computed again from the numbers that the
addends were made of, everything in twice the precision. An error bound goes along, and what is
not better is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops import pairs
from stablegrad.ops.exact import Exact, Rational, to_float
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered import sum_pair
from stablegrad.ops.lowered_arithmetic import Product, Sum, multiple, product
from stablegrad.ops.pair_calls import CALLS, polygamma
from stablegrad.ops.pairs import Pair
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import LOST, settle


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

SURE = 2.0**-50
"""The relative error with which a value is as good as known."""
_UNIT = 2.0**-102  # of one operation in pairs
_ROUNDED = 2.0**-51  # of an op in floats, relative
_BESIDE = 16.0  # what a step loses beside its length
_ALARM = 4.0  # how much greater than the sum the greatest addend may be


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def run_code(xs: Sequence[Any], rounded: Sequence[bool], code: Code) -> Bounded:
    """The result of a code, with its error."""
    registers = [_leaf(x, r) for x, r in zip(xs, rounded, strict=True)]
    for step in code:
        registers.append(_step(step, registers))
    return registers[-1]


def run_code_at(where: Any, leaves: Sequence[Any], rounded: Sequence[bool], code: Code) -> Bounded:
    """The result of a code at the elements where a mask holds, with its error.

    Small arrays share what codes have in common: there a call costs more than its elements.
    """
    shared = _shared.get()
    if shared is None or where.size > SHARED_AT_MOST:
        return run_code(columns(where, leaves), rounded, code)
    flat = where.reshape(-1)
    (hi, lo), error = shared.run(leaves, rounded, code, where.shape)
    return (hi[flat], lo[flat]), error[flat]


def columns(where: Any, arrays: Sequence[Any]) -> list[Any]:
    """The elements of arrays where a mask holds."""
    return [np.broadcast_to(x, where.shape)[where] for x in arrays]


REDOING = frozenset({"redone_sum", "redone_call", "redone_power", "redone_gap"})
"""The ops that run codes."""

SHARED_AT_MOST = 1024
"""Elements of an array whose pairs are all computed, and kept while the program runs."""


class Shared:
    """The pairs that the codes of one running program have in common."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.values: list[Bounded] = []
        self.kept: list[Any] = []
        """The leaves, so that no other array gets the identity of one."""

    def run(
        self, leaves: Sequence[Any], rounded: Sequence[bool], code: Code, shape: Shape
    ) -> Bounded:
        """The result of a code at all elements, flat."""
        numbers = []
        for x, r in zip(leaves, rounded, strict=True):
            key = (id(x), r, shape)
            number = self.numbers.get(key)
            if number is None:
                self.kept.append(x)
                number = self._new(key, _leaf(np.broadcast_to(x, shape).reshape(-1), r))
            numbers.append(number)
        for step in code:
            key = _renamed(step, numbers)
            number = self.numbers.get(key)
            if number is None:
                number = self._new(key, _step(key, self.values))
            numbers.append(number)
        return self.values[numbers[-1]]

    def _new(self, key: Any, value: Bounded) -> int:
        self.values.append(value)
        self.numbers[key] = number = len(self.values) - 1
        return number


_shared: ContextVar[Shared | None] = ContextVar("shared pairs", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Let the codes that run inside share what they have in common."""
    token = _shared.set(Shared())
    try:
        yield
    finally:
        _shared.reset(token)


def _renamed(step: Any, numbers: Sequence[int]) -> Any:
    """An instruction on other registers."""
    if isinstance(step, Sum):
        return Sum(step.constant, tuple([(c, numbers[i]) for c, i in step.addends]))
    if isinstance(step, Product):
        return Product(tuple([(numbers[i], p) for i, p in step.factors]))
    if isinstance(step, Select):
        other = None if step.other is None else numbers[step.other]
        return Select(numbers[step.condition], numbers[step.chosen], other)
    if isinstance(step, Better):
        return Better(numbers[step.meant], numbers[step.rounded])
    return step._replace(registers=tuple([numbers[i] for i in step.registers]))


def _leaf(x: Any, rounded: bool) -> Bounded:
    return (x, 0.0 * x), _ROUNDED * np.abs(x) if rounded else np.zeros(x.shape)


def _step(step: Any, registers: Sequence[Bounded]) -> Bounded:
    if isinstance(step, Sum):
        return _sum(step, registers)
    if isinstance(step, Product):
        return _product(step, registers)
    if isinstance(step, Select):
        return _select(step, registers)
    if isinstance(step, Better):
        return _better(step, registers)
    return _call(step, registers)


def _sum(step: Sum, registers: Sequence[Bounded]) -> Bounded:
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


def _product(step: Product, registers: Sequence[Bounded]) -> Bounded:
    value = product([(registers[i][0], p) for i, p in step.factors], np)
    relative: Any = 0.0
    for i, p in step.factors:
        x, e = registers[i]
        relative = relative + abs(float(p)) * (_UNIT + e / np.abs(x[0]))
    error = relative * np.abs(value[0])
    zero = value[0] == 0
    if np.any(zero):
        error = np.where(zero, _bound_of_zero(step, registers), error)
    return value, error


def _bound_of_zero(step: Product, registers: Sequence[Bounded]) -> Any:
    """How large a product that came out 0 can be: a factor of 0 is as large as its error."""
    largest: list[tuple[Pair, Rational]] = []
    for i, p in step.factors:
        x, e = registers[i]
        size = np.abs(x[0]) if p < 0 else np.abs(x[0]) + e
        largest.append(((size, 0.0 * size), p))
    return np.abs(product(largest, np)[0])


def _select(step: Select, registers: Sequence[Bounded]) -> Bounded:
    holds = registers[step.condition][0][0] != 0
    (hi, lo), error = registers[step.chosen]
    other: Any = ((0.0, 0.0), 0.0) if step.other is None else registers[step.other]
    pair = np.where(holds, hi, other[0][0]), np.where(holds, lo, other[0][1])
    return pair, np.where(holds, error, other[1])


def _better(step: Better, registers: Sequence[Bounded]) -> Bounded:
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


def _call(step: Function, registers: Sequence[Bounded]) -> Bounded:
    call = polygamma(step.order) if step.name == "polygamma" else CALLS[step.name]
    xs = [registers[i][0] for i in step.registers]
    value = call.value(*xs)
    floor: Any = call.floor
    if call.scale is not None:
        floor = np.minimum(floor, _BESIDE * np.abs(xs[call.scale][0]))
    error: Any = _UNIT * (np.abs(value[0]) + floor)
    slopes = call.slopes(*[x[0] for x in xs], value[0])
    for i, slope in zip(step.registers, slopes, strict=True):
        error = error + registers[i][1] * np.abs(slope)
    return value, error


def sum_and_size(
    xp: Any,
    xs: tuple[Any, ...],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> tuple[Any, Any]:
    """A sum of multiples and products, and the size of its greatest addend."""
    hi, lo = sum_pair(xp, xs, constant, coefficients, counts)
    size = xp.abs(to_float(constant))
    position = 0
    for c, count in zip(coefficients, counts, strict=True):
        x = xs[position] if count == 1 else xs[position] * xs[position + 1]
        position += count
        size = xp.maximum(size, abs(float(c)) * xp.abs(x))
    return hi + lo, size


def redone(
    xp: Any,
    total: Any,
    size: Any,
    alarm: Any,
    *leaves: Any,
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    """A sum in NumPy, the elements that raise alarm computed again.

    Args:
        xp: the NumPy engine's namespace.
        total: what is computed.
        size: of the greatest addend.
        alarm: which elements lost digits.
        leaves: the registers of the code.
        rounded: which of them are rounded results.
        code: computes the sum.
    """
    shape = np.broadcast_shapes(np.shape(total), *[np.shape(x) for x in leaves])
    total, size, alarm = [np.broadcast_to(x, shape) for x in (total, size, alarm)]
    total, alarm = np.array(total), alarm != 0
    with np.errstate(all="ignore"):
        value, error = run_code_at(alarm, leaves, rounded, code)
        better = error < _ROUNDED * size[alarm]
        again = np.where(better, value[0] + value[1], total[alarm])
        if is_exact(rounded, code):
            known = error <= SURE * np.abs(value[0])
            open_ = ~known & (size[alarm] > LOST * np.abs(again))
            if np.any(open_):
                settle(xp, again, open_, columns(alarm, leaves), code)
        total[alarm] = again
    return total


def _redone_sum(
    xp: Any,
    *args: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    xs, leaves = args[: sum(counts)], args[sum(counts) :]
    total, size = sum_and_size(xp, xs, constant, coefficients, counts)
    alarm = size > _ALARM * xp.abs(total)  # not where anything is inf or nan
    if xp.name != "numpy" or not np.any(alarm):
        return total
    return redone(xp, total, size, alarm, *leaves, rounded=rounded, code=code)


REDONE_SUM = declare(
    "redone_sum",
    family="lowered",
    params=("constant", "coefficients", "counts", "rounded", "code"),
    infer=_infer,
    kernel=_redone_sum,
    elementwise=True,
    source="Dekker 1971: double-double arithmetic, on the elements that cancelled",
    ulp=None,
    accuracy="where the addends cancel: 2**-102 relative to them, else as compensated_sum",
    doc="A sum of functions, computed in pairs where it is much smaller than its addends.",
)
