"""Functions of local expansions that are others in disguise: shared by jets and germs.

Nothing is lost by the plain formulas: expansions cancel exactly or ask for more bits.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from flint import arb

Expansion = Any  # the class that mixes this in is further up


def infinite(x: object) -> bool:
    """Whether x is an infinite float: an expansion is finite wherever it holds."""
    return isinstance(x, float) and math.isinf(x)


class Derived:
    """Mixed into Jet and Germ."""

    __slots__ = ()

    def expm1(self: Expansion) -> Expansion:
        return self.exp() - 1

    def log1p(self: Expansion) -> Expansion:
        return (self + 1).log()

    def exp2(self: Expansion) -> Expansion:
        return (self * self.of_ball(arb(2).log())).exp()

    def log2(self: Expansion) -> Expansion:
        return self.log() / self.of_ball(arb(2).log())

    def log10(self: Expansion) -> Expansion:
        return self.log() / self.of_ball(arb(10).log())

    def sigmoid(self: Expansion) -> Expansion:
        return 1 / (1 + (-self).exp())

    def arcsinh(self: Expansion) -> Expansion:
        """log(x + sqrt(x*x + 1)), odd: the argument of log is taken where nothing cancels."""
        side = abs(self) if self.decided() else self
        found = (side + (side * side + 1).sqrt()).log()
        return found if side is self or self > 0 else -found

    def arccosh(self: Expansion) -> Expansion:
        return (self + ((self - 1) * (self + 1)).sqrt()).log()

    def arctanh(self: Expansion) -> Expansion:
        return ((1 + self) / (1 - self)).log() / 2

    def sinc(self: Expansion) -> Expansion:
        x = self * self.of_ball(arb.pi())
        return x.sin() / x

    def erfcx(self: Expansion) -> Expansion:
        return (self * self).exp() * self.erfc()

    def bessel_by_recurrence(self: Expansion, order: int, n: int) -> Expansion:
        """The n-th derivative of I_order(x) exp(-|x|), from orders 0 and 1."""
        if not n:
            below, last = self.bessel_ie(order - 2), self.bessel_ie(order - 1)
            return below - last * (2 * (order - 1)) / self
        side = 1 if self > 0 else -1
        parts = {order: Fraction(1)}
        for _ in range(n):
            step: dict[int, Fraction] = {}
            for k, c in parts.items():
                for at, d in ((abs(k - 1), c / 2), (k + 1, c / 2), (k, -side * c)):
                    step[at] = step.get(at, Fraction(0)) + d
            parts = step
        total = self.constant(0)
        for k, c in parts.items():
            total = total + self.bessel_ie(k) * c
        return total

    def hypot(self: Expansion, other: Any) -> Expansion:
        return (self * self + other * other).sqrt()

    def square(self: Expansion) -> Expansion:
        return self * self

    def reciprocal(self: Expansion) -> Expansion:
        return 1 / self

    def rsqrt(self: Expansion) -> Expansion:
        return self.power(Fraction(-1, 2))

    @property
    def is_nan(self) -> bool:
        return False

    @property
    def known(self) -> bool:
        return True
