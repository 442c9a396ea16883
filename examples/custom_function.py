"""A function with a gradient of its own, and the check that finds a forgotten `dy *`.

The class is the one of a well-known forum thread: its backward must multiply by the incoming
gradient; where that is forgotten, nothing fails, and training goes wrong.

    python examples/custom_function.py [picture.png]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import stablegrad as sg

np_ = sg.numpy


class Sigmoid(sg.Function):
    """The sigmoid as users write it."""

    def forward(self, x: Any) -> Any:
        y = 1 / (1 + np_.exp(-x))
        self.save_for_backward(y)
        return y

    def backward(self, dy: Any) -> Any:
        (y,) = self.saved_tensors
        return dy * y * (1 - y)


class ForgetfulSigmoid(Sigmoid):
    """The same without ``dy *``."""

    def backward(self, dy: Any) -> Any:
        (y,) = self.saved_tensors
        return y * (1 - y)


class Polar(sg.Function):
    """Two inputs and two results: polar coordinates to Cartesian ones."""

    def forward(self, r: Any, angle: Any) -> Any:
        self.save_for_backward(r, angle)
        return r * np_.cos(angle), r * np_.sin(angle)

    def backward(self, dx: Any, dy: Any) -> Any:
        r, angle = self.saved_tensors
        cos, sin = np_.cos(angle), np_.sin(angle)
        return dx * cos + dy * sin, r * (dy * cos - dx * sin)


def thread_gradient(function: sg.Function) -> Any:
    """The gradient of sum(y*y) at 1, 2, 3, as in the thread."""
    x = sg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = function(x)
    (y * y).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


def reuse(function: sg.Function) -> tuple[Any, Any]:
    """One instance called twice before either gradient is taken."""
    a = sg.tensor([0.0], requires_grad=True)
    b = sg.tensor([2.0], requires_grad=True)
    ya, yb = function(a), function(b)
    yb.backward()
    ya.backward()
    assert a.grad is not None
    assert b.grad is not None
    return a.grad.numpy(), b.grad.numpy()


def gradient(y: Any, x: Any) -> Any:
    """The gradient of a sum, differentiable in its turn."""
    (found,) = sg.autograd.grad(y.sum(), x)
    return found


def second_derivative(function: sg.Function, points: Any) -> Any:
    """The second derivative through a function's own gradient, element by element."""
    x = sg.tensor(points, requires_grad=True)
    return gradient(gradient(function(x), x), x).numpy()


def polar_gradients() -> tuple[Any, Any]:
    """The gradient of x + 2*y by radius and angle, at radius 2 and angle 0.5."""
    r, angle = sg.tensor(2.0, requires_grad=True), sg.tensor(0.5, requires_grad=True)
    x, y = Polar()(r, angle)
    (x + 2 * y).backward()
    assert r.grad is not None
    assert angle.grad is not None
    return r.grad.item(), angle.grad.item()


def plot(path: Path) -> None:
    """Save a picture of the function's first and second derivative through its backward."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    x = np.linspace(-100, 100, 801, dtype=np.float32)
    t = sg.tensor(x, requires_grad=True)
    Sigmoid()(t).sum().backward()
    assert t.grad is not None
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    axis.plot(x, t.grad.numpy(), label="dy * y * (1 - y)")
    axis.plot(x, np.abs(second_derivative(Sigmoid(), x)), label="|its derivative|")
    axis.set_yscale("log", nonpositive="mask")
    axis.set(title="a user's Function, float32, in both tails", xlabel="x")
    axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Print what the thread asked for, and save the picture."""
    given = sys.argv[1:] if arguments is None else arguments
    path = Path(given[0] if given else "out/custom_function.png")
    table = Table(title="sum(y*y) at x = 1, 2, 3 with y = Sigmoid()(x), float32")
    table.add_column("gradient by")
    table.add_column("x.grad")
    table.add_row("the true values", "[0.28746969 0.18495609 0.086068235]")
    for function in (Sigmoid(), ForgetfulSigmoid()):
        text = np.array2string(thread_gradient(function), precision=9, floatmode="maxprec")
        table.add_row(type(function).__name__, text)
    Console().print(table)
    x = sg.tensor([1.0, 2.0, 3.0])
    for function in (Sigmoid(), ForgetfulSigmoid()):
        print(f"check_gradients({type(function).__name__}):")
        print(sg.check_gradients(function, x))
    print("in both tails:", second_derivative(Sigmoid(), [-100.0, 0.0, 100.0]), "(second order)")
    print("one instance, two calls:", *reuse(Sigmoid()))
    print("two inputs and two results:", *polar_gradients())
    plot(path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
