"""The logarithm of the beta function, and differences of the logarithm of the gamma function."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import pair_calls, pair_exp, pairs
from stablegrad.ops.differences import log1pmx
from stablegrad.ops.gamma_kernels import log_gamma_pairs
from stablegrad.ops.record import NEGATIVE, POSITIVE, REAL, elementwise
from stablegrad.ops.special_gamma import digamma, lgamma, polygamma
from stablegrad.ops.taylor_tables import polynomial

_SHIFT = 12
"""From here on Stirling's series; below, recurrences bring arguments here."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@cache
def bernoulli(count: int) -> tuple[Fraction, ...]:
    """Bernoulli's numbers B_2, B_4, ..."""
    b: list[Fraction] = []
    for n in range(2 * count + 1):
        b.append(Fraction(int(n == 0)))
        for k in range(n):
            b[n] -= math.comb(n, k) * b[k] / (n - k + 1)
    return tuple(b[2::2])


@cache
def _stirling(count: int = 12) -> tuple[float, ...]:
    """Stirling's correction times w, in 1/w**2, the highest power first."""
    terms = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(bernoulli(count), 1)]
    return tuple([float(t) for t in terms[::-1]])


def stirling_rest(w: Any) -> Any:
    """The logarithm of the gamma function less its leading terms, for w >= 12."""
    r = 1.0 / w
    return r * polynomial(r * r, _stirling())


# -- lgamma(x + h) - lgamma(x) -----------------------------------------------------------------


def _stirling_step(xp: Any, w: Any, h: Any) -> Any:
    """The difference for w >= 12: every leading term is one of log1p."""
    t = h / w
    step = xp.log1p(t)
    total = h * xp.log(w + h) + (w * log1pmx.kernel(xp, t) - 0.5 * step)
    # of each power w**-p the difference is w**-p expm1(-p log1p(h/w))
    power, change = 1.0 / w, 0.0 * w
    for k, c in enumerate(_stirling()[::-1]):
        change = change + c * power * xp.expm1(-(2 * k + 1) * step)
        power = power / (w * w)
    return total + change


def _log1p_ratio(xp: Any, h: Any, x: Any) -> Any:
    """log1p(h / x) for h >= 0, also where the quotient overflows."""
    ratio = h / x
    return xp.where(ratio == xp.inf, xp.log(h) - xp.log(x), xp.log1p(ratio))


def lgamma_step_kernel(xp: Any, x: Any, h: Any) -> Any:
    """The difference for arguments of any sign."""
    x, h = xp.broadcast_arrays(xp.asarray(x, dtype=float), xp.asarray(h, dtype=float))
    both = (x > 0) & (x + h > 0)
    value = lgamma.kernel(xp, x + h) - lgamma.kernel(xp, x)

    def positive(xp: Any, x: Any, h: Any) -> Any:
        # upwards from the smaller of both arguments
        low, step, sign = xp.minimum(x, x + h), xp.abs(h), xp.sign(h)
        up = xp.ceil(xp.maximum(_SHIFT - low, 0.0))
        total = 0.0 * x
        for k in range(_SHIFT):
            total = total + xp.where(k < up, _log1p_ratio(xp, step, low + k), 0.0)
        w = low + up
        return sign * (_stirling_step(xp, w, step) - total)

    tiny = xp.maximum(x, x + h) < 0.5  # both are great, and their difference a log
    close = both & (tiny | (xp.abs(h) < xp.where(x + h > _SHIFT, xp.inf, 0.5 * x)))
    value = pairs.redo(xp, close, value, positive, x, h)

    def turning(xp: Any, x: Any, h: Any) -> Any:
        hi, lo = pair_calls.lgamma_step((x, 0.0 * x), (h, 0.0 * h))
        return hi + lo

    # next to the minimum of lgamma at 1.46 a step is much smaller than its parts
    flat = close & (x < 3.0) & (xp.abs(value) < 2.0 * xp.abs(h)) & (x + h < 3.0)
    return pairs.redo(xp, flat & (xp.name == "numpy"), value, turning, x, h)


