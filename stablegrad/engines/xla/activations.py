"""Float32 kernels of activations whose argument or sum is formed in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.engines.xla import kernels
from stablegrad.engines.xla.logistic import horner, silu_slope
from stablegrad.ops.activation_kernels import CUBIC, SLOPE

WIDE = np.dtype(np.float64)


def _silu_derivative(xp: Any, x: Any, *, n: int) -> Any:
    if n != 1:
        return kernels.recorded("silu_derivative")(xp, x.astype(WIDE), n=n).astype(x.dtype)
    return silu_slope(xp, x)


_C, _K = 2 * SLOPE, CUBIC
# beyond these the values are x, or no normal floats; -0 on the left
_LEFT, _RIGHT = np.float32(-10.27), np.float32(20)
_PART = 2.0**-10
# the slope of gelu_tanh by the distance to the float next to its zero, up to 0.6: Chebyshev
# interpolation, 7e-9
_ZERO, _NEAR = np.float32(-0.75246143), np.float32(0.6)
_BESIDE_ZERO = (
    -4.880576990954944e-09,
    0.4304000835480093,
    0.38751844631703675,
    -0.015783030710284644,
    -0.11394443268024454,
    -0.01661525803691426,
    0.01968120293147547,
    0.005229056916624347,
    -0.0024140065301002543,
    -0.0008234370621731313,
    0.00023534570188303214,
)


def _odds(xp: Any, t: Any) -> tuple[Any, Any]:
    """exp(-u) of u = c*(t + k*t**3) in float64, times 2**-10, and t*du/dt.

    The number that stands for 1 beside it, 2**-10, keeps all in range as far out as value and
    slope are normal floats; both are made of the one exponential, which XLA computes once.
    """
    w = t.astype(WIDE)
    square = w * w
    u = w * (-_C - (_C * _K) * square) + math.log(_PART)
    high = u.astype(np.float32)
    e = xp.exp(high)
    odds = e + e * (u - high.astype(WIDE)).astype(np.float32)
    return odds, w * (_C + (3 * _C * _K) * square)


def _gelu_tanh(xp: Any, x: Any) -> Any:
    t = xp.clip(x, _LEFT, _RIGHT)
    odds, _ = _odds(xp, t)
    return xp.where(x > _RIGHT, x, t / (np.float32(_PART) + odds) * np.float32(_PART))


def _gelu_tanh_derivative(xp: Any, x: Any, *, n: int) -> Any:
    if n != 1:
        return kernels.recorded("gelu_tanh_derivative")(xp, x.astype(WIDE), n=n).astype(x.dtype)
    t = xp.clip(x, _LEFT, _RIGHT)
    odds, steep = _odds(xp, t)
    share = 1 / (np.float32(_PART) + odds)
    far = (share + share * (odds * share * steep.astype(np.float32))) * np.float32(_PART)
    gap = t - _ZERO
    return xp.where(xp.abs(gap) < _NEAR, horner(xp, gap, _BESIDE_ZERO), far)


ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "silu_derivative": _silu_derivative,
    "gelu_tanh": _gelu_tanh,
    "gelu_tanh_derivative": _gelu_tanh_derivative,
}
"""By op."""
