"""Statistics: covariances, and reductions that skip nan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, DTypeError, ShapeError, UnknownNameError, message
from stablegrad.ir import OPS
from stablegrad.numpy.joining import concatenate
from stablegrad.numpy.ordering import by_shares
from stablegrad.ops.record import is_float
from stablegrad.ops.sorting import last_axis
from stablegrad.tensor import Tensor, as_tensor
from stablegrad.tensor.methods import no_out
from stablegrad.tensor.naming import named


def _observations(m: Any, y: Any, rowvar: bool) -> Tensor:
    parts = []
    for part in (m, y):
        if part is not None:
            x = as_tensor(part)
            if x.ndim > 2:
                raise ShapeError(message(f"observations of shape {x.shape}", "two axes at most"))
            x = x if is_float(x.dtype) else x.astype(np.float64)
            x = x.reshape(1, -1) if x.ndim < 2 else x if rowvar else x.T
            parts.append(x)
    return parts[0] if len(parts) == 1 else concatenate(parts, 0)


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Tensor:
    """Covariances of variables.

    Args:
        m: variables in rows, observations in columns.
        y: further variables.
        rowvar: False where variables are in columns.
        bias: whether to divide by the number of observations, not by one less.
        ddof: what to take off that number instead.
        fweights: must be None.
        aweights: must be None.

    Returns:
        A matrix, or a scalar for one variable; n*eps relative to the product of the two
        standard deviations, whatever the means.

    Raises:
        ShapeError: more than two axes.
        DTypeError: weights.

    Example:
        >>> sg.numpy.cov([[1e8, 1e8 + 8], [1.0, 2.0]]).numpy()
        array([[32. ,  4. ],
               [ 4. ,  0.5]], dtype=float32)
    """
    if fweights is not None or aweights is not None:
        raise DTypeError(message("cov with weights", "observations that weigh the same"))
    x = _observations(m, y, rowvar)
    off = ddof if ddof is not None else 0 if bias else 1
    centered = OPS["center"](x, axis=1)
    found = centered @ centered.T / (x.shape[1] - off)
    return found.reshape(()) if x.shape[0] == 1 else found


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Tensor:
    """Correlation coefficients of variables, in rows by default; see ``cov``.

    Rows are scaled to length 1 before they are multiplied, so nothing overflows; a constant
    variable has the correlation 0 with all others, and derivative 0.

    Example:
        >>> sg.numpy.corrcoef([1.0, 2.0, 3.0], [2.0, 4.0, 0.0]).numpy().round(6)
        array([[ 1. , -0.5],
               [-0.5,  1. ]], dtype=float32)
    """
    rows = OPS["unit_vector"](OPS["center"](_observations(x, y, rowvar), axis=1), axis=1)
    found = rows @ rows.T
    return (found.reshape(()) if rows.shape[0] == 1 else found).clip(-1, 1)


# -- without nan --------------------------------------------------------------------------


def _kept(a: Any, dtype: Any, instead: float) -> Tensor:
    """The elements, a number in place of those that are nan."""
    x = as_tensor(a)
    x = x if dtype is None else x.astype(dtype)
    return OPS["where"](OPS["isnan"](x), instead, x) if is_float(x.dtype) else x


def _skipping(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    doc = f"{OPS[name].doc} Elements that are nan have no part in it."
    return named(function, f"nan{name}", doc)


def _reduction(name: str, instead: float) -> Callable[..., Tensor]:
    def reduce(
        a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False
    ) -> Tensor:
        no_out(out)
        return OPS[name](_kept(a, dtype, instead), axis=axis, keepdims=keepdims)

    return _skipping(name, reduce)


def _order(name: str, instead: float) -> Callable[..., Tensor]:
    def reduce(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
        no_out(out)
        found = OPS[name](_kept(a, None, instead), axis=axis, keepdims=keepdims)
        none = OPS["isnan"](a).all(axis=axis, keepdims=keepdims)
        return OPS["where"](none, math.nan, found) if is_float(found.dtype) else found

    return _skipping(name, reduce)


def _place(name: str, instead: float) -> Callable[..., Tensor]:
    def place(
        a: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False
    ) -> Tensor:
        no_out(out)
        return OPS[name](_kept(a, None, instead), axis=axis, keepdims=keepdims)

    return _skipping(name, place)


def _running(name: str, instead: float) -> Callable[..., Tensor]:
    def run(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Tensor:
        no_out(out)
        return getattr(_kept(a, dtype, instead), name)(axis=axis)

    return _skipping(name, run)


nansum, nanprod = _reduction("sum", 0.0), _reduction("prod", 1.0)
nanmax, nanmin = _order("max", -math.inf), _order("min", math.inf)
nanargmax, nanargmin = _place("argmax", -math.inf), _place("argmin", math.inf)
nancumsum, nancumprod = _running("cumsum", 0.0), _running("cumprod", 1.0)


def _left(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """How many elements are not nan."""
    return OPS["logical_not"](OPS["isnan"](x)).sum(axis=axis, keepdims=keepdims)


def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False
) -> Tensor:
    """The mean of the elements over axes that are not nan; nan where none is left."""
    x = as_tensor(a)
    whole = nansum(x, axis, dtype, out, keepdims)
    return whole / _left(x, axis, keepdims).astype(whole.dtype)


def _deviations(a: Any, axis: Any, dtype: Any, ddof: int, keepdims: bool) -> tuple[Tensor, Tensor]:
    """Differences from the mean, 0 in place of nan, and the divisor, nan where it is not > 0."""
    x = as_tensor(a)
    x = x.astype(dtype) if dtype is not None else x if is_float(x.dtype) else x.astype(np.float64)
    off = x - nanmean(x, axis, keepdims=True)
    count = (_left(x, axis, keepdims) - ddof).astype(x.dtype)
    return OPS["where"](OPS["isnan"](x), 0.0, off), OPS["where"](count > 0, count, math.nan)


def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
) -> Tensor:
    """The variance of the elements over axes that are not nan."""
    no_out(out)
    off, count = _deviations(a, axis, dtype, ddof, keepdims)
    return (off * off).sum(axis=axis, keepdims=keepdims) / count


def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
) -> Tensor:
    """The standard deviation of the elements over axes that are not nan; derivative 0 at 0."""
    no_out(out)
    off, count = _deviations(a, axis, dtype, ddof, keepdims)
    return OPS["norm"](off, axis=axis, keepdims=keepdims) / OPS["sqrt"](count)


def nanquantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Tensor:
    """The values below which shares q of the elements lie that are not nan; see ``quantile``.

    Args:
        a: an array.
        q: a number from 0 to 1, or an array of them, which becomes the first axes.
        axis: an axis or several, all by default.
        out: must be None.
        overwrite_input: accepted as NumPy has it.
        method: must be "linear".
        keepdims: whether reduced axes stay with length 1.

    Returns:
        A tensor of the shape of q and then of what is left of a; nan where nothing is left.

    Raises:
        DomainError: a share outside of 0 to 1.
        UnknownNameError: another method.

    Example:
        >>> sg.numpy.nanquantile([1.0, float("nan"), 3.0], [0.25, 1.0]).numpy()
        array([1.5, 3. ], dtype=float32)
    """
    no_out(out)
    if method != "linear":
        raise UnknownNameError(message(f"nanquantile with {method=}", "'linear'"))
    x = as_tensor(a)
    x = x if is_float(x.dtype) else x.astype(np.float64)
    rows, shape = last_axis(x, axis, "nanquantile")
    ordered = OPS["sort"](OPS["where"](OPS["isnan"](rows), math.inf, rows), axis=-1)
    last = _left(rows, -1, True).astype(np.float64) - 1

    def one(share: float) -> Tensor:
        if not 0 <= share <= 1:
            raise DomainError(message(f"the quantile {share}", "0 to 1"))
        place = (last * share).clip(0)
        below, above = (
            OPS["take_along_axis"](ordered, OPS[end](place).astype(np.int64), axis=-1)
            for end in ("floor", "ceil")
        )
        weight = (place - OPS["floor"](place)).astype(x.dtype)
        between = below * (1 - weight) + above * weight
        value = OPS["where"](weight == 0, below, between)
        value = OPS["where"](last < 0, math.nan, value)
        return value.reshape(shape if keepdims else value.shape[:-1])

    return by_shares(q, one)


def nanpercentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Tensor:
    """``nanquantile`` of q/100."""
    return nanquantile(a, np.true_divide(q, 100), *args, **kwargs)


def nanmedian(
    a: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Tensor:
    """The median of the elements over axes that are not nan.

    Example:
        >>> sg.numpy.nanmedian([1.0, float("nan"), 2.0]).numpy()
        array(1.5, dtype=float32)
    """
    return nanquantile(a, 0.5, axis, out, keepdims=keepdims)
