"""The matrix product under a mask: what a zero of the first factor meets has no part in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.ops import linalg
from stablegrad.ops.shape import expand_dims, swapaxes, unbroadcast
from stablegrad.ops.structured import Terms, is_symbolic, structured, sum_of


def _kernel(xp: Any, a: Any, b: Any) -> Any:
    a, b = linalg.working(xp, a, b)
    if not is_symbolic(xp):
        out = np.matmul(a, b)
        # a finite sum has finite parts only, and is had without an array of answers
        if np.isfinite(out.sum()) or np.isfinite(out).all():
            return out
    finite = xp.isfinite(b)
    out = xp.matmul(a, xp.where(finite, b, xp.zeros((), b.dtype)))
    up, down = a > 0, a < 0
    rises = xp.matmul(up, b == np.inf) | xp.matmul(down, b == -np.inf)
    falls = xp.matmul(up, b == -np.inf) | xp.matmul(down, b == np.inf)
    undefined = xp.matmul(a != 0, xp.isnan(b)) | (rises & falls)
    out = xp.where(rises, out + np.inf, xp.where(falls, out - np.inf, out))
    return xp.where(undefined, xp.nan, out)


def _jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **_: Any) -> Term:
    a, b = args
    ta, tb = tangents
    parts = [] if ta is None else [masked_matmul(ta, b)]
    return sum_of(parts if tb is None else [*parts, masked_matmul(a, tb)])


def _vjp(out: Term, args: Terms, g: Term, **_: Any) -> Terms:
    a, b = args
    rows = expand_dims(a, 0) if a.ndim == 1 else a
    columns = expand_dims(b, 1) if b.ndim == 1 else b
    if b.ndim == 1:
        g = expand_dims(g, -1)
    if a.ndim == 1:
        g = expand_dims(g, -2)
    ga = unbroadcast(linalg.moving_product(g, swapaxes(columns, -1, -2)), rows.shape)
    gb = unbroadcast(masked_matmul(swapaxes(rows, -1, -2), g), columns.shape)
    return OPS["reshape"](ga, shape=a.shape), OPS["reshape"](gb, shape=b.shape)


_MATMUL = OPS["matmul"]

masked_matmul = structured(
    "masked_matmul",
    family="linalg",
    infer=_MATMUL.infer,
    kernel=_kernel,
    spellings=(OPS["matmul"],),
    jvp=_jvp,
    vjp=_vjp,
    infer_facts=linalg.product_facts,
    support=_MATMUL.support,
    ulp=None,
    accuracy=linalg.PRODUCT_BOUND,
    cost=4,
    source="definition",
    doc="The matrix product, in which a zero of the first factor blocks even inf and nan.",
    example=(
        ">>> a, b = sg.tensor([[0.0, 2.0]]), sg.tensor([[np.nan], [3.0]])\n"
        ">>> sg.ops.masked_matmul(a, b).numpy()\narray([[6.]], dtype=float32)"
    ),
)
