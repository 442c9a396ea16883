"""The tensor: how it is made, what operations do with it, and how its gradients flow."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

from typing import Any, Self
from weakref import ref

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import Shape, Term
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.record import CONST, LEAF, const, is_float
from stablegrad.ops.shape import stack
from stablegrad.settings import Settings, current
from stablegrad.tensor import history
from stablegrad.tensor.base import Lazy
from stablegrad.tensor.cells import (
    Array,
    Cell,
    MutationError,
    TracedCell,
    frozen,
    leaf_term,
)
from stablegrad.tensor.mode import MODE


class Tensor(Lazy):
    """An array that remembers how it is computed.

    Every operation builds an expression and checks shapes and dtypes at once; values are
    computed, from the whole stabilized expression, when they are looked at. Tensors are made
    by ``tensor`` and by operations. They have NumPy's methods, and never change in place.
    """

    __slots__ = ()
    __array_priority__ = 1000

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse: ``tensor`` makes tensors of data."""
        if cls is Tensor:
            raise DTypeError(message("a call of Tensor", "sg.tensor(data, dtype, requires_grad)"))
        return object.__new__(cls)

    def __reduce__(self) -> Any:
        return tensor, (np.array(self.numpy()), None, self._requires)

    # -- gradients ------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward`` goes through it."""
        return self._requires

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool | None = None,
    ) -> None:
        """Add to ``.grad`` of every leaf that requires grad the gradient of this tensor.

        Args:
            gradient: the cotangent, of this tensor's shape; may be left out for one element.
            retain_graph: accepted; history stays as long as a tensor needs it.
            create_graph: False forgets how the gradients were computed, which frees memory;
                else they can be differentiated in their turn.

        Raises:
            NotDifferentiableError: nothing here requires grad, or a derivative does not exist.
            ShapeError: several elements and no gradient, or one of another shape.

        Example:
            >>> x = sg.tensor([1.0, 2.0], requires_grad=True)
            >>> (x * x).sum().backward()
            >>> x.grad.numpy()
            array([2., 4.], dtype=float32)
        """
        from stablegrad.tensor.backward import backward

        backward(self, gradient, create_graph=create_graph is not False)

    def zero_grad(self) -> None:
        """Forget the gradient gathered so far."""
        self.grad = None

    def detach(self) -> Tensor:
        """This tensor as a constant: no gradient passes, and long history is cut."""
        term = self._term
        if term.depth > history.KEEP and not MODE.get().whole:
            term = history.cut(term, self._settings, chained=False)
        return wrap(STOP_GRADIENT.term((term,)), self._settings, requires=False)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Make it a leaf that gathers gradients, or one that does not. Returns itself."""
        cell = self._cell
        if requires_grad == self._requires and (cell is not None or not requires_grad):
            return self
        if requires_grad and not is_float(self.dtype):
            raise DTypeError(message(f"requires_grad for {self.dtype}", "a floating-point dtype"))
        if cell is None or cell.origin is not None:
            if self._requires:
                raise MutationError(
                    message("requires_grad_(False) on a computed tensor", "a leaf", "Use detach().")
                )
            self._replace(Cell(self.numpy(), requires_grad=True))
        else:
            cell.requires_grad = requires_grad
            self._gathered = cell.hold()
        self._requires = requires_grad
        return self

    def assign_(self, value: Any) -> Tensor:
        """Give a leaf another value; what was computed before keeps the old one.

        A ``backward`` of what was computed before adds its gradient, taken at the old value, to
        the same ``.grad``.

        Args:
            value: a tensor, array or number, of this tensor's shape and dtype (Python numbers
                and lists are converted).

        Returns:
            The tensor itself, a leaf without history, its ``.grad`` as before.

        Raises:
            MutationError: the tensor is not a leaf.
            ShapeError, DTypeError: the value does not fit.

        Example:
            >>> w = sg.tensor([1.0, 2.0], requires_grad=True)
            >>> w.assign_(w - 0.5).numpy()
            array([0.5, 1.5], dtype=float32)
        """
        if self._term.op is CONST:  # as ``numpy.ones`` gives: nothing was computed
            self._replace(Cell(self.numpy()))
        cell = self._cell
        if cell is None or (cell.origin is not None and self._requires):
            raise MutationError(
                message("assign_ to a computed tensor", "a leaf", "Bind a new name instead.")
            )
        if isinstance(value, Tensor):
            array = value.numpy()
        else:
            array = frozen(value, None if hasattr(value, "dtype") else self.dtype)
        if array.shape != self.shape:
            raise ShapeError(
                message(f"a value of shape {array.shape} for assign_", f"{self.shape}")
            )
        if array.dtype != self.dtype:
            raise DTypeError(
                message(
                    f"a value of dtype {array.dtype} for assign_", f"{self.dtype}", "astype it."
                )
            )
        new = Cell(array, requires_grad=cell.requires_grad)
        cell.successor = new
        self._replace(new)
        return self

    def _replace(self, cell: Cell) -> None:
        """Put another leaf in place of this one.

        The gradient gathered so far stays, and what was computed from the old value goes on to
        add to it: a backward pass after a step would otherwise be lost without a word.
        """
        if self._gathered is None:
            self._gathered = cell.hold()
        else:
            cell.gathered = ref(self._gathered)
        self._term = leaf_term(cell, cell.value.shape, cell.value.dtype)
        self._value = cell.value
        self._program = None

    # -- no change in place ---------------------------------------------------------------

    def __setitem__(self, index: Any, value: Any) -> None:
        raise MutationError(
            message(
                "an assignment to elements of a tensor",
                "a new tensor: tensors never change in place",
                "Choose elements with sg.numpy.where(condition, new, old); leaf.assign_(value) "
                "replaces a leaf's value as a whole.",
            )
        )

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_") and not name.startswith("_"):
            raise MutationError(
                message(
                    f"the in-place method {name}",
                    "a new tensor: tensors never change in place",
                    "Write x = f(x); leaf.assign_(value) replaces a leaf's value.",
                )
            )
        raise AttributeError(f"a Tensor has no attribute {name!r}")


# -- making tensors -----------------------------------------------------------------------

_new = object.__new__


def wrap(term: Term, settings: Settings, *, requires: bool, kind: type[Tensor] = Tensor) -> Tensor:
    """A tensor around a term."""
    result = _new(kind)
    result._term = term
    result._settings = settings
    result._requires = requires
    result._value = None
    result._program = None
    result._gathered = None
    if requires and term.op is LEAF:
        result._gathered = term.params[0].hold()
    return result


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of the data.

    Args:
        data: a number, nested lists of numbers, an array, or a tensor, of real numbers.
        dtype: its dtype; by default arrays keep theirs, Python floats and lists of them
            become the default dtype (float32), integers int64.
        requires_grad: whether ``backward`` gathers gradients in its ``.grad``.

    Returns:
        A leaf of the shape of the data.

    Raises:
        DTypeError: data that are not real numbers, or requires_grad for integers.
        ShapeError: rows of different lengths.

    Example:
        >>> sg.tensor([1.0, 2.0], requires_grad=True)
        tensor([1., 2.], dtype=float32, requires_grad=True)
    """
    if isinstance(data, Tensor):
        data = data.numpy()
    array = frozen(data, dtype)
    if requires_grad and not is_float(array.dtype):
        raise DTypeError(
            message(
                f"requires_grad for {array.dtype}",
                "a floating-point dtype",
                "Write 1.0 for 1, or give dtype=.",
            )
        )
    cell = Cell(array, requires_grad=requires_grad)
    result = wrap(leaf_term(cell, array.shape, array.dtype), current(), requires=requires_grad)
    result._value = array
    return result


