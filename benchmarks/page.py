"""What sections of the page of benchmarks are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.measure import describe, figure

Data = dict[str, Any]


def grid(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def spoken(name: str) -> str:
    """A name as words."""
    return name.replace("_", " ")


def ratio(value: float | None, limit: float | None) -> str:
    """A ratio, bold where it misses its goal."""
    text = figure(value)
    return f"**{text}**" if limit is not None and value is not None and value > limit else text


def machine(data: Data) -> str:
    """The line that says where figures are from."""
    return f"Measured on: {describe(data['machine'])}; load {data['machine']['load']}."
