"""Elements in order: sorting, places, medians and quantiles.

The derivative of sorting moves tangents along with their elements. Where several elements are
equal, each gets the mean of what they get together, so that no order among equals is made up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, ShapeError, UnknownNameError, message
from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops.indexing import add_at
from stablegrad.ops.record import ZERO, Op
from stablegrad.ops.reduction import as_rows, from_rows, normal_along, widened
from stablegrad.ops.shape import moveaxis, slice_axis
from stablegrad.ops.structured import (
    Normal,
    Params,
    Terms,
    full_support,
    integer,
    is_symbolic,
    normal_axis,
    same_facts,
    structured,
)

# -- ties ---------------------------------------------------------------------------------


class _Order:
    """Rows of x, where their elements go, and which of the sorted ones are equal."""

    def __init__(self, xp: Any, x: Any, axis: int) -> None:
        self.xp, self.shape, self.axes = xp, x.shape, (axis,)
        rows = as_rows(xp, x, self.axes)
        self.lead, n = rows.shape[:-1], rows.shape[-1]
        rows = rows.reshape(-1, n)
        self.places = xp.argsort(rows, axis=-1)  # equal ones in any order: they share
        ordered = xp.take_along_axis(rows, self.places, axis=-1)
        self.undefined = xp.isnan(ordered)
        new = ordered[:, 1:] != ordered[:, :-1]
        self.group: Any = None
        if is_symbolic(xp) or not new.all():
            first = xp.zeros((rows.shape[0], 1), dtype=np.int64)
            group = xp.concatenate([first, xp.cumsum(new, axis=-1)], axis=-1)
            self.group = (group + n * xp.arange(rows.shape[0])[:, None]).reshape(-1)

    def rows(self, t: Any) -> Any:
        """An array as a matrix."""
        rows = as_rows(self.xp, t, self.axes)
        return rows.reshape(-1, rows.shape[-1])

    def back(self, rows: Any) -> Any:
        """A matrix as an array of the shape of x."""
        return from_rows(self.xp, rows.reshape(*self.lead, -1), self.shape, self.axes)

    def shared(self, t: Any) -> Any:
        """What belongs to sorted elements, its mean over equal ones; nan at nan."""
        xp, group = self.xp, self.group
        if group is not None:
            values = widened(xp, t).reshape(-1)
            sizes = add_at(xp, xp.ones(group.shape), (group,), group.shape, unique=False)
            # divided before they are added: a sum may overflow where no mean does
            means = add_at(xp, values / sizes[group], (group,), group.shape, unique=False)
            t = means[group].reshape(t.shape)
        if is_symbolic(xp) or self.undefined.any():
            t = xp.where(self.undefined, math.nan, t)
        return t


def _jvp_kernel(xp: Any, x: Any, t: Any, *, axis: int, descending: bool) -> Any:
    if x.size == 0:
        return t
    order = _Order(xp, x, axis)
    out = order.shared(xp.take_along_axis(order.rows(t), order.places, axis=-1))
    return order.back(xp.flip(out, -1) if descending else out)


def _vjp_kernel(xp: Any, x: Any, g: Any, *, axis: int, descending: bool) -> Any:
    if x.size == 0:
        return g
    order = _Order(xp, x, axis)
    rows = order.rows(g)
    shared = order.shared(xp.flip(rows, -1) if descending else rows)
    if is_symbolic(xp):
        return order.back(xp.take_along_axis(shared, xp.argsort(order.places, axis=-1), axis=-1))
    out = np.empty_like(shared)
    np.put_along_axis(out, order.places, shared, axis=-1)
    return order.back(out)


def _normal_pair(name: str) -> Callable[[Terms, Params], Normal]:
    def normalise(terms: Terms, params: Params) -> Normal:
        x, t = terms
        axis = normal_axis(params[0], x.ndim, name)
        return (x, OPS["broadcast_to"](t, shape=x.shape)), (axis, bool(params[1]))

    return normalise


def _moved_support(term: Term) -> Term | None:
    """The support of the tangent where it goes."""
    x, t = term.args
    support = full_support(t)
    if support is None:
        return None
    counted = OPS["astype"](support, dtype=np.dtype(np.float64))
    return OPS["not_equal"](term.op.term((x, counted), term.params), 0)


def _moved_facts(term: Term) -> Facts:
    x, t = term.args
    return t.facts._replace(defined=x.facts.defined and t.facts.defined)


ORDERS: dict[str, Any] = {"family": "order", "source": "definition", "cost": 3}
"""Fields that these ops share."""

_SORTS: dict[str, Any] = {**ORDERS, "params": ("axis", "descending"), "defaults": (-1, False)}


def _linear(name: str, kernel: Any, transposed: str, doc: str, shown: str) -> Op:
    def jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **params: Any) -> Term | None:
        return None if tangents[1] is None else OPS[name](args[0], tangents[1], **params)

    return structured(
        name,
        normalise=_normal_pair(name),
        infer=lambda args, params: (args[0].shape, args[1].dtype),
        kernel=kernel,
        jvp=jvp,
        vjp=lambda out, args, g, **params: (None, OPS[transposed](args[0], g, **params)),
        infer_facts=_moved_facts,
        support=_moved_support,
        ulp=None,
        accuracy="n*eps relative to the sum of absolute terms, n the number of ties",
        doc=doc,
        example=">>> x, t = sg.tensor([3.0, 1.0, 3.0]), sg.tensor([1.0, 5.0, 2.0])\n"
        f">>> sg.ops.{name}(x, t).numpy()\narray([{shown}], dtype=float32)",
        **_SORTS,
    )


sort_jvp = _linear(
    "sort_jvp",
    _jvp_kernel,
    "sort_vjp",
    "t in the order that sorts x, its mean where x is equal: the derivative of sort.",
    "5. , 1.5, 1.5",
)
sort_vjp = _linear(
    "sort_vjp",
    _vjp_kernel,
    "sort_jvp",
    "t put back from the order that sorts x, its mean where x is equal.",
    "3.5, 1. , 3.5",
)

# -- sort and argsort ---------------------------------------------------------------------


def _normal_order(name: str) -> Any:
    along = normal_along(name)

    def normalise(terms: Terms, params: Params) -> Normal:
        normal = along(terms, params[:1])
        assert isinstance(normal, tuple)
        return normal[0], (*normal[1], bool(params[1]))

    return normalise


def _sort_kernel(xp: Any, x: Any, *, axis: int, descending: bool) -> Any:
    out = xp.sort(x, axis=axis)
    return xp.flip(out, axis) if descending else out


def _argsort_kernel(xp: Any, x: Any, *, axis: int, descending: bool) -> Any:
    if not descending:
        return xp.argsort(x, axis=axis, stable=True)
    # stable from the other end, so that equal elements keep their order
    places = xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, stable=True), axis)
    return x.shape[axis] - 1 - places


sort = structured(
    "sort",
    normalise=_normal_order("sort"),
    infer=lambda args, params: (args[0].shape, args[0].dtype),
    kernel=_sort_kernel,
    jvp=lambda out, args, tangents, **params: sort_jvp(args[0], tangents[0], **params),
    vjp=lambda out, args, g, **params: (sort_vjp(args[0], g, **params),),
    infer_facts=same_facts,
    ulp=(0, 1, 0),
    lax="sort",
    aten="sort",
    doc="The elements in rising order along an axis, nan last; ties share derivatives.",
    example=">>> sg.ops.sort(sg.tensor([2.0, 1.0])).numpy()\narray([1., 2.], dtype=float32)",
    **_SORTS,
)

argsort = structured(
    "argsort",
    normalise=_normal_order("argsort"),
    infer=lambda args, params: (args[0].shape, np.dtype(np.int64)),
    kernel=_argsort_kernel,
    partials=lambda y, x: (ZERO,),
    infer_facts=lambda term: Facts(0.0, math.inf, False, True, True),
    ulp=(0, 0, 0),
    lax="sort",
    aten="argsort",
    doc="The places of the elements in rising order along an axis; equal ones keep theirs.",
    example=">>> sg.ops.argsort(sg.tensor([2.0, 1.0])).numpy()\narray([1, 0])",
    **_SORTS,
)

# -- searchsorted -------------------------------------------------------------------------


def _normal_search(terms: Terms, params: Params) -> Normal:
    if terms[0].ndim != 1:
        raise ShapeError(message(f"searchsorted in shape {terms[0].shape}", "a sorted vector"))
    if params[0] not in ("left", "right"):
        raise UnknownNameError(message(f"side={params[0]!r}", "'left' or 'right'"))
    return terms, params


searchsorted = structured(
    "searchsorted",
    params=("side",),
    defaults=("left",),
    normalise=_normal_search,
    infer=lambda args, params: (args[1].shape, np.dtype(np.int64)),
    kernel=lambda xp, a, v, *, side: xp.searchsorted(a, v, side=side),
    partials=lambda y, a, v: (ZERO, ZERO),
    infer_facts=lambda term: Facts(0.0, float(term.args[0].size), False, False, True),
    ulp=(0, 0, 0),
    aten="searchsorted",
    doc="For each of v the place in the sorted vector where it would keep the order.",
    example=(
        ">>> a, v = sg.tensor([1.0, 2.0]), sg.tensor([1.5, 0.0])\n"
        ">>> sg.ops.searchsorted(a, v).numpy()\n"
        "array([1, 0])"
    ),
    **ORDERS,
)

# -- functions on top ---------------------------------------------------------------------


def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Any, Any]:
    """The k greatest (or least) elements along an axis, best first, and their places."""
    axis = normal_axis(axis, x.ndim, "topk")
    if not 0 <= integer(k, "k") <= x.shape[axis]:
        raise ShapeError(
            message(f"the {k} greatest of {x.shape[axis]}", f"0 <= k <= {x.shape[axis]}")
        )
    values = sort(x, axis=axis, descending=largest)
    places = argsort(x, axis=axis, descending=largest)
    return slice_axis(values, axis, 0, k), slice_axis(places, axis, 0, k)


def last_axis(x: Any, axis: int | Sequence[int] | None, name: str) -> tuple[Any, Shape]:
    """The reduced axes joined as the last one, and the shape with them at length 1."""
    if x.ndim == 0:
        return OPS["reshape"](x, shape=(1,)), ()
    many = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = sorted({normal_axis(a, x.ndim, name) for a in many})
    shape = tuple([1 if i in axes else n for i, n in enumerate(x.shape)])
    moved = moveaxis(x, axes, list(range(x.ndim - len(axes), x.ndim)))
    lead = moved.shape[: x.ndim - len(axes)]
    length = math.prod([x.shape[a] for a in axes])
    return OPS["reshape"](moved, shape=(*lead, length)), shape


_ALPHA_BETA = {
    "linear": (1.0, 1.0),
    "weibull": (0.0, 0.0),
    "hazen": (0.5, 0.5),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
    "interpolated_inverted_cdf": (0.0, 1.0),
}
METHODS = (*_ALPHA_BETA, "lower", "higher", "midpoint", "nearest")
"""Ways to choose between two neighbours, with NumPy's names and meanings."""


