"""Differences f(a) - f(b) as ops of both arguments, whose difference keeps its rounding error.

A difference of neighbouring values cancels; written by a - b it is a product. Its derivatives
are those of f, each by its own argument, as the plain difference has them.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops import pair_trig, pairs, root_kernels
from stablegrad.ops.pair_calls import CALLS
from stablegrad.ops.pairs import Pair, two_sum
from stablegrad.ops.record import REAL, elementwise, interval

_HALF_PI = 1.5707963267948966
_TWICE_UNIT = interval(-2.0, 2.0, closed=True)


def sine(xp: Any, angle: Pair) -> Any:
    """The sine of an unevaluated sum of any two floats."""
    hi, lo = angle
    return xp.sin(hi) * xp.cos(lo) + xp.cos(hi) * xp.sin(lo)


def cosine(xp: Any, angle: Pair) -> Any:
    """The cosine of an unevaluated sum of any two floats."""
    hi, lo = angle
    return xp.cos(hi) * xp.cos(lo) - xp.sin(hi) * xp.sin(lo)


_LARGE = 2.0**20
"""Angles from which whole turns are taken off exactly."""


def _in_pairs(xp: Any, value: Any, far: Any, name: str, a: Any, b: Any) -> Any:
    """A gap of sines or cosines, in pairs where the angles are apart and it is small yet."""

    def again(xp: Any, a: Any, b: Any) -> Any:
        function = CALLS[name].value
        hi, lo = pairs.add(function((a, 0.0 * a)), pairs.negative(function((b, 0.0 * b))))
        return hi + lo

    def turned(xp: Any, a: Any, b: Any) -> Any:
        total, gap = _half_sum_and_gap(a, b)
        sine_of_sum, cosine_of_sum = pair_trig.sine_cosine_of_turns(total)
        sine_of_gap, _ = pair_trig.sine_cosine_of_turns(gap)
        hi, lo = pairs.multiply(cosine_of_sum if name == "sin" else sine_of_sum, sine_of_gap)
        return (2.0 if name == "sin" else -2.0) * (hi + lo)

    if xp.name != "numpy":
        return value
    small = xp.abs(value) < 0.5
    large = xp.maximum(xp.abs(a), xp.abs(b)) >= _LARGE
    value = pairs.redo(xp, far & small & ~large, value, again, a, b)
    return pairs.redo(xp, small & large, value, turned, a, b)


def _half_sum_and_gap(a: Any, b: Any) -> tuple[Pair, Pair]:
    """(a + b)/2 and (a - b)/2 in quarter turns; both may be half a turn off."""
    at_a, at_b = pair_trig.quarter_turns(a), pair_trig.quarter_turns(b)
    both = pairs.add(at_a, at_b), pairs.add(at_a, pairs.negative(at_b))
    (s, s_lo), (d, d_lo) = both
    return (0.5 * s, 0.5 * s_lo), (0.5 * d, 0.5 * d_lo)


# -- circular functions -------------------------------------------------------------------


def _cos_gap(xp: Any, a: Any, b: Any) -> Any:
    a, b = pairs.arrays(xp, a, b)
    plain = xp.cos(a) - xp.cos(b)
    near = -2.0 * sine(xp, two_sum(0.5 * a, 0.5 * b)) * sine(xp, two_sum(0.5 * a, -0.5 * b))
    close = xp.minimum(xp.abs(a - b), xp.abs(a + b)) < 1.0
    return _in_pairs(xp, xp.where(close, near, plain), ~close, "cos", a, b)


def _sin_gap(xp: Any, a: Any, b: Any) -> Any:
    a, b = pairs.arrays(xp, a, b)
    plain = xp.sin(a) - xp.sin(b)
    near = 2.0 * cosine(xp, two_sum(0.5 * a, 0.5 * b)) * sine(xp, two_sum(0.5 * a, -0.5 * b))
    close = xp.abs(a - b) < 1.0
    return _in_pairs(xp, xp.where(close, near, plain), ~close, "sin", a, b)


def _arctan_of(xp: Any, a: Any, b: Any) -> Any:
    """arctan2(a - b, 1 + a*b), both divided by the greater of |b| and 1, and that by 4 far out."""
    size = xp.maximum(1.0, xp.abs(b))
    scale = xp.where(xp.maximum(xp.abs(a), size) > 1e300, 0.25, 1.0)
    p, e = pairs.two_prod(a * scale, b / size)
    e = xp.where((xp.abs(p) < 1e290) & (xp.abs(a) < 1e290), e, 0.0)
    return xp.arctan2((a * scale - b * scale) / size, (scale / size + p) + e)


def _arctan_gap(xp: Any, a: Any, b: Any) -> Any:
    a, b = pairs.arrays(xp, a, b)
    value = _arctan_of(xp, a, b)
    # the complement of an infinite argument's right angle is the arctangent of an inverse
    value = xp.where(xp.isinf(a), xp.sign(a) * xp.arctan2(1.0, xp.sign(a) * b), value)
    other = -xp.sign(b) * xp.arctan2(1.0, xp.sign(b) * a)
    value = xp.where(xp.isinf(b), other, value)
    return xp.where(xp.isinf(a) & xp.isinf(b), xp.arctan(a) - xp.arctan(b), value)


def _arctan_slope(x: Term) -> Term:
    partials = OPS["arctan"].partials
    assert partials is not None
    (slope,) = partials(OPS["arctan"](x), x)
    assert isinstance(slope, Term)
    return slope


def _product_sum(a: Any, b: Any, c: Any, d: Any) -> Any:
    """a*b + c*d with the rounding errors of both products."""
    p, e = pairs.two_prod(a, b)
    q, f = pairs.two_prod(c, d)
    hi, lo = two_sum(p, q)
    return hi + (lo + (e + f))


_BITS = 1300
"""So many bits of pi reduce the greatest float, its remainder to twice the precision."""


@cache
def _quarter_turn() -> int:
    """pi/2 in units of 2**-_BITS."""
    return int(Fraction(pairs.pi(400)) / 2 * 2**_BITS)


def _reduced(a: Any, b: Any) -> tuple[Any, Pair]:
    """The exact a - b of floats as quarter turns, modulo 4, the rest at most half of one."""
    turn = _quarter_turn()
    turns, rests = [], []
    for x, y in zip(a, b, strict=True):
        angle = int((Fraction(float(x)) - Fraction(float(y))) * 2**_BITS)
        k, rest = divmod(2 * angle + turn, 2 * turn)
        turns.append(k % 4)
        rests.append(pairs.split(Fraction(rest - turn, 2 ** (_BITS + 1))))
    hi, lo = np.array(rests).T
    return np.array(turns), (hi, lo)


def _exactly(xp: Any, value: Any, wave: int, angle: Pair, big: Any, a: Any, b: Any) -> Any:
    """``value``, a sine (0) or cosine (1), but where it cancelled that of the exact angle.

    That is at large angles, and at those that are nearer to a zero than their last place.
    """
    if xp.name != "numpy":
        return value
    beside = (angle[1] != 0.0) & (np.abs(angle[0]) > 1.0) & (np.abs(value) < 1e-8)
    lost = (beside | (big & (np.abs(value) < 0.5))) & np.isfinite(value)
    if not np.any(lost):
        return value
    value, lost, a, b = np.broadcast_arrays(value, lost, a, b)
    value = np.array(value)
    turns, rest = _reduced(a[lost], b[lost])
    value[lost] = pair_trig.rotate(xp, sine(xp, rest), cosine(xp, rest), turns)[wave]
    return value


def _sin_of_difference(xp: Any, a: Any, b: Any) -> Any:
    a, b = pairs.arrays(xp, a, b)
    total = two_sum(a, -b)
    big = ~(xp.abs(total[1]) < 1e-3)  # also where the sum overflows
    split = _product_sum(xp.sin(a), xp.cos(b), -xp.cos(a), xp.sin(b))
    return _exactly(xp, xp.where(big, split, sine(xp, total)), 0, total, big, a, b)


def _cos_of_difference(xp: Any, a: Any, b: Any) -> Any:
    a, b = pairs.arrays(xp, a, b)
    total = two_sum(a, -b)
    big = ~(xp.abs(total[1]) < 1e-3)  # also where the sum overflows
    split = _product_sum(xp.cos(a), xp.cos(b), xp.sin(a), xp.sin(b))
    return _exactly(xp, xp.where(big, split, cosine(xp, total)), 1, total, big, a, b)


def _arc_between(xp: Any, a: Any, b: Any) -> Any:
    a, b = pairs.arrays(xp, a, b)
    hi, lo = two_sum(a, -b)
    near = xp.abs(lo) < (2.0**-30 if xp.name == "numpy" else 1e-3)
    total = xp.where(near, hi, 0.0), xp.where(near, lo, 0.0)
    arc = xp.arctan2(xp.abs(sine(xp, total)), cosine(xp, total))
    if xp.name != "numpy":
        return xp.where(near, arc, xp.arccos(_cos_of_difference(xp, a, b)))

    def turned(xp: Any, a: Any, b: Any) -> Any:
        _, (hi, lo) = _half_sum_and_gap(a, b)
        hi, lo = 2.0 * hi, 2.0 * lo
        whole = 4.0 * xp.rint(0.25 * hi)
        hi, lo = pairs.multiply(pairs.fast_two_sum(hi - whole, lo), pair_trig.QUARTER_TURN)
        return xp.abs(hi + lo)

    arc = xp.where(xp.isfinite(a) & xp.isfinite(b), arc, xp.nan)
    return pairs.redo(xp, ~near & xp.isfinite(a) & xp.isfinite(b), arc, turned, a, b)


def _arc(angle: Any) -> Any:
    """arccos(cos(angle)) of a ball; at 0 it has the kink of |angle|, by convention flat."""
    size = abs(angle)
    return size if size < 3 else angle.cos().arccos()


# -- records ------------------------------------------------------------------------------

cos_gap = elementwise(
    "cos_gap",
    family="trigonometric",
    kernel=_cos_gap,
    ball=lambda a, b: a.cos() - b.cos(),
    partials=lambda y, a, b: (-OPS["sin"](a), OPS["sin"](b)),
    domain=(REAL, REAL),
    range=_TWICE_UNIT,
    cost=7,
    accuracy="4 ulp; within 1e-10 of a zero that is not a = b relative to that",
    source="DLMF 4.21.8",
    doc="cos(a) - cos(b).",
    example=">>> sg.ops.cos_gap(sg.tensor([0.0]), 0.0).numpy()\narray([-0.], dtype=float32)",
)

sin_gap = elementwise(
    "sin_gap",
    family="trigonometric",
    kernel=_sin_gap,
    ball=lambda a, b: a.sin() - b.sin(),
    partials=lambda y, a, b: (OPS["cos"](a), -OPS["cos"](b)),
    domain=(REAL, REAL),
    range=_TWICE_UNIT,
    cost=7,
    accuracy="4 ulp; within 1e-10 of a zero that is not a = b relative to that",
    source="DLMF 4.21.7",
    doc="sin(a) - sin(b).",
    example=">>> sg.ops.sin_gap(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)

sin_of_difference = elementwise(
    "sin_of_difference",
    family="trigonometric",
    kernel=_sin_of_difference,
    spellings=(lambda a, b: OPS["sin"](a) * OPS["cos"](b) - OPS["cos"](a) * OPS["sin"](b),),
    ball=lambda a, b: (a - b).sin(),
    partials=lambda y, a, b: (cos_of_difference(a, b), -cos_of_difference(a, b)),
    domain=(REAL, REAL),
    range=interval(-1.0, 1.0, closed=True),
    cost=5,
    source="DLMF 4.21.2; large angles as Payne and Hanek 1983",
    doc="sin(a - b), the difference not rounded.",
    example=">>> sg.ops.sin_of_difference(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([0.], dtype=float32)",
)

cos_of_difference = elementwise(
    "cos_of_difference",
    family="trigonometric",
    kernel=_cos_of_difference,
    spellings=(lambda a, b: OPS["cos"](a) * OPS["cos"](b) + OPS["sin"](a) * OPS["sin"](b),),
    ball=lambda a, b: (a - b).cos(),
    partials=lambda y, a, b: (-sin_of_difference(a, b), sin_of_difference(a, b)),
    domain=(REAL, REAL),
    range=interval(-1.0, 1.0, closed=True),
    cost=5,
    source="DLMF 4.21.3; large angles as Payne and Hanek 1983",
    doc="cos(a - b), the difference not rounded.",
    example=">>> sg.ops.cos_of_difference(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([1.], dtype=float32)",
)


arc_between = elementwise(
    "arc_between",
    family="trigonometric",
    kernel=_arc_between,
    spellings=(lambda a, b: OPS["arccos"](cos_of_difference(a, b)),),
    ball=lambda a, b: _arc(a - b),
    partials=lambda y, a, b: (
        OPS["sign"](sin_of_difference(a, b)),
        -OPS["sign"](sin_of_difference(a, b)),
    ),
    domain=(REAL, REAL),
    range=interval(0.0, 3.1415926535897936, closed=True),
    cost=5,
    accuracy="4 ulp; within 1e-10 of a multiple of pi that is not a = b relative to that",
    source="arctan2(|sin(a - b)|, cos(a - b)); large angles as Payne and Hanek 1983",
    doc="arccos(cos(a - b)): the shorter arc between two points of a circle.",
    example=">>> sg.ops.arc_between(sg.tensor([1.0]), 1.5).numpy()\narray([0.5], dtype=float32)",
)


def _arccos1m(xp: Any, u: Any) -> Any:
    return 2.0 * xp.arctan2(xp.sqrt(u), xp.sqrt(2.0 - u))


def _arcsin1m(xp: Any, u: Any) -> Any:
    middle = (u > 0.5) & (u < 1.5)  # there 1 - u is exact
    right = _HALF_PI - _arccos1m(xp, u)
    return xp.where(middle, xp.arcsin(xp.where(middle, 1.0 - u, 0.0)), right)


arccos1m = elementwise(
    "arccos1m",
    family="trigonometric",
    kernel=_arccos1m,
    spellings=(lambda u: OPS["arccos"](1 - u),),
    partials=lambda y, u: (arccos1m_derivative(u, n=1),),
    domain=(interval(0.0, 2.0, closed=True),),
    range=interval(0.0, 3.1415926535897936, closed=True),
    cost=5,
    source="2*arctan2(sqrt(u), sqrt(2 - u))",
    doc="arccos(1 - u).",
    example=">>> sg.ops.arccos1m(sg.tensor([2e-30])).numpy()\narray([2.e-15], dtype=float32)",
)

arccos1m_derivative = elementwise(
    "arccos1m_derivative",
    family="trigonometric",
    params=("n",),
    kernel=lambda xp, u, *, n: root_kernels.derivative(xp, u, -1, n - 1),
    ball=lambda u, *, n: root_kernels.ball(u, -1, n - 1),
    partials=lambda y, u: (arccos1m_derivative(u, n=y.param("n") + 1),),
    domain=(interval(0.0, 2.0),),
    cost=5,
    source="a polynomial in u - 1 over an odd power of sqrt(u*(2 - u)), in pairs",
    doc="The n-th derivative of arccos(1 - u), n > 0; the first is 1/sqrt(u*(2 - u)).",
    example=">>> sg.ops.arccos1m_derivative(sg.tensor([1.0]), n=1).numpy()\n"
    "array([1.], dtype=float32)",
)

arcsin1m = elementwise(
    "arcsin1m",
    family="trigonometric",
    kernel=_arcsin1m,
    spellings=(lambda u: OPS["arcsin"](1 - u), lambda u: -OPS["arcsin"](u - 1)),
    partials=lambda y, u: (-arccos1m_derivative(u, n=1),),
    domain=(interval(0.0, 2.0, closed=True),),
    range=interval(-1.570796326794897, 1.570796326794897, closed=True),
    cost=5,
    source="pi/2 - arccos(1 - u)",
    doc="arcsin(1 - u).",
    example=">>> sg.ops.arcsin1m(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)

arctan_gap = elementwise(
    "arctan_gap",
    family="trigonometric",
    kernel=_arctan_gap,
    ball=lambda a, b: a.arctan() - b.arctan(),
    partials=lambda y, a, b: (_arctan_slope(a), -_arctan_slope(b)),
    textbook=lambda y, a, b: (1 / (1 + a * a), -1 / (1 + b * b)),
    domain=(REAL, REAL),
    cost=5,
    source="arctan2(a - b, 1 + a*b)",
    doc="arctan(a) - arctan(b).",
    example=">>> sg.ops.arctan_gap(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)
