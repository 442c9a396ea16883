"""Adam: steps by the mean of gradients, over the root of the mean of their squares."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad.optim.optimizer import Array, Group, Optimizer


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), as torch.optim.Adam.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        betas: how much of the running means of gradients and of their squares to keep.
        eps: added to the root of the mean of squares.
        weight_decay: the factor of an L2 penalty.
        amsgrad: whether the mean of squares may only grow (Reddi et al. 2018).
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or betas outside of 0 <= beta < 1.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.Adam([w], lr=0.25)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> w.item()
        0.75
    """

    _nonnegative = ("lr", "weight_decay", "eps")
    _fractions = ("betas",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults: Group = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        work = moved_means(gradient, state, group["betas"])
        square = state["square"]
        if group["amsgrad"]:
            greatest = state.get("greatest", square)
            square = state["greatest"] = np.maximum(greatest, square)
        beta1, beta2 = group["betas"]
        size = group["lr"] / (1 - beta1 ** state["step"])
        np.sqrt(square, out=work)
        work /= math.sqrt(1 - beta2 ** state["step"])
        work += group["eps"]
        np.divide(state["mean"], work, out=work)
        work *= size
        return work


def moved_means(gradient: Array, state: dict[str, Any], betas: tuple[float, float]) -> Array:
    """Count a step, and move the running means of gradients and of their squares, in place.

    Returns:
        An array of the gradient's shape to work in: a new one costs more than a pass over it.
    """
    if not state:
        state |= {"step": 0, "mean": np.zeros_like(gradient), "square": np.zeros_like(gradient)}
    mean, square = state["mean"], state["square"]
    state["step"] += 1
    work = np.subtract(gradient, mean, out=np.empty_like(gradient))
    work *= 1 - betas[0]
    mean += work
    square *= betas[1]
    np.multiply(gradient, 1 - betas[1], out=work)
    work *= gradient
    square += work
    return work
