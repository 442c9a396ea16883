"""Losses as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from stablegrad.errors import DomainError, message
from stablegrad.nn import functional
from stablegrad.nn.losses_functional import check_reduction
from stablegrad.nn.module import Module
from stablegrad.tensor import Tensor, as_tensor


class Loss(Module):
    """Base of losses: keeps the reduction."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(reduction)

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class WeightedLoss(Loss):
    """Base of losses with weights."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else as_tensor(weight)


class BCELoss(WeightedLoss):
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


class BCEWithLogitsLoss(WeightedLoss):
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


class NLLLoss(WeightedLoss):
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


class MSELoss(Loss):
    """(x - y)**2.

    Args:
        reduction: "mean", "sum" or "none".
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """|x - y|, with derivative 0 where they agree.

    Args:
        reduction: "mean", "sum" or "none".
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        return functional.l1_loss(input, target, self.reduction)


class _Distance(Loss):
    """A loss with settings of its own, which are attributes of the module."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, reduction: str, **settings: Any) -> None:
        super().__init__("mean" if reduction == "batchmean" else reduction)
        self.reduction = reduction
        self._names = tuple(settings)
        for name, value in settings.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any) -> Tensor:
        settings = {name: getattr(self, name) for name in self._names}
        return self.function(*inputs, reduction=self.reduction, **settings)

    def extra_repr(self) -> str:
        own = [f"{name}={getattr(self, name)!r}" for name in self._names]
        return ", ".join([*own, super().extra_repr()] if super().extra_repr() else own)


class HuberLoss(_Distance):
    """(x - y)**2/2 up to a distance delta, beyond it delta*(|x - y| - delta/2).

    Args:
        reduction: "mean", "sum" or "none".
        delta: the distance where the square ends, positive.
    """

    function = staticmethod(functional.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, delta=delta)


class SmoothL1Loss(_Distance):
    """(x - y)**2/(2*beta) up to a distance beta, beyond it |x - y| - beta/2.

    Args:
        reduction: "mean", "sum" or "none".
        beta: the distance where the square ends.
    """

    function = staticmethod(functional.smooth_l1_loss)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction, beta=beta)


class KLDivLoss(_Distance):
    """The Kullback-Leibler divergence p*(log(p) - x), for log-probabilities x.

    Args:
        reduction: "mean", "batchmean", "sum" or "none".
        log_target: whether the target is logarithms.
    """

    function = staticmethod(functional.kl_div)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, log_target=log_target)


class PoissonNLLLoss(_Distance):
    """The negative log-likelihood of counts.

    Args:
        log_input: whether the input is logarithms of rates.
        full: whether to add Stirling's approximation of log(y!).
        eps: keeps the logarithm of a rate of 0 finite.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.poisson_nll_loss)

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, log_input=log_input, full=full, eps=eps)


class GaussianNLLLoss(_Distance):
    """The negative log-likelihood of a normal distribution.

    Args:
        full: whether to add log(2*pi)/2.
        eps: the least variance.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.gaussian_nll_loss)

    def __init__(self, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction, full=full, eps=eps)


class SoftMarginLoss(_Distance):
    """log(1 + exp(-y*x)) for y of 1 or -1.

    Args:
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.soft_margin_loss)

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class HingeEmbeddingLoss(_Distance):
    """x where y is 1, max(0, margin - x) where it is -1.

    Args:
        margin: how far apart is enough.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class MarginRankingLoss(_Distance):
    """max(0, margin - y*(a - b)).

    Args:
        margin: by how much.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.margin_ranking_loss)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class CosineEmbeddingLoss(_Distance):
    """1 - cos of the angle where y is 1, max(0, cos - margin) where -1.

    Args:
        margin: how small a cosine is enough.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.cosine_embedding_loss)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class TripletMarginLoss(_Distance):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin).

    Args:
        margin: by how much.
        p: which norm.
        eps: see ``pairwise_distance``.
        swap: whether the distance of positive and negative counts if it is less.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.triplet_margin_loss)

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, margin=margin, p=p, eps=eps, swap=swap)
