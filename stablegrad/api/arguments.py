"""What goes into a transformed function and what comes out: variables, values, containers."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import Term
from stablegrad.ops.derivative import CUSTOM
from stablegrad.ops.record import LEAF, const, is_float
from stablegrad.program import evaluate
from stablegrad.settings import Settings, current
from stablegrad.tensor import history
from stablegrad.tensor.cells import freeze, placeholder
from stablegrad.tensor.core import Tensor, as_tensor, leaf_of, wrap
from stablegrad.tensor.gradients import requires_grad
from stablegrad.tensor.mode import MODE, Mode

Argnums = int | Sequence[int]


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a container (dicts, lists, tuples and what is registered); its structure."""
    return optree.tree_flatten(tree)


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    """The container of this structure with these leaves."""
    return optree.tree_unflatten(structure, leaves)


def name_of(f: Callable[..., Any]) -> str:
    """What to call a function in an error text."""
    return getattr(f, "__name__", type(f).__name__)


def check_callable(f: Any, transform: str) -> None:
    """Refuse what cannot be called, before anything else goes wrong."""
    if not callable(f):
        raise DTypeError(
            message(f"{transform}({type(f).__name__})", f"a function, as in sg.{transform}(f)(x)")
        )


def outermost() -> bool:
    """Whether no other transform is at work: values go in, values come out."""
    now = MODE.get()
    return now.level == 0 and not now.whole


@dataclass(slots=True)
class Variables:
    """The variables of a transform: the chosen arguments, their leaves fresh tensors."""

    structure: Any
    tensors: list[Tensor]
    single: bool
    """Whether argnums was one number, so that results are not a tuple."""

    @property
    def terms(self) -> list[Term]:
        return [t.term for t in self.tensors]

    def rebuilt(self, leaves: Sequence[Any]) -> Any:
        """Leaves in the structure of the chosen arguments."""
        chosen = unflatten(self.structure, leaves)
        return chosen[0] if self.single else chosen


def take_variables(
    f: Callable[..., Any], args: tuple[Any, ...], argnums: Argnums, transform: str
) -> tuple[Variables, tuple[Any, ...]]:
    """Exchange the chosen arguments for variables, and other arrays for tensors."""
    single = isinstance(argnums, int)
    numbers: tuple[Any, ...] = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not isinstance(number, int):
            raise DTypeError(message(f"argnums={argnums!r}", "an integer or several"))
        if not -len(args) <= number < len(args):
            raise ShapeError(
                message(
                    f"argnums={argnums!r} for {len(args)} positional arguments of {name_of(f)}",
                    "the places of arguments, counted from 0",
                )
            )
    places = [number % len(args) for number in numbers]
    if len(set(places)) < len(places):
        raise ShapeError(message(f"argnums={argnums!r}", "each argument once"))
    chosen, structure = flatten(tuple([args[i] for i in places]))
    tensors = [_differentiable(x, transform) for x in chosen]
    if outermost() and not any(isinstance(x, Tensor) for x in chosen):
        for t in tensors:  # nobody else has them
            t._requires = True
    else:
        tensors = variables(tensors)
    result = Variables(structure, tensors, single)
    given = dict(zip(places, unflatten(structure, tensors), strict=True))
    return result, tuple(
        [
            given[i] if i in given else optree.tree_map(_array_to_tensor, a)
            for i, a in enumerate(args)
        ]
    )


def _array_to_tensor(x: Any) -> Any:
    return as_tensor(x) if isinstance(x, np.ndarray | np.generic) else x


def _differentiable(x: Any, transform: str) -> Tensor:
    if not isinstance(x, Tensor | np.ndarray | np.generic | float | int):
        raise DTypeError(
            message(f"{type(x).__name__} as an input of {transform}", "arrays, tensors or floats")
        )
    t = as_tensor(x)
    if not is_float(t.dtype):
        raise DTypeError(
            message(
                f"an input of dtype {t.dtype} for {transform}",
                "a floating-point dtype",
                "Write 1.0 for 1, or choose other arguments with argnums=.",
            )
        )
    return t


