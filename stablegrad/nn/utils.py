"""What training loops do with gradients, with torch.nn.utils's names and meanings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import DomainError, message
from stablegrad.tensor import Tensor, as_tensor


def _with_gradients(parameters: Any) -> list[Tensor]:
    many = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in many if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients together so that their norm is ``max_norm`` at most.

    Args:
        parameters: parameters; those without a gradient are left out.
        max_norm: the greatest norm.
        norm_type: 2 or inf.
        error_if_nonfinite: whether a norm of inf or nan raises; else nothing is changed then.

    Returns:
        The norm before, right for gradients of any size.

    Raises:
        DomainError: another norm, or one that is not finite.

    Example:
        >>> w = sg.nn.Parameter([3e30, 4e30])
        >>> (w * w).sum().backward()
        >>> sg.nn.utils.clip_grad_norm_([w], 1.0).numpy()
        array(1.e+31, dtype=float32)
        >>> w.grad.numpy().round(6)
        array([0.6, 0.8], dtype=float32)
    """
    if norm_type not in (2, math.inf):
        raise DomainError(message(f"norm_type={norm_type}", "2 or inf"))
    found = _with_gradients(parameters)
    values = [np.asarray(p.grad) for p in found]
    flat = np.concatenate([np.zeros(1), *[v.astype(np.float64).ravel() for v in values]])
    size = ops.norm(as_tensor(flat)).item() if norm_type == 2 else abs(flat).max()
    if not math.isfinite(size):
        if error_if_nonfinite:
            raise DomainError(message(f"gradients of norm {size}", "finite ones"))
    elif size > max_norm:
        for p, v in zip(found, values, strict=True):
            # by the quotient first: the norm may be beyond the dtype of the gradients
            p.grad = as_tensor((v * (max_norm / size)).astype(v.dtype))
    return as_tensor(np.asarray(size, found[0].dtype if found else np.float64))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of all gradients to the range from -clip_value to clip_value."""
    for p in _with_gradients(parameters):
        p.grad = as_tensor(np.clip(np.asarray(p.grad), -clip_value, clip_value))
