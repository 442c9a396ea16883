"""Kernels of log-sum-exp, softmax and their derivatives, all around the greatest entry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.ops.pairs import two_sum
from stablegrad.ops.reduction import Axis, as_rows, count, every, from_rows, reduced, widened
from stablegrad.ops.structured import is_symbolic


class Shifted:
    """The rows of x less their greatest entry, and the exponentials of that.

    Args:
        xp: the array namespace.
        x: any floats.
        axis: what makes a row.
        keep: whether the shifted rows are needed besides their exponentials.
    """

    def __init__(self, xp: Any, x: Any, axis: Axis, *, keep: bool = True) -> None:
        self.xp, self.shape, self.axes = xp, x.shape, every(axis, x.ndim)
        rows = as_rows(xp, x, self.axes)
        rows = widened(xp, rows) if is_symbolic(xp) else np.ascontiguousarray(rows)
        self.place = xp.argmax(rows, axis=-1)
        self.top = widened(xp, self.pick(rows))
        self.regular = not is_symbolic(xp) and bool(np.isfinite(self.top).all())
        """Whether no row is masked or undefined."""
        self.masked = self.top == -math.inf
        base = self.top if self.regular else xp.where(self.masked, 0.0, self.top)
        self.narrow = x.dtype.itemsize < 8
        """Whether float64 holds more than the numbers have: differences are exact enough then."""
        if self.narrow:
            self.x, self.error = _less(xp, rows, base), None
            e = xp.exp(self.x) if keep or is_symbolic(xp) else np.exp(self.x, out=self.x)
        else:
            self.x, self.error = two_sum(widened(xp, rows), -base)
            if not self.regular or not np.isfinite(self.x.min()):
                self.error = xp.where(xp.isfinite(self.x), self.error, 0.0)
            e = xp.exp(self.x)
            e = e + e * self.error
        self.others = self.put(e, 0.0)
        """exp of the shifted rows, 0 in place of the 1 of the greatest."""
        self.rest = xp.sum(self.others, axis=-1, keepdims=True)

    def rows(self, t: Any) -> Any:
        """An array as rows."""
        rows = as_rows(self.xp, widened(self.xp, t), self.axes)
        return rows if is_symbolic(self.xp) else np.ascontiguousarray(rows)

    def back(self, rows: Any) -> Any:
        """Rows as an array of the shape of x."""
        return from_rows(self.xp, rows, self.shape, self.axes)

    def _flat(self, rows: Any) -> tuple[Any, tuple[Any, Any]]:
        """Contiguous rows as a matrix (a view), and where x is greatest in it."""
        flat = rows.reshape(-1, rows.shape[-1])
        return flat, (np.arange(len(flat)), self.place.reshape(-1))

    def pick(self, rows: Any) -> Any:
        """What stands where x is greatest."""
        if is_symbolic(self.xp):
            return self.xp.take_along_axis(rows, self.place[..., None], axis=-1)
        flat, at = self._flat(rows)
        return flat[at].reshape(*rows.shape[:-1], 1)

    def put(self, rows: Any, value: Any) -> Any:
        """Rows, which are consumed, with another value where x is greatest."""
        if is_symbolic(self.xp):
            there = self.xp.arange(rows.shape[-1]) == self.place[..., None]
            return self.xp.where(there, value, rows)
        flat, at = self._flat(rows)
        flat[at] = np.reshape(value, -1)
        return rows

    def weights(self) -> Any:
        """Softmax, but for rows that are masked or undefined."""
        share = 1.0 / (1.0 + self.rest)
        if is_symbolic(self.xp):
            weights = self.others / (1.0 + self.rest)
        elif self.narrow:  # a rounding more does no harm
            weights = np.multiply(self.others, share, out=self.others)
        else:
            weights = np.divide(self.others, 1.0 + self.rest, out=self.others)
        return self.put(weights, share)

    def spoiled(self, out: Any) -> Any:
        """The result, nan in rows whose weights are undefined: +inf or nan is among them."""
        xp = self.xp
        if self.regular:
            return out
        return xp.where(xp.isfinite(self.top) | self.masked, out, math.nan)

    def settled(self, out: Any) -> Any:
        """The result, 0 in rows that are masked throughout, nan where undefined."""
        return out if self.regular else self.xp.where(self.masked, 0.0, self.spoiled(out))


def _less(xp: Any, rows: Any, base: Any) -> Any:
    """Rows less a number each, in float64 outside of JAX."""
    if is_symbolic(xp):
        return rows - base
    out = rows.astype(np.float64)
    out -= base
    return out


def weighted(xp: Any, weights: Any, t: Any) -> Any:
    """The sum of weights * t along rows; an infinite t of weight 0 has no part."""
    total = xp.sum(weights * t, axis=-1, keepdims=True)
    if not is_symbolic(xp) and np.isfinite(total).all():
        return total
    return xp.sum(xp.where(weights == 0, 0.0, weights * t), axis=-1, keepdims=True)


def logsumexp(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    """The kernel of ``logsumexp``."""
    shape = reduced(x.shape, axis, keepdims)
    if count(x.shape, axis) == 0:
        return xp.full(shape, -math.inf)
    if x.size == 0:
        return xp.zeros(shape)
    s = Shifted(xp, x, axis, keep=False)
    out = s.top + xp.log1p(s.rest)
    if not s.regular:
        out = xp.where(xp.isinf(s.top), s.top, out)
    return out.reshape(shape)


def softmax(xp: Any, x: Any, *, axis: Axis) -> Any:
    """The kernel of ``softmax``."""
    if x.size == 0:
        return x
    s = Shifted(xp, x, axis, keep=False)
    return s.back(s.settled(s.weights()))


def log_softmax(xp: Any, x: Any, *, axis: Axis) -> Any:
    """The kernel of ``log_softmax``."""
    if x.size == 0:
        return x
    s = Shifted(xp, x, axis)
    log_total = xp.log1p(s.rest)
    if s.error is not None:
        log_total = log_total - s.error
    if is_symbolic(xp):
        return s.back(s.spoiled(s.x - log_total))
    s.x -= log_total
    return s.back(s.spoiled(s.x))


def softmax_jvp(xp: Any, x: Any, t: Any, *, axis: Axis) -> Any:
    """The kernel of ``softmax_jvp``."""
    if x.size == 0:
        return x
    s = Shifted(xp, x, axis)
    t = s.rows(t)
    weights = s.weights()
    shifted = t - s.pick(t)
    total = weighted(xp, weights, shifted)
    if is_symbolic(xp):
        out = weights * (shifted - total)
    else:
        shifted -= total
        out = np.multiply(weights, shifted, out=weights)
    if is_symbolic(xp) or not np.isfinite(s.x.min()):
        out = xp.where(s.x == -math.inf, 0.0, out)  # no part, whatever its tangent
    return s.back(s.settled(out))


def log_softmax_jvp(xp: Any, x: Any, t: Any, *, axis: Axis) -> Any:
    """The kernel of ``log_softmax_jvp``."""
    if x.size == 0:
        return x
    s = Shifted(xp, x, axis)
    t = s.rows(t)
    shifted = t - s.pick(t)
    total = weighted(xp, s.weights(), shifted)
    if is_symbolic(xp):
        return s.back(s.settled(shifted - total))
    shifted -= total
    return s.back(s.settled(shifted))


def log_softmax_vjp(xp: Any, x: Any, g: Any, *, axis: Axis) -> Any:
    """The kernel of ``log_softmax_vjp``."""
    if x.size == 0:
        return x
    s = Shifted(xp, x, axis, keep=False)
    g = s.rows(g)
    g_top = s.pick(g)
    elsewhere = xp.sum(s.put(g + 0.0, 0.0), axis=-1, keepdims=True)
    total = 1.0 + s.rest
    # weights but the greatest are at most 1/2: only there 1 - s needs the sum of the others
    at_top = (g_top * s.rest - elsewhere) / total
    if is_symbolic(xp):
        return s.back(s.settled(s.put(g - (s.others / total) * (g_top + elsewhere), at_top)))
    s.others /= total
    s.others *= g_top + elsewhere
    out = s.put(np.subtract(g, s.others, out=s.others), at_top)
    return s.back(s.settled(out))
