"""Operators and methods of tensors, from tables of op names: each follows NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import OPS
from stablegrad.ops import indexing, shape
from stablegrad.tensor.apply import OPERANDS, apply, apply_one, apply_reflected, apply_two
from stablegrad.tensor.cells import as_dtype, shape_tuple
from stablegrad.tensor.core import Tensor

UNARY = {
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2",
    "log10": "log10", "log1p": "log1p", "sqrt": "sqrt", "rsqrt": "rsqrt", "square": "square",
    "reciprocal": "reciprocal", "abs": "abs", "absolute": "abs", "sign": "sign", "neg": "negative",
    "sigmoid": "sigmoid", "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "arcsin",
    "arccos": "arccos", "arctan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "arcsinh": "arcsinh", "arccosh": "arccosh", "arctanh": "arctanh", "erf": "erf", "erfc": "erfc",
    "floor": "floor", "ceil": "ceil", "trunc": "trunc", "isnan": "isnan", "isinf": "isinf",
    "isfinite": "isfinite", "logical_not": "logical_not", "conj": "positive",
}  # fmt: skip
"""Methods without further arguments, and their ops."""

BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
    "floordiv": "floor_divide", "mod": "mod", "matmul": "matmul",
}  # fmt: skip
"""Arithmetic operators, with their reflected forms."""

COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "eq": "equal", "ne": "not_equal",
}  # fmt: skip

LOGICAL = {"and": "logical_and", "or": "logical_or", "xor": "logical_xor"}

TWO_ARGUMENTS = {
    "pow": "power", "maximum": "maximum", "minimum": "minimum", "matmul": "matmul",
    "logaddexp": "logaddexp",
}  # fmt: skip
"""Methods with one further argument."""

REDUCTIONS = (
    "sum", "mean", "prod", "max", "min", "any", "all", "var", "std", "argmax", "argmin",
    "logsumexp", "count_nonzero",
)  # fmt: skip
ALONG = ("cumsum", "cumprod", "softmax", "log_softmax")

_NOTHING: Any = object()


def the_axis(axis: Any, dim: Any, default: Any = None) -> Any:
    """``dim`` is accepted for ``axis``; both at once are an error."""
    if dim is _NOTHING:
        return default if axis is _NOTHING else _plain(axis)
    if axis is not _NOTHING:
        raise DTypeError(message("both axis= and dim=", "one of them"))
    return _plain(dim)


def _plain(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _unary(op_name: str) -> Callable[[Tensor], Tensor]:
    op = OPS[op_name]

    def method(self: Tensor) -> Tensor:
        return apply_one(op, self)

    return method


def _operator(op_name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    op = OPS[op_name]

    def method(self: Tensor, other: Any) -> Any:
        return apply_two(op, self, other) if isinstance(other, OPERANDS) else NotImplemented

    def reflected(self: Tensor, other: Any) -> Any:
        return apply_reflected(op, other, self) if isinstance(other, OPERANDS) else NotImplemented

    return method, reflected


def _logical(op_name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    method, reflected = _operator(op_name)

    def on_booleans(function: Callable[..., Any]) -> Callable[..., Any]:
        def checked(self: Tensor, other: Any) -> Any:
            kind = getattr(other, "dtype", np.dtype(type(other))).kind
            if self.dtype.kind != "b" or kind != "b":
                raise DTypeError(
                    message(f"a bitwise operator on {self.dtype}", "booleans on both sides")
                )
            return function(self, other)

        return checked

    return on_booleans(method), on_booleans(reflected)


def _reduction(op_name: str) -> Callable[..., Tensor]:
    def method(
        self: Tensor,
        axis: Any = _NOTHING,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        *,
        dim: Any = _NOTHING,
        keepdim: bool = False,
        **params: Any,
    ) -> Tensor:
        no_out(out)
        x = self if dtype is None else self.astype(dtype)
        return OPS[op_name](
            x, axis=the_axis(axis, dim), keepdims=bool(keepdims or keepdim), **params
        )

    return method


def _along(op_name: str) -> Callable[..., Tensor]:
    def method(self: Tensor, axis: Any = _NOTHING, *, dim: Any = _NOTHING) -> Tensor:
        found = the_axis(axis, dim)
        if found is None and op_name.startswith("cum"):
            return OPS[op_name](ravel(self), axis=0)
        return OPS[op_name](self, axis=found)

    return method


def no_out(out: Any) -> None:
    """Refuse ``out=``: tensors never change in place."""
    if out is not None:
        raise DTypeError(message("out=", "a new tensor: tensors never change in place"))


# -- shape and elements -------------------------------------------------------------------


def getitem(self: Tensor, index: Any) -> Tensor:
    """Elements by NumPy's rules: integers, slices, None, Ellipsis, integer and boolean arrays."""
    if isinstance(index, tuple):
        index = tuple([_mask_value(i) for i in index])
    else:
        index = _mask_value(index)
    return indexing.getitem(self, index)


