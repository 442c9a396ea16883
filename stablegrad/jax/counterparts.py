"""The terms of one equation at given values: what the bridge reads, and what only moves elements.

What the bridge leaves to JAX has a counterpart here where one is known: matrix products and
solutions, sorting, gathering, decompositions, convolutions. It is for programs that are read
once, at values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax

from stablegrad.errors import StablegradError
from stablegrad.ir import OPS, Term
from stablegrad.jax.operations import translate
from stablegrad.jax.rewriting import bind
from stablegrad.jax.spread import DECOMPOSITIONS, WINDOWS, taken
from stablegrad.ops.record import const, is_float
from stablegrad.tensor.cells import freeze, value_leaf

Array = np.ndarray[Any, Any]

MOVERS = frozenset(
    "gather dynamic_slice dynamic_update_slice rev pad slice squeeze transpose reshape "
    "broadcast_in_dim concatenate split tile copy expand_dims scatter select_n".split()
)
"""Primitives whose results are elements of their arguments, chosen by whole numbers."""
_WHOLE = {
    "inv": ("inv",),
    "det": ("det",),
    "slogdet": ("sign_of_det", "logabsdet"),
    "cholesky": ("cholesky",),
    "eigvalsh": ("eigvalsh",),
}
"""Functions of JAX's own library that are ops of ours, by what they are called."""


@dataclass(slots=True)
class Traced:
    """What JAX computed, and the term that says how; no term where no input is involved."""

    value: Any
    term: Term | None = None

    def as_term(self) -> Term:
        """The term, or the value as one."""
        if self.term is not None:
            return self.term
        array = np.asarray(self.value)
        if array.ndim == 0 and array.dtype.kind != "b":
            return const(array[()], array.dtype)
        return value_leaf(freeze(array))


def whole(function: str, args: Sequence[Traced]) -> list[Term] | None:
    """The results of a function of JAX's own library that is an op of ours, or None."""
    if function == "solve":
        return [_solve(tuple([a.as_term() for a in args]))]
    names = _WHOLE.get(function)
    if names is None:
        return None
    given = [a.as_term() for a in args]
    return [OPS[name](*given) for name in names]


def terms_of(
    eqn: Any, args: Sequence[Traced], values: Sequence[Array]
) -> Sequence[Term | None] | None:
    """The results of an equation as terms of the shapes and dtypes that JAX gives them."""
    name, params = eqn.primitive.name, dict(eqn.params)
    terms = tuple([a.as_term() for a in args])
    found: list[Term] | None = None
    extra = _EXTRA.get(name)
    try:
        found = extra(terms, params) if extra else translate(name, terms, params)
    except (StablegradError, KeyError):
        found = None
    if found is not None and not all(
        t.shape == v.shape and t.dtype == v.dtype for t, v in zip(found, values, strict=True)
    ):
        found = None
    if found is None and name in DECOMPOSITIONS:
        given = np.asarray(args[0].value)
        return DECOMPOSITIONS[name](terms[0], given, values, params)
    if found is None and name == "scatter-add":
        return _scatter_add(eqn, args, values)
    if found is None and name in MOVERS:
        found = _moved(eqn, args, values)
    return found


def _moved(eqn: Any, args: Sequence[Traced], values: Sequence[Array]) -> list[Term] | None:
    """Results that are elements of the arguments: the primitive is run on their numbers."""
    floats = [i for i, a in enumerate(args) if is_float(np.asarray(a.value).dtype)]
    parts, numbers, start = [], [a.value for a in args], 0
    for i in floats:
        term = args[i].as_term()
        size = term.size
        numbers[i] = jax.numpy.asarray(
            np.arange(start, start + size, dtype=np.int32).reshape(term.shape)
        )
        parts.append(OPS["reshape"](term, shape=(size,)))
        start += size
    params = dict(eqn.params)
    if params.get("fill_value") is not None:
        params["fill_value"] = -1
    chosen = [np.asarray(v) for v in bind(eqn, params, numbers)]
    if any(((c < 0) | (c >= start)).any() for c in chosen):
        return None  # filled with something that is no element
    line = parts[0] if len(parts) == 1 else OPS["concatenate"](*parts, axis=0)
    return [taken(line, c) for c in chosen]


