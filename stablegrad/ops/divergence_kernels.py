"""Kernels of the divergence of two softmaxes and of their difference.

With p = softmax(a), d = a - b less its mean by p, and v = -d, the divergence is
log(sum(p*exp(v))) = log1p(sum(p*(exp(v) - 1 - v))), a sum of positive addends: for near a and b
nothing cancels but a - b, which is exact there. softmax(b) - softmax(a) is p*expm1(v - divergence).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from stablegrad.ops.pairs import two_sum
from stablegrad.ops.reduction import Axis, count, reduced
from stablegrad.ops.softmax_kernels import Shifted, weighted
from stablegrad.ops.structured import is_symbolic
from stablegrad.ops.taylor_tables import polynomial

_FAR = 500.0
"""From here on divergences are large, so that the plain difference of logarithms is right."""
_NEAR, _NEAR_NARROW = 0.1, 1e-9
"""Below these divergences addends that cancel lose digits of float64, and of float32."""
_TINY = 1e-290
"""Weights below this lose digits by being subnormal."""
_SERIES = tuple([1.0 / math.factorial(k) for k in range(21, 1, -1)])


class _Near:
    """Rows of two arrays of logits, the second as the first less what they differ by.

    Args:
        xp: the array namespace.
        a: the logits of the weights.
        b: other logits.
        axis: what makes a row.
    """

    def __init__(self, xp: Any, a: Any, b: Any, axis: Axis) -> None:
        self.xp, self.first = xp, Shifted(xp, a, axis)
        s = self.first
        self.rest = s.rest
        self.p = s.settled(s.weights())
        self.b = s.rows(b)
        self.none = s.x == -math.inf
        """Where a is -inf, or so far below the greatest that its distance overflows."""
        self.symbolic = is_symbolic(xp)
        if s.narrow and not self.symbolic:  # differences of floats are exact enough in float64
            self.y, self.below, self.error = self.b - s.pick(self.b), 0.0, 0.0
            d = s.x - self.y
            d = xp.where(self.none, 0.0, d) if self.none.any() else d
            self.mean = weighted(xp, self.p, d)
            self.v = self.mean - d
            return
        self.y, below = two_sum(self.b, -s.pick(self.b))
        self.below = xp.where(xp.isfinite(self.y), below, 0.0)
        d, error = two_sum(s.x, -self.y)
        error = error - self.below if s.error is None else error + (s.error - self.below)
        d, error = two_sum(xp.where(self.none, 0.0, d), xp.where(xp.isfinite(d), error, 0.0))
        self.mean = weighted(xp, self.p, d)
        c, more = two_sum(d, -self.mean)
        more = xp.where(xp.isfinite(c), more + error, 0.0)
        self.v, self.error = -c, -xp.where(self.none, 0.0, more)

    def _series(self, v: Any, error: Any) -> Any:
        """exp(v + error) - 1 - v for |v| < 1 and an error whose mean is 0."""
        return v * polynomial(v, _SERIES) * v + error * (v * (1.0 + 0.5 * v))

    def _ordinary(self) -> Any:
        """The rows where nothing is far, by themselves: a row is the same whatever is beside it."""
        v, p = self.v, self.p
        if self.first.regular and v.max() < _FAR and p.min() > _TINY:
            return slice(None)
        with np.errstate(invalid="ignore"):
            good = np.isfinite(v) & (v < _FAR) & (p > _TINY)
        return good.all(axis=-1)

    def _of_ordinary(self, which: Any) -> Any:
        """The divergence of some rows by NumPy; the series for rows of near logits only."""
        v, p = self.v[which], self.p[which]
        wide = not self.first.narrow
        every: Any = self.error
        error: Any = every[which] if wide else 0.0
        growth = np.expm1(v)
        excess = growth - v
        if wide:
            excess += growth * error
        total = np.sum(p * excess, axis=-1, keepdims=True)
        near = total[..., 0] < (_NEAR if wide else _NEAR_NARROW)
        if near.any():
            rows = v[near]
            inside = abs(rows) < 1.0
            t = np.where(inside, rows, 0.0)
            series = self._series(t, error[near] if wide else 0.0)
            total[near] = np.sum(
                p[near] * np.where(inside, series, excess[near]), axis=-1, keepdims=True
            )
        return np.log1p(total)

    @cached_property
    def shift(self) -> Any:
        """What the logarithm of a share of b has beside y and the divergence."""
        return self.mean - self.xp.log1p(self.rest)

    @cached_property
    def divergence(self) -> Any:
        """The divergence where b and the mean are finite; one number for each row."""
        if self.symbolic:
            return self._anywhere()
        which = self._ordinary()
        if isinstance(which, slice):
            return self._of_ordinary(which)
        found = np.array(self._anywhere())
        if which.any():
            found[which] = self._of_ordinary(which)
        return found

    def _anywhere(self) -> Any:
        """The divergence of all rows, far ones too."""
        xp, v = self.xp, self.v
        top = xp.max(self.y, axis=-1, keepdims=True)
        u, error = two_sum(self.y, self.shift)
        error = xp.where(xp.isfinite(u), error + self.below, 0.0)
        large = top + self.shift > _FAR
        lost = self.none | (v > _FAR) | ((self.p < _TINY) & (v > 1.0))
        near = abs(v) < 1.0
        argument = xp.where(lost, u, xp.where(near, 0.0, v))
        e = xp.exp(xp.where(large, self.y - top, argument))
        t = xp.where(near, v, 0.0)
        small = self._series(t, self.error)
        plain = e * (1.0 + self.error) - (1.0 + v)
        beyond = e * (1.0 + error) - self.p * (1.0 + v)
        addends = xp.where(lost, beyond, self.p * xp.where(near, small, plain))
        addends = xp.where(self.none & (self.y == -math.inf), 0.0, addends)
        total = xp.sum(xp.where(large, e, addends), axis=-1, keepdims=True)
        far = top + self.shift + xp.log(xp.where(large, total, 1.0))
        return xp.where(large, far, xp.log1p(xp.where(large, 0.0, total)))


def softmax_divergence(xp: Any, a: Any, b: Any, *, axis: Axis, keepdims: bool) -> Any:
    """The kernel of ``softmax_divergence``."""
    shape = reduced(a.shape, axis, keepdims)
    if a.size == 0 or count(a.shape, axis) == 0:
        return xp.zeros(shape)
    rows = _Near(xp, a, b, axis)
    s, b = rows.first, rows.b
    out = rows.divergence
    if not is_symbolic(xp) and np.isfinite(out).all() and s.regular:
        return out.reshape(shape)
    missed = xp.any((b == -math.inf) & (s.rows(a) > -math.inf), axis=-1, keepdims=True)
    undefined = xp.any(~(b < math.inf), axis=-1, keepdims=True)
    out = s.settled(xp.where(missed, math.inf, out))
    return xp.where(undefined, math.nan, out).reshape(shape)


def softmax_gap(xp: Any, a: Any, b: Any, *, axis: Axis) -> Any:
    """The kernel of ``softmax_gap``."""
    if a.size == 0:
        return a
    rows, other = _Near(xp, a, b, axis), Shifted(xp, b, axis, keep=False)
    q = other.settled(other.weights())
    t = rows.v - (rows.divergence - rows.error)
    near = (abs(t) <= 1.0) & (rows.divergence < 1.0) & ~rows.none
    s = rows.first
    out = xp.where(near, rows.p * xp.expm1(xp.where(near, t, 0.0)), q - rows.p)
    # shares close to 1 cancel where the logits do not: there the others have the digits
    top = s.pick(out)
    dominant = (s.pick(rows.p) > 0.5) & (s.pick(q) > 0.5)
    others = xp.sum(s.put(out + 0.0, 0.0), axis=-1, keepdims=True)
    return s.back(s.put(out, xp.where(dominant, -others, top)))
