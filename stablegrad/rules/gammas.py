"""Differences of lgamma and its derivatives: log densities of counts, beta functions, entropies."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.ops.record import CONST
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import addends, bare, plain_difference, simpler_difference

ORDERS = {"lgamma": -1, "digamma": 0}
Part = tuple[Term, Term, int]
"""The factor, argument and order of an addend factor * polygamma(argument)."""


@stabilize.procedure(
    "affine",
    example=lambda x, k: OPS["lgamma"](x + k) - OPS["lgamma"](x) - k * OPS["log"](x),
    source="Stirling's series, its leading terms by log1p",
    group="gammas",
    among=(*ORDERS, "polygamma"),
)
def difference_of_gammas(term: Term) -> Term | None:
    """p*f(x + h) - q*f(x) cancels where h is far below x; q times the step, and (p - q)*f(x + h).

    f is lgamma or one of its derivatives. Where two addends may be the lesser one the greater
    argument is it, so that no large part is left over.
    """
    parts = [_part(c, x) for c, x in zip(term.params[1], term.args, strict=True)]
    for i, top in enumerate(parts):
        if top is None:
            continue
        found = [
            (j, low[1])
            for j, low in enumerate(parts)
            if low is not None and j != i and _joins(top, low)
        ]
        if found:
            return _joined(term, parts, i, found)
    return None


def _part(c: Rational, x: Term) -> Part | None:
    """An addend as a multiple of one of the functions."""
    inside = [f for f in forms.factors(x) if f.op.name in ORDERS or f.op.name == "polygamma"]
    if len(inside) != 1 or forms.factors(x)[inside[0]] != 1:
        return None
    f = inside[0]
    rest = {y: p for y, p in forms.factors(x).items() if y is not f}
    factor = forms.scale(c, forms.monomial(rest, None, x.dtype))
    order = f.param("n") if f.op.name == "polygamma" else ORDERS[f.op.name]
    return factor, f.args[0], order


def _joins(top: Part, low: Part) -> bool:
    """Whether top is of x + h, low of x, their factors opposite, and h plainer than x + h."""
    if top[2] != low[2] or top[0].dtype != low[0].dtype:
        return False
    if addends(top[1]) < addends(low[1]) or simpler_difference(top[1], low[1]) is None:
        return False  # the step goes from the plainer argument, which is rounded less
    left = _left(top, low)
    if left.op is CONST:
        return left.params[0] == 0
    return addends(left) < max(addends(top[0]), addends(low[0]))


def _left(top: Part, low: Part) -> Term:
    return bare(plain_difference(top[0], forms.scale(-1, low[0])))


def _joined(
    term: Term, parts: list[Part | None], i: int, found: list[tuple[int, Term]]
) -> Term | None:
    results = [(_pair(term, parts, i, j), x) for j, x in found]
    best, argument = results[0]
    for other, x in results[1:]:
        condition = OPS["less"](argument, x)
        best = OPS["where"](condition, other, best)
        argument = OPS["where"](condition, x, argument)
    return forms.with_shape(best, term.shape)


def _pair(term: Term, parts: list[Part | None], i: int, j: int) -> Term:
    top, low = parts[i], parts[j]
    assert top is not None
    assert low is not None
    h = simpler_difference(top[1], low[1])
    assert h is not None
    if top[2] < 0:
        step = OPS["lgamma_step"](low[1], h)
        high = OPS["lgamma"](top[1])
    else:
        step = OPS["polygamma_step"](low[1], h, n=top[2])
        high = OPS["digamma"](top[1]) if top[2] == 0 else OPS["polygamma"](top[1], n=top[2])
    pairs = [(c, x) for c, x in zip(term.params[1], term.args, strict=True)]
    rest = [p for k, p in enumerate(pairs) if k not in (i, j)]
    rest.append((1, forms.product([forms.scale(-1, low[0]), step])))
    left = _left(top, low)
    if not (left.op is CONST and left.params[0] == 0):
        rest.append((1, forms.product([left, high])))
    if term.params[0] != 0:
        rest.append((1, forms.const(term.params[0], term.dtype)))
    return forms.total(rest, term.shape, term.dtype)


FARTHEST = 8
"""Steps of gamma's recurrence that are cheaper, and nearer to the truth, than two gammas."""


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["gamma"](x + 2) / OPS["gamma"](x),
    source="DLMF 5.5.1",
    group="gammas",
    among=("gamma",),
)
def ratio_of_neighbouring_gammas(term: Term) -> Term | None:
    """gamma(x + n)/gamma(x) is inf/inf for large x: x*(x + 1)*...*(x + n - 1)."""
    powers = forms.factors(term)
    found = [(f, p) for f, p in powers.items() if f.op.name == "gamma"]
    for top, p in found:
        for below, q in found:
            if p != -q:
                continue
            steps = bare(plain_difference(top.args[0], below.args[0]))
            if steps.op is not CONST or steps.params[0] not in range(1, FARTHEST + 1):
                continue
            (x,) = below.args
            rest = {y: r for y, r in powers.items() if y is not top and y is not below}
            shape = x.shape
            run = [
                forms.total([(1, x), (k, _one(x))], shape, x.dtype) for k in range(steps.params[0])
            ]
            whole = [forms.power(y, p) for y in run]
            product = forms.product([*whole, forms.monomial(rest, None, term.dtype)])
            return forms.with_shape(product, term.shape)
    return None


def _one(like: Term) -> Term:
    return forms.const(1, like.dtype)
