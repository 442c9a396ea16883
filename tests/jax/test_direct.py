"""Kernels run into a module: what they put there is what JAX lowers a trace of them to."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

import jax

from stablegrad.ir import OPS, Term, make
from stablegrad.jax import primitive
from stablegrad.jax.direct import Direct
from stablegrad.jax.primitive import apply
from stablegrad.jax.regions import region_of
from stablegrad.ops.record import INPUT, REAL
from stablegrad.settings import Settings
from stablegrad.testing.sampling import sample_arguments

DIRECT = (
    "exp expm1 log log1p log1mexp sigmoid softplus log_sigmoid logit sqrt sinh cosh tanh sech "
    "sech_squared arctanh logaddexp sin cos divide subtract where maximum minimum sign floor "
    "isfinite less not_equal logical_not erf abs square erfc ndtr log_ndtr gelu"
).split()
SINGLE = "hypot silu".split()
"""These in float32 alone."""
TRACED = "lgamma digamma arctan2 arccosh cbrt erfinv gammainc betaln".split()
"""Kernels with series, calls of NumPy or functions that are written for the tracer alone."""
AXES = {
    "sum": {"axis": 1, "keepdims": True},
    "norm": {"axis": 0, "keepdims": False},
    "logsumexp": {"axis": 1, "keepdims": False},
    "softmax": {"axis": 1},
    "unit_vector": {"axis": 1},
    "transpose": {"axes": (1, 0)},
    "reshape": {"shape": (4, 3)},
    "broadcast_to": {"shape": (2, 3, 4)},
    "max": {"axis": None, "keepdims": False},
}


def of_elements(names: list[str], dtype: str) -> tuple[list[Term], list[Term], list[np.ndarray]]:
    """One call of each op on inputs of its own, with values of them."""
    rng = np.random.default_rng(11)
    roots, inputs, values = [], [], []
    for name in names:
        op = OPS[name]
        columns = sample_arguments(op.domain or (REAL,), np.dtype(dtype), 16, rng)
        if name in ("where", "logical_not"):
            masks = 1 if name == "where" else len(columns)
            columns = [c > 0 if i < masks else c for i, c in enumerate(columns)]
        mine = [
            make(INPUT, (), (len(inputs) + i,), c.shape, c.dtype) for i, c in enumerate(columns)
        ]
        inputs, values = [*inputs, *mine], [*values, *columns]
        roots.append(op(*mine))
    return roots, inputs, values


def of_axes(dtype: str) -> tuple[list[Term], list[Term], list[np.ndarray]]:
    x = make(INPUT, (), (0,), (3, 4), np.dtype(dtype))
    values = np.random.default_rng(3).normal(size=(3, 4)).astype(dtype)
    roots = [OPS[name](x, **params) for name, params in AXES.items()]
    roots += [OPS["concatenate"](x, x, axis=0), OPS["cumlogsumexp"](x, axis=1)]
    return roots, [x], [values]


def results(roots: list[Term], inputs: list[Term], values: list[np.ndarray]) -> list[np.ndarray]:
    region = region_of(roots, inputs, Settings(excluded=frozenset(["synthesis"])))
    with jax.enable_x64(True):
        return [np.asarray(x) for x in jax.jit(lambda *xs: apply(region, xs))(*values)]


def check(
    patch: pytest.MonkeyPatch, roots: list[Term], inputs: list[Term], values: list[np.ndarray]
) -> None:
    """That the results are to the bit those of a trace."""
    found = results(roots, inputs, values)
    patch.setattr(primitive, "lowered", lambda *_: None)
    jax.clear_caches()
    for root, x, y in zip(roots, found, results(roots, inputs, values), strict=True):
        assert x.dtype == y.dtype == root.dtype, root.op.name
        assert x.shape == y.shape == root.shape, root.op.name
        assert np.array_equal(x, y, equal_nan=x.dtype.kind == "f"), root.op.name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_elements_are_not_traced(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[object] = []
    trace = Direct.traced
    monkeypatch.setattr(Direct, "traced", lambda *args, **_: traced.append(args) or trace(*args))
    check(monkeypatch, *of_elements([*DIRECT, *SINGLE * (dtype == "float32")], dtype))
    assert not traced


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reductions_and_shapes(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, *of_axes(dtype))


def test_what_is_not_written_is_traced_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, *of_elements(TRACED, "float32"))
