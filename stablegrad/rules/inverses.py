"""Inverse pairs of functions: where one undoes the other, on the domain of the inner one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import exact_ratio
from stablegrad.ops.exponential import exp, expm1, log, log1p
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import addends, single

Pair = tuple[Any, Any]
rule = stabilize.rule


def _within(value: Any, condition: Any) -> Term:
    return OPS["require"](value, condition)


def _unit(x: Term) -> Term:
    return OPS["logical_and"](x >= -1, x <= 1)


HALVED = (1, 2, 4)
"""Multiples of which half is exact."""


@stabilize.procedure(
    "arctanh",
    example=lambda p: OPS["arctanh"](1 - 2 * p),
    source="arctanh(1 - 2*p) = log((1 - p)/p)/2",
    group="inverse",
)
def arctanh_of_one_less(term: Term) -> Term | None:
    """arctanh(1 - 2*p) is blind for small p, as 1 - 2*p is 1 there."""
    (x,) = term.args
    if x.op is not forms.AFFINE or len(x.args) != 1 or x.params[0] not in (1, -1):
        return None
    (c,), (p,) = x.params[1], x.args
    if abs(c) not in HALVED or not single(p):
        return None
    sign = -1 if x.params[0] == 1 else 1
    half = forms.scale(exact_ratio(Fraction(sign * c) / 2), p)
    result = forms.scale(exact_ratio(Fraction(sign, 2)), OPS["logit"](half))
    return forms.with_shape(result, term.shape)


@rule(source="definition", group="inverse")
def expm1_of_softplus(x: Term) -> Pair:
    """expm1(softplus(x)) loses digits for very negative x and overflows with both."""
    return expm1(OPS["softplus"](x)), exp(x)


@rule(source="definition", group="inverse", rises="x - 1 rounds once, log and expm1 twice")
def expm1_of_log(x: Term) -> Pair:
    """expm1(log(x)) is x - 1, on the domain of log."""
    return expm1(log(x)), _within(x - 1, x >= 0)


def _proved_log1mexp(term: Term) -> Term | None:
    """The x of a function of log1mexp(x), where x is proved to be in its domain.

    A guard in its place would hide the result from the sum that it may stand in.
    """
    (inner,) = term.args
    if inner.op.name != "log1mexp" or not inner.args[0].facts.nonpositive:
        return None
    return inner.args[0]


@stabilize.procedure(
    "exp",
    example=lambda x: exp(OPS["log1mexp"](-OPS["abs"](x))),
    source="definition",
    group="inverse",
)
def exp_of_log1mexp(term: Term) -> Term | None:
    """exp undoes the log of log1mexp."""
    x = _proved_log1mexp(term)
    return None if x is None else -expm1(x)


@stabilize.procedure(
    "expm1",
    example=lambda x: expm1(OPS["log1mexp"](-OPS["abs"](x))),
    source="definition",
    group="inverse",
)
def expm1_of_log1mexp(term: Term) -> Term | None:
    """expm1(log1mexp(x)) is -exp(x)."""
    x = _proved_log1mexp(term)
    return None if x is None else -exp(x)


@rule(source="definition", group="inverse")
def one_plus_expm1(x: Term) -> Pair:
    """1 + expm1(x) cancels for very negative x."""
    return 1 + expm1(x), exp(x)


@stabilize.procedure(
    "affine",
    example=lambda x: 2 + expm1(x),
    source="definition",
    group="inverse",
    among=("expm1",),
)
def more_than_one_plus_expm1(term: Term) -> Term | None:
    """c + expm1(x) with c > 1 is c - 1 + exp(x), which other rules know: 1/(2 + expm1(x))."""
    constant, coefficients = term.params
    if len(coefficients) != 1 or term.args[0].op is not expm1 or isinstance(constant, str):
        return None
    (k,) = coefficients
    if constant * k <= k * k:
        return None
    addends = [(k, exp(term.args[0].args[0])), (1, forms.const(constant - k, term.dtype))]
    return forms.total(addends, term.shape, term.dtype)


@rule(source="definition", group="inverse")
def log1mexp_of_log(x: Term) -> Pair:
    """log1mexp(log(x)) is log1p(-x)."""
    return OPS["log1mexp"](log(x)), _within(log1p(-x), x >= 0)


@rule(source="definition", group="inverse")
def log1mexp_of_log1mexp(x: Term) -> Pair:
    """log1mexp undoes itself; twice, it is blind for very negative x."""
    return OPS["log1mexp"](OPS["log1mexp"](x)), _within(x, x <= 0)


@rule(source="definition", group="inverse")
def arcsinh_of_sinh(x: Term) -> Pair:
    """arcsinh undoes sinh, which overflows."""
    return OPS["arcsinh"](OPS["sinh"](x)), x


@rule(source="definition", group="inverse")
def sinh_of_arcsinh(x: Term) -> Pair:
    """sinh undoes arcsinh, at the cost of the digits of its exponential."""
    return OPS["sinh"](OPS["arcsinh"](x)), x


@rule(source="definition", group="inverse")
def arctanh_of_tanh(x: Term) -> Pair:
    """arctanh undoes tanh, which saturates."""
    return OPS["arctanh"](OPS["tanh"](x)), x


@rule(
    source="Hagenauer, Offer and Papke 1996",
    group="inverse",
    rises="where neither is small, two softplus beside the lesser of the two",
)
def arctanh_of_product_of_tanh(a: Term, b: Term) -> Pair:
    """arctanh(tanh(a)*tanh(b)), the sum of two log odds by parity, saturates for large a and b."""
    share = OPS["tanh"](a) * OPS["tanh"](b)
    near = OPS["minimum"](OPS["abs"](a), OPS["abs"](b)) < 1
    held = OPS["where"](near, share, 0.0)
    direct = OPS["arctanh"](held)
    x, y = OPS["abs"](a), OPS["abs"](b)
    rest = OPS["softplus"](-2 * (x + y)) - OPS["softplus"](-2 * OPS["abs"](x - y))
    far = OPS["sign"](a) * OPS["sign"](b) * (OPS["minimum"](x, y) + rest / 2)
    return OPS["arctanh"](share), OPS["where"](near, direct, far)


@rule(source="cosh is even", group="inverse")
def arccosh_of_cosh(x: Term) -> Pair:
    """arccosh(cosh(x)) is |x|, not x; cosh overflows and is flat at 0."""
    return OPS["arccosh"](OPS["cosh"](x)), OPS["abs"](x)


@stabilize.procedure(
    "arccosh1p",
    example=lambda x, y: OPS["arccosh1p"]((x - y) ** 2 / x),
    source="DLMF 4.35.21",
    group="inverse",
)
def arccosh_of_one_plus_product(term: Term) -> Term | None:
    """arccosh(1 + d*d/2) is 2*arcsinh(d/2): squares and quotients leave the range, roots do not."""
    (u,) = term.args
    core = forms.split(u)[1]
    if core.op is not forms.MONOMIAL or any(f.dtype.kind == "b" for f in core.args):
        return None
    half = forms.power(forms.scale(Fraction(1, 2), u), Fraction(1, 2))
    return forms.with_shape(forms.scale(2, OPS["arcsinh"](half)), term.shape)


@rule(source="definition", group="inverse")
def cosh_of_arccosh(x: Term) -> Pair:
    """cosh undoes arccosh, on its domain."""
    return OPS["cosh"](OPS["arccosh"](x)), _within(x, x >= 1)


@rule(source="definition", group="inverse")
def sin_of_arcsin(x: Term) -> Pair:
    """sin undoes arcsin, on its domain."""
    return OPS["sin"](OPS["arcsin"](x)), _within(x, _unit(x))


@rule(source="definition", group="inverse")
def cos_of_arccos(x: Term) -> Pair:
    """cos undoes arccos, on its domain; small x come back with few digits."""
    return OPS["cos"](OPS["arccos"](x)), _within(x, _unit(x))


@rule(source="definition", group="inverse")
def tan_of_arctan(x: Term) -> Pair:
    """tan undoes arctan, which loses the digits of a large x."""
    return OPS["tan"](OPS["arctan"](x)), x


@rule(source="DLMF 4.24(iii)", group="inverse")
def cos_of_arctan(x: Term) -> Pair:
    """cos(arctan(x)) is 1/sqrt(1 + x**2): arctan of a large x is rounded next to pi/2."""
    return OPS["cos"](OPS["arctan"](x)), 1 / OPS["hypot"](x, 1.0)


@rule(source="DLMF 4.24(iii)", group="inverse")
def sin_of_arctan(x: Term) -> Pair:
    """sin(arctan(x)) is x/sqrt(1 + x**2), whose slope does not feel the rounding of arctan."""
    return OPS["sin"](OPS["arctan"](x)), OPS["hypot_unit"](x, 1.0)


@rule(source="DLMF 4.24(iii)", group="inverse")
def cos_of_arcsin(x: Term) -> Pair:
    """cos(arcsin(x)) is sqrt(1 - x**2): arcsin near 1 is rounded next to pi/2."""
    return OPS["cos"](OPS["arcsin"](x)), OPS["sqrt"](OPS["one_minus_square"](x))


@rule(source="DLMF 4.24(iii)", group="inverse")
def sin_of_arccos(x: Term) -> Pair:
    """sin(arccos(x)) is sqrt(1 - x**2): arccos near -1 is rounded next to pi."""
    return OPS["sin"](OPS["arccos"](x)), OPS["sqrt"](OPS["one_minus_square"](x))


@rule(source="DLMF 4.38(iv)", group="inverse")
def cosh_of_arcsinh(x: Term) -> Pair:
    """cosh(arcsinh(x)) is sqrt(1 + x**2): cosh multiplies the rounding of its argument by it."""
    return OPS["cosh"](OPS["arcsinh"](x)), OPS["hypot"](x, 1.0)


@stabilize.procedure(
    "log",
    "log1p",
    example=lambda x, y: log(exp(x) + exp(y) + exp(x * y)),
    source="Blanchard, Higham and Higham 2021",
    group="logarithm",
)
def log_of_several_exponentials(term: Term) -> Term | None:
    """log(exp(a) + exp(b) + exp(c)), or with 1 for exp(c), overflows for large arguments."""
    (x,) = term.args
    if x.op is not forms.AFFINE:
        return None
    one = x.params[0] if term.op is log else x.params[0] + 1 if x.params[0] == 0 else None
    if one not in (0, 1):
        return None
    if any(c != 1 for c in x.params[1]) or any(a.op.name != "exp" for a in x.args):
        return None
    arguments = [a.args[0] for a in x.args]
    if one == 1:
        arguments.append(forms.const(0, term.dtype))
    if len(arguments) < 3:
        return None
    result = arguments[0]
    for other in arguments[1:]:
        result = OPS["logaddexp"](result, other)
    return forms.with_shape(result, term.shape)


@rule(
    where=lambda x: not x.facts.nonnegative or not x.facts.positive,
    source="arcsinh(u) = log(u + sqrt(1 + u**2))",
    group="inverse",
)
def log_of_length_and_leg(x: Term) -> Pair:
    """log(abs(x) + sqrt(1 + x**2)) feels the rounding of a sum near 1."""
    size = OPS["abs"](x)
    return OPS["log"](size + OPS["hypot"](x, 1)), OPS["arcsinh"](size)


@stabilize.procedure(
    "arcsin_slope",
    example=lambda v: OPS["arcsin_slope"]((1 - 5 * v * v) / (v * v - 1), n=1),
    source="1 - (p/q)**2 = (q - p)*(q + p)/q**2",
    group="inverse",
    among=("affine", "monomial"),
)
def slope_of_the_angle_of_a_quotient(term: Term) -> Term | None:
    """The slope of arccos(p/q) is lost where |p/q| is near 1: q - p and q + p may be simpler."""
    (x,) = term.args
    coefficient, core = forms.split(x)
    if core.op is not forms.MONOMIAL or any(f.dtype.kind == "b" for f in core.args):
        return None
    parts = forms.factors(core)
    above = forms.monomial({f: p for f, p in parts.items() if p > 0}, None, x.dtype)
    below = forms.monomial({f: -p for f, p in parts.items() if p < 0}, None, x.dtype)
    p, q = forms.scale(coefficient, above), below
    sides = [forms.total([(1, q), (s, p)], term.shape, term.dtype) for s in (-1, 1)]
    if min(map(addends, sides)) >= max(addends(p), addends(q)):
        return None
    n = term.param("n")
    half = forms.exact_ratio(Fraction(-n, 2))
    sizes = [forms.power(OPS["abs"](side), half) for side in sides]
    whole = forms.product([forms.power(OPS["abs"](q), n), *sizes])
    inside = OPS["less_equal"](OPS["abs"](x), 1.0)
    return forms.with_shape(OPS["require"](whole, inside), term.shape)
