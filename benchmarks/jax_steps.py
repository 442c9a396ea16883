"""A train step of an Equinox and a Flax model, float32 under jit: JAX as it is, and stabilized.

The losses are written as people write them, from probabilities; the inputs grow until these
saturate. The loss and its gradient by every parameter are judged by the oracle, for the program
as JAX traces it: *right* is within 64 ulp. Where JAX is right, the step's results (loss and
parameters after an Optax update) are compared with JAX's own.

Run: ``python -m benchmarks.jax_steps``
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.judge import RIGHT_ULP
from benchmarks.measure import arguments, console, save, table
from stablegrad.oracle import Status, err_ulp, truth

SEED = 7
SCALES = (1.0, 30.0, 1000.0)
CLASSES = 3
Row = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """Parameters, and scores of a batch: one a class."""

    name: str
    parameters: Any
    scores: Callable[[Any, Any], Any]


def equinox_model() -> Model:
    """A perceptron of Equinox, its functions and static fields left out of the parameters."""
    import equinox as eqx
    import jax

    model = eqx.nn.MLP(2, CLASSES, 4, 1, key=jax.random.key(0))
    arrays, rest = eqx.partition(model, eqx.is_array)
    return Model("equinox", arrays, lambda p, x: jax.vmap(eqx.combine(p, rest))(x))


def flax_model() -> Model:
    """A perceptron of Flax."""
    import flax.linen as nn
    import jax

    net = nn.Sequential([nn.Dense(4), nn.tanh, nn.Dense(CLASSES)])
    return Model("flax", net.init(jax.random.key(0), np.zeros((1, 2), np.float32)), net.apply)


def _binary(scores: Any, labels: Any) -> Any:
    import jax
    import jax.numpy as jnp

    p = jax.nn.sigmoid(scores)
    return -jnp.mean(labels * jnp.log(p) + (1 - labels) * jnp.log(1 - p))


def _categorical(scores: Any, labels: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return -jnp.mean(jnp.sum(labels * jnp.log(jax.nn.softmax(scores)), axis=-1))


LOSSES = {"binary": _binary, "categorical": _categorical}


def programs() -> Iterator[tuple[str, float, Model, Callable[[Any], Any]]]:
    """Names, scales, models, and losses of the parameters."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(4, 2)).astype(np.float32)
    labels = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, 4)]
    for make in (equinox_model, flax_model):
        model = make()
        for name, loss in LOSSES.items():
            for scale in SCALES:

                def objective(p: Any, model: Any = model, loss: Any = loss, s: Any = scale) -> Any:
                    return loss(model.scores(p, np.float32(s) * x), labels)

                yield f"{model.name}, {name}", scale, model, objective


def truths(objective: Callable[[Any], Any], parameters: Any) -> list[Any]:
    """The loss and its slope by every parameter, from the oracle."""
    import jax

    from stablegrad.ir import make, topological
    from stablegrad.jax.counterparts import Traced
    from stablegrad.jax.unrolled import is_jax_array, unroll
    from stablegrad.ops.record import INPUT, LEAF

    leaves = [np.asarray(x) for x in jax.tree.leaves(parameters)]
    terms = [make(INPUT, (), (i,), x.shape, x.dtype) for i, x in enumerate(leaves)]
    given = [Traced(x, t) for x, t in zip(leaves, terms, strict=True)]
    root = unroll(objective, (parameters,), given, is_jax_array).results[0].term
    assert root is not None
    data = {t: t.params[0].value for t in topological([root]) if t.op is LEAF}
    bindings = dict(zip(terms, leaves, strict=True)) | data
    found = [truth(root, bindings, np.float32)]
    for term, leaf in zip(terms, leaves, strict=True):
        for place in np.ndindex(leaf.shape):
            moves: Any = {t: np.zeros(np.shape(x)) for t, x in bindings.items()}
            moves[term][place] = 1
            found.append(truth(root, bindings, np.float32, order=1, direction=moves))
    return found


def _flat(tree: Any) -> np.ndarray[Any, Any]:
    import jax

    return np.concatenate([np.ravel(np.asarray(v)) for v in jax.tree.leaves(tree)])


def judge(name: str, scale: float, model: Model, objective: Callable[[Any], Any]) -> Row:
    """How many results are not right, and how far ours are from JAX's where JAX is right."""
    import jax
    import optax

    import stablegrad.jax as sj

    optimizer = optax.adam(0.1)

    def step(parameters: Any) -> Any:
        value, slopes = jax.value_and_grad(objective)(parameters)
        updates, _ = optimizer.update(slopes, optimizer.init(parameters))
        return value, slopes, optax.apply_updates(parameters, updates)

    runs = {"naive": jax.jit(step), "stable": jax.jit(sj.stabilize(step))}
    results = {kind: run(model.parameters) for kind, run in runs.items()}
    found = {kind: _flat(r[:2]) for kind, r in results.items()}
    after = {kind: _flat(r[2]) for kind, r in results.items()}
    tiny = np.finfo(np.float32).tiny
    right: dict[str, list[bool]] = {kind: [] for kind in runs}
    counts: list[bool] = []
    for i, true in enumerate(truths(objective, model.parameters)):
        value = abs(float(true.value))
        normal = (value == 0 or value >= tiny) and int(true.status) <= Status.LIMIT
        counts.append(bool(normal and math.isfinite(value)))
        for kind, got in found.items():
            right[kind].append(bool(err_ulp(got[i], true) <= RIGHT_ULP))
    judged, naive, stable = (np.array(v) for v in (counts, right["naive"], right["stable"]))
    sound = (judged & naive)[1:]  # parameters whose gradient JAX has right
    apart = _apart(after["naive"], after["stable"])
    return {
        "step": name,
        "scale": scale,
        "results": int(judged.sum()),
        "naive wrong": int((judged & ~naive).sum()),
        "stable wrong": int((judged & ~stable).sum()),
        "lost": int((judged & naive & ~stable).sum()),
        "apart": float(apart[sound].max(initial=0)),
    }


def _apart(a: Any, b: Any) -> Any:
    """The distance of float32s in units in the last place of the greater."""
    with np.errstate(invalid="ignore"):
        return np.abs(a.astype(float) - b) / np.spacing(np.maximum(np.abs(a), np.abs(b)))


def main(argv: Sequence[str] | None = None) -> None:
    """Judge every step."""
    options = arguments(__doc__).parse_args(argv)
    chosen = list(programs())
    rows = [judge(*p) for p in (chosen[:1] if options.tiny else chosen)]
    keys = list(rows[0])
    table(
        "train steps: loss and gradients not right; ulp from JAX's parameters where JAX is right",
        keys,
        [[f"{r[k]:.3g}" if isinstance(r[k], float) else r[k] for k in keys] for r in rows],
    )
    sums = {k: sum(r[k] for r in rows) for k in keys[2:-1]}
    console.print("in all: " + ", ".join(f"{k} {v}" for k, v in sums.items()))
    save(options.out, "jax_steps", rows, sums=sums)


if __name__ == "__main__":
    main()
