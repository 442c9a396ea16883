"""The bridge in JAX programs: run time, compile time and memory, stabilized over naive.

Value and gradient under jit, both in turns in one run; a ratio below 1 is faster than JAX alone.
Programs first, which have a goal; then single functions on a million floats, which have none; then
the time to compile the Hessian-vector product of a chain of 600 ops. A row is saved when it is
measured: ``--resume`` goes on with a run that was ended.

Run: ``python -m benchmarks.jax_speed``
"""

from __future__ import annotations

import gc
import json
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
    gc.collect()  # what was made before is garbage of neither
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
) -> dict[str, float | None]:
    """Ratios stabilized over naive of one program."""
    import jax

    import stablegrad.jax as sj

    stable = sj.stabilize(loss)
    compiled(jax.value_and_grad(loss), args)  # what JAX traces once for all is no part of it
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
        "temporary": ours["temporary_bytes"] / naive["temporary_bytes"]
        if naive["temporary_bytes"]
        else None,
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
    parser.add_argument("--resume", action="store_true", help="keep the rows that are saved")
    options = parser.parse_args(argv)
    from benchmarks.jax_programs import FUNCTIONS, PROGRAMS, summed

    # many short samples: the least of them is that of a quiet moment, on a busy machine too
    scale, samples, sample_s = (16, 3, 0.01) if options.tiny else (1, 45, 0.04)
    path = options.out / "jax_speed.json"
    known = json.loads(path.read_text("utf8")) if options.resume and path.exists() else {}
    rows: list[dict[str, Any]] = known.get("rows", [])
    facts = {k: known[k] for k in ("hvp",) if k in known}

    def add(name: str, kind: str, loss: Callable[..., Any], args: Any, part: float) -> None:
        found = measure(loss, args, samples, part * sample_s)
        rows.append({"program": name, "kind": kind, **found})
        console.print(f"{name}: {found['time']:.2f}")
        save(options.out, "jax_speed", rows, tell=False, **facts)

    for kind, made in (("program", PROGRAMS), ("function", FUNCTIONS)):
        for name in made:
            if options.only not in name or any(r["program"] == name for r in rows):
                continue
            rng = np.random.default_rng(SEED)
            if kind == "program":
                add(name, kind, *PROGRAMS[name](rng, scale), 1)
            else:
                add(name, kind, *summed(FUNCTIONS[name], rng, scale), 0.25)
    if not options.only and "hvp" not in facts:
        facts["hvp"] = hvp_ratio(40 if options.tiny else 600)
    tell(rows, facts)
    save(options.out, "jax_speed", rows, **facts)


KEYS = ("time", "naive_ms", "extra_trace", "compile", "temporary", "residual")


def tell(rows: Sequence[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Print the rows, and add the means over them to the facts."""
    for kind in ("program", "function"):
        some = [r for r in rows if r["kind"] == kind]
        if not some:
            continue
        table(
            f"{kind}s, stabilized over naive, value and gradient under jit",
            [kind, *KEYS],
            [[r["program"], *[figure(r[k]) for k in KEYS]] for r in some],
        )
        mean = math.exp(np.mean([math.log(r["time"]) for r in some]))
        facts[kind] = {"geometric_mean": mean, "worst": max(r["time"] for r in some)}
        console.print(f"geometric mean {mean:.3f}, worst {facts[kind]['worst']:.2f}")
    if "hvp" in facts:
        console.print(f"hvp of a long chain: compiles in {facts['hvp']['ratio']:.2f} of naive")


if __name__ == "__main__":
    main()
