"""Textbook formulas at random bit patterns: values and slopes, as written and stabilized.

``data/formulas.txt`` has hundreds of formulas of one to nine variables with what they ask of their
arguments. Each is run at points that are drawn as Herbie draws them, uniformly over the bit
patterns within its precondition; of the points a third have everyday sizes, and a third have
variables of one size, half of those next to each other, where formulas cancel. Points at which the
formula has no finite value are drawn anew. Values, and first derivatives by every variable, are
judged by the oracle. *right*: within 64 ulp; *sharp*: within 4. *wrong*: a finite number that is
not right; *nan made up*: nan or infinity where there is a number; *worse*: by more than 4 ulp than
naive; *made up*: a number where the oracle proves that there is none.

Run: ``python -m benchmarks.formulas``; ``--only NAME`` runs those whose name contains it and lists
every fault.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz import (
    BUDGET,
    Array,
    Case,
    Options,
    Results,
    add_options,
    errors,
    made_up,
    results,
    share,
    worse,
)
from benchmarks.measure import arguments, console, limited, save, table
from stablegrad.expressions import parse
from stablegrad.ir import Facts, Term, make
from stablegrad.ops.record import INPUT
from stablegrad.oracle import truth
from stablegrad.settings import Settings
from stablegrad.tensor.core import wrap
from stablegrad.testing import sample_bits

DATA = Path(__file__).resolve().parent / "data" / "formulas.txt"
SEED = 20261201
POINTS = 24
BATCH, BATCHES = 32, 12  # drawn at a time, and how often
ROUNDS = 200  # of arguments that miss a precondition
LONGEST_S = 60  # of CPU time for one formula
RIGHT, SHARP = 64, 4
KEPT = 6  # faults that are told of one formula's values, and of its slopes
LISTED = 12
KINDS = ("value", "slope")
COUNTS: tuple[str, ...] = (
    "points",
    "naive sharp",
    "naive right",
    "sharp",
    "right",
    "naive wrong",
    "naive nan made up",
    "wrong",
    "nan made up",
    "worse",
    "made up",
)


@dataclass(frozen=True)
class Formula:
    """A formula, where it is from, and what it asks of its variables."""

    name: str
    source: str
    text: str
    variables: tuple[str, ...]
    intervals: dict[str, Facts]
    conditions: tuple[tuple[str, str, bool], ...]
    """What is less than what, and whether it may not be equal."""


_CHAIN = re.compile(r"\s*(<=|>=|<|>)\s*")
_NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?")


def formulas(path: Path = DATA) -> list[Formula]:
    """The formulas of a file.

    Raises:
        ValueError: a line that is none.
    """
    found: list[Formula] = []
    source = ""
    for number, line in enumerate(path.read_text("utf8").splitlines(), 1):
        if line.startswith("== "):
            source = line[3:]
        elif line and not line.startswith("#"):
            parts = [part.strip() for part in line.split("|")]
            if len(parts) != 3:
                raise ValueError(f"{path.name}:{number}: got {line!r}, expected name | formula | ")
            found.append(_formula(parts[0], source, parts[1], parts[2]))
    return found


def _formula(name: str, source: str, text: str, precondition: str) -> Formula:
    variables = parse(text).names
    intervals: dict[str, Facts] = {}
    conditions: list[tuple[str, str, bool]] = []
    for chain in filter(None, precondition.split(",")):
        parts = _CHAIN.split(chain.strip())
        for left, sign, right in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            less, more = (right, left) if sign.startswith(">") else (left, right)
            is_open = len(sign) == 1
            if less in variables and _NUMBER.fullmatch(more):
                known = intervals.get(less, Facts())
                intervals[less] = known._replace(hi=float(more), hi_open=is_open)
            elif more in variables and _NUMBER.fullmatch(less):
                known = intervals.get(more, Facts())
                intervals[more] = known._replace(lo=float(less), lo_open=is_open)
            else:
                conditions.append((less, more, is_open))
    return Formula(name, source, text, variables, intervals, tuple(conditions))


# -- points -------------------------------------------------------------------------------


def drawn(formula: Formula, count: int, dtype: Any, rng: np.random.Generator) -> list[Array]:
    """Points within the precondition, at most so many: a column for each variable."""
    columns: list[list[Array]] = [[] for _ in formula.variables]
    missing = count
    for _ in range(ROUNDS):
        some = _attempt(formula, BATCH, dtype, rng)
        inside = np.flatnonzero(_holds(formula, some))[:missing]
        for column, values in zip(columns, some, strict=True):
            column.append(values[inside])
        missing -= len(inside)
        if not missing:
            break
    return [np.concatenate(column) for column in columns]


def _attempt(formula: Formula, count: int, dtype: Any, rng: np.random.Generator) -> list[Array]:
    """Bit patterns in each variable's interval; a third of them near those of the first one."""
    related = rng.random(count) < 1 / 3
    shift = rng.normal(size=(len(formula.variables), count))
    steps = 2.0 ** -rng.uniform(1, 50, count)
    near = rng.random(count) < 0.5
    found: list[Array] = []
    for i, name in enumerate(formula.variables):
        facts = formula.intervals.get(name, Facts())
        values = sample_bits(dtype, count, rng, facts)
        if i:
            with np.errstate(all="ignore"):
                size = np.where(near, 1 + shift[i] * steps, np.exp2(shift[i]))
                moved = (found[0] * size).astype(dtype)
            values = np.where(related & _inside(moved, facts), moved, values)
        found.append(values)
    return found


