"""Germs of special functions at infinity: asymptotic series with proved rests.

The series of erfc and of the gamma family envelop: for a positive argument the rest is at most
the first term left out, and of its sign.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import flint
from flint import acb, arb

from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.germs import Germ
from stablegrad.oracle.jets import Jet, bessel_taylor
from stablegrad.oracle.laurent import Laurent, hull
from stablegrad.oracle.outer import DISK, TAYLOR
from stablegrad.oracle.scales import FLAT, HIGHEST
from stablegrad.oracle.walk import NoExpansionError

Arb = Any
TERMS = 17
"""Terms of an asymptotic series, in squares."""
FAR_TERMS = 30
"""Those of one that is not in squares."""


def enveloped(coefficients: list[Fraction], u: Germ) -> Germ:
    """Sum a_k u**k with its last coefficient standing for the rest: |rest| at most that term."""
    *terms, last = coefficients
    out = u.of(Laurent(0, [hull(as_arb(last))], u.w0))
    for a in reversed(terms):
        out = out * u + a
    return out


def _double_factorials(step: Fraction) -> list[Fraction]:
    out = [Fraction(1)]
    for k in range(1, TERMS + 1):
        out.append(out[-1] * -(2 * k - 1) * step)
    return out


def _right(x: Germ) -> Germ | None:
    """x where it goes to +inf with a power of 1/w, else None."""
    key, _ = x.dominant() if x.parts else ((FLAT, 0), None)
    return x if x.limit() > 0 and key == (FLAT, 0) else None


def _pi(like: Germ, scale: Arb) -> Germ:
    return like.of(Laurent.constant(scale, like.w0))


def _upper_tail(y: Germ) -> Germ:
    """erfc(y) for y -> inf: exp(-y*y)/(y*sqrt(pi)) * (1 - 1/(2 y**2) + 3/(4 y**4) - ...)."""
    y2 = y * y
    series = enveloped(_double_factorials(Fraction(1, 2)), 1 / y2)
    return (-y2).exp() / y * series * _pi(y, 1 / arb.pi().sqrt())


def erfc(x: Germ) -> Germ:
    """erfc, at both infinities too."""
    side = x.limit()
    if not side:
        return x.finite("erfc")
    return _upper_tail(x) if side > 0 else 2 - _upper_tail(-x)


def _gauss_tail(y: Germ) -> Germ:
    """The upper tail of the normal distribution for y -> inf; its rate is rational, erfc's not."""
    y2 = y * y
    series = enveloped(_double_factorials(Fraction(1)), 1 / y2)
    return (y2 * Fraction(-1, 2)).exp() / y * series * _pi(y, 1 / (2 * arb.pi()).sqrt())


def ndtr(x: Germ) -> Germ:
    """The normal distribution function, at both infinities too."""
    side = x.limit()
    if not side:
        return x.finite("ndtr")
    return _gauss_tail(-x) if side < 0 else 1 - _gauss_tail(x)


def _ndtr_jet(x: Jet) -> Jet:
    root = arb(1) / arb(2).sqrt()
    inner = Jet(x.series * -root, [z * -root for z in x.disk], x.real * -root)
    return inner.erfc() / 2


def _ndtr_taylor(c: Arb, length: int) -> list[Arb]:
    cap = flint.ctx.cap
    flint.ctx.cap = length
    try:
        found = _ndtr_jet(Jet(flint.arb_series([c, 1]), [], c)).series.coeffs()
    finally:
        flint.ctx.cap = cap
    return found + [arb(0)] * (length - len(found))


TAYLOR["ndtr"] = _ndtr_taylor
DISK["ndtr"] = lambda z: (z * (-1 / arb(2).sqrt())).erfc() / 2


def _bernoulli(k: int) -> Fraction:
    x = flint.fmpq.bernoulli(k)
    return Fraction(int(x.p), int(x.q))


def lgamma(x: Germ) -> Germ:
    """Stirling's series far out; at 0 log Gamma(1 + x) - log x."""
    if x.limit() < 0:
        raise NoExpansionError("lgamma at -inf")
    y = _right(x)
    if y is not None:
        u = 1 / y
        a = [_bernoulli(2 * k) / (2 * k * (2 * k - 1)) for k in range(1, TERMS + 1)]
        half = _pi(x, (2 * arb.pi()).log() / 2)
        return (y - Fraction(1, 2)) * y.log() - y + half + enveloped(a, u * u) * u
    if _vanishes(x):
        return _unit_lgamma(x) - abs(x).log()
    return x.finite("lgamma")


