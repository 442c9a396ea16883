"""Truncated power series as tuples of arb coefficients: the recurrences behind ``Ball``.

A tuple of length 1 is a constant; all others that meet have one length. Nothing here knows
of infinities, domains or signs of zero: that is ``ball.py``'s part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import arb

Arb = Any
Series = tuple[Arb, ...]

ZERO: Arb = arb(0)
ONE: Arb = arb(1)
NAN: Arb = arb.nan()
INF: Arb = arb.pos_inf()


def add(a: Series, b: Series) -> Series:
    """a + b."""
    if len(a) == len(b):
        return tuple([x + y for x, y in zip(a, b, strict=True)])
    if len(a) == 1:
        a, b = b, a
    return (a[0] + b[0], *a[1:])


def subtract(a: Series, b: Series) -> Series:
    """a - b."""
    if len(a) == len(b):
        return tuple([x - y for x, y in zip(a, b, strict=True)])
    if len(b) == 1:
        return (a[0] - b[0], *a[1:])
    return (a[0] - b[0], *[-y for y in b[1:]])


def convolve(a: Series, b: Series, k: int) -> Arb:
    """Coefficient k of a product."""
    total = a[0] * b[k]
    for j in range(1, k + 1):
        total += a[j] * b[k - j]
    return total


def multiply(a: Series, b: Series) -> Series:
    """a * b."""
    if len(b) == 1:
        b0 = b[0]
        return tuple([x * b0 for x in a])
    if len(a) == 1:
        a0 = a[0]
        return tuple([a0 * x for x in b])
    if len(a) == 2:
        return a[0] * b[0], a[0] * b[1] + a[1] * b[0]
    if len(a) == 3:  # second derivatives, which most of the work is for
        (a0, a1, a2), (b0, b1, b2) = a, b
        return a0 * b0, a0 * b1 + a1 * b0, a0 * b2 + a1 * b1 + a2 * b0
    return tuple([convolve(a, b, k) for k in range(len(a))])


def divide(a: Series, b: Series) -> Series:
    """a / b, where the constant term of b is not zero."""
    b0 = b[0]
    if len(b) == 1:
        return tuple([x / b0 for x in a])
    out = [a[0] / b0]
    for k in range(1, len(b)):
        total = -(b[1] * out[k - 1])
        for j in range(2, k + 1):
            total -= b[j] * out[k - j]
        if len(a) > 1:
            total += a[k]
        out.append(total / b0)
    return tuple(out)


def integrate(first: Arb, slope: Series, x: Series) -> Series:
    """The y with y(0) = first and y' = slope * x', all in the series variable.

    ``slope`` is one term shorter than ``x``. Where the slope is infinite, a coefficient of
    x' that is exactly zero says nothing is there to multiply, as long as x itself moves.
    """
    dx = [k * c for k, c in enumerate(x)][1:]
    moves = not dx[0].is_zero()
    out = [first]
    for k in range(len(dx)):
        total = ZERO
        for j in range(k + 1):
            if moves and dx[k - j].is_zero():
                continue
            total += slope[j] * dx[k - j]
        out.append(total / (k + 1))
    return tuple(out)


def exponential(first: Arb, x: Series) -> Series:
    """exp(x), from y' = x' y."""
    y = [first]
    for k in range(1, len(x)):
        total = x[1] * y[k - 1]
        for j in range(2, k + 1):
            total += j * x[j] * y[k - j]
        y.append(total / k)
    return tuple(y)


def power(first: Arb, x: Series, p: Arb) -> Series:
    """x**p for a constant p, from x y' = p x' y; the constant term of x is not zero."""
    y = [first]
    for k in range(1, len(x)):
        total = p * k * x[k] * first
        for j in range(1, k):
            total += (p * j - (k - j)) * x[j] * y[k - j]
        y.append(total / (k * x[0]))
    return tuple(y)


def coupled(first: Arb, second: Arb, x: Series, sign: int) -> tuple[Series, Series]:
    """(s, c) with s' = c x' and c' = sign * s x': sine and cosine, circular or hyperbolic."""
    s, c = [first], [second]
    for k in range(1, len(x)):
        a, b = x[1] * c[k - 1], x[1] * s[k - 1]
        for j in range(2, k + 1):
            a += j * x[j] * c[k - j]
            b += j * x[j] * s[k - j]
        s.append(a / k)
        c.append(sign * b / k)
    return tuple(s), tuple(c)


def compose(outer: Series, x: Series) -> Series:
    """f(x) from the Taylor coefficients of f at the constant term of x (Horner)."""
    step = (ZERO, *x[1:])
    out: Series = (outer[-1],)
    for c in outer[-2::-1]:
        out = add(multiply(step, out), (c,))
    return out if len(out) == len(x) else (*out, *([ZERO] * (len(x) - len(out))))


def whole_power(x: Series, n: int) -> Series:
    """x**n for a whole n > 0 by repeated squaring: right at 0, too."""
    out: Series | None = None
    while n:
        if n & 1:
            out = x if out is None else multiply(out, x)
        n >>= 1
        if n:
            x = multiply(x, x)
    assert out is not None
    return out


def leading(x: Series) -> int | None:
    """Index of the first coefficient that is not exactly zero; None if all are."""
    return next((k for k, c in enumerate(x) if not c.is_zero()), None)


Unary = Callable[[Arb], Arb]
