"""In what range the values of lowered terms are: what float64 holds without exponents apart."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stablegrad.engines.xla.single import DEGREE, WIDE
from stablegrad.ir import Term
from stablegrad.ops.record import CONST

_SINGLE = 128
"""What is held in float32 is below 2 to this power."""


def grown(term: Term, sizes: Sequence[float]) -> float:
    """The degree of a term by those of its arguments, as its record has it."""
    powers = term.op.degree
    if powers:
        return sum(p * n for p, n in zip(powers, sizes, strict=True))
    return max(sizes, default=1)


def degrees(order: Sequence[Term]) -> dict[Term, float]:
    """Of how many float32 numbers a float64 term is a product, at most; infinite if unknown.

    Up to seven of them, and sums of such products, stay far inside the range of float64.
    """
    found: dict[Term, float] = {}
    for term in order:
        args = [found[a] for a in term.args]
        degree = math.inf
        if term.dtype != WIDE or term.op is CONST:
            degree = 1
        elif term.op.name == "scaled_product":
            powers, _, again = term.params
            pairs = zip(powers, args[: len(powers)], strict=True)
            degree = math.inf if again else sum(abs(p) * d for p, d in pairs)
        elif term.op.name == "compensated_sum":
            left, degree = list(args), 0.0
            for n in term.params[2]:
                degree = max(degree, sum(left[:n]))
                del left[:n]
        elif term.op.degree is not None:
            degree = grown(term, args)
        found[term] = degree
    return found


BITS = 870
"""What falls below the range of float64 and grows by less is below that of float32 still."""


class Reach(NamedTuple):
    """How great a value, and how great its reciprocal may be: logarithms to base 2."""

    up: float
    down: float


_LEAST = 149
SINGLE_UP, SINGLE_DOWN = _SINGLE + 8, _LEAST + 8
"""Beyond these a value leaves the range of float32 by more than a sum of a few numbers does."""
LOGARITHMS = frozenset("log log2 log10 log1p".split())
_LOGARITHM = 7.3  # of a float32


def reached(term: Term, known: Mapping[Term, Reach], bounds: Mapping[Term, float]) -> Reach:
    """The reach of a term in float64.

    Args:
        term: an operation of float32.
        known: the reaches of terms held in float64; the others are held in float32.
        bounds: the logarithms of bounds of terms held in float32, as ``sizes`` has them.
    """
    found = _reached(term, [known.get(a) or _held(a, bounds[a]) for a in term.args], bounds)
    told = _told(term)
    return Reach(min(found.up, told.up), min(found.down, told.down))


_LARGEST, _SMALLEST = 1023, 1022
"""The range of float64."""
_SUMS = frozenset("add subtract negative compensated_sum".split())


def in_range(term: Term, known: Mapping[Term, Reach], bounds: Mapping[Term, float]) -> bool:
    """Whether float64 arithmetic has a term wherever float32 has what is made of it.

    What leaves the range of float64 may come back by a factor that is greater than ``BITS``. A
    sum does not, nor does a quotient of products that stay inside.
    """
    if reached(term, known, bounds).up <= BITS:
        return True
    if term.op.name != "scaled_product":
        return term.op.name in _SUMS or term.op.carries == "passed"
    powers, factor, again = term.params
    if again or sum(math.ceil(abs(p)) for p in powers) + (factor != 1) > DEGREE:
        return False
    bits = _bits(abs(float(factor)))
    above, below = [max(bits, 0), max(-bits, 0)], [0.0, 0.0]
    for p, x in zip(powers, term.args, strict=True):
        side = above if p > 0 else below
        for i, n in enumerate(known.get(x) or _held(x, bounds[x])):
            side[i] += float(abs(p)) * max(n, 0)
    return all(up <= _LARGEST and down <= _SMALLEST for up, down in (above, below))


def _reached(term: Term, args: list[Reach], bounds: Mapping[Term, float]) -> Reach:
    if term.op.name == "scaled_product":
        powers, factor, again = term.params
        if again:
            return Reach(math.inf, math.inf)
        size = _bits(abs(float(factor)))
        up, down = size, -size
        for p, x in zip(powers, args, strict=True):
            up += float(abs(p)) * (x.up if p > 0 else x.down)
            down += float(abs(p)) * (x.down if p > 0 else x.up)
        return Reach(up, down)
    if term.op.name == "astype":
        return _held(term, bounds[term])
    if term.op.name == "exp":
        return Reach(min(_held(term, bounds[term]).up, 2 * _SINGLE), 2 * _SINGLE)
    if term.op.name == "compensated_sum":
        up, left = 0.0, [x.up for x in args]
        for n in term.params[2]:
            up = max(up, sum(left[:n]))
            del left[:n]
        return Reach(up + 1, _LEAST)
    if term.op.carries == "passed":
        numbers = [x for x, a in zip(args, term.args, strict=True) if a.dtype.kind != "b"]
        return Reach(max(x.up for x in numbers), max(x.down for x in numbers))
    if term.op.name == "divide":
        a, b = args
        return Reach(a.up + b.down, a.down + b.up)
    up = grown(term, [x.up for x in args])
    return (
        Reach(up, grown(term, [x.down for x in args])) if term.op.degree else Reach(up + 1, _LEAST)
    )


def is_logarithm(term: Term) -> bool:
    """Whether a term is a logarithm of a float32, maybe rounded from float64."""
    if term.op.name == "astype":
        (term,) = term.args
    return term.op.name in LOGARITHMS


def _told(term: Term) -> Reach:
    """What facts tell."""
    lo, hi = term.facts.lo, term.facts.hi
    least = max(lo, -hi)
    return Reach(_bits(max(abs(lo), abs(hi))), -_bits(least) if least > 0 else math.inf)


def _held(term: Term, bound: float) -> Reach:
    told = _told(term)
    up = _LOGARITHM if is_logarithm(term) else told.up
    return Reach(min(up, bound, _SINGLE), min(told.down, _LEAST))


def sizes(order: Sequence[Term], wide: Container[Term]) -> dict[Term, float]:
    """Logarithms to base 2 of bounds of the finite values; infinite where none is known.

    Args:
        order: the terms.
        wide: those of float32 whose values are held in float64.
    """
    found: dict[Term, float] = {}
    for term in order:
        args = [found[a] for a in term.args]
        if term.op.name == "scaled_product":
            size = _product(term, args)
        elif term.op.name == "compensated_sum":
            constant, coefficients, counts = term.params
            total, left = abs(float(constant)), list(args)
            for c, n in zip(coefficients, counts, strict=True):
                total += abs(float(c)) * _power_of_2(sum(left[:n]))
                del left[:n]
            size = _bits(total)
        elif term.op.name == "multiply":
            size = math.inf if math.inf in args else sum(args)
        else:
            size = _bits(max(abs(term.facts.lo), abs(term.facts.hi)))
        held = term.dtype == np.float32 and term not in wide
        found[term] = min(size, _SINGLE) if held else size
    return found


def _bits(size: float) -> float:
    return math.log2(size) if size else -math.inf


def _power_of_2(bits: float) -> float:
    return 2.0**bits if bits < 1000 else math.inf


def _product(term: Term, args: Sequence[float]) -> float:
    powers, factor, again = term.params
    if again or any(p < 0 for p in powers):
        return math.inf
    bits = [float(p) * n for p, n in zip(powers, args, strict=True)]
    return math.inf if math.inf in bits else _bits(abs(float(factor))) + sum(bits)


def stays_wide(term: Term, sizes: Mapping[Term, float]) -> bool:
    """Whether a product of many float32 numbers stays in the range of float64 in any order."""
    if term.op.name != "scaled_product" or term.dtype != np.float32:
        return False
    powers, factor, again = term.params
    if again or any(p < 0 or 2 * p != int(2 * p) for p in powers):
        return False
    if sum(math.ceil(p) for p in powers) + (factor != 1) <= DEGREE:
        return False  # what a few numbers need is settled without bounds
    bits = max(_bits(abs(float(factor))), 0.0)
    for x, p in zip(term.args, powers, strict=True):
        bits += math.ceil(p) * max(sizes[x], 0.0)
    return bits <= BITS
