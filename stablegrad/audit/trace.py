"""The user's program as terms: its result, its inputs, and the line of every operation."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import optree

from stablegrad.errors import DTypeError
from stablegrad.expressions import Expression
from stablegrad.ir import Term, make, provenance, rebuild, topological
from stablegrad.ops.record import CONST, INPUT, is_float
from stablegrad.program import numbered
from stablegrad.settings import naive
from stablegrad.tensor import Tensor, tensor
from stablegrad.tensor.mode import mode

Array = np.ndarray[Any, Any]

TREES: dict[str, Any] = {"none_is_leaf": True, "namespace": "stablegrad"}
EXPRESSION = "<expression>"


class Argument(NamedTuple):
    """An array among the arguments of the user's function, in whose order they stand."""

    name: str
    input: Term
    """Its input; one of its own where the result does not depend on it."""
    value: Array
    default: float | None
    """What the function takes where it is not given; None if it must be."""


@dataclass
class Trace:
    """A program over numbered inputs.

    Attributes:
        result: what the function returned.
        inputs: the terms of all its leaves.
        values: the arrays that the user gave for them.
        variables: name and input term of what gradients are taken by.
        places: "file:line" of each term, or the text of a part of an expression.
        notes: what a reader must know of how it was read.
        arguments: all arrays among the arguments, in the order of the function.
    """

    result: Term
    inputs: list[Term]
    values: list[Array]
    variables: list[tuple[str, Term]]
    places: dict[Term, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    arguments: list[Argument] = field(default_factory=list)

    @property
    def bindings(self) -> dict[Term, Array]:
        """The value of each input."""
        return dict(zip(self.inputs, self.values, strict=True))


def name_of(f: Callable[..., Any]) -> str:
    """What reports call a function."""
    return getattr(f, "__name__", None) or type(f).__name__


def parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    """Names for the positional arguments of a function."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for p in parameters:
        if p.kind is p.VAR_POSITIONAL:
            names += [f"{p.name}[{i}]" for i in range(count - len(names))]
        elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
    return [*names[:count], *[f"argument {i}" for i in range(len(names), count)]]


def default_numbers(f: Callable[..., Any]) -> dict[str, float]:
    """The parameters of a function that are numbers where they are not given."""
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        return {}
    return {n: p.default for n, p in parameters.items() if type(p.default) in (int, float)}


def is_data(value: Any) -> bool:
    """Whether a leaf of the arguments becomes a tensor; anything else is passed on as it is."""
    if isinstance(value, Tensor | np.ndarray | np.number):
        return True
    return isinstance(value, float)


def is_numbers(value: Any) -> bool:
    """Whether a list is one array written out, not a container of inputs."""
    if isinstance(value, list):
        return bool(value) and all(
            (isinstance(v, int | float) and not isinstance(v, bool)) or is_numbers(v) for v in value
        )
    return False


def as_inputs(
    f: Callable[..., Any], args: Sequence[Any]
) -> tuple[list[Any], list[tuple[str, Tensor]]]:
    """The arguments with tensors in place of data, and the tensors by name."""
    named: list[tuple[str, Tensor]] = []
    given: list[Any] = []
    for name, arg in zip(parameter_names(f, len(args)), args, strict=True):
        paths, leaves, spec = optree.tree_flatten_with_path(arg, is_leaf=is_numbers, **TREES)
        fresh: list[Any] = []
        for path, leaf in zip(paths, leaves, strict=True):
            if not (is_data(leaf) or is_numbers(leaf)):
                fresh.append(leaf)
                continue
            value = leaf.numpy() if isinstance(leaf, Tensor) else leaf
            new = tensor(value)
            if is_float(new.dtype):
                new = tensor(value, requires_grad=True)
            full = name + "".join([f"[{key!r}]" for key in path])
            named.append((full, new))
            fresh.append(new)
        given.append(optree.tree_unflatten(spec, fresh))
    return given, named


def trace(f: Callable[..., Any], args: Sequence[Any]) -> Trace:
    """Run a function on tensors of the user's data, or on JAX's tracers, and read its program.

    Raises:
        DTypeError: a result that is no tensor, or holds no floating-point numbers, or does not
            depend on the inputs; no floating-point input.
    """
    if wants_jax(args):
        return _trace_by_jax(f, args)
    try:
        return _trace_tensors(f, args)
    except Exception as error:
        if "jax" not in sys.modules or not _maybe_jax(f):
            raise
        if from_jax(error):
            return _trace_by_jax(f, args)
        try:  # jnp.ones(3) * tensor, tensor.at[0]: no error of JAX's, but a function of its arrays
            return _trace_by_jax(f, args)
        except Exception:  # noqa: BLE001 - the first error is of the function's own
            raise error from None


def _trace_by_jax(f: Callable[..., Any], args: Sequence[Any]) -> Trace:
    from stablegrad.audit.trace_jax import trace_jax

    return trace_jax(f, args)


def _maybe_jax(f: Callable[..., Any]) -> bool:
    """Whether a function may compute with JAX: an expression and a class of ours do not."""
    return not isinstance(f, Expression)


class _JaxResultError(DTypeError):
    """A function of tensors that returned an array of JAX's."""


def is_jax(value: Any) -> bool:
    """Whether a value is an array of JAX's."""
    return type(value).__module__.partition(".")[0] in ("jax", "jaxlib") and hasattr(value, "dtype")


def wants_jax(args: Sequence[Any]) -> bool:
    """Whether arguments hold arrays of JAX's."""
    if "jax" not in sys.modules:
        return False
    leaves: list[Any] = sys.modules["jax"].tree.leaves(tuple(args))
    return any(is_jax(leaf) for leaf in leaves)


def from_jax(error: BaseException) -> bool:
    """Whether an error is one of JAX's: of a function that takes no tensors of ours."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, _JaxResultError):
        return True
    frames = traceback.walk_tb(error.__traceback__)
    homes = {frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in frames}
    return "jax" in homes or "valid JAX type" in str(error)


def _trace_tensors(f: Callable[..., Any], args: Sequence[Any]) -> Trace:
    given, named = as_inputs(f, args)
    floats = [(name, x) for name, x in named if is_float(x.dtype)]
    if not floats:
        raise wrong(
            f,
            f"{name_of(f)} with no floating-point input",
            "at least one array of floats, or float, among the arguments",
        )
    texts: dict[Term, str] = {}
    with mode(whole=True, grad=True), naive(), provenance:
        result = _call(f, given, texts)
    _check(f, result)
    return program_of(f, result.term, [(name, x.term) for name, x in named], texts)


def program_of(
    f: Callable[..., Any],
    result: Term,
    arguments: Sequence[tuple[str, Term]],
    places: Mapping[Term, str],
) -> Trace:
    """A program over numbered inputs, from a term over leaves.

    Args:
        f: the function that it is of, for errors.
        result: what it returned.
        arguments: the leaves of its arguments, by name; gradients are taken by those of floats.
        places: the user's lines, as far as terms do not know them themselves.
    """
    order, leaves, image = numbered([result])
    leaves = [t for t in leaves if t.params[0].value is not None]  # the rest are placeholders
    renamed = dict(zip(order, rebuild(order, dict(image)), strict=True))
    known = set(leaves)
    variables = [(name, image[x]) for name, x in arguments if x in known and is_float(x.dtype)]
    if not variables:
        raise wrong(
            f,
            f"a result of {name_of(f)} that does not depend on its inputs",
            "one computed from them by operations on tensors",
            "np.asarray, .numpy() and float() leave the program that can be audited.",
        )
    named = {renamed[t]: places.get(t) or t.place for t in order if t in places or t.written}
    root = renamed[result]
    found = Trace(
        root, [image[t] for t in leaves], [t.params[0].value for t in leaves], variables, named
    )
    defaults = default_numbers(f)
    for i, (name, x) in enumerate(arguments, len(image)):
        own = image[x] if x in known else make(INPUT, (), (i,), x.shape, x.dtype)
        found.arguments.append(Argument(name, own, x.params[0].value, defaults.get(name)))
    inherit_places(found.places, [root])
    return found


def _call(f: Callable[..., Any], given: list[Any], texts: dict[Term, str]) -> Any:
    if not isinstance(f, Expression):
        return f(*given)

    def seen(text: str, value: Any) -> None:
        if isinstance(value, Tensor):
            texts.setdefault(value.term, f"{EXPRESSION}:{text}")

    return f.walk(dict(zip(f.names, given, strict=True)), seen)


def _check(f: Callable[..., Any], result: Any) -> None:
    expected = "one tensor of floating-point numbers"
    if is_jax(result):
        raise _JaxResultError("an array of JAX's")
    if not isinstance(result, Tensor):
        what = type(result).__name__
        hint = "Compute with sg.numpy, or with np's functions on the tensors given."
        if isinstance(result, tuple | list | dict):
            hint = "Audit one result at a time."
        elif result is None:
            hint = "Is the return statement missing?"
        raise wrong(f, f"a result of type {what} from {name_of(f)}", expected, hint)
    if not is_float(result.dtype):
        raise wrong(f, f"a result of dtype {result.dtype} from {name_of(f)}", expected)


def wrong(f: Callable[..., Any], got: str, expected: str, hint: str = "") -> DTypeError:
    """An error about a whole function, with the place where it is written."""
    code = getattr(inspect.unwrap(f), "__code__", None)
    place = f" (at {code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return DTypeError(f"got {got}; expected {expected}{place}. {hint}".strip())


def inherit_places(places: dict[Term, str], roots: Sequence[Term]) -> None:
    """Give terms without a line that of what they are used in."""
    for term in reversed(topological(roots)):
        place = places.get(term)
        if place is None:
            continue
        for a in term.args:
            if a.op is not INPUT and a.op is not CONST:
                places.setdefault(a, place)
