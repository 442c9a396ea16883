"""Softmax written entry by entry, and means by its shares."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import other_factors
from stablegrad.rules.softmax import axes_of, entries, one_of_each_row, picked


@stabilize.procedure(
    "monomial",
    example=lambda x: (
        OPS["exp"](OPS["getitem"](x, index=(*[("slice", 0, n, 1) for n in x.shape[:-1]], 0)))
        / OPS["sum"](OPS["exp"](x), axis=-1)
    ),
    source="an entry of f(x) is f of the entry",
    group="softmax",
    among=("exp", "sum"),
)
def share_of_entry(term: Term) -> Term | None:
    """exp(x[i])/sum(exp(x)), the share of a class, is inf/inf, and 1 - p is lost in its slope."""
    parts = forms.factors(term)
    tops = [t for t, p in parts.items() if t.op.name == "exp" and p == 1]
    wholes = [t for t, p in parts.items() if t.op.name == "sum" and p == -1]
    for top in tops:
        for whole in wholes:
            (inner,) = whole.args
            axes = axes_of(whole.param("axis"), inner.ndim)
            if inner.op.name != "exp" or len(axes) != 1 or whole.shape != top.shape:
                continue
            (x,), (entry,) = inner.args, top.args
            chain = _chain(entry, x)
            if chain is None or not one_of_each_row(entry, chain, axes[0], whole):
                continue
            share = picked(OPS["softmax"](x, axis=axes[0]), chain)
            rest = other_factors(term, top, whole)
            return forms.with_shape(forms.product([share, rest]), term.shape)
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
    own = [picked(a, chains[0]) if a.shape == x.shape else a for a in x.args]
    if x.op is forms.MONOMIAL:
        same = forms.monomial(dict(zip(own, x.params[0], strict=True)), None, x.dtype)
    else:
        parts = [*zip(x.params[1], own, strict=True), (1, forms.const(x.params[0], x.dtype))]
        same = forms.total(parts, entry.shape, x.dtype)
    return chains[0] if same is entry else None


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
