"""Every kernel on a million float32s against SciPy's or NumPy's own and torch's, one thread each.

What is timed is the lowered program of one op, as it runs: float64 inside where the bound needs
it, functions of one value from tables, by numba if it is installed; and the same without numba.
The derivative is that of the sum, against torch's backward pass, which computes the value as
well. Inputs are everyday numbers inside the domain. A ratio is of the least times of samples that
took turns in one run, after the calls in which a table is made and weighed.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.kernels``; rows are saved as they are measured, and
``--resume`` goes on with a run that was ended.
"""

from __future__ import annotations

import inspect
import json
import math
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.special

import stablegrad
from benchmarks.measure import arguments, available, compare, figure, once, save, table
from stablegrad.engines import reading, tables
from stablegrad.engines.numpy import bound
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import INPUT, Op, const, is_float
from stablegrad.program import compile_terms
from stablegrad.settings import Settings
from stablegrad.special.functions import ELEMENTWISE

Array = np.ndarray[Any, Any]
SIZE = 1_000_000
SIDE = 1000
INTERNAL = {"leaf", "forms", "derivative", "lowered"}
SCIPY_NAMES = {op: name for name, op in ELEMENTWISE.items() if hasattr(scipy.special, name)}
REDUCTIONS = ("sum", "mean", "max", "prod", "var", "std", "argmax", "cumsum", "cumprod")
SCIPY_REDUCTIONS = ("logsumexp", "softmax", "log_softmax")
TORCH_NAMES = {
    "log_sigmoid": "logsigmoid", "prod": "prod", "softplus": "softplus", "max": "amax",
    "one_plus_log": "", "gelu_tanh": "", "arctan2": "atan2",
    "kl_div": "",  # a loss: the mean of another function
}  # fmt: skip

TABLE = "read from a table and correctly rounded; the fastest computes 16 float32s at once"
KERNEL = "NumPy's float64 function, rounded once; the fastest computes 16 float32s at once"
PAIRS = "float64, and where that cancels or nears a zero of the function once more in pairs"
GAMMA = "densities and logs of gamma in pairs, 4 ulp at all parameters; the fastest: a few hundred"
REASONS = {
    **dict.fromkeys(("sum", "mean"), "every number is made a float64 first; torch adds float32s"),
    "cumsum": "in float64, one after the other through memory, as NumPy does; torch in registers",
    "cumprod": "as cumsum; what left the range of float64 is redone with exponents",
    "prod": "float64 products whose range is looked at; torch's leave the range of float32",
    **dict.fromkeys(("softmax", "log_softmax"), "exponentials and sums in float64; torch: float32"),
    **dict.fromkeys(("logaddexp", "logaddexp2", "powm1"), PAIRS),
    **dict.fromkeys(("betaln", "beta", "gammainc", "gammaincc"), GAMMA),
    **dict.fromkeys(("arctan2", "power"), KERNEL),
    "positive": "nothing is computed: the cost of a call",
}
"""Why a kernel takes over four times as long as the fastest; for the others TABLE or KERNEL."""

OVER = 4.0
"""The ratio from which a reason is told."""

OURS = ("stablegrad", "without numba")
COLUMNS = (*OURS, "numpy", "torch")


@contextmanager
def without_numba() -> Iterator[None]:
    """As where numba is not installed, with tables of its own."""
    compiled, functions = reading.compiled, tables.functions
    reading.compiled, tables.functions = _not_installed, OrderedDict()
    try:
        yield
    finally:
        reading.compiled, tables.functions = compiled, functions


def _not_installed() -> None:
    return None


def reads_tables(program: Any) -> bool:
    """Whether a compiled program is another without numba: a step of it may be a table."""
    return bool(tables.sources(topological(program.roots)))


def read_from_table(op: Op, values: list[Array]) -> bool:
    """Whether the value of an op comes from a table, as it was chosen in the run."""
    program = programs(op, values, {})[0]
    found = tables.sources(topological(program.roots))
    chosen = [tables.function_of(root, x, bound).chosen for root, x in found.items()]
    return any(isinstance(c, tables.Table) for c in chosen)


def plainly(program: Any, values: list[Array]) -> Callable[[], object]:
    """A program on values as it runs without numba."""

    def run() -> object:
        with without_numba():
            return program(values)

    return run


def draw(op: Op, size: int) -> list[Array]:
    """Everyday numbers inside the domain of an op."""
    rng = np.random.default_rng(1)
    out = []
    for domain in op.domain:
        low, high = max(domain.lo, -8.0), min(domain.hi, 8.0)
        if low >= high:  # a domain beside the everyday
            low, high = domain.lo, domain.lo + 8.0
        margin = 1e-3 * (high - low)
        out.append(rng.uniform(low + margin, high - margin, size).astype(np.float32))
    return out


