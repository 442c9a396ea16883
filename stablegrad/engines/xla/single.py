"""Float32 kernels: sums and products in float64, which is exact or nearly so, functions in float32.

A float64 sum of float32 products has no error worth mention and cannot leave the range; it costs
a conversion an argument, where compensation and scaling cost ten operations and more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial, reduce
from operator import mul
from typing import Any

import numpy as np

from stablegrad.engines.xla import kernels
from stablegrad.engines.xla.activations import ACTIVATIONS
from stablegrad.engines.xla.logistic import LOGISTIC
from stablegrad.engines.xla.moments import MOMENTS
from stablegrad.engines.xla.normal import NORMAL
from stablegrad.engines.xla.softmax import SOFTMAX
from stablegrad.ops.exact import Exact, Rational, round_to

WIDE = np.dtype(np.float64)
DEGREE = 7
"""A product of so many float32 factors stays inside the range of float64."""


def total(
    xs: Sequence[Any],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    """A sum of multiples and products, in float64.

    The products come last: beside the addends of the first order, which may cancel, they may be
    squares of what is left of these.
    """
    whole: Any = None if constant == 0 else round_to(constant, WIDE)[()]
    position = 0
    products: list[Any] = []
    for c, count in zip(coefficients, counts, strict=True):
        part = xs[position].astype(WIDE)
        if count == 2:
            part = part * xs[position + 1].astype(WIDE)
        position += count
        part = part if c == 1 else -part if c == -1 else round_to(c, WIDE)[()] * part
        if count == 2:
            products.append(part)
        else:
            whole = part if whole is None else whole + part
    for part in products:
        whole = part if whole is None else whole + part
    return whole


def _compensated_sum(
    xp: Any,
    *xs: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    if constant == 0 and counts == (1, 1) and abs(coefficients[0]) == abs(coefficients[1]):
        c = round_to(coefficients[0], xs[0].dtype)[()]  # one rounding, as it is
        pair = xs[0] + xs[1] if coefficients[0] == coefficients[1] else xs[0] - xs[1]
        return pair if c == 1 else c * pair
    if rounds_once(constant, coefficients, counts):
        top = max(Fraction(1), *map(abs, coefficients))  # last: what is in range is so before it
        x, y = (_multiple(x, c / top) for x, c in zip(xs, coefficients, strict=True))
        return _multiple(x + y, top)
    return total(xs, constant, coefficients, counts)


def _multiple(x: Any, c: Rational | float) -> Any:
    return x if c == 1 else x * x.dtype.type(c)


_EXACT = frozenset([Fraction(1, n) for n in (1, 2, 4, 8)])


def rounds_once(
    constant: Exact, coefficients: tuple[Rational, ...], counts: tuple[int, ...]
) -> bool:
    """Whether a sum has but one rounding in the dtype of its addends, and stays in its range."""
    if constant != 0 or counts != (1, 1):
        return False
    sizes = [Fraction(abs(c)) for c in coefficients]
    top = max(Fraction(1), *sizes)
    return 1 / top in _EXACT and _EXACT.issuperset([c / top for c in sizes])


def _scaled_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Any, ...],
) -> Any:
    if again or any(2 * p != int(2 * p) for p in powers):
        return kernels.scaled_product(xp, *args, powers=powers, factor=factor, again=again)
    if factor == 1 and len(powers) == 2 and powers[0] == -powers[1] and powers[0] in (2, 3, 4):
        quotient = args[0] / args[1]  # in range where its power is
        return reduce(mul, [quotient] * int(powers[0]))
    if factor == 1 and all(x.dtype.itemsize == 4 for x in args):
        narrow = _narrow_product(xp, args, powers)
        if narrow is not None:
            return narrow
    size = _size(xp, args, powers, abs(factor))
    return -size if factor < 0 else size  # the sign last: others have the rest, too


def _size(xp: Any, args: tuple[Any, ...], powers: tuple[Rational, ...], factor: Rational) -> Any:
    """A product in float64, or in mantissa and exponent where it is longer than ``DEGREE``."""
    above, below = _steps(xp, args, powers, factor)
    if len(above) + len(below) <= DEGREE:
        top: Any = _times(above) if above else 1.0
        if not below:
            return top
        bottom = _times(below)
        if above and np.size(bottom) < np.size(top):  # a float64 quotient costs, so few of them
            return top * (1.0 / bottom)
        return top / bottom
    mantissa: Any = None
    exponent: Any = 0
    for steps, sign in ((above, 1), (below, -1)):
        for i in range(0, len(steps), DEGREE):
            m, e = xp.frexp(_times(steps[i : i + DEGREE]))
            exponent = exponent + sign * e
            if mantissa is None:
                mantissa = m if sign > 0 else 1.0 / m
            else:
                mantissa = mantissa * m if sign > 0 else mantissa / m
    return xp.ldexp(mantissa, exponent)


def _steps(
    xp: Any, args: tuple[Any, ...], powers: tuple[Rational, ...], factor: Rational
) -> tuple[list[Any], list[Any]]:
    """What is multiplied and what is divided by, one float32 number each, in float64."""
    above: list[Any] = [] if factor == 1 else [round_to(factor, WIDE)[()]]
    below: list[Any] = []
    for x, p in zip(args, powers, strict=True):
        size = abs(p)
        steps = [x.astype(WIDE)] * int(size)
        if size != int(size):
            steps.append(xp.sqrt(x).astype(WIDE))
        (above if p > 0 else below).extend(steps)
    return above, below


def wide_product(
    xp: Any, *xs: Any, powers: tuple[Rational, ...], factor: Rational, **_: Any
) -> Any:
    """A product of positive powers that stays in the range of float64 in any order."""
    size = _times(_steps(xp, xs, powers, abs(factor))[0])
    return -size if factor < 0 else size


def _narrow_product(xp: Any, xs: tuple[Any, ...], powers: tuple[Rational, ...]) -> Any:
    """A product that stays in float32 and in range: float64 would halve the width of the loop."""
    if len(powers) == 2 and min(powers) == 1 and max(powers) <= DEGREE // 2:
        (one, many), size = (xs if powers[0] == 1 else xs[::-1]), int(max(powers))
        return reduce(mul, [many] * size, one)  # runs one way: in range where its ends are
    if powers == (1, -0.5):
        return xs[0] * (1 / xp.sqrt(xs[1]))
    return None


def is_narrow(powers: tuple[Rational, ...], factor: Rational) -> bool:
    """Whether a product of float32 numbers is formed in float32, so that it may overflow."""
    if factor != 1 or len(powers) != 2:
        return False
    one_way = min(powers) == 1 and max(powers) <= DEGREE // 2
    return one_way or powers[0] == -powers[1] or powers == (1, -0.5)


def _times(steps: list[Any]) -> Any:
    """The product, small arrays first, before they are broadcast."""
    return reduce(mul, sorted(steps, key=np.size))


# -- lengths --------------------------------------------------------------------------------


def _length(xp: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The arguments' first in float64 and sqrt(x**2 + y**2): squares stay in its range."""
    a, b = x.astype(WIDE), y.astype(WIDE)
    return a, xp.sqrt(a * a + b * b)


