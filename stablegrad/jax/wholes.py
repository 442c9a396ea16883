"""Functions of JAX's own library that are no calls in a program, told by their equations.

Most of them are jits or have a derivative of their own, and are read by their names. ``betaln``
is written out where it is called: some sixty equations of a series, whose derivatives are a
program of minutes; ``ndtr`` is a choice of three formulas. What a function is traced to is the
pattern; where a program has that, it is the op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import numpy as np

from stablegrad.ir import OPS, Term
from stablegrad.jax.equations import Equation, Literal
from stablegrad.jax.regions import numbered, plain, region_of
from stablegrad.ops.record import const, is_float
from stablegrad.settings import Settings

_Step = tuple[str, tuple[Any, ...], dict[str, Any]]
"""Of a pattern: the primitive, its arguments (numbers of steps, or literals), its parameters."""


def library_wholes(
    equations: list[Equation], avals: Sequence[Any], settings: Settings
) -> list[Equation]:
    """The equations, the last one of each function of JAX's as a region of its arguments.

    Args:
        equations: in order.
        avals: of all numbers.
        settings: in force.
    """
    names = frozenset([e.name for e in equations]) if settings.stabilizes else frozenset()
    chosen = [w for w in _WHOLES if w.needed <= names]
    if not chosen:
        return equations
    maker = {o: e for e in equations for o in e.outputs}
    found = list(equations)
    for whole in chosen:
        found = [_whole(whole, e, maker, avals, settings) or e for e in found]
    return found


def _whole(
    whole: _Whole, e: Equation, maker: dict[int, Equation], avals: Sequence[Any], settings: Settings
) -> Equation | None:
    aval = avals[e.outputs[0]]
    steps, last = _pattern(whole.name, whole.count)
    if e.name != steps[last][0] or not plain(aval) or not is_float(aval.dtype):
        return None
    given = _matched(e, maker, steps, last, whole.count)
    if given is None:
        return None
    inputs: list[int] = []
    args: list[Term] = []
    for a in given:
        if isinstance(a, Literal):
            args.append(const(np.asarray(a.value, aval.dtype)[()], aval.dtype))
            continue
        if a not in inputs:
            inputs.append(a)
        args.append(numbered(inputs.index(a), avals[a].shape, avals[a].dtype))
    root = whole.term(*args)
    if (root.shape, root.dtype) != (aval.shape, aval.dtype):
        return None
    terms = [numbered(i, avals[a].shape, avals[a].dtype) for i, a in enumerate(inputs)]
    applied = region_of([root], terms, settings)
    return replace(e, name="stablegrad", source=None, inputs=inputs, applied=applied)


def _of_any_sign(a: Term, b: Term) -> Term:
    """What JAX means by betaln; the op is that of positive arguments."""
    lgamma = OPS["lgamma"]
    positive = OPS["greater"](OPS["minimum"](a, b), const(0, a.dtype))
    # the sum behind a choice, lest rules make more of the difference than these few need
    whole = OPS["where"](positive, const(1, a.dtype), a + b)
    other = lgamma(a) + lgamma(b) - lgamma(whole)
    return OPS["where"](positive, OPS["betaln"](a, b), other)


@dataclass(frozen=True)
class _Whole:
    """A function of ``jax.scipy.special`` and the term that it is."""

    name: str
    count: int
    """Of its arguments."""
    term: Callable[..., Term]
    needed: frozenset[str]
    """Primitives without which a program has none of it."""


_WHOLES = (
    _Whole("betaln", 2, _of_any_sign, frozenset({"lgamma", "log1p", "select_n"})),
    _Whole("ndtr", 1, OPS["ndtr"], frozenset({"erf", "erfc", "select_n"})),
)


@cache
def _pattern(function: str, count: int) -> tuple[list[_Step], int]:
    """The pattern of a function, its first steps being the arguments; and its last step."""
    x = jax.ShapeDtypeStruct((), np.dtype(np.float32))
    jaxpr = jax.make_jaxpr(getattr(jax.scipy.special, function))(*[x] * count).jaxpr
    steps: list[_Step] = []

    def step(*parts: Any) -> int:
        steps.append(parts)
        return len(steps) - 1

    def flat(jaxpr: Any, env: dict[Any, Any]) -> list[Any]:
        for eqn in jaxpr.eqns:
            args = [v if hasattr(v, "val") else env[v] for v in eqn.invars]
            if "jaxpr" in eqn.params:
                inner = eqn.params["jaxpr"].jaxpr
                found = flat(inner, dict(zip(inner.invars, args, strict=True)))
                env.update(zip(eqn.outvars, found, strict=True))
            else:
                env[eqn.outvars[0]] = step(eqn.primitive.name, tuple(args), eqn.params)
        return [env[v] for v in jaxpr.outvars]

    env = {v: step("", (), {}) for v in jaxpr.invars}
    return steps, flat(jaxpr, env)[0]


def _matched(
    e: Equation, maker: dict[int, Equation], steps: Sequence[_Step], last: int, count: int
) -> list[Any] | None:
    """The arguments of a pattern that ends with an equation, None if it is none."""
    found: dict[int, Any] = {}
    pending: list[tuple[Any, Any]] = [(last, e.outputs[0])]
    while pending:
        n, atom = pending.pop()
        if isinstance(n, int):
            atom = _unspread(atom, maker)
            if n in found:
                if not _same(found[n], atom):
                    return None
                continue
            found[n] = atom
            name, args, params = steps[n]
            if not name:
                continue
            made = None if isinstance(atom, Literal) else maker.get(atom)
            if made is None or made.source is None or made.name != name:
                return None
            theirs = made.source.params
            if any(theirs.get(k) != v for k, v in params.items() if isinstance(v, int | float)):
                return None
            pending.extend(zip(args, made.inputs, strict=True))
        elif not _same(Literal(n.val, n.aval), _unspread(atom, maker)):
            return None
    return [found[i] for i in range(count)]


def _same(a: Any, b: Any) -> bool:
    """Whether two values are one, literals by what they are in float32."""
    if isinstance(a, Literal) and isinstance(b, Literal):
        return np.float32(a.value) == np.float32(b.value)
    return not isinstance(a, Literal) and not isinstance(b, Literal) and a == b


def _unspread(atom: Any, maker: dict[int, Equation]) -> Any:
    """What a value is broadcast from, as NumPy would."""
    while isinstance(atom, int):
        e = maker.get(atom)
        if e is None or e.source is None or e.name != "broadcast_in_dim":
            return atom
        shape, axes = e.source.params["shape"], e.source.params["broadcast_dimensions"]
        if tuple(axes) != tuple(range(len(shape) - len(axes), len(shape))):
            return atom
        atom = e.inputs[0]
    return atom
