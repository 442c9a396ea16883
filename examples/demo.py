"""Logistic regression on real data, its loss written the naive way.

The data are scikit-learn's breast cancer set: 569 tumours, 30 measurements each, unscaled, so
that logits reach a hundred. There 1 - s is 0 in float32: a conventional framework's loss and
gradients become nan. The same program trains here, and at some steps on the way an audit
counts what the naive program would have got wrong, on which line, and what cures it.

    python examples/demo.py [picture.png]
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_breast_cancer

import stablegrad as sg
from stablegrad.numpy import log, mean
from stablegrad.oracle import gradient
from stablegrad.special import expit as sigmoid

STEPS = 400
CHECKPOINTS = (1, 2, 10, 50, 100, 200, 400)
RATE = 0.1
TARGET = 0.93
"""The training accuracy that a scaled model of this kind reaches at least."""

Array = np.ndarray[Any, Any]

DATA, LABELS = load_breast_cancer(return_X_y=True)
x, y = sg.tensor(DATA.astype(np.float32)), sg.tensor(LABELS.astype(np.float32))


def loss(w: Any, b: Any) -> Any:
    """The cross entropy of a logistic regression, as it stands in every textbook."""
    s = sigmoid(x @ w + b)
    return -mean(y * log(s) + (1 - y) * log(1 - s))


def loss_of_logits(z: Any) -> Any:
    """The same from the logits on, for the gradients by the logits."""
    s = sigmoid(z)
    return -mean(y * log(s) + (1 - y) * log(1 - s))


@dataclass(frozen=True)
class Checkpoint:
    """What the naive and the stable program do at the weights after one step.

    Attributes:
        step: steps taken.
        loss: of the stable program.
        accuracy: on the training data.
        parameters: the audit of the value and of the gradients by w and b.
        logits: the audit of the value and of the gradients by the logits.
        z: the logits.
        finite: whether every loss and gradient until then was finite.
    """

    step: int
    loss: float
    accuracy: float
    parameters: Any
    logits: Any
    z: Array
    finite: bool


def count(audit: Any, program: str) -> tuple[int, int, int]:
    """Of an audit's gradients: how many are wrong, how many lossy, how many there are."""
    parts = [getattr(t, program) for t in audit.totals if t.name != "value"]
    return (
        sum(p.wrong for p in parts),
        sum(p.lossy for p in parts),
        sum(p.elements for p in parts),
    )


def examine(step: int, w: Any, b: Any, *, finite: bool) -> Checkpoint:
    """Audit the program at some weights."""
    z = (x @ w + b).numpy()
    return Checkpoint(
        step,
        loss(w, b).item(),
        float(np.mean((z > 0) == y.numpy())),
        sg.audit(loss, w.numpy(), b.numpy()),
        sg.audit(loss_of_logits, z),
        z,
        finite,
    )


