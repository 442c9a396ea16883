"""Special functions of balls: error functions, the gamma family, sinc."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import flint
from flint import arb

from stablegrad.oracle import series
from stablegrad.oracle.series import INF, NAN, ONE, ZERO, Arb

Ball = Any  # the class that mixes this in, or is built by it, is further up

_NEGATIVE_ZERO = 1
TWO: Arb = arb(2)
_SERIES_OF_SUMS: Arb = ONE / 16


class Special:
    """Mixed into Ball."""

    __slots__ = ()

    # -- error functions ------------------------------------------------------------------

    def erf(self: Ball) -> Ball:
        first = self.at(arb.erf, -ONE, ONE)
        return self.chain(first, _gauss, flags=self.flags & _NEGATIVE_ZERO)

    def erfc(self: Ball) -> Ball:
        return self.chain(self.at(_erfc, arb(2), ZERO), lambda x: -_gauss(x))

    def erfcx(self: Ball) -> Ball:
        """exp(x*x) * erfc(x)."""
        c = self.c[0]
        if c == INF:
            return self.new((ZERO,))
        if not (c.is_finite() and c > 4):
            return (self * self).exp() * self.erfc()
        # far out the factors leave every range; U(1/2, 1/2, x*x)/sqrt(pi) does not
        root = arb.pi().sqrt()
        first = _far_erfcx(c)
        if not first.is_finite():
            return self.unknown()
        return self.chain(first, lambda x: 2 * x * x.erfcx() - self.new((2 / root,)))

    def erfinv(self: Ball) -> Ball:
        c = self.c[0]
        if c == 1 or c == -1:
            return self.new((c * INF, *([NAN] * (len(self.c) - 1))))
        inside = -ONE < c < ONE
        if not inside and not (c < -ONE or c > ONE):
            return self.undefined() if self.is_nan else self.unknown()
        first = self.at(arb.erfinv) if inside else NAN
        return self.chain(first, _inverse_gauss, flags=self.flags & _NEGATIVE_ZERO)

    def erfcinv(self: Ball) -> Ball:
        c = self.c[0]
        if c.is_zero() or c == TWO:
            sign = 1 if c.is_zero() else -1
            return self.new((sign * INF, *([NAN] * (len(self.c) - 1))))
        inside = ZERO < c < TWO
        if not inside and not (c < ZERO or c > TWO):
            return self.undefined() if self.is_nan else self.unknown()
        first = self.at(arb.erfcinv) if inside else NAN
        return self.chain(first, lambda x: -_gauss(x.erfcinv()).reciprocal())

    # -- the gamma family -------------------------------------------------------------

    def lgamma(self: Ball) -> Ball:
        """log |Gamma(x)|; inf at the poles."""
        c = self.c[0]
        if _at_pole(c):
            return self.new((INF, *([NAN] * (len(self.c) - 1))))
        return self.chain(self.at(_lgamma, INF, INF), lambda x: x.digamma())

    def gamma(self: Ball) -> Ball:
        c = self.c[0]
        if _at_pole(c):
            sign = -1 if self.negative_zero else 1
            first = sign * INF if c.is_zero() else NAN
            return self.new((first, *([NAN] * (len(self.c) - 1))))
        first = self.at(arb.gamma, NAN, INF)
        return self.chain(first, lambda x: x.gamma() * x.digamma())

    def digamma(self: Ball) -> Ball:
        """The derivative of lgamma; at 0 an infinity by the sign, at the other poles nan."""
        c = self.c[0]
        if _at_pole(c):
            sign = 1 if self.negative_zero else -1
            first = sign * INF if c.is_zero() else NAN
            return self.new((first, *([NAN] * (len(self.c) - 1))))
        if len(self.c) == 1 or not c.is_finite():
            return self.chain(self.at(arb.digamma, NAN, INF), lambda x: x.polygamma(1))
        return _psi(self, 0)

    def polygamma(self: Ball, n: Any) -> Ball:
        """The n-th derivative of digamma, n a whole number."""
        order = int(n) if not hasattr(n, "c") else int(n.c[0].unique_fmpz())
        if order == 0:
            return self.digamma()
        c = self.c[0]
        if _at_pole(c):
            side = -INF if c.is_zero() and not self.negative_zero else INF if c.is_zero() else NAN
            first = INF if order % 2 else side
            return self.new((first, *([NAN] * (len(self.c) - 1))))
        if not c.is_finite():
            return self.chain(self.at(arb.digamma, NAN, ZERO), lambda x: x.polygamma(order + 1))
        return _psi(self, order)

    def zeta(self: Ball, q: Any) -> Ball:
        """Hurwitz's zeta function of (self, q), for a constant self > 1 and q > 0."""
        s = self.c[0]
        first = q.at(lambda x: s.zeta(x) if x > ZERO else NAN, NAN, ZERO)
        if first is not None and q.c[0].is_zero():
            first = INF
        return q.chain(first, lambda x: -self * (self + 1).zeta(x))

    # -- Bessel functions ------------------------------------------------------------------

    def bessel_ie(self: Ball, order: int, n: int = 0) -> Ball:
        """The n-th derivative of I_order(x) exp(-|x|), the kink of exp(-|x|) at 0 flat."""
        c = self.c[0]
        if not self.known or c.is_nan():
            return self.undefined()
        if not c.is_finite():
            return self.new((ZERO,))
        sign = 1 if c > ZERO else -1 if c < ZERO else 0
        length = len(self.c)
        if not sign and not (c.is_zero() or length == 1):
            return self.unknown()
        size = abs(c)
        parts: dict[int, Arb] = {}
        outer = []
        for k in range(n, n + length):
            total = ZERO
            for m, weight in _bessel_weights(order, k, sign):
                if m not in parts:
                    value = size.bessel_i(arb(m), True)
                    parts[m] = -value if sign < 0 and m % 2 else value
                total += parts[m] * weight
            outer.append(total / (2**k * math.factorial(k - n)))
        if length == 1:
            return self.settle((outer[0],))
        return self.settle(series.compose(tuple(outer), self.c))

    # -- compound growth --------------------------------------------------------------------

    def geometric_series(self: Ball, y: Ball, n: int, m: int) -> Ball | None:
        """The derivative of ((1 + u)**y - 1)/u, n times by u = self and m times by y.

        By the binomial series, where |u| * (1 + |y|) < 1/16 and the formula cancels; elsewhere
        None.
        """
        size = abs(self.c[0]) * (1 + abs(y.c[0]))
        if not (self.known and y.known and size < _SERIES_OF_SUMS):
            return None
        u_order, y_order = len(self.c) - 1, len(y.c) - 1
        table = _binomial_series(self.c[0], y.c[0], (n, n + u_order), (m, m + y_order))
        length = max(u_order, y_order) + 1
        out = self.new((ZERO,) * length)
        step_u = self.new((ZERO, *self.c[1:])) if u_order else None
        step_y = self.new((ZERO, *y.c[1:])) if y_order else None
        power_u = self.new((ONE,))
        for i in range(u_order + 1):
            power = power_u
            for j in range(min(y_order, length - 1 - i) + 1):
                weight = math.factorial(i) * math.factorial(j)
                out = out + power * self.new((table[i][j] / weight,))
                power = power * step_y if step_y is not None else power
            power_u = power_u * step_u if step_u is not None else power_u
        return out

    # -- circular functions in units of pi ------------------------------------------------

    def sinc(self: Ball) -> Ball:
        """sin(pi x) / (pi x), 1 at 0."""
        c = self.c[0]
        if c.is_zero() and len(self.c) > 1:
            return self.settle(series.compose(_sinc_at_zero(len(self.c)), self.c))
        first = self.at(arb.sinc_pi)  # nan at infinity, as NumPy
        if len(self.c) == 1:
            return self.chain(first, None)
        if self.is_nan:
            return self.undefined()
        if c.contains(ZERO):
            return self.unknown()
        x = self * self.new((arb.pi(),))
        return x.sin() / x


