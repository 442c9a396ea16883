"""Every op over all float16 and bfloat16 inputs and every 1009th float32, at orders 0, 1 and 2.

Each result is screened against the same derivative computed in float64: where it is the float64
rounded to the dtype, its error is at most half an ulp of the dtype and the float64's own. How far
off the float64s are is measured against ball arithmetic, at a sample and around its worst points;
results that the screen suspects are decided by ball arithmetic one by one. Binary ops take random
pairs of bit patterns, and the diagonals a = b, a = -b and |a| >> |b|.

Run: ``python -m benchmarks.sweep``; ``--stride 1`` takes every float32 (hours).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.measure import arguments, console, save, table
from stablegrad.ir import OPS, Term, make
from stablegrad.ops.dtypes import converted
from stablegrad.ops.record import INPUT, Op, is_float
from stablegrad.oracle import err_ulp, taylor
from stablegrad.oracle.rounding import ulp_exponents
from stablegrad.program import compile_terms
from stablegrad.settings import Settings
from stablegrad.testing import SEED, check_op, variable
from stablegrad.testing.ops import HALF_ULP, derivative_term, differentiable

Array = np.ndarray[Any, Any]
WIDE = np.dtype(np.float64)
DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
}
LIMITS = {"float16": HALF_ULP, "bfloat16": HALF_ULP, "float32": 4.0}
FILES = {1: "sweep_unary", 2: "sweep_binary"}
CHUNK = 1 << 17
SAMPLE, SUSPECTS, AROUND = 300, 40, 24
INTERNAL = {"leaf", "forms", "derivative", "lowered"}
MEASURED = Path(__file__).resolve().parent.parent / "stablegrad" / "measured.json"
"""The worst cases by op and dtype, for ``stablegrad ops``."""


def swept(arity: int) -> list[Op]:
    """The ops of so many arguments that have no static parameters, and derivatives."""
    return [
        op
        for op in OPS.values()
        if op.elementwise and len(op.domain) == arity and not op.params and not op.conditions
        if op.family not in INTERNAL and op.partials is not None and op.ulp is not None
        if is_float(op(*[variable(f"x{i}", WIDE) for i in range(arity)]).dtype)
    ]


# -- inputs -------------------------------------------------------------------------------


def unary_inputs(dtype: np.dtype[Any], stride: int) -> list[Array]:
    """All bit patterns of 16 bits, or every so-many-th of 32."""
    if dtype.itemsize == 2:
        return [np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(dtype)]
    return [np.arange(0, 1 << 32, stride, dtype=np.uint64).astype(np.uint32).view(dtype)]


def pairs(dtype: np.dtype[Any], n: int, rng: np.random.Generator) -> list[Array]:
    """Random pairs of bit patterns; a tenth each equal, opposite, and of very different size."""
    kind = np.dtype(f"u{dtype.itemsize}")
    top = 1 << (8 * dtype.itemsize)
    a, b = (rng.integers(0, top, n, dtype=np.uint64).astype(kind).view(dtype) for _ in range(2))
    part = n // 10
    b[:part] = a[:part]
    b[part : 2 * part] = -a[part : 2 * part]
    far = slice(2 * part, 3 * part)
    with np.errstate(all="ignore"):
        shrunk = a[far].astype(np.float64) * 2.0 ** -rng.integers(8, 40, part)
        b[far] = converted(shrunk, dtype)
    return [a, b]


# -- one op -------------------------------------------------------------------------------


class Derivatives:
    """An op with its first and second derivatives, compiled for arguments of one dtype."""

    def __init__(self, op: Op, dtype: np.dtype[Any], size: int) -> None:
        inputs = [make(INPUT, (), (i,), (size,), dtype) for i in range(len(op.domain))]
        y = op(*inputs)
        terms: dict[str, Term] = {"value": y}
        moving = differentiable(op, y)
        for i in moving:
            terms[f"d{i}"] = first = derivative_term(y, inputs[i])
            terms |= {f"d{i}{j}": derivative_term(first, inputs[j]) for j in moving if j >= i}
        self.size, self.names = size, list(terms)
        self.program = compile_terms(list(terms.values()), inputs, Settings())

    def __call__(self, values: Sequence[Array]) -> dict[str, Array]:
        """The results at so many points, at most ``size`` of them."""
        n = values[0].size
        full = [v if n == self.size else np.resize(v, self.size) for v in values]
        return {w: r[:n] for w, r in zip(self.names, self.program(full), strict=True)}


def in_pieces(wide: Derivatives, values: Sequence[Array]) -> dict[str, Array]:
    """The float64 results at any number of points."""
    with np.errstate(invalid="ignore"):  # a signalling nan
        pieces = [
            wide([v[i : i + wide.size].astype(float) for v in values])
            for i in range(0, values[0].size, wide.size)
        ]
    return {what: np.concatenate([p[what] for p in pieces]) for what in wide.names}


def order_of(what: str) -> int:
    """0 for "value", 1 for "d0", 2 for "d01"."""
    return 0 if what == "value" else len(what) - 1


@dataclass
class Found:
    """The worst of one op in one dtype, by order."""

    points: int = 0
    worst_ulp: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    at: list[list[float] | None] = field(default_factory=lambda: [None, None, None])
    suspects: int = 0
    failures: list[str] = field(default_factory=list)

    def note(self, order: int, errors: Array, values: Sequence[Array]) -> None:
        """Keep the greatest of some errors."""
        if errors.size and errors.max() > self.worst_ulp[order]:
            worst = int(errors.argmax())
            self.worst_ulp[order] = float(errors[worst])
            self.at[order] = [float(v[worst]) for v in values]


def screen(got: Array, wide: Array, dtype: np.dtype[Any], limit: float) -> tuple[Array, Array]:
    """Errors in ulp against float64 results (nan where subnormal), and which are suspect."""
    with np.errstate(all="ignore"):
        rounded = converted(wide, dtype)
        different = np.flatnonzero(~((got == rounded) | (np.isnan(got) & np.isnan(wide))))
        info = ml_dtypes.finfo(dtype)
        errors = np.zeros(got.size)
        normal = (np.abs(wide) >= float(info.tiny)) & np.isfinite(rounded)
        unit = np.ldexp(1.0, ulp_exponents(rounded, dtype))
        errors[normal] = np.abs(rounded[normal].astype(float) - wide[normal]) / unit[normal]
        g, w = got[different].astype(float), wide[different]
        past = 2.0 ** int(info.maxexp)
        g = np.where(np.isinf(g), np.copysign(past, g), g)
        off = np.abs(g - w) / unit[different]
        small = (np.abs(w) < float(info.tiny)) & (np.abs(g) <= 2 * float(info.tiny))
        doubtful = ~(off <= limit) & ~small
    errors[different] = np.where(normal[different], off, 0.0)
    return errors, different[doubtful]


def sweep(op: Op, name: str, values: list[Array], wide: Derivatives) -> Found:
    """One op at all points of one dtype."""
    dtype, limit = DTYPES[name], LIMITS[name]
    narrow = Derivatives(op, dtype, min(CHUNK, values[0].size))
    found = Found(points=values[0].size)
    doubted: list[list[Array]] = []
    for start in range(0, values[0].size, narrow.size):
        part = [v[start : start + narrow.size] for v in values]
        got = narrow(part)
        true = in_pieces(wide, part)
        for what, result in got.items():
            errors, suspects = screen(result, true[what], dtype, limit)
            found.suspects += suspects.size
            doubted.append([v[suspects[:SUSPECTS]] for v in part])
            errors[suspects] = 0.0  # they are decided below
            found.note(order_of(what), errors, part)
    points = [np.concatenate([d[i] for d in doubted]) for i in range(len(values))]
    if points[0].size:
        few = np.random.default_rng(SEED).permutation(points[0].size)[: 4 * SUSPECTS]
        chosen = [p[few] for p in points]
        report = check_op(op, dtypes=(dtype,), points=chosen)
        found.failures = [str(f) for f in report.failures]
        for (what, _), worst in report.worst.items():
            order = order_of(what)
            if worst > found.worst_ulp[order]:
                found.worst_ulp[order], found.at[order] = worst, None
    return found


# -- the float64s that screen -------------------------------------------------------------


def true_errors(op: Op, wide: Derivatives, values: list[Array]) -> dict[str, Array]:
    """Errors of float64 results in ulp, 0 where the truth is no normal float."""
    names = [variable(f"x{i}", WIDE) for i in range(len(values))]
    term, bound = op(*names), dict(zip(names, values, strict=True))
    out: dict[str, Array] = {}
    got = wide(values)
    if is_float(term.dtype):
        for i, x in enumerate(names):
            series = taylor(term, bound, 2, direction={x: 1.0}, limits=False)
            for order, true in enumerate(series):
                what = "d" + str(i) * order if order else "value"
                if what in got and what not in out:
                    out[what] = _normal_errors(got[what], true)
    return out


def _normal_errors(got: Array, true: Any) -> Array:
    value = np.asarray(true.value, float)
    normal = true.decided & np.isfinite(value) & (np.abs(value) >= np.finfo(float).tiny)
    with np.errstate(all="ignore"):
        return np.where(normal & np.isfinite(got), err_ulp(got, true, WIDE), 0.0)


def judged(op: Op, wide: Derivatives, values: list[Array], rng: np.random.Generator) -> Found:
    """The float64s against the truth, at a sample and ever closer around its worst points."""
    finite = np.logical_and.reduce([np.isfinite(v.astype(float)) for v in values])
    for v, domain in zip(values, op.domain, strict=True):
        finite &= (v.astype(float) > domain.lo) & (v.astype(float) < domain.hi)
    places = np.flatnonzero(finite)
    chosen = rng.choice(places, min(SAMPLE, places.size), replace=False)
    points = [v[chosen].astype(float) for v in values]
    found = Found()
    for spread in (2.0**-4, 2.0**-12, 0.0):
        errors = true_errors(op, wide, points)
        found.points += points[0].size
        for what, e in errors.items():
            found.note(order_of(what), e, points)
        tops = [int(e.argmax()) for e in errors.values()]
        if not spread:
            break
        points = [
            np.concatenate([p[t] * (1 + spread * rng.normal(size=AROUND)) for t in tops])
            for p in points
        ]
    return found


# -- all ops ------------------------------------------------------------------------------


def measure(op: Op, stride: int, n: int) -> dict[str, Any]:
    """The worst of one op in every dtype."""
    rng = np.random.default_rng(SEED)
    unary = len(op.domain) == 1
    inputs = {
        name: unary_inputs(dtype, stride)
        if unary
        else pairs(dtype, n if name == "float32" else n // 10, rng)
        for name, dtype in DTYPES.items()
    }
    wide = Derivatives(op, WIDE, 1 << 13)
    results: dict[str, Any] = {name: sweep(op, name, v, wide) for name, v in inputs.items()}
    results["float64"] = judged(op, wide, _together(inputs, rng), rng)
    return {
        "op": op.name,
        "bound_ulp": list(op.ulp or ()),
        "stride": stride if unary else None,
        **{name: vars(found) for name, found in results.items()},
    }


def _together(inputs: dict[str, list[Array]], rng: np.random.Generator) -> list[Array]:
    """A few points of every dtype as float64s."""
    parts: list[list[Array]] = []
    for values in inputs.values():
        rows = rng.integers(0, values[0].size, 4096)
        with np.errstate(invalid="ignore"):
            parts.append([v[rows].astype(float) for v in values])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def cells(row: dict[str, Any]) -> list[str]:
    """The worst errors of an op, by dtype: value/first/second."""
    return ["/".join(f"{e:.2f}" for e in row[n]["worst_ulp"]) for n in (*DTYPES, "float64")]


def exceptions(row: dict[str, Any]) -> list[str]:
    """The dtypes and orders in which an op is beyond the limit; float64: beyond 4 ulp."""
    return [
        f"{name} order {order}: {error:.3g} ulp"
        for name, limit in {**LIMITS, "float64": 4.0}.items()
        for order, error in enumerate(row[name]["worst_ulp"])
        if error > limit
    ]


def publish(rows: list[dict[str, Any]], path: Path = MEASURED) -> None:
    """Write the worst cases for the package."""
    known = json.loads(path.read_text("utf8")) if path.exists() else {}
    for row in rows:
        known[row["op"]] = {
            n: [float(f"{e:.3g}") for e in row[n]["worst_ulp"]] for n in (*DTYPES, "float64")
        }
    lines = ",\n".join(f" {json.dumps(n)}: {json.dumps(known[n])}" for n in sorted(known))
    path.write_text("{\n" + lines + "\n}\n", "utf8")


def main(argv: Sequence[str] | None = None) -> None:
    """Sweep all ops."""
    parser = arguments(__doc__)
    parser.add_argument("--stride", type=int, default=1009, help="float32s: every so-many-th")
    parser.add_argument("--pairs", type=int, default=1_000_000, help="pairs for binary ops")
    parser.add_argument("--ops", nargs="*", help="only these")
    parser.add_argument("--arity", type=int, choices=(1, 2), help="only ops of so many arguments")
    options = parser.parse_args(argv)
    stride, n = (1 << 20, 2000) if options.tiny else (options.stride, options.pairs)
    only = ["expm1", "hypot"] if options.tiny else options.ops
    for arity, name in FILES.items():
        chosen = [op for op in swept(arity) if not only or op.name in only]
        if chosen and options.arity in (None, arity):
            rows = run(chosen, stride, n)
            if not options.tiny:
                publish(rows)
            if options.ops:  # the others as they were saved
                rows = merged(rows, options.out / f"{name}.json")
            beyond = {row["op"]: found for row in rows if (found := exceptions(row))}
            console.print(f"{len(rows)} ops; beyond the limit: {beyond or 'none'}")
            save(options.out, name, rows, pairs=n, limits=LIMITS, beyond=beyond)


def merged(rows: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The rows of a saved result with new ones in place of those of the same ops."""
    old = json.loads(path.read_text("utf8"))["rows"] if path.exists() else []
    new = {row["op"]: row for row in rows}
    kept = [new.pop(row["op"], row) for row in old]
    return [*kept, *new.values()]


def run(chosen: Sequence[Op], stride: int, n: int) -> list[dict[str, Any]]:
    """Sweep some ops and print what was found."""
    rows: list[dict[str, Any]] = []
    for op in chosen:
        start = time.process_time()
        rows.append(measure(op, stride, n))
        rows[-1]["elapsed_s"] = round(time.process_time() - start, 2)
        print(op.name, *cells(rows[-1]), rows[-1]["elapsed_s"], file=sys.stderr, flush=True)
    table(
        "worst error in ulp: value/first/second derivative",
        ["op", *DTYPES, "float64 (sampled)"],
        [[row["op"], *cells(row)] for row in rows],
    )
    return rows


if __name__ == "__main__":
    main()
