"""Incomplete gamma and beta functions of balls, differentiated numerically at high precision.

Arb has the values; no series in the parameters. Derivatives along a direction are central
differences at a multiple of the precision in force, with a step far below it, so that what is
neglected is far below it too: they use none of our formulas. Parameters beyond a cap, where
arb would run for minutes, are unknown; next to such a parameter of the gamma function its tail is
integrated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flint
from flint import arb

from stablegrad.oracle.precision import precision
from stablegrad.oracle.series import INF, NAN, ONE, ZERO, Arb

Ball = Any

HALF = arb(1) / 2
LEAST = 1e-200
GAMMA_CAP = 1e8
GAMMA_VALUE_CAP = 2.0**55
BETA_CAP = 1e4
ZETA_CAP = 1e5
KVE_CAP = 1e3
LONGEST = 3
MOST_BITS = 6400
"""Beyond this precision an evaluation takes too long; differences need four times as much as is
asked for."""


class Incomplete:
    """Mixed into Ball: the first argument of each function is the ball itself."""

    __slots__ = ()

    def betaln(self: Ball, b: Ball) -> Ball:
        """The logarithm of the beta function; -inf where an argument is."""
        ends = [v.c[0] for v in (self, b)]
        if all(v.known for v in (self, b)) and INF in ends and all(c > ZERO for c in ends):
            return self.new((-INF, *([NAN] * (max(len(self.c), len(b.c)) - 1))))
        return self.lgamma() + b.lgamma() - (self + b).lgamma()

    def gammainc(self: Ball, x: Ball) -> Ball:
        """P(a, x)."""
        return _gamma(self, x, _lower_gamma, 0)

    def gammaincc(self: Ball, x: Ball) -> Ball:
        """Q(a, x) = 1 - P(a, x)."""
        return _gamma(self, x, _upper_gamma, 1)

    def gammainc_by_a(self: Ball, x: Ball, n: int) -> Ball:
        """The n-th derivative of P(a, x) by a."""
        return _gamma(self, x, _by_first(_lower_gamma, n))

    def betainc(self: Ball, b: Ball, x: Ball) -> Ball:
        """I_x(a, b)."""
        return _beta(self, b, x, _lower)

    def betainc_by(self: Ball, b: Ball, x: Ball, n: int, m: int) -> Ball:
        """The derivative of I_x(a, b), n times by a and m times by b."""
        return _beta(self, b, x, _by_two(_lower, n, m))

    def hurwitz_zeta(self: Ball, q: Ball, n: int) -> Ball:
        """The n-th derivative of Hurwitz's zeta function by its exponent, the ball itself."""
        s, p = self.c[0], q.c[0]
        if not (self.known and q.known):
            return self.unknown()
        if s.is_nan() or p.is_nan() or s <= ONE or p <= ZERO:
            return (self + q).undefined()
        if not (ONE < s < ZETA_CAP and LEAST < p < ZETA_CAP):
            return self.unknown()
        f = _by_first(_zeta, n) if n else _zeta
        return _jet(f, (self, q), (s - 1, p))

    def kve(self: Ball, x: Ball, n: int, m: int) -> Ball:
        """The derivative of exp(x) K_v(x), n times by v, the ball itself, and m times by x."""
        v, z = self.c[0], x.c[0]
        if not (self.known and x.known):
            return self.unknown()
        if v.is_nan() or z.is_nan() or not z > ZERO:
            return (self + x).undefined()
        if not (abs(v) < KVE_CAP and LEAST < z < GAMMA_CAP):
            return self.unknown()
        return _jet(_by_two(_kve, n, m), (self, x), (ONE, z))


def _upper_gamma(a: Arb, x: Arb) -> Arb:
    return x.gamma_upper(a, 1)


def _lower_gamma(a: Arb, x: Arb) -> Arb:
    return x.gamma_lower(a, 1) if a < 100 else 1 - x.gamma_upper(a, 1)


def _kve(v: Arb, x: Arb) -> Arb:
    return x.bessel_k(v, True)


def _zeta(s: Arb, q: Arb) -> Arb:
    return s.zeta(q)


def _lower(a: Arb, b: Arb, x: Arb) -> Arb:
    if x > HALF:  # arb may run for minutes next to 1
        return 1 - (1 - x).beta_lower(b, a, 1)
    return x.beta_lower(a, b, 1)


def _by_first(f: Callable[..., Arb], n: int) -> Callable[..., Arb]:
    """The n-th derivative of a function by its first argument, n at most 2."""

    def derivative(first: Arb, *rest: Arb) -> Arb:
        bits = flint.ctx.prec
        if 4 * bits > MOST_BITS:
            return NAN
        with precision(4 * bits):
            h = _power(first if abs(first) > LEAST else ONE, bits)
            high, low = f(first + h, *rest), f(first - h, *rest)
            if n == 1:
                out = (high - low) / (2 * h)
            else:
                out = (high - 2 * f(first, *rest) + low) / (h * h)
        return out + _doubt(out, bits)

    return derivative


def _by_two(f: Callable[..., Arb], n: int, m: int) -> Callable[..., Arb]:
    """The derivative of a function, n times by its first argument and m times by its second."""
    if n == 0 and m:
        turned = _by_first(lambda b, a, *rest: f(a, b, *rest), m)
        return lambda a, b, *rest: turned(b, a, *rest)
    if m == 0:
        return _by_first(f, n) if n else f
    return _by_first(_by_two(f, 0, m), n)


def _power(size: Arb, bits: int) -> Arb:
    """A power of two, 2**-bits times as large as a number."""
    _, e = size.mid().man_exp()
    width = int(abs(size.mid().man_exp()[0])).bit_length()
    return arb(2) ** (int(e) + width - bits)


