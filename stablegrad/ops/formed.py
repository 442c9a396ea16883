"""Sums and products in canonical form already: told at a tenth of the time of forming them.

Most are: what the constructors of ``forms`` have built, which normal forms are made of.
"""

from __future__ import annotations

from stablegrad.ir import Term
from stablegrad.ops import forms
from stablegrad.ops.flat_sums import CAP
from stablegrad.ops.form_records import AFFINE, INDICATOR, MONOMIAL, REQUIRE
from stablegrad.ops.record import CONST

_NEVER_ADDED = frozenset({CONST, REQUIRE})
_NEVER_MULTIPLIED = frozenset({CONST, REQUIRE, INDICATOR, MONOMIAL})


def is_formed_sum(term: Term) -> bool:
    """Whether an ``affine`` is what ``forms.total`` would make of its parts.

    False says nothing: whoever asks forms the sum anew.
    """
    constant, coefficients = term.params
    args = term.args
    if isinstance(constant, str) or not _in_order(args) or not all(coefficients):
        return False
    products = 0
    for x in args:
        if (
            x.op in _NEVER_ADDED
            or x.op.name == "broadcast_to"
            or x.dtype.kind == "b"
            or (x.op is AFFINE and len(x.args) <= CAP)
        ):
            return False
        products += x.op is MONOMIAL
    if len(args) == 1:
        return not products if constant != 0 else coefficients[0] != 1
    plain = len(args) - products > 1  # of two terms that are no products none has the other
    return constant != 0 or not products or plain or not forms.common_factor(list(args))


def is_formed_product(term: Term) -> bool:
    """Whether a ``monomial`` is what ``forms.Product`` would make of its factors."""
    (powers,) = term.params
    args = term.args
    if not _in_order(args) or not all(powers) or (len(args) == 1 and powers[0] == 1):
        return False
    exponentials = 0
    for x, p in zip(args, powers, strict=True):
        op = x.op
        if op in _NEVER_MULTIPLIED or op.name == "broadcast_to":
            return False
        if x.dtype.kind == "b":
            if p != 1:
                return False
            continue
        if x.support is not None and x.support not in args:
            return False
        if op is AFFINE and len(x.args) == 1 and x.params[0] == 0:
            return False
        if op.name == "exp":
            exponentials += 1
            inner = x.args[0]
            if exponentials > 1 or p != 1 or inner.op is CONST or inner.op is REQUIRE:
                return False
        elif op.name == "abs" and isinstance(p, int) and p % 2 == 0:
            return False
    return True


def _in_order(args: tuple[Term, ...]) -> bool:
    """Whether arguments are sorted as the forms have them, and none is there twice."""
    last = None
    for x in args:
        if last is not None and x.key <= last:
            return False
        last = x.key
    return bool(args)
