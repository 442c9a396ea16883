"""Compound growth: (1 + u)**y, what it gains, and sums of its powers."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS, UNKNOWN, Facts, Term
from stablegrad.ops import compound_kernels, geometric_kernels, power_kernels
from stablegrad.ops.exact import exact_ratio
from stablegrad.ops.power_kernels import falling
from stablegrad.ops.record import CONST, NONNEGATIVE, POSITIVE, REAL, elementwise

_GROWS = Facts(lo=-1.0, lo_open=True)


# -- meanings -----------------------------------------------------------------------------


def _power_ball(base: Any, u: Any, y: Any, n: int, m: int) -> Any:
    """The derivative of base**y where base = 1 + u, for balls."""
    if y in (math.inf, -math.inf) and base == base:
        limit = base**y
        return limit if limit == 0 else y**n * base.log() ** m * limit
    if not abs(u) < 1e-3 or (m == 0 and y in range(n, n + 5)):
        return power_kernels.ball(base, y, n=n, m=m)
    log = u.log1p()  # that of 1 + u asks for all the bits of u
    total: Any = 0
    for i in range(min(n, m) + 1):
        total = total + math.comb(m, i) * falling(y, n, i) * log ** (m - i)
    return total * ((y - n) * log).exp()


def _raised(out: Term, *, n: int = 0, m: int = 0) -> Term:
    """The op of a term with derivatives of higher order."""
    params = {"n": out.param("n") + n, "m": out.param("m") + m}
    return OPS[out.op.name](*out.args, **params)


def _growth_facts(term: Term) -> Facts:
    u, y = term.args
    if u.facts.within(_GROWS):
        return POSITIVE._replace(defined=u.facts.defined and y.facts.defined)
    return UNKNOWN


def _gain_facts(term: Term) -> Facts:
    u, y = term.args
    defined = u.facts.within(_GROWS) and u.facts.defined and y.facts.defined
    if u.facts.nonnegative and y.facts.nonnegative:
        return NONNEGATIVE._replace(defined=defined)
    return REAL._replace(defined=defined) if defined else UNKNOWN


pow1p = elementwise(
    "pow1p",
    family="growth",
    kernel=compound_kernels.pow1p,
    widens=True,
    spellings=(lambda u, y: OPS["power"](1 + u, y),),
    ball=lambda u, y: (1 + u) ** y,
    partials=lambda out, u, y: (
        pow1p_derivative(u, y, n=1, m=0),
        pow1p_derivative(u, y, n=0, m=1),
    ),
    textbook=lambda out, u, y: (y * (1 + u) ** (y - 1), OPS["log"](1 + u) * out),
    domain=(_GROWS, REAL),
    infer_facts=_growth_facts,
    cost=6,
    source="exp(y * log1p(u)) with the exponent as a pair",
    doc="(1 + u)**y without rounding 1 + u; a base below 0 takes whole y only.",
    example=">>> sg.ops.pow1p(sg.tensor([1e-9]), 1e9).numpy()\narray([2.7182817], dtype=float32)",
)

pow1p_derivative = elementwise(
    "pow1p_derivative",
    family="growth",
    params=("n", "m"),
    kernel=compound_kernels.pow1p_derivative,
    ball=lambda u, y, *, n, m: _power_ball(1 + u, u, y, n, m),
    partials=lambda out, u, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(_GROWS, REAL),
    cost=7,
    source="Leibniz's rule, in pairs where its terms cancel",
    doc="The mixed derivative of (1 + u)**y, n times by u and m times by y.",
    example=">>> sg.ops.pow1p_derivative(sg.tensor([1.0]), 3.0, n=1, m=0).numpy()\n"
    "array([12.], dtype=float32)",
)

pow1pm1 = elementwise(
    "pow1pm1",
    family="growth",
    kernel=compound_kernels.pow1pm1,
    widens=True,
    spellings=(lambda u, y: OPS["power"](1 + u, y) - 1, lambda u, y: pow1p(u, y) - 1),
    ball=lambda u, y: (1 + u) ** y - 1,
    partials=lambda out, u, y: (
        pow1p_derivative(u, y, n=1, m=0),
        pow1p_derivative(u, y, n=0, m=1),
    ),
    textbook=lambda out, u, y: (y * (1 + u) ** (y - 1), OPS["log"](1 + u) * (1 + u) ** y),
    domain=(_GROWS, REAL),
    infer_facts=_gain_facts,
    cost=6,
    source="expm1(y * log1p(u)) with the exponent as a pair",
    doc="(1 + u)**y - 1: what compound growth at rate u gains in y periods.",
    example=">>> sg.ops.pow1pm1(sg.tensor([1e-12]), 2.0).numpy()\narray([2.e-12], dtype=float32)",
)


def _slope_of_power(x: Term, y: Term) -> Term:
    """The derivative of x**y by x: for a constant y one that products keep in range."""
    if y.op is CONST and not isinstance(y.params[0], str) and x.facts.nonnegative:
        return y * OPS["power"](x, exact_ratio(y.params[0] - 1))
    return powm1_derivative(x, y, n=1, m=0)


powm1 = elementwise(
    "powm1",
    family="growth",
    kernel=compound_kernels.powm1,
    widens=True,
    spellings=(lambda x, y: OPS["power"](x, y) - 1,),
    ball=lambda x, y: x**y - 1,
    partials=lambda out, x, y: (_slope_of_power(x, y), powm1_derivative(x, y, n=0, m=1)),
    textbook=lambda out, x, y: (y * x ** (y - 1), OPS["log"](x) * x**y),
    domain=(POSITIVE, REAL),
    cost=5,
    source="expm1(y * log(x)) with the exponent as a pair",
    doc="x**y - 1, also near x = 1 and near y = 0.",
    example=">>> sg.ops.powm1(sg.tensor([2.0]), 1e-9).numpy()\n"
    "array([6.9314715e-10], dtype=float32)",
)

powm1_derivative = elementwise(
    "powm1_derivative",
    family="growth",
    params=("n", "m"),
    kernel=compound_kernels.powm1_derivative,
    ball=lambda x, y, *, n, m: _power_ball(x, x - 1, y, n, m),
    partials=lambda out, x, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(POSITIVE, REAL),
    cost=7,
    source="Leibniz's rule, in pairs where its terms cancel",
    doc="The mixed derivative of x**y - 1, n times by x and m times by y, n + m > 0.",
    example=">>> sg.ops.powm1_derivative(sg.tensor([2.0]), 3.0, n=1, m=0).numpy()\n"
    "array([12.], dtype=float32)",
)

compound_sum = elementwise(
    "compound_sum",
    family="growth",
    params=("n", "m"),
    defaults=(0, 0),
    kernel=geometric_kernels.of_excess,
    ball=lambda u, y, *, n, m: geometric_kernels.ball(1 + u, u, y, n, m),
    partials=lambda out, u, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(_GROWS, REAL),
    cost=7,
    source="Leibniz's rule and the binomial series, in pairs",
    doc="((1 + u)**y - 1) / u: y payments with interest; its derivatives for n and m.",
    example=">>> sg.ops.compound_sum(sg.tensor([1e-12]), 360.0).numpy()\n"
    "array([360.], dtype=float32)",
)

geometric_sum = elementwise(
    "geometric_sum",
    family="growth",
    params=("n", "m"),
    defaults=(0, 0),
    kernel=geometric_kernels.of_base,
    ball=lambda x, y, *, n, m: geometric_kernels.ball(x, x - 1, y, n, m),
    partials=lambda out, x, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(POSITIVE, REAL),
    cost=7,
    source="Leibniz's rule and the binomial series, in pairs",
    doc="(x**y - 1) / (x - 1) = 1 + x + ... + x**(y - 1); its derivatives for n and m.",
    example=">>> sg.ops.geometric_sum(sg.tensor([2.0]), 3.0).numpy()\narray([7.], dtype=float32)",
)
