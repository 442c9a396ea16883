"""What ops over whole arrays share: normal forms of parameters, linearity, facts, support."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stablegrad.errors import DTypeError, ShapeError, message
from stablegrad.ir import OPS, Facts, Shape, Term, make, provenance
from stablegrad.ops.dtypes import common_dtype
from stablegrad.ops.record import Op, cast, const, settle

Params = tuple[Any, ...]
Terms = tuple[Term, ...]
Normal = tuple[Terms, Params] | Term


@dataclass(frozen=True, eq=False, kw_only=True, slots=True, repr=False)
class Structured(Op):
    """An op over whole arrays, whose static parameters have one normal form.

    Attributes:
        normalise: ``normalise(terms, params) -> (terms, params)`` checks parameters and brings
            them to the form a term holds (axis -1 of three becomes 2); it may instead return
            a finished term where the op changes nothing.
        mixed: how many leading arguments are data to be brought to one dtype; None for all.
    """

    normalise: Callable[[Terms, Params], Normal]
    mixed: int | None = None

    def term(self, args: tuple[Any, ...], params: Params = ()) -> Term:
        """Build the term: dtypes promoted, parameters normalised, shapes checked."""
        if not any(type(a) is Term for a in args):
            raise DTypeError(message(f"{self.name} of {len(args)} arguments", "a term among them"))
        if len(params) != len(self.params):
            raise TypeError(message(f"parameters {params} for {self.name}", f"{self.params}"))
        # indices beside data have no dtype in common, and need none
        settled = args if all(type(a) is Term for a in args) else settle(self, args)
        terms = self._promote(settled)
        normal = self.normalise(terms, params)
        if isinstance(normal, Term):
            return normal
        terms, params = normal
        shape, dtype = self.infer(terms, params)
        term = make(self, terms, params, shape, dtype)
        if provenance.recording:
            provenance.note(term)
        return term

    def _promote(self, terms: Terms) -> Terms:
        data = terms if self.mixed is None else terms[: self.mixed]
        first = data[0].dtype
        if all(t.dtype == first for t in data):
            return terms
        dtype = common_dtype(*[t.dtype for t in data])
        brought = [t if t.dtype == dtype else cast(t, dtype) for t in data]
        return (*brought, *terms[len(data) :])


def structured(
    name: str,
    *,
    normalise: Callable[[Terms, Params], Normal] = lambda terms, params: (terms, params),
    mixed: int | None = None,
    **fields: Any,
) -> Op:
    """Declare a structured op and put it into the registry."""
    assert name not in OPS, f"op {name!r} is declared twice"
    op = Structured(name=name, normalise=normalise, mixed=mixed, **fields)
    OPS[name] = op
    return op


def is_symbolic(xp: Any) -> bool:
    """Whether kernels are being traced, so that no value can be looked at."""
    return xp.name != "numpy"


def integer(value: Any, what: str) -> int:
    """A static integer, or a DTypeError that says what it was for."""
    try:
        return operator.index(value)
    except TypeError:
        raise DTypeError(message(f"{what} {value!r}", "an integer")) from None


def normal_axis(axis: Any, ndim: int, name: str) -> int:
    """An axis counted from the front."""
    number = integer(axis, f"the axis of {name}")
    if not -ndim <= number < ndim:
        raise ShapeError(
            message(f"axis {number} of {name} for an array of {ndim} dimensions", _axes_text(ndim))
        )
    return number % ndim


def _axes_text(ndim: int) -> str:
    return f"an axis from {-ndim} to {ndim - 1}" if ndim else "no axis: a scalar has none"


def normal_axes(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """One axis or several, counted from the front, sorted, each once."""
    many = axis if isinstance(axis, Iterable) else (axis,)
    axes = sorted(normal_axis(a, ndim, name) for a in many)
    if len(set(axes)) < len(axes):
        raise ShapeError(message(f"axis={axis!r} for {name}", "each axis once"))
    return tuple(axes)


def normal_shape(shape: Any) -> Shape:
    """A shape as a tuple of integers."""
    many = shape if isinstance(shape, Iterable) else (shape,)
    return tuple([integer(n, "the length") for n in many])


# -- what linear ops have in common -------------------------------------------------------


EXACT_ZERO = Facts(0.0, 0.0, False, False, True)


def linear_jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **_: Any) -> Term:
    """The tangent of an op that is linear in its first argument: the op itself."""
    tangent = tangents[0]
    assert tangent is not None
    return out.op.term((tangent, *args[1:]), out.params)


def same_support(term: Term) -> Term | None:
    """The support of an op that only moves elements: the same op on its argument's."""
    support = full_support(term.args[0])
    return None if support is None else term.op.term((support, *term.args[1:]), term.params)


def full_support(x: Term) -> Term | None:
    """The support of a term in the term's own shape: that of a product may be smaller."""
    support = x.support
    if support is None or support.shape == x.shape:
        return support
    return OPS["broadcast_to"](support, shape=x.shape)


def same_facts(term: Term) -> Facts:
    """Facts of an op whose elements are elements of its argument."""
    return term.args[0].facts


def union(facts: Iterable[Facts]) -> Facts:
    """The least interval that holds several."""
    every = list(facts)
    lo = min(f.lo for f in every)
    hi = max(f.hi for f in every)
    return Facts(
        lo,
        hi,
        all(f.lo_open for f in every if f.lo == lo),
        all(f.hi_open for f in every if f.hi == hi),
        all(f.defined for f in every),
    )


def moved_support(term: Term) -> Term | None:
    """The support of an op that puts elements among zeros: the op itself on its argument's."""
    x = term.args[0]
    if x.dtype.kind == "b":
        return None
    support = const(1, bool, x.shape) if x.support is None else full_support(x)
    return term.op.term((support, *term.args[1:]), term.params)


def zeros(like: Term) -> Term:
    """Zeros of the shape and dtype of a term."""
    return const(0, like.dtype, like.shape)


def sum_of(terms: Sequence[Term]) -> Term:
    """The sum of the contributions to one tangent."""
    total = terms[0]
    for t in terms[1:]:
        total = total + t
    return total