def _inside(values: Array, facts: Facts) -> Array:
    above = values > facts.lo if facts.lo_open else values >= facts.lo
    below = values < facts.hi if facts.hi_open else values <= facts.hi
    return above & below


def _holds(formula: Formula, columns: Sequence[Array]) -> Array:
    """Where the conditions between variables hold; in floats, so at their edge either way."""
    values = dict(zip(formula.variables, [np.asarray(c, np.float64) for c in columns], strict=True))
    good = np.ones(columns[0].shape, bool)
    with np.errstate(all="ignore"):
        for less, more, is_open in formula.conditions:
            a, b = [np.asarray(parse(side).walk(values), np.float64) for side in (less, more)]
            good &= (a < b if is_open else a <= b) & np.isfinite(a) & np.isfinite(b)
    return good


def term(formula: Formula, dtype: Any, shape: tuple[int, ...]) -> tuple[Term, list[Term]]:
    """A formula over inputs of a shape."""
    count = len(formula.variables)
    inputs = [make(INPUT, (), (i,), shape, np.dtype(dtype)) for i in range(count)]
    wrapped = [wrap(x, Settings(), requires=False) for x in inputs]
    values = dict(zip(formula.variables, wrapped, strict=True))
    return parse(formula.text).walk(values).term, inputs


