"""The Euclidean norm and its derivatives, over the whole range of floats.

Squares overflow at 1e155 and vanish at 1e-160, so sums of squares are formed as they are and
redone, scaled by an exact power of two, where they left the safe range. The derivative of a
norm is its own op, the unit vector u = x/norm(x), and that of u is

    unit_vector_jvp  Q(x, t) = (t - u*sum(u*t)) / norm(x)

computed around the greatest entry p: adding a multiple of x to t changes nothing, so t is
replaced by t - x*t[p]/x[p], which is exactly 0 at p, and nothing cancels beyond what t makes.
At x = 0 all of these are 0, by convention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.pairs import two_prod
from stablegrad.ops.record import interval
from stablegrad.ops.reduction import (
    REDUCES,
    Axis,
    as_rows,
    count,
    every,
    from_rows,
    normal_axes_of,
    normal_reduction,
    real_infer,
    reduce_infer,
    reduced,
    spread,
    widened,
)
from stablegrad.ops.structured import (
    Terms,
    is_symbolic,
    structured,
    sum_of,
)

SMALLEST_SAFE = 2.0**-900
"""Squares lost below a sum of squares of this size do not matter to it."""

SOURCE = "Blue 1978; Higham 2002, section 27.8"


# -- kernels ------------------------------------------------------------------------------


def scaled(xp: Any, x: Any, axis: Axis) -> tuple[Any, Any]:
    """The array with its greatest entry over the axes in [1/2, 1), and the exponents taken out."""
    top = xp.max(xp.abs(x), axis=axis, keepdims=True, initial=0.0)
    _, exponent = xp.frexp(xp.where(xp.isfinite(top), top, 1.0))
    return xp.ldexp(x, -exponent), exponent


def sum_of_squares(xp: Any, x: Any, axis: Axis) -> tuple[Any, bool]:
    """The sum of squares, axes kept at length 1; and whether no digit was lost to the range."""
    total = xp.sum(x * x, axis=axis, keepdims=True)
    if is_symbolic(xp):
        return total, False
    if total.size == 0:
        return total, True
    return total, bool(total.min() > SMALLEST_SAFE and total.max() < math.inf)


def norm_kept(xp: Any, x: Any, axis: Axis) -> Any:
    """The norm of any floats, axes kept at length 1."""
    total, safe = sum_of_squares(xp, x, axis)
    if safe:
        return xp.sqrt(total)
    y, exponent = scaled(xp, x, axis)
    return xp.ldexp(xp.sqrt(xp.sum(y * y, axis=axis, keepdims=True)), exponent)


def _norm_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return norm_kept(xp, widened(xp, x), axis).reshape(reduced(x.shape, axis, keepdims))


def _unit_kernel(xp: Any, x: Any, *, axis: Axis) -> Any:
    x = widened(xp, x)
    total, safe = sum_of_squares(xp, x, axis)
    if safe:
        return x / xp.sqrt(total)
    y, _ = scaled(xp, x, axis)
    size = xp.sqrt(xp.sum(y * y, axis=axis, keepdims=True))
    return y / xp.where(size == 0, 1.0, size)


CANCELLED = 0.125
"""How little may be left of a tangent before it is computed in another way."""


def _plain_unit_jvp(xp: Any, x: Any, t: Any, axis: Axis) -> Any:
    """(t - u*sum(u*t)) / norm(x) where that neither cancels nor leaves the range, else None."""
    total, safe = sum_of_squares(xp, x, axis)
    if not safe or (2 * np.max(x * x, axis=axis, keepdims=True) > total).any():
        return None  # where one entry dominates, its tangent cancels
    along = np.sum(x * t, axis=axis, keepdims=True) / total
    left = t - x * along
    top, most = (np.max(np.abs(a), axis=axis) for a in (left, t))
    if not np.isfinite(most).all() or not (top >= CANCELLED * most).all():
        return None
    return left / np.sqrt(total)


def _unit_jvp_kernel(xp: Any, x: Any, t: Any, *, axis: Axis) -> Any:
    axes = every(axis, x.ndim)
    if x.size == 0:
        return x
    x, t = widened(xp, x), widened(xp, t)
    if not is_symbolic(xp):
        out = _plain_unit_jvp(xp, x, t, axis)
        if out is not None:
            return out
    y, ey = scaled(xp, as_rows(xp, x, axes), (-1,))
    t, et = scaled(xp, as_rows(xp, t, axes), (-1,))
    place = xp.expand_dims(xp.argmax(xp.abs(y), axis=-1), -1)
    top = xp.take_along_axis(y, place, axis=-1)
    t_top = xp.take_along_axis(t, place, axis=-1)
    is_top = xp.arange(y.shape[-1]) == place
    # (t[i] x[p] - x[i] t[p]) / x[p]: a determinant, whose products must not round
    a, a_error = two_prod(t, top)
    b, b_error = two_prod(y, t_top)
    left = ((a - b) + (a_error - b_error)) / xp.where(top == 0, 1.0, top)
    left = xp.where(is_top, 0.0, left)
    square = xp.sum(y * y, axis=-1, keepdims=True)
    along = xp.sum(y * left, axis=-1, keepdims=True)
    none = square == 0
    square = xp.where(none, 1.0, square)
    out = xp.ldexp((left - y * (along / square)) / xp.sqrt(square), et - ey)
    return from_rows(xp, xp.where(none, 0.0, out), x.shape, axes)


# -- derivatives --------------------------------------------------------------------------


def _norm_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis, keepdims: bool
) -> Term:
    along = unit_vector(args[0], axis=axis) * tangents[0]
    return OPS["sum"](along, axis=axis, keepdims=keepdims)


def _norm_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    (x,) = args
    return (spread(g, x.shape, axis) * unit_vector(x, axis=axis),)


def _dot(a: Term, b: Term, axis: Axis) -> Term:
    return OPS["sum"](a * b, axis=axis, keepdims=True)


def _unit_second(x: Term, t: Term, s: Term, axis: Axis) -> Term:
    """The second derivative of the unit vector: symmetric in t, s and the result."""
    u = unit_vector(x, axis=axis)
    qt, qs = unit_vector_jvp(x, t, axis=axis), unit_vector_jvp(x, s, axis=axis)
    total = qs * _dot(u, t, axis) + qt * _dot(u, s, axis) + u * _dot(s, qt, axis)
    size = norm(x, axis=axis, keepdims=True)
    return -total * OPS["indicator"](OPS["greater"](size, 0.0)) / size


def _unit_jvp_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis) -> Term:
    x, t = args
    tx, tt = tangents
    parts = [] if tx is None else [_unit_second(x, t, tx, axis)]
    return sum_of(parts if tt is None else [*parts, unit_vector_jvp(x, tt, axis=axis)])


def _unit_jvp_vjp(out: Term, args: Terms, g: Term, *, axis: Axis) -> Terms:
    x, t = args
    return _unit_second(x, t, g, axis), unit_vector_jvp(x, g, axis=axis)


# -- records ------------------------------------------------------------------------------


def _size_facts(term: Term) -> Facts:
    (x,) = term.args
    n = count(x.shape, term.params[0])
    lowest = max(x.facts.lo, -x.facts.hi, 0.0) if n else 0.0
    return Facts(lowest, lo_open=x.facts.nonzero and n > 0, defined=x.facts.defined)


_REDUCES: dict[str, Any] = {**REDUCES, "source": SOURCE}

norm = structured(
    "norm",
    normalise=normal_reduction("norm"),
    infer=reduce_infer(real_dtype),
    kernel=_norm_kernel,
    spellings=(
        lambda x, *, axis, keepdims: OPS["sqrt"](OPS["sum"](x * x, axis=axis, keepdims=keepdims)),
    ),
    jvp=_norm_jvp,
    vjp=_norm_vjp,
    infer_facts=_size_facts,
    cost=3,
    ulp=None,
    accuracy="(n/2 + 1)*eps relative",
    aten="linalg_vector_norm",
    doc="The Euclidean norm over axes, all by default, for any floats; its derivative at 0 is 0.",
    example=">>> sg.ops.norm(sg.tensor([3e30, 4e30])).numpy()\narray(5.e+30, dtype=float32)",
    **_REDUCES,
)

_KEEPS: dict[str, Any] = {
    "family": "reduction",
    "params": ("axis",),
    "defaults": (None,),
    "infer": real_infer,
    "cost": 3,
    "ulp": None,
    "source": SOURCE,
}

unit_vector = structured(
    "unit_vector",
    normalise=normal_axes_of("unit_vector"),
    kernel=_unit_kernel,
    spellings=(lambda x, *, axis: x / OPS["sqrt"](OPS["sum"](x * x, axis=axis, keepdims=True)),),
    jvp=lambda out, args, tangents, *, axis: unit_vector_jvp(args[0], tangents[0], axis=axis),
    vjp=lambda out, args, g, *, axis: (unit_vector_jvp(args[0], g, axis=axis),),
    infer_facts=lambda term: interval(-1.0, 1.0, closed=True)._replace(
        defined=term.args[0].facts.defined
    ),
    accuracy="(n/2 + 2)*eps relative",
    doc="x / norm(x) over axes, all by default; 0 at 0. The derivative of the norm.",
    example=(">>> sg.ops.unit_vector(sg.tensor([0.0, -1e-30])).numpy()\narray([ 0., -1.], ...)"),
    **_KEEPS,
)


def _unit_jvp_meaning(x: Term, t: Term, *, axis: Axis) -> Term:
    square = OPS["sum"](x * x, axis=axis, keepdims=True)
    return (t - x * (OPS["sum"](x * t, axis=axis, keepdims=True) / square)) / OPS["sqrt"](square)


unit_vector_jvp = structured(
    "unit_vector_jvp",
    normalise=normal_axes_of("unit_vector_jvp"),
    kernel=_unit_jvp_kernel,
    spellings=(_unit_jvp_meaning,),
    jvp=_unit_jvp_jvp,
    vjp=_unit_jvp_vjp,
    accuracy="n*eps relative to the sum of absolute terms, t taken modulo x",
    doc="(t - u*sum(u*t)) / norm(x) with u = x/norm(x): the derivative of the unit vector.",
    example=(
        ">>> x, t = sg.tensor([1e8, 1.0]), sg.tensor([1.0, 0.0])\n"
        ">>> sg.ops.unit_vector_jvp(x, t).numpy()\n"
        "array([ 1.e-24, -1.e-16], dtype=float32)"
    ),
    **_KEEPS,
)
