"""Attention and dropout, with torch.nn.functional's names and meanings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.nn import init
from stablegrad.ops.record import is_float
from stablegrad.ops.shape import swapaxes
from stablegrad.ops.structured import normal_axis
from stablegrad.tensor import Tensor, as_tensor


def dropout(
    input: Any, p: float = 0.5, training: bool = True, *, generator: init.Seed = None
) -> Tensor:
    """Each element 0 with probability p, else divided by 1 - p.

    What is dropped has derivative 0, whatever stands there. In a function that is compiled the
    choice is part of the program: it is drawn once, when the function is traced.

    Args:
        input: any shape.
        p: the probability, 0 to 1.
        training: whether to drop anything.
        generator: a seed, a numpy.random.Generator, or None for the one that
            ``sg.nn.init.manual_seed`` seeds.

    Raises:
        DomainError: a probability outside of 0 to 1.

    Example:
        >>> sg.nn.functional.dropout(np.ones(6, np.float32), 0.5, generator=0).numpy()
        array([2., 0., 0., 0., 2., 2.], dtype=float32)
    """
    return _dropped(as_tensor(input), p, training, generator, None)


def dropout1d(
    input: Any, p: float = 0.5, training: bool = True, *, generator: init.Seed = None
) -> Tensor:
    """As ``dropout``, whole channels at a time: shape (n, channels, ...)."""
    x = as_tensor(input)
    return _dropped(x, p, training, generator, 2)


dropout2d = dropout3d = dropout1d


def _dropped(
    x: Tensor, p: float, training: bool, generator: init.Seed, together: int | None
) -> Tensor:
    if not 0 <= p <= 1:
        raise DomainError(message(f"p={p}", "a probability"))
    if not training or p == 0:
        return x
    shape = x.shape if together is None else (*x.shape[:together], *[1] * (x.ndim - together))
    kept = as_tensor(init.generator_of(generator).random(shape) >= p)
    return ops.where(kept, x / (1 - p) if p < 1 else x, 0.0)


def gumbel_softmax(
    logits: Any,
    tau: Any = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: init.Seed = None,
) -> Tensor:
    """The softmax of (logits + noise)/tau, a differentiable draw of a class (Jang et al. 2017).

    The noise is drawn from the Gumbel distribution; in a function that is compiled it is part of
    the program, drawn once, when the function is traced.

    Args:
        logits: any shape with that axis.
        tau: the temperature, positive; a tensor's gradients pass.
        hard: whether the result is 1 at the greatest and 0 elsewhere, with the derivatives of the
            soft one (straight through).
        eps: accepted as torch has it; not needed.
        dim: the axis of the classes.
        generator: see ``dropout``.

    Returns:
        A tensor of the shape of the logits; 4 + 2*|log(p)| ulp of each p, for logits of any size.
        Rows of -inf throughout give zeros.

    Raises:
        DomainError: a temperature that is not positive.

    Example:
        >>> draw = sg.nn.functional.gumbel_softmax([0.0, 1.0, 2.0], hard=True, generator=0)
        >>> draw.numpy()
        array([0., 0., 1.], dtype=float32)
    """
    x = as_tensor(logits)
    if not isinstance(tau, Tensor) and not tau > 0:
        raise DomainError(message(f"tau={tau}", "a positive temperature"))
    noise = as_tensor(init.generator_of(generator).gumbel(size=x.shape).astype(x.dtype))
    # a shift that cancels: in large scores the digits of the noise would be lost
    top = ops.stop_gradient(ops.max(x + noise, axis=dim, keepdims=True))
    soft = ops.softmax((x + noise - ops.where(ops.isfinite(top), top, 0.0)) / tau, axis=dim)
    if not hard:
        return soft
    axis = normal_axis(dim, x.ndim, "gumbel_softmax")
    best = ops.argmax(ops.stop_gradient(soft), axis=axis, keepdims=True)
    places = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    chosen = ops.equal(best, as_tensor(places)).astype(x.dtype)
    return chosen + soft - ops.stop_gradient(soft)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    generator: init.Seed = None,
) -> Tensor:
    """softmax(query @ key.T * scale) @ value, under a mask.

    What the mask hides has no part in the result or in any derivative, be it inf or nan. A row
    that is hidden throughout gives zeros, and its derivatives are zeros.

    Args:
        query: shape (..., targets, n).
        key: shape (..., sources, n).
        value: shape (..., sources, m).
        attn_mask: shape (..., targets, sources): booleans that say what takes part, or numbers
            that are added to the scores, -inf to hide.
        dropout_p: the probability with which a weight is dropped.
        is_causal: whether each target sees only the sources up to its own place.
        scale: of the scores, 1/sqrt(n) by default.
        generator: for dropout; see ``dropout``.

    Returns:
        A tensor of shape (..., targets, m).

    Raises:
        ShapeError: shapes that do not fit together.

    Example:
        >>> q, v = np.ones((2, 1), np.float32), np.array([[1.0], [np.nan]], np.float32)
        >>> sg.nn.functional.scaled_dot_product_attention(q, q, v, [[True, False]] * 2).numpy()
        array([[1.],
               [1.]], dtype=float32)
    """
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            message(
                f"a query, key and value of shapes {q.shape}, {k.shape} and {v.shape}",
                "(..., targets, n), (..., sources, n) and (..., sources, m)",
            )
        )
    weights, seen = attention_weights(q, k, attn_mask, is_causal, scale)
    if dropout_p:
        weights = dropout(weights, dropout_p, generator=generator)
    return weighted_values(weights, v, seen)


def attention_weights(
    q: Tensor, k: Tensor, attn_mask: Any, is_causal: bool, scale: float | None
) -> tuple[Tensor, Tensor | None]:
    """The softmax of the scores, and which sources each target sees (None for all)."""
    factor = 1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    # the query is scaled before the product, which may overflow else
    scores = ops.matmul(q * factor, swapaxes(k, -1, -2))
    seen = _seen(scores, attn_mask, is_causal)
    if attn_mask is not None and is_float(as_tensor(attn_mask).dtype):
        scores = scores + attn_mask
    if seen is not None:
        scores = ops.where(seen, scores, -math.inf)
    return ops.softmax(scores, axis=-1), seen


def weighted_values(weights: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """weights @ v; what is not seen has no part in it, be it inf or nan."""
    return ops.matmul(weights, v) if seen is None else ops.masked_matmul(weights, v)


def _seen(scores: Tensor, attn_mask: Any, is_causal: bool) -> Tensor | None:
    """Which sources each target sees; None for all."""
    found: Tensor | None = None
    if attn_mask is not None:
        mask = as_tensor(attn_mask)
        found = mask if mask.dtype.kind == "b" else ops.not_equal(mask, -math.inf)
        try:
            fits = np.broadcast_shapes(mask.shape, scores.shape) == scores.shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                message(
                    f"a mask of shape {mask.shape}",
                    f"a shape that broadcasts to that of the scores, {scores.shape}",
                )
            )
    if is_causal:
        causal = as_tensor(np.tri(*scores.shape[-2:], dtype=bool))
        found = causal if found is None else ops.logical_and(found, causal)
    return found
