"""Whether what a node loses is felt by a result: log(s) next to 0 is not in y*log(s) at y = 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.audit.forward import ForwardBlame
from stablegrad.audit.lines import Loss
from stablegrad.audit.measure import judge
from stablegrad.audit.program import run, stripped
from stablegrad.audit.truths import Known
from stablegrad.ir import Term
from stablegrad.ops.record import is_float
from stablegrad.oracle.errors import RIGHT_ULP

Array = np.ndarray[Any, Any]

FAR = 2.0**-10
"""By what part of its arguments a node is moved to see how results follow."""


def harms(loss: Loss, results: Sequence[tuple[Term, Known]], blame: ForwardBlame) -> bool:
    """Whether what a node loses makes wrong elements of results wrong, by itself.

    The node is moved in proportion to what it loses, as far as its arguments are great, so that
    no rounding further on hides how results follow.

    Args:
        loss: what a node loses; taken for harm unless it is one of the program as written, of a
            value in range.
        results: naive terms of results, and their truth.
        blame: the right values of nodes.
    """
    known = blame.known.get(loss.term)
    if loss.backward or loss.term in blame.derived or known is None or known.weak.any():
        return True
    plain = stripped([t for t, _ in results])
    naive = run([*plain, loss.term], dict(blame.bindings))
    own = naive[loss.term]
    sizes = [np.abs(blame.right(a)) for a in loss.term.args if is_float(a.dtype)]
    with np.errstate(all="ignore"):
        lost = blame.right(loss.term) - own
        reach = FAR * max([float(np.max(v, initial=0.0)) for v in [np.abs(own), *sizes]])
        times = max(1.0, reach / float(np.max(np.abs(lost), initial=0.0)))
        further = (own + times * lost).astype(own.dtype)
    if not np.isfinite(further).all():
        return True
    moved = run(plain, {**blame.bindings, loss.term: further})
    pairs = zip(plain, results, strict=True)
    return any(_felt(naive[t], moved[t], k, times) for t, (_, k) in pairs)


def _felt(naive: Array, moved: Array, known: Known, times: float) -> bool:
    wrong = judge(naive, known.value, judged=known.decided).bad
    before, after = (v.astype(np.float64)[wrong] for v in (naive, moved))
    allowed = RIGHT_ULP * ml_dtypes.finfo(naive.dtype).eps * np.abs(known.value[wrong])
    with np.errstate(all="ignore"):
        share = np.abs(after - before) / times
        small = share <= np.asarray(allowed, np.float64) / 2
    return not (small | (before == after) | (np.isnan(before) & np.isnan(after))).all()
