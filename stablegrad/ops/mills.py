"""Kernels for Mills's ratio of the normal distribution and all its derivatives.

With q = 1 (the normal distribution) or q = 2 (the error function) let

    m(x) = scale * exp(q x**2 / 2) * integral of exp(-q t**2 / 2) over t < x,

so that m' = q x m + scale. For q = 1 it is ndtr(x) exp(x**2 / 2), for q = 2 it is erfcx(-x).
The hazard h = scale / m is the derivative of the logarithm of the integral. Every derivative of
m is positive. Between the ends both are Taylor polynomials about points 1/16 apart, whose
coefficients are made here, on first use, in decimal arithmetic; beyond the ends they
are asymptotic series (left) or follow from exp(q x**2 / 2) by recurrence (right).
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops import pairs

_STEP = 16
_DIGITS = 110
_LEFT = {1: -12, 2: -9}
_RIGHT = 4
_ALL_AT_ZERO = {1: 0.5, 2: 1.0}
_WHOLE = {1: 1.0, 2: 2.0}
"""What exp(q x**2/2) is multiplied by far to the right."""


@cache
def _scale(q: int) -> Decimal:
    """1/sqrt(2 pi) or 2/sqrt(pi)."""
    with localcontext() as context:
        context.prec = _DIGITS
        return 1 / (2 * pairs.pi(_DIGITS)).sqrt() if q == 1 else 2 / pairs.pi(_DIGITS).sqrt()


def _series(q: int, c: Decimal, value: Decimal, terms: int) -> list[Decimal]:
    """Taylor coefficients of m about c, from its value there."""
    out = [value, q * c * value + _scale(q)]
    for k in range(1, terms - 1):
        out.append(q * (c * out[k] + out[k - 1]) / (k + 1))
    return out


@cache
def _anchors(q: int) -> tuple[list[Decimal], ...]:
    """The Taylor coefficients of m about each multiple of 1/16 from left to right."""
    with localcontext() as context:
        context.prec = _DIGITS
        rows: dict[int, list[Decimal]] = {}
        for way, end in ((-1, _LEFT[q]), (1, _RIGHT)):
            value, step = Decimal(_ALL_AT_ZERO[q]), Decimal(way) / _STEP
            for i in range(0, end * _STEP + way, way):
                series = _series(q, Decimal(i) / _STEP, value, 72)
                rows[i] = series
                value = Decimal(0)
                for c in reversed(series):
                    value = value * step + c
        return tuple([rows[i] for i in sorted(rows)])


def _inverse(q: int, m: list[Decimal]) -> list[Decimal]:
    """The power series scale / m."""
    out = [_scale(q) / m[0]]
    for k in range(1, len(m)):
        out.append(-sum((m[j] * out[k - j] for j in range(1, k + 1)), Decimal(0)) / m[0])
    return out


@cache
def _table(q: int, n: int, hazard: bool, terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, highest first, of the n-th derivative of m or h: one row each, hi and lo."""
    columns = []
    with localcontext() as context:
        context.prec = _DIGITS
        for m in _anchors(q):
            series = _inverse(q, m[: terms + n]) if hazard else m[: terms + n]
            columns.append([series[k + n] * math.perm(k + n, n) for k in range(terms)][::-1])
        hi = np.array([[float(c) for c in column] for column in columns])
        lo = np.array(
            [
                [float(c - Decimal(near)) for c, near in zip(column, row, strict=True)]
                for column, row in zip(columns, hi.tolist(), strict=True)
            ]
        )
    return np.ascontiguousarray(hi.T), np.ascontiguousarray(lo.T)


