"""The codes of one program, their instructions numbered, equal ones alike.

A chain of ops in which every sum may cancel has as many codes as sums, each longer than the one
before; together they have no more instructions than the chain.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

from stablegrad.ops.lowered_arithmetic import Product, Sum
from stablegrad.ops.pair_calls import JOINT
from stablegrad.ops.pair_codes import Better, Code, Function, Select


class Cone(tuple[Any, ...]):  # noqa: SLOT001 - which it cannot have
    """A code that knows the numbers of its instructions in a pool."""

    pool: Pool
    place: int
    """How many codes the pool had before."""
    numbers: list[int]
    """Those of its leaves."""
    leaves: dict[int, int]
    """Which argument a leaf is, by its number."""
    order: list[int]
    """Its numbers, each after those that it needs."""
    hashed: int

    def __hash__(self) -> int:
        return self.hashed


class Pool:
    """The instructions of the codes of one program."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.steps: list[Any] = []
        """By number: an instruction on numbers, or whether a leaf is rounded."""
        self.last: list[int] = []
        """The last code that each number is part of."""
        self.cones = 0

    def add(self, leaves: Sequence[Hashable], rounded: Sequence[bool], code: Code) -> Cone:
        """A code as part of the pool; codes run in the order in which they are added.

        Args:
            leaves: what the arguments are: equal ones hold equal values.
            rounded: which of them are rounded results.
            code: the instructions.
        """
        cone = Cone(code)
        cone.pool, cone.place, cone.hashed = self, self.cones, hash(code)
        self.cones += 1
        numbers = [self._number((x, r), r, cone) for x, r in zip(leaves, rounded, strict=True)]
        cone.numbers = numbers.copy()
        cone.leaves = {number: i for i, number in enumerate(numbers)}
        for step in code:
            known = _renamed(step, numbers)
            numbers.append(self._number(known, known, cone))
        cone.order = list(dict.fromkeys(numbers))
        return cone

    def _number(self, key: Any, step: Any, cone: Cone) -> int:
        number = self.numbers.setdefault(key, len(self.steps))
        if number == len(self.steps):
            self.steps.append(step)
            self.last.append(cone.place)
        self.last[number] = cone.place
        return number

    @cached_property
    def twins(self) -> list[int | None]:
        """By number of a function, that of another one which comes with it."""
        found: list[int | None] = []
        for step in self.steps:
            twin = JOINT.get(step.name) if isinstance(step, Function) else None
            found.append(twin and self.numbers.get(step._replace(name=twin.other)))
        return found

    @cached_property
    def dead(self) -> list[list[int]]:
        """By code: the numbers that no later one needs."""
        found: list[list[int]] = [[] for _ in range(self.cones)]
        for number, place in enumerate(self.last):
            found[place].append(number)
        return found


def _renamed(step: Any, numbers: Sequence[int]) -> Any:
    """An instruction on other registers."""
    if isinstance(step, Sum):
        return Sum(step.constant, tuple([(c, numbers[i]) for c, i in step.addends]))
    if isinstance(step, Product):
        return Product(tuple([(numbers[i], p) for i, p in step.factors]))
    if isinstance(step, Select):
        other = None if step.other is None else numbers[step.other]
        return Select(numbers[step.condition], numbers[step.chosen], other)
    if isinstance(step, Better):
        return Better(numbers[step.meant], numbers[step.rounded])
    return step._replace(registers=tuple([numbers[i] for i in step.registers]))
