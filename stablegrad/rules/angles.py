"""Angles: small ones, differences of circular functions, inverse pairs, arcs on a sphere."""

from __future__ import annotations

from typing import Any

from stablegrad.canonical import canonical
from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exponential import exp
from stablegrad.ops.hyperbolic import cosh, sinh
from stablegrad.ops.record import is_const
from stablegrad.ops.trigonometric import arccos, arcsin, cos, sin
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import neighbours, opposite_pair, simpler_difference, single
from stablegrad.rules.softmax import axes_of

Pair = tuple[Any, Any]
rule = stabilize.rule


@rule(source="DLMF 4.21.12", group="angles")
def one_minus_sine_squared(x: Term) -> Pair:
    """1 - sin(x)**2 cancels near the tops of the sine."""
    return 1 - sin(x) ** 2, cos(x) ** 2


@rule(source="DLMF 4.21.12", group="angles")
def one_minus_cosine_squared(x: Term) -> Pair:
    """1 - cos(x)**2 cancels near 0."""
    return 1 - cos(x) ** 2, sin(x) ** 2


@rule(source="DLMF 4.21.12", group="angles")
def sum_of_squared_sine_and_cosine(x: Term) -> Pair:
    """sin(x)**2 + cos(x)**2 is 1, and its derivatives are exactly 0."""
    return sin(x) ** 2 + cos(x) ** 2, OPS["require"](1 + 0 * x, OPS["isfinite"](x))


@rule(source="DLMF 4.35.11", group="angles")
def cosh_squared_minus_one(x: Term) -> Pair:
    """cosh(x)**2 - 1, which is 1/sech(x)**2 - 1 by now, cancels near 0."""
    return 1 / OPS["sech_squared"](x) - 1, sinh(x) ** 2


@rule(source="DLMF 4.35.11", group="angles")
def difference_of_squared_cosh_and_sinh(x: Term) -> Pair:
    """cosh(x)**2 - sinh(x)**2 is 1; both overflow."""
    return 1 / OPS["sech_squared"](x) - sinh(x) ** 2, OPS["require"](1 + 0 * x, OPS["isfinite"](x))


@rule(source="DLMF 4.28.1", group="angles")
def difference_of_cosh_and_sinh(x: Term) -> Pair:
    """cosh(x) - sinh(x) is exp(-x); far out both overflow, and before that nothing is left."""
    return cosh(x) - sinh(x), exp(-x)


@rule(source="DLMF 4.28.1", group="angles")
def sum_of_cosh_and_sinh(x: Term) -> Pair:
    """cosh(x) + sinh(x) is exp(x), also where x is far below 0."""
    return cosh(x) + sinh(x), exp(x)


@rule(source="DLMF 4.21.29", group="angles")
def one_plus_cosine(x: Term) -> Pair:
    """1 + cos(x) cancels near pi."""
    return 1 + cos(x), 2 * cos(x / 2) ** 2


@rule(source="DLMF 4.21.30", group="angles")
def tangent_of_half(x: Term) -> Pair:
    """(1 - cos(x))/sin(x) is the tangent of half the angle."""
    return OPS["cosm1"](x) / sin(x), -OPS["tan"](x / 2)


@rule(
    source="the cosine in [-1, 1] determines an angle in [0, pi]",
    group="angles",
    rises="arccos loses half the digits near 1, arctan2 none",
)
def arccos_of_cosine(x: Term) -> Pair:
    """arccos(cos(x)) loses half the digits near 0."""
    return arccos(cos(x)), OPS["arctan2"](OPS["abs"](sin(x)), cos(x))


@rule(
    source="the sine in [-1, 1] determines an angle in [-pi/2, pi/2]",
    group="angles",
    rises="arcsin loses half the digits near 1, arctan2 none",
)
def arcsin_of_sine(x: Term) -> Pair:
    """arcsin(sin(x)) loses half the digits near pi/2."""
    return arcsin(sin(x)), OPS["arctan2"](sin(x), OPS["abs"](cos(x)))


@stabilize.procedure(
    "arccos",
    "arcsin",
    example=lambda x, y: arccos(x / OPS["hypot"](x, y)),
    source="the angle of a right triangle by its legs",
    group="angles",
    among=("hypot",),
)
def angle_in_right_triangle(term: Term) -> Term | None:
    """arccos(x/sqrt(x*x + y*y)) loses half the digits where one leg is short, arctan2 none."""
    sign, core = forms.split(term.args[0])
    legs = forms.factors(core)
    for h, p in legs.items():
        if h.op.name != "hypot" or p != -1:
            continue
        rest = [(a, q) for a, q in legs.items() if a is not h]
        x: Term | None = None
        if len(rest) == 1 and rest[0][1] == 1 and sign in (1, -1):
            x = rest[0][0]
        elif not rest:  # the leg is a number
            x, sign = forms.const(abs(sign), term.dtype), 1 if sign > 0 else -1
        others = _other_legs(h, x) if x is not None else None
        if x is None or others is None:
            continue
        leg = forms.scale(sign, x)
        angle = OPS["arctan2"](*((others, leg) if term.op.name == "arccos" else (leg, others)))
        for guard in (OPS["not_equal"](h, 0.0), OPS["isfinite"](leg)):
            angle = OPS["require"](angle, guard)
        return forms.with_shape(angle, term.shape)
    return None


