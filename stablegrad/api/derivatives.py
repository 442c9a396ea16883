"""grad, value_and_grad, jvp and vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from stablegrad.api.arguments import (
    Argnums,
    Variables,
    call,
    check_callable,
    flatten,
    name_of,
    outermost,
    output_tensors,
    result_of,
    results,
    take_variables,
    unflatten,
    zeros_for,
)
from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import OPS, Term
from stablegrad.ops.record import is_float
from stablegrad.settings import current
from stablegrad.tensor.core import Tensor, as_tensor, ones_like_term
from stablegrad.tensor.gradients import gradients, pushforward, straight


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the value of f and its gradient.

    Args:
        f: a function of arrays, numbers, or containers of them, with one scalar result.
        argnums: the place of the argument to differentiate by, or a tuple of places.

    Returns:
        A function with f's arguments that returns (value, gradient); the gradient has the
        structure of the argument, or is a tuple of such for a tuple of places.

    Raises:
        ShapeError: f's result is not a scalar.
        DTypeError: an input to differentiate by is not floating-point.

    Example:
        >>> value, slope = sg.value_and_grad(lambda x: x * x)(3.0)
        >>> value.item(), slope.item()
        (9.0, 6.0)
    """
    check_callable(f, "value_and_grad")

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        xs, (value, *slopes) = _gradient(f, argnums, args, kwargs, "value_and_grad", valued=True)
        return value, xs.rebuilt(slopes)

    return value_and_gradient


def grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the gradient of f.

    Args:
        f: a function of arrays, numbers, or containers of them, with one scalar result.
        argnums: the place of the argument to differentiate by, or a tuple of places.

    Returns:
        A function with f's arguments that returns the gradient, in the structure of the
        argument; a tuple of gradients for a tuple of places. It can be differentiated again.

    Raises:
        ShapeError: f's result is not a scalar.
        DTypeError: an input to differentiate by is not floating-point.

    Example:
        >>> sg.grad(sg.ops.tanh)(np.float64(10.0)).item()
        8.244614455767398e-09
        >>> sg.grad(sg.grad(lambda x: x**3))(2.0).item()
        12.0
    """
    check_callable(f, "grad")

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        xs, slopes = _gradient(f, argnums, args, kwargs, "grad", valued=False)
        return xs.rebuilt(slopes)

    return gradient


def _gradient(
    f: Callable[..., Any],
    argnums: Argnums,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    transform: str,
    *,
    valued: bool,
) -> tuple[Variables, list[Tensor]]:
    """The variables, and the value of f, if it is wanted, before the gradient by each."""
    xs, given = take_variables(f, args, argnums, transform)
    y = _scalar(f, call(f, given, kwargs), transform).term
    settings = current()
    if outermost():
        found = straight(y, xs.terms, settings, valued=valued)
        if found is not None:
            values = [(y, found.value)] if valued else []
            values += [(node, value) for _, node, value in found.slopes]
            return xs, [result_of(t, v, settings, tracked=found.differentiable) for t, v in values]
    nodes = gradients([(y, ones_like_term(y))], xs.terms, settings)
    slopes = [nodes.get(x, zeros_for(x)) for x in xs.terms]
    return xs, results([y, *slopes] if valued else slopes)


def _scalar(f: Callable[..., Any], result: Any, transform: str) -> Tensor:
    tensors = [result] if isinstance(result, Tensor) else output_tensors(f, result, transform)[0]
    if isinstance(result, list | tuple | dict) or len(tensors) != 1:
        raise ShapeError(
            message(
                f"a result of type {type(result).__name__} from {name_of(f)}",
                "a scalar",
                "Use sg.jacobian or sg.vjp for several results.",
            )
        )
    (y,) = tensors
    if y.shape != ():
        raise ShapeError(
            message(
                f"{name_of(f)} returned shape {y.shape}",
                f"a scalar: {transform} wants one",
                "Use sg.jacobian or sg.vjp, or reduce the result, as in y.sum().",
            )
        )
    if not is_float(y.dtype):
        raise DTypeError(
            message(f"{name_of(f)} returned dtype {y.dtype}", "a floating-point result")
        )
    return y


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of f and its derivative along tangents: forward mode.

    Args:
        f: a function of arrays, numbers, or containers of them.
        primals: a tuple of its arguments.
        tangents: a tuple of the same structure and shapes.

    Returns:
        (value, tangent of the value), both in the structure of f's result.

    Raises:
        ShapeError: tangents that do not match the primals.

    Example:
        >>> y, dy = sg.jvp(lambda x: x * x, (3.0,), (1.0,))
        >>> dy.item()
        6.0
    """
    check_callable(f, "jvp")
    if not isinstance(primals, list | tuple) or not isinstance(tangents, list | tuple):
        raise DTypeError(
            message("primals or tangents that are no tuples", "sg.jvp(f, (x,), (dx,))")
        )
    every = tuple(range(len(primals)))
    xs, given = take_variables(f, tuple(primals), every, "jvp")
    along = like(xs.terms, xs.structure, tuple(tangents), "tangents", "primals")
    ys, structure = output_tensors(f, call(f, given, {}), "jvp")
    settings = current()
    pushed = [pushforward(y.term, xs.terms, along, settings) for y in ys]
    found = results([*[y.term for y in ys], *pushed])
    return (
        unflatten(structure, found[: len(ys)]),
        unflatten(structure, found[len(ys) :]),
    )


def like(terms: Sequence[Term], structure: Any, given: Any, what: str, of: str) -> list[Term]:
    """Tangents or cotangents as terms, checked against what they belong to."""
    leaves, found = flatten(given)
    if found != structure:
        raise ShapeError(
            message(f"{what} in the structure {found}", f"that of the {of}, {structure}")
        )
    checked: list[Term] = []
    for term, leaf in zip(terms, leaves, strict=True):
        t = as_tensor(leaf)
        if t.shape != term.shape:
            raise ShapeError(message(f"{what} of shape {t.shape}", f"{term.shape}, as the {of}"))
        checked.append(t.term if t.dtype == term.dtype else OPS["astype"](t.term, dtype=term.dtype))
    return checked


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    """The value of f, and the function that pulls cotangents back: reverse mode.

    Args:
        f: a function of arrays, numbers, or containers of them.
        primals: its arguments.

    Returns:
        (value, pull): ``pull(cotangent)``, of the structure and shapes of the value, gives a
        tuple with the gradient by each argument.

    Raises:
        ShapeError: a cotangent that does not match the value.

    Example:
        >>> y, pull = sg.vjp(lambda x: x * x, np.array([1.0, 2.0]))
        >>> pull(np.array([1.0, 10.0]))[0].numpy()
        array([ 2., 40.])
    """
    check_callable(f, "vjp")
    xs, given = take_variables(f, primals, tuple(range(len(primals))), "vjp")
    ys, structure = output_tensors(f, call(f, given, {}), "vjp")
    terms = [y.term for y in ys]

    def pull(cotangent: Any) -> tuple[Any, ...]:
        """The gradients by the primals for a cotangent of the value."""
        seeds = like(terms, structure, cotangent, "a cotangent", "value")
        pairs = [(y, seed) for y, seed in zip(terms, seeds, strict=True) if is_float(y.dtype)]
        found = gradients(pairs, xs.terms, current())
        return xs.rebuilt(results([found.get(x, zeros_for(x)) for x in xs.terms]))

    return unflatten(structure, results(terms)), pull
