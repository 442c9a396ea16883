"""Jensen's gap, from the mean of logs to the log of a mean: of second order in the spread."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.ops.record import CONST
from stablegrad.ops.reduction import count
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import other_addends


@stabilize.procedure(
    "affine",
    example=lambda x: OPS["logsumexp"](x, axis=-1) - OPS["mean"](x, axis=-1),
    source="a common shift of x cancels",
    group="softmax",
    among=("logsumexp",),
)
def logsumexp_less_mean(term: Term) -> Term | None:
    """logsumexp(x) - mean(x) cancels far from 0; the logsumexp of the deviations does not."""
    found = _whole_and_mean(term)
    if found is None or jensens_gap(term) is not None:
        return None
    c, whole, mean = found
    off = OPS["center"](whole.args[0], axis=whole.param("axis"))
    parts = [(c, whole.op.term((off,), whole.params)), *other_addends(term, whole, mean)]
    return forms.total(parts, term.shape, term.dtype)


def _whole_and_mean(term: Term) -> tuple[Rational, Term, Term] | None:
    """c, logsumexp(x) and mean(x), or a sum, where c*logsumexp(x) - c*mean(x) are addends."""
    parts = list(zip(term.params[1], term.args, strict=True))
    for c, whole in parts:
        if whole.op.name != "logsumexp":
            continue
        n = count(whole.args[0].shape, whole.param("axis"))
        for d, mean in parts:
            known = mean.op.name in ("mean", "sum") and mean.args == whole.args
            times = n if mean.op.name == "sum" else 1
            if known and mean.params == whole.params and Fraction(d) * times == -Fraction(c):
                return c, whole, mean
    return None


def _whole_of_deviations(term: Term) -> tuple[Rational, Term, Term] | None:
    """c, logsumexp(x - mean(x)) and x - mean(x) where c of the first is an addend."""
    for c, whole in zip(term.params[1], term.args, strict=True):
        off = whole.args[0] if whole.op.name == "logsumexp" else whole
        if off is not whole and off.op.name == "center" and off.params[0] == whole.params[0]:
            return c, whole, off
    return None


@stabilize.procedure(
    "affine",
    example=lambda x: (
        OPS["logsumexp"](x, axis=-1)
        - OPS["mean"](x, axis=-1)
        + OPS["log"](forms.const(Fraction(1, x.shape[-1]), x.dtype))
    ),
    source="the mean of deviations is 0",
    group="softmax",
    among=("logsumexp",),
)
def jensens_gap(term: Term) -> Term | None:
    """log(mean(exp(x))) - mean(x), what a variational bound loses, cancels for x that are near."""
    found = _whole_and_mean(term) or _whole_of_deviations(term)
    if found is None:
        return None
    c, whole, mean = found
    (x,) = mean.args
    n = count(x.shape, whole.param("axis"))
    used, constant = [whole, mean], term.params[0] != 0
    left: list[tuple[Rational, Term]] = [(c, OPS["log"](forms.const(n, x.dtype)))]
    for d, share in zip(term.params[1], term.args, strict=True):
        if share.op.name == "log" and share.args[0].op is CONST:
            constant = True
            if d == c and Fraction(share.args[0].params[0]) * n == 1:
                used, left = [*used, share], []
    if not constant or n < 2:
        return None
    gap = OPS["jensen_excess"].term((x,), whole.params)
    return forms.total([(c, gap), *left, *other_addends(term, *used)], term.shape, term.dtype)
