"""Float32 kernels of log-sum-exp, softmax and their derivatives: sums along axes, nothing picked.

Entries equal to the greatest are told by their exponential, which is 1: of these one is the
1 in 1 + rest, so that the logarithm of the sum keeps its digits where the rest is small.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from stablegrad.ops.pairs import two_sum
from stablegrad.ops.reduction import Axis, count, every, reduced

_ZERO = np.float32(0)


class _Shifted:
    """An array less its greatest entry along axes, and the exponentials of that."""

    def __init__(self, xp: Any, x: Any, axis: Axis) -> None:
        self.xp, self.axes = xp, every(axis, x.ndim)
        self.top = xp.max(x, axis=self.axes, keepdims=True)
        self.masked = self.top == -xp.inf
        base = xp.where(self.masked, _ZERO, self.top)
        self.x, error = two_sum(x, -base)
        e = xp.exp(self.x)
        self.e = e + e * xp.where(e > 0, error, _ZERO)

    def sum(self, t: Any) -> Any:
        """The sum along the axes."""
        return self.xp.sum(t, axis=self.axes, keepdims=True)

    @cached_property
    def first(self) -> Any:
        """Where an entry is as great as the greatest."""
        return self.e == 1

    @cached_property
    def total(self) -> Any:
        """The sum of the exponentials."""
        return self.sum(self.e)

    @cached_property
    def rest(self) -> Any:
        """The sum of the exponentials but for one of the greatest.

        Those of the greatest, which are 1, are left out and counted by the total. What is 1 is told
        by rounding down: XLA makes a choice before it sums, but rounds while it sums.
        """
        xp = self.xp
        others = self.sum(self.e - xp.floor(self.e))
        more = xp.rint(self.total - others) - 1
        return others + xp.where(self.masked, _ZERO, more)

    @cached_property
    def weights(self) -> Any:
        """Softmax; 0 in rows that are masked throughout."""
        return self.e * self.xp.where(self.masked, _ZERO, 1 / self.total)

    def moved(self, t: Any) -> Any:
        """A tangent less its value where x is greatest, and less its mean by the weights."""
        xp = self.xp
        at_top = xp.max(xp.where(self.first, t, -xp.inf), axis=self.axes, keepdims=True)
        shifted = t - xp.where(at_top == -xp.inf, _ZERO, at_top)
        weighted = xp.where(self.weights == 0, _ZERO, self.weights * shifted)
        return shifted - self.sum(weighted)


def logsumexp(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    """The kernel of ``logsumexp``."""
    shape = reduced(x.shape, axis, keepdims)
    if count(x.shape, axis) == 0:
        return xp.full(shape, -xp.inf, x.dtype)
    s = _Shifted(xp, x, axis)
    out = xp.where(xp.isinf(s.top), s.top, s.top + xp.log1p(s.rest))
    return out.reshape(shape)


def softmax(xp: Any, x: Any, *, axis: Axis) -> Any:
    """The kernel of ``softmax``."""
    return _Shifted(xp, x, axis).weights if x.size else x


def log_softmax(xp: Any, x: Any, *, axis: Axis) -> Any:
    """The kernel of ``log_softmax``."""
    if not x.size:
        return x
    s = _Shifted(xp, x, axis)
    return s.x - xp.log1p(s.rest)


def softmax_jvp(xp: Any, x: Any, t: Any, *, axis: Axis) -> Any:
    """The kernel of ``softmax_jvp``."""
    if not x.size:
        return x
    s = _Shifted(xp, x, axis)
    # what has no weight has no part, whatever its tangent
    return xp.where(s.weights == 0, _ZERO, s.weights * s.moved(t))


def log_softmax_jvp(xp: Any, x: Any, t: Any, *, axis: Axis) -> Any:
    """The kernel of ``log_softmax_jvp``."""
    if not x.size:
        return x
    s = _Shifted(xp, x, axis)
    return xp.where(s.masked, _ZERO, s.moved(t))


def log_softmax_vjp(xp: Any, x: Any, g: Any, *, axis: Axis) -> Any:
    """The kernel of ``log_softmax_vjp``."""
    if not x.size:
        return x
    s = _Shifted(xp, x, axis)
    elsewhere = s.sum(xp.where(s.first, _ZERO, g))
    at_top = s.sum(xp.where(s.first, g, _ZERO))
    scale = 1 / (1 + s.rest)
    # weights but the greatest are at most 1/2: only there 1 - s needs the sum of the others
    greatest = g * s.rest - (elsewhere + (at_top - g))
    out = xp.where(s.first, greatest * scale, g - (s.e * scale) * (at_top + elsewhere))
    return xp.where(s.masked, _ZERO, out)


SOFTMAX: dict[str, Callable[..., Any]] = {
    "logsumexp": logsumexp,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softmax_jvp": softmax_jvp,
    "log_softmax_jvp": log_softmax_jvp,
    "log_softmax_vjp": log_softmax_vjp,
}
"""By op."""
