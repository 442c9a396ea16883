"""Softmax written entry by entry, and means by its shares."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import is_lost, other_factors
from stablegrad.rules.softmax import axes_of, entries, one_of_each_row, picked


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["exp"](_first(x)) / OPS["sum"](OPS["exp"](x), axis=-1),
    source="an entry of f(x) is f of the entry",
    group="softmax",
    among=("exp", "sum"),
)
def share_of_entry(term: Term) -> Term | None:
    """exp(x[i])/sum(exp(x)), the share of a class, is inf/inf, and 1 - p is lost in its slope."""
    parts = forms.factors(term)
    tops = [(t, p) for t, p in parts.items() if t.op.name == "exp" and p in (1, -1)]
    wholes = [(t, p) for t, p in parts.items() if t.op.name == "sum" and p in (1, -1)]
    for top, power in tops:
        for whole, p in wholes:
            (inner,) = whole.args
            axes = axes_of(whole.param("axis"), inner.ndim)
            alike = whole.shape == top.shape and p == -power
            if inner.op.name != "exp" or len(axes) != 1 or not alike:
                continue
            (x,), (entry,) = inner.args, top.args
            chain = _chain(entry, x)
            if chain is None or not one_of_each_row(entry, chain, axes[0], whole):
                continue
            share = picked(OPS["softmax"](x, axis=axes[0]), chain)
            rest = other_factors(term, top, whole)
            product = forms.product([forms.power(share, power), rest])
            return forms.with_shape(product, term.shape)
    return None


def _chain(entry: Term, x: Term) -> list[Term] | None:
    """The ops that take an entry from x, also where they are on what x is made of; else None."""
    inner, chain = entries(entry)
    if inner is x:
        return chain
    if x.op not in (forms.AFFINE, forms.MONOMIAL) or entry.op is not x.op:
        return None
    chains = [c for c in (entries(a)[1] for a in entry.args) if c]
    if not chains or any(a.shape != x.shape and a.size != 1 for a in x.args):
        return None
    return chains[0] if _entry(x, chains[0]) is entry else None


def _entry(x: Term, chain: list[Term]) -> Term:
    """What a chain takes from x; from a sum or product as one of entries, before it is rounded."""
    if x.op not in (forms.AFFINE, forms.MONOMIAL):
        return picked(x, chain)
    if any(a.shape != x.shape and a.size != 1 for a in x.args):
        return picked(x, chain)
    own = [picked(a, chain) if a.shape == x.shape else OPS["reshape"](a, shape=()) for a in x.args]
    if x.op is forms.MONOMIAL:
        return forms.monomial(dict(zip(own, x.params[0], strict=True)), None, x.dtype)
    parts = [*zip(x.params[1], own, strict=True), (1, forms.const(x.params[0], x.dtype))]
    return forms.total(parts, chain[0].shape, x.dtype)


@stabilize.procedure(
    "monomial",
    example=lambda w, x: (
        OPS["sum"](w * OPS["exp"](x), axis=-1) / OPS["sum"](OPS["exp"](x), axis=-1)
    ),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("sum", "mean"),
)
def mean_by_exponentials(term: Term) -> Term | None:
    """sum(w*exp(x))/sum(exp(x)), a smooth maximum: its slope by x is a variance of shares."""
    parts = forms.factors(term)
    for whole, p in parts.items():
        if p != -1 or whole.op.name not in ("sum", "mean") or whole.args[0].op.name != "exp":
            continue
        (growth,), axis = whole.args, whole.param("axis")
        axes = axes_of(axis, growth.ndim)
        for top, q in parts.items():
            if q != 1 or top.op is not whole.op or top.params != whole.params or len(axes) != 1:
                continue
            c, summand = forms.split(*top.args)
            if forms.factors(summand).get(growth) != 1 or summand.shape != growth.shape:
                continue
            share = OPS["softmax"](*growth.args, axis=axes[0])
            weights = other_factors(summand, growth)
            summand = forms.scale(c, forms.product([weights, share]))
            total = OPS["sum"](summand, axis=axis, keepdims=whole.param("keepdims"))
            rest = other_factors(term, top, whole)
            return forms.with_shape(forms.product([total, rest]), term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x, y: _first(OPS["softmax"](x, axis=-1)) / _first(OPS["softmax"](y, axis=-1)),
    source="a quotient of exponentials is one of a difference",
    group="softmax",
    among=("softmax",),
)
def ratio_of_shares(term: Term) -> Term | None:
    """softmax(x)[i]/softmax(y)[i], a ratio of two policies, is 0/0 where both shares underflow."""
    parts = forms.factors(term)
    shares = [(t, p, *entries(t)) for t, p in parts.items() if p in (1, -1)]
    shares = [s for s in shares if s[2].op.name == "softmax" and s[3]]
    tops = [s for s in shares if s[1] == 1]
    lows = [s for s in shares if s[1] == -1]
    for top, _, whole, chain in tops:
        for low, _, other, below in lows:
            if top.shape != low.shape:
                continue
            lost = OPS["rarely"](is_lost(OPS["minimum"](top, low)))
            far = _far_ratio(whole, chain, other, below, top)
            kept = [OPS["where"](lost, 1.0, s) for s in (top, low)]
            near = forms.product([kept[0], forms.power(kept[1], -1)])
            ratio = OPS["where"](lost, far, near)
            rest = other_factors(term, top, low)
            return forms.with_shape(forms.product([ratio, rest]), term.shape)
    return None


@stabilize.procedure(
    "log",
    example=lambda x, y: OPS["log"](
        _careful(_first(OPS["softmax"](x, axis=-1)), _first(OPS["softmax"](y, axis=-1)))
    ),
    source="the inverse of ratio_of_shares",
    group="softmax",
    among=("where",),
)
def log_of_ratio_of_shares(term: Term) -> Term | None:
    """The log of a ratio of shares that was taken with care is that of the shares."""
    c, core = forms.split(term.args[0])
    for ratio in forms.factors(core):
        shares = _shares_of(ratio) if forms.factors(core)[ratio] == 1 else None
        if shares is not None:
            rest = forms.scale(c, other_factors(core, ratio))
            parts = [(1, OPS["log"](rest))]
            for sign, (whole, chain) in zip((1, -1), map(entries, shares), strict=True):
                logs = OPS["log_softmax"](whole.args[0], axis=whole.param("axis"))
                parts.append((sign, picked(logs, chain)))
            return forms.total(parts, term.shape, term.dtype)
    return None


def _first(x: Term) -> Term:
    rows = [("slice", 0, n, 1) for n in x.shape[:-1]]
    return OPS["getitem"](x, index=(*rows, 0))


def _careful(top: Term, low: Term) -> Term:
    ratio = forms.product([top, forms.power(low, -1)])
    return ratio_of_shares(ratio) or ratio


def _shares_of(ratio: Term) -> tuple[Term, Term] | None:
    """The shares of which something is the ratio, as ``ratio_of_shares`` has it."""
    if ratio.op.name != "where" or ratio.args[0].op.name != "rarely":
        return None
    rare, _, near = ratio.args
    if near.op is not forms.MONOMIAL or len(near.args) != 2:
        return None
    kept = {p: x for x, p in forms.factors(near).items()}
    if set(kept) != {1, -1} or any(
        x.op.name != "where" or x.args[0] is not rare for x in near.args
    ):
        return None
    top, low = kept[1].args[2], kept[-1].args[2]
    alike = all(entries(x)[0].op.name == "softmax" for x in (top, low))
    return (top, low) if alike else None


def _far_ratio(whole: Term, chain: list[Term], other: Term, below: list[Term], like: Term) -> Term:
    """The ratio by one exponential of what is known: logs of shares are rounded to their size."""
    (x,), (y,) = whole.args, other.args
    parts = [(1, _entry(x, chain)), (-1, _entry(y, below))]
    if whole is other:
        return OPS["exp"](forms.total(parts, like.shape, like.dtype))
    sums: list[Term] = []
    for sign, share, picks in ((-1, whole, chain), (1, other, below)):
        (z,), along = share.args, {"axis": share.param("axis"), "keepdims": True}
        top = STOP_GRADIENT.term((OPS["max"](z, **along),))  # it cancels, as its slopes do
        rest = OPS["sum"](OPS["exp"](z - top), **along)
        tops, rests = (picked(OPS["broadcast_to"](a, shape=z.shape), picks) for a in (top, rest))
        parts.append((sign, tops))
        sums.append(rests)
    growth = OPS["exp"](forms.total(parts, like.shape, like.dtype))
    return forms.product([growth, forms.power(sums[0], -1), sums[1]])
