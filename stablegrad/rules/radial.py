"""Slopes of functions of a length that are smooth at the origin, and differentiated as such.

The slope of f(r) by x is f'(r) x/r, and x/r has no limit at the origin: what is differentiated
again has 0 there by convention, where f''(0) is meant, and cancels near it. Where f'(r)/r is a
function with a name the slope is that times x, and all of this is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.canonical import canonical
from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational, exact
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import VARIABLE, Op
from stablegrad.oracle.truth import taylor
from stablegrad.rules.databases import stabilize
from stablegrad.rules.removable import OVER
from stablegrad.rules.simpler import other_addends, other_factors, unshaped

LENGTHS = {"hypot_unit": "hypot", "unit_vector": "norm"}
"""Directions, and the lengths that they are by."""


@cache
def _quotients() -> dict[str, str]:
    """By function f the op that is f(x)/x, as its record spells it."""
    found: dict[str, str] = {}
    x = make(VARIABLE, (), ("x",), (), np.dtype(np.float64))
    for name, op in OPS.items():
        if not (op.elementwise and op.spellings and len(op.domain) == 1) or op.params:
            continue
        powers = forms.factors(canonical(op.spellings[0](x)))
        above = next((f for f, p in powers.items() if p == 1 and f.args == (x,)), None)
        if above is not None and powers == {above: 1, x: -1}:
            found[above.op.name] = name
    return found


@cache
def _slope_at_0(op: Op, params: tuple[Any, ...]) -> float:
    """The slope at 0 of a function that is 0 there; else 0."""
    if not op.elementwise or op in (AFFINE, MONOMIAL):
        return 0.0
    x = make(VARIABLE, (), ("x",), (), np.dtype(np.float64))
    y = op.term((x,), params)
    value, slope = taylor(y, {x: np.zeros(1)}, 1, direction={x: 1.0})
    known = value.decided[0] and slope.decided[0] and value.value[0] == 0
    return float(slope.value[0]) if known and np.isfinite(slope.value[0]) else 0.0


def _over(f: Term, length: Term) -> Term | None:
    """f over a length, if that has no pole: an op, or a sum of multiples."""
    if f is length:
        return forms.const(1, f.dtype, f.shape)
    if f.args == (length,) and f.op.name in _quotients():
        return OPS[_quotients()[f.op.name]](length)
    if f.args == (length,) and (slope := _slope_at_0(f.op, f.params)):
        at_0 = forms.const(exact(slope), f.dtype, f.shape)
        quotient = forms.product([f, forms.power(length, -1)])
        return OPS["where"](OPS["equal"](length, 0.0), at_0, quotient)
    if f.op.name == "hypot_unit" and f.args[0] is length:
        return forms.power(OPS["hypot"](*f.args), -1)
    if f.op is MONOMIAL:
        for x, p in forms.factors(f).items():
            left = _over(x, length) if p == 1 and x is not f and x.op is not MONOMIAL else None
            if left is not None:
                return forms.with_shape(forms.product([left, other_factors(f, x)]), f.shape)
    if f.op is AFFINE and f.params[0] == 0:
        return _sum_over(f, length)
    return None


def _sum_over(total: Term, length: Term) -> Term | None:
    """A sum over a length: multiples of that, and of the squares that it is made of."""
    items: dict[Term, Rational] = dict(zip(total.args, total.params[1], strict=True))
    parts: list[tuple[Rational, Term]] = []
    squares = _squares(length)
    alike = len({items.get(s) for s in squares}) == 1 and squares[0] in items
    if alike and not (length.op.name == "hypot" and len(squares) == 1):
        parts.append((items[squares[0]], length))
        items = {x: c for x, c in items.items() if x not in squares}
    for x, c in items.items():
        left = _over(x, length) if x.op is not AFFINE else None
        if left is None:
            return None
        parts.append((c, left))
    return forms.total(parts, total.shape, total.dtype)


def _squares(length: Term) -> list[Term]:
    """The addends of the square of a length."""
    if length.op.name == "hypot":
        return [forms.power(x, 2) for x in dict.fromkeys(length.args)]
    axes, kept = length.params
    return [OPS["sum"](forms.power(length.args[0], 2), axis=axes, keepdims=kept)]


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["sinh"](OPS["hypot"](x, y)) * OPS["hypot_unit"](x, y),
    source="sinh(r) x/r = sinhc(r) x",
    group="quotients",
    among=tuple(LENGTHS),
)
def slope_of_function_of_length(term: Term) -> Term | None:
    """sinh(r)*x/r, the slope of cosh(r), has no slope at the origin; x*sinh(r)/r has."""
    powers = forms.factors(term)
    for unit, p in powers.items():
        if unit.op.name not in LENGTHS or not isinstance(p, int) or p < 1:
            continue
        for f, q in powers.items():
            inner = f.args[0] if f.op.name == "reshape" and unit.op.name == "unit_vector" else f
            length = _length(unit, inner) if q == 1 and f is not unit else None
            if length is None:
                continue
            rest = [forms.power(unit, p - 1), other_factors(term, unit, f)]
            if f.op.name == "hypot_unit" and f.args[0] is length and len(unit.args) == 2:
                x, y = unit.args
                slope = OPS["hypot_unit"](x, OPS["hypot"](y, f.args[1]))
                return forms.with_shape(forms.product([slope, *rest]), term.shape)
            left = _over(inner, length)
            if left is None:
                continue
            if inner is not f:
                left = OPS["reshape"](left, shape=f.shape)
            return forms.with_shape(forms.product([left, _leg(unit, inner), *rest]), term.shape)
    return None


EVEN: dict[str, tuple[int, Callable[[Term], Term]]] = {
    "cosm1": (1, lambda u: -OPS["one_minus_cos_over_square"](u)),
    "coshm1": (1, OVER["coshm1"][0]),
    "sin": (2, lambda u: forms.power(OPS["sinc_unnormalised"](u), 2)),
    "sinh": (2, lambda u: forms.power(OPS["sinhc"](u), 2)),
}
"""Functions of which a power vanishes with the square of their argument; and that over it."""
NEAR = 2.0
"""The lengths below which such quotients are functions of their own."""


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["cosm1"](OPS["hypot"](x, y)) / (x * x + y * y),
    source="(1 - cos(r))/r**2 is smooth at the origin",
    group="quotients",
    among=tuple(EVEN),
)
def function_over_square_of_length(term: Term) -> Term | None:
    """(1 - cos(norm(x)))/norm(x)**2, a part of a rotation: at the origin it is 0/0."""
    powers = forms.factors(term)
    for f, p in powers.items():
        n, quotient = EVEN.get(f.op.name, (0, None))
        c, length = forms.split(f.args[0]) if quotient and p == n else (0, f)
        if length.op.name not in LENGTHS.values():
            continue
        parts: list[tuple[Rational, Term]] = [(1, x) for x in _squares(length)]
        square = forms.total(parts, length.shape, term.dtype)
        low = next((x for x in powers if unshaped(x) is unshaped(square)), None)
        q = 0 if low is None else powers[low]
        if quotient is None or low is None or not (isinstance(q, int) and q < 0):
            continue
        small = OPS["less"](length, NEAR)
        over = forms.scale(forms.exact_ratio(Fraction(c) ** 2), quotient(f.args[0]))
        others = other_factors(term, f, low)
        near = forms.product([over, forms.power(low, q + 1), others])
        moved = f.op(OPS["where"](small, NEAR, f.args[0]))
        far = forms.product([forms.power(moved, n), forms.power(low, q), others])
        return forms.with_shape(OPS["where"](small, near, far), term.shape)
    return None


def _leg(unit: Term, f: Term) -> Term:
    """The leg of a direction; beside an infinite one it is no number times what is unbounded."""
    leg = unit.args[0]
    if len(unit.args) == 1 or np.isfinite([f.facts.lo, f.facts.hi]).all():
        return leg
    return OPS["require"](leg, OPS["isfinite"](unit.args[1]))


def _length(unit: Term, f: Term) -> Term | None:
    """The length of a direction, if a function is made of it, few steps down."""
    level = [f]
    for _ in range(DEEPEST):
        for t in level:
            alike = unit.op.name == "unit_vector" or set(t.args) == set(unit.args)
            if t.op.name == LENGTHS[unit.op.name] and alike and t.args[0] in unit.args:
                return t
        level = [a for t in level for a in t.args][:MOST]
    return None


DEEPEST, MOST = 4, 16
"""Steps down, and terms of a step, in which a length is looked for."""


@stabilize.procedure(
    "affine",
    example=lambda x: 2 * OPS["i0"](x) - 4 * OPS["i1"](x) / x,
    source="DLMF 10.6.1, 10.29.1",
    group="differences",
    among=("i1", "bessel_i", "bessel_j"),
)
def bessel_function_less_the_next(term: Term) -> Term | None:
    """I_(n-1)(x) - 2*n*I_n(x)/x, of slopes by what x is a length of, cancels for small x."""
    parts = dict(zip(term.args, term.params[1], strict=True))
    for t, c in parts.items():
        powers = forms.factors(t) if t.op is MONOMIAL else {}
        f = next((f for f in powers if _order(f) > 0 and powers == {f: 1, f.args[0]: -1}), None)
        if f is None:
            continue
        n = _order(f)
        (x,) = f.args
        kind = OPS["bessel_j" if f.op.name == "bessel_j" else "bessel_i"]
        for lower, d in parts.items():
            alike = (lower.op.name == "bessel_j") == (kind.name == "bessel_j")
            if alike and lower.args == (x,) and _order(lower) == n - 1 and c == -2 * n * d:
                sign = -1 if kind.name == "bessel_j" else 1
                left = [(sign * d, kind(x, n=n + 1)), *other_addends(term, t, lower)]
                return forms.total(left, term.shape, term.dtype)
    return None


def _order(f: Term) -> int:
    """The whole order of a Bessel function; of others one that has no neighbour."""
    if f.op.name in ("bessel_i", "bessel_j"):
        return f.params[0]
    return {"i0": 0, "i1": 1}.get(f.op.name, -9)
