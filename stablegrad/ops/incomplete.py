"""The incomplete gamma and beta functions, with derivatives in their parameters."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import Facts, Term
from stablegrad.ops import beta_kernels as beta
from stablegrad.ops import density_kernels as densities
from stablegrad.ops import incomplete_kernels as gamma
from stablegrad.ops.exponential import log, log1p
from stablegrad.ops.gamma_logs import polygamma_difference
from stablegrad.ops.record import (
    NONNEGATIVE,
    POSITIVE,
    NotDifferentiable,
    elementwise,
    interval,
)
from stablegrad.ops.special_gamma import digamma, polygamma

_CLOSED_UNIT = interval(0.0, 1.0, closed=True)
_THIRD = NotDifferentiable(
    "derivatives by a parameter of the incomplete gamma and beta functions end at the order given"
)


_ZEROS = "next to zeros of derivatives the error is relative to the terms whose difference they are"
_BETA = "tested for a, b in [1e-4, 1e4], x in [1e-12, 1 - 1e-12]: "


def _density_ball(a: Any, x: Any) -> Any:
    return (x.log() * (a - 1) - x - a.lgamma()).exp()


# -- gamma ----------------------------------------------------------------------------------------


def _both_defined(term: Term) -> bool:
    a, x = (t.facts for t in term.args)
    return a.defined and x.defined and a.positive and x.nonnegative


log_minus_digamma = elementwise(
    "log_minus_digamma",
    family="special",
    kernel=densities.log_minus_digamma,
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
    kernel=densities.gamma_density,
    ball=_density_ball,
    partials=lambda out, a, x: (
        gamma_density_derivative(a, x, n=1, m=0),
        gamma_density_derivative(a, x, n=0, m=1),
    ),
    domain=(POSITIVE, POSITIVE),
    infer_facts=lambda term: NONNEGATIVE._replace(defined=_both_defined(term)),
    cost=7,
    ulp=(8, 16, math.inf),
    accuracy=_ZEROS,
    source="the exponential of a pair; Temme's variable (DLMF 8.12.1) next to a large a",
    doc="x**(a - 1) exp(-x) / gamma(a): the derivative of gammainc by x.",
    example=">>> sg.ops.gamma_density(sg.tensor([1.0]), 0.0).numpy()\narray([1.], dtype=float32)",
)


def _derivative_ball(a: Any, x: Any, *, n: int, m: int) -> Any:
    """Leibniz: derivatives by a of x**a / gamma(a), and of Laguerre's polynomials."""
    logs = [-a.polygamma(i) if i else x.log() - a.digamma() for i in range(n)]
    rows = [(x.log() * (a - (1 + m)) - x - a.lgamma()).exp()]
    for i in range(n):
        terms = [rows[i - j] * logs[j] * math.comb(i, j) for j in range(i + 1)]
        rows.append(sum(terms[1:], terms[0]))
    one, zero = x / x, x - x
    before, now = [zero] * (n + 1), [one] + [zero] * n
    for k in range(m):
        after = [
            now[i] * (a - (1 + k) - x) + (now[i - 1] * i if i else zero) - x * k * before[i]
            for i in range(n + 1)
        ]
        before, now = now, after
    terms = [rows[n - i] * now[i] * math.comb(n, i) for i in range(n + 1)]
    return sum(terms[1:], terms[0])


gamma_density_derivative = elementwise(
    "gamma_density_derivative",
    family="special",
    params=("n", "m"),
    defaults=(1, 0),
    kernel=densities.gamma_density_derivative,
    ball=_derivative_ball,
    partials=lambda out, a, x: (
        gamma_density_derivative(a, x, n=out.param("n") + 1, m=out.param("m")),
        gamma_density_derivative(a, x, n=out.param("n"), m=out.param("m") + 1),
    ),
    domain=(POSITIVE, POSITIVE),
    infer_facts=lambda term: Facts(defined=_both_defined(term)),
    cost=7,
    ulp=(16, math.inf, math.inf),
    accuracy=_ZEROS,
    source="as gamma_density; where a < 1/2 from derivatives of 1/gamma(a)",
    doc="The derivative of gamma_density(a, x), n times by a and m times by x.",
    example=">>> sg.ops.gamma_density_derivative(sg.tensor([1.0]), 2.0, n=0, m=1).numpy()\n"
    "array([-0.13533528], dtype=float32)",
)

gammainc_by_a = elementwise(
    "gammainc_by_a",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=gamma.gammainc_by_a,
    ball=lambda a, x, *, n: a.gammainc_by_a(x, n),
    partials=lambda out, a, x: (
        gammainc_by_a(a, x, n=2) if out.param("n") == 1 else _THIRD,
        gamma_density_derivative(a, x, n=out.param("n"), m=0),
    ),
    domain=(POSITIVE, NONNEGATIVE),
    infer_facts=lambda term: Facts(defined=_both_defined(term)),
    cost=9,
    ulp=(16, math.inf, math.inf),
    accuracy="16 ulp; " + _ZEROS,
    source="a series for small x, else an integral over the tail where the integrand has one "
    "sign (Takahasi and Mori 1974)",
    doc="The n-th derivative of gammainc(a, x) by a, n = 1 or 2.",
    example=">>> sg.ops.gammainc_by_a(sg.tensor([1.0]), 0.0).numpy()\narray([0.], dtype=float32)",
)


