"""Products of arrays: matmul, einsum and what is built on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, UNKNOWN, Facts, Shape, Term
from stablegrad.ops.record import is_float
from stablegrad.ops.shape import expand_dims, moveaxis, slice_axis, squeeze, swapaxes, unbroadcast
from stablegrad.ops.structured import (
    EXACT_ZERO,
    Params,
    Terms,
    full_support,
    linear_jvp,
    moved_support,
    normal_axis,
    same_facts,
    same_support,
    structured,
    sum_of,
    union,
)

PRODUCT_BOUND = "n*eps relative to the sum of absolute products"


def working(xp: Any, *xs: Any) -> list[Any]:
    """Half precision as float32: BLAS has none, and sums in it lose digits."""
    half = [is_float(x.dtype) and x.dtype.itemsize == 2 for x in xs]
    return [x.astype(xp.float32) if h else x for x, h in zip(xs, half, strict=True)]


def product_facts(term: Term) -> Facts:
    """Facts of sums of products: only the sign is worth knowing."""
    facts = [a.facts for a in term.args]
    defined = all(f.defined for f in facts)
    if not all(f.nonnegative for f in facts):
        return UNKNOWN._replace(defined=defined)
    positive = all(f.positive for f in facts) and all(a.size for a in term.args)
    return Facts(0.0, lo_open=positive, defined=defined)


# -- matmul -------------------------------------------------------------------------------


def _matmul_shape(a: Shape, b: Shape) -> Shape:
    if not a or not b:
        raise ShapeError(
            message(f"matmul of shapes {a} and {b}", "arrays of one dimension or more", "Use *")
        )
    inner = b[-2:][0]
    if a[-1] != inner:
        raise ShapeError(
            message(
                f"matmul of shapes {a} and {b}",
                f"the last axis of the first ({a[-1]}) to match "
                f"{'axis -2' if len(b) > 1 else 'the length'} of the second ({inner})",
            )
        )
    try:
        batch = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise ShapeError(
            message(
                f"matmul of shapes {a} and {b}",
                f"leading axes {a[:-2]} and {b[:-2]} that broadcast",
            )
        ) from None
    rows = a[-2:-1] if len(a) > 1 else ()
    columns = b[-1:] if len(b) > 1 else ()
    return (*batch, *rows, *columns)


def _matmul_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **_: Any) -> Term:
    a, b = args
    ta, tb = tangents
    parts = [] if ta is None else [moving_product(ta, b)]
    return sum_of(parts if tb is None else [*parts, moving_product(a, tb, first=False)])


def moving_product(a: Term, b: Term, *, first: bool = True) -> Term:
    """a @ b, where the structural zeros of the factor that is a derivative block the other."""
    if (a if first else b).support is None:
        return matmul(a, b)
    if first:
        return OPS["masked_matmul"](a, b)
    rows = expand_dims(a, 0) if a.ndim == 1 else a
    columns = expand_dims(b, 1) if b.ndim == 1 else b
    turned = OPS["masked_matmul"](swapaxes(columns, -1, -2), swapaxes(rows, -1, -2))
    out = swapaxes(turned, -1, -2)
    gone = [*[-2] * (a.ndim == 1), *[-1] * (b.ndim == 1)]
    return squeeze(out, tuple(gone)) if gone else out


def _matmul_vjp(out: Term, args: Terms, g: Term, **_: Any) -> Terms:
    a, b = args
    rows = expand_dims(a, 0) if a.ndim == 1 else a
    columns = expand_dims(b, 1) if b.ndim == 1 else b
    if b.ndim == 1:
        g = expand_dims(g, -1)
    if a.ndim == 1:
        g = expand_dims(g, -2)
    ga = unbroadcast(moving_product(g, swapaxes(columns, -1, -2)), rows.shape)
    if columns.op.name == "transpose" and g.ndim == 2:  # of a weight: its gradient in its layout
        gb = swapaxes(moving_product(swapaxes(g, -1, -2), rows), -1, -2)
    else:
        gb = unbroadcast(moving_product(swapaxes(rows, -1, -2), g, first=False), columns.shape)
    return OPS["reshape"](ga, shape=a.shape), OPS["reshape"](gb, shape=b.shape)


def _matmul_support(term: Term) -> Term | None:
    """Where a row of the first and a column of the second have any support."""
    a, b = term.args
    masks: list[Term] = []
    of_a, of_b = full_support(a), full_support(b)
    if of_a is not None:
        rows = OPS["any"](of_a, axis=-1)
        masks.append(rows if b.ndim == 1 else expand_dims(rows, -1))
    if of_b is not None:
        columns = OPS["any"](of_b, axis=max(-2, -b.ndim))
        masks.append(columns if a.ndim == 1 or b.ndim == 1 else expand_dims(columns, -2))
    return joint_mask(masks, term.shape)


def joint_mask(masks: Sequence[Term], shape: Shape) -> Term | None:
    """All masks at once, broadcast to a shape; None where there is no mask."""
    if not masks:
        return None
    both = masks[0]
    for m in masks[1:]:
        both = OPS["logical_and"](both, m)
    return OPS["broadcast_to"](both, shape=shape)


matmul = structured(
    "matmul",
    family="linalg",
    infer=lambda args, params: (_matmul_shape(args[0].shape, args[1].shape), args[0].dtype),
    kernel=lambda xp, a, b: xp.matmul(*working(xp, a, b)),
    jvp=_matmul_jvp,
    vjp=_matmul_vjp,
    infer_facts=product_facts,
    support=_matmul_support,
    ulp=None,
    accuracy=PRODUCT_BOUND,
    cost=3,
    lax="dot_general",
    aten="matmul",
    source="definition",
    doc="The matrix product, as the operator @ of NumPy: leading axes broadcast.",
    example=">>> x = sg.tensor([1.0, 2.0])\n>>> sg.ops.matmul(x, x).item()\n5.0",
)


# -- diagonal -----------------------------------------------------------------------------


def _diagonal_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    (x,) = args
    if x.ndim < 2:
        raise ShapeError(message(f"diagonal of shape {x.shape}", "two axes at least"))
    return (*x.shape[:-2], min(x.shape[-2:])), x.dtype


def _diagonal_vjp(out: Term, args: Terms, g: Term, **_: Any) -> Terms:
    rows, columns = args[0].shape[-2:]
    return (from_diagonal(g, rows=rows, columns=columns),)


diagonal_op = structured(
    "diagonal",
    family="linalg",
    infer=_diagonal_infer,
    kernel=lambda xp, x: xp.diagonal(x, axis1=-2, axis2=-1),
    jvp=linear_jvp,
    vjp=_diagonal_vjp,
    infer_facts=same_facts,
    support=same_support,
    cost=1,
    ulp=(0, 0, 0),
    aten="diagonal",
    source="definition",
    doc="The diagonal of the matrices in the last two axes.",
    example=(
        ">>> sg.ops.diagonal(sg.tensor([[1.0, 2.0], [3.0, 4.0]])).numpy()\n"
        "array([1., 4.], dtype=float32)"
    ),
)


def _from_diagonal_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    (x,) = args
    rows, columns = params
    if x.ndim < 1 or x.shape[-1] != min(rows, columns):
        raise ShapeError(
            message(f"a diagonal of shape {x.shape} for {rows} by {columns}", "one that fits")
        )
    return (*x.shape[:-1], rows, columns), x.dtype


def _from_diagonal_kernel(xp: Any, x: Any, *, rows: int, columns: int) -> Any:
    short = x.shape[-1]
    wide = xp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, columns - short)])
    return xp.where(xp.eye(rows, columns, dtype=bool), wide[..., None, :], xp.zeros((), x.dtype))


from_diagonal = structured(
    "from_diagonal",
    family="linalg",
    params=("rows", "columns"),
    infer=_from_diagonal_infer,
    kernel=_from_diagonal_kernel,
    jvp=linear_jvp,
    vjp=lambda out, args, g, **_: (diagonal_op(g),),
    infer_facts=lambda term: union([term.args[0].facts, EXACT_ZERO]),
    support=moved_support,
    cost=1,
    ulp=(0, 0, 0),
    aten="diag_embed",
    source="definition",
    doc="Matrices of structural zeros with the given diagonal: the transpose of diagonal.",
    example=">>> sg.ops.from_diagonal(sg.tensor([1.0]), rows=1, columns=2).shape\n(1, 2)",
)


# -- functions on top ---------------------------------------------------------------------


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal along two axes, ``offset`` columns to the right; it becomes the last axis."""
    a, b = (normal_axis(i, x.ndim, "diagonal") for i in (axis1, axis2))
    x = moveaxis(x, [a, b], [x.ndim - 2, x.ndim - 1])
    rows, columns = x.shape[-2:]
    if offset > 0:
        x = slice_axis(x, -1, min(offset, columns), columns)
    elif offset < 0:
        x = slice_axis(x, -2, min(-offset, rows), rows)
    return diagonal_op(x)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    return OPS["sum"](diagonal(x, offset, axis1, axis2), axis=-1)


