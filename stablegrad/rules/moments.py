"""Moments written with sums: variances, covariances and squared distances by their expansions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.exact import Rational, exact_ratio
from stablegrad.ops.record import CONST
from stablegrad.ops.reduction import count, every
from stablegrad.rules.databases import stabilize
from stablegrad.rules.quotients import misplaced
from stablegrad.rules.simpler import other_addends, other_factors
from stablegrad.rules.softmax import restored
from stablegrad.rules.weighted import is_shifted


class _Sum(NamedTuple):
    """A multiple of the sum over axes of a product of two."""

    c: Rational
    x: Term
    y: Term
    axis: Any
    keepdims: bool

    @property
    def axes(self) -> tuple[Any, bool]:
        return self.axis, self.keepdims

    @property
    def n(self) -> int:
        return count(self.x.shape, self.axis)


def _reduction(c: Rational, term: Term) -> tuple[Rational, Term] | None:
    """A multiple of a sum or mean as a multiple of the sum."""
    if term.op.name == "sum":
        return c, term
    if term.op.name == "mean":
        return exact_ratio(Fraction(c) / count(term.args[0].shape, term.param("axis"))), term
    return None


def _sum_of_products(c: Rational, term: Term) -> _Sum | None:
    """A multiple of sum(x*y), with x the same as y for squares; else None.

    The square of a norm is one, and so is the inner product of two vectors.
    """
    if term.op is forms.MONOMIAL and term.params[0] == (2,) and term.args[0].op.name == "norm":
        (norm,) = term.args
        (x,) = norm.args
        return _Sum(c, x, x, norm.param("axis"), norm.param("keepdims"))
    if term.op.name == "matmul" and all(x.ndim == 1 for x in term.args):
        x, y = term.args
        return _Sum(c, x, y, (0,), keepdims=False)
    found = _reduction(c, term)
    if found is None or term.args[0].op is not forms.MONOMIAL:
        return None
    pair = _two_factors(term.args[0])
    if pair is None:
        return None
    return _Sum(found[0], *pair, term.param("axis"), term.param("keepdims"))


def _two_factors(term: Term) -> tuple[Term, Term] | None:
    if term.params[0] == (1, 1):
        x, y = term.args
        return (x, y) if x.shape == y.shape == term.shape else None
    if term.params[0] == (2,) and term.args[0].dtype.kind != "b":
        return term.args[0], term.args[0]
    return None


def _product_of_sums(c: Rational, term: Term) -> _Sum | None:
    """A multiple of sum(x)*sum(y), or of the square of a sum."""
    if term.op is not forms.MONOMIAL or term.params[0] not in ((2,), (1, 1)):
        return None
    a, b = (term.args * 2)[:2]
    first = _reduction(c, a)
    second = None if first is None else _reduction(first[0], b)
    if second is None:
        return None
    axes = [(t.param("axis"), t.param("keepdims")) for t in (a, b)]
    x, y = a.args[0], b.args[0]
    if axes[0] != axes[1] or x.shape != y.shape:
        return None
    return _Sum(second[0], x, y, *axes[0])


def _addends(term: Term) -> list[tuple[Rational, Term]]:
    return list(zip(term.params[1], term.args, strict=True))


def _moments(term: Term) -> Iterator[tuple[Term, Term, _Sum]]:
    """The pairs of addends c*(sum(x*y) - sum(x)*sum(y)/n), each with its first as a sum."""
    sums = [(x, found) for c, x in _addends(term) if (found := _sum_of_products(c, x))]
    products = [(x, found) for c, x in _addends(term) if (found := _product_of_sums(c, x))]
    for raw, s in sums:
        for squared, p in products:
            same = (s.x is p.x and s.y is p.y) or (s.x is p.y and s.y is p.x)
            if same and s.axes == p.axes and Fraction(s.c) == -Fraction(p.c) * s.n:
                yield raw, squared, s


@stabilize.procedure(
    "affine",
    example=lambda x: OPS["mean"](x * x, axis=-1) - OPS["mean"](x, axis=-1) ** 2,
    source="Chan, Golub and LeVeque 1983",
    group="moments",
    among=("mean", "sum", "norm", "matmul"),
)
def variance_of_moments(term: Term) -> Term | None:
    """mean(x*x) - mean(x)**2, and the covariance so written, cancel where the mean is large."""
    for raw, squared, s in _moments(term):
        if s.x is s.y:
            spread = OPS["var"](s.x, axis=s.axis, keepdims=s.keepdims)
            cured = forms.scale(exact_ratio(Fraction(s.c) * s.n), spread)
        else:
            x, y = (OPS["center"](t, axis=s.axis) for t in (s.x, s.y))
            total = OPS["sum"](forms.product([x, y]), axis=s.axis, keepdims=s.keepdims)
            cured = forms.scale(s.c, total)
        return forms.total([(1, cured), *other_addends(term, raw, squared)], term.shape, term.dtype)
    return None


@stabilize.procedure(
    "affine",
    example=lambda x, y: (
        OPS["sum"](x * x, axis=-1) - 2 * OPS["sum"](x * y, axis=-1) + OPS["sum"](y * y, axis=-1)
    ),
    source="the square of a difference",
    group="moments",
    among=("mean", "sum", "norm", "matmul"),
)
def square_of_difference(term: Term) -> Term | None:
    """sum(x*x) - 2*sum(x*y) + sum(y*y) cancels where x is near y; so does its root, a distance."""
    sums = [(t, found) for c, t in _addends(term) if (found := _sum_of_products(c, t))]
    squares = {s.x: (t, s) for t, s in sums if s.x is s.y}
    for mixed, m in sums:
        if m.x is m.y or m.x not in squares or m.y not in squares:
            continue
        (first, a), (second, b) = squares[m.x], squares[m.y]
        if not (a.axes == b.axes == m.axes and a.c == b.c and abs(m.c) == 2 * abs(a.c)):
            continue
        sign = -1 if (m.c < 0) != (a.c < 0) else 1
        leg = forms.total([(1, m.x), (sign, m.y)], m.x.shape, term.dtype)
        total = OPS["sum"](forms.power(leg, 2), axis=m.axis, keepdims=m.keepdims)
        rest = other_addends(term, mixed, first, second)
        return forms.total([(a.c, total), *rest], term.shape, term.dtype)
    return None


@stabilize.procedure(
    "affine",
    example=lambda x: x / 4 - OPS["mean"](x, axis=-1, keepdims=True) / 4 + 1,
    source="Chan, Golub and LeVeque 1983",
    group="moments",
    among=("mean", "sum"),
)
def deviation_from_mean(term: Term) -> Term | None:
    """x - mean(x) keeps the rounding error of the mean, which is large where x is far from 0."""
    for c, spread in _addends(term):
        k, below, shape = _restored(c, spread)
        found = _reduction(k, below)
        if found is None:
            continue
        k, x = found[0], below.args[0]
        axes = every(below.param("axis"), x.ndim)
        kept = tuple([1 if i in axes else n for i, n in enumerate(x.shape)])
        leading = axes == tuple(range(x.ndim - below.ndim))
        if not (below.ndim == x.ndim or leading or shape == kept):
            continue
        d = exact_ratio(-Fraction(k) * count(x.shape, below.param("axis")))
        used = _multiple_within(term, d, x)
        if used:
            cured = OPS["center"](x, axis=below.param("axis"))
            return forms.total(
                [(d, cured), *other_addends(term, spread, *used)], term.shape, term.dtype
            )
    return None


def _multiple_within(term: Term, d: Rational, x: Term) -> list[Term]:
    """The addends that make up d*x, where x may be a sum whose addends stand among the others."""
    if x.op is forms.AFFINE and x.params[0] == 0:
        wanted = [(exact_ratio(Fraction(d) * Fraction(c)), y) for c, y in _addends(x)]
    else:
        wanted = [(d, x)]
    there = _addends(term)
    found = all(any(c == e and y is z for e, z in there) for c, y in wanted)
    return [y for _, y in wanted] if found else []


def _restored(c: Rational, term: Term) -> tuple[Rational, Term, tuple[int, ...] | None]:
    """A multiple of a reduction under a reshape that puts its axes back, and that shape."""
    shape: tuple[int, ...] | None = None
    while True:
        if term.op.name == "broadcast_to":
            term = term.args[0]
        elif term.op.name == "reshape" and shape is None:
            shape, term = term.shape, term.args[0]
        else:
            k, core = forms.split(term)
            if core is term:
                return c, term, shape
            c, term = exact_ratio(Fraction(c) * Fraction(k)), core


@stabilize.procedure(
    "affine",
    example=lambda p: 1 - OPS["prod"](1 - p, axis=-1),
    source="prod(1 + u) is exp(sum(log1p(u)))",
    group="moments",
    among=("prod",),
)
def complement_of_product(term: Term) -> Term | None:
    """1 - prod(1 - p), that any of several happens, cancels where all are rare.

    The logarithms need factors above 0, and lose digits where these are far from 1: there the
    product stands as it is.
    """
    constant = term.params[0]
    if len(term.args) != 1 or isinstance(constant, str) or constant == 0:
        return None
    (c,), (product,) = term.params[1], term.args
    if c != -constant or product.op.name != "prod" or product.args[0].op is not forms.AFFINE:
        return None
    factors = product.args[0]
    if factors.params[0] != 1:
        return None
    axis = product.param("axis")
    parts = dict(zip(factors.args, factors.params[1], strict=True))
    offsets = forms.affine(0, parts, factors.shape, factors.dtype)
    logs = OPS["log1p"](offsets)
    logarithm = OPS["sum"](logs, axis=axis, keepdims=True)
    size = OPS["sum"](OPS["abs"](logs), axis=axis, keepdims=True)
    positive = OPS["greater"](OPS["min"](factors, axis=axis, keepdims=True), 0.0)
    near = OPS["logical_and"](positive, OPS["less"](size, 0.5))
    far = OPS["prod"](OPS["where"](near, 1.0, factors), axis=axis, keepdims=True)
    direct = forms.total([(constant, forms.const(1, far.dtype)), (c, far)], far.shape, far.dtype)
    result = OPS["where"](near, forms.scale(c, OPS["expm1"](logarithm)), direct)
    return result if result.shape == term.shape else OPS["reshape"](result, shape=term.shape)


_NEAR_ONE = frozenset(["sigmoid", "ndtr", "erf", "erfc", "tanh", "exp", "cos", "cosh", "softmax"])
"""Functions whose distance from 1 has a spelling of its own."""


@stabilize.procedure(
    "affine",
    example=lambda x: 1 - OPS["mean"](OPS["sigmoid"](x), axis=-1),
    source="linearity",
    group="moments",
    among=("mean", "sum"),
)
def complement_of_mean(term: Term) -> Term | None:
    """1 - mean(sigmoid(x)) cancels where all are near 1; the mean of 1 - sigmoid(x) does not."""
    constant = term.params[0]
    if len(term.args) != 1 or isinstance(constant, str) or constant == 0:
        return None
    found = _reduction(term.params[1][0], term.args[0])
    if found is None or term.args[0].args[0].op.name not in _NEAR_ONE:
        return None
    c, total = found
    (f,) = total.args
    if Fraction(constant) != -Fraction(c) * count(f.shape, total.param("axis")):
        return None
    rest = forms.total([(1, forms.const(1, f.dtype)), (-1, f)], f.shape, f.dtype)
    params = {"axis": total.param("axis"), "keepdims": total.param("keepdims")}
    return forms.scale(exact_ratio(-Fraction(c)), OPS["sum"](rest, **params))


@stabilize.procedure(
    "monomial",
    example=lambda x: (
        OPS["center"](x, axis=-1)
        / OPS["hypot"](OPS["std"](x, axis=-1, keepdims=True, ddof=0), 0.125)
    ),
    source="Ba, Kiros and Hinton 2016; homogeneity of lengths",
    group="moments",
    among=("center", "std"),
)
def normalized_deviation(term: Term) -> Term | None:
    """(x - mean(x))/sqrt(var(x) + eps) is one function, whose derivative does not cancel."""
    parts = forms.factors(term)
    for below, p in parts.items():
        length = restored(below)
        if p != -1 or length.op.name != "hypot":
            continue
        for spread, least in (length.args, length.args[::-1]):
            found = _above_spread(parts, below, spread, least)
            if found is not None:
                off, whole = found
                rest = other_factors(term, below, off)
                return forms.with_shape(forms.product([whole, rest]), term.shape)
    return None


def _above_spread(
    parts: Mapping[Term, Any], below: Term, spread: Term, least: Term
) -> tuple[Term, Term] | None:
    """The deviations among factors and, of them over this length, the one function."""
    if spread.op.name != "std" or least.op is not CONST or isinstance(least.params[0], str):
        return None
    x, axis = spread.args[0], spread.param("axis")
    off = OPS["center"](x, axis=axis)
    share = Fraction(count(x.shape, axis) - spread.param("ddof")) / count(x.shape, axis)
    number = Fraction(least.params[0])
    if parts.get(off) != 1 or share <= 0 or number == 0 or misplaced(below, spread, x):
        return None
    unit = OPS["standardize"](x, axis=axis, eps=float(number * number * share), centered=True)
    root = forms.power(forms.const(exact_ratio(share), x.dtype), Fraction(1, 2))
    return off, forms.product([unit, root])


@stabilize.procedure(
    "monomial",
    example=lambda x, y: (
        (
            OPS["logsumexp"](x * OPS["max"](y), axis=-1)
            + OPS["log"](forms.const(Fraction(1, x.shape[-1]), x.dtype))
        )
        / OPS["max"](y)
    ),
    source="Blanchard, Higham and Higham 2021; the mean of deviations is 0",
    group="moments",
    among=("logsumexp",),
)
def mean_of_exponentials_by_rate(term: Term) -> Term | None:
    """log(mean(exp(b*x)))/b, a certainty equivalent, cancels for small b, its slope by b always."""
    for below, p in forms.factors(term).items():
        logarithm = _log_of_mean(below) if p == 1 else None
        if logarithm is None:
            continue
        c, total = logarithm
        k, core = forms.split(total.args[0])
        powers = forms.factors(core)
        if any(is_shifted(x) for x in powers):
            continue
        for rate, q in forms.factors(term).items():
            if rate.size == 1 and q in (1, -1) and powers.get(rate) == -q:
                b = forms.power(OPS["reshape"](rate, shape=()), -q)
                x = forms.scale(k, other_factors(core, rate))
                mean = _equivalent(forms.with_shape(x, total.args[0].shape), b, total)
                rest = other_factors(term, below, rate)
                return forms.with_shape(forms.product([forms.scale(c, mean), rest]), term.shape)
    return None


def _log_of_mean(x: Term) -> tuple[Any, Term] | None:
    """The multiple and the logsumexp of a multiple of logsumexp(y) - log(n), for n numbers."""
    if x.op is not forms.AFFINE or len(x.args) != 2 or x.params[0] != 0:
        return None
    for total, share in (x.args, x.args[::-1]):
        if total.op.name != "logsumexp" or share.op.name != "log" or share.args[0].op is not CONST:
            continue
        n, same = count(total.args[0].shape, total.param("axis")), len(set(x.params[1])) == 1
        if same and not isinstance(share.args[0].params[0], str):
            found = Fraction(share.args[0].params[0]) * n == 1
            return (x.params[1][0], total) if found else None
    return None


def _equivalent(x: Term, b: Term, total: Term) -> Term:
    """log(mean(exp(b*x)))/b, around the mean of x or, where b*x is wide, around an extreme."""
    params = {"axis": total.param("axis"), "keepdims": True}
    off = OPS["center"](x, axis=total.param("axis"))
    part = forms.product([off, b])
    near = OPS["less"](OPS["max"](OPS["abs"](part), **params), 1.0)
    bent = OPS["mean"](OPS["expm1mx"](OPS["where"](near, part, 0.0)), **params)
    inner = OPS["mean"](x, **params) + OPS["log1p"](bent) / b
    top = OPS["where"](OPS["greater"](b, 0.0), OPS["max"](x, **params), OPS["min"](x, **params))
    top = STOP_GRADIENT.term((top,))  # a shift of all, which cancels
    n = forms.const(Fraction(1, count(x.shape, total.param("axis"))), x.dtype)
    rest = OPS["logsumexp"](forms.product([x - top, b]), **params) + OPS["log"](n)
    return OPS["reshape"](OPS["where"](near, inner, top + rest / b), shape=total.shape)
