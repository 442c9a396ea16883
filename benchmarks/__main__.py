"""All benchmarks one after the other, then the page of results.

Run: ``python -m benchmarks``
"""

from __future__ import annotations

from benchmarks import (
    accuracy,
    cases,
    chain,
    kernels,
    layers,
    report,
    small_expressions,
    sweep,
    training_step,
)


def main() -> None:
    """Run everything at full size."""
    for benchmark in (
        small_expressions,
        training_step,
        chain,
        layers,
        cases,
        accuracy,
        kernels,
        sweep,
    ):
        benchmark.main([])
    report.main([])


if __name__ == "__main__":
    main()
