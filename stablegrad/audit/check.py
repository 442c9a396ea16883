"""Checks of gradients that people wrote: of functions of tensors, and of JAX's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from stablegrad.audit.trace import from_jax, wants_jax
from stablegrad.function.check import GradientReport, check_gradients


def run_check(f: Callable[..., Any], *args: Any, max_ulp: float = 64) -> GradientReport:
    """``check_gradients`` for any function: of tensors, or of JAX arrays.

    Args:
        f: a ``Function``, a function with a gradient of its own, or a ``jax.custom_vjp`` or
            ``jax.custom_jvp``.
        args: its arguments.
        max_ulp: the greatest error that counts as right.
    """
    if not (is_jax_rule(f) or wants_jax(args)):
        try:
            return check_gradients(f, *args, max_ulp=max_ulp)
        except Exception as error:
            if not from_jax(error):
                raise
    from stablegrad.audit.check_jax import check_jax

    return check_jax(f, *args, max_ulp=max_ulp)


def is_jax_rule(f: Any) -> bool:
    """Whether a function is a ``custom_vjp`` or ``custom_jvp``, or wraps one."""
    while f is not None:
        if "jax" in sys.modules and isinstance(
            f, (sys.modules["jax"].custom_vjp, sys.modules["jax"].custom_jvp)
        ):
            return True
        f = getattr(f, "__wrapped__", None)
    return False