def _other_legs(h: Term, x: Term) -> Term | None:
    """The length of the other legs of a hypotenuse, of any number of them; None without ``x``."""
    legs: list[Term] = []
    rest = [h]
    while rest:
        t = rest.pop()
        if t.op.name == "hypot":
            rest += t.args
        else:
            legs.append(t)
    others = [t for t in legs if t is not x]
    if len(others) != len(legs) - 1:
        return None
    length = OPS["abs"](others[0])
    for other in others[1:]:
        length = OPS["hypot"](length, other)
    return length


def _half(x: Term) -> Term:
    return x / 2


def _difference(term: Term, name: str, between: str, factor: int) -> Term | None:
    """c*f(a) - c*f(b): of neighbours factor * f'((a + b)/2) * sin((a - b)/2), up to the sign."""
    found = opposite_pair(term, name)
    if found is None:
        return None
    c, (a,), (b,) = found[0], found[1].args, found[2].args
    near = neighbours(a, b)
    if near is not None:
        sign, base, step = near
        result = factor * sign * OPS[between](base, -_half(step)) * sin(_half(step))
    elif single(a) and single(b):
        result = OPS[f"{name}_gap"](a, b)
    else:
        return None
    return forms.with_shape(forms.product([forms.const(c, term.dtype), result]), term.shape)


@stabilize.procedure(
    "affine",
    example=lambda a, b: cos(a) - cos(b),
    source="DLMF 4.21.8",
    group="angles",
    among=("cos",),
)
def difference_of_cosines(term: Term) -> Term | None:
    """cos(a) - cos(b) cancels where a is near b, and near -b."""
    return _difference(term, "cos", "sin_of_difference", -2)


@stabilize.procedure(
    "affine",
    example=lambda a, b: sin(a) - sin(b),
    source="DLMF 4.21.7",
    group="angles",
    among=("sin",),
)
def difference_of_sines(term: Term) -> Term | None:
    """sin(a) - sin(b) cancels where a is near b."""
    return _difference(term, "sin", "cos_of_difference", 2)


@stabilize.procedure(
    "affine",
    example=lambda b, h: OPS["tan"](b + h) - OPS["tan"](b),
    source="sin(a - b)/(cos(a)*cos(b))",
    group="angles",
    among=("tan",),
)
def difference_of_tangents(term: Term) -> Term | None:
    """tan(a) - tan(b) cancels where a is near b; fires where a - b is simpler than a."""
    found = opposite_pair(term, "tan")
    if found is None:
        return None
    c, (a,), (b,) = found[0], found[1].args, found[2].args
    near = neighbours(a, b)
    if near is None:
        return None
    sign, base, step = near
    result = sign * sin(step) / (OPS["cos_of_difference"](base, -step) * cos(base))
    return forms.with_shape(forms.product([forms.const(c, term.dtype), result]), term.shape)


@stabilize.procedure(
    "affine",
    example=lambda a, b: OPS["arctan"](a) - OPS["arctan"](b),
    source="arctan2(a - b, 1 + a*b)",
    group="angles",
    among=("arctan",),
)
def difference_of_arctangents(term: Term) -> Term | None:
    """arctan(a) - arctan(b) cancels where a is near b, and where both are large."""
    found = opposite_pair(term, "arctan")
    if found is None:
        return None
    c, (a,), (b,) = found[0], found[1].args, found[2].args
    step = simpler_difference(a, b)
    if step is not None:
        result = OPS["arctan2"](step, 1 + a * b)
    elif single(a) and single(b):
        result = OPS["arctan_gap"](a, b)
    else:
        return None
    return forms.with_shape(forms.product([forms.const(c, term.dtype), result]), term.shape)


# -- arcs ---------------------------------------------------------------------------------


