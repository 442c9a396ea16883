"""Functions of numbers with exponents of their own: pairs of floats and a whole number.

Far out, where the function is below the range of floats or beyond it, it has its digits; nearer it
is as it is computed in floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS
from stablegrad.ops import gamma_kernels, pair_exp, pairs
from stablegrad.ops.behaviour import FALLS, GROWS, LEADING, NEAR, PRODUCTS, SIZED
from stablegrad.ops.corrected import TURNING
from stablegrad.ops.exact import Rational, exact_ratio
from stablegrad.ops.lowered_arithmetic import (
    Parts,
    normal_parts,
    parts_constant,
    parts_multiple,
    parts_product,
    parts_sum,
)
from stablegrad.ops.lowered_functions import SLOPES
from stablegrad.ops.pair_codes import Function

_MOST = 2.0**45  # exponents up to here are reduced to enough digits
FARTHEST = 2.0**48  # exponents farther off are no farther
_LEAST = 2.0**-1022
_LARGE = 40.0  # from here on exp(-2*x) is nothing beside 1
_LN2 = pairs.split(pair_exp.LN2)


def _exp(x: Parts) -> Parts:
    """exp; beyond all reduction a number of about its exponent, which ``run_parts`` knows of."""
    hi, lo, e = x
    shift = np.clip(e, -3000, 1000).astype(np.int32)
    u, rest = np.ldexp(hi, shift), np.ldexp(lo, shift)
    far = np.abs(u) >= _MOST
    beyond = np.clip(np.rint(u / _LN2[0]), -FARTHEST, FARTHEST)
    u, rest = np.where(far, 0.0, u), np.where(far, 0.0, rest)
    k = np.rint(np.where(np.isfinite(u), u, 0.0) / _LN2[0])
    zero = 0.0 * k
    less = pairs.multiply((k, zero), (_LN2[0] + zero, _LN2[1] + zero))
    r = pairs.add((u, rest), pairs.negative(less))
    m = np.exp(r[0])
    k = np.where(far, beyond, k).astype(np.int64)
    return normal_parts(np, (m, m * r[1], k))


def floats(x: Parts) -> Any:
    """Numbers as floats, beyond their range infinite or 0."""
    return np.ldexp(x[0] + x[1], np.clip(x[2], -3000, 3000).astype(np.int32))


def _growing(name: str, x: Parts) -> Parts:
    """expm1, sinh or cosh: an exponential far out."""
    value = floats(x)
    near = getattr(np, name)(np.where(np.abs(value) < _LARGE, value, 0.0))
    zero = np.zeros(near.shape)
    small = normal_parts(np, (near, zero, np.zeros(near.shape, np.int64)))
    if name in LEADING:
        small = either(x[2] < NEAR, x, small)
    sign = np.where(value < 0, -1.0, 1.0)
    m, lo, e = _exp((sign * x[0], sign * x[1], x[2]))
    if name == "expm1":
        falls = value < 0
        m, lo, e = np.where(falls, -1.0, m), np.where(falls, 0.0, lo), np.where(falls, 0, e)
    else:
        sign = sign if name == "sinh" else 1.0
        m, lo, e = sign * m, sign * lo, e - 1
    inside = np.abs(value) < _LARGE
    return either(inside, small, (m, lo, e))


def either(first: Any, x: Parts, y: Parts) -> Parts:
    """Elements of the first number where a condition holds, else of the second."""
    m, lo, e = [np.where(first, a, b) for a, b in zip(x, y, strict=True)]
    return m, lo, e


_WAVING = 3  # bits of an argument


def _near_zero(xp: Any, name: str, x: Parts) -> Parts:
    """A function with a zero at 0, by the first term of its series there."""
    if name not in LEADING:
        return _in_floats(xp, name, x)
    order, slope = LEADING[name]
    near = parts_multiple(np, parts_product(np, [(x, order)]), exact_ratio(Fraction(slope)))
    found = _in_floats(xp, name, x)
    if name in TURNING:  # a float is no argument of a wave far out
        found = (np.where(x[2] > _WAVING, np.nan, found[0]), *found[1:])
    return either(x[2] < NEAR, near, found)


def _in_floats(xp: Any, name: str, x: Parts) -> Parts:
    """A function where the argument and the value are in range; else nothing is known of it."""
    op = OPS[name]
    value = op.engine_kernels.get("numpy", op.kernel)(xp, floats(x))
    zero = np.zeros(value.shape)
    lost = ~np.isfinite(value)
    if name in FALLS:
        lost |= np.abs(value) < _LEAST
    value = np.where(lost, np.nan, value)
    return normal_parts(np, (value, zero, zero.astype(np.int64)))


def _relative(name: str, x: Parts) -> Parts:
    """A function over its argument, 1 at 0: expm1(x)/x, sinh(x)/x."""
    zero = x[0] == 0
    one = np.where(zero, 1.0, x[0]), np.where(zero, 0.0, x[1]), x[2]
    m, lo, e = parts_product(np, [(_growing(name, one), 1), (one, -1)])
    return np.where(zero, 1.0, m), np.where(zero, 0.0, lo), np.where(zero, 0, e)


def _log(x: Parts) -> Parts:
    """The logarithm of a positive x."""
    good = (x[0] > 0) & np.isfinite(x[0]) & ~is_far(x)
    m = pair_exp.log_of_pair(np, (np.where(good, x[0], 1.0), np.where(good, x[1], 0.0)))
    zero = 0.0 * m[0]
    scale = pairs.multiply((x[2] + zero, zero), (_LN2[0] + zero, _LN2[1] + zero))
    hi, lo = pairs.add(scale, m)
    return normal_parts(np, (np.where(good, hi, np.nan), lo, np.zeros(zero.shape, np.int64)))


def _log_of_rounded(x: Parts) -> Parts:
    """The logarithm of a rounded x; nothing is known of it where x is near 1."""
    m, low, e = _log(x)
    return np.where(np.abs(floats((m, low, e))) < 0.125, np.nan, m), low, e


def _log1p(u: Parts) -> Parts:
    return either(u[2] < NEAR, u, _log(parts_sum(np, [u, parts_constant(np, 1, u)])))


def _power(x: Parts, y: Parts) -> Parts:
    """x**y of a positive x."""
    return _exp(parts_product(np, [(_log(x), 1), (y, 1)]))


def _powers(step: Function, x: Parts, y: Parts) -> Parts:
    """A power, one of 1 + x, that less 1, or a first derivative of one."""
    log = _log1p(x) if step.name.startswith("pow1p") else _log(x)
    by_base = step.name in SLOPES and step.order == 1
    raised = parts_sum(np, [y, parts_constant(np, -1, y)]) if by_base else y
    exponent = parts_product(np, [(log, 1), (raised, 1)])
    if step.name in ("pow1pm1", "powm1"):
        return _growing("expm1", exponent)
    if step.name in SLOPES:
        return parts_product(np, [(_exp(exponent), 1), (y if by_base else log, 1)])
    return _exp(exponent)


def _power_gap(step: Function, x: Parts, y: Parts) -> Parts:
    """x**p - y**p."""
    powers = [parts_product(np, [(a, step.order)]) for a in (x, y)]
    return parts_sum(np, [powers[0], parts_multiple(np, powers[1], -1)])


def product_of_powers(factors: Sequence[tuple[Parts, Rational]]) -> Parts:
    """A product of any constant powers."""
    plain: list[tuple[Parts, Rational]] = []
    for x, p in factors:
        if Fraction(p).denominator <= 2 and abs(p) <= POWERS:
            plain.append((x, p))
        else:
            plain.append((_power(x, parts_constant(np, p, x)), 1))
    return parts_product(np, plain)


POWERS = 16  # of a product by multiplication


def _gamma(x: Parts) -> Parts:
    """The gamma function of x from 0.5 on."""
    value = floats(x)
    good = (value >= 0.5) & (value < _MOST)
    head = np.where(good, value, 1.0)
    shift = np.clip(x[2], -3000, 3000).astype(np.int32)
    rest = np.where(good, (np.ldexp(x[0], shift) - head) + np.ldexp(x[1], shift), 0.0)
    hi, lo = gamma_kernels.log_gamma_pairs(np, (head, rest))
    log = normal_parts(np, (np.where(good, hi, np.nan), lo, np.zeros(hi.shape, np.int64)))
    return _exp(log)


def _abs(x: Parts) -> Parts:
    sign = np.where(x[0] < 0, -1.0, 1.0)
    return sign * x[0], sign * x[1], x[2]


def _cbrt(x: Parts) -> Parts:
    sign = np.where(x[0] < 0, -1.0, 1.0)
    m, lo, e = product_of_powers([(_abs(x), Fraction(1, 3))])
    return sign * m, sign * lo, e


def _cbrt_slope(x: Parts) -> Parts:
    return parts_multiple(np, product_of_powers([(_abs(x), Fraction(-2, 3))]), Fraction(1, 3))


def _logistic(name: str, x: Parts) -> Parts:
    """The logistic function, its slope, its logarithm, softplus or silu."""
    if name == "silu":
        return parts_product(np, [(x, 1), (_logistic("sigmoid", x), 1)])
    if name == "log_sigmoid":
        return parts_multiple(np, _logistic("softplus", parts_multiple(np, x, -1)), -1)
    grown = _exp(parts_multiple(np, _abs(x), -1))
    if name == "sigmoid_slope":
        whole = parts_sum(np, [parts_constant(np, 1, x), grown])
        return parts_product(np, [(grown, 1), (whole, -2)])
    if name == "sigmoid":
        one = parts_constant(np, 1, x)
        whole = parts_sum(np, [one, grown])
        return parts_product(np, [(either(x[0] < 0, grown, one), 1), (whole, -1)])
    near = _log1p(grown)
    return either(x[0] < 0, near, parts_sum(np, [x, near]))


def _erfc(xp: Any, x: Parts) -> Parts:
    value = floats(x)
    tail = value > 1.0
    scaled = OPS["erfcx"].kernel(xp, np.where(tail, value, 1.0))
    plain = OPS["erfc"].kernel(xp, np.where(tail, 1.0, value))
    zero = np.zeros(value.shape)
    found = normal_parts(np, (np.where(tail, scaled, plain), zero, zero.astype(np.int64)))
    fallen = _exp(parts_multiple(np, parts_product(np, [(x, 2)]), -1))
    return either(tail, parts_product(np, [(found, 1), (fallen, 1)]), found)


def _ndtr(xp: Any, x: Parts) -> Parts:
    rooted = parts_product(np, [(x, 1), (parts_constant(np, 2, x), Fraction(-1, 2))])
    return parts_multiple(np, _erfc(xp, parts_multiple(np, rooted, -1)), Fraction(1, 2))


def _log_ndtr(xp: Any, x: Parts) -> Parts:
    near = _log1p(parts_multiple(np, _ndtr(xp, parts_multiple(np, x, -1)), -1))
    far = parts_multiple(np, parts_product(np, [(x, 2)]), Fraction(-1, 2))  # beside a logarithm
    return either(x[0] > 0, near, either(x[2] > -NEAR, far, _in_floats(xp, "log_ndtr", x)))


def _inverse(x: Parts, y: Parts) -> Parts:
    """x/(x**2 + y**2)."""
    square = parts_sum(np, [parts_product(np, [(a, 2)]) for a in (x, y)])
    return parts_product(np, [(x, 1), (square, -1)])


def _log1mexp(x: Parts) -> Parts:
    """log(1 - exp(x)), near 0 by expm1."""
    near = _log(parts_multiple(np, _growing("expm1", x), -1))
    return either(floats(x) > -1, near, _log1p(parts_multiple(np, _exp(x), -1)))


def _log_expm1(x: Parts) -> Parts:
    """log(exp(x) - 1) of a positive x: x itself far out; nothing is known of it near its zero."""
    near = _log_of_rounded(_growing("expm1", x))
    return either(floats(x) < _LARGE, near, x)


def _log_step(base: Parts, step: Parts) -> Parts:
    """log((base + step)/base)."""
    return _log1p(parts_product(np, [(step, 1), (base, -1)]))


def _compound_sum(u: Parts, y: Parts) -> Parts:
    """((1 + u)**y - 1)/u."""
    return parts_product(np, [(_powers(Function("pow1pm1", (0, 1)), u, y), 1), (u, -1)])


def _scaled_growth(xp: Any, scaled: str, x: Parts) -> Parts:
    """A function, from what is left of it under exp(|x|)."""
    return parts_product(np, [(_near_zero(xp, scaled, x), 1), (_exp(_abs(x)), 1)])


def _bose_slope(x: Parts) -> Parts:
    """-1/(expm1(x)*expm1(-x))."""
    both = [(_growing("expm1", parts_multiple(np, x, sign)), -1) for sign in (1, -1)]
    return parts_multiple(np, parts_product(np, both), -1)


def _under_expm1(x: Parts) -> Parts:
    """-1/expm1(x)."""
    return parts_multiple(np, parts_product(np, [(_growing("expm1", x), -1)]), -1)


def _erfcx(xp: Any, x: Parts) -> Parts:
    grown = _exp(parts_product(np, [(x, 2)]))
    far = parts_product(np, [(_erfc(xp, x), 1), (grown, 1)])
    return either(x[0] < 0, far, _in_floats(xp, "erfcx", x))


def _greater(x: Parts, y: Parts, sign: int) -> Parts:
    """The greater of two numbers, or, with a sign of -1, the smaller one."""
    gap = sign * parts_sum(np, [x, parts_multiple(np, y, -1)])[0]
    m, low, e = either(gap >= 0, x, y)
    return np.where(np.isnan(gap), gap, m), low, e


def _hypot(x: Parts, y: Parts) -> Parts:
    squares = [parts_product(np, [(a, 2)]) for a in (x, y)]
    return parts_product(np, [(parts_sum(np, squares), Fraction(1, 2))])


def _root_less_1(x: Parts) -> Parts:
    """sqrt(1 + x) - 1."""
    one = parts_constant(np, 1, x)
    root = parts_product(np, [(parts_sum(np, [one, x]), Fraction(1, 2))])
    return parts_product(np, [(x, 1), (parts_sum(np, [one, root]), -1)])


LOG_OF_ROUNDED = "log_of_rounded"
CALLS: dict[str, Callable[..., Parts]] = {
    "abs": lambda xp, step, x: _abs(x),
    "bose_slope": lambda xp, step, x: _bose_slope(x),
    "cbrt": lambda xp, step, x: _cbrt(x),
    "cbrt_slope": lambda xp, step, x: _cbrt_slope(x),
    "compound_sum": lambda xp, step, u, y: _compound_sum(u, y),
    "cosh": lambda xp, step, x: _growing("cosh", x),
    "erfc": lambda xp, step, x: _erfc(xp, x),
    "erfcx": lambda xp, step, x: _erfcx(xp, x),
    "exp": lambda xp, step, x: _exp(x),
    "expm1": lambda xp, step, x: _growing("expm1", x),
    "exprel": lambda xp, step, x: _relative("expm1", x),
    "gamma": lambda xp, step, x: _gamma(x),
    "gelu": lambda xp, step, x: parts_product(np, [(x, 1), (_ndtr(xp, x), 1)]),
    "hypot": lambda xp, step, x, y: _hypot(x, y),
    "i0": lambda xp, step, x: _scaled_growth(xp, "i0e", x),
    "i1": lambda xp, step, x: _scaled_growth(xp, "i1e", x),
    "inverse_power_cos": lambda xp, step, x, y: _inverse(x, y),
    "inverse_power_sin": lambda xp, step, x, y: _inverse(y, x),
    "log": lambda xp, step, x: _log(x),
    LOG_OF_ROUNDED: lambda xp, step, x: _log_of_rounded(x),
    "log1mexp": lambda xp, step, x: _log1mexp(x),
    "log1mexp_slope": lambda xp, step, x: _under_expm1(_abs(x)),
    "log_expm1": lambda xp, step, x: _log_expm1(x),
    "log_expm1_slope": lambda xp, step, x: _under_expm1(parts_multiple(np, x, -1)),
    "log_ndtr": lambda xp, step, x: _log_ndtr(xp, x),
    "log_sigmoid": lambda xp, step, x: _logistic("log_sigmoid", x),
    "log_ratio": lambda xp, step, x, y: _log(parts_product(np, [(x, 1), (y, -1)])),
    "log_step": lambda xp, step, base, h: _log_step(base, h),
    "maximum": lambda xp, step, x, y: _greater(x, y, 1),
    "minimum": lambda xp, step, x, y: _greater(x, y, -1),
    "ndtr": lambda xp, step, x: _ndtr(xp, x),
    "pow1p": lambda xp, step, x, y: _powers(step, x, y),
    "pow1p_derivative": lambda xp, step, x, y: _powers(step, x, y),
    "pow1pm1": lambda xp, step, x, y: _powers(step, x, y),
    "power": lambda xp, step, x, y: _powers(step, x, y),
    "power_derivative": lambda xp, step, x, y: _powers(step, x, y),
    "power_gap": lambda xp, step, x, y: _power_gap(step, x, y),
    "powm1": lambda xp, step, x, y: _powers(step, x, y),
    "sech": lambda xp, step, x: parts_product(np, [(_growing("cosh", x), -1)]),
    "sech_squared": lambda xp, step, x: parts_product(np, [(_growing("cosh", x), -2)]),
    "sigmoid": lambda xp, step, x: _logistic("sigmoid", x),
    "sigmoid_slope": lambda xp, step, x: _logistic("sigmoid_slope", x),
    "silu": lambda xp, step, x: _logistic("silu", x),
    "sinhc": lambda xp, step, x: _relative("sinh", x),
    "sinh": lambda xp, step, x: _growing("sinh", x),
    "softplus": lambda xp, step, x: _logistic("softplus", x),
    "sqrt1pm1": lambda xp, step, x: _root_less_1(x),
}
CODED = frozenset(CALLS)
"""Functions that can be had of numbers with exponents."""
RANGING = CODED & (GROWS | SIZED | PRODUCTS)
"""Functions that grow beyond the range, or with their arguments, and can be had with exponents."""


def call(xp: Any, step: Function, registers: Sequence[Parts]) -> Parts:
    """The value of one function of a code."""
    xs = [registers[i] for i in step.registers]
    if step.name in CALLS:
        return CALLS[step.name](xp, step, *xs)
    if step.name == "where":
        return either(xs[0][0] != 0, *xs[1:])
    return _near_zero(xp, step.name, *xs)


def is_far(x: Parts) -> Any:
    """Where only the order of a number is known."""
    return np.abs(x[2]) > _MOST
