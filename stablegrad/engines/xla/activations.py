"""Float32 kernels of activations whose argument or sum is formed in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.engines.xla import kernels
from stablegrad.engines.xla.logistic import horner, silu_slope
from stablegrad.ops.activation_kernels import CUBIC, SLOPE

WIDE = np.dtype(np.float64)


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


def _silu_derivative(xp: Any, x: Any, *, n: int) -> Any:
    if n != 1:
        return kernels.recorded("silu_derivative")(xp, x.astype(WIDE), n=n).astype(x.dtype)
    return silu_slope(xp, x)


_C, _K = SLOPE, CUBIC
# the slope of gelu_tanh by the distance to the float next to its zero, up to 0.4: Chebyshev
# interpolation, 3e-10
_ZERO, _NEAR = np.float32(-0.75246143), np.float32(0.4)
_BESIDE_ZERO = (
    -4.880577081407244e-09,
    0.4304000822362282,
    0.3875184408703582,
    -0.01578285108864145,
    -0.11394399785164552,
    -0.016619101405227273,
    0.01967136633099775,
    0.005255902011063108,
    -0.002330637723914224,
    -0.0008840482187086301,
)


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
    gap = xp.clip(x, np.float32(-20), np.float32(20)) - _ZERO
    value = xp.where(xp.abs(gap) < _NEAR, horner(xp, gap, _BESIDE_ZERO), s + s * r * slope)
    return xp.where(x == x, value, x)


ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "silu_derivative": _silu_derivative,
    "gelu_tanh": _gelu_tanh,
    "gelu_tanh_derivative": _gelu_tanh_derivative,
}
"""By op."""
