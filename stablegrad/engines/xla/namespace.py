"""What kernels see as ``xp`` under XLA: jax.numpy's names, exact where kernels rely on it.

XLA's own exp2, sinh, cosh, log1p, atanh and erfinv lose digits (float64 on CPU: 706, 496, 496,
128, 129 and 3090 ulp), its frexp and ldexp leave the range of floats; these stand in for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

_LN2 = 0.6931471805599453
_LAYOUT = {8: (np.int64, 52, 1023), 4: (np.int32, 23, 127)}
"""By size of the float: the integer, the bits of the fraction, the bias."""


class Namespace:
    """jax.numpy's names over one JAX."""

    name = "xla"

    def __init__(self, jax: Any) -> None:
        self.lax = jax.lax
        self.special = Special(self, jax)
        self._numpy = jax.numpy
        self.maximum = _Extreme(jax.numpy.maximum, jax.lax.max)
        self.minimum = _Extreme(jax.numpy.minimum, jax.lax.min)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._numpy, name)
        setattr(self, name, value)
        return value

    def call(self, kernel: Callable[..., Any], *args: Any, **params: Any) -> Any:
        """The result of a kernel."""
        return kernel(self, *args, **params)

    # -- without promotion, which is most of the time that tracing takes ------------------------

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """``jax.numpy.where``."""
        shape = np.shape(condition)
        pair = _alike(x, y)
        if pair is None or not shape or any(np.shape(v) not in ((), shape) for v in pair):
            return self._numpy.where(condition, x, y)
        full = [v if np.shape(v) else self.lax.broadcast(v, shape) for v in pair]
        return self.lax.select(condition, *full)

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        """``jax.numpy.clip``."""
        return self.minimum(high, self.maximum(low, x))

    # -- mantissa and exponent --------------------------------------------------------------

    def frexp(self, x: Any) -> tuple[Any, Any]:
        """Mantissa in [1/2, 1) and exponent; 0, inf and nan stay, subnormals count as 0."""
        x = self.asarray(x)
        kind, digits, bias = _LAYOUT[x.dtype.itemsize]
        bits = self.lax.bitcast_convert_type(x, kind)
        top = 2 * bias + 1
        field = (bits >> kind(digits)) & kind(top)
        scaled = (bits & kind(~(top << digits))) | kind((bias - 1) << digits)
        mantissa = self.lax.bitcast_convert_type(scaled, x.dtype)
        none = field == 0
        mantissa = self.where(none, x * x.dtype.type(0), self.where(field == top, x, mantissa))
        return mantissa, self.where(none, kind(0), field - kind(bias - 1))

    def two_to(self, k: Any, dtype: Any) -> Any:
        """2**k for whole k in the range of normal floats."""
        kind, digits, bias = _LAYOUT[np.dtype(dtype).itemsize]
        return self.lax.bitcast_convert_type((k.astype(kind) + kind(bias)) << kind(digits), dtype)

    def ldexp(self, x: Any, k: Any) -> Any:
        """x * 2**k, in two exact steps."""
        x = self.asarray(x)
        kind, _, bias = _LAYOUT[x.dtype.itemsize]
        k = self.clip(self.asarray(k), 2 - 2 * bias, 2 * bias - 2).astype(kind)
        half = k >> kind(1)
        return x * self.two_to(half, x.dtype) * self.two_to(k - half, x.dtype)

    # -- elementary functions ---------------------------------------------------------------

    def exp2(self, x: Any) -> Any:
        """2**k * exp(r*log(2)) with k the nearest whole number."""
        x = self.asarray(x)
        k = self.clip(self.rint(x), -2000.0, 2000.0)
        k = self.where(k == k, k, self.zeros_like(k))
        return self.ldexp(self.exp((x - k) * x.dtype.type(_LN2)), k)

    def log1p(self, x: Any) -> Any:
        """log(1 + x) with the rounding error of 1 + x put back; XLA's own in float32."""
        x = self.asarray(x)
        if x.dtype.itemsize < 8:
            return self._numpy.log1p(x)
        one = x.dtype.type(1)
        u = self.lax.optimization_barrier(one + x)  # else XLA takes u - 1 for x
        usable = (u > 0) & (u < self.inf)
        error = self.where(usable, (x - (u - one)) / self.where(usable, u, one), 0 * one)
        value = self.log(u) + error
        return self.where(self.abs(x) < self.finfo(x.dtype).eps / 4, x, value)

    def sinh(self, x: Any) -> Any:
        """(E + E/(E + 1))/2 with E = expm1(|x|); in two halves where exp overflows."""
        x = self.asarray(x)
        a = self.abs(x)
        edge = _edge(x)
        grown = self.expm1(self.minimum(a, edge))
        half = self.exp(self.maximum(a, edge) * x.dtype.type(0.5))
        size = self.where(a > edge, 0.5 * half * half, 0.5 * (grown + grown / (grown + 1)))
        size = self.where(a < self.finfo(x.dtype).eps, a, size)
        return self.where(a == a, self.copysign(size, x), x)

    def cosh(self, x: Any) -> Any:
        """(e + 1/e)/2 with e = exp(|x|); in two halves where exp overflows."""
        a = self.abs(self.asarray(x))
        edge = _edge(a)
        grown = self.exp(self.minimum(a, edge))
        half = self.exp(self.maximum(a, edge) * a.dtype.type(0.5))
        return self.where(a > edge, 0.5 * half * half, 0.5 * grown + 0.5 / grown)

    def tanh(self, x: Any) -> Any:
        """-E/(E + 2) with E = expm1(-2|x|); XLA's own in float32."""
        x = self.asarray(x)
        if x.dtype.itemsize < 8:
            return self._numpy.tanh(x)
        a = self.abs(x)
        fallen = self.expm1(-2 * a)
        return self.copysign(self.where(a < 1e-9, a, -fallen / (fallen + 2)), x)

    def arcsin(self, x: Any) -> Any:
        """XLA's own, and x where it is small: there XLA's underflows in float32."""
        x = self.asarray(x)
        value = self._numpy.arcsin(x)
        return value if x.dtype.itemsize == 8 else self.where(self.abs(x) < 1e-4, x, value)

    def arctanh(self, x: Any) -> Any:
        """log1p(2|x|/(1 - |x|))/2."""
        x = self.asarray(x)
        a = self.abs(x)
        size = 0.5 * self.log1p(2 * a / (1 - a))
        small = a < self.finfo(x.dtype).eps
        return self.copysign(self.where(small, a, size), x)

    def logaddexp(self, a: Any, b: Any) -> Any:
        """max + log1p(exp(-|a - b|)), the greater alone where it is infinite."""
        a, b = self.asarray(a), self.asarray(b)
        top = self.maximum(a, b)
        gap = self.abs(a - b)
        return self.where(a == b, top + a.dtype.type(_LN2), top + self.log1p(self.exp(-gap)))


