"""Ops about order, running ops, windows and layers on XLA: as on the NumPy engine."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax", reason="the XLA engine needs JAX: pip install stablegrad[jax]")

from stablegrad.engines import plan
from stablegrad.ir import OPS, make
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import INPUT, const, is_float
from stablegrad.program import compile_terms
from stablegrad.settings import Settings
from tests.ops.layer_cases import CASES


def test_values_and_gradients_are_those_of_the_numpy_engine() -> None:
    """All in one program, which XLA compiles once."""
    inputs, values, terms, names = [], [], [], []
    for name, cases in CASES.items():
        arrays, params = cases[0]
        mine = [make(INPUT, (), (len(inputs) + i,), a.shape, a.dtype) for i, a in enumerate(arrays)]
        inputs += mine
        values += arrays
        found = [OPS[name](*mine, **params)]
        if is_float(found[0].dtype):
            ones = const(1, found[0].dtype, found[0].shape)
            found += [gradient(found[0], x, ones) for x in mine if is_float(x.dtype)]
        terms += found
        names += [name] * len(found)
    program = compile_terms(terms, inputs, Settings())
    expected = program(values)
    got = plan("xla", program.roots, inputs)(values)
    for name, a, b in zip(names, got, expected, strict=True):
        scale = np.abs(b).max(initial=0, where=np.isfinite(b))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * scale + 1e-15, err_msg=name)
