"""Long kernels that a program calls several times, called once on all arguments together.

XLA compiles each call anew, for half a second where the kernel is of hundreds of operations: the
slopes of a beta density have three of ``digamma``. Stacking costs little beside what they do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from stablegrad.ir import Term

LONG = frozenset(
    "digamma lgamma polygamma erfcinv erfcinv_slope erfcinv_bend exp1 cosine_integral "
    "log_ndtr log_ndtr_difference ndtr_gap erf_gap dawsn dawsn_derivative erfi bessel_i "
    "i0 i0e i1 i1e pow1p powm1 pow1pm1 ndtri_exp_slope".split()
)
"""Ops of kernels so long that calling them once is worth the copies."""

SUM = "rational_sum"
"""Sums of products and quotients: not stacked, but what NumPy redoes of them goes there at once."""


def gathered(
    order: Sequence[Term], alone: Collection[Term]
) -> tuple[list[Term], dict[Term, list[Term]]]:
    """An order in which long kernels of one kind follow each other, and these groups.

    Args:
        order: a topological order.
        alone: terms that are not computed by the kernel of their op.

    Returns:
        Another topological order, the same where nothing can be gathered; and by its first
        member each group of terms that one call can compute.
    """
    chosen = {t for t in order if _is_long(t) and t not in alone}
    level: dict[Term, int] = {}
    groups: dict[Any, list[Term]] = {}
    for t in order:
        level[t] = max([level[a] + (a in chosen) for a in t.args], default=0)
        if t in chosen:
            kinds = None if t.op.name == SUM else (t.params, *[a.dtype for a in t.args])
            groups.setdefault((level[t], t.op, t.shape, t.dtype, kinds), []).append(t)
    found = {g[0]: g for g in groups.values() if len(g) > 1 or g[0].op.name == SUM}
    if not found:
        return list(order), {}
    return sorted(order, key=lambda t: (level[t], t in chosen)), found


def _is_long(t: Term) -> bool:
    if t.op.name == SUM:
        return t.dtype == np.float64
    return t.op.name in LONG and t.shape != () and all(a.shape == t.shape for a in t.args)
