"""Tails of the normal distribution and of the error function."""

from __future__ import annotations

from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops.special_error import erf, erfc
from stablegrad.rules.databases import stabilize

Pair = tuple[Any, Any]
rule = stabilize.rule


@rule(source="DLMF 7.2.2", group="error")
def one_plus_erf(x: Term) -> Pair:
    """1 + erf(x) cancels for negative x."""
    return 1 + erf(x), erfc(-x)


@rule(source="DLMF 7.2.2", group="error")
def one_minus_erfc(x: Term) -> Pair:
    """1 - erfc(x) cancels near 0."""
    return 1 - erfc(x), erf(x)


@rule(source="DLMF 7.2.2", group="error")
def two_minus_erfc(x: Term) -> Pair:
    """2 - erfc(x) cancels for very negative x."""
    return 2 - erfc(x), erfc(-x)


@rule(source="symmetry of the normal density", group="error")
def one_minus_ndtr(x: Term) -> Pair:
    """1 - ndtr(x) cancels for large x."""
    return 1 - OPS["ndtr"](x), OPS["ndtr"](-x)


@rule(source="definition", group="error")
def exp_of_log_ndtr(x: Term) -> Pair:
    """exp undoes the log of log_ndtr."""
    return OPS["exp"](OPS["log_ndtr"](x)), OPS["ndtr"](x)


@rule(source="antisymmetry", group="error")
def log_of_negative_interval(x: Term, y: Term) -> Pair:
    """log(ndtr(x) - ndtr(y)), whichever way round the difference was taken."""
    log, gap = OPS["log"], OPS["ndtr_gap"]
    return log(-gap(y, x)), OPS["log_ndtr_difference"](x, y)
