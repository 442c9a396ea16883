"""Compound growth: (1 + u)**y, what it gains, and sums of its powers.

(1 + u)**y is exp(y * log1p(u)) with the product of y and the logarithm as a pair hi + lo, so
that neither 1 + u nor the product is rounded. A geometric sum ((1 + u)**y - 1)/u and its
derivatives by u are integrals without cancellation:
    d^n/du^n = y*(y - 1)*...*(y - n) / u**(n + 1) * integral_0^L (1 - exp(-s))**n * exp(y*s) ds

with L = log1p(u), done by Gauss's rule where y*L is moderate; elsewhere the recurrence
u*f[n] = g[n] - n*f[n - 1] with g = (1 + u)**y - 1 does not cancel.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ir import OPS, UNKNOWN, Facts, Term
from stablegrad.ops import pair_exp, pairs
from stablegrad.ops.pairs import Pair, two_sum
from stablegrad.ops.powers import falling
from stablegrad.ops.record import NONNEGATIVE, POSITIVE, REAL, elementwise

_GROWS = Facts(lo=-1.0, lo_open=True)


# -- kernels ------------------------------------------------------------------------------


def _log_pair(xp: Any, base: Pair, excess: Pair) -> Pair:
    """log(base) of a positive pair to 2**-97 relative, base - 1 = ``excess`` known for itself."""
    hi, lo = excess
    near = xp.abs(hi) <= 0.5
    start = xp.log1p(xp.where(near, hi, 0.0))
    e = pair_exp.expm1(xp, (start, 0.0 * start))
    rest = pairs.add((hi, lo), pairs.negative(e))
    close = pairs.fast_two_sum(start, (rest[0] + rest[1]) / (1.0 + e[0]))
    wide = pair_exp.log(xp, xp.where(near, 1.0, base[0]))
    far = pairs.fast_two_sum(wide[0], wide[1] + base[1] / base[0])
    return xp.where(near, close[0], far[0]), xp.where(near, close[1], far[1])


def _exponent(xp: Any, base: Pair, excess: Any, y: Any) -> Pair:
    """y * log|base| as a pair where it matters, a float with a zero elsewhere."""
    below = base[0] < 0
    size = xp.where(below, -base[0], base[0]), xp.where(below, -base[1], base[1])
    mirrored = two_sum(size[0], -1.0 + 0.0 * y)
    rest = xp.where(below, mirrored[1] + size[1], excess[1])
    above = two_sum(xp.where(below, mirrored[0], excess[0]), rest)
    near = xp.abs(above[0]) < 0.5
    plain = y * xp.where(near, xp.log1p(xp.where(near, above[0], 0.0)), xp.log(size[0]))
    # a product below 1/2 needs no second float, one beyond 2500 leaves the range whatever it is
    careful = (xp.abs(plain) > 0.5) & (xp.abs(plain) < 2500) & (xp.abs(y) < 1e290)
    careful &= xp.isfinite(size[0])
    if xp.name == "numpy" and not careful.any():
        return plain, 0.0 * plain
    one, zero = 1.0 + 0.0 * y, 0.0 * y
    log = _log_pair(
        xp,
        (xp.where(careful, size[0], one), xp.where(careful, size[1], zero)),
        (xp.where(careful, above[0], zero), xp.where(careful, above[1], zero)),
    )
    factor = xp.where(careful, y, one)
    hi, lo = pairs.multiply((factor, 0.0 * factor), log)
    return xp.where(careful, hi, plain), xp.where(careful, lo, 0.0)


def _sign(xp: Any, base: Any, y: Any) -> Any:
    """The sign of base**y; nan for a negative base and a fractional exponent."""
    return xp.where(base < 0, xp.power(-1.0, xp.where(base < 0, y, 1.0)), 1.0)


def _grown(xp: Any, base: Pair, excess: Pair, y: Any, *, less_one: bool) -> Any:
    """base**y, or base**y - 1."""
    plain = xp.power(base[0], y) - (1.0 if less_one else 0.0)
    hi, lo = _exponent(xp, base, excess, y)
    sign = _sign(xp, base[0], y)
    value = xp.exp(hi)
    inside = xp.isfinite(value)
    if less_one:
        gain = xp.expm1(hi) + xp.where(inside, value * lo, 0.0)
        result = xp.where(sign == 1, gain, sign * (value + value * lo) - 1.0)
    else:
        result = sign * (value + xp.where(inside, value * lo, 0.0))
    usable = (base[0] > 0) & xp.isfinite(base[0]) & (excess[0] != 0)
    usable = usable | (base[0] < 0) & xp.isfinite(hi) & ~xp.isnan(sign)
    return xp.where(usable, result, plain)


def _from_excess(xp: Any, u: Any, y: Any) -> tuple[Pair, Pair, Any]:
    u, y = xp.broadcast_arrays(xp.asarray(u, dtype=float), xp.asarray(y, dtype=float))
    return two_sum(1.0 + 0.0 * u, u), (u, 0.0 * u), y


def _from_base(xp: Any, x: Any, y: Any) -> tuple[Pair, Pair, Any]:
    x, y = xp.broadcast_arrays(xp.asarray(x, dtype=float), xp.asarray(y, dtype=float))
    return (x, 0.0 * x), two_sum(x, -1.0 + 0.0 * x), y


def _pow1p(xp: Any, u: Any, y: Any) -> Any:
    base, excess, y = _from_excess(xp, u, y)
    return _grown(xp, base, excess, y, less_one=False)


def _pow1pm1(xp: Any, u: Any, y: Any) -> Any:
    base, excess, y = _from_excess(xp, u, y)
    return _grown(xp, base, excess, y, less_one=True)


def _powm1(xp: Any, x: Any, y: Any) -> Any:
    base, excess, y = _from_base(xp, x, y)
    return _grown(xp, base, excess, y, less_one=True)


def _derivative(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    """The derivative of base**y, n times by base and m times by y, in two halves of its range."""
    hi, lo = _exponent(xp, base, excess, y)
    half = xp.exp(0.5 * hi)
    size = xp.abs(base[0])
    near = xp.abs(excess[0]) < 0.5
    far = (
        xp.log(base[0] if m else size) + base[1] / base[0]
    )  # by y, nothing but a positive base has a derivative
    log = xp.where(near, xp.log1p(xp.where(near, excess[0], 0.0)), far)
    q: Any = falling(y, n, 0)
    if m:
        q = 0.0
        for i in range(min(n, m) + 1):
            q = q + math.comb(m, i) * falling(y, n, i) * log ** (m - i)
    if n == 1 == m:
        one = pairs.add((1.0 + 0.0 * y, 0.0 * y), (hi, lo))
        q = xp.where(xp.abs(one[0]) < 0.6, one[0] + one[1], q)
    result = q * half / base[0] * half if n else q * half * half
    for _ in range(n - 1):
        result = result / base[0]
    result = result * _sign(xp, base[0], y)
    lost = lo - n * (base[1] / base[0])
    result = result + xp.where(xp.isfinite(result), result * lost, 0.0)
    at_zero = (base[0] == 0) & (y > n)  # a power beats a logarithm
    vanishes = at_zero | (q == 0) & ~xp.isnan(base[0]) if not m else at_zero
    vanishes = vanishes | (half == 0) & (base[0] > 0)
    limit = falling(y, n, 0) * xp.power(base[0], y - n)
    result = xp.where(xp.isfinite(hi) & (base[0] != 0), result, limit if not m else result)
    return xp.where(vanishes, 0.0, result)


def _pow1p_derivative(xp: Any, u: Any, y: Any, *, n: int, m: int) -> Any:
    base, excess, y = _from_excess(xp, u, y)
    return _derivative(xp, base, excess, y, n, m)


def _powm1_derivative(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    base, excess, y = _from_base(xp, x, y)
    return _derivative(xp, base, excess, y, n, m)


@cache
def _gauss(count: int = 24) -> list[tuple[float, float]]:
    """Nodes and weights of Gauss's rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return [((1 + float(t)) / 2, float(w) / 2) for t, w in zip(nodes, weights, strict=True)]


