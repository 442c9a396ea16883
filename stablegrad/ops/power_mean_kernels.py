"""Kernels of weighted power means of two numbers and of their slopes, with exponents as pairs.

With t = p*log(x/y), of which the rounding error is kept: the term of the greater power is taken
out, so that of the other nothing is left but exp(-|t|), and where t is small what is left of the
whole is log1p(w*expm1(-|t|)), whose quotient by p no small p spoils.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.pairs import Pair

_LN2 = pairs.split(pair_exp.LN2)
_FARTHEST = 1e100  # exponents farther off leave the greatest alone
_TINY = 2.0**-70  # below it, the mean is the geometric one
_SMALL = 2.0**-20
_RARE = 2.0**-60  # a weight up to here is a factor
_WIDE = 500.0  # an exponential of a pair reaches as far
_LOG1P = [pairs.split(Fraction((-1) ** (n + 1), n)) for n in range(10, 0, -1)]
_LOG1P_SMALL = 2.0**-9


def _log_ratio(xp: Any, x: Any, y: Any) -> Pair:
    """log(x/y) of positive numbers."""
    (m, i), (n, j) = xp.frexp(x), xp.frexp(y)
    q = pairs.divide((m, 0.0 * m), (n, 0.0 * n))
    k = (i - j) * 1.0
    less, more = q[0] < 0.7071067811865476, q[0] > 1.4142135623730951
    scale = xp.where(less, 2.0, xp.where(more, 0.5, 1.0))
    k = k + xp.where(more, 1.0, 0.0) - xp.where(less, 1.0, 0.0)
    log = pair_exp.log_of_pair(xp, (q[0] * scale, q[1] * scale))
    zero = 0.0 * k
    return pairs.add(pairs.multiply((k, zero), (_LN2[0] + zero, _LN2[1] + zero)), log)


def _chosen(xp: Any, where: Any, a: Pair, b: Pair) -> Pair:
    return xp.where(where, a[0], b[0]), xp.where(where, a[1], b[1])


def _log1p(xp: Any, u: Pair) -> Pair:
    """log(1 + u) of pairs, relative to it."""
    small = xp.abs(u[0]) < _LOG1P_SMALL
    zero = 0.0 * u[0]
    s = _chosen(xp, small, u, (zero, zero))
    near = pairs.multiply(s, pairs.horner(s, [(hi + zero, lo + zero) for hi, lo in _LOG1P]))
    whole = pairs.add((1.0 + zero, zero), _chosen(xp, small, (zero, zero), u))
    return _chosen(xp, small, near, pair_exp.log_of_pair(xp, whole))


def _parts(xp: Any, x: Any, y: Any, p: Any) -> tuple[Pair, Pair, Any]:
    """log(x/y), p times that, and p without what is too far."""
    ratio = _log_ratio(xp, x, y)
    p = xp.clip(p, -_FARTHEST, _FARTHEST)
    return ratio, pairs.multiply(ratio, (p, 0.0 * p)), p


def _size(xp: Any, t: Pair) -> Pair:
    sign = xp.where(t[0] < 0, -1.0, 1.0)
    return t[0] * sign, t[1] * sign


def _fallen(xp: Any, size: Pair) -> tuple[Pair, Pair]:
    """expm1(-s) and exp(-s); beyond the reach of pairs a float and its digits."""
    wide = size[0] > _WIDE
    held = _chosen(xp, wide, (1.0 + 0.0 * size[0], 0.0 * size[0]), size)
    less, whole = pair_exp.expm1_and_exp(xp, pairs.negative(held))
    far = xp.exp(-size[0]) * (1.0 - xp.where(wide, xp.clip(size[1], -1.0, 1.0), 0.0))
    zero = 0.0 * far
    return _chosen(xp, wide, (zero - 1.0, zero), less), _chosen(xp, wide, (far, zero), whole)


def _weights(xp: Any, w: Any, t: Pair) -> tuple[Pair, Pair]:
    """Those of the greater power and of the other, which sum to 1."""
    own, other = (w, 0.0 * w), pairs.two_sum(1.0, -w)
    first = t[0] > 0
    return _chosen(xp, first, own, other), _chosen(xp, first, other, own)


def _log_whole(xp: Any, w: Any, t: Pair) -> Pair:
    """The logarithm of the sum over its greater power."""
    great, small = _weights(xp, w, t)
    less, fallen = _fallen(xp, _size(xp, t))
    gain = pairs.multiply(small, less)
    whole = pairs.add(great, pairs.multiply(small, fallen))
    near = gain[0] > -0.5
    held = _chosen(xp, near, (1.0 + 0.0 * w, 0.0 * w), whole)
    gain = _chosen(xp, near, gain, (0.0 * w, 0.0 * w))
    return _chosen(xp, near, _log1p(xp, gain), pair_exp.log_of_pair(xp, held))


def _inside(xp: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
    ends = (x > 0) & (y > 0) & (w > 0) & (w < 1)
    return ends & xp.isfinite(x) & xp.isfinite(y) & xp.isfinite(p)


def _held(xp: Any, inside: Any, xs: Any) -> list[Any]:
    return [xp.where(inside, a, other) for a, other in zip(xs, (1.0, 1.0, 0.5, 1.0), strict=True)]


def _mean(xp: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
    ratio, t, p = _parts(xp, x, y, p)
    tiny = xp.abs(t[0]) < _TINY
    divisor = xp.where(tiny, 1.0, p)
    log = pairs.divide(_log_whole(xp, w, t), (divisor, 0.0 * p))
    small = _weights(xp, w, t)[1]
    first = t[0] > 0
    away = _chosen(xp, first, pairs.negative(ratio), ratio)  # log(other/base)
    log = _chosen(xp, tiny, pairs.multiply(away, small), log)
    m, e = xp.frexp(xp.where(first, x, y))
    k = xp.rint(log[0] / _LN2[0])
    zero = 0.0 * k
    step = pairs.multiply((k, zero), (_LN2[0] + zero, _LN2[1] + zero))
    r = pairs.add(log, pairs.negative(step))
    return xp.ldexp(m * (xp.exp(r[0]) * (1.0 + r[1])), (e + k).astype(xp.int32))


def _share(xp: Any, v: Any, x: Any, w: Any, y: Any, p: Any) -> Any:
    _, t, p = _parts(xp, x, y, p)
    odds = pairs.add(t, _log_ratio(xp, v, w))
    far = xp.exp(-xp.abs(odds[0]))
    back = xp.where(xp.abs(odds[0]) < 800.0, odds[1], 0.0)
    far = far * (1.0 - xp.where(odds[0] < 0, -back, back))
    return xp.where(odds[0] < 0, far, 1.0) / (1.0 + far)


def _gap(xp: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
    _, t, p = _parts(xp, x, y, p)
    great, small = _weights(xp, w, t)
    less, fallen = _fallen(xp, _size(xp, t))
    rises = xp.where(t[0] < 0, less[0], 0.0 - less[0])
    return rises / (great[0] + small[0] * fallen[0])


def _divergence(xp: Any, w: Any, t: Pair) -> Any:
    """Of the shares from the weights, for |t| from ``_SMALL`` on."""
    zero = 0.0 * w
    great, small = _weights(xp, w, t)
    size = _size(xp, t)
    wide = size[0] > _WIDE
    held = _chosen(xp, wide, (1.0 + zero, zero), size)
    less, grown = pair_exp.expm1_and_exp(xp, held)
    gain = pairs.multiply(great, less)
    rare = great[0] * pairs.add(pairs.multiply(held, grown), pairs.negative(less))[0]
    is_rare = great[0] * grown[0] < _RARE
    turns = wide | ~(gain[0] < 1.0) | (great[0] >= small[0])  # the smaller weight is a factor
    gain = _chosen(xp, turns, (zero, zero), gain)
    whole = pairs.add((1.0 + zero, zero), gain)
    share = pairs.divide(pairs.multiply(great, _chosen(xp, turns, (zero, zero), grown)), whole)
    near = pairs.add(pairs.multiply(share, held), pairs.negative(_log1p(xp, gain)))
    near = xp.where(is_rare, rare, near[0])
    less, fallen = _fallen(xp, size)
    whole = pairs.add(great, pairs.multiply(small, fallen))
    share = pairs.divide(pairs.multiply(small, fallen), whole)
    size = _chosen(xp, size[0] > 2000.0, (2000.0 + zero, zero), size)
    far = -pairs.add(pairs.multiply(share, size), _log_whole(xp, w, t))[0]
    rare = -small[0] * pairs.add(pairs.multiply(size, fallen), less)[0]
    return xp.where(turns, xp.where(small[0] < _RARE, rare, far), near)


def _by_exponent(xp: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
    ratio, t, _ = _parts(xp, x, y, p)
    mean = _mean(xp, x, y, w, p)
    both = w * (1.0 - w)
    small = xp.abs(t[0]) < _SMALL
    s = xp.where(small, t[0], 0.0)
    bend = both * (0.5 + s * ((1.0 - 2.0 * w) / 3 + s * (1.0 - 6.0 * both) / 8))
    unit = xp.where(mean > 1, 2.0**-64, 2.0**64)
    near = mean * unit * pairs.multiply(ratio, ratio)[0] * bend / unit
    one, zero = 1.0 + 0.0 * p, 0.0 * p
    far = _divergence(xp, w, _chosen(xp, small, (one, zero), t))
    divisor = xp.where(small, 1.0, p)
    return xp.where(small, near, mean / divisor * far / divisor)


def _guarded(xp: Any, kernel: Any, *xs: Any) -> Any:
    xs = tuple(pairs.arrays(xp, *xs))
    inside = _inside(xp, *xs) & ((kernel is _gap) | (xs[3] != 0))
    return xp.where(inside, kernel(xp, *_held(xp, inside, xs)), xp.nan)


def mean(xp: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
    """(w*x**p + (1 - w)*y**p)**(1/p)."""
    return _guarded(xp, _mean, x, y, w, p)


def gap(xp: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
    """(x**p - y**p)/(w*x**p + (1 - w)*y**p)."""
    return _guarded(xp, _gap, x, y, w, p)


def by_exponent(xp: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
    """The slope of the mean by p: the divergence of shares from weights, times the mean, by p*p."""
    return _guarded(xp, _by_exponent, x, y, w, p)


def share(xp: Any, v: Any, x: Any, w: Any, y: Any, p: Any) -> Any:
    """v*x**p/(v*x**p + w*y**p)."""
    v, x, w, y, p = pairs.arrays(xp, v, x, w, y, p)
    inside = (v > 0) & (x > 0) & (w > 0) & (y > 0) & xp.isfinite(p)
    inside &= xp.isfinite(v) & xp.isfinite(x) & xp.isfinite(w) & xp.isfinite(y)
    held = [xp.where(inside, c, 1.0) for c in (v, x, w, y, p)]
    return xp.where(inside, _share(xp, *held), xp.nan)
