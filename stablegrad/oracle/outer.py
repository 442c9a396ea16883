"""Functions by name, as expansions are put into them: Taylor coefficients, and complex balls."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import flint
from flint import acb, arb

from stablegrad.oracle.jets import Jet
from stablegrad.oracle.laurent import Laurent
from stablegrad.oracle.walk import NoExpansionError

Arb = Any


def exact_value(c: Arb) -> Fraction | None:
    """The rational that a ball without a radius is."""
    if not c.is_exact() or not c.is_finite():
        return None
    mantissa, exponent = c.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def compose(x: Laurent, name: str) -> Laurent:
    """The function of this name of an expansion that stays finite."""
    if x.v < 0:
        raise NoExpansionError(f"{name} at infinity")
    return x.compose(TAYLOR[name], DISK[name])


def _method(name: str) -> Any:
    def taylor(c: Arb, length: int) -> list[Arb]:
        cap = flint.ctx.cap
        flint.ctx.cap = length
        try:
            found = getattr(flint.arb_series([c, 1]), name)().coeffs()
        finally:
            flint.ctx.cap = cap
        return found + [arb(0)] * (length - len(found))

    return taylor


def _jet(name: str) -> Any:
    """Taylor coefficients and disk values as the jets have them."""

    def taylor(c: Arb, length: int) -> list[Arb]:
        cap = flint.ctx.cap
        flint.ctx.cap = length
        try:
            found = getattr(Jet(flint.arb_series([c, 1]), [], c), name)().series.coeffs()
        finally:
            flint.ctx.cap = cap
        return found + [arb(0)] * (length - len(found))

    def disk(z: Any) -> Any:
        return getattr(Jet(flint.arb_series([0]), [z], arb(0)), name)().disk[0]

    return taylor, disk


TAYLOR: dict[str, Any] = {
    name: _method({"arctan": "atan", "arcsin": "asin", "arccos": "acos"}.get(name, name))
    for name in "exp log sqrt inv sin cos tan arctan arcsin arccos erf erfc lgamma".split()
}
DISK: dict[str, Any] = {
    "exp": acb.exp,
    "inv": lambda z: 1 / z,
    **{name: _jet(name)[1] for name in "log sqrt sin cos tan arctan erf erfc".split()},
    **{name: _jet(name)[1] for name in "arcsin arccos lgamma sinh tanh".split()},
}
TAYLOR["sinh"], TAYLOR["tanh"] = _jet("sinh")[0], _jet("tanh")[0]
