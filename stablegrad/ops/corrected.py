"""What functions of one number, and of a difference, are at an argument and the rest of it.

Where they feel the rounding of their argument, and the value there from that at the rounded one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special

from stablegrad.ops.pairs import two_prod, two_sum

_FAR_WAVE = 1e4  # from here on the rest of an argument may be more than a slope bridges


class Corrected(NamedTuple):
    """Where a function feels its argument, and its value at a pair.

    ``value(x, lo, y)`` is that of x + lo, given y, the value at x, and the op's parameters.
    """

    felt: Callable[[Any], Any]
    value: Callable[..., Any]


def _sloped(felt: Callable[[Any], Any], slope: Callable[[Any, Any], Any]) -> Corrected:
    """By the slope at x, given x and the value there."""
    return Corrected(felt, lambda x, lo, y: y + slope(x, y) * lo)


def _beyond(limit: float) -> Callable[[Any], Any]:
    return lambda x: np.abs(x) > limit


def _above(limit: float) -> Callable[[Any], Any]:
    return lambda x: x > limit


def _below(limit: float) -> Callable[[Any], Any]:
    return lambda x: x < limit


def _next_to_1_or_2(x: Any) -> Any:
    return np.abs(np.abs(x - 1.5) - 0.5) < 0.125


def _sides(x: Any, lo: Any) -> tuple[Any, Any]:
    """1 - c and 1 + c of c = x + lo."""
    return (1.0 - x) - lo, (1.0 + x) + lo


def _arcsin(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return np.arctan2(x, np.sqrt(left * right))


def _arccos(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return 2.0 * np.arctan2(np.sqrt(left), np.sqrt(right))


def _arctanh(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return 0.5 * (np.log(right) - np.log(left))


def _arccosh(x: Any, lo: Any, y: Any) -> Any:
    u = (x - 1.0) + lo
    return np.log1p(u + np.sqrt(u * (u + 2.0)))


def _log1p(x: Any, lo: Any, y: Any) -> Any:
    s, e = two_sum(1.0 + x, lo)
    return np.log(s) + e / s


def _sqrt1pm1(x: Any, lo: Any, y: Any) -> Any:
    s, e = two_sum(1.0 + x, lo)
    return np.sqrt(s + e) - 1.0


def _hazard(x: Any, lo: Any, y: Any, n: int) -> Any:
    return y - y * (x + y) * lo if n == 1 else y


def _one_minus_square(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return left * right


def _arcsin_slope(x: Any, lo: Any, y: Any, n: int) -> Any:
    left, right = _sides(x, lo)
    return (left * right) ** (-0.5 * n)


def _cosm1(x: Any, lo: Any, y: Any) -> Any:
    half = np.sin(0.5 * x) * np.cos(0.5 * lo) + np.cos(0.5 * x) * np.sin(0.5 * lo)
    return -2.0 * half * half


def _normal_density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _error_density(x: Any) -> Any:
    return 2.0 / math.sqrt(math.pi) * np.exp(-x * x)


def _sin_of_root(x: Any, lo: Any, y: Any) -> Any:
    """sin(r)/r of r = sqrt(x + lo), whose rounding sin feels as that of x."""
    r = np.sqrt(x)
    square, rest = two_prod(r, r)
    d = ((x - square) - rest + lo) / (2.0 * r)
    return (np.sin(r) * np.cos(d) + np.cos(r) * np.sin(d)) / (r + d)


def _sinc(x: Any, lo: Any, y: Any) -> Any:
    return (x * y * np.cos(lo) + np.cos(x) * np.sin(lo)) / (x + lo)


def _turned(x: Any, lo: Any, n: int) -> Any:
    s, c, sine, cosine = np.sin(x), np.cos(x), np.sin(lo), np.cos(lo)
    return (1 - n % 4 // 2 * 2) * (c * cosine - s * sine if n % 2 else s * cosine + c * sine)


def _sinc_slope(x: Any, lo: Any, y: Any, n: int) -> Any:
    """Far out by Leibniz, as derivatives of sin times those of 1/x."""
    low = -(x + lo)
    far = [-math.perm(n, k) * _turned(x, lo, n - k) / low ** (k + 1) for k in range(n + 1)]
    near = y + (_turned(x, 0.0, n + 1) - (n + 1) * y) / x * lo
    return np.where(np.abs(x) > _FAR_WAVE, sum(far), near)


def _tan(x: Any, lo: Any, y: Any) -> Any:
    t = np.tan(lo)
    return (y + t) / (1.0 - y * t)


CORRECTED: dict[str, Corrected] = {
    "exp": _sloped(_beyond(2.0), lambda x, y: y),
    "exp2": _sloped(_beyond(2.0), lambda x, y: y * math.log(2.0)),
    "expm1": _sloped(_above(2.0), lambda x, y: y),
    "expm1mx": _sloped(_above(2.0), lambda x, y: np.expm1(x)),
    "sigmoid": _sloped(_below(-2.0), lambda x, y: y * (1.0 - y)),
    "softplus": _sloped(_below(-2.0), lambda x, y: y),
    "log_sigmoid": _sloped(_above(2.0), lambda x, y: -y),
    "log1mexp": _sloped(_below(-2.0), lambda x, y: -np.exp(x)),
    "log1mexp_slope": _sloped(_below(-2.0), lambda x, y: y),
    "bose_slope": _sloped(_beyond(2.0), lambda x, y: -y * np.sign(x)),
    "sinh": _sloped(_beyond(2.0), lambda x, y: np.cosh(x)),
    "cosh": _sloped(_beyond(2.0), lambda x, y: np.sinh(x)),
    "sech": _sloped(_beyond(2.0), lambda x, y: -y * np.tanh(x)),
    "sech_squared": _sloped(_beyond(1.0), lambda x, y: -2.0 * y * np.tanh(x)),
    "sigmoid_slope": _sloped(_beyond(2.0), lambda x, y: -y * np.tanh(0.5 * x)),
    "exprel": _sloped(_above(2.0), lambda x, y: (np.exp(x) - y) / x),
    "exprel_derivative": Corrected(
        _above(2.0), lambda x, lo, y, n: y + (np.exp(x) - (n + 1) * y) / x * lo
    ),
    "sinhc": _sloped(_beyond(2.0), lambda x, y: (np.cosh(x) - y) / x),
    "sinhc_derivative": Corrected(
        _beyond(2.0),
        lambda x, lo, y, n: y + ((np.sinh if n % 2 else np.cosh)(x) - (n + 1) * y) / x * lo,
    ),
    "sinc_unnormalised": Corrected(_beyond(2.0), _sinc),
    "sinc_unnormalised_derivative": Corrected(_beyond(2.0), _sinc_slope),
    "sin": Corrected(_beyond(2.0), lambda x, lo, y: y * np.cos(lo) + np.cos(x) * np.sin(lo)),
    "cos": Corrected(_beyond(1.0), lambda x, lo, y: y * np.cos(lo) - np.sin(x) * np.sin(lo)),
    "cosm1": Corrected(_beyond(1.0), _cosm1),
    "tan": Corrected(_beyond(1.0), _tan),
    "sin_sqrt_over_sqrt": Corrected(_above(4.0), _sin_of_root),
    "sinh_sqrt_over_sqrt": _sloped(_above(4.0), lambda x, y: (np.cosh(np.sqrt(x)) - y) / (2.0 * x)),
    "coshm1": _sloped(_beyond(2.0), lambda x, y: np.sinh(x)),
    "log_expm1": _sloped(  # around its zero at log(2)
        lambda x: (x > 0.375) & (x < 1.5), lambda x, y: -1.0 / np.expm1(-x)
    ),
    "log_expm1_slope": _sloped(_below(-2.0), lambda x, y: y * (1.0 - y)),
    "erfc": _sloped(_above(1.0), lambda x, y: -_error_density(x)),
    "erfcx": _sloped(_below(-1.0), lambda x, y: 2.0 * x * y - 2.0 / math.sqrt(math.pi)),
    "ndtr": _sloped(_below(-1.0), lambda x, y: _normal_density(x)),
    "log_ndtr": _sloped(_above(1.0), lambda x, y: _normal_density(x)),
    "log_ndtr_derivative": Corrected(_above(1.0), _hazard),
    "sqrt1pm1": Corrected(_below(-0.5), _sqrt1pm1),
    "arcsin": Corrected(_beyond(0.7), _arcsin),
    "arcsin_slope": Corrected(_beyond(0.7), _arcsin_slope),
    "arccos": Corrected(_beyond(0.7), _arccos),
    "arctanh": Corrected(_beyond(0.7), _arctanh),
    "arccosh": Corrected(_below(1.5), _arccosh),
    "log1p": Corrected(_below(-0.5), _log1p),
    "log1pmx": Corrected(_below(-0.5), lambda x, lo, y: _log1p(x, lo, y) - x - lo),
    "one_minus_square": Corrected(_beyond(0.7), _one_minus_square),
    "lgamma": _sloped(_next_to_1_or_2, lambda x, y: scipy.special.psi(x)),
    "gamma": _sloped(_above(16.0), lambda x, y: y * scipy.special.psi(x)),
    "one_plus_log": _sloped(lambda x: (x > 0.3125) & (x < 0.4375), lambda x, y: 1.0 / x),
    "log": _sloped(lambda x: (x > 0.375) & (x < 2.75), lambda x, y: 1.0 / x),
}
LOGS = {"log": 0.0, "log1p": 1.0}
"""Logarithms, and what is added to their argument."""
TURNING = frozenset(["sin", "cos", "tan"])
OF_DIFFERENCE = {"sigmoid_difference": "sigmoid", "union_slope": "sigmoid_slope"}
"""Functions of a difference, and of what."""
CORRECTED |= {name: CORRECTED[of_one] for name, of_one in OF_DIFFERENCE.items()}
"""By op: where it feels the rounding of its argument, and the cure; by the difference of two."""
