"""Angles of points, and the parts of (x + i y)**-n, a family that their derivatives need."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import localcontext
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import meanings, pairs
from stablegrad.ops.arithmetic import masked
from stablegrad.ops.record import NEGATIVE, POSITIVE, REAL, elementwise, interval


@cache
def _directions(n: int, sine: bool) -> tuple[tuple[tuple[float, float], tuple[float, float]], ...]:
    """Pairs (a, b) such that Re or Im of (x + i y)**n is the product of all a x + b y.

    Each factor vanishes on one ray on which the part does; a common factor 2 sits in all
    but one of them, so that no product is out of scale.
    """
    out = []
    for k in range(n):
        quarter = (2 * k, 2 * n) if sine else (2 * k + 1, 2 * n)  # angle of the ray over pi
        s, c = _exact_sin_cos_pi(*quarter)
        scale = 2 if k else 1
        # sin(n t) = 2**(n-1) prod sin(t + k pi/n); cos(n t) the same with k + 1/2
        out.append((pairs.split(scale * s), pairs.split(scale * c)))
    return tuple(out)


def _exact_sin_cos_pi(p: int, q: int) -> tuple[Fraction, Fraction]:
    """Return sin and cos of pi p / q to 60 digits, by their series; exact zeros are exact."""
    with localcontext() as context:
        context.prec = 70
        angle = pairs.pi(70) * p / q
        total = [angle * 0, angle * 0]
        term, k = angle * 0 + 1, 0
        while abs(term) > context.create_decimal("1e-65"):
            total[k % 2] += term if k % 4 < 2 else -term
            k += 1
            term = term * angle / k
        s, c = total[1], total[0]
    return Fraction(0 if p % q == 0 else s), Fraction(0 if 2 * p % (2 * q) == q else c)


def _inverse_power(xp: Any, x: Any, y: Any, n: int, sine: bool) -> Any:
    """cos(n t) / h**n or sin(n t) / h**n for the point x + i y = h exp(i t)."""
    x, y = xp.asarray(x, dtype=float), xp.asarray(y, dtype=float)
    # one power of two brings the larger coordinate to [1/2, 1), so that nothing overflows
    _, shift = xp.frexp(xp.maximum(xp.abs(x), xp.abs(y)))
    u, v = xp.ldexp(x, -shift), xp.ldexp(y, -shift)
    if n == 1:
        top, lift = _lifted(xp, v if sine else u)
        out = top / (u * u + v * v)
    else:
        out, lift = _inverse_power_pairs(xp, u, v, n, sine)
    out = xp.ldexp(out, -n * shift - lift)
    far = xp.isinf(x) | xp.isinf(y)
    return xp.where(far & ~(xp.isnan(x) | xp.isnan(y)), 0.0, out)


def _lifted(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return x times a power of two that keeps it away from the subnormals, and that power."""
    lift = xp.where(xp.abs(x) < 2.0**-300, 600, 0)
    return xp.ldexp(x, lift), lift


def _inverse_power_pairs(xp: Any, u: Any, v: Any, n: int, sine: bool) -> tuple[Any, Any]:
    """The same for a point of modulus near 1: each linear factor over h**2, in pairs."""
    zero = 0.0 * u
    square = pairs.add(pairs.two_prod(u, u), pairs.two_prod(v, v))
    (u_up, u_lift), (v_up, v_lift) = _lifted(xp, u), _lifted(xp, v)
    out, lift = None, 0
    for a, b in _directions(n, sine):
        if a[0] == 0:
            factor, lift = pairs.multiply((v_up, zero), (b[0] + zero, b[1])), lift + v_lift
        elif b[0] == 0:
            factor, lift = pairs.multiply((u_up, zero), (a[0] + zero, a[1])), lift + u_lift
        else:
            across = pairs.multiply((u, zero), (a[0] + zero, a[1]))
            along = pairs.multiply((v, zero), (b[0] + zero, b[1]))
            factor = pairs.add(across, along)
        factor = pairs.divide(factor, square)
        out = factor if out is None else pairs.multiply(out, factor)
    assert out is not None
    return out[0] + out[1], lift


def _sign_of(which: int) -> Callable[[Term], Facts]:
    """For n = 1 the sign is that of one coordinate; defined where the point is not 0."""

    def facts(term: Term) -> Facts:
        x, y = (a.facts for a in term.args)
        defined = x.defined and y.defined and (x.nonzero or y.nonzero)
        sign = (x, y)[which]
        if term.param("n") != 1:
            return REAL._replace(defined=defined)
        if sign.positive:
            return POSITIVE._replace(defined=defined)
        if sign.negative:
            return NEGATIVE._replace(defined=defined)
        return REAL._replace(defined=defined)

    return facts


