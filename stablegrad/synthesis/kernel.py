"""Evaluating a table: bits to row, one Horner for all rows, then what few kinds need on top."""

from __future__ import annotations

from collections.abc import Callable
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


def lookup(xp: Any, x: Any, table: Table, low: Any = None) -> tuple[Any, Any, Any]:
    """The row of each input, z, its distance to the anchor of that row, and where that is a zone's.

    ``low`` is what x is off by; the z of zones has it.
    """
    z = xp.abs(x)
    bits = z.view(xp.int64)
    negative = x < 0
    near = None
    row = _rows(xp, bits, table.sides[0], table.sides[1], negative)
    for zone in table.zones:
        d = (x - zone.hi) - zone.lo
        d = d if low is None else d + low
        size = xp.abs(d)
        here = size <= zone.width
        rows = xp.where(d > 0, zone.above, zone.below)
        # where one side is not covered, the rows of the binade stay
        here = here & (rows != UNCOVERED)
        row = xp.where(here, rows, row)
        z = xp.where(here, size, z)
        near = here if near is None else near | here
    return row, z, near


def _rows(xp: Any, bits: Any, positive: Side, negative: Side, minus: Any) -> Any:
    exponent = (bits >> FRACTION_BITS) - BIAS
    base = xp.asarray(np.array(positive.base + negative.base, np.int64))
    shift = xp.asarray(np.array(positive.shift + negative.shift, np.int64))
    low = xp.where(minus, negative.low, positive.low)
    high = xp.where(minus, negative.high, positive.high)
    first = xp.where(minus, len(positive.base), 0)
    entry = first + xp.clip(exponent, low - 1, high) - low + 1
    return xp.take(base, entry) + ((bits & MASK) >> xp.take(shift, entry))


def polynomial(xp: Any, coefficients: Any, row: Any, t: Any) -> Any:
    """hi + (lo + t*(c1 + t*(...))) of each element's row."""
    degree = len(coefficients) - 2
    low = xp.take(coefficients[1], row)
    if degree:
        total = xp.take(coefficients[-1], row)
        for k in range(degree, 1, -1):
            total = total * t + xp.take(coefficients[k], row)
        low = low + total * t
    return xp.take(coefficients[0], row) + low


def evaluate(xp: Any, x: Any, table: Table, low: Any = None) -> tuple[Any, Any]:
    """The function at each input, and whether the table covers it (else the value means nothing).

    Args:
        xp: an array namespace with NumPy's names.
        x: an array of float64.
        table: the table.
        low: what x is off by, at most half an ulp: the input is x + low.
    """
    row, z, near = lookup(xp, x, table, low)
    # low over z, which is all that an expression in z has to know of it
    rest = None
    if low is not None:
        toward = xp.where(x < 0, -low, low)
        toward = toward if near is None else xp.where(near, 0.0, toward)
        rest = xp.where(z > 0, toward / xp.where(z > 0, z, 1.0), 0.0)
    kind = xp.take(xp.asarray(table.kind), row)
    finite = z <= np.finfo(np.float64).max
    covered = (kind != UNCOVERED) & finite & (z > 0)
    coefficients = [xp.asarray(c) for c in table.coefficients]
    center, scale = (xp.take(xp.asarray(a), row) for a in (table.center, table.scale))
    y = z
    for q in sorted({k.q for k in table.kinds} - {1}):
        among = [i for i, k in enumerate(table.kinds) if i and k.q == q]
        y = _where_kind(xp, kind, among, y, lambda at, q=q: _variable(xp, q, at(z)))
    t = (y - center) * scale
    if rest is not None:
        q = xp.take(xp.asarray(np.array([k.q for k in table.kinds], np.float64)), kind)
        t = t + y * (rest / q) * scale
    even = [i for i, k in enumerate(table.kinds) if i and k.even]
    if even:
        t = _where_kind(xp, kind, even, t, lambda at: at(t) * at(t))
    value = plain = polynomial(xp, coefficients, row, t)
    for i, k in enumerate(table.kinds):
        if not i or k.plain:
            continue

        def finished(at: Callable[[Any], Any], k: Kind = k) -> Any:
            log = polynomial(xp, coefficients, at(row) + 1, at(t)) if k.log else None
            slope = at(t) * 0 if not k.steep else xp.take(xp.asarray(table.slope), at(row))
            off = None if rest is None else at(rest)
            return dressed(xp, k, at(plain), log, at(z), at(t), slope, off)

        value = _where_kind(xp, kind, [i], value, finished)
    covered = covered & (value == value)  # two terms that overflow may have no sum
    pattern = x.view(xp.int64)
    for point, known in table.points:  # 0 and -0 are two points
        here = pattern == np.float64(point).view(np.int64)
        if low is not None:
            here = here & (low == 0)
        value = xp.where(here, known, value)
        covered = covered | here
    return value, covered


