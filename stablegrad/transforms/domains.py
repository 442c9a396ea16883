"""What an op asks of its arguments so that it has a value, and so that it has a finite one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops.form_records import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.guards import of_finite_inputs
from stablegrad.ops.record import CONST, REAL, const

PARTIAL = frozenset(
    """
    log_ratio one_plus_log_ratio log_ratio1p log_step logdiffexp deviance log_ndtr_difference
    log_sigmoid_difference
    """.split()
)
"""Functions of several arguments that have no value at some, which are no box."""
QUOTIENTS = frozenset(("log_ratio", "one_plus_log_ratio"))
"""Those with a pole where an argument is 0."""


def guards(out: Term) -> list[Term]:
    """What must hold of the arguments of an op so that it has a value, as far as is not proved."""
    found: list[Term] = []
    for x, domain in zip(out.args, out.op.domain, strict=False):
        if domain is REAL or x.dtype.kind == "b" or x.facts.within(_closed(domain)):
            continue
        if domain.lo > -math.inf and not x.facts.lo >= domain.lo:
            found.append(OPS["greater_equal"](x, domain.lo))
        if domain.hi < math.inf and not x.facts.hi <= domain.hi:
            found.append(OPS["less_equal"](x, domain.hi))
    if found and len(out.args) > 1:  # the domain need be no box: x**y has a value at -2 for some y
        inside = reduce(OPS["logical_and"], found)
        found = [OPS["logical_or"](inside, OPS["isfinite"](out))]
    return found


def _closed(domain: Facts) -> Facts:
    return domain._replace(lo_open=False, hi_open=False)


def needed(term: Term) -> Iterator[tuple[Term, bool]]:
    """What must hold of the arguments of a term for its value; whether it is infinite else."""
    if term.op is REQUIRE:
        if not of_finite_inputs(term.args[1]):
            yield term.args[1], False
        inner = term.args[0]  # what cancelled may have left 1/0
        if inner.op is CONST and isinstance(inner.params[0], str) and inner.params[0] != "-0":
            yield OPS["isfinite"](inner), True
    elif term.op is AFFINE:
        if isinstance(term.params[0], str) and term.params[0] != "nan":
            yield OPS["isfinite"](const(term.params[0], term.dtype)), True
    elif term.op is MONOMIAL:
        yield from _of_factors(term)
    else:
        yield from _of_function(term)


def _of_factors(term: Term) -> Iterator[tuple[Term, bool]]:
    for x, p in zip(term.args, term.params[0], strict=True):
        if x.dtype.kind == "b":
            continue
        if not isinstance(p, int) and not x.facts.nonnegative:
            yield OPS["greater_equal"](x, const(0, x.dtype)), False
        if p < 0 and not x.facts.nonzero:
            yield OPS["not_equal"](x, const(0, x.dtype)), True


def _of_function(term: Term) -> Iterator[tuple[Term, bool]]:
    if term.op.name in PARTIAL and not term.facts.defined:
        yield OPS["logical_not"](OPS["isnan"](term)), False
        for x in term.args:  # of zeros alone: log(a/0)
            if x.facts.lo == 0 == x.facts.hi and term.op.name in QUOTIENTS:
                yield OPS["not_equal"](x, const(0, x.dtype)), True
    for guard in guards(term):
        yield guard, False
    if len(term.args) != 1:
        return
    for x, domain in zip(term.args, term.op.domain, strict=False):
        ends = ((domain.lo, domain.lo_open), (domain.hi, domain.hi_open))
        for end, is_open in ends if not x.facts.within(domain) else ():
            if is_open and math.isfinite(end):
                yield OPS["not_equal"](x, end), True
