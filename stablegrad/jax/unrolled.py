"""A JAX function at given values as one program of terms: what an audit reads.

The jaxpr is run as JAX runs it, equation by equation, and every result that depends on an input
of floats is kept as a term beside its value. So control flow is followed where it goes, loops are
unrolled, whole numbers are values, and what merely moves elements is a choice of elements. A
``custom_jvp`` or ``custom_vjp`` keeps the derivative that it was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import source_info_util

from stablegrad.errors import DTypeError
from stablegrad.ir import OPS, Term
from stablegrad.jax.counterparts import Traced, terms_of, whole
from stablegrad.jax.library import INLINED, LIBRARY
from stablegrad.jax.reader import library_function
from stablegrad.jax.rewriting import bind, closed_of
from stablegrad.jax.spread import taken
from stablegrad.ops.derivative import CUSTOM
from stablegrad.ops.record import const, is_float
from stablegrad.tensor.cells import freeze, placeholder, value_leaf

Array = np.ndarray[Any, Any]

CALLS = frozenset("jit pjit closed_call core_call remat remat2 checkpoint custom_lin".split())
STEPS = frozenset("round floor ceil sign nextafter".split())
_PLACE = re.compile(r"^(.*?):(\d+)(?::\d+)?(?: |$)")


class UnreadableError(DTypeError):
    """A primitive that cannot be written in our operations, with the user's line."""


@dataclass(slots=True)
class Unrolled:
    """A program of terms.

    Attributes:
        results: what the function returned, flat.
        structure: the containers that it returned them in.
        places: "file:line" by term.
    """

    results: list[Traced]
    structure: Any
    places: dict[Term, str] = field(default_factory=dict)


def is_jax_array(x: Any) -> bool:
    """Whether a leaf of arguments is an array of JAX's."""
    return isinstance(x, jax.Array)


def flatten(arg: Any, is_leaf: Callable[[Any], bool]) -> list[tuple[str, Any]]:
    """The leaves of a container that JAX knows, each with its path in it."""
    found, _ = jax.tree_util.tree_flatten_with_path(arg, is_leaf=is_leaf)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in found]


def flat_function(
    f: Callable[..., Any], args: Sequence[Any], dynamic: Sequence[bool], is_leaf: Any
) -> Callable[..., Any]:
    """A function of some leaves of its arguments alone, the others staying what they are."""
    leaves, structure = jax.tree.flatten(tuple(args), is_leaf=is_leaf)

    def flat(*values: Any) -> Any:
        fresh = iter(values)
        given = [next(fresh) if d else x for d, x in zip(dynamic, leaves, strict=True)]
        return f(*jax.tree.unflatten(structure, given))

    return flat


def unroll(
    f: Callable[..., Any],
    args: Sequence[Any],
    inputs: Sequence[Traced | None],
    is_leaf: Any,
    *,
    rules: bool = True,
) -> Unrolled:
    """Run a JAX function on values, and keep what it does as terms.

    Args:
        f: a function of arrays in containers.
        args: its arguments.
        inputs: for each leaf of the arguments, its value and the term that stands for it, or
            None where it is handed on as it is.
        is_leaf: what counts as a leaf.
        rules: whether a derivative that somebody wrote is kept; else only what is computed.

    Raises:
        UnreadableError: a primitive between inputs and results that has no counterpart here.
    """
    started = [x for x in inputs if x is not None]
    flat = flat_function(f, args, [x is not None for x in inputs], is_leaf)
    closed, shape = jax.make_jaxpr(flat, return_shape=True)(*[x.value for x in started])
    reader = _Unroller(getattr(f, "__name__", ""), pulling=not rules)
    found = reader.run(closed, started)
    return Unrolled(found, jax.tree.structure(shape), reader.places)