def valued(formula: Formula, dtype: Any, rng: np.random.Generator, wanted: int) -> list[Array]:
    """Points at which a formula has a finite value."""
    root, inputs = term(formula, dtype, ())
    parts: list[list[Array]] = []
    missing = wanted
    for _ in range(BATCHES):
        some = drawn(formula, BATCH, dtype, rng)
        if not some[0].size:
            break
        true = truth(root, dict(zip(inputs, some, strict=True)), budget=BUDGET, limits=False)
        good = np.flatnonzero(true.decided & np.isfinite(true.value))[:missing]
        parts.append([values[good] for values in some])
        missing -= len(good)
        if not missing:
            break
    return [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else []


# -- one formula --------------------------------------------------------------------------


def judged(formula: Formula, options: Options, points: int, seed: int) -> dict[str, Any]:
    """The counts of one formula, and its faults."""
    rng = np.random.default_rng([seed, zlib.crc32(formula.name.encode())])
    data = valued(formula, options.dtype, rng, points)
    counts: dict[str, Counter[str]] = {kind: Counter(dict.fromkeys(COUNTS, 0)) for kind in KINDS}
    faults: list[dict[str, Any]] = []
    if not data or not data[0].size:
        raise ValueError(f"no point of {formula.name} has a value")
    root, inputs = term(formula, options.dtype, data[0].shape)
    flat, scalars = term(formula, options.dtype, ())
    for i, name in enumerate(formula.variables):
        whole, scalar = Case(root, inputs, inputs[i]), Case(flat, scalars, scalars[i])
        value, slope = results(whole, scalar, data, options.settings).values()
        if not i:
            faults += _counted(counts["value"], value, data, "value")
        faults += _counted(counts["slope"], slope, data, f"by {name}")
    return {"counts": counts, "faults": faults}


def _counted(
    counts: Counter[str], r: Results, data: Sequence[Array], kind: str
) -> list[dict[str, Any]]:
    """Count the points of one result, and tell the faults among them."""
    known = r.true.decided & np.isfinite(r.true.value)
    a, b = errors(r.naive, r.true), errors(r.stable, r.true)
    counts["points"] += int(known.sum())
    for name, error, got in (("naive ", a, r.naive), ("", b, r.stable)):
        counts[f"{name}sharp"] += int((known & (error <= SHARP)).sum())
        counts[f"{name}right"] += int((known & (error <= RIGHT)).sum())
        missed = known & (error > RIGHT)
        counts[f"{name}wrong"] += int((missed & np.isfinite(got)).sum())
        counts[f"{name}nan made up"] += int((missed & ~np.isfinite(got)).sum())
    harmed = known & (worse(r) > SHARP)
    counts["worse"] += int(harmed.sum())
    counts["made up"] += int(made_up(r).sum())
    bad = np.flatnonzero(harmed | made_up(r) | (known & (b > RIGHT)))
    first = sorted(bad.tolist(), key=lambda k: (a[k] > RIGHT, -b[k]))[:KEPT]
    return [
        {
            "kind": kind,
            "inputs": [float(d[k]) for d in data],
            "naive": float(r.naive[k]),
            "stable": float(r.stable[k]),
            "true": float(r.true.value[k]),
            "naive_ulp": float(a[k]),
            "ulp": float(b[k]),
        }
        for k in first
    ]


def run(formula: Formula, options: Options, points: int, seed: int) -> dict[str, Any]:
    """The row of one formula."""
    warnings.simplefilter("ignore", RuntimeWarning)
    row: dict[str, Any] = {
        "name": formula.name,
        "source": formula.source,
        "formula": formula.text,
        "variables": list(formula.variables),
    }
    try:
        with limited(LONGEST_S):
            return row | judged(formula, options, points, seed)
    except Exception as error:  # noqa: BLE001 - a formula that raises is a finding too
        return row | {"raised": f"{type(error).__name__}: {error}", "counts": {}, "faults": []}


# -- many formulas ------------------------------------------------------------------------


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """The counts of all formulas together."""
    found = {kind: dict.fromkeys(COUNTS, 0) for kind in KINDS}
    for row in rows:
        for kind, counts in row["counts"].items():
            for key, n in counts.items():
                found[kind][key] += n
    return found


def show(rows: Sequence[dict[str, Any]], counts: dict[str, dict[str, int]], listed: int) -> None:
    """Print the totals, the formulas with faults, and the faults."""
    cells = [[key, *[share(counts[kind], key) for kind in KINDS]] for key in COUNTS]
    table(f"{len(rows)} formulas", ["", *KINDS], cells)
    columns = ("naive right", "right", "wrong", "nan made up", "worse", "made up")
    faulty = [
        [r["name"], kind, *[r["counts"][kind][c] for c in ("points", *columns)]]
        for r in rows
        for kind in r["counts"]
        if r["counts"][kind]["right"] < r["counts"][kind]["points"]
        or r["counts"][kind]["worse"] + r["counts"][kind]["made up"]
    ]
    table("formulas with faults", ["formula", "", "points", *columns], faulty)
    for row in rows:
        for fault in row["faults"][:listed]:
            console.print(f"{row['name']}: {fault}", markup=False, highlight=False, soft_wrap=True)
    for row in rows:
        if "raised" in row:
            console.print(f"{row['name']}: {row['raised']}", markup=False, highlight=False)


def main(argv: Sequence[str] | None = None) -> None:
    """Run all formulas and print the shares."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--points", type=int, default=POINTS)
    add_options(parser)
    parser.add_argument("--only", default="", help="a part of the names of the formulas to run")
    asked = parser.parse_args(argv)
    options = Options(asked.dtype, asked.synthesis, asked.guard)
    chosen = [f for f in formulas() if asked.only in f.name][: 3 if asked.tiny else None]
    one = partial(run, options=options, points=asked.points, seed=asked.seed)
    if asked.jobs == 1:
        rows = [one(f) for f in chosen]
    else:
        with ProcessPoolExecutor(asked.jobs) as pool:
            rows = list(pool.map(one, chosen))
    counts = totals(rows)
    show(rows, counts, LISTED if asked.only else 1)
    facts = {"seed": asked.seed, "points": asked.points, "dtype": asked.dtype}
    save(
        asked.out,
        f"formulas_{options.suffix}",
        rows,
        **facts,
        synthesis=asked.synthesis,
        counts=counts,
    )


if __name__ == "__main__":
    main()
