"""The command line: exit status, messages, files written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import stablegrad as sg
from stablegrad.cli import main
from stablegrad.cli_texts import guard_text
from stablegrad.ir import OPS
from stablegrad.rules import DATABASES

SOURCE = """\
import numpy as np
import stablegrad as sg

LIMIT = 3

def lossy(x):
    s = sg.special.expit(x)
    return np.log(1 - s)

def lossy_inputs():
    return (np.array([0.0, 30.0], np.float32),)

def fine(x, y):
    return x * y + 1

def fine_inputs():
    return {"y": np.array([3.0], np.float32), "x": np.array([2.0], np.float32)}

def raises(x):
    return helper(x)

def helper(x):
    raise ZeroDivisionError("one over nothing")

def raises_inputs():
    return [1.0]

def bad_shapes(x, y):
    return x @ y

def bad_shapes_inputs():
    return np.ones((2, 3)), np.ones((2, 3))

def nothing(x):
    x + 1

def nothing_inputs():
    return 1.0

def pair(x):
    return x, x

def pair_inputs():
    return 1.0

def number(x):
    return float(x)

def number_inputs():
    return 1.0

def bare(x):
    return x

def three(x):
    return x

def three_inputs():
    return 1.0, 2.0, 3.0

def broken(x):
    return x

def broken_inputs():
    return [][0]

def stops(x):
    raise SystemExit("no")

def stops_inputs():
    return 1.0

class Cube(sg.Function):
    def forward(self, x):
        self.save_for_backward(x)
        return x * x * x

    def backward(self, dy):
        (x,) = self.saved_tensors
        return dy * 3 * x * x

class Wrong(Cube):
    def backward(self, dy):
        (x,) = self.saved_tensors
        return 3 * x * x

class Other:
    pass
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.py"
    path.write_text(SOURCE)
    return path


