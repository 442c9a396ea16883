"""A function far out, by its germ at infinity: for pieces where its own formula says too little.

Boxes of ``exp(x*x) * erfc(x)`` lose all that cancels in it; its asymptotic series does not. On z >=
1/w0 the germ is a sum of analytic functions and of rests that are bounded for real z.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flint import arb

from stablegrad.ir import Term
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.germs import Germ
from stablegrad.oracle.jets import Jet
from stablegrad.oracle.precision import precision
from stablegrad.oracle.scales import HIGHEST, Key
from stablegrad.oracle.walk import NoExpansionError, walk

Arb = Any
BITS = 320
KNOWN = frozenset({"ndtr"})


class Far:
    """A germ at infinity as a function of z."""

    def __init__(self, germ: Germ) -> None:
        self.germ = germ

    @staticmethod
    def of(term: Term, variable: Term, side: int, q: int, exponent: int) -> Far | None:
        """The germ of a function of side*z on z >= 2**exponent, z = w**q, if it has one."""
        with precision(BITS):
            w0 = arb(2) ** Fraction(exponent, q).numerator
            try:
                return Far(walk(term, variable, Germ.variable(arb(0), side, w0, q), known=KNOWN))
            except NoExpansionError:
                return None

    def jet(self, z: Jet) -> Jet:
        """All but the rests."""
        w = z.power(Fraction(1, self.germ.q))
        total = z.constant(0)
        for key, x in self.germ.parts.items():
            *known, _ = x.c
            part = z.constant(0)
            for c in reversed(known):
                part = part * w + z.of_ball(c)
            total = total + part * self._scale(z, key, x.v)
        return total

    def rest(self, z: Arb) -> Arb:
        """A bound of the rests on a ball of z."""
        w = z ** as_arb(Fraction(1, self.germ.q))
        total = arb(0)
        around = Jet.variable(z.mid(), z.rad(), z.rad(), None)
        for key, x in self.germ.parts.items():
            scale = self._scale(around, key, x.v).real
            total = total + abs(x.c[-1] * w ** (len(x.c) - 1) * scale).upper()
        return total

    def _scale(self, z: Jet, key: Key, v: int) -> Jet:
        rate, logs = key
        out = z.power((v - rate[HIGHEST]) / self.germ.q)
        exponent = z.constant(0)
        for i, c in enumerate(rate[:HIGHEST]):
            if c:
                exponent = exponent + z.power(Fraction(HIGHEST - i, -self.germ.q)) * c
        if any(rate[:HIGHEST]):
            out = out * exponent.exp()
        for _ in range(logs):
            out = out * z.log()
        return out
