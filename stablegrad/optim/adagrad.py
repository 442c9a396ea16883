"""Adagrad: steps by gradients over the root of the sum of their squares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad.optim.optimizer import Array, Group, Optimizer


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer 2011), as torch.optim.Adagrad.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        lr_decay: how fast it falls: lr/(1 + steps*lr_decay).
        weight_decay: the factor of an L2 penalty.
        initial_accumulator_value: where the sums of squares start.
        eps: added to their roots.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.Adagrad([w], lr=0.25)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> w.item()
        0.75
    """

    _nonnegative = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults: Group = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        if not state:
            state |= {
                "step": 0,
                "sum": np.full_like(gradient, group["initial_accumulator_value"]),
            }
        size = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        state["sum"] = state["sum"] + gradient * gradient
        return size * gradient / (np.sqrt(state["sum"]) + group["eps"])
