"""Sums of exponentials with weights: a shift that cancels keeps them in range."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops import forms
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.dtypes import is_half
from stablegrad.ops.exact import Rational
from stablegrad.ops.record import is_const
from stablegrad.ops.reduction import reduced
from stablegrad.rules.concentration import sum_of_exponentials_over_its_power
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import bare, other_factors

_IN_RANGE = 0.4
"""The share of the range of exponents that leaves room for weights and for squares of the sum."""


def _weighted(total: Term, *, plain: bool = False) -> tuple[Term | None, Term] | None:
    """The weights and the exponents of sum(w * exp(x)), not yet shifted; else None.

    Sums without weights, or with constant ones, count where ``plain`` asks for them; their
    weights are None.
    """
    if total.op.name not in ("sum", "mean"):
        return None
    parts = forms.factors(forms.split(total.args[0])[1])
    top = next((t for t, p in parts.items() if t.op.name == "exp" and p == 1), None)
    if top is None or is_shifted(top.args[0]):
        return None
    rest = {t: p for t, p in parts.items() if t is not top}
    if not rest:
        return (None, top.args[0]) if plain else None
    return forms.monomial(rest, None, total.dtype), top.args[0]


def is_shifted(x: Term) -> bool:
    """Whether a shift has been taken off an exponent."""
    x = bare(x)
    if x.op is not forms.AFFINE:
        return False
    return any(_is_shift(a.args[0] if a.op.name == "reshape" else a) for a in x.args)


def _is_shift(x: Term) -> bool:
    """Whether a term is what ``where_needed`` makes, its gradient stopped or not any more."""
    if x.op is STOP_GRADIENT or x.op.name != "where":
        return x.op is STOP_GRADIENT
    needed, greatest, _ = x.args
    return greatest.dtype.kind == "f" and OPS["isfinite"](greatest) in needed.args


def _greatest(weights: Term | None, x: Term, total: Term) -> Term:
    """The greatest exponent that has a weight, along the axes of a sum, which are kept."""
    counted = forms.with_shape(x, total.args[0].shape)
    if weights is not None:
        counted = OPS["where"](OPS["not_equal"](weights, 0.0), counted, -float("inf"))
    return OPS["max"](counted, axis=total.param("axis"), keepdims=True)


def greatest_exponent(dtype: np.dtype[Any]) -> float:
    """Exponents up to here leave a sum of exponentials in the range of a dtype."""
    return _IN_RANGE * float(np.log(np.finfo(np.float32 if is_half(dtype) else dtype).max))


def where_needed(greatest: Term, *, above: bool = False) -> Term:
    """The shift of exponents: the greatest where its exponential leaves the range; else 0.

    ``above``: where it overflows.

    A shift of all exponents cancels, so its own derivative, of any order, is zero. Where it is
    not needed it would cost digits: the logarithm of the sum may cancel against it.
    """
    limit = greatest_exponent(greatest.dtype)
    size = greatest if above else OPS["abs"](greatest)
    needed = OPS["logical_and"](OPS["isfinite"](greatest), size > limit)
    return STOP_GRADIENT.term((OPS["where"](needed, greatest, 0.0),))


def _shift(weights: Term | None, x: Term, total: Term) -> Term:
    """The shift for one sum."""
    return where_needed(_greatest(weights, x, total))


def _shifted(weights: Term | None, x: Term, shift: Term, total: Term) -> Term:
    """sum(w * exp(x - shift))."""
    exponents = forms.total([(1, x), (-1, shift)], total.args[0].shape, total.dtype)
    c = forms.split(total.args[0])[0]
    summand = forms.scale(c, OPS["exp"](exponents))
    if weights is not None:
        summand = forms.product([weights, summand])
    params = {"axis": total.param("axis"), "keepdims": total.param("keepdims")}
    return OPS[total.op.name](forms.with_shape(summand, total.args[0].shape), **params)


def _without_axes(shift: Term, total: Term) -> Term:
    """The shift in the shape of the sum."""
    return shift if shift.shape == total.shape else OPS["reshape"](shift, shape=total.shape)


@stabilize.procedure(
    "log",
    example=lambda w, x: OPS["log"](OPS["sum"](w * OPS["exp"](x), axis=-1)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log_of_weighted_sum(term: Term) -> Term | None:
    """log(sum(w*exp(x))) overflows for large x and is -inf for very negative ones."""
    c, total = forms.split(term.args[0])
    found = _weighted(total)
    if found is None:
        return None
    shift = _shift(*found, total)
    inner = forms.scale(c, _shifted(*found, shift, total))
    shift = _without_axes(shift, total)
    return forms.total([(1, OPS["log"](inner)), (1, shift)], term.shape, term.dtype)


@stabilize.procedure(
    "monomial",
    example=lambda w, x: OPS["exp"](x) / OPS["sum"](w * OPS["exp"](x), axis=-1, keepdims=True),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("sum", "mean"),
)
def share_of_weighted_exponentials(term: Term) -> Term | None:
    """w*exp(x)/sum(w*exp(x)), and ratios of such sums, overflow; a common shift of x cancels."""
    parts = forms.factors(term)
    tops = [t for t, p in parts.items() if t.op.name == "exp" and p == 1]
    sums = {t: found for t in parts if (found := _weighted(t, plain=True)) is not None}
    signs = {parts[t] > 0 for t in [*tops, *sums]}
    if not sums or len(signs) < 2 or len(tops) > 1:
        return None
    if len(sums) == 1 and all(w is None and tops[0].args[0] is x for w, x in sums.values()):
        return None  # softmax
    if sum_of_exponentials_over_its_power(term) is not None:
        return None  # powers of shares
    exponents: list[tuple[Rational, Term]] = [(1, t.args[0]) for t in tops]
    cured = {t: p for t, p in parts.items() if t not in tops and t not in sums}
    for total, (weights, x) in sums.items():
        shift = _shift(weights, x, total)
        cured[_shifted(weights, x, shift, total)] = parts[total]
        exponents.append((parts[total], _without_axes(shift, total)))
    exponential = OPS["exp"](forms.total(exponents, term.shape, term.dtype))
    share = forms.product([exponential, forms.monomial(cured, None, term.dtype)])
    return forms.with_shape(share, term.shape)


def _is_positive_sum(total: Term) -> bool:
    """Whether a term is a sum of exponentials whose weights, if any, are not negative."""
    found = _weighted(total, plain=True)
    return found is not None and (found[0] is None or found[0].facts.nonnegative)


# -- sums of such sums, and of exponentials -----------------------------------------------


def _constant(total: Term) -> Rational:
    """The constant of a flat sum; -1 for what is none, or infinite."""
    constant = total.params[0] if total.op is forms.AFFINE else "nan"
    return -1 if isinstance(constant, str) else constant


def positive_addends(total: Term) -> list[tuple[Rational, Term]] | None:
    """The addends of a flat sum of exponentials and sums of such, and the constant; else None.

    One at least is a sum, and there are two addends.
    """
    if _constant(total) < 0:
        return None
    parts: list[tuple[Rational, Term]] = list(zip(total.params[1], total.args, strict=True))
    sums = [x for _, x in parts if _is_positive_sum(x)]
    if not sums or len(parts) + (total.params[0] != 0) < 2 or any(c <= 0 for c, _ in parts):
        return None
    if any(x.shape != total.shape or not (x.op.name == "exp" or x in sums) for _, x in parts):
        return None
    return parts


def _exponents(x: Term) -> tuple[Term | None, Term]:
    """The weights and exponents of a sum of exponentials, or of one."""
    return (None, x.args[0]) if x.op.name == "exp" else _weighted(x, plain=True) or (None, x)


def _moved(x: Term, shift: Term) -> Term:
    """An exponential, or a sum of such, with a shift taken off its exponents."""
    if x.op.name == "exp":
        return OPS["exp"](forms.total([(1, x.args[0]), (-1, shift)], x.shape, x.dtype))
    kept = reduced(x.args[0].shape, x.param("axis"), keepdims=True)
    return _shifted(*_exponents(x), OPS["reshape"](shift, shape=kept), x)


def _shift_of_all(parts: list[tuple[Rational, Term]], shape: Shape, *, above: bool = False) -> Term:
    """The greatest of all exponents where it is needed, ``above``: where they are large; else 0."""
    greatest = []
    for _, x in parts:
        weights, exponents = _exponents(x)
        one = x.op.name == "exp"
        g = exponents if one else _greatest(weights, exponents, x)
        greatest.append(OPS["reshape"](g, shape=shape))
    return where_needed(functools.reduce(OPS["maximum"], greatest), above=above)


def _moved_total(total: Term, parts: list[tuple[Rational, Term]]) -> tuple[Term, Term]:
    """A flat sum with the greatest of all exponents taken off, and that, where it is needed.

    Beside a constant it is not needed where all exponents are very negative.
    """
    shift = _shift_of_all(parts, total.shape, above=total.params[0] != 0)
    addends = [(c, _moved(x, shift)) for c, x in parts]
    if total.params[0] != 0:
        addends.append((total.params[0], OPS["exp"](forms.scale(-1, shift))))
    return forms.total(addends, total.shape, total.dtype), shift


@stabilize.procedure(
    "log1p",
    example=lambda x: OPS["log1p"](OPS["sum"](OPS["exp"](x), axis=-1)),
    source="log(1 + s) = m + log(exp(-m) + s*exp(-m))",
    group="softmax",
)
def log1p_of_sum_of_exponentials(term: Term) -> Term | None:
    """log(1 + sum(exp(x))), of several such sums, or of a product of them, overflows."""
    c, total = forms.split(term.args[0])
    parts = positive_addends(term.args[0])
    if parts is None and c > 0 and _is_positive_sum(total):
        parts = [(c, total)]
    if parts is None:
        factors = forms.factors(total)
        product = c > 0 and all(p == 1 and _is_positive_sum(x) for x, p in factors.items())
        return OPS["softplus"](OPS["log"](term.args[0])) if product else None
    shift = _shift_of_all(parts, term.shape, above=True)
    addends = [(c, _moved(x, shift)) for c, x in parts]
    addends.append((1, OPS["expm1"](forms.scale(-1, shift))))  # nothing without a shift
    if term.args[0].op is forms.AFFINE and term.args[0].params[0] != 0:
        constant = forms.const(term.args[0].params[0], term.dtype)
        addends.append((1, forms.product([constant, OPS["exp"](forms.scale(-1, shift))])))
    inner = OPS["log1p"](forms.total(addends, term.shape, term.dtype))
    return forms.total([(1, inner), (1, shift)], term.shape, term.dtype)


@stabilize.procedure(
    "log",
    example=lambda x: OPS["log"](2 + OPS["sum"](OPS["exp"](x), axis=-1)),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
)
def log_of_sums_of_exponentials(term: Term) -> Term | None:
    """log(c + exp(y) + sum(exp(x))), and of several such sums, overflows for large x or y."""
    (total,) = term.args
    parts = positive_addends(total)
    if parts is None:
        return None
    tops = [(c, x) for c, x in parts if x.op.name == "exp"]
    if len(tops) == 1 and total.params[0] == 0:
        ((k, top),) = tops
        # the exponents are compared before anything is rounded
        rest = [(c / Fraction(k), _moved(x, top.args[0])) for c, x in parts if x is not top]
        more = forms.total([(forms.exact_ratio(c), x) for c, x in rest], total.shape, total.dtype)
        logs = [(1, OPS["log1p"](more)), (1, OPS["log"](forms.scale(k, top)))]
        return forms.total(logs, term.shape, term.dtype)
    inner, shift = _moved_total(total, parts)
    return forms.total([(1, OPS["log"](inner)), (1, shift)], term.shape, term.dtype)


@stabilize.procedure(
    "log",
    example=lambda x, y: OPS["log"](OPS["norm"](y, axis=-1) * OPS["sum"](OPS["exp"](x), axis=-1)),
    source="log(a*b) = log(a) + log(b)",
    group="softmax",
    among=("monomial",),
)
def log_of_product_with_sum(term: Term) -> Term | None:
    """log(sum(exp(x))/sum(exp(y))), or with any positive factor: the sums overflow, logs do not."""
    c, core = forms.split(term.args[0])
    if c <= 0 or core.op is not forms.MONOMIAL:
        return None
    parts = forms.factors(core)
    sums = {x: p for x, p in parts.items() if _is_positive_sum(x)}
    if not sums:
        return None
    rest = {x: p for x, p in parts.items() if x not in sums}
    logs = [(p, OPS["log"](x)) for x, p in sums.items()]
    left = forms.scale(c, forms.monomial(rest, None, term.dtype))
    logs.append((1, OPS["log"](left)))
    return forms.total(logs, term.shape, term.dtype)


@stabilize.procedure(
    "log_ratio",
    example=lambda w, x: OPS["log_ratio"](
        OPS["sum"](w * OPS["exp"](x), axis=-1), OPS["sum"](w, axis=-1)
    ),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("sum", "mean"),
)
def log_ratio_of_weighted_sums(term: Term) -> Term | None:
    """log(sum(w*exp(x))/sum(w)), a weighted mean of exponentials, overflows for large x."""
    held = list(term.args)
    shifts: list[tuple[Rational, Term]] = []
    for i, x in enumerate(term.args):
        found = _weighted(x)
        if found is not None:
            shift = _shift(*found, x)
            held[i] = _shifted(*found, shift, x)
            shifts.append((-1 if i else 1, _without_axes(shift, x)))
    if not shifts:
        return None
    left = OPS["log_ratio"](*held)
    return forms.total([(1, left), *shifts], term.shape, term.dtype)


@stabilize.procedure(
    "monomial",
    example=lambda x, y: (
        OPS["exp"](OPS["max"](y, axis=-1))
        / (OPS["exp"](OPS["max"](y, axis=-1)) + OPS["sum"](OPS["exp"](x), axis=-1))
    ),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("sum", "mean"),
)
def share_of_exponential(term: Term) -> Term | None:
    """exp(y)/(exp(y) + sum(exp(x))), and shares of such sums, are inf/inf for large y or x."""
    powers = forms.factors(term)
    for total, p in powers.items():
        parts = positive_addends(total) if p == -1 else None
        found = [(c, x) for c, x in parts or () if powers.get(x) == 1]
        if parts is None or not found:
            continue
        ((_, top), *_) = found
        inner, shift = _moved_total(total, parts)
        share = forms.product([_moved(top, shift), forms.power(inner, -1)])
        rest = {x: q for x, q in powers.items() if x is not top and x is not total}
        product = forms.product([share, forms.monomial(rest, None, term.dtype)])
        return forms.with_shape(product, term.shape)
    return None


def _is_numerator(x: Term) -> bool:
    """Whether a factor is an exponential, or one where a mask is and 0 beside it."""
    if x.op.name != "where":
        return x.op.name == "exp"
    names = [a.op.name == "exp" for a in x.args[1:]]
    return any(names) and all(e or is_const(a, 0) for e, a in zip(names, x.args[1:], strict=True))


def _numerator(x: Term, shift: Term) -> Term:
    """Such a factor with a shift taken off its exponents."""
    if x.op.name == "where":
        moved = [_numerator(a, shift) if a.op.name == "exp" else a for a in x.args[1:]]
        return OPS["where"](x.args[0], *moved)
    shape = forms.broadcast(forms.AFFINE, (x, shift))
    return OPS["exp"](forms.total([(1, x.args[0]), (-1, shift)], shape, x.dtype))


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["exp"](x) / (OPS["sum"](OPS["exp"](x)) + 1e-9),
    source="Blanchard, Higham and Higham 2021",
    group="softmax",
    among=("exp",),
)
def share_beside_constant(term: Term) -> Term | None:
    """exp(x)/(sum(w*exp(x)) + eps), as with masks that may be empty, is inf/inf for large x."""
    powers = forms.factors(term)
    tops = [x for x, p in powers.items() if p == 1 and _is_numerator(x)]
    for total, p in powers.items():
        if p != -1 or len(tops) != 1 or _constant(total) <= 0:
            continue
        parts = list(zip(total.params[1], total.args, strict=True))
        if any(x.shape != total.shape or _weighted(x, plain=True) is None for _, x in parts):
            continue
        inner, shift = _moved_total(total, parts)
        top = _numerator(tops[0], shift)
        rest = other_factors(term, tops[0], total)
        return forms.with_shape(forms.product([top, forms.power(inner, -1), rest]), term.shape)
    return None
