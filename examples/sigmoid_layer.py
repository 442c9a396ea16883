"""A sigmoid layer whose gradient is right in both tails, however it is written.

At -100, 0 and 100 the gradient of the sigmoid is 3.72e-44, 0.25 and 3.72e-44. The usual formula
y * (1 - y) gives 0 at 100, because y is 1 there; 1/(1 + exp(-x)) gives 0 or nan at -100 too.

    python examples/sigmoid_layer.py [picture.png]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import stablegrad as sg

POINTS = [-100.0, 0.0, 100.0]

LAYERS: dict[str, Callable[[Any], Any]] = {
    "nn.Sigmoid()(x)": sg.nn.Sigmoid(),
    "nn.functional.sigmoid(x)": sg.nn.functional.sigmoid,
    "special.expit(x)": sg.special.expit,
    "1 / (1 + sg.numpy.exp(-x))": lambda x: 1 / (1 + sg.numpy.exp(-x)),
    "1 / (1 + np.exp(-x))": lambda x: 1 / (1 + np.exp(-x)),
    "np.exp(x) / (1 + np.exp(x))": lambda x: np.exp(x) / (1 + np.exp(x)),
    "np.reciprocal(1 + np.exp(-x))": lambda x: np.reciprocal(1 + np.exp(-x)),
}
"""The layer, written in every way that the library and NumPy offer."""


def value_and_gradient(
    layer: Callable[[Any], Any], points: Any
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The layer at some points, and its gradient there by ``sum().backward()``."""
    x = sg.tensor(points, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert x.grad is not None
    return y.numpy(), x.grad.numpy()


def naive_layer(x: Any) -> Any:
    """The layer as a conventional framework differentiates it: by y * (1 - y)."""
    return sg.ops.sigmoid(x)


def plot(path: Path) -> None:
    """Save a picture of the layer, and of its gradient by both formulas."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    x = np.linspace(-110, 110, 1761, dtype=np.float32)
    y, stable = value_and_gradient(sg.nn.Sigmoid(), x)
    with sg.naive():
        _, naive = value_and_gradient(naive_layer, x)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(x, y, color="tab:blue")
    left.set(title="sigmoid(x), float32", xlabel="x", xlim=(-12, 12))
    right.plot(x, naive, color="tab:red", linewidth=3, alpha=0.6, label="y * (1 - y)")
    right.plot(x, stable, color="tab:blue", label="stablegrad")
    right.set_yscale("log", nonpositive="mask")
    right.set(title="its gradient: where the red line ends, it is 0", xlabel="x")
    right.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Print values and gradients of all spellings, and save the picture."""
    given = sys.argv[1:] if arguments is None else arguments
    path = Path(given[0] if given else "out/sigmoid_layer.png")
    table = Table(title=f"sigmoid at x = {POINTS}, float32")
    for column in ("layer", "values", "gradients"):
        table.add_column(column)
    for name, layer in LAYERS.items():
        y, dx = value_and_gradient(layer, POINTS)
        table.add_row(name, *[", ".join(f"{v:.5g}" for v in array) for array in (y, dx)])
    with sg.naive():
        y, dx = value_and_gradient(naive_layer, POINTS)
    table.add_row("naive: y * (1 - y)", *[", ".join(f"{v:.5g}" for v in a) for a in (y, dx)])
    Console().print(table)
    print("true gradients: 3.72008e-44, 0.25, 3.72008e-44; the nearest float32 is 3.7835e-44")
    plot(path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
