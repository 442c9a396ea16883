"""Schedules of step sizes, with torch.optim.lr_scheduler's names and meanings.

A schedule says what the step size is after any number of steps, from the one that the optimizer
began with: nothing is multiplied up, so nothing drifts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from stablegrad.errors import DomainError, message
from stablegrad.optim.cycles import ChainedScheduler, CyclicLR, OneCycleLR
from stablegrad.optim.optimizer import Optimizer
from stablegrad.optim.plateau import ReduceLROnPlateau
from stablegrad.optim.schedules import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


def _checked(name: str, value: float, low: float, *, strictly: bool = False) -> float:
    if not (value > low if strictly else value >= low):
        raise DomainError(message(f"{name}={value}", f"{'more than ' if strictly else ''}{low:g}"
                                  f"{'' if strictly else ' or more'}"))  # fmt: skip
    return value


class LambdaLR(LRScheduler):
    """The first step size times a function of the number of steps.

    Args:
        optimizer: the optimizer.
        lr_lambda: the function, or one for each group.
        last_epoch: see ``LRScheduler``.

    Example:
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> schedule = sg.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1 / (1 + n))
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != count:
            raise DomainError(message(f"{len(self.lr_lambdas)} functions", f"{count}, as groups"))
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, group: int, epoch: int) -> float:
        return base * self.lr_lambdas[group](epoch)


class MultiplicativeLR(LambdaLR):
    """The step size times a function of the number of steps, once more at each step.

    Arguments are those of ``LambdaLR``.
    """

    def rate(self, base: float, group: int, epoch: int) -> float:
        return base * math.prod(self.lr_lambdas[group](n) for n in range(1, epoch + 1))


class StepLR(LRScheduler):
    """The step size times ``gamma`` after every ``step_size`` steps.

    Args:
        optimizer: the optimizer.
        step_size: how many steps.
        gamma: the factor.
        last_epoch: see ``LRScheduler``.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = _checked("step_size", step_size, 1), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """The step size times ``gamma`` at each of some numbers of steps.

    Args:
        optimizer: the optimizer.
        milestones: the numbers of steps.
        gamma: the factor.
        last_epoch: see ``LRScheduler``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(LRScheduler):
    """The step size times ``gamma`` after every step.

    Args:
        optimizer: the optimizer.
        gamma: the factor.
        last_epoch: see ``LRScheduler``.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.gamma**epoch


class ConstantLR(LRScheduler):
    """The step size times ``factor`` for the first ``total_iters`` steps.

    Args:
        optimizer: the optimizer.
        factor: the factor.
        total_iters: how many steps.
        last_epoch: see ``LRScheduler``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.start if epoch < self.total_iters else 1.0


class LinearLR(LRScheduler):
    """The step size times a factor that moves along a line: a warm-up.

    Args:
        optimizer: the optimizer.
        start_factor: the factor at first.
        end_factor: the factor after ``total_iters`` steps, and from then on.
        total_iters: how many steps.
        last_epoch: see ``LRScheduler``.

    Example:
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> warmup = sg.optim.lr_scheduler.LinearLR(optimizer, 0.5, total_iters=2)
        >>> [warmup.rates(n)[0] for n in range(4)]
        [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = _checked("total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        share = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor * (1 - share) + self.end_factor * share


class PolynomialLR(LRScheduler):
    """The step size times (1 - n/total_iters)**power, 0 from then on.

    Args:
        optimizer: the optimizer.
        total_iters: how many steps.
        power: the power.
        last_epoch: see ``LRScheduler``.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = _checked("total_iters", total_iters, 1), power
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """The step size along half a cosine, from the first one down to ``eta_min``.

    Args:
        optimizer: the optimizer.
        T_max: how many steps it takes; it goes back up after.
        eta_min: the least step size.
        last_epoch: see ``LRScheduler``.

    Example:
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> schedule = sg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        >>> round(schedule.rates(5)[0], 12)
        0.5
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = _checked("T_max", T_max, 1), eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, group: int, epoch: int) -> float:
        # (1 + cos(t))/2 without the cancellation near its end
        share = math.cos(0.5 * math.pi * (epoch % (2 * self.T_max)) / self.T_max) ** 2
        return self.eta_min + (base - self.eta_min) * share


class CosineAnnealingWarmRestarts(LRScheduler):
    """The step size along half cosines, each beginning anew (Loshchilov and Hutter 2017).

    Args:
        optimizer: the optimizer.
        T_0: how many steps the first takes.
        T_mult: how many times as many each next one takes.
        eta_min: the least step size.
        last_epoch: see ``LRScheduler``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_mult = _checked("T_0", T_0, 1), _checked("T_mult", T_mult, 1)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, group: int, epoch: int) -> float:
        length, left = self.T_0, epoch
        if self.T_mult == 1:
            left %= length
        while left >= length:
            left -= length
            length *= self.T_mult
        share = math.cos(0.5 * math.pi * left / length) ** 2
        return self.eta_min + (base - self.eta_min) * share


class SequentialLR(LRScheduler):
    """One schedule after the other: a warm-up, and then what follows it.

    Args:
        optimizer: the optimizer.
        schedulers: schedules of this optimizer, in their order.
        milestones: after how many steps the next one begins, each from its own beginning.
        last_epoch: see ``LRScheduler``.

    Raises:
        DomainError: not one milestone less than there are schedules.

    Example:
        >>> from stablegrad.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR
        >>> optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=1.0)
        >>> parts = [LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.5)]
        >>> schedule = SequentialLR(optimizer, parts, [2])
        >>> [schedule.rates(n)[0] for n in range(5)]
        [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(schedulers) - 1 or list(milestones) != sorted(milestones):
            raise DomainError(
                message(f"milestones {list(milestones)} for {len(schedulers)} schedules",
                        "rising numbers, one less than schedules")
            )  # fmt: skip
        if any(s.optimizer is not optimizer for s in schedulers):
            raise DomainError(message("a schedule of another optimizer", "schedules of this one"))
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def rates(self, epoch: int) -> list[float]:
        place = bisect_right(self.milestones, epoch)
        return self.schedulers[place].rates(epoch - (self.milestones[place - 1] if place else 0))
