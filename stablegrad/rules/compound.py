"""Compound growth: powers of 1 + u, powers less 1, geometric sums, differences of powers."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.record import CONST, const
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import bare, opposite_pair, plain_difference, simpler_difference

PLAIN = (1, 2, -1, Fraction(1, 2), Fraction(-1, 2))
"""Powers whose difference to 1 other rules, or compensated sums, take care of."""

MANY = 8
"""From this power on, the rounding of 1 + u is felt in (1 + u)**p."""


def _excess(base: Term) -> Term | None:
    """The u of 1 + u."""
    if base.op is not forms.AFFINE or base.params[0] != 1:
        return None
    parts = list(zip(base.params[1], base.args, strict=True))
    return forms.total(parts, base.shape, base.dtype)


@stabilize.procedure(
    "affine",
    example=lambda x: x**7 - 1,
    source="x**p - 1 = expm1(p * log(x))",
    group="growth",
    among=("monomial",),
)
def power_less_one(term: Term) -> Term | None:
    """x**p - 1 cancels near x = 1, for any constant power p."""
    constant, coefficients = term.params
    if len(term.args) != 1 or isinstance(constant, str) or constant == 0:
        return None
    (x,), (c,) = term.args, coefficients
    if c != -constant or x.op is not forms.MONOMIAL or len(x.args) != 1:
        return None
    (base,), (p,) = x.args, x.params[0]
    if p in PLAIN or base.dtype.kind == "b":
        return None
    exponent = const(p, term.dtype)
    excess = _excess(base)
    if excess is None:
        gain = OPS["powm1"](base, exponent)
    else:
        gain = OPS["pow1pm1"](excess, exponent)
    return forms.with_shape(forms.scale(c, gain), term.shape)


@stabilize.procedure(
    "monomial",
    example=lambda u: (1 + u) ** 360,
    source="(1 + u)**p = exp(p * log1p(u))",
    group="growth",
    among=("affine",),
)
def high_power_of_one_plus(term: Term) -> Term | None:
    """A high power of 1 + u feels the rounding of 1 + u."""
    if len(term.args) != 1:
        return None
    (base,), (p,) = term.args, term.params[0]
    excess = _excess(base)
    if excess is None or abs(p) < MANY:
        return None
    return forms.with_shape(OPS["pow1p"](excess, const(p, term.dtype)), term.shape)


@stabilize.procedure(
    "monomial",
    example=lambda r, n: OPS["pow1pm1"](r, n) / r,
    source="an annuity",
    group="growth",
    among=("pow1pm1",),
)
def sum_of_compound_interest(term: Term) -> Term | None:
    """((1 + r)**n - 1)/r and its inverse cancel in every derivative for small r."""
    parts = forms.factors(term)
    for gain, p in parts.items():
        if gain.op.name != "pow1pm1" or p not in (1, -1):
            continue
        u, n = gain.args
        c, core = forms.split(u)
        if parts.get(core) != -p:
            continue
        rest = {x: q for x, q in parts.items() if x is not gain and x is not core}
        total = forms.power(OPS["compound_sum"](u, n), p)
        scaled = forms.scale(c if p == 1 else forms.exact_ratio(1 / Fraction(c)), total)
        product = forms.product([scaled, forms.monomial(rest, None, term.dtype)])
        return forms.with_shape(product, term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x, n: OPS["powm1"](x, n) / (x - 1),
    source="1 + x + ... + x**(n - 1)",
    group="growth",
    among=("powm1",),
)
def geometric_series(term: Term) -> Term | None:
    """(1 - x**n)/(1 - x) and its inverse cancel in every derivative near x = 1."""
    parts = forms.factors(term)
    for gain, p in parts.items():
        if gain.op.name != "powm1" or p not in (1, -1):
            continue
        x, n = gain.args
        for below, q in parts.items():
            sign = _sign_of_excess(below, x)
            if q != -p or sign == 0:
                continue
            rest = {y: r for y, r in parts.items() if y is not gain and y is not below}
            total = forms.power(OPS["geometric_sum"](x, n), p)
            product = forms.product([total, forms.monomial(rest, None, term.dtype)])
            return forms.with_shape(forms.scale(sign, product), term.shape)
    return None


def _sign_of_excess(term: Term, x: Term) -> int:
    """1 where a term is x - 1, -1 where it is 1 - x, else 0."""
    one = const(1, x.dtype)
    for sign in (1, -1):
        if forms.total([(sign, x), (-sign, one)], term.shape, term.dtype) is term:
            return sign
    return 0


@stabilize.procedure(
    "affine",
    example=lambda b, h: (b + h) ** 3 - b**3,
    source="b**p * ((1 + h/b)**p - 1)",
    group="growth",
    among=("monomial",),
)
def difference_of_powers(term: Term) -> Term | None:
    """a**p - b**p cancels where a is near b; what a and b share is taken out before."""
    found = opposite_pair(term, "monomial")
    if found is None:
        return None
    c, left, right = found
    if len(left.args) != 1 or len(right.args) != 1 or left.params != right.params:
        return None
    (p,) = left.params[0]
    (a,), (b,) = left.args, right.args
    if a.dtype.kind == "b" or p in (-1, Fraction(1, 2)):
        return None
    step = simpler_difference(a, b)
    if step is not None and step.op is not CONST and not _is_sum(a) and not _is_sum(b):
        step = None  # the powers of multiples of one term
    if step is not None and p == 2:  # a quotient by the step cancels
        both = forms.total([(1, a), (1, b)], term.shape, term.dtype)
        return forms.scale(c, forms.with_shape(forms.product([step, both]), term.shape))
    if step is not None:
        base = b if not _is_sum(b) or (_is_sum(a) and len(b.args) <= len(a.args)) else a
        if base is a:
            step = simpler_difference(b, a)
            c = -c
        assert step is not None
        return forms.scale(c, OPS["power_step"](base, _number(step, base), p=p))
    if p == 2 or _is_sum(a) or _is_sum(b):
        return None  # squares are compensated; rounded sums gain nothing
    return forms.scale(c, OPS["power_gap"](a, b, p=p))


def _is_sum(x: Term) -> bool:
    return x.op is forms.AFFINE and len(x.args) + (x.params[0] != 0) > 1


def _number(step: Term, like: Term) -> Term:
    return forms.with_shape(step, like.shape) if step.op is CONST else step


@stabilize.procedure(
    "affine",
    example=lambda a, b: OPS["cbrt"](a) - OPS["cbrt"](b),
    source="(p - q)*(p**2 + p*q + q**2) = p**3 - q**3",
    group="growth",
    among=("cbrt",),
)
def difference_of_cube_roots(term: Term) -> Term | None:
    """cbrt(a) - cbrt(b) cancels where a is near b; the conjugate is a sum of squares."""
    found = opposite_pair(term, "cbrt")
    if found is None:
        return None
    c, p, q = found
    (a,), (b,) = p.args, q.args
    step = simpler_difference(a, b)
    if step is None and (_is_sum(a) or _is_sum(b)):
        return None
    step = plain_difference(a, b) if step is None else step
    squares = p * p + p * q + q * q  # roots are far from the ends of the range
    cured = step / squares
    both = OPS["where"](OPS["not_equal"](squares, 0.0), cured, 0.0)
    return forms.with_shape(forms.scale(c, both), term.shape)


@stabilize.procedure(
    "power",
    "powm1",
    example=lambda x, y: OPS["power"](-OPS["expm1"](x), y),
    source="1 - (1 - t) = t",
    group="growth",
    among=("expm1", "powm1"),
)
def power_of_complement(term: Term) -> Term | None:
    """(1 - exp(x))**y, a probability of several, where exp(x) is lost beside 1."""
    base, y = term.args
    c, rest = forms.split(base)
    if c != -1 or rest.op.name not in ("expm1", "powm1") or rest.args[0].op.name == "where":
        return None  # a choice has been taken to the side where nothing is lost
    x, *others = rest.args
    whole = OPS["exp" if rest.op.name == "expm1" else "power"](*rest.args)
    small = OPS["less"](whole, 0.5)
    near = OPS["pow1p" if term.op.name == "power" else "pow1pm1"](
        forms.scale(-1, OPS["where"](small, whole, 0.0)), y
    )
    outside = -1.0 if rest.op.name == "expm1" else 0.25
    beside = forms.scale(-1, rest.op(OPS["where"](small, outside, x), *others))
    return forms.with_shape(OPS["where"](small, near, term.op(beside, y)), term.shape)


GAINS = {
    "pow1pm1": "pow1p",
    "compound_sum": "pow1p",
    "powm1": "power",
    "geometric_sum": "power",
}
"""What grows as a power does, and the power, of the same arguments."""

BEYOND = 1e30
"""From here on 1 is nothing beside a power."""


@stabilize.procedure(
    "monomial",
    example=lambda x, n: OPS["power"](x, n) / OPS["geometric_sum"](x, n + 1),
    source="x**n/(x**n - 1) = 1/(1 - x**-n)",
    group="growth",
    among=tuple(GAINS),
)
def power_over_its_gain(term: Term) -> Term | None:
    """r*(1 + r)**n/((1 + r)**n - 1), the rate of a loan, and full queues: inf/inf for large n."""
    parts = forms.factors(term)
    for gain, q in parts.items():
        if q != -1 or gain.op.name not in GAINS:
            continue
        x, n = gain.args
        for power, p in parts.items():
            if p != 1 or power.op.name != GAINS[gain.op.name] or power.args[0] is not x:
                continue
            left = bare(plain_difference(power.args[1], n))
            if left.op is not CONST or abs(left.params[0]) > 1:
                continue
            rest = {y: r for y, r in parts.items() if y is not gain and y is not power}
            grown = OPS["minimum"](power, OPS["abs"](gain))
            large = OPS["greater"](grown, BEYOND)
            held = OPS["where"](large, 1.0, x)
            near = forms.product([power.op.term((held, power.args[1])), forms.power(gain, -1)])
            base = forms.total([(1, x), (1, const(1, x.dtype))], x.shape, x.dtype)
            base = base if power.op.name == "pow1p" else x
            below = gain.op.term((x, forms.scale(-1, n)), gain.params)
            factors = [forms.power(base, left.params[0]), forms.power(below, -1)]
            share = OPS["where"](large, forms.scale(-1, forms.product(factors)), near)
            product = forms.product([share, forms.monomial(rest, None, term.dtype)])
            return forms.with_shape(product, term.shape)
    return None