def _lgamma_difference(xp: Any, x: Any, h: Any) -> Any:
    return xp.where((x > 0) & (h >= 0), lgamma_step_kernel(xp, x, h), xp.nan)


def _all_positive(term: Term) -> bool:
    return all(a.facts.defined and a.facts.positive for a in term.args)


lgamma_difference = elementwise(
    "lgamma_difference",
    family="special",
    kernel=_lgamma_difference,
    ball=lambda x, h: (x + h).lgamma() - x.lgamma(),
    partials=lambda out, x, h: (polygamma_difference(x, h, n=0), _after(digamma(x + h), x)),
    domain=(POSITIVE, POSITIVE),
    infer_facts=lambda term: Facts(defined=_all_positive(term)),
    cost=6,
    ulp=None,
    accuracy="4 ulp of the greater of |h log(x + h)| and the result; more next to its zeros",
    source="DLMF 5.5.1, 5.11.1, each term of the difference by log1p",
    doc="lgamma(x + h) - lgamma(x) of x > 0 and h >= 0, also for h far below x.",
    example=">>> sg.ops.lgamma_difference(sg.tensor([2.0]), 1.0).numpy()\n"
    "array([0.6931472], dtype=float32)",
)


def _after(partial: Term, x: Term) -> Term:
    """A partial by h, nan where there is no value at x."""
    return OPS["require"](partial, OPS["greater"](x, 0.0))


def _power_drop(xp: Any, w: Any, step: Any, p: int) -> Any:
    """w**-p - (w + h)**-p, with step = log1p(h/w)."""
    out = -xp.expm1(-p * step)
    for _ in range(p):
        out = out / w
    return out


def _polygamma_difference(xp: Any, x: Any, h: Any, *, n: int) -> Any:
    """By terms of one sign: all of the recurrence's, and the leading ones of the series."""
    x, h = xp.broadcast_arrays(xp.asarray(x, dtype=float), xp.asarray(h, dtype=float))
    low, size = xp.minimum(x, x + h), xp.abs(h)
    count = _SHIFT + 2 * n
    total = 0.0 * x
    front = float(math.factorial(n))
    for k in range(count):
        w = low + k
        total = total + front * _power_drop(xp, w, xp.log1p(size / w), n + 1)
    w = low + count
    step = xp.log1p(size / w)
    if n == 0:
        rest = step
    else:
        rest = float(math.factorial(n - 1)) * _power_drop(xp, w, step, n)
    rest = rest + 0.5 * front * _power_drop(xp, w, step, n + 1)
    for k, b in enumerate(bernoulli(10), 1):
        c = float(b * math.factorial(2 * k + n - 1) / math.factorial(2 * k))
        rest = rest + c * _power_drop(xp, w, step, 2 * k + n)
    value = (1.0 if n % 2 == 0 else -1.0) * xp.sign(h) * (total + rest)
    return xp.where((x > 0) & (h >= 0), value, xp.nan)


def _polygamma_difference_facts(term: Term) -> Facts:
    sign = NEGATIVE if term.param("n") % 2 else POSITIVE
    if all(a.facts.positive for a in term.args):
        return sign._replace(defined=_all_positive(term))
    return REAL


polygamma_difference = elementwise(
    "polygamma_difference",
    family="special",
    params=("n",),
    defaults=(0,),
    kernel=_polygamma_difference,
    ball=lambda x, h, *, n: (x + h).polygamma(n) - x.polygamma(n),
    partials=lambda out, x, h: (
        polygamma_difference(x, h, n=out.param("n") + 1),
        _after(polygamma(x + h, n=out.param("n") + 1), x),
    ),
    domain=(POSITIVE, POSITIVE),
    infer_facts=_polygamma_difference_facts,
    cost=7,
    ulp=None,
    accuracy="8 ulp: a sum of some twenty positive terms",
    source="DLMF 5.15.5, 5.15.8, each term of the difference by expm1",
    doc="polygamma(n, x + h) - polygamma(n, x) of x > 0 and h >= 0.",
    example=">>> sg.ops.polygamma_difference(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([1.], dtype=float32)",
)

