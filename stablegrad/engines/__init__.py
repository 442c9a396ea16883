"""Engines run lowered terms: NumPy by default, XLA where JAX is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stablegrad.engines import numpy
from stablegrad.ir import Term

ENGINES = ("numpy", "xla")


def plan(engine: str, roots: Sequence[Term], inputs: Sequence[Term]) -> Callable[..., Any]:
    """A straight-line program for an engine: from values of the inputs to those of the roots."""
    if engine == "numpy":
        return numpy.Plan(roots, inputs)
    from stablegrad.engines import xla

    return xla.Plan(roots, inputs)
