"""The bridge in JAX programs: run time, compile time and memory, stabilized over naive.

Value and gradient under jit, both in turns in one run; a ratio below 1 is faster than JAX alone.
The last row is the time to compile the Hessian-vector product of a chain of 600 ops.

Run: ``python -m benchmarks.jax_speed``
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import arguments, compare, console, figure, save, table

SEED = 20_260_101


def bytes_saved(f: Callable[..., Any], args: Sequence[Any]) -> int:
    """The bytes that JAX keeps between the forward and the backward pass."""
    import jax

    _, pull = jax.vjp(f, *args)
    kept = {id(x): x.nbytes for x in jax.tree.leaves(pull) if hasattr(x, "nbytes")}
    return sum(kept.values())


def compiled(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Any, dict[str, float]]:
    """A compiled function, with the seconds of tracing and of XLA, and its temporary bytes."""
    import jax

    jax.clear_caches()
    start = time.perf_counter()
    lowered = jax.jit(f).lower(*args)
    middle = time.perf_counter()
    program = lowered.compile()
    end = time.perf_counter()
    memory = program.memory_analysis()
    return program, {
        "trace_s": middle - start,
        "compile_s": end - middle,
        "temporary_bytes": float(getattr(memory, "temp_size_in_bytes", 0)),
    }


def measure(
    loss: Callable[..., Any], args: Sequence[Any], samples: int, sample_s: float
) -> dict[str, float]:
    """Ratios stabilized over naive of one program."""
    import jax

    import stablegrad.jax as sj

    stable = sj.stabilize(loss)
    naive_run, naive = compiled(jax.value_and_grad(loss), args)
    stable_run, ours = compiled(jax.value_and_grad(stable), args)
    timings = compare(
        {
            "naive": lambda: jax.block_until_ready(naive_run(*args)),
            "stable": lambda: jax.block_until_ready(stable_run(*args)),
        },
        samples=samples,
        sample_s=sample_s,
        clock=time.process_time,
    )
    return {
        "time": timings["stable"].min_s / timings["naive"].min_s,
        "naive_ms": 1e3 * timings["naive"].min_s,
        "extra_trace": (ours["trace_s"] - naive["trace_s"]) / naive["compile_s"],
        "compile": ours["compile_s"] / naive["compile_s"],
        "temporary": ours["temporary_bytes"] / max(1.0, naive["temporary_bytes"]),
        "residual": bytes_saved(stable, args) / max(1, bytes_saved(loss, args)),
    }


def hvp_ratio(length: int) -> dict[str, float]:
    """Compile time of the Hessian-vector product of a long chain, stabilized over naive."""
    import jax
    import jax.numpy as jnp

    import stablegrad.jax as sj
    from benchmarks.jax_programs import long_chain

    f = long_chain(length)
    x = jnp.linspace(0.1, 1.0, 8)

    def hvp(g: Callable[..., Any]) -> Callable[..., Any]:
        return lambda v: jax.jvp(jax.grad(g), (v,), (jnp.ones_like(v),))[1]

    _, naive = compiled(hvp(f), (x,))
    _, ours = compiled(hvp(sj.stabilize(f)), (x,))
    total = [r["trace_s"] + r["compile_s"] for r in (ours, naive)]
    return {"ratio": total[0] / total[1], "naive_s": total[1], "stable_s": total[0], **ours}


def main(argv: Sequence[str] | None = None) -> None:
    """Run every program."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="programs whose name holds this text")
    options = parser.parse_args(argv)
    from benchmarks.jax_programs import PROGRAMS

    scale, samples, sample_s = (16, 3, 0.01) if options.tiny else (1, 9, 0.2)
    rows = []
    for name, make in PROGRAMS.items():
        if options.only in name:
            loss, args = make(np.random.default_rng(SEED), scale)
            rows.append({"program": name, **measure(loss, args, samples, sample_s)})
            console.print(f"{name}: {rows[-1]['time']:.2f}")
    keys = ["time", "naive_ms", "extra_trace", "compile", "temporary", "residual"]
    table(
        "stabilized over naive, value and gradient under jit",
        ["program", *keys],
        [[r["program"], *[figure(r[k]) for k in keys]] for r in rows],
    )
    facts = {}
    if rows:
        facts["geometric_mean"] = math.exp(np.mean([math.log(r["time"]) for r in rows]))
        facts["worst"] = max(r["time"] for r in rows)
        console.print(f"geometric mean {facts['geometric_mean']:.3f}, worst {facts['worst']:.2f}")
    if not options.only:
        facts["hvp"] = hvp_ratio(40 if options.tiny else 600)
        console.print(f"hvp of a long chain: compiles in {facts['hvp']['ratio']:.2f} of naive")
    save(options.out, "jax_speed", rows, **facts)


if __name__ == "__main__":
    main()
