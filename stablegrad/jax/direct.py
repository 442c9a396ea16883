"""Kernels run into a StableHLO module: the lowering of a region without a trace of it.

The kernels see the names of the XLA engine over values of the module. A kernel that asks for more
than these is traced by JAX, alone; so it is whatever the kernels are, and only takes longer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import ShapedArray
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import chlo
from jax.extend.mlir.dialects import stablehlo as hlo
from jax.interpreters import mlir

from stablegrad.engines.xla import Emission, import_jax
from stablegrad.engines.xla.namespace import Namespace, Special, namespace
from stablegrad.jax.stablehlo import BOOL, Builder, Choice, NeedsTracingError, Value, together

_DTYPES = {np.dtype(t) for t in (bool, np.int32, np.int64, np.float32, np.float64)}
_REFUSED = (NeedsTracingError, AttributeError, TypeError)
"""What a value lacks, as ``maximum.accumulate``; JAX's own functions take it for no array."""
_UNARY: dict[str, tuple[Callable[..., Any], str]] = {
    "abs": (hlo.abs, "fi"),
    "negative": (hlo.negate, "fi"),
    "exp": (hlo.exponential, "f"),
    "expm1": (hlo.exponential_minus_one, "f"),
    "log": (hlo.log, "f"),
    "log1p": (hlo.log_plus_one, "f"),
    "sin": (hlo.sine, "f"),
    "cos": (hlo.cosine, "f"),
    "tanh": (hlo.tanh, "f"),
    "sqrt": (hlo.sqrt, "f"),
    "floor": (hlo.floor, "f"),
    "ceil": (hlo.ceil, "f"),
    "rint": (hlo.round_nearest_even, "f"),
    "sign": (hlo.sign, "fi"),
    "arctan": (chlo.atan, "f"),
    "erf": (chlo.erf, "f"),
    "erfc": (chlo.erfc, "f"),
    "logical_not": (hlo.not_, "b"),
}
_NUMBERS = (float, int)
_BINARY: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "true_divide": operator.truediv,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
_LOGICAL: dict[str, Callable[..., Any]] = {
    "logical_and": operator.and_,
    "logical_or": operator.or_,
}


def lowered(ctx: Any, emission: Emission, args: Sequence[Any]) -> list[Any] | None:
    """The values of the roots of a region in the module, for those of its inputs.

    Args:
        ctx: of the lowering rule.
        emission: of the region.
        args: the values in the module.

    Returns:
        The values in the module; None where JAX has to trace the region as a whole: where types
        say how values are split over devices or shapes are no numbers, and where kernels that
        run together make choices.
    """
    if not all(map(_is_plain, ctx.avals_in)):
        return None
    home = Builder()
    given = [Value(home, x, a.shape, a.dtype) for x, a in zip(args, ctx.avals_in, strict=True)]
    xp = Direct(ctx, home)
    try:
        return [x.ir for x in emission(*given, xp=xp)]
    except _REFUSED:
        return None
    finally:  # what holds itself would hold the module, too
        vars(xp).clear()
        vars(home).clear()


def _is_plain(aval: Any) -> bool:
    return (
        isinstance(aval, ShapedArray)
        and aval.dtype in _DTYPES
        and all(type(n) is int for n in aval.shape)
        and aval.sharding.mesh.empty
    )


