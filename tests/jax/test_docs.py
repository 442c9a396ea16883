"""The page "In your JAX program": every snippet runs, in order, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="the bridge needs JAX: pip install stablegrad[jax]")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "jax.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf8"), re.DOTALL)
LIBRARIES = ("equinox", "optax", "flax", "numpyro")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_every_snippet_runs() -> None:
    space: dict[str, Any] = {}
    for library in LIBRARIES:
        pytest.importorskip(library, reason=f"the page uses {library}: pip install .[bench]")
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), space)
    np.testing.assert_allclose(space["f"](50.0), -50)
    assert np.isfinite(space["w"]).all()
    assert np.isfinite(space["value"])
    assert np.isfinite(space["slopes"]).all()
    assert np.isfinite(space["sampler"].get_samples()["z"]).all()
