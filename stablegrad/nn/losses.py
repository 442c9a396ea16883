"""Losses as modules, with torch.nn's names and meanings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.errors import DomainError, message
from stablegrad.nn import functional
from stablegrad.nn.functions import FunctionModule
from stablegrad.nn.losses_functional import check_reduction
from stablegrad.tensor import Tensor, as_tensor


class Loss(FunctionModule):
    """Base of losses: a function of inputs, of settings, and of how to reduce.

    Args:
        reduction: "mean", "sum" or "none", and "batchmean" where the function has it.
        settings: the other arguments of the function; weights become tensors.

    Raises:
        DomainError: an unknown reduction.
    """

    reduction: str

    def __init__(self, reduction: str, **settings: Any) -> None:
        if reduction != "batchmean" or self.function is not functional.kl_div:
            check_reduction(reduction)
        for name in ("weight", "pos_weight"):
            if settings.get(name) is not None:
                settings[name] = as_tensor(settings[name])
        super().__init__(**settings, reduction=reduction)

    def extra_repr(self) -> str:
        own = [f"{k}={getattr(self, k)!r}" for k in self._names[:-1] if "weight" not in k]
        usual = self.reduction == "mean"
        return ", ".join(own if usual else [*own, f"reduction={self.reduction!r}"])


class _PlainLoss(Loss):
    """A loss without settings of its own."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class BCELoss(Loss):
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

    function = staticmethod(functional.binary_cross_entropy)

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)


class BCEWithLogitsLoss(Loss):
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

    function = staticmethod(functional.binary_cross_entropy_with_logits)

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction, weight=weight, pos_weight=pos_weight)


class NLLLoss(Loss):
    """The negative of the true class's log-probability.

    Args:
        weight: a weight for each class, or None.
        ignore_index: a class that costs nothing.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.nll_loss)

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index)


class CrossEntropyLoss(Loss):
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

    function = staticmethod(functional.cross_entropy)

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        if not 0 <= label_smoothing <= 1:
            raise DomainError(message(f"label_smoothing={label_smoothing}", "0 to 1"))
        super().__init__(
            reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing
        )


class MSELoss(_PlainLoss):
    """(x - y)**2.

    Args:
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.mse_loss)


class L1Loss(_PlainLoss):
    """|x - y|, with derivative 0 where they agree.

    Args:
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.l1_loss)


class HuberLoss(Loss):
    """(x - y)**2/2 up to a distance delta, beyond it delta*(|x - y| - delta/2).

    Args:
        reduction: "mean", "sum" or "none".
        delta: the distance where the square ends, positive.
    """

    function = staticmethod(functional.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, delta=delta)


class SmoothL1Loss(Loss):
    """(x - y)**2/(2*beta) up to a distance beta, beyond it |x - y| - beta/2.

    Args:
        reduction: "mean", "sum" or "none".
        beta: the distance where the square ends.
    """

    function = staticmethod(functional.smooth_l1_loss)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction, beta=beta)


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence p*(log(p) - x), for log-probabilities x.

    Args:
        reduction: "mean", "batchmean", "sum" or "none".
        log_target: whether the target is logarithms.
    """

    function = staticmethod(functional.kl_div)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, log_target=log_target)


class PoissonNLLLoss(Loss):
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


class GaussianNLLLoss(Loss):
    """The negative log-likelihood of a normal distribution.

    Args:
        full: whether to add log(2*pi)/2.
        eps: the least variance.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.gaussian_nll_loss)

    def __init__(self, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction, full=full, eps=eps)


class SoftMarginLoss(_PlainLoss):
    """log(1 + exp(-y*x)) for y of 1 or -1.

    Args:
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.soft_margin_loss)


class HingeEmbeddingLoss(Loss):
    """x where y is 1, max(0, margin - x) where it is -1.

    Args:
        margin: how far apart is enough.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class MarginRankingLoss(Loss):
    """max(0, margin - y*(a - b)).

    Args:
        margin: by how much.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.margin_ranking_loss)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class CosineEmbeddingLoss(Loss):
    """1 - cos of the angle where y is 1, max(0, cos - margin) where -1.

    Args:
        margin: how small a cosine is enough.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.cosine_embedding_loss)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class TripletMarginLoss(Loss):
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


class MultiMarginLoss(Loss):
    """The sum over other classes of max(0, margin - x[y] + x)**p, over the number of classes.

    Args:
        p: 1 or 2.
        margin: what the right class should be ahead by.
        weight: a weight for each class, or None.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.multi_margin_loss)

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, p=p, margin=margin, weight=weight)


class MultiLabelSoftMarginLoss(Loss):
    """The mean over labels of -(y log(sigmoid(x)) + (1 - y) log(sigmoid(-x))).

    Args:
        weight: a weight for each label, or None.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.multilabel_soft_margin_loss)

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)


class MultiLabelMarginLoss(_PlainLoss):
    """The sum of max(0, 1 - (x[y] - x[i])) over labels y and others i, over their number.

    Args:
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.multilabel_margin_loss)


class TripletMarginWithDistanceLoss(Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) of a distance d.

    Args:
        distance_function: the distance, ``pairwise_distance`` by default.
        margin: how much farther, positive.
        swap: whether the distance from positive to negative counts where it is less.
        reduction: "mean", "sum" or "none".
    """

    function = staticmethod(functional.triplet_margin_with_distance_loss)

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, distance_function=distance_function, margin=margin, swap=swap)


class CTCLoss(Loss):
    """Connectionist temporal classification: -log(P) of sequences of labels without times.

    Called as ``loss(log_probs, targets, input_lengths, target_lengths)``; see
    ``functional.ctc_loss``.

    Args:
        blank: the class of no label.
        reduction: "mean" (of each by its number of labels, 1 at least), "sum" or "none".
        zero_infinity: whether sequences that cannot be are left out, with derivative 0.

    Example:
        >>> p = sg.nn.functional.log_softmax(np.zeros((3, 1, 2), np.float32))
        >>> round(sg.nn.CTCLoss()(p, [[1]], [3], [1]).item(), 6)
        0.287682
    """

    function = staticmethod(functional.ctc_loss)

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction, blank=blank, zero_infinity=zero_infinity)
