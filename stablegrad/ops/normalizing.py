"""x less its mean, over its root mean square: what normalisation layers have in common.

With c = x - mean(x) and n elements, c / sqrt(mean(c*c) + eps) is sqrt(n) times a part of the
unit vector of (c, sqrt(n*eps)). So its derivatives are those of the unit vector: nothing
overflows or cancels, whatever the size of x, its mean and eps, also for a variance of 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, message
from stablegrad.ir import OPS, Term
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.moments import centred
from stablegrad.ops.norms import CANCELLED, scaled, sum_of_squares
from stablegrad.ops.record import interval
from stablegrad.ops.reduction import (
    Axis,
    as_rows,
    count,
    every,
    from_rows,
    normal_axes_of,
    widened,
)
from stablegrad.ops.structured import Normal, Params, Terms, is_symbolic, structured, sum_of

_axes = normal_axes_of("standardize")


def _normal(terms: Terms, params: Params) -> Normal:
    axis, eps, centered = params
    if not (isinstance(eps, int | float) and 0 <= eps < math.inf):
        raise DomainError(message(f"eps={eps!r} of standardize", "a number of 0 or more"))
    normal = _axes(terms, (axis,))
    assert isinstance(normal, tuple)
    return normal[0], (*normal[1], float(eps), bool(centered))


def _kernel(xp: Any, x: Any, *, axis: Axis, eps: float, centered: bool) -> Any:
    n = count(x.shape, axis)
    if x.size == 0:
        return x
    wide = widened(xp, x)
    c = centred(xp, wide, axis) if centered else wide
    total, safe = sum_of_squares(xp, c, axis)
    if safe:
        return c / xp.sqrt(total / n + eps)
    _, exponent = scaled(xp, c, axis)
    if eps:  # so that neither of the two overflows; the lesser may vanish beside the other
        exponent = xp.maximum(exponent, math.frexp(math.sqrt(eps))[1])
    y = xp.ldexp(c, -exponent)
    half = xp.ldexp(xp.full(exponent.shape, math.sqrt(eps)), -exponent)
    size = xp.sqrt(xp.sum(y * y, axis=axis, keepdims=True) / n + half * half)
    return y / xp.where(size == 0, 1.0, size)


# -- derivatives --------------------------------------------------------------------------


def _jvp_kernel(xp: Any, x: Any, t: Any, *, axis: Axis, eps: float, centered: bool) -> Any:
    """(t - y*mean(y*t)) / r with t centred; as a unit vector where that loses digits."""
    n = count(x.shape, axis)
    if x.size == 0:
        return x
    x, t = widened(xp, x), widened(xp, t)
    if not is_symbolic(xp):
        c, t = (centred(xp, a, axis) if centered else a for a in (x, t))
        total, safe = sum_of_squares(xp, c, axis)
        if safe and not (2 * np.max(c * c, axis=axis, keepdims=True) > total).any():
            size = np.sqrt(total / n + eps)
            y = c / size
            left = t - y * (np.sum(y * t, axis=axis, keepdims=True) / n)
            top, most = (np.max(np.abs(a), axis=axis) for a in (left, t))
            if np.isfinite(most).all() and (top >= CANCELLED * most).all():
                return left / size
    apart = _apart if centered else _alone
    return _beside_greatest(xp, apart, x, t, axis, eps)


def _beside_greatest(xp: Any, apart: Any, x: Any, t: Any, axis: Axis, eps: float) -> Any:
    """sqrt(n) times a part of the derivative of the unit vector of (c, sqrt(n*eps)).

    Where one entry p is far from the others they hold what is left of a derivative. So c is held
    as their deviations e from their own mean and as d, how far x[p] is from it: c = e + d*w with
    w[p] = (n-1)/n and -1/n beside, which is orthogonal to e. A multiple of (e, d, sqrt(n*eps)) is
    taken from the tangent that makes it 0 at d, and nothing cancels.
    """
    n = count(x.shape, axis)
    axes = every(axis, x.ndim)
    (y, ey), (t, et) = (scaled(xp, as_rows(xp, a, axes), (-1,)) for a in (x, t))
    e, d, f, g, w, size = apart(xp, y, t)
    # e and d are at most 1, the other leg may be far beyond, or less than can be held
    more = xp.maximum(math.frexp(math.sqrt(n * eps))[1] - ey, 0) if eps else 0 * ey
    e, d = xp.ldexp(e, -more), xp.ldexp(d, -more)
    least = xp.ldexp(xp.full(ey.shape, math.sqrt(n * eps)), -ey - more)
    leads = xp.abs(d) * size >= least
    over = xp.where(leads & (d != 0), g / xp.where(d == 0, 1.0, d), 0.0)
    left, end = f - e * over, -least * over
    rest = xp.where(leads & (d != 0), 0.0, g)
    square = xp.sum(e * e, axis=-1, keepdims=True) + (d * size) ** 2 + least * least
    none = square == 0
    square = xp.where(none, 1.0, square)
    along = xp.sum(e * left, axis=-1, keepdims=True) + d * rest * size * size + least * end
    along = along / square
    out = (left - e * along) + (rest - d * along) * w
    out = xp.ldexp(out * (math.sqrt(n) / xp.sqrt(square)), et - ey - more)
    return from_rows(xp, xp.where(none, 0.0, out), x.shape, axes)


def _apart(xp: Any, x: Any, t: Any) -> tuple[Any, ...]:
    """Of x and t, the deviations of all but the farthest and how far it is; w and its size."""
    n = x.shape[-1]
    off = xp.abs(centred(xp, x, (-1,)))
    is_top = xp.arange(n) == xp.expand_dims(xp.argmax(off, axis=-1), -1)
    found: list[Any] = []
    for a in (x, t):
        top = xp.sum(xp.where(is_top, a, 0.0), axis=-1, keepdims=True)
        mean = xp.sum(xp.where(is_top, 0.0, a), axis=-1, keepdims=True) / max(n - 1, 1)
        rest = xp.where(is_top, 0.0, a - mean)
        mean_left = xp.sum(rest, axis=-1, keepdims=True) / max(n - 1, 1)
        found += [xp.where(is_top, 0.0, rest - mean_left), (top - mean) - mean_left]
    w = xp.where(is_top, 1 - 1 / n, -1 / n)
    return *found, w, math.sqrt(1 - 1 / n)


def _alone(xp: Any, x: Any, t: Any) -> tuple[Any, ...]:
    """The same of rows that are not centred: the greatest is the one apart."""
    is_top = xp.arange(x.shape[-1]) == xp.expand_dims(xp.argmax(xp.abs(x), axis=-1), -1)
    found: list[Any] = []
    for a in (x, t):
        top = xp.sum(xp.where(is_top, a, 0.0), axis=-1, keepdims=True)
        found += [xp.where(is_top, 0.0, a), top]
    return *found, xp.where(is_top, 1.0, 0.0), 1.0


def _inverse_size(x: Term, axis: Axis, eps: float, centered: bool) -> Term:
    """1/r with r the root of the mean square and eps; 0 where that is 0."""
    c = OPS["center"](x, axis=axis) if centered else x
    size = OPS["norm"](c, axis=axis, keepdims=True) / math.sqrt(count(x.shape, axis))
    if eps:
        size = OPS["hypot"](size, math.sqrt(eps))
    return OPS["indicator"](OPS["greater"](size, 0.0)) / size


def _mean(a: Term, b: Term, axis: Axis) -> Term:
    return OPS["mean"](a * b, axis=axis, keepdims=True)


def _second(x: Term, t: Term, s: Term, **params: Any) -> Term:
    """The second derivative: symmetric in t, s and the result."""
    axis = params["axis"]
    y = standardize(x, **params)
    jt, js = standardize_jvp(x, t, **params), standardize_jvp(x, s, **params)
    total = js * _mean(y, t, axis) + jt * _mean(y, s, axis) + y * _mean(s, jt, axis)
    return -total * _inverse_size(x, **params)


def _jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term:
    return standardize_jvp(args[0], tangents[0], **params)


def _jvp_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term:
    x, t = args
    tx, tt = tangents
    parts = [] if tx is None else [_second(x, t, tx, **params)]
    return sum_of(parts if tt is None else [*parts, standardize_jvp(x, tt, **params)])


def _jvp_vjp(out: Term, args: Terms, g: Term, **params: Any) -> Terms:
    x, t = args
    return _second(x, t, g, **params), standardize_jvp(x, g, **params)


def _meaning(x: Term, *, axis: Axis, eps: float, centered: bool) -> Term:
    c = x - OPS["mean"](x, axis=axis, keepdims=True) if centered else x
    return c / OPS["sqrt"](OPS["mean"](c * c, axis=axis, keepdims=True) + eps)


def _facts(term: Term) -> Any:
    n = count(term.shape, term.params[0])
    bound = math.nextafter(math.sqrt(n), math.inf)
    facts = interval(-bound, bound, closed=True)
    return facts._replace(defined=term.args[0].facts.defined)


_FIELDS: dict[str, Any] = {
    "family": "reduction",
    "params": ("axis", "eps", "centered"),
    "defaults": (-1, 0.0, True),
    "normalise": _normal,
    "infer": lambda args, params: (args[0].shape, real_dtype(args[0].dtype)),
    "cost": 5,
    "ulp": None,
    "source": "Ba, Kiros and Hinton 2016, as a part of a unit vector",
}

standardize = structured(
    "standardize",
    kernel=_kernel,
    spellings=(_meaning,),
    jvp=_jvp,
    vjp=lambda out, args, g, **params: (standardize_jvp(args[0], g, **params),),
    infer_facts=_facts,
    accuracy="n*eps relative to the greatest deviation",
    doc="(x - mean(x)) / sqrt(mean of squares + eps) over axes; not centred, x over its own root.",
    example=(
        ">>> x = sg.tensor([1e30, 1e30, 4e30])\n"
        ">>> sg.ops.standardize(x).numpy()\n"
        "array([-0.70710677, -0.70710677,  1.4142135 ], dtype=float32)"
    ),
    **_FIELDS,
)


def _jvp_meaning(x: Term, t: Term, *, axis: Axis, eps: float, centered: bool) -> Term:
    c, t = (a - OPS["mean"](a, axis=axis, keepdims=True) if centered else a for a in (x, t))
    square = OPS["mean"](c * c, axis=axis, keepdims=True) + eps
    return (t - c * (OPS["mean"](c * t, axis=axis, keepdims=True) / square)) / OPS["sqrt"](square)


standardize_jvp = structured(
    "standardize_jvp",
    kernel=_jvp_kernel,
    spellings=(_jvp_meaning,),
    jvp=_jvp_jvp,
    vjp=_jvp_vjp,
    accuracy="n*eps relative to the sum of absolute terms, t taken modulo x",
    doc="The derivative of standardize along t, which is its own transpose.",
    example=(
        ">>> x, t = sg.tensor([-1.0, 1.0]), sg.tensor([1.0, 1.0])\n"
        ">>> sg.ops.standardize_jvp(x, t, eps=1.0).numpy()\n"
        "array([0., 0.], dtype=float32)"
    ),
    **_FIELDS,
)
