"""Attention with several heads, with torch.nn's names and meanings."""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import ShapeError, message
from stablegrad.nn import functional, init
from stablegrad.nn.attention import attention_weights, weighted_values
from stablegrad.nn.layers import Linear, empty_parameter
from stablegrad.nn.module import Module, Parameter
from stablegrad.ops.shape import split
from stablegrad.tensor import Tensor, as_tensor


class MultiheadAttention(Module):
    """Attention of several heads, each to a part of the features (Vaswani et al. 2017).

    What a mask hides has no part in the result or any derivative; a target that sees nothing
    gets the bias of the output alone.

    Args:
        embed_dim: the features of queries and of the result.
        num_heads: how many heads share them.
        dropout: the probability with which a weight is dropped in training.
        bias: whether the projections have one.
        batch_first: whether inputs are (batch, places, features), else (places, batch, features).
        dtype: of the parameters; the default dtype if None.
        seed: a seed or a numpy.random.Generator for the initial values and the dropout.

    Attributes:
        in_proj_weight: shape (3*embed_dim, embed_dim): of queries, keys and values.
        in_proj_bias: shape (3*embed_dim,), or None.
        out_proj: the linear layer at the end.

    Raises:
        ShapeError: heads that do not divide the features.

    Example:
        >>> layer = sg.nn.MultiheadAttention(4, 2, batch_first=True, seed=0)
        >>> x = np.ones((1, 3, 4), np.float32)
        >>> out, weights = layer(x, x, x)
        >>> out.shape, weights.shape
        ((1, 3, 4), (1, 3, 3))
    """

    in_proj_weight: Parameter
    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(
                message(f"{embed_dim} features for {num_heads} heads", "heads that divide them")
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.dropout, self.batch_first = dropout, batch_first
        self.generator = None if seed is None else init.generator_of(seed)
        self.in_proj_weight = empty_parameter((3 * embed_dim, embed_dim), dtype)
        init.xavier_uniform_(self.in_proj_weight, generator=self.generator)
        self.in_proj_bias = empty_parameter((3 * embed_dim,), dtype) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, seed=self.generator)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query: shape (batch, targets, embed_dim), the batch second or left out.
            key: shape (batch, sources, embed_dim).
            value: shape (batch, sources, embed_dim).
            key_padding_mask: booleans of shape (batch, sources), true where a key is hidden.
            need_weights: whether to return the weights too.
            attn_mask: shape (targets, sources) or (batch*heads, targets, sources): booleans,
                true where hidden, or numbers to add to the scores.
            average_attn_weights: whether the weights are the mean over heads.
            is_causal: whether each target sees only the sources up to its own place.

        Returns:
            The result, in the shape of the query, and the weights, or None.
        """
        q, k, v = (self._batched(t) for t in (query, key, value))
        alone = as_tensor(query).ndim == 2
        parts = split(self.in_proj_weight, 3)
        biases = [None] * 3 if self.in_proj_bias is None else split(self.in_proj_bias, 3)
        heads = [
            self._heads(functional.linear(x, w, b))
            for x, w, b in zip((q, k, v), parts, biases, strict=True)
        ]
        mask = self._mask(q.shape[0], key_padding_mask, attn_mask)
        weights, seen = attention_weights(heads[0], heads[1], mask, is_causal, None)
        used = functional.dropout(weights, self.dropout, self.training, generator=self.generator)
        out = weighted_values(used, heads[2], seen).transpose(0, 2, 1, 3)
        out = self.out_proj(out.reshape(q.shape))
        if alone:
            out = out.reshape(out.shape[1:])
        elif not self.batch_first:
            out = out.transpose(1, 0, 2)
        if not need_weights:
            return out, None
        shown = weights.mean(axis=1) if average_attn_weights else weights
        return out, shown.reshape(shown.shape[1:]) if alone else shown

    def _batched(self, x: Any) -> Tensor:
        t = as_tensor(x)
        if t.ndim not in (2, 3) or t.shape[-1] != self.embed_dim:
            raise ShapeError(
                message(f"attention of shape {t.shape}", f"(batch, places, {self.embed_dim})")
            )
        if t.ndim == 2:
            return t.reshape((1, *t.shape))
        return t if self.batch_first else t.transpose(1, 0, 2)

    def _heads(self, x: Tensor) -> Tensor:
        n, places, features = x.shape
        size = features // self.num_heads
        return x.reshape((n, places, self.num_heads, size)).transpose(0, 2, 1, 3)

    def _mask(self, batch: int, key_padding_mask: Any, attn_mask: Any) -> Tensor | None:
        """One mask in the sense of ``scaled_dot_product_attention``: true is seen."""
        found: Tensor | None = None
        for mask, is_padding in ((attn_mask, False), (key_padding_mask, True)):
            if mask is None:
                continue
            m = as_tensor(mask)
            if is_padding:
                m = m.reshape((batch if m.ndim > 1 else 1, 1, 1, m.shape[-1]))
            elif m.ndim == 3:
                m = m.reshape((batch, self.num_heads, *m.shape[1:]))
            if m.dtype.kind == "b":
                m = ops.logical_not(m)
            found = m if found is None else _both(found, m)
        return found

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}"


def _both(a: Tensor, b: Tensor) -> Tensor:
    """Two masks as one; booleans become 0 and -inf beside numbers."""
    if a.dtype.kind == b.dtype.kind == "b":
        return ops.logical_and(a, b)
    numbers = [
        ops.where(m, 0.0, -np.inf).astype((b if m is a else a).dtype) if m.dtype.kind == "b" else m
        for m in (a, b)
    ]
    return numbers[0] + numbers[1]
