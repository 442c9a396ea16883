"""Sums of exponentials, spelled by hand: shares of one."""

from __future__ import annotations

import functools

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exponential import exp, log
from stablegrad.ops.forms import Rational
from stablegrad.ops.record import CONST
from stablegrad.rules.databases import stabilize
from stablegrad.rules.removable import zero_over_shared_factor
from stablegrad.rules.simpler import is_lost, plain_difference
from stablegrad.rules.softmax import axes_of, entries, picked
from stablegrad.rules.weighted import (
    greatest_exponent,
    is_shifted,
    log_of_weighted_sum,
    positive_addends,
    where_needed,
)

Addend = tuple[Rational, Term | None, dict[Term, Rational]]
"""A coefficient, the exponent of an exponential (None for 0), and the other factors."""


def exponential_addends(total: Term) -> list[Addend] | None:
    """The addends of a sum of multiples of exponentials, two at least, a constant among them."""
    if total.op is not forms.AFFINE or isinstance(total.params[0], str):
        return None
    found: list[Addend] = []
    for c, x in zip(total.params[1], total.args, strict=True):
        rest = forms.factors(x)
        top = next((t for t in rest if t.op.name == "exp"), None)
        if top is None or rest[top] != 1 or any(t.dtype.kind == "b" for t in rest):
            return None
        del rest[top]
        found.append((c, top.args[0], rest))
    if total.params[0] != 0:
        found.append((total.params[0], None, {}))
    return found if len(found) > 1 else None


def exponent_of(u: Term | None, like: Term) -> Term:
    """The exponent of an addend: 0 for a constant."""
    return forms.const(0, like.dtype) if u is None else u


def divided_by(addends: list[Addend], by: Term, like: Term) -> Term:
    """The sum with an exponential divided out."""
    terms = []
    for c, u, rest in addends:
        one = forms.const(1, like.dtype)
        share = one if u is by else exp(plain_difference(exponent_of(u, like), by))
        terms.append((c, forms.product([share, forms.monomial(rest, None, like.dtype)])))
    shape = forms.broadcast(forms.AFFINE, tuple([t for _, t in terms]))
    return forms.total(terms, shape, like.dtype)


