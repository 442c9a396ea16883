"""How concentrated shares are: effective sample sizes, Renyi's entropies and Gini's impurity."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import exact_ratio
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import other_addends, other_factors
from stablegrad.rules.softmax import exponents_summed

_SOURCE = "sum(softmax(x)**k) = sum(exp(k*x))/sum(exp(x))**k"


def _degree(x: Term, y: Term) -> Fraction:
    """k where y is k*x; 0 where it is no multiple."""
    (c, a), (d, b) = forms.split(x), forms.split(y)
    return Fraction(d) / Fraction(c) if a is b and c != 0 else Fraction(0)


def _powers(name: str, x: Term, k: Fraction, like: Term) -> Term:
    """sum(softmax(x)**k), or its log, with the axes of another reduction."""
    params = {"axis": like.param("axis"), "keepdims": like.param("keepdims")}
    return OPS[name](x, k=exact_ratio(k), **params)


@stabilize.procedure(
    "affine",
    example=lambda x: 2 * OPS["logsumexp"](x, axis=-1) - OPS["logsumexp"](2 * x, axis=-1),
    source=_SOURCE,
    group="softmax",
    among=("logsumexp",),
)
def logsumexp_less_its_power(term: Term) -> Term | None:
    """2*logsumexp(x) - logsumexp(2*x), of an effective sample size, cancels at a dominating x."""
    found = [p for p in zip(term.params[1], term.args, strict=True) if p[1].op.name == "logsumexp"]
    for c, total in found:
        for d, powers in found:
            k = _degree(total.args[0], powers.args[0])
            if k <= 1 or total.params != powers.params or Fraction(c) != -k * Fraction(d):
                continue
            cured = _powers("log_softmax_power_sum", total.args[0], k, total)
            parts = [(d, cured), *other_addends(term, total, powers)]
            return forms.total(parts, term.shape, term.dtype)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: (
        OPS["sum"](OPS["exp"](x), axis=-1) ** 2 / OPS["sum"](OPS["exp"](2 * x), axis=-1)
    ),
    source=_SOURCE,
    group="softmax",
    among=("sum",),
)
def sum_of_exponentials_over_its_power(term: Term) -> Term | None:
    """sum(exp(x))**2/sum(exp(2*x)), an effective sample size, overflows; its slopes cancel."""
    sums = [(t, exponents_summed(t), p) for t, p in forms.factors(term).items()]
    found = [(t, x, Fraction(p)) for t, x, p in sums if x is not None]
    for total, x, p in found:
        for powers, y, q in found:
            k = _degree(x, y)
            if k <= 1 or total.params != powers.params or p != -k * q:
                continue
            whole = forms.power(_powers("softmax_power_sum", x, k, total), exact_ratio(q))
            product = forms.product([whole, other_factors(term, total, powers)])
            return forms.with_shape(product, term.shape)
    return None


@stabilize.procedure(
    "sum",
    example=lambda x: OPS["sum"](OPS["softmax"](x, axis=-1) ** 2, axis=-1),
    source="definition",
    group="softmax",
    among=("monomial",),
)
def sum_of_powers_of_shares(term: Term) -> Term | None:
    """sum(softmax(x)**2), of a participation ratio: its slopes cancel where shares are near."""
    powers = forms.factors(term.args[0])
    if len(powers) != 1:
        return None
    ((share, k),) = powers.items()
    if k <= 1 or share.op.name != "softmax" or share.param("axis") != term.param("axis"):
        return None
    return _powers("softmax_power_sum", share.args[0], Fraction(k), term)


@stabilize.procedure(
    "log",
    example=lambda x: OPS["log"](OPS["softmax_power_sum"](x, axis=-1)),
    source="definition",
    group="softmax",
)
def log_of_powers_of_shares(term: Term) -> Term | None:
    """log(sum(softmax(x)**2)), an entropy, is 0 where one entry dominates."""
    (total,) = term.args
    if total.op.name != "softmax_power_sum":
        return None
    return OPS["log_softmax_power_sum"].term(total.args, total.params)


@stabilize.procedure(
    "affine",
    example=lambda x: 1 - OPS["softmax_power_sum"](x, axis=-1),
    source="1 - p = -expm1(log(p))",
    group="softmax",
)
def impurity_of_shares(term: Term) -> Term | None:
    """1 - sum(softmax(x)**2), Gini's impurity, is 0 where one entry dominates."""
    if len(term.args) != 1 or isinstance(term.params[0], str):
        return None
    (c,), (total,) = term.params[1], term.args
    if total.op.name != "softmax_power_sum" or c != -term.params[0]:
        return None
    logarithm = OPS["log_softmax_power_sum"].term(total.args, total.params)
    return forms.scale(c, OPS["expm1"](logarithm))
