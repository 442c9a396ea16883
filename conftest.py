"""Settings of every test run, and the names that examples in docstrings may use."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import hypothesis
import numpy as np
import pytest

import stablegrad as sg

# The bridge imports JAX, which a plain installation does without.
collect_ignore_glob = [] if find_spec("jax") else ["stablegrad/jax/*"]

# No deadlines: a first call compiles. A failure prints the line that reproduces it.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """Examples may say ``sg`` and ``np`` without importing them, as the documentation does."""
    doctest_namespace.update(sg=sg, np=np)