def _scatter_add(eqn: Any, args: Sequence[Traced], values: Sequence[Array]) -> list[Term] | None:
    """x.at[i].add(v), where no element is added to twice."""
    x, where, added = args
    term, more = x.as_term(), added.as_term()
    numbers = np.arange(1, more.size + 1, dtype=np.int32).reshape(more.shape)
    empty = jax.numpy.zeros(term.shape, np.int32)
    found = lax.scatter_add(
        empty,
        where.value,
        jax.numpy.asarray(numbers),
        eqn.params["dimension_numbers"],
        mode=eqn.params["mode"],
    )
    chosen = np.asarray(found) - 1
    if np.unique(chosen[chosen >= 0]).size < more.size:
        return None
    line = OPS["reshape"](more, shape=(more.size,))
    mask = value_leaf(freeze(chosen >= 0))
    part = OPS["where"](mask, taken(line, np.maximum(chosen, 0)), const(0, term.dtype))
    return [OPS["add"](term, part)]


def _dot_general(args: tuple[Term, ...], params: dict[str, Any]) -> list[Term]:
    x, y = args
    (left, right), (batch_x, batch_y) = params["dimension_numbers"]
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    xs = [next(letters) for _ in x.shape]
    ys = [next(letters) for _ in y.shape]
    for i, j in [*zip(left, right, strict=True), *zip(batch_x, batch_y, strict=True)]:
        ys[j] = xs[i]
    out = [xs[i] for i in batch_x]
    out += [c for i, c in enumerate(xs) if i not in (*batch_x, *left)]
    out += [c for j, c in enumerate(ys) if j not in (*batch_y, *right)]
    return [OPS["einsum"](x, y, subscripts=f"{''.join(xs)},{''.join(ys)}->{''.join(out)}")]


def _running(ours: str) -> Callable[[tuple[Term, ...], dict[str, Any]], list[Term]]:
    def rule(args: tuple[Term, ...], params: dict[str, Any]) -> list[Term]:
        (x,), axis = args, params["axis"]
        if not params["reverse"]:
            return [OPS[ours](x, axis=axis)]
        found = OPS[ours](OPS["flip"](x, axis=(axis,)), axis=axis)
        return [OPS["flip"](found, axis=(axis,))]

    return rule


def _solve(args: tuple[Term, ...]) -> Term:
    a, b = args
    if b.ndim > 1:
        return OPS["solve"](a, b)
    column = OPS["solve"](a, OPS["reshape"](b, shape=(*b.shape, 1)))
    return OPS["reshape"](column, shape=b.shape)


def _named(ours: str) -> Callable[[tuple[Term, ...], dict[str, Any]], list[Term]]:
    return lambda args, params: [OPS[ours](*args)]


def _triangular(args: tuple[Term, ...], params: dict[str, Any]) -> list[Term] | None:
    a, b = args
    if not params["left_side"] or params["conjugate_a"] or params["unit_diagonal"]:
        return None
    upper = not params["lower"]
    if params["transpose_a"]:
        axes = (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2)
        a, upper = OPS["transpose"](a, axes=axes), not upper
    return [OPS["triangular_solve"](a, b, upper=upper, unit=False)]


_EXTRA: dict[str, Callable[[tuple[Term, ...], dict[str, Any]], list[Term] | None]] = {
    "dot_general": _dot_general,
    "triangular_solve": _triangular,
    **WINDOWS,
    **{name: _running(name) for name in ("cumprod", "cummax", "cummin", "cumlogsumexp")},
    "igamma": _named("gammainc"),
    "igammac": _named("gammaincc"),
    "bessel_i0e": _named("i0e"),
    "bessel_i1e": _named("i1e"),
    "rem": _named("fmod"),
    "optimization_barrier": lambda args, params: list(args),
    "reduce_precision": lambda args, params: list(args),
}
"""Primitives that the bridge leaves alone and that have a counterpart here."""