def call(*args: str) -> Result:
    result = CliRunner().invoke(main, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.output
    return result


def fails(*args: str) -> str:
    """The message of a wrong call: one, with exit status 2."""
    result = call(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


# -- audit ----------------------------------------------------------------------------------


def test_audit_of_a_lossy_function(model: Path) -> None:
    result = call("audit", "model.py:lossy")
    assert result.exit_code == 1
    assert "model.py:8" in result.stdout
    assert "return np.log(1 - s)" in result.stdout
    assert "one_minus_sigmoid" in result.stdout
    assert "all cured" in result.stdout


def test_audit_of_a_fine_function(model: Path) -> None:
    result = call("audit", "model.py:fine")
    assert result.exit_code == 0
    assert "fine: naive evaluation is fine" in result.stdout


def test_inputs_from_a_file(model: Path) -> None:
    np.savez("in.npz", x=np.array([1.0, -3.0], np.float32))
    assert call("audit", "model.py:lossy", "--inputs", "in.npz").exit_code == 0
    np.savez("in.npz", x=np.array([40.0], np.float32))
    assert call("audit", "model.py:lossy", "--inputs", "in.npz").exit_code == 1
    np.savez("two.npz", y=np.array([1.0], np.float32), x=np.array([2.0], np.float32))
    assert call("audit", "model.py:fine", "--inputs", "two.npz").exit_code == 0


def test_inputs_from_a_domain(model: Path) -> None:
    args = ("audit", "model.py:lossy", "--domain", "x=-60:60", "--points", "30", "--seed", "7")
    result = call(*args)
    assert result.exit_code == 1
    assert "30 points, seed 7" in result.stdout
    assert result.stdout == call(*args).stdout
    narrow = call("audit", "model.py:bare", "--domain", "x=-1:1", "--dtype", "float64")
    assert narrow.exit_code == 0


def test_expressions() -> None:
    result = call(
        "audit", "--expr", "log(1 - sigmoid(x))", "--domain", "x=-50:50", "--points", "40"
    )
    assert result.exit_code == 1
    assert "1 - sigmoid(x)" in result.stdout
    assert call("audit", "--expr", "x*y", "--domain", "x=1:2,y=1:2", "--points", "9").exit_code == 0


def test_orders(model: Path) -> None:
    tanh = ("audit", "--expr", "tanh(x)", "--domain", "x=15:16", "--points", "5", "--order")
    assert [call(*tanh, order).exit_code for order in ("0", "1", "2")] == [0, 1, 1]


def test_files_written(model: Path) -> None:
    result = call("audit", "model.py:lossy", "--json", "out.json", "--html", "out.html")
    assert result.exit_code == 1
    data = json.loads(Path("out.json").read_text("utf8"))
    assert data["function"] == "lossy"
    assert data["findings"][0]["file"] == str(model)
    lines = [(f["line"], f["op"]) for f in data["findings"]]
    assert (8, "subtract") in lines
    assert "<!doctype html>" in Path("out.html").read_text("utf8")
    assert {p.name for p in model.parent.iterdir()} >= {"out.json", "out.html"}
    assert not [p for p in model.parent.iterdir() if p.name.startswith(".out")]


# -- wrong calls ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("no.py:f",), "no file no.py"),
        (("model.py:missing",), "no missing in model.py; it has lossy, lossy_inputs, fine"),
        (("model.py",), "'model.py' is no FILE.py:FUNCTION"),
        (("model.txt:f",), "no file model.txt"),
        (("in.npz:f",), "is no Python file"),
        (("model.py:LIMIT",), "LIMIT in model.py is a int; expected a function"),
        (("syntax.py:f",), "syntax.py:2: SyntaxError"),
        (("imports.py:f",), "imports.py:1: in <module>: ModuleNotFoundError: No module named"),
        (("exits.py:f",), "exits.py:2: in <module>: SystemExit: 3"),
        (("model.py:raises",), "model.py:23: in helper: ZeroDivisionError: one over nothing"),
        (("model.py:stops",), "in stops: SystemExit: no"),
        (("model.py:bad_shapes",), "(2, 3)"),
        (("model.py:nothing",), "NoneType from nothing"),
        (("model.py:pair",), "Audit one result at a time"),
        (("model.py:number",), "a result of type float"),
        (("model.py:bare",), "no inputs for bare: write bare_inputs() beside it"),
        (("model.py:three",), "3 inputs for three: too many positional arguments"),
        (("model.py:broken",), "in broken_inputs: IndexError"),
        (("model.py:lossy", "--inputs", "no.npz"), "no file no.npz"),
        (("model.py:lossy", "--inputs", "model.py"), "model.py"),
        (("model.py:lossy", "--inputs", "one.npy"), "one array without a name"),
        (("model.py:lossy", "--inputs", "objects.npz"), "objects.npz holds objects"),
        (("model.py:lossy", "--inputs", "texts.npz"), "x in texts.npz has dtype <U1"),
        (("model.py:lossy", "--inputs", "complex.npz"), "dtype complex128; expected real"),
        (("model.py:lossy", "--inputs", "cut.npz"), "cut.npz"),
        (("model.py:lossy", "--inputs", "in.npz"), "in.npz has no x; expected x"),
        (("model.py:fine", "--inputs", "more.npz"), "z, which is no parameter; expected x, y"),
        (("model.py:lossy", "--inputs", "in.npz", "--domain", "x=1:2"), "both given"),
        (("model.py:lossy", "--domain", "y=1:2"), "no interval for x"),
        (("model.py:lossy", "--domain", "x=2:1"), "name=lo:hi"),
        (("model.py:lossy", "--domain", "x=1:2", "--points", "0"), "0 points"),
        (("model.py:lossy", "--json", "no/such/a.json"), "no folder no/such"),
        (("model.py:lossy", "--order", "4"), "--order"),
        (("--expr", "log(x", "--domain", "x=1:2"), "was never closed"),
        (("--expr", "open(x)", "--domain", "x=1:2"), "no function is named 'open'"),
        (("--expr", "x"), "no inputs: give --domain"),
        (("model.py:lossy", "--expr", "x"), "one of them"),
        ((), "one of them"),
    ],
)
def test_wrong_calls(model: Path, args: tuple[str, ...], words: str) -> None:
    Path("syntax.py").write_text("x = 1\nf(\n")
    Path("imports.py").write_text("import no_such_module_anywhere\n")
    Path("exits.py").write_text("import sys\nsys.exit(3)\n")
    np.save("one.npy", np.ones(2))
    np.savez("in.npz", a=np.ones(2))
    np.savez("more.npz", x=np.ones(2), y=np.ones(2), z=np.ones(2))
    np.savez("objects.npz", x=np.array([{}], object), allow_pickle=True)
    np.savez("texts.npz", x=np.array(["a"]))
    np.savez("complex.npz", x=np.array([1j]))
    Path("cut.npz").write_bytes(Path("more.npz").read_bytes()[:200])
    message = fails("audit", *args)
    assert words in message
    assert len(message) < 600
    assert "click" not in message


