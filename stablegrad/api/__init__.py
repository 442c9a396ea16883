"""Transforms of functions: derivatives of every kind, compilation, explanation."""

from __future__ import annotations

from stablegrad.api.compiled import compile
from stablegrad.api.derivatives import grad, jvp, value_and_grad, vjp
from stablegrad.api.explain import Explanation, explain
from stablegrad.api.matrices import hessian, jacobian

__all__ = [
    "Explanation",
    "compile",
    "explain",
    "grad",
    "hessian",
    "jacobian",
    "jvp",
    "value_and_grad",
    "vjp",
]
