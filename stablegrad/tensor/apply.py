"""Operations on tensors, arrays and numbers: the term is built and checked at the user's line."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

import sys
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, message
from stablegrad.ir import Term
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.dtypes import common_dtype
from stablegrad.ops.record import (
    Op,
    cast,
    const,
    is_float,
    round_const,
    set_data_handler,
)
from stablegrad.settings import current
from stablegrad.tensor import history
from stablegrad.tensor.cells import get_default_dtype
from stablegrad.tensor.core import Tensor, tensor, wrap
from stablegrad.tensor.mode import MODE

_PACKAGE = __file__.rpartition("tensor")[0]

_NUMBERS = (float, int, np.generic, Fraction)
OPERANDS = (Tensor, float, int, np.ndarray, np.generic, Fraction, list, tuple)
"""What binary operators take; for anything else Python asks the other operand."""


class Number(Tensor):
    """What an operation on Python numbers alone gives, or a choice between them.

    Like the numbers it came from it has no dtype of its own among tensors that have one: in a
    float64 program ``sqrt(2 * pi)`` is the float64 number. By itself it has the default dtype.
    """

    __slots__ = ("_wide",)

    _wide: Term
    """The same computed in float64."""


def apply(op: Op, args: tuple[Any, ...], params: tuple[Any, ...] = ()) -> Tensor:
    """Apply an op to tensors, arrays and numbers: build the term, check it, track gradients."""
    if len(args) == 1 and type(args[0]) is Tensor and not op.conditions:  # most calls
        return finish(op.term((args[0]._term,), params), args[0]._requires)
    requires = False
    typed = False
    numbers: list[int] = []
    terms: list[Any] = []
    for i, arg in enumerate(args):
        if isinstance(arg, Tensor):
            terms.append(arg._term)
            if type(arg) is Number:
                numbers.append(i)
                continue
            if arg._requires:
                requires = True
        elif isinstance(arg, _NUMBERS):
            terms.append(arg)
            if not isinstance(arg, np.generic):
                continue
        else:
            terms.append(_data_term(op, arg))
        if i not in op.conditions:
            typed = True
    if not typed:
        return _of_numbers(op, args, params)
    if not any(type(t) is Term for t in terms):
        terms = [tensor(t)._term if isinstance(t, np.generic) else t for t in terms]
    elif numbers:
        _retype(terms, numbers, args)
    return finish(op.term(tuple(terms), params), requires)


def _of_numbers(op: Op, args: tuple[Any, ...], params: tuple[Any, ...]) -> Tensor:
    """An op of Python numbers and of what came from them, beside conditions."""
    whole = all(type(a) is int for i, a in enumerate(args) if i not in op.conditions)

    def settled(arg: Any, dtype: np.dtype[Any]) -> Any:
        if type(arg) is Number:
            return arg._wide if dtype == np.float64 else arg._term
        if type(arg) is int and not whole:
            return arg  # takes the dtype of the others
        if isinstance(arg, float | int | Fraction) and not isinstance(arg, bool):
            return _number_term(arg, np.dtype(np.int64) if type(arg) is int else dtype)
        return arg._term if isinstance(arg, Tensor) else tensor(arg)._term  # a condition

    term = op.term(tuple([settled(a, get_default_dtype()) for a in args]), params)
    if not is_float(term.dtype):
        return finish(term, requires=False)
    result = finish(term, requires=False, kind=Number)
    assert type(result) is Number
    wide = op.term(tuple([settled(a, np.dtype(np.float64)) for a in args]), params)
    result._wide = finish(wide, requires=False)._term
    return result


def _retype(terms: list[Any], numbers: list[int], args: tuple[Any, ...]) -> None:
    """Bring numbers among tensors to the dtype of these."""
    floats = [
        t.dtype
        for i, t in enumerate(terms)
        if i not in numbers and isinstance(t, Term | np.generic) and is_float(t.dtype)
    ]
    if floats:
        dtype = common_dtype(*floats)
        for i in numbers:
            if terms[i].dtype != dtype:
                wide = args[i]._wide
                terms[i] = wide if wide.dtype == dtype else cast(wide, dtype)


def apply_one(op: Op, x: Tensor) -> Tensor:
    """Apply an op without parameters to one tensor."""
    if type(x) is Number:
        return apply(op, (x,))
    return finish(op.term((x._term,)), x._requires)


def apply_two(op: Op, a: Tensor, b: Any) -> Tensor:
    """Apply an op without parameters to a tensor and a tensor, array or number."""
    if type(a) is Tensor:
        if type(b) is Tensor:
            return finish(op.term((a._term, b._term)), a._requires or b._requires)
        if type(b) is float or type(b) is int:
            return finish(op.term((a._term, _number(b, a._term.dtype))), a._requires)
    return apply(op, (a, b))


def apply_reflected(op: Op, a: Any, b: Tensor) -> Tensor:
    """Apply an op without parameters to a number, array or list, and a tensor."""
    if (type(a) is float or type(a) is int) and type(b) is Tensor:
        return finish(op.term((_number(a, b._term.dtype), b._term)), b._requires)
    return apply(op, (a, b))


def _number(value: float, dtype: np.dtype[Any]) -> Any:
    """A Python number among elements of ``dtype``: a constant of it where that is sure."""
    if value == 0 or not is_float(dtype):  # 0.0 and -0.0 are equal as keys
        return value
    return _constant(value, type(value), dtype)


@lru_cache(maxsize=4096)
def _constant(value: Any, kind: type, dtype: np.dtype[Any]) -> Term:
    """A Python number among floats of ``dtype``."""
    return _number_term(value, dtype)


def _number_term(value: Any, dtype: np.dtype[Any]) -> Term:
    return const(round_const(value, dtype), dtype)


def finish(term: Term, requires: bool, kind: type[Tensor] = Tensor) -> Tensor:
    """A tensor around a term just built: tracked, cut where too deep, its line noted."""
    settings = current()
    mode = MODE.get()
    if requires:
        if not is_float(term.dtype):
            requires = False
        elif not mode.grad:
            term = STOP_GRADIENT.term((term,))
            requires = False
    if term.depth > history.LIMIT and not mode.whole:
        term = history.cut(term, settings, chained=requires)
    if term.written is None:
        frame = sys._getframe(2)
        code = frame.f_code
        while code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
            frame = frame.f_back
            code = frame.f_code
        term.written = code.co_filename, frame.f_lineno
    return wrap(term, settings, requires=requires, kind=kind)


def _data_term(op: Op, arg: Any) -> Term:
    """An array or a list among the arguments of an op, as a leaf."""
    if not isinstance(arg, np.ndarray | list | tuple | range):
        raise DTypeError(
            message(f"{type(arg).__name__} for {op.name}", "a tensor, an array or a number")
        )
    return tensor(arg)._term


set_data_handler(apply)
