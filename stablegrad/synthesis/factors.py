"""What a kernel multiplies its polynomials with: powers, logarithms and exponents."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.synthesis.table import Kind

LOG_2 = 0.6931471805599453
HUGE = 1e6
"""Exponents beyond which exp is 0 or inf whatever is multiplied."""


def number(form: Any, value: float) -> Any:
    """A number of the format's dtype: one of Python may be a float64 to XLA."""
    return np.dtype(form.name).type(value)


def either(xp: Any, form: Any, here: Any, a: float, b: float) -> Any:
    """One of two numbers, of the format's dtype."""
    return xp.where(here, number(form, a), number(form, b))


def _raised(xp: Any, form: Any, z: Any) -> Any:
    """z * 2**shift, for subnormals that a platform takes for zero, too."""
    if isinstance(z, np.ndarray):
        return z * 2.0**form.shift
    bits = z.view(form.integer)
    # the bits as the fraction of 1 and more: compilers do not vectorize integers to floats
    fraction = (bits | (form.bias << form.fraction)).view(form.name) - 1
    counted = fraction * 2.0 ** (form.shift + form.smallest + form.fraction)
    return xp.where(bits < (1 << form.fraction), counted, z * 2.0**form.shift)


def log_of(xp: Any, form: Any, z: Any) -> Any:
    """log(z)."""
    if isinstance(z, np.ndarray):
        return xp.log(z)
    tiny = z.view(form.integer) < (1 << form.fraction)
    found = xp.log(xp.where(tiny, _raised(xp, form, z), z))
    return xp.where(tiny, found - form.shift * LOG_2, found)


def times_power(xp: Any, form: Any, value: Any, z: Any, p: Fraction) -> Any:
    """value * z**p, in steps that leave the range only where the result does."""
    if not p:
        return value
    whole, part = divmod(abs(p.numerator), p.denominator)
    # z near the ends of the range is brought to the middle, and brought back exactly
    small, great = z < 2.0**-form.shift, z > 2.0**form.shift
    far = small | great
    if isinstance(z, np.ndarray) and not far.any():
        return _times(xp, form, value, z, p)
    y = xp.where(small, _raised(xp, form, z), xp.where(great, z * 2.0**-form.shift, z))
    down = small if p > 0 else ~small
    steps = [(y, form.shift)] * whole
    if part:
        root = xp.sqrt(y) if p.denominator == 2 else cube_root(xp, form, y)
        steps += [(root, form.shift // p.denominator)] * part
    for step, by in steps:
        value = value * step if p > 0 else value / step
        back = either(xp, form, down, 2.0**-by, 2.0**by)
        value = value * xp.where(far, back, number(form, 1))
        if not isinstance(z, np.ndarray):
            # XLA would divide by the product of two steps, which may leave the range
            value = xp.where(z.view(form.integer) >= 0, value, number(form, 0))
    return value


def _times(xp: Any, form: Any, value: Any, z: Any, p: Fraction) -> Any:
    """``times_power`` where z is far from the ends of the range."""
    whole, part = divmod(abs(p.numerator), p.denominator)
    steps = [z] * whole
    if part:
        steps += [xp.sqrt(z) if p.denominator == 2 else cube_root(xp, form, z)] * part
    for step in steps:
        value = value * step if p > 0 else value / step
    return value


def cube_root(xp: Any, form: Any, z: Any) -> Any:
    """The cube root, which platforms give within a few ulp, within half an ulp and a little."""
    root = xp.cbrt(z)
    square, low = exact_product(root, root, form.split)
    cube, rest = exact_product(square, root, form.split)
    better = root - ((cube - z) + (rest + low * root)) / (3 * square)
    return xp.where((z > form.small) & (z < 1 / form.small), better, root)


def exponent(xp: Any, form: Any, k: Kind, z: Any, rest: Any) -> tuple[Any, Any]:
    """The exponent of the factor in two floats."""
    hi = lo = None
    for e, c, c_low in k.rate:
        high, low = _power_in_two(xp, form, z, e)
        first, second = exact_product(high, c, form.split)
        second = second + low * c + high * c_low
        if rest is not None:
            second = second + first * (rest * float(e))
        if hi is None:
            hi, lo = first, second
        else:
            total = hi + first
            back = total - hi
            lo = lo + second + ((hi - (total - back)) + (first - back))
            hi = total
    # products of great z overflow: there the factor is 0 or inf whatever the rest
    return hi, xp.where(xp.abs(hi) < HUGE, lo, number(form, 0))


def _power_in_two(xp: Any, form: Any, z: Any, e: Fraction) -> tuple[Any, Any]:
    """z**e, e whole or a half, in two floats."""
    base, low = z, z * 0.0
    if e.denominator == 2:
        base = xp.sqrt(z)
        square, error = exact_product(base, base, form.split)
        low = xp.where(base > 0, ((z - square) - error) / (2 * base), number(form, 0))
    high, rest = base, low
    for _ in range(abs(e.numerator) - 1):
        more, error = exact_product(high, base, form.split)
        rest = error + (high * low + rest * base)
        high = more
    if e > 0:
        return high, rest
    inverse = 1 / high
    product, error = exact_product(inverse, high, form.split)
    return inverse, (((1 - product) - error) - inverse * rest) * inverse


def exact_product(a: Any, b: Any, split: float) -> tuple[Any, Any]:
    """a*b as a rounded product and its error (Dekker); for moderate a and b."""
    product = a * b
    p, q = a * split, b * split
    a1, b1 = p - (p - a), q - (q - b)
    a2, b2 = a - a1, b - b1
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
