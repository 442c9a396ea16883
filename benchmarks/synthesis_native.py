"""The kernels of the benchmark of synthesis in float32 arithmetic, under NumPy and under jit."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import compare, console, figure, table, version
from stablegrad.ir import Term
from stablegrad.oracle import Status, truth
from stablegrad.oracle.formats import FLOAT32
from stablegrad.settings import Settings
from stablegrad.synthesis import Builder, DeclinedError, Table, X, evaluate, recipe
from stablegrad.transforms.expand import derivative

Array = np.ndarray[Any, Any]
RAW = Settings(excluded=frozenset({"stabilize"}))
SEED = 20_261_130
SUBNORMAL_SHARE = 8
"""One in so many points is a subnormal."""
EDGES = np.array([0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -3.4e38, 1, -1], np.float32)
LIMIT_ULP = 4.0


def points_of(n: int) -> Array:
    """Bit patterns of finite float32s, subnormals, and edges."""
    rng = np.random.default_rng(SEED)
    bits = rng.integers(0, 2**32, 2 * n, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    few = n // SUBNORMAL_SHARE
    small = rng.integers(1, 2**23, few).astype(np.uint32) | (bits[:few] & np.uint32(1 << 31))
    return np.concatenate([x[np.isfinite(x)][:n], small.view(np.float32), EDGES])


def errors(true: Any, value: Array, covered: Array) -> Array:
    """The errors in ulp of covered inputs whose results are normal floats."""
    size = np.abs(true.value)
    known = covered & (true.status == Status.DECIDED) & np.isfinite(size)
    known &= size >= np.finfo(np.float32).tiny
    unit = np.spacing(size[known]).astype(np.float64)
    away = (value[known].astype(np.float64) - true.value[known]) / unit - true.offset[known]
    error = np.abs(away)
    return np.where(np.isfinite(error), error, np.inf)


def runs(made: Table) -> dict[str, Callable[[Array], Any]]:
    """The kernel under NumPy, and under jit where JAX is installed."""
    found: dict[str, Callable[[Array], Any]] = {"numpy": lambda v: evaluate(np, v, made)}
    if version("jax") is not None:
        import jax

        found["jit"] = jax.jit(lambda v: evaluate(jax.numpy, v, made))
    return found


def native(
    functions: dict[str, Callable[[Term], Term]], points: int, orders: Sequence[int]
) -> list[dict[str, Any]]:
    """Make and judge all kernels, a line each."""
    x = points_of(points)
    rows: list[dict[str, Any]] = []
    for name, f in functions.items():
        for order in orders:
            term = derivative(f(X), X, order, RAW)
            row: dict[str, Any] = {"function": name, "order": order}
            rows.append(row)
            start = time.process_time()
            try:
                made = Builder(recipe(term, X, FLOAT32)).build()
            except DeclinedError as error:
                row["declined"] = str(error)
                continue
            row |= {"elapsed_s": time.process_time() - start, "pieces": made.pieces}
            row |= {"proved_ulp": made.bound_ulp, "gaps": len(made.gaps)}
            with np.errstate(all="ignore"):
                true = truth(term, {X: x.astype(np.float64)}, np.float32, budget=3200, limits=False)
                for way, run in runs(made).items():
                    value, covered = map(np.asarray, run(x))
                    found = errors(true, value, covered)
                    row[way] = float(found.max(initial=0.0))
                    row["points"] = int(found.size)
    ways = [w for w in ("numpy", "jit") if w in rows[0]]
    table(
        f"kernels in float32 arithmetic on {x.size} bit patterns: the worst error in ulp",
        ["function", "order", "pieces", "proved", *ways, "gaps", "s"],
        [
            [
                r["function"],
                r["order"],
                r.get("pieces", "declined"),
                figure(r.get("proved_ulp")),
                *[figure(r.get(w)) for w in ways],
                r.get("gaps", ""),
                figure(r.get("elapsed_s")),
            ]
            for r in rows
        ],
    )
    for way in ways:
        worst = [r[way] for r in rows if way in r]
        console.print(
            f"{way}: worst {max(worst):.2f} ulp, median of the worst "
            f"{statistics.median(worst):.2f}; {sum(w <= LIMIT_ULP for w in worst)} of "
            f"{len(rows)} within {LIMIT_ULP:g}"
        )
    return rows


def native_speed(functions: dict[str, Callable[[Term], Term]], n: int) -> list[dict[str, Any]]:
    """Under jit, the kernel in float32 beside the one in float64 that is rounded once."""
    if version("jax") is None:
        return []
    import jax

    x = (np.random.default_rng(SEED).normal(size=n) * 3).astype(np.float32)
    rows = []
    with jax.enable_x64(True):
        data = jax.numpy.asarray(x)
        for name, f in functions.items():
            narrow, wide = (Builder(r).build() for r in (recipe(f(X), X, FLOAT32), recipe(f(X), X)))
            ways = {
                "float64": jax.jit(
                    lambda v, t=wide: evaluate(jax.numpy, v.astype(np.float64), t)[0].astype(
                        np.float32
                    )
                ),
                "float32": jax.jit(lambda v, t=narrow: evaluate(jax.numpy, v, t)[0]),
            }
            taken = compare(
                {k: lambda run=run: run(data).block_until_ready() for k, run in ways.items()},
                samples=5,
                sample_s=0.05,
                clock=time.process_time,
            )
            ns = {k: 1e9 * t.min_s / n for k, t in taken.items()}
            rows.append({"function": name, "ns": ns})
    table(
        f"under jit, CPU ns for each of {n} float32s",
        ["function", "computed in float64", "in float32"],
        [[r["function"], figure(r["ns"]["float64"]), figure(r["ns"]["float32"])] for r in rows],
    )
    return rows
