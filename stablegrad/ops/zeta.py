"""Hurwitz's zeta function, with derivatives of every order in both arguments."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import Facts, Term
from stablegrad.ops import pairs
from stablegrad.ops.gamma_logs import bernoulli
from stablegrad.ops.record import POSITIVE, elementwise, interval

_HEAD = 14
"""Terms that are summed before the formula of Euler and Maclaurin takes over."""

_TAIL = 9
"""Terms of that formula."""

_MANY = 1e4
"""Exponents from which on nothing but the first terms is felt."""


def _brackets(s: Any, w: Any, n: int) -> list[Any]:
    """w/(s-1) + 1/2 + sum of B_2j/(2j)! (s)_(2j-1) w**(1-2j), and n derivatives by s."""
    out = [(-1.0) ** i * math.factorial(i) * w / (s - 1.0) ** (i + 1) for i in range(n + 1)]
    out[0] = out[0] + 0.5
    rising = [s / w, 1.0 / w] + [0.0 * s] * (n - 1)  # of s, s(s+1)(s+2), ... over powers of w
    rising = rising[: n + 1]
    for j in range(1, _TAIL + 1):
        c = float(bernoulli(_TAIL)[j - 1] / math.factorial(2 * j))
        out = [o + c * r for o, r in zip(out, rising, strict=True)]
        for m in (2 * j - 1, 2 * j):
            moved = [0.0 * s, *rising[:-1]]
            rising = [
                (r * (s + m) + i * d) / w
                for i, (r, d) in enumerate(zip(rising, moved, strict=True))
            ]
    return out


def _kernel(xp: Any, s: Any, q: Any, *, n: int) -> Any:
    s, q = xp.broadcast_arrays(xp.asarray(s, dtype=float), xp.asarray(q, dtype=float))
    inside = (s > 1) & (q > 0)
    s, q = xp.where(inside, s, 2.0), xp.where(inside, q, 1.0)
    total = 0.0 * s
    for k in range(_HEAD):
        x, low = pairs.two_sum(q, float(k))
        power = xp.power(x, -s) * (1.0 - xp.where(s < 1e15, s * (low / x), 0.0))
        total = total + xp.where(power == 0, 0.0, power * (-xp.log(x)) ** n)
    w = q + _HEAD
    t = xp.minimum(s, _MANY)
    brackets = _brackets(t, w, n)
    tail = sum(math.comb(n, i) * (-xp.log(w)) ** (n - i) * brackets[i] for i in range(n + 1))
    power = xp.power(w, -s)
    total = total + xp.where(power == 0, 0.0, power * tail)
    return xp.where(inside, total, xp.nan)


def _partials(out: Term, s: Term, q: Term) -> tuple[Term, Term]:
    (n,) = out.params
    by_q = -s * hurwitz_zeta(s + 1, q, n=n)
    if n:
        by_q = by_q - n * hurwitz_zeta(s + 1, q, n=n - 1)
    return hurwitz_zeta(s, q, n=n + 1), by_q


def _facts(term: Term) -> Facts:
    s, q = (a.facts for a in term.args)
    defined = s.defined and q.defined and s.lo >= 1 and (s.lo_open or s.lo > 1) and q.positive
    return (Facts() if term.param("n") else Facts(0.0, lo_open=False))._replace(defined=defined)


hurwitz_zeta = elementwise(
    "hurwitz_zeta",
    family="special",
    params=("n",),
    defaults=(0,),
    kernel=_kernel,
    ball=lambda s, q, *, n: s.hurwitz_zeta(q, n),
    partials=_partials,
    domain=(interval(1.0, math.inf), POSITIVE),
    infer_facts=_facts,
    cost=7,
    ulp=None,
    accuracy="tested for s in [1 + 1e-6, 60], q in [1e-3, 1e4]: 8 ulp for n <= 2; derivatives by q "
    "128 ulp, for rounding s + 1 costs |s log(q)| / 2",
    lax="zeta",
    aten="special_zeta",
    source="Euler and Maclaurin's formula, DLMF 25.11.5",
    doc="The n-th derivative by s of Hurwitz's zeta function, sum of (q + k)**-s, s > 1, q > 0.",
    example=">>> sg.ops.hurwitz_zeta(sg.tensor([2.0]), 1.0).numpy()\n"
    "array([1.644934], dtype=float32)",
)