def _where_kind(
    xp: Any,
    kind: Any,
    among: list[int],
    otherwise: Any,
    result: Callable[[Callable[[Any], Any]], Any],
) -> Any:
    """``result`` for elements of some kinds: in NumPy it is computed for these alone."""
    here = kind == among[0]
    for i in among[1:]:
        here = here | (kind == i)
    if not isinstance(otherwise, np.ndarray) or not otherwise.ndim:
        # the row after the last is never looked at, but must be there
        return xp.where(here, result(lambda a: xp.where(here, a, a.dtype.type(0))), otherwise)
    places = np.flatnonzero(here)
    if not places.size:
        return otherwise
    out = otherwise.copy()
    flat = out.reshape(-1)
    flat[places] = result(lambda a: a.reshape(-1)[places])
    return flat.reshape(out.shape)


def _variable(xp: Any, q: int, z: Any) -> Any:
    """z**(1/q)."""
    root = z if abs(q) == 1 else xp.sqrt(z) if abs(q) == 2 else _cbrt(xp, z)
    return 1 / root if q < 0 else root


def dressed(xp: Any, k: Kind, value: Any, log: Any, z: Any, t: Any, slope: Any, rest: Any) -> Any:
    """A polynomial with its powers of z * (1 + rest), its logarithm and its exponential factor."""
    if k.steep:
        hi, lo = _product(slope, t)
        value = value * (1 + lo) * xp.exp(hi)
    if k.lift:
        value = value * 2.0**-k.lift
    if k.steep or k.lift:
        return value
    factor = far = None
    if k.rate:
        hi, lo = _exponent(xp, k, z, rest)
        # where exp leaves the range and the result need not, by its square root twice
        far = xp.abs(hi) > EXTREME
        factor = xp.exp(xp.where(far, 0.5 * hi, hi))
        scale = 1 + lo
        value = (value * scale) * factor
        log = None if log is None else (log * scale) * factor
    if rest is not None and k.power:
        value = value + value * (rest * float(k.power))
    value = _times_power(xp, value, z, k.power)
    if log is not None:
        log = log * (xp.log(z) if rest is None else xp.log(z) + rest)
        if rest is not None and k.log_power:
            log = log + log * (rest * float(k.log_power))
        part = _times_power(xp, log, z, k.log_power)
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
        steps += [xp.sqrt(y) if p.denominator == 2 else _cbrt(xp, y)] * part
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


def _cbrt(xp: Any, z: Any) -> Any:
    """The cube root, which platforms give within a few ulp, within half an ulp and a little."""
    root = xp.cbrt(z)
    square, low = _product(root, root)
    cube, rest = _product(square, root)
    better = root - ((cube - z) + (rest + low * root)) / (3 * square)
    return xp.where((z > 2.0**-900) & (z < 2.0**900), better, root)


def _exponent(xp: Any, k: Kind, z: Any, rest: Any) -> tuple[Any, Any]:
    """The exponent of the factor in two floats."""
    hi = lo = None
    for e, c, c_low in k.rate:
        high, low = _power_in_two(xp, z, e)
        first, second = _product(high, c)
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
    return hi, xp.where(xp.abs(hi) < 1e6, lo, 0.0)


def _power_in_two(xp: Any, z: Any, e: Fraction) -> tuple[Any, Any]:
    """z**e, e whole or a half, in two floats."""
    base, low = z, z * 0.0
    if e.denominator == 2:
        base = xp.sqrt(z)
        square, error = _product(base, base)
        low = xp.where(base > 0, ((z - square) - error) / (2 * base), 0.0)
    high, rest = base, low
    for _ in range(abs(e.numerator) - 1):
        more, error = _product(high, base)
        rest = error + (high * low + rest * base)
        high = more
    if e > 0:
        return high, rest
    inverse = 1 / high
    product, error = _product(inverse, high)
    return inverse, (((1 - product) - error) - inverse * rest) * inverse


def _product(a: Any, b: Any) -> tuple[Any, Any]:
    """a*b as a rounded product and its error (Dekker); for moderate a and b."""
    product = a * b
    p, q = a * SPLIT, b * SPLIT
    a1, b1 = p - (p - a), q - (q - b)
    a2, b2 = a - a1, b - b1
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
