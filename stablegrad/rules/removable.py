"""Functions with a zero over what vanishes with them: the quotient is a function of its own."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import plain_difference

OVER = {
    "expm1": "exprel",
    "log1p": "log1prel",
    "sin": "sinc_unnormalised",
    "sinh": "sinhc",
}
"""Functions f and the op that is f(u)/u."""
INVERSES = ("log1mexp_slope", "log_expm1_slope")
"""Functions that are -1/expm1(-u)."""
NEAR = 2.0
"""The |u| below which derivatives of f(u)/x cancel."""


def _times(
    powers: Mapping[Term, Rational], more: Mapping[Term, Rational], p: int, like: Term
) -> Term:
    """A product times another to the power p; what cancels leaves no guard: that is the point."""
    total = dict(powers)
    for x, q in more.items():
        total[x] = forms.exact_ratio(total.get(x, 0) + q * p)
    return forms.monomial({x: q for x, q in total.items() if q != 0}, None, like.dtype)


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["expm1"](x * y) / x,
    source="f(u)/x = f(u)/u * u/x",
    group="quotients",
    among=(*OVER, *INVERSES),
)
def zero_over_shared_factor(term: Term) -> Term | None:
    """expm1(x*y)/x at a tiny x: its derivative by x is a difference of nearly equal quotients."""
    powers = forms.factors(term)
    for f, power in powers.items():
        if f.op.name not in (*OVER, *INVERSES) or not (isinstance(power, int) and abs(power) == 1):
            continue
        name, (u,), sign, p = f.op.name, f.args, 1, power
        if name in INVERSES:
            name, u, sign, p = "expm1", forms.scale(-1, u), -1, -power
        c, core = forms.split(u)
        inner = forms.factors(core)
        if c == 0 or not any(q > 0 and powers.get(x, 0) * p < 0 for x, q in inner.items()):
            continue
        others = {x: q for x, q in powers.items() if x is not f}
        factor = sign * (Fraction(c) if p > 0 else 1 / Fraction(c))
        over = forms.scale(forms.exact_ratio(factor), forms.power(OPS[OVER[name]](u), p))
        near = forms.product([over, _times(others, inner, p, term)])
        # u may leave the range where f(u)/x does not, but for an exponential that does too
        below = name == "expm1"
        if u.facts.hi <= -NEAR or (u.facts.lo >= NEAR and not below):
            continue
        if u.facts.lo > -NEAR and (below or u.facts.hi < NEAR):
            return forms.with_shape(near, term.shape)
        small = OPS["less"](forms.scale(-1, u) if below else OPS["abs"](u), NEAR)
        far = OPS[name](OPS["where"](small, -NEAR if below else NEAR, u))
        rest = forms.scale(sign, forms.monomial(others, None, term.dtype))
        cured = OPS["where"](small, near, forms.product([forms.power(far, p), rest]))
        return forms.with_shape(cured, term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["exprel_derivative"](x, n=1) / OPS["exprel"](x),
    source="f'/f = (log f)', f''/f = (log f)'' + ((log f)')**2",
    group="quotients",
    among=("exprel_derivative",),
)
def share_of_exprel_slope(term: Term) -> Term | None:
    """exprel'(x)/exprel(x) is inf/inf where exp(x) is; it is the slope of log(exprel(x))."""
    powers = forms.factors(term)
    for f, p in powers.items():
        if f.op.name != "exprel_derivative" or f.param("n") > 2 or not isinstance(p, int) or p < 1:
            continue
        (x,) = f.args
        whole = OPS["exprel"](x)
        q = powers.get(whole, 0)
        if not isinstance(q, int) or q > -p:
            continue
        share = OPS["log_exprel_slope"](x)
        if f.param("n") == 2:
            share = OPS["log_exprel_derivative"](x, n=2) + forms.power(share, 2)
        rest = {y: n for y, n in powers.items() if y is not f and y is not whole}
        left = [forms.power(share, p), forms.power(whole, p + q)]
        cured = forms.product([*left, forms.monomial(rest, None, term.dtype)])
        return forms.with_shape(cured, term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x, y: (x - y) / OPS["log_ratio"](x, y),
    source="Carlson 1972, The logarithmic mean",
    group="quotients",
    among=("log_ratio",),
)
def logarithmic_mean(term: Term) -> Term | None:
    """(x - y)/log(x/y) at x near y: its derivatives are differences of nearly equal quotients."""
    powers = forms.factors(term)
    for f, p in powers.items():
        if f.op.name != "log_ratio" or not (isinstance(p, int) and abs(p) == 1):
            continue
        x, y = f.args
        gap = plain_difference(x, y)
        sign, core = forms.split(gap)
        q = powers.get(core, 0)
        if core.op is not forms.AFFINE or not isinstance(q, int) or q * p >= 0:
            continue
        others = {a: n for a, n in powers.items() if a is not f}
        rest = forms.monomial(others, None, term.dtype)
        over = forms.power(OPS["logrel"](x / y), p)
        near = forms.product([forms.scale(sign, over), _times(others, {core: 1, y: -1}, p, term)])
        # elsewhere nothing cancels, and x/y may leave the range
        distance, limit = OPS["abs"](gap), 0.5 * OPS["abs"](y)
        if distance.facts.lo >= limit.facts.hi:
            continue
        close = OPS["less"](distance, limit)
        far = OPS["log_ratio"](OPS["where"](close, 2.0 * y, x), y)
        cured = OPS["where"](close, near, forms.product([forms.power(far, p), rest]))
        return forms.with_shape(cured, term.shape)
    return None
