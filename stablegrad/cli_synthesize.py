"""``stablegrad synthesize``: the kernel of an expression, its proof, its errors, its source."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import ml_dtypes
import numpy as np
from rich.console import Console
from rich.table import Table as Grid

from stablegrad.audit.load import CallError
from stablegrad.audit.report import write_atomically
from stablegrad.expressions import parse
from stablegrad.ir import Term, topological
from stablegrad.ops.dtypes import BFLOAT16
from stablegrad.ops.record import LEAF
from stablegrad.oracle import Status, truth
from stablegrad.oracle.formats import FLOAT32, FLOAT64
from stablegrad.settings import Settings
from stablegrad.synthesis import DeclinedError, Table, X, evaluate, recipe, table_of
from stablegrad.synthesis.emit import LANGUAGES, source
from stablegrad.synthesis.recipe import rebased
from stablegrad.tensor import tensor
from stablegrad.transforms.expand import derivative

POINTS = 2000
SEED = 1
DTYPES = {d.name: d for d in (*map(np.dtype, ("float64", "float32", "float16")), BFLOAT16)}
AS_WRITTEN = Settings(excluded=frozenset({"stabilize"}))


@click.command()
@click.argument("text", metavar="EXPR")
@click.option(
    "--order",
    type=click.IntRange(0, 4),
    default=0,
    show_default=True,
    help="The derivative to make: 0 is the value.",
)
@click.option(
    "--dtype",
    type=click.Choice(list(DTYPES)),
    default="float64",
    show_default=True,
    help="Of the result; all is computed in float64 and rounded once.",
)
@click.option(
    "--native",
    is_flag=True,
    help="Compute all in float32, for devices without float64; not for --dtype float64.",
)
@click.option("--emit", type=click.Choice(LANGUAGES), help="Print the kernel as source.")
@click.option("--out", metavar="PATH", help="Write the source to a file instead.")
@click.option("--plot", metavar="PATH.png", help="Draw the error against the input.")
def synthesize(
    text: str,
    order: int,
    dtype: str,
    native: bool,
    emit: str | None,
    out: str | None,
    plot: str | None,
) -> None:
    """Make a proved kernel of EXPR, an expression of one variable, from the expression alone.

    \b
    stablegrad synthesize "log(cosh(x))" --order 1
    stablegrad synthesize "(1 - cos(x))/x**2" --emit c --out kernel.c
    stablegrad synthesize "log(cosh(x))" --dtype bfloat16 --native --emit jax
    """  # noqa: D301 - click wants the character
    if out and not emit:
        raise CallError("--out needs --emit numpy, jax or c")
    if native and dtype == "float64":
        raise CallError("--native computes in float32; choose --dtype float32, float16 or bfloat16")
    for path in (out, plot):
        if path and not Path(path).absolute().parent.is_dir():
            raise CallError(f"no folder {Path(path).parent} for {path}")
    function = derivative(expression(text), X, order, AS_WRITTEN)
    named = text if not order else f"derivative of order {order} of {text}"
    try:
        made = table_of(recipe(function, X, FLOAT32 if native else FLOAT64))
    except DeclinedError as error:
        raise CallError(f"no kernel for {named}: {_why(function) or error}") from None
    if made.pieces and (why := _why(function)):
        raise CallError(f"no kernel for {named}: {why}")
    points, errors = sampled(function, made, dtype)
    if plot:
        draw(plot, named, points, errors, made)
    if emit:
        written = source(made, named, emit, dtype)
        if not out:
            click.echo(written, nl=False)
            return
        write_atomically(out, written)
    show(named, made, points, errors, dtype)


def expression(text: str) -> Term:
    """An expression given as text, over ``X``.

    Raises:
        CallError: it is no scalar expression of one variable.
    """
    read = parse(text)
    if len(read.names) != 1:
        names = ", ".join(read.names) or "none"
        raise CallError(f"{text!r} has the variables {names}; expected exactly one")
    y = read(tensor(0.5, dtype="float64"))
    term = getattr(y, "term", None)
    leaves = [] if term is None else [t for t in topological([term]) if t.op is LEAF]
    moving = [t for t in leaves if t.shape == () and t.dtype == np.float64]
    if term is None or term.shape != () or len(moving) != 1:
        raise CallError(f"{text!r} does not depend on {read.names[0]}, or is no number")
    return rebased(term, moving[0])


def _why(function: Term) -> str:
    """Why there can be no kernel, where a look at some points tells."""
    x = np.concatenate([np.linspace(-20, 20, 81), np.exp2(np.arange(-40, 40, 5.0))])
    found = truth(function, {X: x}, budget=800)
    if (found.status == Status.UNDEFINED).all():
        return "it is undefined at every point that was tried"
    values = found.value[found.decided]
    if values.size and (values == values[0]).all():
        return f"it is {values[0]:g} wherever it was tried: a constant"
    return ""


def sampled(function: Term, made: Table, dtype: str) -> tuple[Any, Any]:
    """Covered inputs over all sizes, and the errors there in ulp of the dtype."""
    rng = np.random.default_rng(SEED)
    signs = rng.choice([-1.0, 1.0], POINTS)
    x = np.concatenate(
        [
            np.exp2(rng.uniform(-60, 60, POINTS)) * signs,
            np.exp2(rng.uniform(-6, 10, POINTS)) * signs,
        ]
    )
    kind = DTYPES[dtype]
    with np.errstate(all="ignore"):
        x = x.astype(kind)
        value, covered = evaluate(np, x.astype(made.format.dtype), made)
        true = truth(function, {X: x.astype(np.float64)}, kind, budget=3200, limits=False)
        size = np.abs(true.value.astype(np.float64))
        normal = (true.status == Status.DECIDED) & np.isfinite(size) & covered
        normal &= size >= float(ml_dtypes.finfo(kind).tiny)
        got = value.astype(kind).astype(np.float64)
        unit = np.spacing(np.abs(true.value)).astype(np.float64)
        error = np.abs((got - true.value.astype(np.float64)) / unit - true.offset)
    return x[normal].astype(np.float64), error[normal]


def show(named: str, made: Table, points: Any, errors: Any, dtype: str) -> None:
    """Print what is proved, and what was measured, by the size of the input."""
    console = Console(width=None if Console().is_terminal else 120)
    console.print(f"[bold]{named}[/bold]", highlight=False)
    console.print(made.summary(), highlight=False)
    for lo, hi in made.gaps[:8]:
        console.print(f"  nothing proved for {lo:.17g} < x < {hi:.17g}", highlight=False)
    for point, value in made.points:
        console.print(f"  f({point:.17g}) = {value:.17g}", highlight=False)
    grid = Grid(title=f"error in ulp of {dtype}, {len(points)} points, seed {SEED}", box=None)
    for name in ("x from", "to", "points", "median", "worst"):
        grid.add_column(name, justify="right")
    edges = [-np.inf, -(2.0**10), -1.0, -(2.0**-10), 0.0, 2.0**-10, 1.0, 2.0**10, np.inf]
    for lo, hi in pairwise(edges):
        inside = errors[(points >= lo) & (points < hi)]
        if inside.size:
            numbers = (f"{np.median(inside):.2f}", f"{inside.max():.2f}")
            grid.add_row(f"{lo:g}", f"{hi:g}", str(inside.size), *numbers)
    console.print(grid)


def draw(path: str, named: str, points: Any, errors: Any, made: Table) -> None:
    """Draw the error in ulp against the input, with the bound that is proved."""
    from matplotlib.figure import Figure  # no window, no global state

    figure = Figure(figsize=(8, 4))
    axes = figure.subplots()
    axes.plot(points, errors, ".", markersize=2)
    axes.axhline(made.bound_ulp, linewidth=1, color="tab:red", label=f"proved, {made.format.name}")
    axes.set(xlabel="x", ylabel="error, ulp", title=named)
    axes.set_xscale("symlog", linthresh=1e-6)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