class _Unroller:
    def __init__(self, function: str, *, pulling: bool = False) -> None:
        self.places: dict[Term, str] = {}
        self.function = function
        """What stands for a line where no file of the user's is on the way: jnp.log itself."""
        self.pulling = pulling
        """Whether derivatives that were given are left out, as in one of them: it may call its
        own function."""

    def run(self, closed: Any, inputs: Sequence[Traced], call: str = "") -> list[Traced]:
        """The results of a closed jaxpr; its equations stand at the line ``call`` if given."""
        closed = closed_of(closed)
        env: dict[Any, Traced] = dict(zip(closed.jaxpr.invars, inputs, strict=True))
        env |= {v: Traced(c) for v, c in zip(closed.jaxpr.constvars, closed.consts, strict=True)}

        def atom(v: Any) -> Traced:
            return Traced(np.asarray(v.val, v.aval.dtype)) if hasattr(v, "val") else env[v]

        for eqn in closed.jaxpr.eqns:
            place = call or self._place(eqn)
            found = self._equation(eqn, [atom(v) for v in eqn.invars], place)
            for v, new in zip(eqn.outvars, found, strict=True):
                env[v] = new
                if new.term is not None:
                    self.places.setdefault(new.term, place)
        return [atom(v) for v in closed.jaxpr.outvars]

    def _place(self, eqn: Any) -> str:
        found = _PLACE.match(source_info_util.summarize(eqn.source_info))
        if not found or found[1] == __file__:
            return self.function
        return f"{found[1]}:{found[2]}"

    def _equation(self, eqn: Any, args: list[Traced], place: str) -> list[Traced]:
        name, params = eqn.primitive.name, dict(eqn.params)
        if all(a.term is None for a in args):
            return [Traced(v) for v in bind(eqn, params, [a.value for a in args])]
        if name in CALLS:
            body = closed_of(params.get("jaxpr", params.get("call_jaxpr")))
            terms = whole(library_function(body), args)
            if terms is not None:
                values = bind(eqn, params, [a.value for a in args])
                return [Traced(v, t) for v, t in zip(values, terms, strict=True)]
            return self.run(body, args, place if _is_library(body) else "")
        handler = _HANDLERS.get(name)
        if handler is not None:
            return handler(self, eqn, args, place)
        bound = bind(eqn, params, [a.value for a in args])
        if any(_is_key(v) for v in bound):
            return [Traced(v) for v in bound]
        values = [np.asarray(v) for v in bound]
        if any(v.dtype.kind == "c" for v in values):
            raise UnreadableError(
                f"got complex numbers from the JAX primitive {name}; expected real ones "
                f"(at {place or 'an unknown line'}): derivatives of complex functions are not read."
            )
        if not any(is_float(v.dtype) or v.dtype.kind == "b" for v in values):
            return [Traced(v) for v in values]  # whole numbers are values
        terms = None if any(_is_key(a.value) for a in args) else terms_of(eqn, args, values)
        if terms is None and (name in STEPS or not any(is_float(v.dtype) for v in values)):
            return [Traced(v) for v in values]  # whose derivative is zero
        if terms is None:
            raise UnreadableError(
                f"got the JAX primitive {name} between inputs and result; expected one that has a "
                f"counterpart here (at {place or 'an unknown line'}); docs/audit.md says which."
            )
        return [Traced(v, t) for v, t in zip(values, terms, strict=True)]


def _is_key(value: Any) -> bool:
    """Whether a value is a key of random numbers, which NumPy cannot hold."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jax.numpy.issubdtype(dtype, jax.dtypes.prng_key)


def _is_library(body: Any) -> bool:
    """Whether a body was traced from a function of JAX's own, once for all its callers."""
    return bool(library_function(body))


# -- control flow ---------------------------------------------------------------------------


def _cond(reader: _Unroller, eqn: Any, args: list[Traced], place: str) -> list[Traced]:
    branches = eqn.params["branches"]
    index = int(np.clip(int(np.asarray(args[0].value)), 0, len(branches) - 1))
    return reader.run(branches[index], args[1:])


def _while(reader: _Unroller, eqn: Any, args: list[Traced], place: str) -> list[Traced]:
    n, m = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    of_cond, of_body, state = args[:n], args[n : n + m], args[n + m :]
    while True:
        going = np.asarray(reader.run(eqn.params["cond_jaxpr"], [*of_cond, *state])[0].value)
        if not going.any():
            return state
        fresh = reader.run(eqn.params["body_jaxpr"], [*of_body, *state])
        # under vmap there is a condition for each element: what is done stays as it is
        state = (
            fresh if going.all() else [_chosen(going, *p) for p in zip(fresh, state, strict=True)]
        )


def _chosen(going: Array, fresh: Traced, old: Traced) -> Traced:
    shape = np.shape(fresh.value)
    mask = np.broadcast_to(going.reshape(going.shape + (1,) * (len(shape) - going.ndim)), shape)
    value = np.where(mask, fresh.value, old.value)
    if fresh.term is None and old.term is None:
        return Traced(value)
    return Traced(value, OPS["where"](value_leaf(freeze(mask)), fresh.as_term(), old.as_term()))


def _scan(reader: _Unroller, eqn: Any, args: list[Traced], place: str) -> list[Traced]:
    params = eqn.params
    n, m = params["num_consts"], params["num_carry"]
    consts, carry, xs = args[:n], args[n : n + m], args[n + m :]
    count = params["length"]
    ys: list[list[Traced]] = [[] for _ in range(len(eqn.outvars) - m)]
    steps = range(count - 1, -1, -1) if params["reverse"] else range(count)
    for i in steps:
        found = reader.run(params["jaxpr"], [*consts, *carry, *[_row(x, i) for x in xs]])
        carry = found[:m]
        for kept, y in zip(ys, found[m:], strict=True):
            kept.append(y)
    if params["reverse"]:
        ys = [kept[::-1] for kept in ys]
    shapes = [v.aval for v in eqn.outvars[m:]]
    return [*carry, *[_stacked(kept, like) for kept, like in zip(ys, shapes, strict=True)]]


