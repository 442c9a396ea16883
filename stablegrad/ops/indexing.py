"""Indexing and its transpose, addition at an index. What an index leaves out is masked.

The index is static but for integer arrays, which are arguments. Its normal form has one entry
for each axis of the array, and one for each new axis: an integer >= 0, ("slice", start, stop,
step), None for a new axis, or ("array", ndim) for the next integer array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DTypeError, OutOfRangeError, ShapeError, message
from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops.record import CONST, const, is_float
from stablegrad.ops.structured import (
    EXACT_ZERO,
    Normal,
    Params,
    Terms,
    integer,
    is_symbolic,
    linear_jvp,
    moved_support,
    normal_axis,
    normal_shape,
    same_facts,
    same_support,
    structured,
    union,
)

Entry = int | tuple[Any, ...] | None
Index = tuple[Entry, ...]


# -- normal form --------------------------------------------------------------------------


def parse_index(index: Any, shape: Shape) -> tuple[Index, list[Any]]:
    """Take an index apart into its static normal form and its integer arrays.

    Args:
        index: what NumPy takes between brackets: integers, slices, None, Ellipsis, arrays of
            integers (also terms or tensors) and of booleans, or a tuple of these.
        shape: the shape of the array that is indexed.

    Returns:
        The normal form, and the integer arrays in their order; a boolean array has become
        the integer arrays of where it is true.

    Raises:
        ShapeError: too many entries, or a boolean array that does not fit.
        OutOfRangeError: an integer beyond the end of its axis.
        DTypeError: an entry that is no index.
    """
    entries = list(index) if isinstance(index, tuple) else [index]
    parts = [part for entry in entries for part in _plain(entry)]
    entries = [e for e, _ in parts]
    dots = [i for i, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise ShapeError(message("an index with several ellipses", "one at most"))
    used = sum(1 for e in entries if e is not None and e is not Ellipsis)
    if used > len(shape):
        raise OutOfRangeError(
            message(f"{used} indices for an array of shape {shape}", f"at most {len(shape)}")
        )
    fill = [slice(None)] * (len(shape) - used)
    at = dots[0] if dots else len(entries)
    entries[at : at + len(dots)] = fill
    lengths = [n for _, n in parts]
    lengths[at : at + len(dots)] = [None] * len(fill)
    arrays: list[Any] = []
    normal: list[Entry] = []
    axis = 0
    for entry, wanted in zip(entries, lengths, strict=True):
        if entry is None:
            normal.append(None)
            continue
        if wanted is not None and wanted != shape[axis]:
            raise OutOfRangeError(
                message(f"a boolean index of length {wanted} on axis {axis}", f"{shape[axis]}")
            )
        normal.append(_entry(entry, shape[axis], axis, arrays))
        axis += 1
    return tuple(normal), arrays


def _plain(entry: Any) -> list[tuple[Any, int | None]]:
    """Lists as arrays, boolean arrays as the integer arrays of where they are true.

    Beside each part of a boolean array stands the length of its axis.
    """
    if isinstance(entry, bool | np.bool_):
        raise DTypeError(message(f"the index {entry}", "integers, slices, None, ... or arrays"))
    if isinstance(entry, tuple) and entry[:1] not in (("slice",), ("array",)):
        entry = list(entry)
    if isinstance(entry, list):
        entry = np.asarray(entry, dtype=None if entry else np.int64)
    if isinstance(entry, np.ndarray) and entry.dtype == bool:
        return list(zip(np.nonzero(entry), entry.shape, strict=True))
    return [(entry, None)]


def _entry(entry: Any, length: int, axis: int, arrays: list[Any]) -> Entry:
    if isinstance(entry, tuple) and entry and entry[0] in ("slice", "array"):
        return entry  # already in normal form
    if isinstance(entry, slice):
        parts = [
            None if p is None else integer(p, "a bound of a slice")
            for p in (entry.start, entry.stop, entry.step)
        ]
        if parts[2] == 0:
            raise ShapeError(message("a slice with step 0", "a step that is not 0"))
        start, stop, step = slice(*parts).indices(length)
        count = len(range(start, stop, step))
        if count == 0:
            return ("slice", 0, 0, 1)
        return ("slice", start, start + step * count, step)  # one form for equal slices
    dtype = getattr(entry, "dtype", None)
    places: Shape = getattr(entry, "shape", ())
    if dtype is not None and places != ():
        if dtype.kind not in "iu":
            raise DTypeError(
                message(f"an index of dtype {dtype}", "integers, or an array of booleans")
            )
        if isinstance(entry, np.ndarray) and entry.size:
            for number in (entry.min(), entry.max()):
                _inside(int(number), length, axis)
        arrays.append(entry)
        return ("array", len(places))
    if dtype is not None and not isinstance(entry, np.ndarray | np.generic):
        arrays.append(entry)  # a scalar whose value is not known yet
        return ("array", 0)
    number = integer(entry, "the index")
    _inside(number, length, axis)
    return number % length


def _inside(number: int, length: int, axis: int) -> None:
    if not -length <= number < length:
        raise OutOfRangeError(
            message(f"index {number} on axis {axis} of length {length}", "an index inside")
        )


def apply_index(index: Index, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The normal form as NumPy takes it, integer arrays filled in."""
    rest = iter(arrays)
    out: list[Any] = []
    for entry in index:
        if not isinstance(entry, tuple):
            out.append(entry)
        elif entry[0] == "array":
            out.append(next(rest))
        else:
            _, start, stop, step = entry
            out.append(slice(start, stop if stop >= 0 else None, step))
    return tuple(out)


