"""Products over axes and running products, right with zeros and without overflow on the way.

The derivative of a product is the product of the others. With any number of directions g the
op ``prod_others`` is the mixed derivative of that, the sum over distinct i1, i2, ... != j of
g1[i1] g2[i2] ... times the product of all the rest: symmetric in j and the directions, so its
own derivatives, forward and backward, are ``prod_others`` with one direction more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import OPS, UNKNOWN, Facts, Term
from stablegrad.ops.dtypes import narrow, total_dtype
from stablegrad.ops.record import is_float
from stablegrad.ops.reduction import (
    REDUCES,
    Axis,
    as_rows,
    every,
    from_rows,
    normal_reduction,
    reduce_infer,
    reduced,
    spread,
)
from stablegrad.ops.structured import Normal, Params, Terms, normal_axes, structured, sum_of

SAFE_BITS = 1000  # a product of floats cannot leave the range while its exponents stay below


# -- prod ---------------------------------------------------------------------------------


def exponents(x: Any) -> float:
    """A bound of |log2| of the float64 elements that are not zero; inf where one is not finite."""
    size = np.abs(x)
    top, low = size.max(initial=0.0), size.min(initial=math.inf)
    if top == 0:
        return 0.0
    if low == 0:
        low = size.min(initial=math.inf, where=size > 0)
    if not np.isfinite(top) or low < np.finfo(np.float64).tiny:
        return math.inf
    return float(max(abs(np.frexp(top)[1]), abs(np.frexp(low)[1] - 1)))


def _prod_kernel(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return xp.prod(x, axis=axis, keepdims=keepdims)


def _prod_numpy(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    if not is_float(x.dtype):
        return np.prod(x, axis=axis, keepdims=keepdims)
    axes = every(axis, x.ndim)
    rows = as_rows(xp, x, axes)
    rows = rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
    mantissa, exponent = row_products(rows)
    return np.ldexp(mantissa, exponent).reshape(reduced(x.shape, axis, keepdims))


_BLOCK = 1 << 16  # elements that stay in the cache


def _halved(y: Any) -> Any:
    """The first half of each row times the second, an odd column times the first."""
    half = y.shape[1] // 2
    out = y[:, :half] * y[:, half : 2 * half]
    out[:, : y.shape[1] % 2] *= y[:, 2 * half :]
    return out


def _quartered(rows: Any, exponent: Any) -> Any:
    """The products of four or five numbers each; exponents taken out are added to ``exponent``."""
    n = rows.shape[1]
    width = n // 4
    out = np.empty((len(rows), width))
    step = max(_BLOCK // n, 1)
    for i in range(0, len(rows), step):
        y = rows[i : i + step].astype(np.float64, copy=False)
        if rows.dtype.itemsize == 8 and exponents(y) > SAFE_BITS // 5:  # not of five float32s
            y, more = np.frexp(y)
            exponent[i : i + step] += more.sum(-1, dtype=np.int64)
        part = np.multiply(y[:, :width], y[:, width : 2 * width], out=out[i : i + step])
        part *= y[:, 2 * width : 3 * width]
        part *= y[:, 3 * width : 4 * width]
        part[:, : n - 4 * width] *= y[:, 4 * width :]
    return out


def row_products(rows: Any) -> tuple[Any, Any]:
    """The products of rows as m * 2**e in float64, which do not leave the range on the way.

    Halves are multiplied until one column is left, the range being looked at where it might be
    left; powers of two that are taken out change no rounding.
    """
    exponent = np.zeros(len(rows), np.int64)
    if not rows.shape[1]:
        return np.ones(len(rows)), exponent
    y = _quartered(rows, exponent) if rows.shape[1] >= 12 else rows.astype(np.float64)
    bits = exponents(y)
    while y.shape[1] > 1:
        together = 2 + y.shape[1] % 2
        if bits * together >= SAFE_BITS:  # a bound, or infinite beside infinities and nan
            bits = exponents(y)
        if bits * together >= SAFE_BITS:
            y, more = np.frexp(y)
            exponent += more.sum(-1, dtype=np.int64)
            bits = 1.0
        y = _halved(y)
        bits *= together
    mantissa, more = np.frexp(y[:, 0])
    return mantissa, np.clip(exponent + more, -5000, 5000)


def _prod_facts(term: Term) -> Facts:
    facts = term.args[0].facts
    if facts.positive:
        return Facts(0.0, defined=facts.defined)
    if facts.nonnegative:
        return Facts(0.0, lo_open=False, defined=facts.defined)
    return UNKNOWN._replace(defined=facts.defined)


def _prod_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis, keepdims: bool
) -> Term:
    others = prod_others(args[0], axis=axis)
    return OPS["sum"](others * tangents[0], axis=axis, keepdims=keepdims)


def _prod_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    (x,) = args
    return (spread(g, x.shape, axis) * prod_others(x, axis=axis),)


prod = structured(
    "prod",
    normalise=normal_reduction("prod"),
    infer=reduce_infer(total_dtype),
    kernel=_prod_kernel,
    engine_kernels={"numpy": _prod_numpy},
    jvp=_prod_jvp,
    vjp=_prod_vjp,
    infer_facts=_prod_facts,
    ulp=None,
    accuracy="n/2 ulp",
    lax="reduce_prod",
    aten="prod",
    doc="The product over axes, all by default; its derivative is right with zeros.",
    example=">>> sg.ops.prod(sg.tensor([2.0, 3.0])).item()\n6.0",
    **REDUCES,
)


# -- prod_others --------------------------------------------------------------------------


class Scaled:
    """Arrays m * 2**e that neither overflow nor underflow: what products need of numbers."""

    def __init__(self, m: Any, e: Any = 0) -> None:
        self.m, more = np.frexp(m)
        self.e = e + more.astype(np.int64)

    def __getitem__(self, key: Any) -> Scaled:
        return Scaled(self.m[key], self.e[key])

    def __mul__(self, other: Scaled) -> Scaled:
        return Scaled(self.m * other.m, self.e + other.e)

    def __add__(self, other: Scaled) -> Scaled:
        e = np.maximum(
            np.where(self.m == 0, other.e, self.e), np.where(other.m == 0, self.e, other.e)
        )
        parts = [np.ldexp(t.m, np.clip(t.e - e, -2000, 0)) for t in (self, other)]
        return Scaled(parts[0] + parts[1], e)

    def value(self) -> Any:
        """The floats, rounded once."""
        return np.ldexp(self.m, np.clip(self.e, -5000, 5000))


Numbers = Any
"""An array, or Scaled."""


def _others(one: Numbers, rows: Sequence[Numbers], n: int) -> list[Numbers]:
    """For each place the coefficient of e1 e2 ... in the product of all other elements.

    Element k is the polynomial x + e1 g1 + e2 g2 + ..., every e squared being 0, held as a
    dict from a set of e (as bits) to its coefficient.
    """
    before = _running(one, rows, range(n))
    after = _running(one, rows, range(n)[::-1])[::-1]
    whole = (1 << (len(rows) - 1)) - 1
    found = []
    for left, right in zip(before, after, strict=True):
        terms = [c * right[whole ^ s] for s, c in left.items() if whole ^ s in right]
        found.append(_total(terms) if terms else None)
    return found


def _running(one: Numbers, rows: Sequence[Numbers], order: range) -> list[dict[int, Numbers]]:
    """For each place the product of the polynomials that come before it in the order."""
    product = {0: one}
    found = []
    for k in order:
        found.append(product)
        grown = {s: [c * rows[0][..., k]] for s, c in product.items()}
        for i, g in enumerate(rows[1:]):
            for s, c in product.items():
                if not s >> i & 1:
                    grown.setdefault(s | 1 << i, []).append(c * g[..., k])
        product = {s: _total(terms) for s, terms in grown.items()}
    return found


def _total(terms: Sequence[Numbers]) -> Numbers:
    total = terms[0]
    for t in terms[1:]:
        total = total + t
    return total


def _stacked(xp: Any, parts: list[Any], x: Any, axes: tuple[int, ...]) -> Any:
    """Results by place, put back to the axes of the product."""
    if not parts:
        return x
    known = next((p for p in parts if p is not None), None)
    zero = xp.zeros(()) if known is None else xp.zeros(known.shape, known.dtype)
    out = xp.stack([zero if p is None else p for p in parts], -1)
    return from_rows(xp, xp.broadcast_to(out, as_rows(xp, x, axes).shape), x.shape, axes)


def _others_kernel(xp: Any, x: Any, *directions: Any, axis: Axis) -> Any:
    axes = every(axis, x.ndim)
    rows = [as_rows(xp, d, axes) for d in (x, *directions)]
    one = xp.ones(rows[0].shape[:-1], x.dtype)
    return _stacked(xp, _others(one, rows, rows[0].shape[-1]), x, axes)


def _others_numpy(xp: Any, x: Any, *directions: Any, axis: Axis) -> Any:
    if not is_float(x.dtype):
        return _others_kernel(xp, x, *directions, axis=axis)
    axes = every(axis, x.ndim)
    if narrow(xp, x) and not directions and x.size:
        return _narrow_others(xp, x, axes)
    rows = [as_rows(xp, d.astype(np.float64), axes) for d in (x, *directions)]
    n = rows[0].shape[-1]
    one = np.ones(rows[0].shape[:-1])
    if n * max([exponents(r) for r in rows]) < SAFE_BITS:
        return _stacked(xp, _others(one, rows, n), x.astype(np.float64), axes)
    parts = _others(Scaled(one), [Scaled(r) for r in rows], n)
    values = [None if p is None else p.value() for p in parts]
    return _stacked(xp, values, x.astype(np.float64), axes)


def _narrow_others(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Of float32s: the product of all over each one in float64, where none is 0 or infinite."""
    rows = as_rows(xp, x, axes)
    shape = rows.shape
    rows = rows.reshape(-1, shape[-1])
    mantissa, exponent = row_products(rows)
    regular = np.isfinite(mantissa) & (mantissa != 0)
    inner = np.clip(exponent, -700, 700)  # so that quotients by float32s stay in the range
    product, outer = np.ldexp(mantissa, inner)[:, None], (exponent - inner)[:, None]
    out = np.empty(rows.shape)
    step = max(_BLOCK // shape[-1], 1)
    for i in range(0, len(rows), step):
        part = out[i : i + step]
        part[:] = rows[i : i + step]
        np.divide(product[i : i + step], part, out=part)
    if outer.any():
        np.ldexp(out, outer, out=out)
    if not regular.all():
        out[~regular] = _others_numpy(xp, rows[~regular].astype(np.float64), axis=(1,))
    return from_rows(xp, out.reshape(shape), x.shape, axes)


def _normal_others(terms: Terms, params: Params) -> Normal:
    x, *directions = terms
    axis = None if params[0] is None else normal_axes(params[0], x.ndim, "prod_others")
    if axis is not None and len(axis) == x.ndim:
        axis = None
    directions = [OPS["broadcast_to"](d, shape=x.shape) for d in directions]
    # symmetric in the directions: one order, so that equal terms are one
    return (x, *sorted(directions, key=lambda d: d.key)), (axis,)


def _others_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis) -> Term:
    parts = []
    for i, t in enumerate(tangents):
        if t is None:
            continue
        directed = (*args, t) if i == 0 else (*args[:i], t, *args[i + 1 :])
        parts.append(prod_others(*directed, axis=axis))
    return sum_of(parts)


def _others_vjp(out: Term, args: Terms, g: Term, *, axis: Axis) -> Terms:
    by_directions = [
        prod_others(*args[:i], g, *args[i + 1 :], axis=axis) for i in range(1, len(args))
    ]
    return (prod_others(*args, g, axis=axis), *by_directions)


prod_others = structured(
    "prod_others",
    family="reduction",
    params=("axis",),
    defaults=(None,),
    normalise=_normal_others,
    infer=lambda args, params: (args[0].shape, args[0].dtype),
    kernel=_others_kernel,
    engine_kernels={"numpy": _others_numpy},
    widens=True,
    jvp=_others_jvp,
    vjp=_others_vjp,
    cost=4,
    ulp=None,
    accuracy="n/2 ulp without directions; n*eps relative to the sum of absolute products with",
    source="definition",
    doc="For each element the product of the others; with directions its mixed derivative.",
    example=(
        ">>> sg.ops.prod_others(sg.tensor([2.0, 0.0, 5.0])).numpy()\n"
        "array([ 0., 10.,  0.], dtype=float32)"
    ),
)