def _hypot(xp: Any, x: Any, y: Any) -> Any:
    infinite = xp.isinf(x) | xp.isinf(y)
    return xp.where(infinite, xp.inf, _length(xp, x, y)[1])


def _hypot_unit(xp: Any, x: Any, y: Any) -> Any:
    """x/hypot(x, y): x where both are 0, the sign of an infinite x beside what is finite."""
    a, length = _length(xp, x, y)
    value = a / xp.where(length > 0, length, 1)
    value = xp.where(length == length, value, length)
    return xp.where(xp.isinf(x) & xp.isfinite(y), xp.sign(a), value).astype(x.dtype)


# -- sin(x)/x -------------------------------------------------------------------------------

# its slope over x in x**2 for |x| <= 1: (-1)**k * 2*k/(2*k + 1)!, k = 1, 2, ...; 3e-11
_SINC_SLOPE = tuple([(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 7)])


def _sinc(xp: Any, x: Any) -> Any:
    return xp.where(x == 0, np.float32(1), xp.sin(x) / xp.where(x == 0, np.float32(1), x))


def _sinc_derivative(xp: Any, x: Any, *, n: int) -> Any:
    """By a series near 0; beyond in float64, whose digits outlast the zeros of float32 numbers."""
    w = x.astype(WIDE)
    if n != 1:
        return kernels.recorded("sinc_unnormalised_derivative")(xp, w, n=n).astype(x.dtype)
    near = xp.abs(w) < 1
    z = xp.where(near, w * w, 0.0)
    total: Any = _SINC_SLOPE[-1]
    for c in _SINC_SLOPE[-2::-1]:
        total = total * z + c
    far = xp.where(near, 1.0, w)
    slope = (xp.cos(far) - xp.sin(far) / far) / far
    return xp.where(near, w * total, slope).astype(x.dtype)


# -- exponentials ------------------------------------------------------------------------

_LAST = np.float32(88.72283)  # exp of it is finite
_DEEP, _STEP = np.float32(-64), np.float32(140)


def _exp(xp: Any, x: Any) -> Any:
    """exp in float32 digits; of an argument in float64 without its rounding error and range."""
    if x.dtype.itemsize == 4:
        return xp.exp(x)
    near = xp.clip(x, -400.0, 200.0)
    high = xp.minimum(near.astype(np.float32), _LAST)
    rest = (near - high.astype(WIDE)).astype(np.float32)
    deep = high < _DEEP  # there the result may be no normal float, but multiples of it may be
    e = xp.exp(xp.where(deep, high + _STEP, high))
    return (e + e * rest).astype(WIDE) * xp.where(deep, math.exp(-140.0), 1.0)


def _erfinv(xp: Any, x: Any) -> Any:
    """The record's kernel; of an argument in float64 without its range."""
    value = kernels.recorded("erfinv")(xp, x.astype(np.float32))
    if x.dtype.itemsize == 4:
        return value
    return xp.where(xp.abs(x) < 1e-30, x * (0.5 * math.sqrt(math.pi)), value.astype(WIDE))


