"""Sliding windows over the last axes, and their transpose: what convolution and pooling need."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops.record import is_float
from stablegrad.ops.shape import MOVES
from stablegrad.ops.structured import (
    EXACT_ZERO,
    Normal,
    Params,
    Terms,
    is_symbolic,
    moved_support,
    normal_shape,
    structured,
    union,
)


def window_count(length: int, size: int, stride: int, dilation: int) -> int:
    """How many windows fit along an axis."""
    return max((length - dilation * (size - 1) - 1) // stride + 1, 0)


def _check(params: Params) -> tuple[Shape, ...]:
    """The parameters as tuples of one length, all positive."""
    found = tuple([normal_shape(p) for p in params])
    if len({len(p) for p in found}) != 1 or min([min(p, default=1) for p in found]) < 1:
        raise ShapeError(
            message(f"windows with {params}", "a size, stride and dilation >= 1 for each axis")
        )
    return found


def _normal_windows(terms: Terms, params: Params) -> Normal:
    (x,) = terms
    size, stride, dilation = _check(params)
    lengths = x.shape[x.ndim - len(size) :]
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    if len(lengths) != len(size) or any(n < s for n, s in zip(lengths, spans, strict=True)):
        raise ShapeError(
            message(
                f"windows over {size}, {tuple(spans)} with their gaps, of an array of shape "
                f"{x.shape}",
                "last axes that are as long at least",
                "Pad the input.",
            )
        )
    return terms, (size, stride, dilation)


def _windows_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    (x,) = args
    size = params[0]
    lead, lengths = x.shape[: x.ndim - len(size)], x.shape[x.ndim - len(size) :]
    counts = [window_count(n, *spec) for n, *spec in zip(lengths, *params, strict=True)]
    return (*lead, *counts, *size), x.dtype


def _windows_kernel(xp: Any, x: Any, *, size: Shape, stride: Shape, dilation: Shape) -> Any:
    d = len(size)
    index: list[Any] = [Ellipsis]
    for i, n in enumerate(x.shape[x.ndim - d :]):
        starts = np.arange(window_count(n, size[i], stride[i], dilation[i])) * stride[i]
        places = starts[:, None] + np.arange(size[i]) * dilation[i]
        shape = [1] * (2 * d)
        shape[i], shape[d + i] = places.shape
        index.append(places.reshape(shape))
    return x[tuple(index)]


def _windows_numpy(xp: Any, x: Any, *, size: Shape, stride: Shape, dilation: Shape) -> Any:
    d = len(size)
    spans = [g * (k - 1) + 1 for k, g in zip(size, dilation, strict=True)]
    axes = tuple(range(x.ndim - d, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axis=axes)
    steps = [slice(None, None, s) for s in (*stride, *dilation)]
    return view[(Ellipsis, *steps)]


windows = structured(
    "windows",
    params=("size", "stride", "dilation"),
    normalise=_normal_windows,
    infer=_windows_infer,
    kernel=_windows_kernel,
    engine_kernels={"numpy": _windows_numpy},
    vjp=lambda out, args, g, *, size, stride, dilation: (
        windows_add(g, length=args[0].shape[-len(size) :], stride=stride, dilation=dilation),
    ),
    aten="unfold",
    doc="All windows of a size over the last axes; their elements become new last axes.",
    example=(
        ">>> x = sg.tensor([1.0, 2.0, 3.0])\n"
        ">>> sg.ops.windows(x, size=2, stride=1, dilation=1).numpy()\n"
        "array([[1., 2.],\n       [2., 3.]], dtype=float32)"
    ),
    **MOVES,
)

# -- the transpose ------------------------------------------------------------------------


def _normal_add(terms: Terms, params: Params) -> Normal:
    (x,) = terms
    length, stride, dilation = _check(params)
    d = len(length)
    lead = x.ndim - 2 * d
    if lead >= 0:
        size, counts = x.shape[x.ndim - d :], x.shape[lead : lead + d]
        specs = zip(length, size, stride, dilation, strict=True)
        if counts == tuple([window_count(*spec) for spec in specs]):
            return terms, (length, stride, dilation)
    raise ShapeError(
        message(f"windows of shape {x.shape} to be added into {length}", "as many as fit")
    )


def _add_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    (x,) = args
    return (*x.shape[: x.ndim - 2 * len(params[0])], *params[0]), x.dtype


def _add_kernel(xp: Any, x: Any, *, length: Shape, stride: Shape, dilation: Shape) -> Any:
    d = len(length)
    lead = x.shape[: x.ndim - 2 * d]
    counts, size = x.shape[x.ndim - 2 * d : x.ndim - d], x.shape[x.ndim - d :]
    half = is_float(x.dtype) and x.dtype.itemsize == 2
    out = xp.zeros((*lead, *length), xp.float32 if half else x.dtype)
    for tap in itertools.product(*[range(k) for k in size]):
        place: list[Any] = [Ellipsis]
        for k, g, s, n in zip(tap, dilation, stride, counts, strict=True):
            place.append(slice(k * g, k * g + s * (n - 1) + 1, s))
        part = x[(Ellipsis, *tap)]
        at = tuple(place)
        if is_symbolic(xp):
            out = out.at[at].max(part) if x.dtype == bool else out.at[at].add(part)
        elif x.dtype == bool:
            out[at] |= part
        else:
            out[at] += part
    return out


def _add_facts(term: Term) -> Facts:
    """Of sums of any number of elements: only the sign is known."""
    facts = union([term.args[0].facts, EXACT_ZERO])
    lo = 0.0 if facts.lo == 0 else -np.inf
    hi = 0.0 if facts.hi == 0 else np.inf
    return Facts(lo, hi, lo != 0, hi != 0, facts.defined)


_ADDS: dict[str, Any] = {**MOVES, "infer_facts": _add_facts, "support": moved_support, "ulp": None}

windows_add = structured(
    "windows_add",
    params=("length", "stride", "dilation"),
    normalise=_normal_add,
    infer=_add_infer,
    kernel=_add_kernel,
    vjp=lambda out, args, g, *, length, stride, dilation: (
        windows(g, size=args[0].shape[-len(length) :], stride=stride, dilation=dilation),
    ),
    accuracy="n*eps relative to the sum of absolute terms, n the windows that meet at a place",
    aten="col2im",
    doc="Windows added up where they came from: the transpose of windows.",
    example=(
        ">>> x = sg.tensor([[1.0, 2.0], [10.0, 20.0]])\n"
        ">>> sg.ops.windows_add(x, length=3, stride=1, dilation=1).numpy()\n"
        "array([ 1., 12., 20.], dtype=float32)"
    ),
    **_ADDS,
)


def sliding(x: Any, size: Shape, stride: Shape, dilation: Shape) -> Any:
    """All windows over the last axes of a term or tensor."""
    return OPS["windows"](x, size=size, stride=stride, dilation=dilation)
