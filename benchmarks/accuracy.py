"""63 functions over the whole float32 range: how many points are right, at orders 0, 1 and 2.

The grid has 400 normal float32 inputs per sign, log-spaced over the whole range (near an edge of
the domain in the distance to it); the truth was rounded once from balls. Only points whose true
result is a normal float32 count. A cell is: % of points within 4 ulp / % wrong (nan, inf, 0 or off
by more than 1e-3); a function counts as kept if every point is within 4 ulp.

Run: ``python -m benchmarks.accuracy``; with ``--engine xla``, the XLA engine (programs of ours)
and the bridge (programs of JAX, stabilized, under jit), in float32 throughout.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case_libraries import (
    Inputs,
    jax_evaluate,
    stablegrad_result,
    torch_evaluate,
    xla_result,
)
from benchmarks.measure import arguments, available, console, save, table

DATA = Path(__file__).resolve().parent / "data"
SHARP_ULP = 4
WRONG = 1e-3
ORDERS = (0, 1, 2)
CONSTANTS = {
    "1/3": 1 / 3,
    "sqrt(2*pi)": math.sqrt(2 * math.pi),
    "1/sqrt(2*pi)": 1 / math.sqrt(2 * math.pi),
}
"""Constants of the functions; the float32 nearest to each is what the truth is for."""

Array = np.ndarray[Any, Any]
FLOAT = np.finfo(np.float32)


def functions() -> list[dict[str, Any]]:
    """The functions: formula, expression, arguments and the one differentiated."""
    return json.loads((DATA / "functions.json").read_text("utf8"))


def values(function: Mapping[str, Any], order: int, evaluate: Callable[..., Any], data: Any) -> Any:
    """The value or derivative at every point of the grid."""
    index = function["index"]
    inputs: Inputs = {name: data[f"{index}/arg{i}"] for i, name in enumerate(function["arguments"])}
    for name, text in function["constants"].items():
        inputs[name] = np.full_like(data[f"{index}/arg0"], np.float32(CONSTANTS[text]))
    expression = function["expr"] if order == 0 else f"sum({function['expr']})"
    case = {"expr": expression, "order": order, "wrt": [function["wrt"]]}
    found = evaluate(case, inputs)
    return np.asarray(found[function["wrt"]] if order else found)


def judge(got: Array, truth: Array, exact: Array) -> dict[str, float]:
    """Counts over the points of one function at one order."""
    normal = np.isfinite(truth) & (np.abs(truth) >= FLOAT.tiny)
    small = np.isfinite(truth) & ~normal
    with np.errstate(all="ignore"):
        off = np.abs(got[normal].astype(float) - truth[normal].astype(float))
        error = off / np.spacing(np.abs(truth[normal])).astype(float)
        error = np.where(np.isfinite(error), error, np.inf)
        wrong = ~(off <= WRONG * np.abs(truth[normal])) | (got[normal] == 0)
        spurious = ~(np.abs(got[small].astype(float) - exact[small]) <= 2 * FLOAT.tiny)
    count = int(normal.sum())
    return {
        "points": count,
        "within": int((error <= SHARP_ULP).sum()),
        "wrong": int(wrong.sum()),
        "worst_ulp": float(error.max(initial=0.0)),
        "spurious": int(spurious.sum()),
    }


def run(function: Mapping[str, Any], evaluate: Callable[..., Any], data: Any) -> list[Any]:
    """The counts of one function at every order, or the error that a library raised."""
    found: list[Any] = []
    for order in ORDERS:
        truth = data[f"{function['index']}/truth_float32"][order].astype(np.float32)
        exact = data[f"{function['index']}/truth_float64"][order]
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found.append(judge(values(function, order, evaluate, data), truth, exact))
        except Exception as error:  # noqa: BLE001 - what a library refuses it does not get right
            found.append({"error": f"{type(error).__name__}: {error}".splitlines()[0][:120]})
    return found


def cell(result: Mapping[str, Any]) -> str:
    """Per cent within 4 ulp and per cent wrong."""
    if "error" in result:
        return "error"
    n = max(1, result["points"])
    return f"{_percent(result['within'], n)}/{_percent(result['wrong'], n)}"


def _percent(part: int, whole: int) -> str:
    if 0 < part < whole:
        return f"{min(99, max(1, round(100 * part / whole)))}"
    return "100" if part else "0"


def kept(result: Mapping[str, Any]) -> bool:
    """Whether every point is within 4 ulp."""
    return "error" not in result and result["within"] == result["points"]


def chosen_libraries(options: Any) -> dict[str, Callable[..., Any]]:
    """What is compared: NumPy and the peers, or the XLA engine, the bridge and JAX under jit."""
    if options.engine == "xla":
        bridge = jax_evaluate(stabilized=True, jit=True)
        return {"engine": xla_result, "bridge": bridge, "jax": jax_evaluate(jit=True)}
    libraries: dict[str, Callable[..., Any]] = {"stablegrad": stablegrad_result}
    for name, make in (("jax", jax_evaluate), ("torch", torch_evaluate)):
        if not options.tiny and available([name]):
            libraries[name] = make()
    return libraries


def main(argv: Sequence[str] | None = None) -> None:
    """Run all functions through all libraries that are installed, and count."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--engine", choices=("numpy", "xla"), default="numpy", help="what runs our programs"
    )
    parser.add_argument("--only", default="", help="functions whose formula holds this text")
    options = parser.parse_args(argv)
    data = np.load(DATA / "functions_truth.npz", allow_pickle=False)
    libraries = chosen_libraries(options)
    chosen = [f for f in functions() if options.only in f["formula"]]
    chosen = chosen[:3] if options.tiny else chosen
    rows = [
        {"formula": f["formula"], "results": {n: run(f, e, data) for n, e in libraries.items()}}
        for f in chosen
    ]
    for order in ORDERS:
        cells = [[r["formula"], *[cell(r["results"][n][order]) for n in libraries]] for r in rows]
        table(f"order {order}: % within 4 ulp / % wrong", ["function", *libraries], cells)
    counts = {n: [sum(kept(r["results"][n][o]) for r in rows) for o in ORDERS] for n in libraries}
    spurious = {
        n: [sum(r["results"][n][o].get("spurious", 0) for r in rows) for o in ORDERS]
        for n in libraries
    }
    for name, count in counts.items():
        text = "/".join(map(str, count))
        console.print(
            f"{name}: every point within 4 ulp in {text} of {len(rows)} functions at orders 0/1/2; "
            f"spurious where the truth underflows: {'/'.join(map(str, spurious[name]))}"
        )
    name = "accuracy" if options.engine == "numpy" else "accuracy_xla"
    save(options.out, name, rows, counts=counts, spurious=spurious)


if __name__ == "__main__":
    main()
