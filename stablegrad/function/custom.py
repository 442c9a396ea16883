"""Functions with their own gradient: traced, with it, into one node."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import OPS, Term
from stablegrad.ops.derivative import CUSTOM
from stablegrad.ops.record import const
from stablegrad.settings import current
from stablegrad.tensor.apply import finish
from stablegrad.tensor.cells import placeholder
from stablegrad.tensor.core import Tensor, as_tensor, wrap
from stablegrad.tensor.mode import mode

Pull = Callable[..., Any]


class Function:
    """A function with a gradient of its own.

    Derive from it, and give ``forward(self, *tensors)``, which returns a tensor or a tuple of
    tensors, and ``backward(self, *dys)``, which takes a cotangent for each result and returns a
    gradient for each input. What backward needs is put aside with ``save_for_backward`` and read
    from ``saved_tensors``. Forward mode is derived from ``backward``; ``jvp(self, *tangents)``
    may be given where it should be another formula.

    Both methods see lazy tensors and are traced, so the rules see through them, and gradients
    can be differentiated again. State is fresh for each call: an instance can be reused.

    Example:
        >>> class Square(sg.Function):
        ...     def forward(self, x):
        ...         self.save_for_backward(x)
        ...         return x * x
        ...
        ...     def backward(self, dy):
        ...         (x,) = self.saved_tensors
        ...         return dy * 2 * x
        >>> sg.grad(Square())(3.0).item()
        6.0
    """

    _saved: tuple[Tensor, ...] = ()

    def forward(self, *tensors: Any, **_: Any) -> Any:
        """The results for the inputs."""
        raise _lacks(self, "forward(self, *tensors)")

    def backward(self, *dys: Any, **_: Any) -> Any:
        """The gradient by each input, for a cotangent of each result."""
        raise _lacks(self, "backward(self, *dys)")

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Put inputs, results or what is between aside for ``backward``."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        """What was put aside."""
        return self._saved

    def __call__(self, *args: Any) -> Any:
        """Apply the function to tensors, arrays or numbers.

        Returns:
            A tensor, or a tuple of them, as ``forward`` returns.
        """
        state = object.__new__(type(self))
        state.__dict__.update(self.__dict__)
        push = getattr(state, "jvp", None)

        def start(*inputs: Any) -> tuple[Any, Pull, Pull | None]:
            result = _called(state.forward, inputs, "inputs")
            saved = state._saved

            def pull(marks: dict[Term, Tensor], *dys: Tensor) -> Any:
                state._saved = tuple([_marked(t, marks) for t in saved])
                return _called(state.backward, dys, "cotangents, one for each result")

            def push_forward(marks: dict[Term, Tensor], *tangents: Tensor) -> Any:
                state._saved = tuple([_marked(t, marks) for t in saved])
                return push(*tangents) if push is not None else None

            return result, pull, push_forward if push is not None else None

        return call_custom(type(self).__name__, start, args)


def _lacks(function: Function, method: str) -> NotImplementedError:
    name, _, _ = method.partition("(")
    return NotImplementedError(
        message(f"{type(function).__name__} without {name}", f"a class that defines {method}")
    )


def _called(method: Callable[..., Any], args: tuple[Any, ...], what: str) -> Any:
    """What a user's method returns; an error of ours where it takes another number of them."""
    try:
        return method(*args)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # it comes from inside
        owner = getattr(method, "__qualname__", type(method).__name__)
        raise ShapeError(
            message(f"{len(args)} {what} for {owner}", f"another number: {error}")
        ) from None