def _mask_value(entry: Any) -> Any:
    """How many elements a boolean mask picks is known from its value only."""
    if isinstance(entry, Tensor) and entry.dtype.kind == "b":
        return entry.numpy()
    if isinstance(entry, list):
        return np.asarray(entry) if entry else np.empty(0, np.int64)
    return entry


def iterate(self: Tensor) -> Iterator[Tensor]:
    """The elements along the first axis."""
    if not self.shape:
        raise ShapeError(message("iteration over a scalar tensor", "at least one dimension"))
    return (getitem(self, i) for i in range(self.shape[0]))


def reshape(self: Tensor, *new: Any) -> Tensor:
    """The same elements in another shape; one length may be -1."""
    return OPS["reshape"](self, shape=shape_tuple(new))


def transpose(self: Tensor, *axes: Any) -> Tensor:
    """The axes in another order, as NumPy takes it; reversed by default."""
    order = None if not axes or axes == (None,) else shape_tuple(axes)
    return OPS["transpose"](self, axes=order)


def ravel(self: Tensor) -> Tensor:
    """All elements in one axis."""
    return OPS["reshape"](self, shape=(-1,) if self.size else (0,))


def flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """All elements in one axis, or, as torch has it, the axes from one to another."""
    first, last = (d % max(self.ndim, 1) for d in (start_dim, end_dim))
    if last - first + 1 >= self.ndim:
        return ravel(self)
    middle = int(np.prod(self.shape[first : last + 1]))
    return reshape(self, *self.shape[:first], middle, *self.shape[last + 1 :])


def squeeze(self: Tensor, axis: Any = _NOTHING, *, dim: Any = _NOTHING) -> Tensor:
    """Without axes of length 1."""
    return shape.squeeze(self, the_axis(axis, dim))


def expand_dims(self: Tensor, axis: Any = _NOTHING, *, dim: Any = _NOTHING) -> Tensor:
    """With axes of length 1 inserted."""
    return shape.expand_dims(self, the_axis(axis, dim))


def expand(self: Tensor, *new: Any) -> Tensor:
    """Broadcast to a shape; -1 keeps a length."""
    wanted = shape_tuple(new)
    own = (*[1] * (len(wanted) - self.ndim), *self.shape)
    return OPS["broadcast_to"](
        self, shape=tuple([o if n == -1 else n for n, o in zip(wanted, own, strict=True)])
    )


def astype(self: Tensor, dtype: Any, copy: bool = True) -> Tensor:
    """In another dtype; gradients pass between floating-point dtypes."""
    found = as_dtype(dtype)
    return self if found == self.dtype else OPS["astype"](self, dtype=found)


def clip(
    self: Tensor, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None
) -> Tensor:
    """Limited to the range from low to high; None leaves a side open."""
    low = min if low is None else low
    high = max if high is None else high
    if low is None and high is None:
        return self
    if low is None:
        return OPS["minimum"](self, high)
    if high is None:
        return OPS["maximum"](self, low)
    return OPS["clip"](self, low, high)


def round_(self: Tensor, decimals: int = 0) -> Tensor:
    """To the nearest whole number, or to a number of decimals; the even one at a tie."""
    if decimals == 0:
        return OPS["round"](self)
    unit = 10.0**decimals
    return OPS["round"](self * unit) / unit


