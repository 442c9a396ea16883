"""Interval arithmetic on facts: what is proved of a result from what is proved of arguments.

Ends are rounded outward, and only where they are not exact: 1 - [0, 1] stays [0, 1]. An end
that had to be rounded is open, because the true end lies strictly inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from stablegrad.ir import UNKNOWN, Facts, Term

End = tuple[float, bool]
"""One end of an interval: its place, and whether it is open."""

_UNKNOWN_DEFINED = UNKNOWN._replace(defined=True)


def unbounded(defined: bool) -> Facts:
    """The whole line."""
    return _UNKNOWN_DEFINED if defined else UNKNOWN


def _outward(near: float, error: Fraction | float, down: bool) -> End | None:
    """The end of a result ``near + error``, or None where ``near`` is exact."""
    if error == 0:
        return None
    if down:
        return (near if error > 0 else math.nextafter(near, -math.inf)), True
    return (near if error < 0 else math.nextafter(near, math.inf)), True


def _add(a: float, b: float, is_open: bool, down: bool) -> End:
    s = a + b
    if not math.isfinite(s):
        if math.isinf(a) or math.isinf(b):
            return (-math.inf if down else math.inf), True
        largest = math.nextafter(math.inf, 0.0)  # two finite ends overflowed
        return (min(s, largest) if down else max(s, -largest)), True
    back = s - a
    error = (a - (s - back)) + (b - back)
    return _outward(s, error, down) or (s, is_open)


def _multiply(a: End, b: End, down: bool) -> End:
    """Product of two ends; 0 * inf is 0, as limits of bounds multiply."""
    (x, x_open), (y, y_open) = a, b
    if x == 0 or y == 0:
        # the bound 0 is attained exactly where a factor attains it
        attained = (x == 0 and not x_open) or (y == 0 and not y_open)
        return 0.0, not attained
    p = x * y
    if math.isinf(x) or math.isinf(y):
        return p, True
    if math.isinf(p):
        largest = math.nextafter(math.inf, 0.0)
        return (min(p, largest) if down else max(p, -largest)), True
    is_open = x_open or y_open
    if x in (1.0, -1.0) or y in (1.0, -1.0):
        return p, is_open
    return _outward(p, Fraction(x) * Fraction(y) - Fraction(p), down) or (p, is_open)


def _low(f: Facts) -> End:
    return f.lo, f.lo_open


def _high(f: Facts) -> End:
    return f.hi, f.hi_open


def _least(ends: list[End]) -> End:
    """The lowest end; among equals a closed one, which allows more."""
    return min(ends)  # False sorts before True


def _greatest(ends: list[End]) -> End:
    return max(ends, key=lambda e: (e[0], not e[1]))


def _facts(lo: End, hi: End, defined: bool) -> Facts:
    return Facts(lo[0], hi[0], lo[1], hi[1], defined)


def negative(a: Facts) -> Facts:
    """Facts of -a."""
    return Facts(-a.hi, -a.lo, a.hi_open, a.lo_open, a.defined)


def add(a: Facts, b: Facts) -> Facts:
    """Facts of a + b."""
    defined = a.defined and b.defined
    lo = _add(a.lo, b.lo, a.lo_open or b.lo_open, True)
    hi = _add(a.hi, b.hi, a.hi_open or b.hi_open, False)
    return _facts(lo, hi, defined)


def subtract(a: Facts, b: Facts) -> Facts:
    """Facts of a - b."""
    return add(a, negative(b))


def multiply(a: Facts, b: Facts) -> Facts:
    """Facts of a * b."""
    defined = a.defined and b.defined
    if a.lo == -math.inf and a.hi == math.inf and b.lo == -math.inf and b.hi == math.inf:
        return unbounded(defined)
    pairs = [(x, y) for x in (_low(a), _high(a)) for y in (_low(b), _high(b))]
    lo = _least([_multiply(x, y, True) for x, y in pairs])
    hi = _greatest([_multiply(x, y, False) for x, y in pairs])
    return _facts(lo, hi, defined)


def reciprocal(a: Facts) -> Facts:
    """Facts of 1 / a: nothing is known unless a is proved nonzero."""
    if not a.nonzero:
        return UNKNOWN
    return _facts(
        _invert(_high(a), a.positive, True), _invert(_low(a), a.positive, False), a.defined
    )


def _invert(end: End, positive: bool, down: bool) -> End:
    x, is_open = end
    if x == 0:
        return (math.inf if positive else -math.inf), True
    if math.isinf(x):
        return 0.0, True
    r = 1.0 / x
    if math.isinf(r):
        largest = math.nextafter(math.inf, 0.0)
        return (min(r, largest) if down else max(r, -largest)), True
    if r == 0:
        return 0.0, True
    return _outward(r, 1 / Fraction(x) - Fraction(r), down) or (r, is_open)


def divide(a: Facts, b: Facts) -> Facts:
    """Facts of a / b: nothing is known unless b is proved nonzero."""
    if not b.nonzero:
        return UNKNOWN
    return multiply(a, reciprocal(b))


def absolute(a: Facts) -> Facts:
    """Facts of |a|."""
    if a.nonnegative:
        return a
    if a.nonpositive:
        return negative(a)
    hi = _greatest([(-a.lo, a.lo_open), _high(a)])
    return _facts((0.0, False), hi, a.defined)


def square(a: Facts) -> Facts:
    """Facts of a * a."""
    a = absolute(a)
    return multiply(a, a)


def maximum(a: Facts, b: Facts) -> Facts:
    """Facts of the greater."""
    # the lower end is reached only where both arguments are down there
    lo = max(_low(a), _low(b))
    hi = _greatest([_high(a), _high(b)])
    return _facts(lo, hi, a.defined and b.defined)


def minimum(a: Facts, b: Facts) -> Facts:
    """Facts of the smaller."""
    return negative(maximum(negative(a), negative(b)))


def union(a: Facts, b: Facts) -> Facts:
    """Facts of a value that is one or the other."""
    lo = _least([_low(a), _low(b)])
    hi = _greatest([_high(a), _high(b)])
    return _facts(lo, hi, a.defined and b.defined)


def always_less(a: Facts, b: Facts) -> bool:
    """Whether every value of ``a`` is proved to lie strictly below every value of ``b``."""
    return a.hi < b.lo or (a.hi == b.lo and (a.hi_open or b.lo_open))


def always_at_most(a: Facts, b: Facts) -> bool:
    """Whether every value of ``a`` is proved at most every value of ``b``."""
    return a.hi <= b.lo


def increasing(
    f: Callable[[float], float],
    domain: Facts,
    range: Facts,
    exact: tuple[tuple[float, float], ...] = (),
) -> Callable[[Term], Facts]:
    """Facts of an increasing function of one argument.

    Args:
        f: the function on floats, within 2 ulp; it is widened by 3.
        domain: where the function is defined.
        range: its values there.
        exact: arguments whose values are exact floats.
    """
    values = dict(exact)

    def end(x: float, is_open: bool, limit: End, direction: float) -> End:
        if math.isinf(x):
            return limit[0], limit[1]
        if x in values:
            return values[x], is_open
        try:
            v = f(x)
        except (OverflowError, ValueError):
            return limit
        for _ in (1, 2, 3):
            v = math.nextafter(v, direction)
        if math.isnan(v) or (v <= limit[0] if direction < 0 else v >= limit[0]):
            return limit
        return v, True

    def infer(term: Term) -> Facts:
        x = term.args[0].facts
        defined = x.defined and x.within(domain)
        lo, hi = _low(range), _high(range)
        if x.lo > domain.lo:
            lo = end(x.lo, x.lo_open, lo, -math.inf)
        elif x.lo == domain.lo and x.lo_open:
            lo = (lo[0], True)
        if x.hi < domain.hi:
            hi = end(x.hi, x.hi_open, hi, math.inf)
        elif x.hi == domain.hi and x.hi_open:
            hi = (hi[0], True)
        return _facts(lo, hi, defined)

    return infer


def unary(f: Callable[[Facts], Facts]) -> Callable[[Term], Facts]:
    """Facts of a term from those of its one argument."""
    return lambda term: f(term.args[0].facts)


def binary(f: Callable[[Facts, Facts], Facts]) -> Callable[[Term], Facts]:
    """Facts of a term from those of its two arguments."""
    return lambda term: f(term.args[0].facts, term.args[1].facts)
