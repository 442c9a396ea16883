"""Step sizes that fall when a measure stops getting better."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.errors import DomainError, UnknownNameError, message
from stablegrad.optim.optimizer import Optimizer


class ReduceLROnPlateau:
    """The step size times ``factor`` when a measure has not got better for some time.

    Args:
        optimizer: the optimizer.
        mode: "min" where less is better, "max" where more is.
        factor: the factor, below 1.
        patience: for how many steps it may fail to get better.
        threshold: by how much better counts.
        threshold_mode: "rel" for a share of the best, "abs" for a number.
        cooldown: for how many steps nothing is counted after a reduction.
        min_lr: the least step size.
        eps: a change of the step size that is too small to make.

    Raises:
        DomainError: a factor of 1 or more.
        UnknownNameError: an unknown mode.

    Example:
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> schedule = sg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1:
            raise DomainError(message(f"factor={factor}", "below 1"))
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise UnknownNameError(
                message(f"mode={mode!r}, threshold_mode={threshold_mode!r}",
                        "'min' or 'max', and 'rel' or 'abs'")
            )  # fmt: skip
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        margin = self.threshold
        if self.threshold_mode == "rel":
            margin = 0.0 if math.isinf(self.best) else self.threshold * self.best * sign
        return sign * value < sign * self.best - margin

    def step(self, metrics: Any) -> None:
        """Look at the measure, a number or a tensor, and reduce the step sizes if it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                new = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - new > self.eps:
                    group["lr"] = new
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """The step sizes of all groups."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What changes with steps, by name."""
        names = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        return {"lr": self.get_last_lr(), **{name: getattr(self, name) for name in names}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where a ``state_dict`` was taken."""
        state = dict(state_dict)
        for group, lr in zip(self.optimizer.param_groups, state.pop("lr"), strict=True):
            group["lr"] = lr
        for name, value in state.items():
            setattr(self, name, value)