def _row(x: Traced, i: int) -> Traced:
    term = None
    if x.term is not None:
        term = OPS["getitem"](x.term, index=(i,))
    return Traced(x.value[i], term)


def _stacked(rows: Sequence[Traced], like: Any) -> Traced:
    if not rows:
        return Traced(np.zeros(like.shape, like.dtype))
    value = np.stack([np.asarray(r.value) for r in rows])
    if all(r.term is None for r in rows):
        return Traced(value)
    parts = [OPS["reshape"](r.as_term(), shape=(1, *r.as_term().shape)) for r in rows]
    return Traced(value, OPS["concatenate"](*parts, axis=0))


def _sort(reader: _Unroller, eqn: Any, args: list[Traced], place: str) -> list[Traced]:
    params = eqn.params
    values = [np.asarray(a.value) for a in args]
    axis = params["dimension"]
    shape = values[0].shape
    iota = lax.broadcasted_iota(np.int32, shape, axis)
    *found, order = lax.sort(
        [*[jax.numpy.asarray(v) for v in values], iota],
        dimension=axis,
        is_stable=params["is_stable"],
        num_keys=params["num_keys"],
    )
    flat = np.take_along_axis(np.arange(values[0].size).reshape(shape), np.asarray(order), axis)
    out = []
    for a, v in zip(args, found, strict=True):
        if a.term is None:
            out.append(Traced(v))
        else:
            line = OPS["reshape"](a.term, shape=(a.term.size,))
            out.append(Traced(v, taken(line, flat)))
    return out


# -- derivatives that were given ------------------------------------------------------------


def _custom(reader: _Unroller, eqn: Any, args: list[Traced], place: str) -> list[Traced]:
    """A function with a derivative of its own: its results, with that derivative beside them."""
    params = dict(eqn.params)
    body = closed_of(params["call_jaxpr"])
    own = "" if not _is_library(body) else place
    ours = LIBRARY.get(library_function(body), "")
    if ours:
        values = bind(eqn, params, [a.value for a in args])
        own_args = args[params.get("num_consts", 0) :]  # tables of coefficients come first
        return [Traced(values[0], OPS[ours](*[a.as_term() for a in own_args]))]
    outputs = reader.run(body, args, own)
    if reader.pulling or library_function(body) in INLINED:
        return outputs
    floats = [i for i, a in enumerate(args) if a.term is not None and is_float(a.term.dtype)]
    results = [k for k, y in enumerate(outputs) if y.term is not None and is_float(y.term.dtype)]
    if not floats or not results:
        return outputs
    xs = [args[i].value for i in floats]

    def forward(*given: Any) -> list[Any]:
        values = [a.value for a in args]
        for i, x in zip(floats, given, strict=True):
            values[i] = x
        found = bind(eqn, params, values)
        return [found[k] for k in results]

    def pull(xs: Sequence[Any], dys: Sequence[Any]) -> Any:
        return jax.vjp(forward, *xs)[1](list(dys))

    dys = [np.ones_like(outputs[k].value) for k in results]
    closed = jax.make_jaxpr(pull)(xs, dys)
    terms = [args[i].as_term() for i in floats]
    seeds = [placeholder(v.shape, v.dtype) for v in dys]
    given = [*[args[i] for i in floats], *[Traced(v, t) for v, t in zip(dys, seeds, strict=True)]]
    reader.pulling = True
    try:
        found = reader.run(closed, given, own)
    finally:
        reader.pulling = False
    gradients = [
        g.as_term() if g.term is not None or np.any(g.value) else const(0, t.dtype, t.shape)
        for g, t in zip(found, terms, strict=True)
    ]
    made = [outputs[k].as_term() for k in results]
    marks = [placeholder(t.shape, t.dtype) for t in made]
    node = (*made, *terms, *marks, *seeds, *gradients)
    for number, k in enumerate(results):
        term = CUSTOM.term(node, (len(made), len(terms), number))
        outputs[k] = Traced(outputs[k].value, term)
    return outputs


_HANDLERS: dict[str, Callable[[_Unroller, Any, list[Traced], str], list[Traced]]] = {
    "cond": _cond,
    "while": _while,
    "scan": _scan,
    "sort": _sort,
    "custom_jvp_call": _custom,
    "custom_vjp_call": _custom,
    "custom_vjp_call_jaxpr": _custom,
}
