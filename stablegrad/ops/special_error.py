"""The error function, the normal distribution, their logarithms and inverses."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import meanings, mills, pairs
from stablegrad.ops.exact import Rational, exact_ratio
from stablegrad.ops.record import (
    NEGATIVE,
    POSITIVE,
    REAL,
    SYMMETRIC_UNIT,
    UNIT,
    const,
    elementwise,
    interval,
)

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_SQRT_PI_HALF = math.sqrt(math.pi) / 2
_SQRT_2PI = math.sqrt(2 * math.pi)
_SQRT_HALF = math.sqrt(0.5)
_CLOSED_SYMMETRIC_UNIT = interval(-1.0, 1.0, closed=True)
_CLOSED_UNIT = interval(0.0, 1.0, closed=True)


def _root_2(x: Term) -> Term:
    """The exact square root of 2, to multiply x by."""
    return OPS["sqrt"](const(2, x.dtype))


_EXACT_TWO_OVER_SQRT_PI = exact_ratio(
    Fraction("1.12837916709551257389615890312154517168810125865799771368817144")
)
"""To 128 bits: what cancels in higher derivatives magnifies the rounding of a constant."""


_EXACT_ONE_OVER_SQRT_2PI = exact_ratio(
    Fraction("0.39894228040143267793994605993438186847585863116493465766592583")
)


def gauss_term(exponent: Term) -> Term:
    """2/sqrt(pi) exp(exponent): the derivatives of erf and its kin."""
    return _gauss(_EXACT_TWO_OVER_SQRT_PI, exponent)


def _gauss(factor: Rational, x: Term) -> Term:
    """factor * exp(x); the factor keeps its bits in every dtype."""
    return const(factor, x.dtype) * OPS["exp"](x)


# -- kernels -------------------------------------------------------------------------------


def _erfc(xp: Any, x: Any) -> Any:
    """Beyond 0.5 SciPy's function loses digits (500 ulp at 25): erfcx(x) exp(-x**2) there."""
    x = xp.asarray(x, dtype=float)

    def tail(xp: Any, x: Any) -> Any:
        return mills.gauss(xp, x, 2, mills.ratio(xp, -x, 2, 0))

    return pairs.redo(xp, x > 0.45, xp.special.erfc(x), tail, x)


def _ndtr(xp: Any, x: Any) -> Any:
    """0.5 + 0.5 erf(x / sqrt(2)), from the tail below -0.6."""
    x = xp.asarray(x, dtype=float)

    def tail(xp: Any, x: Any) -> Any:
        return mills.gauss(xp, x, 1, mills.ratio(xp, x, 1, 0))

    center = 0.5 + 0.5 * xp.special.erf(x * _SQRT_HALF)
    return pairs.redo(xp, x < -0.6, center, tail, x)


def _log_ndtr(xp: Any, x: Any) -> Any:
    """Both sides without cancellation: log of the tail, log1p of minus the other tail."""
    x = xp.asarray(x, dtype=float)

    def left(xp: Any, x: Any) -> Any:
        return xp.log(mills.ratio(xp, x, 1, 0)) - 0.5 * x * x

    return pairs.redo(xp, x < 0, xp.log1p(-_ndtr(xp, -xp.abs(x))), left, x)


def _log_erfc(xp: Any, x: Any) -> Any:
    x = xp.asarray(x, dtype=float)

    def right(xp: Any, x: Any) -> Any:
        return xp.log(mills.ratio(xp, -x, 2, 0)) - x * x

    center = xp.log1p(-xp.special.erf(xp.minimum(x, 0.5))) + 0.0  # not -0 at 0
    return pairs.redo(xp, x > 0.5, center, right, x)


def _erfinv_slope(xp: Any, x: Any) -> Any:
    """sqrt(pi)/2 exp(y**2) with y = erfinv(x); near 1 the tail 1 - |x| is exact, y**2 is not."""
    x = xp.asarray(x, dtype=float)
    y = xp.special.erfinv(xp.abs(x))
    rest = 1.0 - xp.abs(x)

    def tail(xp: Any, y: Any, rest: Any) -> Any:
        slope = _SQRT_PI_HALF * mills.ratio(xp, -y, 2, 0) / rest
        return xp.where(rest == 0, xp.inf, slope)

    near = _SQRT_PI_HALF * xp.exp(y * y)
    return pairs.redo(xp, rest < 0.5, near, tail, y, rest)


