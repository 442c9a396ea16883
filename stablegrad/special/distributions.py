"""Distribution functions with scipy.special's names, by incomplete gamma and beta functions.

All are differentiable in their parameters too, but for counts of events.
"""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import operands
from stablegrad.tensor import Tensor
from stablegrad.tensor.apply import apply


def _gammainc(a: Any, x: Any) -> Tensor:
    return apply(OPS["gammainc"], (a, x))


def _gammaincc(a: Any, x: Any) -> Tensor:
    return apply(OPS["gammaincc"], (a, x))


def _betainc(a: Any, b: Any, x: Any) -> Tensor:
    return apply(OPS["betainc"], (a, b, x))


def betaincc(a: Any, b: Any, x: Any) -> Tensor:
    """The complement of ``betainc``: I_(1-x)(b, a)."""
    p, q, t = operands(a, b, x)
    return _betainc(q, p, 1.0 - t)


def chdtr(v: Any, x: Any) -> Tensor:
    """The chi-squared distribution of v degrees of freedom up to x."""
    return _gammainc(*[t * 0.5 for t in operands(v, x)])


def chdtrc(v: Any, x: Any) -> Tensor:
    """The chi-squared distribution of v degrees of freedom beyond x."""
    return _gammaincc(*[t * 0.5 for t in operands(v, x)])


def gdtr(a: Any, b: Any, x: Any) -> Tensor:
    """The gamma distribution of rate a and shape b up to x."""
    rate, shape, t = operands(a, b, x)
    return _gammainc(shape, rate * t)


def gdtrc(a: Any, b: Any, x: Any) -> Tensor:
    """The gamma distribution of rate a and shape b beyond x."""
    rate, shape, t = operands(a, b, x)
    return _gammaincc(shape, rate * t)


def pdtr(k: Any, m: Any) -> Tensor:
    """The Poisson distribution of mean m, up to k events."""
    events, mean = operands(k, m)
    return _gammaincc(OPS["floor"](events) + 1.0, mean)


def pdtrc(k: Any, m: Any) -> Tensor:
    """The Poisson distribution of mean m, beyond k events."""
    events, mean = operands(k, m)
    return _gammainc(OPS["floor"](events) + 1.0, mean)


def bdtr(k: Any, n: Any, p: Any) -> Tensor:
    """The binomial distribution of n trials of probability p, up to k events, k < n."""
    events, trials, share = operands(k, n, p)
    count = OPS["floor"](events)
    return _betainc(trials - count, count + 1.0, 1.0 - share)


def bdtrc(k: Any, n: Any, p: Any) -> Tensor:
    """The binomial distribution of n trials of probability p, beyond k events, k < n."""
    events, trials, share = operands(k, n, p)
    count = OPS["floor"](events)
    return _betainc(count + 1.0, trials - count, share)


def nbdtr(k: Any, n: Any, p: Any) -> Tensor:
    """The distribution of failures before the n-th success, up to k of them."""
    events, count, share = operands(k, n, p)
    return _betainc(count, OPS["floor"](events) + 1.0, share)


def nbdtrc(k: Any, n: Any, p: Any) -> Tensor:
    """The distribution of failures before the n-th success, beyond k of them."""
    events, count, share = operands(k, n, p)
    return _betainc(OPS["floor"](events) + 1.0, count, 1.0 - share)


def btdtr(a: Any, b: Any, x: Any) -> Tensor:
    """The beta distribution up to x."""
    return _betainc(a, b, x)


def fdtr(dfn: Any, dfd: Any, x: Any) -> Tensor:
    """The F distribution of dfn and dfd degrees of freedom up to x."""
    n, d, t = operands(dfn, dfd, x)
    return _betainc(n * 0.5, d * 0.5, n * t / (d + n * t))


def fdtrc(dfn: Any, dfd: Any, x: Any) -> Tensor:
    """The F distribution of dfn and dfd degrees of freedom beyond x."""
    n, d, t = operands(dfn, dfd, x)
    return _betainc(d * 0.5, n * 0.5, d / (d + n * t))


def stdtr(df: Any, t: Any) -> Tensor:
    """Student's distribution of df degrees of freedom up to t."""
    n, x = operands(df, t)
    square = x * x
    # by what is left beside the middle, so that small t keep their digits
    middle = 0.5 * _betainc(0.5, n * 0.5, square / (n + square))
    tail = 0.5 * _betainc(n * 0.5, 0.5, n / (n + square))
    inside = square < n
    beside = OPS["where"](inside, 0.5 - middle, tail)
    upper = OPS["where"](inside, 0.5 + middle, 1.0 - tail)
    found = OPS["where"](x < 0, beside, upper)
    # at 0 the density is infinite by the square, and 0 by the square's slope
    height = OPS["exp"](apply(OPS["lgamma_difference"], (n * 0.5, 0.5)))
    return OPS["where"](x == 0, 0.5 + x * height / OPS["sqrt"](n * math.pi), found)
