"""Roots of sums of squares: the squares leave the range where the root does not."""

from __future__ import annotations

import math
from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import BITS, Exact, Rational, exact_ratio
from stablegrad.ops.reduction import count
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import other_factors


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["sqrt"](1 + 4 * x * x + y**4),
    source="Hypot in IEEE 754-2019, 9.2",
    group="roots",
    among=("affine",),
)
def root_of_sum_of_squares(term: Term) -> Term | None:
    """sqrt(x**2 + y**2) overflows and underflows where hypot(x, y) does not; any odd power."""
    for base, p in forms.factors(term).items():
        if p.denominator != 2 or base.op is not forms.AFFINE:
            continue
        legs = _legs(base)
        if legs is None:
            continue
        length = legs[0]
        for leg in legs[1:]:
            length = OPS["hypot"](length, leg)
        root = forms.power(length, forms.exact_ratio(2 * p))
        product = forms.product([root, other_factors(term, base)])
        return forms.with_shape(product, term.shape)
    return None


def _legs(total: Term) -> list[Term] | None:
    """The legs of a sum of two to four squares, or None."""
    constant, coefficients = total.params
    addends: list[tuple[Exact, Term | None]] = [
        (c, x) for c, x in zip(coefficients, total.args, strict=True)
    ]
    if constant != 0:
        addends.append((constant, None))
    if not 2 <= len(addends) <= 4:
        return None
    legs: list[Term] = []
    for c, x in addends:
        if isinstance(c, str) or c <= 0:
            return None
        leg = forms.const(1, total.dtype) if x is None else _root_of_square(x)
        if leg is None:
            return None
        legs.append(forms.scale(square_root(c), leg))
    return legs


def _root_of_square(x: Term) -> Term | None:
    """The root of a product of squares, of a sum or mean of such, or of a variance."""
    if x.op is forms.MONOMIAL and all(isinstance(p, int) and p % 2 == 0 for p in x.params[0]):
        return forms.power(x, Fraction(1, 2))
    if x.op.name == "var":
        return OPS["std"](x.args[0], **x.static)
    if x.op.name not in ("sum", "mean"):
        return None
    root = _root_of_square(x.args[0]) if x.args[0].op is forms.MONOMIAL else None
    if root is None or any(a.dtype.kind == "b" for a in x.args[0].args):
        return None
    bare = root.args[0] if root.op.name == "abs" else root  # a norm is even
    length = OPS["norm"](bare, **x.static)
    n = count(root.shape, x.param("axis")) if x.op.name == "mean" else 1
    return forms.scale(square_root(exact_ratio(Fraction(1, n))), length)


def square_root(c: Rational) -> Rational:
    """The root of a positive rational, exact where it is one, else to 128 bits."""
    scale = 4 ** (BITS + abs(c.numerator.bit_length() - c.denominator.bit_length()))
    top = c.numerator * c.denominator
    root = math.isqrt(top)
    if root * root == top:
        return forms.exact_ratio(Fraction(root, c.denominator))
    return forms.exact_ratio(Fraction(math.isqrt(top * scale), math.isqrt(scale) * c.denominator))