@stabilize.procedure(
    "arccos",
    example=lambda a, b, d: arccos(sin(a) * sin(b) + cos(a) * cos(b) * cos(d)),
    source="Vincenty 1975",
    group="angles",
)
def law_of_cosines(term: Term) -> Term | None:
    """The great circle from latitudes a and b and a longitude d: arccos is blind near 1.

    The arc is arctan2 of its sine and cosine, and the sine has no cancellation when
    cos(a)*sin(b) - sin(a)*cos(b)*cos(d) is sin(b - a) + 2*sin(a)*cos(b)*sin(d/2)**2.
    """
    (c,) = term.args
    if c.op is not forms.AFFINE or c.params != (0, (1, 1)):
        return None
    for sines, cosines in (c.args, c.args[::-1]):
        found = _latitudes(sines, cosines)
        if found is None:
            continue
        a, b, d = found
        half = sin(d / 2)
        north = OPS["sin_of_difference"](b, a) + 2 * sin(a) * cos(b) * half * half
        arc = OPS["hypot"](cos(b) * sin(d), north)
        return forms.with_shape(OPS["arctan2"](arc, c), term.shape)
    return None


def _latitudes(sines: Term, cosines: Term) -> tuple[Term, Term, Term] | None:
    """The a, b, d of sin(a)*sin(b) and cos(a)*cos(b)*cos(d)."""
    ones = all(t.op is forms.MONOMIAL and set(t.params[0]) == {1} for t in (sines, cosines))
    if not ones or len(sines.args) != 2 or len(cosines.args) != 3:
        return None
    if any(x.op is not sin for x in sines.args) or any(x.op is not cos for x in cosines.args):
        return None
    a, b = (x.args[0] for x in sines.args)
    rest = [x.args[0] for x in cosines.args if x.args[0] not in (a, b)]
    return (a, b, rest[0]) if len(rest) == 1 else None


@stabilize.procedure(
    "arccos",
    example=lambda x, y: arccos(
        OPS["sum"](OPS["unit_vector"](x, axis=-1) * OPS["unit_vector"](y, axis=-1), axis=-1)
    ),
    source="Kahan 2006",
    group="vectors",
)
def angle_between_vectors(term: Term) -> Term | None:
    """arccos of a cosine similarity is blind to small angles, whether it was clipped or not."""
    (c,) = term.args
    if c.op.name == "clip" and all(b.op is forms.const(0, b.dtype).op for b in c.args[1:]):
        low, high = (b.params[0] for b in c.args[1:])
        if not (isinstance(low, str) or isinstance(high, str)) and low <= -1 and high >= 1:
            c = c.args[0]
    if c.op.name == "minimum" and any(is_const(a, 1) for a in c.args):
        c = next(a for a in c.args if not is_const(a, 1))
    size = c.op.name == "abs"  # of lines, or of quaternions, of which q and -q are one
    c = c.args[0] if size else c
    if c.op.name != "sum" or c.args[0].op is not forms.MONOMIAL:
        return None
    units = c.args[0]
    if units.params[0] != (1, 1) or any(u.op.name != "unit_vector" for u in units.args):
        return None
    u, v = units.args
    axis = c.param("axis")
    if u.param("axis") != axis or v.param("axis") != axis or u.shape != v.shape:
        return None
    x, y = u.args[0], v.args[0]
    if size:
        kept = OPS["sum"](units, axis=axis, keepdims=True)
        x = OPS["where"](OPS["less"](kept, 0.0), forms.scale(-1, x), x)
    return OPS["vector_angle"](x, y, axis=axis, keepdims=c.param("keepdims"))


@stabilize.procedure(
    "arctan2",
    example=lambda x, y: OPS["arctan2"](
        _entry(_plane(x), 0) * _entry(_plane(y), 1) - _entry(_plane(x), 1) * _entry(_plane(y), 0),
        OPS["sum"](_plane(x) * _plane(y), axis=-1),
    ),
    source="the sum written out",
    group="angles",
    among=("sum",),
)
def turn_of_vectors(term: Term) -> Term | None:
    """The angle between vectors of the plane, its cosine a sum: both products leave the range."""
    across, along = term.args
    whole = along.op.name == "sum" and along.args[0].op is forms.MONOMIAL
    vectors = forms.factors(along.args[0]) if whole else {}
    if len(vectors) != 2 or any(x.shape[-1:] != (2,) or p != 1 for x, p in vectors.items()):
        return None
    x, y = vectors
    last = axes_of(along.param("axis"), x.ndim) == (x.ndim - 1,)
    if x.shape != y.shape or along.shape != x.shape[:-1] or not last:
        return None
    written = _entry(x, 0) * _entry(y, 0) + _entry(x, 1) * _entry(y, 1)
    difference = _entry(x, 0) * _entry(y, 1) - _entry(x, 1) * _entry(y, 0)
    if all(canonical(d) is not across for d in (difference, -difference)):
        return None
    return OPS["arctan2"](across, canonical(written))


def _entry(x: Term, i: int) -> Term:
    return OPS["getitem"](x, index=(..., i))


def _plane(x: Term) -> Term:
    return OPS["getitem"](x, index=(..., slice(0, 2)))
