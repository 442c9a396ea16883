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

from stablegrad.ops.exact import Rational
from stablegrad.ops.lowered_arithmetic import (
    Parts,
    Product,
    Sum,
    normal_parts,
    parts_constant,
    parts_multiple,
    parts_sum,
)
from stablegrad.ops.pair_codes import Function
from stablegrad.ops.ranged_functions import FARTHEST, call, either, is_far, product_of_powers


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


class Required(NamedTuple):
    """A register, nan where a condition does not hold."""

    register: int
    condition: int


class Nonzero(NamedTuple):
    """A register that is proved to be no zero: one that it holds nevertheless underflowed."""

    register: int
    sign: int


Code = tuple[Sum | Rounded | Product | Masked | Required | Function | Nonzero, ...]

_SURE = 2.0**58  # powers of such that are no longer told apart
_COUNTED = FARTHEST / 2
CANCELLED = 3
"""Bits that a sum of rounded numbers may lose."""
IN_PAIRS = 96
"""Bits that a sum of pairs may lose."""


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
        elif (
            isinstance(step, Function | Masked | Required)
            or step.constant != 0
            or len(step.addends) > 1
        ):
            return frozenset()
    return frozenset(zeros)


@cache
def optional(code: Code) -> frozenset[int]:
    """The leaves that a code can do without: they need not be finite."""
    return frozenset([s.known for s in code if isinstance(s, Rounded) and s.known is not None])


def run_parts(xp: Any, xs: Sequence[Any], code: Code) -> tuple[Parts, Any]:
    """The result of a code on finite floats, and where it is the root of a negative."""
    numbers = [x.astype(float) if x.dtype.kind == "b" else x for x in xs]
    registers = [normal_parts(np, (x, 0.0 * x, np.zeros(x.shape, np.int64))) for x in numbers]
    none = np.zeros(xs[0].shape, bool)
    far = _Far()
    for step in code:
        if isinstance(step, Function):
            out = call(xp, step, registers)
            # the exponential of what is far is of another order
            given = step.registers if step.name in _OF_ONE_ORDER else ()
            far.used(step.registers)
            far.made(len(registers), out, [registers[i] for i in given])
        elif isinstance(step, Nonzero):
            m, low, e = registers[step.register]
            zero = m == 0
            out = np.where(zero, 0.5 * step.sign, m), low, np.where(zero, -int(FARTHEST), e)
            far.made(len(registers), out, [registers[step.register]])
        elif isinstance(step, Required):
            m, low, e = registers[step.register]
            out = np.where(registers[step.condition][0] != 0, m, np.nan), low, e
            far.used([step.register])
        elif isinstance(step, Product):
            out, rooted = _rooted(step, registers)
            far.multiplied(step, registers, True)
            none |= rooted
        elif isinstance(step, Masked):
            out, rooted = _rooted(step.product, registers)
            holds = np.logical_and.reduce([registers[i][0] != 0 for i in step.masks])
            far.multiplied(step.product, registers, holds)
            none |= rooted & holds
            zero = np.zeros(none.shape)
            out = either(holds, out, (zero, zero, np.zeros(none.shape, np.int64)))
        else:
            terms = [parts_multiple(np, registers[i], c) for c, i in step.addends]
            if step.constant != 0:
                terms.append(parts_constant(np, step.constant, terms[0]))
            out = parts_sum(np, terms)
            if isinstance(step, Rounded):
                out = _told(out, terms, step.bits)
                if step.known is not None:
                    own = registers[step.known]
                    out = either(np.isnan(out[0]) & np.isfinite(own[0]), own, out)
            far.used([i for _, i in step.addends])
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
    return product_of_powers(factors), none


_OF_ONE_ORDER = frozenset(["abs", "hypot", "maximum", "minimum", "log"])


class _Far:
    """Follows numbers of which only the order is known: enough for u/(1 + u), not for u/v."""

    def __init__(self) -> None:
        self.sources: dict[int, Any] = {}
        """By the register, where such a number came up."""
        self.counts: dict[int, Any] = {}
        """By the register, where it is used, but in products of which a condition does not hold."""
        self.met: Any = False
        """Where two such are added, or one is divided by another."""

    def made(self, register: int, out: Parts, given: Sequence[Parts]) -> None:
        """A result that may be such a number although what it is made of is none."""
        far = is_far(out)
        if np.any(far):
            known = np.logical_or.reduce([is_far(x) for x in given]) if given else False
            self.sources[register] = far & ~known

    def used(self, registers: Sequence[int], holds: Any = True) -> None:
        """Registers that are used, where a condition holds."""
        for i in registers:
            if i in self.sources:
                self.counts[i] = self.counts.get(i, False) | holds

    def summed(self, terms: Sequence[Parts]) -> None:
        """The addends of a sum."""
        if self.sources:
            self.met = self.met | (sum([is_far(x).astype(int) for x in terms]) > 1)

    def multiplied(self, step: Product, registers: Sequence[Parts], holds: Any) -> None:
        """The factors of a product, some of which are as far off as is counted."""
        if self.sources:
            self.used([i for i, _ in step.factors], holds)
            order = [registers[i][2] * (1 if p > 0 else -1) for i, p in step.factors]
            above = np.logical_or.reduce([e >= _COUNTED for e in order])
            below = np.logical_or.reduce([e <= -_COUNTED for e in order])
            self.met = self.met | (above & below & holds)

    def lost(self, registers: Sequence[Parts]) -> Any:
        """Where nothing is known of the last register."""
        if not self.sources:
            return False
        self.used([len(registers) - 1])
        sources = sum([x & self.counts.get(i, False) for i, x in self.sources.items()])
        beyond = np.logical_or.reduce([np.abs(e) > _SURE for *_, e in registers])
        return beyond | ((sources > 1) & (self.met | ~is_far(registers[-1])))


def _told(total: Parts, terms: Sequence[Parts], bits: int) -> Parts:
    """A sum, nan where it lost more than some bits."""
    zero = np.iinfo(np.int64).min // 2
    top = reduce(np.maximum, [np.where(m == 0, zero, e) for m, _, e in terms])
    lost = (top != zero) & ((total[0] == 0) | (top - total[2] > bits))
    return np.where(lost, np.nan, total[0]), total[1], total[2]
