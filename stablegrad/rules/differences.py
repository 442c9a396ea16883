"""Differences of roots: what cancels under the roots is taken before them."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational, times
from stablegrad.ops.record import CONST
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import bare, size_of

HALF = Fraction(1, 2)


@stabilize.procedure(
    "affine",
    example=lambda x: OPS["sqrt"](x + 1) - OPS["sqrt"](x),
    source="(sqrt(a) - b) * (sqrt(a) + b) = a - b**2",
    group="differences",
    among=("monomial",),
)
def difference_with_root(term: Term) -> Term | None:
    """sqrt(a) - b cancels where a is near b**2; what is left of a - b**2 may be exact.

    It fires where a - b**2 is simpler than a: sqrt(x+1) - sqrt(x), sqrt(b*b + a) - b. Where
    the sign of b is not known, the branch without cancellation is taken element by element.
    """
    if not any(_root_among(x) for x in term.args):
        return None
    constant, coefficients = term.params
    addends = list(zip(coefficients, term.args, strict=True))
    if constant != 0:
        addends.append((1, forms.const(constant, term.dtype)))
    if len(addends) != 2:
        return None
    for (c, x), (k, y) in (addends, addends[::-1]):
        result = _rationalized_sum(c, x, k, y)
        if result is not None:
            return forms.with_shape(result, term.shape)
    return None


def _root_among(x: Term) -> bool:
    """Whether a term is a product with a square root, or a power of one, among its factors."""
    return x.op is forms.MONOMIAL and any(p.denominator == 2 for p in x.params[0])


def _rationalized(c: Rational, x: Term, k: Rational, y: Term) -> Term | None:
    """c*x + k*y for a root x and c > 0, as (c**2 x**2 - k**2 y**2) / (c*x + |k*y|) if k*y < 0."""
    if x.op is not forms.MONOMIAL or not x.facts.nonnegative or y.dtype != x.dtype:
        return None
    powers = x.params[0]
    if powers == (-HALF,) and y.op is CONST:  # 1/sqrt(a) - 1 is (1 - sqrt(a)) / sqrt(a)
        one = forms.const(1, x.dtype)
        exact = times(k, y.params[0])
        if isinstance(exact, str):
            return None
        inner = _rationalized_sum(exact, forms.power(x.args[0], HALF), c, one)
        return None if inner is None else forms.product([inner, x])
    if not _root_among(x):
        return None
    shape = forms.broadcast(forms.AFFINE, (x, y))
    square, other = bare(forms.power(x, 2)), bare(forms.power(y, 2))  # the roots have the guards
    squares = [(forms.exact_ratio(c * c), square), (-forms.exact_ratio(k * k), other)]
    difference = forms.total(squares, shape, x.dtype)
    if not _simpler(difference, square):
        return None
    size = y if y.facts.nonnegative else size_of(forms.scale(1 if k > 0 else -1, y))
    conjugate = forms.total([(c, x), (abs(k), size)], shape, x.dtype)
    cured = forms.product([difference, forms.power(conjugate, -1)])
    if not conjugate.facts.nonzero:
        cured = OPS["where"](OPS["not_equal"](conjugate, 0.0), cured, 0.0)
    sign = forms.scale(k, y).facts
    if sign.nonpositive:
        return cured
    if sign.nonnegative:
        return None
    return OPS["where"](OPS["less"](forms.scale(k, y), 0.0), cured, conjugate)


def _rationalized_sum(c: Rational, x: Term, k: Rational, y: Term) -> Term | None:
    if c > 0:
        return _rationalized(c, x, k, y)
    result = _rationalized(-c, x, -k, y)
    return None if result is None else forms.scale(-1, result)


def _simpler(difference: Term, square: Term) -> bool:
    core = difference.args[0] if difference.op.name == "require" else difference
    return _addends(core) < _addends(square)


def _addends(term: Term) -> int:
    if term.op is CONST:
        return 0
    return len(term.args) + (term.params[0] != 0) if term.op is forms.AFFINE else 1
