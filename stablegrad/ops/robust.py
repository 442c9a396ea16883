"""Robust losses: quadratic near 0, linear far out."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import pairs
from stablegrad.ops.arithmetic import masked
from stablegrad.ops.powers import hypot, hypot_unit
from stablegrad.ops.record import NONNEGATIVE, REAL, elementwise, interval


def _op(name: str, *args: Any, **params: Any) -> Term:
    """A term of an op that may be declared after this module."""
    return OPS[name](*args, **params)


def _huber(xp: Any, delta: Any, r: Any) -> Any:
    size = xp.abs(r)
    value = xp.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))
    return xp.where(delta < 0, xp.inf, value)


def _huber_ball(delta: Any, r: Any) -> Any:
    if delta < 0:
        return r * 0 + math.inf
    size = -r if r < 0 else r
    return r * r / 2 if size <= delta else delta * (size - delta / 2)


def _huber_partials(out: Term, delta: Term, r: Term) -> tuple[Term, Term]:
    size = _op("abs", r)
    inside = _op("less_equal", size, delta)
    far = _op("logical_and", _op("greater", size, delta), _op("greater_equal", delta, 0.0))
    return masked(far, size - delta), masked(inside, r) + masked(far, delta * _op("sign", r))


huber = elementwise(
    "huber",
    family="arithmetic",
    kernel=_huber,
    ball=_huber_ball,
    partials=_huber_partials,
    domain=(NONNEGATIVE, REAL),
    range=NONNEGATIVE,
    cost=3,
    source="SciPy's huber; Huber 1964",
    doc="r*r/2 where |r| <= delta, delta*(|r| - delta/2) beyond; arguments delta and r.",
    example=">>> sg.ops.huber(sg.tensor([1.0]), 3.0).numpy()\narray([2.5], dtype=float32)",
)


def _unit_meaning(x: Any, y: Any) -> Any:
    """The number x / hypot(x, y), 0 at the origin."""
    return x * 0 if x == 0 and y == 0 else x / (x * x + y * y).sqrt()


def _scaled_hypot(xp: Any, x: Any, y: Any) -> tuple[Any, Any, Any, Any]:
    """The numbers x and y times a power of two, and their hypotenuse as a pair."""
    x, y = xp.broadcast_arrays(xp.asarray(x, dtype=float), xp.asarray(y, dtype=float))
    _, shift = xp.frexp(xp.maximum(xp.abs(x), xp.abs(y)))
    u, v = xp.ldexp(x, -shift), xp.ldexp(y, -shift)
    h = xp.hypot(u, v)
    parts = [pairs.two_prod(a, a) for a in (u, v, h)]
    rest = ((parts[0][0] - parts[2][0]) + parts[1][0]) + ((parts[0][1] - parts[2][1]) + parts[1][1])
    safe = xp.where(h == 0, 1.0, h)
    return u, v, h, rest / (2.0 * safe)


def _pseudo_huber(xp: Any, delta: Any, r: Any) -> Any:
    u, v, h, _ = _scaled_hypot(xp, delta, r)
    whole = xp.where(h == 0, 1.0, h) + u
    size = xp.abs(r)
    near = size * (size * (u / whole))
    far = delta * (xp.abs(v) / whole) * size
    value = xp.where(size < delta, near, far)
    value = xp.where(xp.isinf(delta) & xp.isfinite(r), 0.5 * r * r, value)
    value = xp.where(xp.isinf(r) & (delta > 0) & xp.isfinite(delta), xp.inf, value)
    return xp.where(delta < 0, xp.inf, value)


def _pseudo_huber_ball(delta: Any, r: Any) -> Any:
    if delta < 0:
        return r * 0 + math.inf
    if delta == 0 and r == 0:
        return r * 0
    return delta * ((delta * delta + r * r).sqrt() - delta)


def _pseudo_huber_partials(out: Term, delta: Term, r: Term) -> tuple[Term, Term]:
    inside = _op("greater_equal", delta, 0.0)
    slopes = pseudo_huber_rate(delta, r), pseudo_huber_slope(delta, r)
    return masked(inside, slopes[0]), masked(inside, slopes[1])


pseudo_huber = elementwise(
    "pseudo_huber",
    family="arithmetic",
    kernel=_pseudo_huber,
    ball=_pseudo_huber_ball,
    partials=_pseudo_huber_partials,
    domain=(NONNEGATIVE, REAL),
    range=NONNEGATIVE,
    cost=4,
    ulp=(4, 4, 6),
    accuracy="6 ulp in the second derivative by delta",
    source="SciPy's pseudo_huber; delta r*r / (delta + hypot(delta, r))",
    doc="delta**2 * (sqrt(1 + (r/delta)**2) - 1); arguments delta and r.",
    example=">>> sg.ops.pseudo_huber(sg.tensor([4.0]), 3.0).numpy()\narray([4.], dtype=float32)",
)


def _pseudo_huber_slope(xp: Any, delta: Any, r: Any) -> Any:
    near = r * hypot_unit.kernel(xp, delta, r)
    return xp.where(xp.abs(r) < xp.abs(delta), near, delta * hypot_unit.kernel(xp, r, delta))


pseudo_huber_slope = elementwise(
    "pseudo_huber_slope",
    family="arithmetic",
    kernel=_pseudo_huber_slope,
    ball=lambda delta, r: r * _unit_meaning(delta, r),
    partials=lambda out, delta, r: (hypot_unit_cube(r, delta), hypot_unit_cube(delta, r)),
    domain=(NONNEGATIVE, REAL),
    cost=4,
    ulp=(4, 4, 8),
    accuracy="8 ulp at order 2: products of inexact factors",
    source="definition",
    doc="delta * r / hypot(delta, r): the derivative of pseudo_huber by r.",
    example=">>> sg.ops.pseudo_huber_slope(sg.tensor([4.0]), 3.0).numpy()\n"
    "array([2.4], dtype=float32)",
)


def _hypot_unit_cube(xp: Any, x: Any, y: Any) -> Any:
    u, _, h, h_lo = _scaled_hypot(xp, x, y)
    safe = xp.where(h == 0, 1.0, h)
    cube = pairs.power(pairs.divide((u, 0.0 * u), (safe, h_lo)), 3)
    return cube[0] + cube[1]


def _hypot_unit_cube_partials(out: Term, x: Term, y: Term) -> tuple[Term, Term]:
    square = 3 * hypot_unit(x, y) ** 2
    h = hypot(x, y)
    nonzero = _op("greater", h, 0.0)
    by_x, by_y = square * y * y / h / h / h, -square * x * y / h / h / h
    return masked(nonzero, by_x), masked(nonzero, by_y)


hypot_unit_cube = elementwise(
    "hypot_unit_cube",
    family="arithmetic",
    kernel=_hypot_unit_cube,
    ball=lambda x, y: _unit_meaning(x, y) ** 3,
    partials=_hypot_unit_cube_partials,
    domain=(REAL, REAL),  # the origin is 0 by convention
    range=interval(-1.0, 1.0, closed=True),
    cost=5,
    ulp=(4, math.inf, math.inf),
    accuracy="6 and 8 ulp at orders 1 and 2: products of inexact factors",
    source="definition, with the rounding error of the hypotenuse put back",
    doc="(x / hypot(x, y))**3: the second derivative of pseudo_huber by r.",
    example=">>> sg.ops.hypot_unit_cube(sg.tensor([4.0]), 3.0).numpy()\n"
    "array([0.512], dtype=float32)",
)


def _one_minus_unit(xp: Any, x: Any, y: Any) -> Any:
    """The number 1 - x/h = y*y / (h (h + x)), for x >= 0."""
    u, v, h, h_lo = _scaled_hypot(xp, x, y)
    safe = xp.where(h == 0, 1.0, h)
    w, w_lo = pairs.two_sum(safe, u)
    share = v / w * (v / safe)
    return share - share * ((w_lo + h_lo) / w + h_lo / safe)


def _pseudo_huber_rate(xp: Any, delta: Any, r: Any) -> Any:
    """Each product is less than the one before, so that none underflows early."""
    u, v, h, h_lo = _scaled_hypot(xp, delta, r)
    safe = xp.where(h == 0, 1.0, h)
    w, w_lo = pairs.two_sum(safe, u)
    share = v / w
    share = share - share * ((w_lo + h_lo) / w)
    return xp.abs(r) * (xp.abs(v) / safe) * (share * share)


def _pseudo_huber_rate_ball(delta: Any, r: Any) -> Any:
    if delta == 0 and r == 0:
        return delta * 0
    h = (delta * delta + r * r).sqrt()
    return (h - delta) ** 2 / h


pseudo_huber_rate = elementwise(
    "pseudo_huber_rate",
    family="arithmetic",
    kernel=_pseudo_huber_rate,
    ball=_pseudo_huber_rate_ball,
    partials=lambda out, delta, r: (-pseudo_huber_bend(delta, r), hypot_unit_cube(r, delta)),
    domain=(NONNEGATIVE, REAL),
    range=NONNEGATIVE,
    cost=4,
    ulp=(4, 6, 8),
    accuracy="6 and 8 ulp at orders 1 and 2: products of inexact factors",
    source="(h - delta)**2 / h = (r / (h + delta))**2 r*r/h with h = hypot(delta, r)",
    doc="The derivative of pseudo_huber by delta.",
    example=">>> sg.ops.pseudo_huber_rate(sg.tensor([4.0]), 3.0).numpy()\n"
    "array([0.2], dtype=float32)",
)


def _pseudo_huber_bend(xp: Any, delta: Any, r: Any) -> Any:
    rest = _one_minus_unit(xp, delta, r)
    return rest * rest * (3.0 - rest)


def _pseudo_huber_bend_ball(delta: Any, r: Any) -> Any:
    if delta == 0 and r == 0:
        return delta * 0
    c = _unit_meaning(delta, r)
    return (1 - c) ** 2 * (2 + c)


def _pseudo_huber_bend_partials(out: Term, delta: Term, r: Term) -> tuple[Term, Term]:
    # -3 (1 - c**2) times the derivative of c = delta/h
    slope = -3 * hypot_unit(r, delta) ** 2
    h = hypot(delta, r)
    nonzero = _op("greater", h, 0.0)
    by_delta, by_r = slope * r * r / h / h / h, -slope * delta * r / h / h / h
    return masked(nonzero, by_delta), masked(nonzero, by_r)


pseudo_huber_bend = elementwise(
    "pseudo_huber_bend",
    family="arithmetic",
    kernel=_pseudo_huber_bend,
    ball=_pseudo_huber_bend_ball,
    partials=_pseudo_huber_bend_partials,
    domain=(NONNEGATIVE, REAL),
    range=interval(0.0, 4.0, closed=True),
    cost=5,
    ulp=(6, math.inf, math.inf),
    accuracy="6 ulp, 8 at orders 1 and 2: products of inexact factors",
    source="(1 - c)**2 (2 + c) with c = delta/h and 1 - c = r*r / (h (h + delta))",
    doc="Minus the second derivative of pseudo_huber by delta.",
    example=">>> sg.ops.pseudo_huber_bend(sg.tensor([4.0]), 3.0).numpy()\n"
    "array([0.112], dtype=float32)",
)
