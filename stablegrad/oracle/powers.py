"""Functions of two balls whose cases need room: x**y and the angle of a point."""

from __future__ import annotations

from typing import Any

from flint import arb

from stablegrad.oracle import series
from stablegrad.oracle.series import INF, NAN, ONE, ZERO, Arb, Series

Ball = Any  # the class that mixes this in, or is built by it, is further up

_NEGATIVE_ZERO = 1


def _whole(y: Arb) -> int | None:
    """The whole number that an exact ball is, or None."""
    if not y.is_finite() or not y.is_exact() or not y.is_integer():
        return None
    return int(y.unique_fmpz())


def _huge(n: int) -> bool:
    return abs(n) > 1 << 16


def power(x: Ball, y: Ball) -> Ball:
    """x**y as IEEE's pow: negative x only with whole y, 0**0 = 1, and jets in both."""
    if not x.known or not y.known:
        return x.unknown()
    x0, y0 = x.c[0], y.c[0]
    if y0.is_zero() and len(y.c) == 1:
        return x.new((ONE,))
    if y0 == ONE and len(y.c) == 1:
        return x
    if x0 == ONE and len(x.c) == 1 and len(y.c) == 1:
        return x.new((ONE,))
    if x0.is_nan() or y0.is_nan():
        return x.new((NAN,) * max(len(x.c), len(y.c)))
    if not x0.is_finite() or not y0.is_finite():
        return _power_at_infinity(x, y)
    if x0.is_zero():
        return _power_of_zero(x, y)
    if x0 > ZERO:
        return _positive_power(x, y)
    if not x0 < ZERO:
        return _around_zero(x, y)
    n = _whole(y0)
    if n is None:
        undecided = not y0.is_exact() and y0.contains_integer()
        return x.unknown() if undecided else _undefined(x, y)
    even = n % 2 == 0
    if len(y.c) > 1:
        # by y there is no derivative, the power being real at whole y only
        value = _positive_power(-x.constant(), y.constant()).c[0]
        return x.new((value if even else -value, *([NAN] * (len(y.c) - 1))))
    out = _positive_power(-x, y)
    return out if even else -out


def _undefined(x: Ball, y: Ball) -> Ball:
    return x.new((NAN,) * max(len(x.c), len(y.c)))


def _positive_power(x: Ball, y: Ball) -> Ball:
    if len(y.c) > 1:
        return (y * x.log()).exp()
    y0 = y.c[0]
    n = _whole(y0)
    if n is not None and 0 < n <= 4:  # exact, so that ties in rounding are seen
        return x.settle(series.whole_power(x.c, n), y)
    first = x.c[0].__pow__(y0)
    if not first.is_finite():
        first = (y0 * x.c[0].log()).exp()
    if not first.is_finite():
        return x.unknown()
    if len(x.c) == 1:
        return x.new((first,))
    return x.settle(series.power(first, x.c, y0), y)


def _around_zero(x: Ball, y: Ball) -> Ball:
    """x**y where the sign of x cannot be told: only whole positive powers are."""
    n = _whole(y.c[0])
    if n is None or n <= 0 or len(y.c) > 1 or _huge(n):
        return x.unknown()
    return x.settle(series.whole_power(x.c, n), y)


def _power_of_zero(x: Ball, y: Ball) -> Ball:
    """0**y: 0, 1 or an infinity; the derivative is the limit of the exponent given."""
    length = max(len(x.c), len(y.c))
    y0 = y.c[0]
    n = _whole(y0)
    if n is None and x.negative_zero and not y0.is_exact() and y0.contains_integer():
        return x.unknown()  # whether a huge exponent is odd takes all of its bits
    odd = n is not None and n % 2 == 1
    negative = x.negative_zero and odd
    if len(y.c) > 1:
        # by y at x = 0 the derivative is 0 for y > 0; the series does not know by x
        if len(x.c) > 1 or not y0 > ZERO:
            value = ONE if y0.is_zero() else ZERO if y0 > ZERO else NAN
            return x.new((value, *([NAN] * (length - 1))))
        return x.new((ZERO,))
    if y0.is_zero():
        return x.new((ONE,))
    if n is not None and n > 0 and not _huge(n):
        flags = _NEGATIVE_ZERO if negative else 0
        if n >= length and all(c.is_finite() for c in x.c):
            return x.new(
                (ZERO,) * length
                if n > length or length == 1
                else ((ZERO,) * (length - 1) + (series.whole_power(x.c, n)[-1],)),
                flags,
            )
        return x.settle(series.whole_power(x.c, n), y, flags=flags)
    if y0 > ZERO:
        return x.new((ZERO, *_fractional_at_zero(x.c, y0)))
    if y0 < ZERO:
        return x.new((-INF if negative else INF, *([NAN] * (length - 1))))
    return x.unknown()


