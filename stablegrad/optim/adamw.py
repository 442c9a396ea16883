"""Adam with weights that decay by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stablegrad.optim.adam import Adam


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter 2019), as torch.optim.AdamW: Adam whose weights decay apart.

    Args:
        params: parameters, or groups of them.
        lr: the step size.
        betas: how much of the running means of gradients and of their squares to keep.
        eps: added to the root of the mean of squares.
        weight_decay: each step takes lr*weight_decay of the parameter away, whatever its gradient.
        amsgrad: whether the mean of squares may only grow (Reddi et al. 2018).
        maximize: whether to climb instead.

    Raises:
        NoParametersError: there are none.
        DomainError: a negative setting, or betas outside of 0 <= beta < 1.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.AdamW([w], lr=0.25, weight_decay=0.5)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> w.item()
        0.625
    """

    _decays_apart = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
