"""Sums of exponentials with weights: a shift that cancels keeps them in range."""

from __future__ import annotations

import functools

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.dtypes import is_half
from stablegrad.ops.exact import Rational
from stablegrad.ops.reduction import reduced
from stablegrad.rules.databases import stabilize

_IN_RANGE = 0.8
"""The share of the range of exponents that leaves room for weights and for their number."""


def _weighted(total: Term, *, plain: bool = False) -> tuple[Term | None, Term] | None:
    """The weights and the exponents of sum(w * exp(x)), not yet shifted; else None.

    Sums without weights, or with constant ones, count where ``plain`` asks for them; their
    weights are None.
    """
    if total.op.name not in ("sum", "mean"):
        return None
    parts = forms.factors(forms.split(total.args[0])[1])
    top = next((t for t, p in parts.items() if t.op.name == "exp" and p == 1), None)
    if top is None or _is_shifted(top.args[0]):
        return None
    rest = {t: p for t, p in parts.items() if t is not top}
    if not rest:
        return (None, top.args[0]) if plain else None
    return forms.monomial(rest, None, total.dtype), top.args[0]


def _is_shifted(x: Term) -> bool:
    if x.op is not forms.AFFINE:
        return False
    bare = [a.args[0] if a.op.name == "reshape" else a for a in x.args]
    return any(a.op is STOP_GRADIENT for a in bare)


def _greatest(weights: Term | None, x: Term, total: Term) -> Term:
    """The greatest exponent that has a weight, along the axes of a sum, which are kept."""
    counted = forms.with_shape(x, total.args[0].shape)
    if weights is not None:
        counted = OPS["where"](OPS["not_equal"](weights, 0.0), counted, -float("inf"))
    return OPS["max"](counted, axis=total.param("axis"), keepdims=True)


def _where_needed(greatest: Term) -> Term:
    """The shift of exponents: the greatest where its exponential leaves the range; else 0.

    A shift of all exponents cancels, so its own derivative, of any order, is zero. Where it is
    not needed it would cost digits: the logarithm of the sum may cancel against it.
    """
    dtype = np.float32 if is_half(greatest.dtype) else greatest.dtype
    limit = _IN_RANGE * float(np.log(np.finfo(dtype).max))
    needed = OPS["logical_and"](OPS["isfinite"](greatest), OPS["abs"](greatest) > limit)
    return STOP_GRADIENT.term((OPS["where"](needed, greatest, 0.0),))


def _shift(weights: Term | None, x: Term, total: Term) -> Term:
    """The shift for one sum."""
    return _where_needed(_greatest(weights, x, total))


def _shifted(weights: Term | None, x: Term, shift: Term, total: Term) -> Term:
    """sum(w * exp(x - shift))."""
    exponents = forms.total([(1, x), (-1, shift)], total.args[0].shape, total.dtype)
    c = forms.split(total.args[0])[0]
    summand = forms.scale(c, OPS["exp"](exponents))
    if weights is not None:
        summand = forms.product([weights, summand])
    params = {"axis": total.param("axis"), "keepdims": total.param("keepdims")}
    return OPS[total.op.name](forms.with_shape(summand, total.args[0].shape), **params)


def _without_axes(shift: Term, total: Term) -> Term:
    """The shift in the shape of the sum."""
    return shift if shift.shape == total.shape else OPS["reshape"](shift, shape=total.shape)


