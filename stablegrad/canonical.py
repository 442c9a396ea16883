"""Canonical form: every op that is a sum or a product in disguise becomes one, nothing else.

It is for matching; how a sum or product is evaluated is decided when the program is lowered.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.formed import is_formed_product, is_formed_sum
from stablegrad.ops.record import CONST, cast, const, is_float


def _half(name: str, exponent: Fraction | int) -> Callable[[Term], Term]:
    def convert(term: Term) -> Term:
        return forms.power(term.args[0], exponent)

    convert.__name__ = name
    return convert


def _power(term: Term) -> Term:
    base, exponent = term.args
    if exponent.op is not CONST or isinstance(exponent.params[0], str):
        if base.op.name == "exp":
            return OPS["exp"](forms.product([base.args[0], exponent]))
        return term
    if exponent.params[0] == 0:
        return const(1, term.dtype, term.shape)
    result = forms.power(base, exponent.params[0])
    return forms.with_shape(result, term.shape)


def _sum(*signs: int) -> Callable[[Term], Term]:
    def convert(term: Term) -> Term:
        return forms.total(zip(signs, term.args, strict=True), term.shape, term.dtype)

    return convert


def _affine(term: Term) -> Term:
    if is_formed_sum(term):
        return term
    constant, coefficients = term.params
    parts = list(zip(coefficients, term.args, strict=True))
    if constant != 0:
        one = const(constant, term.dtype)
        parts.append((1, one))
    return forms.total(parts, term.shape, term.dtype)


def _monomial(term: Term) -> Term:
    if is_formed_product(term):
        return term
    collector = forms.Product(term.dtype)
    for x, p in zip(term.args, term.params[0], strict=True):
        collector.multiply(x, p)
    return collector.result(term.shape)


def _astype(term: Term) -> Term:
    inner = term.args[0]
    if not is_float(term.dtype):
        return term
    return (
        cast(inner, term.dtype) if inner.op is CONST else _of_constants(inner, term.dtype) or term
    )


def _of_constants(x: Term, dtype: np.dtype[Any]) -> Term | None:
    """A function of constants alone in another dtype, which does not round it: sqrt(2) is folded.

    None for others, and where the dtype rounds one of the constants.
    """
    if x.op is CONST:
        moved = cast(x, dtype)
        return moved if moved.params == x.params else None
    if not (x.args and x.op.elementwise and is_float(x.dtype)) or x.op.name == "astype":
        return None
    args = [_of_constants(a, dtype) for a in x.args]
    found = tuple([a for a in args if a is not None])
    return make(x.op, found, x.params, x.shape, dtype) if len(found) == len(args) else None


def _filled(term: Term) -> Term:
    """A constant by another shape is that constant."""
    inner = term.args[0]
    if inner.op is CONST and len(term.args) == 1:
        return const(inner.params[0], term.dtype, term.shape)
    return term


def _reshaped(term: Term) -> Term:
    """Reshapes in a row are one; that of a scalar is a broadcast, which products see through."""
    inner = term.args[0]
    while inner.op is term.op:
        inner = inner.args[0]
    if inner.shape == term.shape:
        return inner
    if inner.shape == ():
        return forms.with_shape(inner, term.shape)
    return _filled(make(term.op, (inner,), term.params, term.shape, term.dtype))


FILLED = ("reshape", "broadcast_to", "transpose", "getitem")
"""Ops that give a constant for a constant."""

_CANONICAL: dict[str, Callable[[Term], Term]] = {
    "add": _sum(1, 1),
    "subtract": _sum(1, -1),
    "negative": _sum(-1),
    "positive": lambda t: t.args[0],
    "multiply": lambda t: forms.with_shape(forms.product(t.args), t.shape),
    "divide": lambda t: forms.with_shape(
        forms.product([t.args[0], forms.power(t.args[1], -1)]), t.shape
    ),
    "reciprocal": _half("reciprocal", -1),
    "square": _half("square", 2),
    "sqrt": _half("sqrt", Fraction(1, 2)),
    "rsqrt": _half("rsqrt", Fraction(-1, 2)),
    "power": _power,
    "affine": _affine,
    "monomial": _monomial,
    "astype": _astype,
    **dict.fromkeys(FILLED, _filled),
    "reshape": _reshaped,
}


def _is_whole(x: Term) -> bool:
    """Whether a term has integers, which a function takes as floats: sqrt(3)."""
    return x.dtype.kind in "iu"


def canonical_node(term: Term) -> Term:
    """The canonical form of a node whose arguments are canonical."""
    whole = any(_is_whole(a) for a in term.args)
    if whole and term.op.elementwise and is_float(term.dtype) and term.op.name != "astype":
        args = tuple([cast(a, term.dtype) if _is_whole(a) else a for a in term.args])
        term = make(term.op, args, term.params, term.shape, term.dtype)
    convert = _CANONICAL.get(term.op.name)
    if convert is not None and term.dtype.kind not in "biu":
        return convert(term)
    if term.op.commutative and is_float(term.dtype):
        term = in_order(term)
    if term.op.elementwise and any(a.op.name == "broadcast_to" for a in term.args):
        return _before_broadcast(term)
    return term


def _before_broadcast(term: Term) -> Term:
    """An elementwise op on what its broadcast arguments are made of: log(1 - p) of any shape."""
    args = tuple([forms.unbroadcast_view(a) for a in term.args])
    shape = forms.broadcast(term.op, args)
    inner = canonical_node(make(term.op, args, term.params, shape, term.dtype))
    return forms.with_shape(inner, term.shape)


def in_order(term: Term) -> Term:
    """The term with the two arguments of a commutative op in one order."""
    a, b = term.args
    if a.key <= b.key or a.dtype != b.dtype:
        return term
    return make(term.op, (b, a), term.params, term.shape, term.dtype)


def with_args(term: Term, args: tuple[Term, ...]) -> Term:
    """The node with other arguments, itself canonical."""
    if args != term.args:
        term = make(term.op, args, term.params, term.shape, term.dtype)
    return canonical_node(term)


def canonical(root: Term, below: Container[Term] = ()) -> Term:
    """The canonical form of a whole term; the terms in ``below`` stay as they are."""
    done: dict[Term, Term] = {}
    for term in topological([root], stop=below.__contains__):
        if term in below:
            done[term] = term
        else:
            done[term] = with_args(term, tuple([done[a] for a in term.args]))
    return done[root]
