"""Circular functions, their inverses, and the families that their derivatives form."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import localcontext
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import pairs
from stablegrad.ops.record import REAL, elementwise, interval

_HALF_PI = 1.5707963267948966
_CLOSED_UNIT = interval(-1.0, 1.0, closed=True)
# The closed float interval around an irrational bound: the next float outwards.
_ANGLE = interval(-math.nextafter(math.pi, 4.0), math.nextafter(math.pi, 4.0))


def _op(name: str, *args: Any, **params: Any) -> Term:
    """A term of an op that may be declared after this module."""
    return OPS[name](*args, **params)


sin = elementwise(
    "sin",
    family="trigonometric",
    kernel=lambda xp, x: xp.sin(x),
    ball=lambda x: x.sin(),
    partials=lambda y, x: (_op("cos", x),),
    domain=(REAL,),
    range=_CLOSED_UNIT,
    cost=4,
    ulp=(1, 1, 1),
    lax="sin",
    aten="sin",
    source="DLMF 4.14.1",
    doc="The sine of an angle in radians.",
    example=">>> sg.ops.sin(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

cos = elementwise(
    "cos",
    family="trigonometric",
    kernel=lambda xp, x: xp.cos(x),
    ball=lambda x: x.cos(),
    partials=lambda y, x: (-_op("sin", x),),
    domain=(REAL,),
    range=_CLOSED_UNIT,
    cost=4,
    ulp=(1, 1, 1),
    lax="cos",
    aten="cos",
    source="DLMF 4.14.2",
    doc="The cosine of an angle in radians.",
    example=">>> sg.ops.cos(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

tan = elementwise(
    "tan",
    family="trigonometric",
    kernel=lambda xp, x: xp.tan(x),
    ball=lambda x: x.tan(),
    spellings=(lambda x: _op("sin", x) / _op("cos", x),),
    # cos**-2 rather than 1 + tan**2: its own derivative is 2 sin cos**-3, one product
    partials=lambda y, x: (_op("cos", x) ** -2,),
    textbook=lambda y, x: (1 + y * y,),
    domain=(REAL,),
    range=REAL,
    cost=4,
    lax="tan",
    aten="tan",
    source="DLMF 4.14.4, 4.20.3",
    doc="The tangent of an angle in radians.",
    example=">>> sg.ops.tan(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

arcsin = elementwise(
    "arcsin",
    family="trigonometric",
    kernel=lambda xp, x: xp.arcsin(x),
    ball=lambda x: x.arcsin(),
    # 1 - x*x loses everything near the ends; 1 - x and 1 + x are exact there
    partials=lambda y, x: (_op("rsqrt", 1 - x) * _op("rsqrt", 1 + x),),
    textbook=lambda y, x: (_op("rsqrt", 1 - x * x),),
    domain=(_CLOSED_UNIT,),
    range=interval(-_HALF_PI, _HALF_PI),
    cost=4,
    lax="asin",
    aten="asin",
    source="DLMF 4.24.7",
    doc="The angle in [-pi/2, pi/2] whose sine is x.",
    example=">>> sg.ops.arcsin(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

arccos = elementwise(
    "arccos",
    family="trigonometric",
    kernel=lambda xp, x: xp.arccos(x),
    ball=lambda x: x.arccos(),
    partials=lambda y, x: (-(_op("rsqrt", 1 - x) * _op("rsqrt", 1 + x)),),
    textbook=lambda y, x: (-_op("rsqrt", 1 - x * x),),
    domain=(_CLOSED_UNIT,),
    range=interval(0.0, math.nextafter(math.pi, 4.0), closed=True),
    cost=4,
    lax="acos",
    aten="acos",
    source="DLMF 4.24.8",
    doc="The angle in [0, pi] whose cosine is x.",
    example=">>> sg.ops.arccos(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)

arctan = elementwise(
    "arctan",
    family="trigonometric",
    kernel=lambda xp, x: xp.arctan(x),
    ball=lambda x: x.arctan(),
    # hypot, since x*x overflows where the derivative, 1/x**2, is still a float
    partials=lambda y, x: (_op("hypot", 1.0, x) ** -2,),
    textbook=lambda y, x: (1 / (1 + x * x),),
    domain=(REAL,),
    range=interval(-math.nextafter(_HALF_PI, 4.0), math.nextafter(_HALF_PI, 4.0)),
    cost=4,
    lax="atan",
    aten="atan",
    source="DLMF 4.24.9",
    doc="The angle in (-pi/2, pi/2) whose tangent is x.",
    example=">>> sg.ops.arctan(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

arctan2 = elementwise(
    "arctan2",
    family="trigonometric",
    kernel=lambda xp, y, x: xp.arctan2(y, x),
    ball=lambda y, x: y.arctan2(x),
    partials=lambda out, y, x: (
        _op("inverse_power_cos", x, y, n=1),
        -_op("inverse_power_sin", x, y, n=1),
    ),
    textbook=lambda out, y, x: (x / (x * x + y * y), -y / (x * x + y * y)),
    domain=(REAL, REAL),
    range=_ANGLE,
    cost=5,
    lax="atan2",
    aten="atan2",
    source="IEEE 754-2019, 9.2.1; the partials are the parts of 1/(x + i y)",
    doc="The angle in [-pi, pi] of the point (x, y); its first argument is y.",
    example=">>> sg.ops.arctan2(sg.tensor([0.0]), sg.tensor([1.0])).numpy()\n"
    "array([0.], dtype=float32)",
)


# -- the parts of (x + i y)**-n, closed under differentiation --------------------------------


@cache
def _directions(n: int, sine: bool) -> tuple[tuple[tuple[float, float], tuple[float, float]], ...]:
    """Pairs (a, b) such that Re or Im of (x + i y)**n is the product of all a x + b y.

    Each factor vanishes on one ray on which the part does; a common factor 2 sits in all
    but one of them, so that no product is out of scale.
    """
    out = []
    for k in range(n):
        quarter = (2 * k, 2 * n) if sine else (2 * k + 1, 2 * n)  # angle of the ray over pi
        s, c = _exact_sin_cos_pi(*quarter)
        scale = 2 if k else 1
        # sin(n t) = 2**(n-1) prod sin(t + k pi/n); cos(n t) the same with k + 1/2
        out.append((pairs.split(scale * s), pairs.split(scale * c)))
    return tuple(out)


def _exact_sin_cos_pi(p: int, q: int) -> tuple[Fraction, Fraction]:
    """Return sin and cos of pi p / q to 60 digits, by their series; exact zeros are exact."""
    with localcontext() as context:
        context.prec = 70
        angle = pairs.pi(70) * p / q
        total = [angle * 0, angle * 0]
        term, k = angle * 0 + 1, 0
        while abs(term) > context.create_decimal("1e-65"):
            total[k % 2] += term if k % 4 < 2 else -term
            k += 1
            term = term * angle / k
        s, c = total[1], total[0]
    return Fraction(0 if p % q == 0 else s), Fraction(0 if 2 * p % (2 * q) == q else c)


def _inverse_power(xp: Any, x: Any, y: Any, n: int, sine: bool) -> Any:
    """cos(n t) / h**n or sin(n t) / h**n for the point x + i y = h exp(i t)."""
    x, y = xp.asarray(x, dtype=float), xp.asarray(y, dtype=float)
    # one power of two brings the larger coordinate to [1/2, 1), so that nothing overflows
    _, shift = xp.frexp(xp.maximum(xp.abs(x), xp.abs(y)))
    u, v = xp.ldexp(x, -shift), xp.ldexp(y, -shift)
    if n == 1:
        top, lift = _lifted(xp, v if sine else u)
        out = top / (u * u + v * v)
    else:
        out, lift = _inverse_power_pairs(xp, u, v, n, sine)
    out = xp.ldexp(out, -n * shift - lift)
    far = xp.isinf(x) | xp.isinf(y)
    return xp.where(far & ~(xp.isnan(x) | xp.isnan(y)), 0.0, out)


def _lifted(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return x times a power of two that keeps it away from the subnormals, and that power."""
    lift = xp.where(xp.abs(x) < 2.0**-300, 600, 0)
    return xp.ldexp(x, lift), lift


