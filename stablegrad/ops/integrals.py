"""Exponential integrals, and Lambert's function."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.exponential import exp, log
from stablegrad.ops.gamma_kernels import bernoulli
from stablegrad.ops.quotients import log_over_difference_meaning
from stablegrad.ops.record import NONNEGATIVE, POSITIVE, REAL, elementwise, interval
from stablegrad.ops.sine_integrals import EULER
from stablegrad.ops.taylor_tables import polynomial

_EULER = pairs.split(EULER)
_EIN = tuple(
    [pairs.split(Fraction((-1) ** (k + 1), k * math.factorial(k))) for k in range(24, 0, -1)]
)
"""The entire part of E1, x - x**2/4 + x**3/18 - ..., as a power series without its zero."""


def _exp1_near_1(xp: Any, x: Any) -> Any:
    """-log(x) - gamma + x - x**2/4 + ..., in pairs: its terms cancel."""
    zero = 0.0 * x
    part = pairs.horner((x, zero), [(hi + zero, lo) for hi, lo in _EIN])
    total = pairs.add(pairs.multiply(part, (x, zero)), pairs.negative(pair_exp.log(xp, x)))
    hi, lo = pairs.add(total, (-_EULER[0] + zero, -_EULER[1]))
    return hi + lo


def _exp1(xp: Any, x: Any) -> Any:
    x = xp.asarray(x, dtype=float)
    value = xp.where(x >= 0, xp.special.exp1(xp.abs(x)), xp.nan)
    return pairs.redo(xp, (x > 0.4) & (x <= 1.0), value, _exp1_near_1, x)


exp1 = elementwise(
    "exp1",
    family="special",
    kernel=_exp1,
    ball=lambda x: x.exp1(),
    partials=lambda y, x: (-exp(-x) / x,),
    domain=(POSITIVE,),
    range=POSITIVE,
    cost=5,
    source="DLMF 6.2.1",
    doc="The exponential integral E1, of exp(-t)/t from x > 0 to infinity.",
    example=">>> sg.ops.exp1(sg.tensor([1.0])).numpy()\narray([0.21938394], dtype=float32)",
)

# -- Lambert's function -------------------------------------------------------------------

_BRANCH = -math.exp(-1)
"""The float below -1/e, where Lambert's function has its branch point."""

_E = pairs.split(Fraction("2.71828182845904523536028747135266249775724709369995957496696763"))
_FLAT = -0.1
"""Below, 1 + W is not much less than 1 and comes from a Newton iteration of its own."""

_RISE = tuple([1.0 / (k * math.factorial(k - 2)) for k in range(28, 1, -1)])
"""1 + (d - 1) exp(d) as a power series in d, without its zero of order 2."""


def _w(xp: Any, x: Any) -> Any:
    """W of x >= -0.1 and finite, x not 0: w <- w/(1 + w) (1 + log(x/w)), Iacono and Boyd 2017."""
    near = xp.log1p(xp.maximum(x, -0.35))
    log = xp.log(xp.maximum(x, 2.0))
    w = xp.where(x > 3.0, log - xp.log(log), near / (1.0 + 0.5 * near))
    for _ in range(4):
        w = w / (1.0 + w) * (1.0 + xp.log(x / w))
    return w


def _one_plus_w(xp: Any, x: Any) -> Any:
    """1 + W for x near -1/e, from 1 + e x without cancellation."""
    zero = 0.0 * x
    s, low = pairs.multiply((x, zero), (_E[0] + zero, _E[1]))
    hi, lo = pairs.two_sum(1.0 + zero, s)
    rest = xp.maximum(hi + (lo + low), 0.0)
    d = xp.sqrt(2.0 * rest)
    d = xp.minimum(d - d * d / 3.0 + d * d * d * (11.0 / 72.0), 0.9)
    for _ in range(5):
        rise = _RISE[0] + zero
        for c in _RISE[1:]:
            rise = rise * d + c
        step = xp.where(d > 0, (rise * d - rest / d) / xp.exp(d), 0.0)
        d = d - step
    return d


