"""Float32 kernels: sums and products in float64, which is exact or nearly so, functions in float32.

A float64 sum of float32 products has no error worth mention and cannot leave the range; it costs
a conversion an argument, where compensation and scaling cost ten operations and more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import mul
from typing import Any

import numpy as np

from stablegrad.engines.xla import kernels
from stablegrad.ops.exact import Exact, Rational, round_to

WIDE = np.dtype(np.float64)
_DEGREE = 7
"""A product of so many float32 factors stays inside the range of float64."""


def _total(
    xs: tuple[Any, ...],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    """A sum of multiples and products, in float64."""
    total: Any = None if constant == 0 else round_to(constant, WIDE)[()]
    position = 0
    for c, count in zip(coefficients, counts, strict=True):
        part = xs[position].astype(WIDE)
        if count == 2:
            part = part * xs[position + 1].astype(WIDE)
        position += count
        part = part if c == 1 else -part if c == -1 else round_to(c, WIDE)[()] * part
        total = part if total is None else total + part
    return total


def _compensated_sum(
    xp: Any,
    *xs: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    if constant == 0 and counts == (1, 1) and abs(coefficients[0]) == abs(coefficients[1]):
        c = round_to(coefficients[0], xs[0].dtype)[()]  # one rounding, as it is
        pair = xs[0] + xs[1] if coefficients[0] == coefficients[1] else xs[0] - xs[1]
        return pair if c == 1 else c * pair
    return _total(xs, constant, coefficients, counts).astype(xs[0].dtype)


def _scaled_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Any, ...],
) -> Any:
    if again or any(2 * p != int(2 * p) for p in powers):
        return kernels.scaled_product(xp, *args, powers=powers, factor=factor, again=again)
    if factor == 1 and len(powers) == 2 and powers[0] == -powers[1] and powers[0] in (2, 3, 4):
        quotient = args[0] / args[1]  # in range where its power is
        return reduce(mul, [quotient] * int(powers[0]))
    above: list[Any] = [] if factor == 1 else [round_to(factor, WIDE)[()]]
    below: list[Any] = []
    for x, p in zip(args, powers, strict=True):
        size = abs(p)
        steps = [x.astype(WIDE)] * int(size)
        if size != int(size):
            steps.append(xp.sqrt(x).astype(WIDE))
        (above if p > 0 else below).extend(steps)
    if len(above) + len(below) <= _DEGREE:
        top: Any = _times(above) if above else 1.0
        if not below:
            return top.astype(args[0].dtype)
        bottom = _times(below)
        if above and np.size(bottom) < np.size(top):  # a float64 quotient costs, so few of them
            return (top * (1.0 / bottom)).astype(args[0].dtype)
        return (top / bottom).astype(args[0].dtype)
    mantissa: Any = None
    exponent: Any = 0
    for steps, sign in ((above, 1), (below, -1)):
        for i in range(0, len(steps), _DEGREE):
            m, e = xp.frexp(_times(steps[i : i + _DEGREE]))
            exponent = exponent + sign * e
            if mantissa is None:
                mantissa = m if sign > 0 else 1.0 / m
            else:
                mantissa = mantissa * m if sign > 0 else mantissa / m
    return xp.ldexp(mantissa, exponent).astype(args[0].dtype)


def _times(steps: list[Any]) -> Any:
    """The product, small arrays first, before they are broadcast."""
    return reduce(mul, sorted(steps, key=np.size))


# -- activations --------------------------------------------------------------------------


def _shares(xp: Any, u: Any) -> tuple[Any, Any]:
    """sigmoid(u) and sigmoid(-u) of float64 arguments, with one float32 exponential."""
    size = xp.abs(u)
    high = size.astype(np.float32)
    e = xp.exp(-xp.minimum(high, np.float32(87.0)))
    rest = (high.astype(WIDE) - xp.minimum(size, 1e4)).astype(np.float32)
    e = xp.where(high > 87, np.float32(0), e + e * xp.where(high < 1e4, rest, np.float32(0)))
    great = 1 / (1 + e)
    small = e * great
    return xp.where(u >= 0, great, small), xp.where(u >= 0, small, great)


def _silu(xp: Any, x: Any) -> Any:
    value = x * xp.special.expit(x)
    return xp.where(x == -xp.inf, np.float32(-0.0), value)


def _silu_derivative(xp: Any, x: Any, *, n: int) -> Any:
    if n != 1:
        return kernels.recorded("silu_derivative")(xp, x.astype(WIDE), n=n).astype(x.dtype)
    s, r = _shares(xp, x.astype(WIDE))
    far = xp.abs(x) > 100
    return xp.where(far, s, s + (xp.where(far, 0, x) * s) * r)


_C = 0.7978845608028654  # sqrt(2/pi)
_K = 0.044715


def _gelu_tanh(xp: Any, x: Any) -> Any:
    w = x.astype(WIDE)
    s, _ = _shares(xp, (2 * _C) * w * (1 + _K * w * w))
    return xp.where(x < -20, np.float32(-0.0), xp.where(x > 20, x, x * s))


def _gelu_tanh_derivative(xp: Any, x: Any, *, n: int) -> Any:
    if n != 1:
        return kernels.recorded("gelu_tanh_derivative")(xp, x.astype(WIDE), n=n).astype(x.dtype)
    w = xp.clip(x, -20.0, 20.0).astype(WIDE)
    s, r = _shares(xp, (2 * _C) * w * (1 + _K * w * w))
    slope = ((2 * _C) * w * (1 + 3 * _K * w * w)).astype(np.float32)
    return xp.where(x == x, s + s * r * slope, x)


SINGLE_KERNELS: dict[str, Callable[..., Any]] = {
    "compensated_sum": _compensated_sum,
    "scaled_product": _scaled_product,
    "silu": _silu,
    "silu_derivative": _silu_derivative,
    "gelu_tanh": _gelu_tanh,
    "gelu_tanh_derivative": _gelu_tanh_derivative,
}
"""By op, for results in float32."""
