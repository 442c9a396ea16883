"""RMSprop: steps by gradients over the root of the running mean of their squares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad.optim.optimizer import Array, Group, Optimizer


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012), as torch.optim.RMSprop.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        alpha: how much of the running mean of squares to keep.
        eps: added to its root.
        weight_decay: the factor of an L2 penalty.
        momentum: how much of the last step to keep.
        centered: whether to take the squared mean off, for the variance of gradients.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or an alpha outside of 0 <= alpha < 1.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.RMSprop([w], lr=0.25, alpha=0.75)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> w.item()
        0.5
    """

    _nonnegative = ("lr", "weight_decay", "eps", "momentum")
    _fractions = ("alpha",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults: Group = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        if not state:
            state |= {name: np.zeros_like(gradient) for name in ("square", "mean", "step")}
        alpha = group["alpha"]
        off = gradient
        if group["centered"]:
            # the variance about the running mean, as a sum of squares: a difference may go below 0
            off = gradient - state["mean"]
            state["mean"] = state["mean"] + (1 - alpha) * off
            state["square"] = alpha * (state["square"] + (1 - alpha) * off * off)
        else:
            state["square"] = alpha * state["square"] + (1 - alpha) * gradient * gradient
        change = gradient / (np.sqrt(state["square"]) + group["eps"])
        if group["momentum"]:
            change = state["step"] = group["momentum"] * state["step"] + change
        return group["lr"] * change
