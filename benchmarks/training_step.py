"""A training step of a 784-256-10 network: relu, cross entropy, batches of 128, float32.

The same weights and batches for all. Ours with ``nn`` and ``optim`` as one would with torch,
and compiled: ``sg.compile`` of value and gradient with an update written in NumPy, which is
also what autograd and MyGrad get, because they bring no optimizer for it. ``numpy`` is the
step written out by hand, without automatic differentiation: the floor. Each number of threads
is a process of its own, because BLAS reads it when it starts. CPU time for one thread, wall
clock for two.

Run: ``python -m benchmarks.training_step``
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import cycle, pairwise
from typing import Any

import numpy as np

from benchmarks.libraries import PEERS, untyped
from benchmarks.measure import arguments, available, compare, figure, save, table

Array = np.ndarray[Any, Any]
Step = Callable[[], float]
"""One step on the next batch; gives the loss."""

SIZES = (784, 256, 10)
BATCH = 128
BATCHES = 8
THREADS = (1, 2)
OPTIMIZERS = ("SGD", "Adam")
RATE = {"SGD": 0.1, "Adam": 1e-3}
LIBRARIES = ("stablegrad", "stablegrad compiled", *PEERS, "numpy")
CHECKED_STEPS = 20


def weights() -> list[Array]:
    """W1, b1, W2, b2, where x @ W + b is a layer."""
    rng = np.random.default_rng(1)
    found: list[Array] = []
    for n, m in pairwise(SIZES):
        bound = n**-0.5
        found += [rng.uniform(-bound, bound, (n, m)), rng.uniform(-bound, bound, m)]
    return [w.astype(np.float32) for w in found]


def batches() -> list[tuple[Array, Array]]:
    """Random images with labels that depend on them."""
    rng = np.random.default_rng(2)
    teacher = rng.normal(size=(SIZES[0], SIZES[-1]))
    images = rng.uniform(0, 1, (BATCHES, BATCH, SIZES[0])).astype(np.float32)
    return [(x, np.argmax((x - 0.5) @ teacher, axis=1)) for x in images]


# -- updates in NumPy, for those that bring no optimizer ------------------------------------


def numpy_update(optimizer: str, parameters: list[Array]) -> Callable[[Sequence[Array]], None]:
    """A function that changes the parameters in place by their gradients."""
    rate = RATE[optimizer]
    means = [np.zeros_like(p) for p in parameters]
    squares = [np.zeros_like(p) for p in parameters]
    count = 0

    def sgd(gradients: Sequence[Array]) -> None:
        for p, g in zip(parameters, gradients, strict=True):
            p[...] -= rate * g

    def adam(gradients: Sequence[Array]) -> None:
        nonlocal count
        count += 1
        size, root = rate / (1 - 0.9**count), (1 - 0.999**count) ** -0.5
        for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
            m[...] += (1 - 0.9) * (g - m)
            v[...] *= 0.999
            v[...] += (1 - 0.999) * g * g
            p[...] -= size * m / (np.sqrt(v) * root + 1e-8)

    return sgd if optimizer == "SGD" else adam


# -- the step of each library ---------------------------------------------------------------


def stablegrad_step(optimizer: str) -> Step:
    """With ``nn`` and ``optim``."""
    import stablegrad as sg

    model = sg.nn.Sequential(sg.nn.Linear(*SIZES[:2]), sg.nn.ReLU(), sg.nn.Linear(*SIZES[1:]))
    for p, w in zip(model.parameters(), weights(), strict=True):
        p.assign_(w.T)
    criterion = sg.nn.CrossEntropyLoss()
    update = getattr(sg.optim, optimizer)(model.parameters(), lr=RATE[optimizer])
    data = cycle([(sg.tensor(x), sg.tensor(y)) for x, y in batches()])

    def step() -> float:
        x, y = next(data)
        update.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        update.step()
        return loss.item()

    return step


def compiled_step(optimizer: str) -> Step:
    """With ``sg.compile`` and an update in NumPy."""
    import stablegrad as sg

    def loss_of(parameters: list[Any], x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = parameters
        hidden = sg.nn.functional.relu(x @ w1 + b1)
        return sg.nn.functional.cross_entropy(hidden @ w2 + b2, y)

    value_and_grad = sg.compile(sg.value_and_grad(loss_of))
    parameters = weights()
    update = numpy_update(optimizer, parameters)
    data = cycle([(sg.tensor(x), sg.tensor(y)) for x, y in batches()])

    def step() -> float:
        loss, gradients = value_and_grad(parameters, *next(data))
        update([g.numpy() for g in gradients])
        return loss.item()

    return step


def torch_step(optimizer: str) -> Step:
    """With ``torch.nn`` and ``torch.optim``, eager."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    model = torch.nn.Sequential(
        torch.nn.Linear(*SIZES[:2]), torch.nn.ReLU(), torch.nn.Linear(*SIZES[1:])
    )
    with torch.no_grad():
        for p, w in zip(model.parameters(), weights(), strict=True):
            p.copy_(torch.from_numpy(w.T.copy()))
    criterion = torch.nn.CrossEntropyLoss()
    update = getattr(torch.optim, optimizer)(model.parameters(), lr=RATE[optimizer])
    data = cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches()])

    def step() -> float:
        x, y = next(data)
        update.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        update.step()
        return loss.item()

    return step


