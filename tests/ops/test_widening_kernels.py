"""Kernels that take float32s as they are give what they give in float64, and the truth."""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad.engines.numpy import kernel_of, xp
from stablegrad.ir import OPS, make
from stablegrad.ops.record import INPUT, Op
from stablegrad.oracle import err_ulp, truth
from stablegrad.program import compile_terms
from stablegrad.settings import Settings
from stablegrad.testing import SEED, variable
from stablegrad.testing.sampling import sample_bits, special_points

F32 = np.dtype(np.float32)
WIDENING = [op for op in OPS.values() if op.widens]
ELEMENTWISE = [op for op in WIDENING if op.elementwise]
ROWS = [op for op in WIDENING if not op.elementwise]
by_name = {"ids": lambda op: op.name}


def pairs_of_float32s() -> list[tuple[np.ndarray, np.ndarray]]:
    """All bit patterns, neighbours, opposites, multiples, everyday numbers, special points."""
    rng = np.random.default_rng(SEED)
    a, b = (sample_bits(F32, 4000, rng) for _ in range(2))
    near = (a.view(np.int32) + rng.integers(-9, 10, a.size, dtype=np.int32)).view(F32)
    with np.errstate(all="ignore"):
        close = (a * (1 + rng.uniform(-0.1, 0.1, a.size))).astype(F32)
        multiple = (b * rng.integers(-(2**24), 2**24, b.size)).astype(F32)
    everyday = [rng.uniform(-8, 8, 4000).astype(F32) for _ in range(2)]
    special = [p.ravel() for p in np.meshgrid(special_points(F32), special_points(F32))]
    return [
        (a, b), (a, near), (a, close), (a, -a), (multiple, b), (everyday[0], everyday[1]),
        (np.abs(everyday[0]), np.abs(everyday[1])), (special[0], special[1]),
    ]  # fmt: skip


def alike(got: np.ndarray, expected: np.ndarray, relative: float) -> np.ndarray:
    """Where two arrays agree: signs of zeros and infinities, nan, and else up to rounding."""
    with np.errstate(all="ignore"):
        close = np.abs(got - expected) <= relative * np.abs(expected)
    same = (got == expected) & (np.signbit(got) == np.signbit(expected))
    return same | (close & (expected != 0)) | (np.isnan(got) & np.isnan(expected))


@pytest.mark.parametrize("op", ELEMENTWISE, **by_name)
def test_float32s_as_they_are_give_the_value_in_float64(op: Op):
    for a, b in pairs_of_float32s():
        with np.errstate(all="ignore"):
            got = kernel_of(op)(xp, a, b)
            expected = kernel_of(op)(xp, a.astype(float), b.astype(float))
            row = kernel_of(op)(xp, a, b[7:8])
            wide = kernel_of(op)(xp, a.astype(float), b[7:8].astype(float))
        assert got.dtype == np.float64
        good = alike(got, expected, 2.0**-33)
        assert good.all(), (a[~good][:3], b[~good][:3], got[~good][:3], expected[~good][:3])
        assert alike(row, wide, 2.0**-33).all()


@pytest.mark.parametrize("op", ELEMENTWISE, **by_name)
def test_float32s_as_they_are_give_the_truth(op: Op):
    """The program that runs, on arrays of the size that kernels look for."""
    rng = np.random.default_rng(SEED)
    inputs = [make(INPUT, (), (i,), (4000,), F32) for i in range(2)]
    names = [variable(f"x{i}", F32) for i in range(2)]
    program = compile_terms([op(*inputs)], inputs, Settings())
    for pair in pairs_of_float32s():
        (got,) = program([np.resize(v, 4000) for v in pair])
        # zeros and infinities, where limits count: as in float64, which the contract test judges
        inside = np.logical_and.reduce([np.isfinite(v) & (v != 0) for v in pair])
        chosen = rng.permutation(np.flatnonzero(inside))[:60]
        bound = dict(zip(names, [v[chosen] for v in pair], strict=True))
        true = truth(op(*names), bound, F32)
        value = true.value.astype(float)
        decided = true.decided & np.isfinite(value) & (np.abs(value) < np.finfo(F32).max)
        error = np.where(decided, err_ulp(got[chosen], true, F32), 0.0)
        assert (error <= 0.51).all(), (bound, got[chosen], error)


def rows() -> np.ndarray:
    """Rows of all sizes of numbers: everyday, one ahead, ties, -0, masked, undefined, huge."""
    rng = np.random.default_rng(SEED)
    everyday = rng.normal(size=(12, 48)) * 3
    ahead = rng.normal(size=(4, 48)) - 40
    ahead[:, 5] = [0.0, -0.0, 30.0, 1e30]
    tiny = np.where(rng.random((2, 48)) < 0.5, 1e-45, -0.0)
    huge = sample_bits(F32, 96, rng).reshape(2, 48).astype(float)
    special = rng.normal(size=(5, 48))
    special[0, ::2], special[1], special[2, 3] = -np.inf, -np.inf, np.inf
    special[3, 7], special[4] = np.nan, 3e38
    with np.errstate(over="ignore"):
        return np.concatenate([everyday, ahead, tiny, huge, special]).astype(F32)


@pytest.mark.parametrize("op", ROWS, **by_name)
def test_rows_of_float32s_give_the_value_in_float64(op: Op):
    x = rows()
    rng = np.random.default_rng(SEED)
    more = [rng.normal(size=x.shape).astype(F32) for _ in range(2)]
    more[1][:, 3] = [0.0, -0.0, 1e30, -1e-40, 1.0] * 5
    static = dict(zip(op.params, op.defaults, strict=True)) | {"axis": (1,)}
    for t in more if _arguments(op) == 2 else [None]:
        narrow = [x] if t is None else [x, t]
        with np.errstate(all="ignore"):
            got = kernel_of(op)(xp, *narrow, **static)
            expected = kernel_of(op)(xp, *[a.astype(float) for a in narrow], **static)
            alone = [
                kernel_of(op)(xp, *[a[i : i + 1] for a in narrow], **static) for i in range(25)
            ]
        assert got.dtype == np.float64
        scale = np.nanmax(np.abs(expected), axis=-1, keepdims=True, initial=0.0)
        scale = scale if expected.ndim == 2 and t is not None else np.abs(expected)
        with np.errstate(invalid="ignore"):
            off = np.abs(got - expected)
        close = off <= 2.0**-36 * np.where(np.isfinite(scale), scale, 0.0)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        assert (same | close).all()
        assert np.concatenate(alone).tobytes() == got.tobytes()  # whatever stands beside a row


def _arguments(op: Op) -> int:
    return 2 if op.name.endswith(("_jvp", "_vjp", "_divergence", "_gap")) else 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_rows_give_the_truth(name: str, dtype: type):
    with np.errstate(over="ignore"):
        x = rows()[:, :9].astype(dtype)
    x = x[np.isfinite(x).all(axis=1)]
    term = make(INPUT, (), (0,), x.shape, x.dtype)
    op = OPS[name]
    (got,) = compile_terms([op(term, axis=1)], [term], Settings())([x])
    named = variable("x", x.dtype, x.shape)
    true = truth(op(named, axis=1), {named: x}, dtype)
    bound = 24 if dtype is np.float64 else 0.51
    value = true.value.astype(float)
    cancels = np.abs(value) < 1e-3 if name == "logsumexp" else np.zeros(value.shape, bool)
    error = np.where(true.decided & ~cancels, err_ulp(got, true, dtype), 0.0)
    assert (error <= bound).all(), error.max()
