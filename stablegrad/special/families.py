"""scipy.special's functions that are made of others: combinatorics, transforms, Bessel."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.errors import DomainError, DTypeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import operands
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.apply import apply

# -- combinatorics ------------------------------------------------------------------------


def binom(n: Any, k: Any) -> Tensor:
    """The binomial coefficient of real n and k with 0 <= k <= n, differentiable in both.

    Args:
        n: an array.
        k: an array.

    Returns:
        gamma(n + 1) / (gamma(k + 1) gamma(n - k + 1)); 0 for k < 0 and k > n, with derivative 0.
    """
    whole, part = operands(n, k)
    rest = whole - part
    inside = (part >= 0) & (rest >= 0)
    one = OPS["where"](inside, part, 0.0) + 1.0
    other = OPS["where"](inside, rest, 0.0) + 1.0
    value = 1.0 / ((one + other - 1.0) * OPS["beta"](one, other))
    found = OPS["where"](inside, value, 0.0)
    return OPS["where"](OPS["isnan"](rest), math.nan, found)


def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Tensor:
    """The ways to choose k of N things; with repetition those to draw k, putting each back."""
    if exact:
        raise DTypeError(message("comb(exact=True)", "floats", "math.comb gives Python integers."))
    whole, part = operands(N, k)
    return binom(whole + part - 1.0 if repetition else whole, part)


def factorial(n: Any, exact: bool = False) -> Tensor:
    """gamma(n + 1); 0 for n < 0, as SciPy has it."""
    if exact:
        raise DTypeError(
            message("factorial(exact=True)", "floats", "math.factorial gives Python integers.")
        )
    x = as_tensor(n)
    return OPS["where"](x < 0, 0.0, OPS["gamma"](OPS["where"](x < 0, 0.0, x) + 1.0))


def poch(z: Any, m: Any) -> Tensor:
    """Pochhammer's symbol gamma(z + m) / gamma(z), for z > 0 and m >= 0."""
    return OPS["exp"](apply(OPS["lgamma_difference"], (z, m)))


def multigammaln(a: Any, d: int) -> Tensor:
    """The logarithm of the multivariate gamma function.

    Args:
        a: numbers above (d - 1)/2.
        d: the dimension.
    """
    x = as_tensor(a)
    if int(d) != d or d < 1:
        raise DomainError(message(f"multigammaln with d={d}", "a whole number, 1 or more"))
    terms = [OPS["lgamma"](x - 0.5 * j) if j else OPS["lgamma"](x) for j in range(int(d))]
    total = terms[0] + 0.25 * d * (d - 1) * math.log(math.pi)
    for term in terms[1:]:
        total = total + term
    return total


# -- degrees ------------------------------------------------------------------------------


def tandg(x: Any) -> Tensor:
    """The tangent of an angle in degrees."""
    t = as_tensor(x)
    return OPS["sindg"](t) / OPS["cosdg"](t)


def cotdg(x: Any) -> Tensor:
    """The cotangent of an angle in degrees."""
    t = as_tensor(x)
    return OPS["cosdg"](t) / OPS["sindg"](t)


def radian(d: Any, m: Any, s: Any) -> Tensor:
    """An angle of so many degrees, minutes and seconds, in radians."""
    degrees, minutes, seconds = operands(d, m, s)
    return (degrees + minutes / 60 + seconds / 3600) * (math.pi / 180)


# -- transforms ---------------------------------------------------------------------------


def boxcox(x: Any, lmbda: Any) -> Tensor:
    """(x**lmbda - 1) / lmbda, log(x) at lmbda = 0; differentiable in both, also there."""
    base, power = operands(x, lmbda)
    log = OPS["log"](base)
    return log * OPS["exprel"](power * log)


def boxcox1p(x: Any, lmbda: Any) -> Tensor:
    """``boxcox`` of 1 + x."""
    base, power = operands(x, lmbda)
    log = OPS["log1p"](base)
    return log * OPS["exprel"](power * log)


def inv_boxcox(y: Any, lmbda: Any) -> Tensor:
    """The x with boxcox(x, lmbda) = y."""
    t, power = operands(y, lmbda)
    return OPS["exp"](t * OPS["log1prel"](power * t))


def inv_boxcox1p(y: Any, lmbda: Any) -> Tensor:
    """The x with boxcox1p(x, lmbda) = y."""
    t, power = operands(y, lmbda)
    return OPS["expm1"](t * OPS["log1prel"](power * t))


def lambertw(z: Any, k: int = 0, tol: float = 1e-8) -> Tensor:
    """Lambert's function of real z >= -1/e: the w >= -1 with w exp(w) = z.

    Args:
        z: an array.
        k: must be 0, the principal branch.
        tol: accepted as SciPy has it.

    Returns:
        A real tensor, where SciPy's is complex; nan below -1/e.
    """
    if k != 0:
        raise DomainError(message(f"lambertw with k={k}", "k=0, the principal branch"))
    return OPS["lambert_w"](as_tensor(z))


# -- Bessel functions ---------------------------------------------------------------------


def _order(v: Any, name: str, sign: bool = True) -> tuple[int, int]:
    """A whole order, and the sign that a negative one gives."""
    order = v.item() if isinstance(v, Tensor) else v
    if not isinstance(order, int | float) or int(order) != order:
        raise DomainError(message(f"{name} of order {v}", "a whole number"))
    n = abs(int(order))
    return n, -1 if sign and order < 0 and n % 2 else 1


def jv(v: Any, z: Any) -> Tensor:
    """The Bessel function of the first kind of a whole order."""
    n, sign = _order(v, "jv")
    value = OPS["bessel_j"](as_tensor(z), n=n)
    return -value if sign < 0 else value


def yv(v: Any, z: Any) -> Tensor:
    """The Bessel function of the second kind of a whole order, for z > 0."""
    n, sign = _order(v, "yv")
    value = OPS["bessel_y"](as_tensor(z), n=n)
    return -value if sign < 0 else value


jn, yn = jv, yv


def j0(x: Any) -> Tensor:
    """The Bessel function of the first kind of order 0."""
    return jv(0, x)


def j1(x: Any) -> Tensor:
    """The Bessel function of the first kind of order 1."""
    return jv(1, x)


def y0(x: Any) -> Tensor:
    """The Bessel function of the second kind of order 0."""
    return yv(0, x)


def y1(x: Any) -> Tensor:
    """The Bessel function of the second kind of order 1."""
    return yv(1, x)


def kve(v: Any, z: Any) -> Tensor:
    """exp(z) times the modified Bessel function of the second kind.

    Args:
        v: the order, any real numbers.
        z: positive numbers.

    Returns:
        An array, differentiable in both arguments.
    """
    return OPS["kve_derivative"](*operands(v, z), n=0, m=0)


def kv(v: Any, z: Any) -> Tensor:
    """The modified Bessel function of the second kind, of real order v and z > 0."""
    order, x = operands(v, z)
    return OPS["exp"](-x) * kve(order, x)


kn = kv


def k0(x: Any) -> Tensor:
    """The modified Bessel function of the second kind of order 0."""
    return kv(0.0, x)


def k1(x: Any) -> Tensor:
    """The modified Bessel function of the second kind of order 1."""
    return kv(1.0, x)


def k0e(x: Any) -> Tensor:
    """exp(x) times the modified Bessel function of the second kind of order 0."""
    return kve(0.0, x)


def k1e(x: Any) -> Tensor:
    """exp(x) times the modified Bessel function of the second kind of order 1."""
    return kve(1.0, x)