def _binomial_series(u: Arb, y: Arb, by_u: tuple[int, int], by_y: tuple[int, int]) -> list[Any]:
    """Derivatives of ((1 + u)**y - 1)/u at a point, by u (rows) and by y of these orders.

    The term k is the coefficient of t**b in (y + t)*(y + t - 1)*...*(y + t - k), times b! and
    u**(k - a)/((k + 1) * (k - a)!). By Cauchy's bound on |t| = r, r = 1 + |y|, it is at most the
    product of |y| + r + i over r**b; for b = 0 that of |y| and |y| + i. Where the terms fall by
    half, what follows them is at most the last one twice.
    """
    (a0, a1), (b0, b1) = by_u, by_y
    small = arb(2) ** -(flint.ctx.prec + 120)
    jet = [y, *([ONE] if b1 else []), *([ZERO] * (b1 - 1))]
    size_u, size_y = abs(u), abs(y)
    scale_y = ONE + size_y
    bounds = [size_y, size_y + scale_y]
    weights: dict[int, Arb] = {}  # u**(k - a)/(k - a)! for each a
    table = [[ZERO] * (b1 - b0 + 1) for _ in range(a1 - a0 + 1)]
    k = 0
    while True:
        weights = {a: w * u / (k - a) for a, w in weights.items()}
        if a0 <= k <= a1:
            weights[k] = ONE
        for a, w in weights.items():
            row = table[a - a0]
            for b in range(b0, b1 + 1):
                row[b - b0] += jet[b] * w / (k + 1)
        k += 1
        jet = [c * (y - k) + (jet[i - 1] if i else ZERO) for i, c in enumerate(jet)]
        if k > a1 and all(c.is_zero() for c in jet):
            bounds = [ZERO, ZERO]
            break
        bounds = [bounds[0] * (size_y + k), bounds[1] * (size_y + scale_y + k)]
        if k <= max(a1, b1):  # the first terms of a derivative by y may be 0
            continue
        falls = 2 * size_u * (size_y + scale_y + k + 1) < k + 1 - a1
        last = abs(weights[a1]) * size_u
        if falls and bounds[1] * last <= small * scale_y and bounds[0] * last <= small * size_y:
            break
    for a, w in weights.items():
        rest = abs(w) * size_u / (k - a) * 2
        for b in range(b0, b1 + 1):
            error = rest * bounds[1 if b else 0] / scale_y**b
            table[a - a0][b - b0] += arb(0, error.upper()) if not error.is_zero() else ZERO
            table[a - a0][b - b0] *= math.factorial(b)
    return table


