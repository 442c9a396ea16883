"""A line on the terminal that says what long work is at; nothing where nobody looks."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

STAGES = 4


class Stages:
    """A progress bar over the stages of an audit, gone when it is done.

    Attributes:
        current: what is being worked on.
    """

    def __init__(self, *, shown: bool = True, stages: int = STAGES) -> None:
        console = Console(stderr=True)
        self.current = "the start"
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._bar.add_task(self.current, total=stages)
        self._started = False
        self._before, self._steps = 0, 1

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def next(self, name: str, steps: int = 1) -> None:
        """Say what comes next; one more stage is behind.

        Args:
            name: of the stage.
            steps: how many parts it has; ``step`` says that one of them is done.
        """
        self.current = name
        done = self._before + int(self._started)
        self._bar.update(self._task, description=name, completed=done)
        self._before, self._started, self._steps = done, True, steps

    def step(self) -> None:
        """One part of the stage is done."""
        self._bar.advance(self._task, 1.0 / self._steps)
