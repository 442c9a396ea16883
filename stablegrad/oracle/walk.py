"""Terms of one variable, evaluated in any arithmetic that has the operators and methods of balls.

The oracle's truth runs terms on balls; synthesis runs the same terms on local expansions
(``Jet``, ``Germ``). Both read the op records alone: an op is its ball, or its first spelling.
"""

from __future__ import annotations

import threading
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from stablegrad.ir import Term, topological
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.record import CONST, is_float
from stablegrad.oracle.ball import UndecidedError
from stablegrad.oracle.evaluate import meaning

_product: Any = MONOMIAL.ball


class NoExpansionError(Exception):
    """A term has no local expansion here, or none that this arithmetic can prove."""


class ImpreciseError(NoExpansionError):
    """More bits may give the expansion."""


class HopelessError(NoExpansionError):
    """No number of bits gives the expansion."""


class UnknownOpError(HopelessError):
    """Nor any other point: the arithmetic does not have the op."""


class Almost:
    """A condition that holds but at single points: a factor of a product that is zero there too.

    A mask may be one. Whoever wants to choose by it gets no answer.
    """

    def __bool__(self) -> bool:
        raise UndecidedError


ALMOST = Almost()


def number(value: Any) -> Fraction:
    """A finite constant as a rational; what is not finite has no expansion."""
    if isinstance(value, str):
        if value == "-0":
            return Fraction(0)
        raise NoExpansionError(f"the constant {value}")
    return Fraction(value)


def _astype(x: Any, *, dtype: Any) -> Any:
    if not is_float(np.dtype(dtype)):
        raise NoExpansionError("a change to whole numbers")
    return x


def _require(x: Any, c: Any) -> Any:
    if not c:
        raise HopelessError("outside the domain")
    return x


def _or(a: Any, b: Any) -> Any:
    if ALMOST in (a, b):
        return True if True in (a, b) else ALMOST
    return a or b


def _and(a: Any, b: Any) -> Any:
    if ALMOST in (a, b):
        return False if False in (a, b) else ALMOST
    return a and b


def _where(c: Any, a: Any, b: Any) -> Any:
    return a if c else b


def _monomial(*xs: Any, powers: Any) -> Any:
    kept = [(x, p) for x, p in zip(xs, powers, strict=True) if x is not ALMOST and x is not True]
    if any(x is False for x, _ in kept):
        return 0
    return _product(*[x for x, _ in kept], powers=[p for _, p in kept]) if kept else 1


_OWN: dict[str, Any] = {
    "monomial": _monomial,
    "indicator": lambda c: c if c is ALMOST else bool(c),
    "stop_gradient": lambda x: x,
    "astype": _astype,
    "require": _require,
    "where": _where,
    "isfinite": lambda x: True,
    "isinf": lambda x: False,
    "isnan": lambda x: False,
    "logical_and": _and,
    "logical_or": _or,
    "logical_not": lambda a: not a,
    "rarely": lambda a: a,
    "power": lambda x, y: x.power(y),
}
_BY_NAME = frozenset(
    "exp2 expm1 log1p log2 log10 sigmoid sinh cosh tanh arcsinh arccosh arctanh tan rsqrt".split()
)
"""Ops that an arithmetic may know by name although the record spells them out."""


Step = tuple[Any, tuple[int, ...], dict[str, Any], bool, str]
"""A function (None for a constant, held beside), the slots of its arguments, its parameters,
whether it gives a condition, and the name of its op."""


class _Meter(threading.local):
    spent = 0.0


_meter = _Meter()


def spent() -> float:
    """What this thread's walks have cost, in steps of a short series at a low precision.

    Counted and not timed: what is given up for want of work is the same on any machine.
    """
    return _meter.spent


