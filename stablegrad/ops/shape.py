"""Ops that move elements and compute nothing: all linear, all transposes of one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.record import CONST, const
from stablegrad.ops.structured import (
    EXACT_ZERO,
    Normal,
    Params,
    Terms,
    full_support,
    integer,
    linear_jvp,
    moved_support,
    normal_axes,
    normal_axis,
    normal_shape,
    same_facts,
    same_support,
    structured,
    union,
    zeros,
)

MOVES: dict[str, Any] = {
    "degree": (),
    "family": "shape",
    "infer_facts": same_facts,
    "support": same_support,
    "jvp": linear_jvp,
    "cost": 1,
    "ulp": (0, 0, 0),
    "source": "definition",
}
"""Fields that ops moving elements share."""


def unbroadcast(term: Term, shape: Shape) -> Term:
    """Sum a term over the axes along which ``shape`` was broadcast: broadcasting transposed.

    Args:
        term: of a shape that ``shape`` broadcasts to.
        shape: the shape before broadcasting.

    Returns:
        A term of shape ``shape``.
    """
    if term.shape == shape:
        return term
    extra = term.ndim - len(shape)
    spread = tuple(
        [i for i, n in enumerate(term.shape) if i < extra or (shape[i - extra] == 1 and n != 1)]
    )
    if spread:
        term = OPS["sum"](term, axis=spread, keepdims=False)
    return OPS["reshape"](term, shape=shape)


# -- reshape, transpose, broadcast_to -----------------------------------------------------


def _normal_reshape(terms: Terms, params: Params) -> Normal:
    (x,) = terms
    shape = normal_shape(params[0])
    known = math.prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known > 0 and x.size % known == 0:
        shape = tuple([x.size // known if n == -1 else n for n in shape])
    if any(n < 0 for n in shape) or math.prod(shape) != x.size:
        raise ShapeError(
            message(f"reshape of {x.shape} to {shape}", f"a shape of {x.size} elements in all")
        )
    if shape == x.shape:
        return x
    if x.op is CONST:
        return const(x.params[0], x.dtype, shape)
    return terms, (shape,)


def _param_shape(args: Terms, params: Params) -> tuple[Shape, Any]:
    return params[-1], args[0].dtype


reshape = structured(
    "reshape",
    params=("shape",),
    normalise=_normal_reshape,
    infer=_param_shape,
    kernel=lambda xp, x, *, shape: xp.reshape(x, shape),
    vjp=lambda out, args, g, **_: (OPS["reshape"](g, shape=args[0].shape),),
    lax="reshape",
    aten="view",
    doc="The same elements, in row-major order, in another shape; one length may be -1.",
    example=">>> sg.ops.reshape(sg.tensor([1.0, 2.0]), shape=(2, 1)).shape\n(2, 1)",
    **MOVES,
)


def _normal_transpose(terms: Terms, params: Params) -> Normal:
    (x,) = terms
    axes = params[0]
    if axes is None:
        axes = range(x.ndim)[::-1]
    axes = tuple([normal_axis(a, x.ndim, "transpose") for a in axes])
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(
            message(f"transpose of {x.shape} with axes={axes}", "a permutation of its axes")
        )
    if x.op is transpose:
        (inner,), before = x.args, x.params[0]
        terms, axes = (inner,), tuple([before[a] for a in axes])
    if axes == tuple(range(x.ndim)):
        return terms[0]
    return terms, (axes,)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


transpose = structured(
    "transpose",
    params=("axes",),
    defaults=(None,),
    normalise=_normal_transpose,
    infer=lambda args, params: (tuple([args[0].shape[a] for a in params[0]]), args[0].dtype),
    kernel=lambda xp, x, *, axes: xp.transpose(x, axes),
    vjp=lambda out, args, g, *, axes: (OPS["transpose"](g, axes=_inverse(axes)),),
    lax="transpose",
    aten="permute",
    doc="The axes in another order, reversed by default.",
    example=">>> sg.ops.transpose(sg.tensor([[1.0, 2.0]])).shape\n(2, 1)",
    **MOVES,
)


def _normal_broadcast(terms: Terms, params: Params) -> Normal:
    (x,) = terms
    shape = normal_shape(params[0])
    try:
        fits = np.broadcast_shapes(x.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            message(f"broadcast_to of {x.shape} to {shape}", "a shape that it broadcasts to")
        )
    if shape == x.shape:
        return x
    if x.op is CONST:
        return const(x.params[0], x.dtype, shape)
    return terms, (shape,)


broadcast_to = structured(
    "broadcast_to",
    params=("shape",),
    normalise=_normal_broadcast,
    infer=_param_shape,
    kernel=lambda xp, x, *, shape: xp.broadcast_to(x, shape),
    vjp=lambda out, args, g, **_: (unbroadcast(g, args[0].shape),),
    lax="broadcast_in_dim",
    aten="expand",
    doc="The elements repeated along new axes and axes of length 1.",
    example=">>> sg.ops.broadcast_to(sg.tensor([1.0]), shape=(3, 2)).shape\n(3, 2)",
    **MOVES,
)


# -- concatenate, flip, pad ---------------------------------------------------------------


def _normal_concatenate(terms: Terms, params: Params) -> Normal:
    first = terms[0]
    if first.ndim == 0:
        raise ShapeError(message("concatenate of scalars", "arrays; stack joins scalars"))
    axis = normal_axis(params[0], first.ndim, "concatenate")
    for t in terms[1:]:
        if t.ndim != first.ndim or any(
            m != n for i, (m, n) in enumerate(zip(t.shape, first.shape, strict=True)) if i != axis
        ):
            raise ShapeError(
                message(
                    f"shapes {' and '.join(str(t.shape) for t in terms)} for concatenate",
                    f"shapes that agree outside axis {axis}",
                )
            )
    return first if len(terms) == 1 else (terms, (axis,))


def _concatenate_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    axis = params[0]
    shape = args[0].shape
    length = sum(a.shape[axis] for a in args)
    return (*shape[:axis], length, *shape[axis + 1 :]), args[0].dtype


def _concatenate_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: int) -> Term:
    parts = [zeros(a) if t is None else t for a, t in zip(args, tangents, strict=True)]
    return concatenate(*parts, axis=axis)


def _concatenate_vjp(out: Term, args: Terms, g: Term, *, axis: int) -> Terms:
    ends = np.cumsum([a.shape[axis] for a in args]).tolist()
    starts = [0, *ends[:-1]]
    return tuple([slice_axis(g, axis, i, j) for i, j in zip(starts, ends, strict=True)])


def _concatenate_support(term: Term) -> Term | None:
    if all(a.support is None for a in term.args):
        return None
    parts = [full_support(a) or const(1, bool, a.shape) for a in term.args]
    return concatenate(*parts, axis=term.params[0])


_JOINS: dict[str, Any] = {
    **MOVES,
    "jvp": _concatenate_jvp,
    "support": _concatenate_support,
    "infer_facts": lambda term: union(a.facts for a in term.args),
}

concatenate = structured(
    "concatenate",
    params=("axis",),
    defaults=(0,),
    normalise=_normal_concatenate,
    infer=_concatenate_infer,
    kernel=lambda xp, *xs, axis: xp.concatenate(xs, axis=axis),
    vjp=_concatenate_vjp,
    lax="concatenate",
    aten="cat",
    doc="Arrays joined along an existing axis.",
    example=">>> x = sg.tensor([1.0])\n>>> sg.ops.concatenate(x, x).shape\n(2,)",
    **_JOINS,
)


def _normal_flip(terms: Terms, params: Params) -> Normal:
    (x,) = terms
    axes = params[0]
    axes = tuple(range(x.ndim)) if axes is None else normal_axes(axes, x.ndim, "flip")
    return (terms, (axes,)) if axes else x


flip = structured(
    "flip",
    params=("axis",),
    defaults=(None,),
    normalise=_normal_flip,
    infer=lambda args, params: (args[0].shape, args[0].dtype),
    kernel=lambda xp, x, *, axis: xp.flip(x, axis),
    vjp=lambda out, args, g, *, axis: (OPS["flip"](g, axis=axis),),
    lax="rev",
    aten="flip",
    doc="The elements in reverse order along axes, all by default.",
    example=">>> sg.ops.flip(sg.tensor([1.0, 2.0])).numpy()\narray([2., 1.], dtype=float32)",
    **MOVES,
)


def _normal_pad(terms: Terms, params: Params) -> Normal:
    (x,) = terms
    widths = tuple([normal_shape(pair) for pair in params[0]])
    if len(widths) != x.ndim or any(len(w) != 2 or min(w) < 0 for w in widths):
        raise ShapeError(
            message(f"pad of {x.shape} by {widths}", "a pair (before, after) >= 0 for each axis")
        )
    return (terms, (widths,)) if any(any(w) for w in widths) else x


def _pad_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    lengths = zip(args[0].shape, params[0], strict=True)
    return tuple([a + n + b for n, (a, b) in lengths]), args[0].dtype


def _pad_vjp(out: Term, args: Terms, g: Term, *, widths: tuple[tuple[int, int], ...]) -> Terms:
    spec = zip(args[0].shape, widths, strict=True)
    return (OPS["getitem"](g, index=tuple([slice(a, a + n) for n, (a, _) in spec])),)


_PADS: dict[str, Any] = {
    **MOVES,
    "support": moved_support,
    "infer_facts": lambda term: union([term.args[0].facts, EXACT_ZERO]),
}

pad = structured(
    "pad",
    params=("widths",),
    normalise=_normal_pad,
    infer=_pad_infer,
    kernel=lambda xp, x, *, widths: xp.pad(x, widths),
    vjp=_pad_vjp,
    lax="pad",
    aten="constant_pad_nd",
    doc="The array surrounded by structural zeros; widths holds a pair for each axis.",
    example=">>> sg.ops.pad(sg.tensor([1.0]), widths=((1, 0),)).numpy()\narray([0., 1.], ...)",
    **_PADS,
)


# -- functions on top ---------------------------------------------------------------------


def expand_dims(x: Any, axis: int | tuple[int, ...]) -> Any:
    """Insert axes of length 1 at places counted in the result."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    places = normal_axes(axes, x.ndim + len(axes), "expand_dims")
    old = iter(x.shape)
    shape = tuple([1 if i in places else next(old) for i in range(x.ndim + len(axes))])
    return reshape(x, shape=shape)


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Remove axes of length 1, all by default."""
    if axis is None:
        axes = tuple([i for i, n in enumerate(x.shape) if n == 1])
    else:
        axes = normal_axes(axis, x.ndim, "squeeze")
        if any(x.shape[a] != 1 for a in axes):
            raise ShapeError(message(f"squeeze of {x.shape} along {axes}", "axes of length 1"))
    return reshape(x, shape=tuple([n for i, n in enumerate(x.shape) if i not in axes]))


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes."""
    a, b = (normal_axis(i, x.ndim, "swapaxes") for i in (axis1, axis2))
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return transpose(x, axes=tuple(order))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Move axes to other places, the rest keep their order."""
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise ShapeError(message(f"{len(sources)} sources, {len(targets)} places", "as many"))
    sources = [normal_axis(a, x.ndim, "moveaxis") for a in sources]
    targets = [normal_axis(a, x.ndim, "moveaxis") for a in targets]
    order = [a for a in range(x.ndim) if a not in sources]
    for place, a in sorted(zip(targets, sources, strict=True)):
        order.insert(place, a)
    return transpose(x, axes=tuple(order))


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis."""
    shapes = {a.shape for a in arrays}
    if len(shapes) != 1:
        raise ShapeError(message(f"shapes {sorted(shapes)} for stack", "one shape, at least once"))
    return concatenate(*[expand_dims(a, axis) for a in arrays], axis=axis)


def slice_axis(x: Any, axis: int, start: int, stop: int) -> Any:
    """The part from ``start`` to ``stop`` along one axis."""
    axis = normal_axis(axis, x.ndim, "slice")
    index = (*[slice(None)] * axis, slice(start, stop))
    return OPS["getitem"](x, index=index)


def split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut into equal sections, or at the given places, along an axis."""
    axis = normal_axis(axis, x.ndim, "split")
    length = x.shape[axis]
    if isinstance(sections, int):
        if sections < 1 or length % sections:
            raise ShapeError(
                message(f"split of length {length} into {sections}", "sections of equal length")
            )
        step = length // sections
        places = [step * i for i in range(1, sections)]
    else:
        places = [integer(i, "a place to split at") for i in sections]
    edges = [slice(None, p).indices(length)[1] for p in places]
    starts, stops = [0, *edges], [*edges, length]
    return [slice_axis(x, axis, i, max(i, j)) for i, j in zip(starts, stops, strict=True)]
