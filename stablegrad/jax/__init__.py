"""stablegrad inside JAX programs: values and gradients right, wherever JAX runs.

``stabilize(f)`` is a function of the same arguments and results whose value and derivatives, of
every order and in both modes, are computed stably; it composes with every transform of JAX.
``grad``, ``value_and_grad``, ``jacobian`` and ``hessian`` are JAX's, of the stabilized function.
"""

from __future__ import annotations

from stablegrad.jax.faces import explain, grad, hessian, jacobian, stabilize, value_and_grad
from stablegrad.jax.report import Report

__all__ = ["Report", "explain", "grad", "hessian", "jacobian", "stabilize", "value_and_grad"]
