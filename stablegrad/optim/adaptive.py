"""Adam's relatives, and others whose step sizes adapt: with torch.optim's names and meanings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, message
from stablegrad.optim.adam import moved_means
from stablegrad.optim.optimizer import Array, Group, Optimizer


class Adamax(Optimizer):
    """Adamax (Kingma and Ba 2015): Adam by the greatest gradient in place of the mean square.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        betas: how much of the running mean and of the greatest gradient to keep.
        eps: added to gradients' sizes.
        weight_decay: the factor of an L2 penalty.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or betas outside of 0 <= beta < 1.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.Adamax([w], lr=0.25)
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
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        given: Group = {"lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, given | {"weight_decay": weight_decay, "maximize": maximize})

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        beta1, beta2 = group["betas"]
        if not state:
            state |= {
                "step": 0,
                "mean": np.zeros_like(gradient),
                "greatest": np.zeros_like(gradient),
            }
        state["step"] += 1
        state["mean"] = state["mean"] + (1 - beta1) * (gradient - state["mean"])
        size = np.abs(gradient) + group["eps"]
        state["greatest"] = np.maximum(beta2 * state["greatest"], size)
        return group["lr"] / (1 - beta1 ** state["step"]) * (state["mean"] / state["greatest"])


class NAdam(Optimizer):
    """NAdam (Dozat 2016): Adam with Nesterov's momentum.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        betas: how much of the running means of gradients and of their squares to keep.
        eps: added to the root of the mean of squares.
        weight_decay: the factor of an L2 penalty.
        momentum_decay: how fast the momentum reaches its full size.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or betas outside of 0 <= beta < 1.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.NAdam([w], lr=0.25)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> round(w.item(), 4)
        0.7359
    """

    _nonnegative = ("lr", "weight_decay", "eps", "momentum_decay")
    _fractions = ("betas",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        *,
        maximize: bool = False,
    ) -> None:
        given: Group = {"lr": lr, "betas": betas, "eps": eps, "momentum_decay": momentum_decay}
        super().__init__(params, given | {"weight_decay": weight_decay, "maximize": maximize})

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        beta1, beta2 = group["betas"]
        moved_means(gradient, state, group["betas"])
        n, decay = state["step"], group["momentum_decay"]
        now, following = (beta1 * (1 - 0.5 * 0.96 ** (k * decay)) for k in (n, n + 1))
        product = state["momentum"] = now * float(state.get("momentum", 1.0))
        mean = (1 - now) / (1 - product) * gradient
        mean = mean + following / (1 - product * following) * state["mean"]
        return group["lr"] * mean / (np.sqrt(state["square"] / (1 - beta2**n)) + group["eps"])


class RAdam(Optimizer):
    """RAdam (Liu et al. 2020): Adam that waits until the mean of squares is worth something.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        betas: how much of the running means of gradients and of their squares to keep.
        eps: added to the root of the mean of squares.
        weight_decay: the factor of an L2 penalty.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or betas outside of 0 <= beta < 1.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.RAdam([w], lr=0.25)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> w.item()
        0.5
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
        *,
        maximize: bool = False,
    ) -> None:
        given: Group = {"lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, given | {"weight_decay": weight_decay, "maximize": maximize})

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        beta1, beta2 = group["betas"]
        moved_means(gradient, state, group["betas"])
        n = state["step"]
        mean = state["mean"] / (1 - beta1**n)
        most = 2 / (1 - beta2) - 1
        left = 1 - beta2**n
        length = most - 2 * n * beta2**n / left
        if length <= 5:
            return group["lr"] * mean
        share = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
        size = np.sqrt(state["square"]) + group["eps"]
        return group["lr"] * mean * math.sqrt(share * left) / size


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012): steps of the size of former steps.

    Args:
        params: parameters, or groups of them.
        lr: what steps are multiplied by.
        rho: how much of the running means of squares to keep.
        eps: added to them.
        weight_decay: the factor of an L2 penalty.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or a rho outside of 0 <= rho < 1.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.Adadelta([w], lr=0.25)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> round(w.item(), 4)
        0.9992
    """

    _nonnegative = ("lr", "weight_decay", "eps")
    _fractions = ("rho",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        given: Group = {"lr": lr, "rho": rho, "eps": eps}
        super().__init__(params, given | {"weight_decay": weight_decay, "maximize": maximize})

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        if not state:
            state |= {name: np.zeros_like(gradient) for name in ("square", "steps")}
        rho, eps = group["rho"], group["eps"]
        state["square"] = rho * state["square"] + (1 - rho) * gradient * gradient
        change = np.sqrt(state["steps"] + eps) / np.sqrt(state["square"] + eps) * gradient
        state["steps"] = rho * state["steps"] + (1 - rho) * change * change
        return group["lr"] * change


class Rprop(Optimizer):
    """Rprop (Riedmiller and Braun 1993): steps by the signs of gradients alone.

    Args:
        params: parameters, or groups of them.
        lr: the first step size.
        etas: what a step size is multiplied by where the sign changes, and where it stays.
        step_sizes: the least and the greatest step size.
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or etas that are not 0 < first < 1 < second.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.Rprop([w], lr=0.25)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> w.item()
        0.75
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        given: Group = {"lr": lr, "etas": etas, "step_sizes": step_sizes}
        super().__init__(params, given | {"maximize": maximize})

    def _check(self, group: Group) -> None:
        super()._check(group)
        less, more = group["etas"]
        if not 0 < less < 1 < more:
            raise DomainError(message(f"etas={group['etas']}", "0 < first < 1 < second"))

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        if not state:
            state |= {"before": np.zeros_like(gradient)}
            state |= {"size": np.full_like(gradient, group["lr"])}
        turn = np.sign(gradient) * np.sign(state["before"])  # a product of both may underflow
        less, more = group["etas"]
        size = state["size"] * np.where(turn > 0, more, np.where(turn < 0, less, 1.0))
        state["size"] = np.clip(size, *group["step_sizes"]).astype(gradient.dtype)
        state["before"] = np.where(turn < 0, 0, gradient).astype(gradient.dtype)
        return np.sign(state["before"]) * state["size"]
