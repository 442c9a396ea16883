"""The truth of programs: terms evaluated by balls, and rounded once the balls are small enough.

Works on the op records alone: a base op by its ``ball``, another by its first spelling, an op
over whole arrays by its own kernel on arrays of balls. Nothing here uses our partials:
derivatives are coefficients of power series along a direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, StablegradError, message
from stablegrad.ir import Shape, Term, make, topological
from stablegrad.ops.record import CONST, INPUT, LEAF, VARIABLE, Op, is_float
from stablegrad.oracle.ball import HARD, LITERAL, NOT_KNOWN, UNKNOWN, Ball, UndecidedError
from stablegrad.oracle.series import ZERO
from stablegrad.oracle.structures import TABLE, lift, lifted

Array = np.ndarray[Any, Any]
Bindings = Mapping[Term, Any]


class _Namespace:
    """``xp`` for kernels that run on arrays of balls: NumPy calls their methods by name."""

    name = "numpy"

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


xp = _Namespace()


class NotExpandedError(StablegradError, TypeError):
    """A derivative node was met: terms are expanded before they have a truth."""


# -- leaves ---------------------------------------------------------------------------------


def mapped(function: Callable[[Any], Any], array: Array) -> Array:
    """An object array of the function's values; np.frompyfunc would look at float flags."""
    out = np.empty(array.size, object)
    out[:] = [function(x) for x in array.ravel().tolist()]
    return out.reshape(array.shape)


def _moving(b: Ball, step: Any, order: int) -> Ball:
    return Ball((*b.c[:1], *Ball.exact(step).c, *([ZERO] * (order - 1))), b.flags) if step else b


def bind(value: Any, direction: Any = None, order: int = 0) -> Array:
    """An array as the oracle holds it: exact balls, moving along the direction if there is one."""
    array = np.asarray(value)
    if array.dtype != object:
        if not is_float(array.dtype):
            return array
        array = mapped(Ball.exact, array.astype(object))
    if direction is None or not order:
        return array
    steps = np.broadcast_to(np.asarray(direction), array.shape).ravel().tolist()
    out = np.empty(array.size, object)
    out[:] = [_moving(b, d, order) for b, d in zip(array.ravel().tolist(), steps, strict=True)]
    return out.reshape(array.shape)


def _constant(term: Term) -> Array:
    value = term.params[0]
    if not is_float(term.dtype):
        return np.asarray(value, term.dtype)
    out = np.empty((), object)
    if value == "-0":
        value = -0.0
    out[()] = Ball.exact(float(value) if isinstance(value, str) else value, LITERAL)
    return out


# -- elementwise ops ------------------------------------------------------------------------


def _indicator(c: Any) -> Ball:
    return Ball.exact(1, LITERAL) if c else HARD


def _stop_gradient(x: Ball) -> Ball:
    return x.constant()


def _signbit(x: Ball) -> bool:
    sign = x.sign_of_zero()
    if not sign:
        if x.is_nan:
            return False
        raise UndecidedError
    return sign < 0


def _isfinite(x: Ball) -> bool:
    return bool(x.c[0].is_finite())


def _isinf(x: Ball) -> bool:
    return not x.is_nan and not x.c[0].is_finite()


def _require(x: Ball, c: Any) -> Ball:
    return x if c else x.undefined()


def _nothing(x: Ball, _: Ball) -> Ball:
    """``x - x``: a constant wherever x has a value, so its root has the derivative 0."""
    return Ball.exact(0) if x.c[0].is_finite() else x - x


def _whole(x: Ball, _: Ball) -> Ball:
    """``x / x``."""
    return Ball.exact(1) if x.c[0].is_finite() and x != 0 else x / x


_OF_ITSELF = {"subtract": _nothing, "divide": _whole}
"""Ops whose result is a constant where both arguments are one."""


def _where(c: Any, a: Any, b: Any) -> Any:
    return a if c else b


