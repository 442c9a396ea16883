"""Running products, right with zeros and without overflow on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ops.dtypes import total_dtype
from stablegrad.ops.products import SAFE_BITS, Scaled, exponents
from stablegrad.ops.record import is_float
from stablegrad.ops.reduction import as_rows, from_rows
from stablegrad.ops.running import Polynomial, plus, running_family, times, whole

# -- recurrences by doubling --------------------------------------------------------------


def _part(p: Polynomial, places: slice) -> Polynomial:
    return {s: c[..., places] for s, c in p.items()}


def _join(xp: Any, parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Scaled):
        out = Scaled(np.concatenate([p.m for p in parts], axis=-1))
        out.e = out.e + np.concatenate([p.e for p in parts], axis=-1)
        return out
    return xp.concatenate(parts, axis=-1)


def _joined(xp: Any, first: Polynomial, rest: Polynomial) -> Polynomial:
    return {s: _join(xp, [first[s], rest[s]]) for s in first}


def _products(xp: Any, p: Polynomial, n: int) -> Polynomial:
    """For each place the product of the polynomials up to it."""
    step = 1
    while step < n:
        more = times(_part(p, slice(None, -step)), _part(p, slice(step, None)))
        p = _joined(xp, _part(p, slice(step)), more)
        step *= 2
    return p


def _recurrence(xp: Any, a: Polynomial, b: Polynomial, n: int) -> Polynomial:
    """r with r_k = a_k r_(k-1) + b_k; a_0 does not matter."""
    b = {s: b[s] if s in b else _zero(xp, b[0]) for s in a}
    step = 1
    while step < n:
        late, early = slice(step, None), slice(None, -step)
        more = plus(_part(b, late), times(_part(a, late), _part(b, early)))
        longer = times(_part(a, late), _part(a, early))
        a = _joined(xp, _part(a, slice(step)), longer)
        b = _joined(xp, _part(b, slice(step)), more)
        step *= 2
    return b


def _zero(xp: Any, like: Any) -> Any:
    return Scaled(np.zeros(like.m.shape)) if isinstance(like, Scaled) else xp.zeros_like(like)


def _polynomial(x: Any, directions: Sequence[Any]) -> Polynomial:
    return {0: x, **{1 << i: t for i, t in enumerate(directions)}}


def _full(xp: Any, p: Polynomial, power: int) -> Polynomial:
    """All coefficients of products, zeros where a single factor has none."""
    return p | {s: _zero(xp, p[0]) for s in range(power + 1) if s not in p}


def _shifted(xp: Any, p: Polynomial, one: Any, zero: Any) -> Polynomial:
    """At each place the polynomial of the place before it, 1 at first."""
    return {s: _join(xp, [zero if s else one, c[..., slice(None, -1)]]) for s, c in p.items()}


def _forward(xp: Any, rows: Sequence[Any], n: int) -> Any:
    x, *ts = rows
    p = _full(xp, _polynomial(x, ts), whole(ts))
    return _products(xp, p, n)[whole(ts)]


def _backward(xp: Any, rows: Sequence[Any], one: Any, zero: Any, n: int) -> Any:
    """The product of what is before each place and of the weighted sum of products after it."""
    x, c, *ts = rows
    power = whole(ts)
    p = _full(xp, _polynomial(x, ts), power)
    before = _shifted(xp, _products(xp, p, n), one, zero)
    turn = slice(None, None, -1)
    factors = _shifted(xp, _part(p, turn), one, zero)
    after = _part(_recurrence(xp, factors, {0: c[..., turn]}, n), turn)
    return times(before, after)[power]


# -- kernels ------------------------------------------------------------------------------


def _kernel(xp: Any, x: Any, *others: Any, axis: int, backward: bool) -> Any:
    rows = [as_rows(xp, a, (axis,)) for a in (x, *others)]
    n = rows[0].shape[-1]
    if x.size == 0:
        return x
    if backward:
        zero = _zero(xp, rows[0][..., :1])
        out = _backward(xp, rows, zero + 1, zero, n)
    else:
        out = _forward(xp, rows, n)
    return from_rows(xp, out, x.shape, (axis,))


def _general(rows: Sequence[Any], *, backward: bool) -> Any:
    """Rows of any floats: by mantissas and exponents where the range might be left."""
    n = rows[0].shape[-1]
    if (n + 1) * max([exponents(r) for r in rows]) >= SAFE_BITS:
        scaled = [Scaled(r) for r in rows]
        if not backward:
            return _forward(np, scaled, n).value()
        one = Scaled(np.ones((*rows[0].shape[:-1], 1)))
        return _backward(np, scaled, one, _zero(np, one), n).value()
    if not backward:
        return _forward(np, rows, n)
    zero = np.zeros_like(rows[0][..., :1])
    return _backward(np, rows, zero + 1, zero, n)


def _sizes(rows: Any) -> tuple[Any, Any]:
    """The least and the greatest size in each row."""
    size = np.abs(rows)
    return size.min(axis=-1), size.max(axis=-1)


def _range(rows: Any) -> tuple[Any, Any]:
    """The same, zeros left out."""
    low, high = _sizes(rows)
    if not low.all():
        low = np.min(np.abs(rows), axis=-1, where=rows != 0, initial=np.inf)
    return low, high


_LOW, _HIGH = 2.0**-1000, 2.0**1000


def _plain(rows: Sequence[Any], *, backward: bool) -> tuple[Any, Any]:
    """The quick way, and in which rows it is right: nothing on the way left the range."""
    x, *others = rows
    product = np.cumprod(x, axis=-1)
    low, high = _sizes(product)
    if not others:  # every product on the way is a result
        if not low.all():
            zero = np.logical_or.accumulate(x == 0, axis=-1)
            low = np.min(np.abs(product), axis=-1, where=~zero, initial=np.inf)
        return product, (low > _LOW) & (high < _HIGH)
    (other,) = others
    least, most = _range(other)
    fine = (low > _LOW) & (high < _HIGH)
    if backward:
        fine &= (low * least > _LOW) & (high * most * x.shape[-1] < _HIGH) & (most < _HIGH)
        out = other * product
        out = np.cumsum(out[:, ::-1], axis=-1)[:, ::-1]
        out /= x
        return out, fine
    least_x, most_x = _sizes(x)
    fine &= (least / most_x > _LOW) & (most / least_x * x.shape[-1] < _HIGH)
    return product * np.cumsum(other / x, axis=-1), fine


def _numpy(xp: Any, *xs: Any, axis: int, backward: bool) -> Any:
    x = xs[0]
    if not is_float(x.dtype):
        return _kernel(xp, *xs, axis=axis, backward=backward)
    if not x.size:
        return x
    wide = [as_rows(xp, a.astype(np.float64), (axis,)) for a in xs]
    shape = wide[0].shape
    rows = [r.reshape(-1, shape[-1]) for r in wide]
    if len(rows) > 2:
        out = _general(rows, backward=backward)
    else:
        with np.errstate(all="ignore"):
            out, fine = _plain(rows, backward=backward)
        if not fine.all():
            out[~fine] = _general([r[~fine] for r in rows], backward=backward)
    return from_rows(xp, out.reshape(shape), x.shape, (axis,))


def _value(xp: Any, x: Any, *, axis: int) -> Any:
    return xp.cumprod(x, axis=axis)


def _value_numpy(xp: Any, x: Any, *, axis: int) -> Any:
    if not is_float(x.dtype):
        return np.cumprod(x, axis=axis)
    return _numpy(xp, x, axis=axis, backward=False)


def _forward_kernel(xp: Any, *xs: Any, axis: int) -> Any:
    return _kernel(xp, *xs, axis=axis, backward=False)


def _forward_numpy(xp: Any, *xs: Any, axis: int) -> Any:
    return _numpy(xp, *xs, axis=axis, backward=False)


def _backward_kernel(xp: Any, *xs: Any, axis: int) -> Any:
    return _kernel(xp, *xs, axis=axis, backward=True)


def _backward_numpy(xp: Any, *xs: Any, axis: int) -> Any:
    return _numpy(xp, *xs, axis=axis, backward=True)


BOUND = "n*eps relative to the sum of absolute products"

cumprod, cumprod_jvp, cumprod_vjp = running_family(
    "cumprod",
    source="definition; Hillis and Steele 1986",
    cost=4,
    op={
        "infer": lambda args, params: (args[0].shape, total_dtype(args[0].dtype)),
        "kernel": _value,
        "engine_kernels": {"numpy": _value_numpy},
        "accuracy": "n/2 ulp",
        "lax": "cumprod",
        "aten": "cumprod",
        "doc": "The running product along an axis; its derivative is right with zeros.",
        "example": ">>> sg.ops.cumprod(sg.tensor([2.0, 3.0])).numpy()\narray([2., 6.], ...)",
    },
    jvp={
        "kernel": _forward_kernel,
        "engine_kernels": {"numpy": _forward_numpy},
        "accuracy": BOUND,
        "doc": "The derivative of the running product along all given directions.",
        "example": (
            ">>> x, t = sg.tensor([0.0, 3.0]), sg.tensor([1.0, 0.0])\n"
            ">>> sg.ops.cumprod_jvp(x, t).numpy()\narray([1., 3.], dtype=float32)"
        ),
    },
    vjp={
        "kernel": _backward_kernel,
        "engine_kernels": {"numpy": _backward_numpy},
        "accuracy": BOUND,
        "doc": "The gradient of the running product for a cotangent, along given directions.",
        "example": (
            ">>> x, c = sg.tensor([0.0, 3.0]), sg.tensor([1.0, 1.0])\n"
            ">>> sg.ops.cumprod_vjp(x, c).numpy()\narray([4., 0.], dtype=float32)"
        ),
    },
)