class Direct(Namespace):
    """jax.numpy's names over values of a module."""

    def __init__(self, ctx: Any, home: Builder) -> None:
        self.ctx, self.home = ctx, home
        self._numpy = _Numpy(home)
        self.lax = _Lax(self)
        self.special = _Special(self)

    def call(self, kernel: Callable[..., Any], *args: Any, **params: Any) -> Any:
        """The result of a kernel, traced where need be."""
        try:
            made = kernel(self, *args, **params)
            if type(made) is not Choice:
                return made
        except _REFUSED:
            pass
        return self.traced(kernel, *args, **params)

    def traced(self, kernel: Callable[..., Any], *args: Any, **params: Any) -> Value:
        """The result of a kernel that JAX traces."""
        values = [self.home.value(x) for x in args]
        ctx = self.ctx.replace(
            avals_in=[ShapedArray(v.shape, v.dtype) for v in values], avals_out=None
        )
        rule = mlir.lower_fun(
            lambda *xs: kernel(namespace(import_jax()), *xs, **params), multiple_results=False
        )
        (made,) = rule(ctx, *[v.ir for v in values])
        kind = ir.RankedTensorType(made.type)
        found = [t for t in _DTYPES if mlir.dtype_to_ir_type(t) == kind.element_type]
        if not found:  # half precision, made of arguments that have none
            raise NeedsTracingError
        (dtype,) = found
        return Value(self.home, made, tuple(kind.shape), dtype)

    def asarray(self, x: Any, dtype: Any = None) -> Value:
        """``jax.numpy.asarray``."""
        value = self.home.value(x, None if dtype is None else np.dtype(dtype))
        return value if dtype is None else value.astype(dtype)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """``jax.numpy.where``."""
        if type(condition) is not Value or condition.dtype != BOOL:
            raise NeedsTracingError
        home = self.home
        if type(x) in _NUMBERS and type(y) in _NUMBERS:
            return Choice(condition, x, y)
        if type(x) is not Value and type(y) is not Value:
            x = home.value(x)  # two numbers, one of a dtype or none
        return home.choice(condition, x, y)

    def maximum(self, x: Any, y: Any) -> Value:
        """``jax.numpy.maximum``."""
        return self._extreme(hlo.maximum, x, y)

    def minimum(self, x: Any, y: Any) -> Value:
        """``jax.numpy.minimum``."""
        return self._extreme(hlo.minimum, x, y)

    def _extreme(self, make: Callable[..., Any], x: Any, y: Any) -> Value:
        if not all(getattr(v, "dtype", np.dtype(float)).kind in "fi" for v in (x, y)):
            raise NeedsTracingError
        return self.home.map(make, x, y)

    def isfinite(self, x: Any) -> Value:
        """``jax.numpy.isfinite``."""
        x = self.home.value(x)
        if x.dtype.kind != "f":
            raise NeedsTracingError
        return Value(self.home, hlo.is_finite(x.ir), x.shape, BOOL)

    def isinf(self, x: Any) -> Value:
        """``jax.numpy.isinf``."""
        return self.home.value(x).unary(hlo.abs) == np.inf

    def isnan(self, x: Any) -> Value:
        """``jax.numpy.isnan``."""
        x = self.home.value(x)
        return x != x

    def copysign(self, x: Any, sign: Any) -> Value:
        """``jax.numpy.copysign``."""
        size, sign = self.home.alike(x, sign)
        size = size.unary(hlo.abs)
        bits = sign.bits(f"int{8 * sign.dtype.itemsize}")
        return self.where(bits < 0, -size, size)

    def power(self, x: Any, power: Any) -> Value:
        """``jax.numpy.power`` with a whole number but 0, by squares as JAX has it."""
        if type(power) is not int or power == 0:
            raise NeedsTracingError
        factor, made = self.home.value(x), None
        if factor.dtype.kind != "f":
            raise NeedsTracingError
        for digit in reversed(f"{abs(power):b}"):
            if digit == "1":
                made = factor if made is None else made * factor
            factor = factor * factor
        assert made is not None
        return made if power > 0 else 1 / made

    def square(self, x: Any) -> Value:
        """``jax.numpy.square``."""
        return x * x

    def zeros_like(self, x: Value) -> Value:
        """``jax.numpy.zeros_like``."""
        return self.home.number(0, x.dtype, x.shape)

    def ones_like(self, x: Value) -> Value:
        """``jax.numpy.ones_like``."""
        return self.home.number(1, x.dtype, x.shape)

    def full(self, shape: Any, x: Any, dtype: Any) -> Value:
        """``jax.numpy.full``."""
        if type(x) is Value:
            raise NeedsTracingError
        return self.home.number(x, np.dtype(dtype), tuple(shape))

    # -- shapes -------------------------------------------------------------------------------

    def shape(self, x: Any) -> Any:
        """``jax.numpy.shape``."""
        return np.shape(x)

    def ndim(self, x: Any) -> int:
        """``jax.numpy.ndim``."""
        return np.ndim(x)

    def broadcast_to(self, x: Any, shape: Any) -> Value:
        """``jax.numpy.broadcast_to``."""
        return self.home.value(x).spread(tuple(shape))

    def broadcast_arrays(self, *xs: Any) -> list[Value]:
        """``jax.numpy.broadcast_arrays``."""
        values = [self.home.value(x) for x in xs]
        shape = together(*[v.shape for v in values])
        return [v.spread(shape) for v in values]

    def reshape(self, x: Any, shape: Any) -> Value:
        """``jax.numpy.reshape``."""
        return self.home.value(x).reshape(shape)

    def transpose(self, x: Any, axes: Any) -> Value:
        """``jax.numpy.transpose``."""
        x = self.home.value(x)
        return x.transpose(range(x.ndim)[::-1] if axes is None else axes)

    def concatenate(self, xs: Sequence[Any], axis: int = 0) -> Value:
        """``jax.numpy.concatenate``."""
        values = [self.home.value(x) for x in xs]
        first = values[0]
        if any(v.dtype != first.dtype for v in values):
            raise NeedsTracingError
        if len(values) == 1:
            return first
        axis = axis % first.ndim
        shape = list(first.shape)
        shape[axis] = sum([v.shape[axis] for v in values])
        made = hlo.concatenate([v.ir for v in values], mlir.i64_attr(axis))
        return Value(self.home, made, tuple(shape), first.dtype)

    def stack(self, xs: Sequence[Any], axis: int = 0) -> Value:
        """``jax.numpy.stack``."""
        values = self.broadcast_arrays(*xs)
        axis = axis % (values[0].ndim + 1)
        rows = [v.reshape(*v.shape[:axis], 1, *v.shape[axis:]) for v in values]
        return self.concatenate(rows, axis)

    def sum(self, x: Any, axis: Any = None, *, keepdims: bool = False) -> Value:
        """``jax.numpy.sum``."""
        return self.home.value(x).reduced(hlo.add, 0.0, axis, keepdims=keepdims)

    def max(
        self, x: Any, axis: Any = None, *, keepdims: bool = False, initial: Any = None
    ) -> Value:
        """``jax.numpy.max``."""
        x = self.home.value(x)
        if initial is None and not x.size:
            raise NeedsTracingError
        top = x.reduced(hlo.maximum, -np.inf, axis, keepdims=keepdims)
        return top if initial is None else self.maximum(top, initial)


