"""Float32 kernels: sums and products in float64, which is exact or nearly so, functions in float32.

A float64 sum of float32 products has no error worth mention and cannot leave the range; it costs
a conversion an argument, where compensation and scaling cost ten operations and more.
"""

from __future__ import annotations

from collections.abc import Callable
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
    return _total(xs, constant, coefficients, counts).astype(xs[0].dtype)


def _scaled_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Any, ...],
) -> Any:
    if again or sum(abs(p) for p in powers) > _DEGREE or any(2 * p != int(2 * p) for p in powers):
        return kernels.scaled_product(xp, *args, powers=powers, factor=factor, again=again)
    above: Any = None if factor == 1 else round_to(factor, WIDE)[()]
    below: Any = None
    for x, p in zip(args, powers, strict=True):
        size = abs(p)
        steps = [x.astype(WIDE)] * int(size)
        if size != int(size):
            steps.append(xp.sqrt(x).astype(WIDE))
        for step in steps:
            if p > 0:
                above = step if above is None else above * step
            else:
                below = step if below is None else below * step
    if below is not None:
        above = (1.0 if above is None else above) / below
    return above.astype(args[0].dtype)


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