def test_error_of_the_users_own_message_names_his_line(model: Path) -> None:
    assert f"{model}:29" in fails("audit", "model.py:bad_shapes")


# -- check ----------------------------------------------------------------------------------


def test_check(model: Path) -> None:
    right = call("check", "model.py:Cube", "--domain", "x=-3:3", "--points", "20")
    assert right.exit_code == 0
    assert "right" in right.stdout
    wrong = call("check", "model.py:Wrong", "--domain", "x=-3:3", "--points", "20")
    assert wrong.exit_code == 1
    assert "dy" in wrong.stdout
    function = call("check", "model.py:fine")
    assert function.exit_code == 0
    assert "expected a subclass of sg.Function" in fails("check", "model.py:Other")
    assert "no inputs for Cube" in fails("check", "model.py:Cube")


# -- registries -----------------------------------------------------------------------------


def test_rules() -> None:
    rows: list[dict[str, str]] = json.loads(call("rules", "--json").stdout)
    names = {rule.name for database in DATABASES for rule in database.rules}
    assert {row["name"] for row in rows} == names
    for row in rows:
        assert row["reason"], row["name"]
        assert row["source"], row["name"]
        assert ":" in row["place"], row["name"]
    shown = call("rules", "one_minus_sigmoid").stdout
    assert "rules/logistic.py" in shown
    assert "1 - sigmoid(x) cancels" in shown
    gained = {row["name"]: row["gain"] for row in rows}
    assert "bits lost to" in gained["one_minus_sigmoid"]
    assert sum(bool(g) for g in gained.values()) > 100
    assert "nothing is called that" in fails("rules", "no such rule")


def test_guards_are_shown_as_they_are_written() -> None:
    guarded = [r for d in DATABASES for r in d.rules if getattr(r, "guard", None) is not None]
    rows: list[dict[str, str]] = json.loads(call("rules", "--json").stdout)
    text = {row["name"]: row["guard"] for row in rows}
    for rule in guarded:
        assert text[rule.name] not in ("", "guarded"), rule.name
    assert guard_text(lambda a, b: a > b) == "a > b"
    assert guard_text(sorted) == "sorted"
    assert guard_text(guard_text) == "guard_text"
    assert guard_text(None) == ""


def test_ops() -> None:
    rows: list[dict[str, Any]] = json.loads(call("ops", "--json").stdout)
    assert {row["name"] for row in rows} == {n for n, op in OPS.items() if op.family != "leaf"}
    shown = call("ops", "log1mexp").stdout
    assert "(-inf, 0)" in shown
    assert "float16 0.5/0.5/0.5" in " ".join(shown.split())
    assert call("ops").exit_code == 0


def test_help_and_version() -> None:
    assert sg.__version__ in call("--version").stdout
    for command in ("audit", "check", "rules", "ops"):
        text = call(command, "--help").stdout
        assert f"stablegrad {command}" in text
        assert "\b" not in text


def test_the_program_itself(model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stablegrad", "audit", "model.py:lossy", "--json", "a.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=model.parent,
    )
    assert done.returncode == 1
    assert "one_minus_sigmoid" in done.stdout
    assert done.stderr == ""
    done = subprocess.run(
        [sys.executable, "-m", "stablegrad", "audit", "model.py:raises"],
        capture_output=True,
        text=True,
        check=False,
        cwd=model.parent,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("stablegrad: error: ")
    assert "model.py:23: in helper: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_in_the_documentation_is_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "audit.md").read_text("utf8")
    source = page.partition("```python\n")[2].partition("```")[0]
    shown = page.partition("$ stablegrad audit loss.py:loss\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    Path("loss.py").write_text(source)
    printed = call("audit", "loss.py:loss").stdout
    assert [text.rstrip() for text in printed.splitlines()] == shown.splitlines()
