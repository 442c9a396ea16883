"""The exponential of square matrices, with derivatives of every order from block matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg

from stablegrad.ir import Term
from stablegrad.ops.determinants import same_shapes
from stablegrad.ops.matrix_kernels import balanced, scale, usable
from stablegrad.ops.reduction import real_infer, widened
from stablegrad.ops.solving import LINALG, flipped
from stablegrad.ops.structured import Terms, structured, sum_of


def _kernel(xp: Any, a: Any, *es: Any) -> Any:
    """The upper right block of exp of [[X, I*e], [0, X]], X that of one direction less."""
    n = a.shape[-1]
    block, bad = usable(widened(xp, a), np.zeros((n, n)))
    total = np.zeros((*block.shape[:-2], 1, 1), np.int64)
    for e in es:
        y, wrong = usable(widened(xp, e), np.zeros((n, n)))
        y, shift = balanced(y, np.zeros((), np.int64), (-2, -1))
        total = total + shift
        bad = bad | wrong
        copies = block.shape[-1] // n
        right = np.zeros(block.shape)
        for i in range(copies):
            right[..., i * n : (i + 1) * n, i * n : (i + 1) * n] = y
        zero = np.zeros(block.shape)
        top = np.concatenate([block, right], axis=-1)
        block = np.concatenate([top, np.concatenate([zero, block], axis=-1)], axis=-2)
    out = np.empty(block.shape)
    for place in np.ndindex(*block.shape[:-2]):
        out[place] = scipy.linalg.expm(block[place])
    return np.where(bad, np.nan, scale(out[..., :n, -n:], total))


def _jvp(out: Term, args: Terms, tangents: Sequence[Term | None]) -> Term:
    a, *es = args
    parts = [] if tangents[0] is None else [expm(*args, tangents[0])]
    for i, t in enumerate(tangents[1:]):
        if t is not None:
            parts.append(expm(a, *es[:i], t, *es[i + 1 :]))
    return sum_of(parts)


def _vjp(out: Term, args: Terms, g: Term) -> Terms:
    """The trace of g.T times the result is symmetric in the directions and g.T."""
    a, *es = args
    turned = flipped(g)
    others = [flipped(expm(a, *es[:i], turned, *es[i + 1 :])) for i in range(len(es))]
    return flipped(expm(*args, turned)), *others


expm = structured(
    "expm",
    normalise=same_shapes("expm"),
    infer=real_infer,
    kernel=_kernel,
    jvp=_jvp,
    vjp=_vjp,
    cost=10,
    accuracy="n*eps*norm(a) relative to exp(norm(a)) and the norms of directions",
    source="SciPy's scaling and squaring (Al-Mohy and Higham 2009); derivatives from block "
    "matrices (Najfeld and Havel 1995; Mathias 1996)",
    aten="linalg_matrix_exp",
    doc="The matrix exponential, or its mixed derivative along matrices e, e, ...",
    example=">>> sg.ops.expm(sg.tensor([[0.0, 1.0], [0.0, 0.0]])).numpy()\n"
    "array([[1., 1.],\n       [0., 1.]], dtype=float32)",
    **LINALG,
)