def train(
    steps: int = STEPS, checkpoints: tuple[int, ...] = CHECKPOINTS, *, quiet: bool = False
) -> list[Checkpoint]:
    """Train with the stable program, and audit it at some steps.

    Args:
        steps: steps of Adam.
        checkpoints: after which of them to audit.
        quiet: whether to leave the progress bar out.
    """
    w = sg.tensor(np.zeros(30, np.float32), requires_grad=True)
    b = sg.tensor(0.0, requires_grad=True)
    optimizer = sg.optim.Adam([w, b], lr=RATE)
    found: list[Checkpoint] = []
    finite = True
    columns = (SpinnerColumn(), *Progress.get_default_columns()[:-1], TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("training", total=steps)
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            value = loss(w, b)
            value.backward()
            finite &= all(
                np.isfinite(t.numpy()).all() for t in (value, w.grad, b.grad) if t is not None
            )
            optimizer.step()
            bar.update(task, advance=1)
            if step in checkpoints:
                bar.stop()  # the audit shows a bar of its own
                found.append(examine(step, w, b, finite=finite))
                bar.start()
    return found


# -- showing ------------------------------------------------------------------------------


def progress_table(found: list[Checkpoint]) -> Table:
    """A line for each checkpoint: how many gradients each program gets wrong, or lossy."""
    table = Table(title="gradients wrong (and lossy): naive program, stable program")
    for name in ("step", "loss", "accuracy"):
        table.add_column(name, justify="right")
    for name in ("naive, parameters", "naive, logits", "stable, parameters", "stable, logits"):
        table.add_column(name, justify="right")
    for c in found:
        cells = [str(c.step), f"{c.loss:.4f}", f"{c.accuracy:.3f}"]
        for program in ("naive", "stabilized"):
            for audit in (c.parameters, c.logits):
                wrong, lossy, elements = count(audit, program)
                text = f"{wrong} of {elements}" + (f" ({lossy})" if lossy else "")
                cells.append(f"[red]{text}[/]" if wrong or lossy else text)
        table.add_row(*cells)
    return table


def lines_table(found: list[Checkpoint]) -> Table:
    """The lines at fault, over all checkpoints, with what cures them."""
    table = Table(title="elements that the naive program loses, all checkpoints together")
    for name in ("line", "operation", "values", "gradients", "cured by"):
        table.add_column(name, overflow="fold")
    rows: dict[tuple[int, str, str, str], list[Any]] = {}
    for c in found:
        for f in c.parameters.findings:
            row = rows.setdefault((f.line, f.place, f.source, f.op), [0, 0, {}])
            row[0] += f.forward.bad
            row[1] += f.backward.bad
            row[2].update({str(cure): None for cure in f.cures})
    last = ""
    for (_, place, source, op), (forward, backward, cures) in sorted(rows.items()):
        if place != last:
            table.add_section()
            table.add_row(f"{place}\n{source}", op, str(forward), str(backward), ", ".join(cures))
        else:
            table.add_row("", op, str(forward), str(backward), ", ".join(cures))
        last = place
    return table


def gradients_at(z: Array) -> tuple[Array, Array, Array]:
    """The gradient by the logits: naive, stable, true."""

    def program() -> Array:
        return sg.grad(loss_of_logits)(z).numpy()

    leaf = sg.tensor(z)
    bindings = {leaf.term: z, y.term: y.numpy()}
    true = gradient(loss_of_logits(leaf).term, leaf.term, bindings).value
    with sg.naive():
        naive = program()
    return naive, program(), true


def plot(found: list[Checkpoint], path: Path) -> None:
    """Save a picture: naive against stable against truth, and the training."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    worst = max(found, key=lambda c: count(c.logits, "naive")[0])
    naive, stable, true = (np.abs(g) for g in gradients_at(worst.z))
    z, lost = worst.z, ~np.isfinite(naive) | ((naive == 0) & (true != 0))
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5), layout="constrained")
    left.plot(z, true, "o", color="0.75", ms=9, label="truth")
    left.plot(z[~lost], naive[~lost], "x", color="tab:red", ms=6, label="naive")
    left.plot(z, stable, ".", color="tab:blue", ms=4, label="stablegrad")
    bottom = np.full(np.count_nonzero(lost), 1e-47)
    left.plot(z[lost], bottom, "|", color="tab:red", ms=14, label="naive is nan or 0 here")
    left.set(
        yscale="log",
        xlim=(-115, max(20.0, z.max() + 5)),
        ylim=(1e-48, 1),
        xlabel="logit",
        ylabel="|gradient by the logit|",
        title=f"logits after step {worst.step}, float32",
    )
    left.legend(loc="center left", bbox_to_anchor=(0, 0.65))
    steps = [c.step for c in found]
    for audit, program, color, label in (
        ("parameters", "naive", "tab:red", "naive, 31 parameters"),
        ("logits", "naive", "tab:orange", "naive, 569 logits"),
        ("parameters", "stabilized", "tab:blue", "stablegrad, 31 parameters"),
        ("logits", "stabilized", "tab:cyan", "stablegrad, 569 logits"),
    ):
        counts = [count(getattr(c, audit), program) for c in found]
        share = [100 * (wrong + lossy) / elements for wrong, lossy, elements in counts]
        right.plot(steps, share, "o-", color=color, label=label)
    right.plot(steps, [100 * c.accuracy for c in found], "k--", label="training accuracy")
    right.set(
        xscale="log", xlabel="step", ylabel="%", title="gradients wrong or lossy", ylim=(-3, 103)
    )
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Train, audit, print and draw; returns 0 if the goal is reached."""
    given = sys.argv[1:] if arguments is None else arguments
    path = Path(given[0] if given else "out/demo.png")
    console = Console()
    started = time.perf_counter()
    found = train(quiet=not Console(stderr=True).is_terminal)
    console.print(progress_table(found))
    console.print(lines_table(found))
    plot(found, path)
    reached = found[-1].accuracy >= TARGET and found[-1].finite
    elapsed_s = time.perf_counter() - started
    console.print(
        f"training accuracy {found[-1].accuracy:.3f} (at least {TARGET} wanted), "
        f"every loss and gradient finite, {elapsed_s:.0f} s; picture: {path}"
        if reached
        else f"[red]the goal was not reached: accuracy {found[-1].accuracy:.3f}, {elapsed_s:.0f} s"
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
