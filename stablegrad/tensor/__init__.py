"""Tensors: lazy arrays that look like PyTorch's and NumPy's, and their gradients."""

from __future__ import annotations

from stablegrad.tensor.cells import (
    MutationError,
    get_default_dtype,
    set_default_dtype,
)
from stablegrad.tensor.core import Tensor, as_tensor, leaf_of, stop_gradient, tensor
from stablegrad.tensor.gradients import gradients, pushforward
from stablegrad.tensor.methods import install as _install_methods
from stablegrad.tensor.mode import enable_grad, no_grad
from stablegrad.tensor.protocols import install as _install_protocols

_install_methods(Tensor)
_install_protocols(Tensor)

__all__ = [
    "MutationError",
    "Tensor",
    "as_tensor",
    "enable_grad",
    "get_default_dtype",
    "gradients",
    "leaf_of",
    "no_grad",
    "pushforward",
    "set_default_dtype",
    "stop_gradient",
    "tensor",
]
