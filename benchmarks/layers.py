"""Layers and ops of whole arrays: value, and gradient by all inputs, compiled; beside torch's.

Everything in one thread, float32, CPU time. The gradient is that of the sum of the results times
fixed numbers; torch's includes what its backward needs of the forward pass, as ours does.

Run: ``python -m benchmarks.layers``
"""

# ruff: noqa: E402, PLW0108 - BLAS reads its threads when it starts; torch may be missing

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy starts, which reads it once

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import stablegrad as sg
from benchmarks.libraries import one_thread
from benchmarks.measure import Timing, arguments, available, compare, figure, save, table

Array = np.ndarray[Any, Any]
Layer = Callable[..., Any]

F, snp = sg.nn.functional, sg.numpy
RNG = np.random.default_rng(3)
PLACES = RNG.integers(0, 1000, (64, 20))


def _layers(t: Any) -> dict[str, tuple[list[tuple[int, ...]], Layer, Layer]]:
    """Shapes of the inputs, ours and torch's; ``t`` is torch, or None to leave it out."""
    n: Any = getattr(getattr(t, "nn", None), "functional", None)
    places: Any = t.tensor(PLACES) if hasattr(t, "tensor") else None
    image = (8, 16, 28, 28)
    heads = [(4, 8, 64, 32)] * 3
    return {
        "conv2d": (
            [image, (32, 16, 3, 3)],
            lambda x, w: F.conv2d(x, w, None, 1, 1),
            lambda x, w: n.conv2d(x, w, None, 1, 1),
        ),
        "max_pool2d": ([image], lambda x: F.max_pool2d(x, 2), lambda x: n.max_pool2d(x, 2)),
        "avg_pool2d": ([image], lambda x: F.avg_pool2d(x, 2), lambda x: n.avg_pool2d(x, 2)),
        "layer_norm": (
            [(128, 512)],
            lambda x: F.layer_norm(x, 512),
            lambda x: n.layer_norm(x, (512,)),
        ),
        "rms_norm": ([(128, 512)], lambda x: F.rms_norm(x, 512), lambda x: n.rms_norm(x, (512,))),
        "batch_norm": (
            [(64, 32, 8, 8)],
            lambda x: F.batch_norm(x, training=True),
            lambda x: n.batch_norm(x, None, None, training=True),
        ),
        "attention": (
            heads,
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            lambda q, k, v: n.scaled_dot_product_attention(q, k, v, is_causal=True),
        ),
        "normalize": ([(1000, 64)], F.normalize, lambda x: n.normalize(x)),
        "embedding": (
            [(1000, 64)],
            lambda w: F.embedding(PLACES, w),
            lambda w: n.embedding(places, w),
        ),
        "sort": ([(100, 1000)], snp.sort, lambda x: t.sort(x)[0]),
        "median": ([(100, 1001)], lambda x: snp.median(x, 1), lambda x: t.median(x, 1)[0]),
        "cumprod": ([(100, 100)], lambda x: snp.cumprod(x, 1), lambda x: t.cumprod(x, 1)),
        "cumlogsumexp": (
            [(100, 1000)],
            lambda x: snp.cumlogsumexp(x, 1),
            lambda x: t.logcumsumexp(x, 1),
        ),
        "cummax": ([(100, 1000)], lambda x: snp.cummax(x, 1), lambda x: t.cummax(x, 1)[0]),
    }


def ours(layer: Layer, values: list[Array], weights: Array) -> dict[str, Callable[[], object]]:
    """Value and gradient, compiled."""
    value = sg.compile(layer)
    every = tuple(range(len(values)))
    slope = sg.compile(
        lambda *xs: sg.grad(lambda *ys: (layer(*ys) * weights).sum(), argnums=every)(*xs)
    )
    return {
        "value": lambda: value(*values).numpy(),
        "gradient": lambda: [g.numpy() for g in slope(*values)],
    }


def theirs(
    t: Any, layer: Layer, values: list[Array], weights: Array
) -> dict[str, Callable[[], object]]:
    """Value and gradient in torch."""
    leaves = [t.tensor(v, requires_grad=True) for v in values]
    fixed = t.tensor(weights)

    def value() -> object:
        with t.no_grad():
            return layer(*leaves)

    def gradient() -> object:
        for leaf in leaves:
            leaf.grad = None
        (layer(*leaves) * fixed).sum().backward()
        return [leaf.grad for leaf in leaves]

    return {"value": value, "gradient": gradient}


def measure(name: str, t: Any, *, tiny: bool) -> dict[str, Any]:
    """One row: the times of both, and their ratios."""
    shapes, our_layer, their_layer = _layers(t)[name]
    values = [RNG.normal(size=s).astype(np.float32) for s in shapes]
    weights = RNG.normal(size=our_layer(*values).shape).astype(np.float32)
    contenders = {"stablegrad": ours(our_layer, values, weights)}
    if t is not None:
        contenders["torch"] = theirs(t, their_layer, values, weights)
    found: dict[str, dict[str, Timing]] = {}
    for what in ("value", "gradient"):
        found[what] = compare(
            {library: runs[what] for library, runs in contenders.items()},
            samples=2 if tiny else 9,
            sample_s=1e-4 if tiny else 0.05,
            clock=time.process_time,
        )
    ratios = {
        what: times["stablegrad"].min_s / times["torch"].min_s
        for what, times in found.items()
        if "torch" in times
    }
    return {"layer": name, "shapes": shapes, "time": found, "ratio": ratios}


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    table(
        "layers, float32, one thread; milliseconds, and our time over torch's",
        ["layer", "value", "gradient", "value/torch", "gradient/torch"],
        [
            [
                r["layer"],
                *[figure(1e3 * r["time"][w]["stablegrad"].min_s) for w in ("value", "gradient")],
                *[figure(r["ratio"].get(w)) for w in ("value", "gradient")],
            ]
            for r in rows
        ],
    )
    for what in ("value", "gradient"):
        found = [r["ratio"][what] for r in rows if what in r["ratio"]]
        if found:
            print(f"{what}: geometric mean {figure(statistics.geometric_mean(found))}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all layers."""
    options = arguments(__doc__).parse_args(argv)
    one_thread()
    t: Any = None
    if available(["torch"]):
        import torch

        t = torch
    names = ("avg_pool2d", "sort") if options.tiny else tuple(_layers(t))
    rows = [measure(name, t, tiny=options.tiny) for name in names]
    show(rows)
    save(options.out, "layers", rows)


if __name__ == "__main__":
    main()
