"""Flat sums: addends with exact coefficients, taken out of the sums that they stand in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops.exact import Exact, Rational, added, plus, prod, times
from stablegrad.ops.form_records import AFFINE, REQUIRE
from stablegrad.ops.guards import pole_free
from stablegrad.ops.record import CONST, cast

CAP = 8  # operands of a flat sum or product: without a cap, chains cost quadratic time


def split(term: Term) -> tuple[Rational, Term]:
    """A term as (coefficient, core): 3*x gives (3, x)."""
    if term.op is AFFINE and len(term.args) == 1 and term.params[0] == 0:
        return term.params[1][0], term.args[0]
    return 1, term


def unbroadcast_view(term: Term) -> Term:
    """The term below a broadcast, for use where shapes broadcast anyway."""
    while term.op.name == "broadcast_to":
        term = term.args[0]
    return term


def flat_sum(
    terms: Iterable[tuple[Rational, Term]], dtype: Any
) -> tuple[Exact, dict[Term, Rational], list[Term]]:
    """The constant, addends and coefficients of a sum; guards of addends go around it.

    Addends without their guards may share factors. One addend keeps its guard: negated it is
    known again.
    """
    constant: Exact = 0
    guards: dict[Term, None] = {}
    pending = list(terms)
    while True:
        parts: dict[Term, Rational] = {}
        for c, t in pending:
            view = unbroadcast_view(t)
            if view.op is CONST:
                constant = plus(constant, times(c, view.params[0]))
            elif view.op is AFFINE and len(view.args) <= CAP:
                constant = plus(constant, times(c, view.params[0]))
                for k, x in zip(view.params[1], view.args, strict=True):
                    _accumulate(parts, guards, x, prod(c, k))
            elif view.dtype.kind == "b":  # x + (x == 0)
                _accumulate(parts, guards, cast(OPS["indicator"](view), dtype), c)
            else:
                _accumulate(parts, guards, view, c)
        if len(parts) < 2 or not any(x.op is REQUIRE for x in parts):
            return constant, parts, list(guards)
        pending = []
        for x, c in parts.items():
            while x.op is REQUIRE:
                guards[x.args[1]] = None
                x = x.args[0]  # noqa: PLW2901
            pending.append((c, x))


def _accumulate(
    parts: dict[Term, Rational], guards: dict[Term, None], x: Term, c: Rational
) -> None:
    if x not in parts:
        parts[x] = c
        return
    before = parts[x]
    parts[x] = added(before, c)
    if before * c < 0 and parts[x] != 0 and not x.facts.defined:
        guards.update(dict.fromkeys(pole_free(x)))  # infinities of both signs are nan
