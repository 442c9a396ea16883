"""Quotients with a removable singularity: expm1(x)/x, sinh(x)/x, sin(x)/x, log1p(x)/x and kin.

Each is right at the point itself, and so are its derivatives: an op and the family of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import quotients
from stablegrad.ops import root_quotients as roots
from stablegrad.ops.differences import cosm1
from stablegrad.ops.exponential import exp, expm1, log, log1p
from stablegrad.ops.hyperbolic import sinh
from stablegrad.ops.record import (
    NEGATIVE,
    NONNEGATIVE,
    POSITIVE,
    REAL,
    Op,
    elementwise,
    interval,
)
from stablegrad.ops.trigonometric import cos, sin

_ABOVE_MINUS_ONE = Facts(lo=-1.0)


def _family(
    name: str,
    kernel: Callable[..., Any],
    ball: Callable[[Any, int], Any],
    *,
    what: str,
    sign: Callable[[int], Facts],
    domain: Facts = REAL,
    source: str,
    example: tuple[str, str],
    family: str = "hyperbolic",
) -> Op:
    """The op of all derivatives of another: ``name_derivative`` with the order as parameter."""

    def facts(term: Term) -> Facts:
        x = term.args[0].facts
        return sign(term.param("n"))._replace(defined=x.defined and x.within(domain))

    return elementwise(
        f"{name}_derivative",
        family=family,
        params=("n",),
        defaults=(1,),
        kernel=kernel,
        ball=lambda x, *, n: ball(x, n),
        partials=lambda y, x: (OPS[f"{name}_derivative"](x, n=y.param("n") + 1),),
        domain=(domain,),
        infer_facts=facts,
        cost=6,
        ulp=(4, 4, 6),
        accuracy="6 ulp at order 2, where orders beyond the second are asked for",
        source=source,
        doc=f"The n-th derivative of {what}.",
        example=f">>> sg.ops.{name}_derivative(sg.tensor([{example[0]}])).numpy()\n"
        f"array([{example[1]}], dtype=float32)",
    )


# -- exponentials ----------------------------------------------------------------------------

exprel = elementwise(
    "exprel",
    family="exponential",
    kernel=quotients.exprel,
    ball=lambda x: quotients.exprel_meaning(x, 0),
    spellings=(lambda x: expm1(x) / x, lambda x: (exp(x) - 1) / x),
    partials=lambda y, x: (exprel_derivative(x, n=1),),
    textbook=lambda y, x: ((exp(x) - y) / x,),
    domain=(REAL,),
    range=POSITIVE,
    cost=5,
    source="SciPy's exprel; beyond the range of exp(x) by its root, twice",
    doc="expm1(x) / x, 1 at 0.",
    example=">>> sg.ops.exprel(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

exprel_derivative = _family(
    "exprel",
    quotients.exprel,
    quotients.exprel_meaning,
    what="expm1(x) / x: the integral of s**n exp(s x) over 0 < s < 1",
    sign=lambda n: POSITIVE,
    source="Taylor polynomials about points 1/8 apart; x f[n] + n f[n-1] = exp(x) beyond",
    example=("0.0", "0.5"),
    family="exponential",
)

sinhc = elementwise(
    "sinhc",
    family="hyperbolic",
    kernel=quotients.sinhc,
    ball=lambda x: quotients.sinhc_meaning(x, 0),
    spellings=(lambda x: sinh(x) / x,),
    partials=lambda y, x: (sinhc_derivative(x, n=1),),
    textbook=lambda y, x: ((OPS["cosh"](x) - y) / x,),
    domain=(REAL,),
    range=Facts(lo=1.0, lo_open=False),
    cost=5,
    source="definition; beyond the range of exp(x) by its root, twice",
    doc="sinh(x) / x, 1 at 0.",
    example=">>> sg.ops.sinhc(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

sinhc_derivative = _family(
    "sinhc",
    quotients.sinhc,
    quotients.sinhc_meaning,
    what="sinh(x) / x",
    sign=lambda n: REAL if n % 2 else POSITIVE,
    source="Taylor polynomials about points 1/8 apart; x f[n] + n f[n-1] = sinh or cosh beyond",
    example=("0.0", "0."),
)

# -- circular functions ------------------------------------------------------------------------

_BEYOND = (
    "4 ulp; beyond 2**20 a zero of a derivative may be missed by 2**-53 of the terms that cancel"
)

sinc_unnormalised = elementwise(
    "sinc_unnormalised",
    family="trigonometric",
    kernel=quotients.sine_over_x,
    ball=lambda x: quotients.sine_over_x_meaning(x, 0),
    spellings=(lambda x: sin(x) / x,),
    partials=lambda y, x: (sinc_unnormalised_derivative(x, n=1),),
    textbook=lambda y, x: ((cos(x) - y) / x,),
    domain=(REAL,),
    range=interval(-0.21723362821122166, 1.0, closed=True),
    cost=5,
    source="definition",
    doc="sin(x) / x, 1 at 0.",
    example=">>> sg.ops.sinc_unnormalised(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

sinc_unnormalised_derivative = _family(
    "sinc_unnormalised",
    quotients.sine_over_x,
    quotients.sine_over_x_meaning,
    what="sin(x) / x",
    sign=lambda n: REAL,
    source="Taylor polynomials about points 1/8 apart; Leibniz beyond, in pairs where it cancels",
    example=("0.0", "0."),
    family="trigonometric",
)

one_minus_cos_over_square = elementwise(
    "one_minus_cos_over_square",
    family="trigonometric",
    kernel=quotients.versine_over_square,
    ball=lambda x: quotients.versine_over_square_meaning(x, 0),
    spellings=(
        lambda x: -cosm1(x) / (x * x),
        lambda x: 2 * sin(x / 2) ** 2 / (x * x),
    ),
    partials=lambda y, x: (one_minus_cos_over_square_derivative(x, n=1),),
    textbook=lambda y, x: (sin(x) / (x * x) - 2 * y / x,),
    domain=(REAL,),
    range=interval(0.0, 0.5, closed=True),
    cost=5,
    source="(sin(x/2) / (x/2))**2 / 2",
    doc="(1 - cos(x)) / x**2, 1/2 at 0.",
    example=">>> sg.ops.one_minus_cos_over_square(sg.tensor([0.0])).numpy()\n"
    "array([0.5], dtype=float32)",
)

one_minus_cos_over_square_derivative = _family(
    "one_minus_cos_over_square",
    quotients.versine_over_square,
    quotients.versine_over_square_meaning,
    what="(1 - cos(x)) / x**2",
    sign=lambda n: REAL,
    source="Taylor polynomials about points 1/8 apart; Leibniz beyond, in pairs where it cancels",
    example=("0.0", "0."),
    family="trigonometric",
)

# -- logarithms ----------------------------------------------------------------------------------


def _alternating(n: int) -> Facts:
    return NEGATIVE if n % 2 else POSITIVE


log1prel = elementwise(
    "log1prel",
    family="exponential",
    kernel=quotients.log1p_over_x,
    ball=lambda x: quotients.log1p_over_x_meaning(x, 0),
    spellings=(lambda x: log1p(x) / x,),
    partials=lambda y, x: (log1prel_derivative(x, n=1),),
    textbook=lambda y, x: ((1 / (1 + x) - y) / x,),
    domain=(_ABOVE_MINUS_ONE,),
    range=POSITIVE,
    cost=5,
    source="definition",
    doc="log1p(x) / x of x > -1, 1 at 0.",
    example=">>> sg.ops.log1prel(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

log1prel_derivative = _family(
    "log1prel",
    quotients.log1p_over_x,
    quotients.log1p_over_x_meaning,
    what="log1p(x) / x",
    sign=_alternating,
    domain=_ABOVE_MINUS_ONE,
    source="power series for |x| < 1/8; Leibniz beyond, in pairs where it cancels",
    example=("0.0", "-0.5"),
    family="exponential",
)

logrel = elementwise(
    "logrel",
    family="exponential",
    kernel=quotients.log_over_difference,
    ball=lambda x: quotients.log_over_difference_meaning(x, 0),
    spellings=(lambda x: log(x) / (x - 1),),
    partials=lambda y, x: (logrel_derivative(x, n=1),),
    textbook=lambda y, x: ((1 / x - y) / (x - 1),),
    domain=(POSITIVE,),
    range=POSITIVE,
    cost=5,
    source="definition",
    doc="log(x) / (x - 1) of x > 0, 1 at 1.",
    example=">>> sg.ops.logrel(sg.tensor([1.0])).numpy()\narray([1.], dtype=float32)",
)

logrel_derivative = _family(
    "logrel",
    quotients.log_over_difference,
    quotients.log_over_difference_meaning,
    what="log(x) / (x - 1)",
    sign=_alternating,
    domain=POSITIVE,
    source="power series for |x - 1| < 1/8; Leibniz beyond, in pairs where it cancels",
    example=("1.0", "-0.5"),
    family="exponential",
)

# -- of a root ---------------------------------------------------------------------------------


def _defined_from_zero(slope: Term, s: Term) -> Term:
    return OPS["require"](slope, OPS["greater_equal"](s, 0.0))


sinhc_sqrt = elementwise(
    "sinhc_sqrt",
    family="hyperbolic",
    kernel=roots.sinhc_sqrt,
    ball=lambda s: roots.sinhc_sqrt_meaning(s, 0),
    partials=lambda y, s: (sinhc_sqrt_derivative(s, n=1),),
    domain=(REAL,),
    range=Facts(lo=-0.2172336282112217),
    cost=6,
    source="the power series of s**k / (2 k + 1)!",
    doc="sinh(r) / r with r = sqrt(s), and sin(r) / r with r = sqrt(-s) for negative s.",
    example=">>> sg.ops.sinhc_sqrt(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

sinhc_sqrt_derivative = _family(
    "sinhc_sqrt",
    roots.sinhc_sqrt,
    roots.sinhc_sqrt_meaning,
    what="sinhc_sqrt",
    sign=lambda n: REAL,
    source="4 s f[n+2] + (4 n + 6) f[n+1] = f[n], in pairs where it cancels; tables near 0",
    example=("0.0", "0.16666667"),
)

sinh_sqrt_over_sqrt = elementwise(
    "sinh_sqrt_over_sqrt",
    family="hyperbolic",
    kernel=lambda xp, s: xp.where(s < 0, xp.nan, roots.sinhc_sqrt(xp, s)),
    spellings=(lambda s: sinh(OPS["sqrt"](s)) / OPS["sqrt"](s),),
    partials=lambda y, s: (_defined_from_zero(sinhc_sqrt_derivative(s, n=1), s),),
    domain=(NONNEGATIVE,),
    range=Facts(lo=1.0, lo_open=False),
    cost=5,
    source="sinhc_sqrt, on its right half",
    doc="sinh(sqrt(s)) / sqrt(s) of s >= 0, a smooth function at 0.",
    example=">>> sg.ops.sinh_sqrt_over_sqrt(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

sin_sqrt_over_sqrt = elementwise(
    "sin_sqrt_over_sqrt",
    family="trigonometric",
    kernel=lambda xp, s: xp.where(s < 0, xp.nan, roots.sinhc_sqrt(xp, -s)),
    spellings=(lambda s: sin(OPS["sqrt"](s)) / OPS["sqrt"](s),),
    partials=lambda y, s: (_defined_from_zero(-sinhc_sqrt_derivative(-s, n=1), s),),
    domain=(NONNEGATIVE,),
    range=interval(-0.2172336282112217, 1.0, closed=True),
    cost=5,
    source="sinhc_sqrt, on its left half",
    doc="sin(sqrt(s)) / sqrt(s) of s >= 0, a smooth function at 0.",
    example=">>> sg.ops.sin_sqrt_over_sqrt(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)
