"""Sine and cosine of an angle in degrees, of which whole turns are taken off exactly."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS
from stablegrad.ops import pairs
from stablegrad.ops.meanings import pi_like
from stablegrad.ops.record import REAL, elementwise, interval

_UNIT = interval(-1.0, 1.0, closed=True)
_DEGREE = pairs.split(pairs.pi() / 180)


def _sine_cosine(xp: Any, x: Any) -> tuple[Any, Any]:
    x = xp.asarray(x, dtype=float)
    r = xp.fmod(x, 360.0)  # exact
    quarter = xp.rint(r / 90.0)
    t = r - 90.0 * quarter
    hi, lo = _DEGREE
    product, error = pairs.two_prod(t, hi + 0.0 * t)
    rest = xp.where(xp.abs(t) > 1e-280, error + t * lo, 0.0)
    s, c = xp.sin(product), xp.cos(product)
    s, c = s + c * rest, c - s * rest
    odd = quarter % 2.0 == 1.0
    sine, cosine = xp.where(odd, c, s), xp.where(odd, s, c)
    turn = quarter % 4.0
    sine = xp.where(turn >= 2.0, -sine, sine)
    cosine = xp.where((turn == 1.0) | (turn == 2.0), -cosine, cosine)
    return xp.where((sine == 0) & (x != 0), 0.0, sine), xp.where(cosine == 0, 0.0, cosine)


sindg = elementwise(
    "sindg",
    family="trigonometric",
    kernel=lambda xp, x: _sine_cosine(xp, x)[0],
    ball=lambda x: (x * pi_like(x) / 180).sin(),
    partials=lambda y, x: (math.pi / 180 * OPS["cosdg"](x),),
    domain=(REAL,),
    range=_UNIT,
    cost=4,
    source="definition, the angle reduced exactly",
    doc="The sine of an angle in degrees.",
    example=">>> sg.ops.sindg(sg.tensor([30.0, 180.0])).numpy()\narray([0.5, 0. ], dtype=float32)",
)

cosdg = elementwise(
    "cosdg",
    family="trigonometric",
    kernel=lambda xp, x: _sine_cosine(xp, x)[1],
    ball=lambda x: (x * pi_like(x) / 180).cos(),
    partials=lambda y, x: (-math.pi / 180 * OPS["sindg"](x),),
    domain=(REAL,),
    range=_UNIT,
    cost=4,
    source="definition, the angle reduced exactly",
    doc="The cosine of an angle in degrees.",
    example=">>> sg.ops.cosdg(sg.tensor([60.0, 90.0])).numpy()\narray([0.5, 0. ], dtype=float32)",
)
