"""Reductions: what is monotone is applied to what is left, scalar products have one spelling."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.rules.databases import stabilize

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
