"""Kernels for x times a smooth step: silu, mish, gelu in both forms, and all their derivatives.

In the middle, where derivatives have zeros, they are Taylor polynomials about points 1/8 apart.
Far out the step is a series in exp(-|x|), or an exponential of a polynomial, which every
derivative of x exp(a x) = a**(n - 1) (a x + n) exp(a x) follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ops import mills, pairs
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.choice import choose
from stablegrad.ops.taylor_tables import Series, Table, polynomial

_END = 12
_TERMS = 5


def _ends(n: int) -> tuple[int, int]:
    """Beyond these exp(-|x|) is below 1e-5, and every zero lies within."""
    return -_END - 4 * n, _END + 4 * n


# -- silu and mish ---------------------------------------------------------------------------


def _times_x(c: Decimal, step: Series) -> Series:
    return tables.multiply(tables.moving(c, len(step)), step)


def _constant(value: int, terms: int) -> Series:
    return [Decimal(value), *([Decimal(0)] * (terms - 1))]


def _silu_series(c: Decimal, terms: int) -> Series:
    below = tables.exp(c, terms, -1)
    return _times_x(c, tables.divide(_constant(1, terms), [below[0] + 1, *below[1:]]))


def _mish_series(c: Decimal, terms: int) -> Series:
    w = tables.exp(c, terms)
    top = [a + 2 * b for a, b in zip(tables.multiply(w, w), w, strict=True)]
    return _times_x(c, tables.divide(top, [top[0] + 2, *top[1:]]))


def _rational(top: tuple[int, ...], bottom: tuple[int, ...]) -> tuple[float, ...]:
    """The power series of a rational function, from the coefficients of both, lowest first."""
    out: list[Fraction] = []
    for k in range(_TERMS + 1):
        value = Fraction(top[k] if k < len(top) else 0)
        for j in range(1, min(k + 1, len(bottom))):
            value -= bottom[j] * out[k - j]
        out.append(value / bottom[0])
    return tuple([float(a) for a in out])


class _Step:
    """A function x * G, with G a power series in exp(x) on the left, in exp(-x) on the right."""

    def __init__(
        self,
        series: Callable[[Decimal, int], Series],
        left: tuple[float, ...],
        right: tuple[float, ...],
    ) -> None:
        self.table = Table(series, _ends, 8)
        self.left = left
        self.right = right

    def __call__(self, xp: Any, x: Any, *, n: int = 0) -> Any:
        """The n-th derivative."""
        x = xp.asarray(x, dtype=float)
        low, high = _ends(n)
        value = self.table(xp, x, n)
        value = pairs.redo(xp, x > high, value, lambda xp, x: self._right(xp, x, n), x)
        return pairs.redo(xp, x < low, value, lambda xp, x: self._left(xp, x, n), x)

    def _right(self, xp: Any, x: Any, n: int) -> Any:
        line = x if n == 0 else 1.0 + 0.0 * x if n == 1 else 0.0 * x
        line = xp.where(x == xp.inf, (xp.inf, 1.0, 0.0)[min(n, 2)], line)
        x = xp.minimum(x, 800.0)
        return line + _decaying(xp, x, -1, self.right, n)

    def _left(self, xp: Any, x: Any, n: int) -> Any:
        return _decaying(xp, xp.maximum(x, -1600.0), 1, self.left, n)


def _decaying(xp: Any, x: Any, sign: int, coefficients: tuple[float, ...], n: int) -> Any:
    """The n-th derivative of x times a series in exp(sign x), without its constant."""
    root = xp.exp(0.5 * sign * x)
    q = root * root
    total = 0.0 * x
    for k in range(_TERMS, 0, -1):
        a = float(sign * k)
        part = coefficients[k] * (x if n == 0 else a ** (n - 1) * (a * x + n))
        total = total * q + part
    return root * total * root


_silu = _Step(_silu_series, _rational((0, 1), (1, 1)), _rational((1,), (1, 1)))


def silu(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of x * sigmoid(x).

    Below order 2 from sigmoids; from series where those cancel, and where sigmoid leaves
    the normal range.
    """
    if n > 1:
        return _silu(xp, x, n=n)
    x = xp.asarray(x, dtype=float)
    t = xp.exp(-xp.abs(x))
    large = 1 / (1 + t)
    small = t * large
    negative = x < 0
    s = choose(xp, negative, small, large)
    if n == 0:
        value, beyond = x * s, x < -700
    else:
        value = s * (1 + x * choose(xp, negative, large, small))
        near = (x > -8) & (x < -0.5)
        value = pairs.redo(xp, near, value, lambda xp, x: _silu.table(xp, x, n), x)
        beyond = (x < -700) | (x == xp.inf)
    return pairs.redo(xp, beyond, value, lambda xp, x: _silu(xp, x, n=n), x)


