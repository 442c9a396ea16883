"""Where a function of one variable is defined, changes sign, and vanishes: for synthesis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np
from flint import arb, arb_series

from stablegrad.ir import Term
from stablegrad.oracle.jets import Jet
from stablegrad.oracle.precision import precision
from stablegrad.oracle.rounding import Status
from stablegrad.oracle.truth import truth
from stablegrad.oracle.walk import HopelessError, ImpreciseError, NoExpansionError, walk

Arb = Any
SIGNS = (160, 800, 4000)
ROOT_BITS = 400
UNDEFINED = 2
"""What ``sign`` says where there is no value."""
UNKNOWN = 3
"""What ``sign`` says where there may be a value, but none is found."""


def _taylor(term: Term, variable: Term, at: Arb, length: int) -> Any:
    cap = flint.ctx.cap
    flint.ctx.cap = length
    try:
        return walk(term, variable, Jet(arb_series([at, 1]), [], at)).series
    finally:
        flint.ctx.cap = cap


def sign(term: Term, variable: Term, x: float) -> int:
    """The sign of a function at a float: -1, 0, 1, or UNKNOWN where no value is found."""
    for bits in SIGNS:
        with precision(bits):
            try:
                value = _taylor(term, variable, arb(x), 1)[0]
            except ImpreciseError:
                continue
            except HopelessError:
                return UNKNOWN
            except NoExpansionError:
                if bits == SIGNS[0]:
                    continue
                return UNKNOWN
            if value > 0:
                return 1
            if value < 0:
                return -1
            if value.is_zero():
                return 0
    return UNKNOWN


def signs(term: Term, variable: Term, xs: list[float]) -> list[int]:
    """The sign of a function at floats: -1, 0, 1, UNDEFINED or UNKNOWN."""
    found = [sign(term, variable, x) for x in xs]
    rest = [i for i, s in enumerate(found) if s == UNKNOWN]
    if rest:
        at = np.array([xs[i] for i in rest])
        settled = truth(term, {variable: at}, budget=SIGNS[1], limits=False)
        for i, value, status in zip(rest, settled.value, settled.status, strict=True):
            if status == Status.UNDEFINED or np.isinf(value):
                found[i] = UNDEFINED
    return found


@dataclass(frozen=True, slots=True)
class Zero:
    """A simple zero: the float nearest to it, the rest, and a ball that holds it."""

    hi: float
    lo: float
    ball: Any


def zero(term: Term, variable: Term, low: float, high: float) -> Zero | None:
    """The zero between two floats where the function has opposite signs, proved; or None."""
    first = sign(term, variable, low)
    for _ in range(12):
        middle = low + (high - low) / 2
        here = sign(term, variable, middle)
        if here == 0:
            return Zero(middle, 0.0, arb(middle))
        if here >= UNDEFINED:
            return None
        low, high = (middle, high) if here == first else (low, middle)
    with precision(ROOT_BITS):
        x = arb(low + (high - low) / 2)
        for _ in range(14):
            try:
                f = _taylor(term, variable, x, 2)
            except NoExpansionError:
                return None
            if not f[1].is_finite() or f[1].contains(0):
                return None
            step = (f[0] / f[1]).mid()
            x = (x - step).mid()
            if not (x >= low and x <= high):
                return None
            if abs(step) <= abs(x) * arb(2) ** (30 - ROOT_BITS):
                break
        around = arb(x, abs(x) * arb(2) ** -280)
        try:
            slope = _taylor(term, variable, around, 2)[1]
            value = _taylor(term, variable, x, 1)[0]
        except NoExpansionError:
            return None
        # an interval Newton step that stays inside proves one zero, and encloses it
        if slope.contains(0) or not slope.is_finite():
            return None
        found = x - value / slope
        if not around.contains(found):
            return None
        hi = float(found.mid())
        exact = arb(hi)
        if found.contains(exact) and sign(term, variable, hi) == 0:
            return Zero(hi, 0.0, exact)
        return Zero(hi, float((found - exact).mid()), found)


def edge(term: Term, variable: Term, inside: float, outside: float) -> float:
    """The float at which the domain ends between two floats: the last one without a value."""
    for _ in range(120):
        middle = inside + (outside - inside) / 2
        if middle in (inside, outside) or not math.isfinite(middle):
            break
        if sign(term, variable, middle) >= UNDEFINED:
            outside = middle
        else:
            inside = middle
    return outside
