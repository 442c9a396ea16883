"""Functions of germs: what grows becomes a scale, what is small is expanded, the rest composed."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from flint import arb

from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.laurent import Laurent, hull
from stablegrad.oracle.outer import TAYLOR, compose, exact_value
from stablegrad.oracle.scales import FLAT, HIGHEST, ONE, Key, Rate
from stablegrad.oracle.walk import NoExpansionError

Germ = Any  # the class that mixes this in is further up


class GermFunctions:
    """Mixed into Germ."""

    __slots__ = ()

    # -- exponential and logarithm --------------------------------------------------------------

    def exp(self: Germ) -> Germ:
        rate, shift = list(FLAT), Fraction(0)
        settled = Laurent.constant(arb(0), self.w0)
        rest: dict[Key, Laurent] = {}
        for (r, k), x in self.parts.items():
            if r == FLAT and k == 0:
                for i in range(min(-x.v, len(x.c) - 1) if x.v < 0 else 0):
                    m = -(x.v + i)
                    c = exact_value(x.c[i])
                    if m > HIGHEST or c is None:
                        raise NoExpansionError("an exponent without a rational rate")
                    rate[HIGHEST - m] += c
                if x.v < 0:
                    if len(x.c) <= -x.v:
                        raise NoExpansionError("an unknown exponent")
                    settled = settled + Laurent(0, x.c[-x.v :], self.w0)
                else:
                    settled = settled + x
            elif r == FLAT and k == 1 and x.v == 0:
                c = exact_value(x.c[0])
                if c is None:
                    raise NoExpansionError("an irrational power")
                shift += c * self.q
                if len(x.c) > 1:
                    rest[(r, k)] = Laurent(1, x.c[1:], self.w0)
            elif (r[:HIGHEST], r[HIGHEST] - x.v) >= (FLAT[:HIGHEST], Fraction(0)):
                raise NoExpansionError("an exponent that grows like a logarithm's power")
            else:
                rest[(r, k)] = x
        whole = math.ceil(shift)
        rate[HIGHEST] = whole - shift
        found = self.of(compose(settled, "exp").shifted(whole), (Rate(rate), 0))
        small = type(self)(rest, self.w0, self.q)
        return found * small.small("exp", 0) if small.parts else found

    def log(self: Germ) -> Germ:
        (rate, _), lead, small = self.split()
        out = self.of(compose(lead.shifted(-lead.v), "log"))
        for i, c in enumerate(rate[:HIGHEST]):
            if c:
                power = Laurent.constant(as_arb(c), self.w0).shifted(i - HIGHEST)
                out = out + self.of(power)
        if lead.v or rate[HIGHEST]:
            share = as_arb((lead.v - rate[HIGHEST]) / self.q)
            out = out + self.of(Laurent.constant(share, self.w0), (FLAT, 1))
        return out + small.small("log", 1) if small.parts else out

    def limit(self: Germ) -> int:
        """-1 or 1 where this goes to -inf or inf with 1/w, 0 where it stays finite."""
        if not self.parts:
            return 0
        (rate, k), lead = self.dominant()
        growth, flat = (rate[:HIGHEST], rate[HIGHEST] - lead.v), (FLAT[:HIGHEST], Fraction(0))
        if growth < flat or (growth == flat and not k):
            return 0
        if k == 0:
            return self.direction()
        if lead.leads:  # a logarithm: its own sign is that of log z
            return (1 if lead.c[0] > 0 else -1) * (1 if self.q < 0 else -1)
        raise NoExpansionError("an unknown limit")

    def finite(self: Germ, name: str) -> Germ:
        """g of this, which stays finite, for a g that is analytic at the limit."""
        if self.limit():
            raise NoExpansionError(f"{name} at infinity")
        settled = self.parts.get(ONE, Laurent.constant(arb(0), self.w0))
        rest = type(self)({k: x for k, x in self.parts.items() if k != ONE}, self.w0, self.q)
        if rest.parts and settled.v == 0 and all(c.is_zero() for c in settled.c[1:]):
            return rest.small(name, settled.c[0])
        if settled.is_zero and rest.parts:
            return rest.small(name, 0)
        out = self.of(compose(settled, name))
        if not rest.parts:
            return out
        start = settled.folded(settled.c, 1)[0] if settled.v == 0 else hull(settled.w0)
        around = start + hull(rest.bound())
        slope = TAYLOR[name](around, 2)[1]
        if not slope.is_finite():
            raise NoExpansionError(f"{name} near a singularity")
        return out + rest * self.of(Laurent(0, [slope], self.w0))

    # functions with a form of their own at infinity are in asymptotics.py
    def sin(self: Germ) -> Germ:
        return self.finite("sin")

    def cos(self: Germ) -> Germ:
        return self.finite("cos")

    def tan(self: Germ) -> Germ:
        return self.finite("tan")

    def arcsin(self: Germ) -> Germ:
        return self.finite("arcsin") if not self._end() else self._quarter() - self.arccos()

    def arccos(self: Germ) -> Germ:
        end = self._end()
        if not end:
            return self.finite("arccos")
        # 1 - cos(2 t) = 2 sin(t)**2
        found = 2 * ((1 - end * self) / 2).sqrt().finite("arcsin")
        return found if end > 0 else 2 * self._quarter() - found

    def _quarter(self: Germ) -> Germ:
        return self.of_ball(arb.pi() / 2)

    def _end(self: Germ) -> int:
        """1 or -1 where this goes to it, exactly: there arcsin has a branch point."""
        x = self.parts.get(ONE)
        value = exact_value(x.c[0]) if x is not None and x.v == 0 else None
        return int(value) if value in (1, -1) else 0

    def arctan(self: Germ) -> Germ:
        side = self.limit()
        if not side:
            return self.finite("arctan")
        return side * self.of(Laurent.constant(arb.pi() / 2, self.w0)) - (1 / self).arctan()

    def tanh(self: Germ) -> Germ:
        side = self.limit()
        return side * (1 - 2 / ((self * (2 * side)).exp() + 1)) if side else self.finite("tanh")

    def sinh(self: Germ) -> Germ:
        return (self.exp() - (-self).exp()) / 2 if self.limit() else self.finite("sinh")

    def cosh(self: Germ) -> Germ:
        return (self.exp() + (-self).exp()) / 2

    def erfc(self: Germ) -> Germ:
        from stablegrad.oracle.asymptotics import erfc

        return erfc(self)

    def erf(self: Germ) -> Germ:
        return 1 - self.erfc() if self.limit() else self.finite("erf")

    def ndtr(self: Germ) -> Germ:
        from stablegrad.oracle.asymptotics import ndtr

        return ndtr(self)

    def lgamma(self: Germ) -> Germ:
        from stablegrad.oracle.asymptotics import lgamma

        return lgamma(self)

    def digamma(self: Germ) -> Germ:
        from stablegrad.oracle.asymptotics import polygamma

        return polygamma(self, 0)

    def polygamma(self: Germ, n: Any) -> Germ:
        from stablegrad.oracle.asymptotics import polygamma

        return polygamma(self, int(n))

    def bessel_ie(self: Germ, order: int, n: int = 0) -> Germ:
        from stablegrad.oracle.asymptotics import bessel_ie

        return bessel_ie(self, order, n)
