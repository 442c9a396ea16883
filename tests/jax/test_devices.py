"""Distribution is JAX's: the same numbers, shardings and collectives as the naive program."""

from __future__ import annotations

import ast
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
place = lambda a, *spec: jax.make_array_from_callback(
    a.shape, NamedSharding(mesh, P(*spec)), lambda i: a[i]
)
w, w1 = np.full(8, 0.1, np.float32), rng.normal(size=(8, 16)).astype(np.float32)
w2 = rng.normal(size=16).astype(np.float32)

def loss(w, x, y):
    p = jax.nn.sigmoid(x @ w)
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

def deep(ws, x, y):
    return loss(ws[1], jnp.log(1 + jnp.exp(x @ ws[0])), y)

def constrained(ws, x, y):
    h = jnp.log(1 + jnp.exp(x @ ws[0]))
    h = jax.lax.with_sharding_constraint(h, NamedSharding(mesh, P("data", None)))
    return loss(ws[1], h, y)

def summed(w, x, y):
    def part(w, x, y):
        return jax.lax.pmean(loss(w, x, y), "data")
    return jax.shard_map(
        part, mesh=mesh, in_specs=(P(), P("data"), P("data")), out_specs=P()
    )(w, x, y)

data = place(x, "data"), place(y, "data")
PROGRAMS = {
    "data": (loss, (place(w), *data)),
    "model": (deep, ((place(w1, None, "data"), place(w2, "data")), place(x), place(y))),
    "fsdp": (constrained, ((place(w1, "data"), place(w2, "data")), *data)),
    "shard_map": (summed, (place(w), *data)),
}
kinds = "all-reduce all-gather all-to-all reduce-scatter collective-permute".split()

for name, (f, args) in PROGRAMS.items():
    whole = jax.value_and_grad(f)
    for g in (whole, jax.value_and_grad(sj.stabilize(f)), sj.stabilize(whole)):
        run = jax.jit(g).lower(*args).compile()
        text = run.as_text()
        collectives = {k: text.count(f" {k}(") + text.count(f" {k}-start(") for k in kinds}
        out = jax.tree.leaves(run(*args))
        numbers = [np.asarray(v.addressable_data(0)).ravel().tolist() for v in out]
        shardings = [str(v.sharding.spec) for v in out]
        print("RESULT", repr((name, numbers, shardings, collectives)))
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
    """Of the stabilized loss differentiated, and of the derivative stabilized."""
    for out in run_program(ranks, devices):
        found = [ast.literal_eval(line) for line in re.findall(r"RESULT (.*)", out)]
        assert len(found) == 12
        for naive, *ours in (found[i : i + 3] for i in range(0, 12, 3)):
            for name, numbers, shardings, collectives in ours:
                for got, want in zip(numbers, naive[1], strict=True):
                    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-7, err_msg=name)
                assert shardings == naive[2], name
                assert collectives == naive[3], name


def test_the_example_trains_data_parallel() -> None:
    """In one process with 8 devices, and in two that meet over the loopback."""
    script = str(ROOT / "examples" / "data_parallel.py")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    ranks = [["--rank", str(r), "--of", "2", "--port", port] for r in (0, 1)]
    runs = [
        subprocess.Popen(
            [sys.executable, script, "--steps", "21", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
            | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
            text=True,
        )
        for options in ([], *ranks)
    ]
    texts = []
    for run in runs:
        out, err = run.communicate(timeout=240)
        assert run.returncode == 0, err[-2000:]
        texts.append("\n".join(x for x in out.splitlines() if not x.startswith("[Gloo]")))
    assert texts[0] == texts[1]
    assert "8 devices, accuracy 0.9" in texts[0]
    assert float(re.findall(r"loss (\S+)", texts[0])[-1]) < 0.1
