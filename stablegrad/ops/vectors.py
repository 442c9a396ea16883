"""Functions of whole vectors: the angle between two, p-norms, roots and logs of products.

Each is homogeneous, so that its kernel takes powers of two out first and nothing leaves the
range of floats early; each has derivatives in terms of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import forms, norms, pairs
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.exact import Rational, to_float
from stablegrad.ops.pair_exp import LN2
from stablegrad.ops.record import POSITIVE, REAL, interval
from stablegrad.ops.reduction import (
    Axis,
    as_rows,
    every,
    normal_reduction,
    reduce_infer,
    reduced,
    spread,
    widened,
)
from stablegrad.ops.structured import Normal, Params, Terms, structured

_PI_OR_MORE = 3.1415926535897936


# -- angle between vectors ----------------------------------------------------------------


def _angle_kernel(xp: Any, x: Any, y: Any, *, axis: Axis, keepdims: bool) -> Any:
    """arctan2 of the part of y across x and the part along it: neither cancels at small angles."""
    shape = reduced(x.shape, axis, keepdims)
    axes = every(axis, x.ndim)
    x = norms.scaled(xp, as_rows(xp, widened(xp, x), axes), (-1,))[0]
    y = norms.scaled(xp, as_rows(xp, widened(xp, y), axes), (-1,))[0]
    across = OPS["unit_vector_jvp"].kernel(xp, x, y, axis=(x.ndim - 1,))  # over norm(x)
    size = xp.sum(x * x, axis=-1)
    along = xp.sum(x * y, axis=-1)
    # both times norm(x)
    angle = xp.arctan2(norms.norm_kept(xp, across, (-1,))[..., 0] * size, along)
    none = (size == 0) | (xp.sum(y * y, axis=-1) == 0)
    return xp.where(none, xp.nan, angle).reshape(shape)


def _angle_normal(terms: Terms, params: Params) -> Normal:
    shape = np.broadcast_shapes(terms[0].shape, terms[1].shape)
    same = tuple([OPS["broadcast_to"](t, shape=shape) for t in terms])
    return normal_reduction("vector_angle", empty=False)(same, params)


def _turn(x: Term, y: Term, axis: Axis) -> Term:
    """The derivative of the angle by x: straight away from y, over the length of x."""
    across = OPS["unit_vector_jvp"](x, y, axis=axis)
    return -OPS["unit_vector"](across, axis=axis) / norms.norm(x, axis=axis, keepdims=True)


def _angle_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis, keepdims: bool
) -> Term:
    x, y = args
    tx, ty = tangents
    total: Term | None = None
    if tx is not None:
        total = _turn(x, y, axis) * tx
    if ty is not None:
        other = _turn(y, x, axis) * ty
        total = other if total is None else total + other
    assert total is not None
    return OPS["sum"](total, axis=axis, keepdims=keepdims)


def _angle_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    x, y = args
    along = spread(g, x.shape, axis)
    return along * _turn(x, y, axis), along * _turn(y, x, axis)


def _angle_meaning(x: Term, y: Term, *, axis: Axis, keepdims: bool) -> Term:
    dot = OPS["sum"](x * y, axis=axis, keepdims=keepdims)
    sizes = [norms.norm(v, axis=axis, keepdims=keepdims) for v in (x, y)]
    return OPS["arccos"](dot / (sizes[0] * sizes[1]))


vector_angle = structured(
    "vector_angle",
    family="reduction",
    params=("axis", "keepdims"),
    defaults=(None, False),
    normalise=_angle_normal,
    infer=reduce_infer(real_dtype),
    kernel=_angle_kernel,
    spellings=(_angle_meaning,),
    jvp=_angle_jvp,
    vjp=_angle_vjp,
    infer_facts=lambda term: interval(0.0, _PI_OR_MORE, closed=True),
    cost=5,
    ulp=None,
    accuracy="n*eps relative",
    source="Kahan 2006, How futile are mindless assessments of roundoff, section 12",
    doc="The angle in [0, pi] between two vectors; its derivative is 0 where they are parallel.",
    example=">>> sg.ops.vector_angle(sg.tensor([1.0, 0.0]), sg.tensor([1.0, 1e-9])).item()\n"
    "9.999999717180685e-10",
)

# -- p-norms ------------------------------------------------------------------------------


def _p_norm_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, p: Rational) -> Any:
    y, exponent = norms.scaled(xp, xp.abs(widened(xp, x)), axis)
    total = xp.sum(xp.power(y, to_float(p)), axis=axis, keepdims=True)
    size = xp.power(total, 1 / to_float(p))
    return xp.ldexp(size, exponent).reshape(reduced(x.shape, axis, keepdims))


def _p_unit(out: Term, x: Term, *, axis: Axis, keepdims: bool, p: Rational) -> Term:
    """The derivative of the norm: sign(x) * (|x|/norm)**(p - 1), 0 for the zero vector."""
    size = spread(out, x.shape, axis)
    ratio = OPS["power"](OPS["abs"](x) / size, p - 1)
    return OPS["sign"](x) * ratio * OPS["indicator"](OPS["greater"](size, 0.0))


def _p_norm_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term:
    along = _p_unit(out, args[0], **params) * tangents[0]
    return OPS["sum"](along, axis=params["axis"], keepdims=params["keepdims"])


def _p_norm_vjp(out: Term, args: Terms, g: Term, **params: Any) -> Terms:
    (x,) = args
    return (spread(g, x.shape, params["axis"]) * _p_unit(out, x, **params),)


def _p_norm_meaning(x: Term, *, axis: Axis, keepdims: bool, p: Rational) -> Term:
    powers = OPS["power"](OPS["abs"](x), p)
    total = OPS["sum"](powers, axis=axis, keepdims=keepdims)
    return forms.power(total, Fraction(1) / p)  # 1/p itself, no float near it


p_norm = structured(
    "p_norm",
    family="reduction",
    params=("axis", "keepdims", "p"),
    defaults=(None, False, 3),
    normalise=normal_reduction("p_norm"),
    infer=reduce_infer(real_dtype),
    kernel=_p_norm_kernel,
    spellings=(_p_norm_meaning,),
    jvp=_p_norm_jvp,
    vjp=_p_norm_vjp,
    infer_facts=lambda term: Facts(0.0, lo_open=False, defined=term.args[0].facts.defined),
    cost=5,
    ulp=None,
    accuracy="(n/p + 3)*eps relative",
    source="definition, powers of two taken out first",
    doc="sum(|x|**p)**(1/p) for a constant p > 1; its derivative at 0 is 0.",
    example=">>> sg.ops.p_norm(sg.tensor([1e-30, 1e-30]), p=3).item()\n1.2599210822452381e-30",
)

# -- powers and logs of products ----------------------------------------------------------


def _mantissa_product(xp: Any, x: Any, axis: Axis, shape: Any) -> tuple[Any, Any, Any]:
    """The product as (hi + lo) * 2**e with |hi| in [0.7, 1.5), by halves."""
    rows = as_rows(xp, widened(xp, x), every(axis, x.ndim))
    hi, e = xp.frexp(rows)
    lo = 0.0 * hi
    total = xp.sum(e.astype(xp.int64), axis=-1)
    while hi.shape[-1] > 1:
        if hi.shape[-1] % 2:
            one = xp.ones((*hi.shape[:-1], 1))
            hi = xp.concatenate([hi, one], axis=-1)
            lo = xp.concatenate([lo, 0.0 * one], axis=-1)
        half = hi.shape[-1] // 2
        hi, lo = pairs.multiply((hi[..., :half], lo[..., :half]), (hi[..., half:], lo[..., half:]))
        hi, shift = xp.frexp(hi)
        lo = xp.ldexp(lo, -shift)
        total = total + xp.sum(shift.astype(xp.int64), axis=-1)
    if hi.shape[-1] == 0:
        hi, lo = xp.ones((*hi.shape[:-1], 1)), xp.zeros((*hi.shape[:-1], 1))
    hi, lo = hi[..., 0], lo[..., 0]
    low = xp.abs(hi) < 0.7071067811865476
    factor = xp.where(low, 2.0, 1.0)
    total = xp.where(low, total - 1, total)
    return (hi * factor).reshape(shape), (lo * factor).reshape(shape), total.reshape(shape)


def _prod_power_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool, p: Rational) -> Any:
    hi, lo, e = _mantissa_product(xp, x, axis, reduced(x.shape, axis, keepdims))
    high, low = pairs.split(p)
    power = xp.power(hi, high)
    power = power + power * (high * xp.where(hi == 0, 0.0, lo / hi))
    exponent, rest = pairs.two_prod(e.astype(float), high)
    whole = xp.rint(exponent)
    rest = (exponent - whole) + (rest + e * low)
    return xp.ldexp(power * xp.exp2(rest), xp.clip(whole, -9000, 9000).astype(xp.int32))


def _log_prod_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    hi, lo, e = _mantissa_product(xp, x, axis, reduced(x.shape, axis, keepdims))
    near = xp.log1p((hi - 1.0) + lo)
    value = xp.where(e == 0, near, near + e * float(LN2))
    return xp.where(xp.isfinite(hi) & (hi != 0), value, xp.log(hi))


def _prod_power_slope(out: Term, x: Term, *, axis: Axis, keepdims: bool, p: Rational) -> Term:
    """p * out / x; at x = 0 by the product of the others."""
    size = spread(out, x.shape, axis)
    lower = OPS["power"](OPS["prod"](x, axis=axis, keepdims=keepdims), p - 1)
    at_zero = spread(lower, x.shape, axis) * OPS["prod_others"](x, axis=axis)
    return p * OPS["where"](OPS["equal"](x, 0.0), at_zero, size / x)


def _prod_power_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term:
    along = _prod_power_slope(out, args[0], **params) * tangents[0]
    return OPS["sum"](along, axis=params["axis"], keepdims=params["keepdims"])


def _prod_power_vjp(out: Term, args: Terms, g: Term, **params: Any) -> Terms:
    (x,) = args
    return (spread(g, x.shape, params["axis"]) * _prod_power_slope(out, x, **params),)


prod_power = structured(
    "prod_power",
    family="reduction",
    params=("axis", "keepdims", "p"),
    defaults=(None, False, 1),
    normalise=normal_reduction("prod_power"),
    infer=reduce_infer(real_dtype),
    kernel=_prod_power_kernel,
    spellings=(
        lambda x, *, axis, keepdims, p: OPS["power"](
            OPS["prod"](x, axis=axis, keepdims=keepdims), p
        ),
    ),
    jvp=_prod_power_jvp,
    vjp=_prod_power_vjp,
    infer_facts=lambda term: POSITIVE if term.args[0].facts.positive else REAL,
    cost=5,
    ulp=None,
    accuracy="4 ulp",
    source="mantissas and exponents apart",
    doc="prod(x)**p for a constant p: with p = 1/n the geometric mean.",
    example=">>> sg.ops.prod_power(sg.tensor([1e-30, 1e-30, 1e-30]), p=0.5).item()\n"
    "1.401298464324817e-45",
)

log_prod = structured(
    "log_prod",
    family="reduction",
    params=("axis", "keepdims"),
    defaults=(None, False),
    normalise=normal_reduction("log_prod"),
    infer=reduce_infer(real_dtype),
    kernel=_log_prod_kernel,
    spellings=(
        lambda x, *, axis, keepdims: OPS["log"](OPS["prod"](x, axis=axis, keepdims=keepdims)),
    ),
    jvp=lambda out, args, tangents, *, axis, keepdims: OPS["sum"](
        tangents[0] / args[0], axis=axis, keepdims=keepdims
    ),
    vjp=lambda out, args, g, *, axis, keepdims: (spread(g, args[0].shape, axis) / args[0],),
    cost=5,
    ulp=None,
    accuracy="4 ulp",
    source="mantissas and exponents apart, the product of mantissas as a pair",
    doc="log(prod(x)), also where the product leaves the range or is near 1.",
    example=">>> sg.ops.log_prod(sg.tensor([1e-30, 1e-30])).item()\n-138.1551055908203",
)
