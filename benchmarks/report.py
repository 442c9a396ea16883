"""Writes ``docs/benchmarks.md`` from the results that the benchmarks have saved.

Run: ``python -m benchmarks.report``
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.chain import PASSES, cell
from benchmarks.kernels import COLUMNS
from benchmarks.measure import RESULTS, figure
from benchmarks.page import Data, grid, machine, ratio, spoken
from benchmarks.report_jax import accuracy_xla, cases_jax, jax_libraries, jax_speed, jax_steps
from benchmarks.report_programs import formulas, fuzz
from benchmarks.report_synthesis import synthesis

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Written by `python -m benchmarks.report` from the files in `benchmarks/results`; `python -m
benchmarks` measures everything anew. Ratios are of times taken in turns in one run, the least of
several samples of each (chains: each in a process of its own). Below 1, stablegrad is faster.

Goals: faster than autograd and MyGrad everywhere, at most twice torch's time for a training step.
**Bold**: missed.
"""
SMALL_TEXT = """## Small expressions

Building and running an expression with its gradient, one thread, CPU time. `backward` is
`Tensor.backward`, `grad` is `sg.value_and_grad`, `compile` is that compiled. Warm: the structure
was seen before. *Cold* is the first `backward` of a structure, which also stabilizes,
differentiates and compiles it. Median of the ratios of all rows:"""
CHAIN_TEXT = """## A chain of n ops

Captured, stabilized, differentiated, compiled and run, without recursion. CPU microseconds for
each op; in brackets the growth of that over the shortest chain: 1 is linear. *again*: the same
structure compiled once more, and run, as the first time too; *again, %*: what compiling alone
costs then, of what it did (goal: 5). Synthesis is left out. `circle` neither grows nor dies out;
`shared` uses the input in each link, so that its gradient is a sum of n/2.5 addends whose slopes
die out."""
CHAIN_MORE = ("again, %", "first, s", "peak, MiB")
PASSES_TEXT = """What compiling is made of: the program stabilized, differentiated, and its gradient
stabilized. The goal is at most 60 microseconds for each op of the program to stabilize it, and no
more to stabilize its gradient."""
LIMITS = {"torch": None, "autograd": 1.0, "mygrad": 1.0}
STEP_LIMITS = {"torch": 2.0, "autograd": 1.0, "mygrad": 1.0}


def small_expressions(data: Data) -> str:
    """Small expressions."""
    peers = data["peers"]
    ways = ("backward", "grad", "compile")
    rows = [
        [
            f"`{r['program']}`" if "(" in r["program"] else r["program"],
            r["size"],
            r["dtype"],
            figure(r["us_per_op"]["backward"]),
            figure(r["us_per_op"]["compile"]),
            *[ratio(r["ratio"]["backward"][p], LIMITS[p]) for p in peers],
            *[ratio(r["ratio"]["compile"][p], LIMITS[p]) for p in peers],
            figure(1e3 * r["cold_s"]["backward"]),
        ]
        for r in data["rows"]
    ]
    columns = ["program", "size", "dtype", "backward, us/op", "compile, us/op"]
    columns += [f"backward/{p}" for p in peers] + [f"compile/{p}" for p in peers] + ["cold, ms"]
    middle = [
        [
            way,
            *[
                ratio(statistics.median(r["ratio"][way][p] for r in data["rows"]), LIMITS[p])
                for p in peers
            ],
        ]
        for way in ways
    ]
    return "\n\n".join(
        [
            SMALL_TEXT,
            grid(["our way", *peers], middle),
            grid(columns, rows),
            machine(data),
        ]
    )


def training_step(data: Data) -> str:
    """The training step."""
    libraries = data["libraries"]
    times = [
        [r["optimizer"], r["threads"], *[figure(1e3 * r["step"][n]["min_s"]) for n in libraries]]
        for r in data["rows"]
    ]
    ours = [n for n in libraries if n.startswith("stablegrad")]
    others = [n for n in libraries if n not in ours]
    ratios = [
        [
            r["optimizer"],
            r["threads"],
            *[ratio(r["ratio"][a][b], STEP_LIMITS.get(b)) for a in ours for b in others],
        ]
        for r in data["rows"]
    ]
    sizes = "-".join(map(str, data["sizes"]))
    return "\n\n".join(
        [
            (
                f"## Training step\n\nA {sizes} network, relu, cross entropy, batch "
                f"{data['batch']}, float32; `numpy` is the step written out by hand. "
                "Milliseconds; CPU time for one thread, wall clock for two:"
            ),
            grid(["optimizer", "threads", *libraries], times),
            "Our time over theirs:",
            grid(["optimizer", "threads", *[f"{a}/{b}" for a in ours for b in others]], ratios),
            machine(data),
        ]
    )


