"""Names for functions that are made from a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def named(function: F, name: str, doc: str | None, module: str = "stablegrad.numpy") -> F:
    """The function itself, under the name, text and module that users know it by."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    function.__doc__ = doc
    return function
