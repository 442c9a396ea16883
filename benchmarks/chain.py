"""A chain of n ops: captured, stabilized, differentiated, compiled and run, without recursion.

Each figure is from a process of its own, so that peaks of memory can be told apart. Each link
uses the one before, so the program is n deep. ``circle`` iterates y + tanh(sin(y))/2 + 1, whose
values and slopes neither grow nor die out, however long it is. ``shared`` mixes ops of several
kinds that all use the input, so its gradient is also one sum of n/2.5 addends; slopes die out on
the way, and many products are redone with mantissa and exponent apart. Times are CPU seconds.
Synthesis, which makes and proves kernels when a program is first compiled, is left out.
``growth`` is the time for each op over that of the shortest chain: 1 is linear.

Run: ``python -m benchmarks.chain``
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.libraries import OURS, PEERS, THEIR_WAYS, Program, one_thread
from benchmarks.measure import arguments, available, figure, save, table
from benchmarks.small_expressions import mixed

LENGTHS = {"circle": (1_000, 10_000, 100_000), "shared": (1_000, 10_000)}
WAYS = ("passes", "compile", "backward", *PEERS)
PASSES = ("stabilize", "differentiate", "stabilize_gradient")
START = np.array([0.5, -0.25])
RUNS = 3
ENOUGH_S = 2.0
"""CPU seconds of runs after which there is no further one: those of long chains vary less."""


def circle(count: int) -> Program:
    """A program of ``count`` ops in links of five."""

    def program(m: Any, x: Any) -> Any:
        y, t = x, x
        for i in range(count - 1):
            match i % 5:
                case 0:
                    t = m.sin(y)
                case 1:
                    t = m.tanh(t)
                case 2:
                    t = t * 0.5
                case 3:
                    y = y + t
                case _:
                    y = y + 1.0
        return m.sum(y)

    return program


CHAINS: dict[str, Callable[[int], Program]] = {"circle": circle, "shared": mixed}


def elapsed(run: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of a call, all threads, and its result: other processes do not count."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def fastest(run: Callable[[], Any]) -> float:
    """CPU seconds of the fastest of a few calls."""
    taken: list[float] = []
    while len(taken) < RUNS and sum(taken) < ENOUGH_S:
        taken.append(elapsed(run)[0])
    return min(taken)


def peak_mib() -> float:
    """The most memory that this process has held."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def passes(chain: Program) -> dict[str, Any]:
    """What compiling is made of: stabilizing the program, its gradient, stabilizing that."""
    import stablegrad as sg
    from stablegrad.ir import rebuild
    from stablegrad.ops.record import const
    from stablegrad.program import numbered
    from stablegrad.settings import Settings
    from stablegrad.tensor.mode import mode
    from stablegrad.transforms.differentiate import vjp
    from stablegrad.transforms.expand import Expander

    def run(program: Program) -> dict[str, Any]:
        x: Any = sg.tensor(START, requires_grad=True)
        with mode(whole=True):
            y = program(OURS, x)
        _, _, inputs = numbered([y.term])
        (root,) = rebuild([y.term], inputs)
        expander = Expander(Settings())
        first, (stable,) = elapsed(lambda: expander.normal([root]))
        seed = const(1, root.dtype)
        second, slope = elapsed(lambda: vjp(stable, [inputs[x.term]], seed, Settings()))
        third, _ = elapsed(lambda: expander.normal(slope))
        return {f"{name}_s": s for name, s in zip(PASSES, (first, second, third), strict=True)}

    run(mixed(20))  # rules are chosen for each kind of term once
    run(circle(20))
    return run(chain)


def compiled(chain: Program) -> dict[str, Any]:
    """``sg.compile(sg.value_and_grad(f))``, first and second time, and run; no synthesis.

    Both times include a run; ``again`` is what compiling the same structure once more costs beside
    the first time, without it.
    """
    import stablegrad as sg

    with sg.rules(exclude="synthesis"):
        return _compiled(chain)


def _compiled(chain: Program) -> dict[str, Any]:
    import stablegrad as sg

    before = peak_mib()

    def f(x: Any) -> Any:
        return chain(OURS, x)

    first_s, (_, slope) = elapsed(lambda: sg.compile(sg.value_and_grad(f))(START))
    after = peak_mib()
    gc.collect()  # what the first compilation left is not for the second to clear away
    again = sg.compile(sg.value_and_grad(f))
    second_s, _ = elapsed(lambda: again(START))
    run_s = fastest(lambda: again(START))
    return {
        "first_s": first_s,
        "second_s": second_s,
        "again": max(0.0, second_s - run_s) / (first_s - run_s),
        "run_s": run_s,
        "peak_mib": after - before,
        "slope": slope.numpy().tolist(),
    }


