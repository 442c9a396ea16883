"""Values in a StableHLO module under construction, with the operators of arrays.

To trace a kernel and to lower what was traced takes JAX 80 microseconds an operation; to put the
operation into the module as the kernel runs takes ten. What is not written here raises
:class:`NeedsTracingError`, and is traced. Operations are those to which JAX lowers its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import stablehlo as hlo
from jax.interpreters import mlir

from stablegrad.ir import Shape, Shaped

Dtype = np.dtype[Any]
BOOL = np.dtype(bool)


class NeedsTracingError(Exception):
    """What a kernel asks of a value is for JAX to trace."""


@lru_cache(maxsize=256)
def promoted(a: Dtype, b: Dtype) -> Dtype:
    """The dtype of what JAX makes of two arrays of strong types."""
    return np.dtype(jax.numpy.promote_types(a, b))


@lru_cache(maxsize=64)
def _compared(dtype: Dtype) -> str:
    """How numbers of a dtype are compared."""
    return {"f": "FLOAT", "i": "SIGNED"}.get(dtype.kind, "UNSIGNED")


@lru_cache(maxsize=1024)
def together(*shapes: Shape) -> Shape:
    """The shape that arrays are broadcast to."""
    return np.broadcast_shapes(*shapes)


class Builder:
    """What the values of one lowering share: types and constants."""

    def __init__(self) -> None:
        self._types: dict[tuple[Shape, Dtype], Any] = {}
        self._numbers: dict[tuple[bytes, Dtype, tuple[Any, ...]], Value] = {}

    def type(self, shape: Shape, dtype: Dtype) -> Any:
        """The type of an array."""
        found = self._types.get((shape, dtype))
        if found is None:
            found = ir.RankedTensorType.get(shape, mlir.dtype_to_ir_type(dtype))
            self._types[shape, dtype] = found
        return found

    def number(self, x: Any, dtype: Dtype, shape: Shape = ()) -> Value:
        """An array of one number."""
        exact = np.asarray(x, dtype)
        key = exact.tobytes(), dtype, shape
        found = self._numbers.get(key)
        if found is None:
            made = mlir.ir_constant(exact) if not shape else self.number(x, dtype).ir
            found = Value(self, made, (), dtype)
            found = self._numbers[key] = found.spread(shape) if shape else found
        return found

    def value(self, x: Any, like: Dtype | None = None, shape: Shape = ()) -> Value:
        """A value, or a number as an array of the dtype that it has beside a value."""
        if type(x) is Value:
            return x
        kind = type(x)
        if kind is Choice:
            return x.typed(like).spread(shape)
        if kind is float or kind is int:
            if like is None or not (like.kind == "f" or (kind is int and like.kind == "i")):
                raise NeedsTracingError
            return self.number(x, like, shape)
        if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0):
            return self.number(x, x.dtype, shape)
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return self.array(x)
        raise NeedsTracingError

    def array(self, x: np.ndarray[Any, Any]) -> Value:
        """A table of numbers."""
        key = x.tobytes(), x.dtype, ("table", *x.shape)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = Value(self, mlir.ir_constant(x), x.shape, x.dtype)
        return found

    def alike(self, *xs: Any) -> list[Value]:
        """Values and numbers, of one dtype and one shape."""
        values = [x for x in xs if type(x) is Value]
        strong = [x.dtype for x in xs if hasattr(x, "dtype")]
        if not values or not strong:
            raise NeedsTracingError
        dtype = strong[0]
        for other in strong[1:]:
            if other != dtype:
                dtype = promoted(dtype, other)
        shape = values[0].shape
        shapes = [v.condition.shape if type(v) is Choice else v.shape for v in xs if _is_array(v)]
        if any(found != shape for found in shapes):
            shape = together(*shapes)
        return [self.value(x, dtype, shape).astype(dtype).spread(shape) for x in xs]

    def choice(self, condition: Value, x: Any, y: Any) -> Value:
        """The first where a condition holds, the second elsewhere."""
        x, y = self.alike(x, y)
        shape = together(condition.shape, x.shape)
        parts = [v.spread(shape).ir for v in (condition, x, y)]
        return Value(self, hlo.select(*parts), shape, x.dtype)

    def map(self, make: Callable[..., Any], *xs: Any, dtype: Dtype | None = None) -> Value:
        """An operation on the elements of values and numbers."""
        values = self.alike(*xs)
        first = values[0]
        return Value(self, make(*[v.ir for v in values]), first.shape, dtype or first.dtype)


class Choice:
    """One of two numbers by a condition, of the dtype of the value that it meets."""

    __array_ufunc__ = None
    __slots__ = ("condition", "numbers")

    def __init__(self, condition: Value, x: float, y: float) -> None:
        self.condition = condition
        self.numbers = (x, y)

    def __array__(self, *_: Any) -> Any:
        raise NeedsTracingError

    def typed(self, dtype: Dtype | None) -> Value:
        """The values in a dtype."""
        if dtype is None or dtype.kind != "f":
            raise NeedsTracingError
        home, shape = self.condition.home, self.condition.shape
        x, y = (home.number(n, dtype, shape) for n in self.numbers)
        return Value(home, hlo.select(self.condition.ir, x.ir, y.ir), shape, dtype)


def _is_array(x: Any) -> bool:
    return type(x) is Value or type(x) is Choice


def _operator(make: Callable[..., Any], kinds: str) -> tuple[Callable[..., Any], ...]:
    """An operator and its reflection, for dtypes of some kinds."""

    def forward(self: Value, other: Any) -> Value:
        x, y = self.home.alike(self, other)
        if x.dtype.kind not in kinds:
            raise NeedsTracingError
        return Value(self.home, make(x.ir, y.ir), x.shape, x.dtype)

    def backward(self: Value, other: Any) -> Value:
        y, x = self.home.alike(self, other)
        if x.dtype.kind not in kinds:
            raise NeedsTracingError
        return Value(self.home, make(x.ir, y.ir), x.shape, x.dtype)

    return forward, backward


def _comparison(direction: str) -> Callable[..., Any]:
    def method(self: Value, other: Any) -> Value:
        x, y = self.home.alike(self, other)
        made = hlo.compare(
            x.ir,
            y.ir,
            hlo.ComparisonDirectionAttr.get(direction),
            compare_type=hlo.ComparisonTypeAttr.get(_compared(x.dtype)),
        )
        return Value(self.home, made, x.shape, BOOL)

    return method


class Value(Shaped):
    """An array in the module."""

    __array_ufunc__ = None
    """So that NumPy's numbers leave their operators to those of a value."""
    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("dtype", "home", "ir", "shape")

    def __init__(self, home: Builder, made: Any, shape: Shape, dtype: Dtype) -> None:
        self.home = home
        self.ir = made
        self.shape = shape
        self.dtype = dtype

    def __getattr__(self, name: str) -> Any:
        raise NeedsTracingError(name)

    def _opaque(self, *_: Any) -> Any:
        raise NeedsTracingError

    __bool__ = __float__ = __int__ = __index__ = __array__ = _opaque

    __add__, __radd__ = _operator(hlo.add, "fi")
    __sub__, __rsub__ = _operator(hlo.subtract, "fi")
    __mul__, __rmul__ = _operator(hlo.multiply, "fi")
    __truediv__, __rtruediv__ = _operator(hlo.divide, "f")
    __and__, __rand__ = _operator(hlo.and_, "bi")
    __or__, __ror__ = _operator(hlo.or_, "bi")
    __xor__, __rxor__ = _operator(hlo.xor, "bi")
    __lshift__, __rlshift__ = _operator(hlo.shift_left, "i")
    __rshift__, __rrshift__ = _operator(hlo.shift_right_arithmetic, "i")
    __lt__ = _comparison("LT")
    __le__ = _comparison("LE")
    __gt__ = _comparison("GT")
    __ge__ = _comparison("GE")
    __eq__: Any = _comparison("EQ")
    __ne__: Any = _comparison("NE")

    def unary(self, make: Callable[..., Any], kinds: str = "f") -> Value:
        """An operation on the elements."""
        if self.dtype.kind not in kinds:
            raise NeedsTracingError
        return Value(self.home, make(self.ir), self.shape, self.dtype)

    def __neg__(self) -> Value:
        return self.unary(hlo.negate, "fi")

    def __abs__(self) -> Value:
        return self.unary(hlo.abs, "fi")

    def __invert__(self) -> Value:
        return self.unary(hlo.not_, "bi")

    def __pow__(self, power: Any) -> Value:
        if type(power) is not int or power not in (2, 3):
            raise NeedsTracingError
        return self * self if power == 2 else self * self * self

    def astype(self, dtype: Any) -> Value:
        """The values in another dtype."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self
        if dtype.kind == "b":
            return self != self.home.number(0, self.dtype)
        if dtype.kind not in "fi":
            raise NeedsTracingError
        made = hlo.convert(self.home.type(self.shape, dtype), self.ir)
        return Value(self.home, made, self.shape, dtype)

    def truth(self) -> Value:
        """The value itself, which has to be of truth values."""
        return self.unary(lambda x: x, "b")

    def bits(self, dtype: Any) -> Value:
        """The same bits in a dtype of the same size."""
        dtype = np.dtype(dtype)
        if dtype.itemsize != self.dtype.itemsize or "b" in (dtype.kind, self.dtype.kind):
            raise NeedsTracingError
        made = hlo.bitcast_convert(self.home.type(self.shape, dtype), self.ir)
        return Value(self.home, made, self.shape, dtype)

    # -- shapes -------------------------------------------------------------------------------

    def along(self, shape: Shape, axes: Sequence[int]) -> Value:
        """An array of a shape, of which axes are those of this."""
        made = hlo.broadcast_in_dim(
            self.home.type(shape, self.dtype), self.ir, mlir.dense_int_array(axes)
        )
        return Value(self.home, made, shape, self.dtype)

    def spread(self, shape: Shape) -> Value:
        """Broadcast to a shape."""
        if shape == self.shape:
            return self
        if together(self.shape, shape) != shape:
            raise ValueError(f"{self.shape} cannot be broadcast to {shape}")
        return self.along(shape, range(len(shape) - self.ndim, len(shape)))

    def reshape(self, *shape: Any) -> Value:
        """The same elements in another shape."""
        lengths = list(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else [*shape]
        if -1 in lengths:
            known = -math.prod(lengths)
            lengths[lengths.index(-1)] = self.size // known if known else 0
        new = tuple(lengths)
        if new == self.shape:
            return self
        made = hlo.reshape(self.home.type(new, self.dtype), self.ir)
        return Value(self.home, made, new, self.dtype)

    def ravel(self) -> Value:
        """The elements in one row."""
        return self.reshape(self.size)

    def transpose(self, axes: Sequence[int]) -> Value:
        """The axes in another order."""
        order = [k % self.ndim for k in axes]
        if order == list(range(self.ndim)):
            return self
        made = hlo.transpose(self.ir, mlir.dense_int_array(order))
        return Value(self.home, made, tuple([self.shape[k] for k in order]), self.dtype)

    def __iter__(self) -> Iterator[Value]:
        return iter([self[i] for i in range(self.shape[0])])

    def taken(self, index: Value) -> Value:
        """The entries of a row at places, whole numbers that count from either end."""
        if self.ndim != 1 or index.dtype.kind != "i":
            raise NeedsTracingError
        (n,) = self.shape
        places = self.home.choice(index < 0, index + n, index).reshape(*index.shape, 1)
        numbers = hlo.GatherDimensionNumbers.get(
            offset_dims=[],
            collapsed_slice_dims=[0],
            operand_batching_dims=[],
            start_indices_batching_dims=[],
            start_index_map=[0],
            index_vector_dim=index.ndim,
        )
        made = hlo.gather(self.ir, places.ir, numbers, mlir.dense_int_array([1]))
        return Value(self.home, made, index.shape, self.dtype)

    def __getitem__(self, index: Any) -> Value:
        if type(index) is Value:
            return self.taken(index)
        entries = index if isinstance(index, tuple) else (index,)
        if Ellipsis in entries:
            at = entries.index(Ellipsis)
            rest = self.ndim - (len(entries) - 1)
            entries = (*entries[:at], *[slice(None)] * rest, *entries[at + 1 :])
        starts, ends, steps, shape = [0] * self.ndim, list(self.shape), [1] * self.ndim, []
        for k, entry in enumerate(entries):
            if type(entry) is int and k < self.ndim and -self.shape[k] <= entry < self.shape[k]:
                starts[k] = entry % self.shape[k]
                ends[k] = starts[k] + 1
            elif type(entry) is slice and k < self.ndim:
                starts[k], ends[k], steps[k] = entry.indices(self.shape[k])
                if steps[k] < 1:
                    raise NeedsTracingError
                ends[k] = max(starts[k], ends[k])
                shape.append(len(range(starts[k], ends[k], steps[k])))
            else:
                raise NeedsTracingError
        whole = tuple([len(range(*r)) for r in zip(starts, ends, steps, strict=True)])
        shape.extend(self.shape[len(entries) :])
        if whole == self.shape:
            return self.reshape(shape)
        made = hlo.slice(self.ir, *[mlir.dense_int_array(n) for n in (starts, ends, steps)])
        return Value(self.home, made, whole, self.dtype).reshape(shape)

    def reduced(self, make: Callable[..., Any], start: Any, axis: Any, *, keepdims: bool) -> Value:
        """A reduction along axes: of no axes the array itself."""
        given = range(self.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
        axes = sorted([k % self.ndim for k in given])
        if self.dtype.kind != "f" or self.dtype.itemsize < 4:
            raise NeedsTracingError
        if not axes:
            return self
        home = self.home
        shape = tuple([n for k, n in enumerate(self.shape) if k not in axes])
        made = hlo.ReduceOp(
            [home.type(shape, self.dtype)],
            [self.ir],
            [home.number(start, self.dtype).ir],
            mlir.dense_int_array(axes),
        )
        number = home.type((), self.dtype)
        block = made.regions[0].blocks.append(number, number)
        with ir.InsertionPoint(block):
            hlo.return_([make(*block.arguments)])
        result = Value(home, made.result, shape, self.dtype)
        if not keepdims:
            return result
        return result.reshape([1 if k in axes else n for k, n in enumerate(self.shape)])