class Walk:
    """A term of one variable as a straight line, for one arithmetic.

    Args:
        root: a scalar, elementwise term over ``variable``.
        variable: the variable.
        kind: the class of the arithmetic; its ``constant`` makes constants.
        known: names of ops that are its methods, whatever their record says.

    Raises:
        NoExpansionError: an op that the arithmetic does not have.
    """

    def __init__(self, root: Term, variable: Term, kind: type, known: frozenset[str]) -> None:
        self.steps: list[Step] = []
        self.constants: dict[int, Any] = {}
        self.kind = kind
        self.known = known
        cells: dict[Term, int] = {variable: 0}
        self.count = 1
        self.root = self._add(root, cells)

    def _add(self, root: Term, cells: dict[Term, int]) -> int:
        for term in topological([root], stop=cells.__contains__):
            if term not in cells:
                cells[term] = self._step(term, tuple([cells[a] for a in term.args]))
        return cells[root]

    def _step(self, term: Term, args: tuple[int, ...]) -> int:
        op = term.op
        if op is CONST:
            value = term.params[0]
            self.constants[self.count] = bool(value) if term.dtype.kind == "b" else number(value)
            return self._emit(None, (), {}, term)
        static = term.static
        function = _OWN.get(op.name)
        if function is None and (op.name in _BY_NAME or op.name in self.known):
            function = getattr(self.kind, op.name, None)
        if function is None:
            function = op.ball
        if function is None:
            if not (op.elementwise and op.spellings):
                raise NoExpansionError(op.name)
            shapes, dtypes = tuple([()] * len(args)), tuple([a.dtype for a in term.args])
            variables, root = meaning(op, term.params, shapes, dtypes)
            return self._add(root, dict(zip(variables, args, strict=True)))
        return self._emit(function, args, static, term)

    def _emit(self, function: Any, args: tuple[int, ...], static: dict[str, Any], t: Term) -> int:
        self.steps.append((function, args, static, t.dtype.kind == "b", t.op.name))
        self.count += 1
        return self.count - 1

    def __call__(self, value: Any) -> Any:
        """The expansion, with ``value`` for the variable.

        Raises:
            NoExpansionError: a point that the arithmetic cannot expand.
        """
        _meter.spent += self.count * value.work()
        cells: list[Any] = [value] + [None] * (self.count - 1)
        if any(step[0] is _where for step in self.steps):
            self._needed(cells, value)
        else:
            for i in range(1, self.count):
                cells[i] = self._taken(i, cells, value)
        return cells[self.root]

    def _needed(self, cells: list[Any], value: Any) -> None:
        """Take the steps that the root needs: none of a branch that is not chosen."""
        stack = [self.root]
        while stack:
            i = stack[-1]
            if cells[i] is not None:
                stack.pop()
                continue
            function, args, *_ = self.steps[i - 1]
            if function is _where:
                args = args[:1] if cells[args[0]] is None else (self._chosen(args, cells),)
            missing = [a for a in args if cells[a] is None]
            if missing:
                stack += missing
            else:
                cells[i] = cells[args[0]] if function is _where else self._taken(i, cells, value)

    @staticmethod
    def _chosen(args: tuple[int, ...], cells: list[Any]) -> int:
        try:
            return args[1] if cells[args[0]] else args[2]
        except UndecidedError as error:
            raise ImpreciseError(f"where: {error}") from None

    def _taken(self, i: int, cells: list[Any], value: Any) -> Any:
        """What a step gives."""
        kind = self.kind
        function, args, static, condition, name = self.steps[i - 1]
        if function is None:
            c = self.constants[i]
            return c if condition else value.constant(c)
        try:
            found = function(*[cells[a] for a in args], **static)
        except UndecidedError as error:
            raise ImpreciseError(f"{name}: {error}") from None
        except AttributeError as error:
            if not (isinstance(error.obj, kind) or error.obj is kind):
                raise
            raise UnknownOpError(f"{name}: {error}") from None
        except (ZeroDivisionError, ValueError, TypeError) as error:
            raise NoExpansionError(f"{name}: {error}") from None
        if not condition and not isinstance(found, kind):
            if found is ALMOST:
                found = 1
            if not isinstance(found, int | float | Fraction):
                raise NoExpansionError(name)
            found = value.constant(number(found))
        return found


@lru_cache(maxsize=64)
def _compiled(root: Term, variable: Term, kind: type, known: frozenset[str]) -> Walk | str:
    try:
        return Walk(root, variable, kind, known)
    except NoExpansionError as error:
        return str(error)


def walk(root: Term, variable: Term, value: Any, *, known: frozenset[str] = frozenset()) -> Any:
    """The expansion of a term of one variable, with ``value`` for it.

    Raises:
        NoExpansionError: an op, or a point, that the arithmetic of ``value`` cannot expand.
    """
    compiled = _compiled(root, variable, type(value), known)
    if isinstance(compiled, str):
        raise NoExpansionError(compiled)
    return compiled(value)
