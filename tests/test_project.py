"""The project around the code: metadata, public text, what an import brings in."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import stablegrad as sg

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]

# Neither pattern matches its own text.
REGISTRY = re.compile(
    r"py[p]i\.org|python[h]osted\.org|ana[c]onda\.org|npm[j]s\.(?:org|com)|download\.py[t]orch",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(r"""(?:^|[\s"'`=(:])(?:/(?:work|root|home|Users|opt|tmp)/|[A-Z]:\\)\w""")
BINARY = {".png", ".npz", ".ico", ".woff2", ".gz", ".kernels"}


def public_files() -> list[Path]:
    """Every text file that is, or is about to be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = [ROOT / line for line in listed.splitlines()]
    return [f for f in files if f.is_file() and f.suffix not in BINARY]


def test_public_text_names_no_registry_and_no_path_of_a_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in public_files()
        for number, line in enumerate(path.read_text("utf8").splitlines(), 1)
        if REGISTRY.search(line) or MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["py{}.org/x", "'/{}/me/x'", " /{}/me/plot.png"])
@pytest.mark.parametrize("part", ["pi", "home", "tmp", "work"])
def test_the_check_of_public_text_sees_a_breach(name: str, part: str) -> None:
    breach = (part == "pi") == name.startswith("py")
    line = name.format(part)
    assert bool(REGISTRY.search(line) or MACHINE_PATH.search(line)) == breach


def test_version_is_told_once() -> None:
    assert sg.__version__ == PROJECT["version"]
    assert importlib.metadata.version("stablegrad") == PROJECT["version"]


def test_changelog_leads_with_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", h) for h in headings[1:])


def test_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"jax", "torch", "demo", "bench", "dev"} <= extras.keys()
    core = " ".join(PROJECT["dependencies"])
    assert not re.search(r"\b(jax|torch|tensorflow|scikit-learn)\b", core)


def test_command_is_installed_and_loads() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="stablegrad")
    assert callable(command.load())


def test_import_brings_in_no_framework() -> None:
    code = (
        "import sys, stablegrad\n"
        "print(*{'jax', 'torch', 'tensorflow', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == ""


def test_every_public_name_is_documented() -> None:
    names: list[str] = getattr(sg, "__all__", [n for n in vars(sg) if not n.startswith("_")])
    bare = [
        name
        for name in names
        if (callable(getattr(sg, name)) or inspect.ismodule(getattr(sg, name)))
        and not inspect.getdoc(getattr(sg, name))
    ]
    assert not bare, f"without a docstring: {bare}"


def test_tables_in_the_documentation_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "tools/tables.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_continuous_integration_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
