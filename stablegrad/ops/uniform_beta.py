"""The incomplete beta function where both parameters are large: Temme's expansion in pairs.

With p = a/(a + b), q = 1 - p, N = a q, x = p (1 + q v), xi**2 N/2 = -a log(x/p) - b log((1-x)/q),
where xi has the sign of v, it is I_x(a, b) = erfc(-xi sqrt(N/2))/2 - exp(-N xi**2/2)/sqrt(2 pi N)
sum c_k(xi) N**-k. Everything but N depends on q - p alone, and as p vanishes it becomes the gamma
function's expansion (DLMF 8.12.7). The exponent is a pair.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.taylor_tables import polynomial
from stablegrad.ops.uniform_gamma import phi_series, stirling

LEAST = 50.0
"""N from which the sums are good to 2**-56."""

_ORDERS, _TERMS = 9, 22
_CLOSE = 2.0**-6
_CHUNK = 1 << 14


def _cost(xp: Any, mu: pairs.Pair, ratio: pairs.Pair) -> pairs.Pair:
    """Evaluate mu - log(1 + mu) as a pair, the ratio being 1 + mu."""
    close = xp.abs(mu[0]) < _CLOSE
    near = (xp.where(close, mu[0], 0.0), xp.where(close, mu[1], 0.0))
    value = pairs.multiply(pairs.multiply(near, near), pairs.series(xp, near, *phi_series()))

    def far(xp: Any, *xs: Any) -> Any:
        log = pair_exp.log_of_pair(xp, (xs[2], xs[3]))
        return xp.stack(pairs.add((xs[0], xs[1]), pairs.negative(log)), axis=-1)

    both = pairs.redo(xp, ~close, xp.stack(value, axis=-1), far, *mu, *ratio)
    return both[..., 0], both[..., 1]


class Place:
    """What the density and the tails share, for a and b of at least 10 and 0 < x < 1."""

    def __init__(self, xp: Any, a: Any, b: Any, x: Any) -> None:
        _, exponent = xp.frexp(xp.maximum(a, b))
        down = xp.maximum(exponent - 400, 0)  # so that products of pairs do not overflow
        a, b = xp.ldexp(a, -down), xp.ldexp(b, -down)
        zero = 0.0 * x
        whole = pairs.two_sum(a, b)
        part = pairs.multiply(whole, (x, zero))
        rest = pairs.multiply(whole, pairs.two_sum(1.0, -x))
        gap = pairs.add(part, (-a, zero))  # b x - a (1 - x)
        self.gap = xp.ldexp(gap[0] + gap[1], down)
        left, right = pairs.divide(gap, (a, zero)), pairs.divide(gap, (-b, zero))
        over = [pairs.divide(part, (a, zero)), pairs.divide(rest, (b, zero))]
        costs = [_cost(xp, left, over[0]), _cost(xp, right, over[1])]
        n = a * (b / whole[0])
        total = pairs.add(pairs.multiply(costs[0], (a, zero)), pairs.multiply(costs[1], (b, zero)))
        self.xi = xp.copysign(xp.sqrt(2.0 * total[0] / n), gap[0])
        self.v = gap[0] / n
        self.shape = (b - a) / whole[0]
        self.n = xp.ldexp(n, down)
        top = xp.minimum(xp.ldexp(total[0], down), 1e5)
        low = xp.where(top < 1e5, xp.ldexp(total[1], down), 0.0)
        self.power = top
        self.exponential = xp.exp(-top) * (1.0 - low)


def front(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """x**a (1 - x)**b / beta(a, b), for a, b >= 10."""
    at = Place(xp, a, b, x)
    rest = stirling(xp, a + b) - stirling(xp, a) - stirling(xp, b)
    return at.exponential * (xp.sqrt(at.n / (2.0 * math.pi)) * xp.exp(rest))


def _rows(shape: Any) -> list[list[Any]]:
    """Powers of xi in c_0, c_1, ..., at each element: they are polynomials in q - p.

    From v v' = xi (1 + qv)(1 - pv) follow those of v and v**2; then as for the gamma function.
    """
    count = _TERMS + 2 * _ORDERS
    squeeze = 0.25 * (1.0 - shape * shape)  # p q
    one = 1.0 + 0.0 * shape
    v: list[Any] = [0.0 * shape, one]
    square: list[Any] = [0.0 * shape, 0.0 * shape, one]
    for n in range(2, count):
        square.append((2.0 / (n + 1)) * (shape * v[n - 1] - squeeze * square[n - 1]))
        known = sum(
            (v[k] * v[n + 1 - k] * (1.0 if 2 * k == n + 1 else 2.0))
            for k in range(2, (n + 1) // 2 + 1)
        )
        v.append(0.5 * (square[n + 1] - known))
    inverse = [one]
    for n in range(1, count - 1):
        inverse.append(-sum(v[k + 1] * inverse[n - k] for k in range(1, n + 1)))
    rows = [inverse[1:]]
    for _ in range(_ORDERS - 1):
        last = rows[-1]
        rows.append([(n + 2) * last[n + 2] - last[1] * rows[0][n] for n in range(len(last) - 2)])
    return [row[:_TERMS] for row in rows]


def _sum(xi: Any, n: Any, shape: Any) -> Any:
    """The sum over k of c_k(xi) N**-k."""
    total, r = 0.0 * xi, 1.0 / n
    for row in _rows(shape)[::-1]:
        total = polynomial(xi, tuple(row[::-1])) + r * total
    return total


def covers(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """Where the expansion may be asked."""
    n = a * (b / (a + b))
    return (n >= LEAST) & (xp.abs(x - a / (a + b)) < 0.5 * n / (a + b)) & xp.isfinite(a + b)


def betainc(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """I_x(a, b)."""
    at = Place(xp, a, b, x)
    total = np.empty(np.shape(at.xi))
    flat = [np.ravel(v) for v in (at.xi, at.n, at.shape)]
    for start in range(0, flat[0].size, _CHUNK):
        part = slice(start, start + _CHUNK)
        total.ravel()[part] = _sum(*[v[part] for v in flat])
    sign = xp.where(at.xi < 0, -1.0, 1.0)
    tail = 0.5 * xp.special.erfcx(xp.sqrt(at.power))
    tail = tail + sign * total / (math.sqrt(2.0 * math.pi) * xp.sqrt(at.n))
    tail = at.exponential * tail
    return xp.where(at.xi < 0, tail, 1.0 - tail)
