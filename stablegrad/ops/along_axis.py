"""Picking along an axis by an array of places, and its transpose."""

from __future__ import annotations

from typing import Any

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.indexing import INDEXES, add_at, added_facts
from stablegrad.ops.structured import (
    Normal,
    Params,
    Terms,
    integer,
    moved_support,
    normal_axis,
    same_facts,
    same_support,
    structured,
)


def _normal_along(terms: Terms, params: Params) -> Normal:
    x, indices = terms
    axis = normal_axis(params[-1], x.ndim, "take_along_axis")
    _check_along(x.shape, indices, axis)
    return terms, (axis,)


def _check_along(shape: Shape, indices: Term, axis: int) -> None:
    if indices.dtype.kind not in "iu":
        raise DTypeError(message(f"indices of dtype {indices.dtype}", "integers"))
    if indices.ndim != len(shape) or any(
        m != n for i, (m, n) in enumerate(zip(indices.shape, shape, strict=True)) if i != axis
    ):
        raise ShapeError(
            message(
                f"indices of shape {indices.shape} along axis {axis} of {shape}",
                f"a shape that agrees outside axis {axis}",
            )
        )


take_along_axis = structured(
    "take_along_axis",
    params=("axis",),
    defaults=(-1,),
    normalise=_normal_along,
    infer=lambda args, params: (args[1].shape, args[0].dtype),
    kernel=lambda xp, x, indices, *, axis: xp.take_along_axis(x, indices, axis=axis),
    vjp=lambda out, args, g, *, axis: (
        OPS["add_along_axis"](g, args[1], length=args[0].shape[axis], axis=axis),
        None,
    ),
    infer_facts=same_facts,
    support=same_support,
    ulp=(0, 0, 0),
    lax="gather",
    aten="gather",
    doc="For each place along an axis the element that the indices name there.",
    example=(
        ">>> x = sg.tensor([[1.0, 2.0]])\n"
        ">>> sg.ops.take_along_axis(x, sg.ops.argmax(x, axis=1, keepdims=True), axis=1).item()\n"
        "2.0"
    ),
    **INDEXES,
)


def _normal_add_along(terms: Terms, params: Params) -> Normal:
    values, indices = terms
    length = integer(params[0], "the length")
    axis = normal_axis(params[1], values.ndim, "add_along_axis")
    if values.shape != indices.shape:
        raise ShapeError(message(f"values {values.shape}, indices {indices.shape}", "one shape"))
    return terms, (length, axis)


def _add_along_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    length, axis = params
    shape = args[0].shape
    return (*shape[:axis], length, *shape[axis + 1 :]), args[0].dtype


def _add_along_kernel(xp: Any, values: Any, indices: Any, *, length: int, axis: int) -> Any:
    grid = list(xp.meshgrid(*[xp.arange(n) for n in values.shape], indexing="ij", sparse=True))
    grid[axis] = indices
    shape = (*values.shape[:axis], length, *values.shape[axis + 1 :])
    return add_at(xp, values, tuple(grid), shape, unique=False)


add_along_axis = structured(
    "add_along_axis",
    params=("length", "axis"),
    normalise=_normal_add_along,
    infer=_add_along_infer,
    kernel=_add_along_kernel,
    vjp=lambda out, args, g, *, length, axis: (take_along_axis(g, args[1], axis=axis), None),
    infer_facts=added_facts,
    support=moved_support,
    ulp=None,
    accuracy="n*eps relative to the sum of absolute terms, n the times that a place is named",
    lax="scatter-add",
    aten="scatter_add",
    doc="Structural zeros with values added along an axis: the transpose of take_along_axis.",
    example=(
        ">>> x, i = sg.tensor([5.0]), sg.tensor([2])\n"
        ">>> sg.ops.add_along_axis(x, i, length=3, axis=0).numpy()\n"
        "array([0., 0., 5.], dtype=float32)"
    ),
    **INDEXES,
)
