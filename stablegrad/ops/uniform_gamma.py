"""The incomplete gamma function next to a large parameter: Temme's expansion, with derivatives.

With mu = x/a - 1 and phi = mu - log(1 + mu) = eta**2/2, where eta has the sign of mu, it is
Q(a, x) = erfc(eta sqrt(a/2))/2 + exp(-a phi)/sqrt(2 pi a) sum c_k(eta) a**-k (DLMF 8.12.7). The
exponential is taken out of both parts, and its argument is a pair: nothing else is large.
Derivatives by a are the same exponential times other sums, which follow from the first exactly.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.gamma_kernels import bernoulli
from stablegrad.ops.taylor_tables import polynomial

LEAST = 32.0
"""Parameters from which the sums below are good to 2**-56."""

_ORDERS, _TERMS = 11, 26
_CLOSE = 2.0**-6

Row = list[Fraction]
Rows = tuple[tuple[float, ...], ...]


def covers(a: Any, x: Any) -> Any:
    """Where the functions below may be asked."""
    return (a >= LEAST) & (x >= 0.5 * a) & (0.5 * x <= a) & (a < math.inf)


# -- coefficients, all rational ------------------------------------------------------------------


def _times(f: Row, g: Row) -> Row:
    n = min(len(f), len(g))
    return [sum((f[i] * g[k - i] for i in range(k + 1)), Fraction(0)) for k in range(n)]


def _slope(f: Row) -> Row:
    return [n * c for n, c in enumerate(f)][1:]


@cache
def _exact() -> tuple[Row, list[Row], Row]:
    """Powers of eta in mu/eta, in c_0, c_1, ..., and the numbers c_k'(0), whose sign is Stirling's.

    From eta (1 + mu) = mu mu' follow the coefficients of mu; from 1/mu those of c_0; then
    eta c_k = c_(k-1)' - c_(k-1)'(0) eta/mu.
    """
    count = _TERMS + 2 * _ORDERS + 6
    mu = [Fraction(0), Fraction(1)]
    for n in range(2, count):
        known = sum((mu[k] * (n + 1 - k) * mu[n + 1 - k] for k in range(2, n)), Fraction(0))
        mu.append((mu[n - 1] - known) / (n + 1))
    ratio = mu[1:]
    inverse: Row = [Fraction(1)]
    for n in range(1, len(ratio)):
        inverse.append(-sum((ratio[k] * inverse[n - k] for k in range(1, n + 1)), Fraction(0)))
    rows, ends = [inverse[1:]], [Fraction(1)]
    for _ in range(_ORDERS + 1):
        last = rows[-1]
        ends.append(last[1])
        rows.append(
            [
                (n + 2) * last[n + 2] - last[1] * rows[0][n]
                for n in range(min(len(last) - 2, len(rows[0])))
            ]
        )
    return ratio, rows, ends


def _floats(rows: list[Row]) -> Rows:
    """As polynomials in eta, the highest power first."""
    return tuple([tuple([float(c) for c in row[:_TERMS][::-1]]) for row in rows])


@cache
def _values() -> Rows:
    """Those of c_0, c_1, ..."""
    return _floats(_exact()[1][:_ORDERS])


def _first_rows() -> list[Row]:
    """b_1, b_2, ... in dQ/da = exp(-a phi)/sqrt(2 pi a) (log(1 + mu)/mu + sum b_k a**-k)."""
    _, c, ends = _exact()
    out: list[Row] = []
    for k in range(1, _ORDERS + 1):
        row = [-(k - Fraction(1, 2)) * v for v in c[k - 1][: len(c[k])]]
        for n, v in enumerate(c[k][: len(row) - 2]):
            row[n + 2] -= v / 2
        row[0] -= ends[k]
        out.append(row)
    return out


@cache
def _firsts() -> Rows:
    return _floats(_first_rows())


@cache
def _seconds() -> Rows:
    """s_1, s_2, ... in the second derivative, whose first part is log(1 + mu)**2/mu."""
    ratio, c, _ = _exact()
    mu = [Fraction(0), *ratio]
    log = [v - (Fraction(1, 2) if n == 2 else 0) for n, v in enumerate(mu)]
    step = log[1:]  # log(1 + mu)/eta + eta/2, of which -1/a is the derivative of eta by a
    step[1] += Fraction(1, 2)
    inverse = [Fraction(1), *c[0]]  # eta/mu
    first = [_times(log[1:], inverse), *_first_rows()]
    out: list[Row] = []
    for k in range(1, _ORDERS + 1):
        before = first[k - 1]
        turned = _times(step, _slope(before))
        grown = _times(log, first[k])
        n = min(len(turned), len(grown))
        out.append([grown[i] - (k - Fraction(1, 2)) * before[i] - turned[i] for i in range(n)])
    return _floats(out)


@cache
def _stirling() -> tuple[float, ...]:
    return tuple([float(b / (2 * k * (2 * k - 1))) for k, b in enumerate(bernoulli(9)) if k][::-1])


def stirling(xp: Any, a: Any) -> Any:
    """What Stirling's formula leaves out of lgamma, for a >= 10."""
    r = 1.0 / xp.asarray(a)
    return r * polynomial(r * r, _stirling())


