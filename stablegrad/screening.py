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
    exponential may be one addend of several there, a level lower, and is never matched where
    its variables are known.
    """
    loose = {VARIABLE, CONST, AFFINE, MONOMIAL}
    bits = [0] * LEVELS
    pending = [(a, 0, False) for a in lhs.args]
    while pending:
        term, level, exponent = pending.pop()
        if level >= LEVELS:
            continue
        if term.op not in loose or (not exponent and _several(term)):
            bits[level] |= 1 << term.op.uid
        below = term.op is OPS["exp"]
        pending += [(a, level + 1 + below, exponent or below) for a in term.args]
    return bits[0], bits[1], bits[2]


def _several(pattern: Term) -> bool:
    """Whether no single term is what a sum or product of a pattern matches."""
    if pattern.op is MONOMIAL:
        return _degree(pattern) not in (None, 1)
    if pattern.op is not AFFINE:
        return False
    _, count, whole = _sum_parts(pattern)
    return count - (not whole) > 1


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
    given, parts = parts_of_sum(term)
    # a variable takes several addends, and none where it is bound to zero
    return given is constant and (parts == count if whole else parts >= count - 1)


def parts_of_sum(term: Term) -> tuple[bool, int]:
    """Whether a term as a sum has a constant, and its number of other addends."""
    if term.op is AFFINE:
        return bool(term.params[0]), len(term.args)
    if term.op is CONST:
        return bool(term.params[0]), 0
    return False, 1


def parts_of_product(term: Term) -> frozenset[tuple[bool, int, bool]]:
    """What ``factors_fit`` looks at: the factors as sums, and the signs of their powers."""
    powers = term.params[0]
    return frozenset([(*parts_of_sum(x), p > 0) for x, p in zip(term.args, powers, strict=True)])


def factors_fit(pattern: Term, term: Term) -> bool:
    """Whether a product has a sum for each that a pattern has, and powers of both signs if it has.

    Not those of exponentials, which are merged: the sign is in the exponent.
    """
    signs = {p > 0 for a, p in zip(pattern.args, pattern.params[0], strict=True) if not _is_exp(a)}
    if len(signs) == 2 and len({p > 0 for p in term.params[0]}) < 2:
        return False
    sums = [a for a in pattern.args if a.op is AFFINE]
    return all(any(sum_fits(s, x) for x in term.args) for s in sums)


def _is_exp(term: Term) -> bool:
    return term.op is OPS["exp"]


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
