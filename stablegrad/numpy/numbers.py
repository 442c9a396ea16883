"""Numbers taken apart and put together: quotients with remainders, powers of two, parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, message
from stablegrad.ir import OPS
from stablegrad.ops.record import is_float
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.apply import apply


def divmod(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """``floor_divide`` and ``mod`` at once."""
    return apply(OPS["floor_divide"], (x1, x2)), apply(OPS["mod"], (x1, x2))


def modf(x: Any) -> tuple[Tensor, Tensor]:
    """The fractional and the whole part, both with the sign of x."""
    t = as_tensor(x)
    whole = OPS["trunc"](t)
    part = OPS["where"](OPS["isinf"](t), OPS["copysign"](0.0, t), OPS["fmod"](t, 1.0))
    return part, whole


def ldexp(x1: Any, x2: Any) -> Tensor:
    """x1 times a power of two: x1 * 2**x2, without an intermediate that leaves the range.

    Args:
        x1: an array.
        x2: an array of integers.
    """
    x, n = as_tensor(x1), as_tensor(x2)
    if n.dtype.kind not in "iub":
        raise DTypeError(message(f"ldexp by dtype {n.dtype}", "integers"))
    x = x if is_float(x.dtype) else x.astype(np.float64)
    # one power may overflow where the product does not
    first = n.astype(np.int64) // 2
    second = (n.astype(np.int64) - first).astype(x.dtype)
    return x * OPS["exp2"](first.astype(x.dtype)) * OPS["exp2"](second)


def float_power(x1: Any, x2: Any) -> Tensor:
    """A power, computed in float64 whatever the dtypes."""
    wide = [x.astype(float) if isinstance(x, Tensor) else np.asarray(x, float) for x in (x1, x2)]
    return apply(OPS["power"], tuple(wide))


def i0(x: Any) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""
    return OPS["i0"](as_tensor(x))


def real(val: Any) -> Tensor:
    """The real part: tensors are real."""
    return as_tensor(val)


def conj(x: Any) -> Tensor:
    """The complex conjugate: tensors are real."""
    return as_tensor(x)


conjugate = conj


def imag(val: Any) -> Tensor:
    """The imaginary part: zeros, for tensors are real."""
    x = as_tensor(val)
    return as_tensor(np.zeros(x.shape, x.dtype))


def angle(z: Any, deg: bool = False) -> Tensor:
    """The angle of real numbers in the complex plane: 0, or pi where negative; derivative 0."""
    x = as_tensor(z)
    x = x if is_float(x.dtype) else x.astype(np.float64)
    half = 180.0 if deg else math.pi
    flat = OPS["where"](OPS["signbit"](x), half, 0.0)
    return OPS["where"](OPS["isnan"](x), math.nan, flat.astype(x.dtype))


def isreal(x: Any) -> Tensor:
    """True everywhere: tensors are real."""
    return as_tensor(np.ones(as_tensor(x).shape, bool))


def shape(a: Any) -> tuple[int, ...]:
    """The shape."""
    return as_tensor(a).shape


def ndim(a: Any) -> int:
    """The number of axes."""
    return as_tensor(a).ndim


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype that arrays, numbers and dtypes have in common, as NumPy promotes them."""
    plain = [np.empty(a.shape, a.dtype) if isinstance(a, Tensor) else a for a in arrays_and_dtypes]
    return np.result_type(*plain)
