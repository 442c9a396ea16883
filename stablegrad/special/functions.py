"""Special functions: a table of names, and those with arguments of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.errors import DomainError, DTypeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import function, operands
from stablegrad.tensor import Tensor, as_tensor

_SCIPY = {
    "expit": "sigmoid", "log_expit": "log_sigmoid", "gammaln": "lgamma", "psi": "digamma",
    "loggamma": "lgamma", "log_expit_difference": "log_sigmoid_difference",
}  # fmt: skip

_SAME = (
    "beta betainc betaln cbrt cosdg coshm1 cosine_integral cosm1 dawsn deviance digamma ellipe "
    "ellipk entr erf erf_gap erfc erfcinv erfcx erfi erfinv exp1 exp10 exp2 expi expm1 "
    "expm1mx exprel fresnel_cosine fresnel_sine gamma gammainc gammaincc huber i0 i0e i1 i1e "
    "kl_div lgamma lgamma_difference "
    "log1mexp log1p log1pmx log1prel log_cosh log_erfc log_expm1 log_exprel log_i0 log_ndtr "
    "log_ndtr_difference log_sigmoid log_sigmoid_difference logaddexp logdiffexp logit logrel "
    "ndtr ndtr_gap ndtri ndtri_exp pow1p pow1pm1 powm1 pseudo_huber rel_entr rsqrt sech "
    "sigmoid sinc sindg sine_integral sinhc softplus spence sqrt1pm1 x_minus_sin xlog1py xlogy"
).split()

ELEMENTWISE: dict[str, str] = {
    name: op_name
    for name, op_name in {**{name: name for name in _SAME}, **_SCIPY}.items()
    if op_name in OPS and OPS[op_name].elementwise and not OPS[op_name].params
}
"""The op for each name that needs no more than arrays."""


def elementwise() -> dict[str, Callable[..., Tensor]]:
    """All functions of the table."""
    return {n: function(n, op, "stablegrad.special") for n, op in ELEMENTWISE.items()}


def polygamma(n: Any, x: Any) -> Tensor:
    """The n-th derivative of digamma.

    Args:
        n: a whole number, 0 or more; 0 is digamma itself.
        x: an array.
    """
    order = as_tensor(n).item()
    if int(order) != order or order < 0:
        raise DomainError(message(f"polygamma of order {order}", "a whole number, 0 or more"))
    if order == 0:
        return OPS["digamma"](as_tensor(x))
    return OPS["polygamma"](as_tensor(x), n=int(order))


def sici(x: Any) -> tuple[Tensor, Tensor]:
    """The sine and the cosine integral: ``sine_integral(x)`` and ``cosine_integral(x)``.

    Args:
        x: an array.

    Returns:
        Two arrays; the second of |x|. The first is within 4 ulp at orders 0, 1, 2; the second up
        to 48, beyond relative to its amplitude 1/x.

    Example:
        >>> si, ci = sg.special.sici([2.0])
        >>> si.numpy(), ci.numpy()
        (array([1.605413], dtype=float32), array([0.42298082], dtype=float32))
    """
    t = as_tensor(x)
    return OPS["sine_integral"](t), OPS["cosine_integral"](t)


def fresnel(x: Any) -> tuple[Tensor, Tensor]:
    """Fresnel's integrals: ``fresnel_sine(x)`` and ``fresnel_cosine(x)``.

    Args:
        x: an array.

    Returns:
        The integrals from 0 to x of sin(pi t**2 / 2) and of cos(pi t**2 / 2).

    Example:
        >>> s, c = sg.special.fresnel([1.0])
        >>> s.numpy()
        array([0.43825915], dtype=float32)
    """
    t = as_tensor(x)
    return OPS["fresnel_sine"](t), OPS["fresnel_cosine"](t)


def versine(x: Any) -> Tensor:
    """1 - cos(x), without cancellation near whole turns."""
    return -OPS["cosm1"](as_tensor(x))


def haversine(x: Any) -> Tensor:
    """(1 - cos(x)) / 2, without cancellation near whole turns."""
    return OPS["cosm1"](as_tensor(x)) * -0.5


def zeta(x: Any, q: Any = None) -> Tensor:
    """Hurwitz's zeta function, the sum of (q + k)**-x over k >= 0; Riemann's where q is None.

    Args:
        x: an array, of numbers above 1.
        q: an array of positive numbers.

    Returns:
        An array, differentiable in both arguments; nan for x <= 1.
    """
    s, start = operands(x, 1.0 if q is None else q)
    return OPS["hurwitz_zeta"](s, start, n=0)


def logsumexp(
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Tensor:
    """The logarithm of the sum of exponentials over axes, all by default.

    Args:
        a: an array.
        axis: an axis or several.
        b: positive factors of the exponentials.
        keepdims: whether reduced axes stay with length 1.
        return_sign: must be False.
    """
    if return_sign:
        raise DTypeError(message("logsumexp(return_sign=True)", "sums of positive terms"))
    x = as_tensor(a)
    if b is not None:
        x, factors = operands(a, b)
        x = x + OPS["log"](factors)
    axis = tuple(axis) if isinstance(axis, list) else axis
    return OPS["logsumexp"](x, axis=axis, keepdims=keepdims)


def softmax(x: Any, axis: Any = None) -> Tensor:
    """Exponentials divided by their sum over axes, all by default, as SciPy has it."""
    return OPS["softmax"](as_tensor(x), axis=tuple(axis) if isinstance(axis, list) else axis)


def log_softmax(x: Any, axis: Any = None) -> Tensor:
    """The logarithm of softmax over axes, all by default, as SciPy has it."""
    return OPS["log_softmax"](as_tensor(x), axis=tuple(axis) if isinstance(axis, list) else axis)
