"""Circular functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS
from stablegrad.ops import pairs
from stablegrad.ops.record import POSITIVE, REAL, SYMMETRIC_UNIT, elementwise, interval

_HALF_PI = 1.5707963267948966
_CLOSED_UNIT = interval(-1.0, 1.0, closed=True)
# The closed float interval around an irrational bound: the next float outwards.
_ANGLE = interval(-math.nextafter(math.pi, 4.0), math.nextafter(math.pi, 4.0))


sin = elementwise(
    "sin",
    family="trigonometric",
    kernel=lambda xp, x: xp.sin(x),
    ball=lambda x: x.sin(),
    partials=lambda y, x: (OPS["cos"](x),),
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
    partials=lambda y, x: (-OPS["sin"](x),),
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
    spellings=(lambda x: OPS["sin"](x) / OPS["cos"](x),),
    # a sum of positive terms at every order, and one rounding less than cos**-2
    partials=lambda y, x: (1 + y * y,),
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
    spellings=(
        lambda x: OPS["arctan2"](x, OPS["sqrt"](1 - x * x)),
        lambda x: OPS["arctan2"](x, OPS["sqrt"]((1 - x) * (1 + x))),
    ),
    partials=lambda y, x: (OPS["arcsin_slope"](x, n=1),),
    textbook=lambda y, x: (OPS["rsqrt"](1 - x * x),),
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
    spellings=(
        lambda x: OPS["arctan2"](OPS["sqrt"](1 - x * x), x),
        lambda x: OPS["arctan2"](OPS["sqrt"]((1 - x) * (1 + x)), x),
    ),
    partials=lambda y, x: (-OPS["arcsin_slope"](x, n=1),),
    textbook=lambda y, x: (-OPS["rsqrt"](1 - x * x),),
    domain=(_CLOSED_UNIT,),
    range=interval(0.0, math.nextafter(math.pi, 4.0), closed=True),
    cost=4,
    lax="acos",
    aten="acos",
    source="DLMF 4.24.8",
    doc="The angle in [0, pi] whose cosine is x.",
    example=">>> sg.ops.arccos(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)


def _arcsin_slope(xp: Any, x: Any, *, n: int) -> Any:
    """(1 - x*x)**(-n/2) for odd n; x*x in pairs, so that 1 - x*x is rounded once."""
    x = xp.asarray(x, dtype=float)
    square, rest = pairs.two_prod(x, x)
    rest = xp.where(xp.abs(x) < 2.0**-400, 0.0, rest)
    d = (1.0 - square) - rest
    root = xp.sqrt(d)
    power = root if n == 1 else d * root if n == 3 else xp.power(d, 0.5 * n)
    return xp.where(d < 0, xp.nan, 1.0 / power)  # an even power would go on outside


arcsin_slope = elementwise(
    "arcsin_slope",
    family="trigonometric",
    params=("n",),
    defaults=(1,),
    kernel=_arcsin_slope,
    ball=lambda x, *, n: 1 / ((1 - x) * (1 + x)).sqrt() ** n,
    partials=lambda y, x: (y.param("n") * x * OPS["arcsin_slope"](x, n=y.param("n") + 2),),
    domain=(SYMMETRIC_UNIT,),
    range=POSITIVE,
    cost=4,
    source="its derivative is n x times the member n + 2",
    doc="(1 - x*x)**(-n/2) for odd n; with n = 1 the derivative of arcsin.",
    example=">>> sg.ops.arcsin_slope(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

arctan = elementwise(
    "arctan",
    family="trigonometric",
    kernel=lambda xp, x: xp.arctan(x),
    ball=lambda x: x.arctan(),
    spellings=(lambda x: OPS["arctan2"](x, 1.0),),
    # 1 / (1 + x*x) without overflow, from a family that stays right at every order
    partials=lambda y, x: (OPS["inverse_power_cos"](1.0, x, n=1),),
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
        OPS["inverse_power_cos"](x, y, n=1),
        -OPS["inverse_power_sin"](x, y, n=1),
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


# -- degrees ---------------------------------------------------------------------------------


def deg2rad(x: Any) -> Any:
    """Degrees to radians: a multiplication by the float nearest to pi/180."""
    return OPS["multiply"](x, math.pi / 180)


def rad2deg(x: Any) -> Any:
    """Radians to degrees: a multiplication by the float nearest to 180/pi."""
    return OPS["multiply"](x, 180 / math.pi)