# -- logarithms ---------------------------------------------------------------------------

FAR_LOGARITHMS = {
    "log": math.log(2),
    "log2": 1.0,
    "log10": math.log10(2),
    "log1p": math.log(2),
    "arcsinh": math.log(2),
    "arccosh": math.log(2),
}
"""What a factor of two in a great argument adds. These take an argument in float64."""
_LOGARITHMS = {"log": 1.0, "log1p": 1.0, "log2": 1 / math.log(2), "log10": 1 / math.log(10)}
"""x times the slope of these."""
_FAR = 2.0**100
_MIDDLE = 50
"""log1p(x), arcsinh(x/2) and arccosh(x/2) are log(x) to all digits at 2 to this power."""


def _logarithm(name: str) -> Callable[..., Any]:
    """A float32 logarithm; of an argument in float64 beyond the range of float32, too.

    What the argument loses when it is rounded to float32 is had to first order: it shows where
    the logarithm is small, and that of 1 + x beside x = -1.
    """
    slope = _LOGARITHMS.get(name)

    def kernel(xp: Any, x: Any) -> Any:
        f = partial(kernels.recorded(name), xp)
        if x.dtype.itemsize == 4:
            return f(x)
        size = xp.abs(x) if name == "arcsinh" else x
        far = size > _FAR
        if name in ("log", "log2", "log10"):
            far = far | ((size < 1 / _FAR) & (size > 0))
        bits = xp.lax.bitcast_convert_type(xp.where(far, x, 1.0), np.int64)
        k = xp.where(far, xp.maximum(((bits >> 52) & 0x7FF) - (1023 + _MIDDLE), -1022), 0)
        x = x * xp.two_to(-k, WIDE)
        plus = 1.0 if name == "log1p" else 0.0
        near = (x + plus).astype(np.float32)
        value = kernels.recorded("log")(xp, near) if plus else f(near)
        if slope is not None:
            lost = ((plus - near.astype(WIDE)) + x).astype(np.float32)
            usual = (near > 0) & (near < xp.inf)
            value = value + xp.where(usual, lost / near, np.float32(0)) * np.float32(slope)
        more = k.astype(np.int32).astype(np.float32) * np.float32(FAR_LOGARITHMS[name])
        return value + (xp.copysign(more, near) if name == "arcsinh" else more)

    return kernel


def plain_product(xp: Any, *xs: Any, powers: tuple[Rational, ...], **_: Any) -> Any:
    """A product in the order given, in float32."""
    return reduce(mul, [x for x, p in zip(xs, powers, strict=True) for _ in range(int(p))])


def plain_hypot(xp: Any, x: Any, y: Any) -> Any:
    """``hypot`` where the squares stay in the range of float32."""
    return xp.sqrt(x * x + y * y)


def plain_hypot_unit(xp: Any, x: Any, y: Any) -> Any:
    """``hypot_unit`` where the squares stay in the range of float32."""
    return x / plain_hypot(xp, x, y)


_GREAT = np.float32(2.0**50)


def hypot_beside(xp: Any, x: Any, y: Any) -> Any:
    """``hypot`` of a number and what may be beyond the root of the range: there it is that size."""
    a, b = xp.abs(x), xp.abs(y)
    top = xp.maximum(a, b)
    a, b = xp.minimum(a, _GREAT), xp.minimum(b, _GREAT)
    return xp.where(top > _GREAT, top, xp.sqrt(a * a + b * b))


def unit_beside(xp: Any, x: Any, number: Any) -> Any:
    """``hypot_unit`` of what may be beyond the root of the range, and a number."""
    a = xp.clip(x, -_GREAT, _GREAT)
    return a / plain_hypot(xp, a, number)


def unit_of_number(xp: Any, number: Any, x: Any) -> Any:
    """``hypot_unit`` of a number, and what may be beyond the root of the range."""
    return number / hypot_beside(xp, number, x)


BESIDE = {
    ("hypot", 0): hypot_beside,
    ("hypot", 1): hypot_beside,
    ("hypot_unit", 0): unit_of_number,
    ("hypot_unit", 1): unit_beside,
}
"""By op and the position of the number, lengths in float32 whatever the other argument is."""

PLAIN = frozenset({"compensated_sum", "scaled_product"})
"""Kernels that are right for float64 results, too, which stay in the range of float64."""

SINGLE_KERNELS: dict[str, Callable[..., Any]] = {
    "exp": _exp,
    **{name: _logarithm(name) for name in FAR_LOGARITHMS},
    "erfinv": _erfinv,
    "compensated_sum": _compensated_sum,
    "scaled_product": _scaled_product,
    "hypot": _hypot,
    "hypot_unit": _hypot_unit,
    "sinc_unnormalised": _sinc,
    "sinc_unnormalised_derivative": _sinc_derivative,
    **LOGISTIC,
    **NORMAL,
    **SOFTMAX,
    **MOMENTS,
    **ACTIVATIONS,
}
"""By op, for results in float32."""
