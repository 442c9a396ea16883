"""Write the tables in docs/ (ops.md, rules.md) from the registries.

`python tools/tables.py` writes them; with `--check` it only says whether they are current.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stablegrad.ops
import stablegrad.rules
from stablegrad.ir import OPS, Facts

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOTE = "<!-- written by `make docs` from the registry: change the records, not this page -->"
UNLISTED = {"leaf"}


def load(package: Any) -> list[Any]:
    """Every module of a package, imported."""
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
    load(stablegrad.ops)
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

    databases: dict[str, Database] = {}
    for module in [importlib.import_module("stablegrad.rewrite"), *load(stablegrad.rules)]:
        databases |= {d.name: d for d in vars(module).values() if isinstance(d, Database)}
    parts = [
        "# Rules",
        NOTE,
        'Any name here, of a rule, group or database, goes into `sg.rules(exclude="...")`.',
    ]
    for name, database in sorted(databases.items()):
        rows = [
            (f"`{r.name}`", f"`{r.group}`" if r.group else "", r.reason, r.source)
            for r in sorted(database.rules, key=lambda r: r.name)
        ]
        if rows:
            parts += [f"## {name}", table(("rule", "group", "why", "source"), rows)]
    return "\n\n".join(parts) + "\n"


PAGES = {"ops.md": ops_page, "rules.md": rules_page}


def stale() -> dict[str, str]:
    """The pages whose text on disk is not what the registries say, with the right text."""
    pages = {name: write() for name, write in PAGES.items()}
    return {
        name: text
        for name, text in pages.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text("utf8") != text
    }


def main() -> int:
    """Write the stale pages, or with ``--check`` only name them."""
    pages = stale()
    if "--check" in sys.argv[1:]:
        for name in pages:
            print(f"docs/{name} is not current: run `make docs`")
        return bool(pages)
    for name, text in pages.items():
        (DOCS / name).write_text(text, "utf8")
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
