"""In what range the values of lowered terms are: what float64 holds without exponents apart."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence

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


_BITS = 860
"""What falls below the range of float64 and grows by less is below that of float32 still."""


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
    return bits <= _BITS
