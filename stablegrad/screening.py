"""Cheap necessary conditions for a match, so that most patterns are never tried on a term."""

from __future__ import annotations

from functools import cache

from stablegrad.ir import OPS, Term
from stablegrad.ops.forms import AFFINE, MONOMIAL, Rational
from stablegrad.ops.record import CONST, VARIABLE

LEVELS = 3

Bits = tuple[int, int, int]
"""Sets of ops as bits: those in the first level below a term, in the first two, in all three."""


def ops_below(term: Term) -> Bits:
    """The ops in the first levels below a term."""
    first, second = _two_levels(term)
    third = 0
    for a in term.args:
        third |= _two_levels(a)[1]
    return first, first | second, first | second | third


def _two_levels(term: Term) -> tuple[int, int]:
    known = term.known_ops
    if known is None:
        first = second = 0
        for a in term.args:
            first |= 1 << a.op.uid
            for b in a.args:
                second |= 1 << b.op.uid
        term.known_ops = known = first, second
    return known


def needed(lhs: Term) -> Bits:
    """The ops that any match of a pattern must show in its first levels.

    A sum or product of the pattern may be a single term in the program, so what stands at
    some level in the pattern stands at that level or higher in a match. The argument of an
    exponential may be one addend of several there, a level lower.
    """
    loose = {VARIABLE, CONST, AFFINE, MONOMIAL}
    bits = [0] * LEVELS
    pending = [(a, 0) for a in lhs.args]
    while pending:
        term, level = pending.pop()
        if level >= LEVELS:
            continue
        if term.op not in loose:
            bits[level] |= 1 << term.op.uid
        pending += [(a, level + 1 + (term.op is OPS["exp"])) for a in term.args]
    return bits[0], bits[1], bits[2]


def fits(pattern: Term, term: Term) -> bool:
    """Whether a term may match a pattern, its root included: ops and numbers of parts."""
    if pattern.op is AFFINE:
        return sum_fits(pattern, term)
    if pattern.op is MONOMIAL:
        return product_fits(pattern, term)
    return pattern.op is term.op or pattern.op is VARIABLE


def sum_fits(pattern: Term, term: Term) -> bool:
    """Whether a term has the parts that a sum needs: it matches whole, up to a scale."""
    constant, count, whole = _sum_parts(pattern)
    if term.op is AFFINE:
        given, parts = bool(term.params[0]), len(term.args)
    elif term.op is CONST:
        given, parts = bool(term.params[0]), 0
    else:
        given, parts = False, 1
    # a variable takes several addends, and none where it is bound to zero
    return given is constant and (parts == count if whole else parts >= count - 1)


@cache
def _sum_parts(pattern: Term) -> tuple[bool, int, bool]:
    whole = all(a.op is not VARIABLE for a in pattern.args)
    return bool(pattern.params[0]), len(pattern.args), whole


def product_fits(pattern: Term, term: Term) -> bool:
    """Whether a term may be exactly the product of a pattern inside a larger one."""
    degree = _degree(pattern)
    return degree is None or degree == (sum(term.params[0]) if term.op is MONOMIAL else 1)


@cache
def _degree(pattern: Term) -> Rational | None:
    """The sum of the powers; None where exponentials merge, so that it says nothing."""
    if any(a.op is OPS["exp"] for a in pattern.args):
        return None
    return sum(pattern.params[0])
