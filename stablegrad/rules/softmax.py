"""Log-sum-exp and softmax: naive spellings over an axis become the ops."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.exact import exact_ratio
from stablegrad.rules.databases import stabilize


def _axes(axis: object, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,))))  # type: ignore[operator]


def _sum_of_exp(term: Term) -> Term | None:
    """The argument of the exponential under a plain sum, if that is what the term is."""
    if term.op.name == "sum" and term.args[0].op.name == "exp":
        return term.args[0].args[0]
    return None


def restored(term: Term) -> Term:
    """What stands below broadcasts, reshapes and inserted axes, which restore reduced axes."""
    while term.op.name in ("broadcast_to", "expand_dims", "reshape"):
        term = term.args[0]
    return term


@stabilize.procedure(
    "log",
    example=lambda x: OPS["log"](OPS["sum"](OPS["exp"](x), axis=-1, keepdims=True)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log_sum_exp(term: Term) -> Term | None:
    """log(sum(exp(x))) overflows for large x and is -inf for very negative ones."""
    return _log_of(term, "sum")


def _log_of(term: Term, name: str) -> Term | None:
    """The log of a positive multiple of a sum or mean of exponentials, all by one constant."""
    c, inner = forms.split(term.args[0])
    if inner.op.name != name:
        return None
    k, exponential = forms.split(inner.args[0])
    if exponential.op.name != "exp" or c * k <= 0:
        return None
    factor = Fraction(c) * Fraction(k)
    if name == "mean":
        factor /= max(1, inner.args[0].size // max(1, inner.size))
    x = forms.with_shape(exponential.args[0], inner.args[0].shape)
    result = OPS["logsumexp"](x, axis=inner.param("axis"), keepdims=inner.param("keepdims"))
    if factor == 1:
        return result
    constant = forms.const(exact_ratio(factor), term.dtype)
    return forms.total([(1, result), (1, OPS["log"](constant))], term.shape, term.dtype)


@stabilize.procedure(
    "log",
    example=lambda x: OPS["log"](OPS["mean"](OPS["exp"](x), axis=-1, keepdims=True)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log_mean_exp(term: Term) -> Term | None:
    """log(mean(exp(x))) is logsumexp(x) - log(n)."""
    return _log_of(term, "mean")


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["exp"](x) / OPS["sum"](OPS["exp"](x), axis=-1, keepdims=True),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("exp",),
)
def softmax_of_ratio(term: Term) -> Term | None:
    """exp(x) / sum(exp(x)) overflows for large x; a common shift of x cancels."""
    factors = forms.factors(term)
    top = next((t for t, p in factors.items() if t.op.name == "exp"), None)
    if top is None:
        return None
    for below, p in factors.items():
        total = restored(below)
        argument = _sum_of_exp(total)
        if p != -1 or argument is None:
            continue
        if argument is not top.args[0] or len(_axes(total.param("axis"), argument.ndim)) > 1:
            continue
        kept = total.param("keepdims") or argument.ndim == 1 or total.size == 1
        if not (kept or below is not total) or below.ndim not in (0, argument.ndim):
            continue
        (axis,) = _axes(total.param("axis"), argument.ndim) or (0,)
        rest = {t: q for t, q in factors.items() if t is not top and t is not below}
        result = OPS["softmax"](argument, axis=axis)
        others = forms.monomial(rest, None, term.dtype)
        return forms.with_shape(forms.product([result, others]), term.shape)
    return None


@stabilize.procedure(
    "log",
    example=lambda x: OPS["log"](OPS["softmax"](x, axis=-1)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log_of_softmax(term: Term) -> Term | None:
    """log(softmax(x)) is -inf where softmax underflows; also through indexing and reshaping."""
    chain: list[Term] = []
    inner = term.args[0]
    while inner.op.name in ("getitem", "take", "take_along_axis", "reshape", "transpose"):
        chain.append(inner)
        inner = inner.args[0]
    if inner.op.name != "softmax":
        return None
    result = OPS["log_softmax"](inner.args[0], axis=inner.param("axis"))
    for outer in reversed(chain):
        args = (result, *outer.args[1:])
        result = make(outer.op, args, outer.params, outer.shape, outer.dtype)
    return result


@stabilize.procedure(
    "affine",
    example=lambda x: x - OPS["logsumexp"](x, axis=-1, keepdims=True),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("logsumexp", "broadcast_to", "reshape"),
)
def shifted_by_logsumexp(term: Term) -> Term | None:
    """x - logsumexp(x) cancels where one entry dominates."""
    constant, coefficients = term.params
    if constant != 0 or len(term.args) != 2 or sorted(coefficients) != [-1, 1]:
        return None
    x, below = (
        t
        for _, t in sorted(
            zip(coefficients, term.args, strict=True), reverse=True, key=lambda p: p[0]
        )
    )
    total = restored(below)
    if total.op.name != "logsumexp" or total.args[0] is not x:
        return None
    axes = _axes(total.param("axis"), x.ndim)
    if len(axes) != 1 or not (total.param("keepdims") or x.ndim == 1 or below is not total):
        return None
    return forms.with_shape(OPS["log_softmax"](x, axis=axes[0]), term.shape)


@stabilize.procedure(
    "exp",
    example=lambda x: OPS["exp"](OPS["log_softmax"](x, axis=-1)),
    source="definition",
    group="softmax",
)
def exp_of_log_softmax(term: Term) -> Term | None:
    """exp undoes the log of log_softmax."""
    (x,) = term.args
    return OPS["softmax"](x.args[0], axis=x.param("axis")) if x.op.name == "log_softmax" else None
