"""Distribution is JAX's: the same numbers, shardings and collectives as the naive program."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
import stablegrad.jax as sj
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

rank, count, port = (int(a) for a in sys.argv[1:])
if count > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
mesh = Mesh(np.array(jax.devices()), ("data",))
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 8)).astype(np.float32)
y = (rng.random(64) < 0.5).astype(np.float32)
split, whole = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
place = lambda a, s: jax.make_array_from_callback(a.shape, s, lambda i: a[i])
args = place(np.full(8, 0.1, np.float32), whole), place(x, split), place(y, split)

def loss(w, x, y):
    p = jax.nn.sigmoid(x @ w)
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

for f in (loss, sj.stabilize(loss)):
    run = jax.jit(jax.value_and_grad(f)).lower(*args).compile()
    text = run.as_text()
    kinds = "all-reduce all-gather all-to-all reduce-scatter collective-permute".split()
    collectives = {k: text.count(f" {k}(") + text.count(f" {k}-start(") for k in kinds}
    value, slope = run(*args)
    same = value.sharding.is_fully_replicated, slope.sharding.is_fully_replicated
    print("RESULT", repr((float(value), np.asarray(slope.addressable_data(0)).tolist(), same)))
    print("COLLECTIVES", repr(collectives))
"""


def run_program(ranks: int, devices: int) -> list[str]:
    """What each process prints."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = str(ROOT)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rank), str(ranks), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for rank in range(ranks)
    ]
    found = []
    for process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err[-2000:]
        found.append(out)
    return found


@pytest.mark.parametrize(("ranks", "devices"), [(1, 8), (2, 1)], ids=["8 devices", "2 processes"])
def test_numbers_shardings_and_collectives_are_the_naive_ones(ranks: int, devices: int) -> None:
    for out in run_program(ranks, devices):
        results = re.findall(r"RESULT \((\S+), (\[.*?\]), (.*)\)", out)
        (naive_value, naive_slope, naive_same), (value, slope, same) = results
        np.testing.assert_allclose(float(value), float(naive_value), rtol=1e-6)
        numbers = [np.array(t[1:-1].split(","), float) for t in (slope, naive_slope)]
        np.testing.assert_allclose(*numbers, rtol=1e-5, atol=1e-8)
        assert same == naive_same
        naive_collectives, collectives = re.findall(r"COLLECTIVES (.*)", out)
        assert collectives == naive_collectives
