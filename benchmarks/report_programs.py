"""The sections on programs at random bit patterns: random programs, and textbook formulas."""

from __future__ import annotations

from benchmarks.page import Data, grid, machine

FUZZ_TEXT = """## Random programs

Programs of 3 to 30 ops at points of every size and at random bit patterns, value and first
derivative, against the oracle: how they come out stabilized, and how much worse than computed as
they stand. *Naive right*: of those above, the points where naive is within 64 ulp. *Made up*: a
number where there is none. Without synthesis."""


def fuzz(data: Data) -> str:
    """Shares of the points of random programs."""
    counts = data["counts"]
    rows = [
        [key.strip(), *[f"{100 * c[key] / max(1, c['points']):.3g}%" for c in counts.values()]]
        for key in counts["value"]
        if key != "points"
    ]
    found = [counts[kind]["points"] for kind in counts]
    told = f"{data['programs']} programs from seed {data['seed']}, {found[0]} points with a value"
    raised = f"{len(data['raised'])} programs raised or took too long."
    return "\n\n".join([FUZZ_TEXT, f"{told}; {raised}", grid(["", *counts], rows), machine(data)])


FORMULAS_TEXT = """The formulas of `benchmarks/data/formulas.txt`, of one to nine variables, at bit
patterns within their preconditions: values, and slopes by every variable. *Wrong*: a finite number
that is not right; *nan made up*: nan or infinity where there is a number; *worse*: by more than 4
ulp than as written; *made up*: a number where there is none."""


def formulas(data: Data) -> str:
    """Shares of the points of textbook formulas."""
    counts = data["counts"]
    rows = [[key, *[c[key] for c in counts.values()]] for key in counts["value"]]
    head = f"## Textbook formulas, {data['dtype']}\n\n{FORMULAS_TEXT}"
    kinds = "without synthesis" if not data["synthesis"] else "with synthesis"
    told = f"{len(data['rows'])} formulas from seed {data['seed']}, {kinds}:"
    missed = [
        [r["name"], f"`{r['formula']}`", *[_missed(r["counts"][kind]) for kind in counts]]
        for r in data["rows"]
        if r["counts"] and any(_missed(c) for c in r["counts"].values())
    ]
    listed = grid(["not right at some point", "formula", *counts], missed)
    return "\n\n".join([head, told, grid(["", *counts], rows), listed, machine(data)])


def _missed(counts: dict[str, int]) -> int:
    return counts["points"] - counts["right"]
