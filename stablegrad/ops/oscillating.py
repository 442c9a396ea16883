"""Bessel functions of the first and second kind of whole orders, which oscillate."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import pairs
from stablegrad.ops.record import POSITIVE, REAL, Op, elementwise
from stablegrad.ops.taylor_tables import polynomial


def _far(n: int) -> float:
    """From here on the asymptotic series; SciPy's phase is off by an ulp of x."""
    return 25.0 + 0.5 * n * n


@cache
def _coefficients(n: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Those of P in 1/x**2, and of Q in the same without its factor 1/x; highest power first."""
    a = [Fraction(1)]
    for k in range(1, 24):
        a.append(a[-1] * (4 * n * n - (2 * k - 1) ** 2) / (8 * k))
    even, odd = ([float((-1) ** i * c) for i, c in enumerate(a[start::2])] for start in (0, 1))
    return tuple(even[::-1]), tuple(odd[::-1])


def _waves(xp: Any, x: Any, n: int) -> tuple[Any, Any]:
    """J_n and Y_n of large x: the phase x - n pi/2 - pi/4 by sine and cosine of x itself."""
    r = 1.0 / x
    even, odd = _coefficients(n)
    p, q = polynomial(r * r, even), r * polynomial(r * r, odd)
    s, c = xp.sin(x), xp.cos(x)
    for _ in range(n % 4):
        s, c = -c, s
    size = xp.sqrt(r / math.pi)
    sine, cosine = s - c, s + c
    return size * (p * cosine - q * sine), size * (p * sine + q * cosine)


def _j(xp: Any, x: Any, n: int) -> Any:
    a = xp.abs(x)
    near = xp.minimum(a, _far(n))
    value = (xp.special.j0, xp.special.j1)[n](near) if n < 2 else xp.special.jv(n, near)
    far = (a > _far(n)) & (a < xp.inf)
    value = pairs.redo(xp, far, value, lambda xp, a: _waves(xp, a, n)[0], a)
    value = xp.where((x < 0) & (n % 2 == 1), -value, value)
    return xp.where(xp.isinf(x), 0.0, value)


def _y(xp: Any, x: Any, n: int) -> Any:
    near = xp.minimum(x, _far(n))
    value = (xp.special.y0, xp.special.y1)[n](near) if n < 2 else xp.special.yn(n, near)
    far = (x > _far(n)) & (x < xp.inf)
    value = pairs.redo(xp, far, value, lambda xp, x: _waves(xp, x, n)[1], x)
    return xp.where(x == xp.inf, 0.0, value)


def _whole_order(
    letter: str, kernel: Any, *, domain: Facts, source: str, doc: str, example: str
) -> Op:
    """The record of a Bessel function of whole orders."""
    name = f"bessel_{letter}"

    def partials(y: Term, x: Term) -> tuple[Term]:
        n, op = y.param("n"), OPS[name]
        if n == 0:
            return (-op(x, n=1),)
        return ((op(x, n=n - 1) - op(x, n=n + 1)) / 2,)

    return elementwise(
        name,
        family="special",
        params=("n",),
        defaults=(0,),
        kernel=lambda xp, x, *, n: kernel(xp, xp.asarray(x, dtype=float), n),
        ball=lambda x, *, n: x.bessel_jy(n, letter),
        partials=partials,
        domain=(domain,),
        cost=6,
        ulp=None,
        accuracy="32 ulp of the amplitude, the greater of |value| and sqrt(2/(pi x)), for orders "
        "up to 10",
        source=source,
        doc=doc,
        example=example,
    )


bessel_j = _whole_order(
    "j",
    _j,
    domain=REAL,
    source="DLMF 10.2.2, 10.6.1, 10.17.3",
    doc="The Bessel function of the first kind of a whole order n >= 0.",
    example=">>> sg.ops.bessel_j(sg.tensor([1.0]), n=1).numpy()\n"
    "array([0.44005057], dtype=float32)",
)

bessel_y = _whole_order(
    "y",
    _y,
    domain=POSITIVE,
    source="DLMF 10.2.3, 10.6.1, 10.17.4",
    doc="The Bessel function of the second kind of a whole order n >= 0, for x > 0.",
    example=">>> sg.ops.bessel_y(sg.tensor([1.0]), n=0).numpy()\n"
    "array([0.08825696], dtype=float32)",
)
