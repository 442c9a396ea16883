"""Synthesis: kernels of 44 functions and their derivatives, judged over the floats.

Every kernel is made from the expression alone (its derivatives are differentiated as written, no
rule applied) and judged by balls on random bit patterns: whether each result is within 4 ulp, in
float64, and within 1 ulp in float32 computed in float64; where a kernel has a gap, whether the
naive form does there. Then: how long it takes, what a kernel costs beside the naive form, under
jit and where NumPy needs it for some elements, the failures of one variable among the shared cases
with every rule of `stabilize` switched off, and the problems of one variable of Hamming's chapter
on significant digits, in bits of error. Last, the same kernels in float32 arithmetic.

Run: ``python -m benchmarks.synthesis``
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.case_libraries import stablegrad_result
from benchmarks.cases import inputs_of, read_cases, run_case
from benchmarks.judge import RIGHT_ULP, SHARP_ULP
from benchmarks.measure import arguments, compare, console, figure, save, table, version
from benchmarks.report_synthesis import sharp
from benchmarks.synthesis_native import native, native_speed
from stablegrad import ops as o
from stablegrad import rules
from stablegrad.engines.blocks import BLOCK
from stablegrad.engines.masked import Masked, masked_of
from stablegrad.engines.numpy import bound
from stablegrad.ir import Term, make, topological
from stablegrad.ops.record import CONST, INPUT
from stablegrad.oracle import Status, truth
from stablegrad.program import values_of as run_term
from stablegrad.rules import DATABASES
from stablegrad.settings import Settings
from stablegrad.synthesis import Builder, DeclinedError, Table, X, evaluate, recipe, store
from stablegrad.synthesis.op import SYNTHESIZED
from stablegrad.transforms.expand import derivative
from stablegrad.transforms.lower import Lowering

Array = np.ndarray[Any, Any]
F = Callable[[Term], Term]
FUNCTIONS: dict[str, F] = {
    "log(1 - exp(x))": lambda x: o.log(1 - o.exp(x)),
    "log(exp(x) - 1)": lambda x: o.log(o.exp(x) - 1),
    "log(cosh(x))": lambda x: o.log(o.cosh(x)),
    "log(cosh(x))/x": lambda x: o.log(o.cosh(x)) / x,
    "sin(x)/x": lambda x: o.sin(x) / x,
    "(1 - cos(x))/x^2": lambda x: (1 - o.cos(x)) / (x * x),
    "(x - sin(x))/x^3": lambda x: (x - o.sin(x)) / (x * x * x),
    "sinh(sqrt(x))/sqrt(x)": lambda x: o.sinh(o.sqrt(x)) / o.sqrt(x),
    "(exp(x) - 1)/x": lambda x: (o.exp(x) - 1) / x,
    "log(x)/(x - 1)": lambda x: o.log(x) / (x - 1),
    "log(1 + x)/x": lambda x: o.log(1 + x) / x,
    "sqrt(x + 1) - sqrt(x)": lambda x: o.sqrt(x + 1) - o.sqrt(x),
    "1/sqrt(x) - 1/sqrt(x + 1)": lambda x: 1 / o.sqrt(x) - 1 / o.sqrt(x + 1),
    "1/(x + 1) - 1/x": lambda x: 1 / (x + 1) - 1 / x,
    "log(erfc(x))": lambda x: o.log(o.erfc(x)),
    "x/sqrt(x^2 + 1)": lambda x: x / o.sqrt(x * x + 1),
    "x/(1 + x^2)": lambda x: x / (1 + x * x),
    "1/(1 - exp(-x)) - 1/x": lambda x: 1 / (1 - o.exp(-x)) - 1 / x,
    "lgamma(x + 1) - lgamma(x)": lambda x: o.lgamma(x + 1) - o.lgamma(x),
    "digamma(x + 1) - log(x)": lambda x: o.digamma(x + 1) - o.log(x),
    "log(i0(x))": lambda x: o.log(o.i0(x)),
    "x ndtr(x)": lambda x: x * o.ndtr(x),
    "log(ndtr(x))": lambda x: o.log(o.ndtr(x)),
    "log(1 - ndtr(x))": lambda x: o.log(1 - o.ndtr(x)),
    "x tanh(log(1 + exp(x)))": lambda x: x * o.tanh(o.log(1 + o.exp(x))),
    "log(1 + exp(x))": lambda x: o.log(1 + o.exp(x)),
    "log(1 + exp(x)) - x": lambda x: o.log(1 + o.exp(x)) - x,
    "1/(1 + exp(-x))": lambda x: 1 / (1 + o.exp(-x)),
    "x/(1 + exp(-x))": lambda x: x / (1 + o.exp(-x)),
    "sigmoid(x)(1 - sigmoid(x))": lambda x: o.sigmoid(x) * (1 - o.sigmoid(x)),
    "log(1 - sigmoid(x))": lambda x: o.log(1 - o.sigmoid(x)),
    "tanh(x)": lambda x: (o.exp(x) - o.exp(-x)) / (o.exp(x) + o.exp(-x)),
    "1 - tanh(x)^2": lambda x: 1 - o.tanh(x) * o.tanh(x),
    "log(1 - tanh(x)^2)": lambda x: o.log(1 - o.tanh(x) * o.tanh(x)),
    "sinh(x)": lambda x: (o.exp(x) - o.exp(-x)) / 2,
    "asinh(x)": lambda x: o.log(x + o.sqrt(x * x + 1)),
    "log(1 + x) - x": lambda x: o.log(1 + x) - x,
    "log(1 + x^2)": lambda x: o.log(1 + x * x),
    "1/sqrt(1 - x^2) - 1": lambda x: 1 / o.sqrt(1 - x * x) - 1,
    "(1 + sqrt(3) x) exp(-sqrt(3) x)": lambda x: (1 + 1.75 * x) * o.exp(-1.75 * x),
    "x^3/(exp(x) - 1)": lambda x: x * x * x / (o.exp(x) - 1),
    "-x log(x) - (1 - x) log(1 - x)": lambda x: -x * o.log(x) - (1 - x) * o.log(1 - x),
    "coth(x) - 1/x": lambda x: o.cosh(x) / o.sinh(x) - 1 / x,
    "cbrt(x + 1) - cbrt(x)": lambda x: o.cbrt(x + 1) - o.cbrt(x),
}
HAMMING: dict[str, F] = {
    "sqrt(x + 1) - sqrt(x)": lambda x: o.sqrt(x + 1) - o.sqrt(x),
    "1/sqrt(x) - 1/sqrt(x + 1)": lambda x: 1 / o.sqrt(x) - 1 / o.sqrt(x + 1),
    "1/(x + 1) - 1/x": lambda x: 1 / (x + 1) - 1 / x,
    "1/(x + 1) - 2/x + 1/(x - 1)": lambda x: 1 / (x + 1) - 2 / x + 1 / (x - 1),
    "cbrt(x + 1) - cbrt(x)": lambda x: o.cbrt(x + 1) - o.cbrt(x),
    "(1 - cos(x))/sin(x)": lambda x: (1 - o.cos(x)) / o.sin(x),
    "(1 - cos(x))/x^2": lambda x: (1 - o.cos(x)) / (x * x),
    "(x - sin(x))/(x - tan(x))": lambda x: (x - o.sin(x)) / (x - o.tan(x)),
    "atan(x + 1) - atan(x)": lambda x: o.arctan(x + 1) - o.arctan(x),
    "log(x + 1) - log(x)": lambda x: o.log(x + 1) - o.log(x),
    "log((1 - x)/(1 + x))": lambda x: o.log((1 - x) / (1 + x)),
    "exp(x) - 1": lambda x: o.exp(x) - 1,
    "exp(x) - 2 + exp(-x)": lambda x: o.exp(x) - 2 + o.exp(-x),
    "exp(x)/(exp(x) - 1)": lambda x: o.exp(x) / (o.exp(x) - 1),
    "sqrt((exp(2x) - 1)/(exp(x) - 1))": lambda x: o.sqrt((o.exp(2 * x) - 1) / (o.exp(x) - 1)),
    "log(1 - x)/log(1 + x)": lambda x: o.log(1 - x) / o.log(1 + x),
    "1/x - cot(x)": lambda x: 1 / x - o.cos(x) / o.sin(x),
    "(x + 1) log(x + 1) - x log(x) - 1": lambda x: (x + 1) * o.log(x + 1) - x * o.log(x) - 1,
}
"""The problems of one real variable in Hamming's Numerical Methods for Scientists and Engineers,
2nd ed., chapter 3, as Herbie's suite has them."""
RAW = Settings(excluded=frozenset({"stabilize"}))
SEED = 20_261_121
BITS = 64
SHARES = (0.0, 0.01, 1.0)
"""Of bad elements."""
JITTED = "kernel, jit"


