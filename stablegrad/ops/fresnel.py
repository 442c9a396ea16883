"""Fresnel's integrals, of sin(pi t**2 / 2) and cos(pi t**2 / 2) from 0 to x.

Up to 6 they are Taylor polynomials about points 1/16 apart, beyond 1/2 and a wave whose amplitudes
are asymptotic series. The square of x is exact, and so are the turns taken off it.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS
from stablegrad.ops import pair_trig, pairs
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.meanings import pi_like
from stablegrad.ops.record import REAL, const, elementwise, interval

_END = 6
_TERMS = 12
_EVEN = 2.0**54
"""From here on every float is even, and its square whole turns."""

_PI = Fraction(pairs.pi()).limit_denominator(1 << 120)
_UNIT = interval(-1.0, 1.0, closed=True)


def _waves(c: Decimal, terms: int) -> tuple[tables.Series, tables.Series]:
    """The series of sin(pi t**2/2) and cos(pi t**2/2) about c: u' = pi t w, w' = -pi t u."""
    pi = pairs.pi(100)
    sine, cosine = (s[:1] for s in tables.sine_cosine(c * c * pi / 2, 1))
    for k in range(terms - 1):
        u = c * cosine[k] + (cosine[k - 1] if k else 0)
        w = c * sine[k] + (sine[k - 1] if k else 0)
        sine.append(pi * u / (k + 1))
        cosine.append(-pi * w / (k + 1))
    return sine, cosine


def _at(c: Decimal, first: int) -> Decimal:
    """The integral of the sine (1) or the cosine (0) up to c, by its power series."""
    angle = pairs.pi(100) * c * c / 2
    term = c * angle if first else c
    total, k = term / (2 * first + 1), first
    while abs(term) > Decimal(10) ** -(tables.DIGITS + 5) or k < angle:
        term = -term * angle * angle / ((k + 1) * (k + 2))
        k += 2
        total += term / (2 * k + 1)
    return total


def _series(first: int) -> Any:
    def series(c: Decimal, terms: int) -> tables.Series:
        slope = _waves(c, terms)[1 - first]
        return [_at(c, first), *[a / (k + 1) for k, a in enumerate(slope[:-1])]]

    return series


_TABLES = [tables.Table(_series(first), lambda n: (0, _END), 16) for first in (0, 1)]


@cache
def _amplitudes(first: int) -> tuple[float, ...]:
    """Of f (0) or g (1) times pi x, in (2/(pi x**2))**2, the highest power first."""
    rows = [1.0]
    for k in range(2 * _TERMS):
        rows.append(rows[-1] * (k + 0.5))
    return tuple([(-1) ** m * rows[2 * m + first] for m in range(_TERMS)][::-1])


def _sine_cosine(xp: Any, x: Any) -> tuple[Any, Any]:
    """sin(pi x**2/2) and cos(pi x**2/2)."""
    square = pairs.two_prod(*[xp.where(xp.abs(x) < _EVEN, x, 0.0)] * 2)
    less = [4.0 * xp.rint(0.25 * part) for part in square]
    turns = pairs.two_sum(square[0] - less[0], square[1] - less[1])
    over = 4.0 * xp.rint(0.25 * turns[0])
    turns = pairs.fast_two_sum(turns[0] - over, turns[1])
    found = pair_trig.sine_cosine_of_turns(turns)
    lost = xp.where(xp.isfinite(x), 0.0, xp.nan)
    return found[0][0] + lost, found[1][0] + lost


def _far(xp: Any, a: Any, first: int) -> Any:
    scale = 1.0 / (math.pi * a)
    z = 2.0 * scale / a
    f = tables.polynomial(z * z, _amplitudes(0))
    g = z * tables.polynomial(z * z, _amplitudes(1))
    sine, cosine = _sine_cosine(xp, a)
    wave = -f * cosine - g * sine if first else f * sine - g * cosine
    return 0.5 + xp.where(a == xp.inf, 0.0, scale * wave)


def _integral(first: int) -> Any:
    def kernel(xp: Any, x: Any) -> Any:
        x = xp.asarray(x, dtype=float)
        a = xp.abs(x)
        value = _TABLES[first](xp, xp.minimum(a, float(_END)))
        value = pairs.redo(xp, a > _END, value, lambda xp, a: _far(xp, a, first), a)
        return xp.where(xp.isnan(x), xp.nan, xp.copysign(value, x))

    return kernel


fresnel_sine_slope = elementwise(
    "fresnel_sine_slope",
    family="special",
    kernel=lambda xp, x: _sine_cosine(xp, xp.asarray(x, dtype=float))[0],
    ball=lambda x: (x * x * pi_like(x) / 2).sin(),
    partials=lambda y, x: (const(_PI, y.dtype) * x * OPS["fresnel_cosine_slope"](x),),
    domain=(REAL,),
    range=_UNIT,
    cost=5,
    ulp=(4, 4, 8),
    accuracy="8 ulp at order 2, where x**2 underflows",
    source="definition; the square is exact, and reduced exactly",
    doc="sin(pi x**2 / 2): the derivative of fresnel_sine.",
    example=">>> sg.ops.fresnel_sine_slope(sg.tensor([1.0])).numpy()\narray([1.], dtype=float32)",
)

fresnel_cosine_slope = elementwise(
    "fresnel_cosine_slope",
    family="special",
    kernel=lambda xp, x: _sine_cosine(xp, xp.asarray(x, dtype=float))[1],
    ball=lambda x: (x * x * pi_like(x) / 2).cos(),
    partials=lambda y, x: (const(-_PI, y.dtype) * x * OPS["fresnel_sine_slope"](x),),
    domain=(REAL,),
    range=_UNIT,
    cost=5,
    ulp=(4, 4, 8),
    accuracy="8 ulp at order 2, where x**2 underflows",
    source="definition; the square is exact, and reduced exactly",
    doc="cos(pi x**2 / 2): the derivative of fresnel_cosine.",
    example=">>> sg.ops.fresnel_cosine_slope(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

fresnel_sine = elementwise(
    "fresnel_sine",
    family="special",
    kernel=_integral(1),
    ball=lambda x: x.fresnel(1),
    partials=lambda y, x: (OPS["fresnel_sine_slope"](x),),
    domain=(REAL,),
    range=interval(-0.714, 0.714, closed=True),
    cost=6,
    source="DLMF 7.6.6, 7.12.2; Taylor polynomials about points 1/16 apart",
    doc="Fresnel's integral S, of sin(pi t**2 / 2) from 0 to x.",
    example=">>> sg.ops.fresnel_sine(sg.tensor([1.0])).numpy()\narray([0.43825915], dtype=float32)",
)

fresnel_cosine = elementwise(
    "fresnel_cosine",
    family="special",
    kernel=_integral(0),
    ball=lambda x: x.fresnel(0),
    partials=lambda y, x: (OPS["fresnel_cosine_slope"](x),),
    domain=(REAL,),
    range=interval(-0.78, 0.78, closed=True),
    cost=6,
    source="DLMF 7.6.4, 7.12.3; Taylor polynomials about points 1/16 apart",
    doc="Fresnel's integral C, of cos(pi t**2 / 2) from 0 to x.",
    example=">>> sg.ops.fresnel_cosine(sg.tensor([1.0])).numpy()\n"
    "array([0.7798934], dtype=float32)",
)
