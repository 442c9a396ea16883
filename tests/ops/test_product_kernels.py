"""Products of rows and running products against the truth, at all lengths and over the range."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad.engines.numpy import kernel_of, xp
from stablegrad.ir import OPS, make
from stablegrad.ops.products import row_products
from stablegrad.ops.record import INPUT
from stablegrad.oracle import err_ulp, truth
from stablegrad.program import compile_terms
from stablegrad.settings import Settings
from stablegrad.testing import SEED, variable
from stablegrad.testing.sampling import sample_bits

LENGTHS = (1, 2, 3, 4, 7, 11, 12, 13, 15, 23, 31, 50)


def rows(n: int, dtype: type) -> np.ndarray:
    """Everyday numbers, bit patterns, ups and downs beyond the range, zeros, subnormals."""
    rng = np.random.default_rng([SEED, n])
    everyday = rng.normal(size=(4, n))
    bits = sample_bits(dtype, 4 * n, rng).reshape(4, n).astype(float)
    most = np.finfo(dtype).maxexp - 2
    swing = np.ldexp(rng.uniform(1, 2, (4, n)), most * (1 - 2 * (np.arange(n) // 3 % 2)))
    swing[2:] = 1 / swing[2:]
    zero = np.where(rng.random((3, n)) < 1 / n, -0.0, everyday[:3])
    small = np.where(rng.random((1, n)) < 0.5, float(np.finfo(dtype).smallest_subnormal), 1.0)
    with np.errstate(over="ignore"):
        return np.concatenate([everyday, bits, swing, zero, small]).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["prod", "prod_others", "cumprod"])
def test_products_are_the_truth(name: str, dtype: type):
    op = OPS[name]
    for n in LENGTHS:
        x = rows(n, dtype)
        term = make(INPUT, (), (0,), x.shape, x.dtype)
        (got,) = compile_terms([op(term, axis=1)], [term], Settings())([x])
        named = variable("x", x.dtype, x.shape)
        true = truth(op(named, axis=1), {named: x}, dtype)
        bound = max(n / 2, 1.0) if dtype is np.float64 else 0.51
        with np.errstate(over="ignore"):
            over = np.isinf(got) & (np.abs(true.value.astype(float)) >= np.finfo(dtype).max)
        error = np.where(true.decided & ~over, err_ulp(got, true, dtype), 0.0)
        assert (error <= bound).all(), (n, error.max())


def reference(row: np.ndarray) -> float:
    """The product of a row with an infinity, a nan or a zero: of signs and kinds."""
    kinds = [np.sign(v) if np.isfinite(v) and v != 0 else v for v in row.astype(float)]
    with np.errstate(invalid="ignore"):
        return float(np.prod(kinds))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 12, 40])
def test_infinities_zeros_and_nan(n: int, dtype: type):
    rng = np.random.default_rng(SEED)
    x = sample_bits(dtype, 60 * n, rng).reshape(60, n)
    for i, pair in enumerate(
        [(np.inf, 1), (-np.inf, 1), (np.inf, 0.0), (np.nan, 1), (-0.0, 1), (0.0, -0.0)]
    ):
        x[i * 10 : i * 10 + 10, rng.integers(0, n // 2)] = pair[0]
        x[i * 10 : i * 10 + 10, n - 1] = pair[1]
    with np.errstate(all="ignore"):
        got = kernel_of(OPS["prod"])(xp, x, axis=(1,), keepdims=False)
        running = kernel_of(OPS["cumprod"])(xp, x, axis=1)[:, -1]
    expected = np.array([reference(row) for row in x])
    for value in (got, running):
        same = (value == expected) & (np.signbit(value) == np.signbit(expected))
        assert (same | (np.isnan(value) & np.isnan(expected))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_is_the_same_whatever_stands_beside_it(dtype: type):
    x = rows(50, dtype)
    with np.errstate(all="ignore"):
        mantissa, exponent = row_products(x)
        for i in range(len(x)):
            alone = row_products(x[i : i + 1])
            assert np.ldexp(alone[0][0], alone[1][0]) == np.ldexp(mantissa[i], exponent[i])
