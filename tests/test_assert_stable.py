"""assert_stable, and the fixture that pytest finds."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stablegrad.errors import DomainError
from stablegrad.testing import assert_stable

ROOT = Path(__file__).resolve().parent.parent


def naive(x: Any) -> Any:
    return np.log(1 + np.exp(x))


def test_what_is_right_passes() -> None:
    x = np.array([-30.0, 0.5, 8.0])
    audit = assert_stable(lambda x: np.logaddexp(x, 0.0), x, order=0, max_ulp=4)
    assert audit.ok
    assert_stable(lambda x: np.cos(x * x), np.array([73000.3]))  # ill-conditioned, no fault


def test_what_is_wrong_fails_and_says_where() -> None:
    with pytest.raises(AssertionError, match="the naive program is off by more than 64 ulp") as e:
        assert_stable(naive, domain="x=-50:-1", points=30)
    for part in ("It fails at x = ", "np.log(1 +", "cancellation"):
        assert part in str(e.value)
    assert_stable(naive, domain="x=-50:-1", points=30, program="stabilized", max_ulp=4)


def test_the_bound_is_the_callers() -> None:
    x = np.array([-8.0])
    with pytest.raises(AssertionError):
        assert_stable(naive, x, order=0, max_ulp=64)
    assert_stable(naive, x, order=0, max_ulp=2.0**14)
    with pytest.raises(AssertionError, match="more than 1e\\+30 ulp"):
        # nan is off by more than any number of ulp
        assert_stable(lambda x: np.sin(x) / x, np.array([0.0]), order=0, max_ulp=1e30)


def test_nothing_judged_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="no element has a known truth"):
        assert_stable(np.log, np.array([-1.0]), order=0)


@pytest.mark.parametrize("options", [{"max_ulp": 0.1}, {"max_ulp": float("nan")}, {"program": "x"}])
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(DomainError, match="expected"):
        assert_stable(naive, np.array([1.0]), **options)


def test_the_fixture(tmp_path: Path) -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module = points["pytest11"]["stablegrad"]
    (tmp_path / "test_it.py").write_text(
        "import numpy as np\n"
        "def test_right(assert_stable):\n    assert_stable(np.tanh, np.array([0.5]))\n"
        "def test_wrong(assert_stable):\n"
        "    assert_stable(lambda x: np.sqrt(x + 1) - np.sqrt(x), np.array([1e9]))\n"
    )
    # by hand, and not by its entry point too, which an older installation may lack
    plugins = ["-p", "no:stablegrad", "-p", module, "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins]
    options: dict[str, Any] = {"capture_output": True, "text": True}
    options["env"] = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "test_it.py"], check=False, cwd=tmp_path, **options)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "AssertionError: <lambda>: the naive program" in done.stdout
