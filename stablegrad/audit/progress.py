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

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def next(self, name: str) -> None:
        """Say what comes next; one more stage is behind."""
        self.current = name
        self._bar.update(self._task, description=name, advance=int(self._started))
        self._started = True
