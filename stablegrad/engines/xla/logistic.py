"""Float32 kernels of the logistic and hyperbolic family that share exp(-|x|).

The value, its derivative and its logarithms are formed of one exponential and one reciprocal, so
that XLA finds them equal in the forward and the backward pass and computes them once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# 2*atanh(z)/z in z**2 for |z| <= 1/3: Chebyshev interpolation, 1e-10
_ATANH = (
    1.999999999792549,
    0.6666667986942675,
    0.3999864329003634,
    0.28622100565091035,
    0.21377251279126952,
    0.24477162887773896,
)


def horner(xp: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    """A polynomial, the lowest power first."""
    number = x.dtype.type
    total: Any = number(coefficients[-1])
    for c in coefficients[-2::-1]:  # JAX traces operators three times as long
        total = xp.lax.add(xp.lax.mul(total, x), number(c))
    return total


def log1p_between(xp: Any, v: Any) -> Any:
    """log1p(v) of -1/2 <= v <= 1: 2*atanh(v/(2 + v))."""
    r = 1 / (2 + v)
    z = v * r
    return v * (r * horner(xp, z * z, _ATANH))


_FAR, _STEP = 64.0, np.float32(16)
_FALLEN = np.float32(np.exp(-16.0))


def _exp_in_steps(xp: Any, a: Any) -> tuple[Any, Any]:
    """exp(a) of a <= 0 as a product: where it is no normal float, its multiples may be."""
    far = a < -_FAR  # there a + 16 is exact
    return xp.exp(xp.where(far, a + _STEP, a)), xp.where(far, _FALLEN, np.float32(1))


def sigmoid(xp: Any, x: Any) -> Any:
    """The kernel of ``sigmoid``: XLA's, right down to where the result is no normal float."""
    return xp.lax.logistic(x)


def sigmoid_slope(xp: Any, x: Any) -> Any:
    """The kernel of ``sigmoid_slope``."""
    e = xp.exp(-xp.abs(x))
    return e / (1 + e * (2 + e))


def softplus(xp: Any, x: Any) -> Any:
    """The kernel of ``softplus``."""
    return xp.maximum(x, 0) + log1p_between(xp, xp.exp(-xp.abs(x)))


def log_sigmoid(xp: Any, x: Any) -> Any:
    """The kernel of ``log_sigmoid``."""
    return xp.minimum(x, 0) - log1p_between(xp, xp.exp(-xp.abs(x)))


def sech_squared(xp: Any, x: Any) -> Any:
    """The kernel of ``sech_squared``."""
    e, scale = _exp_in_steps(xp, -2 * xp.abs(x))
    low = e * scale
    return (4 * e / (1 + low * (2 + low))) * scale


def _small_share(xp: Any, x: Any) -> tuple[Any, Any]:
    """sigmoid(-|x|) as a product: the one value that ``silu`` and its slope are made of."""
    e, scale = _exp_in_steps(xp, -xp.abs(x))
    return e / (1 + e * scale), scale


def silu(xp: Any, x: Any) -> Any:
    """The kernel of ``silu``."""
    small, scale = _small_share(xp, x)
    left = x < 0
    value = xp.where(left, small, 1 - small * scale) * x * xp.where(left, scale, 1)
    return xp.where(x == -xp.inf, np.float32(-0.0), value)


# the slope of silu by the distance to the float next to its zero, where it is no 0, up to 0.4:
# Chebyshev interpolation, 3e-8. No difference from a zero in two parts: XLA adds these up
_ZERO, _NEAR = np.float32(-1.2784645557403564), np.float32(0.4)
_BESIDE_ZERO = (
    -2.8270396683554365e-09,
    0.21781170191300772,
    0.14664887578778305,
    0.018874796340552585,
    -0.015226644110671799,
    -0.006605656683632006,
    0.0001769833566427346,
    0.0007869119063274698,
)


def silu_slope(xp: Any, x: Any) -> Any:
    """s*(1 + x*s(-x)); beside its zero, where that cancels, a multiple of the distance to it."""
    small, scale = _small_share(xp, x)
    low = small * scale
    great = 1 - low
    left = x < 0
    near = xp.clip(x, np.float32(-200), np.float32(200))
    value = xp.where(left, small, great) * (1 + near * xp.where(left, great, low))
    value = value * xp.where(left, scale, 1)
    gap = near - _ZERO
    return xp.where(xp.abs(gap) < _NEAR, horner(xp, gap, _BESIDE_ZERO), value)


_LOG_2 = np.float32(0.6931471824645996)
_TWICE_REST = np.float32(2 * -1.904654299957768e-09)


def log_expm1(xp: Any, x: Any) -> Any:
    """The record's kernel, what float32 lacks of log(2) behind the exponential."""
    middle = xp.log1p(2 * xp.expm1(x - _LOG_2) - _TWICE_REST)
    right = x + xp.log1p(-xp.exp(-x))
    return xp.where(x < 0.35, xp.log(xp.expm1(x)), xp.where(x < 1.5, middle, right))


REFLECTED: dict[str, Callable[..., Any]] = {
    "softplus": lambda xp, x: -log_sigmoid(xp, x),
    "log_sigmoid": lambda xp, x: -softplus(xp, x),
    "sigmoid_slope": sigmoid_slope,
    "sech_squared": sech_squared,
}
"""By op, f(-x) of x, for float32."""

LOGISTIC: dict[str, Callable[..., Any]] = {
    "sigmoid": sigmoid,
    "sigmoid_slope": sigmoid_slope,
    "softplus": softplus,
    "log_sigmoid": log_sigmoid,
    "sech_squared": sech_squared,
    "silu": silu,
    "log_expm1": log_expm1,
}
"""By op."""