# -- the beta function ---------------------------------------------------------------------------


def _betaln(xp: Any, a: Any, b: Any) -> Any:
    a, b = xp.broadcast_arrays(xp.asarray(a, dtype=float), xp.asarray(b, dtype=float))
    p, q = xp.minimum(a, b), xp.maximum(a, b)
    value = lgamma.kernel(xp, p) - _lgamma_difference(xp, q, p)

    def both_large(xp: Any, p: Any, q: Any) -> Any:
        t = p / q
        total = p * xp.log(p / (p + q)) - p - q * log1pmx.kernel(xp, t)
        total = total - 0.5 * xp.log(p) + (_HALF_LOG_2PI + 0.5 * xp.log1p(t))
        return total + (stirling_rest(p) + (stirling_rest(q) - stirling_rest(p + q)))

    value = pairs.redo(xp, p >= _SHIFT, value, both_large, p, q)
    value = xp.where((q == xp.inf) & (p > 0), -xp.inf, value)

    def near_zero(xp: Any, p: Any, q: Any) -> Any:
        zero = 0.0 * p
        low = p < 0.5  # then by lgamma(p + 1) - log(p)
        start = pairs.two_sum(p, xp.where(low, 1.0, 0.0))
        total = pairs.add(log_gamma_pairs(xp, start), log_gamma_pairs(xp, (q, zero)))
        whole = log_gamma_pairs(xp, pairs.two_sum(p, q))
        total = pairs.add(total, pairs.negative(whole))
        log = pair_exp.log_of_pair(xp, (xp.where(low, p, 1.0), zero))
        total = pairs.add(total, pairs.negative(log))
        return total[0] + total[1]

    cancelled = (xp.abs(value) < 0.5 * xp.abs(lgamma.kernel(xp, p)) + 0.7) & (p > 1e-280)
    value = pairs.redo(xp, cancelled & (q > 0.5) & (q < 1e8), value, near_zero, p, q)
    value = xp.where(p == 1.0, -xp.log(q), value)
    value = xp.where((q == 1.0) & (p > 0), -xp.log(p), value)

    def with_negative(xp: Any, p: Any, q: Any) -> Any:
        total = pairs.two_sum(lgamma.kernel(xp, p), lgamma.kernel(xp, q))
        whole = pairs.two_sum(total[0], -lgamma.kernel(xp, p + q))
        return xp.where(xp.isfinite(whole[0]), whole[0] + (whole[1] + total[1]), whole[0])

    return pairs.redo(xp, ~(p > 0), value, with_negative, p, q)


betaln = elementwise(
    "betaln",
    family="special",
    kernel=_betaln,
    ball=lambda a, b: a.betaln(b),
    # no spelling: difference_of_gammas has negative arguments too
    partials=lambda out, a, b: (
        -polygamma_difference(a, b, n=0),
        -polygamma_difference(b, a, n=0),
    ),
    textbook=lambda out, a, b: (digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)),
    domain=(POSITIVE, POSITIVE),
    infer_facts=lambda term: Facts(defined=_all_positive(term)),
    commutative=True,
    cost=6,
    ulp=None,
    accuracy="4 ulp, and more next to the curve where it is zero; 8 ulp at orders 1 and 2",
    source="DiDonato and Morris 1992, TOMS 708: Stirling's series, its leading terms by log1p",
    doc="The logarithm of the beta function of a, b > 0.",
    example=">>> sg.ops.betaln(sg.tensor([2.0]), 1.0).numpy()\narray([-0.6931472], dtype=float32)",
)