def chain(data: Data) -> str:
    """The chain."""
    rows = [
        [
            r["chain"],
            r["way"],
            r["n"],
            *[cell(r, key) for key in ("first", "second", "run")],
            ratio(100 * r["again"], 5.0) if "again" in r else "-",
            figure(r.get("first_s")),
            figure(r.get("peak_mib")),
        ]
        for r in data["rows"]
        if r["way"] != "passes"
    ]
    passes = [
        [r["chain"], r["n"], *[cell(r, key) for key in PASSES]]
        for r in data["rows"]
        if r["way"] == "passes"
    ]
    return "\n\n".join(
        [
            CHAIN_TEXT,
            grid(["chain", "way", "n", "first", "again", "run", *CHAIN_MORE], rows),
            *([PASSES_TEXT, grid(["chain", "n", *map(spoken, PASSES)], passes)] if passes else []),
            *[f"Note: {r['note']}." for r in data["rows"] if "note" in r],
            machine(data),
        ]
    )


def cases(data: Data) -> str:
    """The cases."""
    counts = data["counts"]
    rows = [[name, c["cases"], c["right"], c["sharp"]] for name, c in counts.items()]
    missed = [r for r in data["rows"] if r["results"]["stablegrad"]["ulp"] > 4]
    listed = [
        [
            f"`{r['id']}`",
            f"`{r['expr']}`",
            r["order"],
            r["dtype"],
            r["results"]["stablegrad"]["error"].partition(":")[0]
            or figure(r["results"]["stablegrad"]["ulp"]),
        ]
        for r in missed
    ]
    return "\n\n".join(
        [
            (
                "## Real failures\n\nThe programs of `tests/data/cases.json`, which some framework "
                "gets wrong. *right*: within 64 ulp of the truth at all points; *sharp*: within 4."
            ),
            grid(["library", "cases", "right", "sharp"], rows),
            "Those that are not sharp in stablegrad, with the error in ulp:",
            grid(["case", "expression", "order", "dtype", "error"], listed),
            machine(data),
        ]
    )


def layers(data: Data) -> str:
    """The layers."""
    rows = [
        [
            r["layer"],
            " ".join("x".join(map(str, s)) for s in r["shapes"]),
            *[figure(1e3 * r["time"][w]["stablegrad"]["min_s"]) for w in ("value", "gradient")],
            *[
                ratio(r["ratio"][w], None) if w in r["ratio"] else "-"
                for w in ("value", "gradient")
            ],
        ]
        for r in data["rows"]
    ]
    columns = ["layer", "inputs", "value, ms", "gradient, ms", "value/torch", "gradient/torch"]
    return "\n\n".join(
        [
            (
                "## Layers\n\nOps of whole arrays, float32, one thread, CPU time: the value, and "
                "the gradient by all inputs with what it needs of the value; compiled."
            ),
            grid(columns, rows),
            machine(data),
        ]
    )


KERNEL_TEXT = """## Kernels

One op on a million float32s, one thread, CPU time: ns for each element, and the ratio to the
fastest other, with the extra `fast` (numba) installed; *without numba* it is not. `gradient` is
that of the sum, against torch's forward and backward pass. Goal: a geometric mean of at most 2.
**Bold**: over 4, with the reason below."""