def dot(self: Tensor, other: Any) -> Tensor:
    """The dot product, as NumPy has it."""
    from stablegrad.ops import linalg

    return linalg.dot(self, other)


def take(self: Tensor, indices: Any, axis: int | None = None) -> Tensor:
    """The elements at integer indices along an axis, of all elements by default."""
    return indexing.take(ravel(self) if axis is None else self, indices, axis or 0)


def argsort(self: Tensor, axis: Any = -1, *, dim: Any = _NOTHING) -> Tensor:
    """The places of the elements in rising order along an axis; equal ones keep theirs."""
    found = axis if dim is _NOTHING else dim
    x, found = (ravel(self), 0) if found is None else (self, found)
    return OPS["argsort"](x, axis=found)


def diagonal(self: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """A diagonal along two axes; it becomes the last axis."""
    from stablegrad.ops import linalg

    return linalg.diagonal(self, offset, axis1, axis2)


def trace(self: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal."""
    return diagonal(self, offset, axis1, axis2).sum(axis=-1)


def repeat(self: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element several times, along an axis or of all elements, as NumPy has it."""
    x, axis = (ravel(self), 0) if axis is None else (self, axis)
    return indexing.take(x, np.repeat(np.arange(x.shape[axis]), np.asarray(repeats)), axis)


def _itself(self: Tensor) -> Tensor:
    return self


def _mod_power(self: Tensor, other: Any, modulus: Any = None) -> Any:
    if modulus is not None or not isinstance(other, OPERANDS):
        return NotImplemented
    return apply(OPS["power"], (self, other))


def _contains(self: Tensor, value: Any) -> bool:
    return bool((self == value).any())


METHODS: dict[str, Callable[..., Any]] = {
    "reshape": reshape, "view": reshape, "transpose": transpose, "permute": transpose,
    "ravel": ravel, "flatten": flatten, "squeeze": squeeze, "unsqueeze": expand_dims,
    "expand_dims": expand_dims, "expand": expand, "astype": astype, "clip": clip, "clamp": clip,
    "round": round_, "dot": dot, "take": take, "copy": _itself, "clone": _itself,
    "argsort": argsort, "diagonal": diagonal, "trace": trace, "repeat": repeat,
    "swapaxes": shape.swapaxes, "__getitem__": getitem, "__iter__": iterate,
    "__pos__": _itself, "__contains__": _contains, "__pow__": _mod_power,
}  # fmt: skip


def install(cls: type[Tensor]) -> None:
    """Give the tensor class its operators and methods."""
    for name, op_name in UNARY.items():
        _set(cls, name, _unary(op_name), op_name)
    for name, op_name in TWO_ARGUMENTS.items():
        _set(cls, name, _two(op_name), op_name)
    for name, op_name in BINARY.items():
        method, reflected = _operator(op_name)
        _set(cls, f"__{name}__", method, op_name)
        _set(cls, f"__r{name}__", reflected, op_name)
    for name, op_name in COMPARISONS.items():
        _set(cls, f"__{name}__", _operator(op_name)[0], op_name)
    for name, op_name in LOGICAL.items():
        method, reflected = _logical(op_name)
        _set(cls, f"__{name}__", method, op_name)
        _set(cls, f"__r{name}__", reflected, op_name)
    for name in REDUCTIONS:
        _set(cls, name, _reduction(name), name)
    for name in ALONG:
        _set(cls, name, _along(name), name)
    for name, function in METHODS.items():
        setattr(cls, name, function)
    for name, op_name in (
        ("__neg__", "negative"),
        ("__abs__", "abs"),
        ("__invert__", "logical_not"),
    ):
        _set(cls, name, _unary(op_name), op_name)
    cls.T = property(transpose)  # type: ignore[attr-defined]
    cls.mT = property(lambda self: shape.swapaxes(self, -1, -2))  # type: ignore[attr-defined]


def _two(op_name: str) -> Callable[[Tensor, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return apply(OPS[op_name], (self, other))

    return method


def _set(cls: type[Tensor], name: str, method: Callable[..., Any], op_name: str) -> None:
    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    if op_name in OPS:
        method.__doc__ = OPS[op_name].doc
    setattr(cls, name, method)
