"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stablegrad.errors import DomainError, message
from stablegrad.optim.optimizer import Array, Group, Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as torch.optim.SGD.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        momentum: how much of the last step to keep.
        dampening: how much of the gradient to leave out of the momentum.
        weight_decay: the factor of an L2 penalty.
        nesterov: whether to look ahead by the momentum.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or nesterov without momentum.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.SGD([w], lr=0.25)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> w.item()
        0.5
    """

    _nonnegative = ("lr", "weight_decay", "momentum")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults: Group = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise DomainError(
                message(
                    f"nesterov with momentum={group['momentum']}, dampening={group['dampening']}",
                    "a positive momentum and no dampening",
                )
            )

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        momentum = group["momentum"]
        if momentum:
            kept = state.get("momentum_buffer")
            if kept is None:
                kept = gradient.copy()
            else:
                kept = momentum * kept + (1 - group["dampening"]) * gradient
            state["momentum_buffer"] = kept
            gradient = gradient + momentum * kept if group["nesterov"] else kept
        return group["lr"] * gradient