def _doubt(value: Arb, bits: int) -> Arb:
    return arb(0, abs(value).upper() * arb(2) ** (8 - bits))


def _jet(f: Callable[..., Arb], balls: tuple[Ball, ...], sizes: tuple[Arb, ...]) -> Ball:
    """The series of f along the series of its arguments, up to the second derivative.

    ``sizes`` are the distances over which f is smooth in each argument.
    """
    first = balls[0]
    length = max(len(b.c) for b in balls)
    at = [b.c[0] for b in balls]
    if flint.ctx.prec > MOST_BITS:
        return first.unknown()
    if length == 1:
        value = f(*at)
        return first.new((value,)) if value.is_finite() else first.unknown()
    bits = flint.ctx.prec
    if length > LONGEST or 4 * bits > MOST_BITS or not all(c.is_exact() for c in at):
        return first.unknown()
    steps = [
        _power(size / abs(b.c[1]), bits)
        for b, size in zip(balls, sizes, strict=True)
        if len(b.c) > 1 and not b.c[1].is_zero()
    ]
    if not steps:
        return first.unknown()
    h = steps[0]
    for s in steps[1:]:
        h = min(h, s)
    with precision(4 * bits):
        points = [
            f(*[sum((c * t**k for k, c in enumerate(b.c)), ZERO) for b in balls])
            for t in (-h, ZERO, h)
        ]
        low, middle, high = points
        slope, bend = (high - low) / (2 * h), (high - 2 * middle + low) / (2 * h * h)
    out = [middle, slope + _doubt(slope, bits), bend + _doubt(bend, bits)][:length]
    return first.new(tuple(out)) if all(c.is_finite() for c in out) else first.unknown()


def _gamma(a: Ball, x: Ball, f: Callable[..., Arb], upper: int | None = None) -> Ball:
    """A function of a > 0 and x > 0, where arb can be asked; P (0) and Q (1) everywhere."""
    p, z = a.c[0], x.c[0]
    if not (a.known and x.known):
        return a.unknown()
    single = len(a.c) == 1 == len(x.c)
    if p.is_zero() and z > ZERO and upper is not None and single:
        return a.new((ZERO if upper else ONE,))  # 1/gamma(0) is 0
    if p.is_nan() or z.is_nan() or not p > ZERO or z < ZERO:
        return (a + x).undefined()
    if LEAST < p < GAMMA_CAP and ZERO < z < GAMMA_CAP:
        return _jet(f, (a, x), (p, z))
    if upper is None or not single or not (p.is_exact() and z.is_exact() and p < INF and z < INF):
        return a.unknown()
    if p < GAMMA_VALUE_CAP and ZERO < z < GAMMA_VALUE_CAP:
        return _jet(f, (a, x), (p, z))
    if z.is_zero():
        return a.new((ONE if upper else ZERO,))
    beyond = int(z > p)
    tail = _outer_gamma(p, z, beyond)
    return a.new((tail if beyond == upper else 1 - tail,))


def _outer_gamma(a: Arb, x: Arb, upper: int) -> Arb:
    """Q(a, x) for x > a, P(a, x) for x <= a, where one of them is beyond the cap.

    The integral of exp(a log(t/a) - t + a)/t, in the variable (t - a)/sqrt(a).
    """
    if (x - a) ** 2 > 10000 * (x + a) or x > 2 * a or 2 * x < a:
        return arb(2) ** -2000 * arb(0.5, 0.5)  # below exp(-(x - a)**2/(2 (x + a)))
    bits = flint.ctx.prec
    with precision(2 * bits + int(3 * float(a.log())) + 64):
        root = a.sqrt()
        z = (x - a) / root
        scale = (a * a.log() - a - a.lgamma()).exp() / root

    def power(t: Any) -> Any:
        """The series of a (mu - log(1 + mu)): mu = t/root is below 2**-20."""
        mu, term, total = t / root, t * t, 0 * t
        for k in range(2, 3 + bits // 20):
            total, term = total + term * (-1) ** k / k, term * mu
        return total

    start = power(z)
    total, end, step = ZERO, z, 1 / (1 + abs(z))
    reach = (z * z + 2 * bits).sqrt() + 1
    while abs(end) < reach:
        following = end + step * (1 if upper else -1)
        part = flint.acb.integral(
            lambda t, _: (start - power(t)).exp() / (1 + t / root),
            flint.acb(end),
            flint.acb(following),
        )
        total += abs(part.real)
        end = following
    rest = (start + end * end * (arb(2) ** -16 - HALF)).exp()
    return scale * (-start).exp() * (total + arb(0, 2) * rest)


def _beta(a: Ball, b: Ball, x: Ball, f: Callable[..., Arb]) -> Ball:
    """A function of a, b > 0 and 0 < x < 1, where arb can be asked."""
    if not (a.known and b.known and x.known):
        return a.unknown()
    p, q, z = (v.c[0] for v in (a, b, x))
    bad = any(v.is_nan() for v in (p, q, z))
    if bad or not p > ZERO or not q > ZERO or z < ZERO or z > ONE:
        return (a + b + x).undefined()
    if not (p < BETA_CAP and q < BETA_CAP and ZERO < z < ONE):
        ends = all(len(v.c) == 1 for v in (a, b, x)) and (z.is_zero() or z == ONE)
        return a.new((f(p, q, z),)) if ends and f is _lower else a.unknown()
    room = min(1 - z, z)
    return _jet(f, (a, b, x), (p, q, room))
