"""Logs of sums of exponentials with weights: mixtures, and means whose weights add up to 1."""

from __future__ import annotations

import functools

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exponential import exp, log
from stablegrad.ops.record import is_const
from stablegrad.rules.databases import stabilize
from stablegrad.rules.shares import Addend, divided_by, exponent_of, exponential_addends
from stablegrad.rules.simpler import bare, plain_difference
from stablegrad.rules.weighted import greatest_exponent, is_shifted, where_needed

NEAR = 2.0**-6
"""How far from 1 a mean costs its logarithm few digits, and few means are as near."""
GAINS = {
    "exp": OPS["expm1"],
    "sigmoid": lambda u: forms.scale(-1, OPS["sigmoid"](forms.scale(-1, u))),
}
"""What a function is more than 1, by its name."""


@stabilize.procedure(
    "log",
    example=lambda a, b, w: log(w * exp(a) + (1 - w) * exp(b)),
    source="Blanchard, Higham and Higham 2021",
    group="logarithm",
    among=("exp", "monomial"),
)
def log_of_weighted_exponentials(term: Term) -> Term | None:
    """log(w*exp(a) + (1 - w)*exp(b)), a mixture: the greatest exponential is taken out.

    It stays where the exponents are small: the sum is in range, and its log cancels with nothing,
    but with the 1 that the weights add up to: that is taken off.
    """
    (total,) = term.args
    scale, total = forms.split(total)
    if total.op is forms.MONOMIAL:
        return None
    addends = exponential_addends(total)
    if addends is None or scale <= 0:
        return None
    if all(c == addends[0][0] and not rest for c, _, rest in addends):
        c = forms.exact_ratio(scale * addends[0][0])
        if c <= 0:
            return None
        if scale == 1 and c == 1:
            return None  # a sum of plain exponentials: the ops of logsumexp's family
        inner = forms.scale(forms.ratio(scale, c), total)
        constant = log(forms.const(c, term.dtype))
        result = forms.total([(1, log(inner)), (1, constant)], term.shape, term.dtype)
        if len(addends) != 2 or 2 * c != 1:
            return result
        a, b = (exponent_of(u, term) for _, u, _ in addends)  # the mean of two, near each other
        half = plain_difference(a, b) / 2
        middle = forms.total([(1, (a + b) / 2), (1, OPS["log_cosh"](half))], term.shape, term.dtype)
        return OPS["where"](OPS["less"](OPS["abs"](half), 0.5), middle, result)
    exponents = [exponent_of(u, term) for _, u, _ in addends]
    if scale != 1 or any(is_shifted(u) for u in exponents):
        return None
    shift = where_needed(functools.reduce(OPS["maximum"], exponents))
    inner = divided_by(addends, shift, term)
    parts = [(1, log(inner)), (1, shift)]
    usual = forms.total(parts, term.shape, term.dtype)
    if not _add_up_to_1(addends, term):
        return usual
    near = OPS["logical_and"](_is_near_1(inner), OPS["equal"](shift, 0.0))
    return _beside_1(addends, near, usual, term)  # not by the log, which slopes do not need


@stabilize.procedure(
    "log",
    example=lambda r, x: log(r + (1 - r) * exp(-x)),
    source="the weights of a mean add up to 1",
    group="logarithm",
    among=("exp", "monomial", "sigmoid"),
)
def log_of_mean_with_exponential(term: Term) -> Term | None:
    """log(r + (1 - r)*exp(-x)), of what is left after a loss, cancels where that is next to 1."""
    (total,) = term.args
    if total.op is not forms.AFFINE or total.params[0] != 0:
        return None
    for name in GAINS:
        addends = _addends_with(total, name)
        if {u is None for _, u, _ in addends} == {True, False} and _add_up_to_1(addends, term):
            return _beside_1(addends, _is_near_1(total), None, term, name)
    return None


def _addends_with(total: Term, name: str) -> list[Addend]:
    """The coefficients of addends, the arguments of a function that they have, and the rest."""
    addends: list[Addend] = []
    for c, x in zip(total.params[1], total.args, strict=True):
        rest = forms.factors(x)
        tops = [t for t, p in rest.items() if t.op.name == name and p == 1]
        if len(tops) > 1 or any(t.dtype.kind == "b" for t in rest):
            return []
        others = {t: p for t, p in rest.items() if t not in tops}
        addends.append((c, tops[0].args[0] if tops else None, others))
    return addends


def _is_near_1(mean: Term) -> Term:
    return OPS["logical_and"](OPS["greater"](mean, 1 - NEAR), OPS["less"](mean, 1 + NEAR))


def _add_up_to_1(addends: list[Addend], like: Term) -> bool:
    """Whether the weights of some exponentials do."""
    weights = [(c, forms.monomial(rest, None, like.dtype)) for c, _, rest in addends]
    if len(weights) == 2 and all(c == 1 and w.op.name == "sigmoid" for c, w in weights):
        (_, a), (_, b) = weights
        return forms.scale(-1, a.args[0]) is b.args[0]
    return is_const(bare(forms.total(weights, like.shape, like.dtype)), 1)


def _beside_1(
    addends: list[Addend], near: Term, usual: Term | None, like: Term, name: str = "exp"
) -> Term:
    """The log of a mean of exponentials, of what it is more than 1 where that is near."""
    limit = greatest_exponent(like.dtype)
    given = [u for _, u, _ in addends if u is not None]
    fits = [OPS["less"](u, limit) for u in given] if name == "exp" else []
    near = OPS["rarely"](functools.reduce(OPS["logical_and"], fits, near))
    if usual is None:
        usual = log(OPS["where"](near, 1.0, like.args[0]))
    parts = []
    for c, u, rest in addends:
        if u is not None:
            gain = GAINS[name](OPS["where"](near, u, -0.5))
            parts.append((c, forms.product([gain, forms.monomial(rest, None, like.dtype)])))
    return OPS["where"](near, OPS["log1p"](forms.total(parts, like.shape, like.dtype)), usual)


@stabilize.rule(
    source="the weights of a mean add up to 1",
    group="shares",
    rises="as many operations, of which none cancels by itself",
)
def one_minus_mean_with_one(x: Term, y: Term) -> tuple[Term, Term]:
    """1 - (x + (1 - x)*y), what a mean of 1 and y is short of 1, cancels where y is near 1."""
    return 1 - x - (1 - x) * y, (1 - x) * (1 - y)


@stabilize.rule(
    source="log(x*y) = log(x) + log(y)",
    group="logarithm",
    rises="the log of a product next to 1 has no digits",
)
def log_of_rest_times_sigmoid(x: Term, y: Term) -> tuple[Term, Term]:
    """log((1 - x)*sigmoid(y)), of what two chances leave, cancels where both leave all but all."""
    return log((1 - x) * OPS["sigmoid"](y)), OPS["log1p"](-x) + OPS["log_sigmoid"](y)
