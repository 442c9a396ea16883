"""Activation functions that a composition of other ops would leave with a cancelling derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import activation_kernels as kernels
from stablegrad.ops import intervals
from stablegrad.ops import taylor_tables as tables
from stablegrad.ops.exponential import exp
from stablegrad.ops.hyperbolic import tanh
from stablegrad.ops.logistic import sigmoid, softplus
from stablegrad.ops.meanings import pi_like
from stablegrad.ops.record import REAL, SYMMETRIC_UNIT, Op, elementwise
from stablegrad.ops.special_error import ndtr

_ROOT_2PI = math.sqrt(2 * math.pi)


def _derivatives(
    name: str, kernel: Callable[..., Any], ball: Callable[[Any, int], Any], what: str, at_zero: str
) -> Op:
    """The op of all derivatives of an activation."""
    return elementwise(
        f"{name}_derivative",
        family="activation",
        params=("n",),
        defaults=(1,),
        kernel=kernel,
        ball=lambda x, *, n: ball(x, n),
        partials=lambda y, x: (OPS[f"{name}_derivative"](x, n=y.param("n") + 1),),
        domain=(REAL,),
        range=REAL,
        cost=6,
        ulp=(4, 6, 6),
        accuracy="6 ulp beyond the second derivative of the activation",
        source="Taylor polynomials about points of a table; exponential series far out",
        doc=f"The n-th derivative of {what}.",
        example=f">>> sg.ops.{name}_derivative(sg.tensor([0.0])).numpy()\n"
        f"array([{at_zero}], dtype=float32)",
    )


def _leibniz(x: Any, step: list[Any], n: int) -> Any:
    """The n-th derivative of x g, from g and its derivatives."""
    return x * step[n] + (step[n - 1] * n if n else 0)


def _sigmoid_derivatives(x: Any, n: int) -> list[Any]:
    """By polynomials in s, where s' = s - s*s; for x > 0 from the mirror image, s(-x)."""
    mirror = x > 0
    s = 1 / (1 + (x if mirror else -x).exp())
    out = [1 - s if mirror else s]
    powers = {1: 1}
    for k in range(n):
        step: dict[int, int] = {}
        for p, c in powers.items():
            step[p] = step.get(p, 0) + c * p
            step[p + 1] = step.get(p + 1, 0) - c * p
        powers = step
        total = s * 0
        for p, c in powers.items():
            total = total + s**p * c
        out.append(total * (-((-1) ** (k + 1)) if mirror else 1))
    return out


def _silu_meaning(x: Any, n: int) -> Any:
    return _leibniz(x, _sigmoid_derivatives(x, n), n)