def variables(tensors: Sequence[Tensor]) -> list[Tensor]:
    """A variable of its own for each tensor, distinct from whatever else has its value.

    The outermost transform takes its inputs as the floats they are; inside of another, an
    input stays the expression it is, so that rules see through it.
    """
    if outermost():
        return [_input(value, x) for x, value in zip(tensors, values_of(tensors), strict=True)]
    return [wrap(_marked(x.term), x.settings, requires=True) for x in tensors]


def _input(value: Any, x: Tensor) -> Tensor:
    variable = leaf_of(value, origin=x.term if x.requires_grad else None)
    variable._requires = True
    return variable


def _marked(x: Term) -> Term:
    """x as a variable of its own: a function with the identity as its value and gradient."""
    y, dy, dx = (placeholder(x.shape, x.dtype) for _ in range(3))
    return CUSTOM.term((x, x, y, dy, dy, dx, dx), (1, 1, 0))


def values_of(tensors: Sequence[Tensor]) -> list[Any]:
    """The values of several tensors, computed together where they have the same rules.

    A long history is cut here, so that a loop of steps runs the same programs each time.
    """
    for t in tensors:
        if t.term.depth > history.KEEP_AT_ENTRY and not t.requires_grad:
            t._term = history.cut(t.term, t.settings, chained=False, keep=history.KEEP_AT_ENTRY)
    groups: dict[Any, list[Tensor]] = {}
    for t in tensors:
        if t._value is None and t.term.op is not LEAF:
            groups.setdefault(t.settings, []).append(t)
    for settings, group in groups.items():
        for t, value in zip(group, evaluate([t.term for t in group], settings), strict=True):
            t._value = freeze(value)
    return [t.numpy() for t in tensors]


def call(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function inside of a transform.

    Raises:
        DTypeError: a plain number as result, and a value was taken out of a tensor on the way: its
            derivative would be 0, whatever the function.
    """
    taken: list[str] = []
    now = MODE.get()
    token = MODE.set(Mode(True, now.level + 1, now.whole, now.traced, taken))
    try:
        result = f(*args, **kwargs)
    finally:
        MODE.reset(token)
    if taken and any(_plain_float(leaf) for leaf in flatten(result)[0]):
        raise DTypeError(
            message(
                f"a plain number from {name_of(f)}, which took a tensor's value at {taken[0]}",
                "a tensor: a plain number has no derivative",
                "Compute with tensors (stablegrad.numpy, or np functions on the tensor itself); "
                "stop_gradient makes a constant of one.",
            )
        )
    return result


def _plain_float(leaf: Any) -> bool:
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.kind == "f"
    return isinstance(leaf, float)


def output_tensors(f: Callable[..., Any], result: Any, transform: str) -> tuple[list[Tensor], Any]:
    """The leaves of a function's result as tensors, and its structure."""
    leaves, structure = flatten(result)
    tensors: list[Tensor] = []
    for leaf in leaves:
        if not isinstance(leaf, Tensor | np.ndarray | np.generic | float | int):
            raise DTypeError(
                message(
                    f"a result of type {type(leaf).__name__} from {name_of(f)}",
                    f"tensors, for {transform}",
                )
            )
        tensors.append(as_tensor(leaf))
    return tensors, structure


def results(terms: Sequence[Term]) -> list[Tensor]:
    """Tensors for the results of a transform, with values where it is the outermost."""
    settings = current()
    if not outermost():
        return [wrap(t, settings, requires=True) for t in terms]
    pending = [t for t in dict.fromkeys(terms) if t.op is not LEAF]
    known = dict(zip(pending, evaluate(pending, settings), strict=True)) if pending else {}
    found: list[Tensor] = []
    for term in terms:
        value = known[term] if term in known else term.params[0].value
        found.append(result_of(term, value, settings, tracked=requires_grad(term)))
    return found


def result_of(term: Term, value: Any, settings: Settings, *, tracked: bool) -> Tensor:
    """A tensor for a result with its value, through which gradients go on where it is tracked."""
    result = leaf_of(freeze(value), origin=term if tracked else None)
    result._program = (term, settings)
    return result


def zeros_for(x: Term) -> Term:
    """The gradient by what a result does not depend on."""
    return const(0, x.dtype, x.shape)