@stabilize.procedure(
    "monomial",
    example=lambda a, b: exp(a) / (exp(a) + exp(b)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("exp",),
)
def share_of_exponentials(term: Term) -> Term | None:
    """exp(a)/(exp(a) + exp(b) + ...) overflows for large arguments, differences of them do not."""
    parts = forms.factors(term)
    top = next((t for t, p in parts.items() if t.op.name == "exp" and p == 1), None)
    if top is None:
        return None
    for below, p in parts.items():
        addends = exponential_addends(below) if p == -1 else None
        if addends is None or not any(u is top.args[0] for _, u, _ in addends):
            continue
        total = divided_by(addends, top.args[0], term)
        rest = {x: q for x, q in parts.items() if x is not top and x is not below}
        others = forms.monomial(rest, None, term.dtype) if rest else forms.const(1, term.dtype)
        return forms.with_shape(forms.product([forms.power(total, -1), others]), term.shape)
    return None


# -- what a share leaves of 1 ---------------------------------------------------------------


def _log_of_rest(x: Term, axis: int) -> Term:
    """log(1 - softmax(x)): beside a share over one half the others are summed."""
    share = OPS["softmax"](x, axis=axis)
    greater = OPS["greater"](share, 0.5)
    rest = OPS["where"](greater, -float("inf"), x)
    others = OPS["logsumexp"](rest, axis=axis, keepdims=True)
    whole = OPS["logsumexp"](x, axis=axis, keepdims=True)
    few = forms.total([(1, others), (-1, whole)], whole.shape, x.dtype)
    plain = OPS["log1p"](OPS["where"](greater, -0.5, forms.scale(-1, share)))
    return OPS["where"](greater, few, plain)


@stabilize.procedure(
    "log1p",
    example=lambda x: OPS["log1p"](-OPS["softmax"](x, axis=-1)),
    source="what is left of 1 is the sum of the others",
    group="softmax",
)
def log_of_rest_of_softmax(term: Term) -> Term | None:
    """log(1 - softmax(x)) is -inf where one entry dominates."""
    c, share = forms.split(term.args[0])
    inner, chain = entries(share)
    if c != -1 or inner.op.name != "softmax":
        return None
    return picked(_log_of_rest(inner.args[0], inner.param("axis")), chain)


@stabilize.procedure(
    "logit",
    example=lambda x: OPS["logit"](OPS["softmax"](x, axis=-1)),
    source="what is left of 1 is the sum of the others",
    group="softmax",
)
def logit_of_softmax(term: Term) -> Term | None:
    """log(s/(1 - s)) of an entry of softmax is infinite where one entry dominates."""
    inner, chain = entries(term.args[0])
    if inner.op.name != "softmax":
        return None
    (x,), axis = inner.args, inner.param("axis")
    parts = [(1, OPS["log_softmax"](x, axis=axis)), (-1, _log_of_rest(x, axis))]
    return picked(forms.total(parts, x.shape, x.dtype), chain)


@stabilize.procedure(
    "log_softmax_vjp",
    example=lambda x: OPS["log_softmax_vjp"](x, 2 * OPS["softmax"](x, axis=-1), axis=-1),
    source="the sum of softmax(x) is 1",
    group="softmax",
    among=("softmax", "affine"),
)
def slope_along_own_softmax(term: Term) -> Term | None:
    """s - s*sum(s) of shares s, in slopes of sum(s*log(s)), is 0 and not the rounding of s."""
    x, g = term.args
    share = forms.split(g)[1]
    if share.op.name != "softmax" or share.args[0] is not x or share.params != term.params:
        return None
    return forms.with_shape(forms.scale(0, share), term.shape)


@stabilize.procedure(
    "log_ratio",
    example=lambda x, y: OPS["log_ratio"](OPS["softmax"](x, axis=-1), OPS["softmax"](y, axis=-1)),
    source="log(a/b) = log(a) - log(b)",
    group="softmax",
)
def log_ratio_of_shares(term: Term) -> Term | None:
    """log(softmax(x)/softmax(y)) is nan or infinite where shares underflow."""
    logs = []
    for share in term.args:
        inner, chain = entries(share)
        shared = inner.op.name == "softmax"
        whole = OPS["log_softmax"](inner.args[0], axis=inner.param("axis")) if shared else None
        logs.append(None if whole is None else picked(whole, chain))
    if logs == [None, None]:
        return None
    parts = [log(a) if x is None else x for x, a in zip(logs, term.args, strict=True)]
    result = forms.total([(1, parts[0]), (-1, parts[1])], term.shape, term.dtype)
    if None not in logs:
        return result
    share = term.args[logs.index(None) ^ 1]  # beside another number: where it is lost
    lost = is_lost(share)
    held = [
        a if x is None else OPS["where"](lost, 1.0, a) for x, a in zip(logs, term.args, strict=True)
    ]
    return OPS["where"](lost, result, OPS["log_ratio"](*held))


@stabilize.procedure(
    "log",
    example=lambda x, y: OPS["log"](OPS["softmax"](x, axis=-1) + OPS["softmax"](y, axis=-1)),
    source="log(exp(a) + exp(b)) = logaddexp(a, b)",
    group="softmax",
    among=("affine",),
)
def log_of_mixed_shares(term: Term) -> Term | None:
    """log(softmax(x) + softmax(y)), of a mixture of classes, is -inf where both underflow."""
    total = term.args[0]
    if total.op is not forms.AFFINE or len(total.args) != 2 or total.params[0] != 0:
        return None
    logs: list[Term] = []
    for c, share in zip(total.params[1], total.args, strict=True):
        inner, chain = entries(share)
        if inner.op.name != "softmax" or c <= 0:
            return None
        whole = picked(OPS["log_softmax"](inner.args[0], axis=inner.param("axis")), chain)
        logs.append(whole + OPS["log"](forms.const(c, term.dtype)))
    lost = is_lost(total)
    held = [OPS["where"](lost, 1.0, share) for share in total.args]
    parts = list(zip(total.params[1], held, strict=True))
    kept = OPS["log"](forms.total(parts, total.shape, total.dtype))
    return OPS["where"](lost, OPS["logaddexp"](*logs), kept)


@stabilize.procedure(
    "log",
    example=lambda x, w: OPS["log"](OPS["sum"](w * OPS["softmax"](x, axis=-1), axis=-1)),
    source="a sum of shares is one of exponentials over the whole",
    group="softmax",
    among=("sum",),
)
def log_of_sum_of_shares(term: Term) -> Term | None:
    """log(sum(softmax(x)[i:j])), of a group of classes, is -inf where all of them underflow."""
    total = term.args[0]
    if total.op.name != "sum":
        return None
    (summand,), axis = total.args, total.param("axis")
    parts = forms.factors(summand)
    for share, p in parts.items():
        inner, chain = entries(share)
        whole = inner.op.name == "softmax" and p == 1
        if not whole or (chain and inner.ndim > 1) or share.shape != summand.shape:
            continue
        axes = axes_of(inner.param("axis"), inner.ndim)
        if len(axes) != 1 or axes_of(axis, summand.ndim) != axes:
            continue
        x, keepdims = inner.args[0], total.param("keepdims")
        rest = {t: q for t, q in parts.items() if t is not share}
        weights = forms.scale(forms.split(summand)[0], forms.monomial(rest, None, term.dtype))
        summed = forms.with_shape(picked(x, chain), summand.shape)
        if weights.op is CONST:
            some = OPS["logsumexp"](summed, axis=axis, keepdims=keepdims) + log(weights)
        else:
            grown = OPS["sum"](forms.product([weights, exp(summed)]), axis=axis, keepdims=keepdims)
            some = log_of_weighted_sum(log(grown))
            if some is None:
                return None
        lost = is_lost(OPS["abs"](total))
        all_ = OPS["logsumexp"](x, axis=inner.param("axis"), keepdims=keepdims)
        return OPS["where"](lost, some - all_, log(OPS["where"](lost, 1.0, total)))
    return None


# -- growth over growth -------------------------------------------------------------------


def _growths(total: Term) -> list[Term]:
    """The exponentials, or those less one, that addends of a flat sum have as a factor."""
    if total.op is not forms.AFFINE:
        return [total] if total.op.name == "expm1" else []
    found = [[f for f, p in forms.factors(x).items() if _grows(f) and p == 1] for x in total.args]
    return [fs[0] for fs in found if len(fs) == 1]


def _grows(f: Term) -> bool:
    if f.op.name not in ("exp", "expm1"):
        return False
    (x,) = f.args
    chosen = x.op.name == "where" and x.args[0].op.name == "rarely"  # with care, in range
    return x.facts.hi > greatest_exponent(x.dtype) and not (chosen or is_shifted(x))


def _less(x: Term, f: Term, shift: Term) -> Term:
    """x*exp(-shift), where f, an exponential or one less one, is a factor of x."""
    rest = {y: p for y, p in forms.factors(x).items() if y is not f}
    y = _in_range(f.args[0])
    shape = forms.broadcast(forms.AFFINE, (f, shift))
    moved = f.op(forms.total([(1, y), (-1, shift)], shape, x.dtype))
    if f.op.name == "expm1":  # exp(max(y, 0)) times what is left of it
        above = forms.total([(1, OPS["maximum"](y, 0.0)), (-1, shift)], shape, x.dtype)
        if y.facts.nonnegative:  # 1 - exp(-y) beside exp(y), with which expm1(-y) would merge
            share = forms.power(OPS["log_expm1_slope"](y), -1)
        else:
            share = forms.product([OPS["sign"](y), OPS["expm1"](forms.scale(-1, OPS["abs"](y)))])
            share = forms.scale(-1, share)
        far = forms.product([OPS["exp"](above), share])
        moved = OPS["where"](OPS["greater"](shift, 0.0), far, moved)
    return forms.product([moved, forms.monomial(rest, None, x.dtype)])


def _in_range(x: Term) -> Term:
    """An exponent, the greatest number where it is a product or sum that overflowed."""
    if x.op not in (forms.AFFINE, forms.MONOMIAL):
        return x
    return OPS["minimum"](x, float(np.finfo(x.dtype).max))


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["exp"](x) / (y + y * OPS["expm1"](x)),
    source="Blanchard, Higham and Higham 2021",
    group="quotients",
    among=("exp", "expm1"),
)
def growth_over_growth(term: Term) -> Term | None:
    """a*exp(x)/(b + c*exp(x)), as in logistic growth, is inf/inf for large x."""
    powers = forms.factors(term)
    tops = [f for f, p in powers.items() if p == 1 and _grows(f)]
    below = [t for t, p in powers.items() if p == -1 and _growths(t)]
    if len(tops) != 1 or len(below) != 1:
        return None
    (top,), (total,) = tops, below
    if exponential_addends(total) is not None or positive_addends(total) is not None:
        return None  # shares, which have rules of their own
    if total.op is not forms.AFFINE and zero_over_shared_factor(term) is not None:
        return None  # where both vanish comes first
    growths = _growths(total)
    greatest = functools.reduce(OPS["maximum"], [_in_range(f.args[0]) for f in growths])
    shift = where_needed(greatest, above=True)
    if total.op is forms.AFFINE:
        off = OPS["exp"](forms.scale(-1, shift))
        parts = []
        for c, x in zip(total.params[1], total.args, strict=True):
            own = [f for f in growths if forms.factors(x).get(f) == 1]
            parts.append((c, _less(x, own[0], shift) if own else forms.product([x, off])))
        if total.params[0] != 0:
            parts.append((total.params[0], off))
        moved = forms.total(parts, total.shape, total.dtype)
    else:
        moved = _less(total, total, shift)
    rest = {x: p for x, p in powers.items() if x is not top and x is not total}
    share = forms.product([_less(top, top, shift), forms.power(moved, -1)])
    return forms.with_shape(
        forms.product([share, forms.monomial(rest, None, term.dtype)]), term.shape
    )
