"""The rewriter: running a reading, structure kept, the bodies of control flow stabilized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.sharding import NamedSharding

from stablegrad.jax.primitive import apply, is_placed
from stablegrad.jax.reader import Equation, Literal, read
from stablegrad.jax.report import Report
from stablegrad.settings import Settings

Values = list[Any]
Handler = Callable[["Rewriter", dict[str, Any], Values], Sequence[Any]]


class Rewriter:
    """Evaluates jaxprs with their regions stabilized."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings = settings
        self.report = report

    def run(self, closed: Any, args: Sequence[Any], before: Sequence[Any] = ()) -> Values:
        """The results of a closed jaxpr, given the bodies that made its arguments."""
        reading = read(closed, self.settings, before)
        self.report.add(reading)
        values: dict[int, Any] = dict(zip(reading.inputs, args, strict=True))
        values.update(reading.constants)

        def value(atom: Any) -> Any:
            return as_typed(atom) if isinstance(atom, Literal) else values[atom]

        for step in reading.steps:
            inputs = [value(a) for a in step.inputs]
            if step.region is not None:
                kinds = [reading.avals[o] for o in step.outputs]
                found: Sequence[Any] = placed(partial(apply, step.region), inputs, kinds)
            else:
                assert step.equation is not None
                found = self._equation(step.equation, inputs)
            values.update(zip(step.outputs, found, strict=True))
        return [value(a) for a in reading.outputs]

    def function(self, closed: Any, before: Sequence[Any] = ()) -> Callable[..., Any]:
        """A closed jaxpr as a function of its arguments."""
        return lambda *args: self.run(closed, args, before)

    def _equation(self, e: Equation, inputs: Values) -> Sequence[Any]:
        if e.applied is not None:
            return apply(e.applied, inputs, e.batch)
        handler = HANDLERS.get(e.name)
        if handler is not None:
            return handler(self, {**e.source.params, "before": e.before}, inputs)
        return bind(e.source, e.source.params, inputs)


def as_typed(literal: Literal) -> Any:
    """The value of a constant, varying over the axes of a shard_map that its type has."""
    kind = getattr(literal.aval, "manual_axis_type", None)
    if kind is None or not kind.varying:
        return literal.value
    value = jax.numpy.asarray(literal.value, literal.aval.dtype)
    return lax.pcast(value, tuple(sorted(kind.varying)), to="varying")


def placed(f: Callable[[Values], Sequence[Any]], args: Values, kinds: Sequence[Any]) -> Values:
    """The results of f, of types that say how they are split, where those of the program do.

    Inside, the partitioner finds how: it is told at the ends, as by the program.
    """
    types = [*kinds, *map(jax.typeof, args)]
    found = next((a.sharding.mesh for a in types if is_placed(a)), None)
    if found is None:
        return list(f(args))
    given = tuple([NamedSharding(found, a.sharding.spec) for a in kinds])
    inner = jax.sharding.auto_axes(
        lambda *values: tuple(f(list(values))), axes=found.explicit_axes, out_sharding=given
    )
    return list(jax.jit(inner)(*args))


def bind(eqn: Any, params: dict[str, Any], inputs: Values) -> Sequence[Any]:
    """The results of an equation as JAX has it."""
    found = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(params))
    return found if eqn.primitive.multiple_results else [found]


class _Closed:
    """A jaxpr without constants, in the shape of a closed one."""

    def __init__(self, jaxpr: Any) -> None:
        self.jaxpr = jaxpr
        self.consts: tuple[Any, ...] = ()


def closed_of(jaxpr: Any) -> Any:
    """A jaxpr with its constants, whether it came with them or not."""
    return jaxpr if hasattr(jaxpr, "consts") else _Closed(jaxpr)


