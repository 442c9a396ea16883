"""Programs: from terms over leaves to values, compiled once per structure.

A program is numbered (leaves in the order in which they are met), so that programs of one
structure share one plan: a training loop compiles once, whatever its tensors are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import count
from typing import Any

import numpy as np

from stablegrad.canonical import FILLED
from stablegrad.collecting import seldom_collected
from stablegrad.engines import plan
from stablegrad.engines.numpy import BARE, Plan
from stablegrad.guarded import GuardedPlan
from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.ops import rescued, spectral
from stablegrad.ops.derivative import CUSTOM, GRADIENT, PUSHFORWARD, gradient
from stablegrad.ops.forms import REQUIRE
from stablegrad.ops.lowered_structured import inputs_of
from stablegrad.ops.record import CONST, INPUT, LEAF, const, is_float
from stablegrad.rewrite import Fired
from stablegrad.settings import Settings
from stablegrad.synthesis import Allowance, Run, reduced, synthesize
from stablegrad.synthesis.fragile import KNOWN
from stablegrad.synthesis.report import SYNTHESIS
from stablegrad.transforms.expand import Expander
from stablegrad.transforms.fold import fold
from stablegrad.transforms.lower import Lowering
from stablegrad.transforms.widened import lowered_widely

Array = np.ndarray[Any, Any]
CACHED_PROGRAMS = 1024


class Program:
    """A compiled program: call it with the values of its inputs."""

    def __init__(
        self,
        roots: Sequence[Term],
        inputs: Sequence[Term],
        fired: list[Fired],
        casts: set[Term],
        engine: str = "numpy",
        meant: Sequence[Term] | None = None,
    ) -> None:
        self.roots = list(roots)
        """The terms that run, lowered."""
        self.inputs = list(inputs)
        self.fired = fired
        """The rules that fired, in order."""
        self.casts = casts
        """The conversions to a wider dtype and back that lowering inserted."""
        self._plan: Callable[[Sequence[Array]], list[Array]]
        if meant is None:
            self._plan = plan(engine, self.roots, self.inputs)
        else:
            self._plan = GuardedPlan(self.roots, meant, self.inputs)

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        """The values of the roots for values of the inputs, in their order."""
        return self._plan(values)


def stable_terms(
    roots: Sequence[Term], settings: Settings, places: dict[Term, str] | None = None
) -> tuple[list[Term], list[Fired]]:
    """The roots stabilized and differentiated, not yet lowered; and the rules that fired."""
    expander = Expander(settings, places)
    stable = expander(roots)
    if not settings.stabilizes:
        return stable, expander.fired
    stable = fold(stable)
    if settings.synthesizes:
        stable = synthesized(stable, expander, WIDENED if settings.widens else NARROW)
    return stable, expander.fired


def synthesized(roots: Sequence[Term], expander: Expander, run: Run) -> list[Term]:
    """The roots, folded, with kernels for the fragile parts that no op or rule covers."""

    def note(before: Term, after: Term, proved: str) -> None:
        place = expander.rewriter.places.get(before, "")
        expander.fired.append(Fired(SYNTHESIS.told(proved), before, after, place))

    allowance = Allowance(run.most)
    try:
        if run is not NARROW:  # pairs of float64s tell where two values are
            roots = reduced(roots, run, note, allowance)
        return synthesize(roots, run, note, allowance)
    finally:
        KNOWN.forget()


def _widened(root: Term, *, native: bool = False) -> Term:
    return Lowering(native=native)([root])[0]


def values_of(
    expression: Term, bound: Mapping[Term, Array], lowered: Callable[[Term], Term] = _widened
) -> Array:
    """A scalar expression, lowered and run on arrays of one shape and dtype.

    Nothing is decided by the oracle: that is too dear for many elements, and XLA has no such means.
    """
    inputs = [make(INPUT, (), (i,), v.shape, v.dtype) for i, v in enumerate(bound.values())]
    done: dict[Term, Term] = dict(zip(bound, inputs, strict=True))
    values = next(iter(bound.values()))
    for term in topological([expression], stop=done.__contains__):
        if term in done:
            continue
        dtype = values.dtype if is_float(term.dtype) else term.dtype
        shape = () if term.op is CONST else values.shape
        args = tuple([done[a] for a in term.args])
        done[term] = make(term.op, args, term.params, shape, dtype)
    run = Plan([lowered(done[expression])], inputs, names=BARE)
    return np.broadcast_to(run(list(bound.values()))[0], values.shape)


WIDENED = Run(values_of)
"""Fragile parts of float32 programs, and all of half precision, are computed in float64."""
NARROW = Run(partial(values_of, lowered=partial(_widened, native=True)), native=lambda source: True)
"""Everything is computed in the program's own dtype."""


