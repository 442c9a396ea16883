"""Train a classifier on several devices at once, data-parallel, with the loss spelled naively.

Distribution is JAX's: the batch is split over a mesh of devices, the parameters are on all of
them, and the compiler puts in the sums over devices. ``stabilize`` around the step changes none
of that. With one process, CPUs are divided into virtual devices; with several, each process
brings its own and they meet through ``jax.distributed``:

    python examples/data_parallel.py
    python examples/data_parallel.py --rank 0 --of 2 --port 9911 & \
    python examples/data_parallel.py --rank 1 --of 2 --port 9911
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np

DEVICES = 8


def main() -> None:
    """Train, and print the loss as it falls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--of", type=int, default=1, help="how many processes")
    parser.add_argument("--port", type=int, default=9911)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    flag = f"--xla_force_host_platform_device_count={DEVICES // options.of}"
    os.environ.setdefault("XLA_FLAGS", flag)

    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    if options.of > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{options.port}", options.of, options.rank)
    mesh = Mesh(np.array(jax.devices()), ("data",))
    split, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    x, y = data()
    batch = tuple([jax.make_array_from_callback(a.shape, split, a.__getitem__) for a in (x, y)])
    start = np.zeros(x.shape[1], np.float32)
    w = jax.make_array_from_callback(start.shape, whole, start.__getitem__)
    step = train_step()
    for k in range(options.steps):
        w, value = step(w, *batch)
        if options.rank == 0 and (k % 20 == 0 or k == options.steps - 1):
            print(f"step {k:3d}  loss {float(value):.5f}")
    if options.rank == 0:
        right = np.mean((x @ np.asarray(w) > 0) == (y > 0.5))
        print(f"{len(jax.devices())} devices, accuracy {right:.3f}")


def data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two classes, features unscaled, so that naive logits overflow from the second step on."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(1024, 8)) * 50).astype(np.float32)
    y = (x @ rng.normal(size=8) + rng.normal(size=1024) * 20 > 0).astype(np.float32)
    return x, y


def train_step() -> Any:
    """One step of gradient descent; without ``stabilize`` the weights are nan after three."""
    import jax
    import jax.numpy as jnp

    from stablegrad.jax import stabilize

    def loss(w: Any, x: Any, y: Any) -> Any:
        p = jax.nn.sigmoid(x @ w)
        return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

    @jax.jit
    @stabilize
    def step(w: Any, x: Any, y: Any) -> Any:
        value, slope = jax.value_and_grad(loss)(w, x, y)
        return w - 0.01 * slope, value

    return step


if __name__ == "__main__":
    main()
