"""Python's search for garbage in cycles, made seldom while a program is built."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

SELDOM = 100_000
"""New objects after which Python looks for cycles while terms are built; else after 700."""


class _Builders:
    """How many programs are being built, and the thresholds before the first and since."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.count = 0
        self.before = gc.get_threshold()
        self.during: tuple[int, int, int] | None = None


_builders = _Builders()


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Work that makes many terms, which have no cycles.

    Otherwise Python goes through all that a long program is made of again and again: more than
    half of the time that it takes to see a known program anew.
    """
    state = _builders
    with state.lock:
        state.count += 1
        first, second, third = gc.get_threshold()
        if state.count == 1:
            state.before, state.during = (first, second, third), None
            if 0 < first < SELDOM:
                state.during = SELDOM, second, third
                gc.set_threshold(*state.during)
    try:
        yield
    finally:
        with state.lock:
            state.count -= 1
            if state.count == 0 and gc.get_threshold() == state.during:
                gc.set_threshold(*state.before)


__all__ = ["SELDOM", "seldom_collected"]
