"""Tables that come with the package, written by ``python -m benchmarks.shipped``.

One file in the format of the cache: an index of digests behind a checksum, and the tables, each a
block of its own as on disk. It is only read, and read once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from stablegrad.synthesis.table import Table, framed, unframed

VARIABLE = "STABLEGRAD_SHIPPED"
"""Set to ``off``, tables are made anew: for the script that writes them."""
PATH = Path(__file__).parent / "shipped.kernels"


def packed(tables: Mapping[str, tuple[str, bytes]]) -> bytes:
    """The file of some tables, each with a label, by digest."""
    index = {digest: [label, len(data)] for digest, (label, data) in tables.items()}
    return framed({"tables": index}, b"".join([data for _, data in tables.values()]))


def unpacked(data: bytes) -> dict[str, tuple[str, bytes]]:
    """The tables of such a file.

    Raises:
        ValueError, KeyError, TypeError: it is none, is damaged, or is of another format.
    """
    about, numbers = unframed(data)
    found, start = {}, 0
    for digest, (label, size) in about["tables"].items():
        found[digest] = label, numbers[start : start + size]
        start += size
    return found


@cache
def _tables() -> dict[str, tuple[str, bytes]]:
    try:
        return unpacked(PATH.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # they are made, as others are


def table_with(digest: str) -> Table | None:
    """The table of a recipe, if it is one of these."""
    if os.environ.get(VARIABLE) == "off":
        return None
    found = _tables().get(digest)
    return None if found is None else Table.from_bytes(found[1])
