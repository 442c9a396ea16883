"""Reductions: what is monotone is applied to what is left, scalar products have one spelling."""

from __future__ import annotations

import functools

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.record import is_const
from stablegrad.ops.reduction import reduced
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import bare, has_rule, other_addends
from stablegrad.rules.softmax import axes_of, entries, one_of_each_row, restored
from stablegrad.rules.weighted import greatest_exponent

_widest = functools.partial(OPS["max"], axis=-1, keepdims=True)
SHORT = 1024
"""Vectors up to this length are multiplied faster than a library of matrices is called."""


@stabilize.procedure(
    "matmul",
    example=lambda x: OPS["matmul"](*[OPS["reshape"](x, shape=(x.size,))] * 2),
    source="definition",
    group="vectors",
)
def product_of_vectors(term: Term) -> Term | None:
    """dot(x, y) is sum(x*y): rules for lengths, cosines and moments see one spelling."""
    x, y = term.args
    if x.ndim != 1 or y.ndim != 1 or not (x is y or x.size <= SHORT):
        return None
    return OPS["sum"](forms.product([x, y]))


@stabilize.procedure(
    "max",
    "min",
    example=lambda x: OPS["max"](OPS["exp"](x), axis=-1),
    source="exp is monotone",
    group="vectors",
    among=("exp",),
)
def greatest_exponential(term: Term) -> Term | None:
    """max(exp(x)) overflows, or finds ties where exponents differ; exp(max(x)) does not."""
    (inner,) = term.args
    if inner.op.name != "exp":
        return None
    return OPS["exp"](term.op.term(inner.args, term.params))


@stabilize.procedure(
    "maximum",
    "minimum",
    example=lambda x, y: OPS["maximum"](OPS["exp"](x), OPS["exp"](y)),
    source="exp is monotone",
    group="vectors",
    among=("exp",),
)
def greater_exponential(term: Term) -> Term | None:
    """maximum(exp(x), exp(y)) is exp(maximum(x, y))."""
    if any(x.op.name != "exp" for x in term.args):
        return None
    return OPS["exp"](OPS[term.op.name](*[x.args[0] for x in term.args]))


def _masked(x: Term) -> Term | None:
    """The exponential whose exponent is -inf where one is masked: where(c, exp(x), 0)."""
    if x.op.name != "where" or not is_const(x.args[2], 0) or x.args[1].op.name != "exp":
        return None
    exponent = OPS["where"](x.args[0], x.args[1].args[0], -float("inf"))
    return forms.with_shape(OPS["exp"](exponent), x.shape)


@stabilize.procedure(
    "sum",
    "mean",
    example=lambda x, y: OPS["sum"](OPS["where"](y > 0, OPS["exp"](x), 0.0), axis=-1),
    source="exp(-inf) = 0",
    group="softmax",
    among=("where",),
)
def sum_of_masked_exponentials(term: Term) -> Term | None:
    """sum(where(m, exp(x), 0)) overflows, and hides from the rules for sums of exponentials."""
    inner = _masked(term.args[0])
    return None if inner is None else term.op.term((inner,), term.params)


@stabilize.procedure(
    "monomial",
    example=lambda x, y: (
        OPS["where"](y > 0, OPS["exp"](x), 0.0)
        / OPS["sum"](OPS["exp"](OPS["where"](y > 0, x, -float("inf"))), axis=-1, keepdims=True)
    ),
    source="exp(-inf) = 0",
    group="softmax",
    among=("where",),
)
def share_of_masked_exponentials(term: Term) -> Term | None:
    """where(m, exp(x), 0) over its own sum, a softmax with masks."""
    powers = forms.factors(term)
    below = [restored(t) for t, p in powers.items() if p == -1]
    summed = [t.args[0] for t in below if t.op.name == "sum"]
    for top, p in powers.items():
        inner = _masked(top) if p == 1 else None
        if inner is not None and inner in summed:
            rest = {t: q for t, q in powers.items() if t is not top}
            product = forms.product([inner, forms.monomial(rest, None, term.dtype)])
            return forms.with_shape(product, term.shape)
    return None


