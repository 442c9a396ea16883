"""stablegrad: numerically stable gradients.

Automatic differentiation whose values and derivatives, of every order, are right over the
whole floating-point range.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from stablegrad import autograd, numpy, ops, special
from stablegrad.api import (
    compile,
    explain,
    grad,
    hessian,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
)
from stablegrad.errors import (
    DomainError,
    DTypeError,
    NotDifferentiableError,
    ShapeError,
    StablegradError,
    TraceError,
    UnknownNameError,
)
from stablegrad.function import Function, custom_gradient
from stablegrad.guarded import GuardReport, guard
from stablegrad.settings import conventions, naive, rules
from stablegrad.tensor import (
    MutationError,
    Tensor,
    enable_grad,
    get_default_dtype,
    no_grad,
    set_default_dtype,
    stop_gradient,
    tensor,
)

__version__ = "0.1.0"

_LAZY = {
    "audit": "stablegrad.audit",
    "check_gradients": "stablegrad.function.check",
    "nn": "stablegrad.nn",
    "optim": "stablegrad.optim",
    "testing": "stablegrad.testing",
}
"""Names that are imported when they are asked for, because importing them takes time."""

_CALLABLE = {"audit", "tensor"}
"""Functions that have a module of the same name."""

__all__ = [
    "DTypeError",
    "DomainError",
    "Function",
    "GuardReport",
    "MutationError",
    "NotDifferentiableError",
    "ShapeError",
    "StablegradError",
    "Tensor",
    "TraceError",
    "UnknownNameError",
    "autograd",
    "compile",
    "conventions",
    "custom_gradient",
    "enable_grad",
    "explain",
    "get_default_dtype",
    "grad",
    "guard",
    "hessian",
    "jacobian",
    "jvp",
    "naive",
    "no_grad",
    "numpy",
    "ops",
    "rules",
    "set_default_dtype",
    "special",
    "stop_gradient",
    "tensor",
    "value_and_grad",
    "vjp",
]
__all__ += list(_LAZY)  # pyright: ignore[reportUnsupportedDunderAll]


class _Package(ModuleType):
    """Keeps a function under its name when the module of the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLABLE and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a part of the package when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'stablegrad' has no attribute {name!r}")
    module = import_module(_LAZY[name])
    return getattr(module, name) if hasattr(module, name) else module


def __dir__() -> list[str]:
    return sorted(__all__)
