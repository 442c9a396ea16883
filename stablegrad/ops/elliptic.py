"""Complete elliptic integrals of the parameter m < 1, with all derivatives.

K' and E' are differences over m, which cancel near 0. From -24 to 3/4 all are Taylor polynomials;
above, K and E are SciPy's and derivatives follow by sums that cancel little; below are series in
1/(1 - m), with a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import pairs
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.record import NEGATIVE, POSITIVE, Op, elementwise, interval

_LOW, _HIGH = -24.0, 0.75
_PARTS = 4
"""The tables are by 4 m, so that their ends are whole."""

_BELOW_1 = Facts(hi=1.0)


def _at(c: Decimal) -> tuple[Decimal, Decimal]:
    """K and E at m = c < 1, by the arithmetic-geometric mean."""
    a, g, total, power = Decimal(1), (1 - c).sqrt(), c / 2, Decimal(1)
    while abs(a - g) > Decimal(10) ** -(tables.DIGITS - 2):
        a, g, total, power = (
            (a + g) / 2,
            (a * g).sqrt(),
            total + power * ((a - g) / 2) ** 2,
            power * 2,
        )
    k = pairs.pi(tables.DIGITS) / (2 * a)
    return k, k * (1 - total)


def _derivatives_at(c: Decimal, count: int) -> tuple[tables.Series, tables.Series]:
    """The derivatives of K and of E at c, from the differential equations."""
    if not c:
        half_pi = pairs.pi(tables.DIGITS) / 2
        k = [
            half_pi * math.comb(2 * n, n) ** 2 / Decimal(16) ** n * math.factorial(n)
            for n in range(count)
        ]
        return k, [a / (1 - 2 * n) for n, a in enumerate(k)]
    first, e = _at(c)
    k = [first, (e - (1 - c) * first) / (2 * c * (1 - c))]
    for n in range(count - 2):
        rest = (n + Decimal("0.5")) ** 2 * k[n] - (n + 1) * (1 - 2 * c) * k[n + 1]
        k.append(rest / (c * (1 - c)))
    es = [e]
    for n in range(count - 1):
        es.append(((1 - 2 * n) * es[n] - k[n]) / (2 * c))
    return k, es


def _series(second: bool) -> Callable[[Decimal, int], tables.Series]:
    def series(c: Decimal, terms: int) -> tables.Series:
        found = _derivatives_at(c / _PARTS, terms)[second]
        return [a / Decimal(_PARTS) ** n / math.factorial(n) for n, a in enumerate(found)]

    return series


def _ends(n: int) -> tuple[int, int]:
    return int(_LOW * _PARTS), int(_HIGH * _PARTS)


_TABLES = [tables.Table(_series(second), _ends, 8) for second in (False, True)]


def _near_1(xp: Any, m: Any, n: int, second: bool) -> Any:
    """The n-th derivative of K or E for 3/4 < m < 1, upwards from K and E."""
    k, e = [xp.special.ellipk(m)], [xp.special.ellipe(m)]
    rest = 1.0 - m
    for i in range(n):
        if i == 0:
            k.append((e[0] / rest - k[0]) / m * 0.5)
        else:
            part = i * (2.0 * m - 1.0) * k[i] + (i - 0.5) ** 2 * k[i - 1]
            k.append(part / m / rest)
        e.append(((1 - 2 * i) * e[i] - k[i]) / m * 0.5)
    return (e if second else k)[n]


@cache
def _far_series(n: int, second: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The series in t = 1/(1 - m) beside log(1 - m) and without it, the highest first."""

    def halves(count: int) -> Fraction:
        return sum((Fraction(2, 2 * i + 1) for i in range(count)), Fraction(0))

    logs, plain = [], []
    c, harmonic = Fraction(1), Fraction(0)
    for k in range(26):
        if k:
            harmonic += Fraction(1, k)
            c *= (k - Fraction(1, 2) + second) * (k + n - Fraction(1, 2)) / (k * (k + second))
        rest = 2 * harmonic + (Fraction(1, k + 1) if second else 0)
        rest -= halves(k + second) + halves(k + n)
        logs.append(float(c))
        plain.append(float(c) * (4 * math.log(2) + float(rest)))
    return tuple(logs[::-1]), tuple(plain[::-1])