def _scan(rewriter: Rewriter, params: dict[str, Any], inputs: Values) -> Sequence[Any]:
    n, m = params["num_consts"], params["num_carry"]
    consts, carry, xs = inputs[:n], inputs[n : n + m], inputs[n + m :]
    closed = params["jaxpr"]
    kinds = [v.aval.dtype for v in closed.jaxpr.outvars[:m]]

    def body(carry: Any, x: Any) -> Any:
        out = rewriter.run(closed, [*consts, *carry, *x])
        return _as(out[:m], kinds), out[m:]

    last, ys = lax.scan(
        body,
        _as(carry, kinds),
        xs,
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*last, *ys]


def _as(values: Sequence[Any], kinds: Sequence[Any]) -> Values:
    """Values as arrays of strong types, so that a loop's carry keeps its type."""
    return [
        lax.convert_element_type(v, k) if hasattr(k, "kind") else v
        for v, k in zip(values, kinds, strict=True)
    ]


def _while(rewriter: Rewriter, params: dict[str, Any], inputs: Values) -> Sequence[Any]:
    n, m = params["cond_nconsts"], params["body_nconsts"]
    of_cond, of_body, start = inputs[:n], inputs[n : n + m], inputs[n + m :]
    body, condition = params["body_jaxpr"], params["cond_jaxpr"]
    kinds = [v.aval.dtype for v in body.jaxpr.outvars]
    (goes_on,) = condition.jaxpr.outvars
    axes = tuple(range(len(goes_on.aval.shape)))

    def go(state: Values) -> Any:
        return rewriter.run(condition, [*of_cond, *state])[0]

    def step(state: Values) -> Values:
        new = rewriter.run(body, [*of_body, *state])
        if axes:  # under vmap: what has come to its end stays
            which = go(state)
            new = [
                lax.select(lax.broadcast_in_dim(which, x.shape, axes), x, y)
                for x, y in zip(_as(new, kinds), state, strict=True)
            ]
        return _as(new, kinds)

    return lax.while_loop(
        lambda state: jax.numpy.any(go(state)) if axes else go(state), step, _as(start, kinds)
    )


def _cond(rewriter: Rewriter, params: dict[str, Any], inputs: Values) -> Sequence[Any]:
    index, *operands = inputs
    return lax.switch(index, [rewriter.function(b) for b in params["branches"]], *operands)


def _remat(rewriter: Rewriter, params: dict[str, Any], inputs: Values) -> Sequence[Any]:
    f = jax.checkpoint(
        rewriter.function(closed_of(params["jaxpr"])),
        prevent_cse=params["prevent_cse"],
        policy=params["policy"],
    )
    return f(*inputs)


def _shard_map(rewriter: Rewriter, params: dict[str, Any], inputs: Values) -> Sequence[Any]:
    f = jax.shard_map(
        rewriter.function(closed_of(params["jaxpr"]), params["before"]),
        mesh=params["mesh"],
        in_specs=tuple(params["in_specs"]),
        out_specs=list(params["out_specs"]),
        axis_names=frozenset(params.get("newly_manual_axes", params.get("manual_axes", ()))),
        check_vma=params["check_vma"],
    )
    return f(*inputs)


def _jit(rewriter: Rewriter, params: dict[str, Any], inputs: Values) -> Sequence[Any]:
    placed = {}
    for key in ("in_shardings", "out_shardings"):
        given = [None if type(s).__name__ == "UnspecifiedValue" else s for s in params[key]]
        if any(s is not None for s in given):
            placed[key] = tuple(given) if key == "in_shardings" else given
    donated = tuple([i for i, d in enumerate(params["donated_invars"]) if d])
    f = rewriter.function(params["jaxpr"])
    f.__name__ = params["name"]
    return jax.jit(f, donate_argnums=donated, keep_unused=params["keep_unused"], **placed)(*inputs)


HANDLERS: dict[str, Handler] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "remat2": _remat,
    "checkpoint": _remat,
    "remat": _remat,
    "shard_map": _shard_map,
    "jit": _jit,
    "pjit": _jit,
}
