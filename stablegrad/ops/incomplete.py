"""The incomplete gamma and beta functions, with derivatives in their parameters."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from stablegrad.ir import Facts, Term
from stablegrad.ops import incomplete_kernels as kernels
from stablegrad.ops.beta import polygamma_difference
from stablegrad.ops.exponential import log, log1p
from stablegrad.ops.record import (
    NEGATIVE,
    NONNEGATIVE,
    POSITIVE,
    NotDifferentiable,
    elementwise,
    interval,
)
from stablegrad.ops.special_gamma import digamma, polygamma

_CLOSED_UNIT = interval(0.0, 1.0, closed=True)
_EDGE = Fraction(1, 10**420)  # less than any float
_THIRD = NotDifferentiable(
    "derivatives by a parameter of the incomplete gamma and beta functions end at the order given"
)


# -- meanings ------------------------------------------------------------------------------------


def _size(x: Any) -> Any:
    value = x.constant()
    return -value if value < 0 else value


def _density_ball(a: Any, x: Any) -> Any:
    return (x.log() * (a - 1) - x - a.lgamma()).exp()


def _lower_ball(a: Any, x: Any) -> Any:
    """P(a, x) by Kummer's series of positive terms."""
    if not (a > 0 and x >= 0):
        return (a + x).undefined()
    if x > 5000 or a > 100000:
        return (a + x).unknown()
    term, total, k = x * 0 + 1, x * 0 + 1, 0
    while k < 12 or _size(term) > _size(total) * _EDGE:
        k += 1
        term = term * x / (a + k)
        total = total + term
    return total * x**a * (-x - (a + 1).lgamma()).exp()


def _beta_ball(a: Any, b: Any, x: Any) -> Any:
    """I_x(a, b) by the hypergeometric series of x below 1/2, else by symmetry."""
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        return (a + b + x).undefined()
    if x > Fraction(1, 2):
        return 1 - _beta_ball(b, a, 1 - x)
    term, total, k = x * 0 + 1, x * 0 + 1, 0
    while k < 12 or _size(term) > _size(total) * _EDGE:
        term = term * x * (a + b + k) / (a + 1 + k)
        total = total + term
        k += 1
    logs = a.lgamma() + b.lgamma() - (a + b).lgamma()
    return total * x**a * (1 - x) ** b / a * (-logs).exp()


# -- gamma ----------------------------------------------------------------------------------------


def _both_defined(term: Term) -> bool:
    a, x = (t.facts for t in term.args)
    return a.defined and x.defined and a.positive and x.nonnegative


log_minus_digamma = elementwise(
    "log_minus_digamma",
    family="special",
    kernel=kernels.log_minus_digamma,
    ball=lambda x, a: x.log() - a.digamma(),
    spellings=(lambda x, a: log(x) - digamma(a),),
    partials=lambda out, x, a: (1 / x, -polygamma(a, n=1)),
    domain=(POSITIVE, POSITIVE),
    infer_facts=lambda term: Facts(defined=_both_defined(term)),
    cost=7,
    source="definition, in pairs where it cancels",
    doc="log(x) - digamma(a).",
    example=">>> sg.ops.log_minus_digamma(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([0.5772157], dtype=float32)",
)

gamma_density = elementwise(
    "gamma_density",
    family="special",
    kernel=kernels.gamma_density,
    ball=_density_ball,
    partials=lambda out, a, x: (
        out * log_minus_digamma(x, a),
        out * ((a - 1 - x) / x),
    ),
    domain=(POSITIVE, POSITIVE),
    infer_facts=lambda term: NONNEGATIVE._replace(defined=_both_defined(term)),
    cost=7,
    ulp=(64, math.inf, math.inf),
    accuracy="4 ulp for a < 1e10; derivatives relative to the terms whose difference they are",
    source="the exponential of a pair",
    doc="x**(a - 1) exp(-x) / gamma(a): the derivative of gammainc by x.",
    example=">>> sg.ops.gamma_density(sg.tensor([1.0]), 0.0).numpy()\narray([1.], dtype=float32)",
)