def backward(chain: Program) -> dict[str, Any]:
    """``Tensor.backward``: history is cut every few hundred ops, so no program is deep."""
    import stablegrad as sg

    before = peak_mib()
    x: Any = sg.tensor(START, requires_grad=True)

    def run() -> Any:
        x.zero_grad()
        with sg.rules(exclude="synthesis"):
            y = chain(OURS, x)
        y.backward()
        return x.grad.numpy()

    first_s, slope = elapsed(run)
    after = peak_mib()
    run_s = fastest(run)
    return {
        "first_s": first_s,
        "run_s": run_s,
        "peak_mib": after - before,
        "slope": slope.tolist(),
    }


def theirs(library: str, chain: Program) -> dict[str, Any]:
    """Value and gradient in another library, built anew each time, as it works."""
    one_thread()
    warm_up = THEIR_WAYS[library].prepare(mixed(5), START)
    warm_up()
    before = peak_mib()
    run = THEIR_WAYS[library].prepare(chain, START)
    first_s, (_, slope) = elapsed(run)
    after = peak_mib()
    run_s = fastest(run)
    return {
        "first_s": first_s,
        "run_s": run_s,
        "peak_mib": after - before,
        "slope": np.asarray(slope).tolist(),
    }


def measure(kind: str, way: str, n: int) -> dict[str, Any]:
    """One row; a library that cannot do it has a result, too."""
    chain = CHAINS[kind](n)
    try:
        match way:
            case "passes":
                found = passes(chain)
            case "compile":
                found = compiled(chain)
            case "backward":
                found = backward(chain)
            case _:
                found = theirs(way, chain)
    except RecursionError as error:
        found = {"error": type(error).__name__}
    return {"chain": kind, "way": way, "n": n, **found}


def in_process(kind: str, way: str, n: int, limit_s: float) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.chain", "--measure", kind, way, str(n)]
    failed = {"chain": kind, "way": way, "n": n}
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return {**failed, "error": f"more than {limit_s:.0f} s"}
    if done.returncode:
        return {**failed, "error": f"exit status {done.returncode}"}
    return json.loads(done.stdout)


def with_growth(rows: list[dict[str, Any]]) -> None:
    """Add the time for each op, and how it grows with the length."""
    for row in rows:
        for key in ("first", "second", "run", *PASSES):
            if f"{key}_s" in row:
                row[f"{key}_us_per_op"] = row[f"{key}_s"] / row["n"] * 1e6
    shortest = {(r["chain"], r["way"]): r for r in reversed(rows)}
    for row in rows:
        for key in ("first", "second", "run", *PASSES):
            name = f"{key}_us_per_op"
            first = shortest[row["chain"], row["way"]]
            if name in row and name in first:
                row[f"{key}_growth"] = row[name] / first[name]


def check(rows: Sequence[dict[str, Any]]) -> None:
    """All ways must find the same gradient."""
    found: dict[tuple[str, int], Any] = {}
    for row in rows:
        if "slope" in row:
            slope = np.array(row["slope"])
            first = found.setdefault((row["chain"], row["n"]), slope)
            assert np.max(np.abs(slope - first)) <= 1e-7 * np.max(np.abs(first)), row


def cell(row: dict[str, Any], key: str) -> str:
    """Microseconds for each op, and their growth in brackets."""
    if f"{key}_us_per_op" not in row:
        return row.get("error", "-")
    return f"{figure(row[f'{key}_us_per_op'])} ({figure(row.get(f'{key}_growth'))})"


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    names = ["first", "second", "run"]
    table(
        "passes of the compiler; microseconds for each op, growth in brackets",
        ["chain", "n", *PASSES],
        [[r["chain"], r["n"], *[cell(r, k) for k in PASSES]] for r in rows if r["way"] == "passes"],
    )
    table(
        "a chain of n ops with its gradient; microseconds for each op, growth in brackets",
        [
            "chain",
            "way",
            "n",
            "first call",
            "same structure again",
            "run",
            "compiling again, % of first",
            "seconds, first",
            "peak MiB",
        ],
        [
            [
                r["chain"],
                r["way"],
                r["n"],
                *[cell(r, k) for k in names],
                figure(100 * r["again"]) if "again" in r else "-",
                figure(r.get("first_s")),
                figure(r.get("peak_mib")),
            ]
            for r in rows
            if r["way"] != "passes"
        ],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all lengths."""
    parser = arguments(__doc__)
    parser.add_argument("--measure", nargs=3, help="what a process of one figure is told")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one process")
    options = parser.parse_args(argv)
    if options.measure:
        kind, way, n = options.measure
        print(json.dumps(measure(kind, way, int(n))))
        return
    peers = available(PEERS)
    ways = [w for w in WAYS if w in peers or w not in PEERS]
    if options.tiny:
        ways = ways[:3]
    lengths = {"circle": (20, 150)} if options.tiny else LENGTHS
    rows = [
        in_process(kind, way, n, options.limit)
        for kind, sizes in lengths.items()
        for way in ways
        for n in sizes
    ]
    check(rows)
    with_growth(rows)
    show(rows)
    save(options.out, "chain", rows)


if __name__ == "__main__":
    main()
