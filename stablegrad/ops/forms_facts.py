"""What is proved of the values of flat sums and products: interval arithmetic, ends kept open."""

from __future__ import annotations

import math
from fractions import Fraction

from stablegrad.ir import UNKNOWN, Facts, Term
from stablegrad.ops.record import to_float

DEFINED = UNKNOWN._replace(defined=True)


def outward(value: float, direction: float) -> float:
    """One float further out: interval ends are never claimed tighter than proved."""
    return value if value == 0 or math.isinf(value) else math.nextafter(value, direction)


def scaled(facts: Facts, c: int | Fraction) -> tuple[float, bool, float, bool]:
    """The interval of ``c * x``."""
    lo, hi, lo_open, hi_open = facts.lo, facts.hi, facts.lo_open, facts.hi_open
    if c in (1, -1):
        if c == -1:
            return -hi, hi_open, -lo, lo_open
        return lo, lo_open, hi, hi_open
    if c < 0:
        lo, hi, lo_open, hi_open = hi, lo, hi_open, lo_open
    factor = to_float(c)
    low, high = _times(factor, lo), _times(factor, hi)
    return outward(low, -math.inf), lo_open, outward(high, math.inf), hi_open


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def affine_facts(term: Term) -> Facts:
    """Facts of c0 + sum of c_i x_i, by interval addition."""
    constant, coefficients = term.params
    if isinstance(constant, str) and constant != "-0":
        return UNKNOWN
    lo = hi = to_float(constant)
    lo_open = hi_open = False
    inexact = len(term.args) > 1 or lo != 0
    defined = True
    for c, x in zip(coefficients, term.args, strict=True):
        facts = x.facts
        defined = defined and facts.defined
        a, a_open, b, b_open = scaled(facts, c)
        low, high = lo + a, hi + b
        lo = low if not inexact or low in (lo, a) and 0 in (lo, a) else outward(low, -math.inf)
        hi = high if not inexact or high in (hi, b) and 0 in (hi, b) else outward(high, math.inf)
        lo_open, hi_open = lo_open or a_open, hi_open or b_open
        if lo == -math.inf and hi == math.inf:
            return DEFINED if all(y.facts.defined for y in term.args) else UNKNOWN
    # exact small integers need no widening: 1 - x for x in (0, 1) is in (0, 1)
    return _tight(term, Facts(lo, hi, lo_open, hi_open, defined))


def _tight(term: Term, facts: Facts) -> Facts:
    constant, coefficients = term.params
    ends = [to_float(constant)]
    lo = hi = Fraction(0) if isinstance(constant, str) else Fraction(constant)
    lo_finite = hi_finite = True
    for c, x in zip(coefficients, term.args, strict=True):
        a, b = (x.facts.lo, x.facts.hi) if c > 0 else (x.facts.hi, x.facts.lo)
        ends += [a, b]
        if math.isinf(a):
            lo_finite = False
        else:
            lo += c * Fraction(a)
        if math.isinf(b):
            hi_finite = False
        else:
            hi += c * Fraction(b)
    low, high = facts.lo, facts.hi
    if lo_finite and Fraction(to_float(lo)) == lo:
        low = to_float(lo)
    if hi_finite and Fraction(to_float(hi)) == hi:
        high = to_float(hi)
    return facts._replace(lo=low, hi=high)


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
        return Facts(0.0, 1.0, closed, False, defined)._replace(lo_open=not closed)
    if sign > 0:
        return Facts(0.0, math.inf, not closed, True, defined)
    return Facts(-math.inf, 0.0, True, not closed, defined)
