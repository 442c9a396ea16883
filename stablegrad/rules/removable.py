"""Functions with a zero over what vanishes with them: the quotient is a function of its own."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.rules.databases import stabilize

OVER = {
    "expm1": "exprel",
    "log1p": "log1prel",
    "sin": "sinc_unnormalised",
    "sinh": "sinhc",
}
"""Functions f and the op that is f(u)/u."""
NEAR = 2.0
"""The |u| below which derivatives of f(u)/x cancel."""


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["expm1"](x * y) / x,
    source="f(u)/x = f(u)/u * u/x",
    group="quotients",
    among=tuple(OVER),
)
def zero_over_shared_factor(term: Term) -> Term | None:
    """expm1(x*y)/x at a tiny x: its derivative by x is a difference of nearly equal quotients."""
    powers = forms.factors(term)
    for f, p in powers.items():
        if f.op.name not in OVER or p not in (1, -1):
            continue
        (u,) = f.args
        c, core = forms.split(u)
        inner = forms.factors(core)
        if c == 0 or not any(q > 0 and powers.get(x, 0) * p < 0 for x, q in inner.items()):
            continue
        rest = forms.monomial({x: q for x, q in powers.items() if x is not f}, None, term.dtype)
        over = OPS[OVER[f.op.name]](u)
        near = forms.product([forms.power(over, p), forms.power(u, p), rest])
        # u may leave the range where f(u)/x does not, but for an exponential that does too
        below = f.op.name == "expm1"
        small = OPS["less"](forms.scale(-1, u) if below else OPS["abs"](u), NEAR)
        far = OPS[f.op.name](OPS["where"](small, -NEAR if below else NEAR, u))
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
