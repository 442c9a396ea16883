"""Steps of lgamma and its derivatives, for arguments of any sign.

These stand for differences in users' programs, so they have a value wherever those do. Between
positive arguments they are the differences of ``gamma_logs``, which keep their digits.
"""

from __future__ import annotations

from typing import Any

from stablegrad.ir import Term
from stablegrad.ops import gamma_kernels, gamma_logs, pairs
from stablegrad.ops.record import REAL, elementwise
from stablegrad.ops.special_gamma import digamma, polygamma

_ACCURACY = "between positive arguments as the differences, else relative to the two values"


def _polygamma_step(xp: Any, x: Any, h: Any, *, n: int) -> Any:
    x, h = xp.broadcast_arrays(xp.asarray(x, dtype=float), xp.asarray(h, dtype=float))
    value = gamma_kernels.polygamma(xp, x + h, n=n) - gamma_kernels.polygamma(xp, x, n=n)

    def positive(xp: Any, x: Any, h: Any) -> Any:
        low = xp.minimum(x, x + h)
        return xp.sign(h) * gamma_logs.polygamma_difference.kernel(xp, low, xp.abs(h), n=n)

    both = (x > 0) & (x + h > 0) & (xp.abs(h) < xp.inf)
    return pairs.redo(xp, both, value, positive, x, h)


def _after(x: Term, h: Term, n: int) -> Term:
    return digamma(x + h) if n == 0 else polygamma(x + h, n=n)


lgamma_step = elementwise(
    "lgamma_step",
    family="special",
    kernel=gamma_logs.lgamma_step_kernel,
    ball=lambda x, h: (x + h).lgamma() - x.lgamma(),
    partials=lambda out, x, h: (polygamma_step(x, h, n=0), _after(x, h, 0)),
    domain=(REAL, REAL),
    infer_facts=lambda term: REAL,
    cost=6,
    ulp=None,
    accuracy=_ACCURACY,
    source="lgamma_difference",
    doc="lgamma(x + h) - lgamma(x).",
    example=">>> sg.ops.lgamma_step(sg.tensor([2.0]), 1.0).numpy()\n"
    "array([0.6931472], dtype=float32)",
)

polygamma_step = elementwise(
    "polygamma_step",
    family="special",
    params=("n",),
    defaults=(0,),
    kernel=_polygamma_step,
    ball=lambda x, h, *, n: (x + h).polygamma(n) - x.polygamma(n),
    partials=lambda out, x, h: (
        polygamma_step(x, h, n=out.param("n") + 1),
        _after(x, h, out.param("n") + 1),
    ),
    domain=(REAL, REAL),
    infer_facts=lambda term: REAL,
    cost=7,
    ulp=None,
    accuracy=_ACCURACY,
    source="polygamma_difference",
    doc="polygamma(n, x + h) - polygamma(n, x).",
    example=">>> sg.ops.polygamma_step(sg.tensor([1.0]), 1.0).numpy()\narray([1.], dtype=float32)",
)
