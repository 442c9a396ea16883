"""The reader: a jaxpr as regions of terms and what stays between them.

Equations are read in order. One whose primitive is in our vocabulary joins the region of its
stage; any other is a step of its own, and what depends on it through a region belongs to a
later stage. Equations whose results only a later stage uses move there, so that a mask and what
it masks meet in one region. Unknown primitives pass through untouched and are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend import source_info_util

from stablegrad.ir import Term
from stablegrad.jax.chains import put_together
from stablegrad.jax.constants import mean_gelu, mean_root_2
from stablegrad.jax.equations import Equation, Literal, alive, literal_term, terms_of
from stablegrad.jax.library import CALLED, INLINED, LIBRARY
from stablegrad.jax.links import Links
from stablegrad.jax.regions import Region, numbered, plain, region_of
from stablegrad.jax.residuals import Forward, Known, forwards
from stablegrad.jax.sameness import Values
from stablegrad.jax.spectra import functions_of_matrices
from stablegrad.jax.wholes import library_wholes
from stablegrad.ops.record import is_float
from stablegrad.settings import Settings

LIBRARY_HOME = str(Path(jax.__file__).resolve().parent)
INLINE_AT_MOST = 400
"""A jit of more equations stays what it is, its body stabilized."""


@dataclass(slots=True)
class Step:
    """A region or an equation, with the numbers of what it takes and gives."""

    inputs: list[Any]
    outputs: list[int]
    region: Region | None
    equation: Equation | None


@dataclass(slots=True)
class Reading:
    """A jaxpr as steps over numbered values."""

    inputs: list[int] = field(default_factory=list)
    constants: list[tuple[int, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    passed: list[tuple[str, str]] = field(default_factory=list)
    """The primitives that were passed through, each with its place."""
    avals: list[Any] = field(default_factory=list)
    """The types of all numbers."""
    links: Links | None = None
    """What is left of derivatives taken inside, if there were any."""


def read(closed: Any, settings: Settings, before: Sequence[Forward] = ()) -> Reading:
    """Read a closed jaxpr, given the bodies that made its arguments."""
    return _Reader(closed, settings, before).reading


class _Reader:
    def __init__(self, closed: Any, settings: Settings, before: Sequence[Forward]) -> None:
        self.settings = settings
        self.avals: list[Any] = []
        self.equations: list[Equation] = []
        self.filled: dict[int, Equation] = {}
        """Numbers that are arrays of one constant, and what makes them."""
        self.reading = Reading(avals=self.avals)
        jaxpr = closed.jaxpr
        env: dict[Any, Any] = {}
        for v in jaxpr.invars:
            env[v] = self._new(v.aval)
            self.reading.inputs.append(env[v])
        for v, value in zip(jaxpr.constvars, closed.consts, strict=True):
            env[v] = self._constant(value, v.aval)
        known = self._known(before)
        outputs = self._flatten(jaxpr, env)
        self.reading.outputs = outputs
        equations = alive(self.equations, [a for a in outputs if isinstance(a, int)])
        equations = library_wholes(equations, self.avals, settings)
        equations = functions_of_matrices(equations, self.avals, settings)
        equations = alive(equations, [a for a in outputs if isinstance(a, int)])
        if known.equations:
            same = Values(equations, known)
            for e in equations:
                e.inputs = [same.constant(a) for a in e.inputs]
        self.equations = put_together(equations, outputs, self.avals, settings, known)
        if any(e.mark is not None for e in equations):
            self.reading.links = Links(self.equations, outputs, self.avals, settings, known)
        for n, e in enumerate(self.equations):
            if e.name == "shard_map":
                e.before = forwards(e, self.equations[:n])
        self.terms = self._translate()
        self._assign(outputs)
        self._gather(outputs)

    def _new(self, aval: Any) -> int:
        self.avals.append(aval)
        return len(self.avals) - 1

    def _constant(self, value: Any, aval: Any) -> Any:
        if getattr(aval, "shape", None) == () and isinstance(value, np.ndarray | np.generic):
            return Literal(value, aval)
        number = self._new(aval)
        self.reading.constants.append((number, value))
        return number

    def _known(self, before: Sequence[Forward]) -> Known:
        """The equations of the bodies that made arguments."""
        known = Known()
        for first in before:
            jaxpr = first.body.jaxpr if hasattr(first.body, "jaxpr") else first.body
            env: dict[Any, Any] = {v: self._new(v.aval) for v in (*jaxpr.constvars, *jaxpr.invars)}
            for i, j in first.shared.items():
                env[jaxpr.invars[i]] = self.reading.inputs[j] if isinstance(j, int) else j
            found = self._flatten(jaxpr, env)
            for j, k in first.results.items():
                if isinstance(found[k], int):
                    known.at_hand[found[k]] = self.reading.inputs[j]
        known.equations, self.equations = self.equations, []
        return known

    # -- flat equations -----------------------------------------------------------------------

    def _flatten(self, jaxpr: Any, env: dict[Any, Any], call: str = "") -> list[Any]:
        """Append the equations of a jaxpr, small inner jits inlined; return its results.

        What is inlined stands at the line of the call: the jits of JAX's own functions are
        traced once for all their callers.
        """

        def atom(v: Any) -> Any:
            return Literal(v.val, v.aval) if hasattr(v, "val") else env[v]

        for eqn in jaxpr.eqns:
            inputs = [atom(v) for v in eqn.invars]
            inner, ours = _inner(eqn)
            place = call or source_info_util.summarize(eqn.source_info)
            if inner is not None:
                body: dict[Any, Any] = dict(zip(inner.jaxpr.invars, inputs, strict=True))
                for v, value in zip(inner.jaxpr.constvars, inner.consts, strict=True):
                    body[v] = self._constant(value, v.aval)
                found = self._flatten(inner.jaxpr, body, place)
                env.update(zip(eqn.outvars, found, strict=True))
                continue
            if eqn.primitive.name == "pvary" and self._spread(eqn, inputs, env):
                continue
            outputs = [self._new(v.aval) for v in eqn.outvars]
            env.update(zip(eqn.outvars, outputs, strict=True))
            e = Equation(eqn.primitive.name, inputs, outputs, eqn, ours, place)
            if e.name == "stablegrad":
                e.applied, e.batch = eqn.params["region"], eqn.params["batch"]
                e.mark = eqn.params["mark"]
            self.equations.append(e)
            if e.name == "broadcast_in_dim" and isinstance(inputs[0], Literal):
                self.filled[outputs[0]] = e
        return [atom(v) for v in jaxpr.outvars]

    def _spread(self, eqn: Any, inputs: Sequence[Any], env: dict[Any, Any]) -> bool:
        """Take constants that vary over the axes of a shard_map for what they are."""
        ((x,), (out,)) = inputs, eqn.outvars
        if isinstance(x, Literal):
            env[out] = Literal(x.value, out.aval)
            return True
        made = self.filled.get(x)
        if made is None:
            return False
        value = made.inputs[0].value
        number = env[out] = self._new(out.aval)
        again = Literal(
            value, made.inputs[0].aval.update(manual_axis_type=out.aval.manual_axis_type)
        )
        e = Equation(made.name, [again, *made.inputs[1:]], [number], made.source, place=made.place)
        self.filled[number] = e
        self.equations.append(e)
        return True

    # -- terms --------------------------------------------------------------------------------

    def _translate(self) -> list[bool]:
        """Decide which equations can be read, by translating each over inputs of its own."""
        for e in self.equations:
            args = [self._own_input(a, i) for i, a in enumerate(e.inputs)]
            if any(a is None for a in args) or not all(plain(self.avals[o]) for o in e.outputs):
                continue
            found = terms_of(e, tuple(args))  # type: ignore[arg-type]
            e.region = found is not None and all(
                t.shape == self.avals[o].shape and t.dtype == self.avals[o].dtype
                for t, o in zip(found, e.outputs, strict=True)
            )
        return [e.region for e in self.equations]

    def _own_input(self, atom: Any, i: int) -> Term | None:
        if isinstance(atom, Literal):
            return literal_term(atom)
        aval = self.avals[atom]
        return numbered(i, aval.shape, aval.dtype) if plain(aval) else None

    # -- stages -------------------------------------------------------------------------------

    def _assign(self, outputs: Sequence[Any]) -> None:
        """Stages: as early as possible first, then as late as all users allow."""
        available = [0] * len(self.avals)  # for equations that are no region
        maker: dict[int, Equation] = {}
        effects = 0  # what has effects, on references among others, stays in its order
        for e in self.equations:
            numbers = [a for a in e.inputs if isinstance(a, int)]
            stage = 0
            for a in numbers:
                made = maker.get(a)
                inside = made is not None and made.region
                stage = max(stage, available[a] - (1 if inside and e.region else 0))
            if e.effects:
                stage = effects = max(stage, effects)
            e.stage = stage
            for o in e.outputs:
                maker[o] = e
                available[o] = stage + 1 if e.region else stage
        latest: dict[int, int] = {a: -1 for a in outputs if isinstance(a, int)}
        for e in reversed(self.equations):
            if e.region:
                uses = [latest.get(o) for o in e.outputs]
                known = [u for u in uses if u is not None]
                if known and min(known) > e.stage:
                    e.stage = min(known)
            for a in e.inputs:
                if isinstance(a, int):
                    bound = e.stage if e.region else -1
                    latest[a] = min(latest.get(a, bound), bound)

    def _gather(self, outputs: Sequence[Any]) -> None:
        """Regions of each stage, connected equations together, and the steps in order."""
        last = max((e.stage for e in self.equations), default=0)
        by_stage: list[list[Equation]] = [[] for _ in range(last + 1)]
        others: list[list[Equation]] = [[] for _ in range(last + 1)]
        for e in self.equations:
            (by_stage if e.region else others)[e.stage].append(e)
        used = {a for a in outputs if isinstance(a, int)}
        readers: dict[int, set[int]] = {}
        component = {
            id(e): (stage, number)
            for stage, equations in enumerate(by_stage)
            for number, part in enumerate(_connected(equations))
            for e in part
        }
        for e in self.equations:
            mine = component.get(id(e), ("step", id(e)))
            for a in e.inputs:
                if isinstance(a, int):
                    readers.setdefault(a, set()).add(mine)  # type: ignore[arg-type]
        for stage in range(last + 1):
            for e in others[stage]:
                self.reading.steps.append(Step(e.inputs, e.outputs, None, e))
                self.reading.passed.append((e.name, e.place))
            for part in _connected(by_stage[stage]):
                mine = component[id(part[0])]
                wanted = [
                    o
                    for e in part
                    for o in e.outputs
                    if o in used or readers.get(o, set()) - {mine}  # type: ignore[operator]
                ]
                if wanted:
                    self.reading.steps.append(self._region(part, wanted))

    def _region(self, part: Sequence[Equation], wanted: list[int]) -> Step:
        terms: dict[int, Term] = {}
        inputs: list[int] = []
        for e in part:
            args = []
            for a in e.inputs:
                if isinstance(a, Literal):
                    args.append(literal_term(a))
                    continue
                if a not in terms:
                    aval = self.avals[a]
                    terms[a] = numbered(len(inputs), aval.shape, aval.dtype)
                    inputs.append(a)
                args.append(terms[a])
            found = terms_of(e, tuple(args))
            assert found is not None
            terms.update(zip(e.outputs, found, strict=True))
        roots = mean_gelu(mean_root_2([terms[o] for o in wanted]))
        region = region_of(roots, [terms[a] for a in inputs], self.settings)
        return Step(list(inputs), wanted, region, None)


def _connected(equations: Sequence[Equation]) -> list[list[Equation]]:
    """Equations joined by the values that one makes and another takes, or both take."""
    parent = list(range(len(equations)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[int, int] = {}
    for i, e in enumerate(equations):
        for a in [*e.inputs, *e.outputs]:
            if isinstance(a, int):
                j = first.setdefault(a, i)
                parent[root(i)] = root(j)
    groups: dict[int, list[Equation]] = {}
    for i, e in enumerate(equations):
        groups.setdefault(root(i), []).append(e)
    return list(groups.values())


def _inner(eqn: Any) -> tuple[Any, str]:
    """The body to inline, if any; the op of ours that a function of JAX's own library is."""
    name, params = eqn.primitive.name, eqn.params
    if name in ("jit", "pjit", "closed_call", "core_call"):
        body = params.get("jaxpr", params.get("call_jaxpr"))
        function = library_function(body)
        if function in CALLED and _is_whole(function, body):
            return None, CALLED[function]
        donated = any(params.get("donated_invars", ()))
        placed = any(
            type(s).__name__ != "UnspecifiedValue"
            for s in (*params.get("in_shardings", ()), *params.get("out_shardings", ()))
        )
        if donated or placed or len(body.jaxpr.eqns) > INLINE_AT_MOST:
            return None, ""
        return body, ""
    if name == "custom_jvp_call":
        body = params["call_jaxpr"]
        function = library_function(body)
        if function in INLINED:
            return body, ""
        if function in LIBRARY:
            return None, LIBRARY[function]
    return None, ""


def _is_whole(function: str, body: Any) -> bool:
    """Whether a body is that of the function, not of a derivative, which has its name too."""
    given = [v.aval for v in body.jaxpr.invars]
    if not all(is_float(a.dtype) for a in given) or len(body.jaxpr.outvars) != 1:
        return False
    return str(body.jaxpr) == _body(function, tuple(given))


@lru_cache(maxsize=256)
def _body(function: str, given: tuple[Any, ...]) -> str:
    """What JAX traces a function of its own to."""
    try:
        home = jax.numpy if hasattr(jax.numpy, function) else jax.scipy.special
        whole = jax.make_jaxpr(getattr(home, function))(*given)
    except TypeError:  # of another number of arguments
        return ""
    (eqn,) = whole.jaxpr.eqns
    return str(eqn.params["jaxpr"].jaxpr)


def library_function(body: Any) -> str:
    """The name of the function of JAX's own library that a body was traced from, or ""."""
    info = getattr(getattr(body.jaxpr, "debug_info", None), "func_src_info", None) or ""
    name, _, place = info.partition(" at ")
    return name if place.startswith(LIBRARY_HOME) else ""
