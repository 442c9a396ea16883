"""Functions that nobody here wrote, in float32 under jit: JAX as it is, and stabilized.

Every elementwise activation of ``jax.nn`` and, where they are installed, loss of ``optax.losses``:
value and slope at floats sampled by bit pattern, the everyday sizes among them. The truth is the
oracle's, for the program as JAX traces it. Only points whose true result is a normal float count.

Run: ``python -m benchmarks.jax_libraries``
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.judge import RIGHT_ULP, SHARP_ULP
from benchmarks.measure import arguments, console, save, table
from stablegrad.oracle import Status, err_ulp, truth
from stablegrad.testing import sample_bits

SEED = 20_260_101
NO_ACTIVATION = frozenset(
    "initializers standardize one_hot logmeanexp dot_product_attention scaled_dot_general "
    "scaled_matmul get_scaled_dot_general_config glu softmax log_softmax logsumexp".split()
)
Row = dict[str, Any]


def activations() -> Iterator[tuple[str, Callable[..., Any], int]]:
    """The elementwise functions of ``jax.nn``."""
    import jax

    for name in sorted(dir(jax.nn)):
        f = getattr(jax.nn, name)
        if callable(f) and not name.startswith("_") and name not in NO_ACTIVATION:
            yield f"jax.nn.{name}", f, 1


def losses() -> Iterator[tuple[str, Callable[..., Any], int]]:
    """The losses of Optax of two arrays, elementwise ones."""
    try:
        from optax import losses as module
    except ImportError:
        console.print("optax is not installed: its losses are left out")
        return
    for name in sorted(dir(module)):
        f = getattr(module, name)
        if inspect.isfunction(f) and not name.startswith("_"):
            yield f"optax.losses.{name}", f, 2


def _summed_slope(g: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    return jax.grad(lambda *args: g(*args).sum())


def judge(name: str, f: Callable[..., Any], count: int, points: int) -> Row | None:
    """How many points are not right, and not sharp, of each; None if not elementwise."""
    import jax
    import jax.numpy as jnp

    import stablegrad.jax as sj

    rng = np.random.default_rng(SEED)
    columns = [sample_bits(np.float32, points, rng) for _ in range(count)]
    columns = [np.where(np.abs(c) < np.finfo(np.float32).tiny, np.float32(1), c) for c in columns]
    try:
        report = sj.explain(f)(*columns)
        shapes = jax.eval_shape(f, *columns)
    except Exception:  # noqa: BLE001 - a function of other arguments
        return None
    whole = len(report.regions) == 1 and not report.passed
    if not whole or getattr(shapes, "shape", None) != (points,):
        return None
    (region,) = report.regions
    (reading,) = report.readings
    places = [reading.inputs.index(a) for a in reading.steps[0].inputs]
    bindings = {x: columns[i] for x, i in zip(region.inputs, places, strict=True)}
    moves = {x: float(i == 0) for x, i in zip(region.inputs, places, strict=True)}
    row: Row = {"function": name}
    for order in (0, 1):
        direction = moves if order else None
        true = truth(region.roots[0], bindings, np.float32, order=order, direction=direction)
        value = np.abs(np.asarray(true.value, float))
        normal = (value >= np.finfo(np.float32).tiny) & np.isfinite(value)
        normal &= np.asarray(true.status) <= Status.LIMIT
        for kind, g in (("naive", f), ("stable", sj.stabilize(f))):
            run = _summed_slope(g) if order else g
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                got = np.asarray(jax.jit(run)(*[jnp.asarray(c) for c in columns]))
            error = np.where(normal, err_ulp(got, true), 0.0)
            error = np.where(np.isnan(error), np.inf, error)
            row[f"{kind} {order}"] = [
                int((error > RIGHT_ULP).sum()),
                int((error > SHARP_ULP).sum()),
            ]
        row[f"points {order}"] = int(normal.sum())
    return row


def main(argv: Sequence[str] | None = None) -> None:
    """Judge every function."""
    options = arguments(__doc__).parse_args(argv)
    points = 40 if options.tiny else 400
    found = [judge(*item, points) for item in (*activations(), *losses())]
    rows = [r for r in found if r is not None]
    keys = [f"{kind} {order}" for order in (0, 1) for kind in ("naive", "stable")]
    table(
        "points not right / not sharp, value (0) and slope (1)",
        ["function", "points", *keys],
        [[r["function"], r["points 1"], *["/".join(map(str, r[k])) for k in keys]] for r in rows],
    )
    sums = {k: [sum(r[k][i] for r in rows) for i in (0, 1)] for k in keys}
    console.print("in all: " + ", ".join(f"{k} {a}/{b}" for k, (a, b) in sums.items()))
    save(options.out, "jax_libraries", rows, sums=sums)


if __name__ == "__main__":
    main()