def indexed_shape(shape: Shape, index: Index, arrays: Sequence[Shape]) -> Shape:
    """The shape that an index gives, by NumPy's rules."""
    rest = iter(arrays)
    basic: list[int | None] = []  # None marks where an array or, among arrays, an integer was
    axis = 0
    for entry in index:
        if entry is None:
            basic.append(1)
            continue
        if isinstance(entry, tuple) and entry[0] == "slice":
            basic.append(len(range(*entry[1:])))
        elif isinstance(entry, tuple):
            next(rest)
            basic.append(None)
        elif arrays:
            basic.append(None)
        axis += 1
    try:
        joint = np.broadcast_shapes(*arrays)
    except ValueError:
        shapes = " and ".join(map(str, arrays))
        raise ShapeError(
            message(f"index arrays of shapes {shapes}", "shapes that broadcast")
        ) from None
    marks = [i for i, n in enumerate(basic) if n is None]
    kept = [n for n in basic if n is not None]
    if not marks:
        return tuple(kept)
    together = marks[-1] - marks[0] == len(marks) - 1
    at = marks[0] if together else 0
    return (*kept[:at], *joint, *kept[at:])


# -- getitem ------------------------------------------------------------------------------


def _normal_getitem(terms: Terms, params: Params) -> Normal:
    x = terms[0]
    index, found = parse_index(params[0], x.shape)
    if found:
        raise DTypeError(
            message("an array inside a static index", "arrays through getitem(x, index)")
        )
    _check_arrays(index, terms[1:])
    if x.op is CONST and len(terms) == 1:
        return const(x.params[0], x.dtype, indexed_shape(x.shape, index, []))
    if all(e == ("slice", 0, n, 1) for e, n in zip(index, x.shape, strict=False)) and (
        len(index) == x.ndim
    ):
        return x
    return terms, (index,)


def _check_arrays(index: Index, arrays: Terms) -> None:
    wanted = [e[1] for e in index if isinstance(e, tuple) and e[0] == "array"]
    if wanted != [a.ndim for a in arrays] or any(a.dtype.kind not in "iu" for a in arrays):
        raise DTypeError(
            message(
                f"index arrays {[f'{a.dtype}{a.shape}' for a in arrays]}",
                f"{len(wanted)} arrays of integers with dimensions {wanted}",
            )
        )


def _getitem_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    x, *arrays = args
    return indexed_shape(x.shape, params[0], [a.shape for a in arrays]), x.dtype


def _getitem_kernel(xp: Any, x: Any, *arrays: Any, index: Index) -> Any:
    return x[apply_index(index, arrays)]


def _getitem_vjp(out: Term, args: Terms, g: Term, *, index: Index) -> tuple[Term | None, ...]:
    x, *arrays = args
    pulled = OPS["index_add"](g, *arrays, shape=x.shape, index=index)
    return (pulled, *[None] * len(arrays))


INDEXES: dict[str, Any] = {
    "family": "indexing",
    "jvp": linear_jvp,
    "mixed": 1,
    "cost": 1,
    "source": "definition",
}

