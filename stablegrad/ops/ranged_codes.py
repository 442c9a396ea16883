"""Codes of products, sums and functions of numbers with exponents of their own.

What leaves the range of floats on the way, or underflows, is computed again by such a code: floats
in pairs, and beside them an exponent as a whole number.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache, reduce
from typing import Any, NamedTuple

import numpy as np

from stablegrad.ops import gamma_kernels, pair_exp, pairs
from stablegrad.ops.exact import Rational
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
from stablegrad.ops.pair_codes import Function


class Rounded(NamedTuple):
    """A sum of rounded addends: where it loses more than some bits nothing is known of it.

    But what a register says, if that holds the sum as it was computed.
    """

    constant: Rational
    addends: tuple[tuple[Rational, int], ...]
    bits: int
    known: int | None = None


class Masked(NamedTuple):
    """A product, 0 where one of some conditions does not hold."""

    product: Product
    masks: tuple[int, ...]


class Nonzero(NamedTuple):
    """A register that is proved to be no zero: one that it holds nevertheless underflowed."""

    register: int
    sign: int


Code = tuple[Sum | Rounded | Product | Masked | Function | Nonzero, ...]

_MOST = 2.0**45  # exponents up to here are reduced to enough digits
_FARTHEST = 2.0**48  # exponents farther off are no farther
_SURE = 2.0**58  # powers of such that are no longer told apart
_TINY = 2.0**-110  # up to here expm1(x) is x, of pairs too
_LARGE = 40.0  # from here on exp(-2*x) is nothing beside 1
CANCELLED = 3
"""Bits that a sum of rounded numbers may lose."""
IN_PAIRS = 96
"""Bits that a sum of pairs may lose."""
_LN2 = pairs.split(pair_exp.LN2)


def _exp(x: Parts) -> Parts:
    """exp; beyond all reduction a number of about its exponent, which ``run_parts`` knows of."""
    hi, lo, e = x
    shift = np.clip(e, -3000, 1000).astype(np.int32)
    u, rest = np.ldexp(hi, shift), np.ldexp(lo, shift)
    far = np.abs(u) >= _MOST
    beyond = np.clip(np.rint(u / _LN2[0]), -_FARTHEST, _FARTHEST)
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
    sign = np.where(value < 0, -1.0, 1.0)
    m, lo, e = _exp((sign * x[0], sign * x[1], x[2]))
    if name == "expm1":
        falls = value < 0
        m, lo, e = np.where(falls, -1.0, m), np.where(falls, 0.0, lo), np.where(falls, 0, e)
    else:
        sign = sign if name == "sinh" else 1.0
        m, lo, e = sign * m, sign * lo, e - 1
    inside = np.abs(value) < _LARGE
    found = _either(inside, small, (m, lo, e))
    if name == "cosh":
        return found
    return _either(np.abs(value) < _TINY, x, found)  # which has more digits than a subnormal


def _either(first: Any, x: Parts, y: Parts) -> Parts:
    m, lo, e = [np.where(first, a, b) for a, b in zip(x, y, strict=True)]
    return m, lo, e


def _exprel(x: Parts) -> Parts:
    """expm1(x)/x."""
    zero = x[0] == 0
    one = np.where(zero, 1.0, x[0]), np.where(zero, 0.0, x[1]), x[2]
    m, lo, e = parts_product(np, [(_growing("expm1", one), 1), (one, -1)])
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
    return np.where(np.abs(floats((m, low, e))) < 2.0**-CANCELLED, np.nan, m), low, e


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
CODED = RANGING | {"log", "maximum", "minimum"}
"""Functions that can be had of numbers with exponents."""


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


LOG_OF_ROUNDED = "log_of_rounded"
UNARY = {
    "exp": _exp,
    "log": _log,
    LOG_OF_ROUNDED: _log_of_rounded,
    "exprel": _exprel,
    "gamma": _gamma,
}


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
    if step.name in ("maximum", "minimum"):
        x, y = xs
        gap = parts_sum(np, [x, parts_multiple(np, y, -1)])[0]
        m, low, e = _either(gap >= 0 if step.name == "maximum" else gap <= 0, x, y)
        return np.where(np.isnan(gap), gap, m), low, e
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


@cache
def decisive(code: Code, leaves: int) -> frozenset[int]:
    """The leaves of a code that make it 0 where they are: the factors of a product."""
    zeros = set(range(leaves))
    for step in code:
        if isinstance(step, Nonzero):
            zeros.discard(step.register)
        elif isinstance(step, Product):
            if any(p < 0 for _, p in step.factors):
                return frozenset()
        elif isinstance(step, Function | Masked) or step.constant != 0 or len(step.addends) > 1:
            return frozenset()
    return frozenset(zeros)


@cache
def optional(code: Code) -> frozenset[int]:
    """The leaves that a code can do without: they need not be finite."""
    return frozenset([s.known for s in code if isinstance(s, Rounded) and s.known is not None])


def run_parts(xs: Sequence[Any], code: Code) -> tuple[Parts, Any]:
    """The result of a code on finite floats, and where it is the root of a negative."""
    numbers = [x.astype(float) if x.dtype.kind == "b" else x for x in xs]
    registers = [normal_parts(np, (x, 0.0 * x, np.zeros(x.shape, np.int64))) for x in numbers]
    none = np.zeros(xs[0].shape, bool)
    far = _Far()
    for step in code:
        if isinstance(step, Function):
            out = _call(step, registers)
            far.made(out, [registers[i] for i in step.registers])
        elif isinstance(step, Nonzero):
            m, low, e = registers[step.register]
            zero = m == 0
            out = np.where(zero, 0.5 * step.sign, m), low, np.where(zero, -int(_FARTHEST), e)
            far.made(out, [registers[step.register]])
        elif isinstance(step, Product):
            out, rooted = _rooted(step, registers)
            none |= rooted
        elif isinstance(step, Masked):
            out, rooted = _rooted(step.product, registers)
            holds = np.logical_and.reduce([registers[i][0] != 0 for i in step.masks])
            none |= rooted & holds
            zero = np.zeros(none.shape)
            out = _either(holds, out, (zero, zero, np.zeros(none.shape, np.int64)))
        else:
            terms = [parts_multiple(np, registers[i], c) for c, i in step.addends]
            if step.constant != 0:
                terms.append(parts_constant(np, step.constant, terms[0]))
            out = parts_sum(np, terms)
            if isinstance(step, Rounded):
                out = _told(out, terms, step.bits)
                if step.known is not None:
                    own = registers[step.known]
                    out = _either(np.isnan(out[0]) & np.isfinite(own[0]), own, out)
            far.summed(terms)
        registers.append(out)
    m, low, e = registers[-1]
    return (np.where(far.lost(registers), np.nan, m), low, e), none


def _rooted(step: Product, registers: Sequence[Parts]) -> tuple[Parts, Any]:
    """A product, and where it has the root of a negative."""
    factors = [(registers[i], p) for i, p in step.factors]
    none: Any = False
    for x, p in factors:
        none = none | ((x[0] < 0) & isinstance(p, Fraction))
    return _product(factors), none


class _Far:
    """Follows numbers of which only the order is known: enough for u/(1 + u), not for u/v."""

    def __init__(self) -> None:
        self.sources: Any = 0
        self.met: Any = False
        """Where two such are added."""

    def made(self, out: Parts, given: Sequence[Parts]) -> None:
        """A result that may be such a number although what it is made of is none."""
        far = is_far(out)
        if np.any(far):
            self.sources = self.sources + (far & ~np.logical_or.reduce([is_far(x) for x in given]))

    def summed(self, terms: Sequence[Parts]) -> None:
        """The addends of a sum."""
        if np.any(self.sources):
            self.met = self.met | (sum([is_far(x).astype(int) for x in terms]) > 1)

    def lost(self, registers: Sequence[Parts]) -> Any:
        """Where nothing is known of the last register."""
        if not np.any(self.sources):
            return False
        beyond = np.logical_or.reduce([np.abs(e) > _SURE for *_, e in registers])
        return beyond | ((self.sources > 1) & (self.met | ~is_far(registers[-1])))


def is_far(x: Parts) -> Any:
    """Where only the order of a number is known."""
    return np.abs(x[2]) > _MOST


def _told(total: Parts, terms: Sequence[Parts], bits: int) -> Parts:
    """A sum, nan where it lost more than some bits."""
    zero = np.iinfo(np.int64).min // 2
    top = reduce(np.maximum, [np.where(m == 0, zero, e) for m, _, e in terms])
    lost = (top != zero) & ((total[0] == 0) | (top - total[2] > bits))
    return np.where(lost, np.nan, total[0]), total[1], total[2]
