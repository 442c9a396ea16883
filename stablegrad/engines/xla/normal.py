"""Float32 kernels of the normal distribution: one polynomial, one exponential, one logarithm.

With t = |x|/sqrt(2) and W = erfcx(t), the tail is q*E, q = W/2 and E = exp(-x**2/2); its
logarithm and the hazard follow without cancellation on either side of 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.engines.xla import kernels
from stablegrad.engines.xla.logistic import horner, log1p_between

WIDE = np.dtype(np.float64)
_MIDDLE = 3.0
# erfcx(t)*(t + 1/2) in (t - 3)/(t + 3): Chebyshev interpolation, 5e-9
_ERFCX = (
    0.6265040281838778,
    -0.06781053470013709,
    -0.023781078463759382,
    0.0648220571720459,
    -0.05963763764112957,
    0.034158283885541714,
    -0.011881788219713455,
    0.0012495584348701165,
    0.0009375395618399791,
    -0.00036322683958545636,
    -4.627258341383906e-05,
    3.8655121146091445e-05,
)
_ROOT_HALF = np.float32(0.7071067811865476)
_DENSITY = 0.3989422804014327  # 1/sqrt(2*pi)

# next to minus the zero of gelu's slope: a float, and the slope there over exp(-x**2/2); the
# rest of that over the distance, in (t - 3)/(t + 3): Chebyshev interpolation, 1e-9
_ZERO, _AT_ZERO = np.float32(0.7517915368080139), np.float32(-6.934385667122436e-09)
_SLOPE = (
    -0.4592201210832812,
    0.09979166538429249,
    -0.06086886084858178,
    0.030406845873981434,
    -0.01173764629626309,
    0.0030342630279858664,
    -0.00023542133438676975,
    -0.00017153611666010035,
    5.7293268393309485e-05,
    6.619384429533709e-06,
    -5.382058620329843e-06,
)


def _place(xp: Any, t: Any) -> Any:
    """(t - 3)/(t + 3)."""
    near = xp.minimum(t, np.float32(1e30))
    return (near - _MIDDLE) / (near + _MIDDLE)


def _scaled_tail(xp: Any, a: Any) -> tuple[Any, Any]:
    """P and t + 1/2 of a = |x|: their quotient is erfcx(t), t = a/sqrt(2)."""
    t = a * _ROOT_HALF
    return horner(xp, _place(xp, t), _ERFCX), t + np.float32(0.5)


_DEEP, _STEP = np.float32(120.0), np.float32(48.0)
_FALLEN = np.float32(np.exp(-24.0))


def _bell(xp: Any, a: Any) -> Any:
    """exp(-a**2/2), the square without its rounding error."""
    a = xp.minimum(a, np.float32(1e3))
    square = a.astype(WIDE) * a.astype(WIDE)
    high = square.astype(np.float32)
    low = (square - high.astype(WIDE)).astype(np.float32)
    e = xp.exp(-0.5 * high)
    return e - e * (0.5 * low)


def _bell_times(xp: Any, a: Any, factor: Any) -> Any:
    """factor*exp(-a**2/2), a normal float wherever that is one."""
    a = xp.minimum(a, np.float32(1e3))
    square = a.astype(WIDE) * a.astype(WIDE)
    high = square.astype(np.float32)
    low = (square - high.astype(WIDE)).astype(np.float32)
    deep = high > _DEEP
    e = xp.exp(-0.5 * xp.where(deep, high - _STEP, high))
    return (factor * (e - e * (0.5 * low))) * xp.where(deep, _FALLEN, np.float32(1))


def log_ndtr(xp: Any, x: Any) -> Any:
    """The kernel of ``log_ndtr``."""
    a = xp.abs(x)
    top, bottom = _scaled_tail(xp, a)
    ratio = top / bottom
    below = xp.log(0.5 * ratio) - 0.5 * a * a
    above = log1p_between(xp, -0.5 * _bell(xp, a) * ratio)
    return xp.where(x < 0, below, above)


def hazard(xp: Any, x: Any, *, n: int) -> Any:
    """The kernel of ``log_ndtr_derivative``."""
    if n != 1:
        wide = kernels.recorded("log_ndtr_derivative")(xp, x.astype(WIDE), n=n)
        return wide.astype(x.dtype)
    a = xp.abs(x)
    top, bottom = _scaled_tail(xp, a)
    bell = _bell(xp, a)
    left = x < 0
    above = xp.where(left, np.float32(2 * _DENSITY) * bottom, np.float32(_DENSITY) * bell)
    return above / xp.where(left, top, 1 - 0.5 * bell * (top / bottom))


def ndtr(xp: Any, x: Any) -> Any:
    """The kernel of ``ndtr``."""
    a = xp.abs(x)
    top, bottom = _scaled_tail(xp, a)
    tail = 0.5 * (top / bottom) * _bell(xp, a)
    return xp.where(x < 0, tail, 1 - tail)


def gelu(xp: Any, x: Any) -> Any:
    """The kernel of ``gelu``, x*ndtr(x)."""
    a = xp.abs(x)
    top, bottom = _scaled_tail(xp, a)
    part = _bell_times(xp, a, 0.5 * xp.minimum(a, np.float32(1e3)) * (top / bottom))
    return xp.where(x < 0, -part, x - part)


def gelu_slope(xp: Any, x: Any, *, n: int) -> Any:
    """The kernel of ``gelu_derivative``: the first is ndtr(x) + x*density(x)."""
    if n != 1:
        wide = kernels.recorded("gelu_derivative")(xp, x.astype(WIDE), n=n)
        return wide.astype(x.dtype)
    a = xp.abs(x)
    gap = xp.minimum(a, np.float32(1e3)) - _ZERO
    rest = _bell_times(xp, a, gap * horner(xp, _place(xp, a * _ROOT_HALF), _SLOPE) + _AT_ZERO)
    return xp.where(x < 0, rest, 1 - rest)


NORMAL: dict[str, Callable[..., Any]] = {
    "log_ndtr": log_ndtr,
    "log_ndtr_derivative": hazard,
    "ndtr": ndtr,
    "gelu": gelu,
    "gelu_derivative": gelu_slope,
}
"""By op."""
