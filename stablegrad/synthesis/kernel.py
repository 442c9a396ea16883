"""Evaluating a table: bits to row, one Horner for all rows, then what few kinds need on top."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.synthesis.table import UNCOVERED, Kind, Side, Table

FRACTION_BITS = 52
MASK = (1 << FRACTION_BITS) - 1
BIAS = 1023
EXTREME = 600.0
SHIFT = 510  # whole in halves and thirds
SPLIT = 134217729.0  # 2**27 + 1: Dekker's


def lookup(xp: Any, x: Any, table: Table) -> tuple[Any, Any]:
    """The row of each input, and z, its distance to the anchor of that row."""
    z = xp.abs(x)
    bits = z.view(xp.int64)
    negative = x < 0
    row = _rows(xp, bits, table.sides[0], table.sides[1], negative)
    for zone in table.zones:
        d = (x - zone.hi) - zone.lo
        size = xp.abs(d)
        here = size <= zone.width
        rows = xp.where(d > 0, zone.above, zone.below)
        # where one side is not covered, the rows of the binade stay
        here = here & (rows != UNCOVERED)
        row = xp.where(here, rows, row)
        z = xp.where(here, size, z)
    return row, z


def _rows(xp: Any, bits: Any, positive: Side, negative: Side, minus: Any) -> Any:
    exponent = (bits >> FRACTION_BITS) - BIAS
    base = xp.asarray(np.array(positive.base + negative.base, np.int64))
    shift = xp.asarray(np.array(positive.shift + negative.shift, np.int64))
    low = xp.where(minus, negative.low, positive.low)
    high = xp.where(minus, negative.high, positive.high)
    first = xp.where(minus, len(positive.base), 0)
    entry = first + xp.clip(exponent, low - 1, high) - low + 1
    return base[entry] + ((bits & MASK) >> shift[entry])


def polynomial(xp: Any, coefficients: Any, row: Any, t: Any) -> Any:
    """hi + (lo + t*(c1 + t*(...))) of each element's row."""
    degree = len(coefficients) - 2
    if not degree:
        return coefficients[0][row] + coefficients[1][row]
    total = coefficients[-1][row]
    for k in range(degree, 0, -1):
        total = total * t + coefficients[k][row] if k > 1 else total * t
    return coefficients[0][row] + (coefficients[1][row] + total)


def evaluate(xp: Any, x: Any, table: Table) -> tuple[Any, Any]:
    """The function at each input, and whether the table covers it (else the value means nothing).

    Args:
        xp: an array namespace with NumPy's names.
        x: an array of float64.
        table: the table.
    """
    row, z = lookup(xp, x, table)
    kind = xp.asarray(table.kind)[row]
    finite = z <= np.finfo(np.float64).max
    covered = (kind != UNCOVERED) & finite & (z > 0)
    coefficients = [xp.asarray(c) for c in table.coefficients]
    center, scale = xp.asarray(table.center)[row], xp.asarray(table.scale)[row]
    y = z
    for q in sorted({k.q for k in table.kinds} - {1}):
        here = _among(xp, kind, [i for i, k in enumerate(table.kinds) if i and k.q == q])
        root = {1: lambda v: v, 2: xp.sqrt, 3: xp.cbrt}[abs(q)](z)
        y = xp.where(here, 1 / root if q < 0 else root, y)
    t = (y - center) * scale
    even = [i for i, k in enumerate(table.kinds) if i and k.even]
    if even:
        t = xp.where(_among(xp, kind, even), t * t, t)
    value = polynomial(xp, coefficients, row, t)
    for i, k in enumerate(table.kinds):
        if i and not k.plain:
            here = kind == i
            second = xp.where(here, row + 1, 0)
            log = polynomial(xp, coefficients, second, t) if k.log else None
            value = xp.where(here, dressed(xp, k, value, log, z), value)
    for point, known in table.points:
        here = x == point
        value = xp.where(here, known, value)
        covered = covered | here
    return value, covered


def _among(xp: Any, kind: Any, indices: list[int]) -> Any:
    here = kind == indices[0]
    for i in indices[1:]:
        here = here | (kind == i)
    return here


def dressed(xp: Any, k: Kind, value: Any, log: Any, z: Any) -> Any:
    """A polynomial with its powers of z, its logarithm and its exponential factor."""
    factor = far = None
    if k.rate:
        hi, lo = _exponent(xp, k, z)
        # where exp leaves the range and the result need not, by its square root twice
        far = xp.abs(hi) > EXTREME
        factor = xp.exp(xp.where(far, 0.5 * hi, hi))
        scale = 1 + lo
        value = (value * scale) * factor
        log = None if log is None else (log * scale) * factor
    value = _times_power(xp, value, z, k.power)
    if log is not None:
        part = _times_power(xp, log * xp.log(z), z, k.log_power)
        value = value + part if k.main else part
    return value if factor is None else xp.where(far, value * factor, value)


def _times_power(xp: Any, value: Any, z: Any, p: Fraction) -> Any:
    """value * z**p, in steps that leave the range only where the result does."""
    if not p:
        return value
    whole, part = divmod(abs(p.numerator), p.denominator)
    # z near the ends of the range is brought to the middle, and brought back exactly
    far = (z < 2.0**-400) | (z > 2.0**400)
    small = z < 1
    y = xp.where(far, z * xp.where(small, 2.0**SHIFT, 2.0**-SHIFT), z)
    steps = [y] * whole
    if part:
        steps += [(xp.sqrt if p.denominator == 2 else xp.cbrt)(y)] * part
    for step in steps:
        value = value * step if p > 0 else value / step
    back = SHIFT * p
    down = small if p > 0 else ~small
    left = int(abs(back))
    while left > 0:
        k = min(left, SHIFT)
        value = xp.where(far, value * xp.where(down, 2.0**-k, 2.0**k), value)
        left -= k
    return value


def _exponent(xp: Any, k: Kind, z: Any) -> tuple[Any, Any]:
    """The exponent of the factor in two floats."""
    hi = lo = None
    for e, c, rest in k.rate:
        if e == 2:
            high, low = _product(z, z)
        elif e == 1:
            high, low = z, 0.0
        else:
            high = xp.sqrt(z)
            square, error = _product(high, high)
            low = xp.where(high > 0, ((z - square) - error) / (2 * high), 0.0)
        first, second = _product(high, c)
        second = second + low * c + high * rest
        if hi is None:
            hi, lo = first, second
        else:
            total = hi + first
            back = total - hi
            lo = lo + second + ((hi - (total - back)) + (first - back))
            hi = total
    # products of great z overflow: there the factor is 0 or inf whatever the rest
    return hi, xp.where(xp.abs(hi) < 1e6, lo, 0.0)


def _product(a: Any, b: Any) -> tuple[Any, Any]:
    """a*b as a rounded product and its error (Dekker); for moderate a and b."""
    product = a * b
    p, q = a * SPLIT, b * SPLIT
    a1, b1 = p - (p - a), q - (q - b)
    a2, b2 = a - a1, b - b1
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