def patterns(n: int, dtype: Any, rng: np.random.Generator) -> Array:
    """Finite floats, uniform over the bit patterns of a dtype."""
    unsigned = {4: np.uint32, 8: np.uint64}[np.dtype(dtype).itemsize]
    bits = rng.integers(0, np.iinfo(unsigned).max, 2 * n, dtype=unsigned, endpoint=True)
    x = bits.view(dtype)
    return x[np.isfinite(x)][:n]


def error_ulp(got: Array, term: Term, x: Array, dtype: Any) -> tuple[Array, int]:
    """Errors where the truth is a normal float of the dtype; how many the oracle left open."""
    true = truth(term, {X: x.astype(np.float64)}, dtype, budget=3200, limits=False)
    value = true.value.astype(np.float64)
    normal = (true.status == Status.DECIDED) & np.isfinite(value)
    normal &= np.abs(value) >= float(np.finfo(dtype).tiny)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(true.value)).astype(np.float64)
        error = np.abs((got.astype(np.float64) - value) / unit - true.offset)
    error = np.where(np.isfinite(error), error, np.inf)
    return np.where(normal, error, np.nan), int((true.status == Status.UNDECIDED).sum())


def judged(term: Term, made: Table, x: Array, dtype: Any) -> dict[str, Any]:
    """A kernel on points: the worst error where it applies, and of what is left to the naive."""
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, x.astype(np.float64), made)
        naive = run_term(term, {X: x})
        got = np.where(covered, value, naive).astype(dtype)
    error, open_points = error_ulp(got, term, x, dtype)
    there = ~np.isnan(error)
    inside, outside = error[there & covered], error[there & ~covered]
    return {
        "points": int(there.sum()),
        "worst_ulp": float(inside.max(initial=0.0)),
        "uncovered": int(outside.size),
        "uncovered_wrong": int((outside > SHARP_ULP).sum()),
        "undecided": open_points,
    }


