"""Random programs at random bit patterns: how often stabilizing helps, and whether it harms.

Each program has 3 to 30 ops of two inputs and is run at points of every size, value and first
derivative by its first input, as a conventional framework computes it and stabilized, both
against the oracle. *worse by more than k*: by more than k ulp than naive; *made up*: a number
where the oracle proves that there is none.

Run: ``python -m benchmarks.fuzz --programs 1000``
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks.measure import arguments, console, save, table
from stablegrad import ops
from stablegrad.ir import Term, make, show, topological
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import Truth, err_ulp, truth
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

Array = np.ndarray[Any, Any]
SEED = 20261121
POINTS = 24
LIMITS = (1, 4, 64)
BUDGET = 3200

UNARY = (
    "exp expm1 log log1p sqrt square negative abs reciprocal sigmoid tanh softplus log_sigmoid "
    "sin cos arctan arcsinh sinh cosh erf erfc"
).split()
BINARY = "add subtract multiply divide maximum hypot logaddexp".split()
CONSTANTS = (1.0, 2.0, 0.5, -1.0, 3.0)


def program(rng: random.Random, inputs: Sequence[Term], length: int) -> Term:
    """A random program that uses what it built last more often than what it built first."""
    values = list(inputs)
    for _ in range(length):
        a = values[-1] if rng.random() < 0.6 else rng.choice(values)
        if rng.random() < 0.5:
            values.append(ops.OPS[rng.choice(UNARY)](a))
            continue
        b = rng.choice([*values, *CONSTANTS[: 1 + len(values) // 2]])
        pair = (a, b) if rng.random() < 0.5 else (b, a)
        values.append(ops.OPS[rng.choice(BINARY)](*pair))
    return values[-1]


def points(rng: np.random.Generator, count: int, dtype: Any) -> Array:
    """Half everyday numbers, a quarter spread over all magnitudes, a quarter bit patterns."""
    size = np.dtype(dtype).itemsize
    raw = rng.integers(0, 2 ** (8 * size), count, dtype=f"u{size}").view(dtype)
    spread = rng.standard_normal(count) * 2.0 ** rng.integers(-60, 60, count)
    everyday = rng.standard_normal(count) * 2.0 ** rng.integers(-6, 6, count)
    kind = rng.random(count)
    chosen = np.where(kind < 0.5, everyday, np.where(kind < 0.75, spread, raw))
    return np.where(np.isfinite(chosen), chosen, everyday).astype(dtype)


def errors(values: Array, true: Truth) -> Array:
    """Errors in ulp, infinite where a value is missing or of another kind."""
    with np.errstate(all="ignore"):
        error = np.asarray(err_ulp(values, true), float)
    return np.where(np.isnan(error), np.inf, np.abs(error))


def judge(counts: Counter[str], naive: Array, stable: Array, true: Truth) -> Array:
    """Count the points of one program; how much worse each is than naive."""
    judged = true.decided & np.isfinite(true.value)
    a, b = errors(naive, true), errors(stable, true)
    worse = np.where(judged, b - np.where(np.isinf(a), b, a), 0.0)
    worse = np.where(judged & np.isinf(b) & np.isfinite(a), np.inf, worse)
    counts["points"] += int(judged.sum())
    counts["right"] += int((judged & (b <= 64)).sum())
    counts["naive right"] += int((judged & (a <= 64)).sum())
    counts["improved"] += int((judged & (b < a - 1)).sum())
    for limit in LIMITS:
        counts[f"worse by more than {limit}"] += int((worse > limit).sum())
    made_up = true.undefined & np.isfinite(stable)
    counts["undefined"] += int(true.undefined.sum())
    counts["made up"] += int(made_up.sum())
    counts["naive made up"] += int((true.undefined & np.isfinite(naive)).sum())
    counts["undecided"] += int(true.undecided.sum())
    return np.where(made_up, np.inf, worse)


def run(seed: int, dtype: Any, counts: dict[str, Counter[str]]) -> list[dict[str, Any]]:
    """One random program; what it counts, and the points where it is much worse than naive."""
    rng = random.Random(seed)
    data_rng = np.random.default_rng(seed)
    inputs = [make(INPUT, (), (i,), (POINTS,), np.dtype(dtype)) for i in range(2)]
    root = program(rng, inputs, rng.randint(3, 30))
    data = [points(data_rng, POINTS, dtype) for _ in inputs]
    bindings = dict(zip(inputs, data, strict=True))
    below = set(topological([root]))
    by = next(x for x in inputs if x in below)
    slope = gradient(root, by, const(1, root.dtype, root.shape))
    found: list[dict[str, Any]] = []
    truths = [
        ("value", truth(root, bindings, budget=BUDGET)),
        (
            "gradient",
            truth(root, bindings, order=1, direction={by: 1.0}, budget=BUDGET),
        ),
    ]
    naive = compile_terms([root, slope], inputs, Settings(naive=True))(data)
    stable = compile_terms([root, slope], inputs, Settings())(data)
    for (kind, true), a, b in zip(truths, naive, stable, strict=True):
        worse = judge(counts[kind], a, b, true)
        at = int(np.argmax(worse))
        if worse[at] > LIMITS[-1]:
            found.append(
                {
                    "seed": seed,
                    "kind": kind,
                    "worse_ulp": float(worse[at]),
                    "program": show(root, 30),
                    "inputs": [float(d[at]) for d in data],
                    "naive": float(a[at]),
                    "stable": float(b[at]),
                    "true": float(true.value[at]),
                }
            )
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run many programs and print the shares."""
    parser = arguments(__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    options = parser.parse_args(argv)
    count = 10 if options.tiny else options.programs
    counts: dict[str, Counter[str]] = {"value": Counter(), "gradient": Counter()}
    worst: list[dict[str, Any]] = []
    failed = 0
    start = time.perf_counter()
    for i in track(range(count), "programs", console=console, transient=True):
        try:
            worst += run(options.seed + i, np.dtype(options.dtype).type, counts)
        except Exception as error:  # noqa: BLE001 - a program that raises is a finding too
            failed += 1
            worst.append({"seed": options.seed + i, "error": f"{type(error).__name__}: {error}"})
    elapsed_s = time.perf_counter() - start
    keys = list(counts["value"])
    rows = [[key, *[_share(counts[kind], key) for kind in ("value", "gradient")]] for key in keys]
    table(
        f"{count} programs, {options.dtype}, seed {options.seed}", ["", "value", "gradient"], rows
    )
    console.print(f"{failed} programs raised; {elapsed_s:.0f} s")
    worst.sort(key=lambda w: -w.get("worse_ulp", np.inf))
    for w in worst[:12]:
        console.print(str(w), markup=False, highlight=False)
    save(
        options.out,
        f"fuzz_{options.dtype}",
        worst[:100],
        counts=counts,
        programs=count,
        seed=options.seed,
        raised=failed,
    )


def _share(counts: Counter[str], key: str) -> str:
    whole = counts["points"]
    return f"{counts[key]} ({100 * counts[key] / max(1, whole):.3g}%)"


if __name__ == "__main__":
    main()