def _marked(saved: Any, marks: dict[Term, Tensor]) -> Any:
    """A saved result of the function, as the gradients should see it."""
    return marks.get(saved.term, saved) if isinstance(saved, Tensor) else saved


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function a gradient of its own, in TensorFlow's manner.

    Args:
        f: returns (y, grad_fn), with ``grad_fn(*upstream)`` the gradient by each input for the
            cotangents of the results.

    Returns:
        A function with f's arguments that returns y, differentiated by grad_fn, which is
        differentiated in its turn for higher orders.

    Example:
        >>> @sg.custom_gradient
        ... def cube(x):
        ...     return x**3, lambda upstream: upstream * 3 * x**2
        >>> sg.grad(cube)(2.0).item()
        12.0
    """

    @functools.wraps(f)
    def function(*args: Any) -> Any:
        def start(*inputs: Any) -> tuple[Any, Pull, None]:
            found = f(*inputs)
            if not isinstance(found, tuple) or len(found) != 2 or not callable(found[1]):
                raise DTypeError(
                    message(f"{f.__name__} returned {type(found).__name__}", "(y, grad_fn)")
                )
            result, grad_fn = found
            return result, lambda marks, *dys: grad_fn(*dys), None

        return call_custom(f.__name__, start, args)

    return function


def call_custom(name: str, start: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Trace a function and its gradient into one node.

    Args:
        name: for error texts.
        start: gives, for the inputs, the results, a function that pulls cotangents back, and
            one that pushes tangents forward, or None.
        args: the arguments; arrays, tensors and floats are inputs.
    """
    inputs = [as_tensor(a) if _is_input(a) else a for a in args]
    places = [i for i, a in enumerate(args) if _is_input(a)]
    tensors = [inputs[i] for i in places]
    if not tensors:
        raise DTypeError(message(f"{name} called without a tensor", "one at least"))
    with mode(whole=True):
        result, pull, push = start(*inputs)
        several = isinstance(result, list | tuple)
        outputs = [as_tensor(y) for y in (result if several else (result,))]
        marks = [placeholder(y.shape, y.dtype) for y in outputs]
        known = {y.term: _wrap(mark) for y, mark in zip(outputs, marks, strict=True)}
        for x in tensors:  # an input that is returned as it is stays an input
            known.pop(x.term, None)
        dys = [placeholder(y.shape, y.dtype) for y in outputs]
        found = pull(known, *[_wrap(dy) for dy in dys])
        gradients = _gradients(name, found, inputs, places)
        args_of_node = [*_terms(outputs), *_terms(tensors), *marks, *dys, *gradients]
        if push is not None:
            steps = [placeholder(x.shape, x.dtype) for x in tensors]
            pushed = push(known, *[_wrap(t) for t in steps])
            pushed = pushed if isinstance(pushed, list | tuple) else (pushed,)
            args_of_node += [*steps, *_fitted(name, "tangent", "result", pushed, outputs)]
    requires = any(x.requires_grad for x in tensors)
    count = (len(outputs), len(tensors))
    results = [
        _result(CUSTOM.term(tuple(args_of_node), (*count, i)), requires=requires)
        for i in range(len(outputs))
    ]
    return tuple(results) if several else results[0]


def _result(term: Term, *, requires: bool) -> Tensor:
    return finish(term, requires)


def _is_input(a: Any) -> bool:
    return isinstance(a, Tensor | np.ndarray | np.floating | float)


def _wrap(term: Term) -> Tensor:
    return wrap(term, current(), requires=False)


def _terms(tensors: Sequence[Tensor]) -> list[Term]:
    return [t.term for t in tensors]


def _gradients(name: str, found: Any, inputs: list[Any], places: list[int]) -> list[Term]:
    """What backward returned, one term for each input."""
    many = list(found) if isinstance(found, list | tuple) else [found]
    if len(many) == len(inputs) != len(places):
        many = [many[i] for i in places]
    tensors = [inputs[i] for i in places]
    if len(many) != len(tensors):
        raise ShapeError(
            message(
                f"{len(many)} gradients from the backward of {name}",
                f"one for each of its {len(tensors)} inputs",
            )
        )
    return _fitted(name, "gradient", "input", many, tensors)


def _fitted(
    name: str, what: str, of: str, found: Sequence[Any], likes: Sequence[Tensor]
) -> list[Term]:
    """Gradients or tangents as terms of the shape and dtype of what they belong to."""
    if len(found) != len(likes):
        raise ShapeError(message(f"{len(found)} {what}s from {name}", f"one for each {of}"))
    terms: list[Term] = []
    for i, (value, like) in enumerate(zip(found, likes, strict=True)):
        if value is None:
            terms.append(const(0, like.dtype, like.shape))
            continue
        if not isinstance(value, Tensor | np.ndarray | np.generic | float | int):
            raise DTypeError(
                message(f"a {what} of type {type(value).__name__} from {name}", "a tensor")
            )
        term = as_tensor(value).term
        if term.shape != like.shape:
            raise ShapeError(
                message(
                    f"a {what} of shape {term.shape} from {name} for {of} {i}",
                    f"the shape of that {of}, {like.shape}",
                )
            )
        terms.append(term if term.dtype == like.dtype else OPS["astype"](term, dtype=like.dtype))
    return terms


__all__ = ["Function", "call_custom", "custom_gradient"]
