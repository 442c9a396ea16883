"""The function sin(pi x) / (pi x) and all its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import localcontext
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS
from stablegrad.ops import meanings, pair_trig, pairs
from stablegrad.ops.record import REAL, elementwise, interval

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
    s, c = pair_trig.sin_cos_pi(xp, safe)
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
    worth = 2.0 if n < 3 else 1.5  # the more steps, the less cancellation they can bear
    cancelled = ~inside & (worth * xp.abs(value) < size) | ~inside & (xp.abs(x) < _sinc_far(n))
    return pairs.redo(xp, cancelled, value, _sinc_pairs(n), x)


def _sinc_pairs(n: int) -> Callable[..., Any]:
    """The n-th derivative in pairs: the series up to ``_sinc_far``, the recurrence beyond."""

    def far(xp: Any, x: Any) -> Any:
        s, c = pair_trig.sin_cos_pi_pair(xp, x)
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
    partials=lambda y, x: (OPS["sinc_derivative"](x, n=1),),
    textbook=lambda y, x: ((OPS["cos"](math.pi * x) - y) / x,),
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
    ball=lambda x, *, n: meanings.sinc_derivative(x, n),
    partials=lambda y, x: (OPS["sinc_derivative"](x, n=y.param("n") + 1),),
    domain=(REAL,),
    range=REAL,
    cost=7,
    source="x f[n] + n f[n-1] = pi**(n-1) sin(pi x + n pi/2), in pairs where it cancels; "
    "power series near 0",
    doc="The n-th derivative of sin(pi x) / (pi x).",
    example=">>> sg.ops.sinc_derivative(sg.tensor([1.0])).numpy()\narray([-1.], dtype=float32)",
)
