"""torch's functional form of derivatives: ``sg.autograd.grad``."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stablegrad.errors import DTypeError, NotDifferentiableError, ShapeError, message
from stablegrad.ops.record import is_float
from stablegrad.program import evaluate
from stablegrad.tensor.backward import governing, seed_term
from stablegrad.tensor.cells import freeze
from stablegrad.tensor.core import Tensor, leaf_of, wrap
from stablegrad.tensor.gradients import gradients
from stablegrad.tensor.mode import MODE, enable_grad, no_grad


class UnusedInputError(NotDifferentiableError, RuntimeError):
    """The outputs do not depend on an input of ``autograd.grad``."""


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool | None = None,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of outputs by each input; ``.grad`` is left untouched.

    Args:
        outputs: a tensor or several, computed from the inputs.
        inputs: tensors to differentiate by, leaves or intermediate results.
        grad_outputs: a cotangent for each output, of its shape; needed where an output has
            more than one element.
        retain_graph: accepted; history stays as long as a tensor needs it.
        create_graph: accepted; gradients can always be differentiated, unless it is False.
        allow_unused: give None for an input that the outputs do not depend on.

    Returns:
        A tuple with a tensor of the shape of each input.

    Raises:
        UnusedInputError: an input that the outputs do not depend on.
        ShapeError: an output with several elements and no cotangent, or one of another shape.

    Example:
        >>> x = sg.tensor(2.0, requires_grad=True)
        >>> (slope,) = sg.autograd.grad(x**3, x)
        >>> slope.item()
        12.0
    """
    ys = _several(outputs, "outputs")
    xs = _several(inputs, "inputs")
    given = [None] * len(ys) if grad_outputs is None else _cotangents(grad_outputs, len(ys))
    for x in xs:
        if not is_float(x.dtype):
            raise DTypeError(
                message(f"an input of dtype {x.dtype} for grad", "a floating-point dtype")
            )
    pairs = [(y.term, seed_term(y, g)) for y, g in zip(ys, given, strict=True)]
    settings = governing(ys[0])
    terms = [x.term for x in xs]
    found = gradients(pairs, list(dict.fromkeys(terms)), settings)
    for i, x in enumerate(terms):
        if x not in found and not allow_unused:
            raise UnusedInputError(
                message(
                    f"input {i}, which the outputs do not depend on",
                    "inputs that they depend on",
                    "allow_unused=True gives None for it.",
                )
            )
    nodes = list(dict.fromkeys(found.values()))
    if MODE.get().whole:
        computed = {n: wrap(n, settings, requires=True) for n in nodes}
    else:
        origins = [None] * len(nodes) if create_graph is False else nodes
        values = evaluate(nodes, settings) if nodes else []
        computed = {}
        for node, value, origin in zip(nodes, values, origins, strict=True):
            computed[node] = leaf_of(freeze(value), origin=origin)
            computed[node]._program = (node, settings)
    return tuple([computed[found[x]] if x in found else None for x in terms])


def _several(tensors: Any, what: str) -> list[Tensor]:
    many = list(tensors) if isinstance(tensors, list | tuple) else [tensors]
    for t in many:
        if not isinstance(t, Tensor):
            raise DTypeError(message(f"{what} of type {type(t).__name__}", "tensors"))
    if not many:
        raise ShapeError(message(f"no {what}", "at least one tensor"))
    return many


def _cotangents(grad_outputs: Any, count: int) -> list[Any]:
    many = list(grad_outputs) if isinstance(grad_outputs, list | tuple) else [grad_outputs]
    if len(many) != count:
        raise ShapeError(message(f"{len(many)} cotangents", f"one for each of {count} outputs"))
    return many


__all__ = ["UnusedInputError", "enable_grad", "grad", "no_grad"]
