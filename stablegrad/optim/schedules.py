"""The base of schedules of step sizes."""

from __future__ import annotations

from typing import Any

from stablegrad.errors import DTypeError, message
from stablegrad.optim.optimizer import Optimizer


class LRScheduler:
    """Base of schedules: each ``step`` sets the step size of every group of an optimizer.

    A subclass defines ``rate``, or ``factor`` where all groups have the same.

    Args:
        optimizer: the optimizer.
        last_epoch: how many steps were made before, less one; -1 to begin.

    Attributes:
        base_lrs: the step sizes that the optimizer began with, one for each group.
        last_epoch: how many steps were made.
    """

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(message(f"{type(optimizer).__name__}", "an optimizer"))
        self.optimizer: Optimizer = optimizer
        self.base_lrs = [g.setdefault("initial_lr", g["lr"]) for g in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def factor(self, epoch: int) -> float:
        """What the first step size is multiplied by after ``epoch`` steps."""
        raise NotImplementedError

    def rate(self, base: float, group: int, epoch: int) -> float:
        """The step size of a group after ``epoch`` steps, from the one it began with."""
        return base * self.factor(epoch)

    def rates(self, epoch: int) -> list[float]:
        """The step sizes of all groups after ``epoch`` steps."""
        return [self.rate(base, i, epoch) for i, base in enumerate(self.base_lrs)]

    def step(self) -> None:
        """Count one step, and set the step sizes that belong there."""
        self.last_epoch += 1
        self._last_lr = self.rates(self.last_epoch)
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The step sizes of all groups as the last ``step`` set them."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """What changes with steps, by name."""
        return {"last_epoch": self.last_epoch, "last_lr": list(self._last_lr)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where a ``state_dict`` was taken."""
        self.last_epoch = state_dict["last_epoch"]
        self._last_lr = list(state_dict["last_lr"])
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr
