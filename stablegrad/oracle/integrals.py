"""Integrals without elementary form, Lambert's function and Bessel functions of balls."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import arb, fmpq

from stablegrad.oracle.series import INF, NAN, ONE, ZERO, Arb

Ball = Any
_NEGATIVE_ZERO = 1


class Integrals:
    """Mixed into Ball."""

    __slots__ = ()

    def exp1(self: Ball) -> Ball:
        """E1, for positive arguments."""
        c = self.c[0]
        if c.is_zero():
            return self.new((INF, *([NAN] * (len(self.c) - 1))))
        if c < ZERO or c.is_nan():
            return self.undefined() if self.known else self
        first = self.at(lambda x: x.expint(ONE) if x > ZERO else NAN, NAN, ZERO)
        return self.chain(first, lambda x: -(-x).exp() / x)

    def expi(self: Ball) -> Ball:
        """Ei; -inf at 0."""
        c = self.c[0]
        if c.is_zero():
            return self.new((-INF, *([NAN] * (len(self.c) - 1))))
        first = self.at(arb.ei, ZERO, INF)
        return self.chain(first, lambda x: x.exp() / x)

    def erfi(self: Ball) -> Ball:
        first = self.at(arb.erfi, -INF, INF)
        flags = self.flags & _NEGATIVE_ZERO
        return self.chain(
            first, lambda x: (x * x).exp() * x.new((2 / arb.pi().sqrt(),)), flags=flags
        )

    def dawsn(self: Ball, n: int) -> Ball:
        """The n-th derivative of Dawson's integral, which Kummer's functions give uncancelled."""
        j, odd = divmod(n, 2)
        factor = arb((-4) ** j * math.factorial(j))

        def value(x: Arb) -> Arb:
            found = factor * (-x * x).hypgeom_1f1(arb(1 + j), arb(1 if odd else 3) / 2)
            return found if odd else found * x

        flags = 0 if odd else self.flags & _NEGATIVE_ZERO
        return self.chain(self.at(value, ZERO, ZERO), lambda x: x.dawsn(n + 1), flags=flags)

    def spence(self: Ball, slope: Callable[[Ball], Ball]) -> Ball:
        """The dilogarithm of 1 - x."""
        if self.c[0] < ZERO:
            return self.undefined()

        def value(x: Arb) -> Arb:
            return arb.pi() ** 2 / 6 if x.is_zero() else (1 - x).polylog(arb(2))

        return self.chain(self.at(value, NAN, -INF), slope)

    def sine_integral(self: Ball, slope: Callable[[Ball], Ball]) -> Ball:
        half = arb.pi() / 2
        first = self.at(arb.si, -half, half)
        return self.chain(first, slope, flags=self.flags & _NEGATIVE_ZERO)

    def elliptic(self: Ball, a: Fraction, n: int) -> Ball:
        """The n-th derivative of pi/2 2F1(a, 1/2; 1; m): K for a = 1/2, E for a = -1/2."""
        c = self.c[0]
        if c > ONE:
            return self.undefined()
        first = math.prod([(a + i) * (Fraction(1, 2) + i) for i in range(n)])
        weight = arb.pi() / 2 * arb(fmpq(first.numerator, first.denominator)) / math.factorial(n)
        top = arb(fmpq(a.numerator, a.denominator)) + n
        if c == ONE:
            if n == 0 and a < 0:
                return self.chain(ONE, lambda m: m.elliptic(a, 1))
            return self.new((INF if a > 0 else -INF, *([NAN] * (len(self.c) - 1))))

        def value(m: Arb) -> Arb:
            if not m < ONE:
                return NAN
            return weight * m.hypgeom_2f1(top, arb(1) / 2 + n, arb(1 + n))

        low = INF if a < 0 and n == 0 else ZERO
        return self.chain(self.at(value, low, NAN), lambda m: m.elliptic(a, n + 1))

    def fresnel(self: Ball, sine: int) -> Ball:
        """Fresnel's S (1) or C (0)."""

        def slope(x: Ball) -> Ball:
            angle = x * x * x.new((arb.pi() / 2,))
            return angle.sin() if sine else angle.cos()

        half = arb(1) / 2
        first = self.at(arb.fresnel_s if sine else arb.fresnel_c, -half, half)
        return self.chain(first, slope, flags=self.flags & _NEGATIVE_ZERO)

    def cosine_integral(self: Ball) -> Ball:
        """Ci of the absolute value; -inf at 0."""
        if self.c[0].is_zero():
            return self.new((-INF, *([NAN] * (len(self.c) - 1))))
        first = self.at(lambda x: abs(x).ci(), ZERO, ZERO)
        return self.chain(first, lambda x: x.cos() / x)

    def lambertw(self: Ball) -> Ball:
        """The principal branch."""
        edge = -(-ONE).exp()
        if self.c[0] < edge:
            return self.undefined()
        first = self.at(arb.lambertw, NAN, INF)

        def slope(x: Ball) -> Ball:
            w = x.lambertw()
            return (-w).exp() / (w + 1)

        return self.chain(first, slope)

    def bessel_jy(self: Ball, n: int, kind: str) -> Ball:
        """J_n or Y_n of a whole order, its derivative the mean of those beside it."""
        function = arb.bessel_j if kind == "j" else arb.bessel_y
        c = self.c[0]
        if kind == "y" and c.is_zero():
            return self.new((-INF, *([NAN] * (len(self.c) - 1))))
        if kind == "y" and c < ZERO:
            return self.undefined()
        first = self.at(lambda x: function(x, arb(n)), ZERO, ZERO)

        def slope(x: Ball) -> Ball:
            if n == 0:
                return -x.bessel_jy(1, kind)
            return (x.bessel_jy(n - 1, kind) - x.bessel_jy(n + 1, kind)) / 2

        return self.chain(first, slope)
