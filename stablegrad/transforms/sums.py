"""How the sums of canonical form are evaluated: plainly, or with their rounding errors carried."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.cost import one_sign
from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.forms import AFFINE, MONOMIAL, Rational
from stablegrad.ops.lowered import COMPENSATED_SUM
from stablegrad.ops.record import CONST, Exact, const, round_to
from stablegrad.transforms.products import emit_multiple, times


def is_plain(term: Term, dtype: Any) -> bool:
    """Whether a sum only adds and subtracts, and its constant is one float."""
    constant, coefficients = term.params
    if isinstance(constant, str) or any(c not in (1, -1) for c in coefficients):
        return False
    return Fraction(float(round_to(constant, dtype))) == constant


def emit_sum(
    term: Term, args: tuple[Term, ...], dtype: np.dtype[Any], *, plain: bool, ranged: bool = False
) -> Term:
    """A sum on lowered arguments, compensated where it may cancel.

    Args:
        term: the sum.
        args: its lowered addends.
        dtype: that of the result.
        plain: whether its rounding does not matter.
        ranged: whether multiples of products keep their range.
    """
    constant, coefficients = term.params
    if len(args) == 1 and constant == 0:
        x, c = args[0], coefficients[0]
        inner = term.args[0]
        whole = times(x, c, ranged=ranged) if inner.op is MONOMIAL else None
        return whole or emit_multiple(x, c, dtype)
    if isinstance(constant, str):
        return _plain_sum(constant, coefficients, args, dtype)
    unit = is_plain(term, dtype)
    addends = len(args) + (constant != 0)
    if plain or one_sign(term) or (unit and addends == 2 and not _has_products(args)):
        return _plain_sum(constant, coefficients, args, dtype)
    flat, counts = with_products(args)
    params = (constant, coefficients, counts)
    shape = forms.broadcast(AFFINE, args)
    return make(COMPENSATED_SUM, flat, params, shape, dtype)


def _has_products(args: tuple[Term, ...]) -> bool:
    return any(a.op.name in ("multiply", "square") for a in args)


def with_products(args: tuple[Term, ...]) -> tuple[tuple[Term, ...], tuple[int, ...]]:
    """Addends with exact products taken apart: x*y and x**2 enter as two factors."""
    flat: list[Term] = []
    counts: list[int] = []
    for a in args:
        if a.op.name == "multiply" and CONST not in (a.args[0].op, a.args[1].op):
            flat += a.args
            counts.append(2)
        elif a.op.name == "square":
            flat += [a.args[0], a.args[0]]
            counts.append(2)
        else:
            flat.append(a)
            counts.append(1)
    return tuple(flat), tuple(counts)


def _plain_sum(
    constant: Exact, coefficients: tuple[Rational, ...], args: tuple[Term, ...], dtype: Any
) -> Term:
    items = sorted(zip(coefficients, args, strict=True), key=lambda e: (e[0] < 0, e[1].key))
    result: Term | None = None if constant == 0 else const(constant, dtype)
    for c, x in items:
        part = emit_multiple(x, abs(c), dtype)
        if result is None:  # negated first: what cancels is 0, and not -0
            result = OPS["negative"](part) if c < 0 else part
        else:
            result = OPS["subtract" if c < 0 else "add"](result, part)
    assert result is not None
    return result


_ONE_SIGN = frozenset(
    "max min any all argmax argmin norm unit_vector logsumexp softmax log_softmax prod var "
    "std".split()
)
"""Reductions whose kernels lose no digits by cancelling, or need no float64 for them."""


def cancels(term: Term) -> bool:
    """Whether a sum or a reduction may be less than its addends."""
    if term.op is AFFINE:
        return len(term.args) + (term.params[0] != 0) > 1 and not one_sign(term)
    if term.op.family != "reduction" or term.op.name in _ONE_SIGN:
        return False
    return not all(a.facts.nonnegative or a.facts.nonpositive for a in term.args)