@cache
def phi_series() -> tuple[list[pairs.Pair], list[float]]:
    """Of phi/mu**2 in mu: 1/2 - mu/3 + mu**2/4 - ..."""
    exact = [Fraction((-1) ** k, k + 2) for k in range(14)]
    return [pairs.split(c) for c in exact[:5]], [float(c) for c in exact[5:]]


# -- evaluation --------------------------------------------------------------------------------


class _Place:
    """Everything that the functions share, at arrays that ``covers`` holds of."""

    def __init__(self, xp: Any, a: Any, x: Any) -> None:
        self.xp, self.a = xp, a
        mantissa, exponent = xp.frexp(a)
        gap = xp.ldexp(x - a, -exponent)  # exact, a and x being within a factor 2
        zero = 0.0 * gap
        mu = pairs.divide((gap, zero), (mantissa, zero))
        self.mu = mu[0]
        close = xp.abs(mu[0]) < _CLOSE
        near = (xp.where(close, mu[0], 0.0), xp.where(close, mu[1], 0.0))
        phi = pairs.multiply(pairs.multiply(near, near), pairs.series(xp, near, *phi_series()))

        def far(xp: Any, hi: Any, lo: Any) -> Any:
            one = pairs.two_sum(1.0, hi)
            log = pair_exp.log_of_pair(xp, pairs.fast_two_sum(one[0], one[1] + lo))
            out = pairs.add((hi, lo), pairs.negative(log))
            return xp.stack(out, axis=-1)

        both = pairs.redo(xp, ~close, xp.stack(phi, axis=-1), far, *mu)
        phi = both[..., 0], both[..., 1]
        self.phi = phi[0]
        scaled = pairs.multiply(phi, (mantissa, zero))
        exponent = xp.minimum(exponent, 1000)  # phi is at least 2**-110
        self.power = xp.ldexp(scaled[0], exponent), xp.ldexp(scaled[1], exponent)
        self.eta = xp.copysign(xp.sqrt(2.0 * phi[0]), self.mu)
        self.exponential = xp.exp(-self.power[0]) * (1.0 - xp.minimum(self.power[1], 1.0))

    def sum(self, rows: Rows) -> Any:
        """Sum rows[k](eta) a**-k over k."""
        total, r = 0.0, 1.0 / self.a
        for row in rows[::-1]:
            total = polynomial(self.eta, row) + r * total
        return total

    def log(self) -> Any:
        """The logarithm of x/a."""
        return self.xp.log1p(self.mu)

    def log_ratio(self) -> Any:
        """The logarithm of x/a, over mu."""
        here = self.mu == 0
        return self.xp.where(here, 1.0, self.log() / self.xp.where(here, 1.0, self.mu))

    def front(self) -> Any:
        """What stands before the sums, without the exponential."""
        return 1.0 / (math.sqrt(2.0 * math.pi) * self.xp.sqrt(self.a))


def density(xp: Any, a: Any, x: Any) -> Any:
    """x**(a - 1) exp(-x) / gamma(a)."""
    at = _Place(xp, a, x)
    front = xp.sqrt(a) / x / math.sqrt(2.0 * math.pi)
    return at.exponential * (front * xp.exp(-stirling(xp, a)))


def gammainc(xp: Any, a: Any, x: Any, *, upper: bool) -> Any:
    """P(a, x), or Q(a, x)."""
    at = _Place(xp, a, x)
    sign = xp.where(at.mu < 0, -1.0, 1.0)
    y = xp.sqrt(at.power[0])
    tail = 0.5 * xp.special.erfcx(y) + sign * at.front() * at.sum(_values())
    tail = at.exponential * tail
    return xp.where((at.mu < 0) == (not upper), tail, 1.0 - tail)


def gammainc_by_a(xp: Any, a: Any, x: Any, *, n: int) -> Any:
    """The n-th derivative of P(a, x) by a, n = 1 or 2."""
    at = _Place(xp, a, x)
    if n == 1:
        total = at.log_ratio() + at.sum(_firsts()) / a
    else:
        total = at.log() * at.log_ratio() + at.sum(_seconds()) / a
    return -at.exponential * (at.front() * total)
