"""Layers of transformers, with torch.nn's names, parameters and meanings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, message
from stablegrad.nn import functional, init
from stablegrad.nn.attention_modules import MultiheadAttention
from stablegrad.nn.containers import ModuleList
from stablegrad.nn.layers import Dropout, Linear
from stablegrad.nn.module import Module
from stablegrad.nn.normalization_modules import LayerNorm
from stablegrad.tensor import Tensor, as_tensor

Activation = str | Callable[[Tensor], Tensor]


def _activation(given: Activation) -> Callable[[Tensor], Tensor]:
    if callable(given):
        return given
    if given not in ("relu", "gelu"):
        raise DomainError(message(f"activation={given!r}", "'relu', 'gelu' or a function"))
    return functional.relu if given == "relu" else functional.gelu


class _Block(Module):
    """What layers share: attention, then two linear maps, each beside a residual."""

    _norms: int
    """How many normalisations there are: one more than attentions."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__()
        self.norm_first, self.activation = norm_first, _activation(activation)
        generator = None if seed is None else init.generator_of(seed)
        names = ("self_attn", "multihead_attn")[: self._norms - 1]
        for name in names:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, seed=generator
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, seed=generator)
        self.dropout = Dropout(dropout, seed=generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, seed=generator)
        for i in range(1, self._norms + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for i in range(1, self._norms + 1):
            setattr(self, f"dropout{i}", Dropout(dropout, seed=generator))

    def _beside(self, x: Tensor, step: Callable[[Tensor], Tensor], i: int) -> Tensor:
        """x plus a step, the i-th normalisation before the step or after the sum."""
        norm, drop = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + drop(step(norm(x)))
        return norm(x + drop(step(x)))

    def _feed(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Block):
    """Self-attention and two linear maps, each beside a residual (Vaswani et al. 2017).

    Args:
        d_model: the features of inputs and results.
        nhead: the heads of the attention, which divide them.
        dim_feedforward: the features between the two linear maps.
        dropout: the probability with which elements are dropped in training.
        activation: "relu", "gelu", or a function, between the linear maps.
        layer_norm_eps: added to variances.
        batch_first: whether inputs are (batch, places, features), else (places, batch, features).
        norm_first: whether to normalise before each step, else after.
        bias: whether linear maps and normalisations have one.
        dtype: of the parameters; the default dtype if None.
        seed: a seed or a numpy.random.Generator for the initial values and the dropout.

    Raises:
        ShapeError: heads that do not divide the features.
        DomainError: an unknown activation.

    Example:
        >>> layer = sg.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, seed=0)
        >>> layer(np.ones((1, 3, 4), np.float32)).shape
        (1, 3, 4)
    """

    _norms = 2
    self_attn: MultiheadAttention

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Attend to the input itself.

        Args:
            src: shape (batch, places, d_model), the batch second or left out.
            src_mask: see ``attn_mask`` of ``MultiheadAttention``: true where hidden.
            src_key_padding_mask: shape (batch, places), true where a place is hidden.
            is_causal: whether each place sees only those up to itself.

        Returns:
            A tensor of the shape of the input.
        """

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]

        return self._beside(self._beside(as_tensor(src), attend, 1), self._feed, 2)


class TransformerDecoderLayer(_Block):
    """Self-attention, attention to a memory, and two linear maps, each beside a residual.

    Arguments are those of ``TransformerEncoderLayer``.

    Example:
        >>> layer = sg.nn.TransformerDecoderLayer(4, 2, 8, batch_first=True, seed=0)
        >>> x = np.ones((1, 3, 4), np.float32)
        >>> layer(x, np.ones((1, 5, 4), np.float32), tgt_is_causal=True).shape
        (1, 3, 4)
    """

    _norms = 3
    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Attend to the target itself and to the memory.

        Args:
            tgt: shape (batch, targets, d_model), the batch second or left out.
            memory: shape (batch, sources, d_model): what an encoder gave.
            tgt_mask: shape (targets, targets), true where hidden, or numbers to add.
            memory_mask: shape (targets, sources), likewise.
            tgt_key_padding_mask: shape (batch, targets), true where a place is hidden.
            memory_key_padding_mask: shape (batch, sources), likewise.
            tgt_is_causal: whether each target sees only those up to itself.
            memory_is_causal: whether each target sees only the sources up to its own place.

        Returns:
            A tensor of the shape of the target.
        """
        sources = as_tensor(memory)

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]

        def recall(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x,
                sources,
                sources,
                memory_key_padding_mask,
                False,
                memory_mask,
                is_causal=memory_is_causal,
            )[0]

        x = self._beside(as_tensor(tgt), attend, 1)
        return self._beside(self._beside(x, recall, 2), self._feed, 3)


class _Stack(Module):
    """Several copies of a layer, one after the other."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        if num_layers < 0:
            raise DomainError(message(f"num_layers={num_layers}", "0 or more"))
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.norm = norm

    def _run(self, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        y = as_tensor(x)
        for layer in self.layers:
            y = layer(y, *args, **kwargs)
        return y if self.norm is None else self.norm(y)


class TransformerEncoder(_Stack):
    """Several encoder layers, one after the other.

    Args:
        layer: a ``TransformerEncoderLayer``; every layer is a copy, with its initial values.
        num_layers: how many.
        norm: a normalisation at the end, or None.

    Example:
        >>> layer = sg.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, seed=0)
        >>> sg.nn.TransformerEncoder(layer, 2)(np.ones((1, 3, 4), np.float32)).shape
        (1, 3, 4)
    """

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The result of the last layer; arguments are those of ``TransformerEncoderLayer``."""
        return self._run(src, mask, src_key_padding_mask, is_causal)


class TransformerDecoder(_Stack):
    """Several decoder layers, one after the other.

    Args:
        layer: a ``TransformerDecoderLayer``; every layer is a copy, with its initial values.
        num_layers: how many.
        norm: a normalisation at the end, or None.
    """

    def forward(self, tgt: Any, memory: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The result of the last layer; arguments are those of ``TransformerDecoderLayer``."""
        return self._run(tgt, memory, *args, **kwargs)


def generate_square_subsequent_mask(sz: int) -> Tensor:
    """Numbers to add to scores so that each place sees only those up to itself: 0, else -inf.

    Args:
        sz: the places.

    Returns:
        A tensor of shape (sz, sz).

    Example:
        >>> sg.nn.transformer.generate_square_subsequent_mask(2).numpy()
        array([[  0., -inf],
               [  0.,   0.]], dtype=float32)
    """
    return as_tensor(np.where(np.tri(sz, dtype=bool), np.float32(0.0), np.float32(-np.inf)))
