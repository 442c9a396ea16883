"""Write the tables of docs/ and the README from the registries and the saved benchmark results.

`python tools/tables.py` writes them; with `--check` it only says whether they are current.
"""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablegrad.ir import OPS, Facts

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
BEGIN = "<!-- table: written by `make docs` from benchmarks/results -->"
END = "<!-- end of table -->"
NOTE = "<!-- written by `make docs` from the registry: change the records, not this page -->"
UNLISTED = {"leaf"}


def load(name: str) -> list[Any]:
    """Every module of a package, imported."""
    package = importlib.import_module(name)
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(info.name) for info in found]


def interval(facts: Facts) -> str:
    """An interval in the notation of mathematics."""
    if math.isinf(facts.lo) and math.isinf(facts.hi):
        return "R"
    left = "(" if facts.lo_open else "["
    right = ")" if facts.hi_open else "]"
    return f"{left}{facts.lo:.6g}, {facts.hi:.6g}{right}"


def cell(text: str) -> str:
    """A text on one line, safe inside a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(c) for c in line) + " |" for line in lines)


def ops_page() -> str:
    """The page of all ops, by family."""
    load("stablegrad.ops")
    families: dict[str, list[Any]] = {}
    for op in OPS.values():
        if op.family not in UNLISTED:
            families.setdefault(op.family, []).append(op)
    lead = (
        "Every op is `sg.ops.<name>`. *ulp* bounds the error of value, first and second "
        "derivative; a bound in words is the record's own."
    )
    parts = ["# Ops", NOTE, lead]
    for family, ops in sorted(families.items()):
        rows = [
            (
                f"`{op.name}`",
                op.doc,
                " x ".join(interval(f) for f in op.domain) or "any",
                interval(op.range),
                op.accuracy or ("/".join(f"{u:g}" for u in op.ulp) if op.ulp else ""),
                op.source,
            )
            for op in sorted(ops, key=lambda op: op.name)
        ]
        parts += [f"## {family}"]
        parts += [table(("op", "computes", "domain", "range", "ulp", "source"), rows)]
    return "\n\n".join(parts) + "\n"


def rules_page() -> str:
    """The page of all rules, by database."""
    from stablegrad.rewrite import Database
    from stablegrad.rules.gains import gain_text

    databases: dict[str, Database] = {}
    for module in [importlib.import_module("stablegrad.rewrite"), *load("stablegrad.rules")]:
        databases |= {d.name: d for d in vars(module).values() if isinstance(d, Database)}
    parts = [
        "# Rules",
        NOTE,
        (
            'Any name here, of a rule, group or database, goes into `sg.rules(exclude="...")`. '
            "Gains are those of `python -m benchmarks.rules`: bits lost before and after, where 4 "
            "ulp or more are gained. The plots show bits lost over the size of the first argument, "
            "from the least float to the greatest, with the most room about 1: grey as it stands, "
            "blue cured."
        ),
    ]
    for name, database in sorted(databases.items()):
        rows = {
            r.name: (
                f"`{r.name}`",
                f"`{r.group}`" if r.group else "",
                r.reason,
                gain_text(r.name),
                f"![](img/rules/{r.name}.svg)" if gain_text(r.name) else "",
                r.source,
            )
            for r in sorted(database.rules, key=lambda r: r.name)
        }
        if rows:
            head = ("rule", "group", "why", "gain", "bits lost", "source")
            parts += [f"## {name}", table(head, rows.values())]
    return "\n\n".join(parts) + "\n"


def results(name: str) -> dict[str, Any]:
    """A saved benchmark result."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf8"))


def versions(data: dict[str, Any]) -> str:
    """What a result was measured with."""
    machine = data["machine"]
    return ", ".join(f"{n} {v}" for n, v in machine["versions"].items())


