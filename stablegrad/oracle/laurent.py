"""Laurent expansions on (0, w0] with a proved rest: the coefficients of germs.

``w**v * (c[0] + c[1]*w + ... + c[n]*w**n)``, where the last coefficient is a ball that holds for
every w in (0, w0] whatever stands for the rest: no convergence is asked for, so asymptotic
series are welcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flint
from flint import arb, arb_poly, arb_series

from stablegrad.oracle.walk import NoExpansionError

Arb = Any
ORDER = 32
"""Coefficients that are kept."""
OUTER = 60
"""Taylor coefficients of a function that an expansion is put into."""


def hull(bound: Arb) -> Arb:
    """The ball [-bound, bound]."""
    return arb(0, abs(bound).upper())


class Laurent:
    """One expansion; all that meet have one ``w0``."""

    __slots__ = ("c", "v", "w0")

    def __init__(self, v: int, c: list[Arb], w0: Arb) -> None:
        # zeros in front only say that the expansion begins later
        k = 0
        while k < len(c) - 1 and c[k].is_zero():
            k += 1
        self.v = v + k
        self.c = c[k:] if k else c
        self.w0 = w0

    @staticmethod
    def constant(value: Arb, w0: Arb) -> Laurent:
        return Laurent(0, [value, *[arb(0)] * ORDER], w0)

    @property
    def is_zero(self) -> bool:
        return all(x.is_zero() for x in self.c)

    @property
    def leads(self) -> bool:
        """Whether the first coefficient is known not to be zero."""
        return not self.c[0].contains(0)

    def window(self) -> Arb:
        """The ball of all w."""
        half = self.w0 / 2
        return arb(half, half)

    def folded(self, c: list[Arb], length: int) -> list[Arb]:
        """The coefficients from ``length`` on as one ball."""
        if len(c) <= length:
            return c
        w = self.window()
        rest = arb(0)
        for x in reversed(c[length - 1 :]):
            rest = rest * w + x
        return [*c[: length - 1], rest]

    def scaled(self, factor: Arb) -> Laurent:
        return Laurent(self.v, [x * factor for x in self.c], self.w0)

    def shifted(self, by: int) -> Laurent:
        return Laurent(self.v + by, self.c, self.w0)

    def __neg__(self) -> Laurent:
        return Laurent(self.v, [-x for x in self.c], self.w0)

    def __add__(self, o: Laurent) -> Laurent:
        if self.is_zero:
            return o
        if o.is_zero:
            return self
        v = min(self.v, o.v)
        length = min(self.v + len(self.c), o.v + len(o.c)) - v
        both = [x.folded([arb(0)] * (x.v - v) + x.c, length) for x in (self, o)]
        full = [x + [arb(0)] * (length - len(x)) for x in both]
        return Laurent(v, [x + y for x, y in zip(*full, strict=True)], self.w0)

    def __mul__(self, o: Laurent) -> Laurent:
        length = min(len(self.c), len(o.c))
        if length == 1:
            a, b = self.folded(self.c, 1)[0], o.folded(o.c, 1)[0]
            return Laurent(self.v + o.v, [a * b], self.w0)
        product = (arb_poly(self.c) * arb_poly(o.c)).coeffs()
        product += [arb(0)] * (length - len(product))
        return Laurent(self.v + o.v, self.folded(product, length), self.w0)

    def unit_range(self) -> Arb:
        """A ball of all values of ``w**-v`` times this."""
        return self.folded(self.c, 1)[0]

    def compose(
        self, taylor: Callable[[Arb, int], list[Arb]], disk: Callable[[Any], Any]
    ) -> Laurent:
        """g of this, where v is 0 (or what is smaller than any power stands for it).

        Args:
            taylor: the Taylor coefficients of g at a ball.
            disk: g of a complex ball.
        """
        c = [arb(0)] * self.v + self.c
        c0, n = c[0], len(c)
        if n == 1:  # nothing but a ball of values
            return Laurent(0, [disk(flint.acb(c0)).real], self.w0)
        spread = arb(0)
        for x in reversed(c[1:]):
            spread = (spread + abs(x).upper()) * self.w0
        spread = spread.upper()
        g = taylor(c0, OUTER)
        g += [arb(0)] * (OUTER - len(g))
        if spread.is_zero():
            return Laurent(0, [g[0], *[arb(0)] * ORDER], self.w0)
        for ratio in (arb(1) / 3, arb(5) / 8):
            wide = (spread / ratio).upper()
            value = disk(flint.acb(arb(c0, wide), arb(0, wide)))
            if value.is_finite():
                break
        else:
            raise NoExpansionError("too near a singularity")
        rest = value.abs_upper() * ratio**OUTER / (1 - ratio)
        cap = flint.ctx.cap
        flint.ctx.cap = n
        try:
            inner = arb_series([arb(0), *c[1 : n - 1]])
            low = _padded(arb_series(g[:n])(inner), n)
            # the part from w**(n-1) on is bounded by that of the majorants
            sizes = [abs(x).upper() for x in g]
            major = _padded(
                arb_series(sizes[:n])(arb_series([arb(0), *[abs(x).upper() for x in c[1:]]])),
                n,
            )
        finally:
            flint.ctx.cap = cap
        total = arb(0)
        for x in reversed(sizes):
            total = total * spread + x
        power = arb(1)
        for k in range(n - 1):
            total = total - major[k] * power
            power = power * self.w0
        last = hull((total + rest) / power)
        return Laurent(0, [*low[: n - 1], last], self.w0)


def _padded(series: Any, n: int) -> list[Arb]:
    found = series.coeffs()[:n]
    return found + [arb(0)] * (n - len(found))
