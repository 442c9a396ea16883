"""Losses by margins as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from typing import Any

from stablegrad.nn import functional
from stablegrad.nn.losses import Loss, WeightedLoss
from stablegrad.tensor import Tensor


class MultiMarginLoss(WeightedLoss):
    """``functional.multi_margin_loss`` as a module."""

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.p, self.margin = p, margin

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, self.reduction
        )


class MultiLabelSoftMarginLoss(WeightedLoss):
    """``functional.multilabel_soft_margin_loss`` as a module."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.multilabel_soft_margin_loss(input, target, self.weight, self.reduction)


class MultiLabelMarginLoss(Loss):
    """``functional.multilabel_margin_loss`` as a module."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.multilabel_margin_loss(input, target, self.reduction)


class TripletMarginWithDistanceLoss(Loss):
    """``functional.triplet_margin_with_distance_loss`` as a module."""

    def __init__(
        self,
        *,
        distance_function: Any = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.distance_function, self.margin, self.swap = distance_function, margin, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        return functional.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