def _ndtri_slope(xp: Any, p: Any) -> Any:
    """sqrt(2 pi) exp(y**2 / 2) with y = ndtri(p), from the smaller tail."""
    p = xp.asarray(p, dtype=float)
    tail = xp.where(p < 0.5, p, 1.0 - p)
    y = xp.special.ndtri(tail)
    far = _SQRT_2PI * mills.ratio(xp, y, 1, 0) / tail
    far = xp.where(tail == 0, xp.inf, far)
    return xp.where(tail > 0.25, _SQRT_2PI * xp.exp(0.5 * y * y), far)


# -- the error function ----------------------------------------------------------------------

erf = elementwise(
    "erf",
    family="special",
    kernel=lambda xp, x: xp.special.erf(x),
    ball=lambda x: x.erf(),
    # not only for the cancellation: x sqrt(2) is rounded, which costs x**2 ulp in a tail
    spellings=(lambda x: 2 * OPS["ndtr"](x * _root_2(x)) - 1,),
    partials=lambda y, x: (gauss_term(-(x * x)),),
    domain=(REAL,),
    range=_CLOSED_SYMMETRIC_UNIT,
    cost=4,
    lax="erf",
    aten="erf",
    source="DLMF 7.2.1",
    doc="The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.",
    example=">>> sg.ops.erf(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

erfc = elementwise(
    "erfc",
    family="special",
    kernel=_erfc,
    ball=lambda x: x.erfc(),
    spellings=(
        lambda x: 1 - OPS["erf"](x),
        lambda x: 2 * OPS["ndtr"](-x * _root_2(x)),
    ),
    partials=lambda y, x: (-gauss_term(-(x * x)),),
    domain=(REAL,),
    range=interval(0.0, 2.0),
    cost=4,
    lax="erfc",
    aten="erfc",
    source="DLMF 7.2.2; in the tail as erfcx(x) exp(-x**2)",
    doc="The complementary error function, 1 - erf(x).",
    example=">>> sg.ops.erfc(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

erfcx = elementwise(
    "erfcx",
    family="special",
    kernel=lambda xp, x: mills.ratio(xp, -xp.asarray(x, dtype=float), 2, 0),
    spellings=(
        lambda x: OPS["exp"](x * x) * OPS["erfc"](x),
        lambda x: OPS["erfc"](x) / OPS["exp"](-(x * x)),
    ),
    # 2 x erfcx(x) - 2/sqrt(pi) loses log2(2 x**2) bits for large x
    partials=lambda y, x: (OPS["erfcx_derivative"](x, n=1),),
    textbook=lambda y, x: (2 * x * y - _TWO_OVER_SQRT_PI,),
    domain=(REAL,),
    range=POSITIVE,
    cost=4,
    aten="special_erfcx",
    source="DLMF 7.2.3; Taylor polynomials about points 1/16 apart, DLMF 7.12.1 beyond",
    doc="The scaled complementary error function, exp(x**2) erfc(x).",
    example=">>> sg.ops.erfcx(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

erfcx_derivative = elementwise(
    "erfcx_derivative",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=lambda xp, x, *, n: (-1.0) ** n * mills.ratio(xp, -xp.asarray(x, dtype=float), 2, n),
    ball=lambda x, *, n: meanings.erfcx_derivative(x, n),
    partials=lambda y, x: (OPS["erfcx_derivative"](x, n=y.param("n") + 1),),
    domain=(REAL,),
    infer_facts=lambda term: (NEGATIVE if term.param("n") % 2 else POSITIVE)._replace(
        defined=term.args[0].facts.defined
    ),
    cost=5,
    source="f[n+1] = 2 x f[n] + 2 n f[n-1], where its terms have one sign; else series",
    doc="The n-th derivative of exp(x**2) erfc(x).",
    example=">>> sg.ops.erfcx_derivative(sg.tensor([0.0])).numpy()\n"
    "array([-1.1283792], dtype=float32)",
)

log_erfc = elementwise(
    "log_erfc",
    family="special",
    kernel=_log_erfc,
    spellings=(
        lambda x: OPS["log"](OPS["erfc"](x)),
        lambda x: OPS["log1p"](-OPS["erf"](x)),
    ),
    partials=lambda y, x: (OPS["log_erfc_derivative"](x, n=1),),
    textbook=lambda y, x: (-_TWO_OVER_SQRT_PI * OPS["exp"](-(x * x)) / OPS["erfc"](x),),
    domain=(REAL,),
    range=interval(-math.inf, math.log(2.0) + 1e-15),
    cost=5,
    source="log(erfcx(x)) - x**2 in the tail",
    doc="The logarithm of erfc(x), also where erfc underflows.",
    example=">>> sg.ops.log_erfc(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

log_erfc_derivative = elementwise(
    "log_erfc_derivative",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=lambda xp, x, *, n: (
        (-1.0) ** n * mills.hazard(xp, -xp.asarray(x, dtype=float), 2, n - 1)
    ),
    ball=lambda x, *, n: meanings.log_erfc_derivative(x, n),
    partials=lambda y, x: (OPS["log_erfc_derivative"](x, n=y.param("n") + 1),),
    domain=(REAL,),
    infer_facts=lambda term: (NEGATIVE if term.param("n") < 3 else REAL)._replace(
        defined=term.args[0].facts.defined
    ),
    cost=5,
    accuracy="for n > 8, relative to the largest term near the zeros beyond x = -4",
    source="h' = -h (2 x + h) for h(x) = 2/sqrt(pi) exp(-x**2) / erfc(-x), as Taylor series",
    doc="The n-th derivative of log(erfc(x)), n >= 1.",
    example=">>> sg.ops.log_erfc_derivative(sg.tensor([0.0])).numpy()\n"
    "array([-1.1283792], dtype=float32)",
)

erfinv = elementwise(
    "erfinv",
    family="special",
    kernel=lambda xp, x: xp.special.erfinv(x),
    ball=lambda x: x.erfinv(),
    partials=lambda y, x: (OPS["erfinv_slope"](x),),
    textbook=lambda y, x: (_SQRT_PI_HALF * OPS["exp"](y * y),),
    domain=(SYMMETRIC_UNIT,),
    range=REAL,
    cost=5,
    ulp=(4, 4, 8),
    accuracy="8 ulp at order 2: three factors, each with the error of SciPy's inverse",
    lax="erf_inv",
    aten="erfinv",
    source="the inverse of DLMF 7.2.1",
    doc="The number whose error function is x.",
    example=">>> sg.ops.erfinv(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

erfinv_slope = elementwise(
    "erfinv_slope",
    family="special",
    kernel=_erfinv_slope,
    ball=meanings.erfinv_slope,
    partials=lambda y, x: (2 * OPS["erfinv"](x) * y * y,),
    domain=(SYMMETRIC_UNIT,),
    range=POSITIVE,
    cost=6,
    ulp=(4, 8, 12),
    accuracy="8 and 12 ulp at orders 1 and 2: products of three and four inexact factors",
    source="exp(y**2) = erfcx(y) / erfc(y), and erfc(y) = 1 - x exactly",
    doc="The derivative of erfinv, sqrt(pi)/2 exp(erfinv(x)**2).",
    example=">>> sg.ops.erfinv_slope(sg.tensor([0.0])).numpy()\narray([0.88622695], dtype=float32)",
)

# -- the normal distribution -------------------------------------------------------------------

ndtr = elementwise(
    "ndtr",
    family="special",
    kernel=_ndtr,
    spellings=(
        lambda x: OPS["erfc"](-x / _root_2(x)) / 2,
        lambda x: (1 + OPS["erf"](x / _root_2(x))) / 2,
    ),
    partials=lambda y, x: (_gauss(_EXACT_ONE_OVER_SQRT_2PI, x * x * -0.5),),
    domain=(REAL,),
    range=_CLOSED_UNIT,
    cost=4,
    aten="special_ndtr",
    source="DLMF 7.18.1; in the lower tail exp(-x**2/2) times Mills's ratio",
    doc="The normal distribution function, (1 + erf(x / sqrt(2))) / 2.",
    example=">>> sg.ops.ndtr(sg.tensor([0.0])).numpy()\narray([0.5], dtype=float32)",
)

log_ndtr = elementwise(
    "log_ndtr",
    family="special",
    kernel=_log_ndtr,
    spellings=(
        lambda x: OPS["log"](OPS["ndtr"](x)),
        lambda x: OPS["log1p"](-OPS["ndtr"](-x)),
    ),
    partials=lambda y, x: (OPS["log_ndtr_derivative"](x, n=1),),
    textbook=lambda y, x: (OPS["exp"](x * x * -0.5 - y) * (1 / _SQRT_2PI),),
    domain=(REAL,),
    range=interval(-math.inf, 0.0, closed=True),
    cost=5,
    aten="special_log_ndtr",
    source="log of Mills's ratio minus x**2/2 on the left, log1p(-ndtr(-x)) on the right",
    doc="The logarithm of the normal distribution function, also where that underflows.",
    example=">>> sg.ops.log_ndtr(sg.tensor([0.0])).numpy()\narray([-0.6931472], dtype=float32)",
)

log_ndtr_derivative = elementwise(
    "log_ndtr_derivative",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=lambda xp, x, *, n: mills.hazard(xp, x, 1, n - 1),
    ball=lambda x, *, n: meanings.log_ndtr_derivative(x, n),
    partials=lambda y, x: (OPS["log_ndtr_derivative"](x, n=y.param("n") + 1),),
    domain=(REAL,),
    infer_facts=lambda term: {1: POSITIVE, 2: NEGATIVE, 3: POSITIVE}.get(
        term.param("n"), REAL
    )._replace(defined=term.args[0].facts.defined),
    cost=5,
    accuracy="for n > 8, relative to the largest term near the zeros beyond x = 4",
    source="h' = -h (x + h) for the hazard h, as Taylor series about points 1/16 apart",
    doc="The n-th derivative of log(ndtr(x)), n >= 1; the first is the hazard (Mills) function.",
    example=">>> sg.ops.log_ndtr_derivative(sg.tensor([0.0])).numpy()\n"
    "array([0.7978846], dtype=float32)",
)

ndtri = elementwise(
    "ndtri",
    family="special",
    kernel=lambda xp, p: xp.special.ndtri(p),
    ball=meanings.ndtri,
    spellings=(lambda p: OPS["erfinv"](2 * p - 1) * _root_2(p),),
    partials=lambda y, p: (OPS["ndtri_slope"](p),),
    textbook=lambda y, p: (_SQRT_2PI * OPS["exp"](y * y * 0.5),),
    domain=(UNIT,),
    range=REAL,
    cost=5,
    ulp=(4, 4, 8),
    accuracy="8 ulp at order 2: three factors, each with the error of SciPy's inverse",
    aten="special_ndtri",
    source="the inverse of ndtr",
    doc="The quantile of the normal distribution.",
    example=">>> sg.ops.ndtri(sg.tensor([0.5])).numpy()\narray([0.], dtype=float32)",
)

ndtri_slope = elementwise(
    "ndtri_slope",
    family="special",
    kernel=_ndtri_slope,
    ball=meanings.ndtri_slope,
    partials=lambda y, p: (OPS["ndtri"](p) * y * y,),
    domain=(UNIT,),
    range=POSITIVE,
    cost=6,
    ulp=(4, 8, 12),
    accuracy="8 and 12 ulp at orders 1 and 2: products of three and four inexact factors",
    source="exp(y**2/2) = Mills's ratio(y) / ndtr(y), and ndtr(y) = p exactly",
    doc="The derivative of ndtri, sqrt(2 pi) exp(ndtri(p)**2 / 2).",
    example=">>> sg.ops.ndtri_slope(sg.tensor([0.5])).numpy()\narray([2.5066283], dtype=float32)",
)
