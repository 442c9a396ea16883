"""Nine things that users of a rewriting compiler asked of the sigmoid, each with what comes.

They stem from a pull request that stabilises the sigmoid's gradient, and from its discussion.
One differs by design: constants compare exactly, so what is nearly 1 is not 1.

    python examples/rewrites.py [picture.png]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import stablegrad as sg

sigmoid, exp, log, logit = sg.special.expit, sg.numpy.exp, sg.numpy.log, sg.special.logit


@dataclass(frozen=True)
class Row:
    """One expectation and what came."""

    point: int
    what: str
    expected: str
    came: str
    holds: bool


def same(point: int, what: str, expected: Any, came: Any, *, ulp: float = 0) -> Row:
    """Compare numbers, exactly or within some ulp of the expected ones."""
    e, c = np.asarray(expected), np.asarray(came)
    error = np.abs(c.astype(np.longdouble) - e.astype(np.longdouble))
    holds = bool(np.all(error <= ulp * np.spacing(np.abs(e.astype(c.dtype)))))
    return Row(point, what, text(expected), text(came), holds)


def text(value: Any) -> str:
    """Numbers as short text, everything else as it is."""
    if isinstance(value, str):
        return value
    return ", ".join(f"{v:.10g}" for v in np.atleast_1d(np.asarray(value, np.float64)))


def runs(point: int, what: str, t: Any, *expected: str) -> Row:
    """Compare the operations that run with those expected."""
    ops = sg.explain(t).ops
    return Row(point, what, " ".join(expected) or "x", " ".join(ops) or "x", ops == expected)


def derivative(f: Callable[[Any], Any], order: int = 1) -> Callable[[Any], Any]:
    """The derivative of a scalar function."""
    for _ in range(order):
        f = sg.grad(f)
    return f


def gradient(y: Any, x: Any) -> Any:
    """The gradient of a sum, lazily."""
    (found,) = sg.autograd.grad(y.sum(), x)
    return found


def point_1() -> Iterator[Row]:
    """The gradient lives on the right as on the left."""
    for x in (50.0, 100.0, 500.0):
        right, left = (derivative(sigmoid)(np.float64(v)).item() for v in (x, -x))
        yield same(1, f"sigmoid'({x:g}) = sigmoid'({-x:g}) > 0", left, right)
        yield Row(1, f"sigmoid'({x:g})", "> 0", text(right), right > 0)


def point_2() -> Iterator[Row]:
    """Derivatives of every order at 0."""
    for order, true in enumerate((0.25, 0.0, -0.125, 0.0, 0.25), 1):
        yield same(2, f"derivative {order} at 0", true, derivative(sigmoid, order)(0.0).item())


def point_3() -> Iterator[Row]:
    """1 - sigmoid(x) is sigmoid(-x), whoever else uses sigmoid(x); nearly 1 is not 1."""
    x = sg.tensor(np.array([20.0], np.float32))
    s = sigmoid(x)
    yield runs(3, "1 - s", 1 - s, "negative", "sigmoid")
    both = sg.numpy.stack([s, 1 - s])
    yield same(3, "s and 1 - s at 20", [1, float(np.float32(2.0611536e-09))], both.numpy().ravel())
    one, dtype = np.float64(1), (1 - s).dtype
    yield Row(3, "dtype of 1 - s", "float32", str(dtype), dtype == np.float32)
    d = np.array([20.0])
    true = 2.061153618190204e-09
    yield same(3, "np.float64(1) - s, float64", true, (one - sigmoid(sg.tensor(d))).item(), ulp=1)
    for almost, kind in (
        (1 - 9e-6, np.float32),
        (1 - 1e-9, np.float64),
        (np.nextafter(np.float32(1), np.float32(0)), np.float32),
    ):
        c = kind(almost)
        value = (c - sigmoid(sg.tensor(d.astype(kind)))).item()
        true = float(c) - 1 + 2.061153618190204e-09  # exact in float64 to 1e-7
        close = abs(value / true - 1) < 1e-6
        yield Row(3, f"{c!r} - s is no sigmoid", f"{true:.7g}", f"{value:.7g}", close)


def point_4() -> Iterator[Row]:
    """The gradients of both logarithms collapse to one node."""
    x = sg.tensor([50.0], requires_grad=True)
    slope = gradient(log(1 - sigmoid(x)), x)
    yield runs(4, "grad(log(1 - s))", slope, "sigmoid", "negative")
    yield same(4, "x - 0.1*grad at 50", np.float32(50.1), (x - 0.1 * slope).numpy())
    slope = gradient(log(sigmoid(x)), x)
    yield runs(4, "grad(log(s))", slope, "negative", "sigmoid")


def point_5() -> Iterator[Row]:
    """Odds and inverses."""
    x = sg.tensor([2.0])
    s = sigmoid(x)
    yield runs(5, "s / (1 - s)", s / (1 - s), "exp")
    yield runs(5, "(1 - s) / s", (1 - s) / s, "negative", "exp")
    yield runs(5, "logit(s)", logit(sigmoid(x)))
    p = sg.tensor([1e-30, 0.25, 1.0])
    yield same(
        5, "sigmoid(logit(p))", [float(np.float32(1e-30)), 0.25, 1], sigmoid(logit(p)).numpy()
    )


def point_6() -> Iterator[Row]:
    """A result does not depend on what else is asked for."""

    def gradient_at_40(asked: Callable[[Any, Any, Any], list[Any]]) -> float:
        x = sg.tensor(np.array(40.0), requires_grad=True)
        s = sigmoid(x)
        slope, ds = gradient(log(1 - s), x), gradient(s, x)
        for t in asked(log(s), s, slope):
            t.numpy()
        return ds.item()

    true = 4.248354255291589e-18
    yield same(6, "sigmoid'(40) alone", true, gradient_at_40(lambda *_: []), ulp=1)
    yield same(6, "with log(s)", true, gradient_at_40(lambda log_s, s, g: [log_s, g]), ulp=1)
    yield same(
        6, "with log(s) and s", true, gradient_at_40(lambda log_s, s, g: [log_s, g, s]), ulp=1
    )


def point_7() -> Iterator[Row]:
    """Rules are switched by name, by group, all at once; what ran is listed."""

    def value() -> Any:
        return log(1 - sigmoid(sg.tensor([100.0]))).numpy()

    def fired() -> list[str]:
        return [f.name for f in sg.explain(1 - sigmoid(sg.tensor([100.0]))).fired]

    yield same(7, "log(1 - s) at 100", [-100], value())
    yield Row(7, "rules listed", "one_minus_sigmoid", " ".join(fired()), bool(fired()))
    with sg.rules(exclude="one_minus_sigmoid"):
        yield Row(7, "excluded by name", "", " ".join(fired()), not fired())
        with sg.rules(include="one_minus_sigmoid"):
            yield same(7, "included again", [-100], value())
    with sg.rules(exclude="logistic"):
        yield Row(7, "excluded by group", "", " ".join(fired()), not fired())
    with sg.rules(exclude="stabilize"), np.errstate(divide="ignore"):
        yield same_or_infinite(7, "exclude='stabilize': as written", value())
    with sg.naive(), np.errstate(divide="ignore"):
        yield same_or_infinite(7, "sg.naive()", value())
    program = sg.explain(1 - sigmoid(sg.tensor(np.array([100.0])))).source
    expected = "return sigmoid(-x0)"
    yield Row(7, "the program, before it runs", expected, program, program == expected)


def same_or_infinite(point: int, what: str, came: Any) -> Row:
    """What the naive program gives: minus infinity."""
    return Row(point, what, "-inf", text(came), bool(np.isneginf(came).all()))


def point_8() -> Iterator[Row]:
    """The gradient is as right as the value."""

    def f(x: Any) -> Any:
        return log(1 - exp(x))

    x = np.float64(-1e-10)
    yield same(8, "log(1 - exp(x)) at -1e-10", -23.025850929990457, f(sg.tensor(x)).item(), ulp=1)
    yield same(8, "its derivative", -9999999999.5, derivative(f)(x).item(), ulp=1)


def point_9() -> Iterator[Row]:
    """Compiled or not, the result is the same."""

    def f(x: Any) -> Any:
        return log(sg.numpy.sum(exp(x)))

    x, true = np.array([-800.0, -805.0]), -799.9932846515109
    yield same(9, "log(sum(exp(x)))", true, f(sg.tensor(x)).item())
    yield same(9, "the same compiled", true, sg.compile(f)(x).item())


POINTS = [point_1, point_2, point_3, point_4, point_5, point_6, point_7, point_8, point_9]


def rows() -> list[Row]:
    """All expectations."""
    return [row for point in POINTS for row in point()]


def plot(path: Path) -> None:
    """Save a picture of log(1 - sigmoid(x)) and its gradient, naive and stable."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    def both(x: Any) -> tuple[Any, Any]:
        t = sg.tensor(x, requires_grad=True)
        y = log(1 - sigmoid(t))
        return y.numpy(), gradient(y, t).numpy()

    x = np.linspace(-5, 40, 901, dtype=np.float32)
    stable = both(x)
    with sg.naive(), np.errstate(all="ignore"):
        naive = both(x)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for axis, a, b, title in zip(axes, naive, stable, ("log(1 - s)", "its gradient"), strict=True):
        axis.plot(x, np.where(np.isfinite(a), a, np.nan), "tab:red", lw=4, alpha=0.6, label="naive")
        axis.plot(x, b, "tab:blue", label="stablegrad")
        axis.set(title=f"{title}, float32", xlabel="x")
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Print the nine points, and save the picture."""
    given = sys.argv[1:] if arguments is None else arguments
    path = Path(given[0] if given else "out/rewrites.png")
    table = Table(title="nine points, s = sigmoid(x)")
    for column in ("", "what", "expected", "came", "holds"):
        table.add_column(column)
    last = 0
    for row in rows():
        number = str(row.point) if row.point != last else ""
        table.add_row(number, row.what, row.expected, row.came, "yes" if row.holds else "NO")
        last = row.point
    Console().print(table)
    plot(path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
