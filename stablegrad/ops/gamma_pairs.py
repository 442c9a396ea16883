"""Steps of lgamma and digamma in pairs, relative to themselves and not to the two values."""

from __future__ import annotations

from typing import Any

from stablegrad.ops import pairs
from stablegrad.ops.gamma_kernels import PAIR_SHIFT, bernoulli


def _tails(
    u: pairs.Pair, v: pairs.Pair, tail: list[tuple[float, float]]
) -> tuple[pairs.Pair, pairs.Pair]:
    """A polynomial at u, the highest power first, and its divided difference by v."""
    zero = 0.0 * u[0]
    value: pairs.Pair = (zero, zero)
    gap: pairs.Pair = (zero, zero)
    for a, b in tail:
        gap = pairs.add(pairs.multiply(gap, v), value)
        value = pairs.add(pairs.multiply(value, u), (a + zero, b + zero))
    return value, gap


def _shifted(x: pairs.Pair, k: float) -> pairs.Pair:
    zero = 0.0 * x[0]
    return pairs.add(x, (k + zero, zero))


def lgamma_step(log1p: Any, log: Any, x: pairs.Pair, h: pairs.Pair) -> pairs.Pair:
    """Evaluate lgamma(x + h) - lgamma(x) in pairs, for x > 0 and -x/2 < h < 4*x.

    The recurrence is the log of a product of 1 + h/(x + k), of which 1 is left out.
    """
    zero = 0.0 * x[0]
    gain: pairs.Pair = (zero, zero)
    for k in range(PAIR_SHIFT):
        t = pairs.divide(h, _shifted(x, float(k)))
        gain = pairs.add(pairs.add(gain, t), pairs.multiply(gain, t))
    w = _shifted(x, float(PAIR_SHIFT))
    end = pairs.add(w, h)
    total = pairs.multiply(_shifted(w, -0.5), log1p(pairs.divide(h, w)))
    total = pairs.add(total, pairs.negative(h))
    total = pairs.add(total, pairs.multiply(h, log(end)))
    tail = [pairs.split(b / (2 * k * (2 * k - 1))) for k, b in enumerate(bernoulli(30)) if k]
    one = (1.0 + zero, zero)
    r, s = pairs.divide(one, end), pairs.divide(one, w)
    apart = pairs.negative(pairs.multiply(pairs.multiply(h, r), s))  # r - s, however small
    value, gap = _tails(pairs.multiply(r, r), pairs.multiply(s, s), tail[::-1])
    slope = pairs.add(value, pairs.multiply(pairs.multiply(s, pairs.add(r, s)), gap))
    total = pairs.add(total, pairs.multiply(apart, slope))
    return pairs.add(total, pairs.negative(log1p(gain)))


def digamma_step(log1p: Any, x: pairs.Pair, h: pairs.Pair) -> pairs.Pair:
    """Evaluate digamma(x + h) - digamma(x) in pairs, for x > 0 and -x/2 < h < 4*x."""
    zero = 0.0 * x[0]
    total: pairs.Pair = (zero, zero)
    for k in range(PAIR_SHIFT):
        at = _shifted(x, float(k))
        term = pairs.divide(pairs.divide(h, at), pairs.add(at, h))
        total = pairs.add(total, term)
    w = _shifted(x, float(PAIR_SHIFT))
    end = pairs.add(w, h)
    change = pairs.divide(h, w)
    total = pairs.add(total, log1p(change))
    half = pairs.divide(change, end)
    total = pairs.add(total, (0.5 * half[0], 0.5 * half[1]))
    tail = [pairs.split(-b / (2 * k)) for k, b in enumerate(bernoulli(30)) if k]
    one = (1.0 + zero, zero)
    r, s = pairs.divide(one, end), pairs.divide(one, w)
    apart = pairs.negative(pairs.multiply(pairs.multiply(h, r), s))  # r - s, however small
    value, gap = _tails(pairs.multiply(r, r), pairs.multiply(s, s), tail[::-1])
    slope = pairs.add(value, pairs.multiply(pairs.multiply(s, s), gap))
    return pairs.add(total, pairs.multiply(pairs.multiply(apart, pairs.add(r, s)), slope))
