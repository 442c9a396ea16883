"""Functions that nobody here wrote, in float32 under jit: JAX as it is, and stabilized.

Every activation of ``jax.nn``, and where they are installed every loss of ``optax.losses`` and
the log density of every continuous distribution in NumPyro: the value, and the slope by every
argument, at everyday floats and at floats sampled by bit pattern. The truth is the oracle's, for
the program as JAX traces it; *lost* are points that JAX has and the stabilized function has not.
Only points whose true result is a normal float count: *subnormal* are those whose result XLA
flushes; inputs are all normal. What passes through primitives that terms do not have cannot be
judged this way and is named. *large* is the stabilized function on so many copies of the points
that it is compiled as for large arrays (``FEW`` in ``stablegrad.jax.regions``).

Run: ``python -m benchmarks.jax_libraries``
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.judge import RIGHT_ULP, SHARP_ULP
from benchmarks.library_programs import Program, programs
from benchmarks.measure import arguments, console, save, table
from stablegrad.oracle import Status, err_ulp, truth

SEED = 20_260_101
KINDS = ("naive", "stable", "lost", "large", "lost large")
Row = dict[str, Any]


def judge(program: Program) -> Row | str | None:
    """How many points are not right, and not sharp, of each kind.

    Returns:
        Figures; or why there are none; None for a function of other arguments.
    """
    import jax

    import stablegrad.jax as sj
    from stablegrad.jax.regions import FEW

    columns = [jax.numpy.asarray(c) for c in program.columns]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = sj.explain(program.f)(*columns)
            shape = getattr(jax.eval_shape(program.f, *columns), "shape", None)
    except Exception:  # noqa: BLE001 - a function of other arguments
        return None
    if shape != columns[0].shape[:1]:
        return None
    if report.passed or len(report.regions) != 1:
        names = sorted({name for name, _ in report.passed})
        return "passes through " + (", ".join(names) or "control flow")
    (region,), (reading,) = report.regions, report.readings
    known = dict(reading.constants) | dict(zip(reading.inputs, columns, strict=True))
    numbers = dict(zip(region.inputs, reading.steps[0].inputs, strict=True))
    bindings = {x: np.asarray(known[a]) for x, a in numbers.items()}
    places = {x: reading.inputs.index(a) for x, a in numbers.items() if a in reading.inputs}
    row: Row = {"function": program.name, "points": [0, 0], "subnormal": [0, 0]}
    row |= {f"{kind} {order}": [0, 0] for kind in KINDS for order in (0, 1)}
    stable = sj.stabilize(program.f)
    runs = {"naive": program.f, "stable": stable, "large": stable}
    given = dict.fromkeys(runs, columns)
    given["large"] = [jax.numpy.concatenate([c] * (FEW // len(c) + 1)) for c in columns]
    alone, among = (_run(program.f, given[kind]) for kind in ("naive", "large"))
    if not np.allclose(alone, among[: len(alone)], rtol=1e-3, equal_nan=True):
        del runs["large"]  # a result is made of several points
    values = {kind: _run(f, given[kind]) for kind, f in runs.items()}
    _count(row, 0, truth(region.roots[0], bindings, np.float32), values)
    wanted = list(places.values())
    slopes = {kind: _run(_slopes(f, wanted), given[kind]) for kind, f in runs.items()}
    for position, (x, i) in enumerate(places.items()):
        for j in range(columns[i].shape[1] if columns[i].ndim > 1 else 1):
            moves = dict.fromkeys(region.inputs, 0.0)
            direction = np.zeros(columns[i].shape)
            direction[(slice(None), j) if direction.ndim > 1 else slice(None)] = 1
            moves: Any = {v: direction if v is x else 0.0 for v in region.inputs}
            true = truth(region.roots[0], bindings, np.float32, order=1, direction=moves)
            part = (slice(None), j) if direction.ndim > 1 else slice(None)
            _count(row, 1, true, {k: s[position][part] for k, s in slopes.items()})
    return row


def _run(f: Callable[..., Any], columns: Sequence[Any]) -> Any:
    import jax

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jax.tree.map(np.asarray, jax.jit(f)(*columns))


def _slopes(f: Callable[..., Any], places: Sequence[int]) -> Callable[..., Any]:
    import jax

    return jax.grad(lambda *args: f(*args).sum(), tuple(places))


def _count(row: Row, order: int, true: Any, found: dict[str, Any]) -> None:
    """Add the points of one result to the figures."""
    value = np.abs(np.asarray(true.value, float))
    limits = np.finfo(np.float32)
    counts = (value >= limits.tiny) & (value <= limits.max)
    counts &= np.asarray(true.status) <= Status.LIMIT
    row["points"][order] += int(counts.sum())
    row["subnormal"][order] += int(((value > 0) & (value < limits.tiny)).sum())
    errors = {}
    for kind, got in found.items():
        error = np.where(counts, err_ulp(got[: len(value)], true), 0.0)
        errors[kind] = np.where(np.isnan(error), np.inf, error)
    for k, bound in enumerate((RIGHT_ULP, SHARP_ULP)):
        for kind, error in errors.items():
            row[f"{kind} {order}"][k] += int((error > bound).sum())
        for lost, kind in (("lost", "stable"), ("lost large", "large")):
            if kind not in errors:
                continue
            worse = (errors["naive"] <= bound) & (errors[kind] > bound)
            row[f"{lost} {order}"][k] += int(worse.sum())


def main(argv: Sequence[str] | None = None) -> None:
    """Judge every function."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--points", type=int, default=60)
    options = parser.parse_args(argv)
    points = 8 if options.tiny else options.points
    rows: list[Row] = []
    left: dict[str, str] = {}
    for program in programs(points, np.random.default_rng(SEED)):
        if options.only not in program.name:
            continue
        console.print(program.name) if options.only else None
        found = judge(program)
        if isinstance(found, str):
            left[program.name] = found
        elif found is not None:
            rows.append(found)
    keys = [f"{kind} {order}" for order in (0, 1) for kind in KINDS]
    table(
        "points not right / not sharp, values (0) and slopes (1)",
        ["function", "points 0/1", "subnormal", *keys],
        [
            [
                "/".join(map(str, r[k])) if k != "function" else r[k]
                for k in ("function", "points", "subnormal", *keys)
            ]
            for r in rows
        ],
    )
    sums = {k: [sum(r[k][i] for r in rows) for i in (0, 1)] for k in ("points", "subnormal", *keys)}
    console.print("in all: " + ", ".join(f"{k} {a}/{b}" for k, (a, b) in sums.items()))
    for name, why in left.items():
        console.print(f"not judged: {name}: {why}")
    save(options.out, "jax_libraries", rows, sums=sums, left=left)


if __name__ == "__main__":
    main()
