"""Cells: where the values of leaves live; and how data of every kind becomes an array."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, StablegradError, TraceError, message
from stablegrad.ir import Term, make
from stablegrad.ops.dtypes import converted, is_float
from stablegrad.ops.record import LEAF

if TYPE_CHECKING:
    from stablegrad.tensor.core import Tensor

Array = np.ndarray[Any, Any]

_numbers = count()


class MutationError(StablegradError, AttributeError, TypeError):
    """An attempt to change a tensor in place."""


class Gathered:
    """The gradient that ``backward`` left in a leaf, or None.

    Tensors hold it, their cell only refers to it: a gradient knows the program that it came
    from, which holds the cell, and would keep itself and all that data alive.
    """

    __slots__ = ("__weakref__", "grad")

    def __init__(self) -> None:
        self.grad: Tensor | None = None


class Cell:
    """The value of a leaf.

    Attributes:
        value: a read-only array; None for a placeholder of a derivative rule.
        requires_grad: whether ``backward`` gathers a gradient here.
        origin: for a value put in place of a longer history, the term that it was; gradients
            go on there. None where there is nothing to go on to.
        gathered: where ``backward`` adds the gradient, while any tensor is there to hold it.
        number: cells made later have greater numbers, so histories are ordered by it.
        successor: the cell that replaced this one, when its tensor was assigned to.
    """

    __slots__ = (
        "__weakref__",
        "_ones",
        "gathered",
        "number",
        "origin",
        "requires_grad",
        "successor",
        "value",
    )

    def __init__(
        self, value: Any, *, requires_grad: bool = False, origin: Term | None = None
    ) -> None:
        self.value = value
        self.requires_grad = requires_grad
        self.origin = origin
        self.gathered: ref[Gathered] | None = None
        self.number = next(_numbers)
        self.successor: Cell | None = None
        self._ones: bool | None = None

    @property
    def is_one(self) -> bool:
        """Whether it is the number 1 throughout and nothing is differentiated by it.

        Programs are then compiled for the constant: ``tensor(1.0) - p`` and ``np.ones(n) - p``
        are ``1 - p``. No other number counts: data that happens to be all alike would be compiled
        anew each time.
        """
        if self.requires_grad or self.origin is not None or self.value is None:
            return False
        if self._ones is None:
            value = self.value
            first = value.dtype.kind in "iuf" and value.size and value.flat[0] == 1
            self._ones = bool(first and (value == 1).all())
        return self._ones

    def __repr__(self) -> str:
        return "cell"  # never an id: structural keys are made of this

    def held(self) -> Gathered | None:
        """Where the gradient is gathered; None where no tensor of this leaf is left to ask."""
        return None if self.gathered is None else self.gathered()

    def hold(self) -> Gathered:
        """Where the gradient is gathered, for a tensor to hold."""
        held = self.held()
        if held is None:
            held = Gathered()
            self.gathered = ref(held)
        return held

    def latest(self) -> Cell:
        """The cell that stands in the tensor's place now."""
        cell = self
        while cell.successor is not None:
            cell = cell.successor
        return cell


class TracedCell(Cell):
    """The cell of an input that is being traced: it has no value yet."""

    __slots__ = ()

    def __init__(self) -> None:
        self.requires_grad = True
        self.origin = None
        self.gathered = None
        self.number = next(_numbers)
        self.successor = None

    @property
    def value(self) -> Any:  # type: ignore[override]
        """There is none: looking is an error at the user's line."""
        raise no_value_yet()


def no_value_yet() -> TraceError:
    """The error of looking at a value while a program is being traced."""
    return TraceError(
        message(
            "a look at the value of a tensor while its program is being traced",
            "a program that does not depend on values",
            "Choose between values with sg.numpy.where(condition, a, b), or leave what looks at "
            "them outside of the traced function.",
        )
    )


