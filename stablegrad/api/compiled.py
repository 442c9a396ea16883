"""compile: a function traced once and run many times."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stablegrad.api.arguments import (
    check_callable,
    flatten,
    outermost,
    output_tensors,
    unflatten,
    values_of,
)
from stablegrad.collecting import seldom_collected
from stablegrad.engines import ENGINES
from stablegrad.errors import UnknownNameError, message
from stablegrad.ir import Term, rebuild
from stablegrad.program import Program, program_of
from stablegrad.settings import Settings, current
from stablegrad.tensor.cells import freeze, leaf_term
from stablegrad.tensor.core import Tensor, as_tensor, leaf_of, traced_input
from stablegrad.tensor.gradients import requires_grad
from stablegrad.tensor.mode import MODE, mode


@dataclass(slots=True)
class Traced:
    """A traced function: its program, and where the values of its leaves come from."""

    program: Program
    leaves: list[Term]
    inputs: dict[Term, int]
    """The places of the inputs among the arguments."""
    roots: list[Term]
    structure: Any
    settings: Settings
    differentiable: bool
    """Whether leaves from outside ask for gradients."""


def compile(f: Callable[..., Any], engine: str = "numpy") -> Callable[..., Any]:
    """A function that is traced once for each set of shapes and dtypes, then only run.

    Arrays, tensors and floats are inputs; integers, booleans, strings and None are constants
    of the trace. Tensors that f takes from outside are read anew at each call.

    Args:
        f: a function of arrays, numbers, or containers of them; its course must not depend on
            values (choose with ``sg.numpy.where``).
        engine: what runs the program: "numpy", exact IEEE arithmetic with subnormals, or "xla",
            which needs JAX, fuses, and promises figures where inputs, results and what lies
            between are normal floats.

    Returns:
        A function with f's arguments and results, to the same figures.

    Raises:
        TraceError: f looks at a value while it is traced.
        UnknownNameError: no such engine.

    Example:
        >>> @sg.compile
        ... def f(x):
        ...     return sg.ops.log(1 - sg.ops.sigmoid(x))
        >>> f(np.array([50.0])).numpy()
        array([-50.])
    """
    check_callable(f, "compile")
    if engine not in ENGINES:
        raise UnknownNameError(message(f"the engine {engine!r}", f"one of {ENGINES}"))
    if engine == "xla":
        from stablegrad.engines.xla import import_jax

        import_jax()
    traces: dict[Any, Traced] = {}

    @functools.wraps(f)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        if not outermost():
            return f(*args, **kwargs)
        leaves, structure = flatten((args, kwargs))
        dynamic = [i for i, x in enumerate(leaves) if _is_input(x)]
        given = [as_tensor(leaves[i]) for i in dynamic]
        static = [None if _is_input(x) else x for x in leaves]
        settings = current()
        described = tuple([(t.shape, t.dtype) for t in given])
        key = (structure, tuple(dynamic), described, _static_key(static), settings)
        trace = traces.get(key)
        if trace is None:
            trace = traces[key] = _trace(f, structure, static, dynamic, given, engine)
        return _run(_fitting(trace, engine), given)

    return compiled


def _is_input(x: Any) -> bool:
    return isinstance(x, Tensor | np.ndarray | np.floating | float)


def _static_key(static: list[Any]) -> tuple[Any, ...]:
    try:
        hash(tuple(static))
    except TypeError:
        return tuple([id(x) for x in static])
    return tuple([(type(x), x) for x in static])


def _trace(
    f: Callable[..., Any],
    structure: Any,
    static: list[Any],
    dynamic: list[int],
    given: list[Tensor],
    engine: str,
) -> Traced:
    leaves = list(static)
    inputs = [traced_input(t.shape, t.dtype) for t in given]
    for i, t in zip(dynamic, inputs, strict=True):
        leaves[i] = t
    args, kwargs = unflatten(structure, leaves)
    settings = current()
    with seldom_collected():
        with mode(whole=True, traced=True, level=MODE.get().level + 1):
            ys, result = output_tensors(f, f(*args, **kwargs), "compile")
        roots = [y.term for y in ys]
        program, found = program_of(roots, settings, engine)
    places = {t.term: i for i, t in enumerate(inputs)}
    outside = [t for t in found if t not in places]
    return Traced(
        program, found, places, roots, result, settings, any(requires_grad(t) for t in outside)
    )


def _fitting(trace: Traced, engine: str) -> Traced:
    """The trace, or one for values from outside of which others are the number 1 than were."""
    turned = {
        leaf: _replaced(leaf)
        for leaf in trace.leaves
        if leaf not in trace.inputs and leaf.params[0].latest().is_one != leaf.params[0].is_one
    }
    if not turned:
        return trace
    roots = rebuild(trace.roots, turned)
    program, leaves = program_of(roots, trace.settings, engine)
    return replace(trace, program=program, leaves=leaves, roots=roots)


def _run(trace: Traced, given: list[Tensor]) -> Any:
    arrays = values_of(given)
    values = [
        arrays[trace.inputs[leaf]] if leaf in trace.inputs else leaf.params[0].latest().value
        for leaf in trace.leaves
    ]
    found = [freeze(v) for v in trace.program(values)]
    tracks = MODE.get().grad and (trace.differentiable or any(t.requires_grad for t in given))
    if not tracks:
        tensors = [leaf_of(value) for value in found]
    else:
        tensors = [_tracked(v, t) for v, t in zip(found, _origins(trace, given), strict=True)]
    for t, root in zip(tensors, trace.roots, strict=True):
        t._program = (root, trace.settings)
    return unflatten(trace.structure, tensors)


def _tracked(value: Any, origin: Term) -> Tensor:
    differentiable = value.dtype.kind in "fV" and requires_grad(origin)
    return leaf_of(value, origin=origin if differentiable else None)


def _origins(trace: Traced, given: list[Tensor]) -> list[Term]:
    """The roots over the arguments of this call, through which gradients go on."""
    actual: dict[Term, Term] = {}
    for leaf in trace.leaves:
        if leaf in trace.inputs:
            actual[leaf] = given[trace.inputs[leaf]].term
        elif leaf.params[0].successor is not None:
            actual[leaf] = _replaced(leaf)
    return rebuild(trace.roots, actual)


def _replaced(leaf: Term) -> Term:
    """The leaf of the cell that stands in the place of a leaf's own now."""
    return leaf_term(leaf.params[0].latest(), leaf.shape, leaf.dtype)


__all__ = ["ENGINES", "compile"]