def _astype(dtype: Any) -> Callable[[Any], Any]:
    """A change of dtype is exact between floats; to integers it cuts, to bool it asks."""
    if np.dtype(dtype).kind == "b":
        return lambda x: x != 0
    if np.dtype(dtype).kind in "iu":
        return _to_integer
    return lambda x: x


def _to_integer(x: Ball) -> int:
    whole = x.trunc().c[0]
    if not whole.is_exact() or not whole.is_finite():
        raise UndecidedError
    return int(whole.unique_fmpz())


_OWN: dict[str, Callable[..., Any]] = {
    "indicator": _indicator,
    "stop_gradient": _stop_gradient,
    "signbit": _signbit,
    "isfinite": _isfinite,
    "isinf": _isinf,
    "require": _require,
    "where": _where,
}
"""Ops whose ball must see what only the oracle has: hard zeros, unknown values."""

_BASE = frozenset(
    """
    exp2 expm1 log1p log2 log10 sigmoid sinh cosh tanh arcsinh arccosh arctanh tan hypot erfcx
    """.split()
)
"""Ops that the oracle knows by name although the record spells them out: their values at
infinities are NumPy's, which a spelling need not have, and their balls are tighter."""

_LENIENT = {"where", "logical_and", "logical_or"}


def elementwise(op: Op, function: Callable[..., Any], args: list[Array], kind: str) -> Array:
    """Apply a function of balls element by element; ``kind`` is the dtype kind of the result."""
    shape = args[0].shape if len(args) == 1 else np.broadcast_shapes(*[a.shape for a in args])
    lists = [
        _flat(a, shape, lift_numbers=kind not in "biu" and i not in op.conditions)
        for i, a in enumerate(args)
    ]
    lenient = op.name in _LENIENT
    values: list[Any] = []
    for items in zip(*lists, strict=True):  # the innermost loop of the oracle: nothing is called
        for a in () if lenient else items:
            if type(a) is Ball and a.flags & NOT_KNOWN:
                values.append(UNKNOWN)
                break
        else:
            try:
                values.append(function(*items))
            except UndecidedError:
                values.append(UNKNOWN)
    return _packed(values, shape, kind)


def _flat(a: Array, shape: Shape, *, lift_numbers: bool) -> list[Any]:
    items = (a if a.shape == shape else np.broadcast_to(a, shape)).ravel().tolist()
    if lift_numbers and a.dtype != object and a.dtype != bool:  # a mask is no number: it blocks
        return [Ball.exact(x) for x in items]
    return items


def _packed(values: list[Any], shape: Shape, kind: str) -> Array:
    """Values as a native array where all are decided numbers, else as an array of objects."""
    if kind in "biu":
        if not any(type(v) is Ball for v in values):
            return np.array(values, bool if kind == "b" else np.int64).reshape(shape)
    else:
        values = [v if type(v) is Ball else lift(v) for v in values]
    out = np.empty(len(values), object)
    out[:] = values
    return out.reshape(shape)


# -- programs -------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def meaning(
    op: Op, params: tuple[Any, ...], shapes: tuple[Shape, ...], dtypes: tuple[Any, ...]
) -> tuple[tuple[Term, ...], Term]:
    """The first spelling of an op over variables: (variables, term)."""
    # float64, so that the constants of the spelling are the constants that were written
    wide = [np.dtype(np.float64) if is_float(d) else d for d in dtypes]
    variables = tuple(
        [
            make(VARIABLE, (), (f"a{i}",), shape, dtype)
            for i, (shape, dtype) in enumerate(zip(shapes, wide, strict=True))
        ]
    )
    static = dict(zip(op.params, params, strict=True))
    return variables, op.spellings[0](*variables, **static)


def is_elementwise(term: Term) -> bool:
    """Whether each element of a term depends on the same element of its arguments alone."""
    return term.op.elementwise or not term.args


