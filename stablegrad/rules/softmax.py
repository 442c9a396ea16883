"""Log-sum-exp and softmax: naive spellings over an axis become the ops."""

from __future__ import annotations

import math
from fractions import Fraction

from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.exact import exact_ratio
from stablegrad.ops.record import is_const
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import addends, other_addends, parts_of


def axes_of(axis: object, ndim: int) -> tuple[int, ...]:
    """The axes that a parameter names, from 0 on."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,))))  # type: ignore[operator]


def exponents_summed(term: Term) -> Term | None:
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
        argument = exponents_summed(total)
        if p != -1 or argument is None:
            continue
        if argument is not top.args[0] or len(axes_of(total.param("axis"), argument.ndim)) > 1:
            continue
        kept = total.param("keepdims") or argument.ndim == 1 or total.size == 1
        if not (kept or below is not total) or below.ndim not in (0, argument.ndim):
            continue
        (axis,) = axes_of(total.param("axis"), argument.ndim) or (0,)
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
    inner, chain = entries(term.args[0])
    if inner.op.name != "softmax":
        return None
    return picked(OPS["log_softmax"](inner.args[0], axis=inner.param("axis")), chain)


def entries(term: Term) -> tuple[Term, list[Term]]:
    """What entries are taken from, and the ops that take and move them, the outer ones first."""
    chain: list[Term] = []
    while term.op.name in ("getitem", "take", "take_along_axis", "reshape", "transpose"):
        chain.append(term)
        term = term.args[0]
    return term, chain


def picked(whole: Term, chain: list[Term]) -> Term:
    """The entries of another array that a chain takes."""
    for outer in reversed(chain):
        args = (whole, *outer.args[1:])
        whole = make(outer.op, args, outer.params, outer.shape, outer.dtype)
    return whole


@stabilize.procedure(
    "affine",
    example=lambda x: x - OPS["logsumexp"](x, axis=-1, keepdims=True),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("logsumexp", "broadcast_to", "reshape"),
)
def shifted_by_logsumexp(term: Term) -> Term | None:
    """x - logsumexp(x) cancels where one entry dominates; also where x is a sum, or is two."""
    left = dict(zip(term.args, term.params[1], strict=True))
    found: list[tuple[forms.Rational, Term]] = []
    for c, below in zip(term.params[1], term.args, strict=True):
        total = restored(below)
        if total.op.name != "logsumexp":
            continue
        (x,), axes = total.args, axes_of(total.param("axis"), total.args[0].ndim)
        own = {x: 1} if x in left or x.op is not forms.AFFINE else parts_of(x)
        if len(axes) != 1 or own is None or any(left.get(t) != -c * d for t, d in own.items()):
            continue
        if total.param("keepdims") or x.ndim == 1 or below is not total:
            left = {t: d for t, d in left.items() if t is not below and t not in own}
            found.append((-c, OPS["log_softmax"](x, axis=axes[0])))
    if not found or left or term.params[0] != 0:
        return None
    return forms.with_shape(forms.total(found, term.shape, term.dtype), term.shape)


@stabilize.procedure(
    "affine",
    example=lambda x: (
        OPS["logsumexp"](x, axis=-1)
        - OPS["getitem"](x, index=(*[("slice", 0, n, 1) for n in x.shape[:-1]], 0))
    ),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("logsumexp",),
)
def entry_less_logsumexp(term: Term) -> Term | None:
    """logsumexp(x) - x[i], the loss of a class, cancels where the entry dominates."""
    parts = list(zip(term.params[1], term.args, strict=True))
    for c, total in parts:
        whole = restored(total)
        if whole.op.name != "logsumexp":
            continue
        (x,) = whole.args
        axes = axes_of(whole.param("axis"), x.ndim)
        for d, entry in parts:
            if d != -c or len(axes) != 1 or total.shape != entry.shape:
                continue
            inner, chain = entries(entry)
            if inner is x and one_of_each_row(entry, chain, axes[0], whole):
                loss = picked(OPS["log_softmax"](x, axis=axes[0]), chain)
                rest = other_addends(term, total, entry)
                return forms.total([(d, loss), *rest], term.shape, term.dtype)
    return None


def one_of_each_row(entry: Term, chain: list[Term], axis: int, whole: Term) -> bool:
    """Whether the entries are one of each row that is summed, in the order of the rows."""
    if not chain or chain[-1].op.name not in ("getitem", "take_along_axis"):
        return False
    taken = chain[-1]
    if any(math.prod(t.shape) != math.prod(taken.shape) or t.op.name == "transpose" for t in chain):
        return False
    rows = tuple([n for k, n in enumerate(whole.args[0].shape) if k != axis])
    if tuple([n for n in entry.shape if n != 1]) != tuple([n for n in rows if n != 1]):
        return False
    if taken.op.name == "take_along_axis":
        return taken.param("axis") % whole.args[0].ndim == axis
    index = taken.param("index")
    if len(index) <= axis or not isinstance(index[axis], int):
        return False
    return all(
        isinstance(i, tuple) and i == ("slice", 0, n, 1)
        for k, (i, n) in enumerate(zip(index, whole.args[0].shape, strict=False))
        if k != axis
    )


@stabilize.procedure(
    "softmax",
    "log_softmax",
    example=lambda x: OPS["softmax"](x - OPS["max"](x, axis=-1, keepdims=True), axis=-1),
    source="softmax(x) = softmax(x - c)",
    group="softmax",
    among=("affine",),
)
def softmax_of_shifted(term: Term) -> Term | None:
    """softmax(x - max(x)) rounds the difference, which softmax itself does not.

    A sum stays: (a + b) - max(a + b) is rounded once, a + b has been before it is shifted.
    """
    found = _less_its_greatest(term.args[0])
    if found is None or addends(found[0]) > 1:
        return None
    return term.op.term((found[0],), term.params)


@stabilize.procedure(
    "affine",
    example=lambda x: (
        OPS["logsumexp"](x - OPS["max"](x, axis=-1, keepdims=True), axis=-1, keepdims=True)
        + OPS["max"](x, axis=-1, keepdims=True)
    ),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("logsumexp",),
)
def logsumexp_of_shifted(term: Term) -> Term | None:
    """logsumexp(x - max(x)) + max(x) is what logsumexp(x) does, with a rounding less."""
    parts = list(zip(term.params[1], term.args, strict=True))
    for k, total in parts:
        inner = restored(total)
        found = _less_its_greatest(inner.args[0]) if inner.op.name == "logsumexp" else None
        if found is None:
            continue
        x, shift = found
        for c, y in parts:
            if c == k and y is not total and restored(_held(y)) is restored(_held(shift)):
                whole = inner.op.term((x,), inner.params)
                whole = whole if total is inner else _as(whole, total)
                rest = other_addends(term, total, y)
                return forms.total([(k, whole), *rest], term.shape, term.dtype)
    return None


def _as(whole: Term, like: Term) -> Term:
    """A term with the reshapes and broadcasts of another on it."""
    steps = []
    while like.op.name in ("broadcast_to", "expand_dims", "reshape"):
        steps.append(like)
        like = like.args[0]
    for step in reversed(steps):
        whole = make(step.op, (whole,), step.params, step.shape, whole.dtype)
    return whole


def _held(term: Term) -> Term:
    """A term under ``stop_gradient`` and what only restores reduced axes."""
    while term.op.name in ("stop_gradient", "broadcast_to", "expand_dims", "reshape"):
        term = term.args[0]
    return term


def _less_its_greatest(z: Term) -> tuple[Term, Term] | None:
    """x and max(x) of x - max(x), however the second is guarded against infinities."""
    if z.op is not forms.AFFINE:
        return None
    parts = list(zip(z.params[1], z.args, strict=True))
    for c, shift in parts:
        top = _greatest(_held(shift))
        if c != -1 or top is None:
            continue
        rest = [(d, t) for d, t in parts if t is not shift]
        if z.params[0] != 0:
            rest.append((1, forms.const(z.params[0], z.dtype)))
        x = forms.total(rest, z.shape, z.dtype)
        if top.args[0] is x:
            return x, shift
    return None


def _greatest(term: Term) -> Term | None:
    """The maximum in max(x), max(-inf, max(x)) or max(x) where that is finite, else 0."""
    if term.op.name == "where":
        condition, value, other = term.args
        finite = condition.op.name == "isfinite" and condition.args[0] is value
        if not finite or not is_const(other, 0):
            return None
        term = value
    if term.op.name == "maximum":
        rest = [a for a in term.args if not is_const(a, "-inf")]
        term = rest[0] if len(rest) == 1 else term
    return term if term.op.name == "max" else None


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


@stabilize.procedure(
    "getitem",
    example=lambda x: OPS["getitem"](OPS["exp"](x), index=(0,)),
    source="an entry of f(x) is f of the entry",
    group="softmax",
    among=("exp",),
)
def entry_of_exponentials(term: Term) -> Term | None:
    """exp(x)[i]/sum(exp(x)) is inf/inf: the share of an entry is seen where it is exp(x[i])."""
    (inner,) = term.args
    few = 2 * math.prod(term.shape) <= math.prod(inner.shape)  # else exp is computed twice
    if inner.op.name != "exp" or not few:
        return None
    entry = make(term.op, inner.args, term.params, term.shape, term.dtype)
    return OPS["exp"](entry)


@stabilize.procedure(
    "log",
    example=lambda x: OPS["log"](OPS["cumsum"](OPS["exp"](x), axis=0)),
    source="definition",
    group="softmax",
    among=("cumsum",),
)
def log_of_running_sum(term: Term) -> Term | None:
    """log(cumsum(exp(x))) overflows for large x and is -inf for very negative ones."""
    (total,) = term.args
    if total.op.name != "cumsum" or total.args[0].op.name != "exp":
        return None
    return OPS["cumlogsumexp"](*total.args[0].args, axis=total.param("axis"))
