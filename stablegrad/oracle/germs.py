"""Germs: a function next to a point or to infinity, with every scale that it has there.

With x = a + s*w**q for small w (q < 0: at infinity) a germ is a sum of ``exp(r(1/w)) * log(z)**k
* L(w)``, z = w**q, r a polynomial, L a Laurent expansion with a proved rest on (0, w0]. Sums,
products, powers, exp and log stay inside. What is exponentially small is kept as a scale of its
own, so that ``log(1 + exp(x)) - x`` is exp(-x) far out, and not 0.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import flint
from flint import arb

from stablegrad.oracle.ball import UndecidedError
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.derived import Derived, infinite
from stablegrad.oracle.germ_functions import GermFunctions
from stablegrad.oracle.laurent import Laurent, hull
from stablegrad.oracle.outer import TAYLOR, compose, exact_value
from stablegrad.oracle.scales import HIGHEST, ONE, Key, Rate, put, relative
from stablegrad.oracle.walk import ALMOST, ImpreciseError, NoExpansionError

Arb = Any
TERMS = 3
"""Powers of what is small on another scale, before the rest."""
PARTS = 6
"""Scales that are kept; the smaller ones become part of the last one's rest."""


class Germ(GermFunctions, Derived):
    """A function of w on (0, w0], by its scales."""

    __slots__ = ("parts", "q", "w0")

    def __init__(self, parts: dict[Key, Laurent], w0: Arb, q: int) -> None:
        self.parts = {k: x for k, x in parts.items() if not x.is_zero}
        self.w0 = w0
        self.q = q
        if len(self.parts) > PARTS:
            self._prune()

    @staticmethod
    def variable(center: Arb, side: int, w0: Arb, q: int) -> Germ:
        """center + side * w**q."""
        step = Laurent.constant(arb(side), w0).shifted(q)
        return Germ({ONE: step + Laurent.constant(center, w0)}, w0, q)

    def work(self) -> float:
        """What a step with such costs, about."""
        return 0.7 * flint.ctx.cap * (0.5 + flint.ctx.prec / 400)

    def constant(self, value: Any) -> Germ:
        return self.of(Laurent.constant(as_arb(value), self.w0))

    def of(self, x: Laurent, key: Key = ONE) -> Germ:
        return Germ({key: x}, self.w0, self.q)

    def of_ball(self, value: Arb) -> Germ:
        return self.of(Laurent.constant(value, self.w0))

    def decided(self) -> bool:
        """Whether the sign may be asked for."""
        return bool(self.parts)

    def _lift(self, other: Any) -> Germ:
        return other if isinstance(other, Germ) else self.constant(other)

    # -- scales ---------------------------------------------------------------------------

    def dominant(self) -> tuple[Key, Laurent]:
        """The scale that outgrows the others as w goes to 0."""
        if not self.parts:
            raise NoExpansionError("zero throughout")
        key = max(self.parts, key=self._growth)
        return key, self.parts[key]

    def _growth(self, key: Key) -> Any:
        rate, k = key
        return rate[:HIGHEST], rate[HIGHEST] - self.parts[key].v, k

    def scale_bound(self, key: Key, v: int) -> Arb:
        """An upper bound of exp(r(1/w)) * w**v * |log z|**k on (0, w0]; may be infinite."""
        rate, k = key
        u = v - rate[HIGHEST]
        w0, big = self.w0, arb.pos_inf()
        if not any(rate[:HIGHEST]):
            if u < 0 or (u == 0 and k):
                return big
            if u == 0:
                return arb(1)
            peak = (-as_arb(k / u)).exp()
            w = min(peak, w0)
            return (w ** as_arb(u) * abs(self.q * w.log()) ** k).upper()
        z0 = 1 / w0
        degree = next(HIGHEST - i for i, c in enumerate(rate[:HIGHEST]) if c)
        slope = -as_arb(rate[HIGHEST - degree])
        for j in range(1, degree):
            c = rate[HIGHEST - j]
            if c > 0:
                slope = slope - as_arb(c) * z0 ** (j - degree)
        slope = slope * z0 ** (degree - 1)
        if not slope > 0:
            return big
        power = as_arb(k - u)
        at = z0 if k <= u or power / slope < z0 else power / slope
        return ((-slope * at).exp() * at**power * abs(self.q) ** k).upper()

    def _prune(self) -> None:
        """Let the scale at the end, as a ball, stand for all that are smaller."""
        order = sorted(self.parts, key=self._growth, reverse=True)
        flat = [k for k in order[: PARTS + 2] if k[1] == 0]
        if not flat:
            raise NoExpansionError("too many scales")
        last = flat[-1]
        base = self.parts[last]
        rest = arb(0)
        for key in order[order.index(last) + 1 :]:
            x = self.parts.pop(key)
            between = (relative(key[0], last[0]), key[1])
            bound = self.scale_bound(between, x.v - base.v) * abs(x.unit_range()).upper()
            if not bound.is_finite():
                raise NoExpansionError("too many scales")
            rest = rest + bound
        self.parts[last] = base + Laurent(base.v, [hull(rest)], self.w0)

    def bound(self) -> Arb:
        """An upper bound of the absolute value on (0, w0]."""
        total = arb(0)
        for key, x in self.parts.items():
            total = total + self.scale_bound(key, x.v) * abs(x.unit_range()).upper()
        return total

    def split(self) -> tuple[Key, Laurent, Germ]:
        """(dominant key, its expansion, the rest relative to it), the rest proved small."""
        key, lead = self.dominant()
        if key[1]:
            raise NoExpansionError("a logarithm leads")
        if not lead.leads:
            raise ImpreciseError("the leading coefficient may be zero")
        inverse = compose(lead.shifted(-lead.v), "inv").shifted(-lead.v)
        rest: dict[Key, Laurent] = {}
        for k, x in self.parts.items():
            if k != key:
                put(rest, k[0], key[0], -1, k[1], x * inverse)
        small = Germ(rest, self.w0, self.q)
        if not small.bound() < 0.5:
            raise NoExpansionError("w0 is too great")
        return key, lead, small

    def direction(self) -> int:
        if not self.parts:
            return 0
        _, lead, _ = self.split()
        values = lead.unit_range()
        if values > 0:
            return 1
        if values < 0:
            return -1
        raise UndecidedError

    def small(self, name: str, center: Any) -> Germ:
        """g(center + this) for a this that is small on other scales; K terms and a ball."""
        sigma = self.bound()
        if not sigma < 1:
            raise NoExpansionError("w0 is too great")
        taylor = TAYLOR[name]
        c = as_arb(center)
        terms = taylor(c, TERMS)
        last = taylor(arb(c, sigma), TERMS + 1)[TERMS]
        out = self.of(Laurent(0, [last], self.w0))
        for a in reversed(terms):
            out = out * self + self.of(Laurent.constant(a, self.w0))
        return out

    # -- arithmetic -----------------------------------------------------------------------

    def __add__(self, other: Any) -> Germ:
        o = self._lift(other)
        parts = dict(self.parts)
        for k, x in o.parts.items():
            parts[k] = parts[k] + x if k in parts else x
        return Germ(parts, self.w0, self.q)

    __radd__ = __add__

    def __neg__(self) -> Germ:
        return Germ({k: -x for k, x in self.parts.items()}, self.w0, self.q)

    def __sub__(self, other: Any) -> Germ:
        return self + (-self._lift(other))

    def __rsub__(self, other: Any) -> Germ:
        return self._lift(other) - self

    def __mul__(self, other: Any) -> Germ:
        if not isinstance(other, Germ):
            c = as_arb(other)
            return Germ({k: x.scaled(c) for k, x in self.parts.items()}, self.w0, self.q)
        parts: dict[Key, Laurent] = {}
        for (r, i), x in self.parts.items():
            for (s, j), y in other.parts.items():
                put(parts, r, s, 1, i + j, x * y)
        return Germ(parts, self.w0, self.q)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Germ:
        if not isinstance(other, Germ):
            return self * (1 / Fraction(other))
        return self * other.power(-1)

    def __rtruediv__(self, other: Any) -> Germ:
        return self._lift(other) * self.power(-1)

    def __pow__(self, other: Any) -> Germ:
        return self.power(other)

    def power(self, p: Any) -> Germ:
        if isinstance(p, Germ):
            c = _rational(p)
            if c is None:
                return (p * self.log()).exp()
            p = c
        p = Fraction(p)
        if p.denominator == 1 and 0 <= p <= 16:
            out = self.constant(1)
            for _ in range(int(p)):
                out = out * self
            return out
        (rate, _), lead, small = self.split()
        unit = lead.shifted(-lead.v)
        if p.denominator == 1:
            whole = compose(unit, "inv") if p < 0 else unit
            core = whole
            for _ in range(int(abs(p)) - 1):
                core = core * whole
        elif p.denominator == 2:
            root = compose(unit, "sqrt")
            core = root
            for _ in range(int(abs(p) - Fraction(1, 2))):
                core = core * unit
            core = core if p > 0 else compose(core, "inv")
        else:
            core = compose(compose(unit, "log").scaled(as_arb(p)), "exp")
        down = (lead.v - rate[HIGHEST]) * p
        whole_v = math.ceil(down)
        scale = Rate([*[c * p for c in rate[:HIGHEST]], whole_v - down])
        found = self.of(core.shifted(whole_v), (scale, 0))
        if not small.parts:
            return found
        if p == -1:
            return found * small.small("inv", 1)
        if p == Fraction(1, 2):
            return found * small.small("sqrt", 1)
        return found * (small.small("log", 1) * p).small("exp", 0)

    def sqrt(self) -> Germ:
        return self.power(Fraction(1, 2)) if self.parts else self

    def cbrt(self) -> Germ:
        third = Fraction(1, 3)
        return -((-self).power(third)) if self.direction() < 0 else self.power(third)

    # -- order ------------------------------------------------------------------------------

    def __lt__(self, other: Any) -> bool:
        if infinite(other):
            return other > 0
        return (self - other).direction() < 0

    def __gt__(self, other: Any) -> bool:
        if infinite(other):
            return other < 0
        return (self - other).direction() > 0

    def __le__(self, other: Any) -> bool:
        if infinite(other):
            return other > 0
        return (self - other).direction() <= 0

    def __ge__(self, other: Any) -> bool:
        if infinite(other):
            return other < 0
        return (self - other).direction() >= 0

    def __eq__(self, other: object) -> bool:
        if infinite(other):
            return False
        return (self - other).direction() == 0

    def __ne__(self, other: object) -> Any:
        if infinite(other):
            return True
        difference = self - other
        try:
            return difference.direction() != 0
        except (NoExpansionError, UndecidedError):
            parts = difference.parts.values()
            if any(not c.contains(0) for x in parts for c in x.c[:-1]):
                return ALMOST
            raise

    __hash__ = None  # type: ignore[assignment]

    def __abs__(self) -> Germ:
        return self if self.direction() >= 0 else -self

    abs = __abs__

    def sign(self) -> Germ:
        return self.constant(self.direction())

    def maximum(self, other: Any) -> Germ:
        return self._lift(other) if self < other else self

    def minimum(self, other: Any) -> Germ:
        return self if self < other else self._lift(other)


def _rational(x: Germ) -> Fraction | None:
    """The number that a germ is, if it is an exact one."""
    if not x.parts:
        return Fraction(0)
    if set(x.parts) != {ONE} or x.parts[ONE].v or any(not c.is_zero() for c in x.parts[ONE].c[1:]):
        return None
    return exact_value(x.parts[ONE].c[0])