def compile_terms(
    roots: Sequence[Term],
    inputs: Sequence[Term],
    settings: Settings,
    places: dict[Term, str] | None = None,
    engine: str = "numpy",
) -> Program:
    """Compile terms over numbered inputs.

    Args:
        roots: the terms wanted, over terms of the op ``input``.
        inputs: those input terms, in the order in which values will be given.
        settings: the rules in force.
        places: the user's lines of terms, for the log of what fired.
        engine: what runs the program.
    """
    stable, fired = stable_terms(roots, settings, places)
    lowering = Lowering(native=not settings.widens)
    meant = None
    if settings.guarded and engine == "numpy":
        apart = replace(settings, excluded=settings.excluded | {"synthesis"})
        meant, _ = stable_terms(roots, apart)
    if engine != "numpy" or lowering.native:
        return Program(lowering(stable), inputs, fired, lowering.casts, engine, meant)
    lowered, casts = lowered_widely(lowering, stable)
    return Program(lowered, inputs, fired, lowering.casts | casts, engine, meant)


# -- structure ----------------------------------------------------------------------------

_programs: dict[Any, tuple[Program, list[int]]] = {}
"""Programs by key, with when they were asked for last; keys are long, and hashed once a call."""
_asked = count()


def numbered(roots: Sequence[Term]) -> tuple[list[Term], list[Term], dict[Term, Term]]:
    """Give numbers to leaves: the order of all terms, the leaves, and leaf -> input."""
    order = topological(roots)
    leaves = [t for t in order if t.op is LEAF]
    inputs = {leaf: make(INPUT, (), (i,), leaf.shape, leaf.dtype) for i, leaf in enumerate(leaves)}
    return order, leaves, inputs


def structure(roots: Sequence[Term]) -> tuple[tuple[Any, ...], list[Term]]:
    """What two programs share exactly when they differ in the values of leaves only.

    Which leaves are the number 1 is part of it.

    Returns:
        The key, and the leaves in the order in which they are met, as ``numbered`` has it.
        Every evaluation begins here, so the key is one flat tuple.
    """
    position: dict[Term, int] = {}
    leaves: list[Term] = []
    key: list[Any] = []
    for i, term in enumerate(topological(roots)):
        position[term] = i
        args = term.args
        if term.op is LEAF:
            leaves.append(term)
            key += (term.shape, term.dtype, term.params[0].is_one)
        else:  # an op, so that no leaf can be taken for it, and its number of arguments
            key += (term.op, term.params, term.shape, term.dtype, len(args))
            key += map(position.__getitem__, args)
    key += [position[r] for r in roots]
    return tuple(key), leaves


def _ones(order: Sequence[Term], inputs: Mapping[Term, Term]) -> dict[Term, Term]:
    """The leaves that hold the number 1, and nothing is differentiated by, as constants."""
    ones = {t: const(1, t.dtype, t.shape) for t in inputs if t.params[0].is_one}
    for term in order if ones else ():
        if term.op in (GRADIENT, PUSHFORWARD, CUSTOM):
            for variable in term.args:
                ones.pop(variable, None)
    return ones


def _renamed(
    order: Sequence[Term], inputs: dict[Term, Term], ones: Mapping[Term, Term]
) -> list[Term]:
    """All terms over inputs; leaves that hold the number 1 are constants to ops that see them."""
    if not ones:
        return rebuild(order, dict(inputs))
    done = dict(inputs)
    for term in order:
        if term.op is not LEAF:
            sees = term.op.elementwise or (term.op.name in FILLED and len(term.args) == 1)
            args = tuple([ones[a] if sees and a in ones else done[a] for a in term.args])
            done[term] = make(term.op, args, term.params, term.shape, term.dtype)
    return [done[t] for t in order]


def _has_undefined(program: Program) -> bool:
    """Whether a constant of a program is nan: log(x)/(x - 1) of the number 1, not of a variable."""
    given: dict[Term, bool] = {}
    for t in topological(program.roots):
        given[t] = t.op is INPUT or any(given[a] for a in t.args)
        if t.op is CONST and t.params[0] == "nan":
            return True
        if t.op is REQUIRE and not given[t.args[1]]:
            return True
    return False