class _Numpy:
    """The names of jax.numpy that are constants, or functions of elements."""

    def __init__(self, home: Builder) -> None:
        self._home = home

    def __getattr__(self, name: str) -> Any:
        if name in _UNARY:
            make, kinds = _UNARY[name]
            return lambda x: self._home.value(x).unary(make, kinds)
        if name in _BINARY:
            return lambda x, y: _BINARY[name](self._home.value(x), y)
        if name in _LOGICAL:
            return lambda x, y: _LOGICAL[name](*[self._home.value(v).truth() for v in (x, y)])
        value = getattr(jax.numpy, name)
        if not callable(value) or isinstance(value, type) or name == "finfo":
            return value
        raise NeedsTracingError(name)


class _Lax:
    """The names of jax.lax that kernels take."""

    def __init__(self, xp: Direct) -> None:
        self._xp = xp
        self.max, self.min = xp.maximum, xp.minimum
        self.select = xp.where

    def __getattr__(self, name: str) -> Any:
        raise NeedsTracingError(name)

    def add(self, x: Value, y: Any) -> Value:
        """``jax.lax.add``."""
        return x + y

    def mul(self, x: Value, y: Any) -> Value:
        """``jax.lax.mul``."""
        return x * y

    def logistic(self, x: Value) -> Value:
        """``jax.lax.logistic``, as JAX lowers it."""
        return 1 / (1 + self._xp.exp(-x))

    def bitcast_convert_type(self, x: Value, dtype: Any) -> Value:
        """``jax.lax.bitcast_convert_type``."""
        return x.bits(dtype)

    def optimization_barrier(self, x: Value) -> Value:
        """``jax.lax.optimization_barrier`` of one array."""
        made = hlo.OptimizationBarrierOp([x.ir])
        return Value(x.home, made.results[0], x.shape, x.dtype)


class _Special(Special):
    """scipy.special's names over values of a module."""

    def __init__(self, xp: Direct) -> None:
        self._xp = xp
        self._special = _Functions(xp)
        self.expit = xp.lax.logistic


class _Functions:
    """The names of jax.scipy.special that are one operation."""

    def __init__(self, xp: Direct) -> None:
        self.erf, self.erfc = xp.erf, xp.erfc

    def __getattr__(self, name: str) -> Any:
        raise NeedsTracingError(name)