gammainc_by_a = elementwise(
    "gammainc_by_a",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=kernels.gammainc_by_a,
    partials=lambda out, a, x: (
        gammainc_by_a(a, x, n=2) if out.param("n") == 1 else _THIRD,
        _density_by_a(out, a, x),
    ),
    domain=(POSITIVE, NONNEGATIVE),
    infer_facts=lambda term: Facts(defined=_both_defined(term)),
    cost=9,
    ulp=(64, math.inf, math.inf),
    accuracy="64 ulp for n = 1; for n = 2 relative to the terms whose difference it is",
    source="an integral over the tail where the integrand has one sign (Takahasi and Mori 1974)",
    doc="The n-th derivative of gammainc(a, x) by a, n = 1 or 2.",
    example=">>> sg.ops.gammainc_by_a(sg.tensor([1.0]), 0.0).numpy()\narray([0.], dtype=float32)",
)


def _density_by_a(out: Term, a: Term, x: Term) -> Term:
    level = log_minus_digamma(x, a)
    if out.param("n") == 1:
        return gamma_density(a, x) * level
    return gamma_density(a, x) * (level * level - polygamma(a, n=1))


gammainc = elementwise(
    "gammainc",
    family="special",
    kernel=kernels.gammainc,
    ball=_lower_ball,
    spellings=(lambda a, x: 1 - gammaincc(a, x),),
    partials=lambda out, a, x: (gammainc_by_a(a, x, n=1), gamma_density(a, x)),
    domain=(POSITIVE, NONNEGATIVE),
    range=_CLOSED_UNIT,
    infer_facts=lambda term: _CLOSED_UNIT._replace(defined=_both_defined(term)),
    cost=6,
    ulp=(64, math.inf, math.inf),
    accuracy="8 ulp where its series converges soon; else as SciPy's",
    lax="igamma",
    aten="special_gammainc",
    source="DLMF 8.7.1, 8.9.2",
    doc="The regularized lower incomplete gamma function P(a, x).",
    example=">>> sg.ops.gammainc(sg.tensor([1.0]), 0.0).numpy()\narray([0.], dtype=float32)",
)

gammaincc = elementwise(
    "gammaincc",
    family="special",
    kernel=lambda xp, a, x: kernels.gammainc(xp, a, x, upper=True),
    ball=lambda a, x: 1 - _lower_ball(a, x),
    spellings=(lambda a, x: 1 - gammainc(a, x),),
    partials=lambda out, a, x: (-gammainc_by_a(a, x, n=1), -gamma_density(a, x)),
    domain=(POSITIVE, NONNEGATIVE),
    range=_CLOSED_UNIT,
    infer_facts=lambda term: _CLOSED_UNIT._replace(defined=_both_defined(term)),
    cost=6,
    ulp=(64, math.inf, math.inf),
    accuracy="8 ulp where its continued fraction converges soon; else as SciPy's",
    lax="igammac",
    aten="special_gammaincc",
    source="DLMF 8.7.1, 8.9.2",
    doc="The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x).",
    example=">>> sg.ops.gammaincc(sg.tensor([1.0]), 0.0).numpy()\narray([1.], dtype=float32)",
)

# -- beta -----------------------------------------------------------------------------------------


def _all_defined(term: Term) -> bool:
    a, b, x = (t.facts for t in term.args)
    return (
        all(f.defined for f in (a, b, x)) and a.positive and b.positive and x.within(_CLOSED_UNIT)
    )


def _beta_density_partials(out: Term, a: Term, b: Term, x: Term) -> tuple[Term, Term, Term]:
    return (
        out * (log(x) + polygamma_difference(a, b, n=0)),
        out * (log1p(-x) + polygamma_difference(b, a, n=0)),
        out * ((a - 1) / x - (b - 1) / (1 - x)),
    )