def _fractional_at_zero(c: Series, y: Arb) -> Series:
    """The coefficients of x**y from 1 on where x = 0, for fractional or huge y > 0."""
    out: list[Arb] = []
    simple = len(c) > 1 and not c[1].is_zero()
    coefficient = ONE
    for k in range(1, len(c)):
        coefficient = coefficient * (y - (k - 1)) / k
        if y > k:
            out.append(ZERO)
        elif simple and y < k:  # the lowest power of x leads, whatever else moves
            out.append(INF if coefficient > ZERO else -INF)
        else:
            out.append(NAN)
    return tuple(out)


def _power_at_infinity(x: Ball, y: Ball) -> Ball:
    """pow where an argument is infinite, as C and NumPy have it."""
    x0, y0 = x.c[0], y.c[0]
    tail = (NAN,) * (max(len(x.c), len(y.c)) - 1)
    if not y0.is_finite():
        size = abs(x0)
        if size == ONE:
            return x.new((ONE, *tail))
        if not (size > ONE or size < ONE):
            return x.unknown()
        grows = (size > ONE) == (y0 > ZERO)
        return x.new((INF if grows else ZERO, *tail))
    if not (y0 > ZERO or y0 < ZERO):
        return x.new((ONE, *tail)) if y0.is_zero() else x.unknown()
    n = _whole(y0)
    negative = x0 < ZERO and n is not None and n % 2 == 1
    if y0 > ZERO:
        return x.new((-INF if negative else INF, *tail))
    # towards 0: the derivatives are 0 too
    calm = len(y.c) == 1 and all(c.is_finite() for c in x.c[1:])
    zeros = (ZERO,) * len(tail) if calm else tail
    return x.new((ZERO, *zeros), _NEGATIVE_ZERO if negative else 0)


def arctan2(y: Ball, x: Ball) -> Ball:
    """The angle of (x, y), with IEEE's values at zeros and infinities."""
    if not y.known or not x.known:
        return y.unknown()
    y0, x0 = y.c[0], x.c[0]
    moves = len(y.c) > 1 or len(x.c) > 1
    if y0.is_nan() or x0.is_nan():
        return _undefined(y, x)
    flags = 0
    if y0.is_finite() and x0.is_finite():
        if y0.is_zero():
            right = x.sign_of_zero()
            if not right:
                return y.unknown()
            first = ZERO if right > 0 else arb.pi()
            if y.negative_zero:
                first, flags = (-first, 0) if right < 0 else (first, _NEGATIVE_ZERO)
        elif not x0 > ZERO and not (y0 > ZERO or y0 < ZERO):
            return y.unknown()
        else:
            first = arb.atan2(y0, x0)
    else:
        first, flags = _angle_at_infinity(y, x)
    if not moves:
        return y.new((first,), flags)
    if y0.is_zero() and x0.is_zero():
        return y.new((first, *([NAN] * (max(len(y.c), len(x.c)) - 1))))
    length = max(len(y.c), len(x.c))
    u, v = (_grown(b, length) for b in (y, x))
    below_u, below_v = y.new(u[:-1]), y.new(v[:-1])
    radius = below_u * below_u + below_v * below_v
    du, dv = (y.new(tuple([k * c for k, c in enumerate(s)][1:])) for s in (u, v))
    slope = (below_v * du - below_u * dv) / radius
    if not slope.known:
        return slope
    rest = _grown(slope, length - 1)
    return y.settle((first, *[c / (k + 1) for k, c in enumerate(rest)]), x, flags=flags)


def _grown(b: Ball, length: int) -> Series:
    return (*b.c, *([ZERO] * (length - len(b.c))))


def _angle_at_infinity(y: Ball, x: Ball) -> tuple[Arb, int]:
    y0, x0 = y.c[0], x.c[0]
    pi = arb.pi()
    up = y.sign_of_zero() or 1
    if y0.is_finite():
        first = ZERO if x0 > ZERO else pi
    elif x0.is_finite():
        first = pi / 2
    else:
        first = pi / 4 if x0 > ZERO else 3 * pi / 4
    negative = first.is_zero() and up < 0
    return (first if up > 0 else -first), _NEGATIVE_ZERO if negative else 0