def _integrated(xp: Any, u: Any, log: Any, y: Any, n: int, m: int) -> Any:
    """The geometric sum's derivative by its integral, panel by panel."""
    tiny = xp.abs(u) < 1e-290
    step = xp.where(tiny, 1.0, log / xp.where(tiny, 1.0, u))
    size = xp.abs(log)
    total: Any = 0.0
    for start, end in ((0.0, 6.0), (6.0, 30.0), (30.0, math.inf)):
        if start and not (size > start).any():
            continue
        # fractions of the whole way at which this panel begins and ends
        whole = xp.where(size > 0, size, 1.0)
        first = xp.minimum(1.0, start / whole) if start else 0.0
        width = xp.minimum(1.0, end / whole) - first
        for node, weight in _gauss():
            w = first + width * node
            s = log * w
            rise = xp.where(tiny, w, -xp.expm1(-s) / xp.where(tiny, 1.0, u))
            wave = xp.exp(y * s) * rise**n
            factor: Any = 0.0
            for i in range(min(n + 1, m) + 1):
                factor = factor + math.comb(m, i) * falling(y, n + 1, i) * s ** (m - i)
            total = total + (weight * width) * wave * factor
    return total * step


def _geometric(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    """(base**y - 1) / (base - 1), or its derivative."""
    u = excess[0]
    if n == 0 and m == 0:
        zero = u == 0
        divisor = xp.where(zero, 1.0, u)
        gain = _grown(xp, base, excess, y, less_one=True)
        half = xp.exp(0.5 * _exponent(xp, base, excess, y)[0])
        far = xp.isinf(gain) & (base[0] > 0)
        value = xp.where(far, half / divisor * half, gain / divisor)
        small = (xp.abs(u) < 1e-290) & ~zero  # a gain this small loses its digits
        return xp.where(zero, y, xp.where(small, y + 0.0 * u, value))
    value = _recurrence(xp, base, excess, y, n, m)
    near = xp.abs(u) < 0.5
    log = xp.where(near, xp.log1p(xp.where(near, u, 0.0)), xp.log(xp.where(near, 1.0, base[0])))
    moderate = (log > -1.5) & (xp.abs(y * log) < xp.where(near, 2.0, 8.0))
    if n == 0:
        moderate = moderate & (xp.abs(u) < 1e-290)

    def better(xp: Any, u: Any, log: Any, y: Any) -> Any:
        return _integrated(xp, u, log, y, n, m)

    return pairs.redo(xp, moderate, value, better, u, log, y)


def _recurrence(xp: Any, base: Pair, excess: Pair, y: Any, n: int, m: int) -> Any:
    if n == 0 and m == 0:
        return _grown(xp, base, excess, y, less_one=True) / excess[0]
    whole = _derivative(xp, base, excess, y, n, m)
    if n == 0:
        return whole / excess[0]
    rest = n * _recurrence(xp, base, excess, y, n - 1, m)
    return xp.where(xp.isinf(whole), whole, whole - rest) / excess[0]


def _geometric_of_excess(xp: Any, u: Any, y: Any, *, n: int, m: int) -> Any:
    base, excess, y = _from_excess(xp, u, y)
    return _geometric(xp, base, excess, y, n, m)


def _geometric_of_base(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    base, excess, y = _from_base(xp, x, y)
    return _geometric(xp, base, excess, y, n, m)


def _power_ball(base: Any, y: Any, n: int, m: int) -> Any:
    if m == 0:
        return falling(y, n, 0) * base ** (y - n)
    total: Any = 0
    log = base.log()
    for i in range(min(n, m) + 1):
        total = total + math.comb(m, i) * falling(y, n, i) * log ** (m - i)
    return total * base ** (y - n)


def _geometric_ball(base: Any, u: Any, y: Any, n: int, m: int) -> Any:
    """The derivative of (base**y - 1)/u by u*f[n] = g[n] - n*f[n - 1]."""
    whole = base**y - 1 if n == 0 and m == 0 else _power_ball(base, y, n, m)
    if n == 0:
        return whole / u
    return (whole - _geometric_ball(base, u, y, n - 1, m) * n) / u


def _raised(out: Term, *, n: int = 0, m: int = 0) -> Term:
    """The op of a term with derivatives of higher order."""
    params = {"n": out.param("n") + n, "m": out.param("m") + m}
    return OPS[out.op.name](*out.args, **params)


def _growth_facts(term: Term) -> Facts:
    u, y = term.args
    if u.facts.within(_GROWS):
        return POSITIVE._replace(defined=u.facts.defined and y.facts.defined)
    return UNKNOWN


def _gain_facts(term: Term) -> Facts:
    u, y = term.args
    defined = u.facts.within(_GROWS) and u.facts.defined and y.facts.defined
    if u.facts.nonnegative and y.facts.nonnegative:
        return NONNEGATIVE._replace(defined=defined)
    return REAL._replace(defined=defined) if defined else UNKNOWN


pow1p = elementwise(
    "pow1p",
    family="growth",
    kernel=_pow1p,
    spellings=(lambda u, y: OPS["power"](1 + u, y),),
    ball=lambda u, y: (1 + u) ** y,
    partials=lambda out, u, y: (
        pow1p_derivative(u, y, n=1, m=0),
        pow1p_derivative(u, y, n=0, m=1),
    ),
    textbook=lambda out, u, y: (y * (1 + u) ** (y - 1), OPS["log"](1 + u) * out),
    domain=(_GROWS, REAL),
    infer_facts=_growth_facts,
    cost=6,
    source="exp(y * log1p(u)) with the exponent as a pair",
    doc="(1 + u)**y without rounding 1 + u; a base below 0 takes whole y only.",
    example=">>> sg.ops.pow1p(sg.tensor([1e-9]), 1e9).numpy()\narray([2.7182817], dtype=float32)",
)

pow1p_derivative = elementwise(
    "pow1p_derivative",
    family="growth",
    params=("n", "m"),
    kernel=_pow1p_derivative,
    ball=lambda u, y, *, n, m: _power_ball(1 + u, y, n, m),
    partials=lambda out, u, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(_GROWS, REAL),
    cost=7,
    accuracy="where m > 0, relative to the greatest term of the factor beside (1 + u)**(y - n)",
    source="Leibniz's rule",
    doc="The mixed derivative of (1 + u)**y, n times by u and m times by y.",
    example=">>> sg.ops.pow1p_derivative(sg.tensor([1.0]), 3.0, n=1, m=0).numpy()\n"
    "array([12.], dtype=float32)",
)

pow1pm1 = elementwise(
    "pow1pm1",
    family="growth",
    kernel=_pow1pm1,
    spellings=(lambda u, y: OPS["power"](1 + u, y) - 1, lambda u, y: pow1p(u, y) - 1),
    ball=lambda u, y: (1 + u) ** y - 1,
    partials=lambda out, u, y: (
        pow1p_derivative(u, y, n=1, m=0),
        pow1p_derivative(u, y, n=0, m=1),
    ),
    textbook=lambda out, u, y: (y * (1 + u) ** (y - 1), OPS["log"](1 + u) * (1 + u) ** y),
    domain=(_GROWS, REAL),
    infer_facts=_gain_facts,
    cost=6,
    source="expm1(y * log1p(u)) with the exponent as a pair",
    doc="(1 + u)**y - 1: what compound growth at rate u gains in y periods.",
    example=">>> sg.ops.pow1pm1(sg.tensor([1e-12]), 2.0).numpy()\narray([2.e-12], dtype=float32)",
)

powm1 = elementwise(
    "powm1",
    family="growth",
    kernel=_powm1,
    spellings=(lambda x, y: OPS["power"](x, y) - 1,),
    ball=lambda x, y: x**y - 1,
    partials=lambda out, x, y: (
        powm1_derivative(x, y, n=1, m=0),
        powm1_derivative(x, y, n=0, m=1),
    ),
    textbook=lambda out, x, y: (y * x ** (y - 1), OPS["log"](x) * x**y),
    domain=(POSITIVE, REAL),
    cost=5,
    source="expm1(y * log(x)) with the exponent as a pair",
    doc="x**y - 1, also near x = 1 and near y = 0.",
    example=">>> sg.ops.powm1(sg.tensor([2.0]), 1e-9).numpy()\n"
    "array([6.9314715e-10], dtype=float32)",
)

powm1_derivative = elementwise(
    "powm1_derivative",
    family="growth",
    params=("n", "m"),
    kernel=_powm1_derivative,
    ball=lambda x, y, *, n, m: _power_ball(x, y, n, m),
    partials=lambda out, x, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(POSITIVE, REAL),
    cost=7,
    accuracy="where m > 0, relative to the greatest term of the factor beside x**(y - n)",
    source="Leibniz's rule",
    doc="The mixed derivative of x**y - 1, n times by x and m times by y, n + m > 0.",
    example=">>> sg.ops.powm1_derivative(sg.tensor([2.0]), 3.0, n=1, m=0).numpy()\n"
    "array([12.], dtype=float32)",
)

compound_sum = elementwise(
    "compound_sum",
    family="growth",
    params=("n", "m"),
    defaults=(0, 0),
    kernel=_geometric_of_excess,
    ball=lambda u, y, *, n, m: _geometric_ball(1 + u, u, y, n, m),
    partials=lambda out, u, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(_GROWS, REAL),
    cost=7,
    ulp=(4, 16, math.inf),
    accuracy="derivatives relative to the greatest term of their recurrence where they change sign",
    source="an integral without cancellation, by Gauss's rule",
    doc="((1 + u)**y - 1) / u: y payments with interest; its derivatives for n and m.",
    example=">>> sg.ops.compound_sum(sg.tensor([1e-12]), 360.0).numpy()\n"
    "array([360.], dtype=float32)",
)

geometric_sum = elementwise(
    "geometric_sum",
    family="growth",
    params=("n", "m"),
    defaults=(0, 0),
    kernel=_geometric_of_base,
    ball=lambda x, y, *, n, m: _geometric_ball(x, x - 1, y, n, m),
    partials=lambda out, x, y: (_raised(out, n=1), _raised(out, m=1)),
    domain=(POSITIVE, REAL),
    cost=7,
    ulp=(4, 16, math.inf),
    accuracy="derivatives relative to the greatest term of their recurrence where they change sign",
    source="an integral without cancellation, by Gauss's rule",
    doc="(x**y - 1) / (x - 1) = 1 + x + ... + x**(y - 1); its derivatives for n and m.",
    example=">>> sg.ops.geometric_sum(sg.tensor([2.0]), 3.0).numpy()\narray([7.], dtype=float32)",
)