def evaluate(
    roots: Sequence[Term],
    bound: Mapping[Term, Array],
    *,
    flat: bool = False,
    known: dict[Term, Array] | None = None,
) -> list[Array]:
    """The values of terms, as arrays of balls (or of numbers, for integers and conditions).

    Args:
        roots: terms over leaves, inputs or variables.
        bound: arrays of balls for those.
        flat: all arrays are given as lists of elements; the terms must be elementwise.
        known: values that terms over the same ``bound`` have; those found now are added.

    Returns:
        An array for each root, at the precision in force.
    """
    cells: dict[Term, Any] = dict(bound) if known is None else known
    cells.update(bound)
    order = topological(roots, stop=cells.__contains__)
    uses: dict[Term, int] = {}
    for term in order:
        for a in term.args if term not in bound else ():
            uses[a] = uses.get(a, 0) + 1
    for root in roots:
        uses[root] = uses.get(root, 0) + 1
    for term in order:
        if term in cells:
            continue
        with np.errstate(all="ignore"):
            cells[term] = step(term, [cells[a] for a in term.args], flat)
        if known is not None:
            continue
        for a in term.args:
            uses[a] -= 1
            if not uses[a]:
                cells[a] = None
    return [cells[r] for r in roots]


def step(term: Term, args: list[Array], flat: bool) -> Array:
    """The value of one term from those of its arguments."""
    op = term.op
    if op is CONST:
        return _constant(term)
    if not args and op in (LEAF, INPUT, VARIABLE):
        raise DomainError(message(f"no value for {term}", "a binding for each leaf"))
    if op.name in ("gradient", "pushforward"):
        raise NotExpandedError(message(f"a {op.name} node", "terms with derivatives expanded"))
    if op.name == "custom":
        return args[term.params[2]]
    kind = term.dtype.kind
    if op.name == "astype":
        if all(a.dtype != object for a in args) and kind in "biu":
            return args[0].astype(term.dtype)
        return elementwise(op, _astype(term.dtype), args, kind)
    static = term.static
    if kind in "biu" and all(a.dtype != object for a in args):
        if not op.elementwise:  # a constant is held as one number, whatever its shape
            args = [np.broadcast_to(a, t.shape) for a, t in zip(args, term.args, strict=True)]
        return np.asarray(op.kernel(xp, *args, **static)).astype(term.dtype)
    if op.elementwise:
        ball = _OWN.get(op.name, op.ball)
        if op.name in _OF_ITSELF and term.args[0] is term.args[1]:
            ball = _OF_ITSELF[op.name]
        if ball is None and op.name in _BASE:
            ball = getattr(Ball, op.name)
        if ball is not None:
            own = ball
            function = (lambda *xs: own(*xs, **static)) if static else own
            return elementwise(op, function, args, kind)
    if op.spellings:
        variables, root = meaning(
            op,
            term.params,
            tuple([a.shape for a in term.args]),
            tuple([a.dtype for a in term.args]),
        )
        return evaluate([root], dict(zip(variables, args, strict=True)), flat=flat)[0]
    return _structured(term, args, static)


def _structured(term: Term, args: list[Array], static: dict[str, Any]) -> Array:
    arrays = []
    for t, a in zip(term.args, args, strict=True):
        if is_float(t.dtype):
            value = a if a.dtype == object else bind(a.astype(np.float64))
        else:
            value = a
        arrays.append(value if value.shape == t.shape else np.broadcast_to(value, t.shape))
    kernel = TABLE.get(term.op.name)
    try:
        if kernel is not None:
            out = kernel(*arrays, **static)
        else:
            out = term.op.kernel(xp, *arrays, **static)
    except UndecidedError:
        return np.full(term.shape, UNKNOWN, object)
    if not is_float(term.dtype):
        out = np.asarray(out)
        return out if out.dtype == object else out.astype(term.dtype)
    return lifted(out).reshape(term.shape)