@stabilize.procedure(
    "affine",
    example=lambda x: OPS["sum"](x, axis=-1) - OPS["getitem"](x, index=(..., 0)),
    source="definition",
    group="vectors",
    among=("sum",),
)
def sum_less_an_entry(term: Term) -> Term | None:
    """sum(f(x)) - f(x[i]), the others of a row, cancels where the entry dominates."""
    parts = list(zip(term.params[1], term.args, strict=True))
    for c, total in parts:
        if total.op.name != "sum" or total.args[0].dtype.kind != "f":
            continue
        (x,) = total.args
        axes = axes_of(total.param("axis"), x.ndim)
        for d, entry in parts:
            if d != -c or len(axes) != 1 or total.shape != entry.shape:
                continue
            taken = _entry_of(x, entry)
            if taken is None or not one_of_each_row(taken, [taken], axes[0], total):
                continue
            one = forms.const(1, x.dtype, taken.shape)
            place = OPS["index_add"](one, shape=x.shape, index=taken.param("index"))
            others = OPS["where"](OPS["equal"](place, 0.0), x, 0.0)
            result = total.op.term((others,), total.params)
            finite = [OPS["isfinite"](t) for t in dict.fromkeys([taken, entry])]
            guard = finite[0] if len(finite) == 1 else OPS["logical_or"](*finite)
            rest = other_addends(term, total, entry)
            parts = [(c, OPS["require"](result, guard)), *rest]
            return forms.total(parts, term.shape, term.dtype)
    return None


def _entry_of(x: Term, entry: Term) -> Term | None:
    """What takes ``entry`` from ``x``, or from an argument of the same functions."""
    while entry.op.name != "getitem":
        alike = entry.op is x.op and entry.params == x.params and entry.op.elementwise
        if not alike or len(entry.args) != len(x.args):
            return None
        pairs = [(a, b) for a, b in zip(x.args, entry.args, strict=True) if a is not b]
        if len(pairs) != 1 or any(a.shape for a in x.args if a is not pairs[0][0]):
            return None
        x, entry = pairs[0]
    inner, chain = entries(entry)
    return entry if inner is x and len(chain) == 1 else None


@stabilize.procedure(
    "log",
    example=lambda x, y: OPS["log"](
        OPS["require"](OPS["sum"](OPS["exp"](x), axis=-1), OPS["max"](y, axis=-1) > 0)
    ),
    source="a guard around the value is one around its log",
    group="vectors",
    among=("require",),
)
def log_of_guarded_sum(term: Term) -> Term | None:
    """The log of a sum of exponentials that is nan somewhere overflows as that of any other."""
    inner = OPS["log"](bare(term.args[0]))
    if term.args[0].op is not forms.REQUIRE or not has_rule(inner):
        return None
    guard = term.args[0]
    while guard.op is forms.REQUIRE:
        inner, guard = OPS["require"](inner, guard.args[1]), guard.args[0]
    return inner


@stabilize.procedure(
    "power",
    example=lambda x, y: OPS["power"](
        OPS["sum"](OPS["power"](OPS["abs"](x), _widest(y)), axis=-1, keepdims=True),
        1 / _widest(y),
    ),
    source="homogeneity of norms",
    group="vectors",
    among=("sum", "mean"),
)
def power_of_summed_powers(term: Term) -> Term | None:
    """sum(|x|**p)**(1/p) leaves the range for large p; with x over the greatest it does not."""
    total, outer = term.args
    if total.op.name not in ("sum", "mean") or total.args[0].op.name != "power":
        return None
    base, p = total.args[0].args
    shape = reduced(total.args[0].shape, total.param("axis"), keepdims=True)
    once = any(x.op is STOP_GRADIENT for x in forms.factors(base))
    if once or not base.facts.nonnegative or not (p.size == 1 or p.shape == shape):
        return None
    flat = OPS["reshape"](p, shape=() if p.size == 1 else total.shape)
    p = OPS["reshape"](p, shape=() if p.size == 1 else shape)
    base = forms.with_shape(base, total.args[0].shape)
    params = {"axis": total.param("axis"), "keepdims": True}
    far = OPS["where"](p > 0, OPS["max"](base, **params), OPS["min"](base, **params))
    size = OPS["abs"](p * OPS["log"](far))
    needed = OPS["logical_and"](OPS["isfinite"](size), size > greatest_exponent(term.dtype))
    unit = STOP_GRADIENT.term((OPS["where"](needed, far, 1.0),))  # it cancels, as its slopes do
    powers = OPS["power"](forms.product([base, forms.power(unit, -1)]), p)
    rest = total.op.term((powers,), total.params)
    whole = OPS["power"](OPS["reshape"](unit, shape=total.shape), forms.product([flat, outer]))
    return forms.with_shape(forms.product([whole, OPS["power"](rest, outer)]), term.shape)
