"""The gamma family of positive float32 numbers in float64: Stirling's series after one shift.

What float32 needs leaves twenty bits to spare in float64, so nothing is in pairs, and ordinary
arrays stay on the device. NumPy has the elements for which that is not enough: those beyond the
domain or the range, and those beside zeros that have no series here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from stablegrad.engines.xla.settled import Kernel, settled
from stablegrad.ops.gamma_logs import bernoulli
from stablegrad.ops.taylor_tables import polynomial

_SHIFT = 7
"""Below, arguments are brought here by one product: of seven float32 numbers none overflows."""
_LEAST, _MOST = 1e-38, 3.5e38
_HALF_LOG_2PI = 0.9189385332046727
_NEAR = 2.0**-10
_LOST = 2.0**-24
"""Below this share of its parts a difference has fewer digits than float32 needs."""
# in the distance, the highest power first: the logarithm over it about 1 and 2, and the slope
_AT_ONE = (
    0.1695571769974082,
    -0.20738555102867398,
    0.27058080842778454,
    -0.40068563438653143,
    0.8224670334241132,
    -0.5772156649015329,
)
_AT_TWO = (
    0.0028905103307415234,
    -0.007385551028673986,
    0.020580808427784546,
    -0.0673523010531981,
    0.3224670334241132,
    0.42278433509846713,
)
_ZERO = 1.4616321449683622  # as a float, where the slope is the last below
_AT_ZERO = (
    -0.07219956125645471,
    0.10782405069126237,
    -0.16394270544240652,
    0.258499760955651,
    -0.4427631689835921,
    0.9676722454476212,
    -9.24126551e-17,
)


@cache
def _series(slope: bool) -> tuple[float, ...]:
    """Stirling's correction times w, or that of its slope times w**2, in 1/w**2."""
    terms = enumerate(bernoulli(12), 1)
    found = [float(b / (2 * k) if slope else b / (2 * k * (2 * k - 1))) for k, b in terms]
    return tuple(found[::-1])


def _steps(u: Any, v: Any, coefficients: tuple[float, ...]) -> tuple[Any, Any]:
    """A polynomial at u, and its difference to that at v over u - v."""
    value: Any = coefficients[0] + 0.0 * u
    change: Any = 0.0 * u
    for c in coefficients[1:]:
        change = change * v + value
        value = value * u + c
    return value, change