def autograd_step(optimizer: str) -> Step:
    """With ``autograd.value_and_grad``."""
    anp = untyped("autograd.numpy")
    logsumexp = untyped("autograd.scipy.special").logsumexp
    rows = np.arange(BATCH)

    def loss_of(parameters: list[Array], x: Array, y: Array) -> Any:
        w1, b1, w2, b2 = parameters
        logits = anp.maximum(x @ w1 + b1, 0) @ w2 + b2
        return anp.mean(logsumexp(logits, axis=1) - logits[rows, y])

    value_and_grad = untyped("autograd").value_and_grad(loss_of)
    parameters = weights()
    update = numpy_update(optimizer, parameters)
    data = cycle(batches())

    def step() -> float:
        loss, gradients = value_and_grad(parameters, *next(data))
        update(gradients)
        return float(loss)

    return step


def mygrad_step(optimizer: str) -> Step:
    """With MyGrad's fused cross entropy."""
    mg = untyped("mygrad")
    relu = untyped("mygrad.nnet.activations").relu
    softmax_crossentropy = untyped("mygrad.nnet.losses").softmax_crossentropy
    arrays = weights()
    tensors = [mg.tensor(p, copy=False) for p in arrays]
    w1, b1, w2, b2 = tensors
    data = cycle(batches())
    update = numpy_update(optimizer, arrays)

    def step() -> float:
        x, y = next(data)
        loss = softmax_crossentropy(relu(x @ w1 + b1) @ w2 + b2, y)
        loss.backward()
        gradients = [t.grad for t in tensors]
        update(gradients)
        return loss.item()

    return step


def numpy_step(optimizer: str) -> Step:
    """Written out by hand."""
    parameters = weights()
    w1, b1, w2, b2 = parameters
    update = numpy_update(optimizer, parameters)
    data: Iterator[tuple[Array, Array]] = cycle(batches())
    rows = np.arange(BATCH)

    def step() -> float:
        x, y = next(data)
        hidden = np.maximum(x @ w1 + b1, 0)
        logits = hidden @ w2 + b2
        shifted = logits - logits.max(axis=1, keepdims=True)
        exps = np.exp(shifted)
        total = exps.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - shifted[rows, y])
        slope = exps / total
        slope[rows, y] -= 1
        slope /= np.float32(BATCH)
        back = (slope @ w2.T) * (hidden > 0)
        update([x.T @ back, back.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)])
        return float(loss)

    return step


STEPS = {
    "stablegrad": stablegrad_step,
    "stablegrad compiled": compiled_step,
    "torch": torch_step,
    "autograd": autograd_step,
    "mygrad": mygrad_step,
    "numpy": numpy_step,
}
OURS = ("stablegrad", "stablegrad compiled")


def measure(libraries: Sequence[str], samples: int, sample_s: float) -> list[dict[str, Any]]:
    """The rows of one process."""
    rows: list[dict[str, Any]] = []
    threads = int(os.environ["OMP_NUM_THREADS"])
    clock = time.process_time if threads == 1 else time.perf_counter
    for optimizer in OPTIMIZERS:
        losses = {}
        for name in libraries:
            step = STEPS[name](optimizer)
            losses[name] = [step() for _ in range(CHECKED_STEPS)][-1]
        spread = max(losses.values()) - min(losses.values())
        assert spread < 1e-3, f"the libraries do not do the same: {losses}"
        timings = compare(
            {name: STEPS[name](optimizer) for name in libraries},
            samples=samples,
            sample_s=sample_s,
            clock=clock,
        )
        rows.append(
            {
                "optimizer": optimizer,
                "threads": threads,
                "clock": clock.__name__,
                "loss_after_20": losses,
                "step": {name: asdict(t) for name, t in timings.items()},
                "ratio": {
                    ours: {
                        n: timings[ours].min_s / t.min_s
                        for n, t in timings.items()
                        if n not in OURS
                    }
                    for ours in OURS
                },
                "median_ratio": {
                    ours: {
                        n: timings[ours].median_s / t.median_s
                        for n, t in timings.items()
                        if n not in OURS
                    }
                    for ours in OURS
                },
            }
        )
    return rows


def in_process(threads: int, libraries: Sequence[str], samples: int, sample_s: float) -> Any:
    """Measure in a process with this many threads."""
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(limits, str(threads))}
    command = [sys.executable, "-m", "benchmarks.training_step", "--measure"]
    call = json.dumps([list(libraries), samples, sample_s])
    done = subprocess.run(
        [*command, call], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def show(rows: Sequence[dict[str, Any]], libraries: Sequence[str]) -> None:
    """Print the rows as tables."""
    table(
        f"a training step, {'-'.join(map(str, SIZES))}, batch {BATCH}: milliseconds",
        ["optimizer", "threads", *libraries],
        [
            [
                r["optimizer"],
                r["threads"],
                *[figure(1e3 * r["step"][n]["min_s"]) for n in libraries],
            ]
            for r in rows
        ],
    )
    pairs = [(ours, n) for ours in OURS for n in libraries if n not in OURS]
    table(
        "our time over theirs (below 1: ours is faster)",
        ["optimizer", "threads", *[f"{a}/{b}" for a, b in pairs]],
        [
            [r["optimizer"], r["threads"], *[figure(r["ratio"][a][b]) for a, b in pairs]]
            for r in rows
        ],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both optimizers with each number of threads."""
    parser = arguments(__doc__)
    parser.add_argument("--measure", help="what a process of one number of threads is told")
    options = parser.parse_args(argv)
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return
    peers = available(PEERS)
    libraries = [n for n in LIBRARIES if n in peers or n not in PEERS]
    samples, sample_s = (1, 1e-4) if options.tiny else (100, 1e-3)
    rows: list[dict[str, Any]] = []
    for threads in THREADS[:1] if options.tiny else THREADS:
        rows += in_process(threads, libraries, samples, sample_s)
    show(rows, libraries)
    save(options.out, "training_step", rows, libraries=libraries, batch=BATCH, sizes=SIZES)


if __name__ == "__main__":
    main()