def kernel_row(name: str, f: F, order: int, points: int) -> dict[str, Any]:
    """Make one kernel and judge it."""
    term = derivative(f(X), X, order, RAW)
    row: dict[str, Any] = {"function": name, "order": order}
    start = time.process_time()
    try:
        made = Builder(recipe(term, X)).build()
    except DeclinedError as error:
        return {**row, "declined": str(error), "elapsed_s": time.process_time() - start}
    row["elapsed_s"] = time.process_time() - start
    rng = np.random.default_rng(SEED)
    row |= {
        "pieces": made.pieces,
        "bytes": made.nbytes,
        "proved_ulp": made.bound_ulp,
        "gaps": len(made.gaps),
        "float64": judged(term, made, patterns(points, np.float64, rng), np.float64),
        "float32": judged(term, made, patterns(points // 4, np.float32, rng), np.float32),
    }
    return row


def kernels(points: int, names: Sequence[str], orders: Sequence[int]) -> list[dict[str, Any]]:
    """All kernels, a line each."""
    rows = [kernel_row(n, FUNCTIONS[n], k, points) for n in names for k in orders]
    cells = []
    for r in rows:
        if "declined" in r:
            cells.append([r["function"], r["order"], "declined", "", "", "", "", ""])
            continue
        d, s = r["float64"], r["float32"]
        cells.append(
            [
                r["function"],
                r["order"],
                r["pieces"],
                figure(r["proved_ulp"]),
                figure(d["worst_ulp"]),
                figure(s["worst_ulp"]),
                f"{d['uncovered_wrong']}/{d['points']}",
                figure(r["elapsed_s"]),
            ]
        )
    table(
        f"kernels on {points} bit patterns",
        ["function", "order", "pieces", "proved", "float64", "float32", "gaps wrong", "s"],
        cells,
    )
    times = [r["elapsed_s"] for r in rows]
    good = sum(sharp(r) for r in rows)
    wrong = [
        r
        for r in rows
        if "declined" not in r and r["float64"]["worst_ulp"] > max(SHARP_ULP, r["proved_ulp"])
    ]
    console.print(
        f"{good} of {len(rows)} kernels sharp without a gap that matters; "
        f"{len(wrong)} beyond their proof; "
        f"synthesis with proof: median {statistics.median(times):.2f} s, "
        f"greatest {max(times):.2f} s of CPU time"
    )
    return rows


# -- speed ----------------------------------------------------------------------------------------


def speed(names: Sequence[str], n: int) -> list[dict[str, Any]]:
    """Kernels beside the naive form, in NumPy and under jit, and the time to load one."""
    rows = []
    x = np.random.default_rng(SEED).normal(size=n) * 3
    for name in names:
        term = FUNCTIONS[name](X)
        what = recipe(term, X)
        made = store.table_of(what)
        store.forget()
        start = time.perf_counter()
        store.table_of(what)
        load_s = time.perf_counter() - start
        contenders: dict[str, Callable[[], object]] = {
            "naive": lambda t=term: run_term(t, {X: x}),
            "kernel": lambda m=made: evaluate(np, x, m),
        }
        contenders |= jitted(term, made, x)
        with np.errstate(all="ignore"):
            taken = compare(contenders, samples=5, sample_s=0.05, clock=time.process_time)
        row = {k: 1e9 * t.min_s / n for k, t in taken.items()}
        if JITTED in contenders:
            passed = compare(
                {JITTED: contenders[JITTED]}, samples=5, sample_s=0.05, clock=time.perf_counter
            )
            row["jit, by the clock"] = 1e9 * passed[JITTED].min_s / n
        rows.append({"function": name, "load_ms": 1e3 * load_s, "ns": row})
    columns = list(rows[0]["ns"])
    table(
        f"CPU ns for each of {n} elements, and on all cores by the clock; ms to load from disk",
        ["function", *columns, "load ms"],
        [
            [r["function"], *[figure(r["ns"].get(c)) for c in columns], figure(r["load_ms"])]
            for r in rows
        ],
    )
    return rows


def jitted(term: Term, made: Table, x: Array) -> dict[str, Callable[[], object]]:
    """The kernel under JAX's jit, if JAX is installed."""
    if version("jax") is None:
        return {}
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    data = jnp.asarray(x)
    run = jax.jit(lambda v: evaluate(jnp, v, made)[0])
    return {JITTED: lambda: run(data).block_until_ready()}


def masked_form(term: Term) -> Masked:
    """A kernel as a NumPy program runs it, beside the naive form."""
    x = make(INPUT, (), (0,), (2,), X.dtype)
    done = {X: x}
    for t in topological([term], stop=done.__contains__):
        if t not in done:
            shape = () if t.op is CONST else x.shape
            done[t] = make(t.op, tuple([done[a] for a in t.args]), t.params, shape, t.dtype)
    root = make(SYNTHESIZED, (x, done[term]), (recipe(term, X),), x.shape, x.dtype)
    return masked_of(Lowering()([root])[0], bound, bound)


def masked(names: Sequence[str], n: int) -> list[dict[str, Any]]:
    """NumPy, where some elements are bad: those that the naive form is not left to.

    The cost of each bad one is what goes beyond three times the naive form.
    """
    rows = []
    rng = np.random.default_rng(SEED)
    everyday = np.exp2(rng.uniform(-30, 30, n)) * rng.choice([-1.0, 1.0], n)
    x = np.concatenate([rng.normal(size=n) * 3, everyday])
    for name in names:
        run = masked_form(FUNCTIONS[name](X))
        with np.errstate(all="ignore"):
            is_bad = np.zeros(x.size, bool)
            is_bad[run.bad(x)] = True
            row: dict[str, Any] = {"function": name, "bad": float(is_bad.mean())}
            for share in SHARES:
                count = round(share * n)
                parts = [(x[~is_bad], n - count), (x[is_bad], count)]
                if any(size and not source.size for source, size in parts):
                    continue
                data = np.concatenate([rng.choice(v, k) if k else v[:0] for v, k in parts])
                rng.shuffle(data)
                taken = compare(
                    {
                        "naive": lambda d=data, f=run: [
                            f.naive(d[i : i + BLOCK]) for i in range(0, n, BLOCK)
                        ],
                        "masked": lambda d=data, f=run: f(d),
                    },
                    samples=5,
                    sample_s=0.05,
                    clock=time.process_time,
                )
                naive, whole = (1e9 * taken[k].min_s / n for k in ("naive", "masked"))
                extra = (whole - 3 * naive) / share if share else None
                row[f"{share:.0%}"] = {"naive": naive, "masked": whole, "extra": extra}
        rows.append(row)
    labels = [f"{s:.0%}" for s in SHARES]
    table(
        f"NumPy, CPU ns for each of {n} elements by the share of bad ones: naive, masked, and what "
        "a bad one costs beyond three times naive",
        ["function", *[f"{a}: {b}" for a in labels for b in ("naive", "masked")], *labels[1:]],
        [
            [
                r["function"],
                *[figure(r[a][b]) if a in r else "" for a in labels for b in ("naive", "masked")],
                *[figure(r[a]["extra"]) if a in r else "" for a in labels[1:]],
            ]
            for r in rows
        ],
    )
    return rows


# -- shared cases ------------------------------------------------------------------------------


def points_of(case: Any) -> list[Any]:
    """The inputs of a case at all its points."""
    return [inputs_of(case, p) for p in case["points"]]


def _of_one_number(inputs: Any) -> bool:
    return len(inputs) == 1 and all(v.ndim == 0 for v in inputs.values())


def shared_cases() -> dict[str, int]:
    """The cases of one scalar variable, every rule of stabilize switched off."""
    names = [r.name for d in DATABASES for r in d.rules if d.name == "stabilize"]
    chosen = [c for c in read_cases() if all(map(_of_one_number, points_of(c)))]
    errors = {}
    with rules(exclude=names):
        for c in chosen:
            errors[c["id"]] = run_case(c, stablegrad_result)[0]
    right = sum(e <= RIGHT_ULP for e in errors.values())
    console.print(
        f"{right} of {len(chosen)} cases of one variable right, "
        f"{sum(e <= SHARP_ULP for e in errors.values())} sharp, with every rule of stabilize off; "
        f"not right: {', '.join(k for k, e in errors.items() if e > RIGHT_ULP)}"
    )
    return {"cases": len(chosen), "right": right}


# -- Hamming -------------------------------------------------------------------------------------


def bits_of_error(got: Array, term: Term, x: Array) -> float:
    """Mean over the points with a finite truth: log2 of 1 and the floats between it and got."""
    true = truth(term, {X: x}, np.float64, budget=3200, limits=False)
    there = (true.status == Status.DECIDED) & np.isfinite(true.value)
    ordinals = [
        np.where(v >= 0, v.view(np.int64), np.int64(-(2**63)) - v.view(np.int64))
        for v in (got[there] + 0.0, true.value[there] + 0.0)
    ]
    distance = np.abs(ordinals[0].astype(np.float64) - ordinals[1].astype(np.float64))
    error = np.where(np.isfinite(got[there]), np.log2(1 + distance), float(BITS))
    return float(error.mean()) if error.size else 0.0


def hamming(points: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """Mean bits of error of value and first derivative, naive and with the kernel."""
    x = patterns(points, np.float64, np.random.default_rng(SEED))
    rows = []
    for name in names:
        row: dict[str, Any] = {"function": name}
        for order in (0, 1):
            term = derivative(HAMMING[name](X), X, order, RAW)
            with np.errstate(all="ignore"):
                naive = np.array(run_term(term, {X: x}), np.float64)
                try:
                    value, covered = evaluate(np, x, store.table_of(recipe(term, X)))
                    mixed = np.where(covered, value, naive)
                except DeclinedError:
                    mixed = naive
                row[f"order {order}"] = [bits_of_error(v, term, x) for v in (naive, mixed)]
        rows.append(row)
    table(
        f"Hamming's problems: mean bits of error on {points} bit patterns, naive and kernel",
        ["function", "value", "with kernel", "derivative", "with kernel"],
        [[r["function"], *[figure(v) for k in (0, 1) for v in r[f"order {k}"]]] for r in rows],
    )
    for order in (0, 1):
        means = [statistics.mean(r[f"order {order}"][k] for r in rows) for k in (0, 1)]
        console.print(f"order {order}: mean {means[0]:.2f} bits naive, {means[1]:.2f} with kernels")
    return rows


@contextmanager
def kept_in(folder: str) -> Iterator[None]:
    """Keep kernels in a folder: those of the user tell nothing of the time it takes."""
    before = os.environ.get(store.VARIABLE)
    os.environ[store.VARIABLE] = folder
    store.forget()
    try:
        yield
    finally:
        if before is None:
            del os.environ[store.VARIABLE]
        else:
            os.environ[store.VARIABLE] = before


def main(argv: Sequence[str] | None = None) -> None:
    """Run everything."""
    parser = arguments(__doc__)
    parser.add_argument("--points", type=int, default=10_000, help="bit patterns for each kernel")
    options = parser.parse_args(argv)
    points = 200 if options.tiny else options.points
    names = list(FUNCTIONS)[:3] if options.tiny else list(FUNCTIONS)
    with tempfile.TemporaryDirectory() as folder, kept_in(folder):
        rows = kernels(points, names, (0, 1) if options.tiny else (0, 1, 2))
        few = names[2:3] if options.tiny else names[:8]
        size = 2**12 if options.tiny else 2**20
        timed = speed(few, size)
        by_share = masked(few, size)
        cases = {} if options.tiny else shared_cases()
        problems = hamming(points // 4, list(HAMMING)[: 2 if options.tiny else None])
        chosen = {n: FUNCTIONS[n] for n in names}
        narrow = native(chosen, points // 10, (0, 1) if options.tiny else (0, 1, 2))
        narrow_timed = native_speed({n: FUNCTIONS[n] for n in few}, size)
    save(
        options.out,
        "synthesis",
        rows,
        points=points,
        speed=timed,
        masked=by_share,
        cases=cases,
        hamming=problems,
        native=narrow,
        native_speed=narrow_timed,
    )


if __name__ == "__main__":
    main()
