"""Few elements, computed in Python's floats, are what arrays of them are, to the bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.engines.numpy import xp
from stablegrad.ops.lowered import SCALED_PRODUCT
from stablegrad.ops.lowered_calls import sum_and_size
from stablegrad.ops.singles import single_product, sum_of_few
from stablegrad.oracle import err_ulp, truth
from stablegrad.testing import SEED, leaf

ALARM = 4.0
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1.7e308, 1.0, 0.5])


def numbers(count: int, rng: np.random.Generator) -> np.ndarray:
    """Of every size, both signs, and special ones."""
    sizes = np.concatenate([rng.uniform(-320, 308, count // 2), rng.uniform(-2, 2, count // 2)])
    found = 10.0**sizes * rng.choice([-1.0, 1.0], sizes.size)
    return rng.permutation(np.concatenate([found, np.repeat(SPECIAL, 4)]))


@pytest.mark.parametrize("constant", [0, Fraction(1, 3), 2])
@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (2, 2)])
def test_sums_of_few_are_rounded_once(constant: int | Fraction, counts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(SEED)
    coefficients = (Fraction(-2, 7), 1)
    columns = [numbers(300, rng) for _ in range(sum(counts))]
    taken = 0
    with np.errstate(all="ignore"):
        whole, size = sum_and_size(xp, tuple(columns), constant, coefficients, counts)
        for i, row in enumerate(zip(*columns, strict=True)):
            xs = [np.array([x]) for x in row]
            found = sum_of_few(xs, constant, coefficients, counts, ALARM)
            if found is None:
                far = not abs(whole[i]) < 1e290 or max(map(abs, row)) > 1e290
                assert far or size[i] > 0.999 * ALARM * abs(whole[i])
                continue
            taken += 1
            assert found.shape == (1,)
            assert found[0] == whole[i]
            assert size[i] < 1.001 * ALARM * abs(whole[i]) or whole[i] == 0
    assert taken > 100


@pytest.mark.parametrize("powers", [(1, 1), (1, -1), (-1, 2), (3, 1)])
def test_products_of_single_numbers_are_those_of_arrays(powers: tuple[int, int]) -> None:
    rng = np.random.default_rng(SEED)
    a, b = numbers(200, rng), numbers(200, rng)
    params = {"powers": powers, "factor": Fraction(3, 4), "again": ()}
    with np.errstate(all="ignore"):
        whole = SCALED_PRODUCT.kernel(xp, a, b, **params)
        taken = 0
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            pair = np.array([[x]]), np.array([y])
            taken += single_product(pair, powers, Fraction(3, 4)) is not None
            found = SCALED_PRODUCT.kernel(xp, *pair, **params)
            assert found.shape == (1, 1)
            assert np.array_equal(found[0, 0], whole[i], equal_nan=True)
    assert taken > 50


@pytest.mark.parametrize("x", [-800.0, -700.0, -3.0, 2.0, 40.0])
def test_factors_are_watched_in_one_element_as_in_many(x: float) -> None:
    y = 1e305
    a, b = leaf(np.array([x])), leaf(np.array([y]))
    true = truth(b * sg.ops.sigmoid(a), {a: np.array([x]), b: np.array([y])})
    got = [
        (sg.tensor(np.full(n, y)) * sg.ops.sigmoid(sg.tensor(np.full(n, x)))).numpy()
        for n in (1, 2, 100)
    ]
    assert all(np.max(np.abs(err_ulp(g[:1], true))) <= 2 for g in got)
    assert all((g == got[0][0]).all() for g in got)
