"""The kernels that come with the package: those that ops, common functions and shared cases need.

A part of a program that no op and no rule covers gets a kernel, which takes a fraction of a second
to make. Those of the derivatives of our own ops, of the functions of ``benchmarks.synthesis`` and
of the shared cases, all under the rules as they are, are shipped as tables beside the code that
made them.

Run: ``python -m benchmarks.shipped`` to write the file, with ``--check`` to make all again and
compare.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.case_libraries import stablegrad_result
from benchmarks.cases import read_cases, run_case
from benchmarks.measure import console
from benchmarks.synthesis import FUNCTIONS
from stablegrad.errors import StablegradError
from stablegrad.ir import OPS, Term, topological
from stablegrad.program import stable_terms
from stablegrad.settings import Settings
from stablegrad.synthesis import Builder, DeclinedError, Recipe, Table, X, shipped, store
from stablegrad.transforms.expand import derivative

ORDERS = (0, 1, 2)
MOST = 980_000
"""Bytes of all tables."""


def recipes_of(root: Term) -> list[Recipe]:
    """The recipes of the kernels that a term gets."""
    (stable,), _ = stable_terms([root], Settings())
    found: dict[Recipe, None] = {}
    for t in topological([stable]):
        if t.op.name == "synthesized":
            found[t.param("recipe")] = None
        elif t.op.name == "reduced":
            found |= {r: None for r in t.param("recipes") if r is not None}
    return list(found)


def sources() -> dict[str, Term]:
    """Ops of one float and common functions by name."""
    found: dict[str, Term] = {}
    for name, op in sorted(OPS.items()):
        single = op.elementwise and not op.params and len(op.domain or ()) == 1
        if single and op.ball is not None and op.partials is not None:
            try:
                y = op(X)
            except (StablegradError, TypeError):
                continue
            if y.dtype == X.dtype:
                found[name] = y
    return found | {name: f(X) for name, f in FUNCTIONS.items()}


def needed(sought: Sequence[str] | None = None) -> Iterator[tuple[str, Recipe]]:
    """What ops and functions need: a label, and the recipe."""
    for name, y in sources().items():
        for order in ORDERS:
            label = f"{name}, order {order}"
            if sought is not None and label not in sought:
                continue
            try:
                term = derivative(y, X, order, Settings())
                found = recipes_of(term)
            except StablegradError:
                break
            for recipe in found:
                yield label, recipe


def needed_by_cases() -> Iterator[tuple[str, Recipe]]:
    """What the shared cases need beyond that."""
    for case in read_cases():
        before = set(store.known())
        run_case(case, stablegrad_result)
        for recipe in store.known():
            if recipe not in before:
                yield f"case {case['id']}", recipe


def made(recipe: Recipe) -> Table | None:
    """A table, its time left out: that differs from run to run."""
    try:
        return replace(Builder(recipe).build(), elapsed_s=0.0)
    except DeclinedError:
        return None


def all_of_them() -> dict[str, tuple[str, bytes]]:
    """The blocks by digest, with labels: the smallest, as many as may be shipped."""
    found: dict[str, tuple[str, bytes]] = {}
    for source in (needed, needed_by_cases):
        for label, recipe in source():
            if recipe.digest in found:
                continue
            table = made(recipe)
            if table is not None:
                found[recipe.digest] = label, table.to_bytes()
                console.print(f"{label}: {len(found[recipe.digest][1])} bytes")
    order = sorted(found, key=lambda digest: len(found[digest][1]))
    kept: dict[str, tuple[str, bytes]] = {}
    total = 0
    for digest in order:
        total += len(found[digest][1])
        if total > MOST:
            break
        kept[digest] = found[digest]
    return kept


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file, or compare with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="make all again and compare")
    options = parser.parse_args(argv)
    os.environ[store.VARIABLE] = "off"
    os.environ[shipped.VARIABLE] = "off"
    found = all_of_them()
    if not options.check:
        shipped.PATH.write_bytes(shipped.packed(found))
        console.print(f"{len(found)} kernels, {shipped.PATH.stat().st_size} bytes")
        return
    there = shipped.unpacked(shipped.PATH.read_bytes())
    wrong = [label for digest, (label, data) in found.items() if there.get(digest) != (label, data)]
    wrong += [label for digest, (label, _) in there.items() if digest not in found]
    if wrong:
        sys.exit("not as they would be made: " + "; ".join(wrong))
    console.print(f"{len(found)} kernels are as they would be made")


if __name__ == "__main__":
    main()
