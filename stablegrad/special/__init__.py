"""scipy.special's names for tensors, and ours of the same kind.

Functions take tensors, arrays and numbers, and give tensors.
"""

from __future__ import annotations

from typing import Any

from stablegrad.special.functions import (
    ELEMENTWISE,
    elementwise,
    kv,
    kve,
    log_softmax,
    logsumexp,
    polygamma,
    softmax,
    zeta,
)

globals().update(elementwise())

__all__ = ["kv", "kve", "log_softmax", "logsumexp", "polygamma", "softmax", "zeta"]
__all__ += list(ELEMENTWISE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Say that a name is not here."""
    raise AttributeError(f"stablegrad.special has no {name!r}; `stablegrad ops` lists all ops")
