"""Derivatives where mathematics leaves a choice, as ``sg.conventions`` has them.

The op records hold the usual choices. What is chosen otherwise is put on top here, by op name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops.arithmetic import masked
from stablegrad.ops.forms import product
from stablegrad.ops.record import NotDifferentiable, const, is_const
from stablegrad.ops.reduction import count, every, spread
from stablegrad.ops.shape import moveaxis
from stablegrad.settings import Conventions

USUAL = Conventions()

# -- elementwise ops ----------------------------------------------------------------------


def conventional_partials(
    out: Term, found: tuple[Any, ...], conventions: Conventions
) -> tuple[Any, ...]:
    """The partials of an elementwise op, where another choice is made."""
    name = out.op.name
    if name in ("maximum", "minimum"):
        return _choice(name, out.args, found, conventions)
    if name == "clip":
        return _clip(out, conventions)
    if name == "abs":
        return (_abs(found[0], out.args[0], conventions.kinks),)
    if name == "hypot" and conventions.origin == "nan":
        return tuple([_undefined(p, OPS["equal"](out, 0.0)) for p in found])
    if name in ("sqrt", "cbrt") and conventions.roots != "inf":
        return (root_slope(found[0], out.args[0], conventions),)
    if name == "power" and conventions.powers == "nan":
        return _power(out, found)
    if name in ("xlogy", "xlog1py", "entr", "rel_entr") and conventions.entropy == "nan":
        at_zero = OPS["equal"](out.args[0], 0.0)
        return tuple([_undefined(p, at_zero) for p in found])
    if name in ("floor", "ceil", "trunc", "round"):
        if conventions.rounding == "straight_through":
            return (const(1, out.dtype),)
        if conventions.rounding == "error":
            return (NotDifferentiable('it is piecewise constant, and rounding="error" is chosen'),)
    return found


def _undefined(partial: Any, where: Term) -> Any:
    """The partial, nan where a condition holds."""
    if not isinstance(partial, Term):
        return partial
    return OPS["require"](partial, OPS["logical_not"](where))


def _blocked(cotangent: Term, where: Term) -> Term:
    """The cotangent, nan where a condition holds and it is no structural zero."""
    return product(
        [cotangent, OPS["require"](const(1, cotangent.dtype), OPS["logical_not"](where))]
    )


def _abs(partial: Any, x: Term, kinks: str) -> Any:
    at_zero = OPS["equal"](x, 0.0)
    if kinks == "nan":
        return _undefined(partial, at_zero)
    side = {"left": -1, "right": 1}.get(kinks, 0)
    return OPS["where"](at_zero, const(side, x.dtype), partial) if side else partial


def _choice(
    name: str, args: tuple[Term, ...], found: tuple[Any, ...], conventions: Conventions
) -> tuple[Any, ...]:
    """Partials of the greater or smaller of two: at a tie by kinks beside a constant, else ties."""
    a, b = args
    tie = OPS["equal"](a, b)
    constant = is_const(a) or is_const(b)
    chosen = conventions.kinks if constant else conventions.ties
    if chosen == "nan":
        # beside the masks of the partials, which would hide it
        none = masked(tie, OPS["require"](const(1, a.dtype), OPS["logical_not"](tie)))
        return tuple([p + none for p in found])
    if constant:
        # to the right of a tie the variable is the greater
        rises = chosen == ("right" if name == "maximum" else "left")
        share = 0.5 if chosen == "mean" else 1 if rises else 0
        more = masked(tie, const(share, a.dtype)) if share else None
        return found if more is None else tuple([p + more for p in found])
    return found


def first_of_ties(root: Term) -> Term:
    """The program with what is the greater or smaller of two variables as the first where they tie.

    Which one a program names first is lost in canonical form.
    """
    done: dict[Term, Term] = {}
    for term in topological([root]):
        args = tuple([done[a] for a in term.args])
        new = term
        if args != term.args:
            new = make(term.op, args, term.params, term.shape, term.dtype)
        if term.op.name in ("maximum", "minimum") and not any(is_const(a) for a in args):
            told = OPS["greater_equal" if term.op.name == "maximum" else "less_equal"](*args)
            number = OPS["logical_not"](OPS["isnan"](new))
            new = OPS["require"](OPS["where"](told, *args), number)
        done[term] = new
    return done[root]


def _clip(out: Term, conventions: Conventions) -> tuple[Any, ...]:
    """As the minimum with the upper end of the maximum with the lower."""
    x, low, high = out.args
    raised = OPS["maximum"](x, low)
    usual = [op.partials for op in (OPS["maximum"], OPS["minimum"])]
    assert usual[0] is not None
    assert usual[1] is not None
    by_x, by_low = _choice("maximum", (x, low), usual[0](raised, x, low), conventions)
    top = usual[1](out, raised, high)
    by_raised, by_high = _choice("minimum", (raised, high), top, conventions)
    return by_raised * by_x, by_raised * by_low, by_high


def root_slope(slope: Term, x: Term, conventions: Conventions) -> Term:
    """The slope of a root, where it is not infinite at 0."""
    if conventions.roots == "nan":
        return _undefined(slope, OPS["equal"](x, 0.0))
    return masked(OPS["not_equal"](x, 0.0), slope)


def _power(out: Term, found: tuple[Any, ...]) -> tuple[Any, ...]:
    x, y = out.args
    none = OPS["equal"](x, 0.0)
    both = OPS["logical_and"](none, OPS["equal"](y, 0.0))
    return _undefined(found[0], both), _undefined(found[1], none)


# -- ops over whole arrays ----------------------------------------------------------------

_AT_ORIGIN = {"norm", "std", "p_norm"}
_WITH_TIES = {"max", "min", "sort", "cummax", "cummin"}


def conventional_vjp(
    term: Term, cotangent: Term, params: dict[str, Any], conventions: Conventions
) -> Sequence[Any]:
    """What ``term.op.vjp`` gives, where another choice is made."""
    name, args = term.op.name, term.args
    if conventions.ties != "share" and name in _WITH_TIES:
        return (_TIES[name](term, cotangent, params, conventions.ties, transposed=True),)
    assert term.op.vjp is not None
    parts = term.op.vjp(term, args, cotangent, **params)
    if conventions.origin == "nan" and name in _AT_ORIGIN:
        at_zero = OPS["equal"](spread(term, args[0].shape, params["axis"]), 0.0)
        parts = tuple([_undefined(p, at_zero) for p in parts])
    return parts


def conventional_jvp(
    term: Term,
    tangents: Sequence[Term | None],
    params: dict[str, Any],
    conventions: Conventions,
) -> Any:
    """What ``term.op.jvp`` gives, where another choice is made."""
    name = term.op.name
    if conventions.ties != "share" and name in _WITH_TIES:
        assert tangents[0] is not None
        return _TIES[name](term, tangents[0], params, conventions.ties, transposed=False)
    assert term.op.jvp is not None
    pushed = term.op.jvp(term, term.args, tangents, **params)
    if conventions.origin == "nan" and name in _AT_ORIGIN and pushed is not None:
        pushed = _undefined(pushed, OPS["equal"](term, 0.0))
    return pushed


def _joined_rows(x: Term, axis: Any) -> tuple[Term, tuple[int, ...]]:
    """The reduced axes joined as the last one."""
    axes = every(axis, x.ndim)
    moved = moveaxis(x, axes, tuple(range(x.ndim - len(axes), x.ndim)))
    lead = moved.shape[: x.ndim - len(axes)]
    return OPS["reshape"](moved, shape=(*lead, count(x.shape, axis))), axes


def _parted_rows(rows: Term, shape: tuple[int, ...], axes: tuple[int, ...]) -> Term:
    """Rows put back to the axes that they were made from."""
    lengths = [n for i, n in enumerate(shape) if i not in axes] + [shape[a] for a in axes]
    ends = tuple(range(len(shape) - len(axes), len(shape)))
    return moveaxis(OPS["reshape"](rows, shape=tuple(lengths)), ends, axes)


def _places(like: Term) -> Term:
    """0, 1, 2, ... along the last axis."""
    ones = const(1, "int64", like.shape)
    return OPS["cumsum"](ones, axis=like.ndim - 1) - 1


def _extreme(
    term: Term, given: Term, params: dict[str, Any], ties: str, *, transposed: bool
) -> Term:
    """max and min: the weights are 1 at the first of the greatest; nan where there are more."""
    (x,) = term.args
    axis = params["axis"]
    rows, axes = _joined_rows(x, axis)
    first = OPS["argmax" if term.op.name == "max" else "argmin"](rows, axis=-1, keepdims=True)
    weights = OPS["astype"](OPS["equal"](_places(rows), first), dtype=x.dtype)
    top = OPS["take_along_axis"](rows, first, axis=-1)
    undefined = OPS["isnan"](top)
    if ties == "nan":
        tied = OPS["count_nonzero"](OPS["equal"](rows, top), axis=-1, keepdims=True)
        undefined = OPS["logical_or"](undefined, OPS["greater"](tied, 1))
    hit = OPS["logical_or"](OPS["not_equal"](weights, 0), undefined)
    weights = OPS["where"](undefined, math.nan, weights)
    full = _parted_rows(OPS["broadcast_to"](weights, shape=rows.shape), x.shape, axes)
    hit = _parted_rows(OPS["broadcast_to"](hit, shape=rows.shape), x.shape, axes)
    if transposed:
        return masked(hit, spread(given, x.shape, axis) * full)
    return OPS["sum"](masked(hit, given * full), axis=axis, keepdims=params["keepdims"])


def _sort(term: Term, given: Term, params: dict[str, Any], ties: str, *, transposed: bool) -> Term:
    """Elements take their tangents along, equal ones in their order; nan where some are equal."""
    (x,) = term.args
    axis = params["axis"]
    order = OPS["argsort"](x, axis=axis, descending=params["descending"])
    undefined = OPS["isnan"](term)
    if ties == "nan":
        n = x.shape[axis]
        lead = (slice(None),) * axis
        early, late = (
            OPS["getitem"](term, index=(*lead, s)) for s in (slice(0, n - 1), slice(1, n))
        )
        same = OPS["equal"](early, late)
        none = const(0, bool, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
        for pair in ((none, same), (same, none)):
            undefined = OPS["logical_or"](undefined, OPS["concatenate"](*pair, axis=axis))
    if transposed:
        put = _blocked(given, undefined)
        return OPS["add_along_axis"](put, order, length=x.shape[axis], axis=axis)
    return _undefined(OPS["take_along_axis"](given, order, axis=axis), undefined)


def _running(
    term: Term, given: Term, params: dict[str, Any], ties: str, *, transposed: bool
) -> Term:
    """cummax and cummin: the first place where the extreme so far stands."""
    (x,) = term.args
    axis = params["axis"]
    n = x.shape[axis]
    if n == 0:
        return given
    places = OPS["cumsum"](const(1, "int64", x.shape), axis=axis) - 1
    lead = (slice(None),) * axis
    early = OPS["getitem"](term, index=(*lead, slice(0, n - 1)))
    late = OPS["getitem"](term, index=(*lead, slice(1, n)))
    start = const(1, bool, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    new = OPS["concatenate"](start, OPS["not_equal"](early, late), axis=axis)
    first = OPS["cummax"](OPS["where"](new, places, 0), axis=axis)
    undefined = OPS["isnan"](term)
    if ties == "nan":
        last = OPS["cummax"](OPS["where"](OPS["equal"](x, term), places, 0), axis=axis)
        undefined = OPS["logical_or"](undefined, OPS["not_equal"](first, last))
    if transposed:
        put = _blocked(given, undefined)
        return OPS["add_along_axis"](put, first, length=n, axis=axis)
    return _undefined(OPS["take_along_axis"](given, first, axis=axis), undefined)


_TIES = {"max": _extreme, "min": _extreme, "sort": _sort, "cummax": _running, "cummin": _running}

# -- masked rows --------------------------------------------------------------------------

_BY_ROWS = {"softmax", "log_softmax", "softmax_jvp", "log_softmax_jvp", "log_softmax_vjp"}


def undefined_rows(roots: Sequence[Term]) -> list[Term]:
    """The roots, in which every softmax of a row of -inf throughout is nan, as its derivatives."""
    done: dict[Term, Term] = {}
    for term in topological(roots):
        args = tuple([done[a] for a in term.args])
        new = term
        if args != term.args:
            new = make(term.op, args, term.params, term.shape, term.dtype)
        if term.op.name in _BY_ROWS and count(term.shape, term.params[0]):
            x, axis = args[0], term.params[0]
            seen = OPS["any"](OPS["not_equal"](x, -math.inf), axis=axis, keepdims=True)
            new = OPS["require"](new, seen)
        done[term] = new
    return [done[r] for r in roots]