def outer(a: Any, b: Any) -> Any:
    """All products of an element of ``a`` and one of ``b``, both flattened."""
    return OPS["reshape"](a, shape=(-1, 1)) * OPS["reshape"](b, shape=(1, -1))


def tensordot(a: Any, b: Any, axes: int | tuple[Any, Any] = 2) -> Any:
    """The sum of products over pairs of axes.

    Args:
        a: a term or tensor.
        b: another.
        axes: how many of the last axes of ``a`` meet the first of ``b``, or two sequences.

    Raises:
        ShapeError: axes whose lengths differ.
    """
    if isinstance(axes, int):
        first, second = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        pair = [[p] if isinstance(p, int) else list(p) for p in axes]
        first = [normal_axis(i, a.ndim, "tensordot") for i in pair[0]]
        second = [normal_axis(i, b.ndim, "tensordot") for i in pair[1]]
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise ShapeError(
            message(
                f"tensordot of shapes {a.shape} and {b.shape} over axes {first} and {second}",
                "axes of the same lengths",
            )
        )
    free_a = [i for i in range(a.ndim) if i not in first]
    free_b = [i for i in range(b.ndim) if i not in second]
    shape = (*[a.shape[i] for i in free_a], *[b.shape[i] for i in free_b])
    inner = math.prod(a.shape[i] for i in first)
    left = OPS["transpose"](a, axes=(*free_a, *first))
    right = OPS["transpose"](b, axes=(*second, *free_b))
    rows = math.prod(a.shape[i] for i in free_a)
    columns = math.prod(b.shape[i] for i in free_b)
    product = matmul(
        OPS["reshape"](left, shape=(rows, inner)), OPS["reshape"](right, shape=(inner, columns))
    )
    return OPS["reshape"](product, shape=shape)


def dot(a: Any, b: Any) -> Any:
    """NumPy's dot: matmul up to two dimensions, else the last axis of ``a`` with -2 of ``b``."""
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if b.ndim <= 2:
        return matmul(a, b) if a.ndim <= 2 or b.ndim == 2 else tensordot(a, b, ([-1], [0]))
    return tensordot(a, b, ([-1], [-2]))
