"""What a report says of a synthesis, in the form of a rule that fired."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Synthesis:
    """Stands among the rules in a log of what fired."""

    name: str = "synthesis"
    database: str = "synthesis"
    group: str = ""
    reason: str = "a fragile function of one value gets a proved kernel"
    place: str = "synthesis/detect.py"
    source: str = "Taylor models by Cauchy's estimate"

    def told(self, proved: str) -> Synthesis:
        """The same with what was proved as the reason."""
        return replace(self, reason=f"a kernel made from the expression: {proved}")


SYNTHESIS = Synthesis()
