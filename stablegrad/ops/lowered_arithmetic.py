"""A whole sum of products, quotients, roots and further sums, evaluated in pairs.

``rational_sum`` is emitted where what cancels is itself computed from exact numbers: in
1 - x/y the rounding of the quotient is all that is left when x is near y. Every intermediate is
an unevaluated sum hi + lo of twice the precision; elements where one of them leaves the range
are redone with exponents of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache, reduce
from typing import Any, NamedTuple

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops import pairs
from stablegrad.ops.exact import Rational
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.pairs import Pair
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import settle


class Sum(NamedTuple):
    """constant + the sum of coefficient * register."""

    constant: Rational
    addends: tuple[tuple[Rational, int], ...]


class Product(NamedTuple):
    """The product of register ** power; powers are multiples of one half."""

    factors: tuple[tuple[int, Rational], ...]


Code = tuple[Sum | Product, ...]
"""The arguments are the first registers; each instruction writes the next, the last the result."""

Parts = tuple[Any, Any, Any]
"""(hi + lo) * 2**exponent, hi a mantissa in [0.5, 1) or 0."""

_DIGITS = 46  # that a sum of pairs may lose
_LOWEST = -(2**62)
_LOW, _HIGH = 1e-140, 1e140  # between these the errors of products are exact


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


@cache
def _constant(c: Rational) -> Pair:
    return pairs.split(c)


# -- in pairs -----------------------------------------------------------------------------


def _run_pairs(xp: Any, xs: Sequence[Any], code: Code) -> Iterator[Pair]:
    """The value of each instruction as a pair."""
    registers: list[Pair] = [(x, 0.0 * x) for x in xs]
    for step in code:
        if isinstance(step, Sum):
            constant, addends = step
            out = multiple(registers[addends[0][1]], addends[0][0])
            for c, i in addends[1:]:
                out = pairs.add(out, multiple(registers[i], c))
            if constant != 0:
                out = pairs.add(out, _constant(constant))
        else:
            out = product([(registers[i], p) for i, p in step.factors], xp)
        registers.append(out)
        yield out


def multiple(x: Pair, c: Rational) -> Pair:
    """A pair times an exact constant."""
    if c == 1:
        return x
    if c == -1:
        return pairs.negative(x)
    return pairs.multiply(x, _constant(c))


def product(factors: Sequence[tuple[Pair, Rational]], xp: Any) -> Pair:
    """A product of powers of pairs; a power of a quotient as such: squares may leave the range."""
    if len(factors) == 2 and factors[0][1] == -factors[1][1] and abs(factors[0][1]) > 1:
        (x, p), (y, _) = factors
        ratio = pairs.divide(x, y) if p > 0 else pairs.divide(y, x)
        return product([(ratio, abs(p))], xp)
    above = below = None
    for x, p in factors:
        base = pairs.sqrt(xp, x) if isinstance(p, Fraction) else x
        n = abs(int(2 * p) if isinstance(p, Fraction) else p)
        term = pairs.power(base, n)
        if p > 0:
            above = term if above is None else pairs.multiply(above, term)
        else:
            below = term if below is None else pairs.multiply(below, term)
    if below is None:
        assert above is not None
        return above
    if above is None:
        above = (1.0 + 0.0 * below[0], 0.0 * below[0])
    return pairs.divide(above, below)


# -- with exponents -----------------------------------------------------------------------


def _run_parts(xp: Any, xs: Sequence[Any], code: Code) -> tuple[Parts, Any]:
    """The result with exponents of their own, for elements that leave the range.

    And where a sum vanished beside its addends.
    """
    lost: Any = False
    registers: list[Parts] = [
        normal_parts(xp, (x, 0.0 * x, xp.zeros(x.shape, np.int64))) for x in xs
    ]
    for step in code:
        if isinstance(step, Sum):
            constant, addends = step
            terms = [parts_multiple(xp, registers[i], c) for c, i in addends]
            if constant != 0:
                terms.append(parts_constant(xp, constant, terms[0]))
            out = parts_sum(xp, terms)
            if not _is_exact(step, len(xs)):
                top = reduce(xp.maximum, [xp.where(m == 0, _LOWEST, e) for m, _, e in terms])
                lost = lost | ((top != _LOWEST) & ((out[0] == 0) | (top - out[2] > _DIGITS)))
        else:
            out = parts_product(xp, [(registers[i], p) for i, p in step.factors])
        registers.append(out)
    return registers[-1], lost


def _is_exact(step: Sum, given: int) -> bool:
    """Whether a sum is of two of the numbers that are given."""
    return all(i < given for _, i in step.addends) and len(step.addends) < 3


def parts_constant(xp: Any, c: Rational, like: Parts) -> Parts:
    """An exact constant, of the shape of a number."""
    one = (xp.ones_like(like[0]), xp.zeros_like(like[0]), xp.zeros_like(like[2]))
    return parts_multiple(xp, normal_parts(xp, one), c)


def normal_parts(xp: Any, x: Parts) -> Parts:
    """A number with its mantissa in [0.5, 1)."""
    hi, lo, e = x
    m, shift = xp.frexp(hi)
    return m, xp.ldexp(lo, -shift), xp.where(m == 0, 0, e + shift)


def parts_multiple(xp: Any, x: Parts, c: Rational) -> Parts:
    """A number times an exact constant."""
    if c in (1, -1):
        return c * x[0], c * x[1], x[2]
    size = abs(Fraction(c))
    shift = size.numerator.bit_length() - size.denominator.bit_length()
    mantissa = _constant(Fraction(c) / Fraction(2) ** shift)
    return normal_parts(xp, (*pairs.multiply((x[0], x[1]), mantissa), x[2] + shift))


def parts_sum(xp: Any, terms: Sequence[Parts]) -> Parts:
    """The sum of numbers."""
    top = reduce(xp.maximum, [xp.where(m == 0, _LOWEST, e) for m, _, e in terms])
    top = xp.where(top == _LOWEST, 0, top)
    out: Pair | None = None
    for hi, lo, e in terms:
        shift = xp.clip(e - top, -3000, 0).astype(np.int32)
        addend = xp.ldexp(hi, shift), xp.ldexp(lo, shift)
        out = addend if out is None else pairs.add(out, addend)
    assert out is not None
    return normal_parts(xp, (*out, top))


def parts_product(xp: Any, factors: Sequence[tuple[Parts, Rational]]) -> Parts:
    """The product of powers that are multiples of one half."""
    pairwise: list[tuple[Pair, Rational]] = []
    exponent: Any = 0
    for (hi, lo, e), p in factors:
        odd = (e % 2) if isinstance(p, Fraction) else 0 * e  # halves of odd exponents
        scale = xp.where(odd == 1, 2.0, 1.0)
        pairwise.append(((hi * scale, lo * scale), p))
        exponent = exponent + (e - odd) // (1 if isinstance(p, int) else 2) * int(
            p if isinstance(p, int) else 2 * p
        )
    value = product(pairwise, xp)
    return normal_parts(xp, (*value, exponent + xp.zeros(value[0].shape, np.int64)))


# -- the op -------------------------------------------------------------------------------


def _rational_sum(xp: Any, *xs: Any, code: Code) -> Any:
    if xp.name != "numpy":
        return _traced(xp, xs, code)
    try:
        with np.errstate(all="raise"):
            found = list(_run_pairs(xp, xs, code))
            hi, lo = found[-1]
            lost = _lost([*xs, *[out[0] for out in found]], code)
        value = hi + lo
    except FloatingPointError:
        value, lost = _redone(xp, xs, code)
    return _told(xp, value, lost, xs, code) if np.any(lost) else value


def _lost(registers: Sequence[Any], code: Code) -> Any:
    """Where a sum is so much smaller than its addends that pairs may not tell it.

    A sum of two of the numbers that are given is exact.
    """
    lost: Any = False
    given = len(registers) - len(code)
    for step, out in zip(code, registers[given:], strict=True):
        if not isinstance(step, Sum) or _is_exact(step, given):
            continue
        c, i = step.addends[0]
        size = abs(float(c)) * np.abs(registers[i])
        for c, i in step.addends[1:]:
            size = np.maximum(size, abs(float(c)) * np.abs(registers[i]))
        lost = lost | (2.0**-_DIGITS * size > np.abs(out))
    return lost


def _told(xp: Any, value: Any, lost: Any, xs: Sequence[Any], code: Code) -> Any:
    """The value with what pairs cannot tell settled, as far as the engine can."""
    value, lost, *columns = np.broadcast_arrays(value, lost, *xs)
    value = np.array(value)
    again = value[lost]
    settle(xp, again, np.ones(again.shape, bool), [x[lost] for x in columns], code)
    value[lost] = again
    return value


def _traced(xp: Any, xs: Sequence[Any], code: Code) -> Any:
    """The result where no value can be looked at: with exponents throughout."""
    arrays = xp.broadcast_arrays(*xs)
    (m, low, e), _ = _run_parts(xp, arrays, code)
    scaled = xp.ldexp(m + low, xp.clip(e, -5000, 5000))
    return xp.where(xp.isfinite(m + low), scaled, _evaluated(xp, arrays, code))


def _redone(xp: Any, xs: Sequence[Any], code: Code) -> tuple[Any, Any]:
    """The result, elements that are not sure to be in range redone with exponents.

    And where that may be wrong, because it vanished beside what it was made of.
    """
    arrays = np.broadcast_arrays(*xs)
    plain = np.array(_evaluated(xp, arrays, code))  # with IEEE's infinities and nans
    finite = np.logical_and.reduce([np.isfinite(x) for x in arrays])
    good = np.ones(plain.shape, bool)
    found = list(_run_pairs(xp, arrays, code))
    registers = [*arrays, *[out[0] for out in found]]
    for x in registers:
        size = np.abs(x)
        good &= (size > _LOW) & (size < _HIGH)
    value = found[-1]
    result = np.where(good, value[0] + value[1], plain)
    redo = finite & ~good
    lost = np.array(good & _lost(registers, code))
    if redo.any():
        (m, low, e), lost[redo] = _run_parts(xp, [np.asarray(x[redo]) for x in arrays], code)
        scaled = np.ldexp(m + low, np.clip(e, -5000, 5000).astype(np.int32))
        defined = np.isfinite(m + low)
        result[redo] = np.where(defined, scaled, plain[redo])
    return result, lost


def _evaluated(xp: Any, xs: Sequence[Any], code: Code) -> Any:
    registers = list(xs)
    for step in code:
        if isinstance(step, Sum):
            constant, addends = step
            out: Any = float(constant)
            for c, i in addends:
                out = out + float(c) * registers[i]
        else:
            out = 1.0
            for i, p in step.factors:
                out = out * xp.power(registers[i], float(p))
        registers.append(out)
    return registers[-1]


RATIONAL_SUM = declare(
    "rational_sum",
    family="lowered",
    params=("code",),
    infer=_infer,
    kernel=_rational_sum,
    elementwise=True,
    source="Dekker 1971; Hida, Li and Bailey 2001: double-double arithmetic",
    doc="A sum of products, quotients and sums of floats, rounded about once.",
)
