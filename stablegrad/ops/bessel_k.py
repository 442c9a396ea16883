"""The modified Bessel function of the second kind, scaled, in its order and its argument.

exp(x) K_v(x) is the integral of exp(-x (cosh t - 1)) cosh(v t) over t > 0, and each of its
derivatives is one of an integrand of one sign, on which the trapezoidal rule converges fast.
"""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import Facts, Term
from stablegrad.ops.record import POSITIVE, REAL, elementwise

_NODES = 240
_DROP = 44.0
"""Where the exponent is this far below its greatest value the integral ends."""


def _kernel(xp: Any, v: Any, x: Any, *, n: int, m: int) -> Any:
    """The derivative n times by v and m times by x."""
    v, x = xp.broadcast_arrays(xp.asarray(v, dtype=float), xp.asarray(x, dtype=float))
    inside = (x > 0) & xp.isfinite(x) & xp.isfinite(v)
    order, at = xp.where(inside, xp.abs(v), 0.0), xp.where(inside, x, 1.0)
    end = xp.arccosh(1.0 + _DROP / at)
    for _ in range(6):  # x (cosh t - 1) - v t falls by this much
        end = xp.log1p((_DROP + order * end + (n + 2 * m) * xp.log1p(end)) / at)
        end = end + math.log(2.0)
    end = xp.minimum(end, xp.arccosh(1.0 + (_DROP + order * end) / at) * 1.25 + 1e-300)
    step = end / _NODES
    total = 0.0 * at
    for k in range(_NODES + 1):
        t = k * step
        half = xp.sinh(0.5 * t)
        rise = 2.0 * half * half  # cosh t - 1
        up, down = order * t - at * rise, -order * t - at * rise
        wave = 0.5 * (xp.exp(up) + (xp.exp(down) if n % 2 == 0 else -xp.exp(down)))
        if n % 2:  # sinh(v t), without cancellation
            wave = xp.where(order * t < 1.0, xp.sinh(order * t) * xp.exp(-at * rise), wave)
        total = total + (0.5 if k == 0 else 1.0) * wave * t**n * rise**m
    out = (-1.0) ** m * step * total
    out = xp.where((v < 0) & (n % 2 == 1), -out, out)
    edge = xp.where(x == xp.inf, 0.0, xp.where((x == 0) & (m + n == 0), xp.inf, xp.nan))
    return xp.where(inside, out, edge)


def _facts(term: Term) -> Facts:
    v, x = (a.facts for a in term.args)
    n, m = term.params
    sign = Facts() if n % 2 else Facts(0.0, lo_open=False) if m % 2 == 0 else Facts(hi=0.0)
    sign = sign._replace(hi_open=False) if m % 2 and not n % 2 else sign
    return sign._replace(defined=v.defined and x.defined and x.positive)


kve_derivative = elementwise(
    "kve_derivative",
    family="special",
    params=("n", "m"),
    defaults=(0, 0),
    kernel=_kernel,
    ball=lambda v, x, *, n, m: v.kve(x, n, m),
    partials=lambda out, v, x: (
        kve_derivative(v, x, n=out.params[0] + 1, m=out.params[1]),
        kve_derivative(v, x, n=out.params[0], m=out.params[1] + 1),
    ),
    domain=(REAL, POSITIVE),
    infer_facts=_facts,
    cost=8,
    ulp=None,
    accuracy="tested for |v| <= 30, x in [1e-8, 1e6]: 512 ulp, median 4, also the first two "
    "derivatives: the exponent v t - x (cosh t - 1) is rounded",
    source="DLMF 10.32.9 by the trapezoidal rule (Trefethen and Weideman 2014)",
    doc="The derivative of exp(x) K_v(x), n times by its order v and m times by x > 0.",
    example=">>> sg.ops.kve_derivative(sg.tensor([0.5]), 2.0).numpy()\n"
    "array([0.88622695], dtype=float32)",
)
