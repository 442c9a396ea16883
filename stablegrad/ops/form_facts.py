"""What is proved of the values of flat sums and products: interval arithmetic, ends kept open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from itertools import islice

from stablegrad.ir import UNKNOWN, Facts, Term
from stablegrad.ops import intervals
from stablegrad.ops.exact import Exact, Rational, to_float

DEFINED = UNKNOWN._replace(defined=True)


def affine_facts(term: Term) -> Facts:
    """Facts of c0 + sum of c_i x_i, by exact interval addition, rounded outward once."""
    constant, coefficients = term.params
    return _sum_facts(constant, coefficients, [x.facts for x in term.args])


def sum_of_products_facts(term: Term) -> Facts:
    """The same of a sum of multiples, and of multiples of products of two."""
    constant, coefficients, counts = term.params
    factors = iter([x.facts for x in term.args])
    parts = [reduce(intervals.multiply, islice(factors, n)) for n in counts]
    return _sum_facts(constant, coefficients, parts)


def _sum_facts(constant: Exact, coefficients: Sequence[Rational], parts: Sequence[Facts]) -> Facts:
    if isinstance(constant, str):
        return UNKNOWN
    items = list(zip(coefficients, parts, strict=True))
    defined = all(x.defined for _, x in items)
    lo = _end(constant, [(c, x.lo if c > 0 else x.hi) for c, x in items], -math.inf)
    hi = _end(constant, [(c, x.hi if c > 0 else x.lo) for c, x in items], math.inf)
    lo_open = any(x.lo_open if c > 0 else x.hi_open for c, x in items)
    hi_open = any(x.hi_open if c > 0 else x.lo_open for c, x in items)
    return Facts(lo, hi, lo_open, hi_open, defined)


def _end(constant: Rational, ends: list[tuple[Rational, float]], outward: float) -> float:
    """One end of the interval of a sum."""
    if any(math.isinf(end) for _, end in ends):
        return outward
    exact = constant + sum(c * Fraction(end) for c, end in ends)
    rounded = to_float(exact)
    if math.isinf(rounded):
        return outward
    inside = rounded > exact if outward < 0 else rounded < exact
    return math.nextafter(rounded, outward) if inside else rounded


def monomial_facts(term: Term) -> Facts:
    """Facts of a product: its sign, and the unit interval where every factor lies in it."""
    sign = 1
    strict = True
    defined = True
    known = True
    unit = True
    masked = False
    for x, p in zip(term.args, term.params[0], strict=True):
        facts = x.facts
        if x.dtype.kind == "b":
            masked = True
            continue
        whole = isinstance(p, int)
        defined = defined and facts.defined and (p > 0 or facts.nonzero)
        defined = defined and (whole or facts.nonnegative)
        unit = unit and p > 0 and facts.nonnegative and facts.hi <= 1
        if whole and p % 2 == 0:
            strict = strict and (facts.nonzero or p < 0)
        elif not whole or facts.nonnegative:
            strict = strict and (facts.positive or p < 0)
        elif facts.nonpositive:
            sign = -sign
            strict = strict and (facts.negative or p < 0)
        else:
            known = False
    if not known:
        return DEFINED if defined else UNKNOWN
    closed = masked or not strict
    if unit:
        return Facts(0.0, 1.0, not closed, False, defined)
    if sign > 0:
        return Facts(0.0, math.inf, not closed, True, defined)
    return Facts(-math.inf, 0.0, True, not closed, defined)
