"""Arithmetic on unevaluated sums hi + lo of two floats, for the few places where kernels cancel.

Kernels compute in plain floats first and redo, in pairs, only the elements where a sum
cancelled. Everything is written over an array namespace ``xp``. Dekker 1971, Shewchuk 1997.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

Pair = tuple[Any, Any]

_SPLIT = 134217729.0  # 2**27 + 1
_SPLIT_32 = np.float32(4097.0)  # 2**12 + 1


def arrays(xp: Any, *xs: Any) -> list[Any]:
    """The arguments as float64 arrays of one shape."""
    return list(xp.broadcast_arrays(*[xp.asarray(x, dtype=float) for x in xs]))


def two_sum(a: Any, b: Any) -> Pair:
    """The rounded sum of two floats and its exact error."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def fast_two_sum(a: Any, b: Any) -> Pair:
    """As two_sum, where |a| >= |b| or a is 0."""
    s = a + b
    return s, b - (s - a)


def two_prod(a: Any, b: Any) -> Pair:
    """The rounded product of two floats and its error, exact while nothing leaves 1e-290..1e290."""
    p = a * b
    split = _SPLIT_32 if getattr(p, "dtype", None) == np.float32 else _SPLIT
    t = split * a
    a_hi = t - (t - a)
    a_lo = a - a_hi
    t = split * b
    b_hi = t - (t - b)
    b_lo = b - b_hi
    return p, ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


def add(a: Pair, b: Pair) -> Pair:
    """Sum of two pairs."""
    s, e = two_sum(a[0], b[0])
    t, f = two_sum(a[1], b[1])
    s, e = fast_two_sum(s, e + t)
    return fast_two_sum(s, e + f)


def negative(a: Pair) -> Pair:
    """The negated pair."""
    return -a[0], -a[1]


def multiply(a: Pair, b: Pair) -> Pair:
    """Product of two pairs."""
    p, e = two_prod(a[0], b[0])
    return fast_two_sum(p, e + (a[0] * b[1] + a[1] * b[0]))


def divide(a: Pair, b: Pair) -> Pair:
    """Quotient of two pairs."""
    q = a[0] / b[0]
    r = add(a, negative(multiply((q, 0.0 * q), b)))
    return fast_two_sum(q, (r[0] + r[1]) / b[0])


def sqrt(xp: Any, a: Pair) -> Pair:
    """Square root of a pair."""
    root = xp.sqrt(a[0])
    p, e = two_prod(root, root)
    return fast_two_sum(root, (((a[0] - p) - e) + a[1]) / (2 * root))


def power(a: Pair, n: int) -> Pair:
    """A pair to a whole power n >= 1."""
    out = a
    for bit in bin(n)[3:]:
        out = multiply(out, out)
        if bit == "1":
            out = multiply(out, a)
    return out


def horner(x: Pair, coefficients: Sequence[Pair]) -> Pair:
    """The polynomial with these pairs as coefficients, the highest power first."""
    out = coefficients[0]
    for c in coefficients[1:]:
        out = add(multiply(out, x), c)
    return out


def unseen(xp: Any, x: Any) -> Any:
    """A constant that a compiler does not see: XLA takes (x + c) - c for x."""
    return x if xp is np or xp.name == "numpy" else xp.lax.optimization_barrier(xp.asarray(x))


def series(xp: Any, x: Pair, head: Sequence[Pair], tail: Sequence[float]) -> Pair:
    """A power series at a small x, its head in pairs and its tail in floats.

    Args:
        xp: the array namespace.
        x: small enough for every term of the head to outweigh the next, and for the tail to be
            below the last place of the head's first coefficient.
        head: the coefficients from the constant up.
        tail: those that follow.
    """
    x_hi, x_lo = x
    t = _SPLIT * x_hi  # as in two_prod, but x is split once for all steps
    x_top = t - (t - x_hi)
    x_rest = x_hi - x_top
    hi: Any = tail[-1]
    for c in tail[-2::-1]:
        hi = hi * x_hi + c
    lo: Any = 0.0
    for c, c_lo in head[::-1]:
        c_hi = unseen(xp, c)
        p = x_hi * hi
        t = _SPLIT * hi
        top = t - (t - hi)
        rest = hi - top
        error = ((x_top * top - p) + x_top * rest + x_rest * top) + x_rest * rest
        lo = error + (x_hi * lo + x_lo * hi) + c_lo
        hi = c_hi + p
        lo = (p - (hi - c_hi)) + lo
    return fast_two_sum(hi, lo)


def split(value: Any) -> tuple[float, float]:
    """An exact number (int, Fraction, Decimal) as hi + lo."""
    exact = Fraction(value)
    hi = float(exact)
    return hi, float(exact - Fraction(hi))


@cache
def pi(digits: int = 60) -> Decimal:
    """The number pi (Gauss and Legendre's iteration)."""
    with localcontext() as context:
        context.prec = digits + 10
        a, b, t, p = Decimal(1), 1 / Decimal(2).sqrt(), Decimal("0.25"), 1
        while abs(a - b) > Decimal(10) ** -(digits // 2 + 5):
            a, b, t, p = (a + b) / 2, (a * b).sqrt(), t - p * ((a - b) / 2) ** 2, 2 * p
        return (a + b) ** 2 / (4 * t)


PI = split(pi())


def redo(xp: Any, where: Any, value: Any, better: Callable[..., Any], *args: Any) -> Any:
    """``value``, but ``better(xp, *args)`` where the mask holds.

    NumPy evaluates ``better`` on those elements alone, a tracing namespace everywhere.
    """
    if xp.name != "numpy":
        return xp.where(where, better(xp, *args), value)
    if xp.ndim(where) == 0:
        return better(xp, *args) if where else value
    if np.count_nonzero(where):  # a fraction of the time of any()
        at = xp.nonzero(where)
        value = value.copy() if not value.flags.owndata else value
        value[at] = better(xp, *[a[at] if xp.ndim(a) else a for a in args])
    return value
