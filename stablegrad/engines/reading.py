"""Reading the tables of float32 functions: by numba where it is installed, else by NumPy.

Both do the same arithmetic in the same order and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DEGREE = 4
"""Of the polynomials."""

_BLOCK = 8192
HALF, FULL = 1 << 28, (1 << 29) - 1  # of the bits that float32 does not keep of a float64
NEAR = 1 << 19  # in units of the last bit: 2**-33, relative to the power of 2 below


@cache
def compiled() -> Callable[..., int] | None:
    """The reader that numba makes, or None where it is not installed."""
    try:
        from stablegrad.engines.fused import read_rows
    except (ImportError, RuntimeError):  # the latter: it has nowhere to keep machine code
        return None
    return read_rows


def least_ns() -> float:
    """The nanoseconds an element that no reading stays below: for faster kernels none is tried."""
    return 1.0 if compiled() else 5.0


def read(bits: Array, first: Array, shift: Array, rows: Array) -> tuple[Array, Array]:
    """Values of a function, and where they are not decided.

    Args:
        bits: (n,) uint32, those of the float32 arguments.
        first: (512,) by sign and exponent: the first row of the binade.
        shift: (512,) how many last bits a piece of the binade spans.
        rows: (pieces, DEGREE + 1), polynomials in those bits, the constant first.

    Returns:
        (n,) float32, and the places of those too close to halfway between two floats.
    """
    fast = compiled()
    if fast is None:
        return read_by_numpy(bits, first, shift, rows)
    out, places = np.empty(bits.size, np.float32), np.empty(bits.size + 1, np.int64)
    return out, places[: fast(bits, first, shift, rows, out, places)]


def read_by_numpy(bits: Array, first: Array, shift: Array, rows: Array) -> tuple[Array, Array]:
    """What ``read`` gives, without numba."""
    out = np.empty(bits.size, np.float32)
    columns = np.ascontiguousarray(rows.T)
    parts = [slice(i, i + _BLOCK) for i in range(0, bits.size, _BLOCK)]
    undecided = [
        part.start + _read_block(bits[part], first, shift, columns, out[part]) for part in parts
    ]
    return out, np.concatenate(undecided)


def _read_block(bits: Array, first: Array, shift: Array, columns: Array, out: Array) -> Array:
    binade = (bits >> np.uint32(23)).astype(np.intp)
    below = shift.take(binade, mode="clip")
    bits = bits & np.uint32(0x7FFFFF)
    row = (bits >> below).astype(np.intp)
    row += first.take(binade, mode="clip")
    t = (bits - ((bits >> below) << below)).astype(np.float64)
    value = columns[DEGREE].take(row, mode="clip")
    part = np.empty_like(value)
    for k in range(DEGREE - 1, -1, -1):
        value *= t
        value += columns[k].take(row, out=part, mode="clip")
    out[:] = value
    rest = value.view(np.int64)
    rest += HALF + NEAR
    rest &= FULL
    return np.flatnonzero(rest < 2 * NEAR)