mish = _Step(_mish_series, _rational((0, 2, 1), (2, 2, 1)), _rational((1, 2), (1, 2, 2)))


# -- gelu ------------------------------------------------------------------------------------

_ROOT_2PI = math.sqrt(2 * math.pi)


def gelu(xp: Any, x: Any) -> Any:
    """Evaluate x * ndtr(x)."""
    x = xp.asarray(x, dtype=float)

    def left(xp: Any, x: Any) -> Any:
        x = xp.maximum(x, -60.0)
        return mills.gauss(xp, x, 1, mills.ratio(xp, x, 1, 0) * x)

    center = x * (0.5 + 0.5 * xp.special.erf(x * math.sqrt(0.5)))
    return pairs.redo(xp, x < -0.6, center, left, x)


def _gelu_slope_series(c: Decimal, terms: int) -> Series:
    """Of ndtr + x density, from the density's series: it has (2 - x*x) density as derivative."""
    front = 1 / (2 * pairs.pi(tables.DIGITS + 10)).sqrt()
    total, term, k = Decimal(0), c, 0
    while k < 4 or abs(term) > Decimal(10) ** -(tables.DIGITS + 5):
        total += term / (2 * k + 1)
        k += 1
        term = -term * c * c / (2 * k)
    density = [front * (-c * c / 2).exp()]
    density.append(-c * density[0])
    for k in range(2, terms):
        density.append(-(c * density[-1] + density[-2]) / k)
    out = [Decimal(1) / 2 + front * total + c * density[0]]
    for k in range(terms - 1):
        # (2 - (c + t)**2) = (2 - c*c) - 2 c t - t*t
        slope = (2 - c * c) * density[k]
        slope -= 2 * c * density[k - 1] if k > 0 else 0
        slope -= density[k - 2] if k > 1 else 0
        out.append(slope / (k + 1))
    return out


_GELU_SLOPE = Table(_gelu_slope_series, lambda n: (-2, 1), 8)


@cache
def gelu_factor(n: int) -> tuple[int, ...]:
    """The polynomial times the density in the n-th derivative, n >= 2, highest power first."""
    out = [2, 0, -1]
    for _ in range(n - 2):
        slope = [*[k * a for k, a in enumerate(out)][1:], 0, 0]
        out = [b - a for a, b in zip([0, *out], slope, strict=True)]
    return tuple(out[::-1])


def gelu_derivative(xp: Any, x: Any, *, n: int = 1) -> Any:
    """The n-th derivative of x * ndtr(x)."""
    x = xp.asarray(x, dtype=float)
    inner = xp.clip(x, -60.0, 60.0)
    if n > 1:
        coefficients = tuple([float(c) for c in gelu_factor(n)])
        factor = polynomial(inner, coefficients)
        size = polynomial(xp.abs(inner), tuple([abs(c) for c in coefficients]))

        def again(xp: Any, x: Any) -> Any:
            zero = 0.0 * x
            out = pairs.horner((x, zero), [(c + zero, zero) for c in coefficients])
            return out[0] + out[1]

        factor = pairs.redo(xp, size > 1.5 * xp.abs(factor), factor, again, inner)
        return mills.gauss(xp, inner, 1, factor / _ROOT_2PI)

    def left(xp: Any, x: Any) -> Any:
        return mills.gauss(xp, x, 1, mills.ratio(xp, x, 1, 0) + x / _ROOT_2PI)

    def right(xp: Any, x: Any) -> Any:
        density = mills.gauss(xp, x, 1, x / _ROOT_2PI)
        return 0.5 + 0.5 * xp.special.erf(x * math.sqrt(0.5)) + density

    value = _GELU_SLOPE(xp, inner)
    value = pairs.redo(xp, x < -2.0, value, left, inner)
    return pairs.redo(xp, x > 1.0, value, right, inner)


