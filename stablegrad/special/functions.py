"""Special functions: a table of names, and those with arguments of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.errors import DomainError, DTypeError, message
from stablegrad.ir import OPS
from stablegrad.numpy.elementwise import function
from stablegrad.tensor import Tensor, as_tensor

_SCIPY = {
    "expit": "sigmoid", "log_expit": "log_sigmoid", "gammaln": "lgamma", "psi": "digamma",
    "loggamma": "lgamma", "exprel": "exprel",
}  # fmt: skip

_SAME = (
    "bdtr besselk betainc betaln cbrt cosm1 digamma ellipe entr erf erfc erfcinv erfcx erfi erfinv "
    "exp10 exp2 expm1 gamma gammainc gammaincc huber hyp1f1 i0 i0e i1 i1e j0 j1 kl_div kn lgamma "
    "log1mexp log1p log1pmx log_expm1 log_i0 log_ndtr log_sigmoid logdiffexp logaddexp logit ndtr "
    "ndtri rel_entr rsqrt sigmoid sinc sinhc softplus xlog1py xlogy y0 y1 zeta"
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


def kve(v: Any, z: Any) -> Tensor:
    """exp(z) times the modified Bessel function of the second kind.

    Args:
        v: the order, any real numbers.
        z: positive numbers.

    Returns:
        An array, differentiable in both arguments.
    """
    return OPS["kve_derivative"](as_tensor(v), as_tensor(z), n=0, m=0)


def kv(v: Any, z: Any) -> Tensor:
    """The modified Bessel function of the second kind, of real order v and z > 0."""
    x = as_tensor(z)
    return OPS["exp"](-x) * kve(v, x)


def zeta(x: Any, q: Any = None) -> Tensor:
    """Hurwitz's zeta function, the sum of (q + k)**-x over k >= 0; Riemann's where q is None.

    Args:
        x: an array, of numbers above 1.
        q: an array of positive numbers.

    Returns:
        An array, differentiable in both arguments; nan for x <= 1.
    """
    s = as_tensor(x)
    return OPS["hurwitz_zeta"](s, 1.0 if q is None else as_tensor(q), n=0)


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
        x = x + OPS["log"](as_tensor(b))
    axis = tuple(axis) if isinstance(axis, list) else axis
    return OPS["logsumexp"](x, axis=axis, keepdims=keepdims)


def softmax(x: Any, axis: Any = None) -> Tensor:
    """Exponentials divided by their sum over axes, all by default, as SciPy has it."""
    return OPS["softmax"](as_tensor(x), axis=tuple(axis) if isinstance(axis, list) else axis)


def log_softmax(x: Any, axis: Any = None) -> Tensor:
    """The logarithm of softmax over axes, all by default, as SciPy has it."""
    return OPS["log_softmax"](as_tensor(x), axis=tuple(axis) if isinstance(axis, list) else axis)
