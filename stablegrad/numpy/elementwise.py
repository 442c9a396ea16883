"""Elementwise functions: a table of names, each an op of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, message
from stablegrad.ir import OPS
from stablegrad.ops.dtypes import common_dtype
from stablegrad.ops.record import constant_dtype
from stablegrad.tensor.apply import apply
from stablegrad.tensor.cells import as_dtype
from stablegrad.tensor.core import Tensor, as_tensor
from stablegrad.tensor.methods import no_out
from stablegrad.tensor.naming import named

_SAME = (
    "abs add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil copysign cos cosh "
    "divide equal exp exp2 expm1 floor floor_divide fma fmax fmin fmod greater greater_equal "
    "heaviside hypot isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp "
    "logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum mod multiply "
    "negative not_equal positive "
    "power reciprocal rint rsqrt sign signbit sin sinc sinh sqrt square subtract tan tanh trunc"
).split()

ELEMENTWISE: dict[str, str] = {
    name: op_name
    for name, op_name in {
        **{name: name for name in _SAME},
        "absolute": "abs", "fabs": "abs", "acos": "arccos", "acosh": "arccosh", "asin": "arcsin",
        "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2", "atanh": "arctanh",
        "fix": "trunc", "invert": "logical_not", "pow": "power",
        "remainder": "mod", "rint": "round", "true_divide": "divide",
    }.items()
    if op_name in OPS
}  # fmt: skip
"""The op for each name; ours without a NumPy name too (rsqrt)."""


def operands(*values: Any) -> list[Tensor]:
    """Tensors of some values; Python numbers take the dtype of the others, as constants do."""
    plain = [isinstance(v, int | float) and not isinstance(v, bool | np.generic) for v in values]
    if all(plain) or not any(plain):
        return [as_tensor(v) for v in values]
    given = {i: as_tensor(v) for i, v in enumerate(values) if not plain[i]}
    common = common_dtype(*[t.dtype for t in given.values()])
    return [
        given[i] if i in given else as_tensor(np.asarray(v, constant_dtype(v, common)))
        for i, v in enumerate(values)
    ]


def function(name: str, op_name: str, module: str) -> Callable[..., Tensor]:
    """A function of arrays that applies an op."""
    op = OPS[op_name]
    count = len(op.domain)

    def elementwise(*arrays: Any, out: None = None, where: Any = True, dtype: Any = None) -> Tensor:
        no_out(out)
        if where is not True:
            raise DTypeError(
                message(f"{name}(where=)", "all elements", "sg.numpy.where(c, a, b) chooses.")
            )
        if len(arrays) != count:
            few = "an array" if count == 1 else f"{count} arrays"
            raise DTypeError(message(f"{len(arrays)} arguments for {name}", few))
        if op_name == "positive" and isinstance(arrays[0], Tensor):
            return arrays[0]
        result = apply(op, arrays)
        return result if dtype is None else result.astype(as_dtype(dtype))

    return named(elementwise, name, op.doc, module)


def functions() -> dict[str, Callable[..., Tensor]]:
    """All functions of the table."""
    return {n: function(n, op_name, "stablegrad.numpy") for n, op_name in ELEMENTWISE.items()}