@cache
def _bessel_weights(order: int, k: int, sign: int) -> tuple[tuple[int, int], ...]:
    """(m, weight) of the I_m in  2**k d^k/dx^k (exp(-sign x) I_order(x))  without the factor.

    The derivative of I_m is the mean of its neighbours, that of the factor a power of -sign.
    """
    out: dict[int, int] = {}
    for i in range(k + 1) if sign else (k,):
        for j in range(i + 1):
            m = abs(order - i + 2 * j)
            weight = math.comb(i, j) * math.comb(k, i) * (-2 * sign) ** (k - i)
            out[m] = out.get(m, 0) + weight
    return tuple(out.items())


def _far_erfcx(c: Arb) -> Arb:
    """erfcx as U(1/2, 1/2, c*c) / sqrt(pi), for c > 0: no factor leaves any range."""
    return (c * c).hypgeom_u(arb(1) / 2, arb(1) / 2) / arb.pi().sqrt()


def _gauss(x: Ball) -> Ball:
    """The derivative of erf."""
    return (-(x * x)).exp() * x.new((2 / arb.pi().sqrt(),))


def _inverse_gauss(x: Ball) -> Ball:
    return _gauss(x.erfinv()).reciprocal()


def _at_pole(c: Arb) -> bool:
    return c.is_exact() and c.is_finite() and c.is_integer() and not c > ZERO


def _erfc(c: Arb) -> Arb:
    if c.is_exact() or not c.is_finite():
        return c.erfc()
    # monotonic, and arb gives no digits for an inexact large argument
    return c.lower().erfc().union(c.upper().erfc())


def _lgamma(c: Arb) -> Arb:
    if c > ZERO:
        return c.lgamma()
    if c < ZERO and not c.contains_integer():
        return (arb.pi() / abs(c.sin_pi())).log() - (1 - c).lgamma()
    return NAN  # around a pole: arb has no value, the caller sees "unknown"


def _psi(x: Ball, n: int) -> Ball:
    """The n-th derivative of digamma at a finite ball."""
    c = x.c[0]
    if not c > ZERO and (not c < ZERO or c.contains_integer()):
        return x.unknown()
    return x.settle(series.compose(_psi_taylor(n, c, len(x.c)), x.c))


def _psi_taylor(n: int, c: Arb, length: int) -> series.Series:
    """Taylor coefficients of the n-th derivative of digamma at c, reflected for negative c."""
    if c > ZERO:
        return _psi_right(n, c, length)
    # psi(x) = psi(1 - x) - pi cot(pi x), n times and k more
    pi = arb.pi()
    mirror = _psi_right(n, 1 - c, length)
    moving = (pi * c, pi, *([ZERO] * (n + length - 2)))[: n + length]
    cot = series.divide(*series.coupled(c.sin_pi(), c.cos_pi(), moving, -1)[::-1])
    return tuple(
        [(-1) ** (n + k) * mirror[k] - pi * cot[n + k] * math.perm(n + k, n) for k in range(length)]
    )


def _psi_right(n: int, c: Arb, length: int) -> series.Series:
    """The same for c > 0: from the series of lgamma, or from zeta functions if it is long."""
    top = n + length + 1
    if top <= flint.ctx.cap:
        logs = flint.arb_series([c, 1], prec=top).lgamma()
        return tuple([logs[n + k + 1] * (n + k + 1) * math.perm(n + k, n) for k in range(length)])
    out = []
    for m in range(n, n + length):
        sign = 1 if m % 2 else -1
        value = sign * math.factorial(m) * arb(m + 1).zeta(c) if m else c.digamma()
        out.append(value / math.factorial(m - n))
    return tuple(out)


def _sinc_at_zero(length: int) -> series.Series:
    out = [ZERO] * length
    term = ONE
    for k in range(0, length, 2):
        out[k] = term
        term = -term * arb.pi() ** 2 / ((k + 2) * (k + 3))
    return tuple(out)