inverse_power_cos = elementwise(
    "inverse_power_cos",
    family="trigonometric",
    params=("n",),
    defaults=(1,),
    kernel=lambda xp, x, y, *, n: _inverse_power(xp, x, y, n, sine=False),
    ball=lambda x, y, *, n: meanings.inverse_power(x, y, n, sine=False),
    partials=lambda out, x, y: (
        -out.param("n") * OPS["inverse_power_cos"](x, y, n=out.param("n") + 1),
        -out.param("n") * OPS["inverse_power_sin"](x, y, n=out.param("n") + 1),
    ),
    domain=(REAL, REAL),
    infer_facts=_sign_of(0),
    cost=6,
    source="the n rays on which cos(n t) vanishes, as linear factors",
    doc="The real part of (x + i y)**-n; for n = 1 it is x / (x**2 + y**2).",
    example=">>> sg.ops.inverse_power_cos(sg.tensor([2.0]), sg.tensor([0.0])).numpy()\n"
    "array([0.5], dtype=float32)",
)

inverse_power_sin = elementwise(
    "inverse_power_sin",
    family="trigonometric",
    params=("n",),
    defaults=(1,),
    kernel=lambda xp, x, y, *, n: _inverse_power(xp, x, y, n, sine=True),
    ball=lambda x, y, *, n: meanings.inverse_power(x, y, n, sine=True),
    partials=lambda out, x, y: (
        -out.param("n") * OPS["inverse_power_sin"](x, y, n=out.param("n") + 1),
        out.param("n") * OPS["inverse_power_cos"](x, y, n=out.param("n") + 1),
    ),
    domain=(REAL, REAL),
    infer_facts=_sign_of(1),
    cost=6,
    source="the n rays on which sin(n t) vanishes, as linear factors",
    doc="Minus the imaginary part of (x + i y)**-n; for n = 1 it is y / (x**2 + y**2).",
    example=">>> sg.ops.inverse_power_sin(sg.tensor([0.0]), sg.tensor([2.0])).numpy()\n"
    "array([0.5], dtype=float32)",
)


_UP = 511
"""Where the larger coordinate goes: products stay in range, smaller ones are not lost below it."""


def _turn(xp: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """The angle of two products, in pairs."""
    a, b, c, d = pairs.arrays(xp, a, b, c, d)
    _, first = xp.frexp(xp.maximum(xp.abs(a), xp.abs(b)))
    _, second = xp.frexp(xp.maximum(xp.abs(c), xp.abs(d)))
    p, q = xp.ldexp(a, _UP - first), xp.ldexp(b, _UP - first)
    u, v = xp.ldexp(c, _UP - second), xp.ldexp(d, _UP - second)
    across = pairs.add(pairs.two_prod(p, v), pairs.negative(pairs.two_prod(q, u)))
    along = pairs.add(pairs.two_prod(p, u), pairs.two_prod(q, v))
    y, x = across[0] + across[1], along[0] + along[1]
    # zeros have the signs of plain products, and what is infinite has no pairs
    y = xp.where(y * x != 0, y, p * v - q * u)
    x = xp.where(y * x != 0, x, p * u + q * v)
    finite = xp.isfinite(a) & xp.isfinite(b) & xp.isfinite(c) & xp.isfinite(d)
    return xp.where(finite, xp.arctan2(y, x), xp.arctan2(a * d - b * c, a * c + b * d))


def _turn_partials(out: Term, a: Term, b: Term, c: Term, d: Term) -> tuple[Term, ...]:
    """Those of both angles; 0 where the other point is 0 and there is no angle to turn by."""
    sine, cosine = OPS["inverse_power_sin"], OPS["inverse_power_cos"]
    at_first, at_second = _is_point(a, b), _is_point(c, d)
    return (
        masked(at_second, sine(a, b, n=1)),
        masked(at_second, -cosine(a, b, n=1)),
        masked(at_first, -sine(c, d, n=1)),
        masked(at_first, cosine(c, d, n=1)),
    )


def _is_point(x: Term, y: Term) -> Term:
    """Whether there is a direction."""
    return OPS["logical_or"](OPS["not_equal"](x, 0.0), OPS["not_equal"](y, 0.0))


turn = elementwise(
    "turn",
    family="trigonometric",
    kernel=_turn,
    ball=lambda a, b, c, d: (a * d - b * c).arctan2(a * c + b * d),
    spellings=(lambda a, b, c, d: OPS["arctan2"](a * d - b * c, a * c + b * d),),
    partials=_turn_partials,
    domain=(REAL, REAL, REAL, REAL),
    range=interval(-math.nextafter(math.pi, 4.0), math.nextafter(math.pi, 4.0)),
    cost=7,
    source="Dekker 1971: both products in pairs, after scaling by powers of two",
    doc="The angle from the point (a, b) to the point (c, d), in [-pi, pi]: that of the products "
    "a*d - b*c and a*c + b*d, which cancel and leave the range.",
    example=">>> sg.ops.turn(sg.tensor([1.0]), 0.0, 0.0, 2.0).numpy()\n"
    "array([1.5707964], dtype=float32)",
)