@stabilize.procedure(
    "log",
    example=lambda w, x: OPS["log"](OPS["sum"](w * OPS["exp"](x), axis=-1)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log_of_weighted_sum(term: Term) -> Term | None:
    """log(sum(w*exp(x))) overflows for large x and is -inf for very negative ones."""
    c, total = forms.split(term.args[0])
    found = _weighted(total)
    if found is None:
        return None
    shift = _shift(*found, total)
    inner = forms.scale(c, _shifted(*found, shift, total))
    shift = _without_axes(shift, total)
    return forms.total([(1, OPS["log"](inner)), (1, shift)], term.shape, term.dtype)


@stabilize.procedure(
    "monomial",
    example=lambda w, x: OPS["exp"](x) / OPS["sum"](w * OPS["exp"](x), axis=-1, keepdims=True),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("exp", "monomial", "affine"),
)
def share_of_weighted_exponentials(term: Term) -> Term | None:
    """w*exp(x)/sum(w*exp(x)), and ratios of such sums, overflow; a common shift of x cancels."""
    parts = forms.factors(term)
    tops = [t for t, p in parts.items() if t.op.name == "exp" and p == 1]
    sums = {t: found for t in parts if (found := _weighted(t, plain=True)) is not None}
    signs = {parts[t] > 0 for t in [*tops, *sums]}
    if not sums or len(signs) < 2 or len(tops) > 1:
        return None
    if len(sums) == 1 and all(w is None and tops[0].args[0] is x for w, x in sums.values()):
        return None  # softmax
    exponents: list[tuple[Rational, Term]] = [(1, t.args[0]) for t in tops]
    cured = {t: p for t, p in parts.items() if t not in tops and t not in sums}
    for total, (weights, x) in sums.items():
        shift = _shift(weights, x, total)
        cured[_shifted(weights, x, shift, total)] = parts[total]
        exponents.append((parts[total], _without_axes(shift, total)))
    exponential = OPS["exp"](forms.total(exponents, term.shape, term.dtype))
    share = forms.product([exponential, forms.monomial(cured, None, term.dtype)])
    return forms.with_shape(share, term.shape)


def _is_positive_sum(total: Term) -> bool:
    """Whether a term is a sum of exponentials whose weights, if any, are not negative."""
    found = _weighted(total, plain=True)
    return found is not None and (found[0] is None or found[0].facts.nonnegative)


@stabilize.procedure(
    "log1p",
    example=lambda x: OPS["log1p"](OPS["sum"](OPS["exp"](x), axis=-1)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log1p_of_sum_of_exponentials(term: Term) -> Term | None:
    """log(1 + sum(exp(x))) overflows for large x."""
    c, total = forms.split(term.args[0])
    if c <= 0 or not _is_positive_sum(total):
        return None
    return OPS["softplus"](OPS["log"](term.args[0]))


@stabilize.procedure(
    "log",
    example=lambda x: OPS["log"](2 + OPS["sum"](OPS["exp"](x), axis=-1)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log_of_sums_of_exponentials(term: Term) -> Term | None:
    """log(c + sum(exp(x))), and of several such sums, overflows for large x."""
    (total,) = term.args
    constant = total.params[0] if total.op is forms.AFFINE else "nan"
    if isinstance(constant, str) or constant < 0:
        return None
    sums = list(zip(total.params[1], total.args, strict=True))
    if len(sums) + (constant != 0) < 2 or any(c <= 0 or not _is_positive_sum(x) for c, x in sums):
        return None
    if any(x.shape != total.shape for x in total.args):
        return None
    found: list[tuple[Rational, Term, Term | None, Term]] = []
    for c, x in sums:
        weights, exponents = _weighted(x, plain=True) or (None, x)
        found.append((c, x, weights, exponents))
    greatest = [OPS["reshape"](_greatest(w, u, x), shape=x.shape) for _, x, w, u in found]
    shift = _where_needed(functools.reduce(OPS["maximum"], greatest))
    addends: list[tuple[Rational, Term]] = [(constant, OPS["exp"](forms.scale(-1, shift)))]
    for c, x, weights, exponents in found:
        kept = reduced(x.args[0].shape, x.param("axis"), keepdims=True)
        addends.append((c, _shifted(weights, exponents, OPS["reshape"](shift, shape=kept), x)))
    inner = forms.total([a for a in addends if a[0] != 0], total.shape, term.dtype)
    return forms.total([(1, OPS["log"](inner)), (1, shift)], term.shape, term.dtype)
