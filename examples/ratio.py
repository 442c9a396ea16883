"""The derivatives of -a/b by b, over the whole float32 range.

At a = b = v they are 1/v, -2/v**2 and 6/v**3. The textbook's a/b**2 squares b first: below
1e-19 that underflows, above 1e19 it overflows, and higher orders are worse.

    python examples/ratio.py [picture.png]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import stablegrad as sg

SMALLEST, LARGEST = 1.2e-38, 8.5e37
TRUTH = {1: (1, 1), 2: (-2, 2), 3: (6, 3)}
"""By order: the derivative is c / v**n, with (c, n)."""

Array = np.ndarray[Any, Any]


def ratio(a: Any, b: Any) -> Any:
    """The program of the question."""
    return -a / b


@sg.custom_gradient
def own_ratio(a: Any, b: Any) -> Any:
    """The same with a gradient of the user's own, differentiable in its turn."""

    def gradient(upstream: Any) -> Any:
        return -upstream / b, upstream * (a / b) / b

    return -a / b, gradient


def sample(count: int = 501) -> Array:
    """Points of both signs, evenly spread over the exponents of the range."""
    v = np.geomspace(SMALLEST, LARGEST, count).astype(np.float32)
    return np.concatenate([-v[::-1], v])


def gradient(y: Any, x: Any) -> Any:
    """The gradient of a sum, differentiable in its turn."""
    (found,) = sg.autograd.grad(y.sum(), x)
    return found


def derivatives(f: Callable[[Any, Any], Any], v: Array) -> list[Array]:
    """The first three derivatives of f by b at a = b = v, each element on its own."""
    a, b = sg.tensor(v), sg.tensor(v, requires_grad=True)
    found: list[Array] = []
    y = f(a, b)
    for _ in TRUTH:
        y = gradient(y, b)
        found.append(y.numpy())
    return found


def truth(v: Array, order: int) -> list[Fraction]:
    """The exact derivatives."""
    c, n = TRUTH[order]
    return [Fraction(c) / Fraction(float(x)) ** n for x in v]


@dataclass(frozen=True)
class Report:
    """How far the derivatives of one order are from the truth, where that is a normal float."""

    points: int
    worst_ulp: float
    wrong: int
    """Points that are off by more than 1e-3, infinite or nan."""


def judge(got: Array, exact: list[Fraction]) -> Report:
    """Compare float32 results with exact rational truths."""
    info = np.finfo(np.float32)
    low, high = Fraction(float(info.tiny)), Fraction(float(info.max))
    worst, wrong, points = 0.0, 0, 0
    for g, t in zip(got, exact, strict=True):
        if not low <= abs(t) <= high:
            continue
        points += 1
        if not np.isfinite(g):
            worst, wrong = np.inf, wrong + 1
            continue
        error = abs(Fraction(float(g)) - t)
        ulp = Fraction(float(np.spacing(np.float32(abs(float(t))))))
        worst = max(worst, float(error / ulp))
        wrong += error > abs(t) / 1000
    return Report(points, worst, wrong)


def reports(v: Array) -> dict[str, list[Report]]:
    """The judgement of each program at orders 1, 2 and 3."""
    found = {"stable": derivatives(ratio, v), "own gradient": derivatives(own_ratio, v)}
    with sg.naive():
        found["naive"] = derivatives(ratio, v)
    exact = [truth(v, order) for order in TRUTH]
    return {
        name: [judge(got, true) for got, true in zip(results, exact, strict=True)]
        for name, results in found.items()
    }


def plot(path: Path) -> None:
    """Save a picture of naive and stable derivatives against the truth."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    v = sample(301)
    v = v[v > 0]
    stable = derivatives(ratio, v)
    with sg.naive():
        naive = derivatives(ratio, v)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for order, axis in zip(TRUTH, axes, strict=True):
        c, n = TRUTH[order]
        true = abs(c) / v.astype(np.longdouble) ** n
        shown = (true > 1e-45) & (true < 3.4e38)
        for values, color, width, label in (
            (naive[order - 1], "tab:red", 5, "naive"),
            (stable[order - 1], "tab:blue", 2, "stablegrad"),
        ):
            size = np.abs(values[shown])
            kept = np.isfinite(size) & (size > 0)
            axis.plot(v[shown], np.where(kept, size, np.nan), color=color, lw=width, label=label)
        axis.plot(v[shown], true[shown].astype(float), "k:", lw=1, label="truth")
        axis.set(xscale="log", yscale="log", xlabel="v", title=f"order {order}: |{c}/v^{n}|")
    axes[0].legend()
    figure.suptitle("derivatives of -a/b by b at a = b = v, float32; a line ends at 0, inf or nan")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Print the errors of the three programs, and save the picture."""
    given = sys.argv[1:] if arguments is None else arguments
    path = Path(given[0] if given else "out/ratio.png")
    table = Table(title=f"-a/b by b at a = b = v, float32, {SMALLEST} <= |v| <= {LARGEST}")
    for column in ("program", "order", "normal points", "worst ulp", "wrong points"):
        table.add_column(column, justify="left" if column == "program" else "right")
    for name, rows in reports(sample()).items():
        for order, r in enumerate(rows, 1):
            row = (str(order), str(r.points), f"{r.worst_ulp:.3g}", str(r.wrong))
            table.add_row(name if order == 1 else "", *row)
    Console().print(table)
    plot(path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
