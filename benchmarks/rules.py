"""What each rule gains: the bits that its left side loses as it stands, and those that are left.

Each rule is judged on what it is sound for: bit patterns over the whole range, half of them of
everyday size, every fifth with arguments near each other. The left side is evaluated op by op, the
right side as the library does, both against the oracle. *where* tells the median point, by size of
its first argument, among those at which four units in the last place or more are gained.

Run: ``python -m benchmarks.rules``; it writes ``stablegrad/rules/gains.json``, which ``stablegrad
rules`` reads, and one plot a rule in ``docs/img/rules``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks.measure import arguments, console, table
from stablegrad.canonical import canonical
from stablegrad.engines.numpy import Plan
from stablegrad.ir import Term, make, topological
from stablegrad.matching import instantiate
from stablegrad.ops.record import INPUT
from stablegrad.oracle import err_ulp, truth
from stablegrad.rewrite import Procedure, Rule
from stablegrad.rules import DATABASES
from stablegrad.transforms.fold import fold
from stablegrad.transforms.lower import Lowering

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).resolve().parent.parent
GAINS = ROOT / "stablegrad" / "rules" / "gains.json"
PLOTS = ROOT / "docs" / "img" / "rules"
SEED = 20261129
POINTS = 400
WIDTH = 4  # entries of the axis that a structured rule reduces
BUDGET = 4000
MOST = 53.0
"""Bits lost where a result has none right."""
GAINED = 2.0  # bits, that is 4 ulp


def sides(rule: Rule | Procedure) -> tuple[Term, Term, list[Term]]:
    """The left side as it stands, the right side, and their inputs: rows where it mixes entries."""
    found = _sides(rule, (POINTS,))
    if found is None or not all(t.op.elementwise for t in topological([found[0]]) if t.args):
        found = _sides(rule, (POINTS // WIDTH, WIDTH))
    assert found is not None, f"{rule.name} does not fire on its own example"
    return found


def _sides(rule: Rule | Procedure, shape: tuple[int, ...]) -> tuple[Term, Term, list[Term]] | None:
    dtype = np.dtype(np.float64)
    names = rule.variables if isinstance(rule, Rule) else ()
    count = len(names) if isinstance(rule, Rule) else rule.example.__code__.co_argcount
    inputs = [make(INPUT, (), (i,), shape, dtype) for i in range(count)]
    if isinstance(rule, Rule):
        bound = dict(zip(names, inputs, strict=True))
        left = instantiate(rule.lhs, bound, inputs[0])
        return left, instantiate(rule.rhs, bound, inputs[0]), inputs
    left = rule.example(*inputs)
    right = rule.function(canonical(left))
    return None if right is None else (left, canonical(right), inputs)


def points(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> list[Array]:
    """Bit patterns, and numbers of everyday size; some arguments are near each other."""
    size = math.prod(shape)
    found: list[Array] = []
    raw = rng.random(shape[0]) < 0.5
    for _ in range(count):
        bits = rng.integers(0, 2**64, size, dtype=np.uint64).view(np.float64).reshape(shape)
        everyday = rng.standard_normal(shape) * 2.0 ** rng.integers(-20, 9, shape)
        rows = raw.reshape(-1, *[1] * (len(shape) - 1))
        found.append(np.where(rows & np.isfinite(bits), bits, everyday))
    for other in found[1:]:
        step = 1 + rng.standard_normal(other[::5].shape) * 2.0 ** -rng.integers(5, 45)
        other[::5] = found[0][::5] * step
    return found


def bits_lost(values: Array, true: Any) -> Array:
    """Bits lost at each element, at most all."""
    with np.errstate(all="ignore"):
        error = np.abs(np.asarray(err_ulp(values, true), float))
        error = np.where(np.isnan(error), np.inf, error)
        return np.clip(np.log2(np.maximum(error, 1.0)), 0.0, MOST)


def measured(rule: Rule | Procedure) -> tuple[dict[str, Any], Array, Array, Array] | None:
    """The gain of a rule, and sizes and bits lost before and after at the points judged."""
    rng = np.random.default_rng([SEED, len(rule.name)])
    left, right, inputs = sides(rule)
    data = points(rng, len(inputs), inputs[0].shape)
    true = truth(left, dict(zip(inputs, data, strict=True)), budget=BUDGET)
    with np.errstate(all="ignore"):
        naive = Plan(Lowering(native=True)([left]), inputs)(data)[0]
        cured = Plan(Lowering()(fold([right])), inputs)(data)[0]
    size = np.abs(np.asarray(true.value))
    good = np.asarray(true.decided) & (size >= np.finfo(float).tiny) & np.isfinite(size)
    if not good.any():
        return None
    before, after = bits_lost(naive, true)[good], bits_lost(cured, true)[good]
    first = data[0]
    if first.shape != good.shape:  # of what a reduction or an index takes in, the first
        first = np.resize(first[..., :1], good.shape)
    sizes = np.abs(first[good])
    gain = before - after >= GAINED
    row = {"points": int(good.sum()), "gained": float(gain.mean())}
    if gain.any():
        middle = float(np.quantile(sizes[gain], 0.5, method="nearest"))
        row |= {
            "before_bits": float(before[gain].mean()),
            "after_bits": float(after[gain].mean()),
            "where": middle,
        }
    return row, sizes, before, after


def plot(path: Path, sizes: Array, before: Array, after: Array) -> None:
    """Bits lost against the size of the first argument: grey as it stands, blue cured."""
    width, height = 240, 60
    x = np.clip(np.log10(np.maximum(sizes, 1e-308)) / 308, -1, 1)
    x = np.sign(x) * np.sqrt(np.abs(x))  # room for everyday sizes
    dots = []
    for bits, colour, size in ((before, "#999", 3), (after, "#06c", 2)):
        places = {
            (2 * round(2 + (width - 8) * (u + 1) / 4), round(height - 4 - (height - 8) * b / MOST))
            for u, b in zip(x, bits, strict=True)
        }
        line = "".join([f"M{a} {b}h0" for a, b in sorted(places)])
        dots.append(
            f'<path d="{line}" stroke="{colour}" stroke-width="{size}" stroke-linecap="round"/>'
        )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">' + "".join(dots) + "</svg>\n",
        "utf8",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all rules and save what they gain."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="rules whose name holds this text")
    options = parser.parse_args(argv)
    rules = [r for d in DATABASES for r in d.rules if options.only in r.name]
    rules = [r for r in rules if r.group != "matrices"]
    if options.tiny:
        rules = rules[:5]
    found: dict[str, dict[str, Any]] = {}
    whole = not (options.tiny or options.only)
    for rule in track(rules, "rules", console=console, transient=True):
        result = measured(rule)
        if result is None:
            continue
        row, *drawn = result
        known = found.get(rule.name)
        if known is None or row["gained"] > known["gained"]:
            found[rule.name] = {k: float(f"{v:.3g}") for k, v in row.items()}
            if whole:
                PLOTS.mkdir(parents=True, exist_ok=True)
                plot(PLOTS / f"{rule.name}.svg", *drawn)
    if whole:
        GAINS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf8")
    table(
        "bits lost before and after, where 4 ulp or more are gained",
        ["rule", "points gained", "before", "after", "where"],
        [
            [
                name,
                f"{100 * r['gained']:.3g}%",
                *[f"{r[k]:.3g}" if k in r else "-" for k in ("before_bits", "after_bits", "where")],
            ]
            for name, r in sorted(found.items())
        ],
    )
    console.print(f"{len(found)} rules, {sum(r['gained'] > 0 for r in found.values())} with a gain")


if __name__ == "__main__":
    main()