def kernels(data: Data) -> str:
    """Kernels."""
    rows = [
        [
            f"`{r['op']}`",
            *[figure(r["ns"].get(n)) for n in COLUMNS],
            "-" if r["ratio"] is None else ratio(r["ratio"], 4.0),
            "-" if r["gradient_ratio"] is None else ratio(r["gradient_ratio"], 4.0),
        ]
        for r in data["rows"]
    ]
    over = [
        [f"`{r['op']}`", r["reason"]]
        for r in data["rows"]
        if max(r["ratio"] or 0, r["gradient_ratio"] or 0) > 4
    ]
    means = data["means"]
    ended = data.get("ended_after")
    note = (
        f"The run was ended after {ended} kernels; figures are those it had printed, and the "
        "kernels it had not reached have no part in the means."
    )
    columns = ["op", *[f"{n}, ns" for n in COLUMNS], "ratio", "gradient ratio"]
    kinds = ["values", "gradients", "values without numba", "gradients without numba"]
    return "\n\n".join(
        [
            KERNEL_TEXT,
            *([note] if ended else []),
            "Geometric means:",
            grid(kinds, [[figure(m) for m in means.values()]]),
            grid(columns, rows),
            grid(["over 4", "reason"], over),
            machine(data),
        ]
    )


FIRST_RUN = (
    "At their first run 63 of 67 programs of ten fields were flagged, with 61 ops and 62 causes as "
    "labelled. Three of the four others were right at the inputs chosen, to the last digit: two "
    "have other inputs since, one gave way to another program; of the last the truth (a limit "
    "halfway between two floats) was not decided. One of 62 well-written functions at hard inputs "
    "was flagged: the textbook slope of "
    "`arctanh` next to 1, which is a loss, and counts as one since."
)


def audit(data: Data) -> str:
    """What the audit says of labelled failures, and of functions that are fine."""
    counts = dict(data["counts"])
    told = counts.pop("functions")
    words = {"cases": "cases of `tests/data`", "further": "further spellings"}
    words["programs"] = "programs of ten fields"
    rows = [[words[n], *c.values()] for n, c in counts.items()]
    heads = ["set", "cases", "flagged", "op right", "cause right", "cured"]
    return "\n\n".join(
        [
            (
                "## The audit\n\nFailures labelled before they were run: is each flagged, and are "
                "the op and the cause named that a person names? *cured*: right when stabilized."
            ),
            grid(heads, rows),
            FIRST_RUN,
            f"False alarms on {told['fine']} well-written functions: {told['false_alarms']}.",
        ]
    )


def emitted(data: Data) -> str:
    """Emitted source against the library."""
    rows = [[name, *c.values()] for name, c in data["counts"].items()]
    heads = ["target", "cured here", "written", "right", "sharp", "sharp here"]
    return "\n\n".join(
        [
            (
                "## Emitted source\n\nThe cure of each of those cases as source (`--emit`), run "
                "without this library."
            ),
            grid(heads, rows),
        ]
    )


def screening(data: Data) -> str:
    """Screening against the oracle alone."""
    large = data["large"]
    rows = [[f"`{r['program']}`", *[*r.values()][1:]] for r in data["rows"]]
    heads = ["program", "elements", "screened, s", "oracle alone, s", "times", "findings"]
    heads += ["same findings", "wrong or lossy", "difference"]
    return "\n\n".join(
        [
            (
                "## Audits of large data\n\nScreening and oracle together against it alone, "
                f"and {large['elements']} elements screened: {large['elapsed_s']} s."
            ),
            grid(heads, rows),
        ]
    )


SECTIONS: dict[str, Callable[[Data], str]] = {
    "small_expressions": small_expressions,
    "training_step": training_step,
    "chain": chain,
    "cases": cases,
    "cases_jax": cases_jax,
    "accuracy_xla": accuracy_xla,
    "jax_speed": jax_speed,
    "jax_libraries": jax_libraries,
    "jax_steps": jax_steps,
    "layers": layers,
    "kernels": kernels,
    "fuzz_float64": fuzz,
    "formulas_float64": formulas,
    "formulas_float32": formulas,
    "audit": audit,
    "emitted": emitted,
    "synthesis": synthesis,
    "screening": screening,
}


def page(folder: Path) -> str:
    """The whole page, with a section for each result that is there."""
    sections = [HEAD]
    for name, section in SECTIONS.items():
        path = folder / f"{name}.json"
        if path.exists():
            sections.append(section(json.loads(path.read_text("utf8"))))
    return "\n\n".join(s.strip() for s in sections) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(argv)
    options.page.write_text(page(options.results), "utf8")
    print(f"wrote {options.page.name}")


if __name__ == "__main__":
    main()
