"""The divergence of one softmax from another, right also where they are near.

    softmax_divergence  D(a, b) = sum(p*log(p/q)), p = softmax(a), q = softmax(b)
    softmax_gap         G(a, b) = q - p, the slope of D by b

The slope by a is p*(a - b - sum(p*(a - b))), which is softmax_jvp(a, a - b).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops import divergence_kernels
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.reduction import (
    REDUCES,
    Axis,
    normal_axes_of,
    normal_reduction,
    reduce_infer,
    spread,
)
from stablegrad.ops.softmax_family import log_softmax, softmax, softmax_jvp
from stablegrad.ops.structured import Params, Terms, structured, sum_of

_SOURCE = "log(sum(p*exp(-d))) of centred differences d of logits"


def _of_two(normalise: Any, name: str) -> Any:
    """The normal form of parameters, for two arrays that are brought to one shape."""

    def normal(terms: Terms, params: Params) -> Any:
        shape = OPS["add"](*terms).shape
        both = [t if t.shape == shape else OPS["broadcast_to"](t, shape=shape) for t in terms]
        return normalise(tuple(both), params)

    return normal


def _slopes(args: Terms, axis: Axis) -> Terms:
    a, b = args
    return softmax_jvp(a, a - b, axis=axis), softmax_gap(a, b, axis=axis)


def _divergence_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis, keepdims: bool
) -> Term:
    slopes = _slopes(args, axis)
    parts = [s * t for s, t in zip(slopes, tangents, strict=True) if t is not None]
    return OPS["sum"](sum_of(parts), axis=axis, keepdims=keepdims)


def _divergence_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    seed = spread(g, args[0].shape, axis)
    return tuple([seed * s for s in _slopes(args, axis)])


def _gap_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis) -> Term:
    signs = (-1, 1)
    parts = [
        sign * softmax_jvp(x, t, axis=axis)
        for sign, x, t in zip(signs, args, tangents, strict=True)
        if t is not None
    ]
    return sum_of(parts)


def _gap_vjp(out: Term, args: Terms, g: Term, *, axis: Axis) -> Terms:
    a, b = args
    return -softmax_jvp(a, g, axis=axis), softmax_jvp(b, g, axis=axis)


def _divergence(a: Term, b: Term, *, axis: Axis, keepdims: bool) -> Term:
    """The divergence by its meaning; what has no weight has no part."""
    logs = log_softmax(a, axis=axis)
    whole = softmax(a, axis=axis) * (logs - log_softmax(b, axis=axis))
    held = OPS["where"](OPS["equal"](a, -float("inf")), 0.0, whole)
    return OPS["sum"](held, axis=axis, keepdims=keepdims)


def _gap_infer(args: Terms, params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return args[0].shape, real_dtype(args[0].dtype)


def _gap_facts(term: Term) -> Facts:
    return Facts(-1.0, 1.0, defined=all(x.facts.defined for x in term.args))


_ACCURACY = "n*eps relative to the sum of absolute terms, and what a - b loses"

_REDUCES: dict[str, Any] = {**REDUCES, "source": _SOURCE, "widens": True}

softmax_divergence = structured(
    "softmax_divergence",
    normalise=_of_two(normal_reduction("softmax_divergence"), "softmax_divergence"),
    infer=reduce_infer(real_dtype),
    kernel=divergence_kernels.softmax_divergence,
    spellings=(_divergence,),
    jvp=_divergence_jvp,
    vjp=_divergence_vjp,
    infer_facts=lambda term: Facts(lo=0.0),
    cost=9,
    ulp=None,
    accuracy=_ACCURACY,
    doc=(
        "sum(p*log(p/q)) with p = softmax(a), q = softmax(b): the Kullback-Leibler divergence; "
        "entries where a is -inf have no part, it is infinite where only b is -inf."
    ),
    example=(
        ">>> a, b = sg.tensor([0.0, 0.0]), sg.tensor([0.0, 1e-6])\n"
        ">>> sg.ops.softmax_divergence(a, b).item()\n1.249999...e-13"
    ),
    **_REDUCES,
)

softmax_gap = structured(
    "softmax_gap",
    normalise=_of_two(normal_axes_of("softmax_gap"), "softmax_gap"),
    infer=_gap_infer,
    kernel=divergence_kernels.softmax_gap,
    spellings=(lambda a, b, *, axis: softmax(b, axis=axis) - softmax(a, axis=axis),),
    jvp=_gap_jvp,
    vjp=_gap_vjp,
    infer_facts=_gap_facts,
    family="reduction",
    params=("axis",),
    defaults=(-1,),
    cost=12,
    ulp=None,
    widens=True,
    accuracy=_ACCURACY,
    source=_SOURCE,
    doc="softmax(b) - softmax(a), also where a and b are near: the slope of softmax_divergence.",
    example=(
        ">>> sg.ops.softmax_gap(sg.tensor([0.0, 0.0]), sg.tensor([0.0, 4e-8])).numpy()\n"
        "array([-1.e-08,  1.e-08], dtype=float32)"
    ),
)
