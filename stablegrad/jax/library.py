"""Functions of JAX's own library that are ops of ours, by their names."""

from __future__ import annotations

from collections.abc import Callable

from stablegrad.ir import OPS, Term
from stablegrad.ops.record import const

LIBRARY: dict[str, str] = {
    "logaddexp": "logaddexp",
    "logaddexp2": "logaddexp2",
    "xlogy": "xlogy",
    "xlog1py": "xlog1py",
    "log_ndtr": "log_ndtr",
    "_erfcx": "erfcx",
    "logit": "logit",
    "expi": "expi",
}
"""Functions of JAX's own library with derivatives of their own that are ops of ours."""

CALLED: dict[str, str] = {"hypot": "hypot", "sinc": "sinc", "i0": "i0", "gammasgn": "gammasgn"}
"""Functions of JAX's own library, each a jit of one body, that are ops of ours."""


def _gammasgn(x: Term) -> Term:
    """The sign of gamma(x): nan at its poles, by the side at 0."""
    below = OPS["floor"](x)
    negative = OPS["less"](x, const(0, x.dtype))
    pole = OPS["logical_and"](negative, OPS["equal"](x, below))
    odd = OPS["not_equal"](below, 2 * OPS["floor"](below / 2))
    beside = OPS["logical_and"](OPS["equal"](x, 0.0), OPS["less"](1 / x, 0.0))
    minus = OPS["logical_or"](OPS["logical_and"](negative, odd), beside)
    sign = OPS["where"](minus, const(-1, x.dtype), const(1, x.dtype))
    nan = OPS["logical_or"](pole, OPS["not_equal"](x, x))
    return OPS["where"](nan, const(float("nan"), x.dtype), sign)


COMPOSED: dict[str, Callable[..., Term]] = {"gammasgn": _gammasgn}
"""Such functions that are several of ours, whose own equations take bits apart."""

INLINED = frozenset({"relu", "relu6", "log1mexp", "_xlogx"})
"""Functions of JAX's own library whose bodies say all there is to say."""
