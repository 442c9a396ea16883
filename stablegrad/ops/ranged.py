"""Products of sums and products that may leave the range of floats where the whole does not.

``ranged_product`` multiplies as ``scaled_product`` does. Elements of which a factor overflowed or
underflowed on the way are redone from what the factors are made of, with exponents of their own:
(1 + x**8)/(1 + x**9) at 1e60, sqrt(x*y) at 1e200.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops import gamma_kernels, pair_exp, pairs
from stablegrad.ops.exact import Rational
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered import SCALED_PRODUCT, Origin
from stablegrad.ops.lowered_arithmetic import (
    Parts,
    Product,
    Sum,
    normal_parts,
    parts_constant,
    parts_multiple,
    parts_product,
    parts_sum,
)
from stablegrad.ops.lowered_logs import log_in_parts
from stablegrad.ops.pair_codes import Function
from stablegrad.ops.record import broadcast, declare

Code = tuple[Sum | Product | Function, ...]

_MOST = 2.0**45  # exponents up to here are reduced to enough digits
_LARGE = 40.0  # from here on exp(-2*x) is nothing beside 1
_LN2 = pairs.split(pair_exp.LN2)


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def _exp(x: Parts) -> Parts:
    hi, lo, e = x
    shift = np.clip(e, -3000, 1000).astype(np.int32)
    u, rest = np.ldexp(hi, shift), np.ldexp(lo, shift)
    u = np.where(np.abs(u) < _MOST, u, np.nan)
    k = np.rint(np.where(np.isfinite(u), u, 0.0) / _LN2[0])
    zero = 0.0 * k
    less = pairs.multiply((k, zero), (_LN2[0] + zero, _LN2[1] + zero))
    r = pairs.add((u, rest), pairs.negative(less))
    m = np.exp(r[0])
    return normal_parts(np, (m, m * r[1], k.astype(np.int64)))


def _floats(x: Parts) -> Any:
    return np.ldexp(x[0] + x[1], np.clip(x[2], -3000, 3000).astype(np.int32))


def _growing(name: str, x: Parts) -> Parts:
    """expm1, sinh or cosh: an exponential far out."""
    value = _floats(x)
    near = getattr(np, name)(np.where(np.abs(value) < _LARGE, value, 0.0))
    zero = np.zeros(near.shape)
    small = normal_parts(np, (near, zero, np.zeros(near.shape, np.int64)))
    sign = np.where(value < 0, -1.0, 1.0)
    m, lo, e = _exp((sign * x[0], sign * x[1], x[2]))
    if name == "expm1":
        falls = value < 0
        m, lo, e = np.where(falls, -1.0, m), np.where(falls, 0.0, lo), np.where(falls, 0, e)
    else:
        sign = sign if name == "sinh" else 1.0
        m, lo, e = sign * m, sign * lo, e - 1
    inside = np.abs(value) < _LARGE
    return tuple(  # type: ignore[return-value]
        [np.where(inside, a, b) for a, b in zip(small, (m, lo, e), strict=True)]
    )


def _exprel(x: Parts) -> Parts:
    """expm1(x)/x."""
    zero = x[0] == 0
    one = np.where(zero, 1.0, x[0]), np.where(zero, 0.0, x[1]), x[2]
    m, lo, e = parts_product(np, [(_growing("expm1", one), 1), (one, -1)])
    return np.where(zero, 1.0, m), np.where(zero, 0.0, lo), np.where(zero, 0, e)


def _log(x: Parts) -> Parts:
    """The logarithm of a positive x."""
    good = (x[0] > 0) & np.isfinite(x[0])
    m = pair_exp.log_of_pair(np, (np.where(good, x[0], 1.0), np.where(good, x[1], 0.0)))
    zero = 0.0 * m[0]
    scale = pairs.multiply((x[2] + zero, zero), (_LN2[0] + zero, _LN2[1] + zero))
    hi, lo = pairs.add(scale, m)
    return normal_parts(np, (np.where(good, hi, np.nan), lo, np.zeros(zero.shape, np.int64)))


def _power(x: Parts, y: Parts) -> Parts:
    """x**y of a positive x."""
    return _exp(parts_product(np, [(_log(x), 1), (y, 1)]))


def _slope_of_power(x: Parts, y: Parts) -> Parts:
    """y*x**(y - 1): the derivative of a power by its base."""
    less = parts_sum(np, [y, parts_constant(np, -1, y)])
    return parts_product(np, [(y, 1), (_power(x, less), 1)])


def _product(factors: Sequence[tuple[Parts, Rational]]) -> Parts:
    """A product of any constant powers."""
    plain: list[tuple[Parts, Rational]] = []
    for x, p in factors:
        if Fraction(p).denominator <= 2 and abs(p) <= POWERS:
            plain.append((x, p))
        else:
            plain.append((_power(x, parts_constant(np, p, x)), 1))
    return parts_product(np, plain)


POWERS = 16  # of a product by multiplication

RANGING = frozenset(
    "exp expm1 exprel sinh cosh power power_derivative gamma hypot abs sech sech_squared".split()
)
"""Functions that leave the range, and can be had with exponents."""
CODED = RANGING | {"log"}
"""Functions that can be had of numbers with exponents."""


def _gamma(x: Parts) -> Parts:
    """The gamma function of x from 0.5 on."""
    value = _floats(x)
    good = (value >= 0.5) & (value < _MOST)
    head = np.where(good, value, 1.0)
    shift = np.clip(x[2], -3000, 3000).astype(np.int32)
    rest = np.where(good, (np.ldexp(x[0], shift) - head) + np.ldexp(x[1], shift), 0.0)
    hi, lo = gamma_kernels.log_gamma_pairs(np, (head, rest))
    log = normal_parts(np, (np.where(good, hi, np.nan), lo, np.zeros(hi.shape, np.int64)))
    return _exp(log)


UNARY = {"exp": _exp, "log": _log, "exprel": _exprel, "gamma": _gamma}


def _call(step: Function, registers: Sequence[Parts]) -> Parts:
    xs = [registers[i] for i in step.registers]
    if step.name in UNARY:
        return UNARY[step.name](*xs)
    if step.name == "power":
        return _power(*xs)
    if step.name == "power_derivative" and step.order == 1:
        return _slope_of_power(*xs)
    if step.name == "power_derivative":
        return parts_product(np, [(_power(*xs), 1), (_log(xs[0]), 1)])
    if step.name == "abs":
        (x,) = xs
        sign = np.where(x[0] < 0, -1.0, 1.0)
        return sign * x[0], sign * x[1], x[2]
    if step.name == "hypot":
        squares = [parts_product(np, [(x, 2)]) for x in xs]
        return parts_product(np, [(parts_sum(np, squares), Fraction(1, 2))])
    if step.name in ("sech", "sech_squared"):
        power = -1 if step.name == "sech" else -2
        return parts_product(np, [(_growing("cosh", xs[0]), power)])
    return _growing(step.name, *xs)


def run_parts(xs: Sequence[Any], code: Code) -> Parts:
    """The result of a code on finite floats."""
    registers = [normal_parts(np, (x, 0.0 * x, np.zeros(x.shape, np.int64))) for x in xs]
    for step in code:
        if isinstance(step, Function):
            registers.append(_call(step, registers))
        elif isinstance(step, Product):
            registers.append(_product([(registers[i], p) for i, p in step.factors]))
        else:
            terms = [parts_multiple(np, registers[i], c) for c, i in step.addends]
            if step.constant != 0:
                terms.append(parts_constant(np, step.constant, terms[0]))
            registers.append(parts_sum(np, terms))
    return registers[-1]


def _ranged_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Origin, ...],
    watched: tuple[tuple[int, bool], ...],
    code: Code,
) -> Any:
    plain, leaves = split_arguments(args, powers, again)
    value = SCALED_PRODUCT.kernel(xp, *plain, powers=powers, factor=factor, again=again)
    lost: Any = False
    for i, small in watched:
        x = plain[i]
        if not small:  # plain sums only overflow
            if not np.isfinite(np.add.reduce(x, axis=None)):
                lost = lost | np.isinf(x)
            continue
        size = np.abs(x)
        if np.min(size, initial=np.inf) >= TINY and np.max(size, initial=0.0) < np.inf:
            continue
        lost = lost | ~((size >= TINY) & (size < np.inf))
    if lost is False:
        return value
    value, lost, *numbers = np.broadcast_arrays(value, lost, *leaves)
    for x in numbers:
        lost = lost & np.isfinite(x)
    if not np.any(lost):
        return value
    with np.errstate(all="ignore"):
        m, low, e = parts_multiple(np, run_parts([x[lost] for x in numbers], code), factor)
        again_value = np.ldexp(m + low, np.clip(e, -5000, 5000).astype(np.int32))
    value = np.array(value)
    value[lost] = np.where(np.isfinite(m + low), again_value, value[lost])
    return value


def _ranged_log(xp: Any, value: Any, total: Any, *leaves: Any, least: float, code: Code) -> Any:
    if xp.name != "numpy":
        return value

    def log(x: Parts) -> Any:
        zero = 0.0 * x[0]
        found = log_in_parts(np, (x[0], x[1]), x[2], (zero, zero))
        return np.where(x[0] > 0, found, np.nan)

    return _redone(value, total, leaves, least, code, log)


def _ranged_power(xp: Any, value: Any, base: Any, *leaves: Any, code: Code) -> Any:
    if xp.name != "numpy":
        return value
    return _redone(value, base, leaves, TINY, code, _floats)


def _redone(
    value: Any,
    total: Any,
    leaves: Sequence[Any],
    least: float,
    code: Code,
    finish: Callable[[Parts], Any],
) -> Any:
    """The value, but what ``finish`` makes of the code where the total left the range."""
    size = np.abs(total)
    lost = ~((size >= least) & (size < np.inf))
    if not np.any(lost):
        return value
    value, lost, *numbers = np.broadcast_arrays(value, lost, *leaves)
    for x in numbers:
        lost = lost & np.isfinite(x)
    if not np.any(lost):
        return value
    with np.errstate(all="ignore"):
        again = finish(run_parts([x[lost] for x in numbers], code))
    value = np.array(value)
    value[lost] = np.where(np.isfinite(again), again, value[lost])
    return value


TINY = 4 * float(np.finfo(np.float64).tiny)
"""Below this a factor may have lost digits."""


def split_arguments(
    args: tuple[Any, ...], powers: tuple[Rational, ...], again: tuple[Origin, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arguments that ``scaled_product`` takes, and the leaves of the code."""
    n = len(powers) + sum([sum(counts) for *_, counts in again])
    return args[:n], args[n:]


RANGED_LOG = declare(
    "ranged_log",
    family="lowered",
    params=("least", "code"),
    infer=_infer,
    kernel=_ranged_log,
    elementwise=True,
    source="log(m * 2**e) = log(m) + e*log(2)",
    doc="A log, given its value and argument as floats, of an argument that left their range.",
)

RANGED_POWER = declare(
    "ranged_power",
    family="lowered",
    params=("code",),
    infer=_infer,
    kernel=_ranged_power,
    elementwise=True,
    source="x**y = exp(y*log(x))",
    doc="A power, given its value and base as floats, of a base that left their range.",
)

RANGED_PRODUCT = declare(
    "ranged_product",
    family="lowered",
    params=("powers", "factor", "again", "watched", "code"),
    infer=_infer,
    kernel=_ranged_product,
    elementwise=True,
    source="IEEE 754 scaling by powers of two is exact",
    doc="A product of powers of sums and products, of which neither intermediates nor factors "
    "leave the range.",
)
