"""The logistic family: sigmoid, softplus, tanh, odds and logit."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from stablegrad.cost import one_sign
from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational, ratio
from stablegrad.ops.hyperbolic import sech, tanh
from stablegrad.ops.logistic import sigmoid, sigmoid_slope
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import (
    addends,
    bare,
    other_addends,
    other_factors,
    plain_difference,
    simpler_difference,
)

Pair = tuple[Any, Any]
rule = stabilize.rule


@rule(source="sigmoid(x) + sigmoid(-x) = 1", group="logistic")
def one_minus_sigmoid(x: Term) -> Pair:
    """1 - sigmoid(x) cancels for large x, whoever else uses sigmoid(x)."""
    return 1 - sigmoid(x), sigmoid(-x)


@rule(source="sigmoid(x) + sigmoid(-x) = 1", group="logistic")
def one_minus_mean_with_sigmoid(x: Term, y: Term) -> Pair:
    """1 - sigmoid(x) - sigmoid(-x)*y, what a mean of 1 and y is short of 1, cancels."""
    return 1 - sigmoid(x) - sigmoid(-x) * y, sigmoid(-x) * (1 - y)


@rule(source="definition", group="logistic")
def odds_of_sigmoid(x: Term) -> Pair:
    """sigmoid(x) / (1 - sigmoid(x)) are the odds, exp(x)."""
    return sigmoid(x) / sigmoid(-x), OPS["exp"](x)


@rule(source="definition", group="logistic")
def sigmoid_times_exp(x: Term) -> Pair:
    """sigmoid(-x) * exp(x) overflows where sigmoid(x) does not."""
    return sigmoid(-x) * OPS["exp"](x), sigmoid(x)


@stabilize.procedure(
    "affine",
    example=lambda x: sigmoid(x) - OPS["silu_derivative"](x, n=1),
    source="the slope of x*sigmoid(x)",
    group="logistic",
    among=("silu_derivative",),
)
def slope_of_silu_beside_sigmoid(term: Term) -> Term | None:
    """The slope of x*sigmoid(x) is all but sigmoid(x): that of softplus(x) - x*sigmoid(x) cancels.

    That difference is the entropy of a coin by its log odds.
    """
    parts = dict(zip(term.args, term.params[1], strict=True))
    for slope, c in parts.items():
        if slope.op.name != "silu_derivative" or slope.param("n") != 1:
            continue
        (x,) = slope.args
        share = sigmoid(x)
        if parts.get(share) == -c:
            cured = (c, forms.product([x, sigmoid_slope(x)]))
            return forms.total([cured, *other_addends(term, slope, share)], term.shape, term.dtype)
    return None


@rule(source="definition", group="logistic")
def product_of_sigmoids(x: Term) -> Pair:
    """sigmoid(x) * sigmoid(-x) takes one exponential, and every derivative stays in the family."""
    return sigmoid(x) * sigmoid(-x), sigmoid_slope(x)


@rule(source="definition", group="logistic")
def slope_over_sigmoid(x: Term) -> Pair:
    """The slope of sigmoid over sigmoid is 0/0 where both underflow."""
    return sigmoid_slope(x) / sigmoid(x), sigmoid(-x)


@rule(source="definition", group="logistic")
def slope_over_mirrored_sigmoid(x: Term) -> Pair:
    """The slope of sigmoid over its mirror image; the slope itself is even."""
    return sigmoid_slope(x) / sigmoid(-x), sigmoid(x)


@rule(source="exp(x)/cosh(x) = 2/(1 + exp(-2*x))", group="logistic")
def share_of_cosh(x: Term) -> Pair:
    """exp(x)/(exp(x) + exp(-x)) is inf*0 for large x, or is a logistic function."""
    return OPS["exp"](x) * sech(x), 2 * OPS["sigmoid"](2 * x)


@stabilize.procedure(
    "sech_squared",
    example=lambda x: OPS["sech_squared"](x / 2),
    source="sech(x/2)**2 = 4*sigmoid'(x)",
    group="logistic",
)
def sech_squared_of_half(term: Term) -> Term | None:
    """sech(x/2)**2 comes from derivatives of sigmoid: one family is enough for them."""
    c, core = forms.split(term.args[0])
    return forms.scale(4, sigmoid_slope(core)) if abs(c) == Fraction(1, 2) else None


@rule(source="1 - tanh(x)**2 = sech(x)**2", group="logistic")
def one_minus_tanh_squared(x: Term) -> Pair:
    """1 - tanh(x)**2 cancels in both tails."""
    return 1 - tanh(x) ** 2, sech(x) ** 2


@rule(source="1 - tanh(x) = 2*sigmoid(-2*x)", group="logistic")
def one_minus_tanh(x: Term) -> Pair:
    """1 - tanh(x) cancels for large x."""
    return 1 - tanh(x), 2 * sigmoid(-2 * x)


@rule(source="1 + tanh(x) = 2*sigmoid(2*x)", group="logistic")
def one_plus_tanh(x: Term) -> Pair:
    """1 + tanh(x) cancels for very negative x."""
    return 1 + tanh(x), 2 * sigmoid(2 * x)


@rule(source="definition", group="logistic")
def logit_of_sigmoid(x: Term) -> Pair:
    """logit undoes sigmoid."""
    return OPS["logit"](sigmoid(x)), x


@rule(source="definition", group="logistic")
def sigmoid_of_logit(x: Term) -> Pair:
    """sigmoid undoes logit, on its domain."""
    inside = OPS["logical_and"](x >= 0, x <= 1)
    return sigmoid(OPS["logit"](x)), OPS["require"](x, inside)


@rule(source="softplus(x) - softplus(-x) = x", group="logistic")
def difference_of_softplus(x: Term) -> Pair:
    """The difference of softplus(x) and softplus(-x) is x itself."""
    return OPS["softplus"](x) - OPS["softplus"](-x), x


@rule(source="log_sigmoid(x) - log_sigmoid(-x) = x", group="logistic")
def difference_of_log_sigmoids(x: Term) -> Pair:
    """The difference of log_sigmoid(x) and log_sigmoid(-x) is x itself."""
    return OPS["log_sigmoid"](x) - OPS["log_sigmoid"](-x), x


@rule(source="definition", group="logistic")
def softplus_of_log_sigmoid(x: Term) -> Pair:
    """softplus(x) + log_sigmoid(x) is x: log((1+e^x) * e^x/(1+e^x))."""
    return OPS["softplus"](x) + OPS["log_sigmoid"](x), x


@rule(source="log_sigmoid(x) - log_sigmoid(-x) = x", group="logistic")
def logistic_loss(x: Term, y: Term) -> Pair:
    """Cross-entropy of logits cancels for labels beyond [0, 1]; one softplus gives both of its."""
    low = x <= 0
    part = OPS["where"](low, -x * y, (1 - y) * x)
    loss = y * OPS["softplus"](-x) + (1 - y) * OPS["softplus"](x)
    return loss, part + OPS["softplus"](OPS["where"](low, x, -x))


@stabilize.procedure(
    "affine",
    example=lambda x, y: OPS["softplus"](x) - x * y,
    source="softplus(x) - softplus(-x) = x",
    group="logistic",
    among=("softplus",),
)
def softplus_less_multiple(term: Term) -> Term | None:
    """n*softplus(x) - k*x, what logits cost, cancels for large x where k is near n."""
    if isinstance(term.params[0], str) or one_sign(term):
        return None
    parts = dict(zip(term.args, term.params[1], strict=True))
    for curved, c in parts.items():
        for f, p in forms.factors(curved).items():
            if f.op.name != "softplus" or p != 1:
                continue
            unit, core = forms.split(f.args[0])
            for line, k in parts.items():
                if line is curved or line.op is not forms.MONOMIAL:
                    continue
                if forms.factors(line).get(core) != 1:
                    continue
                slope = forms.scale(ratio(k, unit), other_factors(line, core))
                number = forms.scale(c, other_factors(curved, f))
                if _of_two_signs(number, slope):
                    rest = other_addends(term, curved, line)
                    return _by_sign(f.args[0], number, slope, rest, term)
    return None


def _of_two_signs(a: Term, b: Term) -> bool:
    """Whether two numbers may be of different signs."""
    above = a.facts.nonnegative and b.facts.nonnegative
    return not above and not (a.facts.nonpositive and b.facts.nonpositive)


def _by_sign(
    x: Term, number: Term, slope: Term, rest: list[tuple[Rational, Term]], like: Term
) -> Term:
    """number*softplus(x) + slope*x + rest: of the one that vanishes on the side of x."""
    low = OPS["less_equal"](x, 0)
    shape = forms.broadcast(forms.AFFINE, (number, slope))
    above = forms.total([(1, number), (1, slope)], shape, like.dtype)
    line = forms.product([OPS["where"](low, slope, above), x])
    bend = OPS["softplus"](OPS["where"](low, x, forms.scale(-1, x)))
    parts = [(1, line), (1, forms.product([number, bend])), *rest]
    return forms.total(parts, like.shape, like.dtype)


@rule(source="exp(x) / (1 + exp(x))", group="logistic")
def sigmoid_of_held_softplus(x: Term) -> Pair:
    """exp(x - softplus(x)), infinities left out as slopes are written, feels the size of x."""
    held = [OPS["where"](OPS["equal"](y, math.inf), 0, y) for y in (x, OPS["softplus"](x))]
    return OPS["exp"](held[0] - held[1]), sigmoid(x)


@rule(source="definition", group="logistic", rises="log and exp feel the size of x, x/(1 + x) not")
def odds_of_logarithm(x: Term) -> Pair:
    """sigmoid(log(x)) is x / (1 + x), for x of any sign where log is defined."""
    return sigmoid(OPS["log"](x)), OPS["require"](x / (1 + x), x >= 0)


@rule(source="1 - sigmoid(x) = sigmoid(-x)", group="logistic")
def log1p_of_negative_sigmoid(x: Term) -> Pair:
    """log1p(-sigmoid(x)) is -inf where sigmoid(x) rounds to 1."""
    return OPS["log1p"](-sigmoid(x)), OPS["log_sigmoid"](-x)


@rule(
    source="tanh(x) = (1 - exp(-2x)) / (1 + exp(-2x))",
    group="logistic",
    rises="the log of a tanh near 1 is nothing but its rounding",
)
def log_of_tanh(x: Term) -> Pair:
    """log(tanh(x)) is 0 from x = 19 on, where it is -2 exp(-2x)."""
    softplus = OPS["softplus"](-2 * x)
    return OPS["log"](tanh(x)), OPS["log1mexp"](-2 * x) - softplus


@rule(source="definition", group="logistic")
def log_of_logistic_interval(x: Term, y: Term) -> Pair:
    """log(sigmoid(x) - sigmoid(y)), whatever found the difference first."""
    return OPS["log"](OPS["sigmoid_gap"](x, y)), OPS["log_sigmoid_difference"](x, y)


@rule(source="antisymmetry", group="logistic")
def log_of_negative_logistic_interval(x: Term, y: Term) -> Pair:
    """log(sigmoid(x) - sigmoid(y)), whichever way round the difference was taken."""
    return OPS["log"](-OPS["sigmoid_gap"](y, x)), OPS["log_sigmoid_difference"](x, y)


@stabilize.procedure(
    "log_sigmoid_difference",
    example=lambda c, d, x: OPS["log_sigmoid_difference"](c + d - x, c - x),
    source="sigmoid(x) - sigmoid(y) = sigmoid(x) sigmoid(-y) (1 - exp(y - x))",
    group="logistic",
)
def logistic_interval_of_neighbours(term: Term) -> Term | None:
    """log(sigmoid(d - x) - sigmoid(c - x)), of ordinal regression: c - d before it is rounded."""
    x, y = term.args
    step = simpler_difference(y, x) or plain_difference(y, x)
    if addends(bare(step)) >= addends(x) + addends(y):  # they share nothing
        return None
    logs = OPS["log_sigmoid"](x), OPS["log_sigmoid"](-y), OPS["log1mexp"](step)
    return forms.total([(1, t) for t in logs], term.shape, term.dtype)
