"""Tails of the normal distribution and of the error function."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import exact_ratio
from stablegrad.ops.pairs import pi
from stablegrad.ops.record import CONST
from stablegrad.ops.special_error import erf, erfc
from stablegrad.rules.databases import stabilize
from stablegrad.rules.roots import square_root
from stablegrad.rules.simpler import is_lost, other_addends

Pair = tuple[Any, Any]
rule = stabilize.rule

_ROOT_HALF = square_root(Fraction(1, 2))
_ROOT_2_PI = square_root(2 * Fraction(pi()))
_ROOT_1_PI = square_root(1 / Fraction(pi()))


def _own_slope(tail: Term) -> Term:
    """With the constant of the op itself: another in its last digit would not cancel."""
    assert tail.op.partials is not None
    return tail.op.partials(tail, *tail.args)[0]


@rule(source="DLMF 7.2.2", group="error")
def one_plus_erf(x: Term) -> Pair:
    """1 + erf(x) cancels for negative x."""
    return 1 + erf(x), erfc(-x)


@stabilize.procedure(
    "affine",
    example=lambda x, y: (
        erfc(x * forms.const(square_root(Fraction(1, 2)), x.dtype))
        - erfc(y * forms.const(square_root(Fraction(1, 2)), y.dtype))
    ),
    source="DLMF 7.18.1",
    group="error",
    among=("erfc",),
)
def difference_of_tails_over_root_2(term: Term) -> Term | None:
    """erfc(x/sqrt(2)) is 2*ndtr(-x); the difference of two cancels, and is an op."""
    addends = list(zip(term.params[1], term.args, strict=True))
    tails = [(c, x, tail) for c, x in addends if (tail := _as_normal_tail(x)) is not None]
    for c, x, tail in tails:
        for d, y, other in tails:
            if c > 0 and d == -c:
                (p, *_), (q, *_) = (forms.split(t)[1].args for t in (tail, other))
                gap = (exact_ratio(2 * Fraction(c)), OPS["ndtr_gap"](p, q))
                return forms.total([gap, *other_addends(term, x, y)], term.shape, term.dtype)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: x * erfc(x * forms.const(square_root(Fraction(1, 2)), x.dtype)),
    source="DLMF 7.18.1",
    group="error",
    among=("erfc",),
)
def tail_over_root_2_in_product(term: Term) -> Term | None:
    """erfc(x/sqrt(2)) is 2*ndtr(-x), which feels no rounding of x/sqrt(2)."""
    factors = forms.factors(term)
    tails = {x: tail for x in factors if (tail := _as_normal_tail(x)) is not None}
    if not tails:
        return None
    parts = [
        x if x.dtype.kind == "b" else forms.power(tails.get(x, x), p) for x, p in factors.items()
    ]
    return forms.with_shape(forms.product(parts), term.shape)


def _as_normal_tail(term: Term) -> Term | None:
    """erfc(c*x) as a multiple of ndtr, where c is sqrt(1/2) times a rational."""
    if term.op is not erfc:
        return None
    c, x = forms.split(term.args[0])
    square = 2 * Fraction(c) ** 2
    whole = square.limit_denominator(1 << 20)
    root = square_root(whole) if whole > 0 else 0
    if abs(square - whole) > whole / (1 << 90) or Fraction(root) ** 2 != whole:
        return None
    return forms.scale(2, OPS["ndtr"](forms.scale(exact_ratio(-root if c > 0 else root), x)))


@rule(source="DLMF 7.2.2", group="error")
def one_minus_erfc(x: Term) -> Pair:
    """1 - erfc(x) cancels near 0."""
    return 1 - erfc(x), erf(x)


@rule(source="DLMF 7.2.2", group="error")
def two_minus_erfc(x: Term) -> Pair:
    """2 - erfc(x) cancels for very negative x."""
    return 2 - erfc(x), erfc(-x)


@rule(source="symmetry of the normal density", group="error")
def one_minus_ndtr(x: Term) -> Pair:
    """1 - ndtr(x) cancels for large x."""
    return 1 - OPS["ndtr"](x), OPS["ndtr"](-x)


@rule(source="definition", group="error")
def exp_of_log_ndtr(x: Term) -> Pair:
    """exp undoes the log of log_ndtr."""
    return OPS["exp"](OPS["log_ndtr"](x)), OPS["ndtr"](x)


@rule(source="definition", group="error")
def exp_of_log_erfc(x: Term) -> Pair:
    """exp undoes the log of log_erfc."""
    return OPS["exp"](OPS["log_erfc"](x)), erfc(x)


@rule(source="erf(x) = 1 - erfc(x)", group="error")
def expm1_of_log_erfc(x: Term) -> Pair:
    """erfc(x) - 1, whatever found the difference first."""
    return OPS["expm1"](OPS["log_erfc"](x)), -erf(x)


@rule(source="ndtr(-x) = 1 - ndtr(x)", group="error")
def expm1_of_log_ndtr(x: Term) -> Pair:
    """ndtr(x) - 1, whatever found the difference first."""
    return OPS["expm1"](OPS["log_ndtr"](x)), -OPS["ndtr"](-x)


@rule(
    source="the derivative of a logarithm",
    group="error",
    rises="what else there is may hold the tail",
)
def tail_times_slope_of_log_erfc(x: Term) -> Pair:
    """A tail times the slope of its log is its own slope: that of erfc(x)*log(erfc(x)) cancels."""
    return erfc(x) * OPS["log_erfc_derivative"](x, n=1), _own_slope(erfc(x))


@rule(
    source="the derivative of a logarithm",
    group="error",
    rises="what else there is may hold the tail",
)
def tail_times_slope_of_log_ndtr(x: Term) -> Pair:
    """A tail times the slope of its log is its own slope: that of ndtr(x)*log(ndtr(x)) cancels."""
    return OPS["ndtr"](x) * OPS["log_ndtr_derivative"](x, n=1), _own_slope(OPS["ndtr"](x))


@rule(source="definition", group="error")
def log_of_interval(x: Term, y: Term) -> Pair:
    """log(ndtr(x) - ndtr(y)), whatever found the difference first."""
    return OPS["log"](OPS["ndtr_gap"](x, y)), OPS["log_ndtr_difference"](x, y)


@rule(source="antisymmetry", group="error")
def log_of_negative_interval(x: Term, y: Term) -> Pair:
    """log(ndtr(x) - ndtr(y)), whichever way round the difference was taken."""
    log, gap = OPS["log"], OPS["ndtr_gap"]
    return log(-gap(y, x)), OPS["log_ndtr_difference"](x, y)


LOGS = {"sigmoid": "log_sigmoid", "ndtr": "log_ndtr", "erfc": "log_erfc"}
"""Functions that underflow, and their logarithms."""


@stabilize.procedure(
    "power",
    example=lambda x, y: OPS["power"](OPS["ndtr"](x), y),
    source="f**y = exp(y*log(f))",
    group="error",
    among=tuple(LOGS),
)
def power_of_tail(term: Term) -> Term | None:
    """ndtr(x)**y is 0 where ndtr(x) is, although y may be small; and its slope by y next to 1."""
    base, y = term.args
    if base.op.name not in LOGS:
        return None
    inside = OPS["logical_and"](OPS["greater"](base, _LEAST), OPS["less"](base, 0.5))
    by_log = OPS["exp"](forms.product([y, OPS[LOGS[base.op.name]](*base.args)]))
    plain = OPS["power"](OPS["where"](inside, base, 0.5), y)
    return forms.with_shape(OPS["where"](inside, plain, by_log), term.shape)


_LEAST = 1e-30
"""What is less may have underflowed in any precision."""


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["exp"](-x * x / 2) * y / OPS["ndtr"](x),
    source="the definition of the hazard of the normal distribution",
    group="error",
    among=("ndtr",),
)
def density_over_tail(term: Term) -> Term | None:
    """exp(-x*x/2)/ndtr(x) is 0/0 far out: it is the slope of log_ndtr."""
    parts = forms.factors(term)
    for tail, p in parts.items():
        if tail.op.name != "ndtr" or p != -1 or tail.args[0].op.name == "where":
            continue  # a choice has been taken away from its tail
        (x,) = tail.args
        for bell, q in parts.items():
            half = forms.scale(Fraction(-1, 2), forms.power(x, 2))
            if bell.op.name != "exp" or q != 1 or bell.args[0] is not half:
                continue
            rest = {t: r for t, r in parts.items() if t is not tail and t is not bell}
            others = forms.monomial(rest, None, term.dtype)
            low = OPS["less"](x, 0.0)
            hazard = OPS["log_ndtr_derivative"](OPS["where"](low, x, -1.0), n=1)
            deep = forms.scale(_ROOT_2_PI, forms.product([hazard, others]))
            upper = forms.power(tail.op(OPS["where"](low, 1.0, x)), -1)
            near = forms.product([bell, upper, others])
            return forms.with_shape(OPS["where"](low, deep, near), term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x, y: y * OPS["erfcx_derivative"](x, n=1) / OPS["erfcx"](x),
    source="erfcx'(x) = 2*x*erfcx(x) - 2/sqrt(pi)",
    group="error",
    among=("erfcx_derivative",),
)
def slope_over_scaled_tail(term: Term) -> Term | None:
    """erfcx'(x)/erfcx(x) is inf/inf for large negative x; without the quotient it is about 2*x."""
    parts = forms.factors(term)
    for slope, p in parts.items():
        if slope.op.name != "erfcx_derivative" or slope.params != (1,) or p != 1:
            continue
        (x,) = slope.args
        tail = OPS["erfcx"](x)
        power = parts.get(tail, 0)
        if power > -1 or x.op.name == "where" or x.facts.nonnegative:
            continue
        low = OPS["less"](x, 0.0)
        left, right = OPS["where"](low, x, -1.0), OPS["where"](low, 1.0, x)
        inverse = forms.power(tail.op(left), -1)
        addends = [(2, left), (exact_ratio(-2 * Fraction(_ROOT_1_PI)), inverse)]
        deep = forms.total(addends, term.shape, term.dtype)
        near = slope.op(right, n=1) / tail.op(right)
        rest = {t: r for t, r in parts.items() if t is not slope} | {tail: power + 1}
        others = forms.monomial({t: r for t, r in rest.items() if r}, None, term.dtype)
        return forms.with_shape(forms.product([OPS["where"](low, deep, near), others]), term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["exp"](y) * OPS["erfc"](x),
    source="erfc(x) = exp(-x*x)*erfcx(x)",
    group="error",
    among=("ndtr", "erfc"),
)
def growth_times_tail(term: Term) -> Term | None:
    """exp(a)*erfc(x), a normal variable plus an exponential one, is inf*0; exp(-a)/erfc(x) 0/0."""
    parts = forms.factors(term)
    bell = next((t for t, p in parts.items() if t.op.name == "exp" and p == 1), None)
    if bell is None:
        return None
    for tail, p in parts.items():
        if tail.op.name not in ("ndtr", "erfc") or p not in (1, -1):
            continue
        if bell.args[0].facts.hi <= 0 if p == 1 else bell.args[0].facts.lo >= 0:
            continue
        if tail.args[0].op is CONST or tail.args[0].op.name == "where":
            continue  # a choice has been taken away from its tail
        (x,) = tail.args
        if p == 1 and parts.get(OPS[LOGS[tail.op.name] + "_derivative"](x, n=1)) == 1:
            continue  # together they are the slope of the tail
        c, square = (-_ROOT_HALF, Fraction(1, 2)) if tail.op.name == "ndtr" else (1, 1)
        if forms.scale(c, x).facts.hi <= _FAR_TAIL:
            continue  # never so far out
        far = OPS["greater"](forms.scale(c, x), _FAR_TAIL)
        within = OPS["where"](far, x, float(_FAR_TAIL / c))
        growth = bell.args[0]
        shape = forms.broadcast(forms.AFFINE, (growth, x))
        fall = (-p * square, forms.power(x, 2))
        exponent = forms.total([(1, growth), fall], shape, term.dtype)
        if exponent.op is CONST and (p == 1 or tail.op.name == "ndtr"):
            return None  # erfcx itself, or a hazard
        over = forms.power(OPS["erfcx"](forms.scale(c, within)), p)
        scaled = forms.product([OPS["exp"](exponent), over])
        if tail.op.name == "ndtr":
            scaled = forms.scale(Fraction(1, 2) if p == 1 else 2, scaled)
        near = forms.product([bell, forms.power(tail.op(OPS["where"](far, 1.0, x)), p)])
        rest = {t: r for t, r in parts.items() if t is not tail and t is not bell}
        whole = OPS["where"](far, scaled, near)
        product = forms.product([whole, forms.monomial(rest, None, term.dtype)])
        return forms.with_shape(product, term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["erfc"](x) / OPS["erfc"](y),
    source="erfc(x) = exp(-x*x)*erfcx(x)",
    group="error",
    among=("ndtr", "erfc"),
)
def ratio_of_tails(term: Term) -> Term | None:
    """erfc(x)/erfc(y) and ndtr(x)/ndtr(y) are 0/0 far out, where the ratio is an exponential."""
    parts = forms.factors(term)
    for top, p in parts.items():
        for low, q in parts.items():
            name = top.op.name
            if (p, q) != (1, -1) or low.op is not top.op or name not in ("ndtr", "erfc"):
                continue
            (x,), (y,) = top.args, low.args
            if any(a.op is CONST or a.op.name == "where" for a in (x, y)):
                continue  # a choice has been taken away from its tail
            c = -_ROOT_HALF if name == "ndtr" else 1
            lost = is_lost(OPS["minimum"](top, low))
            sides = OPS["less"](OPS["maximum"](top, low), 0.5)
            far = OPS["logical_and"](lost, sides)
            steps = [forms.total([(1, y), (s, x)], term.shape, term.dtype) for s in (1, -1)]
            half = Fraction(1, 2) if name == "ndtr" else 1
            growth = OPS["exp"](forms.scale(half, forms.product(steps)))
            tails = [OPS["erfcx"](forms.scale(c, OPS["where"](far, a, 1.0))) for a in (x, y)]
            ratio = forms.product([growth, tails[0], forms.power(tails[1], -1)])
            near = [top.op(OPS["where"](far, 0.0, a)) for a in (x, y)]
            whole = OPS["where"](far, ratio, forms.product([near[0], forms.power(near[1], -1)]))
            rest = {t: r for t, r in parts.items() if t is not top and t is not low}
            product = forms.product([whole, forms.monomial(rest, None, term.dtype)])
            return forms.with_shape(product, term.shape)
    return None


