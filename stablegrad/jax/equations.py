"""Equations over numbered values: what the reader makes of a jaxpr before it cuts regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stablegrad.errors import StablegradError
from stablegrad.ir import OPS, Term, rebuild
from stablegrad.jax.library import COMPOSED
from stablegrad.jax.marks import Mark
from stablegrad.jax.operations import translate
from stablegrad.jax.regions import Region, plain
from stablegrad.ops.record import const


@dataclass(slots=True)
class Equation:
    """An equation over numbered values."""

    name: str
    inputs: list[Any]
    outputs: list[int]
    source: Any
    """The equation of the jaxpr; None for one of ours."""
    ours: str = ""
    place: str = ""
    applied: Region | None = None
    """The region that it applies, if it is one already."""
    batch: tuple[tuple[bool, ...], ...] = ()
    mark: Mark | None = None
    region: bool = False
    stage: int = 0
    before: Sequence[Any] = ()
    """The bodies that made its arguments, if it is a body."""

    @property
    def effects(self) -> bool:
        """Whether it has to run, and in its order, whoever uses its results."""
        return bool(getattr(self.source, "effects", None))


class Literal:
    """A constant of a program."""

    __slots__ = ("aval", "value")

    def __init__(self, value: Any, aval: Any) -> None:
        self.value = value
        self.aval = aval


def terms_of(e: Equation, args: Sequence[Term]) -> list[Term] | None:
    """The results of an equation over argument terms, None where it has to stay what it is."""
    if e.applied is not None:
        if e.batch:
            return None
        return rebuild(e.applied.roots, dict(zip(e.applied.inputs, args, strict=True)))
    try:
        if e.ours:
            return [(COMPOSED.get(e.ours) or OPS[e.ours])(*args)]
        return translate(e.name, tuple(args), dict(e.source.params))
    except (StablegradError, KeyError):
        return None


def literal_term(literal: Literal) -> Term | None:
    """A scalar constant as a term."""
    aval = literal.aval
    if not plain(aval) or aval.shape != ():
        return None
    return const(np.asarray(literal.value, aval.dtype)[()], aval.dtype)


def alive(equations: Sequence[Equation], wanted: Iterable[int]) -> list[Equation]:
    """The equations that wanted numbers or effects need."""
    needed, found = set(wanted), []
    for e in reversed(equations):
        if e.effects or not needed.isdisjoint(e.outputs):
            found.append(e)
            needed.update([a for a in e.inputs if isinstance(a, int)])
    return found[::-1]


def ordered(equations: Sequence[Equation]) -> list[Equation] | None:
    """The equations, each behind those that it needs, effects in their order; None for a cycle."""
    maker = {o: n for n, e in enumerate(equations) for o in e.outputs}
    needs: list[list[int]] = []
    last: int | None = None
    for n, e in enumerate(equations):
        found = [maker[a] for a in e.inputs if isinstance(a, int) and a in maker]
        if e.effects:
            found += [last] if last is not None else []
            last = n
        needs.append(found)
    done: set[int] = set()
    begun: set[int] = set()
    order: list[Equation] = []
    for start in range(len(equations)):
        pending = [start]
        while pending:
            n = pending[-1]
            if n in done:
                pending.pop()
                continue
            missing = [m for m in needs[n] if m not in done]
            if missing:
                if n in begun:
                    return None
                begun.add(n)
                pending.extend(missing)
                continue
            done.add(n)
            order.append(equations[n])
            pending.pop()
    return order