def _far(xp: Any, m: Any, n: int, second: bool) -> Any:
    """The n-th derivative of K or E for m < -24, by DLMF 15.8.1 and 15.8.10."""
    up, lost = pairs.two_sum(1.0 + 0.0 * m, -m)
    t = 1.0 / up
    logs, plain = (tables.polynomial(t, row) for row in _far_series(n, second))
    total = xp.log1p(-m) * logs + plain
    if second:
        total = 2.0 - (n - 0.5) * t * total
    start = Fraction(-1 if second else 1, 2)
    factor = float(math.prod([start + i for i in range(n)]) / 2)
    power = 0.5 * second - 0.5 * (not second) - n
    half = xp.power(up, 0.5 * power)  # twice, so that nothing underflows before the end
    return factor * total * half * (1.0 + power * lost * t) * half


def _kernel(second: bool) -> Callable[..., Any]:
    def kernel(xp: Any, m: Any, *, n: int = 0) -> Any:
        m = xp.asarray(m, dtype=float)
        value = _TABLES[second](xp, xp.clip(m, _LOW, _HIGH) * _PARTS, n) * float(_PARTS) ** n
        high, low = (m > _HIGH) & (m < 1.0), (m < _LOW) & (m > -xp.inf)
        value = pairs.redo(xp, high, value, lambda xp, m: _near_1(xp, m, n, second), m)
        value = pairs.redo(xp, low, value, lambda xp, m: _far(xp, m, n, second), m)
        end = (1.0 if n == 0 else -xp.inf) if second else xp.inf
        value = xp.where(m == 1.0, end, value)
        far = xp.inf if second and n == 0 else -0.0 if second else 0.0
        value = xp.where(m == -xp.inf, far, value)
        return xp.where(m <= 1.0, value, xp.nan)

    return kernel


def _integral(name: str, second: bool, *, range: Facts, doc: str, example: str) -> tuple[Op, Op]:
    """The records of an integral and of its derivatives."""
    half = Fraction(-1 if second else 1, 2)
    sign = NEGATIVE if second else POSITIVE
    kernel = _kernel(second)

    def facts(term: Term) -> Facts:
        m = term.args[0].facts
        return sign._replace(defined=m.defined and m.within(_BELOW_1))

    domain = _BELOW_1._replace(hi_open=not second)
    fields: dict[str, Any] = {
        "family": "special",
        "kernel": kernel,
        "domain": (domain,),
        "source": "DLMF 15.8.10, 19.4.1, 19.4.8; Taylor polynomials about points 1/32 apart",
    }
    value = elementwise(
        name,
        ball=lambda m: m.elliptic(half, 0),
        partials=lambda y, m: (OPS[f"{name}_derivative"](m, n=1),),
        range=range,
        cost=6,
        doc=doc,
        example=f">>> sg.ops.{name}(sg.tensor([0.5])).numpy()\narray([{example}], dtype=float32)",
        **fields,
    )
    derivative = elementwise(
        f"{name}_derivative",
        params=("n",),
        defaults=(1,),
        ball=lambda m, *, n: m.elliptic(half, n),
        partials=lambda y, m: (OPS[f"{name}_derivative"](m, n=y.param("n") + 1),),
        infer_facts=facts,
        cost=7,
        doc=f"The n-th derivative of {name} by its parameter.",
        example=f">>> sg.ops.{name}_derivative(sg.tensor([0.0])).numpy()\n"
        f"array([{'-' if second else ''}0.3926991], dtype=float32)",
        **fields,
    )
    return value, derivative


ellipk, ellipk_derivative = _integral(
    "ellipk",
    False,
    range=POSITIVE,
    doc="The complete elliptic integral of the first kind, of the parameter m < 1.",
    example="1.8540747",
)

ellipe, ellipe_derivative = _integral(
    "ellipe",
    True,
    range=interval(1.0, math.inf, closed=True),
    doc="The complete elliptic integral of the second kind, of the parameter m < 1.",
    example="1.3506439",
)
