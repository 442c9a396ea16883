"""Losses as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from typing import Any

from stablegrad.errors import DomainError, message
from stablegrad.nn import functional
from stablegrad.nn.losses_functional import check_reduction
from stablegrad.nn.module import Module
from stablegrad.tensor import Tensor, as_tensor


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(reduction)

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class _WeightedLoss(_Loss):
    weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else as_tensor(weight)


class BCELoss(_WeightedLoss):
    """-(y*log(p) + (1 - y)*log(1 - p)) of probabilities p, never clamped.

    After a sigmoid it is as good as ``BCEWithLogitsLoss``: the rules see the logits.

    Args:
        weight: a weight for each element, or None.
        reduction: "mean", "sum" or "none".

    Example:
        >>> z = sg.tensor([-100.0, 100.0], requires_grad=True)
        >>> loss = sg.nn.BCELoss(reduction="sum")(sg.nn.Sigmoid()(z), [1.0, 1.0])
        >>> loss.item()
        100.0
        >>> loss.backward()
        >>> z.grad.numpy()
        array([-1.0e+00, -3.8e-44], dtype=float32)
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """-(y*log(sigmoid(z)) + (1 - y)*log(1 - sigmoid(z))) of logits z.

    Args:
        weight: a weight for each element, or None.
        reduction: "mean", "sum" or "none".
        pos_weight: a weight for the positive part, or None.

    Example:
        >>> loss = sg.nn.BCEWithLogitsLoss()
        >>> round(loss([100.0, -100.0, 0.0], [1.0, 0.0, 1.0]).item(), 4)
        0.231
    """

    pos_weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(weight, reduction)
        self.pos_weight = None if pos_weight is None else as_tensor(pos_weight)

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class NLLLoss(_WeightedLoss):
    """The negative of the true class's log-probability.

    Args:
        weight: a weight for each class, or None.
        ignore_index: a class that costs nothing.
        reduction: "mean", "sum" or "none".
    """

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(NLLLoss):
    """-log(softmax(x)) of the true class, or its mean under true probabilities.

    Args:
        weight: a weight for each class, or None.
        ignore_index: a class, in integer targets, that costs nothing.
        reduction: "mean", "sum" or "none".
        label_smoothing: how much of each truth to spread over all classes, 0 to 1.

    Example:
        >>> sg.nn.CrossEntropyLoss()([[0.0, 0.0]], [1]).item()
        0.6931471824645996
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        if not 0 <= label_smoothing <= 1:
            raise DomainError(message(f"label_smoothing={label_smoothing}", "0 to 1"))
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            self.ignore_index,
            self.reduction,
            self.label_smoothing,
        )


class MSELoss(_Loss):
    """(x - y)**2.

    Args:
        reduction: "mean", "sum" or "none".
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """|x - y|, with derivative 0 where they agree.

    Args:
        reduction: "mean", "sum" or "none".
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.l1_loss(input, target, self.reduction)
