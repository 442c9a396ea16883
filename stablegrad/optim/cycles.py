"""Schedules of step sizes that rise and fall, and combined ones: see ``lr_scheduler``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stablegrad.errors import DomainError, message
from stablegrad.optim.optimizer import Optimizer
from stablegrad.optim.schedules import LRScheduler


class CyclicLR(LRScheduler):
    """Up from one step size to another and down again (Smith 2017).

    Args:
        optimizer: the optimizer.
        base_lr: the least step size.
        max_lr: the greatest.
        step_size_up: how many steps up.
        step_size_down: how many down, as many as up by default.
        mode: "triangular"; "triangular2" halves the rise with each cycle, "exp_range" multiplies
            it by gamma with each step.
        gamma: the factor for "exp_range".
        last_epoch: see ``LRScheduler``.

    Raises:
        DomainError: another mode, or no steps up or down.

    Example:
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> schedule = sg.optim.lr_scheduler.CyclicLR(optimizer, 0.0, 1.0, step_size_up=2)
        >>> [schedule.rates(n)[0] for n in range(6)]
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise DomainError(
                message(f"mode={mode!r}", "'triangular', 'triangular2' or 'exp_range'")
            )
        self.base_lr, self.max_lr, self.mode, self.gamma = base_lr, max_lr, mode, gamma
        self.up = step_size_up
        self.down = step_size_up if step_size_down is None else step_size_down
        if min(self.up, self.down) < 1:
            raise DomainError(message(f"{self.up} steps up, {self.down} down", "1 or more"))
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, group: int, epoch: int) -> float:
        cycle, place = divmod(epoch, self.up + self.down)
        share = place / self.up if place <= self.up else 1 - (place - self.up) / self.down
        scale = {"triangular": 1.0, "triangular2": 0.5**cycle}.get(self.mode, self.gamma**epoch)
        return self.base_lr + (self.max_lr - self.base_lr) * share * scale


class OneCycleLR(LRScheduler):
    """One rise and one long fall of the step size (Smith and Topin 2019).

    Args:
        optimizer: the optimizer.
        max_lr: the greatest step size.
        total_steps: how many steps there will be.
        epochs: how many passes instead, of ``steps_per_epoch`` steps.
        steps_per_epoch: how many steps in a pass.
        pct_start: the share of steps that rise.
        anneal_strategy: "cos" or "linear".
        div_factor: by how much less than ``max_lr`` to begin.
        final_div_factor: by how much less than the beginning to end.
        last_epoch: see ``LRScheduler``.

    Raises:
        DomainError: no number of steps, a share outside of 0 to 1, another strategy, or more
            steps than were said.

    Example:
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> schedule = sg.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10)
        >>> [round(schedule.rates(n)[0], 6) for n in (0, 2, 9)]
        [0.04, 1.0, 4e-06]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        last_epoch: int = -1,
    ) -> None:
        count = total_steps
        if count is None and epochs is not None and steps_per_epoch is not None:
            count = epochs * steps_per_epoch
        named = anneal_strategy in ("cos", "linear")
        if count is None or count < 1 or not 0 <= pct_start <= 1 or not named:
            raise DomainError(
                message(
                    f"total_steps={count}, {pct_start=}, {anneal_strategy=}",
                    "total_steps, or epochs and steps_per_epoch; a share; 'cos' or 'linear'",
                )
            )
        self.total_steps, self.max_lr, self.anneal_strategy = count, max_lr, anneal_strategy
        self.first = max_lr / div_factor
        self.last = self.first / final_div_factor
        self.top = pct_start * count - 1
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, group: int, epoch: int) -> float:
        if epoch >= self.total_steps:
            raise DomainError(message(f"step {epoch}", f"at most {self.total_steps} of them"))
        if epoch < self.top:
            return self._between(self.first, self.max_lr, epoch / self.top)
        fall = self.total_steps - 1 - self.top
        return self._between(self.max_lr, self.last, (epoch - self.top) / fall if fall else 0.0)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "cos":  # (1 + cos(t))/2 without the cancellation near its end
            return end + (start - end) * math.cos(0.5 * math.pi * share) ** 2
        return start + (end - start) * share


class ChainedScheduler(LRScheduler):
    """Several schedules at once: the product of their factors.

    Args:
        schedulers: schedules of one optimizer.
        optimizer: that optimizer, of the schedules by default.

    Raises:
        DomainError: no schedules, or of several optimizers.

    Example:
        >>> from stablegrad.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> parts = [ConstantLR(optimizer, 0.5, 2), ExponentialLR(optimizer, 0.5)]
        >>> [ChainedScheduler(parts).rates(n)[0] for n in range(4)]
        [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, schedulers: Sequence[Any], optimizer: Optimizer | None = None) -> None:
        found = list(schedulers)
        if not found or any(s.optimizer is not found[0].optimizer for s in found):
            raise DomainError(message(f"{len(found)} schedules", "one or more, of one optimizer"))
        self.schedulers = found
        super().__init__(found[0].optimizer if optimizer is None else optimizer)

    def rate(self, base: float, group: int, epoch: int) -> float:
        rates = [s.rates(epoch)[group] for s in self.schedulers]
        return base * math.prod(r / base for r in rates) if base else 0.0
