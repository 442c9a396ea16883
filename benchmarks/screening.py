"""Audits of large data: screening and the oracle together against the oracle alone.

Both audit the same elements; what has to agree is every finding (line, op, cause, which came
first) and the counts of each result. The oracle alone works through parts of 20,000 elements.

Run: ``python -m benchmarks.screening``
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import arguments, save, table

PART = 20_000


def log_miss(x: Any) -> Any:
    """The logarithm of the probability of a miss."""
    s = 1 / (1 + np.exp(-x))
    return np.log(1 - s)


def versine_share(x: Any) -> Any:
    """(1 - cos(x))/x**2, which is 1/2 at 0."""
    return (1 - np.cos(x)) / (x * x)


def masked_root(x: Any) -> Any:
    """A root where there is one."""
    return np.where(x > 0, np.sqrt(x), 0) * np.log1p(np.abs(x))


def inputs(name: str, count: int) -> np.ndarray[Any, Any]:
    """Inputs over everyday numbers, or over magnitudes."""
    u = np.random.default_rng(0).uniform(-30, 30, count)
    if name == "versine_share":
        return (10.0 ** (u / 5)).astype(np.float32)
    return u.astype(np.float32)


def told(found: Any) -> set[Any]:
    """The findings of an audit, without how many elements they befall."""
    return {(f.line, f.op, f.cause) for f in found.findings}


def alone(f: Callable[..., Any], x: np.ndarray[Any, Any]) -> tuple[set[Any], Any, Counter[str]]:
    """The findings, the first of them and wrong elements by result, by the oracle alone."""
    import stablegrad as sg

    findings: set[Any] = set()
    firsts: Counter[Any] = Counter()
    bad: Counter[str] = Counter()
    for i in range(0, len(x), PART):
        found = sg.audit(f, x[i : i + PART])
        findings |= told(found)
        if found.first is not None:
            firsts[found.first.line, found.first.op] += 1
        bad.update({t.name: t.naive.bad for t in found.totals})
    return findings, firsts.most_common(1)[0][0] if firsts else None, bad


def main(argv: Sequence[str] | None = None) -> None:
    """Time both, and compare what they find."""
    parser = arguments(__doc__)
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--names", default="log_miss,versine_share,masked_root")
    parser.add_argument("--large", type=int, default=10_000_000, help="elements screened only")
    options = parser.parse_args(argv)
    if options.tiny:
        options.elements, options.large, options.names = 30_000, 40_000, "log_miss"
    import stablegrad as sg

    run: Any = importlib.import_module("stablegrad.audit.run")
    rows: list[dict[str, Any]] = []
    for name in options.names.split(","):
        f, x = globals()[name], inputs(name, options.elements)
        start = time.perf_counter()
        screened = sg.audit(f, x)
        screened_s = time.perf_counter() - start
        largest = run.LARGEST_NODE, run.LARGEST_PROGRAM
        run.LARGEST_NODE = run.LARGEST_PROGRAM = 10**12
        start = time.perf_counter()
        findings, first, bad = alone(f, x)
        alone_s = time.perf_counter() - start
        run.LARGEST_NODE, run.LARGEST_PROGRAM = largest
        first_here = screened.first and (screened.first.line, screened.first.op)
        rows.append(
            {
                "program": name,
                "elements": options.elements,
                "screened_s": round(screened_s, 2),
                "oracle_s": round(alone_s, 2),
                "times": round(alone_s / screened_s, 1),
                "findings": len(findings),
                "same_findings": findings == told(screened) and first == first_here,
                "wrong_or_lossy": sum(bad.values()),
                "difference": sum(abs(bad[t.name] - t.naive.bad) for t in screened.totals),
            }
        )
    start = time.perf_counter()
    found = sg.audit(log_miss, inputs("log_miss", options.large))
    large_s = round(time.perf_counter() - start, 1)
    table(
        "screened against the oracle alone",
        [*rows[0]],
        [[str(v) for v in r.values()] for r in rows],
    )
    table("large", ["elements", "s", "notes"], [[str(options.large), str(large_s), found.notes[0]]])
    save(options.out, "screening", rows, large={"elements": options.large, "elapsed_s": large_s})


if __name__ == "__main__":
    main()
