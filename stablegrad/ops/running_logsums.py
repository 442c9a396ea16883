"""Running log-sum-exp, by shares of the greatest entry so far.

With w the share of an entry in its running sum, every derivative is a recurrence
f_k = (1 - w_k) f_(k-1) + b_k: a mean for one direction, joint cumulants for several.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops.reduction import as_rows, from_rows, real_infer, widened
from stablegrad.ops.running import Polynomial, running_family, total, whole

# -- sets of directions -------------------------------------------------------------------


def subsets(s: int) -> Iterator[int]:
    """The nonempty subsets of a set of bits, each after its own subsets."""
    yield from [r for r in range(1, s + 1) if r & s == r]


def partitions(s: int) -> Iterator[list[int]]:
    """All ways to cut a set of bits into blocks."""
    if not s:
        yield []
        return
    lowest = s & -s
    rest = s ^ lowest
    for more in [0, *subsets(rest)]:
        for others in partitions(rest ^ more):
            yield [lowest | more, *others]


# -- kernels ------------------------------------------------------------------------------


def _recurrence(xp: Any, a: Any, b: Any) -> Any:
    """f with f_k = a_k f_(k-1) + b_k along the last axis, by doubling; a_0 does not matter."""
    n, step = a.shape[-1], 1
    while step < n:
        more = b[..., step:] + a[..., step:] * b[..., :-step]
        a = xp.concatenate([a[..., :step], a[..., step:] * a[..., :-step]], axis=-1)
        b = xp.concatenate([b[..., :step], more], axis=-1)
        step *= 2
    return b


def _before(xp: Any, f: Any, first: float) -> Any:
    """At each place what f was at the place before it."""
    return xp.concatenate([xp.full_like(f[..., :1], first), f[..., :-1]], axis=-1)


class _Running:
    """The greatest entry so far, the sum of the others, and the share of each new entry."""

    def __init__(self, xp: Any, x: Any) -> None:
        self.xp = xp
        top = xp.maximum.accumulate(x, axis=-1)
        last = _before(xp, top, -math.inf)
        new = x > last
        masked = top == -math.inf
        base = xp.where(masked, 0.0, top)
        decay = xp.exp(xp.where(last == top, 0.0, last - base))
        e = xp.exp(x - base)
        self.rest = _recurrence(xp, xp.where(new, decay, 1.0), xp.where(new, decay, e))
        """The sum of exp(x - top) over all so far, without the 1 of the greatest."""
        size = 1 + self.rest
        before = xp.where(new, self.rest, _before(xp, size, 0.0))
        self.keep = before / size
        self.share = e / size
        spoiled = ~(xp.isfinite(top) | masked)
        self.keep, self.share = (
            xp.where(masked, 0.0, xp.where(spoiled, math.nan, w)) for w in (self.keep, self.share)
        )
        self.value = xp.where(xp.isinf(top), top, top + xp.log1p(self.rest))

    def slopes(self, order: int) -> list[Any]:
        """The share by the difference to the sum before: all derivatives up to ``order``."""
        w, keep = self.share, self.keep
        out, terms = [w], {(1, 0): 1}
        for _ in range(order):
            step: dict[tuple[int, int], int] = {}
            for (a, b), c in terms.items():  # w' = w*keep, keep' = -w*keep
                for key, value in (((a, b + 1), a * c), ((a + 1, b), -b * c)):
                    step[key] = step.get(key, 0) + value
            terms = {key: c for key, c in step.items() if c}
            out.append(total([w**a * keep**b * c for (a, b), c in terms.items()]))
        return out

    def derivatives(self, ts: Sequence[Any]) -> tuple[Polynomial, Polynomial, list[Any]]:
        """For each set of directions the derivative, that of x less what came before; slopes."""
        slopes = self.slopes(len(ts))
        f: Polynomial = {}
        gap: Polynomial = {}
        for s in subsets(whole(ts)):
            single = s & (s - 1) == 0
            parts = [self.share * ts[s.bit_length() - 1]] if single else []
            parts += [
                _product([slopes[len(p) - 1], *[gap[b] for b in p]])
                for p in partitions(s)
                if len(p) > 1
            ]
            f[s] = _recurrence(self.xp, self.keep, total(parts))
            before = _before(self.xp, f[s], 0.0)
            gap[s] = ts[s.bit_length() - 1] - before if single else -before
        return f, gap, slopes


def _product(parts: Sequence[Any]) -> Any:
    out = parts[0]
    for p in parts[1:]:
        out = out * p
    return out


def _rows(xp: Any, arrays: Sequence[Any], axis: int) -> list[Any]:
    return [as_rows(xp, widened(xp, a), (axis,)) for a in arrays]


def _value(xp: Any, x: Any, *, axis: int) -> Any:
    if x.size == 0:
        return x
    (rows,) = _rows(xp, [x], axis)
    return from_rows(xp, _Running(xp, rows).value, x.shape, (axis,))


def _forward(xp: Any, x: Any, *ts: Any, axis: int) -> Any:
    if x.size == 0:
        return x
    rows, *directions = _rows(xp, [x, *ts], axis)
    f, _, _ = _Running(xp, rows).derivatives(directions)
    return from_rows(xp, f[whole(ts)], x.shape, (axis,))


def _backward(xp: Any, x: Any, c: Any, *ts: Any, axis: int) -> Any:
    if x.size == 0:
        return x
    rows, given, *directions = _rows(xp, [x, c, *ts], axis)
    running = _Running(xp, rows)
    _, gap, slopes = running.derivatives(directions)
    share: Polynomial = {0: running.share}
    for s in subsets(whole(ts)):
        share[s] = total([_product([slopes[len(p)], *[gap[b] for b in p]]) for p in partitions(s)])

    def after(values: Any) -> Any:
        """At each place, counted from the end, what stands one place later."""
        return _before(xp, xp.flip(values, -1), 0.0)

    later: Polynomial = {}  # from the end: what one more unit before each place is worth
    for s in [0, *subsets(whole(ts))]:
        parts = [xp.flip(given, -1)] if s == 0 else []
        parts += [after(-share[r]) * _before(xp, later[s ^ r], 0.0) for r in subsets(s)]
        later[s] = _recurrence(xp, after(running.keep), total(parts))
    out = total([share[s] * xp.flip(later[whole(ts) ^ s], -1) for s in share])
    return from_rows(xp, out, x.shape, (axis,))


# -- meanings -----------------------------------------------------------------------------


def _sums(term: Term, axis: int) -> Term:
    return OPS["cumsum"](term, axis=axis)


def _moment(x: Term, ts: Sequence[Term], block: int, axis: int) -> Term:
    """The running mean of a product of directions."""
    chosen = [t for i, t in enumerate(ts) if block >> i & 1]
    weights = OPS["exp"](x)
    return _sums(_product([weights, *chosen]), axis) / _sums(weights, axis)


def _sign(blocks: Sequence[int]) -> int:
    return (-1) ** (len(blocks) - 1) * math.factorial(len(blocks) - 1)


def _cumulant(x: Term, *ts: Term, axis: int) -> Term:
    """The joint cumulant of directions under the running softmax."""
    return total(
        [
            _product([_moment(x, ts, b, axis) for b in blocks]) * _sign(blocks)
            for blocks in partitions(whole(ts))
        ]
    )


def _cumulant_transposed(x: Term, c: Term, *ts: Term, axis: int) -> Term:
    """The same with x itself as one direction more, for each of its entries."""
    own = 1 << len(ts)
    weights = OPS["exp"](x)
    parts = []
    for blocks in partitions(whole(ts) | own):
        (mine,) = [b for b in blocks if b & own]
        others = [_moment(x, ts, b, axis) for b in blocks if not b & own]
        inner = OPS["flip"](_product([c / _sums(weights, axis), *others]), axis=(axis,))
        later = OPS["flip"](_sums(inner, axis), axis=(axis,))
        chosen = [t for i, t in enumerate(ts) if mine >> i & 1]
        parts.append(_product([weights, *chosen, later]) * _sign(blocks))
    return total(parts)


# -- records ------------------------------------------------------------------------------

cumlogsumexp, cumlogsumexp_jvp, cumlogsumexp_vjp = running_family(
    "cumlogsumexp",
    infer=real_infer,
    source="Welford 1962, in weights relative to the greatest entry so far",
    cost=6,
    op={
        "kernel": _value,
        "spellings": (lambda x, *, axis: OPS["log"](_sums(OPS["exp"](x), axis)),),
        "accuracy": "(n + 3)*eps relative to |greatest entry| + log(n)",
        "lax": "cumlogsumexp",
        "aten": "logcumsumexp",
        "doc": "log(cumsum(exp(x))) along an axis.",
        "example": ">>> sg.ops.cumlogsumexp(sg.tensor([-800.0, -800.0])).numpy()\n"
        "array([-800.    , -799.3068], dtype=float32)",
    },
    jvp={
        "kernel": _forward,
        "spellings": (_cumulant,),
        "accuracy": "n*eps relative to the sum of absolute terms",
        "doc": "The derivative of the running log-sum-exp along all given directions.",
        "example": (
            ">>> x, t = sg.tensor([0.0, 0.0]), sg.tensor([1.0, 3.0])\n"
            ">>> sg.ops.cumlogsumexp_jvp(x, t).numpy()\narray([1., 2.], dtype=float32)"
        ),
    },
    vjp={
        "kernel": _backward,
        "spellings": (_cumulant_transposed,),
        "accuracy": "n*eps relative to the sum of absolute terms",
        "doc": "The gradient of the running log-sum-exp for a cotangent, along directions.",
        "example": (
            ">>> x, c = sg.tensor([0.0, 0.0]), sg.tensor([1.0, 1.0])\n"
            ">>> sg.ops.cumlogsumexp_vjp(x, c).numpy()\narray([1.5, 0.5], dtype=float32)"
        ),
    },
)