beta_density = elementwise(
    "beta_density",
    family="special",
    kernel=kernels.beta_density,
    ball=lambda a, b, x: (
        (x.log() * (a - 1) + (1 - x).log() * (b - 1)) - (a.lgamma() + b.lgamma() - (a + b).lgamma())
    ).exp(),
    partials=_beta_density_partials,
    domain=(POSITIVE, POSITIVE, interval(0.0, 1.0)),
    infer_facts=lambda term: NONNEGATIVE._replace(defined=_all_defined(term)),
    cost=7,
    ulp=(64, math.inf, math.inf),
    accuracy="4 ulp for a, b < 1e10; derivatives relative to the terms whose difference they are",
    source="the exponential of a pair",
    doc="x**(a - 1) (1 - x)**(b - 1) / beta(a, b): the derivative of betainc by x.",
    example=">>> sg.ops.beta_density(sg.tensor([1.0]), 1.0, 0.5).numpy()\n"
    "array([1.], dtype=float32)",
)

betainc_by_a = elementwise(
    "betainc_by_a",
    family="special",
    kernel=kernels.betainc_by_a,
    partials=lambda out, a, b, x: (
        _THIRD,
        _THIRD,
        beta_density(a, b, x) * (log(x) + polygamma_difference(a, b, n=0)),
    ),
    domain=(POSITIVE, POSITIVE, _CLOSED_UNIT),
    range=NEGATIVE,
    infer_facts=lambda term: Facts(hi=0.0, hi_open=False, defined=_all_defined(term)),
    cost=9,
    ulp=(64, math.inf, math.inf),
    accuracy="64 ulp; no second derivatives by the parameters",
    source="an integral over the tail where the integrand has one sign (Takahasi and Mori 1974)",
    doc="The derivative of betainc(a, b, x) by a.",
    example=">>> sg.ops.betainc_by_a(sg.tensor([1.0]), 1.0, 1.0).numpy()\n"
    "array([0.], dtype=float32)",
)

betainc_by_b = elementwise(
    "betainc_by_b",
    family="special",
    kernel=kernels.betainc_by_b,
    partials=lambda out, a, b, x: (
        _THIRD,
        _THIRD,
        beta_density(a, b, x) * (log1p(-x) + polygamma_difference(b, a, n=0)),
    ),
    domain=(POSITIVE, POSITIVE, _CLOSED_UNIT),
    range=POSITIVE,
    infer_facts=lambda term: NONNEGATIVE._replace(defined=_all_defined(term)),
    cost=9,
    ulp=(64, math.inf, math.inf),
    accuracy="64 ulp; no second derivatives by the parameters",
    source="betainc_by_a of the mirror image",
    doc="The derivative of betainc(a, b, x) by b.",
    example=">>> sg.ops.betainc_by_b(sg.tensor([1.0]), 1.0, 1.0).numpy()\n"
    "array([0.], dtype=float32)",
)

betainc = elementwise(
    "betainc",
    family="special",
    kernel=kernels.betainc,
    ball=_beta_ball,
    partials=lambda out, a, b, x: (
        betainc_by_a(a, b, x),
        betainc_by_b(a, b, x),
        beta_density(a, b, x),
    ),
    domain=(POSITIVE, POSITIVE, _CLOSED_UNIT),
    range=_CLOSED_UNIT,
    infer_facts=lambda term: _CLOSED_UNIT._replace(defined=_all_defined(term)),
    cost=6,
    ulp=(64, math.inf, math.inf),
    accuracy="16 ulp where its continued fraction converges soon; else as SciPy's",
    lax="regularized_incomplete_beta",
    source="DLMF 8.17.22",
    doc="The regularized incomplete beta function I_x(a, b).",
    example=">>> sg.ops.betainc(sg.tensor([1.0]), 1.0, 0.5).numpy()\narray([0.5], dtype=float32)",
)
