"""Exponentials and logarithms: inverse pairs and logs of powers and products."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.ops.exponential import exp, log
from stablegrad.rules.databases import stabilize
from stablegrad.rules.roots import square_root

Pair = tuple[Any, Any]
rule = stabilize.rule
LOGS = ("log", "log2", "log10", "log1p", "one_plus_log")


@rule(source="definition", group="inverse")
def log_of_exp(x: Term) -> Pair:
    """log undoes exp, which overflows."""
    return log(exp(x)), x


@rule(source="definition", group="inverse")
def exp_of_log(x: Term) -> Pair:
    """exp undoes log, on its domain."""
    return exp(log(x)), OPS["require"](x, x >= 0)


@rule(source="definition", group="inverse")
def log1p_of_expm1(x: Term) -> Pair:
    """log1p undoes expm1."""
    return OPS["log1p"](OPS["expm1"](x)), x


@rule(source="definition", group="inverse")
def expm1_of_log1p(x: Term) -> Pair:
    """expm1 undoes log1p, on its domain."""
    return OPS["expm1"](OPS["log1p"](x)), OPS["require"](x, x >= -1)


@rule(source="definition", group="inverse")
def exp_of_log_sigmoid(x: Term) -> Pair:
    """exp undoes the log of log_sigmoid."""
    return exp(OPS["log_sigmoid"](x)), OPS["sigmoid"](x)


@rule(source="definition", group="inverse")
def exp_of_softplus(x: Term) -> Pair:
    """exp undoes the log of softplus."""
    return exp(OPS["softplus"](x)), 1 + exp(x)


@rule(source="definition", group="inverse")
def exp_of_negative_softplus(x: Term) -> Pair:
    """exp(-softplus(x)) is sigmoid(-x)."""
    return exp(-OPS["softplus"](x)), OPS["sigmoid"](-x)


@rule(source="definition", group="inverse", rises="1 + x rounds once, log1p and exp twice")
def exp_of_log1p(x: Term) -> Pair:
    """exp undoes log1p, on its domain."""
    return exp(OPS["log1p"](x)), OPS["require"](1 + x, x >= -1)


@rule(source="definition", group="inverse")
def log1p_of_softplus_argument(x: Term) -> Pair:
    """softplus(log(x)) is log1p(x)."""
    return OPS["softplus"](log(x)), OPS["require"](OPS["log1p"](x), x >= 0)


@stabilize.procedure(
    "log", example=lambda x: log(x**4), source="log(x**p) = p*log|x|", group="logarithm"
)
def log_of_power(term: Term) -> Term | None:
    """The log of a power: the power over- or underflows where its log does not."""
    (x,) = term.args
    if x.op is not forms.MONOMIAL or len(x.args) != 1:
        return None
    base, p = x.args[0], x.params[0][0]
    if base.dtype.kind == "b":
        return None
    odd_below = isinstance(p, int) and p < 0 and p % 2 == 1
    if odd_below and base.op.name in LOGS and not base.facts.nonnegative:
        return None  # log(1/-inf) is -inf, -log(-inf) is nan; and logs stay inside of the range
    if isinstance(p, int) and p % 2 == 0 and not base.facts.nonnegative:
        base = OPS["abs"](base)
    return forms.with_shape(forms.scale(p, log(base)), term.shape)


@stabilize.procedure(
    "log",
    example=lambda x, y: log(OPS["power"](OPS["softplus"](x), y)),
    source="log(x**y) = y*log(x)",
    group="logarithm",
)
def log_of_any_power(term: Term) -> Term | None:
    """log(x**y) over- or underflows with the power, and is blind where that is near 1."""
    (power,) = term.args
    if power.op.name not in ("power", "pow1p"):
        return None
    x, y = power.args
    one_plus = power.op.name == "pow1p"
    edge = -1.0 if one_plus else 0.0
    positive = x.facts.lo > edge or (x.facts.lo == edge and x.facts.lo_open)
    if x.facts.hi <= edge or not (positive or one_plus):
        return None  # a negative base may have whole exponents
    result = forms.product([y, OPS["log1p" if one_plus else "log"](x)])
    if not positive:
        other = log(power.op.term((OPS["minimum"](x, edge), y)))
        result = OPS["where"](OPS["greater"](x, edge), result, other)
    return forms.with_shape(result, term.shape)


@stabilize.procedure(
    "log",
    example=lambda x: log(OPS["gamma"](x)),
    source="definition",
    group="logarithm",
)
def log_of_gamma(term: Term) -> Term | None:
    """log(gamma(x)) overflows where lgamma(x) is small."""
    (gamma,) = term.args
    if gamma.op.name != "gamma":
        return None
    result = OPS["lgamma"](*gamma.args)
    return result if gamma.args[0].facts.positive else OPS["require"](result, gamma > 0)


@stabilize.procedure(
    "log",
    "log_ratio",
    example=lambda x, y: log(x * exp(y)),
    source="log(a*exp(b)) = log(a) + b",
    group="logarithm",
)
def log_of_product_with_exp(term: Term) -> Term | None:
    """The log of a product with an exponential: the exponential overflows, the log does not."""
    x = term.args[0]
    if len(term.args) == 2:
        x = forms.product([x, forms.power(term.args[1], -1)])
    c, core = forms.split(x)
    if c <= 0 or core.op is not forms.MONOMIAL or any(a.dtype.kind == "b" for a in core.args):
        return None
    exponent = next((a for a in core.args if a.op.name == "exp"), None)
    if exponent is None:
        return None
    rest = {a: p for a, p in forms.factors(core).items() if a is not exponent}
    remaining = forms.scale(c, forms.monomial(rest, core.shape, core.dtype))
    return forms.total([(1, log(remaining)), (1, exponent.args[0])], term.shape, term.dtype)


GROWING = {"cosh": ("log_cosh", 1), "sech": ("log_cosh", -1), "i0": ("log_i0", 1)}
"""Ops of which a power is at least 1 and overflows, where its log, an op too, does not."""

SHRINKING = {"sigmoid": "log_sigmoid", "ndtr": "log_ndtr"}
"""Ops below 1 that underflow where their log, an op too, does not."""


@stabilize.procedure(
    "log",
    example=lambda x: log(OPS["i0"](x) * 2),
    source="log(c*a) = log(c) + log(a)",
    group="logarithm",
)
def log_of_multiple_of_growth(term: Term) -> Term | None:
    """The log of a multiple of cosh, i0, sigmoid or a tail, which leave the range before it."""
    c, core = forms.split(term.args[0])
    parts = forms.factors(core)
    (x,) = parts if len(parts) == 1 else (core,)
    if x.op.name in SHRINKING and parts[x] > 0 and (0 < c < 1 or x.op.name == "sigmoid"):
        name, sign = SHRINKING[x.op.name], 1  # a multiple of sigmoid is redone where it cancels
    elif c > 1 and x.op.name in GROWING:  # of c below 1 the logs would cancel
        name, sign = GROWING[x.op.name]
    else:
        return None
    if c == 1 or c <= 0 or parts[x] * sign <= 0:
        return None
    constant = log(forms.const(c, term.dtype))
    addends = [(parts[x] * sign, OPS[name](*x.args)), (1, constant)]
    return forms.total(addends, term.shape, term.dtype)


@stabilize.procedure(
    "log",
    example=lambda x: log(OPS["erfc"](x) / 2),
    source="erfc(x)/2 = ndtr(-sqrt(2)*x)",
    group="logarithm",
    among=("erfc",),
)
def log_of_normal_tail(term: Term) -> Term | None:
    """log(erfc(x)/2), a log probability: erfc underflows, and is near 2 on the other side."""
    c, core = forms.split(term.args[0])
    if core.op.name != "erfc" or not 0 < c <= Fraction(1, 2):
        return None
    x = forms.scale(forms.exact_ratio(-square_root(2)), core.args[0])
    constant = log(forms.const(forms.exact_ratio(2 * c), term.dtype))
    return forms.total([(1, OPS["log_ndtr"](x)), (1, constant)], term.shape, term.dtype)


@stabilize.procedure(
    "log",
    example=lambda x: log(3 / OPS["erfc"](x)),
    source="log(c/a) = log(c) - log(a)",
    group="logarithm",
    among=("erfc", "monomial"),
)
def log_of_quotient_by_tail(term: Term) -> Term | None:
    """log(c/erfc(x)) is infinite where erfc underflows; there log(c) cancels with nothing."""
    c, core = forms.split(term.args[0])
    (tail, *others) = core.args if core.op is forms.MONOMIAL else (core,)
    if others or tail.op.name != "erfc" or core.params != ((-1,),) or not (c != 1 and c > TAIL):
        return None
    (x,) = tail.args
    if x.facts.hi <= FAR + 1:
        return None
    near = log(forms.scale(c, forms.power(OPS["erfc"](OPS["minimum"](x, FAR + 1)), -1)))
    far = log(forms.const(c, x.dtype)) - OPS["log_erfc"](x)
    return forms.with_shape(OPS["where"](OPS["greater"](x, FAR), far, near), term.shape)


FAR = 5.0
TAIL = 1e-8
"""More than the tail beyond ``FAR``."""


@rule(
    source="sinh(x) = exp(x) * (1 - exp(-2*x)) / 2",
    group="logarithm",
    rises="sinh overflows where its log is x - log(2)",
)
def log_of_sinh(x: Term) -> Pair:
    """log(sinh(x)) is inf where sinh overflows."""
    return log(OPS["sinh"](x)), x + OPS["log1mexp"](-2 * x) - log(forms.const(2, x.dtype))


@rule(source="the derivative of log(i0(x))", group="logarithm")
def ratio_of_bessel_functions(x: Term) -> Pair:
    """i1(x)/i0(x) is inf/inf for large x."""
    return OPS["i1"](x) / OPS["i0"](x), OPS["log_i0_derivative"](x, n=1)


SCALED = {"i0": "i0e", "i1": "i1e"}
"""Bessel functions, and what is left of them under exp(-|x|)."""


@stabilize.procedure(
    "monomial",
    example=lambda x, y: exp(y) * OPS["i0"](x),
    source="i0(x) = i0e(x)*exp(|x|)",
    group="exponentials",
    among=tuple(SCALED),
)
def growth_times_bessel_function(term: Term) -> Term | None:
    """exp(-x)*i0(x), or exp(k*cos(x))/i0(k), is 0*inf or inf/inf for large x."""
    parts = forms.factors(term)
    bell = next((x for x in parts if x.op.name == "exp"), None)
    found = {x: p for x, p in parts.items() if x.op.name in SCALED}
    if bell is None or not found:
        return None
    exponents: list[tuple[Rational, Term]] = [(parts.pop(bell), bell.args[0])]
    for x, p in found.items():
        exponents.append((p, OPS["abs"](*x.args)))
        del parts[x]
        scaled = OPS[SCALED[x.op.name]](*x.args)
        parts[scaled] = p + parts.get(scaled, 0)
    growth = exp(forms.total(exponents, term.shape, term.dtype))
    left = forms.monomial({x: p for x, p in parts.items() if p != 0}, None, term.dtype)
    return forms.with_shape(forms.product([growth, left]), term.shape)


@stabilize.procedure(
    "monomial",
    example=lambda x: exp(OPS["abs"](x)) * OPS["i0e"](x),
    source="definition",
    group="exponentials",
    among=tuple(SCALED.values()),
)
def scaled_bessel_function_times_growth(term: Term) -> Term | None:
    """exp(|x|)*i0e(x) is i0(x): its derivative is no sum that cancels.

    More in the exponent stays with it, and within the range.
    """
    parts = forms.factors(term)
    for name, scaled in SCALED.items():
        for x, p in parts.items():
            if x.op.name == scaled and parts.get(bell := exp(OPS["abs"](*x.args))) == p:
                left = {y: q for y, q in parts.items() if y is not x and y is not bell}
                whole = forms.power(OPS[name](*x.args), p)
                result = forms.product([whole, forms.monomial(left, None, term.dtype)])
                return forms.with_shape(result, term.shape)
    return None


@stabilize.procedure(
    "affine",
    example=lambda k, x: k * OPS["cos"](x) - OPS["log_i0"](k),
    source="i0(k) = i0e(k)*exp(|k|)",
    group="logarithm",
    among=("log_i0",),
)
def log_density_on_a_circle(term: Term) -> Term | None:
    """k*cos(x) - log(i0(k)) cancels for large k; both are |k| more than what is left of them."""
    addends = list(zip(term.params[1], term.args, strict=True))
    for i, (c, bessel) in enumerate(addends):
        if bessel.op.name != "log_i0":
            continue
        k = bessel.args[0]
        for j, (d, wave) in enumerate(addends):
            parts = forms.factors(wave)
            cosine = next((x for x in parts if x.op.name == "cos" and parts[x] == 1), None)
            if cosine is None:
                continue
            del parts[cosine]
            rest = forms.scale(d, forms.monomial(parts, None, wave.dtype))
            if rest is not forms.scale(-c, k):
                continue
            (x,) = cosine.args
            below = OPS["cosm1"](x)
            small = OPS["less"](OPS["abs"](k), 8.0)
            if not k.facts.nonnegative:
                above = 2 * OPS["cos"](x / 2) ** 2
                below = OPS["where"](OPS["less"](k, 0.0), above, below)
            others = [a for n, a in enumerate(addends) if n not in (i, j)]
            if term.params[0] != 0:
                others.append((1, forms.const(term.params[0], term.dtype)))
            same = OPS["cos_of_difference"](x, forms.const(0, x.dtype))  # the cosine, as it was
            near = [(1, forms.product([rest, same])), (c, bessel)]
            far = [(1, forms.product([rest, below])), (c, log(OPS["i0e"](k)))]
            sums = [forms.total([*others, *a], term.shape, term.dtype) for a in (near, far)]
            return OPS["where"](small, *sums)
    return None


@stabilize.procedure(
    "log", example=lambda x: log(3 * exp(x)), source="log(c*exp(x)) = log(c) + x", group="logarithm"
)
def log_of_scaled_exp(term: Term) -> Term | None:
    """The log of a multiple of an exponential."""
    (x,) = term.args
    c, core = forms.split(x)
    if c in (1, -1) or c < 0 or core.op.name != "exp":
        return None
    constant = OPS["log"](forms.const(c, term.dtype))
    return forms.total([(1, constant), (1, core.args[0])], term.shape, term.dtype)


@rule(source="1/a - 1/b = (b - a)/(a*b)", group="differences")
def difference_of_reciprocals(a: Term, b: Term) -> Pair:
    """1/a - 1/b cancels where a is near b; b - a may be taken exactly."""
    return 1 / a - 1 / b, (b - a) / (a * b)


@rule(
    where=lambda x: x.facts.lo < -1,
    source="1 - exp(-u) = u * (1 - exp(-u)) / u",
    group="exponentials",
    rises="both sides are evaluated",
)
def log1mexp_of_exp(x: Term) -> Pair:
    """log(1 - exp(-exp(x))), where exp(x) is below the least float, is x."""
    low, high = OPS["minimum"](x, 1), OPS["maximum"](x, -1)  # held beyond 0, which has a slope
    small = low + OPS["log_exprel"](-exp(low))
    log1mexp = OPS["log1mexp"]
    return log1mexp(-exp(x)), OPS["where"](x < 0, small, log1mexp(-exp(high)))