gammainc = elementwise(
    "gammainc",
    family="special",
    kernel=gamma.gammainc,
    ball=lambda a, x: a.gammainc(x),
    spellings=(lambda a, x: 1 - gammaincc(a, x),),
    partials=lambda out, a, x: (gammainc_by_a(a, x, n=1), gamma_density(a, x)),
    domain=(POSITIVE, NONNEGATIVE),
    range=_CLOSED_UNIT,
    infer_facts=lambda term: _CLOSED_UNIT._replace(defined=_both_defined(term)),
    cost=6,
    ulp=(16, 16, math.inf),
    accuracy="16 ulp, also of the first derivatives; " + _ZEROS,
    lax="igamma",
    aten="special_gammainc",
    source="DLMF 8.7.1, 8.9.2",
    doc="The regularized lower incomplete gamma function P(a, x).",
    example=">>> sg.ops.gammainc(sg.tensor([1.0]), 0.0).numpy()\narray([0.], dtype=float32)",
)

gammaincc = elementwise(
    "gammaincc",
    family="special",
    kernel=lambda xp, a, x: gamma.gammainc(xp, a, x, upper=True),
    ball=lambda a, x: a.gammaincc(x),
    spellings=(lambda a, x: 1 - gammainc(a, x),),
    partials=lambda out, a, x: (-gammainc_by_a(a, x, n=1), -gamma_density(a, x)),
    domain=(POSITIVE, NONNEGATIVE),
    range=_CLOSED_UNIT,
    infer_facts=lambda term: _CLOSED_UNIT._replace(defined=_both_defined(term)),
    cost=6,
    ulp=(16, 16, math.inf),
    accuracy="16 ulp, also of the first derivatives; " + _ZEROS,
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
    kernel=beta.beta_density,
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


def _beta_levels(out: Term, a: Term, b: Term, x: Term) -> Term:
    """The derivative of the density by the parameters, over the density."""
    n, m = out.params
    la = log(x) + polygamma_difference(a, b, n=0)
    lb = log1p(-x) + polygamma_difference(b, a, n=0)
    if n + m == 1:
        return la if n else lb
    if n == m:
        return la * lb + polygamma(a + b, n=1)
    if n:
        return la * la + polygamma_difference(a, b, n=1)
    return lb * lb + polygamma_difference(b, a, n=1)


def _betainc_by_partials(out: Term, a: Term, b: Term, x: Term) -> tuple[Any, Any, Any]:
    n, m = out.params
    slope = beta_density(a, b, x) * _beta_levels(out, a, b, x)
    if n + m > 1:
        return _THIRD, _THIRD, slope
    return betainc_by(a, b, x, n=n + 1, m=m), betainc_by(a, b, x, n=n, m=m + 1), slope


betainc_by = elementwise(
    "betainc_by",
    family="special",
    params=("n", "m"),
    defaults=(1, 0),
    kernel=beta.betainc_by,
    ball=lambda a, b, x, *, n, m: a.betainc_by(b, x, n, m),
    partials=_betainc_by_partials,
    domain=(POSITIVE, POSITIVE, _CLOSED_UNIT),
    infer_facts=lambda term: Facts(defined=_all_defined(term)),
    cost=9,
    ulp=None,
    accuracy=_BETA + "32 ulp for n + m = 1; 128 ulp for n + m = 2, but " + _ZEROS,
    source="a series for small x, else an integral over the tail where the integrand has one "
    "sign (Takahasi and Mori 1974)",
    doc="The derivative of betainc(a, b, x), n times by a and m times by b, n + m at most 2.",
    example=">>> sg.ops.betainc_by(sg.tensor([1.0]), 1.0, 1.0).numpy()\narray([0.], dtype=float32)",
)

betainc = elementwise(
    "betainc",
    family="special",
    kernel=beta.betainc,
    ball=lambda a, b, x: a.betainc(b, x),
    partials=lambda out, a, b, x: (
        betainc_by(a, b, x, n=1, m=0),
        betainc_by(a, b, x, n=0, m=1),
        beta_density(a, b, x),
    ),
    domain=(POSITIVE, POSITIVE, _CLOSED_UNIT),
    range=_CLOSED_UNIT,
    infer_facts=lambda term: _CLOSED_UNIT._replace(defined=_all_defined(term)),
    cost=6,
    ulp=(16, 32, math.inf),
    accuracy=_BETA + "16 ulp, first derivatives 32, second ones 128, but " + _ZEROS,
    lax="regularized_incomplete_beta",
    source="DLMF 8.17.22, its even part (DiDonato and Morris 1992), Temme 1982",
    doc="The regularized incomplete beta function I_x(a, b).",
    example=">>> sg.ops.betainc(sg.tensor([1.0]), 1.0, 0.5).numpy()\narray([0.5], dtype=float32)",
)