def _inverse_power_pairs(xp: Any, u: Any, v: Any, n: int, sine: bool) -> tuple[Any, Any]:
    """The same for a point of modulus near 1: each linear factor over h**2, in pairs."""
    zero = 0.0 * u
    square = pairs.add(pairs.two_prod(u, u), pairs.two_prod(v, v))
    (u_up, u_lift), (v_up, v_lift) = _lifted(xp, u), _lifted(xp, v)
    out, lift = None, 0
    for a, b in _directions(n, sine):
        if a[0] == 0:
            factor, lift = pairs.multiply((v_up, zero), (b[0] + zero, b[1])), lift + v_lift
        elif b[0] == 0:
            factor, lift = pairs.multiply((u_up, zero), (a[0] + zero, a[1])), lift + u_lift
        else:
            across = pairs.multiply((u, zero), (a[0] + zero, a[1]))
            along = pairs.multiply((v, zero), (b[0] + zero, b[1]))
            factor = pairs.add(across, along)
        factor = pairs.divide(factor, square)
        out = factor if out is None else pairs.multiply(out, factor)
    assert out is not None
    return out[0] + out[1], lift


inverse_power_cos = elementwise(
    "inverse_power_cos",
    family="trigonometric",
    params=("n",),
    defaults=(1,),
    kernel=lambda xp, x, y, *, n: _inverse_power(xp, x, y, n, sine=False),
    ball=lambda x, y, *, n: x.inverse_power_cos(y, n),
    partials=lambda out, x, y: (
        -out.param("n") * _op("inverse_power_cos", x, y, n=out.param("n") + 1),
        -out.param("n") * _op("inverse_power_sin", x, y, n=out.param("n") + 1),
    ),
    domain=(REAL, REAL),
    range=REAL,
    cost=6,
    source="the n rays on which cos(n t) vanishes, as linear factors",
    doc="The real part of (x + i y)**-n; for n = 1 it is x / (x**2 + y**2).",
    example=">>> sg.ops.inverse_power_cos(sg.tensor([2.0]), sg.tensor([0.0])).numpy()\n"
    "array([0.5], dtype=float32)",
)

