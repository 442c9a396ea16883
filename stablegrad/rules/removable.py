"""Functions with a zero over what vanishes with them: the quotient is a function of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.ops.record import is_const
from stablegrad.rules.databases import RARE, stabilize
from stablegrad.rules.simpler import bare, other_factors, plain_difference

Quotient = Callable[[Term], Term]


def _over_root(u: Term) -> Term:
    return 1 / (1 + OPS["sqrt"](1 + u))


def _half_sinc(u: Term) -> Term:
    return forms.scale(Fraction(-1, 2), forms.power(OPS["sinc_unnormalised"](u / 2), 2))


def _half_sinhc(u: Term) -> Term:
    return forms.scale(Fraction(1, 2), forms.power(OPS["sinhc"](u / 2), 2))


def _tanhc(u: Term) -> Term:
    return OPS["sinhc"](u) * OPS["sech"](u)


def _tanc(u: Term) -> Term:
    return OPS["sinc_unnormalised"](u) / OPS["cos"](u)


OVER: dict[str, tuple[Quotient, int]] = {
    "expm1": (OPS["exprel"], 1),
    "log1p": (OPS["log1prel"], 1),
    "sin": (OPS["sinc_unnormalised"], 1),
    "sinh": (OPS["sinhc"], 1),
    "tan": (_tanc, 1),
    "tanh": (_tanhc, 1),
    "sqrt1pm1": (_over_root, 1),
    "cosm1": (_half_sinc, 2),
    "coshm1": (_half_sinhc, 2),
}
"""Functions f, and the function f(u)/u**k with its k."""
EVERYWHERE = ("sqrt1pm1",)
"""Those of them whose quotient is as good far from 0."""
POWERS = {"powm1": "log", "pow1pm1": "log1p"}
"""Functions expm1(y*log(x)), and their logarithms."""
INVERSES = ("log1mexp_slope", "log_expm1_slope")
"""Functions that are -1/expm1(-u)."""
AMONG = (*OVER, *POWERS, *INVERSES)
SINE, SINH = OPS["sinc_unnormalised_derivative"], OPS["sinhc_derivative"]
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


class _Zero(NamedTuple):
    """A factor sign*f(u)**p that vanishes with u, or its inverse."""

    u: Term
    sign: int
    p: int
    over: Quotient
    """f(u)/u**k"""
    k: int
    away: Callable[[Term], Term]
    """f, with an argument of its own where a mask holds."""
    low: float
    """The u from which on derivatives of f(u)/x cancel, up to NEAR."""


def _zero(f: Term, power: Rational) -> _Zero | None:
    name = f.op.name
    if name not in AMONG or not (isinstance(power, int) and abs(power) == 1):
        return None
    if name in INVERSES:
        u = forms.scale(-1, f.args[0])
        return _Zero(u, -1, -power, *OVER["expm1"], _moved(OPS["expm1"], u, -NEAR), -math.inf)
    if name in POWERS:
        base, y = f.args
        if base.op.name == "where":  # it has been taken away from 0
            return None
        u = forms.product([y, OPS[POWERS[name]](base)])
        away = _moved(lambda x: f.op(x, y), base, NEAR)
        return _Zero(u, 1, power, *OVER["expm1"], away, -NEAR)
    (u,) = f.args
    # far below, the exponential has left the range where f(u)/x would
    low, start = (-math.inf, -NEAR) if name == "expm1" else (-NEAR, NEAR)
    return _Zero(u, 1, power, *OVER[name], _moved(f.op, u, start), low)


def _moved(f: Callable[[Term], Term], x: Term, to: float) -> Callable[[Term], Term]:
    return lambda mask: f(OPS["where"](mask, to, x))


def _shared(zero: _Zero, f: Term, powers: Mapping[Term, Rational]) -> bool:
    """Whether what it vanishes with is on the other side, as such or in all that vanishes there."""
    inner = {x for x, q in forms.factors(forms.split(zero.u)[1]).items() if q > 0}
    if any(powers.get(x, 0) * zero.p < 0 for x in inner):
        return True
    others = [z for g, p in powers.items() if g is not f and (z := _zero(g, p)) is not None]
    for x in inner:
        with_it = [z for z in others if forms.factors(forms.split(z.u)[1]).get(x, 0) > 0]
        order = powers.get(x, 0) + sum([z.p * z.k for z in (zero, *with_it)])
        if with_it and order == 0:
            return True
    return False


def _rescaled(powers: dict[Term, Rational], u: Term) -> tuple[Fraction, dict[Term, Rational]]:
    """A number and factors, a multiple of the sum u written as u: v + 40 beside (v + 40)/10."""
    core = forms.split(u)[1]
    if core.op is not forms.AFFINE or core in powers:
        return Fraction(1), powers
    for x, q in powers.items():
        if x.op is not forms.AFFINE or x.args != core.args or not isinstance(q, int):
            continue
        if any(isinstance(t.params[0], str) for t in (x, core)):
            continue
        times = Fraction(x.params[1][0]) / Fraction(core.params[1][0])
        if forms.scale(forms.exact_ratio(times), core) is x:
            others = {y: n for y, n in powers.items() if y is not x}
            return times**q, {**others, core: q}
    return Fraction(1), powers


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["expm1"](x * y) / x,
    source="f(u)/x = f(u)/u * u/x",
    group="quotients",
    among=AMONG,
)
def zero_over_shared_factor(term: Term) -> Term | None:
    """expm1(x*y)/x at a tiny x: its derivative by x is a difference of nearly equal quotients."""
    powers = forms.factors(term)
    if all(p > 0 for p in powers.values()) and not any(f.op.name in INVERSES for f in powers):
        return None  # nothing is in a denominator
    for f, power in powers.items():
        zero = _zero(f, power)
        if zero is None or forms.split(zero.u)[0] == 0:
            continue
        times, others = _rescaled({x: q for x, q in powers.items() if x is not f}, zero.u)
        if not _shared(zero, f, others):
            continue
        u, p = zero.u, zero.p * zero.k
        c, core = forms.split(u)
        scale = Fraction(c) ** p * zero.sign * times
        over = forms.scale(forms.exact_ratio(scale), forms.power(zero.over(u), zero.p))
        near = forms.product([over, _times(others, forms.factors(core), p, term)])
        if f.op.name in EVERYWHERE:
            return forms.with_shape(near, term.shape)
        if u.facts.hi <= -NEAR or (u.facts.lo >= NEAR and zero.low > -math.inf):
            continue
        if u.facts.lo > -NEAR and (zero.low == -math.inf or u.facts.hi < NEAR):
            return forms.with_shape(near, term.shape)
        size = forms.scale(-1, u) if zero.low == -math.inf else OPS["abs"](u)
        small = OPS["less"](size, NEAR)
        far = forms.power(zero.away(small), zero.p)
        kept = {x: q for x, q in powers.items() if x is not f}
        rest = forms.scale(zero.sign, forms.monomial(kept, None, term.dtype))
        cured = OPS["where"](small, near, forms.product([far, rest]))
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
        rest = {y: n for y, n in powers.items() if y is not f}
        whole = OPS["exprel"](x)
        if _divides(whole, rest, p):
            share = OPS["log_exprel_slope"](x)
            if f.param("n") == 2:
                share = OPS["log_exprel_derivative"](x, n=2) + forms.power(share, 2)
            powered = forms.product([forms.power(share, p), forms.power(whole, p)])
            return forms.product([powered, forms.monomial(rest, None, term.dtype)])
        for total, q in rest.items():
            if total.op is forms.AFFINE and q == p == 1:
                moved = _onto(f, whole, total)
                if moved is not None:
                    others = {y: n for y, n in rest.items() if y is not total}
                    return forms.product([moved, forms.monomial(others, None, term.dtype)])
    return None


def _divides(whole: Term, powers: Mapping[Term, Rational], p: int) -> bool:
    q = powers.get(whole, 0)
    return isinstance(q, int) and q <= -p


def _into(f: Term, whole: Term, total: Term) -> Term | None:
    """f times a sum, as the sum of its products, if each addend is divided by ``whole``."""
    if total.params[0] != 0:
        return None
    parts: list[tuple[Rational, Term]] = []
    for x, c in zip(total.args, total.params[1], strict=True):
        product = _onto(f, whole, x)
        if product is None:
            return None
        parts.append((c, product))
    return forms.total(parts, total.shape, total.dtype)


def _onto(f: Term, whole: Term, x: Term) -> Term | None:
    """f times what is divided by ``whole``, inside of guards, too."""
    if x.op.name == "require":
        inner = _onto(f, whole, x.args[0])
        return None if inner is None else OPS["require"](inner, x.args[1])
    if x.op is forms.AFFINE:
        return _into(f, whole, x)
    powers = forms.factors(x)
    if _divides(whole, powers, 1):
        return share_of_exprel_slope(forms.product([f, x]))
    for y, n in powers.items():
        inner = _onto(f, whole, y) if n == 1 and y.op.name == "require" else None
        if inner is not None:
            rest = {z: m for z, m in powers.items() if z is not y}
            return forms.product([inner, forms.monomial(rest, None, x.dtype)])
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


_ARC = (1, Fraction(1, 6), Fraction(3, 40), Fraction(5, 112))
_ATAN = (1, Fraction(1, 3), Fraction(1, 5), Fraction(1, 7))
ODD: dict[str, tuple[int, tuple[Rational, ...]]] = {
    "arcsin": (1, _ARC),
    "arcsinh": (-1, _ARC),
    "arctan": (-1, _ATAN),
    "arctanh": (1, _ATAN),
}
"""Functions f, and f(u)/u as a polynomial in u*u, or -u*u: at 0 it tells the first 7 slopes."""


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["arctan"](x) / x,
    source="their power series at 0",
    group=RARE,
    among=tuple(ODD),
)
def inverse_over_its_argument(term: Term) -> Term | None:
    """arctan(x)/x, and arctanh(r)*y/r of a length, are 0/0 at 0; beside it nothing cancels."""
    powers = forms.factors(term)
    for f, power in powers.items():
        p = 1 if power == 1 else -1 if power == -1 else 0
        c, core = forms.split(f.args[0]) if f.op.name in ODD and p else (0, f)
        inner = forms.factors(core)
        shared = any(powers.get(x, 0) * q * p < 0 for x, q in inner.items())
        if c == 0 or not shared or core.facts.nonzero:
            continue
        sign, series = ODD[f.op.name]
        square = forms.scale(sign, forms.power(f.args[0], 2))
        parts = [(a, forms.power(square, k)) for k, a in enumerate(series)]
        over = forms.scale(c, forms.total(parts, f.shape, term.dtype))
        rest = {x: q for x, q in powers.items() if x is not f}
        near = forms.product([forms.power(over, p), _times(rest, inner, p, term)])
        rare = OPS["rarely"](OPS["equal"](core, 0.0))
        moved = f.op(OPS["where"](rare, 0.5, f.args[0]))
        far = forms.product([forms.power(moved, p), forms.monomial(rest, None, term.dtype)])
        return forms.with_shape(OPS["where"](rare, near, far), term.shape)
    return None


SMALL = 2.0**-6
"""Up to here a quotient of expm1 is summed from those of its factors."""


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["expm1"](x + y) / (OPS["expm1"](x) * OPS["expm1"](y)),
    source="coth(x/2) = 1 + 2/expm1(x)",
    group=RARE,
    among=("expm1",),
)
def expm1_of_sum_over_its_factors(term: Term) -> Term | None:
    """e*expm1((a + b)*e)/(expm1(a*e)*expm1(b*e)): by a small e nothing is left of its slope."""
    powers = forms.factors(term)
    if any(f.op.name == "logical_not" and f.args[0].op.name == "rarely" for f in powers):
        return None  # of the side that is left as it is
    tops = [x for x, p in powers.items() if x.op.name == "expm1" and p == 1]
    lows = [x for x, p in powers.items() if x.op.name == "expm1" and p == -1]
    for top in tops:
        for i, one in enumerate(lows):
            for other in lows[i + 1 :]:
                (s,), (x,), (y,) = top.args, one.args, other.args
                left = forms.total([(1, s), (-1, x), (-1, y)], term.shape, term.dtype)
                if not is_const(bare(left), 0):
                    continue
                near = [OPS["abs"](a) < SMALL for a in (x, y)]
                near += [OPS["not_equal"](a, 0.0) for a in (x, y)]
                rare = OPS["rarely"](reduce(OPS["logical_and"], near))
                halves = [(1, 1 / OPS["tanh"](forms.scale(Fraction(1, 2), a))) for a in (x, y)]
                total = forms.scale(Fraction(1, 2), forms.total(halves, term.shape, term.dtype))
                rest = other_factors(term, top, one, other)
                sides = [[rare, total, rest], [OPS["logical_not"](rare), term]]
                return forms.total([(1, forms.product(x)) for x in sides], term.shape, term.dtype)
    return None


@stabilize.rule(source="the derivative of sin(x)/x", group="quotients")
def cos_less_sinc(x: Term) -> tuple[Term, Term]:
    """cos(x) - sin(x)/x cancels at small x; over x it is a spherical Bessel function."""
    return OPS["cos"](x) - OPS["sinc_unnormalised"](x), x * SINE(x, n=1)


@stabilize.rule(source="the derivative of sinh(x)/x", group="quotients")
def cosh_less_sinh_over_argument(x: Term) -> tuple[Term, Term]:
    """x*cosh(x) - sinh(x) cancels at small x."""
    return x / OPS["sech"](x) - OPS["sinh"](x), x * x * SINH(x, n=1)
