"""Kernels of (1 + u)**y and x**y less 1, and of their derivatives by both arguments.

base**y is exp(y * log(base)) with the base, its excess over 1 and the product of y and the
logarithm as pairs hi + lo, so that neither 1 + u nor the product is rounded. A derivative is

    d^n/dx^n d^m/dy^m base**y = q * base**(y - n)

with q a polynomial in y and log(base) by Leibniz's rule. With y = y' * 2**s, |y'| < 2, all of
its terms are of everyday size: y' - j/2**s, and log(base) * 2**s. What is left is a power of
two, which is multiplied on at the very end: nothing on the way leaves the range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.dtypes import narrow
from stablegrad.ops.pairs import Pair, two_sum

_LN2 = float(pair_exp.LN2)
_LN2_HIGH = float(Fraction(int(pair_exp.LN2 * 2**36), 2**36))  # multiples to 2**17 are exact
_LN2_LOW = float(pair_exp.LN2 - Fraction(_LN2_HIGH))
_FAR = 2e4
"""A power whose exponent y * log(base) is beyond is 0 or infinite whatever multiplies it."""
_TINY = 2.0**-500

# -- arguments ----------------------------------------------------------------------------


def from_excess(xp: Any, u: Any, y: Any) -> tuple[Pair, Pair, Any]:
    """The base 1 + u, its excess u and the exponent."""
    u, y = xp.broadcast_arrays(xp.asarray(u, dtype=float), xp.asarray(y, dtype=float))
    one = xp.where(u == u, 1.0, u)  # 0*u is none at infinity
    return two_sum(one, u), (u, 0.0 * u), y


def from_base(xp: Any, x: Any, y: Any) -> tuple[Pair, Pair, Any]:
    """The base x, its excess x - 1 and the exponent."""
    x, y = xp.broadcast_arrays(xp.asarray(x, dtype=float), xp.asarray(y, dtype=float))
    return (x, 0.0 * x), two_sum(x, -1.0 + 0.0 * x), y


def redo_all(
    xp: Any, where: Any, values: tuple[Any, ...], better: Callable[..., Any], *args: Any
) -> tuple[Any, ...]:
    """As ``pairs.redo``, for a kernel with several results."""
    if xp.name != "numpy":
        fresh = better(xp, *args)
        return tuple([xp.where(where, b, a) for a, b in zip(values, fresh, strict=True)])
    if not where.any():
        return values
    if where.all():
        return tuple(better(xp, *args))
    at = xp.nonzero(where)
    out = []
    for value, fresh in zip(values, better(xp, *[a[at] for a in args]), strict=True):
        copy = xp.array(value)
        copy[at] = fresh
        out.append(copy)
    return tuple(out)


# -- logarithms and exponents -------------------------------------------------------------


def log_pair(xp: Any, base: Pair, excess: Pair) -> Pair:
    """log(base) of a positive pair to 2**-97 relative, base - 1 = ``excess`` known for itself."""
    hi, lo = excess
    near = xp.abs(hi) <= 0.5
    start = xp.log1p(xp.where(near, hi, 0.0))
    e = pair_exp.expm1(xp, (start, 0.0 * start))
    rest = pairs.add((hi, lo), pairs.negative(e))
    close = pairs.fast_two_sum(start, (rest[0] + rest[1]) / (1.0 + e[0]))
    wide = pair_exp.log(xp, xp.where(near, 1.0, base[0]))
    far = pairs.fast_two_sum(wide[0], wide[1] + base[1] / base[0])
    # u - u*u/2, where the square would underflow
    least = xp.abs(hi) < 1e-100
    return tuple(
        [
            xp.where(least, a, xp.where(near, b, c))
            for a, b, c in zip(excess, close, far, strict=True)
        ]
    )  # type: ignore[return-value]


def upright(xp: Any, base: Pair, excess: Pair) -> tuple[Pair, Pair]:
    """|base| and its excess over 1."""
    below = base[0] < 0
    size = xp.where(below, -base[0], base[0]), xp.where(below, -base[1], base[1])
    mirrored = two_sum(size[0], -1.0 + 0.0 * size[0])
    rest = xp.where(below, mirrored[1] + size[1], excess[1])
    return size, two_sum(xp.where(below, mirrored[0], excess[0]), rest)


def scaled(xp: Any, y: Any) -> tuple[Any, Any]:
    """(y', s) with y = y' * 2**s, s >= 0: |y'| < 2."""
    s = xp.maximum(xp.frexp(y)[1] - 1, 0)
    return xp.ldexp(y, -s), s


def _careful(xp: Any, *args: Any) -> tuple[Any, Any, Any]:
    base_hi, base_lo, excess_hi, excess_lo, y = args
    log = log_pair(xp, (base_hi, base_lo), (excess_hi, excess_lo))
    part, s = scaled(xp, y)
    zero = 0.0 * y
    hi, lo = pairs.multiply((part, zero), (xp.ldexp(log[0], s), xp.ldexp(log[1], s)))
    return hi, lo, log[0]


def exponent(
    xp: Any, base: Pair, excess: Pair, y: Any, *, always: bool = False
) -> tuple[Any, Any, Any]:
    """y * log|base| as hi and lo, lo being 0 where it does not matter, and the logarithm.

    A product below 1/2 needs no second float unless ``always`` is given: for a logarithm that is
    correctly rounded.
    """
    size, above = upright(xp, base, excess)
    near = xp.abs(above[0]) < 0.5
    log = xp.where(
        near, xp.log1p(xp.where(near, above[0], 0.0)), xp.log(size[0]) + size[1] / size[0]
    )
    log = xp.where(xp.isfinite(size[0]) & (size[0] != 0), log, xp.log(size[0]))
    plain = y * log
    careful = (xp.abs(plain) < _FAR) & xp.isfinite(size[0])
    if not always:
        careful &= xp.abs(plain) > 0.5
    return redo_all(xp, careful, (plain, xp.zeros_like(plain), log), _careful, *size, *above, y)  # type: ignore[return-value]


def scaled_exp(xp: Any, hi: Any, lo: Any) -> tuple[Any, Any]:
    """(e, k) with exp(hi + lo) = e * 2**k, e near 1, also where the exponential has no float."""
    hi = xp.clip(hi, -_FAR, _FAR)
    k = xp.rint(hi / _LN2)
    rest = (hi - k * _LN2_HIGH) - k * _LN2_LOW
    return xp.exp(rest + xp.where(xp.isfinite(lo), lo, 0.0)), k.astype(xp.int32)


def sign_of_power(xp: Any, base: Any, y: Any) -> Any:
    """The sign of base**y; nan for a negative base and a fractional exponent."""
    return xp.where(base < 0, xp.power(-1.0, xp.where(base < 0, y, 1.0)), 1.0)


# -- powers -------------------------------------------------------------------------------


def grown(
    xp: Any, base: Pair, excess: Pair, y: Any, power: Pair | None = None, *, less_one: bool
) -> Any:
    """base**y, or base**y - 1; ``power`` is y * log|base| if it is known."""
    plain = xp.power(base[0], y) - (1.0 if less_one else 0.0)
    hi, lo = exponent(xp, base, excess, y)[:2] if power is None else power
    sign = sign_of_power(xp, base[0], y)
    value = xp.exp(hi)
    inside = xp.isfinite(value)
    if less_one:
        gain = xp.expm1(hi) + xp.where(inside, value * lo, 0.0)
        result = xp.where(sign == 1, gain, sign * (value + value * lo) - 1.0)
    else:
        result = sign * (value + xp.where(inside, value * lo, 0.0))
    usable = (base[0] > 0) & xp.isfinite(base[0]) & (excess[0] != 0)
    usable = usable | (base[0] < 0) & xp.isfinite(hi) & ~xp.isnan(sign)
    return xp.where(usable, result, plain)


def pair_jet(xp: Any, y: Any, n: int, m: int) -> list[list[Pair]]:
    """The Taylor coefficients, to order m, of y'*(y' - e)*...*(y' - (j - 1)*e), j = 0 to n.

    Here y = y' * 2**s and e = 2**-s.
    """
    _, s = scaled(xp, y)
    zero = 0.0 * y
    jet: list[Pair] = [(1.0 + zero, zero), *([(zero, zero)] * m)]
    out = [jet]
    for j in range(n):
        factor = two_sum(y, -float(j) + zero)
        factor = xp.ldexp(factor[0], -s), xp.ldexp(factor[1], -s)
        raised = [pairs.multiply(a, factor) for a in jet]
        jet = [pairs.add(a, jet[i - 1]) if i else a for i, a in enumerate(raised)]
        out.append(jet)
    return out


def leibniz(jet: list[Any], log: Any, m: int) -> list[tuple[int, Any, int]]:
    """(weight, coefficient of the jet, power of the logarithm) of what adds up to q."""
    return [(math.perm(m, i), jet[i], m - i) for i in range(m + 1)]


def pair_factor(xp: Any, jet: list[Pair], log: Pair, m: int) -> Pair:
    """The m-th derivative by y' of jet * exp(y' * log), less the exponential."""
    total = None
    for weight, a, power in leibniz(jet, log, m):
        term = pairs.multiply(a, pairs.power(log, power)) if power else a
        term = pairs.multiply(term, (float(weight) + 0.0 * a[0], 0.0 * a[0]))
        total = term if total is None else pairs.add(total, term)
    assert total is not None
    return total


def _factor(xp: Any, base: Pair, excess: Pair, log: Any, y: Any, n: int, m: int) -> Any:
    """The polynomial q over 2**(s*(n - m)), in pairs where its terms cancel."""
    _, s = scaled(xp, y)
    log = xp.clip(xp.ldexp(log, s), -1e5, 1e5)
    jet: list[Any] = [1.0 + 0.0 * y, *([0.0 * y] * m)]
    sizes = jet
    for j in range(n):
        factor = xp.ldexp(y - j, -s)
        if not m and not j:  # a result of everyday size may come of the least of exponents
            factor = xp.where(xp.abs(y) < _TINY, factor / _TINY, factor)
        jet = [a * factor + (jet[i - 1] if i else 0.0) for i, a in enumerate(jet)]
        size = xp.abs(factor)
        sizes = [a * size + (sizes[i - 1] if i else 0.0) for i, a in enumerate(sizes)]
    if not m:
        return jet[0]
    total: Any = 0.0
    reach: Any = 0.0
    for (weight, a, power), b in zip(leibniz(jet, log, m), sizes, strict=True):
        total = total + weight * a * log**power
        reach = reach + weight * b * xp.abs(log) ** power
    # where nothing cancels, the roundings of many factors add up all the same
    cancels = (xp.abs(total) < 0.7 * reach) if n + m < 3 else (y == y)
    cancels &= (base[0] > 0) & xp.isfinite(base[0]) & xp.isfinite(y)
    better = partial(_factor_in_pairs, n=n, m=m)
    return pairs.redo(xp, cancels, total, better, *base, *excess, y)


def _factor_in_pairs(xp: Any, *args: Any, n: int, m: int) -> Any:
    base_hi, base_lo, excess_hi, excess_lo, y = args
    _, s = scaled(xp, y)
    log = log_pair(xp, (base_hi, base_lo), (excess_hi, excess_lo))
    log = (
        xp.clip(xp.ldexp(log[0], s), -1e5, 1e5),
        xp.where(xp.abs(log[0]) < xp.ldexp(1e5, -s), xp.ldexp(log[1], s), 0.0),
    )
    hi, lo = pair_factor(xp, pair_jet(xp, y, n, m)[n], log, m)
    return hi + lo


def derivative(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    """The derivative of base**y, n times by base and m times by y, n + m > 0."""
    hi, lo, log = exponent(xp, base, excess, y, always=m > 1)
    q = _factor(xp, base, excess, log, y, n, m)
    size, power = xp.frexp(xp.abs(base[0]))
    _, s = scaled(xp, y)
    divisor = pairs.power((size, 0.0 * size), n) if n else (1.0, 0.0)
    grows, k = scaled_exp(xp, hi, lo - n * (base[1] / base[0]) - divisor[1] / divisor[0])
    value = q * grows / divisor[0]
    k = k + s * (n - m) - n * power
    if n and not m:
        k = k - xp.where(xp.abs(y) < _TINY, 500, 0)
    value = xp.ldexp(value, k)
    sign = sign_of_power(xp, base[0], y) * xp.where(base[0] < 0, (-1.0) ** n, 1.0)
    value = xp.where((base[0] < 0) & (m > 0), xp.nan, value * sign)
    regular = xp.isfinite(y) & xp.isfinite(base[0]) & (base[0] != 0)
    if xp.name == "numpy" and regular.all():
        return value
    return xp.where(regular, value, _at_edge(xp, base[0], log, y, n, m))


def falling(y: Any, n: int) -> Any:
    """y*(y - 1)*...*(y - n + 1), for floats and for balls."""
    out = 1 + 0 * y
    for k in range(n):
        out = (y - k) * out
    return out


def sign_at_zero(xp: Any, base: Any, y: Any, n: int) -> Any:
    """The sign of base**(y - n) for a base 0 or -0."""
    odd = xp.abs(xp.fmod(y, 2.0)) == (n + 1) % 2
    return xp.where(xp.signbit(base) & odd, -1.0, 1.0)


def _at_edge(xp: Any, base: Any, log: Any, y: Any, n: int, m: int) -> Any:
    """The derivative at base 0, at infinities and at nan: its limit where it has one."""
    q = falling(y, n)
    pole = xp.inf * sign_at_zero(xp, base, y, n)
    if not m:
        # what has an infinite derivative at 0 has none beside it
        nowhere = (y > 0) & (y < n - 1)
        at_zero = xp.where(nowhere, xp.nan, xp.where(y == n, q, q * pole))
        at_zero = xp.where((y > n) | (q == 0), 0.0, at_zero)
        at_infinity = xp.where(y < n, 0.0, xp.where(y == n, q, xp.inf))
    else:
        # a power beats a logarithm, if it has orders enough
        at_zero = xp.where(y > (n + 1 if n else 0), 0.0, xp.nan if n else (-1.0) ** m * pole)
        at_infinity = xp.where(y < n, 0.0, xp.inf)
    whole = xp.where(log == 0, 1.0, xp.exp(y * log))
    beyond = xp.where((base < 0) & (m > 0), xp.nan, xp.power(y, n) * log**m * whole)
    beyond = xp.where(whole == 0, 0.0, beyond)
    out = xp.where(base == 0, at_zero, xp.where(base == xp.inf, at_infinity, xp.nan))
    out = xp.where(xp.isinf(y), beyond, out)
    return xp.where(xp.isnan(base) | xp.isnan(y), xp.nan, out)


def _growth(
    xp: Any, x: Any, y: Any, split: Callable[..., Any], *, plus: bool, less_one: bool
) -> Any:
    """(1 + x)**y, or x**y, of numbers that ``split`` takes apart, or that less 1."""
    if not narrow(xp, x, y):
        return grown(xp, *split(xp, x, y), less_one=less_one)
    # of float32s, exp feels the rounding of its float64 argument at most a hundred times
    x, y = xp.broadcast_arrays(x.astype(xp.float64), y.astype(xp.float64))
    exponent = y * (xp.log1p(x) if plus else xp.log(x)) + 0.0  # no zero is negative
    value = xp.expm1(exponent) if less_one else xp.exp(exponent)
    lowest, same = (-1.0, 0.0) if plus else (0.0, 1.0)
    special = ~((x > lowest) & (x < xp.inf) & (x != same))

    def whole(xp: Any, x: Any, y: Any) -> Any:
        return grown(xp, *split(xp, x, y), less_one=less_one)

    return pairs.redo(xp, special, value, whole, x, y)


def pow1p(xp: Any, u: Any, y: Any) -> Any:
    """(1 + u)**y."""
    return _growth(xp, u, y, from_excess, plus=True, less_one=False)


def pow1pm1(xp: Any, u: Any, y: Any) -> Any:
    """(1 + u)**y - 1."""
    return _growth(xp, u, y, from_excess, plus=True, less_one=True)


def powm1(xp: Any, x: Any, y: Any) -> Any:
    """x**y - 1."""
    return _growth(xp, x, y, from_base, plus=False, less_one=True)


def pow1p_derivative(xp: Any, u: Any, y: Any, *, n: int, m: int) -> Any:
    """The derivative of (1 + u)**y, n times by the base and m times by y."""
    base, excess, y = from_excess(xp, u, y)
    return derivative(xp, base, excess, y, n, m)


def powm1_derivative(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    """The derivative of x**y, n times by the base and m times by y."""
    base, excess, y = from_base(xp, x, y)
    return derivative(xp, base, excess, y, n, m)
