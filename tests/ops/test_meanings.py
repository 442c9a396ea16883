"""What ops are in the functions that pairs know: equal to them, by the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, fmpq

from stablegrad.ir import OPS, Term, make
from stablegrad.ops.record import INPUT
from stablegrad.oracle import err_ulp, truth
from stablegrad.oracle.precision import precision
from stablegrad.transforms import meanings
from stablegrad.transforms.meanings import MEANINGS, meaning_of
from tests.ops.test_found_by_fuzz import f, results

INPUTS = [make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(3)]
POINTS = [np.array(v) for v in ([0.3, 0.9, -0.4], [0.7, 0.2, 0.6], [1.1, 1.3, 0.1])]
POSITIVE = ("gamma",)
"""Meant so for positive arguments: pairs know its logarithm there alone."""


def calls(name: str) -> list[Term]:
    """An op, or its derivatives up to the second where it is one by a single argument."""
    params = OPS[name].params
    if params not in ((), ("n",)):
        return []
    count = MEANINGS[name].__code__.co_argcount - len(params)
    return [OPS[name](*INPUTS[:count], **dict.fromkeys(params, n)) for n in (1, 2)]


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_a_meaning_is_the_op(name: str) -> None:
    count = 2 if name in POSITIVE else 3
    at = dict(zip(INPUTS, [v[:count] for v in POINTS], strict=True))
    known = 0
    for term in calls(name):
        meaning = meaning_of(term)
        if meaning is None:
            continue
        wanted, got = truth(term, at), truth(meaning, at)
        both = wanted.decided & got.decided
        known += both.sum()
        assert np.abs(err_ulp(got.value, wanted))[both].max(initial=0.0) <= 1
    assert known or not calls(name)


SLOPED = "log_erfc silu mish gelu arccos1m arccosh1p".split()


@pytest.mark.parametrize("name", SLOPED)
def test_slopes_of_functions_that_cancel_keep_their_digits(name: str) -> None:
    """Both addends of the slope of g(sin(x)) - g(x) have their own rounding, and little is left."""
    g, sin, arcsinh = f(name), f("sin"), f("arcsinh")
    x = np.array([0.9, 0.065, 1e-3, 1e-6])
    for program in (
        lambda x, y: g(sin(x)) - g(x),
        lambda x, y: arcsinh(x) / g(x),
    ):
        for got, true in results(program, [x, x]):
            assert true.decided.all()
            assert np.abs(err_ulp(got, true)).max() <= 4


def test_constants_have_the_digits_of_pairs() -> None:
    """Decimal rounds to 28 digits unless told otherwise; pairs hold 32."""
    with precision(200):
        pi = arb.pi()
        for known, true in (
            (meanings.HALF_PI, pi / 2),
            (meanings.DENSITY_AT_0, 1 / (2 * pi).sqrt()),
            (meanings.TWO_OVER_ROOT_PI, 2 / pi.sqrt()),
        ):
            assert abs(arb(fmpq(known.numerator, known.denominator)) / true - 1) < 2.0**-115