def _parts(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    """W, 1 + W and W/x = exp(-W)."""
    x = xp.asarray(x, dtype=float)
    defined = x > _BRANCH
    tiny = xp.abs(x) < 1e-150
    plain = (x >= _FLAT) & (x < xp.inf) & ~tiny
    w = _w(xp, xp.where(plain, x, 1.0))
    w = xp.where(plain, w, xp.where(defined, x, xp.nan))
    d = pairs.redo(xp, defined & (x < _FLAT), 1.0 + w, _one_plus_w, x)
    large = w > 1.0  # there the exponential would magnify the rounding of W
    ratio = xp.exp(xp.where(x < _FLAT, 1.0 - d, -xp.where(large, 1.0, w)))
    near = xp.where(x < -0.3, d - 1.0, x * ratio)
    ratio = xp.where(large, xp.where(x < xp.inf, w / xp.where(large, x, 1.0), 0.0), ratio)
    return xp.where(large | tiny | ~defined, w, near), d, ratio


def lambert_slope(x: Term) -> Term:
    """The derivative of W, exp(-W) / (1 + W)."""
    return lambert_w_ratio(x) / lambert_w1p(x)


_LAMBERT: dict[str, Any] = {
    "family": "special",
    "domain": (interval(_BRANCH, math.inf),),
    "cost": 6,
    "accuracy": "8 and 12 ulp at order 2, 6 at order 1 of lambert_w_ratio: products of up to six "
    "rounded factors",
    "source": "Iacono and Boyd 2017; next to the branch point a Newton iteration for 1 + W",
}

lambert_w = elementwise(
    "lambert_w",
    ulp=(4, 4, 8),
    kernel=lambda xp, x: _parts(xp, x)[0],
    ball=lambda x: x.lambertw(),
    partials=lambda y, x: (lambert_slope(x),),
    range=interval(-1.0, math.inf),
    doc="The principal branch of Lambert's function: the w with w exp(w) = x.",
    example=">>> sg.ops.lambert_w(sg.tensor([1.0])).numpy()\narray([0.56714326], dtype=float32)",
    **_LAMBERT,
)

lambert_w1p = elementwise(
    "lambert_w1p",
    ulp=(4, 4, 8),
    kernel=lambda xp, x: _parts(xp, x)[1],
    ball=lambda x: x.lambertw() + 1,
    partials=lambda y, x: (lambert_w_ratio(x) / y,),
    range=POSITIVE,
    doc="1 + lambert_w(x), also next to the branch point, where it is 0.",
    example=">>> sg.ops.lambert_w1p(sg.tensor([1.0])).numpy()\narray([1.5671433], dtype=float32)",
    **_LAMBERT,
)

lambert_w_ratio = elementwise(
    "lambert_w_ratio",
    ulp=(4, 6, 12),
    kernel=lambda xp, x: _parts(xp, x)[2],
    ball=lambda x: (-x.lambertw()).exp(),
    partials=lambda y, x: (-y * y / lambert_w1p(x),),
    range=interval(0.0, math.e),
    doc="lambert_w(x)/x, which is exp(-lambert_w(x)); 1 at 0.",
    example=">>> sg.ops.lambert_w_ratio(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
    **_LAMBERT,
)

# -- the other exponential integral --------------------------------------------------------

expi = elementwise(
    "expi",
    family="special",
    kernel=lambda xp, x: xp.special.expi(xp.asarray(x, dtype=float)),
    ball=lambda x: x.expi(),
    partials=lambda y, x: (exp(x) / x,),
    domain=(REAL,),
    cost=5,
    ulp=None,
    accuracy="4 ulp; more next to its zero at 0.3725 and those of its derivatives",
    source="DLMF 6.2.5",
    doc="The exponential integral Ei, of exp(t)/t from minus infinity to x, the principal value.",
    example=">>> sg.ops.expi(sg.tensor([1.0])).numpy()\narray([1.8951178], dtype=float32)",
)

# -- the dilogarithm ---------------------------------------------------------------------------

_BASEL = math.pi**2 / 6
_DILOG = tuple(
    [float(b / math.factorial(2 * k + 1)) for k, b in enumerate(bernoulli(17)) if k][::-1]
)
"""The dilogarithm of 1 - x by u = -log(x): u - u**2/4 + u**3/36 - ..., from u**3 on."""


def _dilogarithm(xp: Any, x: Any) -> Any:
    """Of 1 - x for 0 <= x <= 2: by powers of log(x), or for small x of log(1 - x)."""
    near = x >= 0.25
    log, other = xp.log(xp.where(x > 0, x, 1.0)), xp.log1p(-xp.minimum(x, 0.5))
    u = -xp.where(near, log, other)
    square = u * u
    value = u - (0.25 - u * polynomial(square, _DILOG)) * square
    return xp.where(near, value, _BASEL - log * other - value)


def _spence(xp: Any, x: Any) -> Any:
    """For x > 2 Landen's identity, whose terms have one sign."""
    x = xp.asarray(x, dtype=float)
    far = x > 2.0
    value = _dilogarithm(xp, xp.where(far, 1.0 / xp.where(far, x, 1.0), x))
    log = xp.log(xp.where(far, x, 1.0))
    value = xp.where(far, -value - 0.5 * log * log, value)
    return xp.where(x >= 0, value, xp.nan)


spence = elementwise(
    "spence",
    family="special",
    kernel=_spence,
    ball=lambda x: x.spence(lambda x: -log_over_difference_meaning(x, 0)),
    partials=lambda y, x: (-OPS["logrel"](x),),
    textbook=lambda y, x: (log(x) / (1 - x),),
    domain=(NONNEGATIVE,),
    cost=5,
    source="DLMF 25.12.1 to 25.12.6; Bernoulli numbers in log(x)",
    doc="Spence's function, the dilogarithm of 1 - x: the integral of log(t)/(1 - t) from 1 to x.",
    example=">>> sg.ops.spence(sg.tensor([2.0])).numpy()\narray([-0.822467], dtype=float32)",
)
