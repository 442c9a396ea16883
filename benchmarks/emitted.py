"""Emitted source: is what ``--emit`` writes for real failures as right as the library itself?

For every case of ``tests/data/cases.json`` the stabilized program and its gradients are written
out, for NumPy and for JAX, and run at the points of the case in a process in which this library
cannot be imported. Judged by the truth of the case, like ``benchmarks.cases``: *right* is within
64 ulp at all points, *sharp* within 4. A case counts as cured where the library itself is right.

Run: ``python -m benchmarks.emitted``
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.audit import program_of
from benchmarks.case_libraries import stablegrad_result
from benchmarks.cases import inputs_of, read_cases
from benchmarks.judge import RIGHT_ULP, SHARP_ULP, case_error
from benchmarks.measure import arguments, save, table

TARGETS = ("numpy", "jax")
RUNNER = """
import importlib.util, json, pathlib, sys
import numpy as np
sys.modules["stablegrad"] = None  # must not be needed
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        spec = importlib.util.spec_from_file_location(folder.name, folder / "emitted.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[folder.name] = module
        spec.loader.exec_module(module)
        with np.load(folder / "inputs.npz") as data, np.errstate(all="ignore"):
            found = module.program_stable(*[data[f"arr_{i}"] for i in range(len(data.files))])
        found = found if isinstance(found, tuple) else [found]
        np.savez(folder / "results.npz", *[np.asarray(v) for v in found])
    except Exception as error:
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}")
"""
"""Runs every module in a folder on its inputs, without this library."""


def written(case: Mapping[str, Any], point: Mapping[str, Any], target: str, folder: Path) -> None:
    """Write the source for a case at the dtypes and shapes of a point, and its inputs.

    Raises:
        EmitError: a step cannot be written as source.
    """
    from stablegrad.audit.emit import source_of
    from stablegrad.audit.examine import Examination
    from stablegrad.audit.findings import Audit
    from stablegrad.audit.progress import Stages
    from stablegrad.audit.trace import parameter_names, trace

    f, names, args = program_of(case, point)
    audit = Audit("program", case["order"])
    traced = trace(f, args)
    Examination(traced, case["order"], audit, Stages(shown=False)).stabilized()
    assert audit.cure is not None
    text, _, _ = source_of("program", audit.cure, target)
    folder.mkdir()
    np.savez(folder / "inputs.npz", *audit.cure.values)
    (folder / "emitted.py").write_text(text, "utf8")
    called = dict(zip(parameter_names(f, len(args)), names, strict=True))
    (folder / "names.json").write_text(json.dumps([called[n] for n, _ in traced.variables]))


def run_written(folder: Path) -> None:
    """Run all that was written, in one process that cannot import this library."""
    command = [sys.executable, "-I", "-c", RUNNER, str(folder)]
    subprocess.run(command, check=True, timeout=3600)


def result_in(folder: Path, case: Mapping[str, Any]) -> Any:
    """What a module gave, as ``case_error`` reads it."""
    with np.load(folder / "results.npz") as data:
        found = [data[f"arr_{i}"] for i in range(len(data.files))]
    if case["order"] == 0:
        return found[0]
    names = json.loads((folder / "names.json").read_text())
    first = 1 if case["order"] == 1 else 1 + len(names)
    return {w: found[first + names.index(w)] for w in case["wrt"]}


def judge_target(cases: Sequence[Mapping[str, Any]], target: str) -> list[tuple[float, str]]:
    """For each case the error in ulp, and what went wrong where nothing came out."""
    found: list[tuple[float, str]] = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        refused: dict[str, str] = {}
        for i, case in enumerate(cases):
            for j, point in enumerate(case["points"]):
                name = f"case_{i:03d}_{j:03d}"
                try:
                    written(case, point, target, root / name)
                except Exception as error:  # noqa: BLE001 - told in the table
                    refused[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        run_written(root)
        for i, case in enumerate(cases):
            folders = [root / f"case_{i:03d}_{j:03d}" for j in range(len(case["points"]))]
            told = [refused[f.name] for f in folders if f.name in refused]
            told += [(f / "error.txt").read_text() for f in folders if (f / "error.txt").exists()]
            if told:
                found.append((math.inf, told[0]))
            else:
                found.append((case_error([result_in(f, case) for f in folders], case), ""))
    return found


def ours(case: Mapping[str, Any]) -> float:
    """The error of the library itself."""
    try:
        return case_error(
            [stablegrad_result(case, inputs_of(case, p)) for p in case["points"]], case
        )
    except Exception:  # noqa: BLE001 - what is refused is not cured
        return math.inf


def main(argv: Sequence[str] | None = None) -> None:
    """Write, run and judge all cases."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="cases whose id holds this text")
    parser.add_argument("--targets", default=",".join(TARGETS))
    options = parser.parse_args(argv)
    cases = [c for c in read_cases() if options.only in c["id"]]
    if options.tiny:
        cases = cases[:3]
    start = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        library = [ours(c) for c in cases]
        results = {t: judge_target(cases, t) for t in options.targets.split(",")}
    rows = [
        {
            "id": case["id"],
            "stablegrad_ulp": library[i],
            **{t: {"ulp": results[t][i][0], "error": results[t][i][1]} for t in results},
        }
        for i, case in enumerate(cases)
    ]
    cured = [i for i, ulp in enumerate(library) if ulp <= RIGHT_ULP]
    counts = {
        target: {
            "cured": len(cured),
            "written": sum(not found[i][1] for i in cured),
            "right": sum(found[i][0] <= RIGHT_ULP for i in cured),
            "sharp": sum(found[i][0] <= SHARP_ULP for i in cured),
            "sharp_here": sum(library[i] <= SHARP_ULP for i in cured),
        }
        for target, found in results.items()
    }
    table(
        "emitted source that is not right where the library is",
        ["case", "target", "here, ulp", "emitted, ulp", "error"],
        [
            [cases[i]["id"], t, f"{library[i]:.3g}", f"{found[i][0]:.3g}", found[i][1][:100]]
            for t, found in results.items()
            for i in cured
            if found[i][0] > max(RIGHT_ULP, library[i])
        ],
    )
    heads = [*next(iter(counts.values()))]
    table("counts", ["target", *heads], [[t, *map(str, c.values())] for t, c in counts.items()])
    elapsed_s = time.perf_counter() - start
    save(options.out, "emitted", rows, counts=counts, elapsed_s=elapsed_s)


if __name__ == "__main__":
    main()