getitem_op = structured(
    "getitem",
    degree=(),
    params=("index",),
    normalise=_normal_getitem,
    infer=_getitem_infer,
    kernel=_getitem_kernel,
    vjp=_getitem_vjp,
    infer_facts=same_facts,
    support=same_support,
    ulp=(0, 0, 0),
    lax="gather",
    aten="index",
    doc="The elements at an index: integers, slices, None, Ellipsis; integer arrays as arguments.",
    example=">>> sg.ops.getitem(sg.tensor([1.0, 2.0]), index=1).item()\n2.0",
    **INDEXES,
)


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``: the elements at an index, by NumPy's rules.

    Args:
        x: a term or tensor.
        index: integers, slices, None, Ellipsis, arrays of integers or (not terms) booleans.

    Returns:
        The elements; what the index leaves out has a structurally zero derivative.

    Raises:
        OutOfRangeError: an integer beyond the end of its axis.
        ShapeError: too many entries, or arrays that do not broadcast.
        DTypeError: an entry that is no index.
    """
    spec, arrays = parse_index(index, x.shape)
    return getitem_op(x, *arrays, index=spec)


# -- index_add ----------------------------------------------------------------------------


def _normal_index_add(terms: Terms, params: Params) -> Normal:
    shape = normal_shape(params[0])
    index, found = parse_index(params[1], shape)
    if found:
        raise DTypeError(message("an array inside a static index", "arrays as arguments"))
    _check_arrays(index, terms[1:])
    wanted = indexed_shape(shape, index, [a.shape for a in terms[1:]])
    if terms[0].shape != wanted:
        raise ShapeError(message(f"values of shape {terms[0].shape} for index_add", f"{wanted}"))
    return terms, (shape, index)


def add_at(xp: Any, values: Any, place: Any, shape: Shape, *, unique: bool) -> Any:
    """Zeros with values added at a place; a place named twice gets both."""
    if is_symbolic(xp):
        empty = xp.zeros(shape, values.dtype)
        return empty.at[place].max(values) if values.dtype == bool else empty.at[place].add(values)
    if unique:
        out = np.zeros(shape, values.dtype)
        out[place] = values
        return out
    dtype = np.float64 if is_float(values.dtype) else values.dtype
    if values.size > FEW and _rows_of(place) and dtype == np.float64 and values.ndim > 1:
        return _added_rows(values, place[0], shape)
    out = np.zeros(shape, dtype)
    np.add.at(out, place, values)
    return out


FEW = 1000
"""Elements up to which adding them one by one is the fastest way."""


def _rows_of(place: Any) -> bool:
    """Whether a place names whole rows by one array."""
    first, *rest = place
    whole = all(isinstance(p, slice) and p.start in (0, None) and p.step in (1, None) for p in rest)
    return isinstance(first, np.ndarray) and whole


def _added_rows(values: Any, rows: Any, shape: Shape) -> Any:
    """Rows added up as a product with a sparse matrix of ones."""
    import scipy.sparse  # takes long to import, and few programs need it

    names = rows.reshape(-1)
    flat = values.reshape(names.size, -1)
    ones = np.ones(names.size)
    matrix = scipy.sparse.coo_array(
        (ones, (names % shape[0], np.arange(names.size))), (shape[0], names.size)
    )
    return (matrix.tocsr() @ flat.astype(np.float64)).reshape(shape)


def _index_add_kernel(xp: Any, values: Any, *arrays: Any, shape: Shape, index: Index) -> Any:
    return add_at(xp, values, apply_index(index, arrays), shape, unique=not arrays)


def _index_add_vjp(
    out: Term, args: Terms, g: Term, *, shape: Shape, index: Index
) -> tuple[Term | None, ...]:
    arrays = args[1:]
    return (getitem_op(g, *arrays, index=index), *[None] * len(arrays))


def added_facts(term: Term) -> Facts:
    """Of sums of any number of elements, none included: only the sign is known."""
    facts = union([term.args[0].facts, EXACT_ZERO])
    if len(term.args) == 1:
        return facts
    lo = 0.0 if facts.lo == 0 else -np.inf
    hi = 0.0 if facts.hi == 0 else np.inf
    return facts._replace(lo=lo, hi=hi, lo_open=lo != 0, hi_open=hi != 0)


index_add = structured(
    "index_add",
    params=("shape", "index"),
    normalise=_normal_index_add,
    infer=lambda args, params: (params[0], args[0].dtype),
    kernel=_index_add_kernel,
    vjp=_index_add_vjp,
    infer_facts=added_facts,
    support=moved_support,
    ulp=None,
    accuracy="n*eps relative to the sum of absolute terms, n the times that a place is named",
    lax="scatter-add",
    aten="index_put",
    doc="Structural zeros of a shape with values added at an index: the transpose of indexing.",
    example=(
        ">>> sg.ops.index_add(sg.tensor([5.0]), shape=(3,), index=slice(1, 2)).numpy()\n"
        "array([0., 5., 0.], dtype=float32)"
    ),
    **INDEXES,
)


def take(x: Any, indices: Any, axis: int = 0) -> Any:
    """The elements at integer indices along an axis; repeats are allowed."""
    axis = normal_axis(axis, x.ndim, "take")
    return getitem(x, (*[slice(None)] * axis, indices))
