"""Sections of the page of benchmarks on JAX and XLA."""

from __future__ import annotations

import statistics

from benchmarks.judge import RIGHT_ULP
from benchmarks.measure import figure
from benchmarks.page import Data, grid, machine, ratio


def cases_jax(data: Data) -> str:
    """The cases through the bridge."""
    rows = [[name, c["cases"], c["right"], c["sharp"]] for name, c in data["counts"].items()]
    missed = [r for r in data["rows"] if r["results"]["stablegrad"]["ulp"] > RIGHT_ULP]
    listed = [
        [
            f"`{r['id']}`",
            f"`{r['expr']}`",
            r["order"],
            r["dtype"],
            figure(r["results"]["stablegrad"]["ulp"]),
            r.get("reason", ""),
        ]
        for r in missed
    ]
    columns = ["case", "expression", "order", "dtype", "error", "reason"]
    return "\n\n".join(
        [
            (
                "## Real failures in JAX\n\nThe same programs written with JAX, as they are "
                "(`jax`) and stabilized by the bridge, under jit (`stablegrad`) and `eager`."
            ),
            grid(["library", "cases", "right", "sharp"], rows),
            "Those that are not right under jit, with the error in ulp:",
            grid(columns, listed),
            machine(data),
        ]
    )


def accuracy_xla(data: Data) -> str:
    """The functions on the XLA engine."""
    names = list(data["counts"])
    total = len(data["rows"])
    counts = [
        [name, *[f"{n} of {total}" for n in data["counts"][name]], *data["spurious"][name]]
        for name in names
    ]
    missed = [
        [
            f"`{r['formula']}`",
            order,
            *[within(r["results"][n][order]) for n in names],
        ]
        for r in data["rows"]
        for order in range(3)
        if any(within(r["results"][n][order]) != "all" for n in names if n != "jax")
    ]
    columns = ["", *[f"order {k}" for k in range(3)], *[f"spurious {k}" for k in range(3)]]
    return "\n\n".join(
        [
            (
                "## Functions on XLA\n\nFunctions over the whole range of float32, under jit: the "
                "XLA engine, JAX programs through the bridge, and JAX alone. In how many every "
                "point is within 4 ulp, at the value and two derivatives; *spurious*: points with "
                "a number where the truth underflows."
            ),
            grid(columns, counts),
            "Where the engine or the bridge miss points: points within 4 ulp, worst error in ulp.",
            grid(["function", "order", *names], missed),
            machine(data),
        ]
    )


def jax_libraries(data: Data) -> str:
    """Functions of other people's libraries."""
    rows = []
    for order, what in enumerate(("values", "slopes")):
        sums = data["sums"]
        points = sums["points"][order]
        for k, bound in enumerate(("right", "sharp")):
            kinds = [f"{kind} {order}" for kind in ("naive", "stable", "lost")]
            rows.append([f"{what}, not {bound}", points, *[sums[kind][k] for kind in kinds]])
    return "\n\n".join(
        [
            (
                "## Functions of JAX libraries\n\nEvery activation of `jax.nn`, every loss of "
                "`optax.losses` and the log density of every continuous distribution of NumPyro "
                f"that the oracle can judge ({len(data['rows'])} functions; "
                f"{len(data['left'])} pass through primitives that it cannot), in float32 under "
                "jit, at everyday floats and at bit patterns. *lost*: points that JAX alone has."
            ),
            grid(["", "points", "JAX", "stabilized", "lost"], rows),
            machine(data),
        ]
    )


def jax_steps(data: Data) -> str:
    """Train steps of models."""
    keys = list(data["rows"][0])
    return "\n\n".join(
        [
            (
                "## Train steps\n\nA perceptron of Equinox and one of Flax with Adam of Optax, "
                "the loss written from probabilities, inputs of three sizes: the results (loss and "
                "gradients) that are not right, and how many ulp the new parameters are apart "
                "from JAX's where JAX's gradient is right."
            ),
            grid(
                keys, [[figure(r[k]) if k == "apart" else r[k] for k in keys] for r in data["rows"]]
            ),
            machine(data),
        ]
    )


def within(result: Data) -> str:
    """How many points of a function are within 4 ulp, and the worst."""
    if "error" in result:
        return "error"
    if result["within"] == result["points"]:
        return "all"
    return f"{result['within']} of {result['points']}, {figure(result['worst_ulp'])}"


SPEED_TEXT = """## JAX programs

Value and gradient under jit, stabilized over naive. *trace*: tracing and stabilizing beyond
JAX's own, over XLA's compile time; *temporary*: XLA's temporary memory; *residual*: what JAX
keeps between the passes. Goals: a geometric mean of the times of at most 1.00, none over 1.10,
*trace* at most 0.15; **bold**: missed. Single functions of a million floats have no goal."""


def jax_speed(data: Data) -> str:
    """Speed of the bridge."""
    limits = {"time": 1.1, "extra_trace": 0.15, "temporary": 1.0, "residual": 1.0}
    keys = ("time", "naive_ms", "extra_trace", "compile", "temporary", "residual")
    columns = ["time", "naive, ms", "trace", "compile", "temporary", "residual"]
    parts = [SPEED_TEXT]
    for kind in ("program", "function"):
        some = [r for r in data["rows"] if r.get("kind", "program") == kind]
        if not some:
            continue
        goals = limits if kind == "program" else {}
        mean = statistics.geometric_mean([r["time"] for r in some])
        cells = [[r["program"], *[ratio(r[k], goals.get(k)) for k in keys]] for r in some]
        parts.append(grid([kind, *columns], cells))
        told = ratio(mean, 1.0 if kind == "program" else None)
        parts.append(f"Geometric mean of the times: {told}.")
    if "hvp" in data:
        parts.append(
            "The Hessian-vector product of a chain of 600 ops compiles in "
            f"{ratio(data['hvp']['ratio'], 1.5)} of naive (goal: 1.5)."
        )
    return "\n\n".join([*parts, machine(data)])