def _middle(xp: Any, x: Any, q: int, n: int, hazard: bool) -> Any:
    """The Taylor polynomial about the nearest point of the table."""
    hi, lo = (xp.asarray(t) for t in _table(q, n, hazard, 11 + n // 3))
    at = xp.rint(xp.clip(x, _LEFT[q], _RIGHT) * _STEP)
    row = at.astype(xp.int64) - _LEFT[q] * _STEP
    row = xp.clip(row, 0, hi.shape[1] - 1)  # nan gives any row at all
    t = x - at / _STEP
    tail = hi[0][row]
    for c in hi[1:-1]:
        tail = tail * t + c[row]
    tail = tail * t
    start = hi[-1][row]
    value = start + (lo[-1][row] + tail)
    if not hazard or n < 2:  # of one sign: nothing cancels
        return value

    def again(xp: Any, row: Any, t: Any) -> Any:
        table = _table(q, n, hazard, 20 + n // 2)
        zero = 0.0 * t
        out = pairs.horner((t, zero), [(a[row], b[row]) for a, b in zip(*table, strict=True)])
        return out[0] + out[1]

    return pairs.redo(xp, xp.abs(tail) > xp.abs(value), value, again, row, t)


@cache
def _asymptotic(q: int, n: int, hazard: bool) -> tuple[int, tuple[float, ...]]:
    """The power p and coefficients, highest first, of y**-p times a series in 1/(q y**2).

    It is the n-th derivative, by x = -y, of m / scale or of h.
    """
    count = 30
    ratio = [(-1) ** k * math.prod(range(1, 2 * k, 2)) for k in range(count)]
    if hazard:
        inverse = [1]
        for k in range(1, count):
            inverse.append(-sum(ratio[j] * inverse[k - j] for j in range(1, k + 1)))
        ratio = inverse
    out, first = [], None
    for k, c in enumerate(ratio):
        # the term is c y**power / q**k; each derivative by x is minus that by y
        power = (1 if hazard else -1) - 2 * k
        factor = c * (-1) ** n * math.prod(range(power - n + 1, power + 1))
        if first is None and factor == 0:
            continue
        if first is None:
            first = k
        out.append(factor * (q if hazard else 1 / q) / q**first)
    assert first is not None
    return n + 2 * first + (-1 if hazard else 1), tuple(out[::-1])


def _far_left(xp: Any, x: Any, q: int, n: int, hazard: bool) -> Any:
    """The asymptotic series."""
    power, coefficients = _asymptotic(q, n, hazard)
    y = -x
    u = 1 / (q * y) / y
    total = coefficients[0] + 0.0 * u
    for c in coefficients[1:]:
        total = total * u + c
    if not hazard:
        total = total * float(_scale(q))
    return total * y if power == -1 else total if power == 0 else total * xp.power(y, -power)


def _gauss(xp: Any, x: Any, q: int) -> tuple[Any, Any]:
    """Return q x**2 / 2 as hi and lo, for |x| below 1e150."""
    hi, lo = pairs.two_prod(x, x)
    return hi * (q / 2), lo * (q / 2)


def gauss(xp: Any, x: Any, q: int, factor: Any) -> Any:
    """Evaluate exp(-q x**2 / 2) * factor, without underflow before the end."""
    hi, lo = _gauss(xp, xp.clip(x, -60.0, 60.0), q)
    low = hi > 690.0  # there in two steps, as the factor may still bring it back
    out = xp.exp(xp.where(low, 300.0 - hi, -hi)) * factor
    return (out - out * lo) * xp.where(low, _E_300, 1.0)


_E_300 = math.exp(-300.0)


def _ratio_right(xp: Any, x: Any, q: int, n: int) -> Any:
    """Return a derivative of m for x > 2: m[k+1] = q (x m[k] + k m[k-1]), upwards from m[0]."""
    hi, lo = _gauss(xp, xp.minimum(x, 60.0), q)
    grown = xp.exp(hi)
    grown = xp.where(grown < xp.inf, grown + grown * lo, grown)
    below, value = None, _WHOLE[q] * grown - _ratio_left(xp, -x, q, 0)
    for k in range(n):
        step = q * x * value
        step = step + float(_scale(q)) if below is None else step + q * k * below
        below, value = value, step
    return value


@cache
def _polynomial(q: int, n: int) -> tuple[tuple[int, ...], ...]:
    """Q with h^(n) = h Q(x, h): for each power of h the coefficients in x, highest first."""
    terms = {(0, 0): 1}
    for _ in range(n):
        out: dict[tuple[int, int], int] = {}
        for (i, j), c in terms.items():
            # h' = -h (q x + h)
            for key, value in (
                ((i + 1, j), -q * c * (1 + j)),
                ((i, j + 1), -c * (1 + j)),
                ((i - 1, j), c * i),
            ):
                out[key] = out.get(key, 0) + value
        terms = {key: c for key, c in out.items() if c}
    high = max(j for _, j in terms)
    return tuple(
        [tuple([terms.get((i, j), 0) for i in range(n, -1, -1)]) for j in range(high, -1, -1)]
    )


def _hazard_right(xp: Any, x: Any, q: int, n: int) -> Any:
    """Return a derivative of h for x > 4, as h times a polynomial in x and h."""
    x = xp.minimum(x, 60.0)  # beyond, exp(-q x**2 / 2) is 0
    whole = _WHOLE[q] - gauss(xp, x, q, _ratio_left(xp, -x, q, 0))
    level = float(_scale(q)) / whole
    h = gauss(xp, x, q, level)
    total = 0.0 * x
    for row in _polynomial(q, n):
        inner = 0.0 * x
        for c in row:
            inner = inner * x + c
        total = total * h + inner
    return gauss(xp, x, q, total * level)


def _ratio_left(xp: Any, x: Any, q: int, n: int) -> Any:
    """The n-th derivative of m at x <= 2."""
    value = _middle(xp, x, q, n, hazard=False)
    return pairs.redo(
        xp, x < _LEFT[q], value, lambda xp, x: _far_left(xp, x, q, n, hazard=False), x
    )


def ratio(xp: Any, x: Any, q: int, n: int) -> Any:
    """The n-th derivative of m at x."""
    x = xp.asarray(x, dtype=float)
    value = _ratio_left(xp, x, q, n)
    return pairs.redo(xp, x > 2.0, value, lambda xp, x: _ratio_right(xp, x, q, n), x)


def hazard(xp: Any, x: Any, q: int, n: int) -> Any:
    """The n-th derivative of h = scale / m at x."""
    x = xp.asarray(x, dtype=float)
    value = _middle(xp, x, q, n, hazard=True)
    value = pairs.redo(
        xp, x < _LEFT[q], value, lambda xp, x: _far_left(xp, x, q, n, hazard=True), x
    )
    return pairs.redo(xp, x > _RIGHT, value, lambda xp, x: _hazard_right(xp, x, q, n), x)