def program_of(
    roots: Sequence[Term], settings: Settings, engine: str = "numpy"
) -> tuple[Program, list[Term]]:
    """The compiled program of terms over leaves, from the cache if its structure is known."""
    form, leaves = structure(roots)
    key = (settings, engine, form)
    program = known(key)
    if program is None:
        order, leaves, inputs = numbered(roots)
        given = [inputs[leaf] for leaf in leaves]
        ones = _ones(order, inputs)

        def compiled(ones: Mapping[Term, Term]) -> Program:
            renamed = _renamed(order, inputs, ones)
            places = {new: t.place for t, new in zip(order, renamed, strict=True) if t.written}
            image = dict(zip(order, renamed, strict=True))
            return compile_terms([image[r] for r in roots], given, settings, places, engine)

        with seldom_collected():
            program = compiled(ones)
            if ones and _has_undefined(program):
                program = compiled({})
        remember(key, program)
    return program, leaves


def known(key: Any) -> Program | None:
    """The program remembered under a key: settings, structure, and what else it depends on."""
    found = _programs.get(key)
    if found is None:
        return None
    program, last = found
    last[0] = next(_asked)
    return program


def remember(key: Any, program: Program) -> None:
    """Keep a program under a key; what was not asked for longest is forgotten."""
    _programs[key] = program, [next(_asked)]
    if len(_programs) > CACHED_PROGRAMS:
        oldest, _ = min(list(_programs.items()), key=lambda item: item[1][1][0])
        _programs.pop(oldest, None)


def evaluate(roots: Sequence[Term], settings: Settings) -> list[Array]:
    """The values of terms over leaves, through the whole pipeline.

    The value of a root does not depend on which other roots are asked for.
    """
    program, leaves = program_of(roots, settings)
    return program([leaf.params[0].value for leaf in leaves])


# -- functions of one variable inside ops ---------------------------------------------------

_LEAST = 16
"""Points that a scalar function is compiled for at least; beyond, four times as many, and so on."""


@lru_cache(maxsize=256)
def _scalar_program(body: Term, parameters: int, order: int, size: int) -> Program:
    inputs = [make(INPUT, (), (0,), (size,), spectral.WIDE)]
    inputs += [make(INPUT, (), (i + 1,), (), spectral.WIDE) for i in range(parameters)]
    y = spectral.applied(body, inputs[0], inputs[1:])
    for _ in range(order):
        y = gradient(y, inputs[0], const(1, y.dtype, y.shape))
    return compile_terms([OPS["broadcast_to"](y, shape=(size,))], inputs, Settings())


def _scalar_compiler(body: Term, parameters: int, order: int) -> Callable[..., Array]:
    """The derivative of an expression, for any number of points: padded to few sizes."""

    def run(x: Array, *values: float) -> Array:
        size = _LEAST
        while size < x.size:
            size *= 4
        padded = np.full(size, x[-1] if x.size else 0.0)
        padded[: x.size] = x
        program = _scalar_program(body, parameters, order, size)
        return program([padded, *[np.asarray(v) for v in values]])[0][: x.size]

    return run


spectral.set_compiler(_scalar_compiler)


@lru_cache(maxsize=256)
def _wide_plan(meant: Term, size: int) -> Plan:
    """A canonical elementwise float32 program in float64, for so many points."""
    leaves = inputs_of(meant)
    wide = np.dtype(np.float64)
    inputs = [make(INPUT, (), (i,), (size,), wide) for i in range(len(leaves))]
    done = dict(zip(leaves, inputs, strict=True))
    for t in topological([meant], stop=done.__contains__):
        if t in done:
            continue
        args = tuple([done[a] for a in t.args])
        shape = () if t.op is CONST else (size,)
        moved = t.op.name == "broadcast_to"
        dtype = wide if is_float(t.dtype) else t.dtype
        done[t] = args[0] if moved else make(t.op, args, t.params, shape, dtype)
    return Plan(Lowering()([done[meant]]), inputs)


def _at_points(meant: Term, columns: Sequence[Array]) -> Array:
    """The values of a canonical float32 program at points, from the same in float64."""
    count = columns[0].size
    out = np.empty(count)
    size = min(1 << (count - 1).bit_length(), _MANY)
    plan = _wide_plan(meant, size)
    for start in range(0, count, size):
        part = [np.resize(x[start : start + size], size).astype(np.float64) for x in columns]
        end = min(start + size, count)
        out[start:end] = plan(part)[0][: end - start]
    return out


_MANY = 4096
rescued.set_compiler(_at_points)


def forget() -> None:
    """Drop all compiled programs."""
    _programs.clear()
