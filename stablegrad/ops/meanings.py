"""What the ops of derivative families mean, over anything with the arithmetic of real numbers.

The truth of an op such as the n-th derivative of sinc, written with base functions only: it cancels
freely, for it is evaluated in ball arithmetic, at whatever precision is needed. Kernels never
use it. Arguments are duck-typed: they have + - * / ** and methods named like ops.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

_INFINITY = math.inf


def pi_like(x: Any) -> Any:
    """The number pi in the arithmetic of x."""
    return number_like(x, 1).arctan() * 4


def number_like(x: Any, value: int) -> Any:
    """A whole number in the arithmetic of x: balls are made by their class, expansions not."""
    made = getattr(type(x), "exact", None)
    return x.constant(value) if made is None else made(value)


def _infinite(x: Any) -> bool:
    return x == _INFINITY or x == -_INFINITY


def sinc_derivative(x: Any, n: int) -> Any:
    """The n-th derivative of sin(pi x) / (pi x)."""
    pi = pi_like(x)
    if x == 0:
        # about 0 exactly: the power series, as far as any truncated series can see
        first = (n + 1) // 2
        total = x * 0
        for k in range(first, first + 12):
            c = Fraction((-1) ** k, (2 * k + 1) * math.factorial(2 * k - n))
            total = total + pi ** (2 * k) * c * x ** (2 * k - n)
        return total
    angle = pi * x
    s, c = angle.sin(), angle.cos()
    waves = (s, c, -s, -c)
    value = s / angle
    for k in range(1, n + 1):
        value = (pi ** (k - 1) * waves[k % 4] - value * k) / x
    return value


def inverse_power(x: Any, y: Any, n: int, *, sine: bool) -> Any:
    """Re or -Im of (x + i y)**-n: a polynomial over (x*x + y*y)**n."""
    square = x * x + y * y
    if _infinite(x) or _infinite(y):
        return 1 / square
    total = x * 0
    for k in range(int(sine), n + 1, 2):
        c = math.comb(n, k) * (-1) ** (k // 2)
        powers = [x] * (n - k) + [y] * k
        product = powers[0] * c
        for factor in powers[1:]:
            product = product * factor
        total = total + product
    return total / square**n


def erfcx_derivative(x: Any, n: int) -> Any:
    """The n-th derivative of exp(x*x) erfc(x)."""
    if x == _INFINITY:
        return 1 / x
    if x == -_INFINITY:
        return (x * x).exp() * (-1) ** n
    below, value = None, x.erfcx()
    for k in range(n):
        step = x * value * 2
        step = step - 2 / pi_like(x).sqrt() if below is None else step + below * (2 * k)
        below, value = value, step
    return value


def _log_derivative(x: Any, slope: Any, q: int, n: int) -> Any:
    """The derivative n - 1 of h, where h' = -h (q x + h), from x and h."""
    # h and its derivatives by Leibniz: h[k+1] = -(q x h[k] + k q h[k-1] + sum C(k,j) h[j] h[k-j])
    h = [slope]
    for k in range(n - 1):
        step = x * h[k] * q
        if k:
            step = step + h[k - 1] * (q * k)
        for j in range(k + 1):
            step = step + h[j] * h[k - j] * math.comb(k, j)
        h.append(-step)
    return h[n - 1]


def log_erfc_derivative(x: Any, n: int) -> Any:
    """The n-th derivative of log(erfc(x))."""
    if _infinite(x):
        limit = {1: -x * 2, 2: 1 / x - 2} if x == _INFINITY else {}
        return limit.get(n, 1 / x)
    slope = 2 / pi_like(x).sqrt() / x.erfcx()
    return _log_derivative(-x, slope, 2, n) * (-1) ** n


def log_ndtr_derivative(x: Any, n: int) -> Any:
    """The n-th derivative of log(ndtr(x))."""
    if _infinite(x):
        limit = {1: -x, 2: 1 / x - 1} if x == -_INFINITY else {}
        return limit.get(n, 1 / x)
    if hasattr(x, "ndtr"):  # expansions: they must see that the exponent is rational
        slope = (x * x / -2).exp() / (pi_like(x) * 2).sqrt() / x.ndtr()
        return _log_derivative(x, slope, 1, n)
    root = number_like(x, 2).sqrt()
    slope = root / pi_like(x).sqrt() / (-x / root).erfcx()
    return _log_derivative(x, slope, 1, n)


def erfinv_slope(x: Any) -> Any:
    """sqrt(pi)/2 exp(erfinv(x)**2)."""
    y = x.erfinv()
    return (y * y).exp() * pi_like(x).sqrt() / 2


def ndtri(p: Any) -> Any:
    """The quantile of the normal distribution."""
    return -(p * 2).erfcinv() * number_like(p, 2).sqrt()


def ndtri_slope(p: Any) -> Any:
    """sqrt(2 pi) exp(ndtri(p)**2 / 2)."""
    y = ndtri(p)
    return (y * y / 2).exp() * (pi_like(p) * 2).sqrt()
