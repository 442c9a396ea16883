"""Settings of every test run, and the names that examples in docstrings may use."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import hypothesis
import numpy as np
import pytest

import stablegrad as sg
from stablegrad.program import forget

# The bridge imports JAX, which a plain installation does without.
collect_ignore_glob = [] if find_spec("jax") else ["stablegrad/jax/*"]
# One module imports numba, which is an extra too.
collect_ignore_glob += [] if find_spec("numba") else ["stablegrad/engines/fused.py"]

# No deadlines: a first call compiles. A failure prints the line that reproduces it.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """Examples may say ``sg`` and ``np`` without importing them, as the documentation does."""
    doctest_namespace.update(sg=sg, np=np)


_drawn: dict[str, Any] = {}
"""By module, the state of its random numbers when its first test starts."""


@pytest.fixture(autouse=True)
def same_numbers(request: pytest.FixtureRequest) -> None:
    """Every test of a module with an ``RNG`` has the same data, in whatever order tests run."""
    module = getattr(request, "module", None)
    rng = getattr(module, "RNG", None)
    if module is not None and isinstance(rng, np.random.Generator):
        rng.bit_generator.state = _drawn.setdefault(module.__name__, rng.bit_generator.state)


@pytest.fixture(scope="session", autouse=True)
def kernels_in_a_folder_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Synthesized kernels of tests do not go where the user's are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STABLEGRAD_CACHE", str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture(autouse=True)
def jax_as_it_was() -> Any:
    """Benchmarks set JAX to float64 for their whole process; other tests share this one."""
    before = "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64
    yield
    if "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64 != before:
        sys.modules["jax"].config.update("jax_enable_x64", before)


@pytest.fixture(autouse=True)
def synthesis_in_its_own_tests(request: pytest.FixtureRequest) -> Any:
    """Tests of rules and ops judge these alone; kernels have tests in a folder of their own."""
    if "synthesis" in request.node.path.parts:
        forget()  # programs that were compiled without kernels
        yield
        forget()
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STABLEGRAD_SYNTHESIS", "off")
        yield
