"""Small expressions: time to build and run them with their gradient, for each op.

Everything a define-by-run user waits for is inside: building the expression, its value and
its gradient as an array. Ours three ways: ``Tensor.backward``, ``sg.value_and_grad``, and that
compiled. One thread, CPU time. *Warm*: the structure has been seen before. *Cold*: it has not,
so that the call also stabilizes, differentiates and compiles it.

Run: ``python -m benchmarks.small_expressions``
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.libraries import OUR_WAYS, PEERS, THEIR_WAYS, Array, Program, one_thread
from benchmarks.measure import arguments, available, compare, figure, once, save, table
from stablegrad.program import forget


def sigmoid_log1p(m: Any, x: Any) -> Any:
    """6 ops."""
    return m.sum(m.sigmoid(x) * x + m.log1p(x * x))


def logistic_loss(m: Any, x: Any) -> Any:
    """6 ops, spelled the naive way."""
    return m.sum(m.log(1 + m.exp(-(x * x))))


def mixed(count: int) -> Program:
    """A program of ``count`` ops of several kinds, one after the other."""

    def program(m: Any, x: Any) -> Any:
        y = x
        for i in range(count - 1):
            match i % 5:
                case 0:
                    y = m.sin(y)
                case 1:
                    y = y * x
                case 2:
                    y = y + 0.5
                case 3:
                    y = m.tanh(y)
                case _:
                    y = y - x
        return m.sum(y)

    return program


PROGRAMS: dict[str, tuple[Program, int]] = {
    "sum(sigmoid(x)*x + log1p(x*x))": (sigmoid_log1p, 6),
    "sum(log(1 + exp(-(x*x))))": (logistic_loss, 6),
    "5 mixed ops": (mixed(5), 5),
    "20 mixed ops": (mixed(20), 20),
    "50 mixed ops": (mixed(50), 50),
}
SIZES = (1, 100, 10_000)


def sample_input(size: int, dtype: str) -> Array:
    """Numbers that keep every program in its range."""
    return np.random.default_rng(size).uniform(-1, 1, size).astype(dtype)


def agreement(found: dict[str, tuple[float, Array]], dtype: str) -> float:
    """The greatest difference of any gradient from ours, relative to the greatest element."""
    ours = found["backward"][1]
    scale = float(np.max(np.abs(ours))) or 1.0
    return max(float(np.max(np.abs(g - ours))) / scale for _, g in found.values())


def measure(
    name: str,
    size: int,
    dtype: str,
    peers: Sequence[str],
    *,
    cold_runs: int,
    samples: int,
    sample_s: float,
) -> dict[str, Any]:
    """One row: all contenders on one program and one input."""
    program, ops = PROGRAMS[name]
    x = sample_input(size, dtype)
    cold: dict[str, float] = {}
    for way in OUR_WAYS:
        taken: list[float] = []
        for _ in range(cold_runs):
            run = way.prepare(program, x)
            forget()
            taken.append(once(run, time.process_time))
        cold[way.name] = min(taken)
    ways = [*OUR_WAYS, *[THEIR_WAYS[p] for p in peers]]
    runs = {way.name: way.prepare(program, x) for way in ways}
    difference = agreement({n: run() for n, run in runs.items()}, dtype)
    assert difference < (1e-4 if dtype == "float32" else 1e-12), f"{name}: {difference}"
    warm = compare(runs, samples=samples, sample_s=sample_s, clock=time.process_time)
    return {
        "program": name,
        "ops": ops,
        "size": size,
        "dtype": dtype,
        "cold_s": cold,
        "warm": warm,
        "us_per_op": {n: t.min_s / ops * 1e6 for n, t in warm.items()},
        "ratio": {
            way.name: {p: warm[way.name].min_s / warm[p].min_s for p in peers} for way in OUR_WAYS
        },
        "difference": difference,
    }


def show(rows: Sequence[dict[str, Any]], peers: Sequence[str]) -> None:
    """Print the rows as tables."""
    columns = ["program", "size", "dtype", *[w.name for w in OUR_WAYS], *peers]
    table(
        "microseconds for each op, value and gradient, warm",
        columns,
        [
            [r["program"], r["size"], r["dtype"], *[figure(r["us_per_op"][c]) for c in columns[3:]]]
            for r in rows
        ],
    )
    pairs = [(way, p) for way in ("backward", "compile") for p in peers]
    table(
        "our time over theirs, warm (below 1: ours is faster)",
        ["program", "size", "dtype", *[f"{w}/{p}" for w, p in pairs]],
        [
            [r["program"], r["size"], r["dtype"], *[figure(r["ratio"][w][p]) for w, p in pairs]]
            for r in rows
        ],
    )
    table(
        "first call of a structure, milliseconds (cold)",
        ["program", "size", "dtype", *[w.name for w in OUR_WAYS]],
        [
            [
                r["program"],
                r["size"],
                r["dtype"],
                *[figure(1e3 * r["cold_s"][w.name]) for w in OUR_WAYS],
            ]
            for r in rows
        ],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all programs, sizes and dtypes."""
    options = arguments(__doc__).parse_args(argv)
    peers = available(PEERS)
    one_thread()
    names = list(PROGRAMS)[:2] if options.tiny else list(PROGRAMS)
    sizes = SIZES[:1] if options.tiny else SIZES
    cold_runs, samples, sample_s = (1, 1, 1e-4) if options.tiny else (5, 41, 2e-3)
    rows = [
        measure(name, size, dtype, peers, cold_runs=cold_runs, samples=samples, sample_s=sample_s)
        for name in names
        for size in sizes
        for dtype in ("float32", "float64")
    ]
    show(rows, peers)
    save(options.out, "small_expressions", rows, peers=peers)


if __name__ == "__main__":
    main()
