"""Functions of sampled data: interpolation, integrals, slopes, convolution, polynomials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import operands
from stablegrad.numpy.joining import concatenate
from stablegrad.numpy.shaping import diff, pad, where
from stablegrad.ops import indexing
from stablegrad.ops.shape import moveaxis, slice_axis
from stablegrad.ops.sliding import sliding
from stablegrad.tensor import Tensor, as_tensor


def _vector(a: Any, name: str) -> Tensor:
    x = as_tensor(a)
    if x.ndim != 1 or x.size == 0:
        raise ShapeError(message(f"{name} of shape {x.shape}", "a vector with an element at least"))
    return x


def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Tensor:
    """Linear interpolation between points, differentiable in the points too.

    Args:
        x: where to interpolate, of any shape.
        xp: the places of the points, rising; with a period in any order.
        fp: their values, a vector of the same length.
        left: the value before the first point, fp[0] by default.
        right: the value after the last point, fp[-1] by default.
        period: the period of xp, if any.

    Returns:
        A tensor of the shape of x. At a point the slope is that of the piece to its right.

    Example:
        >>> sg.numpy.interp([0.5, 3.0], [0.0, 1.0, 2.0], [1.0, 3.0, 4.0]).numpy()
        array([2., 4.], dtype=float32)
    """
    at, places, values = operands(x, _vector(xp, "xp"), _vector(fp, "fp"))
    if places.shape != values.shape:
        raise ShapeError(
            message(f"xp of shape {places.shape}, fp of {values.shape}", "one value for each place")
        )
    if period is not None:
        if period == 0:
            raise DomainError(message("period=0", "a period that is not 0"))
        period = abs(period)
        left = right = None
        at, places = at % period, places % period
        order = OPS["argsort"](places, axis=0)
        places, values = places[order], values[order]
        places = concatenate([places[-1:] - period, places, places[:1] + period])
        values = concatenate([values[-1:], values, values[:1]])
    last = places.size - 1
    if last == 0:
        inside = OPS["broadcast_to"](values[0], shape=at.shape)
    else:
        after = OPS["searchsorted"](places, at, side="right").clip(1, last)
        x0, x1 = indexing.take(places, after - 1), indexing.take(places, after)
        y0, y1 = indexing.take(values, after - 1), indexing.take(values, after)
        share = (at - x0) / (x1 - x0)
        inside = where(at == x1, y1, y0 + share * (y1 - y0))
    below, above = at < places[0], at > places[-1]
    inside = where(below, values[0] if left is None else left, inside)
    return where(above, values[-1] if right is None else right, inside)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The integral of samples along an axis, by the trapezoidal rule.

    Args:
        y: the samples.
        x: their places: an array of the shape of y, or a vector; None where they are evenly
            spaced by dx.
        dx: the step between places.
        axis: the axis.
    """
    values = as_tensor(y)
    n = values.shape[axis]
    if x is None:
        steps: Any = dx
    else:
        places = as_tensor(x)
        steps = diff(places, axis=axis if places.ndim > 1 else -1)
        if places.ndim == 1:
            shape = [1] * values.ndim
            shape[axis] = steps.size
            steps = steps.reshape(shape)
    pairs = slice_axis(values, axis, 0, n - 1) + slice_axis(values, axis, 1, n)
    return (pairs * steps * 0.5).sum(axis=axis)


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes of samples: central differences, one-sided ones at the ends, as NumPy has it.

    Args:
        f: samples.
        varargs: nothing, one step for all axes, or for each axis its step or places.
        axis: an axis or several, all by default.
        edge_order: 1 or 2, the order of the differences at the ends.

    Returns:
        An array of slopes, or a list with one for each axis.
    """
    x = as_tensor(f)
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = [a % x.ndim for a in axes]
    steps = list(varargs) or [1.0]
    steps = steps * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes) or edge_order not in (1, 2):
        raise ShapeError(
            message(
                f"gradient along {len(axes)} axes with {len(varargs)} steps, {edge_order=}",
                "one step, or one for each axis, and edge_order 1 or 2",
            )
        )
    found = [_slopes(x, a, h, edge_order) for a, h in zip(axes, steps, strict=True)]
    return found[0] if len(found) == 1 else found


def _slopes(x: Tensor, axis: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.shape[axis]
    if n < edge_order + 1:
        raise ShapeError(
            message(f"gradient along an axis of length {n}", f"{edge_order + 1} elements at least")
        )
    y = moveaxis(x, axis, -1)
    y = y if y.dtype.kind == "f" or y.dtype.itemsize == 2 else y.astype(np.float64)
    given = operands(spacing, y)[0]
    h = diff(given) if given.ndim else OPS["broadcast_to"](given, shape=(n - 1,))
    if h.shape != (n - 1,):
        raise ShapeError(message(f"places of shape {given.shape}", f"a vector of length {n}"))
    slopes = diff(y) / h  # of each piece
    share = h[:-1] / (h[:-1] + h[1:])
    middle = slopes[..., :-1] * (1 - share) + slopes[..., 1:] * share
    first, last = slopes[..., :1], slopes[..., -1:]
    if edge_order == 2:
        first = first + (first - slopes[..., 1:2]) * (h[:1] / (h[:1] + h[1:2]))
        last = last + (last - slopes[..., -2:-1]) * (h[-1:] / (h[-1:] + h[-2:-1]))
    return moveaxis(concatenate([first, middle, last], axis=-1), -1, axis)


def convolve(a: Any, v: Any, mode: str = "full") -> Tensor:
    """The convolution of two vectors.

    Args:
        a: a vector.
        v: a vector.
        mode: "full", "same" (as long as the longer one) or "valid" (where they overlap fully).

    Example:
        >>> sg.numpy.convolve([1.0, 2.0], [1.0, 10.0]).numpy()
        array([ 1., 12., 20.], dtype=float32)
    """
    x, y = _vector(a, "a"), _vector(v, "v")
    if y.size > x.size:
        x, y = y, x
    return _slid(x, OPS["flip"](y, axis=0), mode)


def correlate(a: Any, v: Any, mode: str = "valid") -> Tensor:
    """The sums of products of two vectors, one shifted along the other; see ``convolve``."""
    x, y = _vector(a, "a"), _vector(v, "v")
    if y.size > x.size:
        return OPS["flip"](_slid(y, x, mode), axis=0)
    return _slid(x, y, mode)


def _slid(x: Tensor, y: Tensor, mode: str) -> Tensor:
    n, k = x.size, y.size
    before = {"valid": 0, "same": k // 2, "full": k - 1}.get(mode)
    if before is None:
        raise DomainError(message(f"mode={mode!r}", "'full', 'same' or 'valid'"))
    count = {"valid": n - k + 1, "same": n, "full": n + k - 1}[mode]
    padded = pad(x, (before, count + k - 1 - n - before))
    return sliding(padded, (k,), (1,), (1,)) @ y


def polyval(p: Any, x: Any) -> Tensor:
    """A polynomial at places, by Horner's scheme.

    Args:
        p: its coefficients, that of the highest power first.
        x: the places.
    """
    coefficients, at = operands(_vector(p, "p"), x)
    total = OPS["broadcast_to"](coefficients[0], shape=at.shape)
    for i in range(1, coefficients.size):
        total = total * at + coefficients[i]
    return total


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of a vector in columns, falling by default."""
    v = _vector(x, "x")
    n = v.size if N is None else N
    powers = range(n) if increasing else range(n - 1, -1, -1)
    columns = [v.reshape(-1, 1) ** k for k in powers]
    return concatenate(columns, 1) if columns else v.reshape(-1, 1)[:, :0]


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * math.pi) -> Tensor:
    """Angles without jumps of a period between neighbours along an axis."""
    x = as_tensor(p)
    if x.shape[axis] < 2:
        return x
    half = period / 2
    steps = diff(x, axis=axis)
    wrapped = (steps + half) % period - half
    wrapped = where((wrapped == -half) & (steps > 0), half, wrapped)
    limit = half if discont is None else max(half, discont)
    turns = OPS["stop_gradient"](where(abs(steps) < limit, 0.0, wrapped - steps))
    first = slice_axis(x, axis, 0, 1)
    rest = slice_axis(x, axis, 1, x.shape[axis]) + turns.cumsum(axis=axis)
    return concatenate([first, rest], axis=axis)


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """Differences of neighbours among all elements, with others before and after."""
    steps = diff(as_tensor(ary).ravel())
    given = operands(*[part for part in (to_begin, steps, to_end) if part is not None])
    return concatenate([part.ravel().astype(steps.dtype) for part in given])
