"""Sums of exponentials with weights: a shift that cancels keeps them in range."""

from __future__ import annotations

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.dtypes import is_half
from stablegrad.rules.databases import stabilize

_IN_RANGE = 0.8
"""The share of the range of exponents that leaves room for weights and for their number."""


def _weighted(total: Term) -> tuple[Term, Term] | None:
    """The weights and the exponents of sum(w * exp(x)), not yet shifted; else None.

    Weights are not constant: then it is a plain sum of exponentials.
    """
    if total.op.name not in ("sum", "mean"):
        return None
    c, inner = forms.split(total.args[0])
    parts = forms.factors(inner)
    top = next((t for t, p in parts.items() if t.op.name == "exp" and p == 1), None)
    if top is None or _is_shifted(top.args[0]):
        return None
    rest = {t: p for t, p in parts.items() if t is not top}
    if not rest:
        return None
    weights = forms.scale(c, forms.monomial(rest, None, total.dtype))
    return weights, top.args[0]


def _is_shifted(x: Term) -> bool:
    return x.op is forms.AFFINE and any(a.op is STOP_GRADIENT for a in x.args)


def _shift(weights: Term, x: Term, total: Term) -> Term:
    """The greatest exponent that has a weight, where its exponential leaves the range; else 0.

    A shift of all exponents cancels, so its own derivative, of any order, is zero. Where it is
    not needed it would cost digits: the logarithm of the sum may cancel against it.
    """
    counted = forms.with_shape(x, total.args[0].shape)
    counted = OPS["where"](OPS["not_equal"](weights, 0.0), counted, -float("inf"))
    greatest = OPS["max"](counted, axis=total.param("axis"), keepdims=True)
    limit = _IN_RANGE * float(np.log(np.finfo(np.float32 if is_half(x.dtype) else x.dtype).max))
    needed = OPS["logical_and"](OPS["isfinite"](greatest), OPS["abs"](greatest) > limit)
    return STOP_GRADIENT.term((OPS["where"](needed, greatest, 0.0),))


def _shifted(weights: Term, x: Term, shift: Term, total: Term) -> Term:
    """sum(w * exp(x - shift))."""
    exponents = forms.total([(1, x), (-1, shift)], total.args[0].shape, total.dtype)
    summand = forms.product([weights, OPS["exp"](exponents)])
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
    among=("exp",),
)
def share_of_weighted_exponentials(term: Term) -> Term | None:
    """w*exp(x)/sum(w*exp(x)) overflows for large x; a common shift of x cancels."""
    parts = forms.factors(term)
    top = next((t for t, p in parts.items() if t.op.name == "exp" and p == 1), None)
    if top is None:
        return None
    for total, p in parts.items():
        found = _weighted(total) if p == -1 else None
        if found is None:
            continue
        shift = _shift(*found, total)
        below = _shifted(*found, shift, total)
        outer = _without_axes(shift, total)
        exponent = forms.total([(1, top.args[0]), (-1, outer)], term.shape, term.dtype)
        rest = {t: q for t, q in parts.items() if t is not top and t is not total}
        others = forms.monomial(rest, None, term.dtype)
        share = forms.product([OPS["exp"](exponent), forms.power(below, -1), others])
        return forms.with_shape(share, term.shape)
    return None
