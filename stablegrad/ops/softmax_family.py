"""Log-sum-exp and softmax, with derivatives that stay right where one entry dominates.

Where softmax s saturates, s - s**2 and t - sum(s*t) lose every digit. The derivatives of all
orders are built here from three bilinear ops, each other's derivatives and transposes:

    log_softmax_jvp  A(x, t) = t - sum(s*t)
    softmax_jvp      B(x, t) = s * A(x, t)           symmetric: its own transpose
    log_softmax_vjp  C(x, g) = g - s*sum(g)          the transpose of A

They are evaluated around the greatest entry p: A(x, t) has t - t[p] in place of t, so that the
term of weight close to 1 is exactly 0, and C has the sum of the other weights for 1 - s[p].
A row of -inf throughout (fully masked) has softmax 0 and derivatives 0, by convention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops import softmax_kernels
from stablegrad.ops.dtypes import real_dtype
from stablegrad.ops.reduction import (
    REDUCES,
    Axis,
    count,
    normal_axes_of,
    normal_reduction,
    reduce_infer,
    spread,
)
from stablegrad.ops.structured import Terms, structured, sum_of

SOURCE = "Blanchard, Higham and Higham 2021"
ACCURACY = "n*eps relative to the sum of absolute terms"


# -- derivatives --------------------------------------------------------------------------


def _total(term: Term, axis: Axis) -> Term:
    """The sum over the axes, repeated along them."""
    return spread(OPS["sum"](term, axis=axis), term.shape, axis)


def _logsumexp_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis, keepdims: bool
) -> Term:
    weighted = softmax(args[0], axis=axis) * tangents[0]
    return OPS["sum"](weighted, axis=axis, keepdims=keepdims)


def _logsumexp_vjp(out: Term, args: Terms, g: Term, *, axis: Axis, keepdims: bool) -> Terms:
    (x,) = args
    return (spread(g, x.shape, axis) * softmax(x, axis=axis),)


def _bilinear_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: Axis) -> Term:
    """The tangent of A, B and C: linear in the second argument, below in the first."""
    x, g = args
    tx, tg = tangents
    parts: list[Term] = []
    if tg is not None:
        parts.append(out.op.term((x, tg), out.params))
    if tx is not None:
        if out.op is softmax_jvp:
            both = log_softmax_jvp(x, g, axis=axis) * log_softmax_jvp(x, tx, axis=axis)
            parts.append(softmax_jvp(x, both, axis=axis))
        elif out.op is log_softmax_jvp:
            centred = log_softmax_jvp(x, g, axis=axis)
            parts.append(-_total(softmax_jvp(x, tx, axis=axis) * centred, axis))
        else:
            parts.append(-softmax_jvp(x, tx, axis=axis) * _total(g, axis))
    return sum_of(parts)


def _softmax_jvp_vjp(out: Term, args: Terms, c: Term, *, axis: Axis) -> Terms:
    x, g = args
    both = log_softmax_jvp(x, g, axis=axis) * log_softmax_jvp(x, c, axis=axis)
    return softmax_jvp(x, both, axis=axis), softmax_jvp(x, c, axis=axis)


def _log_softmax_jvp_vjp(out: Term, args: Terms, c: Term, *, axis: Axis) -> Terms:
    x, t = args
    return -_total(c, axis) * softmax_jvp(x, t, axis=axis), log_softmax_vjp(x, c, axis=axis)


def _log_softmax_vjp_vjp(out: Term, args: Terms, c: Term, *, axis: Axis) -> Terms:
    x, g = args
    return -_total(g, axis) * softmax_jvp(x, c, axis=axis), log_softmax_jvp(x, c, axis=axis)


# -- facts --------------------------------------------------------------------------------


def _logsumexp_facts(term: Term) -> Facts:
    (x,) = term.args
    n = count(x.shape, term.params[0])
    if n == 0:
        return Facts()
    facts = x.facts
    hi = math.nextafter(facts.hi + math.log(n) * (1 + 1e-15), math.inf) if n > 1 else facts.hi
    return facts._replace(lo_open=facts.lo_open or n > 1, hi=hi)


def _softmax_facts(term: Term) -> Facts:
    (x,) = term.args
    several = count(x.shape, term.params[0]) > 1
    return Facts(0.0, 1.0, True, several, x.facts.defined)


def _log_softmax_facts(term: Term) -> Facts:
    (x,) = term.args
    several = count(x.shape, term.params[0]) > 1
    return Facts(hi=0.0, hi_open=several, defined=x.facts.defined)


# -- records ------------------------------------------------------------------------------


def _keeps_infer(args: Terms, params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return args[0].shape, real_dtype(args[0].dtype)


def _weights(x: Term, axis: Axis) -> Term:
    """Softmax by its meaning."""
    exp = OPS["exp"](x)
    return exp / OPS["sum"](exp, axis=axis, keepdims=True)


def _mean(x: Term, t: Term, axis: Axis) -> Term:
    return OPS["sum"](_weights(x, axis) * t, axis=axis, keepdims=True)


_REDUCES: dict[str, Any] = {**REDUCES, "source": SOURCE, "widens": True}

logsumexp = structured(
    "logsumexp",
    normalise=normal_reduction("logsumexp"),
    infer=reduce_infer(real_dtype),
    kernel=softmax_kernels.logsumexp,
    spellings=(
        lambda x, *, axis, keepdims: OPS["log"](
            OPS["sum"](OPS["exp"](x), axis=axis, keepdims=keepdims)
        ),
    ),
    jvp=_logsumexp_jvp,
    vjp=_logsumexp_vjp,
    infer_facts=_logsumexp_facts,
    cost=6,
    ulp=None,
    accuracy="(n + 3)*eps relative to |greatest entry| + log(n); 4 ulp where these do not cancel",
    aten="logsumexp",
    doc="log(sum(exp(x))) over axes, all by default; -inf where every entry is.",
    example=">>> sg.ops.logsumexp(sg.tensor([-800.0, -805.0])).item()\n-799.99328...",
    **_REDUCES,
)

_KEEPS: dict[str, Any] = {
    "family": "reduction",
    "params": ("axis",),
    "defaults": (-1,),
    "infer": _keeps_infer,
    "cost": 6,
    "ulp": None,
    "widens": True,
    "accuracy": ACCURACY,
    "source": SOURCE,
}

softmax = structured(
    "softmax",
    normalise=normal_axes_of("softmax"),
    kernel=softmax_kernels.softmax,
    spellings=(lambda x, *, axis: _weights(x, axis),),
    jvp=lambda out, args, tangents, *, axis: softmax_jvp(args[0], tangents[0], axis=axis),
    vjp=lambda out, args, g, *, axis: (softmax_jvp(args[0], g, axis=axis),),
    infer_facts=_softmax_facts,
    aten="softmax",
    doc="exp(x) / sum(exp(x)) over axes, the last by default; 0 where every entry is -inf.",
    example=">>> sg.ops.softmax(sg.tensor([1e9, 1e9])).numpy()\narray([0.5, 0.5], dtype=float32)",
    **_KEEPS,
)

log_softmax = structured(
    "log_softmax",
    normalise=normal_axes_of("log_softmax"),
    kernel=softmax_kernels.log_softmax,
    spellings=(
        lambda x, *, axis: x - OPS["log"](OPS["sum"](OPS["exp"](x), axis=axis, keepdims=True)),
    ),
    jvp=lambda out, args, tangents, *, axis: log_softmax_jvp(args[0], tangents[0], axis=axis),
    vjp=lambda out, args, g, *, axis: (log_softmax_vjp(args[0], g, axis=axis),),
    infer_facts=_log_softmax_facts,
    aten="log_softmax",
    doc="log(softmax(x)) over axes, the last by default, also where one entry dominates.",
    example=(
        ">>> sg.ops.log_softmax(sg.tensor([0.0, -200.0])).numpy()\n"
        "array([  -0., -200.], dtype=float32)"
    ),
    **_KEEPS,
)

softmax_jvp = structured(
    "softmax_jvp",
    normalise=normal_axes_of("softmax_jvp"),
    kernel=softmax_kernels.softmax_jvp,
    spellings=(lambda x, t, *, axis: _weights(x, axis) * (t - _mean(x, t, axis)),),
    jvp=_bilinear_jvp,
    vjp=_softmax_jvp_vjp,
    doc="s * (t - sum(s*t)) with s = softmax(x): the derivative of softmax along t.",
    example=(
        ">>> x, t = sg.tensor([40.0, 0.0]), sg.tensor([1.0, 0.0])\n"
        ">>> sg.ops.softmax_jvp(x, t).numpy()\n"
        "array([ 4.248354e-18, -4.248354e-18], dtype=float32)"
    ),
    **_KEEPS,
)

log_softmax_jvp = structured(
    "log_softmax_jvp",
    normalise=normal_axes_of("log_softmax_jvp"),
    kernel=softmax_kernels.log_softmax_jvp,
    spellings=(lambda x, t, *, axis: t - _mean(x, t, axis),),
    jvp=_bilinear_jvp,
    vjp=_log_softmax_jvp_vjp,
    doc="t - sum(softmax(x)*t): the derivative of log_softmax along t.",
    example=(
        ">>> x, t = sg.tensor([40.0, 0.0]), sg.tensor([1.0, 0.0])\n"
        ">>> sg.ops.log_softmax_jvp(x, t).numpy()\n"
        "array([ 4.248354e-18, -1.000000e+00], dtype=float32)"
    ),
    **_KEEPS,
)

log_softmax_vjp = structured(
    "log_softmax_vjp",
    normalise=normal_axes_of("log_softmax_vjp"),
    kernel=softmax_kernels.log_softmax_vjp,
    spellings=(
        lambda x, g, *, axis: g - _weights(x, axis) * OPS["sum"](g, axis=axis, keepdims=True),
    ),
    jvp=_bilinear_jvp,
    vjp=_log_softmax_vjp_vjp,
    doc="g - softmax(x)*sum(g): the transposed derivative of log_softmax.",
    example=(
        ">>> x, g = sg.tensor([40.0, 0.0]), sg.tensor([1.0, 0.0])\n"
        ">>> sg.ops.log_softmax_vjp(x, g).numpy()\n"
        "array([ 4.248354e-18, -4.248354e-18], dtype=float32)"
    ),
    **_KEEPS,
)
