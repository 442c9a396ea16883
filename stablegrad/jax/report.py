"""What the bridge did with a program: the rules that fired, and what it left alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stablegrad.jax.links import left_apart
from stablegrad.rewrite import Fired

STRUCTURE = frozenset(
    "jit pjit scan while cond remat2 checkpoint remat shard_map stablegrad".split()
)
"""Primitives whose bodies are stabilized in their place, or are already."""


@dataclass(slots=True)
class Report:
    """What was read of a program.

    Attributes:
        readings: one for each jaxpr read, the bodies of control flow among them.
    """

    readings: list[Any] = field(default_factory=list)

    def add(self, reading: Any) -> None:
        """Note a reading."""
        self.readings.append(reading)

    @property
    def regions(self) -> list[Any]:
        """The regions, in order."""
        return [s.region for r in self.readings for s in r.steps if s.region is not None]

    @property
    def fired(self) -> tuple[Fired, ...]:
        """The rules that fired in values; derivatives fire theirs when they are asked for."""
        for region in self.regions:
            region.stable  # noqa: B018 - rules fire when it is first asked for
        return tuple([f for region in self.regions for f in region.fired])

    @property
    def passed(self) -> tuple[tuple[str, str], ...]:
        """The primitives passed through untouched, each with the user's line."""
        found = [p for r in self.readings for p in r.passed if p[0] not in STRUCTURE]
        return tuple(dict.fromkeys(found))

    @property
    def apart(self) -> tuple[tuple[str, str], ...]:
        """Of derivatives taken inside, the operations left apart, each with the user's line.

        What JAX multiplied there is evaluated as it stands; ``stabilize`` around the function
        that is differentiated sees more.
        """
        found = [p for r in self.readings if r.links is not None for p in left_apart(r.links)]
        return tuple(dict.fromkeys(found))

    def __str__(self) -> str:
        lines = [f"{len(self.regions)} regions"]
        if self.fired:
            lines.append("rules that fired:")
            lines += [
                f"  {name}" + (f": {reason}" if reason else "")
                for name, reason in dict.fromkeys((f.name, f.reason) for f in self.fired)
            ]
        if self.apart:
            lines.append("derivatives taken op by op (stabilize the function inside instead):")
            lines += [f"  {name} ({place})" for name, place in self.apart]
        if self.passed:
            lines.append("passed through as they are:")
            lines += [f"  {name} ({place})" for name, place in self.passed]
        return "\n".join(lines)

    __repr__ = __str__
