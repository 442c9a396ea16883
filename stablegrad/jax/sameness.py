"""Which numbered values are proved to be one and the same: value numbering.

Two equations of one primitive, with the same parameters and the same inputs, have the same
results. An application that was mapped by ``vmap`` is followed through the equations that JAX
makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from stablegrad.jax.equations import Equation, Literal
from stablegrad.jax.marks import Mark
from stablegrad.jax.residuals import Known

Key = Any
_SHAPES = frozenset("broadcast_in_dim reshape squeeze".split())
_NESTED = ("jaxpr", "branches", "call_jaxpr", "body_jaxpr", "cond_jaxpr", "subfuns", "callback")


class Values:
    """The values of a list of equations."""

    def __init__(self, equations: Sequence[Equation], known: Known) -> None:
        self.same: dict[int, int] = dict(known.at_hand)
        self.moved: dict[int, int] = {}
        """The value that has the same elements in another shape."""
        self.filled: dict[int, tuple[Literal, tuple[int, ...]]] = {}
        """The constant that all elements of a value are, and its shape."""
        self.found: dict[Key, list[int]] = {}
        self.shapes: dict[Any, Any] = {}
        self.calls: dict[Any, Any] = {}
        for e in [*known.equations, *equations]:
            if e.name in _SHAPES and self._reshaped(e):
                continue
            key = self._key(e)
            if key is None:
                continue
            first = self.found.setdefault(key, e.outputs)
            if first is not e.outputs:
                for y, x in zip(e.outputs, first, strict=True):
                    self._is(y, x)

    def _is(self, y: int, x: int) -> None:
        y, x = self.of(y), self.of(x)
        if y != x:
            self.same[y] = x

    def _reshaped(self, e: Equation) -> bool:
        """Note a value that is another one in another shape; whether it is one of before."""
        (y,), x = e.outputs, e.inputs[0]
        if e.source is None or len(e.inputs) != 1:
            return False
        before, after = e.source.invars[0].aval, e.source.outvars[0].aval
        if isinstance(x, Literal):
            self.filled[self.of(y)] = x, after.shape
            return False
        if (made := self.filled.get(self.of(x))) is not None:  # residuals have an axis at least
            self.filled[self.of(y)] = made[0], after.shape
            return False
        if before.size != after.size:
            return False
        first = self.moved.get(self.of(x), self.of(x))
        self.shapes.setdefault(first, before.shape)
        if self.shapes[first] == after.shape:
            self._is(y, first)
            return True
        self.moved[self.of(y)] = first
        return False

    def of(self, atom: int) -> int:
        """The first number of a value."""
        while atom in self.same:
            atom = self.same[atom]
        return atom

    def constant(self, atom: Any) -> Any:
        """The constant that a value is, itself if it is none."""
        if isinstance(atom, Literal):
            return atom
        constant, shape = self.filled.get(self.of(atom), (None, None))
        return atom if constant is None or shape else constant

    def name(self, atom: Any) -> Any:
        """What tells values apart."""
        atom = self.constant(atom)
        if isinstance(atom, int):
            return self.of(atom)
        aval = atom.aval
        return getattr(aval, "shape", None), str(getattr(aval, "dtype", None)), repr(atom.value)

    def names(self, atoms: Sequence[Any]) -> tuple[Any, ...]:
        """What tells lists of values apart."""
        return tuple([self.name(a) for a in atoms])

    def _key(self, e: Equation) -> Key | None:
        names = self.names(e.inputs)
        if e.applied is not None:
            return e.applied.roots, e.batch, names
        if e.ours:
            return e.ours, names
        if e.source is None or e.effects:
            return None
        return _key_of(e.source.primitive.name, e.source.params, names)

    def results(self, mark: Mark, batch: Any, args: Sequence[Any], avals: Sequence[Any]) -> Any:
        """The numbers of an application's results, None where no equation gives them.

        Args:
            mark: of the derivative of the application.
            batch: of the vmaps around it, the flags of its own arguments.
            args: its arguments.
            avals: their types.
        """
        names = self.names(args)
        found = self.found.get((mark.region.roots, batch, names))
        if found is not None:
            return [self.of(o) for o in found]
        if mark.source is None:
            return None
        primitive, params = mark.source
        kinds = tuple([(v.shape, v.dtype) for v in avals])
        call = primitive.name, str(params), batch, kinds
        if call not in self.calls:
            self.calls[call] = _traced(primitive, params, batch, avals)
        return self._followed(self.calls[call], names)

    def _followed(self, jaxpr: Any, names: Sequence[Any]) -> list[Any] | None:
        if jaxpr is None:
            return None
        value: dict[Any, Any] = dict(zip(jaxpr.invars, names, strict=True))

        def name(v: Any) -> Any:
            return self.name(Literal(v.val, v.aval)) if hasattr(v, "val") else value[v]

        for eqn in jaxpr.eqns:
            names = tuple([name(v) for v in eqn.invars])
            key = _key_of(eqn.primitive.name, eqn.params, names)
            found = self.found.get(key)
            if key is None or found is None:
                return None
            value.update(zip(eqn.outvars, [self.of(o) for o in found], strict=True))
        return [name(v) for v in jaxpr.outvars]


def _key_of(name: str, params: dict[str, Any], names: tuple[Any, ...]) -> Key | None:
    if any(p in params for p in _NESTED):
        return None
    return name, str(sorted(params.items(), key=lambda item: item[0])), names


def _traced(primitive: Any, params: dict[str, Any], batch: Any, avals: Sequence[Any]) -> Any:
    """A primitive as JAX maps it."""

    def f(*args: Any) -> Any:
        return primitive.bind(*args, **params)

    for flags in batch:
        f = jax.vmap(f, in_axes=tuple([0 if mapped else None for mapped in flags]))
    try:
        given = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in avals]
        closed = jax.make_jaxpr(f)(*given)
    except (TypeError, ValueError):
        return None
    return None if closed.consts else closed.jaxpr
