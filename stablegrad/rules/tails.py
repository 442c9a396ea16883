"""Tails of the normal distribution and of the error function."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import exact_ratio
from stablegrad.ops.special_error import erf, erfc
from stablegrad.rules.databases import stabilize
from stablegrad.rules.roots import square_root

Pair = tuple[Any, Any]
rule = stabilize.rule


@rule(source="DLMF 7.2.2", group="error")
def one_plus_erf(x: Term) -> Pair:
    """1 + erf(x) cancels for negative x."""
    return 1 + erf(x), erfc(-x)


@stabilize.procedure(
    "affine",
    example=lambda x, y: (
        erfc(x * forms.const(square_root(Fraction(1, 2)), x.dtype))
        - erfc(y * forms.const(square_root(Fraction(1, 2)), y.dtype))
    ),
    source="DLMF 7.18.1",
    group="error",
    among=("erfc",),
)
def difference_of_tails_over_root_2(term: Term) -> Term | None:
    """erfc(x/sqrt(2)) is 2*ndtr(-x); the difference of two cancels, and is an op."""
    addends = list(zip(term.params[1], term.args, strict=True))
    tails = [(c, x, tail) for c, x in addends if (tail := _as_normal_tail(x)) is not None]
    for c, x, tail in tails:
        for d, y, other in tails:
            if c > 0 and d == -c:
                (p, *_), (q, *_) = (forms.split(t)[1].args for t in (tail, other))
                gap = (exact_ratio(2 * Fraction(c)), OPS["ndtr_gap"](p, q))
                rest = [(k, t) for k, t in addends if t is not x and t is not y]
                if term.params[0] != 0:
                    rest.append((1, forms.const(term.params[0], term.dtype)))
                return forms.total([gap, *rest], term.shape, term.dtype)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: x * erfc(x * forms.const(square_root(Fraction(1, 2)), x.dtype)),
    source="DLMF 7.18.1",
    group="error",
    among=("erfc",),
)
def tail_over_root_2_in_product(term: Term) -> Term | None:
    """erfc(x/sqrt(2)) is 2*ndtr(-x), which feels no rounding of x/sqrt(2)."""
    factors = forms.factors(term)
    tails = {x: tail for x in factors if (tail := _as_normal_tail(x)) is not None}
    if not tails:
        return None
    parts = [
        x if x.dtype.kind == "b" else forms.power(tails.get(x, x), p) for x, p in factors.items()
    ]
    return forms.with_shape(forms.product(parts), term.shape)


def _as_normal_tail(term: Term) -> Term | None:
    """erfc(c*x) as a multiple of ndtr, where c is sqrt(1/2) times a rational."""
    if term.op is not erfc:
        return None
    c, x = forms.split(term.args[0])
    square = 2 * Fraction(c) ** 2
    whole = square.limit_denominator(1 << 20)
    root = square_root(whole) if whole > 0 else 0
    if abs(square - whole) > whole / (1 << 90) or Fraction(root) ** 2 != whole:
        return None
    return forms.scale(2, OPS["ndtr"](forms.scale(exact_ratio(-root if c > 0 else root), x)))


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


@rule(source="definition", group="error")
def log_of_interval(x: Term, y: Term) -> Pair:
    """log(ndtr(x) - ndtr(y)), whatever found the difference first."""
    return OPS["log"](OPS["ndtr_gap"](x, y)), OPS["log_ndtr_difference"](x, y)


@rule(source="antisymmetry", group="error")
def log_of_negative_interval(x: Term, y: Term) -> Pair:
    """log(ndtr(x) - ndtr(y)), whichever way round the difference was taken."""
    log, gap = OPS["log"], OPS["ndtr_gap"]
    return log(-gap(y, x)), OPS["log_ndtr_difference"](x, y)
