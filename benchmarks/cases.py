"""Real failures: how many of the cases in ``tests/data/cases.json`` come out right, and sharp.

Each case is a program whose value or derivative some framework gets wrong, with the truth for
exactly the floats given. *right* is within 64 ulp of the truth at all points, *sharp* within 4.

Run: ``python -m benchmarks.cases``
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case_libraries import (
    Evaluate,
    Inputs,
    guarded_result,
    jax_evaluate,
    ruled_result,
    stablegrad_result,
    torch_evaluate,
)
from benchmarks.judge import RIGHT_ULP, SHARP_ULP, case_error, exact
from benchmarks.measure import arguments, available, console, save, table

CASES = Path(__file__).resolve().parent.parent / "tests" / "data" / "cases.json"
TINY = 5


def read_cases() -> list[dict[str, Any]]:
    """All cases."""
    return json.loads(CASES.read_text("utf8"))


def inputs_of(case: Mapping[str, Any], point: Mapping[str, Any]) -> Inputs:
    """The inputs of a point as arrays of its dtype."""
    dtype = point.get("dtype", case["dtype"])
    return {k: np.asarray(v, float).astype(dtype) for k, v in point.items() if k != "dtype"}


def run_case(case: Mapping[str, Any], evaluate: Evaluate) -> tuple[float, str]:
    """The error of a case in ulp, and what went wrong where nothing came out."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = [evaluate(case, inputs_of(case, point)) for point in case["points"]]
    except Exception as error:  # noqa: BLE001 - a library that refuses a case has not got it right
        return math.inf, f"{type(error).__name__}: {error}".splitlines()[0][:160]
    return case_error(found, case), ""


REASONS = {
    "svd-rank-deficient": "JAX's svd is passed through, and JAX differentiates it",
}
"""Why the bridge misses a case, where it is not for subnormals."""


def reason(case: Mapping[str, Any]) -> str:
    """Why the bridge does not get a case right."""
    for point in case["points"]:
        for value in inputs_of(case, point).values():
            limits = np.finfo(value.dtype)
            if np.any((value != 0) & (np.abs(value) < limits.tiny)):
                return "an input is subnormal, which XLA takes for 0"
    tiny = Fraction(float(np.finfo(case["dtype"]).tiny))
    for truth in case["right_30digits"]:
        values = list(truth.values()) if isinstance(truth, dict) else [truth]
        for text in np.ravel(np.asarray(values, dtype=object)):
            number = exact(text)
            if isinstance(number, Fraction) and 0 < abs(number) < tiny:
                return "a result is subnormal, for which XLA gives 0"
    return REASONS.get(case["id"], "")


def mark(row: Mapping[str, Any]) -> str:
    """A result in a word or a figure."""
    if row["error"]:
        return "error"
    if math.isinf(row["ulp"]):
        return "wrong"
    return f"{row['ulp']:.3g}"


def chosen_libraries(options: Any) -> dict[str, Evaluate]:
    """What is compared: our engine, or our bridge under jit and eager, and the peers there are."""
    if options.engine == "jax":
        return {
            "stablegrad": jax_evaluate(stabilized=True, jit=True),
            "eager": jax_evaluate(stabilized=True),
            "jax": jax_evaluate(jit=True),
        }
    libraries: dict[str, Evaluate] = {
        "stablegrad": stablegrad_result,
        "no synthesis": ruled_result,
        "guarded": guarded_result,
    }
    peers = [] if options.tiny else available(("jax", "torch"))
    makers = {"jax": jax_evaluate, "torch": torch_evaluate}
    return libraries | {name: make() for name, make in makers.items() if name in peers}


def main(argv: Sequence[str] | None = None) -> None:
    """Run all cases and count."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="cases whose id holds this text")
    parser.add_argument(
        "--engine", choices=("numpy", "jax"), default="numpy", help="what runs our programs"
    )
    parser.add_argument("--all", action="store_true", help="list the cases that are sharp, too")
    options = parser.parse_args(argv)
    cases = [c for c in read_cases() if options.only in c["id"]]
    if options.tiny:
        cases = cases[:TINY]
    libraries = chosen_libraries(options)
    results: dict[str, list[dict[str, Any]]] = {}
    elapsed_s: dict[str, float] = {}
    for name, evaluate in libraries.items():
        start = time.perf_counter()
        errors = [run_case(case, evaluate) for case in cases]
        results[name] = [{"ulp": ulp, "error": error} for ulp, error in errors]
        elapsed_s[name] = time.perf_counter() - start
    rows = [
        {
            **{key: case[key] for key in ("id", "expr", "order", "dtype", "kind")},
            "results": {name: results[name][i] for name in libraries},
        }
        for i, case in enumerate(cases)
    ]
    table(
        f"cases not sharp in stablegrad: error in ulp ({len(cases)} cases in all)",
        ["case", "expression", "order", "dtype", *libraries],
        [
            [
                r["id"],
                r["expr"],
                r["order"],
                r["dtype"],
                *[mark(r["results"][n]) for n in libraries],
            ]
            for r in rows
            if options.all or r["results"]["stablegrad"]["ulp"] > SHARP_ULP
        ],
    )
    counts: dict[str, dict[str, Any]] = {
        name: {
            "cases": len(found),
            "right": sum(r["ulp"] <= RIGHT_ULP for r in found),
            "sharp": sum(r["ulp"] <= SHARP_ULP for r in found),
            "errors": dict(Counter(r["error"].partition(":")[0] for r in found if r["error"])),
        }
        for name, found in results.items()
    }
    table(
        "counts",
        ["library", "cases", "right", "sharp", "raised", "seconds"],
        [
            [
                name,
                c["cases"],
                c["right"],
                c["sharp"],
                sum(c["errors"].values()),
                f"{elapsed_s[name]:.1f}",
            ]
            for name, c in counts.items()
        ],
    )
    for row in rows:
        if row["results"]["stablegrad"]["error"]:
            console.print(f"{row['id']}: {row['results']['stablegrad']['error']}", markup=False)
    if options.engine == "jax":
        missed = [r["ulp"] > RIGHT_ULP for r in results["stablegrad"]]
        for case, row, wrong in zip(cases, rows, missed, strict=True):
            if wrong:
                row["reason"] = reason(case)
                console.print(f"{row['id']}: {row['reason'] or 'no reason known'}", markup=False)
    saved = "cases" if options.engine == "numpy" else "cases_jax"
    save(options.out, saved, rows, counts=counts, elapsed_s=elapsed_s)


if __name__ == "__main__":
    main()
