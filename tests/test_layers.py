"""The laws of the package's layout, read from the source itself.

Imports go downwards only, flint stays in the oracle, frameworks stay in their engines and
bridges, files stay short, and nothing runs text or bytes as code.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "stablegrad"
ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / PACKAGE).rglob("*.py"))

LAYERS: list[set[str]] = [
    {"errors", "collecting"},
    {"settings"},
    {"ir"},
    {"ops"},
    {"oracle"},
    {"canonical"},
    {"cost"},
    {"screening"},
    {"matching"},
    {"rewrite"},
    {"rules"},
    {"synthesis"},
    {"transforms"},
    {"engines"},
    {"guarded"},
    {"program"},
    {"tensor"},
    {"function"},
    {"api", "autograd"},
    {"numpy", "special"},
    {"nn"},
    {"optim"},
    {"jax", "torch"},
    {"expressions"},
    {"audit"},
    {"testing"},
    {""},  # the package itself: a face over everything below
    {"cli_synthesize", "cli_texts"},
    {"cli", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

FRAMEWORKS = {"jax", "jaxlib", "torch", "tensorflow"}
HOMES_OF_FRAMEWORKS = ("engines.xla", "jax", "torch")
RUNS_BYTES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUNS_TEXT = {"eval", "exec", "__import__"}
LONGEST_FILE = 400


def module_name(path: Path) -> str:
    """The name inside the package: "ops.record"; "" for the package itself."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def top(module: str) -> str:
    return module.partition(".")[0]


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def statements(node: ast.AST, *, deferred: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node that runs, and whether it runs only when a function is called."""
    yield node, deferred
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and is_type_checking(node.test):
        children = list(node.orelse)
    inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in children:
        yield from statements(child, deferred=inside)


def imported(node: ast.AST, module: str, *, is_package: bool) -> list[str]:
    """Full names of the modules that a statement imports, relative ones resolved."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=source, names=names, level=level):
            if level:
                parts = [PACKAGE, *(module.split(".") if module else [])]
                keep = len(parts) - level + is_package
                source = ".".join([*parts[:keep], *([source] if source else [])])
            assert source is not None
            if source == PACKAGE:  # "from stablegrad import ops" imports stablegrad.ops
                return [f"{PACKAGE}.{a.name}" if a.name in RANK else PACKAGE for a in names]
            return [source]
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if "import_module" in ast.dump(
            node.func
        ):
            return [name]
        case _:
            return []


def breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module does against the laws, a line each; empty if it keeps them all.

    Args:
        source: the text of the module.
        module: its name inside the package ("ops.record").
        is_package: whether it is the ``__init__`` of the package ``module``.
    """
    found: list[str] = []
    if top(module) not in RANK:
        return [f"{module} has no layer: add it to LAYERS, at its place"]
    for node, deferred in statements(ast.parse(source)):
        line = f"{module}:{getattr(node, 'lineno', 0)}"
        for name in imported(node, module, is_package=is_package):
            found += [f"{line} {b}" for b in import_breaches(name, module, deferred=deferred)]
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in RUNS_TEXT:
                found.append(f"{line} calls {node.func.id}")
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                    found.append(f"{line} allows pickle")
    if len(source.splitlines()) > LONGEST_FILE:
        found.append(f"{module} has {len(source.splitlines())} lines; split it at {LONGEST_FILE}")
    return found


def import_breaches(name: str, module: str, *, deferred: bool) -> list[str]:
    """What is wrong with ``module`` importing ``name``, inside a function or not."""
    root, _, rest = name.partition(".")
    if root == PACKAGE:
        if module == "" or top(rest) == top(module):
            return []
        if top(rest) not in RANK:
            return [f"imports {name}, which has no layer"]
        if RANK[top(rest)] > RANK[top(module)]:
            return [f"imports {name} upwards"]
    elif root == "flint" and top(module) != "oracle":
        return ["imports flint outside the oracle"]
    elif root in FRAMEWORKS and not deferred:
        if not any(f"{module}.".startswith(f"{h}.") for h in HOMES_OF_FRAMEWORKS):
            return [f"imports {name} at module level"]
    elif root in RUNS_BYTES:
        return [f"imports {name}"]
    return []


@pytest.mark.parametrize("path", FILES, ids=lambda p: module_name(p) or PACKAGE)
def test_module_keeps_the_laws(path: Path) -> None:
    found = breaches(path.read_text("utf8"), module_name(path), is_package=path.stem == "__init__")
    assert not found, "\n".join(found)


def test_every_folder_of_the_package_is_a_package() -> None:
    bare = {str(p.parent.relative_to(ROOT)) for p in FILES} - {
        str(p.parent.relative_to(ROOT)) for p in FILES if p.name == "__init__.py"
    }
    assert not bare, f"without __init__.py: {sorted(bare)}"


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("ops.bad", "import stablegrad.rewrite", "upwards"),
        ("ops.bad", "from stablegrad.tensor import Tensor", "upwards"),
        ("ops.bad", "from stablegrad import api", "upwards"),
        ("ops.bad", "import stablegrad as sg", "upwards"),
        ("ops.bad", "from ..rules import stabilize", "upwards"),
        ("ops.bad", "def f():\n    from stablegrad.program import evaluate", "upwards"),
        ("ops.bad", "import importlib\nimportlib.import_module('stablegrad.api')", "upwards"),
        ("ops.bad", "if TYPE_CHECKING:\n    pass\nelse:\n    import stablegrad.cli", "upwards"),
        ("ops.bad", "import stablegrad.attic", "no layer"),
        ("attic", "", "no layer"),
        ("rules.bad", "import flint", "flint"),
        ("rules.bad", "def f():\n    from flint import arb", "flint"),
        ("tensor", "import jax.numpy as jnp", "module level"),
        ("engines.numpy", "try:\n    import torch\nexcept ImportError:\n    pass", "module level"),
        ("engines.xlarge", "import jax", "module level"),
        ("nn.bad", "import pickle", "pickle"),
        ("nn.bad", "import numpy as np\nnp.load('x', allow_pickle=True)", "pickle"),
        ("cli", "print(eval('1'))", "eval"),
        ("cli", "exec('1')", "exec"),
        ("api", "\n" * 401, "lines"),
    ],
)
def test_the_check_sees_a_breach(module: str, source: str, breach: str) -> None:
    found = breaches(source, module)
    assert len(found) == 1
    assert breach in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rewrite", "from stablegrad.ops.record import Op\nfrom stablegrad import errors"),
        ("ops.good", "from stablegrad.ops import record\nfrom .record import Op"),
        ("ir", "if TYPE_CHECKING:\n    from stablegrad.ops.record import Op"),
        ("oracle.balls", "import flint"),
        ("engines.xla", "import jax"),
        ("engines.xla.emit", "import jax.numpy as jnp"),
        ("jax.reader", "import jax"),
        ("tensor", "def to_jax(t):\n    import jax\n    return jax.numpy.asarray(t)"),
        ("numpy.linalg", "import numpy as np"),
        ("nn.modules", "model.eval()"),
        ("cli", "import stablegrad as sg"),
        ("", "from stablegrad.cli import main"),
        ("api", "\n" * 400),
    ],
)
def test_the_check_lets_good_modules_pass(module: str, source: str) -> None:
    assert breaches(source, module) == []


def test_a_relative_import_in_a_package_starts_at_the_package() -> None:
    assert breaches("from . import record", "ops", is_package=True) == []
    assert breaches("from .. import tensor", "ops", is_package=True) != []
