"""Differences of powers a**p - b**p, and their closed family of derivatives.

With M the greater of |a|**p and |b|**p the difference is M times 1 - exp(-|p log(a/b)|), whose
logarithm is taken of 1 + (a - b)/b for neighbours. Mantissas and exponents are kept apart, so that
neither the powers nor the ratio of the bases leave the range before the difference does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import pairs
from stablegrad.ops.exact import Rational, exact_ratio, to_float
from stablegrad.ops.pair_exp import LN2
from stablegrad.ops.record import REAL, elementwise

Scaled = tuple[Any, Any]
"""A number as mantissa and binary exponent."""

_ROOT_HALF = 0.7071067811865476
_FEW = 64
"""Roots of up to this degree are taken of 2**exponent exactly."""


def _frexp(xp: Any, x: Any) -> Scaled:
    """|x| with a mantissa around 1, so that its powers stay near 1."""
    m, e = xp.frexp(xp.abs(x))
    small = m < _ROOT_HALF
    return xp.where(small, 2.0 * m, m), xp.where(small, e - 1, e)


def _times_power_of_two(xp: Any, x: Any, exponent: Any) -> Any:
    return xp.ldexp(x, xp.clip(exponent, -5000, 5000).astype(xp.int32))


def _power(xp: Any, x: Scaled, p: Rational) -> Scaled:
    """x**p: a whole power of two is taken out whose root is exact, or its fraction kept."""
    m, e = x
    ratio = Fraction(p)
    degree = ratio.denominator if ratio.denominator <= _FEW else 1
    k = e // degree
    value = xp.power(xp.ldexp(m, e - k * degree), to_float(p))
    steps, rest = pairs.split(ratio * degree)
    hi, lo = pairs.two_prod(1.0 * k, steps + 0.0 * k)
    whole = xp.rint(hi)
    if ratio.denominator > _FEW:
        value = value * xp.exp2((hi - whole) + (lo + rest * k))
    return value, whole


def _gap(
    xp: Any,
    a: Scaled,
    b: Scaled,
    d: Scaled,
    signs: tuple[Any, Any],
    p: Rational,
    c: Rational = 1,
    lost: Any = 0.0,
) -> Any:
    """c*(a**p - b**p) of sizes |a|, |b|, d = |a| - |b|, and whether a, b are negative.

    The error of a that is ``lost`` to rounding is relative.
    """
    exponent = to_float(p)
    share, above = d[0] / b[0], d[1] - b[1]
    change = xp.ldexp(share, xp.clip(above, -1100, 1000))
    near, tiny = xp.abs(change) < 0.5, xp.abs(change) < 2.0**-60
    ratio, apart = a[0] / b[0], a[1] - b[1]
    far = xp.log(xp.ldexp(ratio, xp.clip(apart, -900, 900)))
    far = xp.where(xp.abs(apart) < 900, far, xp.log(ratio) + apart * float(LN2))
    x = exponent * xp.where(near, xp.log1p(xp.where(near, change, 0.0)), far)
    rises = x > 0
    greater = xp.where(rises, a[0], b[0]), xp.where(rises, a[1], b[1])
    m, shift = _power(xp, greater, p)
    m = xp.where(rises & (a[0] != 0), m + m * (exponent * lost), m)
    gain = -xp.expm1(-xp.abs(x))
    gain = xp.where(tiny, exponent * share, xp.where(rises, gain, -gain))
    shift = shift + xp.where(tiny, above, 0)
    if Fraction(p).denominator > 1:
        gain = xp.where(signs[0] | signs[1], xp.nan, gain)
    elif p % 2:
        opposite = signs[0] != signs[1]
        gain = xp.where(opposite, -1.0 - xp.exp(-xp.abs(x)), gain)
        shift = xp.where(opposite & tiny, shift - above, shift)
        gain = xp.where(signs[1], -gain, gain)
    return _times_power_of_two(xp, m * (gain * to_float(c)), shift)


def _where_ordinary(xp: Any, value: Any, a: Any, b: Any, p: Rational, c: Rational = 1) -> Any:
    """The value, but the plain difference where b is 0 or an argument is no number."""

    def plain(xp: Any, a: Any, b: Any) -> Any:
        powers = xp.power(a, to_float(p)), xp.power(b, to_float(p))
        pole = (b == 0) & (xp.abs(a) > 0) & (p < 0)  # beside it even what overflows is nothing
        return to_float(c) * (xp.where(pole, 0.0, powers[0]) - powers[1])

    odd = (b == 0) | ~(xp.isfinite(a) & xp.isfinite(b))
    return pairs.redo(xp, odd, value, plain, a, b)


def _power_gap(xp: Any, a: Any, b: Any, *, p: Rational) -> Any:
    a, b = pairs.arrays(xp, a, b)
    d = xp.frexp(xp.abs(a) - xp.abs(b))
    value = _gap(xp, _frexp(xp, a), _frexp(xp, b), d, (a < 0, b < 0), p)
    return _where_ordinary(xp, value, a, b, p)


def _sum(xp: Any, b: Any, h: Any) -> tuple[Any, Any, Any]:
    """b + h over a power of two, where it might overflow, its relative error and that power."""
    big = (xp.abs(b) > 1e300) | (xp.abs(h) > 1e300)
    scale = xp.where(big, 0.25, 1.0)
    total, lost = pairs.two_sum(b * scale, h * scale)
    return total, xp.where(total == 0, 0.0, lost / total), xp.where(big, 2, 0)


def _falling(p: Rational, n: int) -> Rational:
    """p*(p - 1)*...*(p - n + 1)."""
    return exact_ratio(math.prod([Fraction(p) - k for k in range(n)], start=Fraction(1)))


def _allowed(p: Rational, *bases: Facts) -> bool:
    """Whether all bases**p are defined."""
    whole = Fraction(p).denominator == 1
    signs = [x.nonnegative for x in bases] if not whole else []
    poles = [x.nonzero for x in bases] if p < 0 else []
    return all(x.defined for x in bases) and all(signs) and all(poles)


def _facts(sums: bool) -> Callable[[Term], Facts]:
    """Defined where both powers are; with ``sums`` the second base is the sum of both arguments."""

    def facts(term: Term) -> Facts:
        a, b = (x.facts for x in term.args)
        p = exact_ratio(term.params[0] - (term.params[1] if sums else 0))
        defined = _allowed(p, a, b) and (not sums or p >= 0 or (a.positive and b.nonnegative))
        return Facts(defined=defined)

    return facts


def _power_step(xp: Any, b: Any, h: Any, *, p: Rational, n: int) -> Any:
    b, h = pairs.arrays(xp, b, h)
    c, p = _falling(p, n), exact_ratio(p - n)
    a, lost, up = _sum(xp, b, h)
    m, e = _frexp(xp, a)
    across = (a < 0) != (b < 0)  # then |a| - |b| is another sum
    scale = xp.where(up > 0, 0.25, 1.0)
    d, shift = xp.frexp(xp.where(across, -(h * scale + 2.0 * b * scale), h))
    d = xp.where(b < 0, -d, d), shift + xp.where(across, up, 0)
    value = _gap(xp, (m, e + up), _frexp(xp, b), d, (a < 0, b < 0), p, c, lost)
    ordinary = xp.isfinite(b) & xp.isfinite(h)  # a sum that overflows is no reason
    return _where_ordinary(xp, value, xp.where(ordinary & (b != 0), a, b + h), b, p, c)


def _power_step_partials(out: Term, b: Term, h: Term) -> tuple[Term, Term]:
    p, n = out.params
    left = p - n - 1
    c = _falling(p, n + 1)
    if left == 0:
        return 0 * h + 0 * b, c + 0 * h + 0 * b
    by_b = c * h + 0 * b if left == 1 else power_step(b, h, p=p, n=n + 1)
    by_h = power_of_sum(b, h, p=p, n=n + 1)
    if Fraction(p).denominator > 1:  # b**p must be real, and no pole
        inside = OPS["greater" if p < n else "greater_equal"](b, 0.0)
        by_h = OPS["require"](by_h, inside)
    elif p < n:
        by_h = OPS["require"](by_h, OPS["not_equal"](b, 0.0))
    return by_b, by_h


def _power_of_sum(xp: Any, a: Any, b: Any, *, p: Rational, n: int) -> Any:
    a, b = pairs.arrays(xp, a, b)
    c, p = to_float(_falling(p, n)), exact_ratio(p - n)
    total, lost, up = _sum(xp, a, b)
    m, e = _frexp(xp, total)
    m, shift = _power(xp, (m, e + up), p)
    if Fraction(p).denominator > 1:
        m = xp.where(total < 0, xp.nan, m)
    elif p % 2:
        m = xp.where(total < 0, -m, m)
    m = m + m * (lost * to_float(p))
    value = _times_power_of_two(xp, c * m, shift)
    ordinary = (total != 0) & xp.isfinite(total)
    return xp.where(ordinary, value, c * xp.power(total, to_float(p)))


def _power_of_sum_partials(out: Term, a: Term, b: Term) -> tuple[Term, Term]:
    p, n = out.params
    c = _falling(p, n + 1)
    if p - n == 1 or c == 0:
        slope = c + 0 * a + 0 * b
    else:
        slope = power_of_sum(a, b, p=p, n=n + 1)
    return slope, slope


def _falling_power(base: Any, p: Rational, n: int) -> Any:
    """The n-th derivative of base**p, for balls."""
    return _falling(p, n) * base ** exact_ratio(p - n)


def _power_gap_partials(out: Term, a: Term, b: Term) -> tuple[Term, Term]:
    (p,) = out.params

    def slope(x: Term, other: Term) -> Term:
        found = p * OPS["power"](x, exact_ratio(p - 1))
        if Fraction(p).denominator == 1:
            return found
        return OPS["require"](found, OPS["greater_equal"](other, 0.0))  # other**p must be real

    return slope(a, b), -slope(b, a)


power_of_sum = elementwise(
    "power_of_sum",
    family="arithmetic",
    params=("p", "n"),
    defaults=(0,),
    kernel=_power_of_sum,
    ball=lambda a, b, *, p, n: _falling_power(a + b, p, n),
    partials=_power_of_sum_partials,
    domain=(REAL, REAL),  # for whole p; else nan
    infer_facts=_facts(sums=True),
    cost=6,
    source="mantissas and exponents apart",
    doc="The n-th derivative of (a + b)**p for a constant p, also where the sum overflows.",
    example=">>> sg.ops.power_of_sum(sg.tensor([1.0]), 3.0, p=2).numpy()\n"
    "array([16.], dtype=float32)",
)

power_step = elementwise(
    "power_step",
    family="arithmetic",
    params=("p", "n"),
    defaults=(0,),
    kernel=_power_step,
    ball=lambda b, h, *, p, n: _falling_power(b + h, p, n) - _falling_power(b, p, n),
    partials=_power_step_partials,
    domain=(REAL, REAL),  # for whole p; else nan
    infer_facts=_facts(sums=True),
    cost=6,
    source="b**p * expm1(p * log1p(h/b)), the greater of the two powers outside",
    doc="(b + h)**p - b**p for a constant p, or its n-th derivative by b.",
    example=">>> sg.ops.power_step(sg.tensor([1.0]), 1e-9, p=3).numpy()\n"
    "array([3.e-09], dtype=float32)",
)

power_gap = elementwise(
    "power_gap",
    family="arithmetic",
    params=("p",),
    kernel=_power_gap,
    ball=lambda a, b, *, p: a**p - b**p,
    partials=_power_gap_partials,
    domain=(REAL, REAL),  # for whole p; else nan
    infer_facts=_facts(sums=False),
    cost=6,
    source="b**p * expm1(p * log1p((a - b)/b)), the greater of the two powers outside",
    doc="a**p - b**p for a constant p.",
    example=">>> sg.ops.power_gap(sg.tensor([2.0]), 1.0, p=3).numpy()\narray([7.], dtype=float32)",
)