def leaf_term(cell: Cell, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Term:
    """The leaf that a cell's value stands at."""
    return make(LEAF, (), (cell,), shape, dtype)


def value_leaf(value: Array, *, requires_grad: bool = False, origin: Term | None = None) -> Term:
    """A leaf with a value that is frozen already."""
    cell = Cell(value, requires_grad=requires_grad, origin=origin)
    return make(LEAF, (), (cell,), value.shape, value.dtype)


def placeholder(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Term:
    """A leaf without a value, which a derivative rule replaces."""
    return make(LEAF, (), (Cell(None),), shape, dtype)


# -- dtypes -------------------------------------------------------------------------------

_default = np.dtype(np.float32)


def get_default_dtype() -> np.dtype[Any]:
    """The dtype that Python floats and lists of them become.

    Example:
        >>> sg.get_default_dtype()
        dtype('float32')
    """
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype that Python floats and lists of them become.

    Args:
        dtype: a floating-point dtype, or its name.

    Raises:
        DTypeError: what is no floating-point dtype.

    Example:
        >>> sg.set_default_dtype("float64")
        >>> sg.tensor(1.0).dtype
        dtype('float64')
        >>> sg.set_default_dtype("float32")
    """
    global _default  # noqa: PLW0603 - the one switch of this kind, as in torch
    new = as_dtype(dtype)
    if not is_float(new):
        raise DTypeError(message(f"the default dtype {new}", "a floating-point dtype"))
    _default = new


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """A dtype that tensors can have, from NumPy's ways to say it."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise DTypeError(message(f"the dtype {dtype!r}", "a NumPy dtype")) from None
    return _checked(found, f"dtype {found}")


def _checked(dtype: np.dtype[Any], got: str) -> np.dtype[Any]:
    if (dtype.kind in "biuf" and dtype.itemsize <= 8) or (
        dtype.kind == "V" and dtype.name == "bfloat16"
    ):
        return dtype if dtype.isnative else dtype.newbyteorder("=")
    hint = "Split complex numbers into real and imaginary parts." if dtype.kind == "c" else ""
    expected = "real floating-point numbers of at most 64 bits, integers or booleans"
    raise DTypeError(message(got, expected, hint))


# -- data to arrays -----------------------------------------------------------------------


def frozen(data: Any, dtype: Any = None) -> Array:
    """A read-only array of its own with the values of arrays, numbers, or nested sequences.

    Python floats become the default dtype, integers int64; arrays keep theirs.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, np.ndarray):
        if wanted is None and _immutable(data):
            return data
        if wanted is None and type(data) is np.ndarray and data.dtype in _USUAL:
            return freeze(np.array(data))
        got = f"an array of dtype {data.dtype}"
    else:
        got = f"{type(data).__name__} {_short(data)}"
    try:
        array = np.array(data)
    except ValueError:
        raise ShapeError(message(got, "rows of equal length")) from None
    if isinstance(data, np.ma.MaskedArray):
        raise DTypeError(message("a masked array", "an array", "Use its filled(value)."))
    array = array.astype(_checked(array.dtype, got), copy=False)
    if wanted is None and array.dtype == np.float64 and not _has_dtype(data):
        wanted = _default
    if wanted is not None and array.dtype != wanted:
        with np.errstate(all="ignore"):
            array = converted(array, wanted)
    array.setflags(write=False)
    return array


_USUAL = frozenset(map(np.dtype, (np.float64, np.float32, np.int64, np.bool_)))
"""Dtypes of which an array needs no look but a copy."""


def freeze(array: Array) -> Array:
    """The array itself, made read-only: for values that nobody else holds."""
    array.setflags(write=False)
    return array


def _immutable(array: Array) -> bool:
    """Whether nobody can write into the memory of an array."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable or type(owner) is not np.ndarray:
            return False
        if owner.base is None:
            plain = owner.dtype.kind in "biuf" and owner.dtype.isnative
            return owner.flags.owndata and plain and owner.dtype.itemsize <= 8
        owner = owner.base
    return False


def _has_dtype(data: Any) -> bool:
    """Whether anything in the data has a dtype of its own."""
    if isinstance(data, list | tuple):
        return any(_has_dtype(item) for item in data)
    return hasattr(data, "dtype")


def _short(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:37]}..."


def shape_tuple(shape: Sequence[Any]) -> tuple[Any, ...]:
    """``(2, 3)`` from both ``f(2, 3)`` and ``f((2, 3))``."""
    if len(shape) == 1 and isinstance(shape[0], list | tuple):
        return tuple(shape[0])
    return tuple(shape)