class _Extreme:
    """``jax.numpy.maximum`` or ``minimum``, without promotion where the arguments are alike."""

    def __init__(self, general: Any, alike: Any) -> None:
        self.general, self.alike = general, alike

    def __getattr__(self, name: str) -> Any:
        return getattr(self.general, name)

    def __call__(self, x: Any, y: Any) -> Any:
        pair = _alike(x, y)
        return self.general(x, y) if pair is None else self.alike(*pair)


def _alike(x: Any, y: Any) -> tuple[Any, Any] | None:
    """Two values of one float dtype, of one shape or one of them a number; None if they are not."""
    kinds = [getattr(v, "dtype", None) for v in (x, y)]
    found = next((k for k in kinds if k is not None), None)
    if found is None or found.kind != "f":
        return None
    pair = [found.type(v) if type(v) in (int, float) else v for v in (x, y)]
    if any(getattr(v, "dtype", None) != found for v in pair):
        return None
    shapes = {np.shape(v) for v in pair} - {()}
    return (pair[0], pair[1]) if len(shapes) == 1 else None


def _edge(x: Any) -> Any:
    """Where exp is about to overflow."""
    return x.dtype.type(709.0 if x.dtype.itemsize == 8 else 88.0)


def _horner(x: Any, coefficients: tuple[float, ...]) -> Any:
    """A polynomial, the lowest power first."""
    total = coefficients[-1] + 0.0 * x
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


# digamma on [1, 2] with its zero taken out: Boost.Math, digamma_imp_1_2 at 53 bits
_PSI_ZERO = (1569415565.0 / 2**30, 381566830.0 / 2**60, 0.9016312093258695918615325e-19)
_PSI_SHIFT = 0.99558162689208984
_PSI_TOP = (
    0.25479851061131551,
    -0.32555031186804491,
    -0.65031853770896507,
    -0.28919126444774784,
    -0.045251321448739056,
    -0.0020713321167745952,
)
_PSI_BOTTOM = (
    1.0,
    2.0767117023730469,
    1.4606242909763515,
    0.43593529692665969,
    0.054151797245674225,
    0.0021284987017821144,
    -0.55789841321675513e-6,
)
_PSI_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
"""B(2k)/(2k), k = 1, 2, ..."""


