"""What a tensor is and what its value is: a term, the rules it was built under, a cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, message, user_location
from stablegrad.ir import Shape, Term, topological
from stablegrad.ops.derivative import CUSTOM
from stablegrad.ops.record import LEAF
from stablegrad.program import evaluate
from stablegrad.settings import Settings
from stablegrad.tensor.cells import (
    Array,
    Cell,
    Gathered,
    MutationError,
    TracedCell,
    freeze,
    no_value_yet,
)
from stablegrad.tensor.mode import MODE

if TYPE_CHECKING:
    from stablegrad.tensor.core import Tensor


class Lazy:
    """An expression, and its value once it was looked at."""

    __slots__ = (
        "__weakref__",
        "_gathered",
        "_program",
        "_requires",
        "_settings",
        "_term",
        "_value",
    )

    _term: Term
    _settings: Settings
    _requires: bool
    _value: Array | None
    """The value, if it is known; never more than a cache."""
    _program: tuple[Term, Settings] | None
    """What a value was computed by where it is not the term, for ``explain``."""
    _gathered: Gathered | None
    """What ``backward`` gathers in this leaf."""

    if TYPE_CHECKING:  # given by ``methods.install``, from a table

        def __add__(self, other: Any, /) -> Tensor: ...
        def __radd__(self, other: Any, /) -> Tensor: ...
        def __sub__(self, other: Any, /) -> Tensor: ...
        def __rsub__(self, other: Any, /) -> Tensor: ...
        def __mul__(self, other: Any, /) -> Tensor: ...
        def __rmul__(self, other: Any, /) -> Tensor: ...
        def __truediv__(self, other: Any, /) -> Tensor: ...
        def __rtruediv__(self, other: Any, /) -> Tensor: ...
        def __floordiv__(self, other: Any, /) -> Tensor: ...
        def __rfloordiv__(self, other: Any, /) -> Tensor: ...
        def __mod__(self, other: Any, /) -> Tensor: ...
        def __rmod__(self, other: Any, /) -> Tensor: ...
        def __pow__(self, other: Any, /) -> Tensor: ...
        def __rpow__(self, other: Any, /) -> Tensor: ...
        def __matmul__(self, other: Any, /) -> Tensor: ...
        def __rmatmul__(self, other: Any, /) -> Tensor: ...
        def __lt__(self, other: Any, /) -> Tensor: ...
        def __le__(self, other: Any, /) -> Tensor: ...
        def __gt__(self, other: Any, /) -> Tensor: ...
        def __ge__(self, other: Any, /) -> Tensor: ...
        def __and__(self, other: Any, /) -> Tensor: ...
        def __or__(self, other: Any, /) -> Tensor: ...
        def __xor__(self, other: Any, /) -> Tensor: ...
        def __eq__(self, other: Any, /) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any, /) -> Tensor: ...  # type: ignore[override]
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __getitem__(self, index: Any, /) -> Tensor: ...
        def __iter__(self) -> Iterator[Tensor]: ...

    # -- what it is -----------------------------------------------------------------------

    @property
    def term(self) -> Term:
        """The expression."""
        return self._term

    @property
    def settings(self) -> Settings:
        """The rules in force when it was built."""
        return self._settings

    @property
    def shape(self) -> Shape:
        return self._term.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._term.dtype

    @property
    def ndim(self) -> int:
        return len(self._term.shape)

    @property
    def size(self) -> int:
        return self._term.size

    @property
    def itemsize(self) -> int:
        return self._term.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def is_leaf(self) -> bool:
        """Whether it was made from data, not computed from what requires grad."""
        cell = self._cell
        return not self._requires or (cell is not None and cell.origin is None)

    @property
    def _cell(self) -> Cell | None:
        return self._term.params[0] if self._term.op is LEAF else None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` has gathered in this leaf, or None."""
        return None if self._gathered is None else self._gathered.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        cell = self._cell
        if cell is None:
            raise MutationError(message("a .grad for a computed tensor", "a leaf"))
        if value is not None and value.shape != self.shape:
            raise ShapeError(message(f"a .grad of shape {value.shape}", f"{self.shape}"))
        self._gathered = cell.hold()
        self._gathered.grad = value

    # -- its value ------------------------------------------------------------------------

    def numpy(self) -> Array:
        """The value, as a read-only array."""
        taken = MODE.get().taken
        if taken is not None and self._requires:
            taken.append(user_location())
        return self._read()

    def _read(self) -> Array:
        value = self._value
        if value is None:
            cell = self._cell
            if cell is not None:
                value = cell.value
                if value is None:
                    raise no_value_yet()
            else:
                if MODE.get().whole and _needs_placeholder(self._term):
                    raise no_value_yet()
                value = freeze(evaluate([self._term], self._settings)[0])
            self._value = value
        return value

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number."""
        if self.size != 1:
            raise ShapeError(message(f"item() of shape {self.shape}", "one element"))
        return self.numpy().item()

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        value = self.numpy()
        if dtype is not None and value.dtype != dtype:
            return value.astype(dtype)
        return value.copy() if copy else value

    def _scalar(self, kind: str) -> Any:
        if self.size != 1:
            hint = "Use .any() or .all()." if kind == "bool" else ""
            raise ShapeError(
                message(f"{kind}() of a tensor of shape {self.shape}", "one element", hint)
            )
        return self._read().item()

    def __bool__(self) -> bool:
        return bool(self._scalar("bool"))

    def __float__(self) -> float:
        self._scalar("float")
        return float(self.numpy().item())

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self._term.shape != ():
            raise DTypeError(
                message(f"a tensor {self.dtype}{self.shape} as an index", "one integer")
            )
        return int(self.numpy())

    def __len__(self) -> int:
        if not self._term.shape:
            raise ShapeError(message("len() of a scalar tensor", "at least one dimension"))
        return self._term.shape[0]

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.size == 1 else format(str(self), spec)

    def __repr__(self) -> str:
        extra = ", requires_grad=True" if self._requires else ""
        if MODE.get().traced and is_traced(self._term):
            return f"tensor(<traced>, shape={self.shape}, dtype={self.dtype}{extra})"
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        return f"tensor({text}, dtype={self.dtype}{extra})"


def _needs_placeholder(term: Term) -> bool:
    """Whether the value of a term depends on a cotangent or tangent that is not known yet."""
    seen = {term}
    stack = [term]
    while stack:
        node = stack.pop()
        if node.op is LEAF and _is_placeholder(node.params[0]):
            return True
        # a function with its own gradient holds placeholders that its value does not need
        count = node.params[0] + node.params[1] if node.op is CUSTOM else len(node.args)
        for arg in node.args[:count]:
            if arg not in seen:
                seen.add(arg)
                stack.append(arg)
    return False


def _is_placeholder(cell: Cell) -> bool:
    return not isinstance(cell, TracedCell) and cell.value is None


def is_traced(term: Term) -> bool:
    """Whether a term has an input without a value."""
    return any(t.op is LEAF and isinstance(t.params[0], TracedCell) for t in topological([term]))
