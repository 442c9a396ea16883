"""What is counted for each operation of each line of a program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from stablegrad.audit.measure import NOTHING, Counts
from stablegrad.ir import Term

Key = tuple[str, str]
"""A place and the name of an operation."""


@dataclass
class Line:
    """What one operation of one line loses, forward and backward.

    ``forward`` and ``backward`` count what is lost right here; ``seen_forward`` and
    ``seen_backward`` what is wrong here in the naive run, wherever it was lost.
    """

    place: str
    op: str
    forward: Counts = NOTHING
    backward: Counts = NOTHING
    seen_forward: Counts = NOTHING
    seen_backward: Counts = NOTHING
    causes: Counter[str] = field(default_factory=Counter)
    carried: float = 0.0
    """Bits that the arguments have lost already when they come here in the naive run."""
    condition: float = 0.0
    """By how much the operation itself magnifies relative errors of its arguments, at most."""

    @property
    def cause(self) -> str:
        """What befalls most of the elements that are lost here."""
        return self.causes.most_common(1)[0][0] if self.causes else ""

    @property
    def bad(self) -> int:
        """Elements that lose digits here."""
        return self.forward.bad + self.backward.bad


@dataclass(frozen=True, slots=True)
class Loss:
    """One node, forward or backward, that loses digits on right arguments.

    Attributes:
        line: where it is counted.
        term: the node that has to be computed for the loss to happen.
        backward: whether it is a step back.
        bits: lost at most.
        cause: of most elements.
    """

    line: Line
    term: Term
    backward: bool
    bits: float
    cause: str
