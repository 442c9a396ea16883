"""What is told to be in canonical form is what forming it anew gives."""

from __future__ import annotations

import inspect
from fractions import Fraction

import numpy as np
import pytest

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.formed import is_formed_product, is_formed_sum
from stablegrad.ops.record import INPUT, const
from stablegrad.rewrite import Procedure
from stablegrad.rules import DATABASES
from stablegrad.settings import Settings
from stablegrad.transforms.differentiate import vjp
from stablegrad.transforms.expand import Expander

WIDE = np.dtype(np.float64)
X, Y, Z = [make(INPUT, (), (i,), (3, 3), WIDE) for i in range(3)]
PROGRAMS = [
    rule.example(*[X, Y, Z][: len(inspect.signature(rule.example).parameters)])
    for database in DATABASES
    for rule in database.rules
    if isinstance(rule, Procedure) and len(inspect.signature(rule.example).parameters) <= 3
    if rule.group != "matrices"
]


def formed_anew(term: Term) -> Term:
    if term.op is forms.AFFINE:
        constant, coefficients = term.params
        parts = [*zip(coefficients, term.args, strict=True), (1, const(constant, term.dtype))]
        return forms.total(parts, term.shape, term.dtype)
    collector = forms.Product(term.dtype)
    for x, p in zip(term.args, term.params[0], strict=True):
        collector.multiply(x, p)
    return collector.result(term.shape)


def told(term: Term) -> bool:
    return is_formed_sum(term) if term.op is forms.AFFINE else is_formed_product(term)


def test_what_is_told_to_be_formed_is_what_forming_gives():
    seen = known = 0
    for program in PROGRAMS:
        expander = Expander(Settings())
        (stable,) = expander.normal([program])
        seed = const(1, stable.dtype, stable.shape)
        slopes = vjp(stable, [X], seed, Settings()) if stable.dtype == WIDE else []
        for term in topological([program, stable, *slopes, *expander.normal(slopes)]):
            if term.op is forms.AFFINE or term.op is forms.MONOMIAL:
                seen += 1
                if told(term):
                    known += 1
                    assert formed_anew(term) is term
    assert seen > 500
    assert known > 0.8 * seen


def sum_of(constant, *parts):
    args, coefficients = [x for x, _ in parts], tuple([c for _, c in parts])
    return make(forms.AFFINE, tuple(args), (constant, coefficients), X.shape, WIDE)


def product_of(*parts):
    args, powers = [x for x, _ in parts], tuple([p for _, p in parts])
    return make(forms.MONOMIAL, tuple(args), (powers,), X.shape, WIDE)


LOW, HIGH = sorted([X, Y], key=lambda t: t.key)
SQUARE = product_of((X, 2))
MASK = OPS["greater"](X, 0)


@pytest.mark.parametrize(
    "term",
    [
        sum_of(1, (HIGH, 1), (LOW, 1)),  # not in order
        sum_of(1, (X, 1), (X, 1)),
        sum_of(0, (X, 1)),
        sum_of(1, (X, 0)),
        sum_of("-0", (X, 2)),
        sum_of(1, (sum_of(1, (X, 2)), 3)),  # not flat
        sum_of(1, (const(2, WIDE, X.shape), 3)),
        sum_of(0, *sorted([(SQUARE, 1), (X, 1)], key=lambda part: part[0].key)),  # x shared
        sum_of(1, (product_of((MASK, 1)), -1)),  # the other mask
        product_of((HIGH, 1), (LOW, 1)),
        product_of((X, 1)),
        product_of((X, 0)),
        product_of((MASK, 2), (X, 1)),
        product_of((SQUARE, 3)),
        product_of((sum_of(0, (X, 2)), 3)),
        product_of((const(2, WIDE, X.shape), 3)),
        product_of((OPS["exp"](X), 2)),
        product_of((OPS["abs"](X), 2)),
        product_of((OPS["require"](X, MASK), Fraction(1, 2))),
        product_of((OPS["indicator"](MASK), 2)),
    ],
)
def test_what_is_not_formed_is_formed(term):
    assert formed_anew(term) is not term
    assert not told(term)