def _shifted(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    """Whether x is below the shift; what then is shifted, else 1; and what follows Stirling."""
    low = x < _SHIFT
    return low, xp.where(low, x, 1.0), xp.where(low, x + float(_SHIFT), x)


def _lgamma(xp: Any, x: Any) -> Any:
    low, near, w = _shifted(xp, x)
    product = near
    for k in range(1, _SHIFT):
        product = product * (near + float(k))
    r = 1.0 / w
    far = (w - 0.5) * xp.log(w) - w + (_HALF_LOG_2PI + r * polynomial(r * r, _series(False)))
    value = far - xp.where(low, xp.log(product), 0.0)
    for place, series in ((1.0, _AT_ONE), (2.0, _AT_TWO)):
        t = x - place
        value = xp.where(xp.abs(t) < _NEAR, t * polynomial(t, series) + 0.0, value)
    return value


def _digamma(xp: Any, x: Any) -> Any:
    low, near, w = _shifted(xp, x)
    product: Any = near
    slope: Any = 1.0
    for k in range(1, _SHIFT):
        factor = near + float(k)
        slope = slope * factor + product
        product = product * factor
    r = 1.0 / w
    square = r * r
    far = xp.log(w) - (0.5 * r + square * polynomial(square, _series(True)))
    value = far - xp.where(low, slope / product, 0.0)
    gap = x - _ZERO
    return xp.where(xp.abs(gap) < _NEAR, polynomial(gap, _AT_ZERO), value)


def _lgamma_step(xp: Any, x: Any, h: Any) -> tuple[Any, Any]:
    """The step upwards by h from x, and how great its parts are."""
    low, near, w = _shifted(xp, x)
    product, change = near, h  # of the product, all of whose terms are positive
    for k in range(1, _SHIFT):
        change = change * (near + h + float(k)) + product * h
        product = product * (near + float(k))
    after = w + h
    r, q = 1.0 / w, 1.0 / after
    less = h * r * q
    value, more = _steps(r * r, q * q, _series(False))
    rest = less * (value + q * (r + q) * more)
    far = h * (xp.log(after) - 1.0) + (w - 0.5) * xp.lax.log1p(h / w) - rest
    return far - xp.where(low, xp.lax.log1p(xp.where(low, change / product, 0.0)), 0.0), far


def _digamma_step(xp: Any, x: Any, h: Any) -> Any:
    """The step of digamma upwards by h from x: a sum of positive terms."""
    low, near, w = _shifted(xp, x)
    top: Any = 1.0
    bottom = near * (near + h)
    for k in range(1, _SHIFT):
        factor = (near + float(k)) * (near + h + float(k))
        top = top * factor + bottom
        bottom = bottom * factor
    r, q = 1.0 / w, 1.0 / (w + h)
    less = h * r * q
    u, v = r * r, q * q
    value, more = _steps(u, v, _series(True))
    rest = less * (0.5 + (r + q) * (value + v * more))
    return xp.lax.log1p(h / w) + rest + xp.where(low, h * (top / bottom), 0.0)


def _usual(*xs: Any) -> Any:
    """Where positive numbers are in the range of float32."""
    found: Any = True
    for x in xs:
        found = (x >= _LEAST) & (x <= _MOST) & found
    return found


def lgamma(xp: Any, x: Any) -> tuple[Any, Any]:
    """``lgamma``, and where it is settled."""
    usual = _usual(x)
    return _lgamma(xp, xp.where(usual, x, 1.0)), usual


def digamma(xp: Any, x: Any) -> tuple[Any, Any]:
    """``digamma``, and where it is settled."""
    usual = _usual(x)
    return _digamma(xp, xp.where(usual, x, 1.0)), usual


def _ends(xp: Any, x: Any, h: Any) -> tuple[Any, Any, Any]:
    """Where both ends of a step are usual, the lower one, and how far the other is from it."""
    usual = _usual(x, x + h) & (xp.abs(h) <= _MOST)
    size = xp.where(usual, xp.abs(h), 1.0)
    return usual, xp.where(usual, xp.minimum(x, x + h), 1.0), size


def lgamma_step(xp: Any, x: Any, h: Any) -> tuple[Any, Any]:
    """``lgamma_step``, and where it is settled."""
    usual, low, size = _ends(xp, x, h)
    value, part = _lgamma_step(xp, low, size)
    return xp.where(h < 0, -value, value), usual & ~(xp.abs(value) < _LOST * part)


def lgamma_difference(xp: Any, x: Any, h: Any) -> tuple[Any, Any]:
    """``lgamma_difference``, and where it is settled."""
    value, settled = lgamma_step(xp, x, h)
    return value, settled & (h >= 0)


def polygamma_step(xp: Any, x: Any, h: Any, *, n: int = 0) -> tuple[Any, Any]:
    """``polygamma_step`` of digamma, and where it is settled."""
    usual, low, size = _ends(xp, x, h)
    value = _digamma_step(xp, low, size)
    return xp.where(h < 0, -value, value), usual


def polygamma_difference(xp: Any, x: Any, h: Any, *, n: int = 0) -> tuple[Any, Any]:
    """``polygamma_difference`` of digamma, and where it is settled."""
    value, settled = polygamma_step(xp, x, h)
    return value, settled & (h >= 0)


def betaln(xp: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """``betaln``, and where it is settled."""
    usual = _usual(a, b)
    p, q = (xp.where(usual, f(a, b), 1.0) for f in (xp.minimum, xp.maximum))
    first = _lgamma(xp, p)
    step, part = _lgamma_step(xp, q, p)
    value = first - step
    settled = usual & ~(xp.abs(value) < _LOST * (xp.abs(first) + part))
    for one, other in ((p, q), (q, p)):
        value = xp.where(one == 1.0, 0.0 - xp.log(other), value)
        settled = settled | (usual & (one == 1.0))
    return value, settled


GAMMAS: dict[str, Kernel] = {
    f.__name__: settled(f.__name__, f, lambda params: not params.get("n", 0))
    for f in (
        lgamma,
        digamma,
        lgamma_step,
        lgamma_difference,
        polygamma_step,
        polygamma_difference,
        betaln,
    )
}
"""By op, for results in float64 of what is made of float32 numbers."""