def accuracy_page() -> str:
    """The page of the 63 functions at three orders, libraries side by side."""
    from benchmarks.accuracy import cell as share

    data = results("accuracy")
    libraries = list(data["counts"])
    parts = [
        "# Accuracy over the whole float32 range",
        "<!-- written by `make docs` from the result of `python -m benchmarks.accuracy` -->",
        (
            "400 normal float32 inputs per sign, log-spaced over the whole range, the truth "
            "rounded once from balls. A cell: % of points within 4 ulp / % wrong (nan, inf, 0, or "
            "off by more than 1e-3). Only points whose true result is a normal float32 count."
        ),
        f"Measured with {versions(data)}.",
        "## Functions with every point within 4 ulp",
        table(
            ("library", "values", "first derivative", "second derivative"),
            [(n, *[f"{c} of {len(data['rows'])}" for c in data["counts"][n]]) for n in libraries],
        ),
    ]
    for order, title in enumerate(("Values", "First derivatives", "Second derivatives")):
        rows = [
            (f"`{r['formula']}`", *[share(r["results"][n][order]) for n in libraries])
            for r in data["rows"]
        ]
        parts += [f"## {title}", table(("function", *libraries), rows)]
    return "\n\n".join([*parts, *sweep_parts()]) + "\n"


def sweep_parts() -> list[str]:
    """The worst errors of every op over all inputs, and the reasons for the greater ones."""
    from benchmarks.sweep import DTYPES, FILES, cells, exceptions

    load("stablegrad.ops")
    parts: list[str] = []
    for arity, name in FILES.items():
        data = results(name)
        inputs = (
            "all float16 and bfloat16 inputs and float32s one stride of bit patterns apart"
            if arity == 1
            else f"{data['pairs']} pairs of float32 bit patterns and a tenth of that in half "
            "precision: random ones, and the diagonals a = b, a = -b, |a| >> |b|"
        )
        heading = "Ops of one argument" if arity == 1 else "Ops of two arguments"
        stride = ["stride"] if arity == 1 else []
        rows = [(f"`{r['op']}`", *cells(r), *[str(r[s]) for s in stride]) for r in data["rows"]]
        parts += [
            f"## {heading}: the worst error in ulp",
            (
                f"From `python -m benchmarks.sweep`: {inputs}, screened in float64, what is "
                "suspect decided by balls. float64 is a sample, refined around its worst points. "
                "A cell: value/first derivative/second derivative (the greatest of the partial "
                "ones)."
            ),
            table(("op", *DTYPES, "float64, sampled", *stride), rows),
        ]
        beyond = [
            (
                f"`{r['op']}`",
                "; ".join(found),
                "/".join(f"{u:g}" for u in r["bound_ulp"]),
                OPS[r["op"]].accuracy or OPS[r["op"]].source,
            )
            for r in data["rows"]
            if (found := exceptions(r))
        ]
        head = ("op", "over 1 ulp in half precision, or 4", "the record's bound", "why")
        parts += [table(head, beyond)] if beyond else []
        parts += [f"Measured with {versions(data)}."]
    return parts


def comparison() -> str:
    """The README's table: accuracy and real failures, libraries side by side."""
    accuracy, cases = results("accuracy"), results("cases")
    total = len(accuracy["rows"])
    rows = [
        (
            name,
            *[f"{c} of {total}" for c in accuracy["counts"][name]],
            f"{cases['counts'][name]['right']} of {cases['counts'][name]['cases']}",
        )
        for name in accuracy["counts"]
    ]
    head = ("", "values", "1st derivative", "2nd derivative", "failing programs right")
    return "\n\n".join([BEGIN, table(head, rows), f"Measured with {versions(accuracy)}.", END])


def readme() -> str:
    """The README with its table as the results say."""
    text = README.read_text("utf8")
    before, _, rest = text.partition(BEGIN)
    return before + comparison() + rest.partition(END)[2]


PAGES = {
    DOCS / "ops.md": ops_page,
    DOCS / "rules.md": rules_page,
    DOCS / "accuracy.md": accuracy_page,
    README: readme,
}


def stale() -> dict[Path, str]:
    """The pages whose text on disk is not what it should be, with the right text."""
    pages = {path: write() for path, write in PAGES.items()}
    return {
        path: text
        for path, text in pages.items()
        if not path.exists() or path.read_text("utf8") != text
    }


def main() -> int:
    """Write the stale pages, or with ``--check`` only name them."""
    pages = stale()
    if "--check" in sys.argv[1:]:
        for path in pages:
            print(f"{path.relative_to(ROOT)} is not current: run `make docs`")
        return bool(pages)
    for path, text in pages.items():
        path.write_text(text, "utf8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # the benchmarks are no installed package
    sys.exit(main())