silu = elementwise(
    "silu",
    family="activation",
    kernel=kernels.silu,
    spellings=(lambda x: x * sigmoid(x), lambda x: x / (1 + exp(-x))),
    partials=lambda y, x: (silu_derivative(x, n=1),),
    textbook=lambda y, x: (sigmoid(x) * (1 + x * (1 - sigmoid(x))),),
    domain=(REAL,),
    range=Facts(lo=-0.2784645427610739),
    cost=4,
    aten="silu",
    source="definition",
    doc="x * sigmoid(x), also known as swish.",
    example=">>> sg.ops.silu(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

silu_derivative = _derivatives("silu", kernels.silu, _silu_meaning, "x * sigmoid(x)", "0.5")


def _mish_meaning(x: Any, n: int) -> Any:
    """Of x T with T = 1 - 2/d, d = w*w + 2 w + 2 and w = exp(x)."""
    # numerators over powers of d, as polynomials in w with d' = 2 w*w + 2 w
    w = x.exp()
    d = w * w + w * 2 + 2
    terms = {(0, 1): -2}  # (power of w, power of 1/d): factor
    step = [1 - 2 / d if x > 0 else (w * w + w * 2) / d]
    for _ in range(n):
        new: dict[tuple[int, int], int] = {}
        for (i, j), c in terms.items():
            for key, value in (
                ((i, j), c * i),
                ((i + 2, j + 1), -2 * j * c),
                ((i + 1, j + 1), -2 * j * c),
            ):
                new[key] = new.get(key, 0) + value
        terms = {key: c for key, c in new.items() if c}
        total = w * 0
        for (i, j), c in terms.items():
            total = total + w**i * c / d**j
        step.append(total)
    return _leibniz(x, step, n)


mish = elementwise(
    "mish",
    family="activation",
    kernel=kernels.mish,
    spellings=(lambda x: x * tanh(softplus(x)),),
    partials=lambda y, x: (mish_derivative(x, n=1),),
    domain=(REAL,),
    range=Facts(lo=-0.3088494),
    cost=5,
    aten="mish",
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2: several inexact factors and a sum",
    source="tanh(softplus(x)) = (w*w + 2 w)/(w*w + 2 w + 2) with w = exp(x)",
    doc="x * tanh(softplus(x)).",
    example=">>> sg.ops.mish(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

mish_derivative = _derivatives("mish", kernels.mish, _mish_meaning, "x * tanh(softplus(x))", "0.6")

# -- gelu ------------------------------------------------------------------------------------

gelu = elementwise(
    "gelu",
    family="activation",
    kernel=kernels.gelu,
    spellings=(lambda x: x * ndtr(x),),
    partials=lambda y, x: (gelu_derivative(x, n=1),),
    textbook=lambda y, x: (ndtr(x) + x * exp(x * x * -0.5) * (1 / _ROOT_2PI),),
    domain=(REAL,),
    range=Facts(lo=-0.16997121),
    cost=5,
    aten="gelu",
    source="exp(-x*x/2) times Mills's ratio on the left",
    doc="x * ndtr(x), the form with the error function.",
    example=">>> sg.ops.gelu(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)


def _gelu_meaning(x: Any, n: int) -> Any:
    density = (-(x * x) / 2).exp() / (pi_like(x) * 2).sqrt()
    if n < 2:
        tail = (-x / type(x).exact(2).sqrt()).erfc() / 2
        return tail + x * density if n else x * tail
    total = x * 0
    for c in kernels.gelu_factor(n):
        total = total * x + c
    return total * density


gelu_derivative = _derivatives("gelu", kernels.gelu_derivative, _gelu_meaning, "x * ndtr(x)", "0.5")


def _gelu_tanh_spelling(x: Term) -> Term:
    return x * (1 + tanh(kernels.SLOPE * (x + kernels.CUBIC * x**3))) / 2


def _gelu_tanh_meaning(x: Any, n: int) -> Any:
    """Of x s(p): the derivatives of s(p) from s' = p' (s - s*s)."""
    slope = type(x).exact(kernels.SLOPE) * 2
    cubic = slope * type(x).exact(kernels.CUBIC)
    p = slope * x + cubic * x**3
    rates = [slope + cubic * x * x * 3, cubic * x * 6, cubic * 6]
    by_p = _sigmoid_derivatives(p, n)
    # the chain rule, as polynomials in s and its p-derivatives: (order, powers of p', p'', p''')
    terms: dict[tuple[int, int, int, int], int] = {(0, 0, 0, 0): 1}
    out = []
    for k in range(n + 1):
        total = x * 0
        for (order, *powers), c in terms.items():
            part = by_p[order] * c
            for rate, power in zip(rates, powers, strict=True):
                for _ in range(power):
                    part = part * rate
            total = total + part
        out.append(total)
        if k == n:
            break
        new: dict[tuple[int, int, int, int], int] = {}
        for (order, a, b, d), c in terms.items():
            moves = [((order + 1, a + 1, b, d), c)]
            moves += [((order, a - 1, b + 1, d), c * a)] if a else []
            moves += [((order, a, b - 1, d + 1), c * b)] if b else []
            for key, value in moves:
                new[key] = new.get(key, 0) + value
        terms = new
    return _leibniz(x, out, n)


gelu_tanh = elementwise(
    "gelu_tanh",
    family="activation",
    kernel=kernels.gelu_tanh,
    ball=lambda x: _gelu_tanh_meaning(x, 0),
    spellings=(_gelu_tanh_spelling,),
    partials=lambda y, x: (gelu_tanh_derivative(x, n=1),),
    domain=(REAL,),
    range=Facts(lo=-0.1701),
    cost=5,
    ulp=(4, 4, 6),
    accuracy="6 ulp at order 2: several inexact factors and a sum",
    source="Hendrycks and Gimpel 2016, with the floats sqrt(2/pi) and 0.044715",
    doc="x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))) / 2, the form of gelu with tanh.",
    example=">>> sg.ops.gelu_tanh(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

gelu_tanh_derivative = _derivatives(
    "gelu_tanh", kernels.gelu_tanh, _gelu_tanh_meaning, "gelu_tanh", "0.5"
)

# -- shrinking and squashing -----------------------------------------------------------------


def _tanhshrink_series(c: Decimal, terms: int) -> tables.Series:
    s, ch = tables.hyperbolic(c, terms)
    ratio = tables.divide(s, ch)
    return [a - b for a, b in zip(tables.moving(c, terms), ratio, strict=True)]


_TANHSHRINK = tables.Table(_tanhshrink_series, lambda n: (0, 2), 8)


def _tanhshrink(xp: Any, x: Any) -> Any:
    x = xp.asarray(x, dtype=float)
    size = xp.abs(x)
    value = xp.where(size < 2.0, _TANHSHRINK(xp, size), size - xp.tanh(size))
    return xp.copysign(value, x)


tanhshrink = elementwise(
    "tanhshrink",
    family="activation",
    kernel=_tanhshrink,
    spellings=(lambda x: x - tanh(x),),
    partials=lambda y, x: (tanh(x) * tanh(x),),
    textbook=lambda y, x: (1 - (1 - tanh(x) * tanh(x)),),
    domain=(REAL,),
    infer_facts=intervals.increasing(lambda v: v - math.tanh(v), REAL, REAL, exact=((0.0, 0.0),)),
    cost=5,
    source="definition; Taylor polynomials about points 1/8 apart for |x| < 2",
    doc="x - tanh(x).",
    example=">>> sg.ops.tanhshrink(sg.tensor([0.0])).numpy()\narray([0.], dtype=float32)",
)

softsign = elementwise(
    "softsign",
    family="activation",
    kernel=lambda xp, x: xp.where(xp.isinf(x), xp.sign(x), x / (1.0 + xp.abs(x))),
    spellings=(lambda x: x / (1 + OPS["abs"](x)),),
    partials=lambda y, x: (1 / (1 + OPS["abs"](x)) / (1 + OPS["abs"](x)),),
    textbook=lambda y, x: (1 / (1 + OPS["abs"](x)) - y * OPS["sign"](x) / (1 + OPS["abs"](x)),),
    domain=(REAL,),
    range=SYMMETRIC_UNIT,
    cost=3,
    source="definition",
    doc="x / (1 + |x|).",
    example=">>> sg.ops.softsign(sg.tensor([1.0])).numpy()\narray([0.5], dtype=float32)",
)
