"""Adam: steps by the mean of gradients, over the root of the mean of their squares."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, message
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

    def _check(self, group: Group) -> None:
        super()._check(group)
        if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
            raise DomainError(message(f"betas={group['betas']}", "two numbers, 0 <= beta < 1"))

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        if not state:
            state |= {"step": 0, "mean": np.zeros_like(gradient)}
            state |= {"square": np.zeros_like(gradient), "greatest": np.zeros_like(gradient)}
        beta1, beta2 = group["betas"]
        state["step"] += 1
        # in place: a new array of the size of the parameters costs more than a pass over them
        mean, square = state["mean"], state["square"]
        work = np.subtract(gradient, mean, out=np.empty_like(gradient))
        work *= 1 - beta1
        mean += work
        square *= beta2
        np.multiply(gradient, 1 - beta2, out=work)
        work *= gradient
        square += work
        if group["amsgrad"]:
            square = state["greatest"] = np.maximum(state["greatest"], square)
        size = group["lr"] / (1 - beta1 ** state["step"])
        np.sqrt(square, out=work)
        work /= math.sqrt(1 - beta2 ** state["step"])
        work += group["eps"]
        np.divide(mean, work, out=work)
        work *= size
        return work
