"""The reader of tables as machine code. Imports numba, an extra: ``pip install stablegrad[fast]``.

The arithmetic is that of ``reading``; machine code makes it several times as fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit  # pyright: ignore[reportMissingImports, reportUnknownVariableType]

from stablegrad.engines.reading import DEGREE, FULL, HALF, NEAR

Array = np.ndarray[Any, Any]
_CHUNK = 512


@njit(cache=True, nogil=True, error_model="numpy")  # pyright: ignore[reportUntypedFunctionDecorator]
def read_rows(
    bits: Array, first: Array, shift: Array, rows: Array, out: Array, places: Array
) -> int:
    """Write values to ``out``, the places of undecided ones to ``places``; return their number."""
    found = 0
    values = np.empty(_CHUNK)
    rest = values.view(np.int64)
    for start in range(0, bits.size, _CHUNK):
        count = min(_CHUNK, bits.size - start)
        b, to = bits[start : start + count], out[start : start + count]
        for i in range(count):
            binade = np.uint64(b[i] >> np.uint32(23))
            mantissa = b[i] & np.uint32(0x7FFFFF)
            below = shift[binade]
            piece = mantissa >> below
            row = np.uint64(piece + first[binade])
            t = np.float64(np.int32(mantissa - (piece << below)))
            value = rows[row, DEGREE]
            for k in range(DEGREE - 1, -1, -1):
                value = value * t + rows[row, k]
            values[i] = value
        undecided = 0
        for i in range(count):  # a loop of its own, which vectors compute
            to[i] = values[i]
            undecided += ((rest[i] + (HALF + NEAR)) & FULL) < 2 * NEAR
        if undecided:
            for i in range(count):
                places[found] = start + i
                found += ((rest[i] + (HALF + NEAR)) & FULL) < 2 * NEAR
    return found