_FAR_TAIL = 1
"""From here on the exponential of erfc is taken out."""


@rule(
    where=lambda x: x.facts.lo < -1,
    source="DLMF 7.2.3",
    group="error",
    rises="both sides are evaluated",
)
def log_of_scaled_tail(x: Term) -> Pair:
    """exp(x**2) erfc(x) overflows on the left, where its log is x**2 and that of erfc(x)."""
    right = OPS["log"](OPS["erfcx"](OPS["maximum"](x, -1)))  # held beyond 0, which has a slope
    left = x * x + OPS["log_erfc"](OPS["minimum"](x, 1))
    return OPS["log"](OPS["erfcx"](x)), OPS["where"](x < 0, left, right)


@stabilize.procedure(
    "affine",
    example=lambda x: OPS["gelu_derivative"](x, n=1) - 2 * x * OPS["exp"](-(x**2) / 2),
    source="the slope of x*ndtr(x)",
    group="error",
    among=("gelu_derivative",),
)
def slope_of_gelu_beside_density(term: Term) -> Term | None:
    """The slope of x*ndtr(x) + exp(-x**2/2)/sqrt(2*pi), an expected gain, is all but ndtr(x)."""
    parts = list(zip(term.params[1], term.args, strict=True))
    for c, slope in parts:
        if slope.op.name != "gelu_derivative" or slope.param("n") != 1:
            continue
        (x,) = slope.args
        bell = OPS["exp"](forms.scale(Fraction(-1, 2), forms.power(x, 2)))
        wave = forms.product([x, bell])
        if not any(_varies_as(y, wave) for _, y in parts):
            continue
        cured = [(c, OPS["ndtr"](x)), (exact_ratio(c / Fraction(_ROOT_2_PI)), wave)]
        rest = other_addends(term, slope)
        return forms.total([*cured, *rest], term.shape, term.dtype)
    return None


def _varies_as(x: Term, y: Term) -> bool:
    """Whether a product is another one but for constants."""
    factors = {f: p for f, p in forms.factors(x).items() if f.op is not CONST}
    return forms.monomial(factors, None, x.dtype) is y
