"""Robust losses: quadratic near 0, linear far out."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import hypot_kernels, pairs
from stablegrad.ops.arithmetic import masked
from stablegrad.ops.powers import hypot_unit
from stablegrad.ops.record import NONNEGATIVE, REAL, elementwise


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
    size = OPS["abs"](r)
    inside = OPS["less_equal"](size, delta)
    far = OPS["logical_not"](inside)  # also beside nan
    by_delta, by_r = masked(far, size - delta), masked(inside, r)
    by_r = by_r + masked(far, delta * OPS["sign"](r))
    inside = OPS["greater_equal"](delta, 0.0)
    return OPS["require"](by_delta, inside), OPS["require"](by_r, inside)


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
    if delta == math.inf:
        return r * r / 2
    return delta * ((delta * delta + r * r).sqrt() - delta)


def _pseudo_huber_partials(out: Term, delta: Term, r: Term) -> tuple[Term, Term]:
    inside = OPS["greater_equal"](delta, 0.0)
    by_delta, by_r = (pseudo_huber_derivative(delta, r, n=n, m=1 - n) for n in (1, 0))
    return OPS["require"](by_delta, inside), OPS["require"](by_r, inside)


pseudo_huber = elementwise(
    "pseudo_huber",
    family="arithmetic",
    kernel=_pseudo_huber,
    ball=_pseudo_huber_ball,
    partials=_pseudo_huber_partials,
    domain=(NONNEGATIVE, REAL),
    range=NONNEGATIVE,
    cost=4,
    ulp=(4, 6, 6),
    accuracy="6 ulp at orders 1 and 2: products of several inexact factors",
    source="SciPy's pseudo_huber; delta r*r / (delta + hypot(delta, r))",
    doc="delta**2 * (sqrt(1 + (r/delta)**2) - 1); arguments delta and r.",
    example=">>> sg.ops.pseudo_huber(sg.tensor([4.0]), 3.0).numpy()\narray([4.], dtype=float32)",
)


# -- its derivatives ----------------------------------------------------------------------


def _slope(xp: Any, delta: Any, r: Any) -> Any:
    """The derivative by r, delta r / h."""
    near = r * hypot_unit.kernel(xp, delta, r)
    return xp.where(xp.abs(r) < xp.abs(delta), near, delta * hypot_unit.kernel(xp, r, delta))


def _rate(xp: Any, delta: Any, r: Any) -> Any:
    """The derivative by delta, (h - delta)**2 / h = (r / (h + delta))**2 r*r/h.

    Each product is less than the one before, so that none underflows early.
    """
    u, v, h, h_lo = _scaled_hypot(xp, delta, r)
    safe = xp.where(h == 0, 1.0, h)
    w, w_lo = pairs.two_sum(safe, u)
    share = v / w
    share = share - share * ((w_lo + h_lo) / w)
    return xp.abs(r) * (xp.abs(v) / safe) * (share * share)


def _bend(xp: Any, delta: Any, r: Any) -> Any:
    """The second derivative by delta, -(1 - c)**2 (2 + c) with c = delta/h.

    There 1 - c = r*r / (h (h + delta)), and 2 + c is 3 - (1 - c).
    """
    u, v, h, h_lo = _scaled_hypot(xp, delta, r)
    zero = 0.0 * v
    root = (xp.where(h == 0, 1.0, h), h_lo)
    whole = pairs.multiply(root, pairs.add(root, (u, zero)))
    rest = pairs.divide(pairs.two_prod(v, v), whole)
    total = pairs.add((3.0 + zero, zero), pairs.negative(rest))
    value = pairs.multiply(pairs.multiply(rest, rest), total)
    return -(value[0] + value[1])


@cache
def _numerator(n: int, m: int) -> hypot_kernels.Polynomial:
    """Of a derivative of delta*h over h**(2(n + m) - 1)."""
    out = {(i + 1, j): c for (i, j), c in hypot_kernels.numerator(n, m).items()}
    for (i, j), c in hypot_kernels.numerator(n - 1, m).items() if n and n + m > 1 else ():
        for term in ((i + 2, j), (i, j + 2)):
            out[term] = out.get(term, 0) + n * c
    return {term: c for term, c in out.items() if c}


def _pseudo_huber_derivative(xp: Any, delta: Any, r: Any, *, n: int, m: int) -> Any:
    own = {(1, 0): _rate, (0, 1): _slope, (2, 0): _bend}.get((n, m))
    if own is not None:
        return own(xp, delta, r)
    return hypot_kernels.quotient(xp, delta, r, _numerator(n, m), 2 * (n + m) - 1)


def _pseudo_huber_derivative_ball(delta: Any, r: Any, *, n: int, m: int) -> Any:
    if delta == 0 and r == 0:
        return delta * 0
    h = (delta * delta + r * r).sqrt()
    if (n, m) == (1, 0):
        return (h - delta) ** 2 / h
    if (n, m) == (2, 0):
        return -((1 - delta / h) ** 2) * (2 + delta / h)
    return hypot_kernels.quotient_ball(delta, r, _numerator(n, m), 2 * (n + m) - 1)


pseudo_huber_derivative = elementwise(
    "pseudo_huber_derivative",
    family="arithmetic",
    params=("n", "m"),
    kernel=_pseudo_huber_derivative,
    ball=_pseudo_huber_derivative_ball,
    partials=lambda out, delta, r: (
        pseudo_huber_derivative(delta, r, n=out.params[0] + 1, m=out.params[1]),
        pseudo_huber_derivative(delta, r, n=out.params[0], m=out.params[1] + 1),
    ),
    domain=(NONNEGATIVE, REAL),
    cost=6,
    source="a polynomial over an odd power of h = hypot(delta, r), in pairs; 0 at the origin",
    doc="The mixed derivative of pseudo_huber(delta, r), n times by delta and m times by r.",
    example=">>> sg.ops.pseudo_huber_derivative(sg.tensor([4.0]), 3.0, n=0, m=1).numpy()\n"
    "array([2.4], dtype=float32)",
)
