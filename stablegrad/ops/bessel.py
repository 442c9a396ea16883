"""Modified Bessel functions of the first kind, scaled and as logarithm, with all derivatives."""

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
from stablegrad.ops.exponential import log
from stablegrad.ops.record import NONNEGATIVE, POSITIVE, REAL, Op, elementwise, interval
from stablegrad.ops.taylor_tables import Series, Table, polynomial

_END = 40
"""From here on asymptotic series in 1/x."""

_LOG_2PI = math.log(2 * math.pi)
_ROOT_2PI = math.sqrt(2 * math.pi)


# -- series ------------------------------------------------------------------------------------


def _at(c: Decimal, n: int) -> tuple[Decimal, Decimal]:
    """I_n(c) and its derivative, by the power series; c is not 0."""
    term = (c / 2) ** n / math.factorial(n)
    square = c * c / 4
    total, slope, k = Decimal(0), Decimal(0), 0
    while k <= 4 or abs(term) >= abs(total) * Decimal(10) ** -(tables.DIGITS + 5):
        total += term
        slope += term * (2 * k + n)
        k += 1
        term *= square / (k * (k + n))
    return total, slope / c


def _series(n: int) -> Callable[[Decimal, int], Series]:
    """The Taylor coefficients of I_n about a point, from its differential equation."""

    def about(c: Decimal, terms: int) -> Series:
        if not c:
            out = [Decimal(0)] * terms
            for k in range((terms - n + 1) // 2):
                bottom = math.factorial(k) * math.factorial(k + n) * 2 ** (2 * k + n)
                out[2 * k + n] = Decimal(1) / bottom
            return out
        out = [*_at(c, n)]
        for k in range(terms - 2):
            total = (c * c + n * n - k * k) * out[k]
            total -= c * (2 * k + 1) * (k + 1) * out[k + 1]
            total += 2 * c * out[k - 1] if k > 0 else 0
            total += out[k - 2] if k > 1 else 0
            out.append(total / (c * c * (k + 1) * (k + 2)))
        return out

    return about


@cache
def _table(n: int) -> Table:
    """I_n itself."""
    return Table(_series(n), lambda _: (0, _END), 8)


def _scaled_series(n: int) -> Callable[[Decimal, int], Series]:
    series = _series(n)

    def about(c: Decimal, terms: int) -> Series:
        return tables.multiply(series(c, terms), tables.exp(c, terms, -1))

    return about


_SCALED = tuple([Table(_scaled_series(n), lambda _: (0, _END), 8) for n in (0, 1)])
_LOG_I0 = Table(lambda c, k: tables.log(_series(0)(c, k)), lambda n: (0, _END + 8 * n), 8)


@cache
def _asymptotic(n: int, count: int = 26) -> tuple[Fraction, ...]:
    """Of I_n(x) exp(-x) sqrt(2 pi x), in 1/x: DLMF 10.40.1."""
    out = [Fraction(1)]
    for k in range(1, count):
        out.append(-out[-1] * (4 * n * n - (2 * k - 1) ** 2) / (8 * k))
    return tuple(out)


@cache
def _asymptotic_log(count: int = 26) -> tuple[Fraction, ...]:
    """The logarithm of the asymptotic series of I_0."""
    a = _asymptotic(0, count)
    out = [Fraction(0)]
    for k in range(1, count):
        out.append(a[k] - sum((j * out[j] * a[k - j] for j in range(1, k)), Fraction(0)) / k)
    return tuple(out)


@cache
def _far(n: int, order: int) -> tuple[float, ...]:
    """Of the derivative of I_n exp(-x) times sqrt(2 pi x) x**order, in 1/x, highest first."""
    out = []
    for k, c in enumerate(_asymptotic(n)):
        factor = Fraction(1)
        for j in range(order):
            factor *= -(k + Fraction(1, 2) + j)
        out.append(float(c * factor))
    return tuple(out[::-1])


# -- kernels -------------------------------------------------------------------------------------


def _signed(xp: Any, x: Any, value: Any, odd: int) -> Any:
    return xp.where(x < 0, -value, value) if odd % 2 else value


def _bessel_i(xp: Any, x: Any, *, n: int) -> Any:
    """The function of order n."""
    x = xp.asarray(x, dtype=float)
    size = xp.abs(x)
    value = _table(n)(xp, size)

    def far(xp: Any, x: Any) -> Any:
        y = xp.minimum(x, 1e4)
        root = xp.exp(0.5 * y)
        out = root * (polynomial(1.0 / y, _far(n, 0)) / (_ROOT_2PI * xp.sqrt(y))) * root
        return xp.where(x == xp.inf, xp.inf, out)

    value = pairs.redo(xp, size > _END, value, far, size)
    return _signed(xp, x, value, n)


def _scaled(xp: Any, x: Any, *, n: int, order: int) -> Any:
    """The derivative of exp(-|x|) I_order(x); at 0 the kink is taken as flat."""
    x = xp.asarray(x, dtype=float)
    size = xp.abs(x)
    value = _SCALED[order](xp, size, n)

    def far(xp: Any, x: Any) -> Any:
        out = polynomial(1.0 / x, _far(order, n)) / (_ROOT_2PI * xp.sqrt(x))
        for _ in range(n):
            out = out / x
        return out

    value = pairs.redo(xp, size > _END, value, far, size)
    flat = float(_series(order)(Decimal(0), n + 2)[n] * math.factorial(n))
    return xp.where(x == 0, flat if n or order == 0 else x, _signed(xp, x, value, n + order))


def _log_i0(xp: Any, x: Any, *, n: int = 0) -> Any:
    """The n-th derivative of log(I_0(x))."""
    x = xp.asarray(x, dtype=float)
    size = xp.abs(x)
    value = _LOG_I0(xp, size, n)

    def far(xp: Any, x: Any) -> Any:
        u = 1.0 / x
        if n == 0:
            series = polynomial(u, tuple([float(c) for c in _asymptotic_log()[::-1]]))
            return x - (0.5 * (_LOG_2PI + xp.log(x)) - xp.where(x == xp.inf, 0.0, series))
        # - log(x)/2 and x**-k, n times
        sign = (-1) ** (n - 1)
        terms = [Fraction(-sign * math.factorial(n - 1), 2)]
        for k, c in enumerate(_asymptotic_log()[1:], 1):
            terms.append(c * (-1) ** n * math.perm(k + n - 1, n))
        out = polynomial(u, tuple([float(c) for c in terms[::-1]]))
        for _ in range(n):
            out = out * u
        return 1.0 + out if n == 1 else out

    value = pairs.redo(xp, size > _LOG_I0.ends(n)[1], value, far, size)
    return _signed(xp, x, value, n)


# -- meanings ------------------------------------------------------------------------------------


def _scaled_meaning(x: Any, n: int) -> Any:
    """I_n(x) exp(-|x|)."""
    return x.bessel_ie(n)


def _scaled_derivative_meaning(x: Any, n: int, order: int) -> Any:
    """The n-th derivative of exp(-|x|) I_order(x), the kink at 0 flat."""
    return x.bessel_ie(order, n)


def _log_i0_meaning(x: Any, n: int) -> Any:
    """The n-th derivative of the logarithm of I_0, n >= 1."""
    whole = _scaled_meaning(x, 0)
    ratios = [x.bessel_ie(0, k) / whole for k in range(n + 1)]
    logs = [x * 0]
    for m in range(1, n + 1):
        total = ratios[m]
        for k in range(1, m):
            total = total - logs[k] * ratios[m - k] * math.comb(m - 1, k - 1)
        logs.append(total)
    return logs[n] + x.sign() if n == 1 else logs[n]  # put back what the scale took


# -- records -------------------------------------------------------------------------------------


def _order_partials(out: Term, x: Term) -> tuple[Term]:
    n = out.param("n")
    if n == 0:
        return (bessel_i(x, n=1),)
    return ((bessel_i(x, n=n - 1) + bessel_i(x, n=n + 1)) / 2,)


bessel_i = elementwise(
    "bessel_i",
    family="special",
    params=("n",),
    defaults=(0,),
    kernel=_bessel_i,
    ball=lambda x, *, n: _scaled_meaning(x, n) * abs(x).exp(),
    partials=_order_partials,
    domain=(REAL,),
    infer_facts=lambda term: (REAL if term.param("n") % 2 else NONNEGATIVE)._replace(
        defined=term.args[0].facts.defined
    ),
    cost=6,
    source="DLMF 10.25.2, 10.29.1, 10.40.1; Taylor polynomials about points 1/8 apart",
    doc="The modified Bessel function I_n(x) of the first kind, of a whole order n >= 0.",
    example=">>> sg.ops.bessel_i(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

i0 = elementwise(
    "i0",
    family="special",
    kernel=lambda xp, x: _bessel_i(xp, x, n=0),
    ball=lambda x: _scaled_meaning(x, 0) * abs(x).exp(),
    partials=lambda y, x: (i1(x),),
    domain=(REAL,),
    range=Facts(lo=1.0, lo_open=False),
    cost=5,
    aten="special_i0",
    source="DLMF 10.25.2, 10.40.1; Taylor polynomials about points 1/8 apart",
    doc="The modified Bessel function of the first kind, of order 0.",
    example=">>> sg.ops.i0(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

i1 = elementwise(
    "i1",
    family="special",
    kernel=lambda xp, x: _bessel_i(xp, x, n=1),
    ball=lambda x: _scaled_meaning(x, 1) * abs(x).exp(),
    partials=lambda y, x: ((bessel_i(x, n=0) + bessel_i(x, n=2)) / 2,),
    textbook=lambda y, x: (i0(x) - y / x,),
    domain=(REAL,),
    range=REAL,
    cost=5,
    aten="special_i1",
    source="DLMF 10.25.2, 10.40.1; Taylor polynomials about points 1/8 apart",
    doc="The modified Bessel function of the first kind, of order 1.",
    example=">>> sg.ops.i1(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


def _derivatives(name: str, order: int, what: str, at_zero: str) -> Op:
    """All derivatives of a scaled function."""
    return elementwise(
        f"{name}_derivative",
        family="special",
        params=("n",),
        defaults=(1,),
        kernel=lambda xp, x, *, n: _scaled(xp, x, n=n, order=order),
        ball=lambda x, *, n: _scaled_derivative_meaning(x, n, order),
        partials=lambda y, x: (OPS[f"{name}_derivative"](x, n=y.param("n") + 1),),
        domain=(REAL,),
        range=REAL,
        cost=6,
        source="Taylor polynomials about points 1/8 apart; DLMF 10.40.1 beyond",
        doc=f"The n-th derivative of {what}; at the kink at 0 as if exp(-|x|) were flat.",
        example=f">>> sg.ops.{name}_derivative(sg.tensor([0.0])).numpy()\n"
        f"array([{at_zero}], dtype=float32)",
    )


i0e = elementwise(
    "i0e",
    family="special",
    kernel=lambda xp, x: _scaled(xp, x, n=0, order=0),
    ball=lambda x: _scaled_meaning(x, 0),
    spellings=(lambda x: OPS["exp"](-OPS["abs"](x)) * i0(x),),
    partials=lambda y, x: (i0e_derivative(x, n=1),),
    textbook=lambda y, x: (i1e(x) - OPS["sign"](x) * y,),
    domain=(REAL,),
    range=interval(0.0, 1.0, closed=True),
    cost=4,
    lax="bessel_i0e",
    aten="special_i0e",
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2: several inexact factors and a sum",
    source="Taylor polynomials about points 1/8 apart; DLMF 10.40.1 beyond",
    doc="exp(-|x|) * i0(x).",
    example=">>> sg.ops.i0e(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)

i0e_derivative = _derivatives("i0e", 0, "exp(-|x|) * i0(x)", "0.")

i1e = elementwise(
    "i1e",
    family="special",
    kernel=lambda xp, x: _scaled(xp, x, n=0, order=1),
    ball=lambda x: _scaled_meaning(x, 1),
    spellings=(lambda x: OPS["exp"](-OPS["abs"](x)) * i1(x),),
    partials=lambda y, x: (i1e_derivative(x, n=1),),
    textbook=lambda y, x: (i0e(x) - y * (OPS["sign"](x) + 1 / x),),
    domain=(REAL,),
    range=interval(-0.25, 0.25),
    cost=4,
    lax="bessel_i1e",
    aten="special_i1e",
    source="Taylor polynomials about points 1/8 apart; DLMF 10.40.1 beyond",
    doc="exp(-|x|) * i1(x).",
    example=">>> sg.ops.i1e(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

i1e_derivative = _derivatives("i1e", 1, "exp(-|x|) * i1(x)", "0.5")

log_i0 = elementwise(
    "log_i0",
    family="special",
    kernel=_log_i0,
    ball=lambda x: _scaled_meaning(x, 0).log() + abs(x),
    spellings=(lambda x: log(i0(x)), lambda x: OPS["abs"](x) + log(i0e(x))),
    partials=lambda y, x: (log_i0_derivative(x, n=1),),
    textbook=lambda y, x: (i1(x) / i0(x),),
    domain=(REAL,),
    range=NONNEGATIVE,
    cost=5,
    source="Taylor polynomials about points 1/8 apart; the logarithm of DLMF 10.40.1 beyond",
    doc="log(i0(x)), also where i0 overflows.",
    example=">>> sg.ops.log_i0(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

log_i0_derivative = elementwise(
    "log_i0_derivative",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=_log_i0,
    ball=lambda x, *, n: _log_i0_meaning(x, n),
    partials=lambda y, x: (log_i0_derivative(x, n=y.param("n") + 1),),
    domain=(REAL,),
    infer_facts=lambda term: (POSITIVE if term.param("n") == 2 else REAL)._replace(
        defined=term.args[0].facts.defined
    ),
    cost=6,
    source="Taylor polynomials about points 1/8 apart; the logarithm of DLMF 10.40.1 beyond",
    doc="The n-th derivative of log(i0(x)), n >= 1; the first is i1(x)/i0(x).",
    example=">>> sg.ops.log_i0_derivative(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)