def swept() -> list[Op]:
    """The elementwise ops without static parameters, of one or two arguments."""
    return [
        op
        for op in OPS.values()
        if op.elementwise and len(op.domain) in (1, 2) and not op.params and not op.conditions
        if op.family not in INTERNAL
    ]  # fmt: skip


def numpy_function(op: Op) -> Callable[..., Any] | None:
    """NumPy's function for an op, else SciPy's."""
    found = getattr(np, op.name, None)
    if found is None and op.name in SCIPY_NAMES:
        found = getattr(scipy.special, SCIPY_NAMES[op.name])
    return found if isinstance(found, np.ufunc) or op.name in ("round", "sinc", "i0") else None


def torch_function(op: Op, torch: Any) -> Callable[..., Any] | None:
    """torch's function for an op, by the name in its record."""
    name = TORCH_NAMES.get(op.name, op.aten or op.name)
    for place in (torch, torch.special, torch.nn.functional):
        found = getattr(place, name.removeprefix("special_"), None) if name else None
        if callable(found) and not inspect.ismodule(found):
            return found
    return None


def programs(op: Op, values: Sequence[Array], static: dict[str, Any]) -> tuple[Any, Any]:
    """The value of an op, and the derivative of its sum by its first argument, compiled."""
    inputs = [make(INPUT, (), (i,), v.shape, v.dtype) for i, v in enumerate(values)]
    y: Term = op(*inputs, **static)
    value = compile_terms([y], inputs, Settings())
    if not is_float(y.dtype) or (op.partials is None and op.vjp is None):
        return value, None
    slope = gradient(y, inputs[0], const(1, y.dtype, y.shape))
    return value, compile_terms([slope], inputs, Settings())


def ours(program: Any, plain: Any, values: list[Array]) -> dict[str, Callable[[], object]]:
    """A program with numba and, where that makes a difference, without."""
    out: dict[str, Callable[[], object]] = {OURS[0]: lambda: program(values)}
    if reads_tables(plain):
        out[OURS[1]] = plainly(plain, values)
        for run in out.values():
            warm(run)
    return out


def contenders(
    op: Op, values: list[Array], static: dict[str, Any], torch: Any
) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
    """Who computes the value, and who the derivative."""
    value, slope = programs(op, values, static)
    with without_numba():
        plain_value, plain_slope = programs(op, values, static)
    forward = ours(value, plain_value, values)
    backward: dict[str, Callable[[], object]] = {}
    axis = {"axis": -1} if static else {}
    theirs = numpy_function(op) if not static else _reduction(op)
    if theirs is not None:
        forward["numpy"] = lambda: theirs(*values, **axis)
    if torch is not None and (function := torch_function(op, torch)) is not None:
        tensors = [torch.from_numpy(v) for v in values]
        dim = {"dim": -1} if static else {}
        forward["torch"] = lambda: function(*tensors, **dim)
        if slope is not None:
            grown = [
                torch.from_numpy(v.copy()).requires_grad_(i == 0) for i, v in enumerate(values)
            ]

            def pulled() -> Any:
                y = function(*grown, **dim)
                return torch.autograd.grad(y, grown[0], torch.ones_like(y))

            backward = {**ours(slope, plain_slope, values), "torch": pulled}
    return _working(forward), _working(backward)


def _reduction(op: Op) -> Callable[..., Any] | None:
    return getattr(np if op.name in REDUCTIONS else scipy.special, op.name, None)


def _working(found: dict[str, Callable[[], object]]) -> dict[str, Callable[[], object]]:
    """Those that run at all; what a library has no kernel for it cannot be compared in."""
    out: dict[str, Callable[[], object]] = {}
    for name, run in found.items():
        try:
            with np.errstate(all="ignore"):
                run()
        except (RuntimeError, TypeError, ValueError, NotImplementedError):
            if name in OURS:
                raise
            continue
        out[name] = run
    return out if out.keys() - set(OURS) else {}


WARM_S = 3.0
"""Seconds of calls in which tables are made and weighed, at most WARM_CALLS."""
WARM_CALLS = 12
SLOW_S = 0.2
"""Where a call takes longer, two are all that is timed."""


def timed(found: dict[str, Callable[[], object]], n: int, samples: int) -> dict[str, float]:
    """Nanoseconds for each element."""
    if not found:
        return {}
    with np.errstate(all="ignore"):
        # CPU time: every library has one thread
        calls = {n: [once(run, time.process_time) for _ in range(2)] for n, run in found.items()}
        least_s = {name: min(seconds) for name, seconds in calls.items()}
        if max(least_s.values()) < SLOW_S:
            times = compare(found, samples=samples, sample_s=0.005, clock=time.process_time)
            least_s = {name: t.min_s for name, t in times.items()}
    out = {name: 1e9 * s / n for name, s in least_s.items()}
    return {OURS[0]: out[OURS[0]], OURS[1]: out.get(OURS[1], out[OURS[0]]), **out}