def as_tensor(data: Any) -> Tensor:
    """The tensor itself, or a tensor of the data; lists of tensors with gradients are stacked."""
    if isinstance(data, Tensor):
        return data
    whole = stacked(data) if isinstance(data, list | tuple) else None
    return tensor(data) if whole is None else whole


def stacked(data: list[Any] | tuple[Any, ...]) -> Tensor | None:
    """The tensor of nested lists that hold tensors with gradients; else None."""
    found: list[Tensor] = []
    rest: list[Any] = [data]
    while rest:
        x = rest.pop()
        if isinstance(x, list | tuple):
            rest += x
        elif isinstance(x, Tensor):
            found.append(x)
    if not any(t._requires for t in found):
        return None
    dtype = np.result_type(*[t.dtype for t in found])
    return _stacked(data, dtype if is_float(dtype) else None)


def _stacked(data: Any, dtype: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data
    if not isinstance(data, list | tuple):
        return tensor(data, dtype)
    rows = [_stacked(x, dtype) for x in data]
    if len({r.shape for r in rows}) > 1:
        raise ShapeError(message("a list with tensors", "rows of equal length"))
    return stack(rows)


def leaf_of(value: Array, *, requires_grad: bool = False, origin: Term | None = None) -> Tensor:
    """A tensor around a read-only array; gradients go on at ``origin``."""
    cell = Cell(value, requires_grad=requires_grad, origin=origin)
    requires = requires_grad or origin is not None
    result = wrap(leaf_term(cell, value.shape, value.dtype), current(), requires=requires)
    result._value = value
    return result


def traced_input(shape: Shape, dtype: np.dtype[Any]) -> Tensor:
    """A tensor without a value, for tracing a program."""
    return wrap(leaf_term(TracedCell(), shape, dtype), current(), requires=is_float(dtype))


def stop_gradient(x: Any) -> Tensor:
    """x, as a constant to every derivative.

    Args:
        x: a tensor, array or number.

    Returns:
        A tensor with the value of x, still lazy.

    Example:
        >>> sg.grad(lambda x: x * sg.stop_gradient(x))(3.0).item()
        3.0
    """
    x = as_tensor(x)
    return wrap(STOP_GRADIENT.term((x._term,)), x._settings, requires=False)


def ones_like_term(term: Term) -> Term:
    """The cotangent of a single element: one."""
    return const(1, term.dtype, term.shape)
