"""Memory that kernels free stays with the process.

Kernels of pairs make a dozen arrays and drop them. The C library of Linux gives memory at the end
of its heap back as soon as 128 KiB are free there, and each page costs a fault when it is asked for
again: a product with its rounding of 10,000 numbers took ten times as long. The library learns from
the first large block that it sees freed, as any program has one that works with large arrays.
"""

from __future__ import annotations

from functools import cache

import numpy as np

LEAST = 2_048
"""Elements of arrays for which it matters: of smaller ones a dozen is less than what is kept."""
_BLOCK = 16 << 20
"""Bytes; twice as many may stay with the process. No page of the block is ever touched."""


@cache
def keep_freed() -> None:
    """Let the C library keep what is freed, once for the process."""
    np.empty(_BLOCK, np.uint8)


__all__ = ["LEAST", "keep_freed"]
