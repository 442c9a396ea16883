"""float16 and bfloat16: every op computes inside in float64 and rounds once.

The exhaustive sweep over all inputs is ``python -m benchmarks.sweep``; here is a sample.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad import nn, optim
from stablegrad.ops.derivative import pushforward
from stablegrad.ops.dtypes import common_dtype, converted
from stablegrad.ops.exact import round_to
from stablegrad.ops.record import Op, is_float
from stablegrad.oracle import err_ulp, truth
from stablegrad.oracle.rounding import round_exact
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.testing import SEED, check_op, leaf, variable
from tests.ops.test_contract import CONTRACTS, NEAR, STRUCTURED, label

BFLOAT16 = ml_dtypes.bfloat16
HALVES = (np.float16, BFLOAT16)
half = pytest.mark.parametrize("dtype", HALVES, ids=lambda d: d.__name__)

UNARY = [(op, params) for op, params in CONTRACTS if len(op.domain) == 1][::3]
"""A third of the unary ops: lowering is one for all of them."""


@pytest.mark.parametrize(("op", "params"), UNARY, ids=label)
def test_values_and_derivatives_round_once(op: Op, params: dict[str, Any]) -> None:
    dtype = HALVES[sum(op.name.encode()) % 2]  # both of each op would take twice the time
    report = check_op(op, params=params, near=NEAR.get(op.name, ()), dtypes=(dtype,), n=8, orders=1)
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("op", "values", "params"),
    STRUCTURED,
    ids=lambda v: None if isinstance(v, list) else label(v),
)
@half
def test_structured_ops_round_once(
    op: Op, values: list[Any], params: dict[str, Any], dtype: Any
) -> None:
    rng = np.random.default_rng(SEED)
    values = [np.asarray(v) for v in values]
    values = [_everyday(v).astype(dtype) if is_float(v.dtype) else v for v in values]
    leaves = [leaf(v) for v in values]
    names = [variable(f"x{i}", v.dtype, v.shape) for i, v in enumerate(values)]
    bound = dict(zip(names, values, strict=True))
    term, meant = op(*leaves, **params), op(*names, **params)
    if not is_float(term.dtype):
        (got,) = evaluate([term], current())
        assert np.array_equal(got, truth(meant, bound, np.float64, limits=False).value)
        return
    x, name = leaves[0], names[0]
    direction = rng.normal(size=x.shape).astype(dtype)
    pushed = pushforward(term, (x,), (leaf(direction),))
    along = {name: direction.astype(float)}
    true = [truth(meant, bound, limits=False), truth(meant, bound, order=1, direction=along)]
    for got, exact in zip(evaluate([term, pushed], current()), true, strict=True):
        assert (got.shape, got.dtype) == (term.shape, term.dtype)
        true_value = exact.value.astype(float)
        with np.errstate(invalid="ignore"):
            off = np.abs(got.astype(float) - true_value)
        # beside cancellation in linear algebra the bound is n*eps of float64, of the greatest
        greatest = np.abs(np.nan_to_num(true_value)).max(initial=0.0)
        close = off <= 64 * x.size * 2.2e-16 * greatest
        assert ((err_ulp(got, exact, dtype) <= 1) | close).all()


def _everyday(v: np.ndarray) -> np.ndarray:
    """Numbers of a size that every dtype holds."""
    if not v.size:
        return v
    return v * 2.0 ** -max(0, math.frexp(np.abs(v[np.isfinite(v)]).max(initial=0.0))[1] - 8)


# -- dtypes of results --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        ("float16", "float32"), ("float32", "float32"), ("float64", "float64"),
        ("int8", "bfloat16"), ("uint8", "bfloat16"), ("int16", "float32"), ("int32", "float64"),
        ("int64", "float64"), ("bool", "bfloat16"), ("bfloat16", "bfloat16"),
    ],
)  # fmt: skip
def test_bfloat16_promotes(other: str, wanted: str) -> None:
    a, b = sg.tensor([1.0], dtype="bfloat16"), sg.tensor(np.array([1]).astype(other))
    assert (a + b).dtype == (b * a).dtype == np.dtype(wanted)
    assert snp.concatenate([a, b]).dtype == np.dtype(wanted)
    assert common_dtype(a.dtype, b.dtype) == np.dtype(wanted)
    assert (a + b).item() == 2.0


@pytest.mark.parametrize("other", ["int8", "int16", "int64", "bool", "float32", "float64"])
def test_float16_promotes_as_numpy_has_it(other: str) -> None:
    a, b = np.ones(1, np.float16), np.ones(1, other)
    assert (sg.tensor(a) * sg.tensor(b)).dtype == (a * b).dtype


@half
def test_python_numbers_take_the_dtype(dtype: Any) -> None:
    x = sg.tensor([1.0, 2.0], dtype=dtype)
    for y in (x + 1, 2.5 * x, x**2, x / 3, 1 - x, x > 1, snp.maximum(x, 0.5)):
        assert y.dtype in (np.dtype(dtype), np.dtype(bool))
    assert (x + 0.1).numpy().tolist() == (x.numpy() + dtype(0.1)).tolist()


# -- rounding -----------------------------------------------------------------------------


@half
def test_conversions_round_once(dtype: Any) -> None:
    rng = np.random.default_rng(SEED)
    info = ml_dtypes.finfo(dtype)
    ends = np.array(
        [0.0, info.max, info.tiny, info.smallest_subnormal, info.smallest_subnormal / 2]
    )
    floats = rng.normal(size=500) * 2.0 ** rng.uniform(-30, 17, 500)
    floats = np.clip(floats, -6e4, 6e4)
    narrow = floats.astype(dtype).astype(float)
    midpoints = narrow + np.ldexp(1.0, np.frexp(narrow)[1] - 2 - info.nmant)
    x = np.concatenate([floats, midpoints, midpoints * (1 + 2.0**-40), midpoints * (1 - 2.0**-40)])
    x = np.concatenate([x, ends, -x, [np.inf, -np.inf, 65519.9, 65520.0, 3.3961775e38]])
    wanted = [round_exact(Fraction(v), dtype) if np.isfinite(v) else v for v in x.tolist()]
    with np.errstate(over="ignore"):
        for got in (converted(x, np.dtype(dtype)), sg.tensor(x).astype(dtype).numpy()):
            assert np.array_equal(got.astype(float), wanted)
        constants = [float(round_to(Fraction(v), np.dtype(dtype))) for v in x[np.isfinite(x)]]
    assert constants == [w for w, v in zip(wanted, x.tolist(), strict=True) if np.isfinite(v)]


@half
def test_nothing_is_rounded_inside(dtype: Any) -> None:
    x = sg.tensor([3.0, 4.0], dtype=dtype)
    big = x * 1e4 if dtype is np.float16 else x * 1e38
    assert snp.linalg.norm(big).item() == dtype(5e4 if dtype is np.float16 else 5e38)
    assert ((x + 1000.0) - 1000.0).numpy().tolist() == [3.0, 4.0]
    assert snp.reshape(x / 3.0, (2, 1)).sum().item() == float(dtype(7 / 3))
    assert (snp.exp(x).astype(np.float64).numpy() == np.exp([3.0, 4.0])).all()


@half
def test_a_conversion_down_rounds(dtype: Any) -> None:
    x = sg.tensor([1 / 3])
    assert x.astype(dtype).astype(np.float32).item() == float(dtype(np.float32(1 / 3)))


@half
@pytest.mark.parametrize("mode", ["naive", "lower", "stabilize"])
def test_without_wider_arithmetic_each_op_rounds(dtype: Any, mode: str) -> None:
    x = sg.tensor([0.3, 20.0], dtype=dtype, requires_grad=True)
    with sg.naive() if mode == "naive" else sg.rules(exclude=mode):
        e = sg.ops.exp(x)
        y = sg.special.gammaln(1 + e)
        (g,) = sg.autograd.grad(y.sum(), x)
    assert y.dtype == g.dtype == np.dtype(dtype)
    assert np.isfinite(y.numpy().astype(float)[0])
    if mode != "lower":
        assert (x + 1000.0 - 1000.0).dtype == np.dtype(dtype)


# -- faces --------------------------------------------------------------------------------


@half
def test_transforms(dtype: Any) -> None:
    x = sg.tensor([0.5, 20.0], dtype=dtype)
    f = lambda x: sg.ops.log(1 - sg.ops.sigmoid(x)).sum()  # noqa: E731
    true = -1 / (1 + np.exp(-x.numpy().astype(float)))
    for g in (sg.grad(f)(x), sg.jvp(f, (x,), (x * 0 + 1,))[1], sg.compile(sg.grad(f))(x)):
        assert g.dtype == np.dtype(dtype)
    assert np.allclose(sg.grad(f)(x).numpy().astype(float), true, rtol=2.0**-8)
    assert sg.hessian(f)(x).dtype == np.dtype(dtype)
    assert sg.jacobian(sg.ops.exp)(x).dtype == np.dtype(dtype)
    assert sg.check_gradients(f, x).ok
    assert np.dtype(dtype).name in repr(x)
    assert np.dtype(dtype).name in sg.explain(sg.ops.exp(x)).source


@half
def test_audit_judges_in_the_dtype(dtype: Any) -> None:
    x = np.linspace(1, 15, 40).astype(dtype)
    found = sg.audit(lambda x: sg.ops.log(1 - sg.ops.sigmoid(x)), x)
    assert not found.ok
    assert found.findings


@half
def test_training(dtype: Any) -> None:
    nn.init.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    x, t = rng.normal(size=(32, 4)), rng.normal(size=(32, 1))
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 1)).to(dtype)
    data, target = (sg.tensor(v, dtype=dtype) for v in (x, t))
    for make in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop):
        optimizer = make(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(data), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
        assert all(p.dtype == p.grad.dtype == np.dtype(dtype) for p in model.parameters())


def test_adam_keeps_squares_that_half_precision_loses() -> None:
    w = sg.tensor([1.0], dtype=np.float16, requires_grad=True)
    optimizer = optim.Adam([w], lr=0.125)
    (w * 1e-4).sum().backward()  # the square is below the least float16
    optimizer.step()
    assert w.item() == 0.875


def test_a_module_changes_its_dtype() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = [p.numpy() for p in model.parameters()]
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    model(sg.tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()
    for change, dtype in ((model.half, np.float16), (model.bfloat16, BFLOAT16)):
        assert change() is model
        assert all(p.dtype == p.grad.dtype == np.dtype(dtype) for p in model.parameters())
    assert model.float().double().state_dict()["0.weight"].dtype == np.float64
    assert [b.dtype.kind for b in model.buffers()].count("f") == 2
    optimizer.step()
    assert all(p.shape == b.shape for p, b in zip(model.parameters(), before, strict=True))
    with pytest.raises(sg.errors.DTypeError, match="floating-point"):
        model.to(np.int32)