def _vanishes(x: Germ) -> bool:
    (rate, _), lead = x.dominant()
    return (rate[:HIGHEST], rate[HIGHEST] - lead.v) < (FLAT[:HIGHEST], Fraction(0))


def _unit_lgamma(x: Germ) -> Germ:
    return (x + 1).finite("lgamma")


def polygamma(x: Germ, n: int) -> Germ:
    """Asymptotic far out; at 0 by the recurrence to 1 + x."""
    if x.limit() < 0:
        raise NoExpansionError("polygamma at -inf")
    name = f"polygamma{n}"
    if name not in TAYLOR:
        TAYLOR[name] = _polygamma_taylor(n)
        DISK[name] = _polygamma_disk(n)
    y = _right(x)
    sign, factorial = (-1) ** (n + 1), _factorial(n)
    if y is None:
        if _vanishes(x):
            return (x + 1).finite(name) + sign * factorial / x ** (n + 1)
        return x.finite(name)
    u = 1 / y
    if n == 0:
        a = [-_bernoulli(2 * k) / (2 * k) for k in range(1, TERMS + 1)]
        return y.log() - u * Fraction(1, 2) + enveloped(a, u * u) * (u * u)
    a = [
        _bernoulli(2 * k) * _factorial(2 * k + n - 1) / _factorial(2 * k)
        for k in range(1, TERMS + 1)
    ]
    head = u**n * _factorial(n - 1) + u ** (n + 1) * Fraction(factorial, 2)
    return sign * (head + enveloped(a, u * u) * u ** (n + 2))


def _factorial(n: int) -> int:
    return 1 if n < 2 else n * _factorial(n - 1)


def _polygamma_taylor(n: int) -> Any:
    def taylor(c: Arb, length: int) -> list[Arb]:
        cap = flint.ctx.cap
        flint.ctx.cap = length
        try:
            found = Jet(flint.arb_series([c, 1]), [], c).polygamma(n).series.coeffs()
        finally:
            flint.ctx.cap = cap
        return found + [arb(0)] * (length - len(found))

    return taylor


def _polygamma_disk(n: int) -> Any:
    def disk(z: Any) -> Any:
        if not z.real > 0:
            return acb("nan")
        return z.digamma() if n == 0 else z.polygamma(acb(n))

    return disk


def bessel_ie(x: Germ, order: int, n: int) -> Germ:
    """I_order(x) exp(-|x|)."""
    if n or order > 1:
        return x.bessel_by_recurrence(order, n)
    side = x.limit()
    if side:
        found = _far_bessel(side * x, order)
        return -found if order and side < 0 else found
    name = f"bessel{order}"
    if name not in TAYLOR:
        TAYLOR[name] = _bessel_outer(order)
        DISK[name] = lambda z: z.bessel_i(acb(order))
    return x.finite(name) * (-abs(x)).exp()


def _far_bessel(y: Germ, order: int) -> Germ:
    """Far out, from I_0(y) exp(-y) = (1/pi) int_0^2 exp(-y s) / sqrt(s (2 - s)) ds.

    The root is expanded as (2 s)**(-1/2) * sum b_k (s/2)**k, b_k = binomial(2k, k)/4**k. On [0, 1]
    the rest of that sum is at most sqrt(2) (s/2)**m; what [1, 2] adds, and what integrating the
    terms to infinity adds, is at most exp(-y) for each of them, y at least 8. I_1 has a factor
    1 - s more.
    """
    if not y.w0 * 8 <= 1:
        raise NoExpansionError("w0 is too great")
    moments = [Fraction(1)]
    roots = [Fraction(1)]
    for k in range(1, FAR_TERMS + 2):
        moments.append(moments[-1] * Fraction(2 * k - 1, 4))
        roots.append(roots[-1] * Fraction(2 * k - 1, 2 * k))
    m = FAR_TERMS - 1
    a = [roots[k] * moments[k] for k in range(m)] + [moments[m] * Fraction(3, 2)]
    u = 1 / y
    series = enveloped(a, u)
    rest = Fraction(m + 2)
    if order:
        b = [2 * roots[k] * moments[k + 1] for k in range(m)] + [moments[m + 1] * 3]
        series = series - enveloped(b, u) * u
        rest = 3 * rest
    ball = y.of(Laurent(0, [hull(as_arb(rest))], y.w0))
    return series * (y * _pi(y, 2 * arb.pi())).rsqrt() + (-y).exp() * ball


def _bessel_outer(order: int) -> Any:
    return lambda c, length: bessel_taylor(c, order, length)
