"""How far the tables of float32 functions are from the kernels, at every float32 of a binade.

A table is fitted to nodes and tested between them; that it is within 2**-35 of the kernels is so
known at samples only. Here every float32 of the binades in question is read and computed: how far
off the table is at most where it decides, and how many floats it decides wrongly (none, if the
distance is less than what an element must be off halfway, 2**-33 of the power of two below).

Run: ``python -m benchmarks.tables``; ``--binades`` are exponents of 2, -3 to 3 by default
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import stablegrad
from benchmarks.kernels import swept
from benchmarks.measure import arguments, save, table
from stablegrad.engines import reading, tables
from stablegrad.engines.numpy import bound
from stablegrad.ir import make, topological
from stablegrad.ops.record import INPUT, Op
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

Array = np.ndarray[Any, Any]
CHUNK = 1 << 17
BIAS, BITS = 127, 23


def function(op: Op) -> tables.Function | None:
    """The function of one float32 that the lowered program of an op is, if it is one."""
    x = make(INPUT, (), (0,), (tables.LEAST,), np.dtype(np.float32))
    found = tables.sources(topological(compile_terms([op(x)], [x], Settings()).roots))
    if len(found) != 1:
        return None
    ((root, source),) = found.items()
    return tables.function_of(root, source, bound)


def compared(fn: tables.Function, made: tables.Table, bits: Array) -> tuple[float, int, int]:
    """The greatest distance, relative to the power of 2 below; how many are wrong; undecided."""
    x = bits.view(np.float32)
    with np.errstate(all="ignore"):
        out, open_ = reading.read(bits, *made.pieces)
        true = fn.wide(x.astype(np.float64))
        rounded = true.astype(np.float32)
    decided = np.ones(x.size, bool)
    decided[open_] = False
    wrong = decided & (out.view(np.int32) != rounded.view(np.int32))
    wrong &= ~(np.isnan(out) & np.isnan(rounded))
    return _distance(made, bits, true, decided), int(wrong.sum()), open_.size


def _distance(made: tables.Table, bits: Array, true: Array, decided: Array) -> float:
    """The polynomials themselves against the kernels, where their value is a normal float."""
    first, shift, rows = made.pieces
    binade = bits >> np.uint32(BITS)
    mantissa = bits & np.uint32((1 << BITS) - 1)
    row = (mantissa >> shift[binade]).astype(np.int64) + first[binade]
    t = (mantissa & ((np.uint32(1) << shift[binade]) - np.uint32(1))).astype(np.float64)
    value = rows[row, -1]
    for k in range(rows.shape[1] - 2, -1, -1):
        value = value * t + rows[row, k]
    normal = decided & np.isfinite(true) & (np.abs(true) > np.finfo(np.float32).tiny)
    normal &= np.abs(true) < np.finfo(np.float32).max
    below = np.ldexp(1.0, np.frexp(true[normal])[1] - 1)
    return float(np.max(np.abs(value[normal] - true[normal]) / below, initial=0.0))


def measure(op: Op, binades: Sequence[int], stride: int) -> dict[str, Any] | None:
    """All floats of some binades, of both signs."""
    fn = function(op)
    if fn is None:
        return None
    made = tables.Table(fn.wide, fn.direct)
    off, wrong, undecided, points = 0.0, 0, 0, 0
    for sign in (0, 256):
        for exponent in binades:
            binade = sign + exponent + BIAS
            bits = (np.arange(0, 1 << BITS, stride, dtype=np.uint32)) | np.uint32(binade << BITS)
            with np.errstate(all="ignore"):
                made(bits[:: max(len(bits) >> 12, 1)].view(np.float32))  # learns
            if not made.pieces[0][binade]:
                continue  # no piece: by the kernels
            for i in range(0, bits.size, CHUNK):
                distance, bad, open_ = compared(fn, made, bits[i : i + CHUNK])
                off, wrong, undecided = max(off, distance), wrong + bad, undecided + open_
            points += bits.size
    return {
        "op": op.name,
        "points": points,
        "off_log2": math.log2(off) if off else None,
        "wrong": wrong,
        "undecided": undecided / max(points, 1),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Check the tables of all functions of one value."""
    parser = arguments(__doc__)
    parser.add_argument("--ops", nargs="*", help="only these")
    parser.add_argument("--binades", nargs="*", type=int, default=list(range(-3, 4)))
    parser.add_argument("--stride", type=int, default=1, help="every so-many-th float32")
    options = parser.parse_args(argv)
    stride, only = (1 << 10, ["gelu"]) if options.tiny else (options.stride, options.ops)
    rows: list[dict[str, Any]] = []
    for op in swept():
        if len(op.domain) != 1 or (only and op.name not in only):
            continue
        start = time.process_time()
        row = measure(op, options.binades, stride)
        if row is None:
            continue
        rows.append(row)
        print(row, round(time.process_time() - start, 1), file=sys.stderr, flush=True)
        save(options.out, "tables", rows, tell=False, binades=options.binades, stride=stride)
    shown = [
        [r["op"], r["points"], r["off_log2"] and f"{r['off_log2']:.2f}", r["wrong"]] for r in rows
    ]
    table("tables against kernels", ["op", "float32s", "log2 of the distance", "wrong"], shown)
    save(options.out, "tables", rows, binades=options.binades, stride=stride)


assert stablegrad.__version__  # the import declares the ops

if __name__ == "__main__":
    main()
