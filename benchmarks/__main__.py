"""All benchmarks one after the other, then the page of results.

Run: ``python -m benchmarks``
"""

from __future__ import annotations

from benchmarks import accuracy, cases, chain, layers, report, small_expressions, training_step


def main() -> None:
    """Run everything at full size."""
    for benchmark in (small_expressions, training_step, chain, layers, cases, accuracy):
        benchmark.main([])
    report.main([])


if __name__ == "__main__":
    main()
