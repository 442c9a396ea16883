"""Settings of every test run, and the names that examples in docstrings may use."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest

import stablegrad as sg

# No deadlines: a first call compiles. A failure prints the line that reproduces it.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """Examples may say ``sg`` and ``np`` without importing them, as the documentation does."""
    doctest_namespace.update(sg=sg, np=np)
