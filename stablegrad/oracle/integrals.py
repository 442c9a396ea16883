"""Exponential integrals, Lambert's function and Bessel functions of balls."""

from __future__ import annotations

from typing import Any

from flint import arb

from stablegrad.oracle.series import INF, NAN, ONE, ZERO

Ball = Any


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