class Special:
    """scipy.special's names over JAX."""

    def __init__(self, xp: Namespace, jax: Any) -> None:
        self._xp = xp
        self._special = jax.scipy.special
        self.expit = jax.nn.sigmoid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._special, name)

    def erfinv(self, p: Any) -> Any:
        """XLA's, improved by a step of Newton's method from the nearer end."""
        xp, a = self._xp, self._xp.abs(p)
        y = self._special.erfinv(a)
        inside = (a < 1) & (a > 0)
        y = xp.where(inside, y, 0.5)
        off = xp.where(a < 0.5, self._special.erf(y) - a, (1 - a) - self._special.erfc(y))
        better = y - off * (0.8862269254527580 * xp.exp(y * y))
        small = a < 1e-150
        better = xp.where(small, a * 0.8862269254527580, better)
        ends = xp.where(a == 0, a, xp.where(a == 1, xp.inf, xp.nan))
        return xp.copysign(xp.where(inside, better, ends), p)

    def digamma(self, x: Any) -> Any:
        """For x > -0.01: around the zero on [1, 2], the recurrence beside it, a series far out."""
        xp = self._xp
        x = xp.asarray(x)
        far = x > 10.0
        near = xp.where(far, 1.5, x)
        down: Any = 0.0
        for _ in range(8):
            above = near > 2.0
            near = xp.where(above, near - 1.0, near)
            down = down + xp.where(above, 1.0 / near, 0.0)
        below = near < 1.0
        down = xp.where(below, -1.0 / near, down)
        t = xp.where(below, near, near - 1.0)
        up = xp.where(below, near + 1.0, near)
        gap = ((up - _PSI_ZERO[0]) - _PSI_ZERO[1]) - _PSI_ZERO[2]
        # with x below 1 the zero is taken from x itself, which x + 1 would round
        gap = xp.where(below, ((near - (_PSI_ZERO[0] - 1.0)) - _PSI_ZERO[1]) - _PSI_ZERO[2], gap)
        value = gap * _PSI_SHIFT + gap * (_horner(t, _PSI_TOP) / _horner(t, _PSI_BOTTOM))
        w = xp.where(far, x, 11.0)
        r = 1.0 / w
        series = xp.log(w) - 0.5 * r - r * r * _horner(r * r, _PSI_SERIES)
        return xp.where(far, series, xp.where(x == x, value + down, x))

    def erfcinv(self, t: Any) -> Any:
        """-ndtri(t/2)/sqrt(2), improved by a step of Newton's method."""
        y = -self._special.ndtri(0.5 * t) * 0.7071067811865476
        xp = self._xp
        usable = (t > 0) & (t < 2) & (xp.abs(y) < 26.0)
        y_safe = xp.where(usable, y, 0.5)
        off = self._special.erfc(y_safe) - t
        return xp.where(usable, y + off * (0.8862269254527580 * xp.exp(y_safe * y_safe)), y)

    def ndtri_exp(self, y: Any) -> Any:
        """Solve log_ndtr(x) = y by Newton's method from the nearer end of the real line."""
        xp = self._xp
        y = xp.asarray(y)
        inside = y < 0
        start = xp.where(inside, y, -1.0)
        x = xp.where(
            start > -2.0,
            self._special.ndtri(xp.exp(xp.maximum(start, -2.0))),
            -1.4142135623730951 * xp.sqrt(-start),
        )
        near_one = start > -1e-2
        x = xp.where(near_one, -self._special.ndtri(-xp.expm1(xp.where(near_one, start, -0.1))), x)
        for _ in range(6):
            log = self._special.log_ndtr(x)
            slope = xp.exp(-0.5 * x * x - 0.9189385332046727 - log)
            far = x < -30.0
            slope = xp.where(far, -x - 1 / x, slope)
            step = xp.where(near_one | (start < -1e40), 0.0, (log - start) / slope)
            x = x - step
        ends = xp.where(y == 0, xp.inf, xp.where(y == -xp.inf, -xp.inf, xp.nan))
        return xp.where(inside & (y > -xp.inf), x, ends)


@cache
def namespace(jax: Any) -> Namespace:
    """The namespace over a JAX."""
    return Namespace(jax)