def _position(n: int, q: float, method: str) -> tuple[int, float]:
    """Where a quantile lies among n sorted elements: the place below, and how far beyond it."""
    alpha, beta = _ALPHA_BETA.get(method, (1.0, 1.0))
    place = (n - 1) * q if alpha == beta == 1 else n * q + (alpha + q * (1 - alpha - beta)) - 1
    place = min(max(place, 0.0), n - 1.0)
    below = math.floor(place)
    share = place - below
    if method == "lower":
        share = 0.0
    elif method == "higher":
        below, share = math.ceil(place), 0.0
    elif method == "midpoint":
        share = 0.5 if share else 0.0
    elif method == "nearest":
        below, share = int(np.rint(place)), 0.0
    return below, share


def quantile(
    x: Any,
    q: float,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    method: str = "linear",
) -> Any:
    """The value below which a share q of the elements lies.

    Args:
        x: a term or tensor with an element at least along the axes.
        q: a number from 0 to 1.
        axis: the axes, all by default.
        keepdims: whether they stay with length 1.
        method: one of ``METHODS``.

    Raises:
        DomainError: q outside of 0 to 1.
        UnknownNameError: an unknown method.
        ShapeError: no elements.
    """
    if not 0 <= q <= 1:
        raise DomainError(message(f"the quantile {q}", "0 to 1"))
    if method not in METHODS:
        raise UnknownNameError(message(f"method={method!r}", f"one of {METHODS}"))
    rows, shape = last_axis(x, axis, "quantile")
    n = rows.shape[-1]
    if n == 0:
        raise ShapeError(message(f"a quantile of shape {x.shape}", "an element at least"))
    ordered = sort(rows, axis=-1)
    below, share = _position(n, float(q), method)
    pick = [OPS["getitem"](ordered, index=(Ellipsis, i)) for i in (below, min(below + 1, n - 1))]
    if share == 0:
        out = pick[0]
    elif share == 0.5:  # a sum of the two may overflow
        out = OPS["mean"](slice_axis(ordered, -1, below, below + 2), axis=-1)
    else:
        out = pick[0] * (1 - share) + pick[1] * share
    last = OPS["getitem"](ordered, index=(Ellipsis, n - 1))
    out = OPS["where"](OPS["isnan"](last), last, out)
    return OPS["reshape"](out, shape=shape) if keepdims else out


def median(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Any:
    """The middle element, or the mean of the two middle ones; nan if any element is."""
    return quantile(x, 0.5, axis, keepdims)
