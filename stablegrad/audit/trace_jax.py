"""A JAX function's program as terms, each with the line of its source that JAX remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.audit.trace import (
    Trace,
    is_data,
    is_numbers,
    name_of,
    parameter_names,
    program_of,
    wrong,
)
from stablegrad.jax.unrolled import Traced, flatten, is_jax_array, unroll
from stablegrad.ops.record import is_float
from stablegrad.tensor import Tensor
from stablegrad.tensor.cells import freeze, value_leaf

Array = np.ndarray[Any, Any]


def jax_inputs(
    f: Callable[..., Any], args: Sequence[Any]
) -> tuple[list[Any], list[str], list[Traced | None], bool]:
    """The arguments as JAX takes them, with a term for every array.

    Returns:
        The arguments; the names of their leaves; each as an array with its term, None where it
        is no data; and whether JAX took float64 for float32.
    """
    from jax.numpy import asarray

    names: list[str] = []
    leaves: list[Any] = []
    given: list[Any] = []
    for name, arg in zip(parameter_names(f, len(args)), args, strict=True):
        for path, leaf in flatten(arg, is_leaf=is_numbers):
            names.append(name + path)
            leaves.append(leaf)
        given.append(arg)
    inputs: list[Traced | None] = []
    narrowed = False
    for leaf in leaves:
        if not (is_data(leaf) or is_jax_array(leaf) or is_numbers(leaf)):
            inputs.append(None)
            continue
        own = leaf.numpy() if isinstance(leaf, Tensor) else leaf
        value = asarray(own)
        narrowed |= np.dtype(getattr(own, "dtype", value.dtype)).itemsize > value.dtype.itemsize
        inputs.append(Traced(value, value_leaf(freeze(np.array(value)))))
    return given, names, inputs, narrowed


def trace_jax(f: Callable[..., Any], args: Sequence[Any]) -> Trace:
    """Read off the program of a JAX function at the user's data.

    Raises:
        DTypeError: a result that is not one array of floats computed from the inputs; a
            primitive that has no counterpart here.
    """
    given, names, inputs, narrowed = jax_inputs(f, args)
    given_terms = [(n, x.term) for n, x in zip(names, inputs, strict=True) if x is not None]
    terms = [(name, t) for name, t in given_terms if t is not None]
    if not any(is_float(t.dtype) for _, t in terms):
        raise wrong(
            f,
            f"{name_of(f)} with no floating-point input",
            "at least one array of floats, or float, among the arguments",
        )
    found = unroll(f, given, inputs, is_numbers)
    if len(found.results) != 1:
        raise wrong(
            f,
            f"{len(found.results)} results from {name_of(f)}",
            "one array of floating-point numbers",
            "Audit one result at a time.",
        )
    (result,) = found.results
    dtype = np.dtype(result.value.dtype)
    if not is_float(dtype):
        raise wrong(f, f"a result of dtype {dtype} from {name_of(f)}", "floating-point numbers")
    traced = program_of(f, result.as_term(), terms, found.places)
    if narrowed:
        traced.notes.append(
            "float64 inputs were taken as float32, as JAX does without jax_enable_x64"
        )
    return traced
