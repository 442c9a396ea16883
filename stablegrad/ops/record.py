"""The op record: everything the library knows of an op, declared once.

Tests, docs, engines, bridges and reports read these records; nothing about an op is
written anywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, DTypeError, ShapeError, message
from stablegrad.ir import OPS, UNKNOWN, Facts, Shape, Term, make, provenance
from stablegrad.ops.dtypes import common_dtype, converted, float_result, is_float
from stablegrad.ops.exact import Exact, exact, round_to, to_float

REAL = Facts()
POSITIVE = Facts(lo=0.0)
NONNEGATIVE = Facts(lo=0.0, lo_open=False)
NEGATIVE = Facts(hi=0.0)
UNIT = Facts(lo=0.0, hi=1.0)
SYMMETRIC_UNIT = Facts(lo=-1.0, hi=1.0)


def interval(lo: float, hi: float, *, closed: bool = False) -> Facts:
    """An interval, open unless ``closed``; for domains and ranges."""
    return Facts(lo, hi, not closed, not closed)


@dataclass(frozen=True, slots=True)
class NotDifferentiable:
    """Marks a derivative that does not exist, and says why. Never a silent zero."""

    why: str


@dataclass(frozen=True, slots=True)
class ZeroDerivative:
    """Marks a derivative that is zero wherever it exists (comparisons, rounding)."""

    why: str = "piecewise constant"


ZERO = ZeroDerivative()
Partials = Callable[..., tuple[Any, ...]]

_uids = iter(range(1, 1_000_000))


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Op:
    """One operation.

    Attributes:
        name: the public name.
        family: the file it is declared in, for tables ("exponential", "linalg", ...).
        params: names of the static parameters, in the order in which a term holds them.
        infer: ``infer(args, params) -> (shape, dtype)``; raises ShapeError or DTypeError.
        kernel: ``kernel(xp, *arrays, **params)``, written over an array namespace that has
            NumPy's names and ``xp.special`` with scipy.special's.
        engine_kernels: kernels by engine name, only where ``kernel`` misses the bound there.
        spellings: the op in simpler ops, the first being its meaning. From these follow the
            oracle's reference (where ``ball`` is None) and the rules that lift naive programs.
        ball: ``ball(*balls, **params)`` for base ops, duck-typed on the oracle's ball.
        partials: ``partials(out, *args) -> tuple``, one entry per argument: a term stable by
            construction, or a NotDifferentiable or ZeroDerivative marker.
        textbook: partials as a conventional framework computes them, where they differ.
        jvp: structured ops only: ``jvp(out, args, tangents, **params)``; a tangent may be None.
        vjp: structured ops only: ``vjp(out, args, cotangent, **params) -> tuple``.
        domain: one interval per argument in which the op is defined.
        range: the interval of its values.
        infer_facts: facts of a term where domain and range do not say enough.
        support: for linear ops, the support of a term from that of its arguments.
        cost: static cost for the choice between rewrites.
        ulp: proved bound in ulp at orders 0, 1, 2, or None with the reason in ``accuracy``.
        accuracy: the bound in words where it is not ``ulp``.
        conditions: positions of arguments that are conditions, left out of dtype promotion.
        commutative: whether the order of the arguments does not matter.
        widens: whether the NumPy kernel takes arrays of float32s as well, and gives float64s.
        degree: the size of a result: that of a product of the arguments to these powers, or, if
            empty, at most about that of the greatest of them. None where nothing is known.
        carries: what float64 in a float32 program goes through: "passed" on as it is, or
            "computed", arithmetic that costs about the same in float64.
        lax, aten: names in JAX and PyTorch, for the bridges.
        source: where the formula comes from.
        doc: what the op computes, in a line; ``example`` a doctest.
    """

    name: str
    family: str
    params: tuple[str, ...] = ()
    defaults: tuple[Any, ...] = ()
    infer: Callable[[tuple[Term, ...], tuple[Any, ...]], tuple[Shape, Any]]
    kernel: Callable[..., Any]
    engine_kernels: dict[str, Callable[..., Any]] = field(default_factory=dict)
    spellings: tuple[Callable[..., Term], ...] = ()
    ball: Callable[..., Any] | None = None
    partials: Partials | None = None
    textbook: Partials | None = None
    jvp: Callable[..., Any] | None = None
    vjp: Callable[..., Any] | None = None
    domain: tuple[Facts, ...] = ()
    range: Facts = REAL
    infer_facts: Callable[[Term], Facts] | None = None
    support: Callable[[Term], Term | None] | None = None
    cost: int = 2
    ulp: tuple[float, float, float] | None = (4, 4, 4)
    accuracy: str = ""
    elementwise: bool = False
    conditions: tuple[int, ...] = ()
    commutative: bool = False
    widens: bool = False
    degree: tuple[int, ...] | None = None
    carries: str = ""
    lax: str = ""
    aten: str = ""
    source: str = ""
    doc: str = ""
    example: str = ""
    uid: int = field(default_factory=lambda: next(_uids))

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply the op to terms, tensors, arrays or numbers.

        Tensors (anything with ``__stablegrad_apply__``) take over, and so do plain arrays
        and numbers through ``apply_to_data``; terms give a term.
        """
        static = self.bind(params) if params or self.defaults else ()
        for arg in args:
            if type(arg) is Term:
                return self.term(args, static)
        return apply_to_data(self, args, static)

    def bind(self, params: dict[str, Any]) -> tuple[Any, ...]:
        """Static parameters as a tuple in declared order, defaults filled in."""
        unknown = params.keys() - set(self.params)
        if unknown:
            raise TypeError(
                message(f"{self.name}(..., {min(unknown)}=...)", f"parameters {self.params}")
            )
        offset = len(self.params) - len(self.defaults)
        return tuple(
            [
                params[name] if name in params else self.defaults[i - offset]
                for i, name in enumerate(self.params)
            ]
        )

    def term(self, args: tuple[Any, ...], params: tuple[Any, ...] = ()) -> Term:
        """Build the term: constants and dtypes are settled, shapes checked, here and now."""
        terms = settle(self, args)
        shape, dtype = self.infer(terms, params)
        term = make(self, terms, params, shape, dtype)
        if provenance.recording:
            provenance.note(term)
        return term

    def facts(self, term: Term) -> Facts:
        """Facts of a term of this op: its range, defined if its arguments are in the domain."""
        if self.infer_facts is not None:
            return self.infer_facts(term)
        domain = self.domain
        if not domain:
            return self.range
        for arg, allowed in zip(term.args, domain, strict=False):
            facts = arg.facts
            if not facts.defined or not (allowed is REAL or facts.within(allowed)):
                return self.range
        return self.range._replace(defined=True)


