"""Residuals: what the body of a backward pass knows of the forward pass that made its arguments.

Under ``shard_map`` the pullback of a body is another body, which takes intermediate values of the
first as arguments. That one of them is the exponential of another is seen in the first alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stablegrad.jax.equations import Equation, Literal


@dataclass(slots=True)
class Forward:
    """A body whose results are arguments of another one.

    Attributes:
        body: its jaxpr.
        shared: its arguments that are arguments there, too, by position, and constants.
        results: the arguments there, by position, that are its results.
    """

    body: Any
    shared: dict[int, int | Literal] = field(default_factory=dict)
    results: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Known:
    """Equations that hold, but do not run, and the numbers of their results that are at hand."""

    equations: list[Equation] = field(default_factory=list)
    at_hand: dict[int, int] = field(default_factory=dict)


def forwards(e: Equation, earlier: Sequence[Equation]) -> list[Forward]:
    """The bodies of earlier equations that made arguments of a ``shard_map``."""
    found = []
    for first in earlier:
        if first.name != "shard_map" or not _alike(first, e):
            continue
        made = Forward(first.source.params["jaxpr"])
        places = {a: j for j, a in enumerate(e.inputs) if isinstance(a, int)}
        specs = e.source.params["in_specs"]
        for k, o in enumerate(first.outputs):
            j = places.get(o)
            if j is not None and first.source.params["out_specs"][k] == specs[j]:
                made.results[j] = k
        for i, a in enumerate(first.inputs):
            j = places.get(a) if isinstance(a, int) else None
            if isinstance(a, Literal):
                made.shared[i] = a
            elif j is not None and first.source.params["in_specs"][i] == specs[j]:
                made.shared[i] = j
        if made.results:
            found.append(made)
    return found


def _alike(a: Equation, b: Equation) -> bool:
    names = ("mesh", "newly_manual_axes", "manual_axes")
    return all(a.source.params.get(n) == b.source.params.get(n) for n in names)
