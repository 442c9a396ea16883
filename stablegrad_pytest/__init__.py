"""A pytest plugin: the fixture ``assert_stable``. Nothing is imported until a test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["assert_stable"]


@pytest.fixture(scope="session")
def assert_stable() -> Callable[..., Any]:
    """``stablegrad.testing.assert_stable``: fail unless a function and its gradients are right."""
    from stablegrad.testing import assert_stable as found

    return found
