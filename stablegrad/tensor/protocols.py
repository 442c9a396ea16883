"""NumPy's protocols: ``np.exp(tensor)`` and its kind give tensors."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, message
from stablegrad.ir import OPS
from stablegrad.tensor.apply import apply
from stablegrad.tensor.core import Tensor
from stablegrad.tensor.methods import no_out

UFUNCS: dict[str, str] = {
    "absolute": "abs", "fabs": "abs", "true_divide": "divide", "conjugate": "positive",
    "rint": "round", "remainder": "mod", "matvec": "matmul",
    "invert": "logical_not", "bitwise_and": "logical_and", "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "expit": "sigmoid", "log_expit": "log_sigmoid", "gammaln": "lgamma", "psi": "digamma",
}  # fmt: skip
"""Ops for the ufuncs, NumPy's and SciPy's, whose names differ from ours."""

REDUCERS = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min",
    "logical_and": "all", "logical_or": "any", "logaddexp": "logsumexp",
}  # fmt: skip
"""Ops for the ``reduce`` of a ufunc."""

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
}
"""Our functions for NumPy's; the layer of NumPy's names fills it."""

_namespace: list[ModuleType] = []


def set_namespace(module: ModuleType) -> None:
    """Say which module holds NumPy's names for tensors."""
    _namespace[:] = [module]


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """A ufunc of NumPy or SciPy with a tensor among its arguments."""
    no_out(kwargs.pop("out", None))
    name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
    if method == "reduce" and ufunc.__name__ in REDUCERS:
        kwargs.setdefault("axis", 0)
        return getattr(self, REDUCERS[ufunc.__name__])(**_reduce_arguments(kwargs))
    if method == "__call__" and name not in OPS and ufunc in FUNCTIONS:
        return FUNCTIONS[ufunc](*inputs, **kwargs)
    where = kwargs.pop("where", True)
    dtype = kwargs.pop("dtype", None)
    if method != "__call__" or where is not True or kwargs or name not in OPS:
        found = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        options = "".join(f", {k}=" for k in kwargs)
        raise DTypeError(
            message(
                f"{found}(tensor{options})",
                "a function that tensors have",
                "np.asarray(tensor) gives the value as an array, without gradients.",
            )
        )
    result = inputs[0] if name == "positive" else apply(OPS[name], inputs)
    return result if dtype is None else result.astype(dtype)


def _reduce_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    given = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    extra = given.keys() - {"axis", "keepdims", "dtype"}
    if extra and any(given[k] not in (None, True) for k in extra):
        raise DTypeError(message(f"a reduction with {sorted(extra)}", "axis, dtype and keepdims"))
    return {k: v for k, v in given.items() if k not in extra}


def array_function(
    self: Tensor, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
) -> Any:
    """A function of NumPy with a tensor among its arguments."""
    ours = FUNCTIONS.get(function)
    if ours is None:
        name = f"{function.__module__}.{function.__name__}"
        raise DTypeError(
            message(
                f"{name} of a tensor",
                "a function that stablegrad.numpy has",
                "np.asarray(tensor) gives the value as an array, without gradients.",
            )
        )
    return ours(*args, **{k: v for k, v in kwargs.items() if v is not np._NoValue})


def array_namespace(self: Tensor, *, api_version: str | None = None) -> ModuleType:
    """The module with the array functions for tensors."""
    return _namespace[0]


def install(cls: type[Tensor]) -> None:
    """Give the tensor class NumPy's protocols."""
    cls.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
    cls.__array_function__ = array_function  # type: ignore[attr-defined]
    cls.__array_namespace__ = array_namespace  # type: ignore[attr-defined]
