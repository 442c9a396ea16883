"""The section of the page of benchmarks on synthesized kernels."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.judge import SHARP_ULP
from benchmarks.measure import figure
from benchmarks.page import Data, grid, machine

TEXT = """## Synthesized kernels

Kernels of 44 functions at orders 0, 1 and 2, made and proved from the expression as written, and
judged on random bit patterns: in float64, in float32 computed in that, and, native, in float32
arithmetic alone under NumPy and under jit. Sharp: within 4 ulp (1 in float32 by float64) with no
gap in which the naive form is wrong."""


def sharp(row: Data) -> bool:
    """Whether a kernel keeps 4 ulp (1 in float32 by float64) with no gap that matters."""
    if "declined" in row:
        return False
    bounds = {"float64": SHARP_ULP, "float32": 1.0}
    return all(
        row[d]["worst_ulp"] <= b and not row[d]["uncovered_wrong"] for d, b in bounds.items()
    )


def _counted(rows: list[Data], worst: list[float], good: int) -> list[Any]:
    return [len(rows), good, figure(max(worst)), figure(statistics.median(worst))]


def synthesis(data: Data) -> str:
    """Counts, what is not sharp, and native kernels."""
    rows = data["rows"]
    made = [r for r in rows if "declined" not in r]
    counts = [
        [d, *_counted(rows, [r[d]["worst_ulp"] for r in made], sum(sharp(r) for r in rows))]
        for d in ("float64", "float32")
    ]
    native = data.get("native", [])
    for way in ("numpy", "jit"):
        worst = [r[way] for r in native if way in r]
        if worst:
            good = sum(w <= SHARP_ULP for w in worst)
            counts.append([f"native, {way}", *_counted(native, worst, good)])
    times = [r["elapsed_s"] for r in rows]
    blunt = [
        [
            f"`{r['function']}`",
            r["order"],
            *(
                [figure(r["float64"]["worst_ulp"]), r["gaps"], r["float64"]["uncovered_wrong"]]
                if "declined" not in r
                else ["declined", "", ""]
            ),
        ]
        for r in rows
        if not sharp(r)
    ]
    return "\n\n".join(
        [
            TEXT,
            grid(["computed in", "kernels", "sharp", "worst, ulp", "median of the worst"], counts),
            (
                f"Made and proved in {figure(statistics.median(times))} s (median) of CPU time, "
                f"{figure(max(times))} s at most. Not sharp, with the points at which a gap "
                "leaves the naive form wrong:"
            ),
            grid(["function", "order", "ulp", "gaps", "points"], blunt),
            machine(data),
        ]
    )