inverse_power_sin = elementwise(
    "inverse_power_sin",
    family="trigonometric",
    params=("n",),
    defaults=(1,),
    kernel=lambda xp, x, y, *, n: _inverse_power(xp, x, y, n, sine=True),
    ball=lambda x, y, *, n: x.inverse_power_sin(y, n),
    partials=lambda out, x, y: (
        -out.param("n") * _op("inverse_power_sin", x, y, n=out.param("n") + 1),
        out.param("n") * _op("inverse_power_cos", x, y, n=out.param("n") + 1),
    ),
    domain=(REAL, REAL),
    range=REAL,
    cost=6,
    source="the n rays on which sin(n t) vanishes, as linear factors",
    doc="Minus the imaginary part of (x + i y)**-n; for n = 1 it is y / (x**2 + y**2).",
    example=">>> sg.ops.inverse_power_sin(sg.tensor([0.0]), sg.tensor([2.0])).numpy()\n"
    "array([0.5], dtype=float32)",
)


# -- sinc and its derivatives ----------------------------------------------------------------

_NEAR = 0.25
"""Below it the power series of every derivative is dominated by its first term."""


@cache
def _sinc_series(n: int, terms: int) -> tuple[tuple[float, float], ...]:
    """Coefficients in x**2 of the n-th derivative of sinc, without the factor x of odd n."""
    out = []
    with localcontext() as context:
        context.prec = 50
        for k in range((n + 1) // 2, (n + 1) // 2 + terms):
            size = pairs.pi() ** (2 * k) / ((2 * k + 1) * math.factorial(2 * k - n))
            out.append(pairs.split(-size if k % 2 else size))
    return tuple(out[::-1])


def _sinc_far(n: int) -> float:
    """From here on the upward recurrence for the n-th derivative is safe."""
    return max(_NEAR, (n + 1) / math.pi)


def _sinc_derivative(xp: Any, x: Any, *, n: int) -> Any:
    """The n-th derivative of sin(pi x) / (pi x)."""
    x = xp.asarray(x, dtype=float)
    square = x * x
    series = [c for c, _ in _sinc_series(n, 11)]
    near = xp.polyval(xp.asarray(series), xp.where(xp.abs(x) < _NEAR, square, 0.0))
    if n % 2:
        near = near * x
    inside = xp.abs(x) < _NEAR
    safe = xp.where(inside, 1.0, x)
    s, c = pairs.sin_cos_pi(xp, safe)
    waves: tuple[Any, ...] = (s, c, -s, -c)
    value = s / safe / math.pi
    size = xp.abs(value)
    for k in range(1, n + 1):
        wave = math.pi ** (k - 1) * waves[k % 4]
        value = wave / safe - k * (value / safe)
        size = xp.abs(wave / safe) + k * (size / xp.abs(safe))
    value = xp.where(inside, near, value)
    if n == 0:
        return value
    cancelled = ~inside & (2 * xp.abs(value) < size) | ~inside & (xp.abs(x) < _sinc_far(n))
    return pairs.redo(xp, cancelled, value, _sinc_pairs(n), x)


def _sinc_pairs(n: int) -> Callable[..., Any]:
    """The n-th derivative in pairs: the series up to ``_sinc_far``, the recurrence beyond."""

    def far(xp: Any, x: Any) -> Any:
        s, c = pairs.sin_cos_pi_pair(xp, x)
        waves = (s, c, pairs.negative(s), pairs.negative(c))
        zero = 0.0 * x
        step = (x, zero)
        value = pairs.divide(pairs.divide(s, step), (pairs.PI[0] + zero, pairs.PI[1]))
        for k in range(1, n + 1):
            front = pairs.split(Fraction(pairs.pi()) ** (k - 1))
            wave = pairs.multiply((front[0] + zero, front[1]), waves[k % 4])
            below = pairs.multiply((k + zero, zero), value)
            value = pairs.divide(pairs.add(wave, pairs.negative(below)), step)
        return value[0] + value[1]

    def close(xp: Any, x: Any) -> Any:
        zero = 0.0 * x
        square = pairs.two_prod(x, x)
        value = pairs.horner(square, [(c[0] + zero, c[1]) for c in _sinc_series(n, 24 + 3 * n)])
        if n % 2:
            value = pairs.multiply(value, (x, zero))
        return value[0] + value[1]

    def both(xp: Any, x: Any) -> Any:
        edge = _sinc_far(n)
        out = far(xp, x)
        return pairs.redo(xp, xp.abs(x) < edge, out, close, x)

    return both


sinc = elementwise(
    "sinc",
    family="trigonometric",
    kernel=lambda xp, x: _sinc_derivative(xp, x, n=0),
    ball=lambda x: x.sinc(),
    partials=lambda y, x: (_op("sinc_derivative", x, n=1),),
    textbook=lambda y, x: ((_op("cos", math.pi * x) - y) / x,),
    domain=(REAL,),
    range=interval(-0.21723362821122166, 1.0, closed=True),
    cost=5,
    aten="sinc",
    source="NumPy's sinc; the argument is reduced exactly, so whole numbers give 0",
    doc="sin(pi x) / (pi x), 1 at 0.",
    example=">>> sg.ops.sinc(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

sinc_derivative = elementwise(
    "sinc_derivative",
    family="trigonometric",
    params=("n",),
    defaults=(1,),
    kernel=_sinc_derivative,
    ball=lambda x, *, n: x.sinc_derivative(n),
    partials=lambda y, x: (_op("sinc_derivative", x, n=y.param("n") + 1),),
    domain=(REAL,),
    range=REAL,
    cost=7,
    source="x f[n] + n f[n-1] = pi**(n-1) sin(pi x + n pi/2), in pairs where it cancels; "
    "power series near 0",
    doc="The n-th derivative of sin(pi x) / (pi x).",
    example=">>> sg.ops.sinc_derivative(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


# -- degrees ---------------------------------------------------------------------------------


def deg2rad(x: Any) -> Any:
    """Degrees to radians: a multiplication by the float nearest to pi/180."""
    return OPS["multiply"](x, math.pi / 180)


def rad2deg(x: Any) -> Any:
    """Radians to degrees: a multiplication by the float nearest to 180/pi."""
    return OPS["multiply"](x, 180 / math.pi)