def warm(run: Callable[[], object]) -> None:
    """Make and weigh the tables of a program."""
    spent = 0.0
    for _ in range(WARM_CALLS):
        if spent > WARM_S:
            return
        spent += once(run, time.process_time)


def ratio(times: dict[str, float], ours: str = "stablegrad") -> float | None:
    """Our time over that of the fastest other."""
    others = [t for name, t in times.items() if name not in OURS]
    return times[ours] / min(others) if others else None


def geometric_mean(values: Iterable[float | None]) -> float:
    """The geometric mean of those that are there."""
    return math.exp(statistics.fmean(math.log(v) for v in values if v is not None))


def one_thread() -> Any:
    """torch with one thread, or None where it is not installed."""
    if not available(["torch"]):
        return None
    import torch

    torch.set_num_threads(1)
    return torch


def measured(
    op: Op, values: list[Array], static: dict[str, Any], torch: Any, samples: int
) -> dict[str, Any] | None:
    """The row of a kernel, or None where no other library has it."""
    forward, backward = contenders(op, values, static, torch)
    if not forward and not backward:
        return None
    times, slopes = (timed(f, values[0].size, samples) for f in (forward, backward))
    return {
        "op": op.name,
        "ns": times,
        "gradient_ns": slopes,
        "ratio": ratio(times),
        "gradient_ratio": ratio(slopes),
        "plain_ratio": ratio(times, OURS[1]),
        "plain_gradient_ratio": ratio(slopes, OURS[1]),
        "reason": REASONS.get(op.name) or (TABLE if read_from_table(op, values) else KERNEL),
    }


def reason(row: dict[str, Any]) -> str:
    """Why a kernel takes more than four times as long as the fastest, if it does."""
    return row["reason"] if max(row["ratio"] or 0, row["gradient_ratio"] or 0) > OVER else ""


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """The geometric means of ratios."""
    return {
        kind: geometric_mean(r[kind] for r in rows) if any(r[kind] for r in rows) else None
        for kind in ("ratio", "gradient_ratio", "plain_ratio", "plain_gradient_ratio")
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Time every kernel that another library has as well."""
    parser = arguments(__doc__)
    parser.add_argument("--ops", nargs="*", help="only these")
    parser.add_argument("--samples", type=int, default=3, help="of each time")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are saved")
    options = parser.parse_args(argv)
    size, side, samples = (1000, 30, 1) if options.tiny else (SIZE, SIDE, options.samples)
    torch = None if options.tiny else one_thread()
    matrix = np.random.default_rng(2).normal(size=(side, side)).astype(np.float32)
    work: list[tuple[Op, dict[str, Any]]] = [(op, {}) for op in swept()]
    work += [(OPS[n], {"axis": -1}) for n in (*REDUCTIONS, *SCIPY_REDUCTIONS)]
    only = ("exp", "logaddexp", "softmax") if options.tiny else options.ops
    path = options.out / "kernels.json"
    known = json.loads(path.read_text("utf8")) if options.resume and path.exists() else {}
    reading.compiled()  # importing numba is no part of a kernel's time
    rows: list[dict[str, Any]] = known.get("rows", [])
    done = {row["op"] for row in rows} | set(known.get("alone", ()))
    alone: list[str] = known.get("alone", [])
    for op, static in work:
        if (only and op.name not in only) or op.name in done:
            continue
        values = [matrix] if static else draw(op, size)
        row = measured(op, values, static, torch, samples)
        if row is None:
            alone.append(op.name)
            continue
        rows.append(row)
        save(
            options.out, "kernels", rows, tell=False,
            means=means(rows), alone=alone, ended_after=len(rows),
        )  # fmt: skip
        print(*cells(row), file=sys.stderr, flush=True)
    found = means(rows)
    columns = ["op", *[f"{n}, ns" for n in COLUMNS], "ratio", "gradient ratio", "over 4 because"]
    table("ns for each element; ratio to the fastest other", columns, [cells(r) for r in rows])
    table("geometric mean", list(found), [[figure(m) for m in found.values()]])
    save(options.out, "kernels", rows, means=found, alone=alone, ended_after=None)


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    times = [figure(row["ns"].get(n)) for n in COLUMNS]
    return [
        row["op"], *times, figure(row["ratio"]), figure(row["gradient_ratio"]), reason(row),
    ]  # fmt: skip


assert stablegrad.__version__  # the import declares the ops

if __name__ == "__main__":
    main()