# -- the form of gelu with tanh ----------------------------------------------------------------

SLOPE = math.sqrt(2 / math.pi)
CUBIC = 0.044715
_SLOPE, _CUBIC = 2 * Decimal(SLOPE), 2 * Decimal(SLOPE) * Decimal(CUBIC)


def _gelu_tanh_series(c: Decimal, terms: int) -> Series:
    p = [_SLOPE * c + _CUBIC * c**3, _SLOPE + 3 * _CUBIC * c**2, 3 * _CUBIC * c, _CUBIC]
    p = (p + [Decimal(0)] * terms)[:terms]
    below = tables.exp_of([-a for a in p])
    return _times_x(c, tables.divide(_constant(1, terms), [below[0] + 1, *below[1:]]))


_GELU_TANH_END = 5
_GELU_TANH = Table(_gelu_tanh_series, lambda n: (-_GELU_TANH_END - n, _GELU_TANH_END + n), 16)
_P1, _P3 = pairs.split(_SLOPE), pairs.split(_CUBIC)


@cache
def _factor(n: int, rate: int) -> tuple[float, ...]:
    """The polynomial times exp(rate p) in the n-th derivative of x exp(rate p), highest first."""
    out = [Fraction(0), Fraction(1)]
    slope = [rate * Fraction(_SLOPE), Fraction(0), 3 * rate * Fraction(_CUBIC)]
    for _ in range(n):
        step = [k * a for k, a in enumerate(out)][1:] + [Fraction(0)] * 3
        for i, a in enumerate(out):
            for j, b in enumerate(slope):
                step[i + j] += a * b
        out = step
    return tuple([float(a) for a in out[::-1]])


def gelu_tanh(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of x (1 + tanh(p/2)) / 2, p = 2 sqrt(2/pi) (x + 0.044715 x**3)."""
    x = xp.asarray(x, dtype=float)
    low, high = _GELU_TANH.ends(n)

    def tail(xp: Any, x: Any, sign: float) -> Any:
        """Of x (q - q**2 + q**3), q = exp(sign p): on the left; minus that on the right."""
        x = xp.clip(x, -30.0, 30.0)
        zero = 0.0 * x
        square = pairs.two_prod(x, x)
        inner = pairs.multiply(square, (_P3[0] + zero, _P3[1]))
        inner = pairs.add(inner, (_P1[0] + zero, _P1[1]))
        p, p_lo = pairs.multiply(inner, (sign * x, zero))
        root = xp.exp(0.5 * p)
        q = root * root
        total = 0.0 * x
        for k in (3, 2, 1):
            part = polynomial(x, _factor(n, int(sign) * k)) * (1.0 + k * p_lo)
            total = total * q + (part if k % 2 else -part)
        return root * total * root

    def right(xp: Any, x: Any) -> Any:
        line = x if n == 0 else 1.0 + 0.0 * x if n == 1 else 0.0 * x
        line = xp.where(x == xp.inf, (xp.inf, 1.0, 0.0)[min(n, 2)], line)
        return line - tail(xp, x, -1.0)

    value = _GELU_TANH(xp, x, n)
    value = pairs.redo(xp, x > high, value, right, x)
    return pairs.redo(xp, x < low, value, lambda xp, x: tail(xp, x, 1.0), x)