def _no_data(op: Op, args: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
    raise DTypeError(f"{op.name} of {args} needs tensors: import stablegrad first")


_data_handler: list[Callable[..., Any]] = [_no_data]


def apply_to_data(op: Op, args: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
    """Apply an op to tensors, arrays or numbers, as the tensor layer has it."""
    return _data_handler[0](op, args, params)


def set_data_handler(handler: Callable[[Op, tuple[Any, ...], tuple[Any, ...]], Any]) -> None:
    """Let the tensor layer say how ops treat tensors, arrays and numbers."""
    _data_handler[0] = handler


# -- constants ----------------------------------------------------------------------------


def const(value: Any, dtype: Any, shape: Shape = ()) -> Term:
    """A constant term, an exact value filled to ``shape``."""
    return make(CONST, (), (exact(value),), shape, np.dtype(dtype))


def _const_facts(term: Term) -> Facts:
    value = term.params[0]
    if isinstance(value, str) and value != "-0":
        return UNKNOWN if value == "nan" else Facts(float(value), float(value), False, False)
    number = to_float(value)
    if number == 0 and value not in (0, "-0"):  # a rational below the smallest float
        positive = isinstance(value, int | Fraction) and value > 0
        return POSITIVE._replace(defined=True) if positive else NEGATIVE._replace(defined=True)
    return Facts(number, number, False, False, math.isfinite(number))


def _leaf_infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    raise AssertionError("leaves are made by their own constructors")


def _const_kernel(xp: Any, *, value: Exact) -> Any:
    return xp.asarray(to_float(value))


def _leaf_kernel(xp: Any, **_: Any) -> Any:
    raise AssertionError("leaves are bound by the engine")


def _leaf(name: str, params: tuple[str, ...], facts: Callable[[Term], Facts], doc: str) -> Op:
    op = Op(
        name=name,
        family="leaf",
        params=params,
        infer=_leaf_infer,
        kernel=_const_kernel if name == "const" else _leaf_kernel,
        infer_facts=facts,
        cost=0,
        doc=doc,
    )
    OPS[name] = op
    return op


def _defined(_: Term) -> Facts:
    return UNKNOWN._replace(defined=True)


CONST = _leaf("const", ("value",), _const_facts, "An exact constant.")
INPUT = _leaf("input", ("number",), _defined, "The numbered input of a program.")
LEAF = _leaf("leaf", ("cell",), _defined, "A value that a tensor was made from.")
VARIABLE = _leaf("variable", ("name",), _defined, "A pattern variable of a rule.")


def is_const(term: Term, value: Exact | None = None) -> bool:
    """Whether a term is a constant (equal to ``value``, if given)."""
    return term.op is CONST and (value is None or term.params[0] == value)


# -- dtypes and shapes --------------------------------------------------------------------


def settle(op: Op, args: tuple[Any, ...]) -> tuple[Term, ...]:
    """Turn numbers into constants of the other arguments' dtype, and promote as NumPy does."""
    first = None
    same = True
    for a in args:
        if type(a) is Term:
            if first is None:
                first = a.dtype
            elif a.dtype != first:
                same = False
        else:
            same = False
    if same:
        return args
    dtypes = {a.dtype for a in args if type(a) is Term}
    common = dtypes.pop() if len(dtypes) == 1 else common_dtype(*dtypes)
    terms: list[Term] = []
    for a in args:
        if type(a) is Term:
            terms.append(a)
        elif isinstance(a, bool | int | float | np.number | np.bool_ | Fraction):
            terms.append(_number(a, common))
        else:
            raise DTypeError(message(f"{type(a).__name__} for {op.name}", "a term or a number"))
    if not op.elementwise:
        return tuple(terms)
    return promote(op, terms)


def _number(value: Any, among: np.dtype[Any]) -> Term:
    if type(value) in (int, float) and value != 0:  # 0.0 and -0.0 are equal as keys
        return _common_number(value, type(value), among)
    dtype = constant_dtype(value, among)
    return const(round_const(value, dtype), dtype)


@lru_cache(maxsize=4096)
def _common_number(value: Any, kind: type, among: np.dtype[Any]) -> Term:
    dtype = constant_dtype(kind(value), among)
    return const(round_const(value, dtype), dtype)


def constant_dtype(value: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a Python number among arrays of ``dtype`` (NumPy 2: numbers are weak)."""
    if isinstance(value, np.generic):
        return value.dtype
    if isinstance(value, bool):
        return np.dtype(bool)
    if isinstance(value, int):
        return np.dtype(np.int64) if dtype.kind == "b" else dtype
    return dtype if is_float(dtype) else np.dtype(np.float64)


def round_const(value: Any, dtype: np.dtype[Any]) -> Exact:
    """The exact value that ``dtype`` holds for a number."""
    if is_float(dtype):
        if isinstance(value, Fraction):
            return exact(round_to(value, dtype))
        try:
            return exact(converted(np.asarray(value), dtype))
        except OverflowError:
            digits = f"an integer of {value.bit_length()} bits"
            raise DomainError(message(digits, f"one that fits {dtype}")) from None
    return exact(value)


def promote(op: Op, terms: list[Term]) -> tuple[Term, ...]:
    """Bring the data arguments of an elementwise op to one dtype, as NumPy would."""
    skip = op.conditions
    first = terms[-1 if len(terms) - 1 not in skip else 0].dtype
    if all(t.dtype == first for i, t in enumerate(terms) if i not in skip):
        return tuple(terms)
    dtype = common_dtype(*[t.dtype for i, t in enumerate(terms) if i not in skip])
    return tuple(
        [t if i in skip or t.dtype == dtype else cast(t, dtype) for i, t in enumerate(terms)]
    )


def cast(term: Term, dtype: np.dtype[Any]) -> Term:
    """The term in another dtype; constants and Iverson brackets take any without a node."""
    if term.op is CONST:
        return const(round_const(to_float(term.params[0]), dtype), dtype, term.shape)
    if term.op.name == "indicator":
        return make(term.op, term.args, term.params, term.shape, dtype)
    return OPS["astype"](term, dtype=dtype)


def broadcast(op: Op, args: tuple[Term, ...]) -> Shape:
    """The broadcast shape of the arguments, or a ShapeError at the user's line."""
    shape = args[0].shape
    for a in args[1:]:
        other = a.shape
        if shape == ():
            shape = other
        elif other not in (shape, ()):
            try:
                shape = np.broadcast_shapes(shape, other)
            except ValueError:
                shapes = " and ".join(str(t.shape) for t in args)
                raise ShapeError(
                    message(f"shapes {shapes} for {op.name}", "shapes that broadcast")
                ) from None
    return shape


# -- declaring ----------------------------------------------------------------------------


def declare(name: str, **fields: Any) -> Op:
    """Declare an op and put it into the registry."""
    assert name not in OPS, f"op {name!r} is declared twice"
    OPS[name] = op = Op(name=name, **fields)
    return op


def elementwise(name: str, *, result: str = "float", **fields: Any) -> Op:
    """Declare an elementwise op.

    Args:
        name: the public name.
        result: "float" (integers become floats first), "same" (the dtype of the arguments)
            or "bool".
        fields: the remaining fields of the record.
    """

    def infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
        dtype = args[-1 if op.conditions != (len(args) - 1,) else 0].dtype
        shape = args[0].shape if len(args) == 1 else broadcast(op, args)
        for n, order in zip(op.params, params, strict=True) if params or op.params else ():
            if n in ("n", "m") and not (isinstance(order, int) and order >= 0):
                raise DomainError(message(f"{name}({n}={order!r})", "a whole number, 0 or more"))
        if result == "bool":
            return shape, np.dtype(bool)
        if result == "float" and not is_float(dtype):
            return shape, float_result(dtype)
        return shape, dtype

    op = declare(name, infer=infer, elementwise=True, **fields)
    return op
